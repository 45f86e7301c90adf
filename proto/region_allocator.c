#include "proto/region_allocator.h"

static void *allocate_in_region(void *context, size_t size) {
  return region_allocate(context, size);
}

static void *allocate_for_unpacking(void *context, size_t size) {
  unpacking *unpacking = context;
  if (interruption_poll_often(unpacking->interruption, &unpacking->polls, NULL) != NORMA_OK) {
    unpacking->interrupted = true;
  }
  return unpacking->interrupted ? NULL : region_allocate(unpacking->region, size);
}

static void free_in_region(void *context, void *block) {
  (void)context;
  (void)block;
}

ProtobufCAllocator region_allocator(region *region) {
  return (ProtobufCAllocator){allocate_in_region, free_in_region, region};
}

ProtobufCAllocator unpacking_allocator(unpacking *unpacking) {
  return (ProtobufCAllocator){allocate_for_unpacking, free_in_region, unpacking};
}
