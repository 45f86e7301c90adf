#!/bin/sh
# What the tool says to input that it cannot take: one line that names file, node or input and what was expected, the
# documented exit code (2: refused; 1: not supported), and nothing left behind.
. tests/tools/shell_test.sh

model=$root/models/digits_cnn_bn/model.onnx
picture=$root/models/pictures/digit_7.npy

# ---- the model's file
refused "missing model" 2 "absent.onnx|No such file" run absent.onnx
refused "folder as model" 2 "$root/models" run "$root/models"
: >"$work/empty.onnx"
refused "empty model" 2 "empty.onnx" run "$work/empty.onnx"
refused "no ONNX model" 2 "README.md" run "$root/README.md"
refused "picture as model" 2 "digit_7.png" run "$root/models/pictures/digit_7.png"
size=$(wc -c <"$model")
for part in 1 10 1000 $((size / 2)) $((size - 1)); do
  head -c "$part" "$model" >"$work/truncated.onnx"
  refused "truncated to $part of $size bytes" 2 "truncated.onnx" run "$work/truncated.onnx" -i "$picture"
done
head -c 20000 /dev/urandom >"$work/noise.onnx"
refused "random bytes" 2 "noise.onnx" run "$work/noise.onnx"

# ---- what the model asks for: names of the same length, so that the file's lengths stay right
LC_ALL=C sed 's/"\x07Softmax/"\x07Sofdmax/' "$model" >"$work/unknown.onnx"
LC_ALL=C sed 's/B\x02\x10\x11$/B\x02\x10\x63/' "$model" >"$work/newer.onnx"
cmp -s "$model" "$work/newer.onnx" && failed "newer opset" "a changed file" "the same"

# ---- inputs
refused "missing input" 2 "picture" run "$model"
refused "extra input" 2 "$picture" run "$model" -i "$picture" -i "$picture"
refused "unknown input" 2 "photo|picture" run "$model" -i "photo=$picture"
refused "missing input file" 2 "absent.npy|No such file" run "$model" -i absent.npy
refused "no .npy" 2 "noise.npy" run "$model" -i "$work/noise.npy"
head -c 3000 /dev/urandom >"$work/noise.npy"
refused "unreadable .npy" 2 "noise.npy" run "$model" -i "$work/noise.npy"
head -c 200 "$picture" >"$work/short.npy"
refused "truncated .npy" 2 "short.npy" run "$model" -i "$work/short.npy"
head -c 60 "$picture" >"$work/header.npy"
refused "truncated header of .npy" 2 "header.npy" run "$model" -i "$work/header.npy"
head -c 100 "$root/models/pictures/digit_7.png" >"$work/short.png"
refused "truncated picture" 2 "short.png" run "$model" -i "$work/short.png"
refused "input of unknown kind" 2 "README.md" run "$model" -i "$root/README.md"

# The same numbers under another type and other shapes; replacements are as long as what they replace.
LC_ALL=C sed "s/'<f4'/'<i4'/" "$picture" >"$work/type.npy"
refused "wrong type" 2 "picture|float|int32" run "$model" -i "$work/type.npy"
LC_ALL=C sed "s/(1, 1, 8, 8)/(1, 8, 8, 1)/" "$picture" >"$work/shape.npy"
refused "wrong shape" 2 "picture|8" run "$model" -i "$work/shape.npy"
LC_ALL=C sed "s/(1, 1, 8, 8)/(1, 64)      /" "$picture" >"$work/rank.npy"
refused "wrong rank" 2 "picture" run "$model" -i "$work/rank.npy"
for changed in type shape rank; do
  cmp -s "$picture" "$work/$changed.npy" && failed "$changed.npy" "a changed file" "the same"
done

# ---- outputs
: >"$work/file"
refused "output folder is a file" 2 "$work/file" run "$model" -i "$picture" -o "$work/file"
refused "output folder beneath a file" 2 "$work/file/out" run "$model" -i "$picture" -o "$work/file/out"
refused "output folder in /proc" 2 "/proc/norma" run "$model" -i "$picture" -o /proc/norma
if mknod "$work/full" c 1 7 2>/dev/null && ! echo 2>/dev/null >"$work/full"; then
  full=$work/full
  norma run "$model" -i "$picture" --profile "$full"
  checks=$((checks + 1))
  [ "$code" = 2 ] || failed "no room for the output: exit code" 2 "$code: $err"
  case $err in
  "norma: $full: cannot write"*) ;;
  *) failed "no room for the output: message" "norma: $full: cannot write..." "$err" ;;
  esac
  [ -c "$full" ] || failed "no room for the output" "the device as it was" "replaced"
fi
[ "$(wc -c <"$work/file")" = 0 ] || failed "output folder is a file" "the file as it was" "changed"

# ---- usage
refused "no command" 2 "norma" ""
refused "unknown command" 2 "frob" frob
refused "no model" 2 "MODEL" run
refused "two models" 2 "$picture" run "$model" "$picture"
refused "unknown option" 2 "--frob" run "$model" --frob
refused "threads" 2 "0" run "$model" -i "$picture" -t 0
refused "threads as a word" 2 "many" run "$model" -i "$picture" -t many
refused "level" 2 "9" run "$model" -i "$picture" -O 9
refused "unknown pass" 2 "no_such_pass" run "$model" -i "$picture" --disable no_such_pass
refused "fill" 2 "noise" run "$model" --fill noise
refused "shape of no input" 2 "photo" run "$model" --fill ones --shape photo=1x1x8x8
refused "shape of the wrong rank" 2 "picture" run "$model" --fill ones --shape picture=64
refused "unknown value" 2 "no_such_value" run "$model" -i "$picture" --dump no_such_value
refused "memory" 2 "lots" run "$model" -i "$picture" --max-memory lots
refused "no tests" 2 "here" test "$work/here"
refused "missing manifest" 2 "absent.txt" test "$root/models" --manifest absent.txt

# ---- budgets
refused "too little memory" 2 "memory" run "$model" -i "$picture" --max-memory 10KiB

# ---- other commands give the same answers
for command in run bench compare; do
  refused "$command: unknown operator" 1 "unknown.onnx|Sofdmax" $command "$work/unknown.onnx" --fill ones
  refused "$command: newer opset" 1 "newer.onnx|99" $command "$work/newer.onnx" --fill ones
done
for command in inspect check bench compare; do
  refused "$command: missing model" 2 "absent.onnx" $command absent.onnx
  refused "$command: truncated model" 2 "truncated.onnx" $command "$work/truncated.onnx"
done

# ---- all that is unsupported is named at once: three Conv and two MaxPool under other names
LC_ALL=C sed 's/"\x04Conv/"\x04Cnov/g; s/"\x07MaxPool/"\x07MixPool/g' "$model" >"$work/five.onnx"
norma check "$work/five.onnx"
checks=$((checks + 1))
[ "$code" = 1 ] || failed "check of five: exit code" 1 "$code: $err"
for node in /block1/conv/Conv /block2/conv/Conv /block3/conv/Conv /pool2/MaxPool /pool3/MaxPool; do
  grep -qF "$node" "$work/out" || failed "check of five" "a line with $node" "$out"
done

finish
