/*
 * A constant that is added to, or subtracted from, each channel of a layer's output goes into its bias.
 *
 *   c = Conv(x, W)
 *   y = Add(c, b)    ->   y = Conv(x, W, b)
 *
 * Conv, ConvTranspose and Gemm; MatMul of matrices becomes Gemm. Legal where b has one element, or one per channel and
 * else dimensions of 1, a bias that is there is constant, and nobody else reads c. c - b and b - c likewise, the latter
 * where the weights are constant too. Left undone where a bias would leave the range of its type.
 */
#include "engine/passes/fold_into_weights.h"

static norma_status fold_bias_apply(pass_context *context, node *node, bool *changed) {
  elementwise_form form;
  if (!node_elementwise(node, &form) || form.kind != ELEMENTWISE_BINARY) return NORMA_OK;
  if (form.binary != BINARY_ADD && form.binary != BINARY_SUB) return NORMA_OK;
  return fold_behind(context, node, NULL, changed);
}

const pass pass_fold_bias = {
    .name = "fold_bias",
    .level = 2,
    .apply = fold_bias_apply,
};
