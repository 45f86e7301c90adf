/*
 * GroupQueryAttention 1 (com.microsoft)
 *
 *   output = softmax(softcap(scale * Q K^T) + attention_bias) V
 *
 * of num_heads query heads that share kv_num_heads key heads. query [B, S, num_heads * H], key and value
 * [B, S, kv_num_heads * H], or all side by side in query. Each sample has seqlens_k + 1 keys: those of past_key
 * [B, kv_num_heads, P, H], then the new ones; present_key [B, kv_num_heads, max(P, total_sequence_length), H] holds
 * them all, zeros behind them. Where total_sequence_length is S there is no past, and samples with fewer keys are
 * padded on the right. With query_seqlens each sample has that many new keys, the others of S being padding.
 *
 * Query i sees keys up to its own, of these the last local_window_size; with causal of 0 all. New queries and keys are
 * normalized with q_norm_weight and k_norm_weight, then rotated with do_rotary. head_sink (or with smooth_softmax 0) is
 * the score of a further key whose value is 0. output_qk: scores (qk_output of 1, 0 where a key is not seen) or weights
 * (2).
 *
 * With k_quant_type and v_quant_type the cache holds integers of 8 or 4 bits, or float8: number * scale; new keys too
 * are seen as the cache holds them. With sliding_window_cache it holds the last keys alone, as many as its definition
 * says. Half precision is computed in float.
 */
#include "ops/contrib/group_query_attention.h"

#include "ops/attention/attention_sizes.h"
#include "ops/half.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

static norma_status gqa_read_quantization(const node *node, const char *name, enum gqa_quantization *quantization,
                                          norma_error *error) {
  const char *text = attribute_string(node, name, "NONE");
  *quantization = GQA_PLAIN;
  if (strcmp(text, "PER_TENSOR") == 0) *quantization = GQA_PER_TENSOR;
  if (strcmp(text, "PER_CHANNEL") == 0) *quantization = GQA_PER_CHANNEL;
  if (*quantization != GQA_PLAIN || strcmp(text, "NONE") == 0) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s is '%.40s'", name, text);
}

static norma_status gqa_read(const node *node, void *opaque, norma_error *error) {
  gqa_state *state = opaque;
  float epsilon = attribute_float(node, "qk_norm_epsilon", 1e-6f);
  int64_t scores = attribute_int(node, "qk_output", 0), bits = attribute_int(node, "kv_cache_bit_width", 0);
  TRY(attention_read_heads(node, "num_heads", &state->heads, error));
  TRY(attention_read_heads(node, "kv_num_heads", &state->key_heads, error));
  state->window = attribute_int(node, "local_window_size", -1);
  state->scale = attribute_float(node, "scale", 0);
  state->softcap = attribute_float(node, "softcap", 0);
  state->epsilons[0] = attribute_float(node, "q_norm_epsilon", epsilon);
  state->epsilons[1] = attribute_float(node, "k_norm_epsilon", epsilon);
  state->causal = attribute_int(node, "causal", 1) != 0;
  state->rotates = attribute_int(node, "do_rotary", 0) != 0;
  state->interleaved = attribute_int(node, "rotary_interleaved", 0) != 0;
  state->smooth = attribute_int(node, "smooth_softmax", -1) > 0;
  state->is_windowed = attribute_int(node, "sliding_window_cache", 0) != 0;
  state->scores = (int)scores;
  state->packed = bits == 4;
  TRY(gqa_read_quantization(node, "k_quant_type", &state->quantization[0], error));
  TRY(gqa_read_quantization(node, "v_quant_type", &state->quantization[1], error));
  bool quantizes = state->quantization[0] != GQA_PLAIN || state->quantization[1] != GQA_PLAIN;
  const char *wrong = NULL;
  if (state->heads < 1 || state->key_heads < 1 || state->heads % state->key_heads != 0)
    wrong = "num_heads is no multiple of kv_num_heads, or one of them is not positive";
  else if (state->heads > INT32_MAX / 4)
    wrong = "num_heads is too large";
  else if (scores < 0 || scores > 2)
    wrong = "qk_output is not 0 to 2";
  else if (quantizes && bits != 0 && bits != 4 && bits != 8)
    wrong = "kv_cache_bit_width is not 4 or 8";
  else if (state->window != -1 && state->window < 1)
    wrong = "local_window_size is neither -1 nor positive";
  else if (!state->causal && state->window != -1)
    wrong = "local_window_size needs causal of 1";
  else if (state->is_windowed && state->window < 1)
    wrong = "sliding_window_cache needs local_window_size";
  else if (state->is_windowed && scores != 0)
    wrong = "sliding_window_cache has no output_qk";
  else if (!(state->epsilons[0] > 0) || !(state->epsilons[1] > 0))
    wrong = "an epsilon is not positive";
  return wrong ? error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s", wrong) : NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static norma_status gqa_plan_sizes(prepare_context *context, gqa_state *state) {
  attention_plan *plan = &state->plan;
  const shape *q = prepare_shape(context, GQA_QUERY), *past = prepare_shape(context, GQA_PAST_KEY);
  const shape *scores = context->output_count > GQA_SCORES && context->outputs[GQA_SCORES]
                            ? &context->outputs[GQA_SCORES]->shape
                            : prepare_shape(context, GQA_INPUTS);
  bool packed = prepare_shape(context, GQA_KEY)->rank == RANK_UNKNOWN;
  plan->batch = q->dims[0];
  plan->query_heads = state->heads;
  plan->key_heads = state->key_heads;
  plan->queries = q->dims[1];
  plan->depth = plan->values = q->dims[2] / (state->heads + (packed ? 2 * state->key_heads : 0));
  state->buffer = past->rank == 4 ? past->dims[2] : 0;
  plan->keys = state->buffer + plan->queries; /* no sample has more */
  plan->scores = ATTENTION_NO_SCORES;
  if (state->scores != 0 && scores->rank == 4) {
    plan->scores = state->scores == 1 ? ATTENTION_BIASED : ATTENTION_WEIGHTS;
    plan->keys = scores->dims[3];
    if (plan->keys == DIM_UNKNOWN)
      return prepare_fail(context, NORMA_ERROR_INTERNAL, "the size of output_qk is not known");
  }
  plan->scale = state->scale != 0 ? (double)state->scale : 1 / sqrt((double)plan->depth);
  plan->softcap = state->softcap;
  plan->left = state->window > 0 ? state->window - 1 : -1;
  plan->right = state->causal ? 0 : -1;
  return NORMA_OK;
}

static norma_status gqa_prepare_rows(prepare_context *context, gqa_state *state) {
  const attention_plan *plan = &state->plan;
  const shape *cos = prepare_shape(context, GQA_COS);
  size_t *total = &context->scratch_bytes, tokens = (size_t)(plan->batch * plan->queries), depth = (size_t)plan->depth;
  bool norms = prepare_shape(context, GQA_QUERY_NORM)->rank != RANK_UNKNOWN, fits = true;
  state->rotary = (rotary_plan){.batch = plan->batch,
                                .rows = plan->queries,
                                .elements = plan->depth,
                                .half = state->rotates ? cos->dims[1] : 0,
                                .neighbours = state->interleaved};
  state->positions = state->rotates ? cos->dims[0] : 0;
  for (int i = 0; i < 3; i++) {
    size_t heads = (size_t)(i == 0 ? state->heads : state->key_heads), rows, count;
    bool quantizes = i > 0 && state->quantization[i - 1] != GQA_PLAIN;
    state->makes_rows[i] = quantizes || (i < 2 && (norms || state->rotates));
    fits = fits && size_multiply(tokens, heads, &rows) && size_multiply(rows, depth, &count);
    if (fits && state->makes_rows[i]) fits = scratch_append(total, count, sizeof(float), &state->rows_at[i]);
    if (fits && quantizes) fits = scratch_append(total, count, 1, &state->quantized_at[i - 1]);
  }
  fits = fits && scratch_append(total, (size_t)plan->batch, sizeof(attention_sample), &state->samples_at) &&
         scratch_append(total, tokens, sizeof(int64_t), &state->positions_at) &&
         scratch_append(total, (size_t)state->heads, sizeof(float), &state->sinks_at);
  return fits ? rotary_prepare(context, &state->rotary)
              : prepare_fail(context, NORMA_ERROR_BUDGET, "the inputs are too large");
}

static norma_status gqa_prepare(prepare_context *context) {
  gqa_state *state = context->state;
  TRY(gqa_plan_sizes(context, state));
  TRY(gqa_prepare_rows(context, state));
  return attention_prepare(context, &state->plan);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* Queries, keys and values where they lie. */
static void gqa_find_parts(const run_context *context, attention_operand parts[3]) {
  const gqa_state *state = context->state;
  const attention_plan *plan = &state->plan;
  const norma_tensor *q = run_input(context, GQA_QUERY);
  bool packed = !run_input(context, GQA_KEY);
  int64_t width = plan->depth * (state->heads + (packed ? 2 * state->key_heads : 0)), before = 0;
  for (int i = 0; i < 3; i++) {
    int64_t heads = i == 0 ? state->heads : state->key_heads;
    if (i > 0 && !packed) {
      parts[i] = attention_input(context, GQA_QUERY + i, heads, plan->queries, plan->depth, true);
      continue;
    }
    parts[i] =
        (attention_operand){.data = (const char *)q->data + before * plan->depth * (int64_t)element_type_bytes(q->type),
                            .type = q->type,
                            .batch_stride = plan->queries * width,
                            .head_stride = plan->depth,
                            .row_stride = width};
    before += heads;
  }
}

/* The scales of a cache that is quantized. */
static attention_quantization gqa_find_quantization(const run_context *context, int index,
                                                    enum gqa_quantization quantization) {
  const gqa_state *state = context->state;
  const norma_tensor *scale = run_input(context, index);
  attention_quantization found = {.packed = state->packed};
  if (quantization == GQA_PLAIN) return found;
  found.scales = scale->data;
  if (quantization == GQA_PER_TENSOR) return found;
  int64_t elements = scale->rank > 0 ? scale->dims[scale->rank - 1] : 1;
  found.element_step = elements > 1;
  found.head_step = scale->rank > 2 && scale->dims[scale->rank - 3] > 1 ? elements : 0;
  return found;
}

/* A cache: past or present, of keys (0) or values (1). */
static attention_operand gqa_cache(const run_context *context, int which, bool is_present, int64_t rows,
                                   const attention_quantization quantization[2]) {
  const gqa_state *state = context->state;
  bool quantized = state->quantization[which] != GQA_PLAIN;
  int64_t elements = quantized && state->packed ? (state->plan.depth + 1) / 2 : state->plan.depth;
  attention_operand cache =
      is_present ? attention_output(context, GQA_PRESENT_KEY + which, state->key_heads, rows, elements, false)
                 : attention_input(context, GQA_PAST_KEY + which, state->key_heads, rows, elements, false);
  if (quantized) cache.quantization = &quantization[which];
  return cache;
}

static const float *gqa_find_sinks(run_context *context) {
  const gqa_state *state = context->state;
  const norma_tensor *sink = run_input(context, GQA_SINK);
  float *sinks = (float *)((char *)context->scratch + state->sinks_at);
  if (!sink && !state->smooth) return NULL;
  for (int64_t h = 0; h < state->heads; h++) sinks[h] = 0;
  if (sink) float_from(context->kernels, sink->type, sinks, sink->data, state->heads);
  return sinks;
}

/* total_sequence_length; refuses what is not made for it. */
static norma_status gqa_find_total(run_context *context, int64_t *total) {
  const gqa_state *state = context->state;
  const norma_tensor *given = run_input(context, GQA_TOTAL), *addend = run_input(context, GQA_ADDEND);
  if (norma_tensor_count(given) != 1)
    return run_fail(context, NORMA_ERROR_RUN, "total_sequence_length is not one number");
  *total = ((const int32_t *)given->data)[0];
  if (addend && attention_bias_columns(addend) != *total)
    return run_fail(context, NORMA_ERROR_RUN, "attention_bias is not for %" PRId64 " keys", *total);
  if (state->plan.scores != ATTENTION_NO_SCORES && state->plan.keys != *total)
    return run_fail(context, NORMA_ERROR_RUN, "output_qk is not for %" PRId64 " keys", *total);
  return NORMA_OK;
}

static norma_status gqa_compute(run_context *context) {
  const gqa_state *state = context->state;
  const attention_plan *plan = &state->plan;
  attention_sample *samples = (attention_sample *)((char *)context->scratch + state->samples_at);
  int64_t *positions = (int64_t *)((char *)context->scratch + state->positions_at), total = 0;
  const attention_quantization quantization[2] = {
      gqa_find_quantization(context, GQA_KEY_SCALE, state->quantization[0]),
      gqa_find_quantization(context, GQA_VALUE_SCALE, state->quantization[1])};
  attention_operand parts[3];
  if (plan->batch == 0) return NORMA_OK;
  TRY(gqa_find_total(context, &total));
  TRY(gqa_find_samples(context, total, samples, state->rotates ? positions : NULL));
  gqa_find_parts(context, parts);
  TRY(gqa_make_rows(context, positions, quantization, parts));
  int64_t present = state->is_windowed || state->buffer > total ? state->buffer : total;
  const norma_tensor *addend = run_input(context, GQA_ADDEND);
  attention_call call = {.q = parts[0],
                         .k = parts[1],
                         .v = parts[2],
                         .past_k = gqa_cache(context, 0, false, state->buffer, quantization),
                         .past_v = gqa_cache(context, 1, false, state->buffer, quantization),
                         .y = attention_output(context, GQA_Y, state->heads, plan->queries, plan->depth, true),
                         .present_k = gqa_cache(context, 0, true, present, quantization),
                         .present_v = gqa_cache(context, 1, true, present, quantization),
                         .present_rows = present,
                         .sinks = gqa_find_sinks(context),
                         .samples = samples};
  if (plan->scores != ATTENTION_NO_SCORES)
    call.scores = attention_output(context, GQA_SCORES, state->heads, plan->queries, total, false);
  if (addend) call.bias[0] = attention_bias_of(addend, total, false);
  return attention_run(context, plan, &call);
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static const operator_attribute gqa_attributes[] = {
    {"causal", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"do_rotary", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"k_norm_epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"k_quant_type", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"kv_cache_bit_width", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"kv_num_heads", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"local_window_size", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"num_heads", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"q_norm_epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"qk_norm_epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"qk_output", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"rotary_interleaved", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"scale", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"sliding_window_cache", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"smooth_softmax", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"softcap", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"v_quant_type", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {0},
};

#define TYPES_GQA       (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))
#define TYPES_GQA_CACHE (TYPES_GQA | TYPE_BIT(NORMA_INT8) | TYPE_BIT(NORMA_UINT8) | TYPE_BIT(NORMA_FLOAT8E4M3FN))

const operator_descriptor operators_group_query_attention[] = {
    {
        .domain = "com.microsoft",
        .name = "GroupQueryAttention",
        .versions = {1},
        .min_inputs = 7,
        .max_inputs = GQA_INPUTS,
        .absent_inputs = INPUT(GQA_KEY) | INPUT(GQA_VALUE) | INPUT(GQA_PAST_KEY) | INPUT(GQA_PAST_VALUE),
        .min_outputs = 1,
        .max_outputs = 4,
        .types = {{TYPES_GQA,
                   INPUT(GQA_QUERY) | INPUT(GQA_KEY) | INPUT(GQA_VALUE) | INPUT(GQA_COS) | INPUT(GQA_SIN) |
                       INPUT(GQA_ADDEND) | INPUT(GQA_SINK) | INPUT(GQA_QUERY_NORM) | INPUT(GQA_KEY_NORM),
                   OUTPUT(GQA_Y) | OUTPUT(GQA_SCORES)},
                  {TYPES_GQA_CACHE, INPUT(GQA_PAST_KEY), OUTPUT(GQA_PRESENT_KEY)},
                  {TYPES_GQA_CACHE, INPUT(GQA_PAST_VALUE), OUTPUT(GQA_PRESENT_VALUE)},
                  {TYPE_BIT(NORMA_INT32), INPUT(GQA_LENGTHS) | INPUT(GQA_TOTAL) | INPUT(GQA_QUERY_LENGTHS), 0},
                  {TYPE_BIT(NORMA_INT64), INPUT(GQA_POSITIONS), 0},
                  {TYPE_BIT(NORMA_FLOAT), INPUT(GQA_KEY_SCALE) | INPUT(GQA_VALUE_SCALE), 0}},
        .attributes = gqa_attributes,
        .state_size = sizeof(gqa_state),
        .read = gqa_read,
        .infer = gqa_infer,
        .prepare = gqa_prepare,
        .facts = {.dimension = fact_dimension_batch},
        .compute = gqa_compute,
    },
    {0},
};
