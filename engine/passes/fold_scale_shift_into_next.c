/*
 * A factor and a summand per channel in front of a layer go into its weights and bias.
 *
 *   n = BatchNormalization(x, ...)                        W'[m][c] = W[m][c] * scale[c]
 *   y = Conv(n, W, B)                ->   y = Conv(x, W', B')   B'[m] = B[m] + sum over c, k of W[m][c][k] * shift[c]
 *
 * Roots are linear layers (facts.linear); in front stands what scales and shifts (facts.affine). Legal where all
 * parameters, weights and a bias are constant and nobody else reads n. A convolution that pads takes factors only: its
 * padding is 0 and not what 0 is mapped to; ConvTranspose likewise, whose borders are sums of fewer elements. Left
 * undone where a weight would leave the range of its type.
 */
#include "engine/passes/fold_into_weights.h"

static norma_status fold_scale_shift_into_next_apply(pass_context *context, node *node, bool *changed) {
  struct node *before = node_sole_producer(node, 0);
  linear_form form;
  scale_shift transform;
  bool found;
  if (!before || !node_has_plain_store(node) || !node_linear(node, &form)) return NORMA_OK;
  TRY(scale_shift_read(context, before, &transform, &found));
  if (!found) return NORMA_OK;
  norma_status status = fold_before(context, &node, &transform, changed);
  if (status == NORMA_OK && *changed) {
    node_set_input(node, 0, before->inputs[transform.input]);
    status = pass_join_names(context, node, before);
    if (status == NORMA_OK) status = pass_remove(context, before);
  }
  scale_shift_free(&transform);
  return status;
}

const pass pass_fold_scale_shift_into_next = {
    .name = "fold_scale_shift_into_next",
    .level = 2,
    .changes_rounding = true,
    .makes = fold_operators,
    .apply = fold_scale_shift_into_next_apply,
};
