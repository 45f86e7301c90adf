#!/bin/sh
# norma compile: models as C, built with the static library and run: the same elements, to the bit, that the tool gives
# with the same kernels. Expects NORMA's build folder in BUILD and runs in the source root.
. tests/tools/shell_test.sh
CC=${CC:-cc}

# compiled NAME MODEL INPUT ARGUMENT...: INPUT is a .npy file of the only input.
compiled() {
  name=$1 model=$2 input=$3
  shift 3
  norma compile "$model" -o "$work/source" --name "$name" "$@"
  checks=$((checks + 1))
  if [ "$code" != 0 ]; then
    failed "$name: compile" 0 "$code: $err"
    return
  fi
  # shellcheck disable=SC2086
  if ! $CC -O1 -I. -Iengine -I"$BUILD" "$work/source/$name.c" "$work/source/${name}_main.c" "$BUILD/libnorma.a" \
      -lprotobuf-c -lpthread -lm -ldl -o "$work/$name" 2>"$work/cc.log"; then
    failed "$name: build" "a program" "$(head -n 5 "$work/cc.log")"
    return
  fi
  # An .npy file of version 1: 10 bytes, the length of the header in the last two of them.
  header=$(od -An -tu2 -j8 -N2 "$input")
  tail -c +$((11 + header)) "$input" >"$work/input.bin"
  "$work/$name" "$work/input.bin" "$work/actual" || failed "$name: run" 0 $?
  NORMA_KERNELS=$kernels:plain "$NORMA" run "$model" -i "$input" -t 1 -o "$work/outputs" >/dev/null
  tail -c +129 "$work/outputs/output_0.npy" >"$work/expected"
  if [ -s "$work/expected" ] && cmp -s "$work/actual" "$work/expected"; then
    echo "ok: $name"
  else
    failed "$name: elements" "$(od -An -tfF "$work/expected" | head -n 2)" "$(od -An -tfF "$work/actual" | head -n 2)"
  fi
}

# Of this build's tables the first runs everywhere, and the last word of what is printed is the default one.
norma compile "$root/models/digits_mlp/model.onnx" -o "$work/source"
default=${out##* }
first=$("$NORMA" --version | sed -nE 's/^kernels ([a-z0-9]+).*/\1/p')
for kernels in $first $default; do
  for model in digits_cnn_bn digits_mlp digits_cnn_dynamo; do
    compiled "${model}_$kernels" "$root/models/$model/model.onnx" "$root/models/pictures/digit_7.npy" --kernels "$kernels"
  done
done

model=$root/models/digits_mlp/model.onnx
refused "no folder" 2 "-o DIR" compile "$model"
refused "no identifier" 2 "identifier" compile "$model" -o out --name 7up
refused "no such kernels" 2 "nothing" compile "$model" -o out --kernels nothing
refused "no such input" 2 "nobody" compile "$model" -o out --shape nobody=1x2
finish
