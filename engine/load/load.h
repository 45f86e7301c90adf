/* What happens between the reader and the first session: operators are found, attributes read, types inferred and
 * checked, passes run. */
#ifndef ENGINE_LOAD_LOAD_H
#define ENGINE_LOAD_LOAD_H

#include "engine/execute/executor.h"
#include "engine/load/model.h"
#include "engine/load/runtime.h"

/* Finds the operator of one node and reads its attributes into node->state. *reason (may be NULL as an argument is not
 * allowed) is set, with status OK, when the node is unsupported; an invalid node is an error. */
norma_status load_resolve_node(norma_model *model, node *node, const char **reason, norma_error *error);

/* Infers types and shapes of the whole graph into graph_value.info. */
norma_status load_infer(norma_model *model, executor *executor, norma_error *error);

/* All steps on a model that the reader has filled in. */
norma_status load_prepare(norma_model *model, const norma_load_options *options, norma_error *error);

#endif
