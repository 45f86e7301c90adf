/* Looks at all of a model through the public header, so that sanitizers see what it hands out. */
#ifndef TESTS_FUZZ_INSPECTOR_H
#define TESTS_FUZZ_INSPECTOR_H

#include "engine/norma.h"

/* Loads the bytes to be looked at (NORMA_FORM_INSPECT), with contents of constants or without, and reads everything
 * that is said of the model. Returns how the load ended. */
norma_status inspect_bytes(norma_runtime *runtime, const void *data, size_t size, bool keep_constants,
                           norma_error *error);

/* Reads everything that is said of a loaded model, and returns a number that follows from it. */
size_t inspect_model(const norma_model *model);

#endif
