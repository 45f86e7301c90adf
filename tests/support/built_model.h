/* Models of a builder, loaded, and executors for what is done with their nodes outside of a session. */
#ifndef TESTS_SUPPORT_BUILT_MODEL_H
#define TESTS_SUPPORT_BUILT_MODEL_H

#include "engine/execute/executor.h"
#include "tests/support/model_builder.h"

/* Loads what the builder has, which is destroyed. `runtime` NULL: one of the model's own. Fails the test, saying why,
 * where it cannot be loaded. */
norma_model *load_built(model_builder *builder, norma_optimization level, norma_runtime *runtime);

/* The status of loading, with error; *model is NULL unless it is OK. The builder is destroyed. */
norma_status try_built(model_builder *builder, norma_optimization level, norma_runtime *runtime, norma_model **model,
                       norma_error *error);

/* A serial executor with the model's memory, kernels and packed constants. */
executor executor_of(const norma_model *model);

/* The node of that name in the main graph, or the only one of that type; fails the test where there is none. */
node *find_node(const norma_model *model, const char *name);

#endif
