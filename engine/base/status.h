/* Filling in norma_error. Every function that fails sets the error once, at the place that knows most, and returns the
 * status; callers pass it on. `error` may be NULL everywhere. */
#ifndef ENGINE_BASE_STATUS_H
#define ENGINE_BASE_STATUS_H

#include "engine/norma.h"

/* Clears *error and writes status and message; returns status. */
norma_status error_set(norma_error *error, norma_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the message that stands. Returns the status that stands. */
norma_status error_prefix(norma_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether a status tells of limits rather than of the model: who tries something that can fail passes such a one on. */
static inline bool status_is_of_limits(norma_status status) {
  return status == NORMA_ERROR_OUT_OF_MEMORY || status == NORMA_ERROR_BUDGET || status == NORMA_ERROR_CANCELLED ||
         status == NORMA_ERROR_DEADLINE;
}

/* Copies a string into a fixed field, cutting it at a character border of UTF-8. */
void error_copy_text(char *field, size_t size, const char *text);

#define ERROR_COPY(field, text) error_copy_text((field), sizeof(field), (text))

/* Returns from the calling function when `expression` is not NORMA_OK. */
#define TRY(expression)                                                                                                \
  do {                                                                                                                 \
    norma_status try_status = (expression);                                                                            \
    if (try_status != NORMA_OK) return try_status;                                                                     \
  } while (0)

#endif
