/*
 * Operators on channel blocks, the inner layout: [N, C, H, W] as a tensor of shape [N, ceil(C / b), H, W, b], element
 * (n, c, y, x) at [n][c / b][y][x][c % b]. Lanes from C on hold anything and never reach real ones. Only the pass
 * block_layout makes these nodes; they belong to the domain OPERATOR_INNER_DOMAIN and carry what they need to know of
 * the layout as the attributes `block` (b) and `channels` (C of the input).
 */
#ifndef OPS_BLOCKED_H
#define OPS_BLOCKED_H

#include "ops/operator.h"
#include "ops/window.h"
#include "ops/work.h"

#define BLOCKED_MOST_PHASES 16 /* of a ConvTranspose: the product of its strides */

/* The shape of `plain` (rank 4) in blocks of b channels. */
static inline shape blocked_shape(const shape *plain, int64_t block) {
  shape result = {.rank = 5};
  result.dims[0] = plain->dims[0];
  result.dims[1] = plain->dims[1] == DIM_UNKNOWN ? DIM_UNKNOWN : (plain->dims[1] + block - 1) / block;
  result.dims[2] = plain->dims[2];
  result.dims[3] = plain->dims[3];
  result.dims[4] = block;
  return result;
}

/* The other way round. */
static inline shape plain_shape(const shape *blocked, int64_t channels) {
  shape result = {.rank = 4};
  result.dims[0] = blocked->dims[0];
  result.dims[1] = channels;
  result.dims[2] = blocked->dims[2];
  result.dims[3] = blocked->dims[3];
  return result;
}

/* Input 0 as a blocked shape of rank 5; fails (naming what came) otherwise. An unknown rank gives unknown dimensions.
 */
static inline norma_status infer_blocked_input(infer_context *context, shape *x) {
  *x = *infer_shape(context, 0);
  if (x->rank == RANK_UNKNOWN) *x = shape_of_rank(5);
  if (x->rank == 5) return NORMA_OK;
  return infer_fail(context, "its input has rank %d, expected 5 (channel blocks)", x->rank);
}

/* Windows over the planes of samples, [block][row]: items are slices of rows, within a sample all blocks of one slice
 * after another. Where samples are fewer than workers, each worker gets rows of its own, as convolutions do it, and
 * finds in its cache what it wrote a step before. */
struct blocked_slices {
  int64_t blocks, count, rows; /* slices of a plane, rows of each but the last */
};

static inline struct blocked_slices blocked_slices_of(const window *window, int64_t samples, int64_t blocks,
                                                      int workers) {
  struct blocked_slices slices = {.blocks = blocks};
  slices.count = window_slices(window, &slices.rows);
  int64_t height = window->output[0], rows = divide_up(height, workers);
  if (samples < workers && rows < slices.rows && height >= 4 * (int64_t)workers) {
    slices.rows = rows;
    slices.count = divide_up(height, rows);
  }
  return slices;
}

/* Item i's plane; its first row goes to *row. */
static inline int64_t blocked_slice_plane(const struct blocked_slices *slices, int64_t i, size_t *row) {
  int64_t sample = i / (slices->blocks * slices->count), rest = i % (slices->blocks * slices->count);
  *row = (size_t)(rest / slices->blocks * slices->rows);
  return sample * slices->blocks + rest % slices->blocks;
}

#endif
