#include "proto/polled_write.h"
#include "proto/proto_writer.h"

#include "engine/base/status.h"

#include <string.h>

/* How deep containers may stand within each other, which bounds the recursion here: no less deep than what is read. */
#define LARGEST_WRITTEN_DEPTH 48

/* --------------------------------------------------------------------------------------------------------- messages */

Onnx__TensorProto *tensor_message(region *region, const norma_tensor *tensor, const char *name) {
  Onnx__TensorProto *proto = region_allocate(region, sizeof *proto);
  if (!proto) return NULL;
  onnx__tensor_proto__init(proto);
  proto->name = message_text(name);
  proto->has_data_type = 1;
  proto->data_type = (int32_t)tensor->type;
  proto->n_dims = (size_t)tensor->rank;
  proto->dims = region_array(region, (size_t)tensor->rank, sizeof *proto->dims);
  if (!proto->dims) return NULL;
  if (tensor->rank) memcpy(proto->dims, tensor->dims, (size_t)tensor->rank * sizeof *proto->dims);
  if (tensor->type != NORMA_STRING) {
    proto->has_raw_data = 1;
    proto->raw_data = (ProtobufCBinaryData){.len = tensor->size_bytes, .data = tensor->data};
    return proto;
  }
  const norma_string *strings = tensor->data;
  proto->n_string_data = (size_t)norma_tensor_count(tensor);
  proto->string_data = region_array(region, proto->n_string_data, sizeof *proto->string_data);
  if (!proto->string_data) return NULL;
  for (size_t i = 0; i < proto->n_string_data; i++) {
    proto->string_data[i] =
        (ProtobufCBinaryData){.len = strings[i].size, .data = (uint8_t *)message_text(strings[i].data)};
  }
  return proto;
}

static ProtobufCMessage *value_message(region *region, const value *from, const char *name);

/* A list of `count` messages, each made of an element by value_message. */
static void *element_messages(region *region, const value *items, int64_t count) {
  void **messages = region_array(region, (size_t)count, sizeof *messages);
  for (int64_t i = 0; messages && i < count; i++) {
    messages[i] = value_message(region, &items[i], NULL);
    if (!messages[i]) return NULL;
  }
  return messages;
}

static ProtobufCMessage *sequence_message(region *region, const value *items, int64_t count, const char *name) {
  Onnx__SequenceProto *proto = region_allocate(region, sizeof *proto);
  void *elements = element_messages(region, items, count);
  if (!proto || !elements) return NULL;
  onnx__sequence_proto__init(proto);
  proto->name = message_text(name);
  proto->has_elem_type = 1;
  switch (count ? items[0].kind : NORMA_VALUE_NONE) {
  case NORMA_VALUE_TENSOR:
    proto->elem_type = ONNX__SEQUENCE_PROTO__DATA_TYPE__TENSOR;
    proto->n_tensor_values = (size_t)count;
    proto->tensor_values = elements;
    break;
  case NORMA_VALUE_SEQUENCE:
    proto->elem_type = ONNX__SEQUENCE_PROTO__DATA_TYPE__SEQUENCE;
    proto->n_sequence_values = (size_t)count;
    proto->sequence_values = elements;
    break;
  case NORMA_VALUE_MAP:
    proto->elem_type = ONNX__SEQUENCE_PROTO__DATA_TYPE__MAP;
    proto->n_map_values = (size_t)count;
    proto->map_values = elements;
    break;
  case NORMA_VALUE_OPTIONAL:
    proto->elem_type = ONNX__SEQUENCE_PROTO__DATA_TYPE__OPTIONAL;
    proto->n_optional_values = (size_t)count;
    proto->optional_values = elements;
    break;
  case NORMA_VALUE_NONE:
    break;
  }
  return &proto->base;
}

static ProtobufCMessage *optional_message(region *region, const value *from, const char *name) {
  Onnx__OptionalProto *proto = region_allocate(region, sizeof *proto);
  if (!proto) return NULL;
  onnx__optional_proto__init(proto);
  proto->name = message_text(name);
  proto->has_elem_type = 1;
  if (from->list->count == 0) return &proto->base;
  const value *item = &from->list->items[0];
  void *element = value_message(region, item, NULL);
  if (!element) return NULL;
  switch (item->kind) {
  case NORMA_VALUE_TENSOR:
    proto->elem_type = ONNX__OPTIONAL_PROTO__DATA_TYPE__TENSOR;
    proto->tensor_value = element;
    break;
  case NORMA_VALUE_SEQUENCE:
    proto->elem_type = ONNX__OPTIONAL_PROTO__DATA_TYPE__SEQUENCE;
    proto->sequence_value = element;
    break;
  case NORMA_VALUE_MAP:
    proto->elem_type = ONNX__OPTIONAL_PROTO__DATA_TYPE__MAP;
    proto->map_value = element;
    break;
  default:
    proto->elem_type = ONNX__OPTIONAL_PROTO__DATA_TYPE__OPTIONAL;
    proto->optional_value = element;
    break;
  }
  return &proto->base;
}

/* The elements of a tensor as a list of scalars: a map's values stand one by one. */
static value *split_tensor(region *region, const norma_tensor *tensor, int64_t count) {
  value *items = region_array(region, (size_t)count, sizeof *items);
  size_t bytes = element_type_bytes(tensor->type);
  for (int64_t i = 0; items && i < count; i++) {
    items[i].kind = NORMA_VALUE_TENSOR;
    items[i].tensor =
        (norma_tensor){.type = tensor->type, .data = (char *)tensor->data + (size_t)i * bytes, .size_bytes = bytes};
  }
  return items;
}

static bool set_keys(region *region, Onnx__MapProto *proto, const norma_tensor *keys) {
  size_t count = (size_t)norma_tensor_count(keys);
  proto->has_key_type = 1;
  proto->key_type = (int32_t)keys->type;
  if (keys->type == NORMA_STRING) {
    const norma_string *strings = keys->data;
    proto->n_string_keys = count;
    proto->string_keys = region_array(region, count, sizeof *proto->string_keys);
    for (size_t i = 0; proto->string_keys && i < count; i++) {
      proto->string_keys[i] =
          (ProtobufCBinaryData){.len = strings[i].size, .data = (uint8_t *)message_text(strings[i].data)};
    }
    return proto->string_keys != NULL;
  }
  proto->n_keys = count;
  proto->keys = region_array(region, count, sizeof *proto->keys);
  for (size_t i = 0; proto->keys && i < count; i++) proto->keys[i] = tensor_get_int64(keys, (int64_t)i);
  return proto->keys != NULL;
}

static ProtobufCMessage *map_message(region *region, const value *from, const char *name) {
  Onnx__MapProto *proto = region_allocate(region, sizeof *proto);
  if (!proto) return NULL;
  onnx__map_proto__init(proto);
  const value *keys = &from->list->items[0], *values = &from->list->items[1];
  proto->name = message_text(name);
  if (!set_keys(region, proto, &keys->tensor)) return NULL;
  const value *items;
  int64_t count;
  if (values->kind == NORMA_VALUE_TENSOR) {
    count = norma_tensor_count(&values->tensor);
    items = split_tensor(region, &values->tensor, count);
  } else {
    count = values->list->count;
    items = values->list->items;
  }
  proto->values = items ? (void *)sequence_message(region, items, count, NULL) : NULL;
  return proto->values ? &proto->base : NULL;
}

/* Bounded by value_depth_fits. */
static ProtobufCMessage *value_message(region *region, const value *from, const char *name) {
  switch (from->kind) {
  case NORMA_VALUE_TENSOR: {
    Onnx__TensorProto *proto = tensor_message(region, &from->tensor, name);
    return proto ? &proto->base : NULL;
  }
  case NORMA_VALUE_SEQUENCE:
    return sequence_message(region, from->list->items, from->list->count, name);
  case NORMA_VALUE_OPTIONAL:
    return optional_message(region, from, name);
  case NORMA_VALUE_MAP:
    return map_message(region, from, name);
  default:
    return NULL;
  }
}

/* ------------------------------------------------------------------------------------------------------------ bytes */

typedef struct sink {
  ProtobufCBuffer base;
  write_bytes write;
  void *context;
  bool failed;
} sink;

static void sink_append(ProtobufCBuffer *base, size_t count, const uint8_t *bytes) {
  sink *sink = (struct sink *)base;
  if (!sink->failed && count > 0) sink->failed = !sink->write(sink->context, bytes, count);
}

norma_status message_write(const ProtobufCMessage *message, write_bytes write, void *context, norma_error *error) {
  sink sink = {.base = {sink_append}, .write = write, .context = context};
  protobuf_c_message_pack_to_buffer(message, &sink.base);
  return sink.failed ? error_set(error, NORMA_ERROR_FILE, "the bytes could not be written") : NORMA_OK;
}

/* Where the next bytes go. */
static bool write_into_block(void *context, const void *bytes, size_t count) {
  char **next = context;
  memcpy(*next, bytes, count);
  *next += count;
  return true;
}

norma_status message_write_memory(memory *memory, const ProtobufCMessage *message, interruption *interruption,
                                  void **bytes, size_t *size, norma_error *error) {
  *size = protobuf_c_message_get_packed_size(message);
  *bytes = memory_allocate(memory, *size);
  if (!*bytes) return memory_error(memory, *size, error);
  char *next = *bytes;
  polled_write polled = {.write = write_into_block, .context = &next, .interruption = interruption};
  if (message_write(message, polled_write_bytes, &polled, error) == NORMA_OK) return NORMA_OK;
  memory_free(memory, *bytes);
  *bytes = NULL;
  return interruption_poll(interruption, error);
}

/* ------------------------------------------------------------------------------------------------- what has no form */

static norma_status check_value(const value *from, norma_error *error);

static norma_status check_items(const value *from, norma_error *error) {
  const value_list *list = from->list;
  if (from->kind == NORMA_VALUE_OPTIONAL && list->count > 1) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "an optional holds more than one element");
  }
  for (int64_t i = 0; i < list->count; i++) {
    TRY(check_value(&list->items[i], error));
    if (list->items[i].kind != list->items[0].kind) {
      return error_set(error, NORMA_ERROR_ARGUMENT, "a sequence holds elements of different kinds");
    }
  }
  return NORMA_OK;
}

/* Keys are a tensor of integers or strings; values are a tensor whose elements can stand one by one, or a sequence. */
static norma_status check_map(const value *from, norma_error *error) {
  const type_mask key_types = TYPES_INTEGER | TYPE_BIT(NORMA_STRING);
  const type_mask value_types = TYPES_FIXED_SIZE | TYPE_BIT(NORMA_STRING);
  const value *keys = from->list->items, *values = keys + 1;
  if (from->list->count != 2) return error_set(error, NORMA_ERROR_ARGUMENT, "a map is keys and values");
  if (keys->kind != NORMA_VALUE_TENSOR || !(key_types & TYPE_BIT(keys->tensor.type))) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a map has keys that are neither integers nor strings");
  }
  const bool is_tensor = values->kind == NORMA_VALUE_TENSOR;
  if (!is_tensor && values->kind != NORMA_VALUE_SEQUENCE) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a map has values that are neither a tensor nor a sequence");
  }
  if (is_tensor && !(value_types & TYPE_BIT(values->tensor.type))) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a map has values of type %s, which cannot stand one by one",
                     norma_element_type_name(values->tensor.type));
  }
  if (norma_tensor_count(&keys->tensor) != (is_tensor ? norma_tensor_count(&values->tensor) : values->list->count)) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a map has more keys than values, or fewer");
  }
  return is_tensor ? NORMA_OK : check_items(values, error);
}

/* Whether value_message can fail for memory only. */
static norma_status check_value(const value *from, norma_error *error) {
  switch (from->kind) {
  case NORMA_VALUE_TENSOR:
    return NORMA_OK;
  case NORMA_VALUE_SEQUENCE:
  case NORMA_VALUE_OPTIONAL:
    return check_items(from, error);
  case NORMA_VALUE_MAP:
    return check_map(from, error);
  default:
    return error_set(error, NORMA_ERROR_ARGUMENT, "there is no value to write");
  }
}

/* Whether no more than `left` containers stand within each other. */
static bool value_depth_fits(const value *from, int left) {
  if (!from->list) return true;
  bool fits = left > 0;
  for (int64_t i = 0; fits && i < from->list->count; i++) fits = value_depth_fits(&from->list->items[i], left - 1);
  return fits;
}

/* ----------------------------------------------------------------------------------------------------------- values */

/* Makes the message; *message lives as long as the region. */
static norma_status value_make_message(region *region, const value *from, const char *name, ProtobufCMessage **message,
                                       norma_error *error) {
  if (!value_depth_fits(from, LARGEST_WRITTEN_DEPTH)) {
    return error_set(error, NORMA_ERROR_BUDGET, "containers stand within each other more than %d deep",
                     LARGEST_WRITTEN_DEPTH);
  }
  TRY(check_value(from, error));
  *message = value_message(region, from, name);
  return *message ? NORMA_OK : region_error(region, error);
}

norma_status value_write(memory *memory, const value *from, const char *name, write_bytes write, void *context,
                         norma_error *error) {
  region region;
  ProtobufCMessage *message;
  region_init(&region, memory);
  norma_status status = value_make_message(&region, from, name, &message, error);
  if (status == NORMA_OK) status = message_write(message, write, context, error);
  region_free(&region);
  return status;
}

norma_status value_write_memory(memory *memory, const value *from, const char *name, void **bytes, size_t *size,
                                norma_error *error) {
  region region;
  ProtobufCMessage *message;
  region_init(&region, memory);
  norma_status status = value_make_message(&region, from, name, &message, error);
  if (status == NORMA_OK) status = message_write_memory(memory, message, NULL, bytes, size, error);
  region_free(&region);
  return status;
}
