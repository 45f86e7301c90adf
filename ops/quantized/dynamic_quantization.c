#include "ops/quantized/dynamic_quantization.h"

#include "ops/quantized/quantization.h"
#include "ops/work.h"

#define DYNAMIC_GRAIN 16384

typedef struct dynamic_quantize_job {
  const struct kernel_table *kernels;
  const float *x;
  uint8_t *y;
  float (*extremes)[2]; /* of each part: least and largest */
  dynamic_quantization chosen;
} dynamic_quantize_job;

norma_status dynamic_quantize_prepare(prepare_context *context, int64_t count, size_t *at) {
  const size_t parts = (size_t)divide_up(count, DYNAMIC_GRAIN);
  if (scratch_append(&context->scratch_bytes, parts, 2 * sizeof(float), at)) return NORMA_OK;
  return prepare_fail(context, NORMA_ERROR_BUDGET, "the input is too large");
}

static void dynamic_quantize_find(void *argument, int64_t begin, int64_t end, int worker) {
  const dynamic_quantize_job *job = argument;
  float *extremes = job->extremes[begin / DYNAMIC_GRAIN];
  (void)worker;
  extremes[0] = job->kernels->reduce_f32[REDUCE_MIN](job->x + begin, (size_t)(end - begin));
  extremes[1] = job->kernels->reduce_f32[REDUCE_MAX](job->x + begin, (size_t)(end - begin));
}

static void dynamic_quantize_body(void *argument, int64_t begin, int64_t end, int worker) {
  const dynamic_quantize_job *job = argument;
  (void)worker;
  job->kernels->quantize_f32(job->y + begin, job->x + begin, (size_t)(end - begin), job->chosen.scale, job->chosen.zero,
                             NORMA_UINT8);
}

/* NaN if one of a and b is. */
static float smaller_number(float a, float b) {
  return isnan(a) || a < b ? a : b;
}

static float larger_number(float a, float b) {
  return isnan(a) || a > b ? a : b;
}

dynamic_quantization dynamic_quantization_of(float least, float largest) {
  least = smaller_number(least, 0);
  largest = larger_number(largest, 0);
  const float scale = (largest == least ? 1.0f : largest - least) / 255.0f;
  return (dynamic_quantization){scale, quantize_ratio((double)(-least / scale), 0, 0, 255)};
}

norma_status dynamic_quantize(run_context *context, const float *x, int64_t count, size_t scratch_at, uint8_t *y,
                              dynamic_quantization *result) {
  dynamic_quantize_job job = {.kernels = context->kernels, .x = x, .y = y};
  job.extremes = (float(*)[2])(void *)((char *)context->scratch + scratch_at);
  TRY(run_parallel(context, count, DYNAMIC_GRAIN, dynamic_quantize_find, &job));
  float least = 0, largest = 0;
  for (int64_t i = 0; i < divide_up(count, DYNAMIC_GRAIN); i++) {
    least = smaller_number(job.extremes[i][0], least);
    largest = larger_number(job.extremes[i][1], largest);
  }
  job.chosen = dynamic_quantization_of(least, largest);
  *result = job.chosen;
  return y ? run_parallel(context, count, DYNAMIC_GRAIN, dynamic_quantize_body, &job) : NORMA_OK;
}
