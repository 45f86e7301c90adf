/* Derivatives of pools: MaxPool tells by its output Indices which element it took; that of AveragePool is an operator
 * of its own (ops/pooling/pool_gradient.c). */
#include "ops/training/gradient.h"

static void gradient_of_max_pool(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  node *pool = gradient_make_node(b, "MaxPool", "", 1, n->inputs, 2);
  gradient_copy_attributes(b, pool, n);
  if (!pool) return;
  gradient_set_int(b, pool->outputs[1], "storage_order", 0);
  dx[0] = gradient_make_inner(b, "ScatterSum", 3, g[0], pool->outputs[1], n->inputs[0]);
}

static void gradient_of_average_pool(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *made = gradient_make_inner(b, "AveragePoolGradient", 2, g[0], n->inputs[0]);
  if (made) gradient_copy_attributes(b, made->producer, n);
  dx[0] = made;
}

static void gradient_of_average_pool_gradient(gradient_builder *b, const node *n, graph_value *const *g,
                                              graph_value **dx) {
  if (!b->wanted[0]) return;
  dx[0] = gradient_make(b, "AveragePool", 1, g[0]);
  if (dx[0]) gradient_copy_attributes(b, dx[0]->producer, n);
}

const gradient_entry gradient_of_pools[] = {
    {"MaxPool", 1, gradient_of_max_pool},
    {"AveragePool", 1, gradient_of_average_pool},
    {"AveragePoolGradient", 1, gradient_of_average_pool_gradient},
    {0},
};
