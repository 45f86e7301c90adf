/* Vectors of the natural width of one instruction set, for kernels that are written once and compiled for each.
 *
 *   vf  VF_LANES floats      vi, vu  as many int32_t, uint32_t      vd  VD_LANES doubles      vm  a mask for vf lanes
 *
 * Arithmetic, comparison of integers and bit operations use the operators of the GCC/Clang vector extension; this file
 * adds what they lack. Loads and stores need element alignment only. `_n` forms touch the first n lanes (0..lanes) and
 * nothing beyond; loaded lanes from n on are zero. Contraction is off: vf_fma is one rounding on every instruction set
 * but SSE2, where it is a multiplication and an addition. Everything is inlined: vectors never cross a call. */
#ifndef OPS_KERNELS_VECTOR_H
#define OPS_KERNELS_VECTOR_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))

/* Before a loop of constant length over an array of vectors: without it the array lives in memory. Under a sanitizer
 * that is welcome: every unrolled access carries its checks, and Clang takes minutes over them. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer) || __has_feature(thread_sanitizer)
#define VECTOR_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VECTOR_SANITIZED
#endif
#if defined(VECTOR_SANITIZED)
#define UNROLL
#elif defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#define VF_LANES (VECTOR_BYTES / 4)
#define VD_LANES (VECTOR_BYTES / 8)

typedef float vf __attribute__((vector_size(VECTOR_BYTES)));
typedef double vd __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t vi __attribute__((vector_size(VECTOR_BYTES)));
typedef uint32_t vu __attribute__((vector_size(VECTOR_BYTES)));
typedef int64_t vl __attribute__((vector_size(VECTOR_BYTES)));
typedef float vf_in_memory __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef double vd_in_memory __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
typedef float vf_half_in_memory __attribute__((vector_size(VECTOR_BYTES / 2), aligned(4), may_alias));
typedef float v4f __attribute__((vector_size(16)));
typedef float v4f_in_memory __attribute__((vector_size(16), aligned(4), may_alias));

#if defined(__AVX512F__)
typedef __mmask16 vm;
#else
typedef vi vm;
#endif

/* ---- broadcast ---- */
INLINE vf vf_set1(float x) {
  return x - (vf){0}; /* which keeps -0 and costs nothing */
}

INLINE vf vf_zero(void) {
  return (vf){0};
}

INLINE vi vi_set1(int32_t x) {
  return (vi){0} + x;
}

INLINE vd vd_set1(double x) {
  return x - (vd){0};
}

/* ---- load and store ---- */
INLINE vf vf_load(const float *p) {
  return *(const vf_in_memory *)p;
}

INLINE void vf_store(float *p, vf x) {
  *(vf_in_memory *)p = x;
}

INLINE vd vd_load(const double *p) {
  return *(const vd_in_memory *)p;
}

INLINE void vd_store(double *p, vd x) {
  *(vd_in_memory *)p = x;
}

/* VD_LANES floats, widened. */
INLINE vd vd_load_f32(const float *p) {
  return __builtin_convertvector(*(const vf_half_in_memory *)p, vd);
}

#if defined(__AVX512F__)
INLINE vf vf_load_n(const float *p, size_t n) {
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}

INLINE void vf_store_n(float *p, vf x, size_t n) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
}

INLINE vd vd_load_n(const double *p, size_t n) {
  return (vd)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
}

INLINE void vd_store_n(double *p, vd x, size_t n) {
  _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)x);
}
#elif defined(__AVX2__)
static const int32_t vector_tail_mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

INLINE __m256i vector_first_lanes(size_t n) {
  return _mm256_loadu_si256((const __m256i *)(vector_tail_mask + 8 - n));
}

INLINE vf vf_load_n(const float *p, size_t n) {
  return (vf)_mm256_maskload_ps(p, vector_first_lanes(n));
}

INLINE void vf_store_n(float *p, vf x, size_t n) {
  _mm256_maskstore_ps(p, vector_first_lanes(n), (__m256)x);
}

INLINE vd vd_load_n(const double *p, size_t n) {
  return (vd)_mm256_maskload_pd(p, vector_first_lanes(2 * n));
}

INLINE void vd_store_n(double *p, vd x, size_t n) {
  _mm256_maskstore_pd(p, vector_first_lanes(2 * n), (__m256d)x);
}
#else
INLINE vf vf_load_n(const float *p, size_t n) {
  switch (n) {
  case 0:
    return (vf){0, 0, 0, 0};
  case 1:
    return (vf){p[0], 0, 0, 0};
  case 2:
    return (vf){p[0], p[1], 0, 0};
  case 3:
    return (vf){p[0], p[1], p[2], 0};
  default:
    return vf_load(p);
  }
}

INLINE void vf_store_n(float *p, vf x, size_t n) {
  if (n >= 4) {
    vf_store(p, x);
    return;
  }
  if (n > 0) p[0] = x[0];
  if (n > 1) p[1] = x[1];
  if (n > 2) p[2] = x[2];
}

INLINE vd vd_load_n(const double *p, size_t n) {
  if (n == 0) return (vd){0, 0};
  return n == 1 ? (vd){p[0], 0} : vd_load(p);
}

INLINE void vd_store_n(double *p, vd x, size_t n) {
  if (n > 0) p[0] = x[0];
  if (n > 1) p[1] = x[1];
}
#endif

/* ---- masks ---- */
#if defined(__AVX512F__)
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

INLINE vf vf_select(vm mask, vf yes, vf no) {
  return (vf)_mm512_mask_blend_ps(mask, (__m512)no, (__m512)yes);
}

#else
INLINE vm vf_lt(vf a, vf b) {
  return a < b;
}

INLINE vm vf_le(vf a, vf b) {
  return a <= b;
}

INLINE vm vf_eq(vf a, vf b) {
  return a == b;
}

INLINE vm vf_is_nan(vf a) {
  return a != a;
}

INLINE vm vi_lt(vi a, vi b) {
  return a < b;
}

INLINE vf vf_select(vm mask, vf yes, vf no) {
#if defined(__AVX2__)
  return (vf)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)mask);
#else
  return (vf)((mask & (vi)yes) | (~mask & (vi)no));
#endif
}

#endif

/* Lane i is set where bit i of `bits` is. */
INLINE vm vm_from_bits(uint32_t bits) {
#if defined(__AVX512F__)
  return (vm)bits;
#elif defined(__AVX2__)
  const vi lane = {1, 2, 4, 8, 16, 32, 64, 128};
  return (lane & (int32_t)bits) != 0;
#else
  const vi lane = {1, 2, 4, 8};
  return (lane & (int32_t)bits) != 0;
#endif
}

/* Whether any lane is set. */
INLINE bool vm_any(vm mask) {
#if defined(__AVX512F__)
  return mask != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps((__m256)mask) != 0;
#elif defined(__x86_64__)
  return _mm_movemask_ps((__m128)mask) != 0;
#else
  return vmaxvq_u32((uint32x4_t)mask) != 0;
#endif
}

INLINE vi vi_select(vm mask, vi yes, vi no) {
  return (vi)vf_select(mask, (vf)yes, (vf)no);
}

/* ---- arithmetic ---- */
INLINE vf vf_fma(vf a, vf b, vf c) /* a * b + c */
{
#if defined(__AVX512F__)
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

INLINE vd vd_fma(vd a, vd b, vd c) {
#if defined(__AVX512F__)
  return (vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX2__)
  return (vd)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
  return (vd)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
  return a * b + c;
#endif
}

/* A NaN in x stays; the bound must be a number. */
INLINE vf vf_max(vf bound, vf x) {
#if defined(__AVX512F__)
  return (vf)_mm512_max_ps((__m512)bound, (__m512)x);
#elif defined(__AVX2__)
  return (vf)_mm256_max_ps((__m256)bound, (__m256)x);
#elif defined(__aarch64__)
  return (vf)vmaxq_f32((float32x4_t)bound, (float32x4_t)x);
#else
  return (vf)_mm_max_ps((__m128)bound, (__m128)x);
#endif
}

INLINE vf vf_min(vf bound, vf x) {
#if defined(__AVX512F__)
  return (vf)_mm512_min_ps((__m512)bound, (__m512)x);
#elif defined(__AVX2__)
  return (vf)_mm256_min_ps((__m256)bound, (__m256)x);
#elif defined(__aarch64__)
  return (vf)vminq_f32((float32x4_t)bound, (float32x4_t)x);
#else
  return (vf)_mm_min_ps((__m128)bound, (__m128)x);
#endif
}

/* A NaN in either operand stays. */
INLINE vf vf_max_nan(vf a, vf b) {
#if defined(__AVX512F__)
  const vm number = _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_ORD_Q);
  return (vf)_mm512_mask_max_ps((__m512)a, number, (__m512)a, (__m512)b);
#elif defined(__aarch64__)
  return vf_max(a, b);
#else
  return (vf)((vi)vf_max(a, b) | vf_is_nan(a)); /* all bits set are a NaN */
#endif
}

INLINE vf vf_min_nan(vf a, vf b) {
#if defined(__AVX512F__)
  const vm number = _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_ORD_Q);
  return (vf)_mm512_mask_min_ps((__m512)a, number, (__m512)a, (__m512)b);
#elif defined(__aarch64__)
  return vf_min(a, b);
#else
  return (vf)((vi)vf_min(a, b) | vf_is_nan(a));
#endif
}

INLINE vf vf_abs(vf x) {
  return (vf)((vi)x & 0x7fffffff);
}

/* The magnitude of x with the sign of y. */
INLINE vf vf_copysign(vf x, vf y) {
  return (vf)(((vi)x & 0x7fffffff) | ((vu)y & 0x80000000u));
}

INLINE vf vf_sqrt(vf x) {
#if defined(__AVX512F__)
  return (vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__aarch64__)
  return (vf)vsqrtq_f32((float32x4_t)x);
#else
  return (vf)_mm_sqrt_ps((__m128)x);
#endif
}

/* The lanes of p[0..VF_LANES) that the mask names, zero elsewhere. Memory behind the other lanes is not touched. */
INLINE vf vf_load_masked(const float *p, vm mask) {
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_loadu_ps(mask, p);
#elif defined(__AVX2__)
  return (vf)_mm256_maskload_ps(p, (__m256i)mask);
#else
  vf x = {0};
  for (int i = 0; i < VF_LANES; i++)
    if (mask[i]) x[i] = p[i];
  return x;
#endif
}

/* ---- rounding and conversion ---- */
#if defined(__AVX512F__)
#define VF_ROUND_WITH(x, mode) ((vf)_mm512_roundscale_ps((__m512)(x), (mode)))
#elif defined(__AVX2__)
#define VF_ROUND_WITH(x, mode) ((vf)_mm256_round_ps((__m256)(x), (mode)))
#endif

/* To the nearest integer, halves to even; the sign of zero is kept. */
INLINE vf vf_round(vf x) {
#if defined(VF_ROUND_WITH)
  return VF_ROUND_WITH(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__aarch64__)
  return (vf)vrndnq_f32((float32x4_t)x);
#else
  const vf magic = vf_set1(0x1p23f), magnitude = vf_abs(x);
  const vf rounded = vf_select(vf_lt(magnitude, magic), magnitude + magic - magic, magnitude);
  return vf_copysign(rounded, x);
#endif
}

INLINE vf vf_floor(vf x) {
#if defined(VF_ROUND_WITH)
  return VF_ROUND_WITH(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#elif defined(__aarch64__)
  return (vf)vrndmq_f32((float32x4_t)x);
#else
  const vf rounded = vf_round(x);
  return vf_copysign(rounded - vf_select(vf_lt(x, rounded), vf_set1(1), vf_zero()), x);
#endif
}

INLINE vf vf_ceil(vf x) {
  return -vf_floor(-x);
}

/* To the nearest integer, halves to even; x must fit. */
INLINE vi vi_from_vf(vf x) {
#if defined(__AVX512F__)
  return (vi)_mm512_cvtps_epi32((__m512)x);
#elif defined(__AVX2__)
  return (vi)_mm256_cvtps_epi32((__m256)x);
#elif defined(__aarch64__)
  return (vi)vcvtnq_s32_f32((float32x4_t)x);
#else
  return (vi)_mm_cvtps_epi32((__m128)x);
#endif
}

INLINE vf vf_from_vi(vi x) {
  return __builtin_convertvector(x, vf);
}

/* ---- lanes ---- */

/* Lanes 0, 2, 4, ... and lanes 1, 3, 5, ... of the 2 * VF_LANES floats in a and b. */
#if defined(__AVX512F__)
#define VF_EVEN_LANES 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define VF_ODD_LANES  1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif defined(__AVX2__)
#define VF_EVEN_LANES 0, 2, 4, 6, 8, 10, 12, 14
#define VF_ODD_LANES  1, 3, 5, 7, 9, 11, 13, 15
#else
#define VF_EVEN_LANES 0, 2, 4, 6
#define VF_ODD_LANES  1, 3, 5, 7
#endif
#define vf_even(a, b) __builtin_shufflevector((vf)(a), (vf)(b), VF_EVEN_LANES)
#define vf_odd(a, b)  __builtin_shufflevector((vf)(a), (vf)(b), VF_ODD_LANES)

/* Lanes are combined in halves: i with i + lanes/2, then i with i + lanes/4, and so on. */
INLINE float vf_sum(vf x) {
#if VF_LANES == 16
  x += __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
  x += __builtin_shufflevector(x, x, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
#elif VF_LANES == 8
  x += __builtin_shufflevector(x, x, 4, 5, 6, 7, 4, 5, 6, 7);
#endif
  v4f sum;
  memcpy(&sum, &x, sizeof sum);
  sum += __builtin_shufflevector(sum, sum, 2, 3, 2, 3);
  return sum[0] + sum[1];
}

INLINE double vd_sum(vd x) {
  double lane[VD_LANES];
  vd_store(lane, x);
  for (size_t half = VD_LANES / 2; half; half /= 2)
    for (size_t i = 0; i < half; i++) lane[i] += lane[i + half];
  return lane[0];
}

/* x[i][j] becomes x[j][i]. */
INLINE void v4f_transpose(v4f x[4]) {
  const v4f a = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5), b = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5);
  const v4f c = __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7), d = __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
  x[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  x[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  x[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  x[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

INLINE v4f v4f_load(const float *p) {
  return *(const v4f_in_memory *)p;
}

INLINE void v4f_store(float *p, v4f x) {
  *(v4f_in_memory *)p = x;
}

#endif
