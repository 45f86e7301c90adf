/*
 * Reshape does not care for the shape that its elements had before.
 *
 *   a = Flatten(x)
 *   y = Reshape(a, shape)   ->   y = Reshape(x, shape)
 *
 * In front stand Reshape, Flatten, Squeeze or Unsqueeze. Legal where the target is a constant that copies no dimension
 * (has no 0), also where a has other readers.
 */
#include "engine/passes/pass_helpers.h"

static bool copies_no_dimension(const node *node) {
  const norma_tensor *target = node_constant_input(node, 1);
  for (int64_t i = 0; target && i < norma_tensor_count(target); i++) {
    if (tensor_get_int64(target, i) == 0) return false;
  }
  return target != NULL;
}

static norma_status apply(pass_context *context, node *last, bool *changed) {
  static const char *const views[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", NULL};
  const graph_value *between = last->inputs[0];
  node *first = between ? between->producer : NULL;
  bool is_view = false;
  if (!first || first->graph != last->graph || !first->inputs[0]) return NORMA_OK;
  for (const char *const *name = views; *name; name++) is_view |= node_is(first, *name);
  if (!is_view || last->version < 5 || !copies_no_dimension(last)) return NORMA_OK;
  node_set_input(last, 0, first->inputs[0]);
  if (between->use_count == 0 && between->output_count == 0) {
    TRY(pass_join_names(context, last, first));
    TRY(pass_remove(context, first));
  }
  *changed = true;
  return NORMA_OK;
}

static const char *const roots[] = {"Reshape", NULL};

const pass pass_merge_reshapes = {
    .name = "merge_reshapes",
    .phase = PASS_CLEAN,
    .level = 1,
    .roots = roots,
    .apply = apply,
};
