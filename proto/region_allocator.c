#include "proto/region_allocator.h"

static void *allocate_in_region(void *context, size_t size) {
  return region_allocate(context, size);
}

static void free_in_region(void *context, void *block) {
  (void)context;
  (void)block;
}

ProtobufCAllocator region_allocator(region *region) {
  return (ProtobufCAllocator){allocate_in_region, free_in_region, region};
}
