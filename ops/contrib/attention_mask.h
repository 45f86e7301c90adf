/*
 * Masks of the attention operators of com.microsoft: integers that are above 0 where a key may be seen, or positions.
 * Masked keys get `filter` added to their scores.
 *
 *   [B]         each sample's keys end there           [B, T]       for each key
 *   [2 * B]     ends, then where keys begin            [B, S, T]    for each query and key
 *   [3 * B + 2] ends, and what this code needs not     [B, 1, M, M] for each position and key, M >= T
 *   [B, L]      for each new key; all keys of the past are seen
 */
#ifndef OPS_CONTRIB_ATTENTION_MASK_H
#define OPS_CONTRIB_ATTENTION_MASK_H

#include "ops/attention/attention_core.h"

enum contrib_mask_kind {
  CONTRIB_MASK_NONE,
  CONTRIB_MASK_ENDS,
  CONTRIB_MASK_ENDS_AND_STARTS,
  CONTRIB_MASK_FRESH,
  CONTRIB_MASK_KEYS,
  CONTRIB_MASK_QUERIES,
  CONTRIB_MASK_POSITIONS
};

typedef struct contrib_mask {
  int64_t batch, queries, fresh, keys; /* sizes, DIM_UNKNOWN where not known */
  float filter;
  /* Set by contrib_mask_find. */
  enum contrib_mask_kind kind;
} contrib_mask;

/* Finds the kind from the mask's shape; false if there is none. A shape of unknown rank fits; of unknown rank and
 * absent is NONE. */
bool contrib_mask_find(contrib_mask *mask, const shape *shape);
/* Floats of memory that contrib_mask_bias needs, for any kind of a mask of this rank; all sizes known, `keys` may be
 * more than there will be. */
size_t contrib_mask_memory(const contrib_mask *mask);
/* The mask as a bias for `keys` keys, of which those from `past` on are new; refuses a mask that does not fit them. */
norma_status contrib_mask_run(run_context *context, const contrib_mask *mask, const norma_tensor *tensor, int64_t keys,
                              int64_t past, float *memory, attention_bias *bias);

/* How many rows of a past of `buffer` rows are filled, by the tensor past_sequence_length; refuses more than leave room
 * for `fresh` ones, and an attention_bias (NULL: none) of another length. */
norma_status contrib_past_length(run_context *context, const norma_tensor *length, int64_t buffer, int64_t fresh,
                                 const norma_tensor *attention_bias, int64_t *past);

#endif
