#!/bin/sh
# MODEL - is read from standard input, by each command that only reads a model: the answer is the one for the file.
. tests/tools/shell_test.sh

model=$root/models/digits_cnn_bn/model.onnx
folded=$root/models/digits_cnn_folded/model.onnx
picture=$root/models/pictures/digit_7.npy

# alike NAME COMMAND ARGUMENT...: COMMAND of $model, with ARGUMENTs, says the same when the model comes through a pipe
# and from a redirected file.
alike() {
  name=$1 command=$2
  shift 2
  norma "$command" "$model" "$@"
  expected="$code
$(sed "s|$model|-|" "$work/out")
$(sed "s|$model|-|" "$work/err")"
  for how in pipe file; do
    checks=$((checks + 1))
    case $how in
    pipe) cat "$model" | "$NORMA" "$command" - "$@" >"$work/out" 2>"$work/err" ;;
    file) "$NORMA" "$command" - "$@" <"$model" >"$work/out" 2>"$work/err" ;;
    esac
    actual="$?
$(cat "$work/out")
$(cat "$work/err")"
    if [ "$expected" = "$actual" ]; then
      printf 'ok: %s: %s\n' "$name" $how
    else
      failed "$name: $how" "$expected" "$actual"
    fi
  done
}

alike run run -i "$picture"
alike "run --fill" run --fill random --seed 3
alike inspect inspect
alike "inspect --json" inspect --json
alike check check
alike "compare two levels" compare -i "$picture"

# bench: its figures differ from run to run
checks=$((checks + 1))
"$NORMA" bench - --duration 100ms --json <"$model" >"$work/out" 2>"$work/err"
code=$?
if [ $code = 0 ] && grep -q '"model": "-"' "$work/out"; then
  echo "ok: bench"
else
  failed bench '"model": "-"' "$code: $(cat "$work/out" "$work/err")"
fi

# compare: one of two models, and both
for arguments in "- $folded" "$folded -" "- -"; do
  checks=$((checks + 1))
  # shellcheck disable=SC2086
  "$NORMA" compare $arguments --max 1e-4 -i "$picture" <"$model" >"$work/out" 2>"$work/err"
  code=$?
  case $code in
  0 | 1) printf 'ok: compare %s\n' "$arguments" ;;
  *) failed "compare $arguments" "an answer" "$code: $(cat "$work/err")" ;;
  esac
done

# what is no model, and nothing at all
for bytes in "not a model" ""; do
  checks=$((checks + 1))
  printf '%s' "$bytes" | "$NORMA" run - --fill ones >"$work/out" 2>"$work/err"
  code=$?
  case "$code $(cat "$work/err")" in
  "2 norma: -: "*) printf 'ok: refused: "%s"\n' "$bytes" ;;
  *) failed "\"$bytes\" as a model" "2 norma: -: ..." "$code $(cat "$work/err")" ;;
  esac
done
finish
