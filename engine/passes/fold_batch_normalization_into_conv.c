/*
 * BatchNormalization in inference behind a convolution goes into its weights and bias.
 *
 *   c = Conv(x, W, B)                                           W'[m] = W[m] * scale[m] / sqrt(variance[m] + epsilon)
 *   y = BatchNormalization(c, ...)   ->   y = Conv(x, W', B')   B'[m] = (B[m] - mean[m]) * (the same factor) + bias[m]
 *
 * Conv and ConvTranspose, any groups, all versions of BatchNormalization. Legal where weights and all parameters are
 * constant, parameters are per channel, and nobody else reads c; not in training. Computed in double, rounded once, and
 * left undone where a folded weight would leave the range of its type.
 */
#include "engine/passes/fold_into_weights.h"

static bool accepts(const node *layer) {
  return node_is(layer, "Conv") || node_is(layer, "ConvTranspose");
}

static norma_status apply(pass_context *context, node *node, bool *changed) {
  return linear_layer_absorb(context, node, accepts, changed);
}

static const char *const roots[] = {"BatchNormalization", NULL};

const pass pass_fold_batch_normalization_into_conv = {
    .name = "fold_batch_normalization_into_conv",
    .phase = PASS_FUSE,
    .level = 2,
    .changes_rounding = true,
    .roots = roots,
    .apply = apply,
};
