/*
 * Structs of norma.h that begin with their own size. They only ever grow at their end, so that a program which was
 * compiled against an older norma.h, with a shorter struct, goes on working.
 */
#ifndef ENGINE_BASE_STRUCT_SIZE_H
#define ENGINE_BASE_STRUCT_SIZE_H

#include "engine/norma.h"

/* Options of the caller: *options, of `size` bytes, becomes what `given` holds, and zero behind its end. `given` NULL
 * is all zero. `name` is the struct's. Errors: ARGUMENT (a size that cannot be, or one of a newer norma.h than
 * this). */
norma_status options_take(void *options, size_t size, const void *given, const char *name, norma_error *error);

/* Answers to the caller: `info` gets the first bytes of `filled`, of `size` bytes, as far as its own size goes, which
 * stays as it is; what this library does not know of becomes zero. Errors: ARGUMENT (NULL, or a size that cannot
 * be). */
norma_status info_give(void *info, const void *filled, size_t size);

#endif
