#!/bin/sh
# build_wasm.sh: libnorma.a for WebAssembly with SIMD128, in build/wasm, by Debian's emscripten. A program links it with
# build/protobuf-c-wasm/libprotobuf-c.a, which is made of Debian's source package. Where that cannot be had, the header
# of libprotobuf-c-dev takes its place: everything is compiled, and no program can be linked.
set -eu
cd "$(dirname "$0")/.."

protobuf_c=$PWD/build/protobuf-c-wasm # where the preset `wasm` looks

# The source of protobuf-c, without a change to the system's list of sources.
fetch_source() {
  work=$1
  mkdir -p "$work/lists/partial" "$work/source"
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main" \
    >"$work/sources.list"
  apt_with() {
    apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
      -o Dir::State::lists="$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
      -o APT::Sandbox::User= "$@"
  }
  apt_with update && cd "$work/source" && apt_with source --download-only protobuf-c &&
    tar -xzf protobuf-c_*.orig.tar.gz --strip-components=1
}

make_protobuf_c() {
  rm -rf "$protobuf_c"
  mkdir -p "$protobuf_c/protobuf-c"
  work=$(mktemp -d)
  if (fetch_source "$work") >"$work/log" 2>&1; then
    cp "$work/source/protobuf-c/protobuf-c.h" "$work/source/protobuf-c/protobuf-c.c" "$protobuf_c/protobuf-c"
    emcc -O2 -c "$protobuf_c/protobuf-c/protobuf-c.c" -o "$protobuf_c/protobuf-c.o"
    emar rcs "$protobuf_c/libprotobuf-c.a" "$protobuf_c/protobuf-c.o"
  else
    echo "build_wasm.sh: no source of protobuf-c, its header only; no program can be linked:" >&2
    tail -n 3 "$work/log" >&2
    tools/install_packages.sh libprotobuf-c-dev
    cp /usr/include/protobuf-c/protobuf-c.h "$protobuf_c/protobuf-c"
  fi
  rm -rf "$work"
}

tools/install_packages.sh emscripten cmake ninja-build protobuf-c-compiler
[ -f "$protobuf_c/libprotobuf-c.a" ] || make_protobuf_c
cmake --preset wasm -DNORMA_WERROR="${NORMA_WERROR:-OFF}"
cmake --build --preset wasm
