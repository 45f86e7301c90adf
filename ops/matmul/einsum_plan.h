/*
 * How an Einsum is computed: operands are read as strided views, repeated labels and labels that nothing else has are
 * taken out, and pairs are contracted until one view is left.
 *
 * Everything is walked twice in the same way: in prepare to find out what memory the steps need (`context` NULL), and
 * in the run. Elements are worked on as float (float and half precision), double, or integers modulo 2^64.
 */
#ifndef OPS_MATMUL_EINSUM_PLAN_H
#define OPS_MATMUL_EINSUM_PLAN_H

#include "ops/matmul/einsum_equation.h"

#define EINSUM_GREEDY                                                                                                  \
  8 /* so many operands at most are contracted in the order that costs least; more from left to right */

enum einsum_work { EINSUM_F32, EINSUM_F64, EINSUM_U64 };

/* Parts of scratch; those of operands and of results by index, or, from left to right, by its last bit. */
enum einsum_region {
  EINSUM_CONVERTED,
  EINSUM_SUMMED = EINSUM_CONVERTED + EINSUM_GREEDY,
  EINSUM_PRODUCT = EINSUM_SUMMED + EINSUM_GREEDY,
  EINSUM_LEFT = EINSUM_PRODUCT + EINSUM_GREEDY, /* operands of a step, reordered */
  EINSUM_RIGHT,
  EINSUM_UNORDERED, /* the last product before it is reordered */
  EINSUM_FINAL,     /* the result before it is converted */
  EINSUM_REGIONS
};

/* Dimensions of more than one element, each label once. */
typedef struct einsum_view {
  einsum_term term;
  int64_t strides[NORMA_MAX_RANK]; /* in elements */
  const char *data;                /* NULL while memory is counted */
  int input;                       /* whose constant may be packed; -1: none */
} einsum_view;

/* What shapes and types decide. */
typedef struct einsum_plan {
  norma_element_type type;
  enum einsum_work work;
  size_t element_bytes; /* of what is worked on */
  int operands, workers;
  einsum_term result;
  int64_t sizes[EINSUM_LABELS]; /* 1 where no operand has the label */
  int32_t uses[EINSUM_LABELS];  /* operands in which the label has that size */
  int32_t last[EINSUM_LABELS];  /* the last of them */
  bool empty;                   /* a size is 0 */

  size_t at[EINSUM_REGIONS];
  size_t scratch_bytes, worker_bytes;
  double flops;
  const float *packed[2]; /* of two operands: the one that is constant, as the kernel wants it */
} einsum_plan;

/* One walk. */
typedef struct einsum_walk {
  einsum_plan *plan; /* written to while memory is counted */
  const einsum_equation *equation;
  const struct kernel_table *kernels;
  run_context *context;     /* NULL: memory is counted */
  prepare_context *prepare; /* NULL in the run */
  size_t bytes[EINSUM_REGIONS];
} einsum_walk;

norma_status einsum_run_walk(einsum_walk *walk);

/* ---------------------------------------------------------------------------------------------------- for the steps */

/* Memory of `count` elements in a region; NULL while memory is counted. Fails where it cannot be counted. */
norma_status einsum_reserve(einsum_walk *walk, int region, int64_t count, void **memory);
/* The stride of a label; 0 where the view has none. */
int64_t einsum_stride(const einsum_view *view, int label);
/* Elements of all labels of a term; false: more than can be counted. */
bool einsum_count(const einsum_plan *plan, const einsum_term *term, int64_t *count);
/* Strides of a contiguous tensor with the dimensions of these labels. */
void einsum_contiguous(const einsum_plan *plan, einsum_view *view);
/* Copies `from` to `to`, whose data is written. */
norma_status einsum_copy(einsum_walk *walk, const einsum_view *to, const einsum_view *from);
/* Sums `from` over its labels that `to` does not have. to is contiguous. */
norma_status einsum_sum(einsum_walk *walk, const einsum_view *to, const einsum_view *from);
/* to = sum of a * b over the labels that `to` does not have; each of a and b has labels of `to` and shared ones only.
 * Where `place` is a contiguous view of other order, the product may be stored there instead, which *to becomes. */
norma_status einsum_contract(einsum_walk *walk, const einsum_view *a, const einsum_view *b, const einsum_term *kept,
                             int region, const einsum_view *place, einsum_view *to);

#endif
