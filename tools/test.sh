#!/bin/bash
# The tests, from a clean clone on Debian 12.
#
#   tools/test.sh              what every commit must pass: unit tests, structure and format of the sources, vectors,
#                              models, thread sweep, the Python package, two random cases of each version of each operator
#                              against other implementations, models of two packages of PyPI, and unit tests and vectors
#                              under the address sanitizer
#   tools/test.sh --full       everything: also the library as one C file, Clang, thread sanitizer, valgrind, AArch64 under
#                              qemu-user, WebAssembly under Node and in Chromium, all vectors under the address
#                              sanitizer, fuzz targets, allocations that fail over every operator, models made anew,
#                              the bitwise promise and the error of optimisation on all models there are, many random
#                              cases of each operator, models that packages of PyPI ship against ONNX Runtime,
#                              applications of PyPI with Norma in ONNX Runtime's place, ONNX's tests of backends, the wheel,
#                              Debian packages
#   tools/test.sh --only PART  one part: see `parts` and `full_parts` below
#
# Installs missing Debian packages, and Python packages into build/venv where PyPI is reached. Environment:
# NORMA_SHARED, a folder with further vectors and models (default ../shared where that exists); NORMA_WERROR=ON,
# warnings are errors. What is left out is named and counted as skipped. Ends with one line: N passed, N failed, N
# skipped.
set -u
cd "$(dirname "$0")/.." || exit 2
exec </dev/null

parts=(unit structure models abi amalgamation sweep python differential_sample wheels_sample debian_vectors onnx_vectors
  shared_vectors shared_models asan)
full_parts=(pages cross_compile deb amalgamation_full clang tsan valgrind aarch64 wasm asan_vectors analyze fuzz failing
  random_models promises levels wheels rerun_models differential python_backend applications python_wheel)
NORMA_FULL=
case ${1-} in
"") ;;
--full)
  NORMA_FULL=1
  parts+=("${full_parts[@]}")
  ;;
--only) parts=("${2:?--only needs the name of a part}") ;;
*)
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
  exit 2
  ;;
esac
export NORMA_FULL

jobs=$(nproc)
logs=build/test-logs
norma=build/release/norma
shared=${NORMA_SHARED:-../shared}
own_manifest=tests/conformance/tolerances.txt
known_gaps=tests/conformance/known_gaps.txt
mkdir -p $logs
passed=0 failed=0 skipped=0

# ------------------------------------------------------------------------------------------------------------- counting

add() { # add PASSED FAILED SKIPPED
  passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

pass() {
  echo "  passed: $*"
  add 1 0 0
}

fail() {
  echo "  FAILED: $*"
  add 0 1 0
}

skip() {
  echo "  skipped: $*"
  add 0 0 1
}

# expect NAME COMMAND...: one test, passed when the command succeeds; its output is shown when it fails.
expect() {
  local name=$1 log
  shift
  log=$logs/${name//[^A-Za-z0-9._-]/_}.log
  if "$@" >"$log" 2>&1; then
    pass "$name"
  else
    fail "$name (exit code $?): $*"
    tail -n 30 "$log" | sed 's/^/    /'
  fi
}

# counted NAME COMMAND...: a command that runs tests and ends with their counts; what failed or was skipped is named.
counted() {
  local name=$1 log closing
  shift
  log=$logs/${name//[^A-Za-z0-9._-]/_}.log
  "$@" >"$log" 2>&1
  closing=$(tail -n 1 "$log")
  if [[ $closing =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
    add "${BASH_REMATCH[@]:1}"
    echo "  $name: $closing"
    grep -E '^(FAILED|skipped)' "$log" | cut -c 1-200 | sed 's/^/    /'
    if [ $((BASH_REMATCH[1] + BASH_REMATCH[2] + BASH_REMATCH[3])) = 0 ]; then fail "$name: no test found"; fi
  else
    fail "$name: no closing line; see $log"
    tail -n 20 "$log" | sed 's/^/    /'
  fi
}

# ---------------------------------------------------------------------------------------------------------------- steps

# build PRESET [TARGET]: configures and builds; a failure is a failed test.
build() {
  local log=$logs/build-$1.log
  {
    cmake --preset "$1" -DNORMA_WERROR="${NORMA_WERROR:-OFF}" && cmake --build --preset "$1" -j "$jobs" ${2:+--target "$2"}
  } >"$log" 2>&1 && return 0
  fail "build $1"
  grep -E -A8 'error|Error|FAILED|warning' "$log" | head -n 60 | sed 's/^/    /'
  return 1
}

# unit_tests PRESET [CTEST-OPTION...]: runs ctest in the build of that preset and counts its tests.
unit_tests() {
  local preset=$1 log=$logs/ctest-$1.log total good without
  shift
  ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure "$@" >"$log" 2>&1
  total=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#' "$log")
  good=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#.* Passed ' "$log")
  without=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#.*\*\*\*Skipped ' "$log")
  if [ "$total" = 0 ]; then
    fail "no unit tests in build/$preset"
    return
  fi
  add "$good" $((total - good - without)) "$without"
  echo "  $preset: $good passed, $((total - good - without)) failed, $without skipped"
  grep -E '^ *[0-9]+/[0-9]+ Test +#' "$log" | grep -v ' Passed ' | sed 's/^/    /'
  if [ $((good + without)) != "$total" ]; then
    grep -vE '^ *(Start +[0-9]+:|[0-9]+/[0-9]+ Test +#)' "$log" | grep -E 'ERROR|FAILED|error|expected|!=|Sanitizer' |
      head -n 60 | sed 's/^/    /'
  fi
}

# discount_known_gaps LOG ARGUMENT...: takes the tests of $known_gaps at this level from the failed to the skipped; one that
# passed has failed.
discount_known_gaps() {
  local log=$1 level=2 gap levels reason
  shift
  while [ $# -gt 0 ]; do
    [ "$1" != -O ] || level=$2
    shift
  done
  while read -r gap levels reason; do
    case $gap in "" | "#"*) continue ;; esac
    case ,$levels, in *",$level,"*) ;; *) continue ;; esac
    if grep -qE "^FAILED [^:]*/$gap: " "$log"; then
      failed=$((failed - 1))
      skip "known gap: $gap, $reason"
    elif grep -qE "^passed [^:]*/$gap(:|$)" "$log"; then
      fail "$gap passes: take it out of $known_gaps"
    fi
  done <$known_gaps
}

# vectors NAME PROGRAM ARGUMENT...: `norma test`, whose closing line is counted. A run that ends without one, or that
# finds no test, has failed. The operators for whose sake tests were skipped are named.
vectors() {
  local name=$1 program=$2 log closing code
  without=0
  shift 2
  log=$logs/${name//[^A-Za-z0-9._-]/_}.log
  timeout 3600 "$program" test "$@" --verbose >"$log" 2>&1
  code=$?
  closing=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
  if [[ $closing =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
    local good=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]}
    without=${BASH_REMATCH[3]}
    add "$good" "$bad" "$without"
    echo "  $name: $closing"
    if [ "$bad" != 0 ]; then grep '^FAILED' "$log" | head -n 40 | sed 's/^/    /'; fi
    discount_known_gaps "$log" "$@"
    if [ "$without" != 0 ]; then
      echo "    unsupported: $(grep '^skipped' "$log" | sed -nE "s/.*: '[^']*' \(([^,]*),.*/\1/p" | sort | uniq -c |
        sort -k1,1nr -k2 | awk '{ printf "%s%s %s", n++ ? ", " : "", $2, $1 }')"
    fi
    if [ "$bad" = 0 ] && [ $code != 0 ]; then fail "$name: exit code $code though no test failed; see $log"; fi
    if [ $((good + bad + without)) = 0 ]; then fail "$name: no test found"; fi
  else
    fail "$name: no closing line, exit code $code"
    tail -n 20 "$log" | sed 's/^/    /'
  fi
}

# complete NAME PROGRAM ARGUMENT...: vectors of which none may be skipped.
complete() {
  vectors "$@"
  if [ "$without" != 0 ]; then fail "$1: $without skipped, and nothing may be unsupported here"; fi
}

# Python packages NAME... at the versions of tools/requirements.txt in build/venv; fails where PyPI is not reached.
python_packages() {
  local wanted
  mapfile -t wanted < <(grep -E "^($(IFS='|' && echo "$*"))==" tools/requirements.txt)
  if ! [ -x build/venv/bin/python ]; then
    tools/install_packages.sh python3 python3-venv && python3 -m venv build/venv || return 1
  fi
  build/venv/bin/python - "${wanted[@]}" 2>/dev/null <<'PYTHON' && return 0
import importlib.metadata, sys
sys.exit(any(importlib.metadata.version(p.split("==")[0]) != p.split("==")[1] for p in sys.argv[1:]))
PYTHON
  build/venv/bin/python -m pip --quiet --retries 1 install --only-binary :all: "${wanted[@]}" >$logs/pip.log 2>&1
}

# The vectors of the onnx package, as folders in build/onnx-vectors-VERSION; the path in $onnx_vectors.
export_onnx_vectors() {
  python_packages numpy onnx || return 1
  onnx_vectors=build/onnx-vectors-$(build/venv/bin/python -c 'import onnx; print(onnx.__version__)') || return 1
  [ -d "$onnx_vectors" ] ||
    build/venv/bin/python tests/conformance/export_onnx_vectors.py "$onnx_vectors" >$logs/export.log 2>&1
}

# The vectors of Debian's libonnx-testdata, as links in $debian_vectors, without those whose bfloat16 tensors are stored
# as uint16, and one whose model lacks an attribute that later releases of onnx gave it.
debian_vectors=build/debian-vectors
link_debian_vectors() {
  local packaged=/usr/share/libonnx-testdata/data name
  [ -d $packaged ] || return 1
  rm -rf $debian_vectors
  cp -rs $packaged $debian_vectors
  for name in cast_{BFLOAT16_to_FLOAT,FLOAT_to_BFLOAT16} castlike_{BFLOAT16_to_FLOAT,FLOAT_to_BFLOAT16}{,_expanded}; do
    [ -d "$debian_vectors/node/test_$name" ] || continue
    [ -z "${1-}" ] || skip "libonnx-testdata, test_$name: its bfloat16 tensors are stored as uint16"
    rm -r "$debian_vectors/node/test_$name"
  done
  if [ -d "$debian_vectors/node/test_adam_multiple" ]; then
    [ -z "${1-}" ] || skip "libonnx-testdata, test_adam_multiple: its outputs have an epsilon that the model does not"
    rm -r "$debian_vectors/node/test_adam_multiple"
  fi
}

# --------------------------------------------------------------------------------------------------------------- parts

# Also where other Python packages are not needed, the comparisons of the unit tests take numpy, onnx and ONNX Runtime.
part_unit() {
  python_packages numpy onnx onnxruntime ||
    skip "comparisons with Python packages: PyPI is not reached (build/test-logs/pip.log)"
  build release && unit_tests release
}

# The rules of the source tree that a script can see; each prints what breaks it.
part_structure() {
  tools/install_packages.sh python3 universal-ctags clang-format || return
  expect "format" sh -c "find engine ops proto tools tests models -name '*.[ch]' -print0 |
    xargs -0 -n 50 -P $jobs clang-format --dry-run --Werror"
  expect "lines of at most 120 columns" python3 tests/structure/line_length.py
  expect "includes point one way" python3 tests/structure/include_direction.py
  expect "names at file scope are unique" python3 tests/structure/file_scope_names.py
  expect "engine/ names no operator" python3 tests/structure/operator_names.py $norma
  expect "recursion has bounds" python3 tests/structure/recursion.py
  expect "sources have tests" python3 tests/structure/test_mirror.py
}

# What compilers warn of beyond the flags of every build; cppcheck and clang-tidy: tests/structure/analyze.sh.
part_analyze() {
  tools/install_packages.sh clang
  expect "further warnings of GCC and Clang" tests/structure/analyze.sh warnings
}

part_models() {
  local level threads
  for level in 0 2; do
    for threads in 1 2; do complete "models -O $level -t $threads" $norma models -O $level -t $threads; done
  done
}

# The same bits for every number of threads.
part_sweep() {
  local model level threads out reference
  out=$(mktemp -d)
  for model in models/*/model.onnx; do
    for level in 0 2; do
      reference=
      for threads in 1 2 3 7; do
        mkdir -p "$out/$threads"
        if ! $norma run "$model" -i "$(dirname "$model")/test_data_set_1/input_0.pb" -O $level -t $threads \
            -o "$out/$threads" >"$out/log" 2>&1; then
          fail "$model -O $level -t $threads: $(tail -n 1 "$out/log")"
          continue 2
        fi
        [ -n "$reference" ] || { reference=$out/$threads; continue; }
        if ! diff -r "$reference" "$out/$threads" >/dev/null; then
          fail "$model -O $level: -t $threads gives other bits than -t 1"
          continue 2
        fi
      done
      if [ -n "$(find "$reference" -name 'output_*')" ]; then
        pass "same bits: $model -O $level -t 1 2 3 7"
      else
        fail "$model -O $level: no output written"
      fi
      rm -rf "$out" && mkdir "$out"
    done
  done
  rm -rf "$out"
}

part_debian_vectors() {
  if link_debian_vectors named; then
    vectors "libonnx-testdata" $norma $debian_vectors --manifest $own_manifest --jobs "$jobs"
    [ -x build/release/tests/fail_allocations ] || build release fail_allocations || return
    expect "failing allocations, a sample" build/release/tests/fail_allocations --most 6 --jobs "$jobs" $debian_vectors
  else
    skip "vectors of libonnx-testdata: the package has none"
  fi
}

part_onnx_vectors() {
  local level
  if export_onnx_vectors; then
    vectors "onnx package" $norma "$onnx_vectors" --manifest $own_manifest --jobs "$jobs"
    for level in 0 2; do
      complete "light models -O $level" $norma "$onnx_vectors/light" --manifest $own_manifest -O $level
      complete "BatchNormalization -O $level" $norma "$onnx_vectors" --filter 'test_*atch*orm*' -O $level
    done
  else
    skip "vectors of the onnx package: PyPI is not reached (build/test-logs/pip.log)"
  fi
}

unpack_shared_vectors() {
  [ -f "$shared/onnx-backend-data.tar.xz" ] || return 1
  [ -d build/shared-vectors ] && return 0
  tools/install_packages.sh xz-utils && rm -rf build/shared-vectors.partial && mkdir build/shared-vectors.partial &&
    tar -xJf "$shared/onnx-backend-data.tar.xz" -C build/shared-vectors.partial &&
    mv build/shared-vectors.partial build/shared-vectors
}

part_shared_vectors() {
  if unpack_shared_vectors; then
    vectors "shared vectors" $norma build/shared-vectors --manifest "$shared/tolerances.txt" --jobs "$jobs"
  else
    skip "shared vectors: no $shared/onnx-backend-data.tar.xz"
  fi
}

part_shared_models() {
  local level threads
  if ! [ -d "$shared/models" ]; then
    skip "shared models: no $shared/models"
    return
  fi
  for level in 0 2; do
    for threads in 1 2; do
      vectors "shared models -O $level -t $threads" $norma "$shared/models" --manifest "$shared/tolerances.txt" \
        -O $level -t $threads
    done
  done
}

part_asan() {
  build asan || return
  unit_tests asan -LE python
  complete "asan: models" build/asan/norma models -t 2
  link_debian_vectors || return
  vectors "asan: libonnx-testdata" build/asan/norma $debian_vectors --manifest $own_manifest --jobs "$jobs"
}

# Models as C for other machines, run there by emulators.
part_cross_compile() {
  if ! tools/install_packages.sh gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm gcc-aarch64-linux-gnu \
      libc6-dev-arm64-cross qemu-user; then
    skip "models compiled for other machines: the packages cannot be installed"
    return
  fi
  expect "models compiled for AArch64 and a Cortex-M7" tests/embedding/cross_compile.sh \
    models/digits_cnn_bn/model.onnx models/digits_mlp/model.onnx
}

# Pages that `norma inspect --html` writes, in a browser without a window.
part_pages() {
  tools/install_packages.sh chromium || return
  expect "pages in Chromium" env CHROMIUM=required NORMA=$norma sh tests/tools/test_inspect_page.sh
}

part_clang() {
  tools/install_packages.sh clang
  build clang && unit_tests clang -LE python
}

part_tsan() {
  build tsan || return
  unit_tests tsan -LE 'python|shell'
  complete "tsan: models" build/tsan/norma models -t 4
}

part_valgrind() {
  local model
  tools/install_packages.sh valgrind
  for model in models/*/model.onnx; do
    expect "valgrind: $model" valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=all \
      $norma run "$model" --fill random -t 2
  done
}

part_aarch64() {
  if ! dpkg --print-foreign-architectures | grep -qx arm64; then
    local as_root=sudo
    [ "$(id -u)" != 0 ] || as_root=
    $as_root dpkg --add-architecture arm64
  fi
  if ! tools/install_packages.sh gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user libprotobuf-c-dev:arm64 \
      libcmocka-dev:arm64 libpng-dev:arm64; then
    skip "AArch64: the packages cannot be installed"
    return
  fi
  build aarch64 || return
  unit_tests aarch64
  complete "aarch64: models" tests/conformance/under_qemu.sh models
}

part_abi() {
  tools/install_packages.sh python3 abigail-tools || return
  expect "programs of the last release go on working" sh tests/abi/test_abi.sh
}

part_amalgamation() {
  tools/install_packages.sh python3 universal-ctags || return
  expect "one C file for one model" env NORMA=$norma BUILD=build/release sh tests/amalgamation/test_amalgamation.sh
}

# Everything, by GCC and Clang, with all vectors that Debian has; the sizes are printed.
part_amalgamation_full() {
  tools/install_packages.sh python3 universal-ctags clang || return
  link_debian_vectors
  expect "one C file for everything" env NORMA=$norma BUILD=build/release sh tests/amalgamation/test_amalgamation.sh \
    --full
  sed -n 's/^size: /    /p' "$logs/one_C_file_for_everything.log"
}

# node_vectors NAME ARGUMENT...: vectors under Node, whose closing line is counted.
node_vectors() {
  local name=$1
  shift
  counted "$name" node tests/wasm/vectors.mjs build/wasm-module "$@" --manifest $own_manifest
}

part_wasm() {
  local small=build/wasm-small module=build/wasm-module
  if ! tools/install_packages.sh emscripten nodejs chromium; then
    skip "WebAssembly: the packages cannot be installed"
    return
  fi
  expect "wasm: libnorma.a compiles" tools/build_wasm.sh
  expect "wasm: it has the table wasm128" sh -c 'emnm build/wasm/libnorma.a | grep -q " [DR] kernel_table_wasm128$"'
  if ! [ -f build/protobuf-c-wasm/libprotobuf-c.a ]; then
    skip "wasm: nothing can be linked without the source of protobuf-c"
    return
  fi
  mkdir -p $small
  $norma check --operators models/digits_mlp/model.onnx >$small/operators.h
  expect "wasm: the module is linked" tools/build_wasm.sh --module $module
  expect "wasm: the module of one model is linked" tools/build_wasm.sh --module $small $small/operators.h
  expect "wasm: less than 700 kB in gzip" sh -c "[ \$(gzip -9 -c $module/norma.wasm | wc -c) -lt 700000 ]"
  expect "wasm: less than half of it for one model" sh -c \
    "[ \$(gzip -9 -c $small/norma.wasm | wc -c) -lt 350000 ]"
  expect "wasm: module under Node" node tests/wasm/test_module.mjs $module
  expect "wasm: module of one model under Node" node tests/wasm/test_module.mjs $small --only mlp
  expect "wasm: the program of tools/wasm/README.md" sh tests/wasm/test_readme.sh $module
  expect "wasm: demonstration in Chromium" sh tests/wasm/test_page.sh $module "$PWD/build/test-logs/wasm-page.png"
  if unpack_shared_vectors; then
    node_vectors "wasm: each tenth of the shared vectors" build/shared-vectors --every 10 --manifest "$shared/tolerances.txt"
  elif link_debian_vectors; then
    node_vectors "wasm: each tenth of libonnx-testdata" $debian_vectors --every 10
  fi
}

part_asan_vectors() {
  build asan || return
  if export_onnx_vectors; then
    vectors "asan: onnx package" build/asan/norma "$onnx_vectors" --manifest $own_manifest --jobs "$jobs"
  else
    skip "asan: vectors of the onnx package: PyPI is not reached (build/test-logs/pip.log)"
  fi
}

# Each fuzz target for half a minute; for longer: tests/fuzz/fuzz.sh.
part_fuzz() {
  local target
  tools/install_packages.sh clang libclang-rt-14-dev llvm python3
  build fuzz fuzz_targets || return
  for target in build/fuzz/tests/fuzz/fuzz_*; do
    expect "$(basename "$target"), 30 s" tests/fuzz/fuzz.sh 30 "$(basename "$target")"
  done
}

# Failing allocations over models of every operator, under the address sanitizer.
part_failing() {
  local calls=$PWD/build/kept_calls
  build release && build asan fail_allocations || return
  if ! [ -d "$calls" ]; then
    mkdir -p "$calls"
    NORMA_KEEP_CALLS=$calls ctest --test-dir build/release -j "$jobs" -R '^ops/' >$logs/keep_calls.log 2>&1
  fi
  expect "failing allocations" tests/fuzz/fail_allocations.sh build/asan/tests/fail_allocations --most 100 \
    --jobs "$jobs"
  tail -n 1 $logs/failing_allocations.log | sed 's/^/    /'
}

# Graphs with random weights, in build/random_models: those that the light models cannot prove, since their weights are
# all alike.
make_random_models() {
  [ -d build/random_models ] && return 0
  if ! python_packages numpy onnx onnxruntime || ! export_onnx_vectors; then
    skip "models with random weights: PyPI is not reached (build/test-logs/pip.log)"
    return 1
  fi
  build/venv/bin/python models/random_models.py --light "$onnx_vectors/light" --out build/random_models.partial \
    >$logs/random_models.log 2>&1 || { fail "models/random_models.py"; return 1; }
  mv build/random_models.partial build/random_models
}

part_random_models() {
  local level
  make_random_models || return
  for level in 0 2; do
    vectors "random weights -O $level" $norma build/random_models --manifest build/random_models/tolerances.txt \
      -O $level -t 2
  done
}

# promises NAME [--batches] FOLDER...: the bitwise promise; models that cannot be batched are named.
promises() {
  local name=$1
  shift
  counted "$name" build/release/tests/check_promises "$@"
}

part_promises() {
  [ -x build/release/tests/check_promises ] || build release || return
  promises "bitwise promise, models" --batches models/digits_*
  if make_random_models; then promises "bitwise promise, random weights" --batches build/random_models/*/; fi
  if [ -d "$shared/models" ]; then
    promises "bitwise promise, shared models" "$shared"/models/*/
  else
    skip "bitwise promise: no $shared/models"
  fi
}

# compare_levels FOLDER LIMIT WHAT ARGUMENT...: a model's outputs at level 2 against level 0. The largest error over the
# largest magnitude is at most LIMIT, and each row has its largest element in the same place.
compare_levels() {
  local folder=$1 limit=$2 name log code error rows
  name="levels 0 and 2$3: $(basename "$folder")"
  shift 3
  log=$logs/levels.log
  $norma compare "$folder/model.onnx" --levels 0,2 -t 2 --quiet --max 1 "$@" >"$log" 2>&1
  code=$?
  if grep -q 'unsupported' "$log" && ! grep -q '^outputs' "$log"; then
    skip "$name: $(head -n 1 "$log" | cut -c 1-160)"
    return
  fi
  error=$(sed -nE '/^outputs/,$s/.*, ([0-9.e+-]+) of the largest magnitude.*/\1/p' "$log" | sort -g | tail -n 1)
  rows=$(sed -nE '/^outputs/,$s/.*top-1 ([0-9]+ of [0-9]+).*/\1/p' "$log" | awk '$1 != $3' | wc -l)
  if ! grep -q '^outputs' "$log" || [ $code -gt 1 ]; then
    fail "$name: $(tail -n 1 "$log" | cut -c 1-160)"
  elif awk -v error="${error:-0}" -v limit="$limit" 'BEGIN { exit !(error <= limit) }' && [ "$rows" = 0 ]; then
    pass "$name: error ${error:-0}, at most $limit"
  else
    fail "$name: error ${error:-0}, at most $limit; $rows outputs with another top-1"
  fi
}

part_levels() {
  local folder limit inputs file
  if make_random_models; then
    for folder in build/random_models/*/; do
      compare_levels "$folder" 2e-5 ""
      compare_levels "$folder" 5e-6 ", exact" --exact
    done
  fi
  if ! [ -d "$shared/models" ]; then
    skip "levels 0 and 2: no $shared/models"
    return
  fi
  for folder in "$shared"/models/*/; do
    limit=$(sed -nE "s/^$(basename "$folder") .*max=([0-9.e+-]+).*/\\1/p" "$shared/tolerances.txt" | tail -n 1)
    if [ -z "$limit" ]; then
      skip "levels 0 and 2: $(basename "$folder"): is not compared by its largest error"
      continue
    fi
    inputs=()
    while read -r file; do inputs+=(-i "$file"); done < <(printf '%s\n' "$folder"test_data_set_0/input_*.pb | sort -V)
    compare_levels "$folder" "$limit" "" "${inputs[@]}"
  done
}

# The models in wheels of PyPI against ONNX Runtime; packages that cannot be downloaded are named.
wheels() {
  if ! python_packages numpy onnx onnxruntime; then
    skip "models in wheels: PyPI is not reached (build/test-logs/pip.log)"
    return
  fi
  counted "models in wheels" build/venv/bin/python tests/models/wheels.py $norma "$@"
}

# Two of the smallest: transcription of music, voice activity.
part_wheels_sample() {
  [ -n "$NORMA_FULL" ] || wheels --only basic-pitch,faster-whisper
}

part_wheels() {
  wheels
}

# Trains and exports the digit models again, in a copy of the folder, and tests what comes out.
part_rerun_models() {
  if ! python_packages numpy onnx onnxruntime onnxscript pillow scikit-learn torch; then
    skip "training the models again: PyPI is not reached (build/test-logs/pip.log)"
    return
  fi
  rm -rf build/models-rerun
  cp -r models build/models-rerun
  rm -rf build/models-rerun/digits_*
  expect "train_digits.py" build/venv/bin/python build/models-rerun/train_digits.py
  complete "models trained again" $norma build/models-rerun
}

# differential ARGUMENT...: random cases of each operator against other implementations. Cases that none of them runs
# are skipped ones.
differential() {
  local log=$logs/differential.log closing code
  if ! python_packages numpy onnx onnxruntime ml_dtypes; then
    skip "differential test: PyPI is not reached (build/test-logs/pip.log)"
    return
  fi
  expect "every version of every operator has random cases" build/venv/bin/python \
    tests/differential/differential.py $norma --missing
  build/venv/bin/python tests/differential/differential.py $norma "$@" >"$log" 2>&1
  code=$?
  closing=$(grep -E '^seed [0-9]+: ' "$log" | tail -n 1)
  if [[ $closing =~ \ ([0-9]+)\ cases,\ ([0-9]+)\ failed,\ ([0-9]+)\ that ]]; then
    add $((BASH_REMATCH[1] - BASH_REMATCH[2] - BASH_REMATCH[3])) "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}"
    echo "  differential test, $closing"
    grep -E '^(-O|not judged)' "$log" | head -n 40 | cut -c 1-300 | sed 's/^/    /'
    if [ "${BASH_REMATCH[2]}" = 0 ] && [ $code != 0 ]; then fail "differential test: exit code $code; see $log"; fi
  else
    fail "differential test: no closing line, exit code $code"
    tail -n 20 "$log" | sed 's/^/    /'
  fi
}

part_differential_sample() {
  differential --count 2
}

part_differential() {
  differential --count 24
}

# The Python package over the library in build/release, in build/python.
build_python() {
  if ! python_packages numpy onnx onnxruntime ml_dtypes; then
    skip "the Python package: PyPI is not reached (build/test-logs/pip.log)"
    return 1
  fi
  tools/install_packages.sh python3-dev
  {
    cmake -G Ninja -S tools/python -B build/python -DNORMA_BUILD="$PWD/build/release" -DNORMA_WERROR="${NORMA_WERROR:-OFF}" \
      -DPython_EXECUTABLE="$PWD/build/venv/bin/python" && cmake --build build/python -j "$jobs"
  } >$logs/build-python.log 2>&1 && return 0
  fail "build of the Python package"
  tail -n 30 $logs/build-python.log | sed 's/^/    /'
  return 1
}

# python_script NAME SCRIPT ARGUMENT...: a script that uses the package and ends with its counts.
python_script() {
  local name=$1
  shift
  counted "$name" env PYTHONPATH="$PWD/build/python:$PWD/tests/tools/python" build/venv/bin/python "$@"
}

part_python() {
  if build_python; then python_script "Python package" tests/tools/python/unit_tests.py; fi
}

part_python_backend() {
  if build_python; then python_script "ONNX's tests of backends" tests/tools/python/onnx_backend.py; fi
}

# Applications of PyPI, unchanged, with ONNX Runtime and with Norma.
part_applications() {
  if build_python; then python_script "applications" tests/tools/python/applications.py build/python; fi
}

part_python_wheel() {
  if python_packages numpy; then
    expect "wheel and sdist" tools/build_wheel.sh
  else
    skip "wheel and sdist: PyPI is not reached (build/test-logs/pip.log)"
  fi
}

part_deb() {
  if dpkg-query -W -f='${Status}\n' libnorma0 libnorma-dev norma 2>/dev/null | grep -qx 'install ok installed'; then
    skip "Debian packages: they are installed here, and the test would remove them"
    return
  fi
  expect "Debian packages" tools/build_deb.sh --test
  sed -n '/\.deb$/p;/^passed: /p;/^lintian /p' "$logs/Debian_packages.log" | sed 's/^/    /'
}

# ----------------------------------------------------------------------------------------------------------------- main

tools/install_packages.sh gcc g++ libc6-dev cmake ninja-build pkg-config protobuf-c-compiler libprotobuf-c-dev \
  libcmocka-dev libpng-dev libjpeg-dev zlib1g-dev libonnx-testdata \
  libturbojpeg0 libwebp7 libtiff6 libopenjp2-7 || exit 2 # the last line is what ImageDecoder opens

for part in "${parts[@]}"; do
  declare -F "part_$part" >/dev/null || { echo "test.sh: no part named $part" >&2; exit 2; }
  start=$SECONDS
  echo "== $part"
  if [[ $part != @(unit|clang|tsan|aarch64|wasm|fuzz|failing|asan|asan_vectors|deb) ]] && ! [ -x $norma ]; then
    build release || continue
  fi
  "part_$part"
  echo "   ($((SECONDS - start)) s)"
done

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $passed != 0 ]
