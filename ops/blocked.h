/*
 * Channel blocks, the inner layout: [N, C, H, W] as a tensor of shape [N, ceil(C / b), H, W, b], element (n, c, y, x)
 * at [n][c / b][y][x][c % b]; [N, C, W] as a plane of height 1. Lanes from C on hold anything and never reach real
 * ones. b depends on the element type (kernel_table.channel_block). Only the pass block_layout makes nodes that compute
 * on blocks: those of the domain OPERATOR_INNER_DOMAIN carry what they need to know of the layout as the attributes
 * `block` (b) and `channels` (C of the input); functions of single elements, Slice, Pad and the like run on the five
 * dimensions as they are.
 */
#ifndef OPS_BLOCKED_H
#define OPS_BLOCKED_H

#include "engine/graph/query.h"
#include "ops/operator.h"
#include "ops/window.h"
#include "ops/work.h"

#define TYPES_BLOCKED       (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))
#define TYPES_BLOCKED_BYTES (TYPE_BIT(NORMA_INT8) | TYPE_BIT(NORMA_UINT8))
#define TYPES_IN_BLOCKS     (TYPES_BLOCKED | TYPES_BLOCKED_BYTES) /* may be in blocks; kernels take the first, or all */

#define BLOCKED_MOST_PHASES 16 /* of a ConvTranspose: the product of its strides */
/* Of a window: a cancelled run waits for a row of outputs, which is the least that kernels on blocks compute. */
#define BLOCKED_MOST_TAPS 4096

/* ----------------------------------------------------------------------------------------------------------- shapes */

/* [N, C, W] as [N, C, 1, W]; others as they are. */
static inline shape plane_shape(const shape *plain) {
  shape result = *plain;
  if (plain->rank != 3) return result;
  result.rank = 4;
  result.dims[2] = 1;
  result.dims[3] = plain->dims[2];
  return result;
}

/* The shape of `plain` (rank 3 or 4) in blocks of b channels. */
static inline shape blocked_shape(const shape *plain, int64_t block) {
  const shape planes = plane_shape(plain);
  shape result = {.rank = 5};
  result.dims[0] = planes.dims[0];
  result.dims[1] = planes.dims[1] == DIM_UNKNOWN ? DIM_UNKNOWN : (planes.dims[1] + block - 1) / block;
  result.dims[2] = planes.dims[2];
  result.dims[3] = planes.dims[3];
  result.dims[4] = block;
  return result;
}

/* The other way round, to a rank of 3, which leaves the height of 1 out, or 4. */
static inline shape plain_shape(const shape *blocked, int64_t channels, int rank) {
  shape result = {.rank = rank};
  result.dims[0] = blocked->dims[0];
  result.dims[1] = channels;
  result.dims[2] = blocked->dims[2];
  result.dims[rank - 1] = blocked->dims[3];
  return result;
}

/* Input 0 as a blocked shape of rank 5; fails (naming what came) otherwise. An unknown rank gives unknown
 * dimensions. */
norma_status infer_blocked_input(infer_context *context, shape *x);

/* ------------------------------------------------------------------------------- for `block` of an operator's facts */

/* A tensor of three or four dimensions with a known number of channels, of a type that has blocks. */
bool value_is_blockable(const graph_value *value);
/* The same contents in channel blocks, in this graph; NULL where nobody has made them. */
graph_value *value_blocked_copy(const graph *graph, const graph_value *value);
/* Whether somebody who reads the value may read blocks. */
bool value_is_wanted_in_blocks(const graph_value *value);
/* Input 0 has a blocked copy, output 0 of the same rank could be one, and there is no other output. */
bool node_follows_block(const node *node);
/* Whether nearly all lanes hold channels: else the larger tensor in blocks costs more than it saves. */
bool block_fills_lanes(const block_form *form, int64_t channels);
/* Windows that kernels on blocks compute. */
bool block_takes_window(const int64_t *kernel, size_t axes);
/* An axis of the plain layout as one of blocks, negative ones as well; -1: there is none. */
int block_axis(const graph_value *value, int64_t axis);

/* Add to the form. The list is an attribute or, where the node has none of that name, constant input `input` (0: none);
 * false where it is neither. */
void block_set_int(block_form *form, const char *name, int64_t number);
/* `count` numbers to be filled in; NULL: out of memory. */
int64_t *block_set_ints(block_form *form, const char *name, size_t count);
bool node_read_list(const node *node, const char *attribute, int input, block_list *list);
bool node_lacks_list(const node *node, const char *attribute, int input);
block_list *block_add_list(block_form *form, int input, const char *stem);
/* The lists of a window of one axis as those of a plane of height 1; windows of two axes need none. false: out of
 * memory. */
bool block_set_window(block_form *form, const window_attributes *window);

/* The inner operator `name` on input 0 in blocks, which it only needs to know b and C of, and further inputs as they
 * are. */
bool block_as_inner(const node *node, block_form *form, const char *name);

/* Operators that the layout itself needs, as pass.makes (engine/passes/pass.h) names them. */
extern const char *const channel_block_operators[];

/* Inserts a node between planes of this shape and blocks; the caller gives it input, output and operator.
 * NULL: out of memory. */
node *graph_insert_reorder(graph *graph, node *position, const char *name, bool to_blocks, int64_t block,
                           const shape *plain);
/* The same for a node that repeats its input to the shape that is its second input. */
node *graph_insert_expand(graph *graph, node *position, const char *name);
/* Whether the node takes blocks apart. */
bool is_unblocking(const node *node);

/* ---------------------------------------------------------------------------------------------------------- windows */

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

/* Leaves a slice the input rows that its windows see. */
static inline void blocked_slice_trim(struct window_2d *slice) {
  const size_t reach = (slice->output[0] - 1) * slice->stride[0] + (slice->kernel[0] - 1) * slice->dilation[0] + 1;
  const size_t rows = reach > slice->pad[0] ? reach - slice->pad[0] : 0;
  if (rows < slice->input[0]) slice->input[0] = rows;
}

/* A slice of half precision is computed in float, in a worker's scratch: bytes for its inputs, its outputs and a
 * residual that is laid out as these. */
static inline size_t blocked_slice_scratch(const struct blocked_slices *slices, const struct window_2d *plane,
                                           int64_t block) {
  const int64_t reach =
      (slices->rows - 1) * (int64_t)plane->stride[0] + (int64_t)((plane->kernel[0] - 1) * plane->dilation[0]) + 1;
  const int64_t rows = reach < (int64_t)plane->input[0] ? reach : (int64_t)plane->input[0];
  const int64_t pixels = rows * (int64_t)plane->input[1] + 2 * slices->rows * (int64_t)plane->output[1];
  return (size_t)(pixels * block) * sizeof(float);
}

#endif
