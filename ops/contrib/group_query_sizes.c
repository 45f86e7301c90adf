#include "ops/contrib/group_query_attention.h"

#include "ops/attention/attention_sizes.h"

#include <inttypes.h>

static norma_status gqa_sizes_of_queries(infer_context *context, gqa_sizes *sizes) {
  const gqa_state *state = context->state;
  const shape *q = infer_shape(context, GQA_QUERY), *k = infer_shape(context, GQA_KEY);
  const shape *v = infer_shape(context, GQA_VALUE);
  bool packed = !infer_has_input(context, GQA_KEY);
  int64_t parts = packed ? state->heads + 2 * state->key_heads : state->heads, width = DIM_UNKNOWN;
  char texts[3][100];
  if (packed == infer_has_input(context, GQA_VALUE)) return infer_fail(context, "key and value are needed together");
  sizes->batch = size_of(q, 0);
  sizes->queries = size_of(q, 1);
  sizes->depth = size_share(size_of(q, 2), parts);
  bool fits = (q->rank == RANK_UNKNOWN || q->rank == 3) && size_divides(size_of(q, 2), parts);
  for (int i = GQA_KEY; i <= GQA_VALUE && !packed; i++) {
    const shape *rows = infer_shape(context, i);
    width = size_of(rows, 2);
    fits = fits && (rows->rank == RANK_UNKNOWN || rows->rank == 3) && size_unite(&sizes->batch, size_of(rows, 0)) &&
           size_unite(&sizes->queries, size_of(rows, 1)) && size_divides(width, state->key_heads) &&
           size_unite(&sizes->depth, size_share(width, state->key_heads));
  }
  if (fits) return NORMA_OK;
  return infer_fail(
      context, "query of shape %s, key of shape %s and value of shape %s do not fit %" PRId64 " and %" PRId64 " heads",
      shape_text(q, texts[0], sizeof texts[0]), shape_text(k, texts[1], sizeof texts[1]),
      shape_text(v, texts[2], sizeof texts[2]), state->heads, state->key_heads);
}

/* Whether the element type of a cache is one of its quantization. */
static bool gqa_type_fits(const infer_context *context, int index, enum gqa_quantization quantization) {
  const gqa_state *state = context->state;
  norma_element_type type = infer_type(context, index), plain = infer_type(context, GQA_QUERY);
  if (type == NORMA_UNDEFINED || plain == NORMA_UNDEFINED) return true;
  if (quantization == GQA_PLAIN) return type == plain;
  return state->packed ? type == NORMA_UINT8 : type == NORMA_INT8 || type == NORMA_FLOAT8E4M3FN;
}

static norma_status gqa_sizes_of_past(infer_context *context, gqa_sizes *sizes) {
  const gqa_state *state = context->state;
  bool has_past = infer_has_input(context, GQA_PAST_KEY);
  char text[100];
  if (has_past != infer_has_input(context, GQA_PAST_VALUE))
    return infer_fail(context, "past_key and past_value are needed together");
  sizes->buffer = has_past ? DIM_UNKNOWN : 0;
  for (int i = GQA_PAST_KEY; i <= GQA_PAST_VALUE && has_past; i++) {
    const shape *past = infer_shape(context, i);
    int64_t heads = state->key_heads, stored = sizes->depth;
    if (state->packed && state->quantization[i - GQA_PAST_KEY] != GQA_PLAIN && stored != DIM_UNKNOWN)
      stored = (stored + 1) / 2;
    bool fits = past->rank == RANK_UNKNOWN ||
                (past->rank == 4 && size_unite(&sizes->batch, past->dims[0]) && size_unite(&heads, past->dims[1]) &&
                 size_unite(&sizes->buffer, past->dims[2]) && size_unite(&stored, past->dims[3]));
    if (!fits) return infer_fail(context, "a past of shape %s does not fit", shape_text(past, text, sizeof text));
    if (!gqa_type_fits(context, i, state->quantization[i - GQA_PAST_KEY]))
      return infer_fail(context, "a past of %s does not fit its quantization",
                        norma_element_type_name(infer_type(context, i)));
  }
  if (!has_past && (state->quantization[0] != GQA_PLAIN || state->quantization[1] != GQA_PLAIN))
    return infer_fail(context, "a quantized cache needs a past, which tells its type");
  if (!has_past && state->is_windowed) return infer_fail(context, "sliding_window_cache needs a past");
  if (state->is_windowed && sizes->buffer != DIM_UNKNOWN && sizes->buffer < state->window)
    return infer_fail(context, "a cache of %" PRId64 " rows does not hold a window of %" PRId64, sizes->buffer,
                      state->window);
  return NORMA_OK;
}

static norma_status gqa_size_of_total(infer_context *context, gqa_sizes *sizes) {
  const gqa_state *state = context->state;
  int count;
  norma_status status;
  sizes->total = DIM_UNKNOWN;
  if (infer_ints(context, GQA_TOTAL, &sizes->total, 1, &count, &status) && (count != 1 || sizes->total < 0))
    return infer_fail(context, "total_sequence_length is not one number of at least 0");
  TRY(status);
  sizes->present = sizes->buffer;
  if (state->is_windowed) return NORMA_OK;
  if (sizes->buffer == 0)
    sizes->present = sizes->total;
  else if (sizes->buffer != DIM_UNKNOWN && sizes->total == DIM_UNKNOWN)
    sizes->present = DIM_UNKNOWN;
  else if (sizes->buffer != DIM_UNKNOWN && sizes->total > sizes->buffer)
    sizes->present = sizes->total;
  return NORMA_OK;
}

/* Refuses input `index` unless it has this shape or is absent. */
static norma_status gqa_check_shape(infer_context *context, int index, const char *name, int rank,
                                    const int64_t *dims) {
  shape expected = shape_make(rank, dims);
  char text[100];
  if (!infer_has_input(context, index) || shape_merge(&expected, infer_shape(context, index))) return NORMA_OK;
  return infer_fail(context, "%s of shape %s does not fit", name,
                    shape_text(infer_shape(context, index), text, sizeof text));
}

static norma_status gqa_check_caches(infer_context *context, const gqa_sizes *sizes) {
  const gqa_state *state = context->state;
  const shape *cos = infer_shape(context, GQA_COS), *sin = infer_shape(context, GQA_SIN);
  int64_t rows = size_of(cos, 0), half = size_of(cos, 1);
  bool there = infer_has_input(context, GQA_COS) && infer_has_input(context, GQA_SIN);
  if (state->rotates && !there) return infer_fail(context, "do_rotary needs cos_cache and sin_cache");
  if (!state->rotates) return NORMA_OK;
  bool fits = (cos->rank == RANK_UNKNOWN || cos->rank == 2) && (sin->rank == RANK_UNKNOWN || sin->rank == 2) &&
              size_unite(&rows, size_of(sin, 0)) && size_unite(&half, size_of(sin, 1));
  if (!fits || (half != DIM_UNKNOWN && sizes->depth != DIM_UNKNOWN && half > sizes->depth / 2))
    return infer_fail(context, "cos_cache and sin_cache do not fit a head of %" PRId64 " elements", sizes->depth);
  return NORMA_OK;
}

static norma_status gqa_check_scale(infer_context *context, const gqa_sizes *sizes, int index,
                                    enum gqa_quantization quantization) {
  const gqa_state *state = context->state;
  const shape *scale = infer_shape(context, index);
  const int64_t dims[4] = {1, state->key_heads, 1, sizes->depth};
  char text[100];
  if (quantization == GQA_PLAIN) return NORMA_OK;
  if (!infer_has_input(context, index)) return infer_fail(context, "a quantized cache needs k_scale and v_scale");
  if (scale->rank == RANK_UNKNOWN) return NORMA_OK;
  int64_t count = shape_count(scale);
  bool fits =
      quantization == GQA_PER_TENSOR ? count == 1 || count == DIM_UNKNOWN : attention_bias_fits(scale, dims, false);
  if (fits) return NORMA_OK;
  return infer_fail(context, "a scale of shape %s does not fit its cache", shape_text(scale, text, sizeof text));
}

static norma_status gqa_check_rest(infer_context *context, const gqa_sizes *sizes) {
  const gqa_state *state = context->state;
  const int64_t scores[4] = {sizes->batch, state->heads, sizes->queries, sizes->total};
  const int64_t batch[2] = {sizes->batch, sizes->queries};
  const shape *addend = infer_shape(context, GQA_ADDEND);
  char text[100];
  TRY(gqa_check_shape(context, GQA_LENGTHS, "seqlens_k", 1, batch));
  TRY(gqa_check_shape(context, GQA_QUERY_LENGTHS, "query_seqlens", 1, batch));
  TRY(gqa_check_shape(context, GQA_POSITIONS, "position_ids", 2, batch));
  TRY(gqa_check_shape(context, GQA_SINK, "head_sink", 1, &state->heads));
  TRY(gqa_check_shape(context, GQA_QUERY_NORM, "q_norm_weight", 1, &sizes->depth));
  TRY(gqa_check_shape(context, GQA_KEY_NORM, "k_norm_weight", 1, &sizes->depth));
  TRY(gqa_check_caches(context, sizes));
  TRY(gqa_check_scale(context, sizes, GQA_KEY_SCALE, state->quantization[0]));
  TRY(gqa_check_scale(context, sizes, GQA_VALUE_SCALE, state->quantization[1]));
  if (infer_has_input(context, GQA_QUERY_NORM) != infer_has_input(context, GQA_KEY_NORM))
    return infer_fail(context, "q_norm_weight and k_norm_weight are needed together");
  if (infer_has_input(context, GQA_QUERY_LENGTHS) && (!state->causal || !infer_has_input(context, GQA_PAST_KEY)))
    return infer_fail(context, "query_seqlens needs a past, and causal of 1");
  if (!attention_bias_fits(addend, scores, false))
    return infer_fail(context, "attention_bias of shape %s does not fit", shape_text(addend, text, sizeof text));
  return NORMA_OK;
}

norma_status gqa_infer(infer_context *context) {
  const gqa_state *state = context->state;
  gqa_sizes sizes;
  TRY(gqa_sizes_of_queries(context, &sizes));
  TRY(gqa_sizes_of_past(context, &sizes));
  TRY(gqa_size_of_total(context, &sizes));
  TRY(gqa_check_rest(context, &sizes));
  norma_element_type type = infer_type(context, GQA_QUERY);
  shape y = shape_of_rank(3), scores = shape_of_rank(4);
  y.dims[0] = scores.dims[0] = sizes.batch;
  y.dims[1] = scores.dims[2] = sizes.queries;
  y.dims[2] = size_times(state->heads, sizes.depth);
  scores.dims[1] = state->heads;
  scores.dims[3] = sizes.total;
  infer_output(context, GQA_Y, type, &y);
  infer_output(context, GQA_SCORES, type, &scores);
  for (int i = 0; i < 2; i++) {
    bool packed = state->packed && state->quantization[i] != GQA_PLAIN;
    shape present = shape_of_rank(4);
    present.dims[0] = sizes.batch;
    present.dims[1] = state->key_heads;
    present.dims[2] = sizes.present;
    present.dims[3] = packed && sizes.depth != DIM_UNKNOWN ? (sizes.depth + 1) / 2 : sizes.depth;
    bool quantized = state->quantization[i] != GQA_PLAIN;
    infer_output(context, GQA_PRESENT_KEY + i, quantized ? infer_type(context, GQA_PAST_KEY + i) : type, &present);
  }
  return NORMA_OK;
}
