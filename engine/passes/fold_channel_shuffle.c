/*
 * A shuffle of channels in blocks goes into the convolution behind it, which can look its channels up in any order.
 *
 *   b = norma.ChannelShuffle(a)
 *   c = norma.Conv(b, W, B), depthwise   ->   c = norma.Conv(a, W', B')      channels of W and B in the order of a
 *   y = norma.GroupedConv(c, ..)              y = norma.GroupedConv(c, ..)   which looks its channels up by `order`
 *
 * Legal where nobody else reads c. The depthwise convolution may be missing.
 */
#include "engine/passes/pass_helpers.h"

static bool is_inner(const node *node, const char *op_type) {
  return node && strcmp(node->domain, OPERATOR_INNER_DOMAIN) == 0 && strcmp(node->op_type, op_type) == 0;
}

static node *producer_of(const node *reader, const char *op_type) {
  node *producer = reader->inputs[0] ? reader->inputs[0]->producer : NULL;
  return is_inner(producer, op_type) && producer->graph == reader->graph ? producer : NULL;
}

/* Whether `reader` alone reads the block; a plain form that nobody reads does not count. */
static bool is_read_by_only(const graph_value *block, const node *reader) {
  if (block->output_count > 0) return false;
  for (const use *use = block->uses; use; use = use->next) {
    if (use->node == reader && use->index == 0) continue;
    if (!is_inner(use->node, "UnblockChannels") || !value_is_unread(use->node->outputs[0])) return false;
  }
  return true;
}

/* The block's plain form is one no more. */
static void drop_plain_form(graph_value *block) {
  for (use *use = block->uses, *next; use; use = next) {
    next = use->next;
    if (!is_inner(use->node, "UnblockChannels")) continue;
    use->node->outputs[0]->blocked = NULL;
    graph_remove_node(use->node);
  }
}

static bool is_movable_depthwise(const node *conv, int64_t channels) {
  const norma_tensor *w = node_constant_input(conv, 1);
  if (!w || w->rank != 4 || w->type != NORMA_FLOAT || w->dims[0] != channels || w->dims[1] != 1) return false;
  if (conv->input_count > 2 && conv->inputs[2] && !node_constant_input(conv, 2)) return false;
  return attribute_int(conv, "group", 1) == channels && conv->epilogue.residual_input == 0;
}

/* Channel c of the shuffled tensor is channel source(c) of the one before. */
static int64_t source_of(const node *shuffle, int64_t channels, int64_t c) {
  int64_t group = attribute_int(shuffle, "group", 1);
  return c % group * (channels / group) + c / group;
}

/* Constant input `index` with row c at row source(c). */
static norma_status move_rows(pass_context *context, const node *shuffle, node *conv, int index, int64_t channels) {
  graph_value *old = conv->inputs[index], *moved;
  const norma_tensor *from = node_constant_input(conv, index);
  if (!from) return NORMA_OK;
  shape shape = shape_make(from->rank, from->dims);
  int64_t row = norma_tensor_count(from) / channels;
  value contents;
  TRY(value_allocate_tensor(conv->graph->memory, &contents, NORMA_FLOAT, &shape, context->error));
  float *to = contents.tensor.data;
  for (int64_t c = 0; c < channels; c++) {
    memcpy(to + source_of(shuffle, channels, c) * row, (const float *)from->data + c * row,
           (size_t)row * sizeof(float));
  }
  TRY(pass_add_constant(context, conv->graph, old->name, &contents, &moved));
  node_set_input(conv, index, moved);
  pass_release_constant(old);
  return NORMA_OK;
}

static norma_status set_order(pass_context *context, const node *shuffle, node *conv, int64_t channels) {
  region *region = conv->graph->region;
  size_t count;
  const int64_t *before = attribute_ints(conv, "order", &count);
  int64_t *order = region_array(region, (size_t)channels, sizeof *order);
  if (!order) return region_error(region, context->error);
  for (int64_t c = 0; c < channels; c++) order[c] = source_of(shuffle, channels, before ? before[c] : c);
  if (!node_set_attribute_ints(conv, "order", order, (size_t)channels)) return region_error(region, context->error);
  return pass_resolve(context, conv);
}

static norma_status fold_channel_shuffle_apply(pass_context *context, node *conv, bool *changed) {
  if (!is_inner(conv, "GroupedConv")) return NORMA_OK;
  int64_t channels = attribute_int(conv, "channels", 0);
  node *depthwise = producer_of(conv, "Conv"), *shuffle = producer_of(depthwise ? depthwise : conv, "ChannelShuffle");
  if (!shuffle) return NORMA_OK;
  if (depthwise) {
    if (!is_movable_depthwise(depthwise, channels) || !is_read_by_only(conv->inputs[0], conv)) return NORMA_OK;
    drop_plain_form(conv->inputs[0]);
    TRY(move_rows(context, shuffle, depthwise, 1, channels));
    if (depthwise->input_count > 2) TRY(move_rows(context, shuffle, depthwise, 2, channels));
    node_set_input(depthwise, 0, shuffle->inputs[0]);
    TRY(pass_resolve(context, depthwise));
  } else {
    node_set_input(conv, 0, shuffle->inputs[0]);
  }
  *changed = true;
  return set_order(context, shuffle, conv, channels);
}

const pass pass_fold_channel_shuffle = {
    .name = "fold_channel_shuffle",
    .level = 2,
    .apply = fold_channel_shuffle_apply,
};
