/*
 * Attention 23, 24, 25 (ai.onnx)
 *
 *   Y = softmax(softcap(scale * Q K^T) + mask) V
 *
 * Q [B, Hq, S, D], K [B, Hkv, L, D], V [B, Hkv, L, Dv], Y [B, Hq, S, Dv]; or of rank 3, [B, S, Hq * D] and so on, with
 * q_num_heads and kv_num_heads. Query heads share key heads in groups. With past_key [B, Hkv, P, D] and past_value the
 * keys are T = P + L, and present_key and present_value hold them all.
 *
 * attn_mask is broadcast to [B, Hq, S, T]; false masks, numbers are added. Query i stands at position i + offset, where
 * offset is P, or nonpad_kv_seqlen - S where that is given, and with is_causal sees keys up to its position. A row that
 * sees no key is zero. qk_matmul_output is the scores at a stage of their computation.
 *
 * 24 adds nonpad_kv_seqlen (how many keys each sample has) and masks shorter than T; 25 windows to the left and right
 * of a position. Half precision is computed in float whatever softmax_precision says; softmax_precision of double makes
 * it double.
 */
#include "engine/graph/query.h"
#include "ops/attention/attention_core.h"
#include "ops/attention/attention_sizes.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

enum { IN_Q, IN_K, IN_V, IN_MASK, IN_PAST_KEY, IN_PAST_VALUE, IN_NONPAD };
enum { OUT_Y, OUT_PRESENT_KEY, OUT_PRESENT_VALUE, OUT_SCORES };

typedef struct attention_state {
  int64_t query_heads, key_heads; /* 0: not given */
  int64_t mode, left, right;
  int64_t precision; /* softmax_precision; 0: not given */
  bool causal, has_scale;
  float scale, softcap;

  /* The plan's. */
  attention_plan plan;
  int64_t past, fresh; /* keys */
  bool by_row;         /* rank 3 */
  size_t samples_at;   /* in scratch */
} attention_state;

static norma_status attention_read(const node *node, void *opaque, norma_error *error) {
  TRY(read_inputs_since(node, IN_NONPAD, 24, error));
  attention_state *state = opaque;
  TRY(attention_read_heads(node, "q_num_heads", &state->query_heads, error));
  TRY(attention_read_heads(node, "kv_num_heads", &state->key_heads, error));
  state->mode = attribute_int(node, "qk_matmul_output_mode", 0);
  state->left = attribute_int(node, "left_window_size", -1);
  state->right = attribute_int(node, "right_window_size", -1);
  state->precision = attribute_int(node, "softmax_precision", 0);
  state->causal = attribute_int(node, "is_causal", 0) != 0;
  state->has_scale = node_attribute(node, "scale") != NULL;
  state->scale = attribute_float(node, "scale", 0);
  state->softcap = attribute_float(node, "softcap", 0);
  if (state->mode < 0 || state->mode > 3)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "qk_matmul_output_mode is %" PRId64 ", not 0 to 3",
                         state->mode);
  if (state->left < -1 || state->right < -1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "a window size is below -1");
  if (state->precision && (state->precision < 0 || state->precision >= NORMA_ELEMENT_TYPE_COUNT ||
                           !(TYPE_BIT(state->precision) & TYPES_FLOAT)))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "softmax_precision is %" PRId64 ", no type of float",
                         state->precision);
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ infer */

/* Dimensions of Q, K and V as of rank 4. */
typedef struct attention_sizes {
  int rank; /* of the inputs; RANK_UNKNOWN */
  int64_t batch, query_heads, key_heads, queries, fresh, past, depth, values;
} attention_sizes;

/* Sizes from shapes of rank 4. */
static bool attention_sizes_of_heads(const shape *q, const shape *k, const shape *v, attention_sizes *sizes) {
  const shape none = shape_of_rank(4);
  if (q->rank == RANK_UNKNOWN) q = &none;
  if (k->rank == RANK_UNKNOWN) k = &none;
  if (v->rank == RANK_UNKNOWN) v = &none;
  sizes->query_heads = q->dims[1];
  sizes->queries = q->dims[2];
  sizes->depth = q->dims[3];
  sizes->key_heads = k->dims[1];
  sizes->fresh = k->dims[2];
  sizes->values = v->dims[3];
  return size_unite(&sizes->key_heads, v->dims[1]) && size_unite(&sizes->fresh, v->dims[2]) &&
         size_unite(&sizes->depth, k->dims[3]);
}

/* Sizes from shapes of rank 3, with heads from attributes. */
static bool attention_sizes_of_rows(const shape *q, const shape *k, const shape *v, attention_sizes *sizes) {
  const shape none = shape_of_rank(3);
  if (q->rank == RANK_UNKNOWN) q = &none;
  if (k->rank == RANK_UNKNOWN) k = &none;
  if (v->rank == RANK_UNKNOWN) v = &none;
  if (!size_divides(q->dims[2], sizes->query_heads) || !size_divides(k->dims[2], sizes->key_heads) ||
      !size_divides(v->dims[2], sizes->key_heads))
    return false;
  sizes->queries = q->dims[1];
  sizes->fresh = k->dims[1];
  sizes->depth = size_share(q->dims[2], sizes->query_heads);
  sizes->values = size_share(v->dims[2], sizes->key_heads);
  return size_unite(&sizes->fresh, v->dims[1]) && size_unite(&sizes->depth, size_share(k->dims[2], sizes->key_heads));
}

/* What the past says. */
static bool attention_sizes_of_past(const shape *key, const shape *value, attention_sizes *sizes) {
  if ((key->rank != RANK_UNKNOWN && key->rank != 4) || (value->rank != RANK_UNKNOWN && value->rank != 4)) return false;
  if (key->rank == 4 && (!size_unite(&sizes->batch, key->dims[0]) || !size_unite(&sizes->key_heads, key->dims[1]) ||
                         !size_unite(&sizes->past, key->dims[2]) || !size_unite(&sizes->depth, key->dims[3])))
    return false;
  return value->rank != 4 ||
         (size_unite(&sizes->batch, value->dims[0]) && size_unite(&sizes->key_heads, value->dims[1]) &&
          size_unite(&sizes->past, value->dims[2]) && size_unite(&sizes->values, value->dims[3]));
}

static norma_status attention_find_sizes(infer_context *context, attention_sizes *sizes) {
  const attention_state *state = context->state;
  const shape *q = infer_shape(context, IN_Q), *k = infer_shape(context, IN_K), *v = infer_shape(context, IN_V);
  *sizes = (attention_sizes){RANK_UNKNOWN, -1, -1, -1, -1, -1, -1, -1, -1};
  for (int i = IN_Q; i <= IN_V; i++) {
    int rank = infer_shape(context, i)->rank;
    if (rank == RANK_UNKNOWN) continue;
    if ((rank != 3 && rank != 4) || (sizes->rank != RANK_UNKNOWN && sizes->rank != rank))
      return infer_fail(context, "Q, K and V have ranks %d, %d and %d: all need rank 3 or all 4", q->rank, k->rank,
                        v->rank);
    sizes->rank = rank;
    if (!size_unite(&sizes->batch, infer_shape(context, i)->dims[0]))
      return infer_fail(context, "Q, K and V have different batches");
  }
  if (sizes->rank == RANK_UNKNOWN) return NORMA_OK;
  if (sizes->rank == 3) {
    if (state->query_heads == 0 || state->key_heads == 0)
      return infer_fail(context, "inputs of rank 3 need the attributes q_num_heads and kv_num_heads");
    sizes->query_heads = state->query_heads;
    sizes->key_heads = state->key_heads;
  }
  char texts[3][100];
  bool fits = sizes->rank == 4 ? attention_sizes_of_heads(q, k, v, sizes) : attention_sizes_of_rows(q, k, v, sizes);
  if (!fits)
    return infer_fail(context, "Q of shape %s, K of shape %s and V of shape %s do not fit",
                      shape_text(q, texts[0], sizeof texts[0]), shape_text(k, texts[1], sizeof texts[1]),
                      shape_text(v, texts[2], sizeof texts[2]));
  if ((state->query_heads && !size_unite(&sizes->query_heads, state->query_heads)) ||
      (state->key_heads && !size_unite(&sizes->key_heads, state->key_heads)))
    return infer_fail(context,
                      "the inputs have %" PRId64 " and %" PRId64 " heads, the attributes say %" PRId64 " and %" PRId64,
                      sizes->query_heads, sizes->key_heads, state->query_heads, state->key_heads);
  if (!infer_has_input(context, IN_PAST_KEY)) sizes->past = 0;
  if (!attention_sizes_of_past(infer_shape(context, IN_PAST_KEY), infer_shape(context, IN_PAST_VALUE), sizes))
    return infer_fail(context, "past_key of shape %s and past_value of shape %s do not fit",
                      shape_text(infer_shape(context, IN_PAST_KEY), texts[0], sizeof texts[0]),
                      shape_text(infer_shape(context, IN_PAST_VALUE), texts[1], sizeof texts[1]));
  if (!size_divides(sizes->query_heads, sizes->key_heads) && sizes->query_heads != 0)
    return infer_fail(context, "%" PRId64 " query heads cannot share %" PRId64 " key heads", sizes->query_heads,
                      sizes->key_heads);
  return NORMA_OK;
}

static norma_status attention_infer_rest(infer_context *context, const attention_sizes *sizes, int64_t keys) {
  const shape *mask = infer_shape(context, IN_MASK), *nonpad = infer_shape(context, IN_NONPAD);
  const int64_t scores[4] = {sizes->batch, sizes->query_heads, sizes->queries, keys};
  char text[100];
  shape lengths = shape_of_rank(1);
  if (!attention_bias_fits(mask, scores, true))
    return infer_fail(context, "attn_mask of shape %s does not fit %" PRId64 " queries and %" PRId64 " keys",
                      shape_text(mask, text, sizeof text), sizes->queries, keys);
  lengths.dims[0] = sizes->batch;
  if (infer_has_input(context, IN_NONPAD) && !shape_merge(&lengths, nonpad))
    return infer_fail(context, "nonpad_kv_seqlen has shape %s but needs an element for each sample",
                      shape_text(nonpad, text, sizeof text));
  return NORMA_OK;
}

static norma_status attention_infer(infer_context *context) {
  attention_sizes sizes;
  bool has_past = infer_has_input(context, IN_PAST_KEY), has_nonpad = infer_has_input(context, IN_NONPAD);
  if (has_past != infer_has_input(context, IN_PAST_VALUE))
    return infer_fail(context, "past_key and past_value are needed together");
  if (has_nonpad && has_past) return infer_fail(context, "nonpad_kv_seqlen cannot stand beside past_key");
  TRY(attention_find_sizes(context, &sizes));
  int64_t keys = size_sum(sizes.past, sizes.fresh);
  TRY(attention_infer_rest(context, &sizes, keys));
  shape y = sizes.rank == RANK_UNKNOWN ? shape_unknown() : shape_of_rank(sizes.rank);
  shape key = shape_of_rank(4), value, scores = shape_of_rank(4);
  y.dims[0] = key.dims[0] = scores.dims[0] = sizes.batch;
  if (sizes.rank == 3) {
    y.dims[1] = sizes.queries;
    y.dims[2] = size_times(sizes.query_heads, sizes.values);
  } else if (sizes.rank == 4) {
    y.dims[1] = sizes.query_heads;
    y.dims[2] = sizes.queries;
    y.dims[3] = sizes.values;
  }
  key.dims[1] = sizes.key_heads;
  key.dims[2] = scores.dims[3] = keys;
  value = key;
  key.dims[3] = sizes.depth;
  value.dims[3] = sizes.values;
  scores.dims[1] = sizes.query_heads;
  scores.dims[2] = sizes.queries;
  infer_output(context, OUT_Y, infer_type(context, IN_Q), &y);
  infer_output(context, OUT_PRESENT_KEY, infer_type(context, IN_K), &key);
  infer_output(context, OUT_PRESENT_VALUE, infer_type(context, IN_V), &value);
  infer_output(context, OUT_SCORES, infer_type(context, IN_Q), &scores);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static void attention_plan_sizes(attention_state *state, const shape *q, const shape *k, const shape *v) {
  attention_plan *plan = &state->plan;
  plan->batch = q->dims[0];
  state->by_row = q->rank == 3;
  if (state->by_row) {
    plan->query_heads = state->query_heads;
    plan->key_heads = state->key_heads;
    plan->queries = q->dims[1];
    state->fresh = k->dims[1];
    plan->depth = q->dims[2] / state->query_heads;
    plan->values = v->dims[2] / state->key_heads;
  } else {
    plan->query_heads = q->dims[1];
    plan->key_heads = k->dims[1];
    plan->queries = q->dims[2];
    state->fresh = k->dims[2];
    plan->depth = q->dims[3];
    plan->values = v->dims[3];
  }
}

static norma_status attention_prepare_operator(prepare_context *context) {
  attention_state *state = context->state;
  attention_plan *plan = &state->plan;
  const shape *past = prepare_shape(context, IN_PAST_KEY);
  attention_plan_sizes(state, prepare_shape(context, IN_Q), prepare_shape(context, IN_K), prepare_shape(context, IN_V));
  state->past = past->rank == 4 ? past->dims[2] : 0;
  plan->keys = state->past + state->fresh;
  plan->masked = -INFINITY;
  plan->scale = state->has_scale ? (double)state->scale : 1 / sqrt((double)plan->depth);
  plan->softcap = state->softcap;
  plan->in_double = prepare_type(context, IN_Q) == NORMA_DOUBLE || state->precision == NORMA_DOUBLE;
  plan->left = state->left;
  plan->right = state->causal ? 0 : state->right;
  if (context->output_count > OUT_SCORES && context->outputs[OUT_SCORES])
    plan->scores = (attention_scores)(ATTENTION_RAW + state->mode);
  if (!scratch_append(&context->scratch_bytes, (size_t)plan->batch, sizeof(attention_sample), &state->samples_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the batch is too large");
  return attention_prepare(context, plan);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static norma_status attention_find_samples(run_context *context, attention_sample *samples) {
  const attention_state *state = context->state;
  const attention_plan *plan = &state->plan;
  const norma_tensor *nonpad = run_input(context, IN_NONPAD);
  for (int64_t b = 0; b < plan->batch; b++) {
    samples[b] =
        (attention_sample){.past = state->past, .stored = plan->keys, .keys = plan->keys, .offset = state->past};
    if (!nonpad) continue;
    int64_t keys = ((const int64_t *)nonpad->data)[b];
    if (keys < 0 || keys > plan->keys)
      return run_fail(context, NORMA_ERROR_RUN,
                      "nonpad_kv_seqlen is %" PRId64 " in sample %" PRId64 ", but there are %" PRId64 " keys", keys, b,
                      plan->keys);
    samples[b].keys = keys;
    samples[b].offset = keys - plan->queries;
  }
  return NORMA_OK;
}

static norma_status attention_compute(run_context *context) {
  const attention_state *state = context->state;
  const attention_plan *plan = &state->plan;
  attention_sample *samples = (attention_sample *)((char *)context->scratch + state->samples_at);
  int64_t heads = plan->key_heads;
  if (plan->batch == 0) return NORMA_OK;
  TRY(attention_find_samples(context, samples));
  attention_call call = {
      .q = attention_input(context, IN_Q, plan->query_heads, plan->queries, plan->depth, state->by_row),
      .k = attention_input(context, IN_K, heads, state->fresh, plan->depth, state->by_row),
      .v = attention_input(context, IN_V, heads, state->fresh, plan->values, state->by_row),
      .past_k = attention_input(context, IN_PAST_KEY, heads, state->past, plan->depth, false),
      .past_v = attention_input(context, IN_PAST_VALUE, heads, state->past, plan->values, false),
      .y = attention_output(context, OUT_Y, plan->query_heads, plan->queries, plan->values, state->by_row),
      .present_k = attention_output(context, OUT_PRESENT_KEY, heads, plan->keys, plan->depth, false),
      .present_v = attention_output(context, OUT_PRESENT_VALUE, heads, plan->keys, plan->values, false),
      .present_rows = plan->keys,
      .scores = attention_output(context, OUT_SCORES, plan->query_heads, plan->queries, plan->keys, false),
      .samples = samples};
  const norma_tensor *mask = run_input(context, IN_MASK);
  if (mask)
    call.bias[0] = attention_bias_of(
        mask, plan->keys, context->node->version >= 24 || mask->rank == 0 || mask->dims[mask->rank - 1] != 1);
  return attention_run(context, plan, &call);
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static const operator_attribute attention_attributes[] = {
    {"is_causal", ATTRIBUTE_INT, 23, OPERATOR_LATEST, false},
    {"kv_num_heads", ATTRIBUTE_INT, 23, OPERATOR_LATEST, false},
    {"left_window_size", ATTRIBUTE_INT, 25, OPERATOR_LATEST, false},
    {"q_num_heads", ATTRIBUTE_INT, 23, OPERATOR_LATEST, false},
    {"qk_matmul_output_mode", ATTRIBUTE_INT, 23, OPERATOR_LATEST, false},
    {"right_window_size", ATTRIBUTE_INT, 25, OPERATOR_LATEST, false},
    {"scale", ATTRIBUTE_FLOAT, 23, OPERATOR_LATEST, false},
    {"softcap", ATTRIBUTE_FLOAT, 23, OPERATOR_LATEST, false},
    {"softmax_precision", ATTRIBUTE_INT, 23, OPERATOR_LATEST, false},
    {0},
};

/* Batch, heads and rows of Y are those of Q. */
static bool attention_dimension(const node *node, int output, int axis, dimension_source *source) {
  const shape *q = node_input_shape(node, IN_Q);
  if (output != OUT_Y || q->rank == RANK_UNKNOWN || axis >= q->rank - 1) return false;
  *source = (dimension_source){.input = IN_Q, .axis = axis, .stride = 1};
  return true;
}

const operator_descriptor operators_attention[] = {
    {
        .domain = "",
        .name = "Attention",
        .versions = {23, 24, 25},
        .min_inputs = 3,
        .max_inputs = 7,
        .min_outputs = 1,
        .max_outputs = 4,
        .types = {{TYPES_FLOAT, INPUT(IN_Q) | INPUT(IN_K) | INPUT(IN_PAST_KEY),
                   OUTPUT(OUT_Y) | OUTPUT(OUT_PRESENT_KEY) | OUTPUT(OUT_SCORES)},
                  {TYPES_FLOAT, INPUT(IN_V) | INPUT(IN_PAST_VALUE), OUTPUT(OUT_PRESENT_VALUE)},
                  {TYPES_NUMERIC | TYPE_BIT(NORMA_BOOL), INPUT(IN_MASK), 0},
                  {TYPE_BIT(NORMA_INT64), INPUT(IN_NONPAD), 0}},
        .attributes = attention_attributes,
        .state_size = sizeof(attention_state),
        .read = attention_read,
        .infer = attention_infer,
        .prepare = attention_prepare_operator,
        .facts = {.dimension = attention_dimension},
        .compute = attention_compute,
    },
    {0},
};
