/* Rows of broadcast inputs for the array kernels, which take no single numbers: those are written out in pieces. */
#ifndef OPS_ARRAY_ROWS_H
#define OPS_ARRAY_ROWS_H

#include "ops/strided.h"

typedef struct array_row_job {
  array_function *function;
  size_t bytes;     /* of an element of operands 1 and 2 */
  bool is_reversed; /* function(y, operand 2, operand 1) */
  bool by_bytes;    /* the function counts bytes, not elements */
} array_row_job;

/* A strided_row over an array_row_job: operand 0 = function(operand 1, operand 2). */
void array_binary_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count);

typedef struct select_row_job {
  const struct kernel_table *kernels;
  size_t bytes; /* 1, 2, 4, 8 or 16 */
} select_row_job;

/* The same over a select_row_job: operand 0 = operand 1 (bytes) ? operand 2 : operand 3. */
void array_select_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count);

#endif
