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

/* Both biases of a gate in one, directions x width; behind them R's biases of the last gate, directions x hidden, where
 * the last phase does not add the inputs. */
size_t recurrent_bias_size(const recurrent_state *state);
void recurrent_fill_bias(const recurrent_state *state, const void *source, void *destination);
void recurrent_fill_peepholes(const struct kernel_table *kernels, const recurrent_state *state, const void *source,
                              void *destination);

/* ------------------------------------------------------------------------------------------------------------- run */

/* What 8-bit rows are multiplied with: scales of products and zero points, arrays by direction and column. */
typedef struct recurrent_bytes {
  dynamic_quantization x;   /* of all of X */
  int32_t *h_zero;          /* of the states, by direction */
  float *w_scale, *h_scale; /* of products with W, and with R in the present step */
  const float *r_scale;     /* of R alone */
  const int32_t *w_zero, *r_zero;
  float *ranges; /* least and largest number of each sample of X */
} recurrent_bytes;

/* A run. Arrays by direction and row of the batch, as in recurrent_cells. */
typedef struct recurrent_walk {
  run_context *context;
  const recurrent_state *state;
  recurrent_cell *cell;
  recurrent_cells cells;
  const void *packed_w, *packed_r, *bias;
  const int32_t *lengths;     /* NULL: all steps */
  recurrent_bytes bytes;      /* where weights are quantised */
  char *x;                    /* rows of X in the order of time, where they are copied */
  int64_t block, block_steps; /* first step of the walk in this block, and how many */
  int64_t input_pieces, input_row_chunk, input_column_chunk, input_row_chunks; /* of one direction's input product */
} recurrent_walk;

/* C = A * B + bias + addend, B being packed; panels as gemm_f32_run has them. */
typedef struct recurrent_product {
  int64_t rows, columns, depth;
  const void *a; /* rows x depth */
  const void *packed;
  void *c; /* rows of c_stride elements */
  int64_t c_stride;
  const void *bias;   /* by column; NULL: none */
  const void *addend; /* rows of addend_stride elements; NULL: none */
  int64_t addend_stride;
  /* Of 8-bit integers: C = (A - a_zero) * (B - b_zero) * scale + ... */
  const int32_t *a_zero, *b_zero;
  const float *scale;
} recurrent_product;

/* ---- quantised weights ---- */

/* Elements, of real_bytes each, of a packed matrix. */
size_t recurrent_bytes_packed_size(const struct kernel_table *kernels, int64_t depth, int64_t columns);
void recurrent_bytes_pack(const struct kernel_table *kernels, const recurrent_state *state, int input,
                          const norma_tensor *weights, void *packed);
size_t recurrent_bytes_scratch(const struct kernel_table *kernels, int64_t rows, int64_t depth, int64_t columns);
/* Appends what recurrent_bytes_open needs to the scratch of *total bytes. */
bool recurrent_bytes_lay_out(recurrent_state *state, size_t *total);
/* Finds the range of X, and takes scales and zero points together. */
norma_status recurrent_bytes_open(recurrent_walk *walk);
/* A row of X, as 8-bit integers. */
void recurrent_bytes_take_x(const recurrent_walk *walk, const float *x, uint8_t *y);
/* Rounds the states that take part at `time`, which have one range, before they are multiplied. */
void recurrent_bytes_take_h(const recurrent_walk *walk, int direction, int64_t time);
void recurrent_bytes_multiply(const recurrent_walk *walk, const recurrent_product *product, const int64_t rows[2],
                              const int64_t columns[2], int worker);

static inline bool recurrent_takes_part(const recurrent_walk *walk, int64_t row, int64_t time) {
  return !walk->lengths || time < walk->lengths[row];
}

#endif
