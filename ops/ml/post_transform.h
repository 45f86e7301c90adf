/*
 * The attribute post_transform of ai.onnx.ml: what becomes of the scores of one sample.
 *
 *   NONE           they stay
 *   SOFTMAX        exp(s) / sum of exp
 *   LOGISTIC       1 / (1 + exp(-s)), each
 *   SOFTMAX_ZERO   softmax over the scores that are not 0 (more than 1e-7 away from it); those stay 0
 *   PROBIT         the inverse of the normal distribution, each, by Winitzki's approximation of the inverse error
 *                  function with 0.147 for its constant, which other engines have too; 0 and 1 give the infinities,
 *                  what is outside NaN
 *
 * A single score that says which of two classes a sample belongs to first becomes the scores of both.
 */
#ifndef OPS_ML_POST_TRANSFORM_H
#define OPS_ML_POST_TRANSFORM_H

#include "ops/operator.h"

typedef enum post_transform {
  POST_TRANSFORM_NONE,
  POST_TRANSFORM_SOFTMAX,
  POST_TRANSFORM_LOGISTIC,
  POST_TRANSFORM_SOFTMAX_ZERO,
  POST_TRANSFORM_PROBIT
} post_transform;

/* Reads the attribute `post_transform`, a string, or a number in the order above. */
norma_status post_transform_read(const node *node, post_transform *transform, norma_error *error);

/* Transforms `rows` rows of `count` scores, one behind the other, in place. */
void post_transform_scores(const struct kernel_table *kernels, post_transform transform, float *scores, int64_t rows,
                           int64_t count);

/* The scores of both classes, before the transform, from one. is_probability: it is the second class' probability. */
static inline void post_transform_pair(post_transform transform, bool is_probability, float score, float pair[2]) {
  const bool complements = transform == POST_TRANSFORM_PROBIT || (transform == POST_TRANSFORM_NONE && is_probability);
  pair[0] = complements ? 1 - score : -score;
  pair[1] = score;
}

#endif
