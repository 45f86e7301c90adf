/*
 * The stages of a load, each in a file of its own:
 *
 *   read      proto/model_reader.h       bytes -> graph
 *   resolve   engine/load/resolve.h      nodes find their operators
 *   infer     engine/plan/shape_inference.h
 *   passes    engine/passes/pass.h       the graph is rewritten
 *   pack      engine/load/pack.h         weights take the form that kernels read
 *
 * A model that is only to be looked at (NORMA_FORM_INSPECT) goes through engine/load/inspect.h instead of what follows
 * reading.
 *
 * What follows, the plan, belongs to a session (engine/plan/plan.h): it reads the model and never writes to it.
 */
#ifndef ENGINE_LOAD_LOAD_H
#define ENGINE_LOAD_LOAD_H

#include "engine/graph/model.h"

/* Where a model's bytes come from: a path, or memory (path NULL). */
typedef struct model_source {
  const char *path;
  const void *data;
  size_t size;
} model_source;

/* norma_model_load of a source whose graph is changed after it was read and before operators are found. */
typedef norma_status (*model_edit)(void *context, norma_model *model, norma_error *error);
norma_status model_load_source(const model_source *source, const norma_load_options *options, model_edit edit,
                               void *context, norma_model **model, norma_error *error);
/* The same of a file. */
norma_status model_load_edited(const char *path, const norma_load_options *options, model_edit edit, void *context,
                               norma_model **model, norma_error *error);

/* All stages behind reading, on a model that the reader has filled in, but for those that its form leaves out. */
norma_status load_prepare(norma_model *model, const norma_load_options *options, norma_error *error);

#endif
