#include "tests/support/built_model.h"

#include "engine/execute/runtime.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

norma_status try_built(model_builder *builder, norma_optimization level, norma_runtime *runtime, norma_model **model,
                       norma_error *error) {
  size_t size;
  const void *bytes = builder_bytes(builder, &size);
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime, .optimization = level};
  options.denormals = NORMA_DENORMALS_KEEP;
  norma_status status = norma_model_load_memory(bytes, size, &options, model, error);
  builder_destroy(builder);
  return status;
}

norma_model *load_built(model_builder *builder, norma_optimization level, norma_runtime *runtime) {
  norma_model *model;
  norma_error error;
  if (try_built(builder, level, runtime, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  return model;
}

executor executor_of(const norma_model *model) {
  executor executor;
  executor_init_serial(&executor, model->memory, model->runtime->kernels, model->packed, model->exact);
  return executor;
}

node *find_node(const norma_model *model, const char *name) {
  for (node *node = model->graph->first; node; node = node->next) {
    if (strcmp(node->name, name) == 0) return node;
  }
  node *found = NULL;
  for (node *node = model->graph->first; node; node = node->next) {
    if (strcmp(node->op_type, name) != 0) continue;
    if (found) fail_msg("there is more than one %s", name);
    found = node;
  }
  if (!found) fail_msg("there is no node '%s'", name);
  return found;
}
