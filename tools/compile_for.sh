#!/bin/bash
# tools/compile_for.sh DIR/NAME.c PROGRAM CC [FLAG...]: builds what `norma compile` wrote, NAME_main.c included, for another
# machine. The sources that it needs of the library are found by linking it here first, against BUILD (default
# build/generic: cmake -S . -B build/generic -DNORMA_GENERIC_KERNELS=ON -DNORMA_BUILD_TESTS=OFF), which must have the
# kernels that the model was compiled for. For microcontrollers add -DNORMA_BARE_METAL; see README.md beside this file.
set -eu
[ $# -ge 3 ] || { sed -n '2,5s/^# //p' "$0"; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
source=$1 program=$2
shift 2
build=${BUILD:-$root/build/generic}
name=$(basename "$source" .c)
folder=$(cd "$(dirname "$source")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Debian's arm-none-eabi takes GCC's own <stdint.h>, after which newlib's <inttypes.h> leaves PRId64 out.
case $1 in *none-eabi*) set -- "$@" -D__int64_t_defined ;; esac
includes=(-I"$root" -I"$root/engine" -I"$build" -I"$folder")
cc -O0 -ffunction-sections "${includes[@]}" "$folder/$name.c" "$folder/${name}_main.c" "$build/libnorma.a" -lprotobuf-c \
  -lpthread -lm -ldl -Wl,-Map="$work/map" -o "$work/host"
kernels=$(sed -n 's/^extern const struct kernel_table kernel_table_\([a-z0-9_]*\);$/\1/p' "$source")

# Members of the archive are called after their sources, but for kernels, which are one source for every table.
mapfile -t members < <(sed -nE 's|^[^ ]*libnorma\.a\((.*)\.o\)$|\1|p' "$work/map" | sort -u)
for member in "${members[@]}"; do
  found=$(cd "$root" && find engine ops -name "$member")
  [ "$(wc -w <<<"$found")" = 1 ] || { echo "compile_for.sh: $member is not one file: $found" >&2; exit 1; }
  flags=()
  case $member in *_isa.c) flags=("-DKERNEL_ISA=$kernels" "-DKERNEL_ISA_FILE=\"ops/kernels/isa/$kernels.h\"") ;; esac
  echo "$found" >>"$work/list"
  "$@" -std=gnu11 -ffunction-sections -fdata-sections -ffp-contract=off -fno-math-errno "${includes[@]}" "${flags[@]}" \
    -c "$root/$found" -o "$work/${found//\//_}.o"
done
"$@" -std=gnu11 -ffunction-sections -fdata-sections -ffp-contract=off "${includes[@]}" "$folder/$name.c" \
  "$folder/${name}_main.c" "$work"/*.o -Wl,--gc-sections -lm -o "$program"
echo "$program: $(wc -l <"$work/list") sources of the library"
