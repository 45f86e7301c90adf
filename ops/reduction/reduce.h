/* Reductions along axes: what they walk over, and the fast way for floats of up to 32 bits. */
#ifndef OPS_REDUCTION_REDUCE_H
#define OPS_REDUCTION_REDUCE_H

#include "ops/operator.h"

enum reduction { SUM, MEAN, PRODUCT, MAXIMUM, MINIMUM, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE, REDUCTION_COUNT };

typedef struct reduce_dims {
  int rank;
  int64_t dims[NORMA_MAX_RANK], strides[NORMA_MAX_RANK];
} reduce_dims;

/* The input with neighbouring dimensions of the same fate merged. */
typedef struct reduce_walk {
  reduce_dims kept, reduced;
  bool last_is_reduced;   /* the last dimension of `reduced`, else that of `kept`, is contiguous */
  int64_t outputs, count; /* elements of the output; elements reduced for each */
} reduce_walk;

/* Where element `index` of the first `rank` dimensions lies. */
static inline int64_t reduce_walk_offset(const reduce_dims *list, int rank, int64_t index) {
  int64_t offset = 0;
  for (int i = rank - 1; i > 0; i--) {
    offset += index % list->dims[i] * list->strides[i];
    index /= list->dims[i];
  }
  return rank > 0 ? offset + index * list->strides[0] : 0;
}

/* What stands behind a sum, mean, norm or the like. */
double reduce_finish(enum reduction reduction, double result, int64_t count);

/* Whether reduce_floats takes the reduction: of float, float16 and bfloat16, of at least one element. */
bool reduce_floats_suits(enum reduction reduction, norma_element_type type, const reduce_walk *walk);
norma_status reduce_floats(run_context *context, enum reduction reduction, const reduce_walk *walk);

/* Whether reduce_products takes it: products and LogSumExp of float along neighbouring dimensions. */
bool reduce_products_suits(enum reduction reduction, norma_element_type type, const reduce_walk *walk);
norma_status reduce_products(run_context *context, enum reduction reduction, const reduce_walk *walk);

#endif
