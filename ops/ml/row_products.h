/* Products of rows of features with rows of weights that come from attributes: y[i][j] = activation(sum over f of
 * x[i][f] * w[j][f] + row_bias[i] + column_bias[j]). Weights are packed once per model, for float or for double. */
#ifndef OPS_ML_ROW_PRODUCTS_H
#define OPS_ML_ROW_PRODUCTS_H

#include "ops/operator.h"

typedef struct row_products {
  int64_t outputs, features;
  bool in_double;
  const void *packed; /* the plan's */
} row_products;

/* Writes the weights of output `output`, `features` numbers. */
typedef void row_weights(const void *argument, int64_t output, double *weights);

/* Sets `packed`; `key` as of prepare_packed. outputs, features and in_double must be set. */
norma_status row_products_prepare(prepare_context *context, row_products *products, uint64_t key, row_weights *weights,
                                  const void *argument);

/* Scratch of one call for up to `rows` rows. */
size_t row_products_scratch(const struct kernel_table *kernels, const row_products *products, int64_t rows);

/* One call: rows one behind the other, the outputs of a row too. Biases may be NULL; with in_double there is no
 * activation and no row_bias, and column_bias is of double. */
typedef struct row_products_call {
  const void *x;
  void *y;
  int64_t rows;
  const float *row_bias;
  const void *column_bias;
  struct activation activation;
} row_products_call;

/* Computes all on this thread. */
void row_products_run(const struct kernel_table *kernels, const row_products *products, const row_products_call *call,
                      void *scratch);
/* Computes all in parallel; each worker has row_products_scratch for all rows. The same bits. */
norma_status row_products_run_parallel(run_context *context, const row_products *products,
                                       const row_products_call *call);

#endif
