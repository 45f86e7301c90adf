/*
 * Layers that are linear in their input, with constant weights: Conv, ConvTranspose, Gemm, MatMul. What a neighbour
 * does per channel, before or behind them, can be done once to their weights and bias instead.
 *
 * New weights are computed in double and rounded once. Nothing changes where a weight or bias would leave the range of
 * its type: become infinite, or (all of one channel) too small to keep its digits.
 */
#ifndef ENGINE_PASSES_FOLD_INTO_WEIGHTS_H
#define ENGINE_PASSES_FOLD_INTO_WEIGHTS_H

#include "engine/passes/scale_shift.h"

/* Whether `node` is such a layer, not yet fused with an activation or a residual. */
bool is_linear_layer(const node *node);

/* Lets *layer compute what `transform` makes of its output. A MatMul that gets a bias becomes a Gemm, which *layer then
 * is. The layer's infos stay those of the old output. *done: false, with nothing changed, where it cannot be done. */
norma_status linear_layer_append(pass_context *context, node **layer, const scale_shift *transform, bool *done);

/* The whole of a pass that moves `last`, a scale and shift, into the layer in front of it: `accepts` chooses among
 * layers. */
norma_status linear_layer_absorb(pass_context *context, node *last, bool (*accepts)(const node *layer), bool *changed);

/* Lets *layer compute from x what it computed from `transform` of x. The caller then gives it x as input 0. */
norma_status linear_layer_prepend(pass_context *context, node **layer, const scale_shift *transform, bool *done);

#endif
