#!/bin/sh
# WebAssembly with SIMD128, by Debian's emscripten.
#
#   tools/build_wasm.sh                             libnorma.a, in build/wasm, for programs in C. They link it with
#                                                   build/protobuf-c-wasm/libprotobuf-c.a
#   tools/build_wasm.sh --module [OUT [OPERATORS]]  norma.wasm and what JavaScript needs of it, in OUT (default:
#                                                   build/wasm-module); with the operators of a file that
#                                                   `norma check --operators MODEL...` wrote, or all (tools/wasm/README.md)
#
# protobuf-c is made of Debian's source package. Where that cannot be had, the header of libprotobuf-c-dev takes its
# place: the library is compiled, and no program can be linked.
set -eu
cd "$(dirname "$0")/.."

protobuf_c=$PWD/build/protobuf-c-wasm # where the preset `wasm` looks

make_protobuf_c() {
  if tools/fetch_protobuf_c.sh "$protobuf_c"; then
    emcc -O2 -c "$protobuf_c/protobuf-c/protobuf-c.c" -o "$protobuf_c/protobuf-c.o"
    emar rcs "$protobuf_c/libprotobuf-c.a" "$protobuf_c/protobuf-c.o"
  else
    echo "build_wasm.sh: no source of protobuf-c, its header only; no program can be linked" >&2
    tools/install_packages.sh libprotobuf-c-dev
    mkdir -p "$protobuf_c/protobuf-c"
    cp /usr/include/protobuf-c/protobuf-c.h "$protobuf_c/protobuf-c"
  fi
}

make_library() {
  [ -f "$protobuf_c/libprotobuf-c.a" ] || make_protobuf_c
  cmake --preset wasm -DNORMA_WERROR="${NORMA_WERROR:-OFF}"
  cmake --build --preset wasm
}

# No JavaScript of emscripten's: norma.mjs gives the few functions that the C library asks for.
make_module() {
  out=$1 operators=${2-}
  mkdir -p "$out"
  if [ -n "$operators" ]; then
    tools/install_packages.sh python3 universal-ctags
    tools/fetch_protobuf_c.sh "$protobuf_c"
    python3 tools/amalgamate.py --out "$out/c" --protobuf-c "$protobuf_c/protobuf-c" --operators "$operators"
    emcc -O2 -c "$out/c/norma.c" -o "$out/c/norma.o"
    set -- "$out/c/norma.o"
  else
    make_library
    set -- build/wasm/libnorma.a "$protobuf_c/libprotobuf-c.a"
  fi
  emcc -O2 -msimd128 -Iengine tools/wasm/binding.c "$@" -o "$out/norma.wasm" -sSTANDALONE_WASM --no-entry \
    -sALLOW_MEMORY_GROWTH -sMAXIMUM_MEMORY=4GB -sEXPORTED_FUNCTIONS=_malloc,_free
  rm -rf "$out/c"
  cp tools/wasm/norma.mjs tools/wasm/norma.d.ts tools/wasm/index.html tools/wasm/page.mjs "$out"
  for model in models/digits_*; do # of the demonstration
    mkdir -p "$out/$model"
    cp "$model/model.onnx" "$out/$model"
  done
  echo "$out/norma.wasm: $(stat -c %s "$out/norma.wasm") bytes, $(gzip -9 -c "$out/norma.wasm" | wc -c) in gzip"
}

tools/install_packages.sh emscripten cmake ninja-build protobuf-c-compiler
case ${1-} in
"") make_library ;;
--module) make_module "${2:-build/wasm-module}" "${3-}" ;;
*)
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
  exit 2
  ;;
esac
