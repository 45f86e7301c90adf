#!/bin/sh
# The binary interface of norma.h against that of the last release (engine/ABI.md), by abidiff; and that this check
# finds what breaks programs, on headers with one change each. Runs in the root of the source tree.
set -eu

if ! command -v abidiff >/dev/null; then
  echo "skipped: no abidiff (abigail-tools)"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
  echo "FAILED: $*"
  failed=1
}

# same HEADER: no function, type or value that programs were compiled with is gone or another.
same() {
  tests/abi/dump.sh "$1" >"$work/now.abi"
  # shellcheck disable=SC2046
  abidiff --suppressions engine/abi/growing.abignore --no-added-syms "${2:-engine/abi/norma.abi}" "$work/now.abi" &&
    python3 tests/abi/check_members.py "${2:-engine/abi/norma.abi}" "$work/now.abi" $(cat "$work/listed")
}

while read -r function release; do
  case $function in norma_*) ;; *) continue ;; esac
  grep -q "^NORMA_API .*[ *]$function(" engine/norma.h || fail "$function of $release is not declared"
done <engine/abi/released.txt

# The list of structs that may grow is that of the header.
awk '/^typedef struct norma_[a-z_]* [{]$/ { name = $3; next } name && /^  size_t struct_size;/ { print name } { name = "" }' \
  engine/norma.h | sort -u >"$work/growing"
sed -n 's/^  name_regexp = ^(\(.*\))\$$/\1/p' engine/abi/growing.abignore | tr '|' '\n' | sort -u >"$work/listed"
difference=$(diff "$work/growing" "$work/listed") || fail "structs with struct_size (<) and growing.abignore (>):" "$difference"

if same engine/norma.h >"$work/difference"; then
  echo "ok: as released"
else
  fail "norma.h breaks programs of the last release:" "$(cat "$work/difference")"
fi

# ---- each change by sed, against the header as it stands
tests/abi/dump.sh engine/norma.h >"$work/before.abi"

# changed VERDICT NAME SED-SCRIPT
changed() {
  sed -E "$3" engine/norma.h >"$work/norma.h"
  cmp -s engine/norma.h "$work/norma.h" && fail "$2: the script changes nothing"
  if same "$work/norma.h" "$work/before.abi" >"$work/difference"; then verdict=kept; else verdict=broken; fi
  if [ $verdict = "$1" ]; then echo "ok: $2: $verdict"; else fail "$2: expected $1," "$(cat "$work/difference")"; fi
}

changed broken "a function is gone" '/^NORMA_API void norma_session_trim/d'
changed broken "a parameter has another type" 's/^(NORMA_API void norma_session_set_timeout.*)double seconds/\1float seconds/'
changed broken "a result has another type" 's/^NORMA_API int norma_runtime_threads/NORMA_API long norma_runtime_threads/'
changed broken "options have a member in between" 's/^  const char \*kernels; /  int colour;\n&/'
changed broken "the error has a member at its end" 's/^  char message\[1024\];/&\n  int colour;/'
changed broken "a status has another number" 's/^  X\(NORMA_ERROR_BUDGET/  X(NORMA_ERROR_NEW, "new") \\\n&/'
changed broken "a member has another type" 's/^  int max_depth; /  int64_t max_depth; /'
changed kept "a function is new" 's/^NORMA_API void norma_session_trim.*/&\nNORMA_API int norma_session_colour(void);/'
changed kept "options have a member at their end" 's/^(  norma_parallel_for parallel;.*)/\1/;/^\} norma_runtime_options;/i\  const char *colour;'
changed kept "a status is new at the end" 's/^  X\(NORMA_ERROR_INTERNAL, "internal error"\)/&  X(NORMA_ERROR_NEW, "new")/'
exit $failed
