#!/bin/bash
# The libFuzzer targets, for as long as wanted; what they learn is kept.
#
#   tests/fuzz/fuzz.sh SECONDS [TARGET...]
#
# Each TARGET (default: all) runs for SECONDS, one after the other, JOBS processes at a time (default 1). Seeds are
# written to build/corpus/seeds, inputs that reach new code are kept in build/corpus/TARGET for the next time; findings
# go to build/fuzz-findings, each to become a test. Environment: BUILD, the build with the targets (default build/fuzz).
# Exit code 1 where something was found.
#
#   cmake --preset fuzz && cmake --build build/fuzz --target fuzz_targets && tests/fuzz/fuzz.sh 600
set -u
cd "$(dirname "$0")/../.." || exit 2
seconds=${1:?how many seconds for each target} build=${BUILD:-build/fuzz} jobs=${JOBS:-1}
shift
programs=$build/tests/fuzz
[ $# != 0 ] || set -- $(cd "$programs" 2>/dev/null && ls -d fuzz_*)
[ $# != 0 ] || { echo "fuzz.sh: no targets in $programs" >&2; exit 2; }

mapfile -t folders < <(ls -d models /usr/share/libonnx-testdata/data/node build/shared-vectors/node build/kept_calls \
  2>/dev/null)
if ! [ -d build/corpus/seeds ]; then
  python3 tests/fuzz/make_corpus.py build/corpus/seeds.partial "${folders[@]}" &&
    mv build/corpus/seeds.partial build/corpus/seeds || exit 2
fi
mkdir -p build/fuzz-findings
export ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1:detect_leaks=1}

found=0
for target in "$@"; do
  kept=build/corpus/$target seeds=build/corpus/seeds/$target
  log=build/fuzz-findings/$target.log
  mkdir -p "$kept" "$seeds"
  options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -max_len=65536 -print_final_stats=1
    -artifact_prefix="build/fuzz-findings/$target-")
  [ ! -f "tests/fuzz/dictionaries/$target.dict" ] || options+=(-dict="tests/fuzz/dictionaries/$target.dict")
  [ "$jobs" = 1 ] || options+=(-fork="$jobs")
  # What targets print of their own is of no interest; reports of sanitizers are printed all the same.
  [ "$target" != fuzz_tool_formats ] || options+=(-close_fd_mask=2)
  if "$programs/$target" "${options[@]}" "$kept" "$seeds" >"$log" 2>&1; then
    runs=$(grep -oE 'number_of_executed_units: [0-9]+' "$log" | grep -oE '[0-9]+' | tail -n 1)
    edges=$(grep -oE 'cov: [0-9]+' "$log" | grep -oE '[0-9]+' | tail -n 1)
    echo "$target: ${runs:-no} runs, $(ls "$kept" | wc -l) inputs kept, ${edges:-no} edges reached"
  else
    echo "$target: FOUND SOMETHING, see $log"
    grep -E 'ERROR|SUMMARY|runtime error|fuzz_|fuzzing:|Test unit written' "$log" | head -n 8 | sed 's/^/  /'
    found=1
  fi
done
exit $found
