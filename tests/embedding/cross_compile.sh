#!/bin/sh
# Models compiled to C for other machines: built with the kernels that any CPU runs, for this machine, for AArch64 (run by
# qemu-user) and for a Cortex-M7 without an operating system (run by QEMU's mps2-an500): the same elements everywhere.
#
#   tests/embedding/cross_compile.sh MODEL...      models whose inputs and outputs are floats
#
# Needs gcc-arm-none-eabi, libnewlib-arm-none-eabi, qemu-system-arm, gcc-aarch64-linux-gnu and qemu-user. Prints sizes.
set -eu
cd "$(dirname "$0")/../.."
build=build/generic
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake -S . -B $build -G Ninja -DNORMA_GENERIC_KERNELS=ON -DNORMA_BUILD_TESTS=OFF >"$work/log" 2>&1 &&
  cmake --build $build --target norma_tool norma -j "$(nproc)" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

code=0
for model in "$@"; do
  case $(basename "$model") in model.onnx) name=$(basename "$(dirname "$model")") ;; *) name=$(basename "$model" .onnx) ;; esac
  name=$(echo "$name" | tr -c 'A-Za-z0-9\n' _)
  $build/norma compile "$model" -o "$work" --kernels generic --name "$name" >/dev/null
  tools/compile_for.sh "$work/$name.c" "$work/here" cc -O2 >/dev/null
  tools/compile_for.sh "$work/$name.c" "$work/aarch64" aarch64-linux-gnu-gcc -O2 -static >/dev/null
  EXTRA="tests/embedding/cortex_m.c -T tests/embedding/cortex_m.ld" \
    tools/compile_for.sh "$work/$name.c" "$work/cortex" arm-none-eabi-gcc -mcpu=cortex-m7 -mthumb -mfloat-abi=hard \
    -mfpu=fpv5-sp-d16 -Os -DNORMA_BARE_METAL --specs=rdimon.specs >/dev/null
  "$work/here" >"$work/here.out"
  qemu-aarch64 "$work/aarch64" >"$work/aarch64.out"
  timeout 600 qemu-system-arm -M mps2-an500 -cpu cortex-m7 -nographic -semihosting -kernel "$work/cortex" >"$work/cortex.out" 2>&1
  tr -d '\r' <"$work/cortex.out" >"$work/cortex.text"
  for other in aarch64.out cortex.text; do
    if [ -s "$work/here.out" ] && cmp -s "$work/here.out" "$work/$other"; then
      echo "ok: $name, ${other%.*}: $(wc -l <"$work/here.out") elements as on this machine"
    else
      echo "FAILED: $name, ${other%.*}: other elements"
      head -n 3 "$work/here.out" "$work/$other"
      code=1
    fi
  done
  arm-none-eabi-size "$work/cortex" | awk -v name="$name" 'NR == 2 { printf "%s on a Cortex-M7: %d bytes of flash, %d of RAM\n",
    name, $1 + $2, $2 + $3 }'
done
exit $code
