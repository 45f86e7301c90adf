/* The wire check: what it lets pass, what it leaves out, what it cuts out, and what it says to bytes that are wrong. */
#include "tests/support/model_reading.h"

#include "proto/wire_check.h"
#include "proto/wire_schema.h"

#include "proto/onnx.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, GROUP = 3, FIXED32 = 5 };

typedef struct checked {
  memory memory;
  wire_skeleton skeleton;
  norma_error error;
  norma_status status;
} checked;

static checked check_bytes(const void *bytes, size_t size, wire_root root, size_t max_nodes) {
  checked result = {0};
  byte_source source = byte_source_from_memory(bytes, size);
  wire_limits limits = {.max_nodes = max_nodes, .max_depth = 8};
  memory_init(&result.memory, NULL, 0);
  result.status = wire_check(&source, root, &limits, &result.memory, &result.skeleton, &result.error);
  if (result.status == NORMA_OK) assert_true(result.skeleton.size <= size);
  return result;
}

static void finish(checked *result) {
  memory_free(&result->memory, result->skeleton.bytes);
  assert_int_equal(atomic_load(&result->memory.used), 0);
}

/* Checks a model and that it is refused with a message that has `part` in it. */
static void expect_failure(const byte_block *block, norma_status status, const char *part) {
  checked result = check_bytes(block->bytes, block->size, WIRE_MODEL, 100);
  assert_int_equal(result.status, status);
  if (!strstr(result.error.message, part)) fail_msg("expected '%s' in '%s'", part, result.error.message);
  finish(&result);
}

/* ----------------------------------------------------------------------------------------------------------- schema */

static void compare_message(const ProtobufCMessageDescriptor *descriptor, int id, bool *seen) {
  if (seen[id]) return;
  seen[id] = true;
  const wire_message *message = &wire_schema[id];
  unsigned fields = 0;
  for (unsigned number = 0; number < WIRE_FIELD_LIMIT; number++) fields += message->fields[number].name != NULL;
  if (fields != descriptor->n_fields)
    fail_msg("%s: %u fields, %u in the table", descriptor->name, descriptor->n_fields, fields);
  for (unsigned i = 0; i < descriptor->n_fields; i++) {
    const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
    assert_true(field->id < WIRE_FIELD_LIMIT);
    const wire_field *entry = &message->fields[field->id];
    if (!entry->name || strcmp(entry->name, field->name) != 0)
      fail_msg("%s.%s is not in the table", descriptor->name, field->name);
    assert_int_equal((entry->flags & WIRE_REPEATED) != 0, field->label == PROTOBUF_C_LABEL_REPEATED);
    assert_int_equal((entry->flags & WIRE_ONEOF) != 0, (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0);
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
      assert_int_equal(entry->kind, WIRE_KIND_STRING);
      break;
    case PROTOBUF_C_TYPE_BYTES:
      assert_int_equal(entry->kind, WIRE_KIND_BYTES);
      break;
    case PROTOBUF_C_TYPE_FLOAT:
      assert_int_equal(entry->kind, WIRE_KIND_FIXED32);
      break;
    case PROTOBUF_C_TYPE_DOUBLE:
      assert_int_equal(entry->kind, WIRE_KIND_FIXED64);
      break;
    case PROTOBUF_C_TYPE_MESSAGE:
      assert_int_equal(entry->kind, WIRE_KIND_MESSAGE);
      compare_message(field->descriptor, entry->message, seen);
      break;
    default:
      assert_int_equal(entry->kind, WIRE_KIND_VARINT);
      break;
    }
  }
}

static void table_agrees_with_the_schema(void **state) {
  (void)state;
  bool seen[sizeof wire_schema / sizeof *wire_schema] = {false};
  compare_message(&onnx__model_proto__descriptor, WM_MODEL, seen);
  compare_message(&onnx__sequence_proto__descriptor, WM_SEQUENCE, seen);
  for (size_t i = 0; i < sizeof seen; i++) assert_true(seen[i]);
}

/* -------------------------------------------------------------------------------------------------------- skeletons */

static void small_message_passes_unchanged(void **state) {
  (void)state;
  byte_block block = {.size = 0};
  block_tag(&block, 1, VARINT);
  block_varint(&block, 8);
  block_field(&block, 2, "caf\xC3\xA9", 5);
  byte_block graph = {.size = 0}, node = {.size = 0};
  block_field(&node, 4, "Relu", 4);
  block_field(&graph, 1, node.bytes, node.size);
  block_field(&graph, 1, node.bytes, node.size);
  block_field(&block, 7, graph.bytes, graph.size);
  checked result = check_bytes(block.bytes, block.size, WIRE_MODEL, 2);
  assert_int_equal(result.status, NORMA_OK);
  assert_int_equal(result.skeleton.size, block.size);
  assert_memory_equal(result.skeleton.bytes, block.bytes, block.size);
  finish(&result);
}

static void empty_message_passes(void **state) {
  (void)state;
  checked result = check_bytes("", 0, WIRE_MODEL, 0);
  assert_int_equal(result.status, NORMA_OK);
  assert_int_equal(result.skeleton.size, 0);
  finish(&result);
}

static void unknown_fields_and_comments_are_left_out(void **state) {
  (void)state;
  byte_block block = {.size = 0}, graph = {.size = 0};
  block_field(&graph, 2, "g", 1);
  block_field(&graph, 10, "a long comment", 14); /* doc_string */
  block_field(&graph, 999, "unknown", 7);
  block_field(&graph, 1009, "1234567890123456", 16); /* looks like a payload of raw_data */
  block_field(&block, 7, graph.bytes, graph.size);
  block_tag(&block, 100, VARINT);
  block_varint(&block, UINT64_MAX);
  block_tag(&block, 101, FIXED32);
  block_add(&block, "abcd", 4);
  block_tag(&block, 102, FIXED64);
  block_add(&block, "abcdefgh", 8);
  checked result = check_bytes(block.bytes, block.size, WIRE_MODEL, 100);
  assert_int_equal(result.status, NORMA_OK);
  assert_int_equal(result.skeleton.size, 5);
  assert_memory_equal(result.skeleton.bytes, "\x3A\x03\x12\x01g", 5);
  finish(&result);
}

/* Where the graph becomes shorter, its length is padded to the width that it had. */
static void large_arrays_are_cut_out(void **state) {
  (void)state;
  enum { BYTES = 5000 };
  static byte_block tensor, graph, block;
  static char data[BYTES];
  int64_t dims = BYTES;
  tensor.size = graph.size = block.size = 0;
  block_tag(&tensor, 1, VARINT);
  block_varint(&tensor, (uint64_t)dims);
  block_tag(&tensor, 2, VARINT);
  block_varint(&tensor, NORMA_UINT8);
  block_field(&tensor, 9, data, BYTES);
  block_field(&graph, 5, tensor.bytes, tensor.size);
  block_field(&block, 7, graph.bytes, graph.size);
  checked result = check_bytes(block.bytes, block.size, WIRE_MODEL, 100);
  assert_int_equal(result.status, NORMA_OK);
  assert_true(result.skeleton.size < 64);
  Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, result.skeleton.size, result.skeleton.bytes);
  assert_non_null(model);
  const Onnx__TensorProto *read = model->graph->initializer[0];
  assert_int_equal(read->dims[0], BYTES);
  assert_false(read->has_raw_data);
  assert_int_equal(read->base.n_unknown_fields, 1);
  assert_int_equal(read->base.unknown_fields[0].tag, WIRE_PAYLOAD + 9);
  uint64_t place[2];
  memcpy(place, read->base.unknown_fields[0].data + 1, sizeof place);
  assert_int_equal(place[0], block.size - BYTES);
  assert_int_equal(place[1], BYTES);
  onnx__model_proto__free_unpacked(model, NULL);
  finish(&result);
}

/* A file is read through a window: everything that crosses its borders must come out as from memory. */
static void file_gives_the_same_as_memory(void **state) {
  (void)state;
  static byte_block block;
  char name[3000], path[] = "/tmp/norma_wire_XXXXXX";
  block.size = 0;
  memset(name, 'n', sizeof name);
  for (size_t i = 0; i + 1 < sizeof name; i += 2) memcpy(name + i, "\xC3\xA9", 2); /* characters that may be cut */
  for (size_t i = 0; block.size < sizeof block.bytes - 3100; i++) {
    byte_block *inner = calloc(1, sizeof *inner);
    assert_non_null(inner);
    block_field(inner, 1, name, sizeof name - 2 * (i % 7));
    block_field(&block, 14, inner->bytes, inner->size);
    free(inner);
  }
  int file = mkstemp(path);
  assert_true(file >= 0);
  for (int copy = 0; copy < 5; copy++) assert_int_equal(write(file, block.bytes, block.size), (ssize_t)block.size);
  close(file);
  char *all = malloc(5 * block.size);
  assert_non_null(all);
  for (int copy = 0; copy < 5; copy++) memcpy(all + (size_t)copy * block.size, block.bytes, block.size);
  checked expected = check_bytes(all, 5 * block.size, WIRE_MODEL, 100);
  assert_int_equal(expected.status, NORMA_OK);
  for (int map = 0; map < 2; map++) {
    checked result = {0};
    byte_source source;
    wire_limits limits = {.max_nodes = 100, .max_depth = 8};
    memory_init(&result.memory, NULL, 0);
    assert_int_equal(byte_source_open(&source, &result.memory, path, map, &result.error), NORMA_OK);
    result.status = wire_check(&source, WIRE_MODEL, &limits, &result.memory, &result.skeleton, &result.error);
    assert_int_equal(result.status, NORMA_OK);
    assert_int_equal(result.skeleton.size, expected.skeleton.size);
    assert_memory_equal(result.skeleton.bytes, expected.skeleton.bytes, expected.skeleton.size);
    byte_source_close(&source);
    finish(&result);
  }
  finish(&expected);
  free(all);
  unlink(path);
}

/* ----------------------------------------------------------------------------------------------------------- errors */

static byte_block model_with_node(const byte_block *node) {
  byte_block graph = {.size = 0}, block = {.size = 0}, empty = {.size = 0};
  block_field(&graph, 1, empty.bytes, 0);
  block_field(&graph, 1, node->bytes, node->size);
  block_field(&block, 7, graph.bytes, graph.size);
  return block;
}

static void wrong_bytes_are_named(void **state) {
  (void)state;
  byte_block node = {.size = 0}, block;
  block_field(&node, 3, "ab\0c", 4);
  block = model_with_node(&node);
  expect_failure(&block, NORMA_ERROR_FORMAT, "graph.node[1].name: a string with a NUL byte");

  static const char *const wrong_texts[] = {
      "\x80", "\xC3", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "a\xE2\x82"};
  for (size_t i = 0; i < sizeof wrong_texts / sizeof *wrong_texts; i++) {
    node.size = 0;
    block_field(&node, 1, wrong_texts[i], strlen(wrong_texts[i]));
    block = model_with_node(&node);
    expect_failure(&block, NORMA_ERROR_FORMAT, "graph.node[1].input: a string that is not UTF-8");
  }

  node.size = 0;
  block_tag(&node, 3, VARINT);
  block_varint(&node, 7);
  block = model_with_node(&node);
  expect_failure(&block, NORMA_ERROR_FORMAT, "graph.node[1].name: the wire type is not that of this field");

  node.size = 0;
  block_field(&node, 3, "a", 1);
  block_field(&node, 3, "b", 1);
  block = model_with_node(&node);
  expect_failure(&block, NORMA_ERROR_FORMAT, "graph.node[1].name: a field that may stand once stands twice");

  node.size = 0;
  block_tag(&node, 3, LENGTH);
  block_varint(&node, 100);
  block = model_with_node(&node);
  expect_failure(&block, NORMA_ERROR_FORMAT, "graph.node[1].name: a field is longer than what contains it");

  node.size = 0;
  block_tag(&node, 3, LENGTH);
  block_varint(&node, UINT64_MAX);
  block = model_with_node(&node);
  expect_failure(&block, NORMA_ERROR_FORMAT, "a field is longer than what contains it");

  node.size = 0;
  block_tag(&node, 20, GROUP);
  block = model_with_node(&node);
  expect_failure(&block, NORMA_ERROR_FORMAT, "graph.node[1]: not a wire type");

  node.size = 0;
  block_varint(&node, 2); /* field number 0 */
  block = model_with_node(&node);
  expect_failure(&block, NORMA_ERROR_FORMAT, "graph.node[1]: not a field number");
}

static void wrong_numbers_are_named(void **state) {
  (void)state;
  byte_block block = {.size = 0};
  block_tag(&block, 1, VARINT);
  block_add(&block, "\x80", 1);
  expect_failure(&block, NORMA_ERROR_FORMAT, "byte 2, ir_version: a number is cut off");
  block_add(&block, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 10);
  expect_failure(&block, NORMA_ERROR_FORMAT, "ir_version: a number is longer than ten bytes");
  block.size = 1;
  block_add(&block, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 10);
  expect_failure(&block, NORMA_ERROR_FORMAT, "ir_version: a number has more than 64 bits");
  block.size = 1;
  block_add(&block, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 10);
  checked result = check_bytes(block.bytes, block.size, WIRE_MODEL, 1);
  assert_int_equal(result.status, NORMA_OK);
  finish(&result);

  byte_block tensor = {.size = 0};
  block_field(&tensor, 4, "abcdef", 6); /* float_data */
  result = check_bytes(tensor.bytes, tensor.size, WIRE_TENSOR, 1);
  assert_int_equal(result.status, NORMA_ERROR_FORMAT);
  assert_non_null(strstr(result.error.message, "float_data: an array ends within an element"));
  finish(&result);
  tensor.size = 0;
  block_field(&tensor, 7, "\x01\x80", 2); /* int64_data */
  result = check_bytes(tensor.bytes, tensor.size, WIRE_TENSOR, 1);
  assert_int_equal(result.status, NORMA_ERROR_FORMAT);
  assert_non_null(strstr(result.error.message, "int64_data: a number is cut off"));
  finish(&result);
}

static void two_of_a_oneof_are_refused(void **state) {
  (void)state;
  byte_block type = {.size = 0}, info = {.size = 0}, graph = {.size = 0}, block = {.size = 0};
  block_field(&type, 1, "", 0);
  block_field(&type, 4, "", 0);
  block_field(&info, 2, type.bytes, type.size);
  block_field(&graph, 11, info.bytes, info.size);
  block_field(&block, 7, graph.bytes, graph.size);
  expect_failure(&block, NORMA_ERROR_FORMAT, "graph.input[0].type.sequence_type: more than one of the fields");
}

static void counts_are_bounded(void **state) {
  (void)state;
  byte_block node = {.size = 0};
  byte_block block = model_with_node(&node);
  checked result = check_bytes(block.bytes, block.size, WIRE_MODEL, 1);
  assert_int_equal(result.status, NORMA_ERROR_BUDGET);
  assert_non_null(strstr(result.error.message, "graph.node"));
  finish(&result);

  static byte_block unknown;
  unknown.size = 0;
  for (int i = 0; i < 2000; i++) block_field(&unknown, 200, "", 0);
  expect_failure(&unknown, NORMA_ERROR_BUDGET, "unknown fields");
}

static void large_arrays_in_pieces_are_refused(void **state) {
  (void)state;
  static byte_block tensor;
  static char data[2048];
  tensor.size = 0;
  block_field(&tensor, 4, data, sizeof data);
  block_field(&tensor, 4, data, sizeof data);
  checked result = check_bytes(tensor.bytes, tensor.size, WIRE_TENSOR, 1);
  assert_int_equal(result.status, NORMA_ERROR_FORMAT);
  assert_non_null(strstr(result.error.message, "float_data: a large array is split into pieces"));
  finish(&result);
  tensor.size = 0; /* small pieces are joined by protobuf-c, and then a large one is not cut out */
  block_field(&tensor, 4, data, 8);
  block_field(&tensor, 4, data, sizeof data);
  result = check_bytes(tensor.bytes, tensor.size, WIRE_TENSOR, 1);
  assert_int_equal(result.status, NORMA_OK);
  assert_int_equal(result.skeleton.size, tensor.size);
  finish(&result);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(table_agrees_with_the_schema),
      cmocka_unit_test(small_message_passes_unchanged),
      cmocka_unit_test(empty_message_passes),
      cmocka_unit_test(unknown_fields_and_comments_are_left_out),
      cmocka_unit_test(large_arrays_are_cut_out),
      cmocka_unit_test(file_gives_the_same_as_memory),
      cmocka_unit_test(wrong_bytes_are_named),
      cmocka_unit_test(wrong_numbers_are_named),
      cmocka_unit_test(two_of_a_oneof_are_refused),
      cmocka_unit_test(counts_are_bounded),
      cmocka_unit_test(large_arrays_in_pieces_are_refused),
  };
  return cmocka_run_group_tests_name("wire check", tests, NULL, NULL);
}
