/*
 * GroupNormalization 18, 21 (ai.onnx)
 *
 *   Y[n][c] = scale * (X[n][c] - mean) / sqrt(variance + epsilon) + bias
 *
 * with mean and (population) variance of each group of adjacent channels of a sample. In 18 scale and bias have one
 * element for each group, since 21 one for each channel. Statistics are taken in double precision whatever stash_type
 * says.
 */
#include "ops/half.h"
#include "ops/operator.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

typedef struct group_normalization_state {
  double epsilon;
  int64_t groups;
  bool per_group; /* scale and bias */

  /* The plan's: X as samples x groups x channels x pixels. */
  norma_element_type type;
  int64_t samples, channels, pixels;
} group_normalization_state;

static norma_status group_normalization_read(const node *node, void *opaque, norma_error *error) {
  group_normalization_state *state = opaque;
  state->epsilon = (double)attribute_float(node, "epsilon", 1e-5f);
  state->groups = attribute_int(node, "num_groups", 0);
  state->per_group = node->version < 21;
  if (state->groups < 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "num_groups is %" PRId64 " but must be at least 1",
                         state->groups);
  if (!(state->epsilon >= 0) || isinf(state->epsilon))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "epsilon is %g, which is not a number of at least 0",
                         state->epsilon);
  return NORMA_OK;
}

static norma_status group_normalization_infer(infer_context *context) {
  const group_normalization_state *state = context->state;
  const shape *x = infer_shape(context, 0);
  int64_t channels = x->rank > 1 ? x->dims[1] : DIM_UNKNOWN;
  if (x->rank != RANK_UNKNOWN && x->rank < 2)
    return infer_fail(context, "X has rank %d but needs a batch and a channel axis", x->rank);
  if (channels != DIM_UNKNOWN && channels % state->groups != 0)
    return infer_fail(context, "%" PRId64 " channels cannot be split in %" PRId64 " groups", channels, state->groups);
  for (int i = 1; i < 3; i++) {
    shape expected = shape_of_rank(1);
    char text[200];
    expected.dims[0] = state->per_group ? state->groups : channels;
    if (!shape_merge(&expected, infer_shape(context, i)))
      return infer_fail(context, "%s has shape %s but must have one element for each %s", i == 1 ? "scale" : "bias",
                        shape_text(infer_shape(context, i), text, sizeof text), state->per_group ? "group" : "channel");
  }
  return infer_same(context);
}

static norma_status group_normalization_prepare(prepare_context *context) {
  group_normalization_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  size_t offset, element = sizeof(float);
  state->type = prepare_type(context, 0);
  state->samples = x->dims[0];
  state->channels = x->dims[1] / state->groups;
  state->pixels = dims_product(x->dims, 2, x->rank);
  if (is_half(state->type) &&
      !scratch_append(&context->worker_scratch_bytes, (size_t)(state->channels * state->pixels), element, &offset))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "one group is too large");
  context->kernel_name = "groups";
  context->flops = 6.0 * (double)state->samples * (double)x->dims[1] * (double)state->pixels;
  return NORMA_OK;
}

/* Element of scale (1) or bias (2) for channel `channel` of all. */
static double group_parameter(const run_context *context, int input, int64_t channel) {
  const group_normalization_state *state = context->state;
  const norma_tensor *tensor = run_input(context, input);
  return element_get_double(tensor->type, tensor->data, state->per_group ? channel / state->channels : channel);
}

static void normalize_group(const run_context *context, int64_t group, float *y, const float *x) {
  const group_normalization_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  const struct activation activation = context->node->epilogue.activation;
  size_t count = (size_t)(state->channels * state->pixels), pixels = (size_t)state->pixels;
  double mean = kernels->sum_f32_to_f64(x, count) / (double)count;
  double variance = kernels->sum_squared_deviations_f32(x, count, mean) / (double)count;
  double inverse = 1 / sqrt(variance + state->epsilon);
  float center = (float)mean;
  kernels->binary_right_scalar_f32[BINARY_SUB](y, x, center, count);
  for (int64_t c = 0; c < state->channels; c++) {
    double gain = group_parameter(context, 1, group * state->channels + c) * inverse;
    double shift = group_parameter(context, 2, group * state->channels + c) + ((double)center - mean) * gain;
    float *plane = y + c * state->pixels;
    kernels->affine_f32(plane, plane, NULL, pixels, (float)gain, (float)shift, activation);
  }
}

static void normalize_group_in_double(const run_context *context, int64_t group, double *y, const double *x) {
  const group_normalization_state *state = context->state;
  int64_t count = state->channels * state->pixels;
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < count; i++) sum += x[i];
  double mean = sum / (double)count;
  for (int64_t i = 0; i < count; i++) squares += (x[i] - mean) * (x[i] - mean);
  double inverse = 1 / sqrt(squares / (double)count + state->epsilon);
  for (int64_t i = 0; i < count; i++) {
    int64_t channel = group * state->channels + i / state->pixels;
    y[i] = (x[i] - mean) * inverse * group_parameter(context, 1, channel) + group_parameter(context, 2, channel);
  }
}

static void normalize_groups(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const group_normalization_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  const void *x = run_input(context, 0)->data;
  void *y = run_output(context, 0)->data;
  int64_t count = state->channels * state->pixels;
  for (int64_t i = begin; i < end; i++) {
    int64_t at = i * count, group = i % state->groups;
    if (state->type == NORMA_DOUBLE) {
      normalize_group_in_double(context, group, (double *)y + at, (const double *)x + at);
    } else if (state->type == NORMA_FLOAT) {
      normalize_group(context, group, (float *)y + at, (const float *)x + at);
    } else {
      float *values = run_worker_scratch(context, worker);
      half_to_float(kernels, state->type, values, (const uint16_t *)x + at, count);
      normalize_group(context, group, values, values);
      half_from_float(kernels, state->type, (uint16_t *)y + at, values, count);
    }
  }
}

static norma_status group_normalization_compute(run_context *context) {
  const group_normalization_state *state = context->state;
  int64_t count = state->channels * state->pixels;
  if (count == 0) return NORMA_OK;
  return run_parallel(context, state->samples * state->groups, work_grain(2 * WORK_ELEMENT * (double)count),
                      normalize_groups, context);
}

static const operator_attribute group_normalization_attributes[] = {
    {"epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"num_groups", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"stash_type", ATTRIBUTE_INT, 21, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_group_normalization[] = {
    {
        .domain = "",
        .name = "GroupNormalization",
        .versions = {18, 21},
        .min_inputs = 3,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1) | INPUT(2), OUTPUT(0)}},
        .attributes = group_normalization_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(group_normalization_state),
        .read = group_normalization_read,
        .infer = group_normalization_infer,
        .prepare = group_normalization_prepare,
        .facts = {.dimension = fact_dimension_same, .store = {.activation = TYPE_BIT(NORMA_FLOAT)}},
        .compute = group_normalization_compute,
    },
    {0},
};
