/* Settings of single tests from a file: a glob and settings on each line, the last line that matches wins. */
#ifndef TOOLS_MANIFEST_H
#define TOOLS_MANIFEST_H

#include "tools/difference.h"

#include <stddef.h>

typedef struct manifest {
  char *text; /* what the lines point into */
  struct manifest_line *lines;
  size_t count;
} manifest; /* zeroed: empty */

/* Reads a manifest; what is not understood is an error that names file and line. false: printed. */
bool manifest_load(manifest *manifest, const char *path, const tolerance *otherwise);
void manifest_free(manifest *manifest);

/* The tolerance of the test in folder `path`: of the last line whose glob matches the path, its end, or its last part;
 * `otherwise` if there is none. */
tolerance manifest_find(const manifest *manifest, const char *path, const tolerance *otherwise);

/* Whether a glob matches a path: the whole, the part after any '/', or the last part. */
bool path_matches(const char *glob, const char *path);

#endif
