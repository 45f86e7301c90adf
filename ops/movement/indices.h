/* Indices that choose elements: int32 or int64, from the end where they are negative. */
#ifndef OPS_MOVEMENT_INDICES_H
#define OPS_MOVEMENT_INDICES_H

#include "ops/operator.h"

#define INDEX_PIECE 256 /* indices that are read at a time */

/* Fails unless -size <= index < size for all indices, naming one that is not. With tuples, index i is held against
 * tuple_sizes[i % tuple] instead. */
norma_status indices_check(run_context *context, const norma_tensor *indices, int64_t size);
norma_status indices_check_tuples(run_context *context, const norma_tensor *indices, const int64_t *tuple_sizes,
                                  int64_t tuple);

/* Whether `count` adjacent indices fit, for those who check them as they go. */
bool indices_fit(const struct kernel_table *kernels, norma_element_type type, const void *indices, int64_t size,
                 int64_t count);

/* `count` indices, `step` bytes apart, counted from the beginning of an axis of `size`. */
static inline void indices_read(norma_element_type type, const void *from, int64_t step, int64_t count, int64_t size,
                                int64_t *indices) {
  const char *at = from;
  if (type == NORMA_INT64) {
    for (int64_t i = 0; i < count; i++, at += step) {
      int64_t index;
      memcpy(&index, at, sizeof index);
      indices[i] = index + (index < 0 ? size : 0);
    }
  } else {
    for (int64_t i = 0; i < count; i++, at += step) {
      int32_t index;
      memcpy(&index, at, sizeof index);
      indices[i] = index + (index < 0 ? size : 0);
    }
  }
}

#endif
