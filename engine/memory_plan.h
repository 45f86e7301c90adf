/* Places blocks with lifetimes in one arena so that blocks alive at the same time do not overlap. */
#ifndef ENGINE_MEMORY_PLAN_H
#define ENGINE_MEMORY_PLAN_H

#include "engine/memory.h"

typedef struct memory_block {
  size_t bytes;
  int first, last; /* steps during which the block is alive, both included */
  size_t offset; /* result, aligned to MEMORY_ALIGNMENT */
} memory_block;

/* Sets the offsets of all blocks and the size of the arena. The order of `blocks` does not change. Large blocks are placed
 * first, each at the lowest offset where it fits; thousands of them in the order of time, in bounded time. Errors: OUT_OF_MEMORY, BUDGET (the sum overflows). */
norma_status memory_plan_place(memory *memory, memory_block *blocks, size_t count, size_t *arena_bytes,
                               norma_error *error);

#endif
