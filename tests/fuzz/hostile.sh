#!/bin/bash
# Hostile models: mutants of good ones, loaded and run; see mutate_models.c.
#
#   tests/fuzz/hostile.sh PROGRAM COUNT [SEED [FOLDER...]]
#
# PROGRAM is a built mutate_models; models are all model.onnx beneath the folders, at most 4000 of them, taken evenly.
# Default: models and, where they are, libonnx-testdata, the vectors of NORMA_SHARED that tools/test.sh has unpacked, and
# build/kept_calls, which unit tests fill: mkdir build/kept_calls && NORMA_KEEP_CALLS=$PWD/build/kept_calls ctest ...
# Failed mutants go to build/hostile. Two processes at a time.
set -u
cd "$(dirname "$0")/../.." || exit 2
program=${1:?a built mutate_models} count=${2:?how many mutants} seed=${3:-1}
shift $(($# < 3 ? $# : 3))
[ $# != 0 ] || set -- models $(ls -d /usr/share/libonnx-testdata/data build/shared-vectors/node build/kept_calls 2>/dev/null)

mapfile -t found < <(find -L "$@" -name '*.onnx' -size -400k | LC_ALL=C sort)
[ ${#found[@]} != 0 ] || { echo "hostile.sh: no model beneath $*" >&2; exit 2; }
models=() step=$(((${#found[@]} + 3999) / 4000))
for ((i = 0; i < ${#found[@]}; i += step)); do models+=("${found[i]}"); done

mkdir -p build/hostile
half=$((count / 2))
options=(--seed "$seed" --seconds "${SECONDS_EACH:-10}" --keep build/hostile)
"$program" "${options[@]}" --from 0 --count $half "${models[@]}" &
first=$!
"$program" "${options[@]}" --from $half --count $((count - half)) "${models[@]}"
second=$?
wait $first && [ $second = 0 ]
