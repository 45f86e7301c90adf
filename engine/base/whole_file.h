/* A file that appears whole or not at all: written under a temporary name in the same folder, forced to disk, renamed.
 */
#ifndef ENGINE_BASE_WHOLE_FILE_H
#define ENGINE_BASE_WHOLE_FILE_H

#include "engine/base/memory.h"

typedef struct whole_file {
  memory *memory;
  int file;         /* -1: none */
  int error_number; /* of the first write that failed; 0: none */
  char *path, *temporary;
} whole_file;

/* A symbolic link at `path` stays: what it points to is replaced. What exists there must be a regular file, and not
 * `source` (may be NULL), by whatever name. Errors: FILE, ARGUMENT (it is the source), OUT_OF_MEMORY, BUDGET. */
norma_status whole_file_begin(whole_file *file, memory *memory, const char *path, const char *source,
                              norma_error *error);
/* A write_bytes; `context` is the whole_file. After a failure later writes do nothing. */
bool whole_file_write(void *context, const void *bytes, size_t count);
/* Errors: FILE, also where a write had failed; then nothing is left. */
norma_status whole_file_commit(whole_file *file, norma_error *error);
void whole_file_discard(whole_file *file); /* may be called at any time, also after commit */

#endif
