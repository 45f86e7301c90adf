/*
 * Scaled dot-product attention, for all operators that have it: of each query row
 *
 *   y = sum over j of w[j] * v[j],  w = softmax over j of cap(scale * q . k[j]) + bias[j]
 *
 * over the keys j that the row sees. Query head h reads key head h / (query_heads / key_heads). Keys are those of the
 * past, then new ones; both may be stored side by side as the present. A row that sees no key becomes zeros
 * (or what plan->hidden says).
 *
 * Computed in float, half precision in pieces, or in double. Where scores are wanted as well, or in double, a block of
 * rows has all its scores at a time; else a block of rows and keys. Results do not depend on batch or threads.
 *
 * Use: fill in an attention_plan, attention_prepare in prepare; an attention_call, attention_run in compute.
 */
#ifndef OPS_ATTENTION_ATTENTION_CORE_H
#define OPS_ATTENTION_ATTENTION_CORE_H

#include "ops/operator.h"

/* Which scores are wanted, as [batch][query_heads][queries][keys]. */
typedef enum attention_scores {
  ATTENTION_NO_SCORES,
  ATTENTION_RAW,    /* scale * q . k */
  ATTENTION_CAPPED, /* and behind the cap */
  ATTENTION_BIASED, /* and with the bias; plan->masked where a key is not seen */
  ATTENTION_WEIGHTS /* behind softmax */
} attention_scores;

/* Which part of the computation a run does. Others than the whole need plan->scores. */
typedef enum attention_stage {
  ATTENTION_WHOLE,
  ATTENTION_TO_SCORES,  /* the scores alone */
  ATTENTION_FROM_SCORES /* what is at the place of the scores are the weights */
} attention_stage;

typedef struct attention_plan {
  int64_t batch, query_heads, key_heads; /* query_heads is a multiple of key_heads */
  int64_t queries;                       /* rows of each head */
  int64_t keys;                          /* the most that a sample may have */
  int64_t depth, values;                 /* elements of a row of q and k; of v and y */
  double scale;
  float softcap; /* 0: none */
  bool in_double;
  attention_scores scores;
  double masked; /* a score that stands for -inf */
  double hidden; /* 0, or NaN: the results of a row that sees no key */
  /* The query at position p sees keys from p - left to p + right; negative: without a bound. Causal is a right of 0. */
  int64_t left, right;

  /* Set by attention_prepare. */
  bool few;
  int64_t row_block, key_block;
  size_t q_at, y_at, state_at, k_at, v_at, bias_at, product_at; /* in worker scratch */
} attention_plan;

/* A row as a quantized cache holds it: element e of head h is number * scales[h * head_step + e * element_step].
 * Numbers are of the operand's type, or with `packed` two in a byte, the first in the low half, of which 8 stands for
 * 0. */
typedef struct attention_quantization {
  const float *scales;
  int64_t head_step, element_step; /* 0: the same for all */
  bool packed;
} attention_quantization;

/* Element e of row r of head h of sample b lies at b * batch_stride + h * head_stride + r * row_stride + e. */
typedef struct attention_operand {
  union {
    const void *data; /* NULL: absent */
    void *target;     /* of results */
  };
  norma_element_type type;
  const attention_quantization *quantization; /* NULL: none */
  int64_t batch_stride, head_stride, row_stride;
} attention_operand;

/* Added to the scores: the elements, or with `masks` (BOOL or INT32) `filter` where an element is not above 0. Strides
 * of 0 repeat; that of columns is 0 or 1. Keys from `columns` on are not seen. */
typedef struct attention_bias {
  const void *data; /* NULL: none */
  norma_element_type type;
  bool masks;
  int64_t batch_stride, head_stride, row_stride, column_stride; /* in elements; rows are queries, columns keys */
  int64_t columns;
  float filter;
} attention_bias;

#define ATTENTION_BIASES 2

/* Of each sample: keys 0 .. stored - 1 exist, of which the first `past` come from the past; keys first .. keys - 1 may
 * be seen. Query i stands at position offset + i. The present leaves out the first `dropped` keys. Key j belongs to
 * column base + j of biases. */
typedef struct attention_sample {
  int64_t past, stored, first, keys, offset, dropped, base;
} attention_sample;

typedef struct attention_call {
  attention_operand q, y;
  attention_operand past_k, past_v; /* data may be NULL where no sample has a past */
  attention_operand k, v;           /* row r is key past + r */
  attention_operand present_k, present_v;
  int64_t present_rows; /* of present_k and present_v; those that a sample does not have become 0 */
  attention_bias bias[ATTENTION_BIASES];
  const float *sinks; /* for each query head the score of a further key whose value is 0; NULL: none */
  const attention_sample *samples;
  attention_operand scores; /* where plan->scores wants some; its strides are those of its shape */
  attention_stage stage;
} attention_call;

/* Strides of [batch][heads][rows][elements], or where `by_row` of [batch][rows][heads][elements]. */
attention_operand attention_operand_of(norma_element_type type, int64_t heads, int64_t rows, int64_t elements,
                                       bool by_row);

/* Whether the shape can be broadcast to [batch][heads][queries][keys], as far as these are known; `shorter`: the last
 * dimension may be less, and is not repeated. */
bool attention_bias_fits(const shape *given, const int64_t dims[4], bool shorter);
/* A bias whose shape fits, for `keys` keys; of BOOL it masks with -inf. */
attention_bias attention_bias_of(const norma_tensor *tensor, int64_t keys, bool shorter);
/* Its last dimension; 1 where it has none. */
int64_t attention_bias_columns(const norma_tensor *tensor);

/* Adds to worker_scratch_bytes; sets kernel_name and flops. */
norma_status attention_prepare(prepare_context *context, attention_plan *plan);
/* Stores the present alone; attention_run does so before it computes, or as it computes. */
norma_status attention_append(run_context *context, const attention_plan *plan, const attention_call *call);
norma_status attention_run(run_context *context, const attention_plan *plan, const attention_call *call);

#endif
