/*
 * Matrix products of 8-bit integers for operators: one or many of one shape, C = (A - zeros) * (B - zeros) with A m x k
 * and B k x n, exact modulo 2^32, on gemm_i8 of the kernel table. A constant B is packed once per model, another one in
 * each run; products are cut for the workers.
 *
 * Use: fill in the description, integer_product_prepare in prepare; in compute take the parameters together
 * (integer_product_zeros and _scales put them into scratch) and call integer_product_run.
 */
#ifndef OPS_QUANTIZED_INTEGER_PRODUCT_H
#define OPS_QUANTIZED_INTEGER_PRODUCT_H

#include "ops/operator.h"

typedef struct integer_operand {
  int input;                            /* of the node */
  int64_t row_stride, column_stride;    /* in elements; one of the two is 1 */
  int64_t count;                        /* matrices, which follow each other */
  int64_t batch_stride[NORMA_MAX_RANK]; /* in matrices; 0 where the operand is repeated */
} integer_operand;

typedef struct integer_product {
  norma_element_type a_type, b_type;
  norma_element_type c_type; /* INT32, FLOAT, INT8 or UINT8 */
  int64_t m, n, k;
  int batch_rank; /* C is a row-major array of batch_dims of matrices m x n without gaps */
  int64_t batch_dims[NORMA_MAX_RANK];
  integer_operand a, b;
  int a_zero,
      b_zero; /* inputs; -1: none. One element, one for each row of A or column of B, or these for each matrix */
  /* Set by integer_product_prepare. */
  int64_t batch;         /* product of batch_dims */
  const void *packed;    /* B, or NULL where it is no constant */
  size_t packed_size;    /* bytes of one packed matrix */
  size_t packed_at;      /* in scratch: B that is no constant */
  size_t zeros_at[2];    /* in scratch: zero points of A and B as int32_t */
  int64_t zero_count[2]; /* elements of these; 0 where there are none */
  int64_t row_chunk, row_chunks, column_chunk, column_chunks, grain;
} integer_product;

/* What happens to the sums before they are stored; see struct gemm_i8. */
typedef struct integer_product_end {
  const void *a; /* A and its one zero point, where they are no inputs; NULL: as the description says */
  const int32_t *a_zero;
  const int32_t *bias; /* n elements, or NULL */
  const float *scale;  /* not for INT32 */
  int64_t scale_count; /* 1, n, or n for each matrix of B */
  int32_t c_zero;
  bool c_limited;
  int32_t c_low, c_high;
  const float *column_bias, *residual; /* of FLOAT; the residual is laid out as C */
  struct activation activation;        /* of FLOAT */
} integer_product_end;

/* Multiplies inputs as numpy.matmul does: sizes, strides and leading axes from their shapes. */
void integer_product_of_matmul(const prepare_context *context, int a, int b, integer_product *product);

/* Fails unless the shape of zero points or scales, input `parameter` (absent ones are well), is one that a run
 * takes. */
norma_status infer_product_parameter(infer_context *context, int parameter, int operand, bool is_b, const char *name);

/* Packs a constant B, cuts the work, adds to the scratch that the context asks for and sets kernel_name and flops. */
norma_status integer_product_prepare(prepare_context *context, integer_product *product);

/* Which matrix of an operand belongs to matrix `index` of C. */
int64_t integer_product_matrix(const integer_product *product, const integer_operand *operand, int64_t index);

/* Computes C into `c`. */
norma_status integer_product_run(run_context *context, const integer_product *product, const integer_product_end *end,
                                 void *c);

#endif
