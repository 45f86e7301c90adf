/*
 * EmbedLayerNormalization 1 (com.microsoft)
 *
 *   sum[b][s] = word_embedding[input_ids[b][s]] + position_embedding[p] + segment_embedding[segment_ids[b][s]]
 *   output = (sum - mean) / sqrt(variance + epsilon) * gamma + beta
 *
 * where p is position_ids[b][s] ([1, S] serves all samples), by default s. Segments may be left out. mask_index [B]
 * counts the elements of each sample's mask [B, S] that are 1, 0 without a mask; embedding_sum is the sum. Half
 * precision is computed in float.
 */
#include "ops/half.h"
#include "ops/operator.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

enum embed_inputs {
  EMBED_IDS,
  EMBED_SEGMENTS,
  EMBED_WORD,
  EMBED_POSITION,
  EMBED_SEGMENT,
  EMBED_GAMMA,
  EMBED_BETA,
  EMBED_MASK,
  EMBED_POSITIONS
};
enum { EMBED_PARTS = 3 };

typedef struct embed_state {
  double epsilon;

  /* The plan's. */
  int64_t batch, rows, hidden;                /* rows of each sample */
  size_t sum_at, other_at, gamma_at, beta_at; /* in worker scratch */
} embed_state;

static norma_status embed_read(const node *node, void *opaque, norma_error *error) {
  embed_state *state = opaque;
  state->epsilon = (double)attribute_float(node, "epsilon", 1e-12f);
  if (!(state->epsilon >= 0) || isinf(state->epsilon))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "epsilon is %g, which is not a number of at least 0",
                         state->epsilon);
  return NORMA_OK;
}

static norma_status embed_check(infer_context *context, int index, const char *name, const shape *expected) {
  shape merged = *expected;
  char texts[2][100];
  if (!infer_has_input(context, index) || shape_merge(&merged, infer_shape(context, index))) return NORMA_OK;
  return infer_fail(context, "%s has shape %s, expected %s", name,
                    shape_text(infer_shape(context, index), texts[0], sizeof texts[0]),
                    shape_text(expected, texts[1], sizeof texts[1]));
}

static norma_status embed_infer(infer_context *context) {
  const shape *ids = infer_shape(context, EMBED_IDS), *words = infer_shape(context, EMBED_WORD);
  const shape *positions = infer_shape(context, EMBED_POSITIONS);
  shape tokens = shape_of_rank(2), table = shape_of_rank(2), row = shape_of_rank(1), y = shape_of_rank(3);
  if (ids->rank == 2) tokens = *ids;
  if (words->rank == 2) table.dims[1] = row.dims[0] = words->dims[1];
  if (infer_has_input(context, EMBED_SEGMENTS) != infer_has_input(context, EMBED_SEGMENT))
    return infer_fail(context, "segment_ids and segment_embedding are needed together");
  TRY(embed_check(context, EMBED_IDS, "input_ids", &tokens));
  TRY(embed_check(context, EMBED_SEGMENTS, "segment_ids", &tokens));
  TRY(embed_check(context, EMBED_WORD, "word_embedding", &table));
  TRY(embed_check(context, EMBED_POSITION, "position_embedding", &table));
  TRY(embed_check(context, EMBED_SEGMENT, "segment_embedding", &table));
  TRY(embed_check(context, EMBED_GAMMA, "gamma", &row));
  TRY(embed_check(context, EMBED_BETA, "beta", &row));
  TRY(embed_check(context, EMBED_MASK, "mask", &tokens));
  y.dims[0] = tokens.dims[0];
  y.dims[1] = tokens.dims[1];
  y.dims[2] = row.dims[0];
  shape samples = shape_of_rank(1);
  samples.dims[0] = tokens.dims[0];
  if (positions->rank == 2 && positions->dims[0] == 1) tokens.dims[0] = 1;
  TRY(embed_check(context, EMBED_POSITIONS, "position_ids", &tokens));
  infer_output(context, 0, infer_type(context, EMBED_WORD), &y);
  infer_output(context, 1, NORMA_INT32, &samples);
  infer_output(context, 2, infer_type(context, EMBED_WORD), &y);
  return NORMA_OK;
}

static norma_status embed_prepare(prepare_context *context) {
  embed_state *state = context->state;
  const shape *ids = prepare_shape(context, EMBED_IDS);
  size_t *total = &context->worker_scratch_bytes, element = sizeof(float);
  state->batch = ids->dims[0];
  state->rows = ids->dims[1];
  state->hidden = prepare_shape(context, EMBED_WORD)->dims[1];
  size_t hidden = (size_t)state->hidden;
  if (!scratch_append(total, hidden, element, &state->sum_at) ||
      !scratch_append(total, hidden, element, &state->other_at) ||
      !scratch_append(total, hidden, element, &state->gamma_at) ||
      !scratch_append(total, hidden, element, &state->beta_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "one row is too large");
  context->kernel_name = "rows";
  context->flops = 10.0 * (double)state->batch * (double)state->rows * (double)state->hidden;
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* The row of a table that token `token`, counted over all samples, has there; -1: it has none. */
static int64_t embed_row(const run_context *context, int part, int64_t token) {
  const embed_state *state = context->state;
  const norma_tensor *segments = run_input(context, EMBED_SEGMENTS), *positions = run_input(context, EMBED_POSITIONS);
  if (part == 0) return ((const int32_t *)run_input(context, EMBED_IDS)->data)[token];
  if (part == 2) return segments ? ((const int32_t *)segments->data)[token] : -1;
  if (!positions) return token % state->rows;
  return ((const int32_t *)positions->data)[positions->dims[0] == 1 ? token % state->rows : token];
}

static norma_status embed_check_rows(run_context *context) {
  const embed_state *state = context->state;
  for (int part = 0; part < EMBED_PARTS; part++) {
    const norma_tensor *table = run_input(context, EMBED_WORD + part);
    for (int64_t token = 0; token < state->batch * state->rows && table; token++) {
      int64_t row = embed_row(context, part, token);
      if (row < 0 || row >= table->dims[0])
        return run_fail(context, NORMA_ERROR_RUN, "input %d has no row %" PRId64, EMBED_WORD + part, row);
    }
  }
  return NORMA_OK;
}

static void embed_tokens(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const embed_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  const norma_tensor *gamma = run_input(context, EMBED_GAMMA), *beta = run_input(context, EMBED_BETA);
  norma_tensor *y = run_output(context, 0), *total = run_output(context, 2);
  char *scratch = run_worker_scratch(context, worker);
  float *sum = (float *)(scratch + state->sum_at), *other = (float *)(scratch + state->other_at);
  float *scale = (float *)(scratch + state->gamma_at), *shift = (float *)(scratch + state->beta_at);
  size_t n = (size_t)state->hidden, bytes = element_type_bytes(gamma->type);
  float_from(kernels, gamma->type, scale, gamma->data, state->hidden);
  float_from(kernels, beta->type, shift, beta->data, state->hidden);
  for (int64_t token = begin; token < end; token++) {
    size_t at = (size_t)(token * state->hidden) * bytes;
    for (int part = 0; part < EMBED_PARTS; part++) {
      const norma_tensor *table = run_input(context, EMBED_WORD + part);
      if (!table) continue;
      const char *row = (const char *)table->data + (size_t)(embed_row(context, part, token) * state->hidden) * bytes;
      float_from(kernels, table->type, part ? other : sum, row, state->hidden);
      if (part) kernels->binary_f32[BINARY_ADD](sum, sum, other, n);
    }
    if (total) float_to(kernels, total->type, (char *)total->data + at, sum, state->hidden);
    if (n == 0) continue;
    const struct row_moments moments = kernels->row_moments_f32(sum, n, true);
    kernels->normalize_row_f32(sum, sum, n, (float)moments.mean, (float)(1 / sqrt(moments.variance + state->epsilon)),
                               scale, shift);
    float_to(kernels, y->type, (char *)y->data + at, sum, state->hidden);
  }
}

static void embed_count_masks(const run_context *context, int32_t *counts) {
  const embed_state *state = context->state;
  const norma_tensor *mask = run_input(context, EMBED_MASK);
  for (int64_t b = 0; b < state->batch; b++) {
    counts[b] = 0;
    for (int64_t s = 0; s < state->rows && mask; s++)
      counts[b] += ((const int32_t *)mask->data)[b * state->rows + s] == 1;
  }
}

static norma_status embed_compute(run_context *context) {
  const embed_state *state = context->state;
  norma_tensor *counts = run_output(context, 1);
  TRY(embed_check_rows(context));
  if (counts) embed_count_masks(context, counts->data);
  if (state->hidden == 0) return NORMA_OK;
  /* Converting gamma and beta once for each piece of work should not show. */
  int64_t grain = work_grain(4 * WORK_ELEMENT * (double)state->hidden);
  return run_parallel(context, state->batch * state->rows, grain < 4 ? 4 : grain, embed_tokens, context);
}

static const operator_attribute embed_attributes[] = {
    {"epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"mask_index_type", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_embed_layer_normalization[] = {
    {
        .domain = "com.microsoft",
        .name = "EmbedLayerNormalization",
        .versions = {1},
        .min_inputs = 7,
        .max_inputs = 9,
        .absent_inputs = INPUT(EMBED_SEGMENTS) | INPUT(EMBED_SEGMENT),
        .min_outputs = 1,
        .max_outputs = 3,
        .types = {{TYPE_BIT(NORMA_INT32),
                   INPUT(EMBED_IDS) | INPUT(EMBED_SEGMENTS) | INPUT(EMBED_MASK) | INPUT(EMBED_POSITIONS), OUTPUT(1)},
                  {TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16),
                   INPUT(EMBED_WORD) | INPUT(EMBED_POSITION) | INPUT(EMBED_SEGMENT) | INPUT(EMBED_GAMMA) |
                       INPUT(EMBED_BETA),
                   OUTPUT(0) | OUTPUT(2)}},
        .attributes = embed_attributes,
        .state_size = sizeof(embed_state),
        .read = embed_read,
        .infer = embed_infer,
        .prepare = embed_prepare,
        .facts = {.dimension = fact_dimension_batch},
        .compute = embed_compute,
    },
    {0},
};
