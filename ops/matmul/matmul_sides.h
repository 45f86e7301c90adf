/* What numpy.matmul makes of two shapes, for operators that multiply like it. */
#ifndef OPS_MATMUL_MATMUL_SIDES_H
#define OPS_MATMUL_MATMUL_SIDES_H

#include "ops/operator.h"

/* How the matrices of an operand lie in memory. */
typedef struct matmul_order {
  bool transposed;
  bool interleaved; /* rows of different matrices alternate: axis 0 counts them */
} matmul_order;

/* An operand as a matrix, in front of it its leading axes. A vector A stands for 1 x k, a vector B for k x 1. */
typedef struct matmul_side {
  shape batch;
  int64_t rows, columns; /* of the matrix that is multiplied */
  matmul_order order;    /* none for vectors */
} matmul_side;

/* Of an operand whose rank is known and not 0. */
matmul_side matmul_side_of(const shape *operand, bool is_b);
matmul_side matmul_side_ordered(const shape *operand, bool is_b, matmul_order order);

/* The shape of the product of inputs a and b, of unknown rank where one of theirs is; fails where they do not fit. */
norma_status infer_matmul_shape(infer_context *context, int a, int b, shape *y);
norma_status infer_matmul_shape_ordered(infer_context *context, int a, int b, const matmul_order orders[2], shape *y);

/* Strides over the leading axes of the result (batch_rank of them), counted in matrices of an operand. Returns how many
 * matrices it has. */
int64_t matmul_batch_strides(const shape *of_operand, int batch_rank, int64_t *strides);

#endif
