#!/bin/sh
# ops/OPERATORS.md says what the build contains: it is what `norma ops --markdown` prints.
. tests/tools/shell_test.sh

norma ops --markdown
checks=$((checks + 1))
[ "$code" = 0 ] || failed "exit code" 0 "$code"
if ! cmp -s "$work/out" "$root/ops/OPERATORS.md"; then
  failed "ops/OPERATORS.md" "what build/release/norma ops --markdown prints" \
    "$(diff "$root/ops/OPERATORS.md" "$work/out" | head -n 10)"
fi
finish
