/* SDOT of Armv8.2: 16 products of 8-bit integers, summed in 32 bits, in one instruction. Both factors are signed.
 *
 * tables: neon
 * flags: -march=armv8.2-a+dotprod
 */
#include "ops/kernels/kernel_table.h"
#include "ops/kernels/vector.h"

#undef GEMM_I8_TILE_ROWS
#undef GEMM_I8_TILE_VECTORS
#undef CONV_8BIT_PIXELS
#undef CONV_8BIT_VECTORS
#define GEMM_I8_TILE_ROWS    6
#define GEMM_I8_TILE_VECTORS 4
#define CONV_8BIT_PIXELS     6
#define CONV_8BIT_VECTORS    4
#define GEMM_I8_A_SIGNED     true

INLINE vi gemm_i8_dot(vi sum, vi a, vi b) {
  return (vi)vdotq_s32((int32x4_t)sum, (int8x16_t)a, (int8x16_t)b);
}

#include "ops/kernels/gemm_i8.h"
#include "ops/kernels/quantize_vectors.h"
#include "ops/kernels/conv_8bit.h"

static void neon_dotprod_apply(struct kernel_table *table) {
  gemm_i8_fill(table);
  conv_8bit_fill(table);
}

KERNEL_OVERRIDE(neon_dotprod, CPU_FEATURE(NEON_DOTPROD), neon_dotprod_apply)
