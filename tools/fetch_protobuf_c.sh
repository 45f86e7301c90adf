#!/bin/sh
# fetch_protobuf_c.sh FOLDER: puts protobuf-c.c and protobuf-c.h into FOLDER/protobuf-c, from Debian's source package and
# without a change to the system's list of sources. What is there already is kept. Exit code 1: it cannot be had.
set -eu

folder=$1/protobuf-c
if [ -f "$folder/protobuf-c.c" ] && [ -f "$folder/protobuf-c.h" ]; then exit 0; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/source"
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main" \
  >"$work/sources.list"

apt_with() {
  apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::State::lists="$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User= "$@"
}

if ! (apt_with update && cd "$work/source" && apt_with source --download-only protobuf-c &&
      tar -xzf protobuf-c_*.orig.tar.gz --strip-components=1) >"$work/log" 2>&1; then
  tail -n 3 "$work/log" >&2
  echo "fetch_protobuf_c.sh: the source of protobuf-c cannot be had" >&2
  exit 1
fi
mkdir -p "$folder"
cp "$work/source/LICENSE" "$work/source/protobuf-c/protobuf-c.h" "$work/source/protobuf-c/protobuf-c.c" "$folder"
