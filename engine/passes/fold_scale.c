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

static bool accepts(const node *layer) {
  return is_linear_layer(layer);
}

static norma_status apply(pass_context *context, node *node, bool *changed) {
  return linear_layer_absorb(context, node, accepts, changed);
}

static const char *const roots[] = {"Mul", "Div", NULL};

const pass pass_fold_scale = {
    .name = "fold_scale",
    .phase = PASS_FUSE,
    .level = 2,
    .changes_rounding = true,
    .roots = roots,
    .apply = apply,
};
