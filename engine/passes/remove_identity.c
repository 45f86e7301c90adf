/*
 * Nodes whose output is their input are removed.
 *
 *   a = Identity(x)
 *   y = Relu(a)      ->   y = Relu(x)
 *
 * Legal for nodes of which their operator says so (facts.is_identity), where nobody reads further outputs. That x + 0
 * is x is not used: it is not where x is -0.
 */
#include "engine/passes/pass_helpers.h"

static norma_status remove_identity_apply(pass_context *context, node *node, bool *changed) {
  (void)context;
  if (!node_has_input(node, 0) || !node_has_output(node, 0)) return NORMA_OK;
  for (int i = 1; i < node->output_count; i++) {
    if (node->outputs[i] && !value_is_unread(node->outputs[i])) return NORMA_OK;
  }
  if (node_is_identity(node)) pass_bypass(node, 0, changed);
  return NORMA_OK;
}

const pass pass_remove_identity = {
    .name = "remove_identity",
    .level = 1,
    .apply = remove_identity_apply,
};
