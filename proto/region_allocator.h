/* Messages of protobuf-c in a region: they are freed with it, without walking them. */
#ifndef PROTO_REGION_ALLOCATOR_H
#define PROTO_REGION_ALLOCATOR_H

#include "engine/base/interruption.h"
#include "engine/base/memory.h"

#include <protobuf-c/protobuf-c.h>

/* Takes memory from `region`, which must outlive all that is unpacked with it. */
ProtobufCAllocator region_allocator(region *region);

/* The same for messages that take long: once there is a reason to stop, every allocation fails, which ends the
 * unpacking. */
typedef struct unpacking {
  region *region;
  interruption *interruption; /* NULL: nothing ends it early */
  unsigned polls;
  bool interrupted;
} unpacking;

/* `unpacking` is borrowed while messages are unpacked. */
ProtobufCAllocator unpacking_allocator(unpacking *unpacking);

#endif
