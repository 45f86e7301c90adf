/* float16 and bfloat16 arrays to and from float, by the kernels of the table: both types are computed in float, in
 * pieces that stay in the first-level cache. */
#ifndef OPS_HALF_H
#define OPS_HALF_H

#include "engine/base/element_type.h"
#include "ops/kernels/kernel_table.h"

#include <string.h>

#define HALF_PIECE 512 /* elements; a few such arrays of float fit every stack */

static inline bool is_half(norma_element_type type) {
  return type == NORMA_FLOAT16 || type == NORMA_BFLOAT16;
}

static inline void half_to_float(const struct kernel_table *kernels, norma_element_type type, float *y, const void *x,
                                 int64_t count) {
  (type == NORMA_FLOAT16 ? kernels->f16_to_f32 : kernels->bf16_to_f32)(y, x, (size_t)count);
}

static inline void half_from_float(const struct kernel_table *kernels, norma_element_type type, void *y, const float *x,
                                   int64_t count) {
  (type == NORMA_FLOAT16 ? kernels->f32_to_f16 : kernels->f32_to_bf16)(y, x, (size_t)count);
}

/* The same where the array may be of float too. */
static inline void float_from(const struct kernel_table *kernels, norma_element_type type, float *y, const void *x,
                              int64_t count) {
  if (is_half(type)) {
    half_to_float(kernels, type, y, x, count);
  } else if (count > 0) {
    memcpy(y, x, (size_t)count * sizeof *y);
  }
}

static inline void float_to(const struct kernel_table *kernels, norma_element_type type, void *y, const float *x,
                            int64_t count) {
  if (is_half(type)) {
    half_from_float(kernels, type, y, x, count);
  } else if (count > 0) {
    memcpy(y, x, (size_t)count * sizeof *x);
  }
}

#endif
