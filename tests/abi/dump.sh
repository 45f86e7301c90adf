#!/bin/sh
# dump.sh HEADER: what abidw says of the interface that a norma.h declares.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 tests/abi/write_probe.py "$1" >"$work/probe.c"
cc -std=c11 -w -g -shared -fPIC -fno-eliminate-unused-debug-types -Wl,-soname,libnorma.so "$work/probe.c" \
  -o "$work/probe.so"
abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-parameter-names --exported-interfaces-only \
  --no-elf-needed "$work/probe.so" | sed "s|$work/||"
