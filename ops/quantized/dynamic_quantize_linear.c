/*
 * DynamicQuantizeLinear 11 (ai.onnx): float to uint8, the scale chosen so that all of x and 0 fit.
 *
 *   y_scale = (max(0, max x) - min(0, min x)) / 255; 1 / 255 where that is 0
 *   y_zero_point = saturate(round(-min(0, min x) / y_scale))
 *   y = saturate(round(x / y_scale) + y_zero_point)
 *
 * Halves are rounded to even. A NaN in x makes the scale NaN, and everything 0.
 */
#include "ops/quantized/quantization.h"
#include "ops/work.h"

#define DYNAMIC_GRAIN 16384

typedef struct dynamic_quantize_state {
  int64_t count, parts;
} dynamic_quantize_state;

static norma_status dynamic_quantize_infer(infer_context *context) {
  const shape scalar = shape_make(0, NULL);
  infer_output(context, 0, NORMA_UINT8, infer_shape(context, 0));
  infer_output(context, 1, NORMA_FLOAT, &scalar);
  infer_output(context, 2, NORMA_UINT8, &scalar);
  return NORMA_OK;
}

static norma_status dynamic_quantize_prepare(prepare_context *context) {
  dynamic_quantize_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  state->count = dims_product(x->dims, 0, x->rank);
  state->parts = divide_up(state->count, DYNAMIC_GRAIN);
  size_t offset;
  if (!scratch_append(&context->scratch_bytes, (size_t)state->parts, 2 * sizeof(float), &offset))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the input is too large");
  return NORMA_OK;
}

typedef struct dynamic_quantize_job {
  const struct kernel_table *kernels;
  const float *x;
  uint8_t *y;
  float (*extremes)[2]; /* of each part: least and largest */
  float scale;
  int32_t zero;
} dynamic_quantize_job;

static void dynamic_quantize_find(void *argument, int64_t begin, int64_t end, int worker) {
  const dynamic_quantize_job *job = argument;
  (void)worker;
  float *extremes = job->extremes[begin / DYNAMIC_GRAIN];
  extremes[0] = job->kernels->reduce_f32[REDUCE_MIN](job->x + begin, (size_t)(end - begin));
  extremes[1] = job->kernels->reduce_f32[REDUCE_MAX](job->x + begin, (size_t)(end - begin));
}

static void dynamic_quantize_body(void *argument, int64_t begin, int64_t end, int worker) {
  const dynamic_quantize_job *job = argument;
  (void)worker;
  job->kernels->quantize_f32(job->y + begin, job->x + begin, (size_t)(end - begin), job->scale, job->zero, NORMA_UINT8);
}

/* NaN if one of a and b is. */
static float smaller_number(float a, float b) {
  return isnan(a) || a < b ? a : b;
}

static float larger_number(float a, float b) {
  return isnan(a) || a > b ? a : b;
}

static norma_status dynamic_quantize_compute(run_context *context) {
  const dynamic_quantize_state *state = context->state;
  const norma_tensor *x = run_input(context, 0);
  norma_tensor *y = run_output(context, 0), *scale = run_output(context, 1), *zero = run_output(context, 2);
  dynamic_quantize_job job = {
      .kernels = context->kernels, .x = x->data, .y = y ? y->data : NULL, .extremes = context->scratch};
  TRY(run_parallel(context, state->count, DYNAMIC_GRAIN, dynamic_quantize_find, &job));
  float least = 0, largest = 0;
  for (int64_t i = 0; i < state->parts; i++) {
    least = smaller_number(job.extremes[i][0], least);
    largest = larger_number(job.extremes[i][1], largest);
  }
  job.scale = (largest == least ? 1.0f : largest - least) / 255.0f;
  job.zero = quantize_ratio((double)(-least / job.scale), 0, 0, 255);
  if (scale) *(float *)scale->data = job.scale;
  if (zero) *(uint8_t *)zero->data = (uint8_t)job.zero;
  return y ? run_parallel(context, state->count, DYNAMIC_GRAIN, dynamic_quantize_body, &job) : NORMA_OK;
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
     .infer = dynamic_quantize_infer,
     .prepare = dynamic_quantize_prepare,
     .facts = {.dimension = fact_dimension_same},
     .compute = dynamic_quantize_compute},
    {0},
};
