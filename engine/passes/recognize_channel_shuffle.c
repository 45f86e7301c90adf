/*
 * Channels that are transposed between groups, written as three nodes, are one.
 *
 *   a = Reshape(x, [N, g, C / g, ..])
 *   b = Transpose(a, perm = [0, 2, 1, ..])
 *   y = Reshape(b, [N, C, H, W])             ->   y = norma.ChannelShuffle(x, group = g)
 *
 * Legal for float where all dimensions but the first are known, y has the shape of x, and nobody else reads a and b.
 */
#include "engine/passes/pass_helpers.h"

/* Equal and known; the first dimension may be unknown on both sides: then the number of elements makes it equal. */
static bool is_same_size(const shape *a, const shape *b) {
  int64_t products[2] = {1, 1};
  const shape *shapes[2] = {a, b};
  for (int s = 0; s < 2; s++) {
    for (int i = 1; i < shapes[s]->rank; i++) {
      int64_t dim = shapes[s]->dims[i];
      if (dim == DIM_UNKNOWN || __builtin_mul_overflow(products[s], dim, &products[s])) return false;
    }
  }
  return a->dims[0] == b->dims[0] && products[0] == products[1];
}

/* Axes 1 and 2 are exchanged. */
static bool exchanges_groups(const node *transpose, int rank) {
  size_t count;
  const int64_t *perm = attribute_ints(transpose, "perm", &count);
  if (!perm || count != (size_t)rank || perm[1] != 2 || perm[2] != 1) return false;
  for (int i = 0; i < rank; i++) {
    if (i != 1 && i != 2 && perm[i] != i) return false;
  }
  return true;
}

static norma_status recognize_channel_shuffle_apply(pass_context *context, node *last, bool *changed) {
  node *transpose = node_is(last, "Reshape") ? node_single_producer(last, 0, "Transpose") : NULL;
  node *first = transpose ? node_single_producer(transpose, 0, "Reshape") : NULL;
  if (!first || !value_is(first->inputs[0], NORMA_FLOAT)) return NORMA_OK;
  const shape *x = &first->inputs[0]->info.shape, *split = &first->outputs[0]->info.shape;
  const shape *y = &last->outputs[0]->info.shape;
  if (x->rank != 4 || y->rank != 4 || split->rank < 3) return NORMA_OK;
  if (!exchanges_groups(transpose, split->rank) || !is_same_size(x, split) || !is_same_size(x, y)) return NORMA_OK;
  for (int i = 1; i < 4; i++) {
    if (x->dims[i] != y->dims[i] || x->dims[i] < 1) return NORMA_OK;
  }
  if (split->dims[1] * split->dims[2] != x->dims[1]) return NORMA_OK;

  graph *graph = last->graph;
  node *shuffle = graph_insert_node(graph, last, first->name, "ChannelShuffle", OPERATOR_INNER_DOMAIN, 1, 1, 0);
  if (!shuffle || !node_set_attribute_int(shuffle, "group", split->dims[1]) ||
      !node_set_attribute_int(shuffle, "channels", x->dims[1])) {
    return region_error(graph->region, context->error);
  }
  shuffle->opset = 1;
  node_set_input(shuffle, 0, first->inputs[0]);
  TRY(pass_join_names(context, shuffle, transpose));
  TRY(pass_take_over(context, shuffle, last));
  TRY(pass_remove(context, transpose));
  TRY(pass_remove(context, first));
  *changed = true;
  return pass_resolve(context, shuffle);
}

static const char *const recognize_channel_shuffle_makes[] = {OPERATOR_INNER_DOMAIN ":ChannelShuffle", NULL};

const pass pass_recognize_channel_shuffle = {
    .name = "recognize_channel_shuffle",
    .level = 2,
    .makes = recognize_channel_shuffle_makes,
    .apply = recognize_channel_shuffle_apply,
};
