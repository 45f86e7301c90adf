/*
 * Matrix products for operators: one or many of one shape, C = A * B with A m x k and B k x n, on the kernels of the
 * table or, for integers, exactly modulo 2^bits. Constant operands are packed once per model, products are cut for the
 * workers, half precision is computed in float.
 *
 * Use: fill in the description, product_prepare in prepare, product_run in compute, product_finish when the result is
 * as it shall be stored.
 */
#ifndef OPS_MATMUL_MATRIX_PRODUCT_H
#define OPS_MATMUL_MATRIX_PRODUCT_H

#include "ops/operator.h"

#define PRODUCT_MAX_BATCH_AXES NORMA_MAX_RANK

typedef struct product_operand {
  int input;                         /* of the node */
  int64_t row_stride, column_stride; /* in elements; one of the two is 1 */
  int64_t count;                     /* matrices, which follow each other; row_count * column_count elements each */
  int64_t batch_stride[PRODUCT_MAX_BATCH_AXES]; /* in matrices; 0 where the operand is repeated */
  bool interleaved; /* matrices do not follow each other: batch_stride counts elements, and nothing is packed */
  /* Set by product_prepare. */
  const void *packed;
  size_t packed_size;  /* elements of one packed matrix */
  size_t converted_at; /* in scratch: half precision as float */
} product_operand;

typedef struct matrix_product {
  norma_element_type type; /* of A, B and C: float, double, float16, bfloat16, or an integer of 32 or 64 bits */
  int64_t m, n, k;
  int batch_rank; /* C is a row-major array of batch_dims of matrices m x n without gaps */
  int64_t batch_dims[PRODUCT_MAX_BATCH_AXES];
  product_operand a, b;
  bool in_scratch; /* the result of float or half precision stays in scratch, as float: no product_finish */
  /* Set by product_prepare. */
  bool transposed;  /* computed as the transpose of B^T * A^T: A and B have changed places */
  int64_t batch;    /* product of batch_dims */
  size_t result_at; /* in scratch: C in float */
  int64_t row_chunk, row_chunks, column_chunk, column_chunks, grain;
} matrix_product;

/* What happens to the elements of a float product before they are stored; see epilogue_f32. `residual` is laid out as
 * C. */
typedef struct product_epilogue {
  const float *row_bias;    /* m elements or NULL */
  const float *column_bias; /* n elements or NULL */
  const float *residual;
  struct activation activation;
} product_epilogue;

/* Packs constants, cuts the work, adds to the scratch that the context asks for and sets kernel_name and flops. */
norma_status product_prepare(prepare_context *context, matrix_product *product);

/* Where product_run writes C: output 0, or scratch holding float for half precision. */
void *product_result(run_context *context, const matrix_product *product);

/* Computes C into product_result. `epilogue` is for float and half precision, else it must be NULL; NULL: none. */
norma_status product_run(run_context *context, const matrix_product *product, const product_epilogue *epilogue);

/* Rounds the result of half precision to output 0. */
norma_status product_finish(run_context *context, const matrix_product *product);

/* What makes a Gemm add a bias of n elements as it is; a MatMul with a bias becomes one. */
extern const bias_setting gemm_bias_settings[];

#endif
