/* Bytes on their way out, in pieces between which somebody may want the writing to end. A private header of proto/. */
#ifndef PROTO_POLLED_WRITE_H
#define PROTO_POLLED_WRITE_H

#include "engine/base/interruption.h"
#include "proto/value_writer.h"

typedef struct polled_write {
  write_bytes write;
  void *context;
  interruption *interruption; /* NULL: nothing ends it early */
} polled_write;

/* A write_bytes; `context` is the polled_write. false also where there is a reason to stop: the caller asks which,
 * since it gets a FILE error. */
bool polled_write_bytes(void *context, const void *bytes, size_t count);

#endif
