/*
 * A constant by which each channel of a layer's output is multiplied or divided goes into its weights and bias.
 *
 *   c = Conv(x, W, B)
 *   y = Mul(c, s)      ->   y = Conv(x, W', B')     W'[m] = W[m] * s[m], B'[m] = B[m] * s[m]
 *
 * Conv, ConvTranspose, Gemm, MatMul. Legal where s has one element, or one per channel and else dimensions of 1,
 * weights and bias are constant, and nobody else reads c. Left undone where a weight would leave the range of its type.
 */
#include "engine/passes/fold_into_weights.h"

static norma_status fold_scale_apply(pass_context *context, node *node, bool *changed) {
  elementwise_form form;
  if (!node_elementwise(node, &form) || form.kind != ELEMENTWISE_BINARY) return NORMA_OK;
  if (form.binary != BINARY_MUL && form.binary != BINARY_DIV) return NORMA_OK;
  return fold_behind(context, node, NULL, changed);
}

const pass pass_fold_scale = {
    .name = "fold_scale",
    .level = 2,
    .changes_rounding = true,
    .makes = fold_operators,
    .apply = fold_scale_apply,
};
