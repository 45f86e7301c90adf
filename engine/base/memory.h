/*
 * Memory of one runtime: the caller's allocator behind a budget, plus the two shapes in which memory is held.
 *
 * memory   counts every byte against the budget; thread-safe.
 * region   many small blocks with one life (names, nodes, attributes): freed together; one thread at a time.
 * buffer   one block with a reference count (tensor data that outlives its producer); thread-safe count.
 *
 * All blocks are aligned to MEMORY_ALIGNMENT. Allocation returns NULL on failure; memory_error turns that into the
 * right status (BUDGET or OUT_OF_MEMORY).
 */
#ifndef ENGINE_BASE_MEMORY_H
#define ENGINE_BASE_MEMORY_H

#include "engine/norma.h"

#include <stdatomic.h>

#define MEMORY_ALIGNMENT 64

typedef struct memory {
  norma_allocator allocator;
  size_t limit; /* SIZE_MAX: no limit (where the machine does not tell its memory) */
  atomic_size_t used;
  atomic_size_t peak;
} memory;

/* `allocator` without functions means aligned_alloc and free; `limit` 0 means the machine's physical memory. */
void memory_init(memory *memory, const norma_allocator *allocator, size_t limit);

/* `bytes` 0 is allocated as 1. */
void *memory_allocate(memory *memory, size_t bytes);
void *memory_allocate_zeroed(memory *memory, size_t bytes);
void memory_free(memory *memory, void *block); /* NULL is fine */

/* For part of a block that is filled next: its pages are asked for together, which takes half the time of asking for
 * each when it is touched. Parts should fit the second-level cache, where the system leaves them. Contents stay
 * undefined. */
void memory_expect_use(void *part, size_t bytes);

/* Grows an array in the way of realloc: `block` (NULL or from memory_allocate) becomes at least `bytes` long, contents
 * up to old_bytes kept. NULL on failure, when `block` is left as it is. */
void *memory_resize(memory *memory, void *block, size_t old_bytes, size_t bytes);

/* The status for an allocation of `bytes` that failed; sets *error. */
norma_status memory_error(const memory *memory, size_t bytes, norma_error *error);

/* Checked size arithmetic: false on overflow, when *result is left alone. */
static inline bool size_add(size_t a, size_t b, size_t *result) {
  return !__builtin_add_overflow(a, b, result);
}
static inline bool size_multiply(size_t a, size_t b, size_t *result) {
  return !__builtin_mul_overflow(a, b, result);
}
static inline size_t size_align(size_t size, size_t alignment) { /* size must be at most SIZE_MAX - alignment */
  return (size + alignment - 1) / alignment * alignment;
}

typedef struct region {
  memory *memory;
  struct region_chunk *chunks;
} region;

void region_init(region *region, memory *memory);
void region_free(region *region); /* frees all blocks; the region may be used again */
/* The same, but some memory stays with the region for its next blocks, until region_free. */
void region_reset(region *region);

/* Bytes of the blocks that the region has given. */
size_t region_used(const region *region);
/* For an empty region: room for so many bytes of blocks in one piece. false: it cannot be had. */
bool region_reserve(region *region, size_t bytes);

/* Zeroed memory, aligned to 16. NULL on failure. */
void *region_allocate(region *region, size_t bytes);
/* Zeroed array; NULL also when count * size overflows. A count of 0 gives a valid pointer. */
void *region_array(region *region, size_t count, size_t size);
/* A terminated copy of `length` bytes. */
char *region_copy_string(region *region, const char *text, size_t length);
norma_status region_error(const region *region, norma_error *error);

typedef struct buffer {
  memory *memory;
  atomic_int references;
  size_t bytes;
  void *data;                          /* `bytes` bytes, aligned to MEMORY_ALIGNMENT */
  void (*release_data)(void *context); /* for data from elsewhere (a mapped file): called instead of a free */
  void *release_context;
} buffer;

/* One reference, held by the caller. Contents undefined. NULL on failure. */
buffer *buffer_create(memory *memory, size_t bytes);
/* Wraps data from elsewhere; `release(context)` is called when the last reference goes, never on failure here. */
buffer *buffer_wrap(memory *memory, void *data, size_t bytes, void (*release)(void *context), void *context);
buffer *buffer_retain(buffer *buffer); /* NULL is fine */
void buffer_release(buffer *buffer);   /* NULL is fine */

#endif
