/*
 * SkipLayerNormalization 1, SkipSimplifiedLayerNormalization 1 (com.microsoft)
 *
 *   sum = input + skip + bias
 *   output = (sum - mean) / sqrt(variance + epsilon) * gamma + beta
 *   output = sum / sqrt(mean of sum^2 + epsilon) * gamma              (the simplified one)
 *
 * over the last axis. skip has the shape of input, or 1 in place of the first axis, or lacks it. Outputs 1 and 2 are
 * mean and 1 / sqrt(..) of each row, float; output 3 is the sum. Half precision is computed in float, double in double.
 */
#include "ops/operator.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

typedef struct skip_layer_state {
  bool is_rms;
  double epsilon;
  int gamma, beta, bias; /* inputs; beta 0: none */

  /* The plan's. */
  int64_t rows, count, skip_rows;
  size_t sum_at, other_at, gamma_at, beta_at, bias_at; /* in worker scratch */
} skip_layer_state;

static norma_status skip_layer_read(const node *node, void *opaque, norma_error *error) {
  skip_layer_state *state = opaque;
  state->is_rms = strcmp(node->op_type, "SkipSimplifiedLayerNormalization") == 0;
  state->epsilon = (double)attribute_float(node, "epsilon", 1e-12f);
  state->gamma = 2;
  state->beta = state->is_rms ? 0 : 3;
  state->bias = state->is_rms ? 3 : 4;
  if (!(state->epsilon >= 0) || isinf(state->epsilon))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "epsilon is %g, which is not a number of at least 0",
                         state->epsilon);
  return NORMA_OK;
}

static norma_status skip_layer_infer(infer_context *context) {
  const shape *x = infer_shape(context, 0), *skip = infer_shape(context, 1);
  shape statistics = *x, row = shape_of_rank(1), together = *x;
  char texts[2][100];
  if (x->rank == 0) return infer_fail(context, "the input is a scalar");
  if (x->rank > 0) {
    row.dims[0] = x->dims[x->rank - 1];
    statistics.dims[x->rank - 1] = 1;
  }
  shape shorter = shape_unknown(), repeated = *x;
  if (x->rank > 0) shorter = shape_make(x->rank - 1, x->dims + 1);
  if (x->rank > 0) repeated.dims[0] = 1;
  bool fits =
      shape_merge(&together, skip) || (x->rank > 1 && (shape_merge(&repeated, skip) || shape_merge(&shorter, skip)));
  if (!fits)
    return infer_fail(context, "skip of shape %s does not fit an input of shape %s",
                      shape_text(skip, texts[0], sizeof texts[0]), shape_text(x, texts[1], sizeof texts[1]));
  for (int i = 2; i < context->input_count; i++) {
    shape expected = row;
    if (!shape_merge(&expected, infer_shape(context, i)))
      return infer_fail(context, "input %d of shape %s does not fit an input of shape %s", i,
                        shape_text(infer_shape(context, i), texts[0], sizeof texts[0]),
                        shape_text(x, texts[1], sizeof texts[1]));
  }
  infer_output(context, 0, infer_type(context, 0), x);
  infer_output(context, 1, NORMA_FLOAT, &statistics);
  infer_output(context, 2, NORMA_FLOAT, &statistics);
  infer_output(context, 3, infer_type(context, 0), x);
  return NORMA_OK;
}

static norma_status skip_layer_prepare(prepare_context *context) {
  skip_layer_state *state = context->state;
  const shape *x = prepare_shape(context, 0), *skip = prepare_shape(context, 1);
  size_t *total = &context->worker_scratch_bytes;
  size_t element = prepare_type(context, 0) == NORMA_DOUBLE ? sizeof(double) : sizeof(float);
  state->count = x->dims[x->rank - 1];
  state->rows = dims_product(x->dims, 0, x->rank - 1);
  state->skip_rows = dims_product(skip->dims, 0, skip->rank - 1);
  size_t count = (size_t)state->count;
  if (!scratch_append(total, count, element, &state->sum_at) ||
      !scratch_append(total, count, element, &state->other_at) ||
      !scratch_append(total, count, element, &state->gamma_at) ||
      !scratch_append(total, count, element, &state->beta_at) ||
      !scratch_append(total, count, element, &state->bias_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "one row is too large");
  context->kernel_name = "rows";
  context->flops = 8.0 * (double)state->rows * (double)state->count;
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* Rows in float or double; gamma, beta and bias NULL where there are none. */
struct skip_layer_rows {
  run_context *context;
  void *sum, *other; /* of a row */
  const void *gamma, *beta, *bias;
};

static void skip_layer_float(const struct skip_layer_rows *rows, int64_t row) {
  run_context *context = rows->context;
  const skip_layer_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  const norma_tensor *x = run_input(context, 0), *skip = run_input(context, 1);
  norma_tensor *y = run_output(context, 0), *mean = run_output(context, 1), *inverse = run_output(context, 2);
  norma_tensor *total = run_output(context, 3);
  size_t n = (size_t)state->count;
  float *sum = rows->sum, *other = rows->other;
  elements_to_float(x->type, x->data, row * state->count, state->count, sum);
  elements_to_float(skip->type, skip->data, row % state->skip_rows * state->count, state->count, other);
  kernels->binary_f32[BINARY_ADD](sum, sum, other, n);
  if (rows->bias) kernels->binary_f32[BINARY_ADD](sum, sum, rows->bias, n);
  if (total) elements_from_float(total->type, total->data, row * state->count, state->count, sum);
  if (n == 0) return;
  const struct row_moments moments = kernels->row_moments_f32(sum, n, !state->is_rms);
  double center = moments.mean, factor = 1 / sqrt(moments.variance + state->epsilon);
  kernels->normalize_row_f32(sum, sum, n, (float)center, (float)factor, rows->gamma, rows->beta);
  elements_from_float(y->type, y->data, row * state->count, state->count, sum);
  if (mean) ((float *)mean->data)[row] = (float)center;
  if (inverse) ((float *)inverse->data)[row] = (float)factor;
}

static void skip_layer_double(const struct skip_layer_rows *rows, int64_t row) {
  run_context *context = rows->context;
  const skip_layer_state *state = context->state;
  const double *x = (const double *)run_input(context, 0)->data + row * state->count;
  const double *skip = (const double *)run_input(context, 1)->data + row % state->skip_rows * state->count;
  const double *gamma = rows->gamma, *beta = rows->beta, *bias = rows->bias;
  double *y = (double *)run_output(context, 0)->data + row * state->count, *sum = rows->sum, center = 0, squares = 0;
  norma_tensor *mean = run_output(context, 1), *inverse = run_output(context, 2), *total = run_output(context, 3);
  for (int64_t i = 0; i < state->count; i++) sum[i] = x[i] + skip[i] + (bias ? bias[i] : 0);
  if (total) memcpy((double *)total->data + row * state->count, sum, (size_t)state->count * sizeof *sum);
  for (int64_t i = 0; i < state->count && !state->is_rms; i++) center += sum[i] / (double)state->count;
  for (int64_t i = 0; i < state->count; i++) squares += (sum[i] - center) * (sum[i] - center) / (double)state->count;
  double factor = 1 / sqrt(squares + state->epsilon);
  for (int64_t i = 0; i < state->count; i++) y[i] = (sum[i] - center) * factor * gamma[i] + (beta ? beta[i] : 0);
  if (mean) ((float *)mean->data)[row] = (float)center;
  if (inverse) ((float *)inverse->data)[row] = (float)factor;
}

/* An input of one row in the precision of the computation. */
static const void *skip_layer_vector(run_context *context, int index, bool in_double, void *row) {
  const norma_tensor *tensor = index ? run_input(context, index) : NULL;
  const skip_layer_state *state = context->state;
  if (!tensor) return NULL;
  if (in_double) return tensor->data;
  elements_to_float(tensor->type, tensor->data, 0, state->count, row);
  return row;
}

static void skip_layer_rows(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const skip_layer_state *state = context->state;
  bool in_double = run_input(context, 0)->type == NORMA_DOUBLE;
  char *scratch = run_worker_scratch(context, worker);
  struct skip_layer_rows rows = {
      .context = context, .sum = scratch + state->sum_at, .other = scratch + state->other_at};
  rows.gamma = skip_layer_vector(context, state->gamma, in_double, scratch + state->gamma_at);
  rows.beta = skip_layer_vector(context, state->beta, in_double, scratch + state->beta_at);
  rows.bias = skip_layer_vector(context, state->bias, in_double, scratch + state->bias_at);
  for (int64_t row = begin; row < end; row++) (in_double ? skip_layer_double : skip_layer_float)(&rows, row);
}

static norma_status skip_layer_compute(run_context *context) {
  const skip_layer_state *state = context->state;
  if (state->count == 0) return NORMA_OK;
  /* Converting gamma and the others once for each piece of work should not show. */
  int64_t grain = work_grain(3 * WORK_ELEMENT * (double)state->count);
  return run_parallel(context, state->rows, grain < 4 ? 4 : grain, skip_layer_rows, context);
}

static const operator_attribute skip_layer_attributes[] = {
    {"epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {0},
};

#define SKIP_LAYER(op, most, all)                                                                                      \
  {                                                                                                                    \
    .domain = "com.microsoft", .name = op, .versions = {1}, .min_inputs = 3, .max_inputs = most, .min_outputs = 1,     \
    .max_outputs = 4, .types = {{TYPES_FLOAT, all, OUTPUT(0) | OUTPUT(3)}}, .attributes = skip_layer_attributes,       \
    .state_size = sizeof(skip_layer_state), .read = skip_layer_read, .infer = skip_layer_infer,                        \
    .prepare = skip_layer_prepare, .facts = {.dimension = fact_dimension_same}, .compute = skip_layer_compute,         \
  }

const operator_descriptor operators_skip_layer_normalization[] = {
    SKIP_LAYER("SkipLayerNormalization", 5, INPUT(0) | INPUT(1) | INPUT(2) | INPUT(3) | INPUT(4)),
    SKIP_LAYER("SkipSimplifiedLayerNormalization", 4, INPUT(0) | INPUT(1) | INPUT(2) | INPUT(3)),
    {0},
};
