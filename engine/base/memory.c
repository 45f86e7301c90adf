#include "engine/base/memory.h"

#include "engine/base/status.h"

#include <stdlib.h>
#include <string.h>
#ifndef NORMA_BARE_METAL
#include <sys/mman.h>
#include <unistd.h>
#endif

/* What rounding up adds to a block belongs to nobody: the address sanitizer is told so. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MEMORY_SANITIZED
#endif
#if defined(MEMORY_SANITIZED)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size)   ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

/* In front of each block, so that frees can be counted and the caller's deallocate gets the size. */
typedef struct block_header {
  size_t total_bytes;
} block_header;

_Static_assert(sizeof(block_header) <= MEMORY_ALIGNMENT, "a header takes one alignment unit");

static void *default_allocate(void *context, size_t size, size_t alignment) {
  (void)context;
#ifdef NORMA_BARE_METAL /* there is no memory but what the program gives */
  (void)size, (void)alignment;
  return NULL;
#else
  return aligned_alloc(alignment, size_align(size, alignment));
#endif
}

static void default_deallocate(void *context, void *pointer, size_t size) {
  (void)context;
  (void)size;
  free(pointer);
}

/* More can never be used, though the operating system may promise it: an allocation beyond it would end in the kernel
 * killing the process when the pages are touched. */
#ifdef NORMA_BARE_METAL
static size_t physical_memory(void) {
  return SIZE_MAX;
}
#else
static size_t physical_memory(void) {
  long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  size_t bytes;
  if (pages <= 0 || page_bytes <= 0 || !size_multiply((size_t)pages, (size_t)page_bytes, &bytes)) return SIZE_MAX;
  return bytes;
}
#endif

void memory_init(memory *memory, const norma_allocator *allocator, size_t limit) {
  memset(memory, 0, sizeof *memory);
  if (allocator && allocator->allocate && allocator->deallocate) {
    memory->allocator = *allocator;
  } else {
    memory->allocator.allocate = default_allocate;
    memory->allocator.deallocate = default_deallocate;
  }
  memory->limit = limit ? limit : physical_memory();
}

static bool memory_reserve(memory *memory, size_t bytes) {
  size_t used = atomic_load_explicit(&memory->used, memory_order_relaxed);
  do {
    if (bytes > memory->limit || used > memory->limit - bytes) return false;
  } while (!atomic_compare_exchange_weak_explicit(&memory->used, &used, used + bytes, memory_order_relaxed,
                                                  memory_order_relaxed));
  size_t peak = atomic_load_explicit(&memory->peak, memory_order_relaxed);
  while (used + bytes > peak && !atomic_compare_exchange_weak_explicit(&memory->peak, &peak, used + bytes,
                                                                       memory_order_relaxed, memory_order_relaxed)) {
  }
  return true;
}

void *memory_allocate(memory *memory, size_t bytes) {
  if (bytes > SIZE_MAX / 2) return NULL;
  size_t total = size_align(bytes ? bytes : 1, MEMORY_ALIGNMENT) + MEMORY_ALIGNMENT;
  if (!memory_reserve(memory, total)) return NULL;
  char *start = memory->allocator.allocate(memory->allocator.context, total, MEMORY_ALIGNMENT);
  if (!start) {
    atomic_fetch_sub_explicit(&memory->used, total, memory_order_relaxed);
    return NULL;
  }
  ((block_header *)start)->total_bytes = total;
  ASAN_POISON_MEMORY_REGION(start + MEMORY_ALIGNMENT + bytes, total - MEMORY_ALIGNMENT - bytes);
  return start + MEMORY_ALIGNMENT;
}

void *memory_allocate_zeroed(memory *memory, size_t bytes) {
  void *block = memory_allocate(memory, bytes);
  if (block) memset(block, 0, bytes);
  return block;
}

void memory_free(memory *memory, void *block) {
  if (!block) return;
  char *start = (char *)block - MEMORY_ALIGNMENT;
  size_t total = ((block_header *)start)->total_bytes;
  ASAN_UNPOISON_MEMORY_REGION(start, total);
  memory->allocator.deallocate(memory->allocator.context, start, total);
  atomic_fetch_sub_explicit(&memory->used, total, memory_order_relaxed);
}

void memory_expect_use(void *part, size_t bytes) {
#ifdef MADV_POPULATE_WRITE
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)part / page * page;
  uintptr_t end = ((uintptr_t)part + bytes) / page * page; /* the last page is that of the next part */
  if (end < begin + 4 * page) return;
  madvise((void *)begin, end - begin, MADV_POPULATE_WRITE); /* what fails is done when the pages are touched */
#else
  (void)part;
  (void)bytes;
#endif
}

void *memory_resize(memory *memory, void *block, size_t old_bytes, size_t bytes) {
  void *grown = memory_allocate(memory, bytes);
  if (!grown) return NULL;
  if (block) memcpy(grown, block, old_bytes < bytes ? old_bytes : bytes);
  memory_free(memory, block);
  return grown;
}

norma_status memory_error(const memory *memory, size_t bytes, norma_error *error) {
  size_t used = atomic_load_explicit(&memory->used, memory_order_relaxed);
  size_t total;
  if (memory->limit != SIZE_MAX &&
      (!size_add(bytes, 2 * MEMORY_ALIGNMENT, &total) || !size_add(total, used, &total) || total > memory->limit)) {
    return error_set(error, NORMA_ERROR_BUDGET,
                     "%zu more bytes do not fit into the memory budget of %zu bytes (%zu used)", bytes, memory->limit,
                     used);
  }
  return error_set(error, NORMA_ERROR_OUT_OF_MEMORY, "out of memory: %zu bytes could not be allocated", bytes);
}

/* ----------------------------------------------------------------------------------------------------------- region */

#define REGION_ALIGNMENT 16
/* Tests compile this file with chunks for single blocks, so that each block is an allocation that can fail. */
#ifndef REGION_FIRST_CHUNK
#define REGION_FIRST_CHUNK   4096
#define REGION_LARGEST_CHUNK (256 * 1024)
#endif

typedef struct region_chunk {
  struct region_chunk *next;
  size_t used, capacity;
  _Alignas(REGION_ALIGNMENT) char data[];
} region_chunk;

void region_init(region *region, memory *memory) {
  region->memory = memory;
  region->chunks = NULL;
}

void region_free(region *region) {
  while (region->chunks) {
    region_chunk *next = region->chunks->next;
    memory_free(region->memory, region->chunks);
    region->chunks = next;
  }
}

void region_reset(region *region) {
  region_chunk *kept = NULL;
  while (region->chunks) {
    region_chunk *next = region->chunks->next;
    if (!next && region->chunks->capacity == REGION_FIRST_CHUNK) {
      kept = region->chunks;
    } else {
      memory_free(region->memory, region->chunks);
    }
    region->chunks = next;
  }
  if (kept) kept->used = 0;
  region->chunks = kept;
}

static region_chunk *region_add_chunk_of(region *region, size_t capacity) {
  size_t total;
  if (!size_add(capacity, sizeof(region_chunk), &total)) return NULL;
  region_chunk *chunk = memory_allocate(region->memory, total);
  if (!chunk) return NULL;
  chunk->used = 0;
  chunk->capacity = capacity;
  chunk->next = region->chunks;
  region->chunks = chunk;
  return chunk;
}

static region_chunk *region_add_chunk(region *region, size_t bytes) {
  size_t capacity = region->chunks ? region->chunks->capacity * 2 : REGION_FIRST_CHUNK;
  if (capacity > REGION_LARGEST_CHUNK) capacity = REGION_LARGEST_CHUNK;
  return region_add_chunk_of(region, capacity < bytes ? bytes : capacity);
}

size_t region_used(const region *region) {
  size_t bytes = 0;
  for (const region_chunk *chunk = region->chunks; chunk; chunk = chunk->next) bytes += chunk->used;
  return bytes;
}

bool region_reserve(region *region, size_t bytes) {
  return region->chunks || bytes == 0 || region_add_chunk_of(region, bytes);
}

void *region_allocate(region *region, size_t bytes) {
  if (bytes > SIZE_MAX / 2) return NULL;
  size_t needed = size_align(bytes ? bytes : 1, REGION_ALIGNMENT);
  region_chunk *chunk = region->chunks;
  if (!chunk || chunk->capacity - chunk->used < needed) {
    chunk = region_add_chunk(region, needed);
    if (!chunk) return NULL;
  }
  void *block = chunk->data + chunk->used;
  chunk->used += needed;
  return memset(block, 0, needed);
}

void *region_array(region *region, size_t count, size_t size) {
  size_t bytes;
  return size_multiply(count, size, &bytes) ? region_allocate(region, bytes) : NULL;
}

char *region_copy_string(region *region, const char *text, size_t length) {
  if (length == SIZE_MAX) return NULL;
  char *copy = region_allocate(region, length + 1);
  if (copy && length) memcpy(copy, text, length);
  return copy;
}

norma_status region_error(const region *region, norma_error *error) {
  return memory_error(region->memory, REGION_LARGEST_CHUNK, error);
}

/* ----------------------------------------------------------------------------------------------------------- buffer */

#define BUFFER_HEADER_BYTES MEMORY_ALIGNMENT
_Static_assert(sizeof(buffer) <= BUFFER_HEADER_BYTES, "the data of a buffer follow its header");

buffer *buffer_create(memory *memory, size_t bytes) {
  size_t total;
  if (!size_add(bytes, BUFFER_HEADER_BYTES, &total)) return NULL;
  buffer *created = memory_allocate(memory, total);
  if (!created) return NULL;
  *created = (buffer){.memory = memory, .bytes = bytes, .data = (char *)created + BUFFER_HEADER_BYTES};
  atomic_init(&created->references, 1);
  return created;
}

buffer *buffer_wrap(memory *memory, void *data, size_t bytes, void (*release)(void *context), void *context) {
  buffer *created = memory_allocate(memory, sizeof *created);
  if (!created) return NULL;
  *created =
      (buffer){.memory = memory, .bytes = bytes, .data = data, .release_data = release, .release_context = context};
  atomic_init(&created->references, 1);
  return created;
}

buffer *buffer_retain(buffer *buffer) {
  if (buffer) atomic_fetch_add_explicit(&buffer->references, 1, memory_order_relaxed);
  return buffer;
}

void buffer_release(buffer *buffer) {
  if (!buffer || atomic_fetch_sub_explicit(&buffer->references, 1, memory_order_acq_rel) != 1) return;
  if (buffer->release_data) buffer->release_data(buffer->release_context);
  memory_free(buffer->memory, buffer);
}
