/* Errors of what files hold, in the form of the library's. */
#ifndef TOOLS_FORMATS_FILE_ERROR_H
#define TOOLS_FORMATS_FILE_ERROR_H

#include "engine/norma.h"

/* Fills in *error (may be NULL) with a message alone, and returns the status. */
norma_status set_error(norma_error *error, norma_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the message that stands. */
void prefix_error(norma_error *error, const char *prefix);

/* Returns from the calling function when `expression` is not NORMA_OK. */
#define TRY(expression)                                                                                                \
  do {                                                                                                                 \
    norma_status try_status = (expression);                                                                            \
    if (try_status != NORMA_OK) return try_status;                                                                     \
  } while (0)

#endif
