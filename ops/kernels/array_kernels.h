/* Kernels of arrays whose elements are not all float: arithmetic of integers and doubles, comparisons, logic,
 * selection, conversion. They are loops that the compiler vectorises, compiled once for each instruction set
 * (array_kernels_isa.c) and reached through kernel_table.arrays.
 *
 * All arrays have n elements; who repeats one number along a row writes it out. Integers wrap around. y may be x or z
 * where elements have the same size, and must not overlap them elsewhere. Results do not depend on the instruction
 * set. */
#ifndef OPS_KERNELS_ARRAY_KERNELS_H
#define OPS_KERNELS_ARRAY_KERNELS_H

#include "engine/base/activation.h"
#include "engine/norma.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* y[i] = f(x[i], z[i]) */
typedef void array_function(void *y, const void *x, const void *z, size_t n);
/* y[i] = f(x[i]) */
typedef void array_unary_function(void *y, const void *x, size_t n);

enum array_comparison { ARRAY_EQUAL, ARRAY_LESS, ARRAY_LESS_OR_EQUAL, ARRAY_COMPARISON_COUNT };
enum array_bits { ARRAY_AND, ARRAY_OR, ARRAY_XOR, ARRAY_BITS_COUNT };

/* As Cast has it: floats to integers are truncated, what does not fit becomes the limit, NaN 0. */
struct array_conversion {
  norma_element_type from, to;
  array_unary_function *function;
};

struct array_kernels {
  /* By element type: integers (all but BINARY_DIV, which can fail) and DOUBLE. Others: NULL. */
  array_function *arithmetic[NORMA_ELEMENT_TYPE_COUNT][BINARY_KIND_COUNT];
  /* y: 0 or 1 in a byte. By element type of x and z: integers, FLOAT, DOUBLE; of BOOL only EQUAL, any nonzero byte
   * being true. Any comparison with NaN is false. */
  array_function *compare[NORMA_ELEMENT_TYPE_COUNT][ARRAY_COMPARISON_COUNT];
  /* Of truth values (any nonzero byte is true), 0 or 1. */
  array_function *logic[ARRAY_BITS_COUNT];
  array_unary_function *logic_not;
  /* Of bytes. */
  array_function *bits[ARRAY_BITS_COUNT];
  /* y[i] = condition[i] ? x[i] : z[i], by the logarithm of the element's size: 1, 2, 4, 8 bytes. */
  void (*select[4])(void *y, const uint8_t *condition, const void *x, const void *z, size_t n);
  const struct array_conversion *conversions; /* ended by one without a function */
  /* y[i] = whether x[i] is NaN; whether it is +inf (sign 1), -inf (sign -1), either (sign 0). FLOAT. */
  array_unary_function *is_nan;
  void (*is_infinite)(void *y, const void *x, size_t n, int sign);
  /* For each of `rows` rows, `step` elements apart: sums[i] += x[i], and y[i] is that, or what it was before where
   * `exclusive`. */
  void (*cumulate_f32)(float *y, const float *x, ptrdiff_t step, size_t rows, double *sums, bool exclusive, size_t n);
  /* Whether -size <= x[i] < size for all i; INT32 and INT64. */
  bool (*indices_fit_i32)(const int32_t *x, int64_t size, size_t n);
  bool (*indices_fit_i64)(const int64_t *x, int64_t size, size_t n);
};

/* NULL where the kernels have no direct way between the types. */
static inline array_unary_function *array_conversion_find(const struct array_kernels *kernels, norma_element_type from,
                                                          norma_element_type to) {
  const struct array_conversion *conversion = kernels->conversions;
  while (conversion->function && (conversion->from != from || conversion->to != to)) conversion++;
  return conversion->function;
}

#endif
