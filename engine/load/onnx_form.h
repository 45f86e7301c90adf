/* Graphs that are optimised only so far that the result is ONNX again (NORMA_FORM_FOLDED, NORMA_FORM_OPTIMIZED):
 * standard operators of the opset that the model imports, nothing fused beyond that. */
#ifndef ENGINE_LOAD_ONNX_FORM_H
#define ENGINE_LOAD_ONNX_FORM_H

#include "engine/graph/model.h"

/* Parameters that nodes hold in attributes become constants, which folding can see. Operators have been found. */
norma_status onnx_form_take_constants(norma_model *model, norma_error *error);

/* The passes to leave out for this form: those of `options` and all that would lead out of ONNX. The list lies in the
 * model's region. */
norma_status onnx_form_disable(norma_model *model, const norma_load_options *options, const char *const **disabled,
                               size_t *count, norma_error *error);

#endif
