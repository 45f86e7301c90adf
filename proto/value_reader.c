#include "proto/value_reader.h"

#include "engine/base/status.h"
#include "proto/tensor_reader.h"
#include "proto/wire_check.h"
#include "proto/region_allocator.h"

#include <string.h>

/* How deep containers may stand within each other: the specification has no use for more than three. The wire check
 * bounds messages by it, and so the recursion here. */
#define LARGEST_DEPTH 8

static norma_status read_sequence(const tensor_source *source, const Onnx__SequenceProto *proto, value *into,
                                  norma_error *error);
static norma_status read_optional(const tensor_source *source, const Onnx__OptionalProto *proto, value *into,
                                  norma_error *error);
static norma_status read_map(const tensor_source *source, const Onnx__MapProto *proto, value *into, norma_error *error);

/* -------------------------------------------------------------------------------------------------------- sequences */

static norma_status read_item(const tensor_source *source, const Onnx__SequenceProto *proto, size_t i, value *into,
                              norma_error *error) {
  if (proto->n_tensor_values) return tensor_read(source, proto->tensor_values[i], into, error);
  if (proto->n_sparse_tensor_values) return sparse_tensor_read(source, proto->sparse_tensor_values[i], into, error);
  if (proto->n_sequence_values) return read_sequence(source, proto->sequence_values[i], into, error);
  if (proto->n_map_values) return read_map(source, proto->map_values[i], into, error);
  return read_optional(source, proto->optional_values[i], into, error);
}

static norma_status read_sequence(const tensor_source *source, const Onnx__SequenceProto *proto, value *into,
                                  norma_error *error) {
  size_t counts[] = {proto->n_tensor_values, proto->n_sparse_tensor_values, proto->n_sequence_values,
                     proto->n_map_values, proto->n_optional_values};
  size_t count = 0;
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    if (count && counts[i]) {
      return error_set(error, NORMA_ERROR_INVALID_MODEL, "a sequence holds elements of different kinds");
    }
    count += counts[i];
  }
  TRY(value_allocate_list(source->memory, into, NORMA_VALUE_SEQUENCE, (int64_t)count, error));
  norma_status status = NORMA_OK;
  for (size_t i = 0; i < count && status == NORMA_OK; i++) {
    status = read_item(source, proto, i, &into->list->items[i], error);
  }
  if (status != NORMA_OK) value_clear(into);
  return status;
}

/* -------------------------------------------------------------------------------------------------------- optionals */

static norma_status read_element(const tensor_source *source, const Onnx__OptionalProto *proto, value *into,
                                 norma_error *error) {
  if (proto->tensor_value) return tensor_read(source, proto->tensor_value, into, error);
  if (proto->sparse_tensor_value) return sparse_tensor_read(source, proto->sparse_tensor_value, into, error);
  if (proto->sequence_value) return read_sequence(source, proto->sequence_value, into, error);
  if (proto->map_value) return read_map(source, proto->map_value, into, error);
  return read_optional(source, proto->optional_value, into, error);
}

static norma_status read_optional(const tensor_source *source, const Onnx__OptionalProto *proto, value *into,
                                  norma_error *error) {
  int elements = !!proto->tensor_value + !!proto->sparse_tensor_value + !!proto->sequence_value + !!proto->map_value +
                 !!proto->optional_value;
  if (elements > 1) return error_set(error, NORMA_ERROR_INVALID_MODEL, "an optional holds more than one element");
  TRY(value_allocate_list(source->memory, into, NORMA_VALUE_OPTIONAL, elements, error));
  if (elements == 0) return NORMA_OK;
  norma_status status = read_element(source, proto, &into->list->items[0], error);
  if (status != NORMA_OK) value_clear(into);
  return status;
}

/* ------------------------------------------------------------------------------------------------------------- maps */

static norma_status read_string_keys(const tensor_source *source, const Onnx__MapProto *proto, const shape *shape,
                                     value *into, norma_error *error) {
  size_t bytes = 0;
  for (size_t i = 0; i < proto->n_string_keys; i++) bytes += proto->string_keys[i].len; /* no more than the file has */
  char *characters;
  TRY(value_allocate_strings(source->memory, into, shape, bytes, &characters, error));
  norma_string *keys = into->tensor.data;
  for (size_t i = 0; i < proto->n_string_keys; i++) {
    size_t size = proto->string_keys[i].len;
    if (size) memcpy(characters, proto->string_keys[i].data, size);
    keys[i] = (norma_string){.data = characters, .size = size};
    characters += size;
  }
  return NORMA_OK;
}

static norma_status read_keys(const tensor_source *source, const Onnx__MapProto *proto, value *into,
                              norma_error *error) {
  norma_element_type type = (norma_element_type)proto->key_type;
  shape shape = shape_of_rank(1);
  if (proto->n_keys && proto->n_string_keys) {
    return error_set(error, NORMA_ERROR_INVALID_MODEL, "a map has keys of two types");
  }
  if (proto->n_string_keys || type == NORMA_STRING) {
    shape.dims[0] = (int64_t)proto->n_string_keys;
    return read_string_keys(source, proto, &shape, into, error);
  }
  if (!element_type_exists(type) || !(TYPES_INTEGER & TYPE_BIT(type))) {
    return error_set(error, NORMA_ERROR_INVALID_MODEL, "a map has keys that are neither integers nor strings");
  }
  shape.dims[0] = (int64_t)proto->n_keys;
  TRY(value_allocate_tensor(source->memory, into, type, &shape, error));
  for (size_t i = 0; i < proto->n_keys; i++) {
    element_set_int64(type, into->tensor.data, (int64_t)i, proto->keys[i]);
    if (tensor_get_int64(&into->tensor, (int64_t)i) != proto->keys[i]) {
      return error_set(error, NORMA_ERROR_INVALID_MODEL, "a key of a map is out of range for %s",
                       norma_element_type_name(type));
    }
  }
  return NORMA_OK;
}

/* Values that are single numbers of one type, as one tensor; others stay a sequence. */
static norma_status join_values(const tensor_source *source, value *values, norma_error *error) {
  const value_list *list = values->list;
  const norma_tensor *first = list->count ? &list->items[0].tensor : NULL;
  if (!first || list->items[0].kind != NORMA_VALUE_TENSOR || !(TYPES_FIXED_SIZE & TYPE_BIT(first->type)))
    return NORMA_OK;
  for (int64_t i = 0; i < list->count; i++) {
    const value *item = &list->items[i];
    if (item->kind != NORMA_VALUE_TENSOR || item->tensor.type != first->type ||
        norma_tensor_count(&item->tensor) != 1) {
      return NORMA_OK;
    }
  }
  value joined;
  shape shape = shape_of_rank(1);
  shape.dims[0] = list->count;
  TRY(value_allocate_tensor(source->memory, &joined, first->type, &shape, error));
  size_t bytes = element_type_bytes(first->type);
  for (int64_t i = 0; i < list->count; i++) {
    memcpy((char *)joined.tensor.data + (size_t)i * bytes, list->items[i].tensor.data, bytes);
  }
  value_clear(values);
  *values = joined;
  return NORMA_OK;
}

static norma_status fill_map(const tensor_source *source, const Onnx__MapProto *proto, value *keys, value *values,
                             norma_error *error) {
  Onnx__SequenceProto empty = ONNX__SEQUENCE_PROTO__INIT;
  TRY(read_keys(source, proto, keys, error));
  TRY(read_sequence(source, proto->values ? proto->values : &empty, values, error));
  if (values->list->count != keys->tensor.dims[0]) {
    return error_set(error, NORMA_ERROR_INVALID_MODEL, "a map has more keys than values, or fewer");
  }
  return join_values(source, values, error);
}

static norma_status read_map(const tensor_source *source, const Onnx__MapProto *proto, value *into,
                             norma_error *error) {
  TRY(value_allocate_list(source->memory, into, NORMA_VALUE_MAP, 2, error));
  norma_status status = fill_map(source, proto, &into->list->items[0], &into->list->items[1], error);
  if (status != NORMA_OK) value_clear(into);
  return status;
}

/* -------------------------------------------------------------------------------------------------------------- all */

static norma_status read_root(const tensor_source *source, wire_root root, const ProtobufCMessage *message, value *into,
                              norma_error *error) {
  switch (root) {
  case WIRE_SEQUENCE:
    return read_sequence(source, (const Onnx__SequenceProto *)message, into, error);
  case WIRE_OPTIONAL:
    return read_optional(source, (const Onnx__OptionalProto *)message, into, error);
  case WIRE_MAP:
    return read_map(source, (const Onnx__MapProto *)message, into, error);
  default:
    return tensor_read(source, (const Onnx__TensorProto *)message, into, error);
  }
}

static norma_status read_message(memory *memory, const byte_source *bytes, wire_root root, value *into,
                                 norma_error *error) {
  static const ProtobufCMessageDescriptor *const descriptors[] = {[WIRE_TENSOR] = &onnx__tensor_proto__descriptor,
                                                                  [WIRE_SEQUENCE] = &onnx__sequence_proto__descriptor,
                                                                  [WIRE_OPTIONAL] = &onnx__optional_proto__descriptor,
                                                                  [WIRE_MAP] = &onnx__map_proto__descriptor};
  wire_limits limits = {.max_nodes = 1 << 20, .max_depth = LARGEST_DEPTH};
  wire_skeleton skeleton;
  tensor_source source = {.memory = memory, .bytes = bytes};
  TRY(wire_check(bytes, root, &limits, memory, &skeleton, error));
  region region;
  region_init(&region, memory);
  ProtobufCAllocator allocator = region_allocator(&region);
  const ProtobufCMessage *message =
      protobuf_c_message_unpack(descriptors[root], &allocator, skeleton.size, skeleton.bytes);
  memory_free(memory, skeleton.bytes);
  norma_status status = message ? read_root(&source, root, message, into, error) : region_error(&region, error);
  region_free(&region);
  return status;
}

static norma_status read_value_kind(memory *memory, const byte_source *bytes, norma_value_kind kind, value *into,
                                    norma_error *error) {
  norma_error unwanted;
  if (!error) error = &unwanted;
  switch (kind) {
  case NORMA_VALUE_TENSOR:
    return read_message(memory, bytes, WIRE_TENSOR, into, error);
  case NORMA_VALUE_SEQUENCE:
    return read_message(memory, bytes, WIRE_SEQUENCE, into, error);
  case NORMA_VALUE_OPTIONAL:
    return read_message(memory, bytes, WIRE_OPTIONAL, into, error);
  case NORMA_VALUE_MAP:
    return read_message(memory, bytes, WIRE_MAP, into, error);
  default:
    return error_set(error, NORMA_ERROR_ARGUMENT, "the kind of value to read is not known");
  }
}

norma_status value_read_memory(memory *memory, const void *data, size_t size, norma_value_kind kind, value *into,
                               norma_error *error) {
  byte_source source = byte_source_from_memory(data, size);
  return read_value_kind(memory, &source, kind, into, error);
}
