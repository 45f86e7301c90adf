#!/bin/bash
# Which lines of the library and the tool the tests reach.
#
#   tests/coverage.sh [--report] [PREFIX...]
#
# Builds with gcov's counters in build/coverage (GCC), runs the unit tests and the official vectors at levels 0 and 2,
# and prints a table of folders; --report only prints what the last run has counted. For each PREFIX, such as proto/ or
# engine/plan, the lines that nothing reached are listed. A line counts as reached where one of the instruction sets
# that the file was compiled for has reached it.
set -u
cd "$(dirname "$0")/.." || exit 2
build=build/coverage jobs=${JOBS:-$(nproc)}

if [ "${1-}" != --report ]; then
  cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE="-O1 -DNDEBUG" \
    -DCMAKE_C_FLAGS="--coverage -fprofile-update=atomic" -DCMAKE_C_COMPILER_LAUNCHER="$(command -v ccache)" \
    >/dev/null && cmake --build $build -j "$jobs" >$build/build.log 2>&1 || { tail -n 20 $build/build.log; exit 1; }
  find $build -name '*.gcda' -delete
  ctest --test-dir $build -j "$jobs" -LE python >$build/ctest.log 2>&1
  grep -E 'tests passed|Failed|Timeout' $build/ctest.log
  vectors=(models)
  for folder in build/debian-vectors build/shared-vectors build/onnx-vectors-*; do
    [ ! -d "$folder" ] || vectors+=("$folder")
  done
  for level in 0 2; do $build/norma test "${vectors[@]}" -O $level --jobs "$jobs" 2>&1 | tail -n 1; done
else
  shift
fi
python3 tests/coverage_report.py $build "$@"
