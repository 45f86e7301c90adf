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

static bool fold_batch_normalization_into_gemm_accepts(const linear_form *form) {
  return !form->is_window;
}

static norma_status fold_batch_normalization_into_gemm_apply(pass_context *context, node *node, bool *changed) {
  if (!node->op || !node->op->facts.statistics) return NORMA_OK;
  return fold_behind(context, node, fold_batch_normalization_into_gemm_accepts, changed);
}

const pass pass_fold_batch_normalization_into_gemm = {
    .name = "fold_batch_normalization_into_gemm",
    .level = 2,
    .changes_rounding = true,
    .makes = fold_operators,
    .apply = fold_batch_normalization_into_gemm_apply,
};
