/*
 * Scaler 1 (ai.onnx.ml): Y = (X - offset) * scale, in float.
 *
 * offset and scale have one element for all elements of X, or one for each along its last axis; either may be absent. X
 * is float, double, int32 or int64; all but float are computed in double and rounded once.
 *
 * The two lists are written out several times, one behind the other, so that short rows are computed together.
 */
#include "ops/ml/features.h"
#include "ops/work.h"

#include <inttypes.h>

#define SCALER_PATTERN 512 /* least length of the lists written out */

typedef struct scaler_state {
  size_t count;    /* of scale and offset, the longer one */
  int64_t pattern; /* elements of the lists written out, a multiple of count */
  float *scale, *offset;
} scaler_state;

static float *scaler_write_out(const node *node, const float *list, size_t given, float otherwise, int64_t pattern) {
  float *result = region_array(node->graph->region, (size_t)pattern, sizeof *result);
  for (int64_t i = 0; result && i < pattern; i++) result[i] = given ? list[(size_t)i % given] : otherwise;
  return result;
}

static norma_status scaler_read(const node *node, void *opaque, norma_error *error) {
  scaler_state *state = opaque;
  size_t scales, offsets;
  const float *scale = attribute_floats(node, "scale", &scales), *offset = attribute_floats(node, "offset", &offsets);
  if (scales > 1 && offsets > 1 && scales != offsets)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu scales and %zu offsets", scales, offsets);
  state->count = scales > 1 ? scales : offsets > 1 ? offsets : 1;
  state->pattern = (int64_t)(state->count * (size_t)divide_up(SCALER_PATTERN, (int64_t)state->count));
  state->scale = scaler_write_out(node, scale, scales, 1, state->pattern);
  state->offset = scaler_write_out(node, offset, offsets, 0, state->pattern);
  return state->scale && state->offset ? NORMA_OK : region_error(node->graph->region, error);
}

static norma_status scaler_infer(infer_context *context) {
  const scaler_state *state = context->state;
  const shape *x = infer_shape(context, 0);
  const int64_t features = x->rank > 0 ? x->dims[x->rank - 1] : x->rank == 0 ? 1 : DIM_UNKNOWN;
  if (state->count != 1 && features != DIM_UNKNOWN && (int64_t)state->count != features)
    return infer_fail(context, "has scale and offset of %zu features, X has %" PRId64, state->count, features);
  return infer_same_in_float(context);
}

static void scaler_body(void *argument, int64_t begin, int64_t end, int worker) {
  const run_context *context = argument;
  const scaler_state *state = context->state;
  const norma_tensor *x = run_input(context, 0);
  float *y = run_output(context, 0)->data;
  (void)worker;
  for (int64_t first = begin, count; first < end; first += count) {
    count = end - first < state->pattern ? end - first : state->pattern;
    if (x->type == NORMA_FLOAT) {
      context->kernels->binary_f32[BINARY_SUB](y + first, (const float *)x->data + first, state->offset, (size_t)count);
      context->kernels->binary_f32[BINARY_MUL](y + first, y + first, state->scale, (size_t)count);
      continue;
    }
    for (int64_t i = 0; i < count; i++) {
      double element;
      features_to_double(x->type, x->data, first + i, 1, &element);
      y[first + i] = (float)((element - (double)state->offset[i]) * (double)state->scale[i]);
    }
  }
}

static norma_status scaler_compute(run_context *context) {
  const scaler_state *state = context->state;
  if (!context->outputs[0]) return NORMA_OK;
  const int64_t patterns = divide_up(16384, state->pattern); /* pieces begin with a pattern */
  return run_parallel(context, norma_tensor_count(run_input(context, 0)), patterns * state->pattern, scaler_body,
                      context);
}

static const operator_attribute scaler_attributes[] = {
    {"scale", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"offset", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_scaler[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "Scaler",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FEATURES, INPUT(0), 0}},
        .attributes = scaler_attributes,
        .state_size = sizeof(scaler_state),
        .read = scaler_read,
        .infer = scaler_infer,
        .facts = {.dimension = fact_dimension_same},
        .compute = scaler_compute,
    },
    {0},
};
