/*
 * Operators on channel blocks, the inner layout: [N, C, H, W] as a tensor of shape [N, ceil(C / b), H, W, b], element
 * (n, c, y, x) at [n][c / b][y][x][c % b]. Lanes from C on hold anything and never reach real ones. Only the pass
 * block_layout makes these nodes; they belong to the domain OPERATOR_INNER_DOMAIN and carry what they need to know of the
 * layout as the attributes `block` (b) and `channels` (C of the input).
 */
#ifndef OPS_BLOCKED_H
#define OPS_BLOCKED_H

#include "ops/operator.h"

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

/* Input 0 as a blocked shape of rank 5; fails (naming what came) otherwise. An unknown rank gives unknown dimensions. */
static inline norma_status infer_blocked_input(infer_context *context, shape *x) {
  *x = *infer_shape(context, 0);
  if (x->rank == RANK_UNKNOWN) *x = shape_of_rank(5);
  if (x->rank == 5) return NORMA_OK;
  return infer_fail(context, "its input has rank %d, expected 5 (channel blocks)", x->rank);
}

#endif
