/*
 * The way back from a fold into weights that were not read yet (engine/passes/fold_into_weights.h): where the products
 * of weights and factors leave the range of their type, which shows when the weights are packed, the layer gets its
 * weights as they are, and what it stored is computed behind it.
 *
 *   y = Conv(x, W * s, B), residual r, activation f    ->    c = Conv(x, W)
 *                                                            y = f(c * s + B + r)
 *
 * So weights are read once: checking them before the fold would read all of them twice, for a case that trained models
 * do not have.
 */
#ifndef ENGINE_LOAD_UNFOLD_H
#define ENGINE_LOAD_UNFOLD_H

#include "engine/graph/model.h"

/* Undoes it for the one reader of the weights `lost`. Types and shapes have to be inferred anew. Errors: OUT_OF_MEMORY,
 * BUDGET, INTERNAL. */
norma_status unfold_scale(norma_model *model, const value *lost, norma_error *error);

#endif
