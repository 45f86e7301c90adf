#!/bin/sh
# Embeds an installed Norma in the C program of README.md: through pkg-config and find_package, shared and static, as C
# and as C++, with the model from its file and from a byte array; and in words.c beside this file, which has strings,
# sequences, operators of its own and runs with options, and in custom_operator.c. Expects NORMA's build folder in BUILD and runs in the source
# root.
set -eu

root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
  echo "FAILED: $*"
  failed=1
}

# expect_one NAME COMMAND...: the program finds the one, with the probability that PyTorch gives (0.98552).
expect_one() {
  name=$1
  shift
  if output=$("$@" 2>&1) && [ "$output" = "one: 0.986" ]; then
    echo "ok: $name"
  else
    fail "$name: expected 'one: 0.986', got '$output'"
  fi
}

cmake --install "$BUILD" --prefix "$work/prefix" >"$work/install.log" || { cat "$work/install.log"; exit 1; }
library=$(dirname "$(find "$work/prefix" -name libnorma.so | head -n 1)")

# ---- the shared library exports what the header declares, and nothing else
sed -n 's/^NORMA_API .*[ *]\(norma_[a-z0-9_]*\)(.*/\1/p' engine/norma.h | sort -u >"$work/declared"
nm -D --defined-only "$library/libnorma.so" | awk '$2 != "A" { sub("@.*", "", $3); print $3 }' | sort -u >"$work/exported"
[ -s "$work/declared" ] || fail "no function found in norma.h"
if difference=$(diff "$work/declared" "$work/exported"); then
  echo "ok: exported symbols"
else
  fail "declared (<) and exported (>) functions differ:" "$difference"
fi
soname=$(objdump -p "$library/libnorma.so" | awk '$1 == "SONAME" { print $2 }')
if [ "$soname" = libnorma.so.0 ]; then echo "ok: soname"; else fail "soname: expected libnorma.so.0, got '$soname'"; fi

# ---- everything else that is installed
for file in man/man1/norma.1 bash-completion/completions/norma zsh/site-functions/_norma doc/norma/LICENSE \
  doc/norma/CHANGELOG.md; do
  if [ -s "$work/prefix/share/$file" ]; then echo "ok: $file"; else fail "share/$file is not installed"; fi
done

# ---- the program of README.md, and the same with its model in a byte array
sed -n '/^```c$/,/^```$/{/^```/d;p}' README.md >"$work/one.c"
model=$(sed -n 's/.*norma_model_load("\([^"]*\)".*/\1/p' "$work/one.c")
{
  echo 'static const unsigned char model_bytes[] = {'
  od -An -v -tx1 "$model" | sed 's/ \(..\)/0x\1,/g'
  echo '};'
} >"$work/model_bytes.h"
{
  echo '#include "model_bytes.h"'
  sed "s|norma_model_load(\"$model\"|norma_model_load_memory(model_bytes, sizeof model_bytes|" "$work/one.c"
} >"$work/bytes.c"
grep -q norma_model_load_memory "$work/bytes.c" || fail "README.md: no call of norma_model_load to replace"
cp "$work/one.c" "$work/one.cpp"
cp "$work/bytes.c" "$work/bytes.cpp"

# ---- pkg-config
export PKG_CONFIG_PATH="$library/pkgconfig"
shared_flags=$(pkg-config --cflags --libs norma)
static_flags=$(pkg-config --static --cflags --libs norma)
CXX=g++
case $(basename "$CC") in *clang*) CXX=clang++ ;; esac
warnings="-Wall -Wextra -Werror"
for program in one bytes; do
  # From the source root the model's path holds; a byte array needs no file.
  if [ $program = one ]; then folder=$root; else folder=$work; fi
  # shellcheck disable=SC2086
  $CC -std=c11 $warnings "$work/$program.c" $shared_flags -o "$work/$program-shared"
  # shellcheck disable=SC2086
  $CC -std=c11 $warnings -static "$work/$program.c" $static_flags -o "$work/$program-static"
  # shellcheck disable=SC2086
  $CXX -std=c++11 $warnings "$work/$program.cpp" $shared_flags -o "$work/$program-c++"
  for kind in shared static c++; do
    cd "$folder"
    expect_one "pkg-config, $program, $kind" env LD_LIBRARY_PATH="$library" "$work/$program-$kind"
    cd "$root"
  done
done

# ---- words.c, as C and, the same file, as C++
cat >"$work/words.expected" <<'TEXT'
shouted: ONE TWO THREE
all: [one two, three, ONE TWO THREE]
perhaps: one two three
counted: 7
progress: all steps
all: [a, b c d, A B C D]
kept: [one two, three, ONE TWO THREE]
read back: [one two, three, ONE TWO THREE]
timeout: deadline exceeded
cancel: cancelled
failure: operator failed, count
counted: 3
TEXT
words=$root/tests/embedding/words
# shellcheck disable=SC2086
$CC -std=c11 $warnings "$words.c" $shared_flags -o "$work/words-shared"
# shellcheck disable=SC2086
$CC -std=c11 $warnings -static "$words.c" $static_flags -o "$work/words-static"
# shellcheck disable=SC2086
$CXX -std=c++11 $warnings -x c++ "$words.c" $shared_flags -o "$work/words-c++"
for kind in shared static c++; do
  if LD_LIBRARY_PATH="$library" "$work/words-$kind" "$words.onnx" >"$work/words.actual" 2>&1 &&
    difference=$(diff "$work/words.expected" "$work/words.actual"); then
    echo "ok: words, $kind"
  else
    fail "words, $kind:" "$(cat "$work/words.actual")"
  fi
done

# ---- custom_operator.c, the same; and a model whose attribute it refuses
cat >"$work/custom.expected" <<'TEXT'
means: float[?, 4]
highest: int64[?]
loud: int64[?]
pairs: float[4, ?]
means: 2 3 4 3 0 3 3 3
highest: 2 1
loud: 2 3 4 9
pairs: 1 0 3 3 3.5 3 3 3
operator failed: node 'rolling' (Rolling, example 1): row 1 holds a NaN
computed 2 times
wrong.onnx: node 'rolling' (Rolling, example 1): ends is 'cat', expected cut or keep
TEXT
custom=$root/tests/embedding/custom_operator
sed 's/cut/cat/' "$custom.onnx" >"$work/wrong.onnx"
# shellcheck disable=SC2086
$CC -std=c11 $warnings "$custom.c" $shared_flags -o "$work/custom-shared"
# shellcheck disable=SC2086
$CC -std=c11 $warnings -static "$custom.c" $static_flags -o "$work/custom-static"
# shellcheck disable=SC2086
$CXX -std=c++11 $warnings -x c++ "$custom.c" $shared_flags -o "$work/custom-c++"
for kind in shared static c++; do
  cd "$work"
  LD_LIBRARY_PATH="$library" "./custom-$kind" "$custom.onnx" >custom.actual 2>&1
  if LD_LIBRARY_PATH="$library" "./custom-$kind" wrong.onnx >>custom.actual 2>&1; then
    fail "custom_operator, $kind: a wrong attribute was taken"
  elif difference=$(diff custom.expected custom.actual); then
    echo "ok: custom_operator, $kind"
  else
    fail "custom_operator, $kind:" "$difference"
  fi
  cd "$root"
done

# ---- find_package
mkdir "$work/cmake"
cat >"$work/cmake/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(one LANGUAGES C CXX)
find_package(Norma 0.1 REQUIRED)
foreach(library norma norma_shared)
  add_executable(custom-${library} SOURCE_ROOT/tests/embedding/custom_operator.c)
  target_link_libraries(custom-${library} PRIVATE Norma::${library})
endforeach()
foreach(program one bytes)
  foreach(language c cpp)
    foreach(library norma norma_shared)
      add_executable(${program}-${language}-${library} ../${program}.${language})
      target_link_libraries(${program}-${language}-${library} PRIVATE Norma::${library})
    endforeach()
  endforeach()
endforeach()
CMAKE
sed -i "s|SOURCE_ROOT|$root|" "$work/cmake/CMakeLists.txt"
if cmake -G Ninja -S "$work/cmake" -B "$work/cmake/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$CC" \
    -DCMAKE_CXX_COMPILER="$CXX" >"$work/cmake.log" 2>&1 &&
  cmake --build "$work/cmake/build" >>"$work/cmake.log" 2>&1; then
  for program in one bytes; do
    if [ $program = one ]; then folder=$root; else folder=$work; fi
    for variant in c-norma c-norma_shared cpp-norma cpp-norma_shared; do
      cd "$folder"
      expect_one "find_package, $program, $variant" "$work/cmake/build/$program-$variant"
      cd "$root"
    done
  done
else
  fail "find_package:" "$(cat "$work/cmake.log")"
fi

# ---- the installed tool
expect_version=$(sed -n 's/^#define NORMA_VERSION_[A-Z]* //p' engine/norma.h | paste -sd.)
case $("$work/prefix/bin/norma" --version) in
*"$expect_version"*) echo "ok: norma --version" ;;
*) fail "norma --version: expected $expect_version" ;;
esac

exit $failed
