/* Shapes that the caller of a load gives inputs (norma_load_options.input_shapes). */
#ifndef ENGINE_LOAD_INPUT_SHAPES_H
#define ENGINE_LOAD_INPUT_SHAPES_H

#include "engine/graph/model.h"

/* Before anything is inferred. Errors: ARGUMENT (no such input, or the model says otherwise). */
norma_status input_shapes_set(norma_model *model, const norma_load_options *options, norma_error *error);

#endif
