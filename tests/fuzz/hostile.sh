#!/bin/bash
# Hostile models: mutants of good ones, loaded and run; see mutate_models.c.
#
#   tests/fuzz/hostile.sh PROGRAM COUNT [SEED [FOLDER...]]
#
# PROGRAM is a built mutate_models; models are all model.onnx beneath the folders (default: models and, where it is
# installed, libonnx-testdata), at most 300 of them, taken evenly. Failed mutants go to build/hostile. Two processes at a time.
set -u
cd "$(dirname "$0")/../.." || exit 2
program=${1:?a built mutate_models} count=${2:?how many mutants} seed=${3:-1}
shift $(($# < 3 ? $# : 3))
[ $# != 0 ] || set -- models $(ls -d /usr/share/libonnx-testdata/data 2>/dev/null)

mapfile -t found < <(find -L "$@" -name '*.onnx' -size -400k | LC_ALL=C sort)
[ ${#found[@]} != 0 ] || { echo "hostile.sh: no model beneath $*" >&2; exit 2; }
models=() step=$(((${#found[@]} + 299) / 300))
for ((i = 0; i < ${#found[@]}; i += step)); do models+=("${found[i]}"); done

mkdir -p build/hostile
half=$((count / 2))
options=(--seed "$seed" --seconds "${SECONDS_EACH:-10}" --keep build/hostile)
"$program" "${options[@]}" --from 0 --count $half "${models[@]}" &
first=$!
"$program" "${options[@]}" --from $half --count $((count - half)) "${models[@]}"
second=$?
wait $first && [ $second = 0 ]
