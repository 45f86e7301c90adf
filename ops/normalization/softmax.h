/* Softmax and LogSoftmax of float, for the operators on plain tensors and on channel blocks. */
#ifndef OPS_NORMALIZATION_SOFTMAX_H
#define OPS_NORMALIZATION_SOFTMAX_H

#include "ops/operator.h"

#define SOFTMAX_COLUMNS 256 /* of rows that are worked on together */

enum softmax_kind { SOFTMAX, LOG_SOFTMAX, HARDMAX };

/* `lines` lines of `count` adjacent elements, SOFTMAX or LOG_SOFTMAX; count is not 0. y may be x. */
void softmax_float_lines(const struct kernel_table *kernels, enum softmax_kind kind, float *y, const float *x,
                         int64_t lines, int64_t count);

/* `columns` lines side by side, at most SOFTMAX_COLUMNS; element i of a line is in row i, `stride` behind the one
 * before. What comes out for a line does not depend on those beside it. y may be x. */
void softmax_float_columns(const struct kernel_table *kernels, enum softmax_kind kind, float *y, const float *x,
                           size_t count, size_t columns, size_t stride);

/* The largest element of each such line, and the logarithm of the sum of exp(x - largest). */
void softmax_float_log_sums(const struct kernel_table *kernels, float *largest, float *log_sum, const float *x,
                            size_t count, size_t columns, size_t stride);

#endif
