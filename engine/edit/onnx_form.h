/* Models that are optimised only so far that the result is ONNX again: standard operators of the opset that the model
 * imports, nothing fused beyond that. */
#ifndef ENGINE_EDIT_ONNX_FORM_H
#define ENGINE_EDIT_ONNX_FORM_H

#include "engine/graph/model.h"

typedef enum onnx_form {
  STANDARD_FOLDED,   /* BatchNormalization, and what stands between it and a layer, folded into weights */
  STANDARD_OPTIMIZED /* that, and what is constant, redundant or dead removed */
} onnx_form;

/* Loads a model so. The level of `options` is ignored, disabled passes stay disabled. Errors: those of
 * norma_model_load. */
norma_status onnx_form_load(const char *path, const norma_load_options *options, onnx_form form, norma_model **model,
                            norma_error *error);

#endif
