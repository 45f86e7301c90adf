/*
 * The stages of a load, each in a file of its own:
 *
 *   read      proto/model_reader.h       bytes -> graph
 *   resolve   engine/load/resolve.h      nodes find their operators
 *   infer     engine/plan/shape_inference.h
 *   passes    engine/passes/pass.h       the graph is rewritten
 *   pack      engine/load/pack.h         weights take the form that kernels read
 *
 * What follows, the plan, belongs to a session (engine/plan/plan.h): it reads the model and never writes to it.
 */
#ifndef ENGINE_LOAD_LOAD_H
#define ENGINE_LOAD_LOAD_H

#include "engine/graph/model.h"

/* norma_model_load of a file whose graph is changed after it was read and before operators are found. */
typedef norma_status (*model_edit)(void *context, norma_model *model, norma_error *error);
norma_status model_load_edited(const char *path, const norma_load_options *options, model_edit edit, void *context,
                               norma_model **model, norma_error *error);

/* All stages behind reading, on a model that the reader has filled in. */
norma_status load_prepare(norma_model *model, const norma_load_options *options, norma_error *error);

#endif
