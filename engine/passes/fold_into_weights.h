/*
 * Layers that are linear in their input, with constant weights (facts.linear): convolutions and matrix products. What a
 * neighbour does per channel, before or behind them, can be done once to their weights and bias instead.
 *
 * New weights are computed in double and rounded once. Nothing changes where a weight or bias would leave the range of
 * its type: become infinite, or (all of one channel) too small to keep its digits. Weights that are still unread
 * (engine/graph/lazy_weights.h) take factors of output channels without being read into memory.
 */
#ifndef ENGINE_PASSES_FOLD_INTO_WEIGHTS_H
#define ENGINE_PASSES_FOLD_INTO_WEIGHTS_H

#include "engine/passes/scale_shift.h"

/* pass.makes of passes that fold factors: what undoes a fold (engine/load/unfold.h). */
extern const char *const fold_operators[];

/* The whole of a pass that moves `last`, a scale and shift, into the layer in front of it; `accepts` chooses among
 * layers, NULL: all. A layer that takes no bias becomes its namesake that does (linear_form.biased). */
norma_status fold_behind(pass_context *context, node *last, bool (*accepts)(const linear_form *form), bool *changed);

/* Lets *layer compute from x what it computed from `transform` of x. The caller then gives it x as input 0. *done:
 * false, with nothing changed, where it cannot be done. */
norma_status fold_before(pass_context *context, node **layer, const scale_shift *transform, bool *done);

#endif
