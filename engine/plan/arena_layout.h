/* Places blocks with lifetimes in one arena so that blocks alive at the same time do not overlap. */
#ifndef ENGINE_PLAN_ARENA_LAYOUT_H
#define ENGINE_PLAN_ARENA_LAYOUT_H

#include "engine/base/memory.h"

typedef struct arena_block {
  size_t bytes;
  int first, last; /* steps during which the block is alive, both included */
  size_t offset;   /* result, aligned to MEMORY_ALIGNMENT */
} arena_block;

/* Sets the offsets of all blocks and the size of the arena. The order of `blocks` does not change. Large blocks are
 * placed first, each at the lowest offset where it fits; thousands of them in the order of time, in bounded time.
 * Errors: OUT_OF_MEMORY, BUDGET (the sum overflows). */
norma_status arena_layout_place(memory *memory, arena_block *blocks, size_t count, size_t *arena_bytes,
                                norma_error *error);

#endif
