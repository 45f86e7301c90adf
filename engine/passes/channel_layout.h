/*
 * What the conversions of the pass block_layout share. A conversion lets one node compute on channel blocks
 * (ops/blocked.h): its block operands become the twins of its inputs, and the twin of its output is reordered for those
 * who read the plain one.
 */
#ifndef ENGINE_PASSES_CHANNEL_LAYOUT_H
#define ENGINE_PASSES_CHANNEL_LAYOUT_H

#include "engine/passes/pass_helpers.h"

typedef struct layout {
  pass_context *context;
  node *node;
  int64_t block; /* channels of a block */
} layout;

typedef struct layout_conversion {
  const char *op_type; /* of ai.onnx; NULL ends a list */
  bool (*fits)(const layout *layout);
  norma_status (*convert)(layout *layout);
} layout_conversion;

/* Of operators that move elements: Slice, Split, Pad, Resize, Upsample; and of those that look at all pixels. */
extern const layout_conversion layout_movements[];
extern const layout_conversion layout_conv_transpose[];
/* Of functions of single elements; layout_unary: those of one operand, NULL for other operators. */
extern const layout_conversion layout_elementwise[];
const layout_conversion *layout_unary(const node *node);

/* A float tensor of four dimensions with a known number of channels. */
bool layout_is_blockable(const graph_value *value);
/* The same contents in blocks, NULL where nobody has made them. */
graph_value *layout_twin(const layout *layout, const graph_value *value);
/* The twin of `value`, made where it has none. */
norma_status layout_need_twin(layout *layout, graph_value *value, graph_value **twin);
/* A constant of four dimensions or fewer in blocks, the padding lanes being 1, which no operator turns into something
 * slow. With `broadcasts` a single channel is not made a block, and pixels that are all alike become one where the node
 * has another operand of that size. */
norma_status layout_need_constant(layout *layout, graph_value *constant, bool broadcasts, graph_value **result);
/* Input 0 is a block that exists, output 0 could be one, and nobody wants other outputs. */
bool layout_follows_block(const layout *layout);
/* Whether nearly all lanes hold channels: else the larger tensor in blocks costs more than it saves. */
bool layout_fills_blocks(const layout *layout, int64_t channels);
/* Whether somebody who reads the value may read blocks. */
bool layout_is_wanted(const graph_value *value);
/* The node computes blocks from now on; what it computed before is taken from there. */
norma_status layout_give_output(layout *layout);
/* The node becomes its inner namesake. */
norma_status layout_make_inner(layout *layout);
norma_status layout_out_of_memory(const layout *layout);

#endif
