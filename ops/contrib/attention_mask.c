#include "ops/contrib/attention_mask.h"

#include <inttypes.h>

static bool contrib_mask_is(int64_t size, int64_t wanted) {
  return size == DIM_UNKNOWN || wanted == DIM_UNKNOWN || size == wanted;
}

static enum contrib_mask_kind contrib_mask_of_rank_1(const contrib_mask *mask, int64_t size) {
  if (contrib_mask_is(size, mask->batch)) return CONTRIB_MASK_ENDS;
  if (size == 2 * mask->batch) return CONTRIB_MASK_ENDS_AND_STARTS;
  return size == 3 * mask->batch + 2 ? CONTRIB_MASK_ENDS : CONTRIB_MASK_NONE;
}

bool contrib_mask_find(contrib_mask *mask, const shape *shape) {
  const int64_t *dims = shape->dims;
  mask->kind = CONTRIB_MASK_NONE;
  if (shape->rank == RANK_UNKNOWN) return true;
  if (shape->rank < 1 || shape->rank > 4) return false;
  if (shape->rank == 1) mask->kind = contrib_mask_of_rank_1(mask, dims[0]);
  if (shape->rank > 1 && !contrib_mask_is(dims[0], mask->batch)) return false;
  if (shape->rank == 2)
    mask->kind = contrib_mask_is(dims[1], mask->keys)    ? CONTRIB_MASK_KEYS
                 : contrib_mask_is(dims[1], mask->fresh) ? CONTRIB_MASK_FRESH
                                                         : CONTRIB_MASK_NONE;
  if (shape->rank == 3 && contrib_mask_is(dims[1], mask->queries) && contrib_mask_is(dims[2], mask->keys))
    mask->kind = CONTRIB_MASK_QUERIES;
  bool covers = dims[3] == DIM_UNKNOWN || mask->keys == DIM_UNKNOWN || dims[3] >= mask->keys;
  bool last = mask->queries == DIM_UNKNOWN || mask->keys == DIM_UNKNOWN || mask->queries <= mask->keys;
  if (shape->rank == 4 && contrib_mask_is(dims[1], 1) && contrib_mask_is(dims[2], dims[3]) && covers && last)
    mask->kind = CONTRIB_MASK_POSITIONS;
  return mask->kind != CONTRIB_MASK_NONE;
}

static bool contrib_mask_is_expanded(const contrib_mask *mask) {
  return mask->kind == CONTRIB_MASK_ENDS || mask->kind == CONTRIB_MASK_ENDS_AND_STARTS ||
         mask->kind == CONTRIB_MASK_FRESH;
}

size_t contrib_mask_memory(const contrib_mask *mask) {
  size_t count = 0;
  if (!contrib_mask_is_expanded(mask) && mask->kind != CONTRIB_MASK_KEYS) return 0;
  return size_multiply((size_t)mask->batch, (size_t)mask->keys, &count) ? count : SIZE_MAX;
}

/* What sample `b` adds to the score of key `j`. */
static float contrib_mask_element(const contrib_mask *mask, const int32_t *elements, int64_t past, int64_t b,
                                  int64_t j) {
  bool seen = mask->kind == CONTRIB_MASK_FRESH ? j < past || elements[b * mask->fresh + j - past] > 0 : j < elements[b];
  if (mask->kind == CONTRIB_MASK_ENDS_AND_STARTS && j < elements[mask->batch + b]) seen = false;
  return seen ? 0 : mask->filter;
}

static attention_bias contrib_mask_bias(const contrib_mask *mask, const norma_tensor *tensor, int64_t keys,
                                        int64_t past, float *memory) {
  attention_bias bias = {.data = NULL};
  if (mask->kind == CONTRIB_MASK_NONE) return bias;
  if (contrib_mask_is_expanded(mask)) {
    for (int64_t i = 0; i < mask->batch * keys; i++)
      memory[i] = contrib_mask_element(mask, tensor->data, past, i / keys, i % keys);
    return (attention_bias){
        .data = memory, .type = NORMA_FLOAT, .batch_stride = keys, .column_stride = 1, .columns = keys};
  }
  bias = (attention_bias){
      .data = tensor->data, .type = NORMA_INT32, .masks = true, .filter = mask->filter, .column_stride = 1};
  bias.columns = tensor->dims[tensor->rank - 1];
  bias.batch_stride = bias.columns;
  if (mask->kind == CONTRIB_MASK_QUERIES) {
    bias.row_stride = bias.columns;
    bias.batch_stride = mask->queries * bias.columns;
  } else if (mask->kind == CONTRIB_MASK_POSITIONS) { /* the queries are the last positions */
    bias.row_stride = bias.columns;
    bias.batch_stride = bias.columns * bias.columns;
    bias.data = (const int32_t *)tensor->data + (keys - mask->queries) * bias.columns;
  }
  return bias;
}

norma_status contrib_mask_run(run_context *context, const contrib_mask *mask, const norma_tensor *tensor, int64_t keys,
                              int64_t past, float *memory, attention_bias *bias) {
  contrib_mask known = *mask;
  shape of_mask = shape_of_tensor(tensor);
  known.keys = keys;
  if (!contrib_mask_find(&known, &of_mask))
    return run_fail(context, NORMA_ERROR_RUN, "the mask does not fit %" PRId64 " keys", keys);
  *bias = contrib_mask_bias(&known, tensor, keys, past, memory);
  return NORMA_OK;
}

norma_status contrib_past_length(run_context *context, const norma_tensor *length, int64_t buffer, int64_t fresh,
                                 const norma_tensor *attention_bias, int64_t *past) {
  if (norma_tensor_count(length) != 1)
    return run_fail(context, NORMA_ERROR_RUN, "past_sequence_length is not one number");
  *past = ((const int32_t *)length->data)[0];
  if (*past < 0 || *past + fresh > buffer)
    return run_fail(context, NORMA_ERROR_RUN,
                    "past_sequence_length is %" PRId64 ", but with %" PRId64 " new keys there is room for %" PRId64,
                    *past, fresh, buffer);
  if (attention_bias && attention_bias_columns(attention_bias) != *past + fresh)
    return run_fail(context, NORMA_ERROR_RUN, "attention_bias is not for %" PRId64 " keys", *past + fresh);
  return NORMA_OK;
}
