/*
 * The stage "pack" of a load: operators put their constants into the form that their kernels read, once per model, and
 * what was packed gives its own form back. So weights exist once, and loading takes little more than they do: contents
 * that are still unread (engine/graph/lazy_weights.h) go from the file into the packed form piece by piece.
 *
 * Packing needs the shapes that kernels are chosen by. Where the model fixes them, the batch perhaps left open, all is
 * packed here; what a model leaves open beyond that is packed when a plan is made, and then the original stays.
 */
#ifndef ENGINE_LOAD_PACK_H
#define ENGINE_LOAD_PACK_H

#include "engine/execute/executor.h"
#include "engine/graph/model.h"

/* Reads what others than the operators that pack it will look at: passes, inference, evaluation. */
norma_status pack_fetch_shared(norma_model *model, norma_error *error);

/* Packs the constants of the main graph. On return no constant is unread any more. Errors: those of prepare functions,
 * and of reading. */
norma_status pack_constants(norma_model *model, executor *executor, norma_error *error);

/* For models that keep their constants as they are: reads all that is still unread. */
norma_status pack_fetch_all(norma_model *model, norma_error *error);

#endif
