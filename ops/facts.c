#include "ops/facts.h"

#include "engine/graph/query.h"
#include "ops/operator.h"

bool fact_keeps_shape(const node *node) {
  const shape *x = node_input_shape(node, 0), *y = node_output_shape(node, 0);
  return value_is_of(node->inputs[0], TYPES_ALL) && shape_is_known(x) && shape_equal(x, y);
}

bool fact_has_one_input(const node *node) {
  return node->input_count == 1;
}

bool fact_held(const graph_value *value, norma_tensor *held) {
  if (value->constant) {
    *held = value->constant->tensor;
    return value->constant->kind == NORMA_VALUE_TENSOR;
  }
  const node *producer = value->producer;
  return producer && producer->op && producer->op->facts.constant && producer->op->facts.constant(producer, held);
}

bool fact_dimension_same(const node *node, int output, int axis, dimension_source *source) {
  (void)node;
  if (output != 0) return false;
  *source = (dimension_source){.input = 0, .axis = axis, .stride = 1};
  return true;
}

bool fact_dimension_batch(const node *node, int output, int axis, dimension_source *source) {
  return axis == 0 && fact_dimension_same(node, output, axis, source);
}
