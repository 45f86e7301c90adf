/* AVX-512 F, BW, DQ and VL, and all of AVX2. 32 registers of 512 bits, and masks of their own. CPUs that have it have
 * at least 1 MiB of second-level cache.
 *
 * arch: x86_64
 * rank: 3
 * flags: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mprefer-vector-width=512
 */
#define ISA_FEATURES                                                                                                   \
  (CPU_FEATURE(AVX512F) | CPU_FEATURE(AVX512BW) | CPU_FEATURE(AVX512DQ) | CPU_FEATURE(AVX512VL) | CPU_FEATURE(AVX2) |  \
   CPU_FEATURE(FMA) | CPU_FEATURE(F16C))

#define VECTOR_BYTES 64
#include "ops/kernels/vector_types.h"

#include <immintrin.h>

/* ---- sizes ---- */
#define GEMM_TILE_ROWS             14
#define GEMM_CACHED_BYTES          (256 * 1024)
#define GEMM_I8_TILE_ROWS          12
#define GEMM_I8_TILE_VECTORS       2
#define CONV_8BIT_PIXELS           12
#define CONV_8BIT_VECTORS          2
#define BLOCKED_PIXELS_1           14
#define BLOCKED_PIXELS_2           14
#define BLOCKED_PIXELS_3           9
#define BLOCKED_DEPTHWISE_ROW_TILE 14
#define BLOCKED_WEIGHT_COST        24
#define BLOCKED_FOREIGN_COST       30.0
#define BLOCKED_BAND_BYTES         (384 * 1024)
#define WINOGRAD_CACHED_BYTES      (1024 * 1024)
#define ATTENTION_TILE_ROWS        7
#define ATTENTION_TILE_VECTORS     4
#define ATTENTION_FEW_VECTORS      4
#define NBITS_TILE_ROWS            8

/* ---- masks ---- */
typedef __mmask16 vm;
#define vm vm

INLINE vm vf_lt(vf a, vf b) {
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);
}

INLINE vm vf_le(vf a, vf b) {
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LE_OQ);
}

INLINE vm vf_eq(vf a, vf b) {
  return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_EQ_OQ);
}

INLINE vm vf_is_nan(vf a) {
  return _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_UNORD_Q);
}

INLINE vm vi_lt(vi a, vi b) {
  return _mm512_cmplt_epi32_mask((__m512i)a, (__m512i)b);
}

INLINE vm vm_from_bits(uint32_t bits) {
  return (vm)bits;
}

INLINE vf vf_select(vm mask, vf yes, vf no) {
  return (vf)_mm512_mask_blend_ps(mask, (__m512)no, (__m512)yes);
}
#define vf_select vf_select

INLINE bool vm_any(vm mask) {
  return mask != 0;
}
#define vm_any vm_any

/* ---- load and store of some lanes ---- */
INLINE vf vf_load_n(const float *p, size_t n) {
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
#define vf_load_n vf_load_n

INLINE void vf_store_n(float *p, vf x, size_t n) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
}
#define vf_store_n vf_store_n

INLINE vd vd_load_n(const double *p, size_t n) {
  return (vd)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
}
#define vd_load_n vd_load_n

INLINE void vd_store_n(double *p, vd x, size_t n) {
  _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)x);
}
#define vd_store_n vd_store_n

INLINE vf vf_load_masked(const float *p, vm mask) {
  return (vf)_mm512_maskz_loadu_ps(mask, p);
}
#define vf_load_masked vf_load_masked

INLINE vf vf_load_groups(const float *p, size_t stride) {
  __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(p));
  x = _mm512_insertf32x4(x, _mm_loadu_ps(p + stride), 1);
  x = _mm512_insertf32x4(x, _mm_loadu_ps(p + 2 * stride), 2);
  return (vf)_mm512_insertf32x4(x, _mm_loadu_ps(p + 3 * stride), 3);
}
#define vf_load_groups vf_load_groups

/* ---- arithmetic ---- */
INLINE vf vf_fma(vf a, vf b, vf c) {
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
#define vf_fma vf_fma

INLINE vd vd_fma(vd a, vd b, vd c) {
  return (vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
#define vd_fma vd_fma

INLINE vf vf_max(vf bound, vf x) {
  return (vf)_mm512_max_ps((__m512)bound, (__m512)x);
}
#define vf_max vf_max

INLINE vf vf_min(vf bound, vf x) {
  return (vf)_mm512_min_ps((__m512)bound, (__m512)x);
}
#define vf_min vf_min

INLINE vf vf_max_nan(vf a, vf b) {
  const vm number = _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_ORD_Q);
  return (vf)_mm512_mask_max_ps((__m512)a, number, (__m512)a, (__m512)b);
}
#define vf_max_nan vf_max_nan

INLINE vf vf_min_nan(vf a, vf b) {
  const vm number = _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_ORD_Q);
  return (vf)_mm512_mask_min_ps((__m512)a, number, (__m512)a, (__m512)b);
}
#define vf_min_nan vf_min_nan

INLINE vf vf_sqrt(vf x) {
  return (vf)_mm512_sqrt_ps((__m512)x);
}
#define vf_sqrt vf_sqrt

INLINE vi vi_dot_pairs(vi sum, vs a, vs b) {
  return (vi)_mm512_add_epi32((__m512i)sum, _mm512_madd_epi16((__m512i)a, (__m512i)b));
}
#define vi_dot_pairs vi_dot_pairs

INLINE vs vs_dot_bytes(vi a, vi b) {
  return (vs)_mm512_maddubs_epi16((__m512i)a, (__m512i)b);
}
#define vs_dot_bytes vs_dot_bytes

INLINE vi_half vi_half_max(vi_half a, vi_half b) {
  return (vi_half)_mm256_max_epi32((__m256i)a, (__m256i)b);
}
#define vi_half_max vi_half_max

/* ---- rounding and conversion ---- */
INLINE vf vf_round(vf x) {
  return (vf)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#define vf_round vf_round

INLINE vf vf_floor(vf x) {
  return (vf)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
#define vf_floor vf_floor

INLINE vi vi_from_vf(vf x) {
  return (vi)_mm512_cvtps_epi32((__m512)x);
}
#define vi_from_vf vi_from_vf

INLINE void vi_store_low_bytes(uint8_t *p, vi x) {
  _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8((__m512i)x));
}
#define vi_store_low_bytes vi_store_low_bytes

INLINE vi vi_low_bytes(const vi x[4]) {
  const __m512i first = _mm512_packs_epi32((__m512i)(x[0] & 0xff), (__m512i)(x[1] & 0xff));
  return (vi)_mm512_packus_epi16(first, _mm512_packs_epi32((__m512i)(x[2] & 0xff), (__m512i)(x[3] & 0xff)));
}
#define vi_low_bytes vi_low_bytes

INLINE vi vi_load_repeated(const void *p) {
  return (vi)_mm512_broadcast_i32x4(_mm_loadu_si128(p));
}
#define vi_load_repeated vi_load_repeated

INLINE vi vi_load_bytes(const uint8_t *p) {
  return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}
#define vi_load_bytes vi_load_bytes

INLINE vf vf_scale_by_power_of_2(vf p, vf n) {
  return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
}
#define vf_scale_by_power_of_2 vf_scale_by_power_of_2

INLINE vf vf_from_f16(vh x) {
  return (vf)_mm512_cvtph_ps((__m256i)x);
}
#define vf_from_f16 vf_from_f16

INLINE vh vf_to_f16(vf x) {
  return (vh)_mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#define vf_to_f16 vf_to_f16

/* ---- lanes ---- */
INLINE vf vf_look_up(vf table, vi lanes) {
  return (vf)_mm512_permutexvar_ps((__m512i)lanes, (__m512)table);
}
#define vf_look_up vf_look_up

/* ---- control ---- */
INLINE bool vector_flushes(void) {
  return (_mm_getcsr() & _MM_FLUSH_ZERO_MASK) != 0;
}
#define vector_flushes vector_flushes
