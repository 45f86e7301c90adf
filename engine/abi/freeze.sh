#!/bin/sh
# Writes down the binary interface of norma.h as that of the release whose version it carries: norma.abi, and the new
# functions in released.txt. Run once for each release, from the root of the source tree; needs abigail-tools.
set -eu

header=engine/norma.h
release=$(sed -n 's/^#define NORMA_VERSION_M[A-Z]* //p' $header | paste -sd.)
tests/abi/dump.sh $header >engine/abi/norma.abi.new
mv engine/abi/norma.abi.new engine/abi/norma.abi
sed -n 's/^NORMA_API [^(]*[ *]\(norma_[a-z0-9_]*\)(.*/\1/p' $header | sort | while read -r function; do
  grep -q "^$function " engine/abi/released.txt || echo "$function $release"
done >>engine/abi/released.txt
