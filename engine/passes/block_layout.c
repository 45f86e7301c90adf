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
#include "engine/pass_helpers.h"
#include "engine/scale_shift.h"

#include <stdio.h>

typedef struct layout {
  pass_context *context;
  node *node;
  int64_t block; /* channels of a block */
} layout;

static norma_status out_of_memory(const layout *layout) {
  return region_error(layout->node->graph->region, layout->context->error);
}

static bool is_blockable(const graph_value *value) {
  const value_info *info = &value->info;
  return info->kind == NORMA_VALUE_TENSOR && info->type == NORMA_FLOAT && info->shape.rank == 4 &&
         info->shape.dims[1] > 0;
}

static graph_value *twin_of(const layout *layout, const graph_value *value) {
  return value && value->blocked && value->blocked->graph == layout->node->graph ? value->blocked : NULL;
}

/* ------------------------------------------------------------------------------------------------------------ reorders
 */

static norma_status add_reorder(layout *layout, node *position, const char *op_type, graph_value *from,
                                graph_value *to, int64_t channels) {
  graph *graph = layout->node->graph;
  node *reorder =
      graph_insert_node(graph, position, layout->node->name, op_type, OPERATOR_INNER_DOMAIN, 1, 1, 0);
  if (!reorder || !node_set_attribute_int(reorder, "block", layout->block) ||
      !node_set_attribute_int(reorder, "channels", channels)) {
    return out_of_memory(layout);
  }
  reorder->opset = 1;
  node_set_input(reorder, 0, from);
  node_set_output(reorder, 0, to);
  return pass_resolve(layout->context, reorder);
}

/* The twin of `value`, made where it has none: right behind what computes it, since a later round may let nodes read it
 * that stand before this one. */
static norma_status need_twin(layout *layout, graph_value *value, graph_value **twin) {
  graph *graph = layout->node->graph;
  bool is_own = value->graph == graph;
  node *position = !is_own ? layout->node : value->producer ? value->producer->next : graph->first;
  *twin = twin_of(layout, value);
  if (*twin) return NORMA_OK;
  *twin = graph_add_unique_value(graph, value->name);
  if (!*twin) return out_of_memory(layout);
  TRY(add_reorder(layout, position, "BlockChannels", value, *twin, value->info.shape.dims[1]));
  if (is_own) value->blocked = *twin;
  return NORMA_OK;
}

/* The node computes a block from now on; what it computed before is taken from there. */
static norma_status give_twin_output(layout *layout) {
  node *node = layout->node;
  graph_value *plain = node->outputs[0];
  graph_value *twin = graph_add_unique_value(node->graph, plain->name);
  if (!twin) return out_of_memory(layout);
  node_set_output(node, 0, twin);
  plain->blocked = twin;
  return add_reorder(layout, node->next, "UnblockChannels", twin, plain, plain->info.shape.dims[1]);
}

/* The node becomes its inner namesake. */
static norma_status make_inner(layout *layout) {
  node *node = layout->node;
  node->domain = OPERATOR_INNER_DOMAIN;
  node->opset = 1;
  return pass_resolve(layout->context, node);
}

/* --------------------------------------------------------------------------------------------------------- convolution
 */

static bool groups_fit(const layout *layout, int64_t group, int64_t channels, int64_t outputs) {
  if (group == 1) return true;
  if (group == channels && group == outputs) return true;
  return channels / group % layout->block == 0 && outputs / group % layout->block == 0;
}

/* Kernels on blocks compute no less than a row of outputs: with a window beyond this a cancelled run would wait too long. */
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
  if (!is_blockable(node->inputs[0]) || !is_blockable(node->outputs[0]) || !w || w->rank != 4) return false;
  if (node->input_count > 2 && node->inputs[2] && !node_constant_input(node, 2)) return false;
  if (!taps_fit(w->dims + 2, 2)) return false;
  int residual = node->epilogue.residual_input;
  if (residual && (residual != 3 || !is_blockable(node->inputs[residual]))) return false;
  return is_grouped(layout) ||
         groups_fit(layout, attribute_int(node, "group", 1), node->inputs[0]->info.shape.dims[1], w->dims[0]);
}

static norma_status convert_conv(layout *layout) {
  node *node = layout->node;
  int64_t channels = node->inputs[0]->info.shape.dims[1];
  if (is_grouped(layout)) node->op_type = "GroupedConv";
  bool plain_input = attribute_int(node, "group", 1) == 1 && !twin_of(layout, node->inputs[0]) &&
                     (channels < layout->block / 2 || channels <= 4);
  if (!plain_input) {
    graph_value *twin;
    TRY(need_twin(layout, node->inputs[0], &twin));
    node_set_input(node, 0, twin);
  }
  int residual = node->epilogue.residual_input;
  if (residual) {
    graph_value *twin;
    TRY(need_twin(layout, node->inputs[residual], &twin));
    node_set_input(node, residual, twin);
  }
  if (!node_set_attribute_int(node, "block", layout->block) || !node_set_attribute_int(node, "channels", channels) ||
      (plain_input && !node_set_attribute_int(node, "plain_input", true))) {
    return out_of_memory(layout);
  }
  TRY(make_inner(layout));
  return give_twin_output(layout);
}

/* --------------------------------------------------------------------------------------------- what follows a convolution
 */

static bool has_one_output(const node *node) {
  for (int i = 1; i < node->output_count; i++) {
    if (node->outputs[i]) return false;
  }
  return node->outputs[0] != NULL;
}

/* Pools, and BatchNormalization: inner operators with one block as input 0. */
static norma_status convert_to_inner(layout *layout) {
  node_set_input(layout->node, 0, twin_of(layout, layout->node->inputs[0]));
  TRY(make_inner(layout));
  return give_twin_output(layout);
}

static bool pool_fits(const layout *layout) {
  const node *node = layout->node;
  size_t axes;
  const int64_t *kernel = attribute_ints(node, "kernel_shape", &axes);
  return taps_fit(kernel, axes) && twin_of(layout, node->inputs[0]) && is_blockable(node->inputs[0]) && is_blockable(node->outputs[0]);
}

/* LRN sums over channels, so it has to know how many are real. */
static norma_status convert_lrn(layout *layout) {
  int64_t channels = layout->node->inputs[0]->info.shape.dims[1];
  if (!node_set_attribute_int(layout->node, "block", layout->block) ||
      !node_set_attribute_int(layout->node, "channels", channels)) {
    return out_of_memory(layout);
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

/* A constant that is the same for all pixels of a channel, or everywhere. */
static bool is_channel_constant(const norma_tensor *tensor, int64_t channels) {
  if (!tensor || tensor->type != NORMA_FLOAT || tensor->rank > 4) return false;
  if (norma_tensor_count(tensor) == 1) return true;
  return tensor->rank >= 3 && norma_tensor_count(tensor) == channels && tensor->dims[tensor->rank - 3] == channels;
}

static bool shapes_are_equal_but_pixels(const shape *a, const shape *b) {
  return a->rank == 4 && b->rank == 4 && a->dims[1] == b->dims[1];
}

/* Every operand is a block of the output's channels or a constant per channel, and one at least is a block. */
static bool elementwise_fits(const layout *layout) {
  const node *node = layout->node;
  if (!is_blockable(node->outputs[0])) return false;
  const shape *y = &node->outputs[0]->info.shape;
  bool has_block = false;
  for (int i = 0; i < node->input_count; i++) {
    if (!node->inputs[i]) continue;
    if (twin_of(layout, node->inputs[i])) {
      if (!shapes_are_equal_but_pixels(&node->inputs[i]->info.shape, y)) return false;
      has_block = true;
    } else if (!is_channel_constant(node_constant_input(node, i), y->dims[1])) {
      return false;
    }
  }
  return has_block;
}

/* [.., C, 1, 1] -> [C / b, 1, 1, b]; the padding lanes become 1, which no operator turns into something slow. */
static norma_status need_blocked_constant(layout *layout, graph_value *constant, graph_value **result) {
  const norma_tensor *tensor = norma_value_tensor(constant->constant);
  int64_t channels = norma_tensor_count(tensor), block = layout->block;
  *result = constant;
  if (channels == 1 && tensor->rank == 0) return NORMA_OK;
  int64_t dims[4] = {channels == 1 ? 1 : (channels + block - 1) / block, 1, 1, channels == 1 ? 1 : block};
  shape shape = shape_make(4, dims);
  value contents;
  TRY(value_allocate_tensor(layout->node->graph->memory, &contents, NORMA_FLOAT, &shape, layout->context->error));
  float *blocked = contents.tensor.data;
  const float *plain = tensor->data;
  for (int64_t i = 0; i < norma_tensor_count(&contents.tensor); i++) blocked[i] = i < channels ? plain[i] : 1;
  return pass_add_constant(layout->context, layout->node->graph, constant->name, &contents, result);
}

static norma_status convert_elementwise(layout *layout) {
  node *node = layout->node;
  for (int i = 0; i < node->input_count; i++) {
    if (!node->inputs[i]) continue;
    graph_value *twin = twin_of(layout, node->inputs[i]);
    if (!twin) TRY(need_blocked_constant(layout, node->inputs[i], &twin));
    node_set_input(node, i, twin);
  }
  return give_twin_output(layout);
}

/* Operators of one tensor whose further inputs are numbers for all elements. */
static bool unary_fits(const layout *layout) {
  const node *node = layout->node;
  if (!twin_of(layout, node->inputs[0]) || !is_blockable(node->inputs[0]) || !is_blockable(node->outputs[0])) {
    return false;
  }
  for (int i = 1; i < node->input_count; i++) {
    const norma_tensor *number = node_constant_input(node, i);
    if (node->inputs[i] && (!number || norma_tensor_count(number) != 1)) return false;
  }
  return true;
}

static norma_status convert_unary(layout *layout) {
  node_set_input(layout->node, 0, twin_of(layout, layout->node->inputs[0]));
  return give_twin_output(layout);
}

static bool concat_fits(const layout *layout) {
  const node *node = layout->node;
  int64_t axis = attribute_int(node, "axis", 1);
  if (axis != 1 && axis != -3) return false;
  if (!is_blockable(node->outputs[0])) return false;
  for (int i = 0; i < node->input_count; i++) {
    if (!twin_of(layout, node->inputs[i]) || !is_blockable(node->inputs[i])) return false;
  }
  return true;
}

/* Where all parts but the last end with a block, it is a Concat like any other; else the inner one moves lanes. */
static norma_status convert_concat(layout *layout) {
  node *node = layout->node;
  region *region = node->graph->region;
  int64_t *channels = region_array(region, (size_t)node->input_count, sizeof *channels);
  bool moves_lanes = false;
  if (!channels) return out_of_memory(layout);
  for (int i = 0; i < node->input_count; i++) {
    channels[i] = node->inputs[i]->info.shape.dims[1];
    moves_lanes |= i + 1 < node->input_count && channels[i] % layout->block != 0;
    node_set_input(node, i, twin_of(layout, node->inputs[i]));
  }
  for (int i = 0; i < node->attribute_count; i++) { /* axis -3 would be another one of five dimensions */
    if (strcmp(node->attributes[i].name, "axis") == 0) node->attributes[i].i = 1;
  }
  if (moves_lanes) {
    if (!node_set_attribute_int(node, "block", layout->block) ||
        !node_set_attribute_ints(node, "channels", channels, (size_t)node->input_count)) {
      return out_of_memory(layout);
    }
    TRY(make_inner(layout));
  } else {
    TRY(pass_resolve(layout->context, node));
  }
  return give_twin_output(layout);
}

/* An inner operator already, which takes plain tensors and blocks. */
static bool shuffle_fits(const layout *layout) {
  return twin_of(layout, layout->node->inputs[0]) && is_blockable(layout->node->outputs[0]);
}

static norma_status convert_shuffle(layout *layout) {
  if (!node_set_attribute_int(layout->node, "block", layout->block)) return out_of_memory(layout);
  return convert_to_inner(layout);
}

/* -------------------------------------------------------------------------------------------------------- descriptor */

static const struct {
  const char *op_type;
  bool (*fits)(const layout *layout);
  norma_status (*convert)(layout *layout);
} conversions[] = {
    {"Conv", conv_fits, convert_conv},
    {"MaxPool", pool_fits, convert_to_inner},
    {"AveragePool", pool_fits, convert_to_inner},
    {"GlobalAveragePool", pool_fits, convert_to_inner},
    {"LRN", pool_fits, convert_lrn},
    {"BatchNormalization", normalization_fits, convert_to_inner},
    {"Add", elementwise_fits, convert_elementwise},
    {"Sub", elementwise_fits, convert_elementwise},
    {"Mul", elementwise_fits, convert_elementwise},
    {"Div", elementwise_fits, convert_elementwise},
    {"Sum", elementwise_fits, convert_elementwise},
    {"Max", elementwise_fits, convert_elementwise},
    {"Min", elementwise_fits, convert_elementwise},
    {"PRelu", elementwise_fits, convert_elementwise},
    {"Concat", concat_fits, convert_concat},
    {"ChannelShuffle", shuffle_fits, convert_shuffle},
    {"Relu", unary_fits, convert_unary},
    {"LeakyRelu", unary_fits, convert_unary},
    {"Elu", unary_fits, convert_unary},
    {"Selu", unary_fits, convert_unary},
    {"Sigmoid", unary_fits, convert_unary},
    {"HardSigmoid", unary_fits, convert_unary},
    {"HardSwish", unary_fits, convert_unary},
    {"Tanh", unary_fits, convert_unary},
    {"Clip", unary_fits, convert_unary},
    {"Softplus", unary_fits, convert_unary},
    {"Mish", unary_fits, convert_unary},
    {"Gelu", unary_fits, convert_unary},
    {"Exp", unary_fits, convert_unary},
};

static norma_status apply(pass_context *context, node *node, bool *changed) {
  layout layout = {context, node, (int64_t)context->executor->kernels->channel_block};
  bool is_inner = node->domain[0] && strcmp(node->op_type, "ChannelShuffle") != 0;
  if (is_inner || node->input_count == 0 || !node->inputs[0] || !has_one_output(node)) return NORMA_OK;
  for (size_t i = 0; i < sizeof conversions / sizeof *conversions; i++) {
    if (strcmp(node->op_type, conversions[i].op_type) != 0) continue;
    bool is_new = node->outputs[0]->blocked == NULL && !twin_of(&layout, node->outputs[0]);
    if (!is_new || !conversions[i].fits(&layout)) return NORMA_OK;
    *changed = true;
    return conversions[i].convert(&layout);
  }
  return NORMA_OK;
}

const pass pass_block_layout = {
    .name = "block_layout",
    .phase = PASS_LAYOUT,
    .level = 2,
    .roots = NULL,
    .apply = apply,
};
