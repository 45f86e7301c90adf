/* Reading a whole file into memory. */
#ifndef TOOLS_FORMATS_INPUT_FILE_H
#define TOOLS_FORMATS_INPUT_FILE_H

#include "engine/norma.h"

typedef struct file_contents {
  char *bytes; /* followed by a zero byte */
  size_t size; /* without that zero */
  norma_value *held;
} file_contents; /* zeroed: nothing */

/* Reads all of `path` (also a pipe). The bytes count against the budget of `runtime`, which must outlive them; NULL:
 * none. Errors: FILE (a folder too), OUT_OF_MEMORY, BUDGET; the message begins with the path. */
norma_status file_read(norma_runtime *runtime, const char *path, file_contents *contents, norma_error *error);

/* The same of what is left to read from an open file, which stays open; `name` is for messages. */
norma_status file_read_rest(norma_runtime *runtime, int file, const char *name, file_contents *contents,
                            norma_error *error);

void file_contents_free(file_contents *contents);

#endif
