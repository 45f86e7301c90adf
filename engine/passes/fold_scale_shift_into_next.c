/*
 * A factor and a summand per channel in front of a layer go into its weights and bias.
 *
 *   n = BatchNormalization(x, ...)                        W'[m][c] = W[m][c] * scale[c]
 *   y = Conv(n, W, B)                ->   y = Conv(x, W', B')   B'[m] = B[m] + sum over c, k of W[m][c][k] * shift[c]
 *
 * Roots are Conv, ConvTranspose, Gemm and MatMul; in front stand BatchNormalization in inference, or Mul, Div, Add or
 * Sub with a constant. Legal where all parameters, weights and a bias are constant and nobody else reads n. A
 * convolution that pads takes factors only: its padding is 0 and not what 0 is mapped to; ConvTranspose likewise, whose
 * borders are sums of fewer elements. Left undone where a weight would leave the range of its type.
 */
#include "engine/passes/fold_into_weights.h"

static norma_status apply(pass_context *context, node *node, bool *changed) {
  graph_value *value = node->inputs[0];
  struct node *before = value ? value->producer : NULL;
  if (!before || before->graph != node->graph || !value_has_single_use(value) || !is_linear_layer(node))
    return NORMA_OK;
  scale_shift transform;
  bool found;
  TRY(scale_shift_read(context, before, &transform, &found));
  if (!found) return NORMA_OK;
  norma_status status = linear_layer_prepend(context, &node, &transform, changed);
  if (status == NORMA_OK && *changed) {
    node_set_input(node, 0, before->inputs[transform.input]);
    status = pass_join_names(context, node, before);
    if (status == NORMA_OK) status = pass_remove(context, before);
  }
  scale_shift_free(&transform);
  return status;
}

static const char *const roots[] = {"Conv", "ConvTranspose", "Gemm", "MatMul", NULL};

const pass pass_fold_scale_shift_into_next = {
    .name = "fold_scale_shift_into_next",
    .phase = PASS_FUSE,
    .level = 2,
    .changes_rounding = true,
    .roots = roots,
    .apply = apply,
};
