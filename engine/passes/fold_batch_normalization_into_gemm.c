/*
 * BatchNormalization in inference behind a matrix product goes into the matrix and its addend.
 *
 *   c = Gemm(a, B, C)                                           B'[k][n] = B[k][n] * factor[n]
 *   y = BatchNormalization(c, ...)   ->   y = Gemm(a, B', C')   C'[n] = (beta * C[n] - mean[n]) * factor[n] + bias[n]
 *
 *   factor[n] = scale[n] / sqrt(variance[n] + epsilon)
 *
 * MatMul becomes Gemm, where both operands have rank 2 (in other ranks its columns are not the channels). Legal where
 * B, C and all parameters are constant, C is the same in each row, and nobody else reads c; not in training. Computed
 * in double, rounded once, and left undone where a folded weight would leave the range of its type.
 */
#include "engine/passes/fold_into_weights.h"

static bool accepts(const node *layer) {
  return node_is(layer, "Gemm") || node_is(layer, "MatMul");
}

static norma_status apply(pass_context *context, node *node, bool *changed) {
  return linear_layer_absorb(context, node, accepts, changed);
}

static const char *const roots[] = {"BatchNormalization", NULL};

const pass pass_fold_batch_normalization_into_gemm = {
    .name = "fold_batch_normalization_into_gemm",
    .phase = PASS_FUSE,
    .level = 2,
    .changes_rounding = true,
    .roots = roots,
    .apply = apply,
};
