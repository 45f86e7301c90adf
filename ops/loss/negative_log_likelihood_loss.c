/*
 * NegativeLogLikelihoodLoss 12, 13, 22 (ai.onnx)
 *
 *   L[n][d] = -X[n][c][d] * W[c] with c = label[n][d]; 0 where the label is ignore_index
 *
 * reduced to its sum, or to sum(L) / sum of the weights of the labels that are not ignored (mean), or not at all. X
 * [N, C, d1 .. dk] or [N, C], label [N, d1 .. dk] of int32 or int64, W [C], 1 where it is absent. 22 adds bfloat16.
 * Sums are of double precision.
 */
#include "ops/loss/loss.h"
#include "ops/work.h"

static norma_status likelihood_read(const node *node, void *state, norma_error *error) {
  return loss_read(node, state, error);
}

static norma_status likelihood_infer(infer_context *context) {
  TRY(infer_types_since(context, TYPES_BFLOAT16, 22));
  return loss_infer(context, context->state);
}

#define LIKELIHOOD_UNIT 8192 /* losses */

static norma_status likelihood_prepare(prepare_context *context) {
  loss_state *state = context->state;
  const int64_t classes = prepare_shape(context, 0)->dims[1];
  int64_t elements;
  context->kernel_name = "gather";
  if (__builtin_mul_overflow(LIKELIHOOD_UNIT, classes, &elements)) elements = INT64_MAX;
  return loss_prepare(context, state, elements, LIKELIHOOD_UNIT);
}

/* Losses [first, first + count) of the labels, whose scores of class 0 lie at `scores` and then every `step`
 * elements. */
static void likelihood_run(const loss_job *job, int64_t first, int64_t count, int64_t scores, int64_t step,
                           loss_sums *sums) {
  const loss_state *state = job->state;
  for (int64_t i = 0; i < count; i++) {
    const int64_t label = loss_label(job->labels, first + i);
    double loss = 0;
    if (!loss_is_ignored(state, label))
      loss = -element_get_double(state->type, job->scores->data, scores + i * step + label * state->inner);
    loss_take(job, first + i, label, loss, sums);
  }
}

#define LIKELIHOOD_PIECE 256

/* Up to LIKELIHOOD_PIECE losses of float, before they are summed, and their weights. `wide` is a constant of the
 * caller. */
static inline __attribute__((always_inline)) void likelihood_gather(const loss_job *job, const void *labels,
                                                                    const float *x, int64_t step, int64_t count,
                                                                    float *losses, float *factors, const bool wide) {
  const loss_state *state = job->state;
  const float *weights = job->weights ? job->weights->data : NULL;
  const int64_t ignored = state->ignored, inner = state->inner;
  const bool ignores = state->ignores;
  for (int64_t i = 0; i < count; i++) {
    const int64_t label = wide ? ((const int64_t *)labels)[i] : ((const int32_t *)labels)[i];
    const bool skipped = ignores && label == ignored;
    const int64_t class = skipped ? 0 : label;
    factors[i] = skipped ? 0 : weights ? weights[class] : 1;
    losses[i] = -x[i * step + class * inner];
    if (weights) losses[i] *= weights[class];
    if (skipped) losses[i] = 0;
  }
}

/* The same for float: gathered first and summed afterwards, so that no addition waits for another. */
static void likelihood_run_f32(const loss_job *job, int64_t first, int64_t count, int64_t scores, int64_t step,
                               loss_sums *sums) {
  const struct kernel_table *kernels = job->context->kernels;
  const float *x = (const float *)job->scores->data + scores;
  const bool wide = job->labels->type == NORMA_INT64, all = !job->weights && !job->state->ignores;
  float losses[LIKELIHOOD_PIECE], factors[LIKELIHOOD_PIECE];
  for (int64_t i = 0; i < count; i += LIKELIHOOD_PIECE) {
    const int64_t some = count - i < LIKELIHOOD_PIECE ? count - i : LIKELIHOOD_PIECE;
    const char *labels = (const char *)job->labels->data + (size_t)(first + i) * (wide ? 8 : 4);
    if (wide)
      likelihood_gather(job, labels, x + i * step, step, some, losses, factors, true);
    else
      likelihood_gather(job, labels, x + i * step, step, some, losses, factors, false);
    sums->loss += kernels->sum_f32_to_f64(losses, (size_t)some);
    sums->weight += all ? (double)some : kernels->sum_f32_to_f64(factors, (size_t)some);
    if (job->output) memcpy((float *)job->output->data + first + i, losses, (size_t)some * sizeof *losses);
  }
}

/* A unit is some samples where these have one label each, else a strip of one sample. */
static void likelihood_body(void *argument, int64_t begin, int64_t end, int worker) {
  const loss_job *job = argument;
  const loss_state *state = job->state;
  const bool is_float = state->type == NORMA_FLOAT && state->classes > 0, is_line = state->inner == 1;
  (void)worker;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t sample = unit / state->strips * state->lines, strip = unit % state->strips * state->width;
    const int64_t left = is_line ? state->samples - sample : state->inner - strip;
    const int64_t most = is_line ? state->lines : state->width, count = left < most ? left : most;
    loss_sums sums = {0, 0};
    (is_float ? likelihood_run_f32 : likelihood_run)(job, sample * state->inner + strip, count,
                                                     sample * state->classes * state->inner + strip,
                                                     is_line ? state->classes : 1, &sums);
    job->sums[unit] = sums;
  }
}

static norma_status likelihood_compute(run_context *context) {
  const loss_state *state = context->state;
  loss_job job;
  TRY(loss_begin(context, state, &job));
  TRY(run_parallel(context, state->units, 1, likelihood_body, &job));
  loss_finish(&job);
  return NORMA_OK;
}

const operator_descriptor operators_negative_log_likelihood_loss[] = {
    {
        .domain = "",
        .name = "NegativeLogLikelihoodLoss",
        .versions = {12, 13, 22},
        .min_inputs = 2,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(2), OUTPUT(0)},
                  {TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(1), 0}},
        .attributes = loss_attributes,
        .state_size = sizeof(loss_state),
        .read = likelihood_read,
        .infer = likelihood_infer,
        .prepare = likelihood_prepare,
        .compute = likelihood_compute,
    },
    {0},
};
