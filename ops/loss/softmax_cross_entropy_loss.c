/*
 * SoftmaxCrossEntropyLoss 12, 13 (ai.onnx)
 *
 *   y = log(softmax of scores along axis 1),  L[n][d] = -y[n][c][d] * W[c] with c = label[n][d]; 0 where it is ignored
 *
 * reduced as NegativeLogLikelihoodLoss does; the second output is y. Scores [N, C, d1 .. dk] or [N, C], labels
 * [N, d1 .. dk] of int32 or int64, W [C], 1 where it is absent. 13 adds bfloat16.
 *
 * Softmax runs in the kernels for float, in float for half precision and in double for double; losses are summed in
 * double. Where y is not wanted, only the logarithms of the sums are computed.
 */
#include "ops/half.h"
#include "ops/loss/loss.h"
#include "ops/normalization/softmax.h"
#include "ops/work.h"

#include <math.h>

typedef struct cross_entropy_state {
  loss_state loss;
  bool keeps_y;
  size_t converted_at; /* in a worker's scratch: scores of half precision as float */
} cross_entropy_state;

static norma_status cross_entropy_read(const node *node, void *state, norma_error *error) {
  return loss_read(node, &((cross_entropy_state *)state)->loss, error);
}

static norma_status cross_entropy_infer(infer_context *context) {
  const cross_entropy_state *state = context->state;
  TRY(infer_types_since(context, TYPES_BFLOAT16, 13));
  TRY(loss_infer(context, &state->loss));
  if (context->output_count > 1) infer_output(context, 1, infer_type(context, 0), infer_shape(context, 0));
  return NORMA_OK;
}

#define CROSS_ENTROPY_UNIT 32768 /* scores, of which a unit has more only where there are many classes */

static norma_status cross_entropy_prepare(prepare_context *context) {
  cross_entropy_state *state = context->state;
  loss_state *loss = &state->loss;
  TRY(loss_prepare(context, loss, CROSS_ENTROPY_UNIT, SOFTMAX_COLUMNS));
  state->keeps_y = context->output_count > 1 && context->outputs[1];
  context->kernel_name = loss->inner == 1 ? "lines" : "columns";
  context->flops = 5.0 * (double)loss->samples * (double)loss->classes * (double)loss->inner;
  if (is_half(loss->type) && !scratch_append(&context->worker_scratch_bytes, (size_t)(loss->classes * loss->width),
                                             sizeof(float), &state->converted_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "there are too many classes");
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------- float, half precision */

/* The loss of each of `width` columns: scores x[c * stride + d]; y gets the logarithms of softmax where it is not NULL,
 * and may be x. */
static void cross_entropy_columns(const loss_job *job, int64_t first, const float *x, float *y, int64_t width,
                                  int64_t stride, loss_sums *sums) {
  const loss_state *state = job->state;
  const struct kernel_table *kernels = job->context->kernels;
  const size_t classes = (size_t)state->classes;
  float largest[SOFTMAX_COLUMNS], log_sum[SOFTMAX_COLUMNS];
  if (classes > 0 && y)
    softmax_float_columns(kernels, LOG_SOFTMAX, y, x, classes, (size_t)width, (size_t)stride);
  else if (classes > 0)
    softmax_float_log_sums(kernels, largest, log_sum, x, classes, (size_t)width, (size_t)stride);
  for (int64_t d = 0; d < width; d++) {
    const int64_t label = loss_label(job->labels, first + d);
    double loss = 0;
    if (!loss_is_ignored(state, label))
      loss = y ? (double)-y[label * stride + d] : (double)(log_sum[d] - (x[label * stride + d] - largest[d]));
    loss_take(job, first + d, label, loss, sums);
  }
}

/* One line of adjacent scores. */
static void cross_entropy_line(const loss_job *job, int64_t sample, const float *x, float *y, loss_sums *sums) {
  const loss_state *state = job->state;
  const struct kernel_table *kernels = job->context->kernels;
  const size_t classes = (size_t)state->classes;
  const int64_t label = loss_label(job->labels, sample);
  const bool ignored = loss_is_ignored(state, label);
  double loss = 0;
  if (y && classes > 0) softmax_float_lines(kernels, LOG_SOFTMAX, y, x, 1, state->classes);
  if (!ignored && y) {
    loss = (double)-y[label];
  } else if (!ignored) {
    const float largest = kernels->reduce_f32[REDUCE_MAX](x, classes);
    loss = (double)(logf(kernels->exp_sum_f32(NULL, x, classes, largest)) - (x[label] - largest));
  }
  loss_take(job, sample, label, loss, sums);
}

/* Half precision: scores of one sample from element `at` on as float rows of `width`, and y back from there. */
static void cross_entropy_convert(const loss_job *job, int64_t at, float *rows, int64_t width, bool back) {
  const loss_state *state = job->state;
  const struct kernel_table *kernels = job->context->kernels;
  const uint16_t *x = (const uint16_t *)job->scores->data + at;
  uint16_t *y = back ? (uint16_t *)run_output(job->context, 1)->data + at : NULL;
  const int64_t count = state->inner == 1 ? 1 : state->classes, length = state->inner == 1 ? state->classes : width;
  for (int64_t c = 0; c < count; c++) {
    if (back)
      half_from_float(kernels, state->type, y + c * state->inner, rows + c * length, length);
    else
      half_to_float(kernels, state->type, rows + c * length, x + c * state->inner, length);
  }
}

static void cross_entropy_body(void *argument, int64_t begin, int64_t end, int worker) {
  const loss_job *job = argument;
  const cross_entropy_state *state = job->context->state;
  const loss_state *loss = &state->loss;
  const norma_tensor *y = state->keeps_y ? run_output(job->context, 1) : NULL;
  float *converted = run_worker_scratch(job->context, worker);
  const bool half = is_half(loss->type);
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t first = unit / loss->strips * loss->lines, strip = unit % loss->strips * loss->width;
    const int64_t last = loss->samples - first < loss->lines ? loss->samples : first + loss->lines;
    const int64_t width = loss->inner - strip < loss->width ? loss->inner - strip : loss->width;
    loss_sums sums = {0, 0};
    for (int64_t n = first; n < last; n++) {
      const int64_t at = n * loss->classes * loss->inner + strip;
      const float *x = half ? converted : (const float *)job->scores->data + at;
      float *to = !y ? NULL : half ? converted : (float *)y->data + at;
      if (half) cross_entropy_convert(job, at, converted, width, false);
      if (loss->inner == 1)
        cross_entropy_line(job, n, x, to, &sums);
      else
        cross_entropy_columns(job, n * loss->inner + strip, x, to, width, half ? width : loss->inner, &sums);
      if (half && y) cross_entropy_convert(job, at, converted, width, true);
    }
    job->sums[unit] = sums;
  }
}

/* ----------------------------------------------------------------------------------------------------------- double */

static void cross_entropy_double_body(void *argument, int64_t begin, int64_t end, int worker) {
  const loss_job *job = argument;
  const cross_entropy_state *state = job->context->state;
  const loss_state *loss = &state->loss;
  const int64_t classes = loss->classes, inner = loss->inner;
  const norma_tensor *y = state->keeps_y ? run_output(job->context, 1) : NULL;
  (void)worker;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t first = unit / loss->strips * loss->lines, strip = unit % loss->strips * loss->width;
    const int64_t last = loss->samples - first < loss->lines ? loss->samples : first + loss->lines;
    const int64_t width = inner - strip < loss->width ? inner - strip : loss->width;
    loss_sums sums = {0, 0};
    for (int64_t n = first; n < last; n++) {
      for (int64_t d = strip; d < strip + width; d++) {
        const double *x = (const double *)job->scores->data + n * classes * inner + d;
        const int64_t label = loss_label(job->labels, n * inner + d);
        double largest = -(double)INFINITY, sum = 0;
        for (int64_t c = 0; c < classes; c++) largest = x[c * inner] > largest ? x[c * inner] : largest;
        for (int64_t c = 0; c < classes; c++) sum += exp(x[c * inner] - largest);
        const double log_sum = log(sum);
        for (int64_t c = 0; c < classes && y; c++)
          ((double *)y->data)[n * classes * inner + d + c * inner] = x[c * inner] - largest - log_sum;
        const bool ignored = loss_is_ignored(loss, label);
        loss_take(job, n * inner + d, label, ignored ? 0 : log_sum - (x[label * inner] - largest), &sums);
      }
    }
    job->sums[unit] = sums;
  }
}

static norma_status cross_entropy_compute(run_context *context) {
  const cross_entropy_state *state = context->state;
  const loss_state *loss = &state->loss;
  loss_job job;
  TRY(loss_begin(context, loss, &job));
  const double cost = 16.0 * (double)loss->classes * (double)(loss->inner == 1 ? loss->lines : loss->width);
  TRY(run_parallel(context, loss->units, work_grain(cost),
                   loss->type == NORMA_DOUBLE ? cross_entropy_double_body : cross_entropy_body, &job));
  loss_finish(&job);
  return NORMA_OK;
}

const operator_descriptor operators_softmax_cross_entropy_loss[] = {
    {
        .domain = "",
        .name = "SoftmaxCrossEntropyLoss",
        .versions = {12, 13},
        .min_inputs = 2,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 2,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(2), OUTPUT(0) | OUTPUT(1)},
                  {TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(1), 0}},
        .attributes = loss_attributes,
        .state_size = sizeof(cross_entropy_state),
        .read = cross_entropy_read,
        .infer = cross_entropy_infer,
        .prepare = cross_entropy_prepare,
        .compute = cross_entropy_compute,
    },
    {0},
};
