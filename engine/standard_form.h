/* Models that are optimised only so far that the result is ONNX again: standard operators of the opset that the model
 * imports, nothing fused beyond that. */
#ifndef ENGINE_STANDARD_FORM_H
#define ENGINE_STANDARD_FORM_H

#include "engine/model.h"

typedef enum standard_form {
  STANDARD_FOLDED,   /* BatchNormalization, and what stands between it and a layer, folded into weights */
  STANDARD_OPTIMIZED /* that, and what is constant, redundant or dead removed */
} standard_form;

/* Loads a model so. The level of `options` is ignored, disabled passes stay disabled. Errors: those of
 * norma_model_load. */
norma_status standard_form_load(const char *path, const norma_load_options *options, standard_form form,
                                norma_model **model, norma_error *error);

#endif
