#include "tests/support/counting_allocator.h"

#include <stdlib.h>

static void *counting_allocate(void *context, size_t size, size_t alignment) {
  counting_allocator *counting = context;
  long number = atomic_fetch_add(&counting->allocations, 1) + 1;
  if (counting->fail_at > 0 && (number == counting->fail_at || (counting->fail_from && number > counting->fail_at))) {
    atomic_fetch_add(&counting->failures, 1);
    return NULL;
  }
  void *block = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (block) atomic_fetch_add(&counting->outstanding, 1);
  return block;
}

static void counting_deallocate(void *context, void *pointer, size_t size) {
  (void)size;
  atomic_fetch_sub(&((counting_allocator *)context)->outstanding, 1);
  free(pointer);
}

norma_allocator counting_allocator_functions(counting_allocator *counting) {
  return (norma_allocator){counting_allocate, counting_deallocate, counting};
}
