/* One node on values that exist: what constant folding, inference of known values, and steps with shapes that depend on
 * data have in common. */
#ifndef ENGINE_EXECUTE_EVALUATION_H
#define ENGINE_EXECUTE_EVALUATION_H

#include "engine/execute/executor.h"

/* Runs the node. `constants` marks inputs that never change (entries NULL elsewhere). outputs[i] is NULL when not
 * wanted, a tensor with memory to be filled (its shape must come out the same), or a cleared value, which then owns its
 * result. On failure outputs that were cleared are cleared again. `failure` is the status for shapes that do not fit.
 * DEADLINE: it would cost more than executor->work_left. */
norma_status evaluate_node(executor *executor, const node *node, const value *const *inputs,
                           const value *const *constants, value *const *outputs, norma_status failure,
                           norma_error *error);

#endif
