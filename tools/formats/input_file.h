/* Reading a whole file into memory. */
#ifndef TOOLS_FORMATS_INPUT_FILE_H
#define TOOLS_FORMATS_INPUT_FILE_H

#include "engine/base/memory.h"

/* Reads all of `path` (also a pipe); *bytes is freed with memory_free and followed by a zero byte that *size does not
 * count. Errors: FILE (a folder too), OUT_OF_MEMORY, BUDGET; the message begins with the path. */
norma_status file_read(memory *account, const char *path, void **bytes, size_t *size, norma_error *error);

#endif
