/* WebAssembly with SIMD128. Registers of 128 bits, as many as the engine finds: 16 on x86-64, where the largest tiles
 * must still fit. No fused multiply-add: products are rounded, and take registers of their own from the tiles.
 *
 * arch: wasm32
 * rank: 1
 * flags: -msimd128
 */
#define ISA_FEATURES CPU_FEATURE(SIMD128)

#define VECTOR_BYTES 16
#include "ops/kernels/vector_types.h"

#include <wasm_simd128.h>

/* ---- sizes ---- */
#define GEMM_TILE_ROWS             4
#define GEMM_CACHED_BYTES          (256 * 1024)
#define GEMM_I8_TILE_ROWS          4
#define GEMM_I8_TILE_VECTORS       2
#define CONV_8BIT_PIXELS           4
#define CONV_8BIT_VECTORS          2
#define BLOCKED_PIXELS_1           8
#define BLOCKED_PIXELS_2           4
#define BLOCKED_PIXELS_3           3
#define BLOCKED_DEPTHWISE_ROW_TILE 8
#define BLOCKED_WEIGHT_COST        12
#define BLOCKED_FOREIGN_COST       18.0
#define BLOCKED_BAND_BYTES         (192 * 1024)
#define WINOGRAD_CACHED_BYTES      (384 * 1024)
#define ATTENTION_TILE_ROWS        4
#define ATTENTION_TILE_VECTORS     2
#define ATTENTION_FEW_VECTORS      2
#define NBITS_TILE_ROWS            4

/* ---- masks ---- */
INLINE vf vf_select(vi mask, vf yes, vf no) {
  return (vf)wasm_v128_bitselect((v128_t)yes, (v128_t)no, (v128_t)mask);
}
#define vf_select vf_select

INLINE bool vm_any(vi mask) {
  return wasm_v128_any_true((v128_t)mask);
}
#define vm_any vm_any

/* ---- arithmetic ----
 * The pseudo-maximum of a and b is a < b ? b : a, and the pseudo-minimum b < a ? b : a. */
INLINE vf vf_max(vf bound, vf x) {
  return (vf)wasm_f32x4_pmax((v128_t)x, (v128_t)bound);
}
#define vf_max vf_max

INLINE vf vf_min(vf bound, vf x) {
  return (vf)wasm_f32x4_pmin((v128_t)x, (v128_t)bound);
}
#define vf_min vf_min

INLINE vf vf_max_nan(vf a, vf b) {
  return (vf)wasm_f32x4_max((v128_t)a, (v128_t)b);
}
#define vf_max_nan vf_max_nan

INLINE vf vf_min_nan(vf a, vf b) {
  return (vf)wasm_f32x4_min((v128_t)a, (v128_t)b);
}
#define vf_min_nan vf_min_nan

INLINE vf vf_sqrt(vf x) {
  return (vf)wasm_f32x4_sqrt((v128_t)x);
}
#define vf_sqrt vf_sqrt

INLINE vi vi_dot_pairs(vi sum, vs a, vs b) {
  return (vi)wasm_i32x4_add((v128_t)sum, wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b));
}
#define vi_dot_pairs vi_dot_pairs

/* ---- rounding and conversion ---- */
INLINE vf vf_round(vf x) {
  return (vf)wasm_f32x4_nearest((v128_t)x);
}
#define vf_round vf_round

INLINE vf vf_floor(vf x) {
  return (vf)wasm_f32x4_floor((v128_t)x);
}
#define vf_floor vf_floor

INLINE vi vi_from_vf(vf x) {
  return (vi)wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest((v128_t)x));
}
#define vi_from_vf vi_from_vf

INLINE void vi_store_low_bytes(uint8_t *p, vi x) {
  const v128_t pairs = wasm_i16x8_narrow_i32x4((v128_t)(x & 0xff), (v128_t)(x & 0xff));
  wasm_v128_store32_lane(p, wasm_u8x16_narrow_i16x8(pairs, pairs), 0);
}
#define vi_store_low_bytes vi_store_low_bytes
