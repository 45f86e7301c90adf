#include "engine/graph/query.h"

bool node_is(const node *node, const char *op_type) {
  return node->op && node->domain[0] == '\0' && strcmp(node->op_type, op_type) == 0;
}

bool node_has_one_output(const node *node) {
  for (int i = 1; i < node->output_count; i++) {
    if (node->outputs[i]) return false;
  }
  return node_has_output(node, 0);
}

const norma_tensor *node_constant_input(const node *node, int index) {
  if (!node_has_input(node, index) || !node->inputs[index]->constant) return NULL;
  return norma_value_tensor(node->inputs[index]->constant);
}

bool node_constant_number(const node *node, int index, double *number) {
  const norma_tensor *tensor = node_constant_input(node, index);
  if (!tensor || !(TYPES_FLOAT & TYPE_BIT(tensor->type)) || norma_tensor_count(tensor) != 1) return false;
  *number = element_get_double(tensor->type, tensor->data, 0);
  return true;
}

static const shape unknown = {.rank = RANK_UNKNOWN};

const shape *node_input_shape(const node *node, int index) {
  return node_has_input(node, index) ? &node->inputs[index]->info.shape : &unknown;
}

const shape *node_output_shape(const node *node, int index) {
  return node_has_output(node, index) ? &node->outputs[index]->info.shape : &unknown;
}

node *node_sole_producer(const node *reader, int index) {
  if (!node_has_input(reader, index)) return NULL;
  const graph_value *value = reader->inputs[index];
  node *producer = value->producer;
  if (!producer || producer->graph != reader->graph || value->producer_index != 0) return NULL;
  return value_has_single_use(value) ? producer : NULL;
}

node *node_single_producer(const node *reader, int index, const char *op_type) {
  node *producer = node_sole_producer(reader, index);
  return producer && node_is(producer, op_type) ? producer : NULL;
}

bool value_is(const graph_value *value, norma_element_type type) {
  return value && value->info.kind == NORMA_VALUE_TENSOR && value->info.type == type;
}

bool value_is_of(const graph_value *value, type_mask types) {
  return value && value->info.kind == NORMA_VALUE_TENSOR && (types & TYPE_BIT(value->info.type));
}
