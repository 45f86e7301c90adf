#include "tools/weights.h"

#include <string.h>

static void add_tensor(weight_count *sum, const value *contents) {
  if (!contents || contents->kind != NORMA_VALUE_TENSOR) return;
  sum->elements += (uint64_t)norma_tensor_count(&contents->tensor);
  sum->bytes += contents->tensor.size_bytes;
}

static void add_graph(weight_count *sum, const graph *graph);

static bool add_subgraph(void *context, graph *subgraph) {
  add_graph(context, subgraph);
  return true;
}

static void add_graph(weight_count *sum, const graph *graph) {
  for (int i = 0; i < graph->value_count; i++) {
    const graph_value *one = graph->values[i];
    if (one->use_count > 0 || one->output_count > 0) add_tensor(sum, one->constant ? one->constant : one->initial);
  }
  for (const node *node = graph->first; node; node = node->next) {
    bool counted = node->output_count > 0 && node->outputs[0] && node->outputs[0]->constant;
    if (strcmp(node->op_type, "Constant") == 0 && !counted) add_tensor(sum, attribute_tensor(node, "value"));
    node_visit_subgraphs(node, add_subgraph, sum);
  }
}

weight_count weights_of_model(const norma_model *model) {
  weight_count sum = {0};
  add_graph(&sum, model->graph);
  return sum;
}

/* The shape of input or output `index`; NULL where it is absent or not known. */
static const shape *known_shape(graph_value *const *values, int count, int index) {
  if (index >= count || !values[index]) return NULL;
  const graph_value *one = values[index];
  return shape_is_known(&one->info.shape) ? &one->info.shape : NULL;
}

/* Which inputs of an operator are multiplied, and how its sum is counted. */
typedef enum product_kind {
  PRODUCT_CONV,
  PRODUCT_CONV_TRANSPOSE,
  PRODUCT_MATMUL,
  PRODUCT_GEMM,
  PRODUCT_RECURRENT
} product_kind;

static const struct {
  const char *op_type;
  product_kind kind;
  int left, right;
} products[] = {
    {"Conv", PRODUCT_CONV, 0, 1},
    {"ConvInteger", PRODUCT_CONV, 0, 1},
    {"QLinearConv", PRODUCT_CONV, 0, 3},
    {"DeformConv", PRODUCT_CONV, 0, 1},
    {"ConvTranspose", PRODUCT_CONV_TRANSPOSE, 0, 1},
    {"Gemm", PRODUCT_GEMM, 0, 1},
    {"MatMul", PRODUCT_MATMUL, 0, 1},
    {"MatMulInteger", PRODUCT_MATMUL, 0, 1},
    {"QLinearMatMul", PRODUCT_MATMUL, 0, 3},
    {"LSTM", PRODUCT_RECURRENT, 1, 2},
    {"GRU", PRODUCT_RECURRENT, 1, 2},
    {"RNN", PRODUCT_RECURRENT, 1, 2},
};

/* Multiply-accumulates of one node, -1 where a shape is not known. */
static double node_products(const node *node, product_kind kind, int left_index, int right_index) {
  const shape *left = known_shape(node->inputs, node->input_count, left_index);
  const shape *right = known_shape(node->inputs, node->input_count, right_index);
  const shape *input = known_shape(node->inputs, node->input_count, 0);
  const shape *output = known_shape(node->outputs, node->output_count, 0);
  if (!left || !right || !input) return -1;
  double weights = (double)shape_count(right);
  switch (kind) {
  case PRODUCT_CONV:
    if (!output || right->rank < 1 || right->dims[0] == 0) return -1;
    return (double)shape_count(output) * weights / (double)right->dims[0];
  case PRODUCT_CONV_TRANSPOSE:
    if (right->rank < 1 || right->dims[0] == 0) return -1;
    return (double)shape_count(left) * weights / (double)right->dims[0];
  case PRODUCT_GEMM:
    if (!output || left->rank != 2) return -1;
    return (double)shape_count(output) * (double)left->dims[attribute_int(node, "transA", 0) ? 0 : 1];
  case PRODUCT_MATMUL:
    if (!output || left->rank < 1) return -1;
    return (double)shape_count(output) * (double)left->dims[left->rank - 1];
  case PRODUCT_RECURRENT: /* W and R hold all directions; each step and sample multiplies all of both */
    if (input->rank != 3) return -1;
    return (double)input->dims[0] * (double)input->dims[1] * ((double)shape_count(left) + weights);
  }
  return -1;
}

uint64_t multiply_accumulates(const graph *graph, bool *complete) {
  double sum = 0;
  *complete = true;
  for (const node *node = graph->first; node; node = node->next) {
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
      if (strcmp(node->op_type, products[i].op_type) != 0) continue;
      double one = node_products(node, products[i].kind, products[i].left, products[i].right);
      if (one < 0) {
        *complete = false;
      } else {
        sum += one;
      }
    }
  }
  return sum < 1.8e19 ? (uint64_t)sum : UINT64_MAX;
}
