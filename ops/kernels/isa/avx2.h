/* AVX2 with FMA and F16C. 16 registers of 256 bits.
 *
 * arch: x86_64
 * rank: 2
 * flags: -mavx2 -mfma -mf16c
 */
#define ISA_FEATURES (CPU_FEATURE(AVX2) | CPU_FEATURE(FMA) | CPU_FEATURE(F16C))

#define VECTOR_BYTES 32
#include "ops/kernels/vector_types.h"

#include <immintrin.h>

/* ---- sizes ---- */
#define GEMM_TILE_ROWS             6
#define GEMM_CACHED_BYTES          (256 * 1024)
#define GEMM_I8_TILE_ROWS          4
#define GEMM_I8_TILE_VECTORS       2
#define CONV_8BIT_PIXELS           4
#define CONV_8BIT_VECTORS          2
#define BLOCKED_PIXELS_1           12
#define BLOCKED_PIXELS_2           6
#define BLOCKED_PIXELS_3           4
#define BLOCKED_DEPTHWISE_ROW_TILE 8
#define BLOCKED_WEIGHT_COST        12
#define BLOCKED_FOREIGN_COST       18.0
#define BLOCKED_BAND_BYTES         (192 * 1024)
#define WINOGRAD_CACHED_BYTES      (384 * 1024)
#define ATTENTION_TILE_ROWS        6
#define ATTENTION_TILE_VECTORS     2
#define ATTENTION_FEW_VECTORS      2
#define NBITS_TILE_ROWS            4

/* ---- load and store of some lanes ---- */
static const int32_t vector_tail_mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

INLINE __m256i vector_first_lanes(size_t n) {
  return _mm256_loadu_si256((const __m256i *)(vector_tail_mask + 8 - n));
}

INLINE vf vf_load_n(const float *p, size_t n) {
  return (vf)_mm256_maskload_ps(p, vector_first_lanes(n));
}
#define vf_load_n vf_load_n

INLINE void vf_store_n(float *p, vf x, size_t n) {
  _mm256_maskstore_ps(p, vector_first_lanes(n), (__m256)x);
}
#define vf_store_n vf_store_n

INLINE vd vd_load_n(const double *p, size_t n) {
  return (vd)_mm256_maskload_pd(p, vector_first_lanes(2 * n));
}
#define vd_load_n vd_load_n

INLINE void vd_store_n(double *p, vd x, size_t n) {
  _mm256_maskstore_pd(p, vector_first_lanes(2 * n), (__m256d)x);
}
#define vd_store_n vd_store_n

INLINE vf vf_load_masked(const float *p, vi mask) {
  return (vf)_mm256_maskload_ps(p, (__m256i)mask);
}
#define vf_load_masked vf_load_masked

INLINE vf vf_load_groups(const float *p, size_t stride) {
  return (vf)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + stride), 1);
}
#define vf_load_groups vf_load_groups

/* ---- masks ---- */
INLINE vf vf_select(vi mask, vf yes, vf no) {
  return (vf)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)mask);
}
#define vf_select vf_select

INLINE bool vm_any(vi mask) {
  return _mm256_movemask_ps((__m256)mask) != 0;
}
#define vm_any vm_any

/* ---- arithmetic ---- */
INLINE vf vf_fma(vf a, vf b, vf c) {
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
#define vf_fma vf_fma

INLINE vd vd_fma(vd a, vd b, vd c) {
  return (vd)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
#define vd_fma vd_fma

INLINE vf vf_max(vf bound, vf x) {
  return (vf)_mm256_max_ps((__m256)bound, (__m256)x);
}
#define vf_max vf_max

INLINE vf vf_min(vf bound, vf x) {
  return (vf)_mm256_min_ps((__m256)bound, (__m256)x);
}
#define vf_min vf_min

INLINE vf vf_sqrt(vf x) {
  return (vf)_mm256_sqrt_ps((__m256)x);
}
#define vf_sqrt vf_sqrt

INLINE vi vi_dot_pairs(vi sum, vs a, vs b) {
  return (vi)_mm256_add_epi32((__m256i)sum, _mm256_madd_epi16((__m256i)a, (__m256i)b));
}
#define vi_dot_pairs vi_dot_pairs

INLINE vs vs_dot_bytes(vi a, vi b) {
  return (vs)_mm256_maddubs_epi16((__m256i)a, (__m256i)b);
}
#define vs_dot_bytes vs_dot_bytes

INLINE vi_half vi_half_max(vi_half a, vi_half b) {
  return (vi_half)_mm_max_epi32((__m128i)a, (__m128i)b);
}
#define vi_half_max vi_half_max

/* ---- rounding and conversion ---- */
INLINE vf vf_round(vf x) {
  return (vf)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#define vf_round vf_round

INLINE vf vf_floor(vf x) {
  return (vf)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
#define vf_floor vf_floor

INLINE vi vi_from_vf(vf x) {
  return (vi)_mm256_cvtps_epi32((__m256)x);
}
#define vi_from_vf vi_from_vf

INLINE void vi_store_low_bytes(uint8_t *p, vi x) {
  const __m256i pairs = _mm256_packs_epi32((__m256i)(x & 0xff), (__m256i)(x & 0xff));
  const __m256i bytes = _mm256_packus_epi16(pairs, pairs); /* four in each half */
  const __m128i all = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
  _mm_storel_epi64((__m128i *)p, all);
}
#define vi_store_low_bytes vi_store_low_bytes

INLINE vi vi_low_bytes(const vi x[4]) {
  const __m256i first = _mm256_packs_epi32((__m256i)(x[0] & 0xff), (__m256i)(x[1] & 0xff));
  return (vi)_mm256_packus_epi16(first, _mm256_packs_epi32((__m256i)(x[2] & 0xff), (__m256i)(x[3] & 0xff)));
}
#define vi_low_bytes vi_low_bytes

INLINE vi vi_load_repeated(const void *p) {
  return (vi)_mm256_broadcastsi128_si256(_mm_loadu_si128(p));
}
#define vi_load_repeated vi_load_repeated

INLINE vi vi_load_bytes(const uint8_t *p) {
  return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
#define vi_load_bytes vi_load_bytes

INLINE vf vf_from_f16(vh x) {
  return (vf)_mm256_cvtph_ps((__m128i)x);
}
#define vf_from_f16 vf_from_f16

INLINE vh vf_to_f16(vf x) {
  return (vh)_mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#define vf_to_f16 vf_to_f16

/* ---- control ---- */
INLINE bool vector_flushes(void) {
  return (_mm_getcsr() & _MM_FLUSH_ZERO_MASK) != 0;
}
#define vector_flushes vector_flushes
