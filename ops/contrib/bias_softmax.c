/*
 * BiasSoftmax 1 (com.microsoft): output = softmax(data + bias) over all axes from `axis` on, taken as one.
 *
 * data is rows of these axes; bias has fewer rows. With is_inner_broadcast each of them belongs to neighbouring rows of
 * data (bias has 1 in axes right before `axis`), else they are repeated as a whole (it has 1, or nothing, in the first
 * axes). float and half precision are computed in float, double in double.
 */
#include "ops/half.h"
#include "ops/normalization/softmax.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

typedef struct bias_softmax_state {
  int64_t axis;
  bool is_inner;

  /* The plan's. */
  int64_t rows, count, bias_rows;
  size_t row_at, bias_at; /* in worker scratch */
} bias_softmax_state;

static norma_status bias_softmax_read(const node *node, void *opaque, norma_error *error) {
  bias_softmax_state *state = opaque;
  (void)error;
  state->axis = attribute_int(node, "axis", 1);
  state->is_inner = attribute_int(node, "is_inner_broadcast", 0) != 0;
  return NORMA_OK;
}

/* Rows of bias for rows of data; 0 where they do not fit. */
static int64_t bias_softmax_rows(const shape *bias, int64_t rows, int64_t count) {
  int64_t elements = shape_count(bias);
  if (count == 0 || rows == 0) return 1;
  if (elements <= 0 || elements % count != 0 || rows % (elements / count) != 0) return 0;
  return elements / count;
}

static norma_status bias_softmax_infer(infer_context *context) {
  const bias_softmax_state *state = context->state;
  const shape *data = infer_shape(context, 0), *bias = infer_shape(context, 1);
  char texts[2][100];
  int axis;
  if (data->rank != RANK_UNKNOWN && !axis_normalize(state->axis, data->rank, &axis))
    return infer_fail(context, "axis %" PRId64 " does not exist in data of rank %d", state->axis, data->rank);
  if (shape_is_known(data) && shape_is_known(bias) && shape_count(data) != DIM_UNKNOWN) {
    int64_t rows = dims_product(data->dims, 0, axis), count = dims_product(data->dims, axis, data->rank);
    if (bias_softmax_rows(bias, rows, count) == 0)
      return infer_fail(context, "bias of shape %s does not fit data of shape %s",
                        shape_text(bias, texts[0], sizeof texts[0]), shape_text(data, texts[1], sizeof texts[1]));
  }
  return infer_same(context);
}

static norma_status bias_softmax_prepare(prepare_context *context) {
  bias_softmax_state *state = context->state;
  const shape *data = prepare_shape(context, 0);
  int axis = 0;
  axis_normalize(state->axis, data->rank, &axis);
  state->rows = dims_product(data->dims, 0, axis);
  state->count = dims_product(data->dims, axis, data->rank);
  state->bias_rows = bias_softmax_rows(prepare_shape(context, 1), state->rows, state->count);
  size_t element = prepare_type(context, 0) == NORMA_DOUBLE ? sizeof(double) : sizeof(float);
  if (!scratch_append(&context->worker_scratch_bytes, (size_t)state->count, element, &state->row_at) ||
      !scratch_append(&context->worker_scratch_bytes, (size_t)state->count, element, &state->bias_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "one row is too large");
  context->kernel_name = "rows";
  context->flops = 6.0 * (double)state->rows * (double)state->count;
  return NORMA_OK;
}

static void bias_softmax_double(double *y, const double *x, const double *bias, int64_t count) {
  double most = -INFINITY, sum = 0;
  for (int64_t i = 0; i < count; i++) {
    y[i] = x[i] + bias[i];
    most = y[i] > most ? y[i] : most;
  }
  for (int64_t i = 0; i < count; i++) sum += y[i] = exp(y[i] - most);
  for (int64_t i = 0; i < count; i++) y[i] /= sum;
}

static void bias_softmax_lines(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const bias_softmax_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  const norma_tensor *x = run_input(context, 0), *bias = run_input(context, 1);
  norma_tensor *y = run_output(context, 0);
  char *scratch = run_worker_scratch(context, worker);
  float *row = (float *)(scratch + state->row_at), *addend = (float *)(scratch + state->bias_at);
  int64_t count = state->count, repeats = state->rows / state->bias_rows;
  size_t bytes = element_type_bytes(x->type);
  for (int64_t i = begin; i < end; i++) {
    int64_t of_bias = (state->is_inner ? i / repeats : i % state->bias_rows) * count;
    if (x->type == NORMA_DOUBLE) {
      bias_softmax_double((double *)y->data + i * count, (const double *)x->data + i * count,
                          (const double *)bias->data + of_bias, count);
      continue;
    }
    float_from(kernels, x->type, row, (const char *)x->data + (size_t)(i * count) * bytes, count);
    float_from(kernels, bias->type, addend, (const char *)bias->data + (size_t)of_bias * bytes, count);
    kernels->binary_f32[BINARY_ADD](row, row, addend, (size_t)count);
    softmax_float_lines(kernels, SOFTMAX, row, row, 1, count);
    float_to(kernels, y->type, (char *)y->data + (size_t)(i * count) * bytes, row, count);
  }
}

static norma_status bias_softmax_compute(run_context *context) {
  const bias_softmax_state *state = context->state;
  if (state->count == 0) return NORMA_OK;
  return run_parallel(context, state->rows, work_grain(2 * WORK_ELEMENT * (double)state->count), bias_softmax_lines,
                      context);
}

static const operator_attribute bias_softmax_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"is_inner_broadcast", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_bias_softmax[] = {
    {
        .domain = "com.microsoft",
        .name = "BiasSoftmax",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1), OUTPUT(0)}},
        .attributes = bias_softmax_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(bias_softmax_state),
        .read = bias_softmax_read,
        .infer = bias_softmax_infer,
        .prepare = bias_softmax_prepare,
        .facts = {.dimension = fact_dimension_same},
        .compute = bias_softmax_compute,
    },
    {0},
};
