#!/bin/sh
# `norma test` and `norma compare` say no when they should: wrong outputs, wrong shapes, missing files, unknown operators, a
# test that takes too long; and the manifest, the filter and the closing line do what the manual says.
. tests/tools/shell_test.sh

model=$root/models/digits_cnn_bn
closing() { # closing NAME CODE LINE ARGUMENT...: the last line of stdout is LINE
  name=$1 expected=$2 line=$3
  shift 3
  norma test "$@"
  checks=$((checks + 1))
  [ "$code" = "$expected" ] || failed "$name: exit code" "$expected" "$code: $out $err"
  last=$(tail -n 1 "$work/out")
  if [ "$last" = "$line" ]; then printf 'ok: %s\n' "$name"; else failed "$name: closing line" "$line" "$out"; fi
}
holds() { # holds NAME WORDS: stdout of the last call holds them
  checks=$((checks + 1))
  case $out in *"$2"*) printf 'ok: %s\n' "$1" ;; *) failed "$1" "...$2..." "$out" ;; esac
}
copy() { # copy NAME: a test of its own below $work/tests
  mkdir -p "$work/tests"
  cp -r "$model" "$work/tests/$1"
}

closing "the project's models" 0 "4 passed, 0 failed, 0 skipped" "$root/models"
closing "a test itself as folder" 0 "1 passed, 0 failed, 0 skipped" "$model"

copy good
copy wrong_output
cp "$work/tests/good/test_data_set_2/output_0.pb" "$work/tests/wrong_output/test_data_set_0/output_0.pb"
closing "wrong output" 1 "1 passed, 1 failed, 0 skipped" "$work/tests"
holds "the worst element is named" "wrong_output: test_data_set_0, output 0 'probabilities': element [0, "
holds "expected and actual are named" "expected "
copy wrong_shape
cp "$work/tests/good/test_data_set_1/output_0.pb" "$work/tests/wrong_shape/test_data_set_0/output_0.pb"
closing "wrong shape" 1 "0 passed, 1 failed, 0 skipped" "$work/tests/wrong_shape"
holds "shapes are named" "expected float 5x10, got float 1x10"
copy missing_output
rm "$work/tests/missing_output/test_data_set_0/output_0.pb"
closing "missing output" 1 "0 passed, 1 failed, 0 skipped" "$work/tests/missing_output"
copy missing_input
rm "$work/tests/missing_input/test_data_set_0/input_0.pb"
closing "missing input" 1 "0 passed, 1 failed, 0 skipped" "$work/tests/missing_input"
copy damaged
head -c 20000 "$model/model.onnx" >"$work/tests/damaged/model.onnx"
closing "damaged model" 1 "0 passed, 1 failed, 0 skipped" "$work/tests/damaged"
copy unknown
LC_ALL=C sed 's/"\x07Softmax/"\x07Sofdmax/' "$model/model.onnx" >"$work/tests/unknown/model.onnx"
closing "unknown operator" 0 "0 passed, 0 failed, 1 skipped" "$work/tests/unknown"
holds "skipped ones are counted by operator" "1  Sofdmax: "

closing "all of them" 1 "1 passed, 5 failed, 1 skipped" "$work/tests" --jobs 3
closing "filter" 0 "1 passed, 0 failed, 0 skipped" "$work/tests" --filter 'go*'
printf 'wrong_output max=10\nwrong_output rtol=1e9\n' >"$work/manifest"
closing "manifest" 0 "1 passed, 0 failed, 0 skipped" "$work/tests/wrong_output" --manifest "$work/manifest"
printf 'wrong_output rtol=1e9\n*/wrong_output rtol=1e-9\n' >"$work/manifest"
closing "the last line wins" 1 "0 passed, 1 failed, 0 skipped" "$work/tests/wrong_output" --manifest "$work/manifest"
closing "a slash behind the folder" 1 "0 passed, 1 failed, 0 skipped" "$work/tests/wrong_output//" \
  --manifest "$work/manifest"
printf 'wrong_output rtol=1e9\n' >"$work/manifest"
closing "the slash is no part of its name" 0 "1 passed, 0 failed, 0 skipped" "$work/tests/wrong_output/" \
  --manifest "$work/manifest"
closing "tolerance" 0 "1 passed, 0 failed, 0 skipped" "$work/tests/wrong_output" --rtol 1e9
closing "no tolerance" 1 "0 passed, 1 failed, 0 skipped" "$work/tests/good" --rtol 0 --atol 1e-30
closing "timeout" 1 "0 passed, 1 failed, 0 skipped" "$work/tests/good" --timeout 1us
holds "a timeout is called so" "timeout"

expect "the same model at two levels" 0 "same +probabilities.*top-1 1 of 1" compare "$model/model.onnx"
expect "two exports of one network" 0 "same +probabilities" compare "$model/model.onnx" "$root/models/digits_cnn_dynamo/model.onnx"
expect "two different models" 1 "DIFFERS +probabilities" compare "$model/model.onnx" "$root/models/digits_mlp/model.onnx"
expect "a first difference" 1 "^first difference: " compare "$model/model.onnx" "$root/models/digits_mlp/model.onnx"
finish
