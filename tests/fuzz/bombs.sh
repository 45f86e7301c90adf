#!/bin/bash
# Small models that ask for very much; see make_bombs.py. Each is given to `norma check` and `norma run` with one second
# and 512 MiB, and a table tells how long it took and what was said.
#
#   tests/fuzz/bombs.sh NORMA [NAME...]
#
# NORMA is the built tool; NAMEs are of single bombs. On an idle machine each ends within its second and 100 ms. Fails
# where one crashes, says nothing, ends otherwise than make_bombs.py expects, or takes 30 s more than it may: a hang, and not
# a busy machine. Address space is limited, so that a budget that does not hold harms nobody.
set -u
program=$(realpath "${1:?the built tool}") || exit 2
shift
cd "$(dirname "$0")/../.." || exit 2
command -v python3 >/dev/null || { echo "bombs.sh: no python3" >&2; exit 77; }
folder=$(mktemp -d) || exit 2
trap 'rm -rf "$folder"' EXIT
python3 -B tests/fuzz/make_bombs.py "$folder" || exit 2

readonly limit_ms=1000 slack_ms=100 noise_ms=30000
# Sanitizers reserve address space by the terabyte.
address_space=$((4 << 20))
if grep -qE '__(asan|tsan)_init' "$program"; then address_space=unlimited; fi

failed=0 count=0 late=0
# one COMMAND NAME EXPECTED: a row of the table.
one() {
  local command=$1 name=$2 expected=$3 begin code ms outcome message verdict=ok
  local -a options=(--timeout 1s --max-memory 512MiB)
  [ "$command" = check ] || options+=(--fill ones)
  begin=${EPOCHREALTIME/[.,]/}
  (
    ulimit -v $address_space -c 0
    exec timeout -s KILL 60 "$program" "$command" "$folder/$name.onnx" "${options[@]}"
  ) >"$folder/out" 2>"$folder/err"
  code=$?
  ms=$(((${EPOCHREALTIME/[.,]/} - begin) / 1000))
  message=$(head -n 1 "$folder/err")
  [ -n "$message" ] || message=$(head -n 1 "$folder/out")
  message=${message//"$folder/"/}
  case $code in
    0) outcome='done' ;;
    1 | 2) outcome=refused ;;
    *) outcome=crashed verdict="FAILED: exit code $code" ;;
  esac
  if [ $outcome != crashed ]; then
    if [ "$expected" != any ] && [ $outcome != "$expected" ]; then verdict="FAILED: expected $expected"; fi
    if [ $outcome = refused ] && [ -z "$message" ]; then verdict="FAILED: nothing said"; fi
    if [ $ms -gt $((limit_ms + noise_ms)) ]; then verdict="FAILED: too long"; fi
  fi
  if [ $ms -gt $((limit_ms + slack_ms)) ]; then late=$((late + 1)); fi
  count=$((count + 1))
  if [ "$verdict" != ok ]; then failed=$((failed + 1)); fi
  printf '%-17s %-5s %7d %-8s %-8s %s\n' "$name" "$command" "$ms" "$outcome" "${verdict%%:*}" "${message:0:230}"
  if [ "$verdict" != ok ]; then printf '%25s%s\n' "" "$verdict"; fi
}

printf '%-17s %-5s %7s %-8s %-8s %s\n' bomb what ms outcome verdict message
while read -r name check run; do
  if [ $# != 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  one check "$name" "$check"
  one run "$name" "$run"
done <"$folder/bombs.txt"
echo "$count commands, $failed failed, $late took more than $((limit_ms + slack_ms)) ms"
[ $failed = 0 ] && [ $count != 0 ]
