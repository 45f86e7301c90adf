/* VPDPBUSD of 256 bits, as CPUs without AVX-512 have it: 32 products of 8-bit integers, summed in 32 bits, in one
 * instruction.
 *
 * tables: avx2
 * flags: -mavxvnni
 */
#include "ops/kernels/kernel_table.h"
#include "ops/kernels/vector.h"

#undef GEMM_I8_TILE_ROWS
#undef GEMM_I8_TILE_VECTORS
#undef CONV_8BIT_PIXELS
#undef CONV_8BIT_VECTORS
#define GEMM_I8_TILE_ROWS    6
#define GEMM_I8_TILE_VECTORS 2
#define CONV_8BIT_PIXELS     6
#define CONV_8BIT_VECTORS    2
#define GEMM_I8_A_SIGNED     false

INLINE vi gemm_i8_dot(vi sum, vi a, vi b) {
  return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
}

#include "ops/kernels/gemm_i8.h"
#include "ops/kernels/quantize_vectors.h"
#include "ops/kernels/conv_8bit.h"

static void avx_vnni_apply(struct kernel_table *table) {
  gemm_i8_fill(table);
  conv_8bit_fill(table);
}

KERNEL_OVERRIDE(avx_vnni, CPU_FEATURE(AVX_VNNI), avx_vnni_apply)
