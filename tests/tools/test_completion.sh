#!/bin/sh
# Completion in bash and zsh, and `norma help`: all options of all commands are there, since both are written from the
# parser's tables. NORMA is the tool.
. tests/tools/shell_test.sh

norma --completion bash
cp "$work/out" "$work/completion.bash"

# completes "WORD|WORD" LINE...: what bash proposes for the last word of the line holds each of these.
completes() {
  expected=$1
  shift
  checks=$((checks + 1))
  # shellcheck disable=SC2016
  got=$(bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _norma; printf "%s\n" "${COMPREPLY[@]}"' \
    "$work/completion.bash" "$@" 2>&1)
  for word in $(printf '%s' "$expected" | tr '|' ' '); do
    printf '%s\n' "$got" | grep -qxF -e "$word" || failed "completion of '$*'" "$word among them" "$got"
  done
}

if command -v bash >/dev/null; then
  completes "run|test|bn|help" norma ""
  completes "bench|bn" norma b
  completes "list|fold|freeze|reestimate" norma bn ""
  completes "--shape|--seed" norma run --s
  completes "--operators|--threads|--max-memory" norma check --
  completes "random|zeros|ones" norma run model.onnx --fill ""
  completes "keep|flush" norma run --denormals ""
  completes "0|1|2" norma run -O ""
  completes "block_layout" norma run --disable block
  completes "models/digits_mlp" norma run models/digits_m
  completes "models/digits_mlp" norma test models/digits_m
  completes "run|bn" norma help ""
  completes "fold" norma help bn fo
  # Every option that --help names.
  for command in run inspect check test bench compare optimize ops "bn list" "bn fold"; do
    norma help $command
    words=$(printf '%s\n' "$out" | sed -nE 's/^  (-., )?(--[a-z-]+).*/\2/p' | tr '\n' '|')
    [ -n "$words" ] || failed "norma help $command" "options" "$out"
    # shellcheck disable=SC2086
    completes "$words" norma $command --
  done
fi
norma --completion zsh
cp "$work/out" "$work/_norma"
if command -v zsh >/dev/null; then
  checks=$((checks + 1))
  zsh -n "$work/_norma" || failed "completion of zsh" "good syntax" "an error"
fi
head -n 1 "$work/_norma" | grep -q '^#compdef norma$' || failed "completion of zsh" "#compdef norma" "$(head -n 1 "$work/_norma")"
refused "an unknown shell" 2 "bash|zsh" --completion fish
refused "no shell" 2 "bash|zsh" --completion

# ---- help
said() { # said NAME WORD ARGUMENT...
  name=$1 word=$2
  shift 2
  norma "$@"
  checks=$((checks + 1))
  [ "$code" = 0 ] || failed "$name: exit code" 0 "$code"
  case $out in *"$word"*) ;; *) failed "$name" "$word" "$out" ;; esac
}
said "help" "usage:" help
said "help of a command" "usage: norma run " help run
said "help of a command of a group" "usage: norma bn list " help bn list
said "help of a group" "norma bn list" help bn
norma help run
cp "$work/out" "$work/help"
norma run --help
checks=$((checks + 1))
cmp -s "$work/out" "$work/help" || failed "help and --help" "the same" "another text"
refused "help of what is not there" 2 "nothing" help nothing
refused "help of too much" 2 "more" help bn list more
finish
