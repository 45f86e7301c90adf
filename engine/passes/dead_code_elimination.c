/*
 * Nodes whose results nobody reads are removed, and constants that nobody reads give back their memory.
 *
 *   a = Relu(x)          b = Sigmoid(x)
 *   b = Sigmoid(x)  ->
 *   output b
 *
 * Legal always, since operators of ONNX have no effect but their outputs; those of the embedding program may have one,
 * and stay. The whole graph is swept from behind when the walk has come to its last node, so that what feeds a dead
 * node is found dead as well.
 */
#include "engine/passes/pass_helpers.h"

static bool is_dead(const node *node) {
  if (!node->op || node->op->custom) return false;
  for (int i = 0; i < node->output_count; i++) {
    const graph_value *output = node->outputs[i];
    if (output && (output->use_count > 0 || output->output_count > 0)) return false;
  }
  return true;
}

static norma_status dead_code_elimination_apply(pass_context *context, node *last, bool *changed) {
  graph *graph = last->graph;
  (void)context;
  if (last->next) return NORMA_OK;
  for (node *node = last, *previous; node; node = previous) {
    previous = node->previous;
    if (!is_dead(node)) continue;
    graph_remove_node(node);
    *changed = true;
  }
  for (int i = 0; i < graph->value_count; i++) pass_release_constant(graph->values[i]);
  return NORMA_OK;
}

const pass pass_dead_code_elimination = {
    .name = "dead_code_elimination",
    .level = 1,
    .apply = dead_code_elimination_apply,
};
