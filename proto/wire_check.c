#include "proto/wire_check.h"

#include "engine/base/status.h"
#include "proto/wire_schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WINDOW_BYTES (64 * 1024)
#define LENGTH_WIDTH 5 /* the longest length prefix that protobuf-c reads */

enum wire_type { WIRE_VARINT, WIRE_FIXED64, WIRE_LENGTH, WIRE_GROUP_START, WIRE_GROUP_END, WIRE_FIXED32 };

/* A message that is open. */
typedef struct wire_frame {
  uint64_t end;    /* where it ends in the source */
  uint32_t seen;   /* singular fields that stood already, by number; bit 31: one of a oneof */
  uint32_t cut;    /* arrays that were cut out already */
  uint8_t message; /* wire_message_id */
  uint8_t field;   /* number in the parent */
  uint8_t length_width;
  bool muted;                        /* nothing of it goes into the skeleton */
  size_t length_at;                  /* where its length stands in the skeleton */
  uint32_t counts[WIRE_FIELD_LIMIT]; /* of repeated fields, for messages of errors */
} wire_frame;

typedef struct checker {
  const byte_source *source;
  memory *memory;
  norma_error *error;

  uint64_t position;
  const unsigned char *window; /* bytes from window_start on */
  uint64_t window_start;
  size_t window_length;
  unsigned char *window_memory; /* of a source that is read in pieces */

  unsigned char *skeleton;
  size_t size, capacity;

  wire_frame *frames;
  int depth, frame_capacity, frame_limit;
  int graph_depth, graph_limit;
  size_t nodes, attributes, fields, unknown;
  size_t node_limit, attribute_limit, field_limit, unknown_limit;
  interruption *interruption;
  unsigned polls;
} checker;

size_t wire_varint(const unsigned char *bytes, size_t available, uint64_t *value) {
  uint64_t result = 0;
  for (size_t i = 0; i < available && i < 10; i++) {
    if (i == 9 && bytes[i] > 1) return 0;
    result |= (uint64_t)(bytes[i] & 0x7F) << (7 * i);
    if (!(bytes[i] & 0x80)) {
      *value = result;
      return i + 1;
    }
  }
  return 0;
}

static size_t put_varint(unsigned char *bytes, uint64_t value) {
  size_t size = 0;
  for (; value >= 0x80; value >>= 7) bytes[size++] = (unsigned char)(value | 0x80);
  bytes[size++] = (unsigned char)value;
  return size;
}

/* ----------------------------------------------------------------------------------------------------------- errors */

/* "graph.node[12].name" from the open messages and a field of the innermost one. */
static void path_text(const checker *check, const char *field, char *text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (int i = 1; i <= check->depth && used < size; i++) {
    const char *name = field;
    char index[16] = "";
    if (i < check->depth) {
      const wire_frame *parent = &check->frames[i - 1];
      const wire_field *entry = &wire_schema[parent->message].fields[check->frames[i].field];
      name = entry->name;
      if (entry->flags & WIRE_REPEATED) {
        snprintf(index, sizeof index, "[%" PRIu32 "]", parent->counts[check->frames[i].field] - 1);
      }
    }
    if (!name) break;
    int added = snprintf(text + used, size - used, "%s%s%s", used ? "." : "", name, index);
    used += added < 0 ? 0 : (size_t)added;
  }
}

__attribute__((noinline, cold)) static norma_status wire_fail(const checker *check, norma_status status,
                                                              const char *field, const char *problem) {
  char path[256];
  path_text(check, field, path, sizeof path);
  return error_set(check->error, status, "byte %" PRIu64 "%s%s: %s", check->position, path[0] ? ", " : "", path,
                   problem);
}

/* ---------------------------------------------------------------------------------------------------------- reading */

/* Bytes at the position: at least one when the position is inside the source. */
static norma_status window_at(checker *check, const unsigned char **bytes, size_t *available) {
  if (check->position - check->window_start >= check->window_length) {
    uint64_t left = check->source->size - check->position;
    size_t length = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
    TRY(byte_source_read(check->source, check->position, check->window_memory, length, check->error));
    check->window_start = check->position;
    check->window_length = length;
  }
  size_t inside = (size_t)(check->position - check->window_start);
  *bytes = check->window + inside;
  *available = check->window_length - inside;
  return NORMA_OK;
}

static norma_status read_varint(checker *check, const char *field, uint64_t *value, size_t *width) {
  uint64_t end = check->frames[check->depth - 1].end, start = check->position;
  unsigned char bytes[10];
  size_t count = 0;
  while (true) {
    if (check->position == end) return wire_fail(check, NORMA_ERROR_FORMAT, field, "a number is cut off");
    const unsigned char *window;
    size_t available;
    TRY(window_at(check, &window, &available));
    bytes[count++] = window[0];
    check->position++;
    if (!(window[0] & 0x80)) break;
    if (count == sizeof bytes) return wire_fail(check, NORMA_ERROR_FORMAT, field, "a number is longer than ten bytes");
  }
  size_t taken = wire_varint(bytes, count, value);
  if (width) *width = (size_t)(check->position - start);
  return taken ? NORMA_OK : wire_fail(check, NORMA_ERROR_FORMAT, field, "a number has more than 64 bits");
}

/* --------------------------------------------------------------------------------------------------------- skeleton */

static norma_status append(checker *check, const void *bytes, size_t count) {
  if (count == 0) return NORMA_OK;
  if (count > check->capacity - check->size) {
    size_t capacity = check->capacity ? check->capacity : 4096;
    while (capacity - check->size < count) {
      if (!size_multiply(capacity, 2, &capacity)) return memory_error(check->memory, SIZE_MAX, check->error);
    }
    unsigned char *grown = memory_resize(check->memory, check->skeleton, check->size, capacity);
    if (!grown) return memory_error(check->memory, capacity, check->error);
    check->skeleton = grown;
    check->capacity = capacity;
  }
  memcpy(check->skeleton + check->size, bytes, count);
  check->size += count;
  return NORMA_OK;
}

static norma_status append_tag(checker *check, uint32_t number, enum wire_type type) {
  unsigned char bytes[10];
  return append(check, bytes, put_varint(bytes, (uint64_t)number << 3 | type));
}

static norma_status append_varint(checker *check, uint64_t value) {
  unsigned char bytes[10];
  return append(check, bytes, put_varint(bytes, value));
}

/* -------------------------------------------------------------------------------------------------- strings, arrays */

/* The state of a UTF-8 check over pieces. */
typedef struct utf8_state {
  int following;           /* continuation bytes that are due */
  unsigned char low, high; /* range of the next one */
} utf8_state;

/* The well-formed sequences of the Unicode standard, table 3-7; NUL is refused as well. */
static bool utf8_feed(utf8_state *state, const unsigned char *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    unsigned char byte = bytes[i];
    if (state->following) {
      if (byte < state->low || byte > state->high) return false;
      state->following--;
      state->low = 0x80;
      state->high = 0xBF;
    } else if (byte == 0 || (byte >= 0x80 && byte < 0xC2) || byte > 0xF4) {
      return false;
    } else if (byte >= 0xC2) {
      state->following = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
      state->low = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
      state->high = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
    }
  }
  return true;
}

/* The state of a check of packed varints over pieces: bytes of the current one. */
static bool varints_feed(int *run, const unsigned char *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!(bytes[i] & 0x80))
      *run = 0;
    else if (++*run == 10)
      return false;
  }
  return true;
}

/* Checks `length` bytes of contents as `kind` (VARINT: packed varints; FIXED and BYTES: anything) and copies them. */
static norma_status pass_contents(checker *check, const wire_field *field, uint64_t length, bool muted) {
  utf8_state utf8 = {0};
  int run = 0;
  while (length > 0) {
    const unsigned char *bytes;
    size_t available;
    TRY(window_at(check, &bytes, &available));
    size_t count = available < length ? available : (size_t)length;
    if (field->kind == WIRE_KIND_STRING && !utf8_feed(&utf8, bytes, count)) {
      return wire_fail(check, NORMA_ERROR_FORMAT, field->name,
                       memchr(bytes, 0, count) ? "a string with a NUL byte" : "a string that is not UTF-8");
    }
    if (field->kind == WIRE_KIND_VARINT && !varints_feed(&run, bytes, count)) {
      return wire_fail(check, NORMA_ERROR_FORMAT, field->name, "a number is longer than ten bytes");
    }
    if (!muted) TRY(append(check, bytes, count));
    check->position += count;
    length -= count;
    if (length > 0) TRY(interruption_poll(check->interruption, check->error));
  }
  if (utf8.following) return wire_fail(check, NORMA_ERROR_FORMAT, field->name, "a string that is not UTF-8");
  if (run) return wire_fail(check, NORMA_ERROR_FORMAT, field->name, "a number is cut off");
  return NORMA_OK;
}

/* Puts the place of an array into the skeleton instead of the array. */
static norma_status cut_payload(checker *check, uint32_t number, uint64_t length) {
  wire_frame *top = &check->frames[check->depth - 1];
  unsigned char place[WIRE_PAYLOAD_BYTES];
  for (int i = 0; i < 8; i++) {
    place[i] = (unsigned char)(check->position >> (8 * i));
    place[8 + i] = (unsigned char)(length >> (8 * i));
  }
  top->cut |= (uint32_t)1 << number;
  TRY(append_tag(check, WIRE_PAYLOAD + number, WIRE_LENGTH));
  TRY(append_varint(check, WIRE_PAYLOAD_BYTES));
  TRY(append(check, place, sizeof place));
  check->position += length;
  return NORMA_OK;
}

/* --------------------------------------------------------------------------------------------------------- messages */

static norma_status count_message(checker *check, uint8_t message, const char *name) {
  if (message == WM_NODE && ++check->nodes > check->node_limit) {
    return wire_fail(check, NORMA_ERROR_BUDGET, name, "more nodes than the budget allows");
  }
  if (message == WM_ATTRIBUTE && ++check->attributes > check->attribute_limit) {
    return wire_fail(check, NORMA_ERROR_BUDGET, name, "more attributes than the budget allows");
  }
  if (message == WM_GRAPH && ++check->graph_depth > check->graph_limit) {
    return wire_fail(check, NORMA_ERROR_BUDGET, name, "graphs are nested more deeply than the budget allows");
  }
  return NORMA_OK;
}

static norma_status push(checker *check, uint32_t number, const wire_field *field, uint64_t length, size_t width) {
  bool muted = check->frames[check->depth - 1].muted || (field->flags & WIRE_DROPPED);
  if (check->depth == check->frame_limit) {
    return wire_fail(check, NORMA_ERROR_BUDGET, field->name, "messages are nested more deeply than the budget allows");
  }
  TRY(count_message(check, field->message, field->name));
  if (check->depth == check->frame_capacity) {
    size_t bytes = (size_t)check->frame_capacity * sizeof(wire_frame);
    wire_frame *grown = memory_resize(check->memory, check->frames, bytes, 2 * bytes);
    if (!grown) return memory_error(check->memory, 2 * bytes, check->error);
    check->frames = grown;
    check->frame_capacity *= 2;
  }
  wire_frame *opened = &check->frames[check->depth];
  memset(opened, 0, sizeof *opened);
  opened->end = check->position + length;
  opened->message = field->message;
  opened->field = (uint8_t)number;
  opened->muted = muted;
  opened->length_width = (uint8_t)(width < LENGTH_WIDTH ? width : LENGTH_WIDTH);
  if (!muted) {
    static const unsigned char zeros[LENGTH_WIDTH];
    TRY(append_tag(check, number, WIRE_LENGTH));
    opened->length_at = check->size;
    TRY(append(check, zeros, opened->length_width));
  }
  check->depth++;
  return NORMA_OK;
}

/* Closes the innermost message: its length is known now. It is written as wide as it was, padded where it has become
 * shorter, so that nothing moves. */
static norma_status pop(checker *check) {
  wire_frame *closed = &check->frames[check->depth - 1];
  if (closed->message == WM_GRAPH) check->graph_depth--;
  if (!closed->muted && check->depth > 1) {
    size_t length = check->size - closed->length_at - closed->length_width;
    if (length > INT32_MAX) {
      return wire_fail(check, NORMA_ERROR_BUDGET, NULL, "a message without its tensors has more than 2 GiB");
    }
    for (int i = 0; i < closed->length_width; i++) {
      bool last = i + 1 == closed->length_width;
      check->skeleton[closed->length_at + (size_t)i] = (unsigned char)((length >> (7 * i) & 0x7F) | (last ? 0 : 0x80));
    }
  }
  check->depth--;
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- fields */

static norma_status skip(checker *check, uint64_t length, const char *field) {
  if (length > check->frames[check->depth - 1].end - check->position) {
    return wire_fail(check, NORMA_ERROR_FORMAT, field, "a field is longer than what contains it");
  }
  check->position += length;
  return NORMA_OK;
}

static norma_status pass_unknown(checker *check, enum wire_type type) {
  uint64_t length = type == WIRE_FIXED64 ? 8 : 4;
  if (++check->unknown > check->unknown_limit) {
    return wire_fail(check, NORMA_ERROR_BUDGET, NULL, "more unknown fields than the budget allows");
  }
  if (type == WIRE_VARINT) return read_varint(check, NULL, &length, NULL);
  if (type == WIRE_LENGTH) TRY(read_varint(check, NULL, &length, NULL));
  return skip(check, length, NULL);
}

static enum wire_type scalar_type(const wire_field *field) {
  switch (field->kind) {
  case WIRE_KIND_VARINT:
    return WIRE_VARINT;
  case WIRE_KIND_FIXED32:
    return WIRE_FIXED32;
  case WIRE_KIND_FIXED64:
    return WIRE_FIXED64;
  default:
    return WIRE_LENGTH;
  }
}

static norma_status pass_length_prefixed(checker *check, uint32_t number, const wire_field *field) {
  wire_frame *top = &check->frames[check->depth - 1];
  bool muted = top->muted || (field->flags & WIRE_DROPPED);
  uint64_t length;
  size_t width;
  TRY(read_varint(check, field->name, &length, &width));
  if (length > top->end - check->position) {
    return wire_fail(check, NORMA_ERROR_FORMAT, field->name, "a field is longer than what contains it");
  }
  if (field->kind == WIRE_KIND_MESSAGE) return push(check, number, field, length, width);
  size_t item = field->kind == WIRE_KIND_FIXED32 ? 4 : field->kind == WIRE_KIND_FIXED64 ? 8 : 1;
  if (length % item) return wire_fail(check, NORMA_ERROR_FORMAT, field->name, "an array ends within an element");
  if (field->flags & WIRE_LARGE) {
    if (muted) return skip(check, length, field->name);
    if (length >= WIRE_PAYLOAD_THRESHOLD && top->counts[number] <= 1) return cut_payload(check, number, length);
  }
  if (muted && field->kind == WIRE_KIND_BYTES) return skip(check, length, field->name);
  if (!muted) {
    if (length > INT32_MAX) return wire_fail(check, NORMA_ERROR_BUDGET, field->name, "a field has more than 2 GiB");
    TRY(append_tag(check, number, WIRE_LENGTH));
    TRY(append_varint(check, length));
  }
  return pass_contents(check, field, length, muted);
}

/* Refuses what may stand only once. */
static norma_status note_field(checker *check, uint32_t number, const wire_field *field) {
  wire_frame *top = &check->frames[check->depth - 1];
  uint32_t bit = (uint32_t)1 << (field->flags & WIRE_ONEOF ? 31 : number);
  if (++check->fields > check->field_limit) {
    return wire_fail(check, NORMA_ERROR_BUDGET, field->name, "more fields than the budget allows");
  }
  top->counts[number] += top->counts[number] < UINT32_MAX;
  if (!(field->flags & WIRE_REPEATED) && top->seen & bit) {
    return wire_fail(check, NORMA_ERROR_FORMAT, field->name,
                     field->flags & WIRE_ONEOF ? "more than one of the fields that exclude each other"
                                               : "a field that may stand once stands twice");
  }
  top->seen |= bit;
  if (top->cut >> number & 1) {
    return wire_fail(check, NORMA_ERROR_FORMAT, field->name, "a large array is split into pieces");
  }
  return NORMA_OK;
}

static norma_status pass_scalar(checker *check, uint32_t number, const wire_field *field, enum wire_type type) {
  bool muted = check->frames[check->depth - 1].muted || (field->flags & WIRE_DROPPED);
  if (!muted) TRY(append_tag(check, number, type));
  if (type == WIRE_VARINT) {
    uint64_t value;
    TRY(read_varint(check, field->name, &value, NULL));
    return muted ? NORMA_OK : append_varint(check, value);
  }
  uint64_t length = type == WIRE_FIXED64 ? 8 : 4;
  if (length > check->frames[check->depth - 1].end - check->position) {
    return wire_fail(check, NORMA_ERROR_FORMAT, field->name, "a field is longer than what contains it");
  }
  return pass_contents(check, field, length, muted);
}

static norma_status pass_field(checker *check) {
  const wire_frame *top = &check->frames[check->depth - 1];
  uint64_t tag;
  TRY(read_varint(check, NULL, &tag, NULL));
  uint64_t number = tag >> 3;
  enum wire_type type = (enum wire_type)(tag & 7);
  if (number == 0 || number > 0x1FFFFFFF) return wire_fail(check, NORMA_ERROR_FORMAT, NULL, "not a field number");
  if (type != WIRE_VARINT && type != WIRE_FIXED64 && type != WIRE_LENGTH && type != WIRE_FIXED32) {
    return wire_fail(check, NORMA_ERROR_FORMAT, NULL, "not a wire type of ONNX files");
  }
  const wire_field *field = number < WIRE_FIELD_LIMIT ? &wire_schema[top->message].fields[number] : NULL;
  if (!field || !field->name) return pass_unknown(check, type);
  TRY(note_field(check, (uint32_t)number, field));
  enum wire_type expected = scalar_type(field);
  bool packed = type == WIRE_LENGTH && expected != WIRE_LENGTH && field->flags & WIRE_REPEATED;
  if (type != expected && !packed) {
    return wire_fail(check, NORMA_ERROR_FORMAT, field->name, "the wire type is not that of this field");
  }
  return type == WIRE_LENGTH ? pass_length_prefixed(check, (uint32_t)number, field)
                             : pass_scalar(check, (uint32_t)number, field, type);
}

/* -------------------------------------------------------------------------------------------------------------- all */

static norma_status check_all(checker *check, wire_root root) {
  static const uint8_t messages[] = {[WIRE_MODEL] = WM_MODEL,
                                     [WIRE_TENSOR] = WM_TENSOR,
                                     [WIRE_SEQUENCE] = WM_SEQUENCE,
                                     [WIRE_OPTIONAL] = WM_OPTIONAL,
                                     [WIRE_MAP] = WM_MAP};
  check->frame_capacity = 16;
  check->frames = memory_allocate_zeroed(check->memory, (size_t)check->frame_capacity * sizeof(wire_frame));
  if (!check->frames)
    return memory_error(check->memory, (size_t)check->frame_capacity * sizeof(wire_frame), check->error);
  if (check->source->data) {
    check->window = check->source->data;
    check->window_length = (size_t)check->source->size;
  } else {
    check->window = check->window_memory = memory_allocate(check->memory, WINDOW_BYTES);
    if (!check->window) return memory_error(check->memory, WINDOW_BYTES, check->error);
  }
  check->frames[0].end = check->source->size;
  check->frames[0].message = messages[root];
  check->depth = 1;
  while (true) {
    while (check->position == check->frames[check->depth - 1].end) {
      TRY(pop(check));
      if (check->depth == 0) return NORMA_OK;
    }
    TRY(interruption_poll_often(check->interruption, &check->polls, check->error));
    TRY(pass_field(check));
  }
}

static size_t multiple(size_t count, size_t factor, size_t more) {
  size_t result;
  return size_multiply(count, factor, &result) && size_add(result, more, &result) ? result : SIZE_MAX;
}

norma_status wire_check(const byte_source *source, wire_root root, const wire_limits *limits, memory *memory,
                        wire_skeleton *skeleton, norma_error *error) {
  checker check = {.source = source, .memory = memory, .error = error, .interruption = limits->interruption};
  int depth = limits->max_depth < INT32_MAX / 8 ? limits->max_depth : INT32_MAX / 8;
  check.graph_limit = depth + 1;
  check.frame_limit = 4 * depth + 16; /* graph, node, attribute per graph; more for types, which nest too */
  check.node_limit = limits->max_nodes;
  check.attribute_limit = multiple(limits->max_nodes, 16, 1 << 10);
  check.field_limit = multiple(limits->max_nodes, 64, 1 << 24); /* an integer of a list may be a field of its own */
  check.unknown_limit = multiple(limits->max_nodes, 1, 1 << 10);
  *skeleton = (wire_skeleton){0};
  norma_status status = check_all(&check, root);
  memory_free(memory, check.frames);
  memory_free(memory, check.window_memory);
  if (status != NORMA_OK) {
    memory_free(memory, check.skeleton);
    return status;
  }
  *skeleton = (wire_skeleton){.bytes = check.skeleton, .size = check.size};
  return NORMA_OK;
}
