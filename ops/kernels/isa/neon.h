/* Advanced SIMD of AArch64, which every CPU has. 32 registers of 128 bits.
 *
 * arch: aarch64
 * rank: 1
 * flags:
 */
#define ISA_FEATURES CPU_FEATURE(NEON)

#define VECTOR_BYTES 16
#include "ops/kernels/vector_types.h"

#include <arm_neon.h>

/* ---- sizes ---- */
#define GEMM_TILE_ROWS             12
#define GEMM_CACHED_BYTES          (256 * 1024)
#define GEMM_I8_TILE_ROWS          6
#define GEMM_I8_TILE_VECTORS       2
#define CONV_8BIT_PIXELS           6
#define CONV_8BIT_VECTORS          2
#define BLOCKED_PIXELS_1           12
#define BLOCKED_PIXELS_2           12
#define BLOCKED_PIXELS_3           8
#define BLOCKED_DEPTHWISE_ROW_TILE 14
#define BLOCKED_WEIGHT_COST        12
#define BLOCKED_FOREIGN_COST       18.0
#define BLOCKED_BAND_BYTES         (192 * 1024)
#define WINOGRAD_CACHED_BYTES      (384 * 1024)
#define ATTENTION_TILE_ROWS        6
#define ATTENTION_TILE_VECTORS     4
#define ATTENTION_FEW_VECTORS      4
#define NBITS_TILE_ROWS            4

/* ---- primitives ---- */
INLINE bool vm_any(vi mask) {
  return vmaxvq_u32((uint32x4_t)mask) != 0;
}
#define vm_any vm_any

INLINE vf vf_fma(vf a, vf b, vf c) {
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
#define vf_fma vf_fma

INLINE vd vd_fma(vd a, vd b, vd c) {
  return (vd)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
#define vd_fma vd_fma

INLINE vf vf_max(vf bound, vf x) {
  return (vf)vmaxq_f32((float32x4_t)bound, (float32x4_t)x);
}
#define vf_max vf_max

INLINE vf vf_min(vf bound, vf x) {
  return (vf)vminq_f32((float32x4_t)bound, (float32x4_t)x);
}
#define vf_min vf_min

/* NaN in either operand stays as it is. */
#define vf_max_nan vf_max
#define vf_min_nan vf_min

INLINE vf vf_sqrt(vf x) {
  return (vf)vsqrtq_f32((float32x4_t)x);
}
#define vf_sqrt vf_sqrt

INLINE vi vi_dot_pairs(vi sum, vs a, vs b) {
  const int32x4_t low = vmull_s16(vget_low_s16((int16x8_t)a), vget_low_s16((int16x8_t)b));
  const int32x4_t high = vmull_high_s16((int16x8_t)a, (int16x8_t)b);
  return (vi)vaddq_s32((int32x4_t)sum, vpaddq_s32(low, high));
}
#define vi_dot_pairs vi_dot_pairs

/* ---- rounding and conversion ---- */
INLINE vf vf_round(vf x) {
  return (vf)vrndnq_f32((float32x4_t)x);
}
#define vf_round vf_round

INLINE vf vf_floor(vf x) {
  return (vf)vrndmq_f32((float32x4_t)x);
}
#define vf_floor vf_floor

INLINE vi vi_from_vf(vf x) {
  return (vi)vcvtnq_s32_f32((float32x4_t)x);
}
#define vi_from_vf vi_from_vf

INLINE vi vi_load_bytes(const uint8_t *p) {
  uint32_t bytes;
  memcpy(&bytes, p, sizeof bytes);
  const uint16x8_t pairs = vmovl_u8(vcreate_u8(bytes));
  return (vi)vmovl_u16(vget_low_u16(pairs));
}
#define vi_load_bytes vi_load_bytes

INLINE vf vf_from_f16(vh x) {
  return (vf)vcvt_f32_f16((float16x4_t)x);
}
#define vf_from_f16 vf_from_f16

INLINE vh vf_to_f16(vf x) {
  return (vh)vcvt_f16_f32((float32x4_t)x);
}
#define vf_to_f16 vf_to_f16

/* ---- control ---- */
INLINE bool vector_flushes(void) {
  uint64_t fpcr;
  __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
  return (fpcr >> 24 & 1) != 0;
}
#define vector_flushes vector_flushes
