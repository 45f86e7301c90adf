/*
 * Operators that only move or choose elements do so with integers.
 *
 *   x = DequantizeLinear(q, s, z)            m = Transpose(q)
 *   y = Transpose(x)                   ->    y = DequantizeLinear(m, s, z)
 *
 *   y = QuantizeLinear(DequantizeLinear(q, s, z), s, z)   ->   y = q
 *
 *   m = Reshape(x)                           q = QuantizeLinear(x, s, z)
 *   y = QuantizeLinear(m, s, z)        ->    y = Reshape(q)
 *
 * Legal where q, of 8 bits, has one scale and one zero point, which are constant: the results are the same to the bit.
 * The last so that QuantizeLinear meets what computes x; only past what keeps all elements, and where nobody else reads
 * m.
 */
#include "engine/passes/quantization_pattern.h"

/* Early definitions take floats alone. */
static bool takes_bytes(const node *node) {
  return !(node_is(node, "Flatten") && node->version < 9) && !(node_is(node, "MaxPool") && node->version < 12);
}

/* Whether output 0 consists of elements of input 0, chosen by their places or by their order alone. */
static bool moves_elements(const node *node) {
  static const char *const names[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze",    "Identity",     "Transpose",
                                      "Slice",   "Gather",  "Expand",  "DepthToSpace", "SpaceToDepth", "MaxPool"};
  if (!node->op || !takes_bytes(node) || !node_has_one_output(node) || !node_has_plain_store(node)) return false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (node_is(node, names[i])) return true;
  }
  return false;
}

static norma_status move_behind(pass_context *context, node *mover, node *dequantize, const quantized *source) {
  graph *graph = mover->graph;
  node *moved = graph_insert_node(graph, mover, mover->name, mover->op_type, mover->domain, mover->input_count, 1,
                                  mover->attribute_count);
  node *made = graph_insert_node(graph, mover, dequantize->name, dequantize->op_type, dequantize->domain, 3, 1, 0);
  graph_value *between = graph_add_unique_value(graph, mover->outputs[0]->name);
  if (!moved || !made || !between) return region_error(graph->region, context->error);
  memcpy(moved->attributes, mover->attributes, (size_t)mover->attribute_count * sizeof *mover->attributes);
  moved->opset = mover->opset;
  made->opset = dequantize->opset;
  node_set_input(moved, 0, source->q);
  for (int i = 1; i < mover->input_count; i++) node_set_input(moved, i, mover->inputs[i]);
  between->info = mover->outputs[0]->info;
  between->info.type = source->type;
  node_set_output(moved, 0, between);
  node_set_input(made, 0, between);
  node_set_input(made, 1, source->scale);
  node_set_input(made, 2, source->zero);
  TRY(pass_take_over(context, made, mover));
  if (value_is_unread(dequantize->outputs[0])) TRY(pass_remove(context, dequantize));
  TRY(pass_resolve(context, moved));
  return pass_resolve(context, made);
}

/* Whether `q` can take the place of `value`, whose name must stay where it is a graph output. */
static bool may_stand_for(const graph_value *value, const graph_value *q) {
  return value->output_count == 0 || (q->producer && q->producer->graph == value->graph && q->output_count == 0);
}

/* Whether output 0 is all elements of input 0, in the order of a tensor of some shape. */
static bool keeps_elements(const node *node) {
  static const char *const names[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (node_is(node, names[i])) return node->op && node_has_one_output(node) && node_has_plain_store(node);
  }
  return false;
}

/* The mover quantises instead, and moves what it did behind itself: it keeps its inputs but the first. */
static norma_status move_quantization(pass_context *context, node *quantize, const quantized *result, bool *changed) {
  graph *graph = quantize->graph;
  node *mover = node_sole_producer(quantize, 0);
  if (!mover || !keeps_elements(mover) || !takes_bytes(mover) || !node_has_input(mover, 0) ||
      mover->inputs[0]->constant)
    return NORMA_OK;
  if (!value_is(mover->inputs[0], NORMA_FLOAT)) return NORMA_OK;
  node *made = graph_insert_node(graph, mover, quantize->name, quantize->op_type, quantize->domain, 3, 1,
                                 quantize->attribute_count);
  graph_value *between = graph_add_unique_value(graph, mover->inputs[0]->name);
  if (!made || !between) return region_error(graph->region, context->error);
  if (quantize->attribute_count)
    memcpy(made->attributes, quantize->attributes, (size_t)quantize->attribute_count * sizeof *quantize->attributes);
  made->opset = quantize->opset;
  between->info = mover->inputs[0]->info;
  between->info.type = result->type;
  node_set_input(made, 0, mover->inputs[0]);
  node_set_input(made, 1, result->scale);
  node_set_input(made, 2, result->zero);
  node_set_output(made, 0, between);
  node_set_input(mover, 0, between);
  *changed = true;
  TRY(pass_resolve(context, made));
  return pass_take_output(context, mover, quantize);
}

static norma_status move_dequantization_apply(pass_context *context, node *node, bool *changed) {
  quantized source, result;
  if (node_quantizes(node, &result) && result.is_single) {
    bool moved = false;
    TRY(move_quantization(context, node, &result, &moved));
    *changed |= moved;
    if (moved) return NORMA_OK;
  }
  if (!input_is_dequantized(node, 0, &source) || !source.is_single) return NORMA_OK;
  struct node *dequantize = node->inputs[0]->producer;
  if (source.type == NORMA_INT32) return NORMA_OK;
  if (node_quantizes(node, &result) && quantized_equal(&source, &result)) {
    if (!may_stand_for(node->outputs[0], source.q)) return NORMA_OK;
    node_set_input(node, 0, source.q);
    if (value_is_unread(dequantize->outputs[0])) TRY(pass_remove(context, dequantize));
    pass_bypass(node, 0, changed);
    return NORMA_OK;
  }
  if (!moves_elements(node)) return NORMA_OK;
  *changed = true;
  return move_behind(context, node, dequantize, &source);
}

const pass pass_move_dequantization = {
    .name = "move_dequantization",
    .level = 2,
    .apply = move_dequantization_apply,
};
