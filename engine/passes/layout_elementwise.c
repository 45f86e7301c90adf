/* Functions of single elements on channel blocks, and constants in blocks; see engine/passes/channel_layout.h. */
#include "engine/passes/channel_layout.h"

#include "ops/blocked.h"
#include "ops/elementwise/unary_elementwise.h"

#define OPSET_OF_EXPAND 13

/* The dimensions of a constant as those of four: false where it has more, or channels that are neither one nor all. */
static bool constant_dims(const norma_tensor *tensor, int64_t channels, int64_t dims[4]) {
  if (!tensor || tensor->type != NORMA_FLOAT || tensor->rank > 4) return false;
  for (int i = 0; i < 4; i++) dims[i] = i < 4 - tensor->rank ? 1 : tensor->dims[i - (4 - tensor->rank)];
  return dims[1] == 1 || dims[1] == channels;
}

/* A constant of any shape that can be broadcast to the output's. */
static bool is_blockable_constant(const node *node, int input, int64_t channels) {
  int64_t dims[4];
  const norma_tensor *tensor = node_constant_input(node, input);
  if (!constant_dims(tensor, channels, dims)) return false;
  return norma_tensor_count(tensor) == 1 || !node_attribute(node, "broadcast"); /* limited broadcasting */
}

static bool shapes_are_equal_but_pixels(const shape *a, const shape *b) {
  return a->rank == 4 && b->rank == 4 && a->dims[1] == b->dims[1];
}

/* One channel that is repeated over all of them, such as a gate that looks at pixels only. */
static bool is_gate(const node *node, const graph_value *value) {
  return !value->constant && layout_is_blockable(value) && value->info.shape.dims[1] == 1 &&
         node->outputs[0]->info.shape.dims[1] > 1 && !node_attribute(node, "broadcast");
}

/* Every operand is a block of the output's channels or could be one, a gate or a constant; one at least is a block. */
static bool elementwise_fits(const layout *layout) {
  const node *node = layout->node;
  if (!layout_is_blockable(node->outputs[0])) return false;
  const shape *y = &node->outputs[0]->info.shape;
  bool has_block = false;
  for (int i = 0; i < node->input_count; i++) {
    if (!node->inputs[i]) continue;
    if (node->inputs[i]->constant) {
      if (!is_blockable_constant(node, i, y->dims[1])) return false;
      continue;
    }
    if (!layout_is_blockable(node->inputs[i])) return false;
    if (is_gate(node, node->inputs[i])) continue;
    if (!shapes_are_equal_but_pixels(&node->inputs[i]->info.shape, y)) return false;
    if (layout_twin(layout, node->inputs[i])) has_block = true;
  }
  return has_block;
}

/* Whether each plane of pixels holds one number. */
static bool has_uniform_planes(const float *data, int64_t planes, int64_t pixels) {
  for (int64_t i = 0; i < planes; i++) {
    for (int64_t p = 1; p < pixels; p++) {
      if (memcmp(&data[i * pixels], &data[i * pixels + p], sizeof *data) != 0) return false;
    }
  }
  return true;
}

/* Whether an operand that is no constant is known to have these sizes of pixels, so that the constant need not. */
static bool has_pixels(const node *node, int64_t height, int64_t width) {
  for (int i = 0; i < node->input_count; i++) {
    if (!node->inputs[i] || node->inputs[i]->constant || node->inputs[i]->info.shape.rank < 4) continue;
    const shape *x = &node->inputs[i]->info.shape;
    if (x->dims[2] == height && x->dims[3] == width) return true;
  }
  return false;
}

/* [N, C, H, W] -> [N, C / b, H, W, b], or [N, 1, H, W, 1] of one channel that may be repeated. */
norma_status layout_need_constant(layout *layout, graph_value *constant, bool broadcasts, graph_value **result) {
  const norma_tensor *tensor = norma_value_tensor(constant->constant);
  int64_t dims[4], block = layout->block;
  constant_dims(tensor, tensor->rank >= 3 ? tensor->dims[tensor->rank - 3] : 1, dims);
  int64_t pixels = dims[2] * dims[3], step = pixels;
  const float *plain = tensor->data;
  *result = constant;
  if (broadcasts && tensor->rank == 0) return NORMA_OK;
  bool may_shrink = broadcasts && has_pixels(layout->node, dims[2], dims[3]);
  if (may_shrink && has_uniform_planes(plain, dims[0] * dims[1], pixels)) {
    dims[2] = dims[3] = pixels = 1;
  }
  if (broadcasts && dims[1] == 1) block = 1;
  shape plain_form = shape_make(4, dims), shape = blocked_shape(&plain_form, block);
  value contents;
  TRY(value_allocate_tensor(layout->node->graph->memory, &contents, NORMA_FLOAT, &shape, layout->context->error));
  float *blocked = contents.tensor.data;
  for (int64_t i = 0; i < norma_tensor_count(&contents.tensor); i++) {
    int64_t lane = i % block, pixel = i / block % pixels, plane = i / block / pixels;
    int64_t sample = plane / shape.dims[1], channel = plane % shape.dims[1] * block + lane;
    blocked[i] = channel < dims[1] ? plain[(sample * dims[1] + channel) * step + pixel] : 1;
  }
  return pass_add_constant(layout->context, layout->node->graph, constant->name, &contents, result);
}

/* [N, 1, H, W] -> [N, b, H, W], in front of the node. */
static norma_status expand_gate(layout *layout, graph_value *gate, graph_value **result) {
  graph *graph = layout->node->graph;
  const int64_t count[1] = {4}, dims[4] = {1, layout->block, 1, 1};
  const shape shape = shape_make(1, count);
  value contents;
  graph_value *list;
  node *expand = graph_insert_node(graph, layout->node, layout->node->name, "Expand", "", 2, 1, 0);
  *result = graph_add_unique_value(graph, gate->name);
  if (!expand || !*result) return layout_out_of_memory(layout);
  TRY(value_allocate_tensor(graph->memory, &contents, NORMA_INT64, &shape, layout->context->error));
  memcpy(contents.tensor.data, dims, sizeof dims);
  TRY(pass_add_constant(layout->context, graph, gate->name, &contents, &list));
  (*result)->info = gate->info;
  (*result)->info.shape.dims[1] = layout->block;
  expand->opset = OPSET_OF_EXPAND;
  node_set_input(expand, 0, gate);
  node_set_input(expand, 1, list);
  node_set_output(expand, 0, *result);
  return pass_resolve(layout->context, expand);
}

/* One block that holds the gate in all lanes: its rows are whole planes, unlike those of a single lane. */
static norma_status repeat_gate(layout *layout, graph_value *gate, graph_value **result) {
  graph_value *channels;
  TRY(expand_gate(layout, gate, &channels));
  return layout_need_twin(layout, channels, result);
}

static norma_status convert_operand(layout *layout, graph_value *input, graph_value **result) {
  if (input->constant) return layout_need_constant(layout, input, true, result);
  return is_gate(layout->node, input) ? repeat_gate(layout, input, result) : layout_need_twin(layout, input, result);
}

static norma_status convert_elementwise(layout *layout) {
  node *node = layout->node;
  for (int i = 0; i < node->input_count; i++) {
    graph_value *input = node->inputs[i], *twin;
    if (!input) continue;
    TRY(convert_operand(layout, input, &twin));
    node_set_input(node, i, twin);
    if (input->constant) pass_release_constant(input);
  }
  return layout_give_output(layout);
}

/* Operators of one tensor whose further inputs are numbers for all elements. */
static bool unary_fits(const layout *layout) {
  const node *node = layout->node;
  if (!layout_twin(layout, node->inputs[0]) || !layout_is_blockable(node->inputs[0]) ||
      !layout_is_blockable(node->outputs[0])) {
    return false;
  }
  for (int i = 1; i < node->input_count; i++) {
    const norma_tensor *number = node_constant_input(node, i);
    if (node->inputs[i] && (!number || norma_tensor_count(number) != 1)) return false;
  }
  return true;
}

static norma_status convert_unary(layout *layout) {
  node_set_input(layout->node, 0, layout_twin(layout, layout->node->inputs[0]));
  return layout_give_output(layout);
}

const layout_conversion layout_elementwise[] = {
    {"Add", elementwise_fits, convert_elementwise},
    {"Sub", elementwise_fits, convert_elementwise},
    {"Mul", elementwise_fits, convert_elementwise},
    {"Div", elementwise_fits, convert_elementwise},
    {"Sum", elementwise_fits, convert_elementwise},
    {"Max", elementwise_fits, convert_elementwise},
    {"Min", elementwise_fits, convert_elementwise},
    {"PRelu", elementwise_fits, convert_elementwise},
    {"Pow", elementwise_fits, convert_elementwise},
    {"Clip", unary_fits, convert_unary},
    {NULL, NULL, NULL},
};

const layout_conversion *layout_unary(const node *node) {
  static const layout_conversion conversion = {"", unary_fits, convert_unary};
  struct activation function;
  return unary_activation(node, &function) ? &conversion : NULL;
}
