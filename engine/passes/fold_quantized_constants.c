/*
 * Constants of quantised models are folded, all but DequantizeLinear, before anything looks for integers.
 *
 *   w' = QuantizeLinear(w, s, z)                               w' = constant of integers
 *   z' = Cast(z)                                               z' = constant
 *   d  = DequantizeLinear(w', s, z')                     ->    d = DequantizeLinear(w', s, z')
 *
 * So scales and zero points that are written in other words are constants, and weights that are quantised in the model
 * are integers, where fuse_quantization asks. What constant_folding does with a node is exact.
 */
#include "engine/passes/pass_helpers.h"

extern const pass pass_constant_folding;

static norma_status fold_quantized_constants_apply(pass_context *context, node *node, bool *changed) {
  if (node->op && strcmp(node->op->name, "DequantizeLinear") == 0) return NORMA_OK;
  return pass_constant_folding.apply(context, node, changed);
}

const pass pass_fold_quantized_constants = {
    .name = "fold_quantized_constants",
    .level = 2,
    .apply = fold_quantized_constants_apply,
};
