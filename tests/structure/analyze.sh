#!/bin/bash
# Static analysis of the library and the tool, kernels left out: what compilers warn of beyond the flags of every build,
# and what cppcheck and clang-tidy find. Needs a configured build/release, for generated headers.
#
#   tests/structure/analyze.sh [warnings] [cppcheck] [tidy]      default: warnings, which must find nothing
#
# Prints what is found; exit code 1 if there is any.
set -u
cd "$(dirname "$0")/../.." || exit 2
[ $# != 0 ] || set -- warnings
jobs=${JOBS:-$(nproc)} log=build/analyze.log
flags=(-std=c11 -D_GNU_SOURCE= '-DVERSION_PROTOBUF_C=""' -I. -Iengine -Ibuild/release)
mapfile -t files < <(find ${FOLDERS:-engine ops proto tools} -name '*.c' -not -path '*/kernels/*' | LC_ALL=C sort)
both=(-Wall -Wextra -Wvla -Wcast-qual -Wpointer-arith -Wwrite-strings -Wundef -Wformat=2 -Wredundant-decls
  -Wnested-externs -Wold-style-definition -Wimplicit-fallthrough -Wstrict-prototypes -Wmissing-prototypes)
found=0

check() { # check NAME COMMAND...: the command is called with a file of each
  local name=$1
  shift
  printf '%s\n' "${files[@]}" | xargs -P "$jobs" -n 1 "$@" >$log 2>&1
  local count
  count=$(grep -cE ': (warning|error|portability):' $log)
  echo "$name: $count findings in ${#files[@]} files"
  [ "$count" = 0 ] || { grep -E ': (warning|error|portability):' $log | sort -u; found=1; }
}

for step in "$@"; do
  case $step in
  warnings)
    check "gcc" gcc "${flags[@]}" "${both[@]}" -Walloca -Wlogical-op -Wduplicated-cond -fsyntax-only
    if command -v clang >/dev/null; then
      check "clang" clang "${flags[@]}" "${both[@]}" -Wshadow -Wno-format-nonliteral -fsyntax-only
    fi
    ;;
  cppcheck)
    # Left out: casts between bytes and elements are what tensors are made of; fields that functions fill in.
    check "cppcheck" cppcheck --enable=warning,portability --std=c11 --language=c -I. -Iengine -Ibuild/release \
      -D_GNU_SOURCE -D__x86_64__ -D__linux__ --max-configs=1 --quiet --suppress=invalidPointerCast \
      --suppress=uninitStructMember --suppress=uninitvar
    ;;
  tidy)
    check "clang-tidy" sh -c 'clang-tidy --quiet --config-file=tests/structure/clang-tidy.yaml "$1" -- -std=c11 \
      -D_GNU_SOURCE= -I. -Iengine -Ibuild/release' sh
    ;;
  *)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
    exit 2
    ;;
  esac
done
exit $found
