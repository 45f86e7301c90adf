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

static bool fold_batch_normalization_into_conv_accepts(const linear_form *form) {
  return form->is_window;
}

static norma_status fold_batch_normalization_into_conv_apply(pass_context *context, node *node, bool *changed) {
  if (!node->op || !node->op->facts.statistics) return NORMA_OK;
  return fold_behind(context, node, fold_batch_normalization_into_conv_accepts, changed);
}

const pass pass_fold_batch_normalization_into_conv = {
    .name = "fold_batch_normalization_into_conv",
    .level = 2,
    .changes_rounding = true,
    .makes = fold_operators,
    .apply = fold_batch_normalization_into_conv_apply,
};
