/*
 * Gradient (ai.onnx.preview.training): the operators that compute the derivatives take its place.
 *
 *   y = F(x, z);  dx = Gradient(x, z; xs = "x", zs = "z", y = "y")   ->   y = F(x, z);  dx = F'(x, z)
 *
 * The node names y and the variables it is a function of; between them lie the nodes that are differentiated, from the
 * last to the first (reverse mode), each by its operator's rule (ops/training/gradient.h). A node on the way from an x
 * to y whose operator has no rule is refused. Where the inputs are other values than those named, the nodes in between
 * are copied first, to be computed at these values.
 *
 * A variable in xs or zs counts as independent, even where it is computed from others.
 */
#ifndef ENGINE_LOAD_GRADIENT_H
#define ENGINE_LOAD_GRADIENT_H

#include "engine/execute/executor.h"
#include "engine/graph/model.h"

/* Replaces all Gradient nodes of the model, whose operators are resolved, and types and shapes inferred; both hold
 * afterwards. *replaced tells whether there were any. Errors: UNSUPPORTED (a node without a rule, or something is not
 * known that the rule needs), INVALID_MODEL (a name that is none), OUT_OF_MEMORY, BUDGET. */
norma_status gradient_replace_all(norma_model *model, executor *executor, bool *replaced, norma_error *error);

#endif
