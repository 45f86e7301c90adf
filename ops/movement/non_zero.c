/*
 * NonZero: the indices of the elements that are not zero, in row-major order, as int64 [rank, count].
 *
 * Version 9; 13: bfloat16. A scalar has no indices: its output is [0, 1] or [0, 0]. Every element type; NaN is not
 * zero, -0 is, and a string is zero when it is empty.
 *
 * The elements are counted first, then written, both in pieces that run in parallel and know from the counts where to
 * write.
 */
#include "ops/operator.h"

#define NON_ZERO_GRAIN 16384 /* elements of one piece */

typedef struct non_zero_work {
  const norma_tensor *x;
  int64_t *counts; /* per piece; of all pieces before it, once counted */
  int64_t total;
  int64_t *indices;
} non_zero_work;

static bool is_non_zero(const norma_tensor *x, int64_t index) {
  switch (x->type) {
  case NORMA_FLOAT:
    return ((const float *)x->data)[index] != 0;
  case NORMA_BOOL:
  case NORMA_INT8:
  case NORMA_UINT8:
    return ((const uint8_t *)x->data)[index] != 0;
  case NORMA_INT32:
  case NORMA_UINT32:
    return ((const uint32_t *)x->data)[index] != 0;
  case NORMA_INT64:
  case NORMA_UINT64:
    return ((const uint64_t *)x->data)[index] != 0;
  case NORMA_STRING:
    return ((const norma_string *)x->data)[index].size != 0;
  case NORMA_COMPLEX64:
    return ((const float *)x->data)[2 * index] != 0 || ((const float *)x->data)[2 * index + 1] != 0;
  case NORMA_COMPLEX128:
    return ((const double *)x->data)[2 * index] != 0 || ((const double *)x->data)[2 * index + 1] != 0;
  default:
    return element_get_double(x->type, x->data, index) != 0;
  }
}

static void count_piece(void *argument, int64_t begin, int64_t end, int worker) {
  const non_zero_work *work = argument;
  (void)worker;
  int64_t count = 0;
  for (int64_t i = begin; i < end; i++) count += is_non_zero(work->x, i);
  work->counts[begin / NON_ZERO_GRAIN] = count;
}

static void write_piece(void *argument, int64_t begin, int64_t end, int worker) {
  const non_zero_work *work = argument;
  (void)worker;
  int64_t column = work->counts[begin / NON_ZERO_GRAIN];
  for (int64_t i = begin; i < end; i++) {
    if (!is_non_zero(work->x, i)) continue;
    int64_t rest = i;
    for (int axis = work->x->rank - 1; axis >= 0; axis--) {
      work->indices[axis * work->total + column] = rest % work->x->dims[axis];
      rest /= work->x->dims[axis];
    }
    column++;
  }
}

static norma_status non_zero_infer(infer_context *context) {
  int rank = infer_shape(context, 0)->rank;
  shape result = shape_of_rank(2);
  if (rank != RANK_UNKNOWN) result.dims[0] = rank;
  infer_output(context, 0, NORMA_INT64, &result);
  return NORMA_OK;
}

static norma_status non_zero_compute(run_context *context) {
  const norma_tensor *x = run_input(context, 0);
  int64_t count = norma_tensor_count(x), pieces = (count + NON_ZERO_GRAIN - 1) / NON_ZERO_GRAIN;
  non_zero_work work = {.x = x};
  void *counts;
  TRY(run_allocate_temporary(context, (size_t)pieces * sizeof(int64_t), &counts));
  work.counts = counts;
  TRY(run_parallel(context, count, NON_ZERO_GRAIN, count_piece, &work));
  for (int64_t i = 0; i < pieces; i++) {
    int64_t found = work.counts[i];
    work.counts[i] = work.total;
    work.total += found;
  }
  norma_tensor *y;
  shape result = shape_make(2, (int64_t[]){x->rank, work.total});
  TRY(run_allocate_output(context, 0, NORMA_INT64, &result, &y));
  work.indices = y->data;
  return run_parallel(context, count, NON_ZERO_GRAIN, write_piece, &work);
}

const operator_descriptor operators_non_zero[] = {
    {
        .domain = "",
        .name = "NonZero",
        .versions = {9, 13},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_ALL, INPUT(0), 0}},
        .infer = non_zero_infer,
        .compute = non_zero_compute,
    },
    {0},
};
