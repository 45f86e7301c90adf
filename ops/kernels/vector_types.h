/* The vector types of one instruction set, whole loads and stores: what a file of isa/ can build its primitives on.
 * Expects VECTOR_BYTES, the width of a register.
 *
 *   vf  VF_LANES floats      vi, vu  as many int32_t, uint32_t      vs  2 * VF_LANES int16_t
 *   vd  VD_LANES doubles     vl      as many int64_t                vh  VF_LANES uint16_t, half a register
 */
#ifndef OPS_KERNELS_VECTOR_TYPES_H
#define OPS_KERNELS_VECTOR_TYPES_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

#define VF_LANES (VECTOR_BYTES / 4)
#define VD_LANES (VECTOR_BYTES / 8)

typedef float vf __attribute__((vector_size(VECTOR_BYTES)));
typedef double vd __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t vi __attribute__((vector_size(VECTOR_BYTES)));
typedef uint32_t vu __attribute__((vector_size(VECTOR_BYTES)));
typedef int64_t vl __attribute__((vector_size(VECTOR_BYTES)));
typedef int16_t vs __attribute__((vector_size(VECTOR_BYTES)));
typedef uint16_t vh __attribute__((vector_size(VECTOR_BYTES / 2)));
typedef int32_t vi_half __attribute__((vector_size(VECTOR_BYTES / 2)));
typedef float v4f __attribute__((vector_size(16)));
typedef uint8_t v16b __attribute__((vector_size(16)));

typedef float vf_in_memory __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef int32_t vi_in_memory __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef double vd_in_memory __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
typedef float vf_half_in_memory __attribute__((vector_size(VECTOR_BYTES / 2), aligned(4), may_alias));
typedef uint16_t vh_in_memory __attribute__((vector_size(VECTOR_BYTES / 2), aligned(2), may_alias));
typedef float v4f_in_memory __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint8_t v16b_in_memory __attribute__((vector_size(16), aligned(1), may_alias));

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

INLINE vi vi_load(const void *p) {
  return *(const vi_in_memory *)p;
}

INLINE void vi_store(void *p, vi x) {
  *(vi_in_memory *)p = x;
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

INLINE v4f v4f_load(const float *p) {
  return *(const v4f_in_memory *)p;
}

INLINE void v4f_store(float *p, v4f x) {
  *(v4f_in_memory *)p = x;
}

/* ---- bits of a float ---- */
INLINE vf vf_abs(vf x) {
  return (vf)((vi)x & 0x7fffffff);
}

/* The magnitude of x with the sign of y. */
INLINE vf vf_copysign(vf x, vf y) {
  return (vf)(((vi)x & 0x7fffffff) | ((vu)y & 0x80000000u));
}

#endif
