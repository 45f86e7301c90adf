/* The stages of a load for a model that is only to be looked at: operators are found where there are some, and types
 * and shapes inferred as far as that goes; nothing is refused. */
#ifndef ENGINE_LOAD_INSPECT_H
#define ENGINE_LOAD_INSPECT_H

#include "engine/execute/executor.h"
#include "engine/graph/model.h"

/* Nodes that this build has no operator for, or that are invalid, stay without one. The options' input shapes count.
 * Where nothing can be inferred, outputs keep the types that the model declares. Errors: ARGUMENT (a given shape cannot
 * be), OUT_OF_MEMORY, BUDGET. */
norma_status inspect_graph(norma_model *model, const norma_load_options *options, executor *executor,
                           norma_error *error);

#endif
