/*
 * Walking several arrays at once along one index space: what broadcasting and data movement have in common.
 *
 * A strided walk has dimensions and, for each operand, a stride in elements per dimension; strides may be 0 (broadcast)
 * or negative. strided_run cuts the space in rows along the last dimension and calls a row function for each, in
 * parallel. Where the cuts lie depends on the sizes only, never on the number of threads; row functions must treat each
 * element alone, so cuts never show in a result.
 */
#ifndef OPS_STRIDED_H
#define OPS_STRIDED_H

#include "ops/operator.h"

#define STRIDED_MAX_RANK (2 * NORMA_MAX_RANK) /* Tile splits each dimension in two */
#define STRIDED_OPERANDS 4

typedef struct strided {
  int rank;
  int operands;
  int64_t dims[STRIDED_MAX_RANK];
  int64_t strides[STRIDED_OPERANDS][STRIDED_MAX_RANK]; /* in elements */
  char *data[STRIDED_OPERANDS];                        /* at index 0, ..., 0; operand 0 is what is written */
  size_t element_bytes[STRIDED_OPERANDS];
  int64_t grain; /* elements worth one piece of parallel work; 0: STRIDED_GRAIN */
} strided;

#define STRIDED_GRAIN 8192

/* Element i of operand k lies at pointers[k] + i * steps[k] bytes, 0 <= i < count. */
typedef void strided_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count);

/* Adds an operand of contiguous row-major layout whose dimensions are aligned with the last ones of walk->dims; sizes
 * of 1 against a larger size are repeated. The caller has checked that the shapes fit. */
void strided_add_broadcast(strided *walk, const void *data, size_t element_bytes, int rank, const int64_t *dims);

/* Merges dimensions that can be walked as one and drops those of size 1. The walk then has rank 1 or more, unless it is
 * empty (a dimension of 0): then rank is 1 and dims[0] 0. */
void strided_collapse(strided *walk);

/* Collapses and runs. */
norma_status strided_run(run_context *context, strided *walk, strided_row *row, void *argument);

/* Copies operand 1 to operand 0 element by element (both of element_bytes[0] bytes: 1, 2, 4, 8 or 16); transpositions
 * are done in tiles. */
norma_status strided_copy(run_context *context, strided *walk);

/* Writes the element at `element` `count` times to `target`. */
void strided_fill(void *target, const void *element, size_t element_bytes, int64_t count);

#endif
