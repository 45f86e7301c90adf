/* Elimination in square matrices of double precision, row by row in memory, with the largest pivot of each column. */
#ifndef OPS_MATMUL_SQUARE_MATRIX_H
#define OPS_MATMUL_SQUARE_MATRIX_H

#include "ops/operator.h"

/* The determinant; the matrix is overwritten. 1 for n = 0. Returns early, with any number, when the run is
 * cancelled. */
double square_determinant(const run_context *context, double *matrix, int64_t n);
/* The inverse in place of the matrix; `pivots` is room for n numbers. false: it has none. */
bool square_invert(const run_context *context, double *matrix, int64_t n, int64_t *pivots);

/* Fails unless input 0 is a stack of square matrices, as far as its shape is known. */
norma_status square_infer_input(infer_context *context);

#endif
