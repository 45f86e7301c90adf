/* Vectors of the natural width of one instruction set, for kernels that are written once and compiled for each. The
 * types stand in vector_types.h.
 *
 * The build says which: KERNEL_ISA is its name and KERNEL_ISA_FILE its file in isa/, which defines VECTOR_BYTES, tile
 * sizes and those primitives for which it has instructions (`#define NAME NAME` behind each of them says so);
 * vector_portable.h adds the others.
 *
 * Arithmetic, comparison of integers and bit operations use the operators of the GCC/Clang vector extension; the
 * primitives are what they lack. Loads and stores need element alignment only. `_n` forms touch the first n lanes
 * (0..lanes) and nothing beyond; loaded lanes from n on are zero. Contraction is off: vf_fma is one rounding where the
 * instruction set has it, else a multiplication and an addition. Everything is inlined: vectors never cross a call. */
#ifndef OPS_KERNELS_VECTOR_H
#define OPS_KERNELS_VECTOR_H

#include KERNEL_ISA_FILE

#include "vector_portable.h"

/* ---- names ---- */
#define KERNEL_STRING(x)    #x
#define KERNEL_NAME(x)      KERNEL_STRING(x)
#define KERNEL_PASTE(a, b)  a##b
#define KERNEL_SYMBOL(a, b) KERNEL_PASTE(a, b) /* KERNEL_SYMBOL(kernel_table_, KERNEL_ISA) is kernel_table_avx2 */

/* What override/NAME.c ends with. A file that is compiled for several tables makes one of each. */
#define KERNEL_OVERRIDE(NAME, needed, function)                                                                        \
  extern const struct kernel_override KERNEL_SYMBOL(kernel_override_##NAME##_of_, KERNEL_ISA);                         \
  const struct kernel_override KERNEL_SYMBOL(kernel_override_##NAME##_of_, KERNEL_ISA) = {                             \
      .name = #NAME, .table = KERNEL_NAME(KERNEL_ISA), .features = needed, .apply = function};

/* ---- masks ---- */
INLINE vi vi_select(vm mask, vi yes, vi no) {
  return (vi)vf_select(mask, (vf)yes, (vf)no);
}

/* ---- rounding and conversion ---- */
INLINE vf vf_ceil(vf x) {
  return -vf_floor(-x);
}

INLINE vf vf_from_vi(vi x) {
  return __builtin_convertvector(x, vf);
}

/* ---- lanes ---- */

/* Lanes 0, 2, 4, ... and lanes 1, 3, 5, ... of the 2 * VF_LANES floats in a and b. */
#if VF_LANES == 16
#define VF_EVEN_LANES 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define VF_ODD_LANES  1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif VF_LANES == 8
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

/* ---- repeated code ----
 * X(1, more) X(2, more) ... X(n, more) for n up to 14: instances of a tile for each number of rows. */
#define EACH_UP_TO(n, X, more)   EACH_UP_TO_N(n, X, more)
#define EACH_UP_TO_N(n, X, more) EACH_UP_TO_##n(X, more)
#define EACH_UP_TO_1(X, more)    X(1, more)
#define EACH_UP_TO_2(X, more)    EACH_UP_TO_1(X, more) X(2, more)
#define EACH_UP_TO_3(X, more)    EACH_UP_TO_2(X, more) X(3, more)
#define EACH_UP_TO_4(X, more)    EACH_UP_TO_3(X, more) X(4, more)
#define EACH_UP_TO_5(X, more)    EACH_UP_TO_4(X, more) X(5, more)
#define EACH_UP_TO_6(X, more)    EACH_UP_TO_5(X, more) X(6, more)
#define EACH_UP_TO_7(X, more)    EACH_UP_TO_6(X, more) X(7, more)
#define EACH_UP_TO_8(X, more)    EACH_UP_TO_7(X, more) X(8, more)
#define EACH_UP_TO_9(X, more)    EACH_UP_TO_8(X, more) X(9, more)
#define EACH_UP_TO_10(X, more)   EACH_UP_TO_9(X, more) X(10, more)
#define EACH_UP_TO_11(X, more)   EACH_UP_TO_10(X, more) X(11, more)
#define EACH_UP_TO_12(X, more)   EACH_UP_TO_11(X, more) X(12, more)
#define EACH_UP_TO_13(X, more)   EACH_UP_TO_12(X, more) X(13, more)
#define EACH_UP_TO_14(X, more)   EACH_UP_TO_13(X, more) X(14, more)

#endif
