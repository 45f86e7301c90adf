/*
 * What operators make of constants once per model: packed weights and the like, by node and key, shared by all plans
 * and sessions. The one part of a loaded model that changes; thread-safe.
 */
#ifndef ENGINE_EXECUTE_PACKED_CONSTANTS_H
#define ENGINE_EXECUTE_PACKED_CONSTANTS_H

#include "engine/base/memory.h"

typedef struct packed_constants packed_constants;
struct node;

/* Empty. NULL: out of memory. */
packed_constants *packed_constants_create(memory *memory);
void packed_constants_destroy(packed_constants *constants); /* NULL is fine */

/* Adds what was packed before, for nodes to find; `data` is the caller's, for as long as the table is used. false: out
 * of memory. */
bool packed_constants_lend(packed_constants *constants, const struct node *node, uint64_t key, const void *data);

/* At most how many bytes a table takes that holds nothing but `count` things lent, each block aligned to 64. */
size_t packed_constants_need(size_t count);

/* Calls visit for each entry of a node. Nobody may add any meanwhile. */
typedef void (*packed_visit)(void *context, uint64_t key, const void *data, size_t bytes);
void packed_constants_visit(packed_constants *constants, const struct node *node, packed_visit visit, void *context);

/* The bytes that are held now. */
size_t packed_constants_bytes(packed_constants *constants);

#endif
