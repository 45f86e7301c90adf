/*
 * Convolutional stretches of a graph move to channel blocks, the layout that their kernels want (ops/blocked.h).
 *
 *   c = Conv(x, W, B)                xb = BlockChannels(x)          reordered once, where x is no block yet
 *   p = MaxPool(c)            ->     cb = norma.Conv(xb, W, B)
 *   y = Relu(p)                      pb = norma.MaxPool(cb)
 *                                    yb = Relu(pb)
 *                                    c, p, y = UnblockChannels(cb, pb, yb)   only steps that somebody reads are planned
 *
 * Each operator says what it becomes in blocks and when that is worth it (facts.block): a convolution starts a stretch,
 * others join it while their input is a block already. Functions of single elements run on blocks as they are. Each
 * value remembers its blocked copy (graph_value.blocked). Three or four dimensions, a known number of channels.
 */
#include "engine/passes/pass_helpers.h"
#include "ops/blocked.h"

#include <stdio.h>

typedef struct conversion {
  pass_context *context;
  node *node;
  block_form form;
} conversion;

static norma_status conversion_out_of_memory(const conversion *conversion) {
  return region_error(conversion->node->graph->region, conversion->context->error);
}

/* --------------------------------------------------------------------------------------------------------- reorders */

static norma_status add_reorder(conversion *conversion, node *position, bool to_blocks, graph_value *from,
                                graph_value *to, const graph_value *plain) {
  node *reorder = graph_insert_reorder(conversion->node->graph, position, conversion->node->name, to_blocks,
                                       conversion->form.block, &plain->info.shape);
  if (!reorder) return conversion_out_of_memory(conversion);
  node_set_input(reorder, 0, from);
  node_set_output(reorder, 0, to);
  return pass_resolve(conversion->context, reorder);
}

/* The blocked copy of `value`, made where it has none: right behind what computes it, since a later round may let nodes
 * read it that stand before this one. */
static norma_status need_blocks(conversion *conversion, graph_value *value, graph_value **blocks) {
  graph *graph = conversion->node->graph;
  bool is_own = value->graph == graph;
  node *position = !is_own ? conversion->node : value->producer ? value->producer->next : graph->first;
  *blocks = value_blocked_copy(graph, value);
  if (*blocks) return NORMA_OK;
  *blocks = graph_add_unique_value(graph, value->name);
  if (!*blocks) return conversion_out_of_memory(conversion);
  TRY(add_reorder(conversion, position, true, value, *blocks, value));
  if (is_own) value->blocked = *blocks;
  return NORMA_OK;
}

/* The node computes blocks from now on; what it computed before is taken from there. */
static norma_status give_outputs(conversion *conversion) {
  node *node = conversion->node;
  for (int i = 0; i < node->output_count; i++) {
    graph_value *plain = node->outputs[i], *blocks;
    if (!plain) continue;
    blocks = graph_add_unique_value(node->graph, plain->name);
    if (!blocks) return conversion_out_of_memory(conversion);
    node_set_output(node, i, blocks);
    plain->blocked = blocks;
    TRY(add_reorder(conversion, node->next, false, blocks, plain, plain));
  }
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------------------- constants */

/* The dimensions of a constant that is broadcast to `rank` ones, as planes: false where it has more, or channels that
 * are neither one nor all. */
static bool constant_dims(const norma_tensor *tensor, int rank, int64_t channels, shape *planes) {
  shape whole = {.rank = rank};
  if (!tensor || tensor->rank > rank) return false;
  for (int i = 0; i < rank; i++) whole.dims[i] = i < rank - tensor->rank ? 1 : tensor->dims[i - (rank - tensor->rank)];
  *planes = plane_shape(&whole);
  return planes->dims[1] == 1 || planes->dims[1] == channels;
}

/* Whether each plane of pixels holds one number. */
static bool has_uniform_planes(const char *data, size_t element, int64_t planes, int64_t pixels) {
  for (int64_t i = 0; i < planes; i++) {
    const char *plane = data + (size_t)(i * pixels) * element;
    for (int64_t p = 1; p < pixels; p++) {
      if (memcmp(plane, plane + (size_t)p * element, element) != 0) return false;
    }
  }
  return true;
}

/* Whether an operand that is no constant is known to have these sizes of pixels, so that the constant need not. */
static bool has_pixels(const node *node, int64_t height, int64_t width) {
  for (int i = 0; i < node->input_count; i++) {
    if (!node->inputs[i] || node->inputs[i]->constant || node->inputs[i]->info.shape.rank < 3) continue;
    const shape x = plane_shape(&node->inputs[i]->info.shape);
    if (x.dims[2] == height && x.dims[3] == width) return true;
  }
  return false;
}

/* A constant that is broadcast to the rank of output 0, in blocks: [N, C, H, W] -> [N, C / b, H, W, b], the padding
 * lanes being 1, which no operator turns into something slow. With `broadcasts` a single channel is not made a block
 * ([N, 1, H, W, 1]), and pixels that are all alike become one where the node has another operand of that size. */
static norma_status need_constant(conversion *conversion, graph_value *constant, bool broadcasts,
                                  graph_value **result) {
  const norma_tensor *tensor = norma_value_tensor(constant->constant);
  const size_t element = element_type_bytes(tensor->type);
  const int rank = conversion->node->outputs[0]->info.shape.rank;
  int64_t block = conversion->form.block;
  shape planes;
  constant_dims(tensor, rank, 1, &planes);
  int64_t *dims = planes.dims, pixels = dims[2] * dims[3], step = pixels;
  const char *plain = tensor->data;
  *result = constant;
  if (broadcasts && tensor->rank == 0) return NORMA_OK;
  bool may_shrink = broadcasts && has_pixels(conversion->node, dims[2], dims[3]);
  if (may_shrink && has_uniform_planes(plain, element, dims[0] * dims[1], pixels)) dims[2] = dims[3] = pixels = 1;
  if (broadcasts && dims[1] == 1) block = 1;
  shape shape = blocked_shape(&planes, block);
  graph *graph = conversion->node->graph;
  value contents;
  TRY(value_allocate_tensor(graph->memory, &contents, tensor->type, &shape, conversion->context->error));
  char *blocked = contents.tensor.data;
  for (int64_t i = 0; i < norma_tensor_count(&contents.tensor); i++) {
    int64_t lane = i % block, pixel = i / block % pixels, plane = i / block / pixels;
    int64_t sample = plane / shape.dims[1], channel = plane % shape.dims[1] * block + lane;
    if (channel < dims[1]) {
      const size_t from = (size_t)((sample * dims[1] + channel) * step + pixel) * element;
      memcpy(blocked + (size_t)i * element, plain + from, element);
    } else {
      element_set_double(tensor->type, blocked, i, 1);
    }
  }
  return pass_add_constant(conversion->context, graph, constant->name, &contents, result);
}

/* -------------------------------------------------------------------------------- operands of functions of elements */

/* A constant of any shape that can be broadcast to the output's. */
static bool is_blockable_constant(const node *node, int input, int64_t channels, bool numpy) {
  shape planes;
  const norma_tensor *tensor = node_constant_input(node, input);
  if (!constant_dims(tensor, node->outputs[0]->info.shape.rank, channels, &planes) ||
      tensor->type != node->outputs[0]->info.type)
    return false;
  return norma_tensor_count(tensor) == 1 || numpy;
}

/* One channel that is repeated over all of them, such as a factor for each pixel. */
static bool is_one_channel(const node *node, const graph_value *value) {
  return !value->constant && value_is_blockable(value) && value->info.shape.dims[1] == 1 &&
         node->outputs[0]->info.shape.dims[1] > 1;
}

/* Every operand is a block of the output's channels or could be one, one channel or a constant; one at least is a
 * block. */
static bool operands_fit(const node *node, bool numpy) {
  bool has_block = false;
  const int64_t channels = node->outputs[0]->info.shape.dims[1];
  for (int i = 0; i < node->input_count; i++) {
    const graph_value *input = node->inputs[i];
    if (!input) continue;
    if (input->constant) {
      if (!is_blockable_constant(node, i, channels, numpy)) return false;
      continue;
    }
    if (!value_is_blockable(input) || input->info.shape.rank != node->outputs[0]->info.shape.rank) return false;
    if (numpy && is_one_channel(node, input)) continue;
    if (input->info.shape.dims[1] != channels) return false;
    if (value_blocked_copy(node->graph, input)) has_block = true;
  }
  return has_block;
}

/* Further inputs are numbers for all elements. */
static bool inputs_are_numbers(const node *node) {
  for (int i = 1; i < node->input_count; i++) {
    const norma_tensor *number = node_constant_input(node, i);
    if (node->inputs[i] && (!number || norma_tensor_count(number) != 1)) return false;
  }
  return true;
}

static bool elementwise_form_in_blocks(const node *node, block_form *form) {
  elementwise_form elementwise;
  if (!node_elementwise(node, &elementwise) || !node_has_one_output(node)) return false;
  if (elementwise.kind == ELEMENTWISE_UNARY && inputs_are_numbers(node)) {
    form->uses[0] = BLOCK_FOLLOW;
    return node_follows_block(node);
  }
  for (int i = 0; i < BLOCK_MOST_USES; i++) form->uses[i] = BLOCK_OPERAND;
  return value_is_blockable(node->outputs[0]) && operands_fit(node, elementwise.numpy);
}

/* [N, 1, H, W] -> [N, b, H, W], in front of the node; [N, 1, W] as well. */
static norma_status repeat_channel(conversion *conversion, graph_value *channel, graph_value **result) {
  graph *graph = conversion->node->graph;
  const int rank = channel->info.shape.rank;
  const int64_t count[1] = {rank}, dims[4] = {1, conversion->form.block, 1, 1};
  const shape shape = shape_make(1, count);
  value contents;
  graph_value *list;
  node *expand = graph_insert_expand(graph, conversion->node, conversion->node->name);
  *result = graph_add_unique_value(graph, channel->name);
  if (!expand || !*result) return conversion_out_of_memory(conversion);
  TRY(value_allocate_tensor(graph->memory, &contents, NORMA_INT64, &shape, conversion->context->error));
  memcpy(contents.tensor.data, dims, (size_t)rank * sizeof *dims);
  TRY(pass_add_constant(conversion->context, graph, channel->name, &contents, &list));
  (*result)->info = channel->info;
  (*result)->info.shape.dims[1] = conversion->form.block;
  node_set_input(expand, 0, channel);
  node_set_input(expand, 1, list);
  node_set_output(expand, 0, *result);
  return pass_resolve(conversion->context, expand);
}

static norma_status need_operand(conversion *conversion, graph_value *input, graph_value **result) {
  if (input->constant) return need_constant(conversion, input, true, result);
  if (!is_one_channel(conversion->node, input)) return need_blocks(conversion, input, result);
  /* One block that holds the channel in all lanes: its rows are whole planes, unlike those of a single lane. */
  graph_value *channels;
  TRY(repeat_channel(conversion, input, &channels));
  return need_blocks(conversion, channels, result);
}

/* ------------------------------------------------------------------------------------------------------- conversion */

static norma_status convert_input(conversion *conversion, int index, block_use use) {
  node *node = conversion->node;
  graph_value *input = node->inputs[index], *result = input;
  switch (use) {
  case BLOCK_KEEP:
    return NORMA_OK;
  case BLOCK_FOLLOW:
    result = value_blocked_copy(node->graph, input);
    break;
  case BLOCK_MAKE:
    TRY(input->constant ? need_constant(conversion, input, false, &result) : need_blocks(conversion, input, &result));
    break;
  case BLOCK_OPERAND:
    TRY(need_operand(conversion, input, &result));
    break;
  }
  node_set_input(node, index, result);
  if (input->constant) pass_release_constant(input);
  return NORMA_OK;
}

static norma_status convert_inputs(conversion *conversion) {
  node *node = conversion->node;
  const block_form *form = &conversion->form;
  for (int i = 0; i < node->input_count; i++) {
    if (!node->inputs[i]) continue;
    block_use use = form->uses[i < BLOCK_MOST_USES ? i : BLOCK_MOST_USES - 1];
    if (i > 0 && i == node->epilogue.residual_input) use = BLOCK_MAKE;
    TRY(convert_input(conversion, i, use));
  }
  for (int i = form->kept_inputs; form->kept_inputs && i < node->input_count; i++) {
    graph_value *old = node->inputs[i];
    node_set_input(node, i, NULL);
    if (old) pass_release_constant(old);
  }
  return NORMA_OK;
}

static norma_status convert_attributes(conversion *conversion) {
  node *node = conversion->node;
  const block_form *form = &conversion->form;
  int kept = 0;
  for (int i = 0; form->drops_attributes && i < node->attribute_count; i++) {
    const char *name = node->attributes[i].name;
    if (form->kept_attribute && strcmp(name, form->kept_attribute) == 0) {
      node->attributes[kept++] = node->attributes[i];
    }
  }
  if (form->drops_attributes) node->attribute_count = kept;
  for (int i = 0; i < form->attribute_count; i++) {
    const block_attribute *added = &form->attributes[i];
    bool done = added->kind == ATTRIBUTE_INT ? node_set_attribute_int(node, added->name, added->i)
                                             : node_set_attribute_ints(node, added->name, added->ints, added->count);
    if (!done) return conversion_out_of_memory(conversion);
  }
  return NORMA_OK;
}

/* Input `index` becomes this constant. */
static norma_status set_constant_input(conversion *conversion, int index, const char *stem, value *contents) {
  node *node = conversion->node;
  graph_value *constant, *old;
  TRY(pass_add_constant(conversion->context, node->graph, stem, contents, &constant));
  if (node->input_count <= index && !node_add_inputs(node, index + 1 - node->input_count)) {
    return conversion_out_of_memory(conversion);
  }
  old = node->inputs[index];
  node_set_input(node, index, constant);
  if (old) pass_release_constant(old);
  return NORMA_OK;
}

static norma_status convert_lists(conversion *conversion) {
  const block_form *form = &conversion->form;
  norma_error *error = conversion->context->error;
  memory *memory = conversion->node->graph->memory;
  value contents;
  for (int i = 0; i < form->list_count; i++) {
    const block_list *list = &form->lists[i];
    const int64_t dims[1] = {list->count};
    const shape shape = shape_make(1, dims);
    TRY(value_allocate_tensor(memory, &contents, NORMA_INT64, &shape, error));
    memcpy(contents.tensor.data, list->values, (size_t)list->count * sizeof(int64_t));
    TRY(set_constant_input(conversion, list->input, list->stem, &contents));
  }
  if (!form->number_input) return NORMA_OK;
  const shape scalar = shape_make(0, NULL);
  TRY(value_allocate_tensor(memory, &contents, form->type, &scalar, error));
  element_set_double(form->type, contents.tensor.data, 0, (double)form->number);
  return set_constant_input(conversion, form->number_input, "value", &contents);
}

static norma_status convert(conversion *conversion) {
  node *node = conversion->node;
  const block_form *form = &conversion->form;
  TRY(convert_inputs(conversion));
  TRY(convert_attributes(conversion));
  TRY(convert_lists(conversion));
  if (form->inner) {
    node->op_type = form->inner;
    node->domain = OPERATOR_INNER_DOMAIN;
    node->opset = 1;
  } else if (node->opset < form->opset) {
    node->opset = form->opset;
  }
  TRY(pass_resolve(conversion->context, node));
  return form->plain_output ? NORMA_OK : give_outputs(conversion);
}

static bool has_inner_operator(const pass_context *context, const block_form *form) {
  char name[64];
  if (!form->inner) return true;
  snprintf(name, sizeof name, OPERATOR_INNER_DOMAIN ":%s", form->inner);
  return pass_can_make(context, name);
}

/* What the node becomes; false where it stays as it is. */
static bool find_form(pass_context *context, const node *node, block_form *form) {
  if (!node->op || !node_has_input(node, 0) || !node_has_output(node, 0) || node->outputs[0]->blocked) return false;
  if (node->inputs[0]->info.kind != NORMA_VALUE_TENSOR || node->epilogue.bias_input) return false;
  const norma_element_type type = node->inputs[0]->info.type;
  const size_t block = context->executor->kernels->channel_block[type];
  *form = (block_form){.block = (int64_t)block,
                       .blocks_of = context->executor->kernels->channel_block,
                       .type = type,
                       .region = node->graph->region};
  if (block == 0) return false;
  const operator_facts *facts = &node->op->facts;
  if (facts->block) {
    return (facts->block_types & TYPE_BIT(type)) && facts->block(node, form) && has_inner_operator(context, form);
  }
  return elementwise_form_in_blocks(node, form);
}

static norma_status block_layout_apply(pass_context *context, node *node, bool *changed) {
  conversion conversion = {.context = context, .node = node};
  if (!find_form(context, node, &conversion.form)) return NORMA_OK;
  *changed = true;
  return convert(&conversion);
}

const pass pass_block_layout = {
    .name = "block_layout",
    .level = 2,
    .changes_rounding = true,
    .makes = channel_block_operators,
    .apply = block_layout_apply,
};
