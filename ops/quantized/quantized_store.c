#include "ops/quantized/quantized_store.h"

#include "ops/quantized/quantization.h"

static int32_t limited(float number, int32_t low, int32_t high) {
  return number > (float)low ? number < (float)high ? (int32_t)number : high : low;
}

quantized_store quantized_store_of(const run_context *context, int zero) {
  const struct activation *activation = &context->node->epilogue.activation;
  const norma_tensor *zeros = run_input(context, zero);
  const norma_element_type type = run_output(context, 0)->type;
  const int32_t low = quantized_lowest(type), high = quantized_highest(type);
  quantized_store store = {.zero = quantization_zero(zeros), .low = low, .high = high};
  if (activation->kind != UNARY_CLIP) return store;
  store.low = limited(activation->a, low, high);
  store.high = limited(activation->b, store.low, high);
  return store;
}
