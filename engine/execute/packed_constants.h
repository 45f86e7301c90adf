/*
 * What operators make of constants once per model: packed weights and the like, by node and key, shared by all plans
 * and sessions. The one part of a loaded model that changes; thread-safe.
 */
#ifndef ENGINE_EXECUTE_PACKED_CONSTANTS_H
#define ENGINE_EXECUTE_PACKED_CONSTANTS_H

#include "engine/base/memory.h"

typedef struct packed_constants packed_constants;

/* Empty. NULL: out of memory. */
packed_constants *packed_constants_create(memory *memory);
void packed_constants_destroy(packed_constants *constants); /* NULL is fine */

/* The bytes that are held now. */
size_t packed_constants_bytes(packed_constants *constants);

#endif
