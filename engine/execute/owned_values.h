/* Values that callers hold (norma_value_create_tensor and its kin), for the parts of the library that make some. */
#ifndef ENGINE_EXECUTE_OWNED_VALUES_H
#define ENGINE_EXECUTE_OWNED_VALUES_H

#include "engine/execute/runtime.h"

/* *result, for norma_value_destroy, takes over *contents; on failure they are cleared. Errors: ARGUMENT (no runtime, no
 * place), OUT_OF_MEMORY, BUDGET. */
norma_status owned_value_create(norma_runtime *runtime, value *contents, norma_value **result, norma_error *error);

#endif
