/*
 * Reshape does not care for the shape that its elements had before.
 *
 *   a = Flatten(x)
 *   y = Reshape(a, shape)   ->   y = Reshape(x, shape)
 *
 * In front stands any view of the same elements (OPERATOR_VIEW). Legal where the target is a constant that copies no
 * dimension (has no 0), also where a has other readers.
 */
#include "engine/passes/pass_helpers.h"

static bool copies_no_dimension(const node *node) {
  const norma_tensor *target = node_constant_input(node, 1);
  for (int64_t i = 0; target && i < norma_tensor_count(target); i++) {
    if (tensor_get_int64(target, i) == 0) return false;
  }
  return target != NULL;
}

static norma_status merge_reshapes_apply(pass_context *context, node *last, bool *changed) {
  if (!node_is(last, "Reshape") || last->version < 5 || !last->inputs[0]) return NORMA_OK;
  const graph_value *between = last->inputs[0];
  node *first = between->producer;
  if (!first || !first->op || first->graph != last->graph || between->producer_index != 0) return NORMA_OK;
  if (!(first->op->flags & OPERATOR_VIEW) || !node_has_input(first, 0)) return NORMA_OK;
  if (!value_is_of(first->inputs[0], TYPES_ALL) || !value_is(between, first->inputs[0]->info.type)) return NORMA_OK;
  if (!copies_no_dimension(last)) return NORMA_OK;
  node_set_input(last, 0, first->inputs[0]);
  if (between->use_count == 0 && between->output_count == 0) {
    TRY(pass_join_names(context, last, first));
    TRY(pass_remove(context, first));
  }
  *changed = true;
  return NORMA_OK;
}

const pass pass_merge_reshapes = {
    .name = "merge_reshapes",
    .level = 1,
    .apply = merge_reshapes_apply,
};
