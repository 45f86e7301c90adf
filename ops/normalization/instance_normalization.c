/*
 * InstanceNormalization 1, 6, 22 (ai.onnx)
 *
 *   Y[n][c] = scale[c] * (X[n][c] - mean) / sqrt(variance + epsilon) + B[c]
 *
 * with mean and (population) variance of each plane X[n][c]. 1 has consumed_inputs as well, which means nothing; 22
 * adds bfloat16. Statistics are taken in double precision.
 */
#include "ops/blocked.h"
#include "ops/half.h"
#include "ops/operator.h"
#include "ops/work.h"

#include <math.h>

typedef struct instance_normalization_state {
  double epsilon;

  /* The plan's: X as samples x channels x pixels. */
  norma_element_type type;
  int64_t samples, channels, pixels;
} instance_normalization_state;

static norma_status instance_normalization_read(const node *node, void *opaque, norma_error *error) {
  instance_normalization_state *state = opaque;
  state->epsilon = (double)attribute_float(node, "epsilon", 1e-5f);
  if (!(state->epsilon >= 0) || isinf(state->epsilon))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "epsilon is %g, which is not a number of at least 0",
                         state->epsilon);
  return NORMA_OK;
}

static norma_status instance_normalization_infer(infer_context *context) {
  static const char *const names[] = {"input", "scale", "B"};
  const shape *x = infer_shape(context, 0);
  TRY(infer_types_since(context, TYPES_BFLOAT16, 22));
  if (x->rank != RANK_UNKNOWN && x->rank < 3)
    return infer_fail(context, "the input has rank %d: it needs a batch, a channel and at least one more axis",
                      x->rank);
  for (int i = 1; i < 3; i++) {
    shape expected = shape_of_rank(1), given = *infer_shape(context, i);
    if (x->rank != RANK_UNKNOWN) expected.dims[0] = x->dims[1];
    char text[200];
    if (!shape_merge(&expected, &given))
      return infer_fail(context, "%s has shape %s but must have one element for each channel", names[i],
                        shape_text(&given, text, sizeof text));
  }
  return infer_same(context);
}

static norma_status instance_normalization_prepare(prepare_context *context) {
  instance_normalization_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  size_t offset;
  state->type = prepare_type(context, 0);
  state->samples = x->dims[0];
  state->channels = x->dims[1];
  state->pixels = dims_product(x->dims, 2, x->rank);
  if (is_half(state->type) &&
      !scratch_append(&context->worker_scratch_bytes, (size_t)state->pixels, sizeof(float), &offset))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "one plane is too large");
  context->kernel_name = "planes";
  context->flops = 6.0 * (double)state->samples * (double)state->channels * (double)state->pixels;
  return NORMA_OK;
}

static void normalize_plane(const run_context *context, double scale, double bias, float *y, const float *x) {
  const struct activation activation = context->node->epilogue.activation;
  const instance_normalization_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  size_t n = (size_t)state->pixels;
  double mean = kernels->sum_f32_to_f64(x, n) / (double)n;
  double variance = kernels->sum_squared_deviations_f32(x, n, mean) / (double)n;
  float factor = (float)(scale / sqrt(variance + state->epsilon)), center = (float)mean;
  /* The mean goes first: as a part of the shift it would cancel digits where it is far larger than the deviation. */
  kernels->binary_right_scalar_f32[BINARY_SUB](y, x, center, n);
  kernels->affine_f32(y, y, NULL, n, factor, (float)(bias + ((double)center - mean) * (double)factor), activation);
}

static void normalize_plane_in_double(const run_context *context, double scale, double bias, double *y,
                                      const double *x) {
  const instance_normalization_state *state = context->state;
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < state->pixels; i++) sum += x[i];
  double mean = sum / (double)state->pixels;
  for (int64_t i = 0; i < state->pixels; i++) squares += (x[i] - mean) * (x[i] - mean);
  double factor = scale / sqrt(squares / (double)state->pixels + state->epsilon);
  for (int64_t i = 0; i < state->pixels; i++) y[i] = (x[i] - mean) * factor + bias;
}

static void normalize_planes(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const instance_normalization_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  const void *x = run_input(context, 0)->data;
  void *y = run_output(context, 0)->data;
  for (int64_t plane = begin; plane < end; plane++) {
    int64_t at = plane * state->pixels, channel = plane % state->channels;
    double scale = element_get_double(state->type, run_input(context, 1)->data, channel);
    double bias = element_get_double(state->type, run_input(context, 2)->data, channel);
    if (state->type == NORMA_DOUBLE) {
      normalize_plane_in_double(context, scale, bias, (double *)y + at, (const double *)x + at);
    } else if (state->type == NORMA_FLOAT) {
      normalize_plane(context, scale, bias, (float *)y + at, (const float *)x + at);
    } else {
      float *values = run_worker_scratch(context, worker);
      half_to_float(kernels, state->type, values, (const uint16_t *)x + at, state->pixels);
      normalize_plane(context, scale, bias, values, values);
      half_from_float(kernels, state->type, (uint16_t *)y + at, values, state->pixels);
    }
  }
}

static norma_status instance_normalization_compute(run_context *context) {
  const instance_normalization_state *state = context->state;
  if (state->pixels == 0) return NORMA_OK;
  return run_parallel(context, state->samples * state->channels, work_grain(2 * WORK_ELEMENT * (double)state->pixels),
                      normalize_planes, context);
}

static const operator_attribute instance_normalization_attributes[] = {
    {"epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"consumed_inputs", ATTRIBUTE_INTS, 1, 5, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool instance_normalization_block(const node *node, block_form *form) {
  return node_follows_block(node) && block_as_inner(node, form, "InstanceNormalization");
}

const operator_descriptor operators_instance_normalization[] = {
    {
        .domain = "",
        .name = "InstanceNormalization",
        .versions = {1, 6, 22},
        .min_inputs = 3,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1) | INPUT(2), OUTPUT(0)}},
        .attributes = instance_normalization_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(instance_normalization_state),
        .read = instance_normalization_read,
        .infer = instance_normalization_infer,
        .prepare = instance_normalization_prepare,
        .facts = {.dimension = fact_dimension_same,
                  .store = {.activation = TYPE_BIT(NORMA_FLOAT)},
                  .block = instance_normalization_block,
                  .block_types = TYPE_BIT(NORMA_FLOAT)},
        .compute = instance_normalization_compute,
    },
    {0},
};
