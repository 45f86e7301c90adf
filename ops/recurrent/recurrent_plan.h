/* What the plan and the run of recurrent operators share. */
#ifndef OPS_RECURRENT_RECURRENT_PLAN_H
#define OPS_RECURRENT_RECURRENT_PLAN_H

#include "ops/quantized/dynamic_quantization.h"
#include "ops/recurrent/recurrent.h"

/* A matrix of W or R, rows x depth as the model has it, whose transpose is packed as the right operand of products. */
typedef struct recurrent_matrix {
  int64_t first; /* element of the input */
  int64_t rows, depth;
  size_t at; /* elements of what is packed */
} recurrent_matrix;

#define RECURRENT_MOST_MATRICES (2 * RECURRENT_MOST_PHASES)

/* Which matrices W or R is made of; returns their number. */
int recurrent_list_matrices(const recurrent_state *state, int input, recurrent_matrix *matrices);
/* Packs rows row .. row + count - 1 of a matrix, which stand at `source`; they begin and end at panels of columns of
 * the packed form, or with the matrix. Of double all rows are packed at once. `packed` is where all matrices go. */
void recurrent_pack_rows(const struct kernel_table *kernels, norma_element_type type, const recurrent_matrix *matrix,
                         const void *source, int64_t row, int64_t count, void *packed);

/* All matrices of quantised W or R, packed as floats. */
void recurrent_pack_quantized(const struct kernel_table *kernels, const recurrent_state *state, int input,
                              const norma_tensor *weights, const norma_tensor *scales, const norma_tensor *zeros,
                              float *packed);
/* The scale and zero point of `n` numbers in each of `count` rows, which stand `stride` elements apart. */
dynamic_quantization recurrent_range(const struct kernel_table *kernels, const float *x, int64_t count, int64_t stride,
                                     int64_t n);
/* y = x, rounded to the numbers that these tell apart; y may be x. */
void recurrent_round_to(const struct kernel_table *kernels, float *y, const float *x, int64_t n,
                        dynamic_quantization range);

/* Both biases of a gate in one, directions x width; behind them R's biases of the last gate, directions x hidden, where
 * the last phase does not add the inputs. */
size_t recurrent_bias_size(const recurrent_state *state);
void recurrent_fill_bias(const recurrent_state *state, const void *source, void *destination);
void recurrent_fill_peepholes(const struct kernel_table *kernels, const recurrent_state *state, const void *source,
                              void *destination);

#endif
