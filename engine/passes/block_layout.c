/*
 * Convolutional stretches of a graph move to channel blocks, the layout that their kernels want (ops/blocked.h).
 *
 *   c = Conv(x, W, B)                xb = BlockChannels(x)          reordered once, where x is no block yet
 *   p = MaxPool(c)            ->     cb = norma.Conv(xb, W, B)
 *   y = Relu(p)                      pb = norma.MaxPool(cb)
 *                                    yb = Relu(pb)
 *                                    c, p, y = UnblockChannels(cb, pb, yb)   only steps that somebody reads are planned
 *
 * A convolution starts a stretch; what follows joins it while its input is a block already: pooling, normalization,
 * functions of single elements, sums and products of blocks with each other or with constants per channel, Concat,
 * shuffles of channels. Each value remembers its twin in blocks (graph_value.blocked). Float only, four dimensions, a
 * known number of channels, constant weights.
 */
#include "engine/passes/channel_layout.h"
#include "engine/passes/scale_shift.h"

#include <stdio.h>

norma_status layout_out_of_memory(const layout *layout) {
  return region_error(layout->node->graph->region, layout->context->error);
}

bool layout_is_blockable(const graph_value *value) {
  const value_info *info = &value->info;
  return info->kind == NORMA_VALUE_TENSOR && info->type == NORMA_FLOAT && info->shape.rank == 4 &&
         info->shape.dims[1] > 0;
}

graph_value *layout_twin(const layout *layout, const graph_value *value) {
  return value && value->blocked && value->blocked->graph == layout->node->graph ? value->blocked : NULL;
}

/* --------------------------------------------------------------------------------------------------------- reorders */

static norma_status add_reorder(layout *layout, node *position, const char *op_type, graph_value *from, graph_value *to,
                                int64_t channels) {
  graph *graph = layout->node->graph;
  node *reorder = graph_insert_node(graph, position, layout->node->name, op_type, OPERATOR_INNER_DOMAIN, 1, 1, 0);
  if (!reorder || !node_set_attribute_int(reorder, "block", layout->block) ||
      !node_set_attribute_int(reorder, "channels", channels)) {
    return layout_out_of_memory(layout);
  }
  reorder->opset = 1;
  node_set_input(reorder, 0, from);
  node_set_output(reorder, 0, to);
  return pass_resolve(layout->context, reorder);
}

/* The twin of `value`, made where it has none: right behind what computes it, since a later round may let nodes read it
 * that stand before this one. */
norma_status layout_need_twin(layout *layout, graph_value *value, graph_value **twin) {
  graph *graph = layout->node->graph;
  bool is_own = value->graph == graph;
  node *position = !is_own ? layout->node : value->producer ? value->producer->next : graph->first;
  *twin = layout_twin(layout, value);
  if (*twin) return NORMA_OK;
  *twin = graph_add_unique_value(graph, value->name);
  if (!*twin) return layout_out_of_memory(layout);
  TRY(add_reorder(layout, position, "BlockChannels", value, *twin, value->info.shape.dims[1]));
  if (is_own) value->blocked = *twin;
  return NORMA_OK;
}

/* The node computes blocks from now on; what it computed before is taken from there. */
norma_status layout_give_output(layout *layout) {
  node *node = layout->node;
  for (int i = 0; i < node->output_count; i++) {
    graph_value *plain = node->outputs[i], *twin;
    if (!plain) continue;
    twin = graph_add_unique_value(node->graph, plain->name);
    if (!twin) return layout_out_of_memory(layout);
    node_set_output(node, i, twin);
    plain->blocked = twin;
    TRY(add_reorder(layout, node->next, "UnblockChannels", twin, plain, plain->info.shape.dims[1]));
  }
  return NORMA_OK;
}

/* The node becomes its inner namesake. */
norma_status layout_make_inner(layout *layout) {
  node *node = layout->node;
  node->domain = OPERATOR_INNER_DOMAIN;
  node->opset = 1;
  return pass_resolve(layout->context, node);
}

/* ------------------------------------------------------------------------------------------------------ convolution */

static bool groups_fit(const layout *layout, int64_t group, int64_t channels, int64_t outputs) {
  if (group == 1) return true;
  if (group == channels && group == outputs) return true;
  return channels / group % layout->block == 0 && outputs / group % layout->block == 0;
}

/* Kernels on blocks compute no less than a row of outputs: with a window beyond this a cancelled run would wait too
 * long. */
#define MOST_TAPS 4096

static bool taps_fit(const int64_t *kernel, size_t axes) {
  int64_t taps = 1;
  for (size_t i = 0; i < axes; i++) {
    if (kernel[i] < 0 || kernel[i] > MOST_TAPS) return false;
    taps *= kernel[i];
    if (taps > MOST_TAPS) return false;
  }
  return true;
}

/* Products of a grouped 1x1 convolution whose groups share blocks of outputs, over those of the definition: each block
 * is computed once for each of its groups. */
static double groups_waste(const layout *layout, int64_t group, int64_t outputs) {
  int64_t blocks = 0, part = outputs / group;
  for (int64_t first = 0; first < outputs; first += layout->block) {
    int64_t last = first + layout->block < outputs ? first + layout->block : outputs;
    blocks += (last - 1) / part - first / part + 1;
  }
  return (double)(blocks * layout->block) / (double)outputs;
}

#define MOST_GROUP_CHANNELS 1024 /* of a GroupedConv, which sums them in one run */
#define MOST_GROUPS_WASTE   2.0

/* Whether it can be a GroupedConv, which computes 1x1 kernels with any groups. */
static bool is_grouped(const layout *layout) {
  const node *node = layout->node;
  const shape *x = &node->inputs[0]->info.shape, *y = &node->outputs[0]->info.shape;
  const norma_tensor *w = node_constant_input(node, 1);
  int64_t group = attribute_int(node, "group", 1);
  size_t strides, pads;
  const int64_t *stride = attribute_ints(node, "strides", &strides), *pad = attribute_ints(node, "pads", &pads);
  if (group < 2 || w->dims[1] < 2 || w->dims[1] > MOST_GROUP_CHANNELS) return false;
  if (w->dims[2] != 1 || w->dims[3] != 1) return false;
  if (w->dims[1] * group != x->dims[1] || y->dims[1] % group != 0) return false;
  for (size_t i = 0; stride && i < strides; i++) {
    if (stride[i] != 1) return false;
  }
  for (size_t i = 0; pad && i < pads; i++) {
    if (pad[i] != 0) return false;
  }
  return groups_waste(layout, group, y->dims[1]) <= MOST_GROUPS_WASTE;
}

static bool conv_fits(const layout *layout) {
  const node *node = layout->node;
  const norma_tensor *w = node_constant_input(node, 1);
  if (!layout_is_blockable(node->inputs[0]) || !layout_is_blockable(node->outputs[0]) || !w || w->rank != 4)
    return false;
  if (node->input_count > 2 && node->inputs[2] && !node_constant_input(node, 2)) return false;
  if (!taps_fit(w->dims + 2, 2)) return false;
  int residual = node->epilogue.residual_input;
  if (residual && (residual != 3 || !layout_is_blockable(node->inputs[residual]))) return false;
  return is_grouped(layout) ||
         groups_fit(layout, attribute_int(node, "group", 1), node->inputs[0]->info.shape.dims[1], w->dims[0]);
}

static norma_status convert_conv(layout *layout) {
  node *node = layout->node;
  int64_t channels = node->inputs[0]->info.shape.dims[1];
  if (is_grouped(layout)) node->op_type = "GroupedConv";
  bool plain_input = attribute_int(node, "group", 1) == 1 && !layout_twin(layout, node->inputs[0]) &&
                     (channels < layout->block / 2 || channels <= 4);
  if (!plain_input) {
    graph_value *twin;
    TRY(layout_need_twin(layout, node->inputs[0], &twin));
    node_set_input(node, 0, twin);
  }
  int residual = node->epilogue.residual_input;
  if (residual) {
    graph_value *twin;
    TRY(layout_need_twin(layout, node->inputs[residual], &twin));
    node_set_input(node, residual, twin);
  }
  if (!node_set_attribute_int(node, "block", layout->block) || !node_set_attribute_int(node, "channels", channels) ||
      (plain_input && !node_set_attribute_int(node, "plain_input", true))) {
    return layout_out_of_memory(layout);
  }
  TRY(layout_make_inner(layout));
  return layout_give_output(layout);
}

/* --------------------------------------------------------------------------------------- what follows a convolution */

static bool has_one_output(const node *node) {
  for (int i = 1; i < node->output_count; i++) {
    if (node->outputs[i]) return false;
  }
  return node->outputs[0] != NULL;
}

/* Pools, and BatchNormalization: inner operators with one block as input 0. */
static norma_status convert_to_inner(layout *layout) {
  node_set_input(layout->node, 0, layout_twin(layout, layout->node->inputs[0]));
  TRY(layout_make_inner(layout));
  return layout_give_output(layout);
}

bool layout_follows_block(const layout *layout) {
  const node *node = layout->node;
  return layout_twin(layout, node->inputs[0]) && layout_is_blockable(node->inputs[0]) &&
         layout_is_blockable(node->outputs[0]);
}

static bool pool_fits(const layout *layout) {
  const node *node = layout->node;
  size_t axes;
  const int64_t *kernel = attribute_ints(node, "kernel_shape", &axes);
  return taps_fit(kernel, axes) && layout_follows_block(layout);
}

/* LRN sums over channels, so it has to know how many are real. */
static norma_status convert_lrn(layout *layout) {
  int64_t channels = layout->node->inputs[0]->info.shape.dims[1];
  if (!node_set_attribute_int(layout->node, "block", layout->block) ||
      !node_set_attribute_int(layout->node, "channels", channels)) {
    return layout_out_of_memory(layout);
  }
  return convert_to_inner(layout);
}

static bool normalization_fits(const layout *layout) {
  const node *node = layout->node;
  if (!pool_fits(layout) || !is_inference_batch_normalization(node)) return false;
  int64_t channels = node->inputs[0]->info.shape.dims[1];
  for (int i = 1; i < 5; i++) {
    const norma_tensor *vector = node_constant_input(node, i);
    if (!vector || vector->rank != 1 || vector->dims[0] != channels) return false;
  }
  return true;
}

/* Parts that nobody has as blocks are reordered, constants when the model is loaded, unless they are the larger part.
 */
static bool concat_fits(const layout *layout) {
  const node *node = layout->node;
  int64_t axis = attribute_int(node, "axis", 1), blocks = 0, others = 0;
  if (axis != 1 && axis != -3) return false;
  if (!layout_is_blockable(node->outputs[0])) return false;
  for (int i = 0; i < node->input_count; i++) {
    if (!layout_is_blockable(node->inputs[i])) return false;
    int64_t channels = node->inputs[i]->info.shape.dims[1];
    if (layout_twin(layout, node->inputs[i]))
      blocks += channels;
    else if (!node->inputs[i]->constant)
      others += channels;
  }
  return blocks > others;
}

/* Where all parts but the last end with a block, it is a Concat like any other; else the inner one moves lanes. */
static norma_status convert_concat(layout *layout) {
  node *node = layout->node;
  region *region = node->graph->region;
  int64_t *channels = region_array(region, (size_t)node->input_count, sizeof *channels);
  bool moves_lanes = false;
  if (!channels) return layout_out_of_memory(layout);
  for (int i = 0; i < node->input_count; i++) {
    channels[i] = node->inputs[i]->info.shape.dims[1];
    moves_lanes |= i + 1 < node->input_count && channels[i] % layout->block != 0;
    graph_value *input = node->inputs[i], *twin;
    TRY(input->constant ? layout_need_constant(layout, input, false, &twin) : layout_need_twin(layout, input, &twin));
    node_set_input(node, i, twin);
    if (input->constant) pass_release_constant(input);
  }
  for (int i = 0; i < node->attribute_count; i++) { /* axis -3 would be another one of five dimensions */
    if (strcmp(node->attributes[i].name, "axis") == 0) node->attributes[i].i = 1;
  }
  if (moves_lanes) {
    if (!node_set_attribute_int(node, "block", layout->block) ||
        !node_set_attribute_ints(node, "channels", channels, (size_t)node->input_count)) {
      return layout_out_of_memory(layout);
    }
    TRY(layout_make_inner(layout));
  } else {
    TRY(pass_resolve(layout->context, node));
  }
  return layout_give_output(layout);
}

/* An inner operator already, which takes plain tensors and blocks. */
static bool shuffle_fits(const layout *layout) {
  return layout_twin(layout, layout->node->inputs[0]) && layout_is_blockable(layout->node->outputs[0]);
}

static norma_status convert_shuffle(layout *layout) {
  if (!node_set_attribute_int(layout->node, "block", layout->block)) return layout_out_of_memory(layout);
  return convert_to_inner(layout);
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static const layout_conversion conversions[] = {
    {"Conv", conv_fits, convert_conv},
    {"MaxPool", pool_fits, convert_to_inner},
    {"AveragePool", pool_fits, convert_to_inner},
    {"GlobalAveragePool", pool_fits, convert_to_inner},
    {"LRN", pool_fits, convert_lrn},
    {"BatchNormalization", normalization_fits, convert_to_inner},
    {"Concat", concat_fits, convert_concat},
    {"ChannelShuffle", shuffle_fits, convert_shuffle},
    {NULL, NULL, NULL},
};

static const layout_conversion *find_conversion(const node *node) {
  const layout_conversion *const lists[] = {conversions, layout_conv_transpose, layout_movements, layout_elementwise};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    for (const layout_conversion *c = lists[i]; c->op_type; c++) {
      if (strcmp(node->op_type, c->op_type) == 0) return c;
    }
  }
  return layout_unary(node);
}

static norma_status apply(pass_context *context, node *node, bool *changed) {
  layout layout = {context, node, (int64_t)context->executor->kernels->channel_block};
  bool is_inner = node->domain[0] && strcmp(node->op_type, "ChannelShuffle") != 0;
  bool gives_parts = strcmp(node->op_type, "Split") == 0 && node->output_count > 0 && node->outputs[0];
  if (is_inner || node->input_count == 0 || !node->inputs[0]) return NORMA_OK;
  if (!gives_parts && !has_one_output(node)) return NORMA_OK;
  const layout_conversion *conversion = find_conversion(node);
  if (!conversion || node->outputs[0]->blocked || !conversion->fits(&layout)) return NORMA_OK;
  *changed = true;
  return conversion->convert(&layout);
}

const pass pass_block_layout = {
    .name = "block_layout",
    .phase = PASS_LAYOUT,
    .level = 2,
    .changes_rounding = true,
    .roots = NULL,
    .apply = apply,
};
