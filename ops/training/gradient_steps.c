/*
 * Inner operators that derivatives are made of, where ai.onnx has none:
 *
 *   SumTo(A, like)                A summed over the axes along which the shape of `like` is broadcast to that of A
 *   Positions(X)                  0, 1, 2 .. in the shape of X
 *   ScatterSum(A, indices, like)  zeros in the shape of `like`, to which each element of A is added at its index in
 *                                 row-major order; elements with an index of -1 are left out
 *
 * Of `like` and X only the shape counts. Sums are in double, in row-major order of A. float16, bfloat16, float, double.
 */
#include "ops/strided.h"
#include "ops/training/gradient.h"
#include "ops/work.h"

#include <inttypes.h>

/* ------------------------------------------------------------------------------------------------------------ SumTo */

static norma_status sum_to_infer(infer_context *context) {
  const shape *a = infer_shape(context, 0), *like = infer_shape(context, 1);
  shape common;
  if (!shape_broadcast(a, like, &common) || !shape_merge(&common, a)) {
    char texts[2][100];
    return infer_fail(context, "%s is not broadcast to %s", shape_text(like, texts[0], sizeof texts[0]),
                      shape_text(a, texts[1], sizeof texts[1]));
  }
  infer_output(context, 0, infer_type(context, 0), like);
  return NORMA_OK;
}

/* The axes of A as those that stay and those that are summed over, each with strides of A. */
typedef struct sum_to_job {
  run_context *context;
  const norma_tensor *a;
  norma_tensor *y;
  int kept, summed; /* axes */
  int64_t kept_dims[NORMA_MAX_RANK], kept_strides[NORMA_MAX_RANK];
  int64_t summed_dims[NORMA_MAX_RANK], summed_strides[NORMA_MAX_RANK];
  int64_t terms; /* of one sum */
} sum_to_job;

static void sum_to_plan(sum_to_job *job, const norma_tensor *like) {
  const norma_tensor *a = job->a;
  int64_t stride = 1;
  job->terms = 1;
  for (int i = a->rank - 1, k = like->rank - 1; i >= 0; i--, k--) {
    const bool is_summed = k < 0 || like->dims[k] != a->dims[i];
    int *count = is_summed ? &job->summed : &job->kept;
    int64_t *dims = is_summed ? job->summed_dims : job->kept_dims;
    int64_t *strides = is_summed ? job->summed_strides : job->kept_strides;
    if (is_summed) job->terms *= a->dims[i];
    /* innermost first; an axis that continues the one before joins it */
    if (*count > 0 && strides[*count - 1] * dims[*count - 1] == stride && dims[*count - 1] > 0) {
      dims[*count - 1] *= a->dims[i];
    } else {
      dims[*count] = a->dims[i];
      strides[(*count)++] = stride;
    }
    stride *= a->dims[i];
  }
}

/* Where element `index` of these axes lies. */
static int64_t sum_to_offset(int axes, const int64_t *dims, const int64_t *strides, int64_t index) {
  int64_t offset = 0;
  for (int i = 0; i < axes; i++) {
    offset += index % dims[i] * strides[i];
    index /= dims[i];
  }
  return offset;
}

static double sum_to_row(const norma_tensor *a, int64_t first, int64_t stride, int64_t count, double sum) {
  if (a->type == NORMA_FLOAT) {
    const float *data = (const float *)a->data + first;
    for (int64_t i = 0; i < count; i++) sum += (double)data[i * stride];
  } else {
    for (int64_t i = 0; i < count; i++) sum += element_get_double(a->type, a->data, first + i * stride);
  }
  return sum;
}

static void sum_to_range(void *argument, int64_t begin, int64_t end, int worker) {
  const sum_to_job *job = argument;
  const int64_t length = job->summed > 0 ? job->summed_dims[0] : 1;
  const int64_t stride = job->summed > 0 ? job->summed_strides[0] : 1;
  const int64_t rows = job->terms > 0 ? job->terms / length : 0;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t first = sum_to_offset(job->kept, job->kept_dims, job->kept_strides, i);
    double sum = 0;
    for (int64_t row = 0; row < rows; row++) {
      if (work_interrupted(job->context, row)) return;
      const int64_t at = sum_to_offset(job->summed - 1, job->summed_dims + 1, job->summed_strides + 1, row);
      sum = sum_to_row(job->a, first + at, stride, length, sum);
    }
    element_set_double(job->y->type, job->y->data, i, sum);
  }
}

static norma_status sum_to_compute(run_context *context) {
  sum_to_job job = {.context = context, .a = run_input(context, 0), .y = run_output(context, 0)};
  sum_to_plan(&job, run_input(context, 1));
  return run_parallel(context, norma_tensor_count(job.y), work_grain((double)job.terms * WORK_ELEMENT), sum_to_range,
                      &job);
}

/* -------------------------------------------------------------------------------------------------------- Positions */

static norma_status positions_infer(infer_context *context) {
  infer_output(context, 0, NORMA_INT64, infer_shape(context, 0));
  return NORMA_OK;
}

static norma_status positions_compute(run_context *context) {
  const norma_tensor *y = run_output(context, 0);
  const int64_t count = norma_tensor_count(y);
  int64_t *positions = y->data;
  for (int64_t i = 0; i < count; i++) {
    TRY(work_poll(context, i));
    positions[i] = i;
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------- ScatterSum */

static norma_status scatter_sum_infer(infer_context *context) {
  infer_output(context, 0, infer_type(context, 0), infer_shape(context, 2));
  return NORMA_OK;
}

static norma_status scatter_sum_check(run_context *context, int64_t places) {
  const norma_tensor *a = run_input(context, 0), *indices = run_input(context, 1);
  const int64_t count = norma_tensor_count(a), *at = indices->data;
  if (norma_tensor_count(indices) != count) {
    return run_fail(context, NORMA_ERROR_RUN, "%" PRId64 " indices for %" PRId64 " elements",
                    norma_tensor_count(indices), count);
  }
  for (int64_t i = 0; i < count; i++) {
    TRY(work_poll(context, i));
    if (at[i] >= -1 && at[i] < places) continue;
    return run_fail(context, NORMA_ERROR_RUN, "index %" PRId64 " is outside of %" PRId64 " elements", at[i], places);
  }
  return NORMA_OK;
}

/* In double in `sums`, which are the output where that is of double. */
static norma_status scatter_sum_compute(run_context *context) {
  const norma_tensor *a = run_input(context, 0), *y = run_output(context, 0);
  const int64_t places = norma_tensor_count(y), count = norma_tensor_count(a);
  const int64_t *at = run_input(context, 1)->data;
  void *sums = y->data;
  TRY(scatter_sum_check(context, places));
  if (y->type != NORMA_DOUBLE) TRY(run_allocate_temporary(context, (size_t)places * sizeof(double), &sums));
  double *sum = sums;
  for (int64_t i = 0; i < places; i++) sum[i] = 0;
  for (int64_t i = 0; i < count; i++) {
    TRY(work_poll(context, i));
    if (at[i] >= 0) sum[at[i]] += element_get_double(a->type, a->data, i);
  }
  if (y->type != NORMA_DOUBLE) elements_from_double(y->type, y->data, 0, places, sum);
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ rules */

static void gradient_of_sum_to(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  if (b->wanted[0]) dx[0] = gradient_expand(b, g[0], n->inputs[0]);
}

static void gradient_of_scatter_sum(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  if (!b->wanted[0]) return;
  graph_value *indices = n->inputs[1], *none = gradient_number(b, indices, 0);
  graph_value *flat = gradient_make(b, "Reshape", 2, g[0], gradient_list(b, (int64_t[]){-1}, 1));
  graph_value *is_there = gradient_make(b, "GreaterOrEqual", 2, indices, none);
  graph_value *taken = gradient_make(b, "Gather", 2, flat, gradient_make(b, "Max", 2, indices, none));
  dx[0] = gradient_reshape(b, gradient_where(b, is_there, taken, n->inputs[0]), n->inputs[0]);
}

const gradient_entry gradient_of_steps[] = {
    {"SumTo", 1, gradient_of_sum_to},
    {"ScatterSum", 1, gradient_of_scatter_sum},
    {0},
};

/* ------------------------------------------------------------------------------------------------------- descriptor */

const operator_descriptor operators_gradient_steps[] = {
    {.domain = OPERATOR_INNER_DOMAIN,
     .name = "SumTo",
     .versions = {1},
     .min_inputs = 2,
     .max_inputs = 2,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
     .infer = sum_to_infer,
     .facts = {.is_identity = fact_keeps_shape},
     .compute = sum_to_compute},
    {.name = "Positions",
     .domain = OPERATOR_INNER_DOMAIN,
     .versions = {1},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .flags = OPERATOR_SHAPE_ONLY,
     .infer = positions_infer,
     .compute = positions_compute},
    {.name = "ScatterSum",
     .domain = OPERATOR_INNER_DOMAIN,
     .versions = {1},
     .min_inputs = 3,
     .max_inputs = 3,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}, {TYPE_BIT(NORMA_INT64), INPUT(1), 0}},
     .infer = scatter_sum_infer,
     .compute = scatter_sum_compute},
    {0},
};
