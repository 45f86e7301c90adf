#include "ops/contrib/multi_head_attention.h"

#include "ops/attention/attention_sizes.h"

#include <inttypes.h>

static const shape *mha_shape(const infer_context *context, int index) {
  return infer_shape(context, index < 0 ? context->input_count : index);
}

static bool mha_has(const infer_context *context, int index) {
  return index >= 0 && infer_has_input(context, index);
}

static norma_status mha_find_format(infer_context *context, mha_sizes *sizes) {
  const mha_state *state = context->state;
  const shape *q = infer_shape(context, 0), *k = infer_shape(context, state->inputs.key);
  bool has_value = infer_has_input(context, state->inputs.value);
  if (!infer_has_input(context, state->inputs.key)) {
    if (has_value) return infer_fail(context, "value is given without key");
    bool is_decoder = state->inputs.beams >= 0;
    if (q->rank != RANK_UNKNOWN && q->rank != (is_decoder ? 3 : 5))
      return infer_fail(context, "query has rank %d, but packed it needs rank %d", q->rank, is_decoder ? 3 : 5);
    sizes->format = is_decoder ? MHA_PACKED_ROWS : MHA_PACKED;
    return NORMA_OK;
  }
  if (q->rank != RANK_UNKNOWN && q->rank != 3) return infer_fail(context, "query has rank %d, expected 3", q->rank);
  if (k->rank != RANK_UNKNOWN && has_value == (k->rank == 5))
    return infer_fail(context, "key has rank %d and value is %s", k->rank, has_value ? "given" : "missing");
  if (k->rank != RANK_UNKNOWN && (k->rank < 3 || k->rank > 5))
    return infer_fail(context, "key has rank %d, expected 3 to 5", k->rank);
  int rank = k->rank != RANK_UNKNOWN ? k->rank : mha_shape(context, state->inputs.value)->rank;
  sizes->format = !has_value ? MHA_PACKED_KV : rank == 4 ? MHA_BY_HEAD : MHA_SEPARATE;
  return NORMA_OK;
}

bool mha_sizes_of_inputs(const mha_state *state, const shape *q, const shape *k, const shape *v, mha_sizes *sizes) {
  int64_t heads = state->heads, hidden = size_of(q, 2);
  sizes->batch = size_of(q, 0);
  sizes->queries = size_of(q, 1);
  if (sizes->format == MHA_PACKED) {
    int64_t found = heads, three = 3;
    sizes->fresh = sizes->queries;
    sizes->depth = sizes->values = size_of(q, 4);
    return size_unite(&found, size_of(q, 2)) && size_unite(&three, size_of(q, 3));
  }
  if (sizes->format == MHA_PACKED_ROWS) {
    sizes->fresh = sizes->queries;
    sizes->depth = sizes->values = hidden == DIM_UNKNOWN ? DIM_UNKNOWN : hidden / 3 / heads;
    return hidden == DIM_UNKNOWN || hidden % (3 * heads) == 0;
  }
  sizes->depth = size_share(hidden, heads);
  if (!size_divides(hidden, heads) || !size_unite(&sizes->batch, size_of(k, 0))) return false;
  if (sizes->format == MHA_PACKED_KV) {
    int64_t found = heads, two = 2;
    sizes->fresh = size_of(k, 1);
    if (!size_unite(&found, size_of(k, 2)) || !size_unite(&two, size_of(k, 3))) return false;
    if (!size_unite(&sizes->depth, size_of(k, 4))) return false;
    sizes->values = sizes->depth;
    return true;
  }
  if (!size_unite(&sizes->batch, size_of(v, 0)) ||
      (k->rank != RANK_UNKNOWN && v->rank != RANK_UNKNOWN && k->rank != v->rank))
    return false;
  if (sizes->format == MHA_BY_HEAD) {
    int64_t found = heads;
    sizes->fresh = size_of(k, 2);
    sizes->values = size_of(v, 3);
    return size_unite(&found, size_of(k, 1)) && size_unite(&found, size_of(v, 1)) &&
           size_unite(&sizes->fresh, size_of(v, 2)) && size_unite(&sizes->depth, size_of(k, 3));
  }
  sizes->fresh = size_of(k, 1);
  sizes->values = size_share(size_of(v, 2), heads);
  return size_divides(size_of(k, 2), heads) && size_divides(size_of(v, 2), heads) &&
         size_unite(&sizes->fresh, size_of(v, 1)) && size_unite(&sizes->depth, size_share(size_of(k, 2), heads));
}

static bool mha_sizes_of_past(int64_t heads, const shape *past, mha_sizes *sizes, int64_t *elements) {
  int64_t found = heads;
  if (past->rank == RANK_UNKNOWN) return true;
  return past->rank == 4 && size_unite(&sizes->batch, past->dims[0]) && size_unite(&found, past->dims[1]) &&
         size_unite(&sizes->buffer, past->dims[2]) && size_unite(elements, past->dims[3]);
}

static norma_status mha_find_past(infer_context *context, mha_sizes *sizes) {
  const mha_state *state = context->state;
  const mha_inputs *in = &state->inputs;
  char texts[2][100];
  bool has_past = mha_has(context, in->past_key);
  if (has_past != mha_has(context, in->past_value))
    return infer_fail(context, "past_key and past_value are needed together");
  if (has_past && sizes->format == MHA_BY_HEAD)
    return infer_fail(context, "past_key cannot stand beside keys by heads");
  if (!has_past) sizes->buffer = 0;
  if (!mha_sizes_of_past(state->heads, mha_shape(context, in->past_key), sizes, &sizes->depth) ||
      !mha_sizes_of_past(state->heads, mha_shape(context, in->past_value), sizes, &sizes->values))
    return infer_fail(context, "past_key of shape %s and past_value of shape %s do not fit",
                      shape_text(mha_shape(context, in->past_key), texts[0], sizeof texts[0]),
                      shape_text(mha_shape(context, in->past_value), texts[1], sizeof texts[1]));
  sizes->past = sizes->buffer;
  if (has_past && mha_has(context, in->past_length)) {
    int count;
    norma_status status;
    if (!infer_ints(context, in->past_length, &sizes->past, 1, &count, &status)) sizes->past = DIM_UNKNOWN;
    TRY(status);
    if (sizes->past != DIM_UNKNOWN && (count != 1 || sizes->past < 0))
      return infer_fail(context, "past_sequence_length is not one number of at least 0");
  } else if (has_past && state->shares) {
    return infer_fail(context, "past_present_share_buffer needs past_sequence_length");
  }
  sizes->keys = size_sum(sizes->past, sizes->fresh);
  return NORMA_OK;
}

/* Whether present_key has the length of past_key, which is a buffer. */
static bool mha_keeps_buffer(const infer_context *context) {
  const mha_state *state = context->state;
  return mha_has(context, state->inputs.past_key) && mha_has(context, state->inputs.past_length);
}

static norma_status mha_check_rest(infer_context *context, const mha_sizes *sizes) {
  const mha_state *state = context->state;
  const mha_inputs *in = &state->inputs;
  char text[100];
  const int64_t scores[4] = {sizes->batch, state->heads, sizes->queries, sizes->keys};
  contrib_mask mask = {sizes->batch, sizes->queries, sizes->fresh, sizes->keys, 0, CONTRIB_MASK_NONE};
  if (!contrib_mask_find(&mask, mha_shape(context, in->mask)))
    return infer_fail(context, "a mask of shape %s does not fit",
                      shape_text(mha_shape(context, in->mask), text, sizeof text));
  if (!attention_bias_fits(mha_shape(context, in->addend), scores, false))
    return infer_fail(context, "attention_bias of shape %s does not fit",
                      shape_text(mha_shape(context, in->addend), text, sizeof text));
  shape bias = shape_of_rank(1);
  int64_t depth = size_times(2 * state->heads, sizes->depth);
  bias.dims[0] = size_sum(depth, size_times(state->heads, sizes->values));
  if (mha_has(context, in->bias) && sizes->format == MHA_BY_HEAD)
    return infer_fail(context, "a bias cannot stand beside keys by heads");
  if (mha_has(context, in->bias) && !shape_merge(&bias, mha_shape(context, in->bias)))
    return infer_fail(context, "bias of shape %s does not fit",
                      shape_text(mha_shape(context, in->bias), text, sizeof text));
  const shape *indirection = mha_shape(context, in->indirection);
  if (mha_has(context, in->indirection) && !mha_has(context, in->past_key))
    return infer_fail(context, "cache_indirection needs a past");
  if (indirection->rank == RANK_UNKNOWN) return NORMA_OK;
  int64_t rows = indirection->rank == 3 ? size_times(indirection->dims[0], indirection->dims[1]) : 0;
  bool fits = indirection->rank == 3 && size_unite(&rows, sizes->batch);
  bool covers = fits && (sizes->buffer == DIM_UNKNOWN || size_of(indirection, 2) == DIM_UNKNOWN ||
                         indirection->dims[2] >= sizes->buffer);
  if (!covers)
    return infer_fail(context, "cache_indirection of shape %s does not fit",
                      shape_text(indirection, text, sizeof text));
  return NORMA_OK;
}

static norma_status mha_find_sizes(infer_context *context, mha_sizes *sizes) {
  const mha_state *state = context->state;
  const shape *q = infer_shape(context, 0), *k = mha_shape(context, state->inputs.key);
  const shape *v = mha_shape(context, state->inputs.value);
  char texts[3][100];
  *sizes = (mha_sizes){MHA_SEPARATE, -1, -1, -1, -1, -1, -1, -1, -1};
  TRY(mha_find_format(context, sizes));
  if (!mha_sizes_of_inputs(state, q, k, v, sizes))
    return infer_fail(context, "query of shape %s, key of shape %s and value of shape %s do not fit %" PRId64 " heads",
                      shape_text(q, texts[0], sizeof texts[0]), shape_text(k, texts[1], sizeof texts[1]),
                      shape_text(v, texts[2], sizeof texts[2]), state->heads);
  TRY(mha_find_past(context, sizes));
  return mha_check_rest(context, sizes);
}

norma_status mha_infer(infer_context *context) {
  const mha_state *state = context->state;
  mha_sizes sizes;
  TRY(mha_find_sizes(context, &sizes));
  shape y = shape_of_rank(3), key = shape_of_rank(4), value, scores = shape_of_rank(4);
  y.dims[0] = key.dims[0] = scores.dims[0] = sizes.batch;
  y.dims[1] = scores.dims[2] = sizes.queries;
  y.dims[2] = size_times(state->heads, sizes.values);
  key.dims[1] = scores.dims[1] = state->heads;
  key.dims[2] = mha_keeps_buffer(context) ? sizes.buffer : sizes.keys;
  scores.dims[3] = sizes.keys;
  value = key;
  key.dims[3] = sizes.depth;
  value.dims[3] = sizes.values;
  infer_output(context, MHA_Y, infer_type(context, 0), &y);
  infer_output(context, MHA_PRESENT_KEY, infer_type(context, 0), &key);
  infer_output(context, MHA_PRESENT_VALUE, infer_type(context, 0), &value);
  infer_output(context, MHA_SCORES, state->inputs.beams >= 0 ? NORMA_FLOAT : infer_type(context, 0), &scores);
  return NORMA_OK;
}
