/*
 * Support vector machines: the values of a kernel between rows of features and support vectors.
 *
 *   LINEAR   x . s
 *   POLY     (gamma x . s + coef0) ^ degree
 *   RBF      exp(-gamma |x - s|^2)
 *   SIGMOID  tanh(gamma x . s + coef0)
 *
 * Computed in float, whatever the type of the rows, as products of matrices. That of RBF is exp(2 gamma x . s - gamma
 * |x|^2
 * - gamma |s|^2) with x and s taken from the mean of the support vectors: distances stay, and the three terms are of
 * the size of the exponent that comes out. Where they are much larger all the same (a gamma far above the usual),
 * differences are summed instead. With the linear kernel, support vectors are combined with their coefficients when
 * they are packed, so that what comes out are decisions, not kernels.
 */
#ifndef OPS_ML_SVM_H
#define OPS_ML_SVM_H

#include "ops/ml/row_products.h"

typedef enum svm_kind { SVM_LINEAR, SVM_POLY, SVM_RBF, SVM_SIGMOID } svm_kind;

typedef struct svm {
  svm_kind kind;
  float gamma, coef0, degree;
  int64_t vectors, features; /* vectors 0: coefficients are the weights of a linear model */
  const float *support;      /* [vectors][features]; NULL where vectors is 0 */

  /* The plan's. */
  row_products products;    /* by kernel, or by decision where it is linear */
  const float *center;      /* of RBF: features numbers */
  const float *column_bias; /* outputs numbers, or NULL */
  bool by_distance;
  int64_t block_rows; /* rows whose values are computed together */
  bool cuts_rows;     /* workers take blocks; else they share each */
  size_t block_bytes; /* of scratch for a block */
  size_t values_at, rows_at, bias_at, product_bytes;
} svm;

/* Reads kernel_type, kernel_params and support_vectors, of which there are `vectors`. */
norma_status svm_read(const node *node, svm *svm, int64_t vectors, norma_error *error);

/* Packs, and asks for scratch: `rows` rows of input 0; outputs of a linear machine are `decisions` rows of `weights`.
 * Each worker gets `more` bytes beside, see svm_body. */
norma_status svm_prepare(prepare_context *context, svm *svm, int64_t rows, int64_t decisions, row_weights *weights,
                         const void *argument, size_t more);

/* weights[f] += factor * vector[f]: what the weights of a linear machine are made of. */
static inline void svm_add_vector(const svm *svm, int64_t vector, double factor, double *weights) {
  const float *support = svm->support + vector * svm->features;
  for (int64_t f = 0; f < svm->features; f++) weights[f] += factor * (double)support[f];
}

/* Gets the values of rows first .. first + rows - 1: kernels, [rows][vectors], or decisions of a linear machine. May be
 * called on any thread; `more` are that worker's bytes. */
typedef void svm_body(void *argument, const float *values, int64_t first, int64_t rows, void *more);

/* Computes all rows of input 0. */
norma_status svm_run(run_context *context, const svm *svm, int64_t rows, svm_body *body, void *argument);

#endif
