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

static bool accepts(const node *layer) {
  return is_linear_layer(layer);
}

static norma_status apply(pass_context *context, node *node, bool *changed) {
  return linear_layer_absorb(context, node, accepts, changed);
}

static const char *const roots[] = {"Add", "Sub", NULL};

const pass pass_fold_bias = {
    .name = "fold_bias",
    .phase = PASS_FUSE,
    .level = 2,
    .roots = roots,
    .apply = apply,
};
