/*
 * DynamicQuantizeLinear 11 (ai.onnx): float to uint8, the scale chosen so that all of x and 0 fit.
 *
 *   y_scale = (max(0, max x) - min(0, min x)) / 255; 1 / 255 where that is 0
 *   y_zero_point = saturate(round(-min(0, min x) / y_scale))
 *   y = saturate(round(x / y_scale) + y_zero_point)
 *
 * Halves are rounded to even. A NaN in x makes the scale NaN, and everything 0.
 */
#include "ops/quantized/dynamic_quantization.h"

typedef struct dynamic_quantize_state {
  int64_t count;
  size_t scratch_at;
} dynamic_quantize_state;

static norma_status dynamic_quantize_linear_infer(infer_context *context) {
  const shape scalar = shape_make(0, NULL);
  infer_output(context, 0, NORMA_UINT8, infer_shape(context, 0));
  infer_output(context, 1, NORMA_FLOAT, &scalar);
  infer_output(context, 2, NORMA_UINT8, &scalar);
  return NORMA_OK;
}

static norma_status dynamic_quantize_linear_prepare(prepare_context *context) {
  dynamic_quantize_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  state->count = dims_product(x->dims, 0, x->rank);
  return dynamic_quantize_prepare(context, state->count, &state->scratch_at);
}

static norma_status dynamic_quantize_linear_compute(run_context *context) {
  const dynamic_quantize_state *state = context->state;
  norma_tensor *y = run_output(context, 0), *scale = run_output(context, 1), *zero = run_output(context, 2);
  dynamic_quantization chosen;
  TRY(dynamic_quantize(context, run_input(context, 0)->data, state->count, state->scratch_at, y ? y->data : NULL,
                       &chosen));
  if (scale) *(float *)scale->data = chosen.scale;
  if (zero) *(uint8_t *)zero->data = (uint8_t)chosen.zero;
  return NORMA_OK;
}

const operator_descriptor operators_dynamic_quantize_linear[] = {
    {.domain = "",
     .name = "DynamicQuantizeLinear",
     .versions = {11},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 3,
     .max_outputs = 3,
     .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0), OUTPUT(1)}, {TYPE_BIT(NORMA_UINT8), 0, OUTPUT(0) | OUTPUT(2)}},
     .state_size = sizeof(dynamic_quantize_state),
     .infer = dynamic_quantize_linear_infer,
     .prepare = dynamic_quantize_linear_prepare,
     .facts = {.dimension = fact_dimension_same},
     .compute = dynamic_quantize_linear_compute},
    {0},
};
