# shellcheck shell=sh
#
# Read by the shell tests of the tool. NORMA is the tool; a test runs in the root of the source tree. Gives $work, an
# empty folder that is removed at the end, and the functions below; a test ends with `finish`.
set -u
root=$PWD
case $NORMA in /*) ;; *) NORMA=$root/$NORMA ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0 checks=0

failed() { # failed NAME EXPECTED ACTUAL
  failures=$((failures + 1))
  printf 'FAILED: %s\n  expected: %s\n  actual:   %s\n' "$1" "$2" "$3"
}

# norma ARGUMENT...: runs the tool in $work/here, which is empty before; sets $code, $out and $err (files $work/out,
# $work/err).
norma() {
  rm -rf "$work/here"
  mkdir "$work/here"
  (cd "$work/here" && "$NORMA" "$@" >"$work/out" 2>"$work/err" </dev/null)
  code=$?
  out=$(cat "$work/out")
  err=$(cat "$work/err")
}

# refused NAME CODE "WORD|WORD..." ARGUMENT...: the tool says no in one line on stderr that begins with `norma: ` and
# holds every word, prints nothing else, leaves nothing behind, and ends with CODE.
refused() {
  name=$1 expected=$2 words=$3
  shift 3
  norma "$@"
  checks=$((checks + 1))
  before=$failures
  [ "$code" = "$expected" ] || failed "$name: exit code" "$expected" "$code: $err"
  [ "$(wc -l <"$work/err")" = 1 ] || failed "$name: lines on stderr" "one" "$err"
  case $err in "norma: "*) ;; *) failed "$name: stderr" "norma: ..." "$err" ;; esac
  [ -z "$out" ] || failed "$name: stdout" "nothing" "$out"
  left=$(ls -A "$work/here")
  [ -z "$left" ] || failed "$name: files left behind" "none" "$left"
  old_ifs=$IFS
  IFS='|'
  for word in $words; do
    case $err in *"$word"*) ;; *) failed "$name: message" "...$word..." "$err" ;; esac
  done
  IFS=$old_ifs
  [ $failures != "$before" ] || printf 'ok: %s: %s\n' "$name" "$err"
}

# expect NAME CODE PATTERN ARGUMENT...: the tool ends with CODE and PATTERN (of grep -E) matches a line of its stdout.
expect() {
  name=$1 expected=$2 pattern=$3
  shift 3
  norma "$@"
  checks=$((checks + 1))
  if [ "$code" != "$expected" ]; then
    failed "$name: exit code" "$expected" "$code: $err"
  elif ! grep -qE -- "$pattern" "$work/out"; then
    failed "$name: stdout" "a line like $pattern" "$out"
  else
    printf 'ok: %s\n' "$name"
  fi
}

finish() {
  printf '%d checks, %d failures\n' "$checks" "$failures"
  [ "$checks" != 0 ] && [ "$failures" = 0 ]
  exit
}
