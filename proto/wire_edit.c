#include "proto/wire_edit.h"

#include "engine/base/status.h"
#include "proto/wire_check.h"

#include <string.h>

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

bool wire_next(wire_span *rest, wire_part *part) {
  const unsigned char *start = rest->bytes;
  uint64_t tag, length = 0;
  size_t width = wire_varint(rest->bytes, rest->size, &tag), taken;
  if (width == 0) return false;
  *part = (wire_part){.number = (uint32_t)(tag >> 3)};
  const unsigned char *at = start + width;
  size_t left = rest->size - width;
  switch (tag & 7) {
  case VARINT:
    taken = wire_varint(at, left, &part->value);
    if (taken == 0) return false;
    length = taken;
    break;
  case FIXED64:
    length = 8;
    break;
  case FIXED32:
    length = 4;
    break;
  case LENGTH:
    taken = wire_varint(at, left, &length);
    if (taken == 0) return false;
    at += taken;
    left -= taken;
    part->is_length = true;
    break;
  default:
    return false;
  }
  if (length > left) return false;
  part->contents = (wire_span){at, (size_t)length};
  size_t whole = (size_t)(at - start) + (size_t)length;
  part->whole = (wire_span){start, whole};
  rest->bytes += whole;
  rest->size -= whole;
  return true;
}

bool wire_find_nth(wire_span message, uint32_t number, size_t index, wire_span *contents) {
  wire_part part;
  while (wire_next(&message, &part)) {
    if (part.number != number || index-- > 0) continue;
    *contents = part.contents;
    return true;
  }
  *contents = (wire_span){0};
  return false;
}

wire_span wire_find(wire_span message, uint32_t number) {
  wire_span contents;
  wire_find_nth(message, number, 0, &contents);
  return contents;
}

int64_t wire_find_int(wire_span message, uint32_t number, int64_t otherwise) {
  wire_part part;
  while (wire_next(&message, &part)) {
    if (part.number == number && !part.is_length) return (int64_t)part.value;
  }
  return otherwise;
}

bool span_equals(wire_span span, const char *text) {
  return strlen(text) == span.size && (span.size == 0 || memcmp(span.bytes, text, span.size) == 0);
}

wire_span span_of_bytes(const void *bytes, size_t size) {
  return (wire_span){size > 0 ? bytes : "", size};
}

wire_span span_of_text(const char *text) {
  return span_of_bytes(text, strlen(text));
}

/* ----------------------------------------------------------------------------------------------------------- builds */

void build_init(wire_build *build, region *region) {
  *build = (wire_build){.region = region};
}

void build_free(wire_build *build) {
  if (build->pieces) memory_free(build->region->memory, build->pieces);
  build->pieces = NULL;
  build->count = build->capacity = 0;
}

void build_add(wire_build *build, wire_span piece) {
  if (piece.size == 0 || build->failed) return;
  if (build->count > 0) { /* neighbours in the source become one piece */
    wire_span *last = &build->pieces[build->count - 1];
    if (last->bytes + last->size == piece.bytes) {
      last->size += piece.size;
      build->size += piece.size;
      return;
    }
  }
  if (build->count == build->capacity) {
    size_t capacity = build->capacity ? 2 * build->capacity : 16;
    wire_span *grown =
        memory_resize(build->region->memory, build->pieces, build->count * sizeof *grown, capacity * sizeof *grown);
    if (!grown) {
      build->failed = true;
      return;
    }
    build->pieces = grown;
    build->capacity = capacity;
  }
  build->pieces[build->count++] = piece;
  build->size += piece.size;
}

void build_copy(wire_build *build, const void *bytes, size_t size) {
  unsigned char *copy = region_allocate(build->region, size ? size : 1);
  if (!copy) {
    build->failed = true;
    return;
  }
  if (size) memcpy(copy, bytes, size);
  build_add(build, (wire_span){copy, size});
}

static size_t encode_varint(unsigned char *bytes, uint64_t value) {
  size_t size = 0;
  for (; value >= 0x80; value >>= 7) bytes[size++] = (unsigned char)(value | 0x80);
  bytes[size++] = (unsigned char)value;
  return size;
}

void build_varint(wire_build *build, uint64_t value) {
  unsigned char bytes[10];
  build_copy(build, bytes, encode_varint(bytes, value));
}

void build_int(wire_build *build, uint32_t number, uint64_t value) {
  unsigned char bytes[20];
  size_t size = encode_varint(bytes, (uint64_t)number << 3 | VARINT);
  build_copy(build, bytes, size + encode_varint(bytes + size, value));
}

static void build_head(wire_build *build, uint32_t number, size_t length) {
  unsigned char bytes[20];
  size_t size = encode_varint(bytes, (uint64_t)number << 3 | LENGTH);
  build_copy(build, bytes, size + encode_varint(bytes + size, length));
}

void build_length_prefixed(wire_build *build, uint32_t number, wire_span contents) {
  if (!contents.bytes) build->failed = true;
  build_head(build, number, contents.size);
  build_add(build, contents);
}

void build_text(wire_build *build, uint32_t number, const char *text) {
  size_t size = strlen(text);
  build_head(build, number, size);
  build_copy(build, text, size);
}

void build_message(wire_build *build, uint32_t number, const wire_build *message) {
  build_head(build, number, message->size);
  for (size_t i = 0; i < message->count; i++) build_add(build, message->pieces[i]);
  build->failed = build->failed || message->failed;
}

wire_span build_flatten(const wire_build *build) {
  unsigned char *block = build->failed ? NULL : region_allocate(build->region, build->size ? build->size : 1);
  if (!block) return (wire_span){0};
  size_t used = 0;
  for (size_t i = 0; i < build->count; i++) {
    memcpy(block + used, build->pieces[i].bytes, build->pieces[i].size);
    used += build->pieces[i].size;
  }
  return (wire_span){block, used};
}

norma_status build_write(const wire_build *build, write_bytes write, void *context, norma_error *error) {
  if (build->failed) return region_error(build->region, error);
  for (size_t i = 0; i < build->count; i++) {
    if (!write(context, build->pieces[i].bytes, build->pieces[i].size)) {
      return error_set(error, NORMA_ERROR_FILE, "the bytes cannot be written");
    }
  }
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------- new messages */

wire_span make_tensor_message(region *region, const char *name, const norma_tensor *tensor) {
  enum { DIMS = 1, DATA_TYPE = 2, NAME = 8, RAW_DATA = 9 };
  wire_build build;
  build_init(&build, region);
  for (int i = 0; i < tensor->rank; i++) build_int(&build, DIMS, (uint64_t)tensor->dims[i]);
  build_int(&build, DATA_TYPE, (uint64_t)tensor->type);
  build_text(&build, NAME, name);
  build_length_prefixed(&build, RAW_DATA, span_of_bytes(tensor->data, tensor->size_bytes));
  wire_span message = build_flatten(&build);
  build_free(&build);
  return message;
}

wire_span make_value_info_message(region *region, const char *name, const norma_tensor *tensor) {
  enum { NAME = 1, TYPE = 2, TENSOR_TYPE = 1, ELEM_TYPE = 1, SHAPE = 2, DIM = 1, DIM_VALUE = 1 };
  wire_build shape, type, outer, build;
  build_init(&shape, region);
  build_init(&type, region);
  build_init(&outer, region);
  build_init(&build, region);
  for (int i = 0; i < tensor->rank; i++) {
    wire_build dim;
    build_init(&dim, region);
    build_int(&dim, DIM_VALUE, (uint64_t)tensor->dims[i]);
    build_message(&shape, DIM, &dim);
    build_free(&dim);
  }
  build_int(&type, ELEM_TYPE, (uint64_t)tensor->type);
  build_message(&type, SHAPE, &shape);
  build_message(&outer, TENSOR_TYPE, &type);
  build_text(&build, NAME, name);
  build_message(&build, TYPE, &outer);
  wire_span message = build_flatten(&build);
  build_free(&shape);
  build_free(&type);
  build_free(&outer);
  build_free(&build);
  return message;
}
