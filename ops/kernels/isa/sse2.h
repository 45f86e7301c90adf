/* SSE2: the x86-64 that every CPU has. 16 registers of 128 bits; no fused multiply-add: products are rounded, and take
 * registers of their own from the tiles.
 *
 * arch: x86_64
 * rank: 1
 * flags:
 */
#define ISA_FEATURES CPU_FEATURE(SSE2)

#define VECTOR_BYTES 16
#include "ops/kernels/vector_types.h"

#include <emmintrin.h>

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

/* ---- primitives ---- */
INLINE bool vm_any(vi mask) {
  return _mm_movemask_ps((__m128)mask) != 0;
}
#define vm_any vm_any

INLINE vf vf_max(vf bound, vf x) {
  return (vf)_mm_max_ps((__m128)bound, (__m128)x);
}
#define vf_max vf_max

INLINE vf vf_min(vf bound, vf x) {
  return (vf)_mm_min_ps((__m128)bound, (__m128)x);
}
#define vf_min vf_min

INLINE vf vf_sqrt(vf x) {
  return (vf)_mm_sqrt_ps((__m128)x);
}
#define vf_sqrt vf_sqrt

INLINE vi vi_dot_pairs(vi sum, vs a, vs b) {
  return (vi)_mm_add_epi32((__m128i)sum, _mm_madd_epi16((__m128i)a, (__m128i)b));
}
#define vi_dot_pairs vi_dot_pairs

INLINE vi vi_from_vf(vf x) {
  return (vi)_mm_cvtps_epi32((__m128)x);
}
#define vi_from_vf vi_from_vf

INLINE void vi_store_low_bytes(uint8_t *p, vi x) {
  const __m128i pairs = _mm_packs_epi32((__m128i)(x & 0xff), (__m128i)(x & 0xff));
  const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(pairs, pairs));
  memcpy(p, &bytes, sizeof bytes);
}
#define vi_store_low_bytes vi_store_low_bytes

INLINE vi vi_low_bytes(const vi x[4]) {
  const __m128i first = _mm_packs_epi32((__m128i)(x[0] & 0xff), (__m128i)(x[1] & 0xff));
  return (vi)_mm_packus_epi16(first, _mm_packs_epi32((__m128i)(x[2] & 0xff), (__m128i)(x[3] & 0xff)));
}
#define vi_low_bytes vi_low_bytes

INLINE vi vi_load_bytes(const uint8_t *p) {
  int32_t bytes;
  memcpy(&bytes, p, sizeof bytes);
  const __m128i pairs = _mm_unpacklo_epi8(_mm_cvtsi32_si128(bytes), _mm_setzero_si128());
  return (vi)_mm_unpacklo_epi16(pairs, _mm_setzero_si128());
}
#define vi_load_bytes vi_load_bytes

/* ---- control ---- */
INLINE bool vector_flushes(void) {
  return (_mm_getcsr() & _MM_FLUSH_ZERO_MASK) != 0;
}
#define vector_flushes vector_flushes
