/* Messages of protobuf-c in a region: they are freed with it, without walking them. */
#ifndef PROTO_REGION_ALLOCATOR_H
#define PROTO_REGION_ALLOCATOR_H

#include "engine/base/memory.h"

#include <protobuf-c/protobuf-c.h>

/* Takes memory from `region`, which must outlive all that is unpacked with it. */
ProtobufCAllocator region_allocator(region *region);

#endif
