/* Of GroupQueryAttention: which keys samples have, and new rows on their way into the cache. */
#include "ops/contrib/group_query_attention.h"

#include "ops/half.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

/* ---------------------------------------------------------------------------------------------------------- samples */

/* How many of `total` keys a cache of a window keeps: slack behind the window is taken back at once. */
static int64_t gqa_resident(const gqa_state *state, int64_t total) {
  int64_t capacity = state->buffer, slack = capacity - state->window + 1;
  return total <= capacity ? total : total - slack * divide_up(total - capacity, slack);
}

/* Keys of sample `b`: `total` in all with `fresh` new ones, of the `given` rows that the inputs have. */
static attention_sample gqa_sample(const gqa_state *state, int64_t total, int64_t fresh, int64_t given) {
  int64_t past = total - fresh, resident = state->is_windowed ? gqa_resident(state, past) : past;
  attention_sample sample = {.past = resident,
                             .stored = resident + given,
                             .keys = resident + fresh,
                             .offset = resident,
                             .base = past - resident};
  if (state->is_windowed) sample.dropped = sample.stored - gqa_resident(state, total);
  return sample;
}

/* keys: of the sample; total: the most that one has. */
static norma_status gqa_check_sample(run_context *context, int64_t b, int64_t keys, int64_t fresh, int64_t total) {
  const gqa_state *state = context->state;
  bool fits = fresh >= 0 && fresh <= state->plan.queries && keys >= fresh && keys <= total;
  int64_t past = keys - fresh;
  if (fits && (state->is_windowed || past <= state->buffer)) return NORMA_OK;
  return run_fail(context, NORMA_ERROR_RUN,
                  "sample %" PRId64 " has %" PRId64 " keys, %" PRId64 " of them new: its past has %" PRId64
                  " rows, total_sequence_length is %" PRId64,
                  b, keys, fresh, state->buffer, total);
}

/* Where the queries of a sample stand; those that are padding may stand anywhere. Of a first prompt position_ids tell
 * the first position alone. */
static norma_status gqa_find_positions(run_context *context, int64_t b, const attention_sample *sample, int64_t fresh,
                                       bool first, int64_t *positions) {
  const gqa_state *state = context->state;
  const norma_tensor *given = run_input(context, GQA_POSITIONS);
  int64_t queries = state->plan.queries;
  for (int64_t s = 0; s < queries; s++) {
    int64_t position = sample->base + sample->offset + s;
    if (given && !first) position = ((const int64_t *)given->data)[b * queries + s];
    if (given && first && __builtin_add_overflow(((const int64_t *)given->data)[0], s, &position)) position = -1;
    bool exists = position >= 0 && position < state->positions;
    if (!exists && s < fresh)
      return run_fail(context, NORMA_ERROR_RUN, "position %" PRId64 " is outside 0 to %" PRId64, position,
                      state->positions - 1);
    positions[b * queries + s] = exists ? position : 0;
  }
  return NORMA_OK;
}

norma_status gqa_find_samples(run_context *context, int64_t total, attention_sample *samples, int64_t *positions) {
  const gqa_state *state = context->state;
  const attention_plan *plan = &state->plan;
  const int32_t *lengths = run_input(context, GQA_LENGTHS)->data;
  const norma_tensor *of_queries = run_input(context, GQA_QUERY_LENGTHS);
  bool first = !of_queries && total == plan->queries; /* a prompt, padded on the right */
  for (int64_t b = 0; b < plan->batch; b++) {
    int64_t keys = (int64_t)lengths[b] + 1, fresh = plan->queries;
    if (of_queries) fresh = ((const int32_t *)of_queries->data)[b];
    if (first && keys < fresh) fresh = keys;
    TRY(gqa_check_sample(context, b, keys, fresh, total));
    bool keeps_padding = first && !state->is_windowed;
    samples[b] = gqa_sample(state, keys, fresh, keeps_padding ? plan->queries : fresh);
    if (positions) TRY(gqa_find_positions(context, b, &samples[b], fresh, first, positions));
  }
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------------------------- rows
 * */

struct gqa_rows {
  run_context *context;
  attention_operand from;
  int64_t heads;
  float *to; /* [batch][rows][heads][depth] */
  const norma_tensor *norm;
  float epsilon;
};

/* Divided by their root mean square and scaled, or as they are. */
static void gqa_normalize_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const struct gqa_rows *job = argument;
  const gqa_state *state = job->context->state;
  const struct kernel_table *kernels = job->context->kernels;
  int64_t depth = state->plan.depth, rows = state->plan.queries;
  float *weights = (float *)((char *)run_worker_scratch(job->context, worker) + state->rotary.row_at);
  if (job->norm) float_from(kernels, job->norm->type, weights, job->norm->data, depth);
  for (int64_t i = begin; i < end; i++) { /* counts batch, rows and heads */
    int64_t head = i % job->heads, row = i / job->heads % rows, sample = i / job->heads / rows;
    int64_t at = sample * job->from.batch_stride + head * job->from.head_stride + row * job->from.row_stride;
    float *to = job->to + i * depth;
    float_from(kernels, job->from.type, to,
               (const char *)job->from.data + at * (int64_t)element_type_bytes(job->from.type), depth);
    if (!job->norm) continue;
    double squares = kernels->sum_squared_deviations_f32(to, (size_t)depth, 0) / (double)depth;
    kernels->normalize_row_f32(to, to, (size_t)depth, 0, (float)(1 / sqrt(squares + (double)job->epsilon)), weights,
                               NULL);
  }
}

static void gqa_quantize_row(const attention_quantization *quantization, int64_t head, norma_element_type type,
                             const float *from, int64_t depth, void *to) {
  const float *scales = quantization->scales + head * quantization->head_step;
  if (quantization->packed) memset(to, 0, (size_t)(depth + 1) / 2);
  for (int64_t e = 0; e < depth; e++) {
    float scale = scales[e * quantization->element_step], number = scale == 0 ? 0 : from[e] / scale;
    if (quantization->packed) {
      float rounded = fminf(fmaxf(rintf(number), -8), 7) + 8; /* NaN becomes the lowest */
      ((uint8_t *)to)[e / 2] |= (uint8_t)((unsigned)rounded << (e % 2 * 4));
    } else if (type == NORMA_INT8) {
      ((int8_t *)to)[e] = (int8_t)fminf(fmaxf(rintf(number), -128), 127);
    } else {
      element_set_double(type, to, e, (double)number);
    }
  }
}

/* Rows of keys or values into the form of the cache. */
static void gqa_quantize(run_context *context, const attention_quantization *quantization, norma_element_type type,
                         attention_operand *part, void *to) {
  const gqa_state *state = context->state;
  const attention_plan *plan = &state->plan;
  int64_t stored = quantization->packed ? (plan->depth + 1) / 2 : plan->depth, heads = state->key_heads;
  char *row = to;
  for (int64_t i = 0; i < plan->batch * plan->queries * heads; i++, row += stored)
    gqa_quantize_row(quantization, i % heads, type, (const float *)part->data + i * plan->depth, plan->depth, row);
  *part = attention_operand_of(type, heads, plan->queries, stored, true);
  part->data = to;
  part->quantization = quantization;
}

static norma_status gqa_rotate(run_context *context, const int64_t *positions, int64_t heads, float *rows) {
  const gqa_state *state = context->state;
  const norma_tensor *cos = run_input(context, GQA_COS);
  rotary_plan plan = state->rotary;
  plan.heads = heads;
  rotary_call call = {.type = NORMA_FLOAT,
                      .y_type = NORMA_FLOAT,
                      .angle_type = cos->type,
                      .x = rows,
                      .y = rows,
                      .x_strides = {plan.rows * heads * plan.elements, plan.elements, heads * plan.elements},
                      .y_strides = {plan.rows * heads * plan.elements, plan.elements, heads * plan.elements},
                      .cos = cos->data,
                      .sin = run_input(context, GQA_SIN)->data,
                      .positions = positions};
  return rotary_run(context, &plan, &call);
}

norma_status gqa_make_rows(run_context *context, const int64_t *positions, const attention_quantization quantization[2],
                           attention_operand parts[3]) {
  const gqa_state *state = context->state;
  const attention_plan *plan = &state->plan;
  for (int i = 0; i < 3; i++) {
    if (!state->makes_rows[i]) continue;
    struct gqa_rows job = {.context = context,
                           .from = parts[i],
                           .heads = i == 0 ? state->heads : state->key_heads,
                           .to = (float *)((char *)context->scratch + state->rows_at[i]),
                           .norm = i == 2 ? NULL : run_input(context, GQA_QUERY_NORM + i),
                           .epsilon = state->epsilons[i == 1]};
    TRY(run_parallel(context, plan->batch * plan->queries * job.heads, work_grain(WORK_ELEMENT * (double)plan->depth),
                     gqa_normalize_rows, &job));
    if (state->rotates && i < 2) TRY(gqa_rotate(context, positions, job.heads, job.to));
    parts[i] = attention_operand_of(NORMA_FLOAT, job.heads, plan->queries, plan->depth, true);
    parts[i].data = job.to;
    if (i > 0 && state->quantization[i - 1] != GQA_PLAIN)
      gqa_quantize(context, &quantization[i - 1], run_input(context, GQA_PAST_KEY + i - 1)->type, &parts[i],
                   (char *)context->scratch + state->quantized_at[i - 1]);
  }
  return NORMA_OK;
}
