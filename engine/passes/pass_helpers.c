#include "engine/passes/pass_helpers.h"

#include <float.h>
#include <math.h>

void pass_release_constant(graph_value *constant) {
  if (!constant->constant || constant->use_count > 0 || constant->output_count > 0 || constant->is_input) return;
  value_clear((value *)(uintptr_t)constant->constant);
  constant->constant = NULL;
}

/* The inputs of a node, to be looked at when it is gone. */
static norma_status list_inputs(pass_context *context, const node *node, graph_value ***inputs) {
  region *region = node->graph->region;
  *inputs = region_array(region, (size_t)node->input_count, sizeof **inputs);
  if (!*inputs) return region_error(region, context->error);
  for (int i = 0; i < node->input_count; i++) (*inputs)[i] = node->inputs[i];
  return NORMA_OK;
}

static void release_inputs(graph_value **inputs, int count) {
  for (int i = 0; i < count; i++) {
    if (inputs[i]) pass_release_constant(inputs[i]);
  }
}

norma_status pass_take_over(pass_context *context, node *node, struct node *last) {
  graph_value **inputs;
  TRY(list_inputs(context, last, &inputs));
  TRY(pass_take_output(context, node, last));
  release_inputs(inputs, last->input_count);
  return NORMA_OK;
}

norma_status pass_remove(pass_context *context, node *node) {
  graph_value **inputs;
  TRY(list_inputs(context, node, &inputs));
  graph_remove_node(node);
  release_inputs(inputs, node->input_count);
  return NORMA_OK;
}

bool node_constant_number(const node *node, int index, double *number) {
  const norma_tensor *tensor = node_constant_input(node, index);
  if (!tensor || !(TYPES_FLOAT & TYPE_BIT(tensor->type)) || norma_tensor_count(tensor) != 1) return false;
  *number = element_get_double(tensor->type, tensor->data, 0);
  return true;
}

/* A bound of Clip since version 11: a constant, or absent. */
static bool read_bound(const node *node, int index, float *bound) {
  double number;
  if (index >= node->input_count || !node->inputs[index]) return true;
  if (!node_constant_number(node, index, &number)) return false;
  *bound = (float)number;
  return true;
}

bool node_clip(const node *node, struct activation *activation) {
  if (!node_is(node, "Clip")) return false;
  bool has_attributes = node->version < 11;
  *activation = (struct activation){UNARY_CLIP, -INFINITY, INFINITY};
  if (!has_attributes) return read_bound(node, 1, &activation->a) && read_bound(node, 2, &activation->b);
  activation->a = attribute_float(node, "min", -FLT_MAX);
  activation->b = attribute_float(node, "max", FLT_MAX);
  return true;
}

bool value_is(const graph_value *value, norma_element_type type) {
  return value && value->info.kind == NORMA_VALUE_TENSOR && value->info.type == type;
}

bool value_is_read_by_only(const graph_value *value, const node *reader) {
  if (value->output_count > 0 || value->use_count == 0) return false;
  for (const use *use = value->uses; use; use = use->next) {
    if (use->node != reader) return false;
  }
  return true;
}

bool node_stands_before(const node *first, const node *second) {
  for (const node *node = first->next; node; node = node->next) {
    if (node == second) return true;
  }
  return false;
}
