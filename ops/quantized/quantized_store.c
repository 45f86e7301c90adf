#include "ops/quantized/quantized_store.h"

#include "ops/quantized/quantization.h"

static int32_t limited(float number, int32_t low, int32_t high) {
  return number > (float)low ? number < (float)high ? (int32_t)number : high : low;
}

/* Narrows low .. high to what a Clip leaves. */
static void narrow_to_clip(const struct activation *activation, int32_t *low, int32_t *high) {
  if (activation->kind != UNARY_CLIP) return;
  const int32_t least = *low, most = *high;
  *low = limited(activation->a, least, most);
  *high = limited(activation->b, *low, most);
}

quantized_store quantized_store_of(const run_context *context, int scale, int zero) {
  const epilogue *fused = &context->node->epilogue;
  const norma_tensor *zeros = run_input(context, zero);
  quantized_store store = {.type = zeros->type, .zero = quantization_zero(zeros), .residual = fused->residual_input};
  store.low = quantized_lowest(store.type);
  store.high = quantized_highest(store.type);
  if (!store.residual) {
    narrow_to_clip(&fused->activation, &store.low, &store.high);
    return store;
  }
  const norma_tensor *residual_zero = run_input(context, store.residual + RESIDUAL_ZERO);
  const norma_tensor *sum_zero = run_input(context, store.residual + SUM_ZERO);
  const float sum_scale = quantization_scale(run_input(context, store.residual + SUM_SCALE));
  store.sum = (struct binary_8bit){
      .a_type = store.type,
      .b_type = residual_zero->type,
      .y_type = sum_zero->type,
      .a_zero = store.zero,
      .b_zero = quantization_zero(residual_zero),
      .zero = quantization_zero(sum_zero),
      .low = quantized_lowest(sum_zero->type),
      .high = quantized_highest(sum_zero->type),
      .a_factor = quantization_scale(run_input(context, scale)) / sum_scale,
      .b_factor = quantization_scale(run_input(context, store.residual + RESIDUAL_SCALE)) / sum_scale,
  };
  narrow_to_clip(&fused->activation, &store.sum.low, &store.sum.high);
  return store;
}

norma_status infer_quantized_residual(infer_context *context, norma_element_type type) {
  const int residual = context->node->epilogue.residual_input;
  if (!residual) return NORMA_OK;
  if (context->input_count < residual + RESIDUAL_INPUTS) return infer_fail(context, "the residual lacks a scale");
  for (int i = RESIDUAL_SCALE; i < RESIDUAL_INPUTS; i++) {
    const bool is_scale = i == RESIDUAL_SCALE || i == SUM_SCALE;
    const norma_element_type given = infer_type(context, residual + i);
    TRY(infer_single(context, residual + i, "a parameter of the residual"));
    if (given != NORMA_UNDEFINED && given != (is_scale ? NORMA_FLOAT : type))
      return infer_fail(context, "a parameter of the residual is of type %s", norma_element_type_name(given));
  }
  const norma_element_type given = infer_type(context, residual);
  if (given != NORMA_UNDEFINED && given != type)
    return infer_fail(context, "the residual is of type %s", norma_element_type_name(given));
  return NORMA_OK;
}
