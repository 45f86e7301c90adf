#!/bin/sh
# The AArch64 build of the tool, run by qemu-user.
exec qemu-aarch64 "$(dirname "$0")/../../build/aarch64/norma" "$@"
