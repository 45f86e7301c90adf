/*
 * Rotary position embedding, for all operators that have it: the first 2 * half elements of each row are rotated in
 * pairs by angles that belong to the row's position, given as cosines and sines; the others are copied. Half precision
 * is computed in float.
 */
#ifndef OPS_ATTENTION_ROTARY_H
#define OPS_ATTENTION_ROTARY_H

#include "ops/operator.h"

typedef struct rotary_plan {
  int64_t batch, heads, rows; /* rows of each head */
  int64_t elements, half;
  bool neighbours; /* pairs are neighbours, else a half apart */
  /* Set by rotary_prepare. */
  size_t row_at, cos_at, sin_at; /* in worker scratch */
} rotary_plan;

/* Element e of row r of head h of sample b lies at b * batch_stride + h * head_stride + r * row_stride + e. */
typedef struct rotary_call {
  norma_element_type type, y_type, angle_type; /* of x, of y, of cosines and sines */
  const void *x;
  void *y;                            /* may be x where the strides are the same */
  int64_t x_strides[3], y_strides[3]; /* batch, head, row */
  const void *cos, *sin;              /* rows of `half` */
  const int64_t *positions;           /* for each sample and row, the row of cos and sin; NULL: sample * rows + row */
} rotary_call;

norma_status rotary_prepare(prepare_context *context, rotary_plan *plan);
norma_status rotary_run(run_context *context, const rotary_plan *plan, const rotary_call *call);

#endif
