#include "proto/value_reader.h"

#include "engine/status.h"
#include "proto/tensor_reader.h"
#include "proto/wire_check.h"

/* Sequences within sequences; the specification has no use for more than two. */
enum { MAX_NESTING = 8 };

static void *allocate(void *context, size_t size) {
  return memory_allocate(context, size);
}

static void release(void *context, void *block) {
  memory_free(context, block);
}

static norma_status read_sequence(const tensor_source *source, const Onnx__SequenceProto *proto, int nesting,
                                  value *into, norma_error *error);

/* `dense` to `map`: at most one of them is not NULL. Leaves *into alone where all are. */
static norma_status read_element(const tensor_source *source, const Onnx__TensorProto *dense,
                                 const Onnx__SparseTensorProto *sparse, const Onnx__SequenceProto *sequence,
                                 const Onnx__MapProto *map, int nesting, value *into, norma_error *error) {
  if (dense) return tensor_read(source, dense, into, error);
  if (sparse) return sparse_tensor_read(source, sparse, into, error);
  if (sequence) return read_sequence(source, sequence, nesting, into, error);
  if (map) return error_set(error, NORMA_ERROR_UNSUPPORTED, "maps are not read from files");
  return NORMA_OK;
}

static norma_status read_optional(const tensor_source *source, const Onnx__OptionalProto *proto, int nesting,
                                  value *into, norma_error *error) {
  if (nesting > MAX_NESTING) return error_set(error, NORMA_ERROR_BUDGET, "an optional is nested too deeply");
  value element = {0};
  const Onnx__OptionalProto *inner = proto->optional_value;
  norma_status status = inner ? read_optional(source, inner, nesting + 1, &element, error)
                              : read_element(source, proto->tensor_value, proto->sparse_tensor_value,
                                             proto->sequence_value, proto->map_value, nesting + 1, &element, error);
  if (status != NORMA_OK) return status;
  bool present = element.kind != NORMA_VALUE_NONE;
  status = value_allocate_list(source->memory, into, NORMA_VALUE_OPTIONAL, present ? 1 : 0, error);
  if (status == NORMA_OK && present) {
    into->list->items[0] = element;
  } else {
    value_clear(&element);
  }
  return status;
}

static norma_status read_sequence(const tensor_source *source, const Onnx__SequenceProto *proto, int nesting,
                                  value *into, norma_error *error) {
  if (nesting > MAX_NESTING) return error_set(error, NORMA_ERROR_BUDGET, "a sequence is nested too deeply");
  size_t counts[] = {proto->n_tensor_values, proto->n_sparse_tensor_values, proto->n_sequence_values,
                     proto->n_map_values, proto->n_optional_values};
  size_t count = 0, lists = 0;
  for (int i = 0; i < 5; i++) {
    count += counts[i];
    lists += counts[i] > 0;
  }
  if (lists > 1) return error_set(error, NORMA_ERROR_INVALID_MODEL, "a sequence holds elements of different kinds");
  TRY(value_allocate_list(source->memory, into, NORMA_VALUE_SEQUENCE, (int64_t)count, error));
  norma_status status = NORMA_OK;
  for (size_t i = 0; i < count && status == NORMA_OK; i++) {
    value *item = &into->list->items[i];
    if (proto->n_optional_values > 0) {
      status = read_optional(source, proto->optional_values[i], nesting + 1, item, error);
    } else {
      status = read_element(source, proto->n_tensor_values ? proto->tensor_values[i] : NULL,
                            proto->n_sparse_tensor_values ? proto->sparse_tensor_values[i] : NULL,
                            proto->n_sequence_values ? proto->sequence_values[i] : NULL,
                            proto->n_map_values ? proto->map_values[i] : NULL, nesting + 1, item, error);
    }
  }
  if (status != NORMA_OK) value_clear(into);
  return status;
}

static norma_status read_source(memory *memory, const byte_source *bytes, norma_value_kind kind, value *into,
                                norma_error *error) {
  wire_root root = kind == NORMA_VALUE_SEQUENCE   ? WIRE_SEQUENCE
                   : kind == NORMA_VALUE_OPTIONAL ? WIRE_OPTIONAL
                                                  : WIRE_TENSOR;
  wire_limits limits = {.max_nodes = 100000, .max_depth = 1};
  wire_skeleton skeleton = {0};
  ProtobufCMessage *message = NULL;
  ProtobufCAllocator allocator = {allocate, release, memory};
  tensor_source source = {.memory = memory, .bytes = bytes};
  norma_error detail;
  norma_status status = wire_check(bytes, root, &limits, memory, &skeleton, &detail);
  if (status != NORMA_OK) goto done;
  const ProtobufCMessageDescriptor *descriptor = root == WIRE_SEQUENCE   ? &onnx__sequence_proto__descriptor
                                                 : root == WIRE_OPTIONAL ? &onnx__optional_proto__descriptor
                                                                         : &onnx__tensor_proto__descriptor;
  message = protobuf_c_message_unpack(descriptor, &allocator, skeleton.size, skeleton.bytes);
  if (!message) { /* the bytes were checked: what is left is memory */
    status = memory_error(memory, skeleton.size, &detail);
  } else if (root == WIRE_SEQUENCE) {
    status = read_sequence(&source, (const Onnx__SequenceProto *)message, 0, into, &detail);
  } else if (root == WIRE_OPTIONAL) {
    status = read_optional(&source, (const Onnx__OptionalProto *)message, 0, into, &detail);
  } else {
    status = tensor_read(&source, (const Onnx__TensorProto *)message, into, &detail);
  }

done:
  if (message) protobuf_c_message_free_unpacked(message, &allocator);
  memory_free(memory, skeleton.bytes);
  if (status != NORMA_OK && error) *error = detail;
  return status;
}

norma_status value_read_memory(memory *memory, const void *data, size_t size, norma_value_kind kind, value *into,
                               norma_error *error) {
  byte_source source = byte_source_from_memory(data, size);
  norma_status status = read_source(memory, &source, kind, into, error);
  byte_source_close(&source);
  return status;
}

norma_status value_read_file(memory *memory, const char *path, norma_value_kind kind, value *into, norma_error *error) {
  byte_source source;
  TRY(byte_source_open(&source, memory, path, false, error));
  norma_status status = read_source(memory, &source, kind, into, error);
  byte_source_close(&source);
  return status;
}
