#!/bin/sh
# norma inspect --html: one page that needs nothing else, and that no name or file can break out of. Where Chromium is
# installed the page is opened: its script must have drawn everything. CHROMIUM=required: without it the test fails.
. tests/tools/shell_test.sh

model=$root/models/digits_cnn_bn/model.onnx
page=$work/page.html

# holds NAME COUNT PATTERN: COUNT lines of the file $shown match PATTERN.
holds() {
  checks=$((checks + 1))
  found=$(grep -oE -- "$3" "$shown" | wc -l)
  if [ "$found" = "$2" ]; then printf 'ok: %s\n' "$1"; else failed "$1" "$2 of $3" "$found"; fi
}

# drawn: opens the page and keeps what it has become.
drawn() {
  "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" --dump-dom "file://$page" \
    >"$work/dom" 2>/dev/null
  shown=$work/dom
}

expect "profile" 0 'by operator' run "$model" --fill random --profile "$work/profile.json"
expect "report" 0 'have new statistics' bn reestimate "$model" --data "$root/models/digits_cnn_bn/test_data_set_0" \
  -o "$work/new.onnx" --report "$work/report.json"
expect "page" 0 'BatchNormalization nodes: 3' inspect "$model" --html "$page" --profile "$work/profile.json" \
  --report "$work/report.json"
shown=$page
holds "no other file is asked for" 0 '(src|href)='
holds "marks are replaced" 0 '@\{'

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -n "$browser" ]; then
  drawn
  holds "the script ended" 1 'data-ready="yes"'
  holds "normalizations" 3 'class="normalization"'
  holds "drift" 3 'class="drift"'
  holds "nodes of blocks" 3 '>block[123]</text>'
  holds "all steps measured" 1 '[1-9][0-9]* of [0-9]+ steps measured'
  checks=$((checks + 1))
  if grep -q 'class="use"' "$work/dom"; then echo "ok: memory"; else failed "memory" "rectangles" "none"; fi
elif [ "${CHROMIUM-}" = required ]; then
  failed "browser" "Chromium" "none installed"
fi

# What is given is data: it cannot end the script that holds it, and a page that finds no JSON says so.
printf '{"traceEvents": [{"name": "</script><b id=broken>", "ph": "X", "dur": 1}]}' >"$work/hostile.json"
expect "hostile profile" 0 'operators' inspect "$model" --html "$page" --profile "$work/hostile.json"
shown=$page
holds "its tags stay text" 0 '<b id=broken>'
echo 'not JSON' >"$work/bad.json"
expect "bad profile" 0 'operators' inspect "$model" --html "$page" --profile "$work/bad.json"
if [ -n "$browser" ]; then
  drawn
  holds "said on the page" 1 'for profile-data is not JSON'
  holds "the rest is drawn" 1 'data-ready="yes"'
fi
refused "no such profile" 2 "nothing.json" inspect "$model" --html "$work/here/page.html" --profile nothing.json
refused "no such folder" 2 "page.html" inspect "$model" --html "$work/none/page.html"
finish
