/* Saving an edited model beside what it refers to. A private header of proto/. */
#ifndef PROTO_MODEL_SAVE_H
#define PROTO_MODEL_SAVE_H

#include "proto/model_parts.h"

/* Writes `path`, whole or not at all, from a model that was read from `source` (NULL: from memory). Where `path` is in
 * another folder, external files that tensors still refer to are copied there too, unless they are there already with
 * the same contents. Errors: FILE, ARGUMENT (`path` is the source), INVALID_MODEL (a location that is not allowed),
 * UNSUPPORTED (external data of a model from memory), OUT_OF_MEMORY, BUDGET.
 */
norma_status model_parts_save(const model_parts *parts, const char *source, const char *path, norma_error *error);

#endif
