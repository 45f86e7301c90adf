#!/bin/bash
# Failing allocations over models of every operator; see fail_allocations.c.
#
#   tests/fuzz/fail_allocations.sh PROGRAM [OPTION...]
#
# PROGRAM is a built fail_allocations; options are its own, such as --each 3 or --most 100. Takes models/,
# libonnx-testdata and the vectors that tools/test.sh has unpacked, as far as they are there, and build/kept_calls, which
# unit tests fill for operators without vectors: NORMA_KEEP_CALLS=$PWD/build/kept_calls ctest --test-dir build/release.
# Writes the table of operators to build/fail_allocations.txt.
set -u
cd "$(dirname "$0")/../.." || exit 2
program=${1:?a built fail_allocations}
shift
mapfile -t folders < <(ls -d models /usr/share/libonnx-testdata/data build/debian-vectors build/shared-vectors \
  build/onnx-vectors-* build/kept_calls 2>/dev/null)
exec "$program" --table build/fail_allocations.txt "$@" "${folders[@]}"
