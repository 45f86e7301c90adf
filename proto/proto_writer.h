/* Messages of protobuf-c from values, and their bytes. A private header of proto/. */
#ifndef PROTO_PROTO_WRITER_H
#define PROTO_PROTO_WRITER_H

#include "engine/base/interruption.h"
#include "engine/base/tensor.h"
#include "proto/value_writer.h"

#include "proto/onnx.pb-c.h"

/* A message that lives in the region and refers to the tensor's data. NULL: out of memory. */
Onnx__TensorProto *tensor_message(region *region, const norma_tensor *tensor, const char *name);

/* Hands the packed message to `write`, piece by piece. */
norma_status message_write(const ProtobufCMessage *message, write_bytes write, void *context, norma_error *error);

/* The packed message in one block, for the caller to free with memory_free. `interruption` may be NULL. */
norma_status message_write_memory(memory *memory, const ProtobufCMessage *message, interruption *interruption,
                                  void **bytes, size_t *size, norma_error *error);

/* protobuf-c does not write through strings, but its fields are not const. */
static inline char *message_text(const char *text) {
  return (char *)(uintptr_t)text;
}

#endif
