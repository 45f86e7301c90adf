/* What the files of GroupQueryAttention share: the node's state, its inputs, sizes from shapes. */
#ifndef OPS_CONTRIB_GROUP_QUERY_ATTENTION_H
#define OPS_CONTRIB_GROUP_QUERY_ATTENTION_H

#include "ops/attention/attention_core.h"
#include "ops/attention/rotary.h"

enum gqa_inputs {
  GQA_QUERY,
  GQA_KEY,
  GQA_VALUE,
  GQA_PAST_KEY,
  GQA_PAST_VALUE,
  GQA_LENGTHS, /* seqlens_k: of each sample all keys but one */
  GQA_TOTAL,   /* total_sequence_length: the most that a sample has */
  GQA_COS,
  GQA_SIN,
  GQA_POSITIONS,
  GQA_ADDEND, /* attention_bias */
  GQA_SINK,
  GQA_KEY_SCALE,
  GQA_VALUE_SCALE,
  GQA_QUERY_NORM,
  GQA_KEY_NORM,
  GQA_QUERY_LENGTHS,
  GQA_INPUTS
};
enum gqa_outputs { GQA_Y, GQA_PRESENT_KEY, GQA_PRESENT_VALUE, GQA_SCORES };

/* How a cache of keys or of values is quantized. */
enum gqa_quantization { GQA_PLAIN, GQA_PER_TENSOR, GQA_PER_CHANNEL };

typedef struct gqa_state {
  int64_t heads, key_heads;
  int64_t window;                    /* local_window_size; -1: none */
  float scale, softcap, epsilons[2]; /* of queries, of keys */
  bool causal, rotates, interleaved, smooth, is_windowed;
  int scores;                            /* qk_output */
  enum gqa_quantization quantization[2]; /* of keys, of values */
  bool packed;                           /* 4 bits */

  /* The plan's. */
  attention_plan plan;
  rotary_plan rotary;
  int64_t buffer;     /* rows of the past */
  int64_t positions;  /* rows of cos_cache */
  bool makes_rows[3]; /* of queries, keys, values: normalized, rotated or quantized into scratch */
  size_t samples_at, positions_at, sinks_at, rows_at[3], quantized_at[2]; /* in scratch */
} gqa_state;

typedef struct gqa_sizes {
  int64_t batch, queries, depth, buffer, present, total;
} gqa_sizes;

norma_status gqa_infer(infer_context *context);

/* Fills samples, and the position of each query where it is not NULL; refuses lengths that do not fit or are more than
 * total_sequence_length. */
norma_status gqa_find_samples(run_context *context, int64_t total, attention_sample *samples, int64_t *positions);

/* Normalizes, rotates and quantizes new rows; parts are the operands of queries, keys and values, before and after. */
norma_status gqa_make_rows(run_context *context, const int64_t *positions, const attention_quantization quantization[2],
                           attention_operand parts[3]);

#endif
