/* What the files of MultiHeadAttention and DecoderMaskedMultiHeadAttention share: the node's state, and sizes from
 * shapes. */
#ifndef OPS_CONTRIB_MULTI_HEAD_ATTENTION_H
#define OPS_CONTRIB_MULTI_HEAD_ATTENTION_H

#include "ops/attention/attention_core.h"
#include "ops/contrib/attention_mask.h"

enum mha_outputs { MHA_Y, MHA_PRESENT_KEY, MHA_PRESENT_VALUE, MHA_SCORES };
enum mha_parts { MHA_Q, MHA_K, MHA_V, MHA_PARTS };

/* Indices of inputs; -1: the operator has none. */
typedef struct mha_inputs {
  int key, value, bias, mask, addend, past_key, past_value, past_length, beams, indirection;
} mha_inputs;

enum mha_format { MHA_SEPARATE, MHA_BY_HEAD, MHA_PACKED_KV, MHA_PACKED, MHA_PACKED_ROWS };

typedef struct mha_state {
  mha_inputs inputs;
  int64_t heads;
  float filter, scale;
  bool causal, shares;

  /* The plan's. */
  attention_plan plan;
  contrib_mask mask;
  enum mha_format format;
  int64_t fresh, past, buffer;                      /* keys; rows of past_key */
  size_t samples_at, mask_at, biased_at[MHA_PARTS]; /* in scratch */
} mha_state;

typedef struct mha_sizes {
  enum mha_format format;
  int64_t batch, queries, fresh, buffer, depth, values;
  int64_t past, keys; /* DIM_UNKNOWN where past_sequence_length is not known */
} mha_sizes;

/* Sizes from query, key and value of sizes->format; false where they contradict each other. */
bool mha_sizes_of_inputs(const mha_state *state, const shape *q, const shape *k, const shape *v, mha_sizes *sizes);

norma_status mha_infer(infer_context *context);

#endif
