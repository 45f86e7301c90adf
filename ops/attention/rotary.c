#include "ops/attention/rotary.h"

#include "ops/half.h"
#include "ops/work.h"

norma_status rotary_prepare(prepare_context *context, rotary_plan *plan) {
  size_t *total = &context->worker_scratch_bytes, element = sizeof(float), half = (size_t)plan->half;
  if (!scratch_append(total, (size_t)plan->elements, element, &plan->row_at) ||
      !scratch_append(total, half, element, &plan->cos_at) || !scratch_append(total, half, element, &plan->sin_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "a head is too large");
  return NORMA_OK;
}

struct rotary_job {
  run_context *context;
  const rotary_plan *plan;
  const rotary_call *call;
};

static int64_t rotary_offset(const int64_t strides[3], int64_t sample, int64_t head, int64_t row,
                             norma_element_type type) {
  return (sample * strides[0] + head * strides[1] + row * strides[2]) * (int64_t)element_type_bytes(type);
}

/* Cosines or sines as float. */
static const float *rotary_angles(const struct rotary_job *job, const void *table, int64_t position, float *row) {
  int64_t first = position * job->plan->half;
  if (job->call->angle_type == NORMA_FLOAT) return (const float *)table + first;
  half_to_float(job->context->kernels, job->call->angle_type, row, (const uint16_t *)table + first, job->plan->half);
  return row;
}

/* All heads at a row of a sample: index counts samples and rows. */
static void rotary_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const struct rotary_job *job = argument;
  const rotary_plan *plan = job->plan;
  const rotary_call *call = job->call;
  const struct kernel_table *kernels = job->context->kernels;
  char *scratch = run_worker_scratch(job->context, worker);
  float *copy = (float *)(scratch + plan->row_at);
  size_t rest = (size_t)(plan->elements - 2 * plan->half);
  for (int64_t i = begin; i < end; i++) {
    int64_t sample = i / plan->rows, row = i % plan->rows, position = call->positions ? call->positions[i] : i;
    const float *cos = rotary_angles(job, call->cos, position, (float *)(scratch + plan->cos_at));
    const float *sin = rotary_angles(job, call->sin, position, (float *)(scratch + plan->sin_at));
    for (int64_t head = 0; head < plan->heads; head++) {
      const char *x = (const char *)call->x + rotary_offset(call->x_strides, sample, head, row, call->type);
      char *y = (char *)call->y + rotary_offset(call->y_strides, sample, head, row, call->y_type);
      if (call->type == NORMA_FLOAT && call->y_type == NORMA_FLOAT) {
        const float *from = (const float *)(const void *)x;
        float *to = (float *)(void *)y;
        kernels->rotate_f32(to, from, cos, sin, (size_t)plan->half, plan->neighbours);
        if (rest && to != from) memcpy(to + 2 * plan->half, from + 2 * plan->half, rest * sizeof *to);
      } else {
        float_from(kernels, call->type, copy, x, plan->elements);
        kernels->rotate_f32(copy, copy, cos, sin, (size_t)plan->half, plan->neighbours);
        float_to(kernels, call->y_type, y, copy, plan->elements);
      }
    }
  }
}

norma_status rotary_run(run_context *context, const rotary_plan *plan, const rotary_call *call) {
  struct rotary_job job = {context, plan, call};
  double cost = WORK_ELEMENT * (double)plan->heads * (double)plan->elements;
  return run_parallel(context, plan->batch * plan->rows, work_grain(cost), rotary_rows, &job);
}
