/* VPDPBUSD of 512 bits: 64 products of 8-bit integers, summed in 32 bits, in one instruction.
 *
 * tables: avx512
 * flags: -mavx512vnni
 */
#include "ops/kernels/kernel_table.h"
#include "ops/kernels/vector.h"

#undef GEMM_I8_TILE_ROWS
#undef GEMM_I8_TILE_VECTORS
#undef CONV_8BIT_PIXELS
#undef CONV_8BIT_VECTORS
#define GEMM_I8_TILE_ROWS    6
#define GEMM_I8_TILE_VECTORS 4
#define CONV_8BIT_PIXELS     14
#define CONV_8BIT_VECTORS    2
#define GEMM_I8_A_SIGNED     false

INLINE vi gemm_i8_dot(vi sum, vi a, vi b) {
  return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}

#include "ops/kernels/gemm_i8.h"
#include "ops/kernels/quantize_vectors.h"
#include "ops/kernels/conv_8bit.h"

static void avx512_vnni_apply(struct kernel_table *table) {
  gemm_i8_fill(table);
  conv_8bit_fill(table);
}

KERNEL_OVERRIDE(avx512_vnni, CPU_FEATURE(AVX512_VNNI), avx512_vnni_apply)
