#include "tools/products.h"

#include <string.h>

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

/* A shape whose dimensions are all known; rank -1: it is not. */
typedef struct known_shape {
  int rank;
  const int64_t *dims;
} known_shape;

static known_shape shape_of(const norma_graph_value *value) {
  norma_graph_value_info info = {.struct_size = sizeof info};
  const known_shape unknown = {-1, NULL};
  if (!value || norma_graph_value_describe(value, &info) != NORMA_OK) return unknown;
  const known_shape shape = {norma_type_rank(info.type), norma_type_dims(info.type)};
  for (int i = 0; i < shape.rank; i++) {
    if (shape.dims[i] < 0) return unknown;
  }
  return shape;
}

static double elements_of(const known_shape *shape) {
  double product = 1;
  for (int i = 0; i < shape->rank; i++) product *= (double)shape->dims[i];
  return product;
}

/* Multiply-accumulates of one node, -1 where a shape is not known. */
static double node_products(const norma_node *node, product_kind kind, int left_index, int right_index) {
  const known_shape left = shape_of(norma_node_input(node, (size_t)left_index)),
                    right = shape_of(norma_node_input(node, (size_t)right_index)),
                    input = shape_of(norma_node_input(node, 0)), output = shape_of(norma_node_output(node, 0));
  if (left.rank < 0 || right.rank < 0 || input.rank < 0) return -1;
  const double weights = elements_of(&right);
  switch (kind) {
  case PRODUCT_CONV:
    if (output.rank < 0 || right.rank < 1 || right.dims[0] == 0) return -1;
    return elements_of(&output) * weights / (double)right.dims[0];
  case PRODUCT_CONV_TRANSPOSE:
    if (right.rank < 1 || right.dims[0] == 0) return -1;
    return elements_of(&left) * weights / (double)right.dims[0];
  case PRODUCT_GEMM: {
    if (output.rank < 0 || left.rank != 2) return -1;
    const bool transposed = norma_attribute_int(norma_node_find_attribute(node, "transA"), 0) != 0;
    return elements_of(&output) * (double)left.dims[transposed ? 0 : 1];
  }
  case PRODUCT_MATMUL:
    if (output.rank < 0 || left.rank < 1) return -1;
    return elements_of(&output) * (double)left.dims[left.rank - 1];
  case PRODUCT_RECURRENT: /* W and R hold all directions; each step and sample multiplies all of both */
    if (input.rank != 3) return -1;
    return (double)input.dims[0] * (double)input.dims[1] * (elements_of(&left) + weights);
  }
  return -1;
}

uint64_t multiply_accumulates(const norma_graph *graph, bool *complete) {
  double sum = 0;
  *complete = true;
  for (const norma_node *node = norma_graph_first_node(graph); node; node = norma_node_next(node)) {
    norma_node_info info = {.struct_size = sizeof info};
    norma_node_describe(node, &info);
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
      if (strcmp(info.op_type, products[i].op_type) != 0) continue;
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
