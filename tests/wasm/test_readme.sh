#!/bin/sh
# test_readme.sh MODULE-FOLDER: the program of tools/wasm/README.md under Node. Runs in the root of the source tree.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$1/norma.mjs" "$1/norma.wasm" "$work"
sed -n '/^```js$/,/^```$/{/^```/d;p}' tools/wasm/README.md >"$work/one.mjs"
output=$(node "$work/one.mjs")
[ "$output" = "one: 0.986" ] || { echo "expected 'one: 0.986', got '$output'"; exit 1; }
