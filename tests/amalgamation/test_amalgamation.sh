#!/bin/sh
# The library as one C file (tools/AMALGAMATION.md), built and run: a short list of operators, or with --full everything,
# by GCC and by Clang. Runs in the root of the source tree and expects the tool in NORMA.
set -eu

work=build/amalgamation-test
libraries="-lprotobuf-c -lm -lpthread"
driver=tests/amalgamation/vectors.c
failed=0
rm -rf "$work"
mkdir -p "$work"

fail() {
  echo "FAILED: $*"
  failed=1
}

# expect NAME LAST-LINE COMMAND...
expect() {
  name=$1 last=$2
  shift 2
  actual=$("$@" 2>&1 | tail -n 1) || true
  if [ "$actual" = "$last" ]; then echo "ok: $name"; else fail "$name: expected '$last', got '$actual'"; fi
}

# make FOLDER ARGUMENT...: writes norma.c there.
make() {
  folder=$1
  shift
  python3 tools/amalgamate.py --out "$folder" "$@"
}

# only_public OBJECT: no name gets out but those of norma.h, and arrays that say that they are not for others.
only_public() {
  sed -n 's/^NORMA_API .*[ *]\(norma_[a-z0-9_]*\)(.*/\1/p' engine/norma.h | sort -u >"$work/declared"
  nm --defined-only --extern-only "$1" | awk '{ print $3 }' | grep -v '^norma_private_' | sort -u >"$work/given"
  if difference=$(diff "$work/declared" "$work/given"); then echo "ok: names of $1"; else fail "names of $1:" "$difference"; fi
}

sample() {
  "$NORMA" check --operators models/digits_mlp/model.onnx >"$work/operators.h"
  make "$work/mlp" --operators "$work/operators.h"
  # From the baseline alone, so that it is soon done.
  ${CC:-cc} -O1 -DNORMA_BASELINE -c "$work/mlp/norma.c" -o "$work/mlp/norma.o"
  only_public "$work/mlp/norma.o"
  # shellcheck disable=SC2086
  ${CC:-cc} -std=c11 -Wall -Wextra -Werror -I"$work/mlp" $driver "$work/mlp/norma.o" -o "$work/mlp/vectors" $libraries
  expect "models of the list" "1 passed, 0 failed" "$work/mlp/vectors" models/digits_mlp
  "$work/mlp/vectors" models/digits_cnn_bn >"$work/refused" && fail "operators that are not in the list were found"
  grep -q "'/pool2/MaxPool' (MaxPool, ai.onnx 17): operator not known to this build" "$work/refused" ||
    fail "a model of other operators: $(cat "$work/refused")"
  if make "$work/none" --operators /dev/null 2>/dev/null; then fail "an empty list was taken"; fi
  echo "#define NORMA_OPERATOR_Nothing" >"$work/unknown.h"
  if make "$work/none" --operators "$work/unknown.h" 2>/dev/null; then fail "an operator that there is not was taken"; fi
}

# link_tool OBJECT PROGRAM: the tool of the build, on this library.
link_tool() {
  # shellcheck disable=SC2046
  cc -o "$2" "$BUILD"/CMakeFiles/norma_tool.dir/tools/norma.c.o "$BUILD/libnorma_tool_parts.a" "$1" $libraries -ldl \
    $(for library in jpeg png z; do [ -e "/usr/lib/$(cc -print-multiarch)/lib$library.so" ] && echo "-l$library"; done)
}

# size_line NAME OBJECT-FLAGS FILE MODEL: for the table of tools/AMALGAMATION.md.
size_line() {
  # shellcheck disable=SC2086
  cc -O2 $2 -ffunction-sections -fdata-sections -Wl,--gc-sections -s -I"$(dirname "$3")" $driver "$3" \
    -o "$work/sized" $libraries
  expect "$1" "1 passed, 0 failed" "$work/sized" "$4"
  printf 'size: %-44s %5d kB\n' "$1" $(($(stat -c %s "$work/sized") / 1000))
}

full() {
  make "$work/all"
  for compiler in gcc clang; do
    command -v $compiler >/dev/null || continue
    if ! $compiler -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Werror -O2 -c "$work/all/norma.c" \
        -o "$work/all/$compiler.o"; then
      fail "$compiler does not compile it"
      continue
    fi
    only_public "$work/all/$compiler.o"
    link_tool "$work/all/$compiler.o" "$work/all/norma-$compiler"
    # The tables of all instruction sets, each forced in turn.
    for kernels in $("$work/all/norma-$compiler" --version | sed -n 's/^kernels \([^;]*\).*/\1/p'); do
      expect "models, $compiler, $kernels" "4 passed, 0 failed, 0 skipped" \
        env "NORMA_KERNELS=$kernels" "$work/all/norma-$compiler" test models
    done
    if [ -d build/debian-vectors ]; then
      for program in "$NORMA" "$work/all/norma-$compiler"; do
        "$program" test build/debian-vectors --manifest tests/conformance/tolerances.txt | tail -n 1 >"$work/closing-$(basename "$program")"
      done
      expect "libonnx-testdata, $compiler, as the library" "$(cat "$work/closing-$(basename "$NORMA")")" \
        cat "$work/closing-norma-$compiler"
    fi
  done
  "$NORMA" check --operators models/*/model.onnx >"$work/cnn.h"
  make "$work/cnn" --operators "$work/cnn.h"
  make "$work/mlp" --operators "$work/operators.h"
  size_line "all operators" "" "$work/all/norma.c" models/digits_mlp
  size_line "all operators, baseline" -DNORMA_BASELINE "$work/all/norma.c" models/digits_mlp
  size_line "convolutional networks by -DNORMA_OPERATORS" "-DNORMA_OPERATORS=\"cnn.h\" -I$work" "$work/all/norma.c" models/digits_cnn_bn
  size_line "convolutional networks by --operators" "" "$work/cnn/norma.c" models/digits_cnn_bn
  size_line "convolutional networks, baseline" -DNORMA_BASELINE "$work/cnn/norma.c" models/digits_cnn_bn
  size_line "digits_mlp" "" "$work/mlp/norma.c" models/digits_mlp
  size_line "digits_mlp, baseline" -DNORMA_BASELINE "$work/mlp/norma.c" models/digits_mlp
  size_line "digits_mlp, baseline, -Os" "-DNORMA_BASELINE -Os" "$work/mlp/norma.c" models/digits_mlp
  if tools/fetch_protobuf_c.sh build/protobuf-c-source; then
    libraries="-lm -lpthread"
    make "$work/alone" --operators "$work/operators.h" --protobuf-c build/protobuf-c-source/protobuf-c
    size_line "digits_mlp, baseline, protobuf-c in it" -DNORMA_BASELINE "$work/alone/norma.c" models/digits_mlp
    only_public "$work/mlp/norma.o"
    size_line "digits_mlp, baseline, -DNORMA_PROTOBUF_C" \
      "-DNORMA_BASELINE -DNORMA_PROTOBUF_C=\"$PWD/build/protobuf-c-source/protobuf-c/protobuf-c.c\" -Ibuild/protobuf-c-source" \
      "$work/mlp/norma.c" models/digits_mlp
  fi
}

sample
if [ "${1-}" = --full ]; then full; fi
exit $failed
