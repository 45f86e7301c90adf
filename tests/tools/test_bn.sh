#!/bin/sh
# norma bn and norma optimize from outside: what they write, what they refuse, that shares, ranks and interruptions do not
# change the result, and that nothing of the input model is lost.
. tests/tools/shell_test.sh

model=$root/models/digits_cnn_bn/model.onnx
folded=$root/models/digits_cnn_folded/model.onnx

# npy FILE TYPE SHAPE: the header of an .npy file of 128 bytes; the elements are appended.
npy() {
  header="{'descr': '$2', 'fortran_order': False, 'shape': ($3), }"
  printf '\223NUMPY\001\000\166\000%-117s\n' "$header" >"$1"
}

# same NAME FILE FILE: both have the same bytes.
same() {
  checks=$((checks + 1))
  if cmp -s "$2" "$3"; then printf 'ok: %s\n' "$1"; else failed "$1" "the same bytes" "$(cmp "$2" "$3" 2>&1)"; fi
}

# is NAME EXPECTED ACTUAL
is() {
  checks=$((checks + 1))
  if [ "$2" = "$3" ]; then printf 'ok: %s\n' "$1"; else failed "$1" "$2" "$3"; fi
}

count=600
npy "$work/data.npy" '|u1' "$count, 1, 8, 8"
awk -v n=$((count * 64)) 'BEGIN {
  for (s = 1; n > 0; n--) { s = (s * 75 + 74) % 65537; printf "%c", 32 + s % 96 }
}' >>"$work/data.npy"
npy "$work/first.npy" '|u1' "320, 1, 8, 8"
tail -c +129 "$work/data.npy" | head -c $((320 * 64)) >>"$work/first.npy"
npy "$work/second.npy" '|u1' "280, 1, 8, 8"
tail -c $((280 * 64)) "$work/data.npy" >>"$work/second.npy"
is "size of the data" $((128 + count * 64)) "$(wc -c <"$work/data.npy")"

estimate() { # estimate OUT ARGUMENT...
  out=$1
  shift
  norma bn reestimate "$model" --scale 1/255 -o "$out" "$@"
  checks=$((checks + 1))
  [ "$code" = 0 ] || failed "reestimate $*" "exit code 0" "$code: $err"
}

# ---- list
expect "list" 0 '^3 BatchNormalization nodes, 3 foldable$' bn list "$model"
expect "list names what it follows" 0 "after Conv '/block1/conv/Conv'" bn list "$model"
expect "list of a folded model" 0 '^0 BatchNormalization nodes, 0 foldable: an exporter folds them' bn list "$folded"
expect "list --json" 0 '"foldable": true' bn list "$model" --json

# ---- what reestimate writes
estimate "$work/all.onnx" --data "$work/data.npy" --report "$work/all.json"
grep -q '^3 of 3 BatchNormalization nodes have new statistics, from 600 samples in 3 passes' "$work/out" ||
  failed "closing line" "3 of 3 ..." "$out"
is "size of the output" "$(wc -c <"$model")" "$(wc -c <"$work/all.onnx")"
changed=$(cmp -l "$model" "$work/all.onnx" | wc -l)
checks=$((checks + 1))
# two vectors of 16 + 32 + 32 floats
{ [ "$changed" -gt 300 ] && [ "$changed" -le 640 ]; } || failed "bytes that changed" "300 to 640" "$changed"
expect "report" 0 . bn list "$work/all.onnx"
grep -q '"divergence"' "$work/all.json" || failed "report" "divergence" "$(head -c 300 "$work/all.json")"

# ---- the same whatever the batch, the threads, the cut of the data
estimate "$work/b1.onnx" --data "$work/data.npy" --batch 1 -t 1
same "batch of 1" "$work/all.onnx" "$work/b1.onnx"
estimate "$work/b7.onnx" --data "$work/data.npy" --batch 7 -t 2
same "batch of 7" "$work/all.onnx" "$work/b7.onnx"
estimate "$work/two.onnx" --data "$work/first.npy" "$work/second.npy"
same "two files" "$work/all.onnx" "$work/two.onnx"
estimate "$work/level0.onnx" --data "$work/data.npy" -O 0

# ---- one node alone
estimate "$work/only.onnx" --data "$work/data.npy" --only '/block2/*'
grep -q '^1 of 3 BatchNormalization' "$work/out" || failed "--only" "1 of 3" "$out"
changed=$(cmp -l "$model" "$work/only.onnx" | wc -l)
checks=$((checks + 1))
{ [ "$changed" -gt 100 ] && [ "$changed" -le 256 ]; } || failed "--only: bytes that changed" "100 to 256" "$changed"

# ---- shares by hand: three passes, two shares each
for pass in 1 2 3; do
  if [ $pass = 1 ]; then set --; else set -- --from "$work/a$((pass - 1))" --from "$work/b$((pass - 1))"; fi
  expect "pass $pass, first share" 0 "^pass $pass of 3 of this share is done: 320 samples" \
    bn reestimate "$model" --scale 1/255 --data "$work/first.npy" --moments "$work/a$pass" "$@"
  expect "pass $pass, second share" 0 "^pass $pass of 3 of this share is done: 280 samples" \
    bn reestimate "$model" --scale 1/255 --data "$work/second.npy" --moments "$work/b$pass" "$@"
done
estimate "$work/shares.onnx" --from "$work/a3" --from "$work/b3"
same "shares by hand" "$work/all.onnx" "$work/shares.onnx"
refused "shares of different passes" 2 "a2|pass" bn reestimate "$model" --scale 1/255 --from "$work/b3" \
  --from "$work/a2" -o "$work/x.onnx"
refused "pass without data" 2 "--data" bn reestimate "$model" --scale 1/255 --from "$work/a1" --from "$work/b1" \
  -o "$work/x.onnx"
refused "moments of another model" 2 "a1|another model" bn reestimate "$work/all.onnx" --scale 1/255 \
  --data "$work/first.npy" --moments "$work/a1" -o "$work/x.onnx"
refused "moments of other settings" 2 "a1|settings" bn reestimate "$model" --scale 1/255 --only '/block2/*' \
  --data "$work/first.npy" --moments "$work/a1" -o "$work/x.onnx"
cp "$work/a1" "$work/damaged"
printf 'x' | dd of="$work/damaged" bs=1 seek=300 conv=notrunc 2>/dev/null
refused "damaged moments" 2 "damaged" bn reestimate "$model" --scale 1/255 --data "$work/first.npy" \
  --moments "$work/damaged" -o "$work/x.onnx"
head -c 100 "$work/a1" >"$work/damaged"
refused "truncated moments" 2 "damaged" bn reestimate "$model" --scale 1/255 --data "$work/first.npy" \
  --moments "$work/damaged" -o "$work/x.onnx"
refused "moments that are none" 2 "README" bn reestimate "$model" --scale 1/255 --data "$work/first.npy" \
  --moments "$root/README.md" -o "$work/x.onnx"

# ---- interrupted and resumed
npy "$work/long.npy" '|u1' "60000, 1, 8, 8"
for _ in 1 2 3 4 5 6 7 8 9 10; do for _ in 1 2 3 4 5 6 7 8 9 10; do tail -c +129 "$work/data.npy"; done; done >>"$work/long.npy"
estimate "$work/long.onnx" --data "$work/long.npy" -t 1 --batch 4
interruptions=0
for wait in 0.1 0.3 0.6 1 3 9; do
  timeout -s INT $wait "$NORMA" bn reestimate "$model" --scale 1/255 --data "$work/long.npy" -t 1 --batch 4 \
    --moments "$work/long.moments" -o "$work/resumed.onnx" >"$work/out" 2>"$work/err"
  grep -q 'interrupted in pass' "$work/err" && interruptions=$((interruptions + 1))
done
[ -e "$work/resumed.onnx" ] || estimate "$work/resumed.onnx" --data "$work/long.npy" -t 1 --batch 4 \
  --moments "$work/long.moments"
checks=$((checks + 1))
[ $interruptions -gt 0 ] || failed "interruptions" "at least one" "none: the run is too short"
same "interrupted $interruptions times and resumed" "$work/long.onnx" "$work/resumed.onnx"
refused "resumed with other data" 2 "samples" bn reestimate "$model" --scale 1/255 --data "$work/data.npy" \
  --moments "$work/a1" -o "$work/x.onnx"

# ---- several processes
# (leaks are looked for in runs without mpirun: the library of MPI keeps memory until the process ends)
ranks() { ASAN_OPTIONS=detect_leaks=0 mpirun --allow-run-as-root --oversubscribe -n "$@"; }
if "$NORMA" --version | grep -q 'processes: Open MPI' && command -v mpirun >/dev/null; then
  for ranks in 2 3; do
    for order in sequential simultaneous; do
      estimate "$work/one.onnx" --data "$work/data.npy" --order $order --batch 50
      ranks $ranks "$NORMA" bn reestimate "$model" --scale 1/255 \
        --data "$work/data.npy" --order $order --batch 50 -t 1 -o "$work/ranks.onnx" >"$work/out" 2>"$work/err" ||
        failed "$ranks ranks" "exit code 0" "$(cat "$work/err")"
      is "$ranks ranks: who speaks" 1 "$(grep -c 'have new statistics' "$work/out")"
      same "$ranks ranks, $order" "$work/one.onnx" "$work/ranks.onnx"
      rm -f "$work/ranks.onnx"
    done
  done
  ranks 2 "$NORMA" bn reestimate "$model" --scale 1/255 --data "$work/data.npy" \
    --method ema -o "$work/ranks.onnx" >"$work/out" 2>"$work/err" && failed "ema with 2 ranks" "refused" "accepted"
  grep -q 'one process' "$work/err" || failed "ema with 2 ranks" "one process" "$(cat "$work/err")"
else
  OMPI_COMM_WORLD_SIZE=2 "$NORMA" bn reestimate "$model" --scale 1/255 --data "$work/data.npy" -o "$work/x.onnx" \
    2>"$work/err" && ! "$NORMA" --version | grep -q 'processes: Open MPI' && failed "no MPI" "refused" "accepted"
fi

# ---- other data
mkdir "$work/pictures"
cp "$root"/models/pictures/*.png "$work/pictures"
norma bn reestimate "$model" --data "$work/pictures" -o "$work/pictures.onnx"
is "pictures" 0 "$code"
mkdir "$work/arrays"
cp "$root"/models/pictures/*.npy "$work/arrays"
norma bn reestimate "$model" --data "$work/arrays" -o "$work/arrays.onnx"
same "pictures and the same arrays" "$work/pictures.onnx" "$work/arrays.onnx"
norma bn reestimate "$model" --data "$root/models/digits_cnn_bn" -o "$work/sets.onnx"
is "folders of data sets" 0 "$code"

# ---- what is refused
refused "no BatchNormalization" 2 "no BatchNormalization|folded" bn reestimate "$folded" --data "$work/data.npy" \
  -o "$work/x.onnx"
refused "output is the input" 2 "model that is read" bn reestimate "$model" --scale 1/255 --data "$work/data.npy" \
  -o "$model"
ln -s "$model" "$work/link.onnx"
refused "output is a link to the input" 2 "model that is read" bn reestimate "$model" --scale 1/255 \
  --data "$work/data.npy" -o "$work/link.onnx"
refused "report over the model" 2 "model that is read" bn reestimate "$model" --scale 1/255 --data "$work/data.npy" \
  -o "$work/x.onnx" --report "$model"
refused "output in no folder" 2 "cannot write" bn reestimate "$model" --scale 1/255 --data "$work/data.npy" \
  -o "$work/absent/x.onnx"
refused "output is a folder" 2 "regular file" bn reestimate "$model" --scale 1/255 --data "$work/data.npy" -o "$work"
refused "no output" 2 "-o" bn reestimate "$model" --data "$work/data.npy"
refused "no data" 2 "--data" bn reestimate "$model" -o "$work/x.onnx"
refused "missing data" 2 "absent.npy" bn reestimate "$model" --data absent.npy -o "$work/x.onnx"
refused "wrong type" 2 "data.npy|uint8|float|--scale" bn reestimate "$model" --data "$work/data.npy" -o "$work/x.onnx"
npy "$work/shape.npy" '|u1' "10, 1, 9, 9"
head -c 810 /dev/zero >>"$work/shape.npy"
refused "wrong shape" 2 "shape.npy|10x1x9x9|8" bn reestimate "$model" --scale 1 --data "$work/shape.npy" -o "$work/x.onnx"
refused "unknown input" 2 "photo" bn reestimate "$model" --scale 1 --data "photo=$work/data.npy" -o "$work/x.onnx"
npy "$work/none.npy" '<f4' "0, 1, 8, 8"
refused "no samples" 2 "none.npy|no data" bn reestimate "$model" --data "$work/none.npy" -o "$work/x.onnx"
refused "no such node" 2 "nothing_like_it" bn reestimate "$model" --scale 1 --data "$work/data.npy" \
  --only 'nothing_like_it*' -o "$work/x.onnx"
refused "ema, sequential" 2 "ema|sequential" bn reestimate "$model" --scale 1 --data "$work/data.npy" --method ema \
  --order sequential -o "$work/x.onnx"
refused "momentum without ema" 2 "ema" bn reestimate "$model" --scale 1 --data "$work/data.npy" --momentum 0.5 \
  -o "$work/x.onnx"
refused "method" 2 "population or ema" bn reestimate "$model" --data "$work/data.npy" --method mean -o "$work/x.onnx"
npy "$work/nan.npy" '<f4' "3, 1, 8, 8"
{ head -c 256 /dev/zero; head -c 40 /dev/zero; printf '\000\000\300\177'; head -c 212 /dev/zero; head -c 256 /dev/zero; } \
  >>"$work/nan.npy"
refused "NaN" 2 "nan.npy|sample 1|NaN|element 10" bn reestimate "$model" --data "$work/nan.npy" -o "$work/x.onnx"
norma bn reestimate "$model" --data "$work/nan.npy" "$work/arrays" --skip-bad -o "$work/skip.onnx"
is "NaN skipped" 0 "$code"
grep -q '^1 samples were left out' "$work/out" || failed "NaN skipped" "1 samples were left out" "$out"
[ ! -e "$work/x.onnx" ] || failed "refused runs" "no output" "$work/x.onnx"

# ---- fold, optimize, freeze
for command in "bn fold" optimize; do
  # shellcheck disable=SC2086 # two words
  expect "$command" 0 'same +probabilities' $command "$model" -o "$work/small.onnx" --verify
  rm -rf "$work/case"
  cp -r "$root/models/digits_cnn_bn" "$work/case"
  cp "$work/small.onnx" "$work/case/model.onnx"
  expect "$command: the reference outputs" 0 '^1 passed, 0 failed, 0 skipped$' test "$work/case"
  # shellcheck disable=SC2086
  refused "$command: output is the input" 2 "model that is read" $command "$model" -o "$model"
  # shellcheck disable=SC2086
  norma $command "$model" -o "$work/x.onnx" --verify --max 1e-30
  is "$command: a difference is an answer" 1 "$code"
  [ ! -e "$work/x.onnx" ] || failed "$command: outputs that differ" "no output" "$work/x.onnx"
done
expect "fold leaves no BatchNormalization" 0 '^0 BatchNormalization nodes' bn list "$work/small.onnx"
refused "fold without BatchNormalization" 2 "no BatchNormalization" bn fold "$folded" -o "$work/x.onnx"
refused "freeze without BatchNormalization" 2 "no BatchNormalization" bn freeze "$folded" -o "$work/x.onnx"
expect "freeze of what is frozen" 0 '^0 of 3 BatchNormalization nodes' bn freeze "$model" -o "$work/frozen.onnx"
same "freeze of what is frozen" "$model" "$work/frozen.onnx"
refused "no subcommand" 2 "fold, freeze, list or reestimate" bn
refused "unknown subcommand" 2 "bn thaw" bn thaw "$model"
finish
