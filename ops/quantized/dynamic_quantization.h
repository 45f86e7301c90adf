/* Float to uint8 with a scale that is chosen so that all numbers and 0 fit: what DynamicQuantizeLinear does, and
 * operators that contain it. */
#ifndef OPS_QUANTIZED_DYNAMIC_QUANTIZATION_H
#define OPS_QUANTIZED_DYNAMIC_QUANTIZATION_H

#include "ops/operator.h"

typedef struct dynamic_quantization {
  float scale;
  int32_t zero;
} dynamic_quantization;

/* The scale and zero point for numbers from `least` to `largest`, as they stand below. */
dynamic_quantization dynamic_quantization_of(float least, float largest);

/* Asks for the scratch that dynamic_quantize needs for `count` elements; *at is where it lies in the node's scratch. */
norma_status dynamic_quantize_prepare(prepare_context *context, int64_t count, size_t *at);

/* scale = (max(0, max x) - min(0, min x)) / 255, or 1 / 255 where that is 0; zero = saturate(round(-min(0, min x) /
 * scale)); y[i] = saturate(round(x[i] / scale) + zero), halves to even. y may be NULL. A NaN in x makes the scale NaN,
 * and the rest 0. */
norma_status dynamic_quantize(run_context *context, const float *x, int64_t count, size_t scratch_at, uint8_t *y,
                              dynamic_quantization *result);

#endif
