/*
 * A transposition of a transposition is one.
 *
 *   a = Transpose(x, perm = p)
 *   y = Transpose(a, perm = q)   ->   y = Transpose(x, perm = p[q[i]])
 *
 * Legal always, also where a has other readers; where it comes out as the identity, remove_identity takes it away.
 */
#include "engine/passes/pass_helpers.h"

/* The permutation of a node; without the attribute, axes are reversed. */
static bool read_permutation(const node *node, int rank, int64_t *permutation) {
  size_t count;
  const int64_t *given = attribute_ints(node, "perm", &count);
  if (given && count != (size_t)rank) return false;
  for (int i = 0; i < rank; i++) permutation[i] = given ? given[i] : rank - 1 - i;
  for (int i = 0; i < rank; i++) {
    if (permutation[i] < 0 || permutation[i] >= rank) return false;
  }
  return true;
}

static norma_status merge_transposes_apply(pass_context *context, node *last, bool *changed) {
  const graph_value *between = node_is(last, "Transpose") ? last->inputs[0] : NULL;
  node *first = between ? between->producer : NULL;
  if (!first || first->graph != last->graph || !node_is(first, "Transpose") || !first->inputs[0]) return NORMA_OK;
  int rank = first->inputs[0]->info.shape.rank;
  int64_t p[NORMA_MAX_RANK], q[NORMA_MAX_RANK], both[NORMA_MAX_RANK];
  if (rank == RANK_UNKNOWN || !read_permutation(first, rank, p) || !read_permutation(last, rank, q)) return NORMA_OK;
  for (int i = 0; i < rank; i++) both[i] = p[q[i]];

  graph *graph = last->graph;
  node *made = graph_insert_node(graph, last, first->name, "Transpose", "", 1, 1, 0);
  if (!made || !node_set_attribute_ints(made, "perm", both, (size_t)rank)) {
    return region_error(graph->region, context->error);
  }
  made->opset = last->opset;
  node_set_input(made, 0, first->inputs[0]);
  TRY(pass_take_output(context, made, last));
  if (between->use_count == 0 && between->output_count == 0) graph_remove_node(first);
  *changed = true;
  return pass_resolve(context, made);
}

const pass pass_merge_transposes = {
    .name = "merge_transposes",
    .level = 1,
    .apply = merge_transposes_apply,
};
