#!/bin/sh
# test_page.sh MODULE-FOLDER [SCREENSHOT.png]: the demonstration in headless Chromium: a picture that is chosen, a digit that
# is drawn with the pointer, each model, a browser without SIMD, a module that is missing. Runs in the root of the
# source tree.
set -eu
folder=$1 screenshot=${2-}
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ]; then
  echo "skipped: no Chromium"
  exit 77
fi
work=$(mktemp -d)
site=$work/site
cp -r "$folder" "$site"
cp -r models/pictures "$site"
sed 's#<script type="module"#<script>WebAssembly.validate = () => false;</script>&#' "$site/index.html" >"$site/without_simd.html"
mkdir "$site/without_module"
cp "$site/index.html" "$site/page.mjs" "$site/norma.mjs" "$site/without_module"
python3 tests/wasm/serve.py "$site" >"$work/server" 2>&1 &
server=$!
trap 'kill $server; rm -rf "$work"' EXIT
for _ in 1 2 3 4 5 6 7 8 9 10; do
  port=$(cat "$work/server")
  [ -z "$port" ] || break
  sleep 0.5
done
failed=0

# open ADDRESS OPTION...: the page as it is when its script has ended.
open() {
  address=$1
  shift
  timeout 120 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" \
    --window-size=1040,760 "$@" "http://127.0.0.1:$port/$address" 2>"$work/browser"
}

# shows NAME ADDRESS WORD...: each of the words stands in the page.
shows() {
  name=$1
  open "$2" --dump-dom >"$work/dom" || true
  shift 2
  for word in 'data-ready="yes"' "$@"; do
    grep -qF "$word" "$work/dom" && continue
    echo "FAILED: $name: no '$word' in the page"
    sed -n 's/.*id="message"[^>]*>\([^<]*\)<.*/  it says: \1/p' "$work/dom"
    failed=1
    return
  done
  echo "ok: $name"
}

for digit in 3 7 8; do
  shows "picture of $digit" "index.html?picture=pictures/digit_$digit.png" "data-digit=\"$digit\"" 'data-state="ready"' \
    "ms per run" "<td class=\"\">Softmax</td>"
done
for model in models/digits_*; do
  name=$(basename "$model")
  shows "$name" "index.html?model=$name&picture=pictures/digit_7.png" 'data-digit="7"' "runs $name"
done
seven='stroke=70,50-215,50-150,150-120,240'
shows "a seven that is drawn" "index.html?$seven" 'data-digit="7"'
shows "a one that is drawn" "index.html?stroke=144,40-144,140-144,250" 'data-digit="1"'
shows "a zero that is drawn" \
  "index.html?stroke=144,40-90,80-75,145-90,210-144,250-198,210-213,145-198,80-144,40" 'data-digit="0"'
shows "a browser without SIMD" without_simd.html 'data-state="error"' "no WebAssembly with SIMD" "Firefox from 89"
shows "no module" without_module/index.html 'data-state="error"' "norma.wasm"
shows "no model of that name" "index.html?model=nothing" 'data-state="ready"'
if [ -n "$screenshot" ]; then open "index.html?$seven" --screenshot="$screenshot" >/dev/null; fi
exit $failed
