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
  const struct kernel_table *kernels;
  const norma_tensor *x;
  uint8_t *flags;       /* per element: whether it is not zero */
  int64_t *counts;      /* per piece; of all pieces before it, once counted */
  int64_t count, total; /* of elements; of those that are not zero */
  int64_t *indices;
} non_zero_work;

static bool is_non_zero(const norma_tensor *x, int64_t index) {
  switch (x->type) {
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

/* Integers are zero where the unsigned ones of their size are. */
static norma_element_type flag_type(norma_element_type type) {
  switch (type) {
  case NORMA_BOOL:
  case NORMA_INT8:
    return NORMA_UINT8;
  case NORMA_UINT32:
    return NORMA_INT32;
  case NORMA_UINT64:
    return NORMA_INT64;
  default:
    return type;
  }
}

static void count_piece(void *argument, int64_t begin, int64_t end, int worker) {
  const non_zero_work *work = argument;
  const norma_tensor *x = work->x;
  array_unary_function *flag = array_conversion_find(work->kernels->arrays, flag_type(x->type), NORMA_BOOL);
  int64_t count = 0;
  (void)worker;
  if (flag) {
    flag(work->flags + begin, (const char *)x->data + (size_t)begin * element_type_bytes(x->type),
         (size_t)(end - begin));
  } else {
    for (int64_t i = begin; i < end; i++) work->flags[i] = is_non_zero(x, i);
  }
  for (int64_t i = begin; i < end; i++) count += work->flags[i];
  work->counts[begin / NON_ZERO_GRAIN] = count;
}

/* Coordinates along the last axis, from which all others follow where a row of it begins. */
static void write_piece(void *argument, int64_t begin, int64_t end, int worker) {
  const non_zero_work *work = argument;
  const norma_tensor *x = work->x;
  const int last = x->rank - 1;
  const int64_t length = last < 0 ? 1 : x->dims[last];
  const int64_t piece = begin / NON_ZERO_GRAIN;
  int64_t column = work->counts[piece];
  const int64_t column_end = end < work->count ? work->counts[piece + 1] : work->total;
  (void)worker;
  for (int64_t at = begin, row_end; at < end && last >= 0; at = row_end) {
    const int64_t row = at / length, first = column;
    row_end = (row + 1) * length < end ? (row + 1) * length : end;
    int64_t *along = work->indices + last * work->total;
    for (int64_t i = at; i < row_end && column < column_end; i++) { /* the next one that counts is written over it */
      along[column] = i - row * length;
      column += work->flags[i];
    }
    int64_t rest = row;
    for (int axis = last - 1; axis >= 0; axis--) {
      const int64_t coordinate = rest % x->dims[axis];
      for (int64_t c = first; c < column; c++) work->indices[axis * work->total + c] = coordinate;
      rest /= x->dims[axis];
    }
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
  non_zero_work work = {.kernels = context->kernels, .x = x, .count = count};
  void *counts, *flags;
  TRY(run_allocate_temporary(context, (size_t)pieces * sizeof(int64_t), &counts));
  work.counts = counts;
  TRY(run_allocate_temporary(context, (size_t)count, &flags));
  work.flags = flags;
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
