#include "proto/tensor_reader.h"

#include "engine/graph/lazy_weights.h"
#include "engine/base/status.h"
#include "proto/wire_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Norma reads tensors as the little-endian bytes that ONNX stores; big-endian machines are not supported"
#endif

/* Field numbers of TensorProto. */
enum {
  FIELD_NONE = 0,
  FIELD_FLOAT = 4,
  FIELD_INT32 = 5,
  FIELD_STRING = 6,
  FIELD_INT64 = 7,
  FIELD_RAW = 9,
  FIELD_DOUBLE = 10,
  FIELD_UINT64 = 11,
  FIELD_EXTERNAL = 13
};

/* Where a tensor's elements stand. */
typedef struct payload {
  int field;
  const void *items;       /* decoded by protobuf-c; NULL: cut out */
  size_t count;            /* of items */
  uint64_t offset, length; /* of bytes that were cut out */
} payload;

static const char *proto_name(const Onnx__TensorProto *proto) {
  return proto->name && proto->name[0] ? proto->name : "(without a name)";
}

__attribute__((format(printf, 4, 5), noinline, cold)) static norma_status
tensor_fail(norma_error *error, norma_status status, const Onnx__TensorProto *proto, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  error_set(error, status, "tensor '%s': %s", proto_name(proto), text);
  if (error) ERROR_COPY(error->value, proto->name ? proto->name : "");
  return status;
}

/* ------------------------------------------------------------------------------------------------------ description */

norma_status tensor_read_dims(const char *name, size_t rank, const int64_t *dims, shape *shape, norma_error *error) {
  if (rank > NORMA_MAX_RANK) {
    return error_set(error, NORMA_ERROR_UNSUPPORTED, "tensor '%s': rank %zu is more than %d", name, rank,
                     NORMA_MAX_RANK);
  }
  *shape = shape_of_rank((int)rank);
  for (size_t i = 0; i < rank; i++) {
    if (dims[i] < 0) {
      return error_set(error, NORMA_ERROR_INVALID_MODEL, "tensor '%s': dimension %zu is %" PRId64, name, i, dims[i]);
    }
    shape->dims[i] = dims[i];
  }
  return NORMA_OK;
}

static norma_status read_description(const Onnx__TensorProto *proto, norma_tensor *tensor, norma_error *error) {
  shape shape;
  if (proto->segment) return tensor_fail(error, NORMA_ERROR_UNSUPPORTED, proto, "segments are not supported");
  norma_element_type type = (norma_element_type)proto->data_type;
  if (!element_type_exists(type)) {
    return tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "%" PRId32 " is not an element type", proto->data_type);
  }
  TRY(tensor_read_dims(proto_name(proto), proto->n_dims, proto->dims, &shape, error));
  if (norma_tensor_init(tensor, type, shape.rank, shape.dims, NULL) != NORMA_OK) {
    char text[400];
    return tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "a shape of %s is too large",
                       shape_text(&shape, text, sizeof text));
  }
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- payload */

static uint64_t little_endian_64(const unsigned char *bytes) {
  uint64_t value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

static int add_payload(payload *found, int count, int field, const void *items, size_t item_count) {
  if (item_count == 0) return count;
  *found = (payload){.field = field, .items = items, .count = item_count};
  return count + 1;
}

/* The number of payloads that are not empty; *found is one of them. */
static int find_payloads(const Onnx__TensorProto *proto, payload *found) {
  int count = 0;
  *found = (payload){.field = FIELD_NONE};
  count = add_payload(found, count, FIELD_FLOAT, proto->float_data, proto->n_float_data);
  count = add_payload(found, count, FIELD_INT32, proto->int32_data, proto->n_int32_data);
  count = add_payload(found, count, FIELD_STRING, proto->string_data, proto->n_string_data);
  count = add_payload(found, count, FIELD_INT64, proto->int64_data, proto->n_int64_data);
  count = add_payload(found, count, FIELD_RAW, proto->raw_data.data, proto->has_raw_data ? proto->raw_data.len : 0);
  count = add_payload(found, count, FIELD_DOUBLE, proto->double_data, proto->n_double_data);
  count = add_payload(found, count, FIELD_UINT64, proto->uint64_data, proto->n_uint64_data);
  for (unsigned i = 0; i < proto->base.n_unknown_fields; i++) {
    const ProtobufCMessageUnknownField *field = &proto->base.unknown_fields[i];
    if (field->tag < WIRE_PAYLOAD || field->len != 1 + WIRE_PAYLOAD_BYTES) continue;
    *found = (payload){.field = (int)field->tag - WIRE_PAYLOAD,
                       .offset = little_endian_64(field->data + 1),
                       .length = little_endian_64(field->data + 9)};
    count++;
  }
  if (proto->has_data_location && proto->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
    *found = (payload){.field = FIELD_EXTERNAL};
    count++;
  }
  return count;
}

/* The field that holds elements of this type one by one. */
static int field_of_type(norma_element_type type) {
  switch (type) {
  case NORMA_FLOAT:
  case NORMA_COMPLEX64:
    return FIELD_FLOAT;
  case NORMA_DOUBLE:
  case NORMA_COMPLEX128:
    return FIELD_DOUBLE;
  case NORMA_INT64:
    return FIELD_INT64;
  case NORMA_UINT32:
  case NORMA_UINT64:
    return FIELD_UINT64;
  case NORMA_STRING:
    return FIELD_STRING;
  default:
    return FIELD_INT32;
  }
}

/* ------------------------------------------------------------------------------------------------ arrays of numbers */

/* Integers of a payload one after the other, from an array of protobuf-c or from varints in the source. */
typedef struct number_stream {
  const payload *payload;
  const tensor_source *source;
  size_t next;
  uint64_t position; /* of the byte after the buffer, from payload->offset */
  size_t begin, end; /* unread bytes of the buffer */
  unsigned char buffer[2048];
} number_stream;

static norma_status stream_varint(number_stream *stream, int64_t *value, bool *ended, norma_error *error) {
  size_t have = stream->end - stream->begin;
  if (have < 10 && stream->position < stream->payload->length) {
    memmove(stream->buffer, stream->buffer + stream->begin, have);
    uint64_t left = stream->payload->length - stream->position;
    size_t unused = sizeof stream->buffer - have, count = left < unused ? (size_t)left : unused;
    TRY(byte_source_read(stream->source->bytes, stream->payload->offset + stream->position, stream->buffer + have,
                         count, error));
    stream->position += count;
    stream->begin = 0;
    stream->end = have + count;
  }
  *ended = stream->begin == stream->end;
  if (*ended) return NORMA_OK;
  uint64_t bits;
  size_t taken = wire_varint(stream->buffer + stream->begin, stream->end - stream->begin, &bits);
  if (taken == 0) return error_set(error, NORMA_ERROR_FORMAT, "a number of a packed array is cut off or too long");
  stream->begin += taken;
  *value = (int64_t)bits;
  return NORMA_OK;
}

static norma_status stream_next(number_stream *stream, int64_t *value, bool *ended, norma_error *error) {
  const payload *payload = stream->payload;
  if (!payload->items) return stream_varint(stream, value, ended, error);
  *ended = stream->next == payload->count;
  if (*ended) return NORMA_OK;
  size_t i = stream->next++;
  if (payload->field == FIELD_INT32)
    *value = ((const int32_t *)payload->items)[i];
  else if (payload->field == FIELD_INT64)
    *value = ((const int64_t *)payload->items)[i];
  else
    *value = (int64_t)((const uint64_t *)payload->items)[i];
  return NORMA_OK;
}

/* Stores unit `index`: an element, or a byte of packed 4-bit and 2-bit elements. False: out of the type's range. Values
 * of small types may come sign-extended or not. */
static bool store_unit(norma_element_type type, void *data, size_t index, int64_t value) {
  int bits = element_type_bits(type);
  if (bits == 6) {
    uint8_t *bytes = data;
    size_t bit = index * 6;
    unsigned shifted = ((unsigned)value & 0x3F) << (bit % 8);
    bytes[bit / 8] = (uint8_t)(bytes[bit / 8] | shifted);
    if (shifted > 0xFF) bytes[bit / 8 + 1] = (uint8_t)(bytes[bit / 8 + 1] | shifted >> 8);
    return value >= -0x80 && value <= 0xFF;
  }
  if (bits <= 8) {
    ((uint8_t *)data)[index] = type == NORMA_BOOL ? value != 0 : (uint8_t)value;
    return type == NORMA_BOOL || (value >= INT8_MIN && value <= UINT8_MAX);
  }
  if (bits == 16) {
    ((uint16_t *)data)[index] = (uint16_t)value;
    return value >= INT16_MIN && value <= UINT16_MAX;
  }
  if (bits == 32) {
    ((uint32_t *)data)[index] = (uint32_t)value;
    return value >= INT32_MIN && value <= UINT32_MAX;
  }
  ((uint64_t *)data)[index] = (uint64_t)value;
  return true;
}

/* How many integers stand for a tensor: a byte each of 4-bit and 2-bit elements, else an element each. */
static size_t unit_count(const norma_tensor *tensor) {
  int bits = element_type_bits(tensor->type);
  return bits == 4 || bits == 2 ? tensor->size_bytes : (size_t)norma_tensor_count(tensor);
}

__attribute__((noinline)) static norma_status read_integers(const tensor_source *source, const Onnx__TensorProto *proto,
                                                            const payload *payload, norma_tensor *tensor,
                                                            norma_error *error) {
  number_stream stream = {.payload = payload, .source = source};
  size_t count = unit_count(tensor);
  int64_t number = 0;
  bool ended;
  if (element_type_bits(tensor->type) == 6) memset(tensor->data, 0, tensor->size_bytes);
  for (size_t i = 0; i < count; i++) {
    if ((i & 0xFFFF) == 0xFFFF) TRY(interruption_poll(source->bytes->interruption, error));
    TRY(stream_next(&stream, &number, &ended, error));
    if (ended) {
      return tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "%zu numbers stand for %zu", i, count);
    }
    if (payload->field == FIELD_INT32) number = (int32_t)number; /* protobuf cuts what is longer */
    if (!store_unit(tensor->type, tensor->data, i, number)) {
      return tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "%" PRId64 " is out of range for %s", number,
                         norma_element_type_name(tensor->type));
    }
  }
  TRY(stream_next(&stream, &number, &ended, error));
  return ended ? NORMA_OK
               : tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "more numbers than the %zu of its shape", count);
}

/* ------------------------------------------------------------------------------------------------------ whole bytes */

static norma_status parse_decimal(const Onnx__TensorProto *proto, const char *key, const char *text, uint64_t *number,
                                  norma_error *error) {
  uint64_t result = 0;
  bool right = text[0] != '\0';
  for (const char *digit = text; *digit && right; digit++) {
    right = *digit >= '0' && *digit <= '9' && !__builtin_mul_overflow(result, (uint64_t)10, &result) &&
            !__builtin_add_overflow(result, (uint64_t)(*digit - '0'), &result);
  }
  *number = result;
  return right ? NORMA_OK
               : tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "external data: its %s is '%s', not a number",
                             key, text);
}

typedef struct external_place {
  const char *location;
  uint64_t offset, length;
  bool has_length;
} external_place;

static norma_status read_external_place(const Onnx__TensorProto *proto, external_place *place, norma_error *error) {
  *place = (external_place){0};
  for (size_t i = 0; i < proto->n_external_data; i++) {
    const char *key = proto->external_data[i]->key, *text = proto->external_data[i]->value;
    if (!key || !text) continue;
    if (strcmp(key, "location") == 0) place->location = text;
    if (strcmp(key, "offset") == 0) TRY(parse_decimal(proto, key, text, &place->offset, error));
    if (strcmp(key, "length") == 0) {
      TRY(parse_decimal(proto, key, text, &place->length, error));
      place->has_length = true;
    }
  }
  if (!place->location) return tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "external data without a location");
  return NORMA_OK;
}

static norma_status check_length(const Onnx__TensorProto *proto, const norma_tensor *tensor, uint64_t length,
                                 norma_error *error) {
  if (length == tensor->size_bytes) return NORMA_OK;
  return tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "%" PRIu64 " bytes stand for the %zu of its shape",
                     length, tensor->size_bytes);
}

/* Elements stand as Norma holds them: bytes, or arrays of float and double. */
static bool is_whole(const payload *payload) {
  return payload->field == FIELD_RAW || payload->field == FIELD_EXTERNAL || payload->field == FIELD_FLOAT ||
         payload->field == FIELD_DOUBLE;
}

static size_t item_bytes(const payload *payload) {
  return payload->field == FIELD_FLOAT ? sizeof(float) : payload->field == FIELD_DOUBLE ? sizeof(double) : 1;
}

/* A view of mapped bytes, where there are any and the alignment is right; else *owner is NULL. */
static norma_status whole_view(const tensor_source *source, const payload *payload, const external_place *place,
                               norma_tensor *tensor, buffer **owner, norma_error *error) {
  const void *data = NULL;
  *owner = NULL;
  if (tensor->type == NORMA_BOOL || tensor->size_bytes == 0) return NORMA_OK; /* bool has to be normalised */
  if (payload->field == FIELD_EXTERNAL) {
    TRY(external_data_view(source->external, place->location, place->offset, tensor->size_bytes, owner, &data, error));
  } else if (!payload->items && source->bytes->mapping) {
    *owner = buffer_retain(source->bytes->mapping);
    data = source->bytes->data + payload->offset;
  }
  size_t alignment = element_type_bytes(tensor->type);
  if (*owner && alignment > 1 && (uintptr_t)data % alignment) {
    buffer_release(*owner);
    *owner = NULL;
  }
  if (*owner) tensor->data = tensor_read_only(data);
  return NORMA_OK;
}

static void normalize_bool(norma_tensor *tensor) {
  unsigned char *bytes = tensor->data;
  for (size_t i = 0; tensor->type == NORMA_BOOL && i < tensor->size_bytes; i++) bytes[i] = bytes[i] != 0;
}

static bool is_lazy(const tensor_source *source, const payload *payload, const norma_tensor *tensor) {
  return source->lazy_source && payload->field != FIELD_EXTERNAL && !payload->items &&
         (TYPES_LAZY & TYPE_BIT(tensor->type)) && tensor->size_bytes >= LAZY_LEAST_BYTES;
}

static norma_status read_whole(const tensor_source *source, const Onnx__TensorProto *proto, const payload *payload,
                               const norma_tensor *tensor, value *into, norma_error *error) {
  external_place place = {0};
  uint64_t length = payload->items ? (uint64_t)payload->count * item_bytes(payload) : payload->length;
  if (payload->field == FIELD_EXTERNAL) {
    if (!source->external)
      return tensor_fail(error, NORMA_ERROR_UNSUPPORTED, proto, "external data are not allowed here");
    TRY(read_external_place(proto, &place, error));
    length = place.has_length ? place.length : tensor->size_bytes;
  }
  TRY(check_length(proto, tensor, length, error));
  if (is_lazy(source, payload, tensor)) {
    return lazy_create(source->lazy_source, into, tensor, payload->offset, error);
  }
  *into = (value){.kind = NORMA_VALUE_TENSOR, .tensor = *tensor};
  TRY(whole_view(source, payload, &place, &into->tensor, &into->owner, error));
  if (into->owner) return NORMA_OK;
  shape shape = shape_of_tensor(tensor);
  TRY(value_allocate_tensor(source->memory, into, tensor->type, &shape, error));
  void *home = into->tensor.data;
  if (length == 0) return NORMA_OK;
  if (payload->field == FIELD_EXTERNAL) {
    TRY(external_data_read(source->external, place.location, place.offset, (size_t)length, home, error));
  } else if (payload->items) {
    memcpy(home, payload->items, (size_t)length);
  } else {
    TRY(byte_source_read(source->bytes, payload->offset, home, (size_t)length, error));
  }
  normalize_bool(&into->tensor);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- strings */

static norma_status read_strings(const tensor_source *source, const Onnx__TensorProto *proto,
                                 const norma_tensor *tensor, value *into, norma_error *error) {
  size_t bytes = 0, count = (size_t)norma_tensor_count(tensor);
  if (proto->n_string_data != count) {
    return tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "%zu strings stand for %zu", proto->n_string_data,
                       count);
  }
  for (size_t i = 0; i < count; i++) {
    if (!size_add(bytes, proto->string_data[i].len, &bytes)) return memory_error(source->memory, SIZE_MAX, error);
  }
  shape shape = shape_of_tensor(tensor);
  char *characters;
  TRY(value_allocate_strings(source->memory, into, &shape, bytes, &characters, error));
  norma_string *strings = into->tensor.data;
  for (size_t i = 0; i < count; i++) {
    size_t size = proto->string_data[i].len;
    if (size) memcpy(characters, proto->string_data[i].data, size);
    strings[i] = (norma_string){.data = characters, .size = size};
    characters += size;
  }
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------------------------- all */

static norma_status read_payload(const tensor_source *source, const Onnx__TensorProto *proto, const payload *payload,
                                 const norma_tensor *tensor, value *into, norma_error *error) {
  shape shape = shape_of_tensor(tensor);
  if (payload->field == FIELD_NONE) return value_allocate_tensor(source->memory, into, tensor->type, &shape, error);
  if (payload->field != FIELD_RAW && payload->field != FIELD_EXTERNAL &&
      payload->field != field_of_type(tensor->type)) {
    return tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "its data stand in a field that is not that of type %s",
                       norma_element_type_name(tensor->type));
  }
  if (payload->field == FIELD_STRING) return read_strings(source, proto, tensor, into, error);
  if (tensor->type == NORMA_STRING) {
    return tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "strings cannot stand as raw or external data");
  }
  if (is_whole(payload)) return read_whole(source, proto, payload, tensor, into, error);
  uint64_t most = payload->items ? payload->count : payload->length; /* a number takes at least a byte */
  if (most < unit_count(tensor)) {
    return tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "%" PRIu64 " numbers stand for %zu", most,
                       unit_count(tensor));
  }
  TRY(value_allocate_tensor(source->memory, into, tensor->type, &shape, error));
  return read_integers(source, proto, payload, &into->tensor, error);
}

norma_status tensor_read(const tensor_source *source, const Onnx__TensorProto *proto, value *into, norma_error *error) {
  norma_tensor tensor;
  payload payload;
  TRY(read_description(proto, &tensor, error));
  int payloads = find_payloads(proto, &payload);
  int64_t count = norma_tensor_count(&tensor);
  if (payloads > 1)
    return tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "its data stand in more than one field");
  if (payloads == 0 && count > 0) return tensor_fail(error, NORMA_ERROR_INVALID_MODEL, proto, "it has no data");
  norma_status status = read_payload(source, proto, &payload, &tensor, into, error);
  if (status != NORMA_OK) {
    value_clear(into);
    if (error && strncmp(error->message, "tensor '", 8) != 0) {
      error_prefix(error, "tensor '%s'", proto_name(proto));
      ERROR_COPY(error->value, proto->name ? proto->name : "");
    }
  }
  return status;
}
