/* Values as bytes: tensors, sequences, optionals and maps within each other, and what is refused. */
#include "proto/value_reader.h"

#include "proto/onnx.pb-c.h"
#include "tests/support/failing_allocations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static memory account;
static norma_error error;

static int set_up(void **state) {
  (void)state;
  memory_init(&account, NULL, 0);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  return atomic_load(&account.used) == 0 ? 0 : -1; /* anything left is a leak */
}

static norma_status read_message(const ProtobufCMessage *message, norma_value_kind kind, value *into) {
  size_t size = protobuf_c_message_get_packed_size(message);
  unsigned char *bytes = malloc(size ? size : 1);
  assert_non_null(bytes);
  protobuf_c_message_pack(message, bytes);
  *into = (value){0};
  norma_status status = value_read_memory(&account, bytes, size, kind, into, &error);
  free(bytes);
  return status;
}

static void must_read(const ProtobufCMessage *message, norma_value_kind kind, value *into) {
  if (read_message(message, kind, into) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(into->kind, kind);
}

static void expect_refused(const ProtobufCMessage *message, norma_value_kind kind, norma_status status,
                           const char *part) {
  value read;
  memset(&error, 0, sizeof error);
  norma_status got = read_message(message, kind, &read);
  if (got != status) fail_msg("expected status %d (%s), got %d: %s", status, part, got, error.message);
  if (!strstr(error.message, part)) fail_msg("expected '%s' in '%s'", part, error.message);
  assert_int_equal(read.kind, NORMA_VALUE_NONE);
}

/* One float, as a scalar or as a list of `count`. */
static Onnx__TensorProto tensor_of(size_t rank, int64_t *dims, float *numbers, size_t count) {
  Onnx__TensorProto proto = ONNX__TENSOR_PROTO__INIT;
  proto.name = (char *)(uintptr_t) "t";
  proto.has_data_type = 1;
  proto.data_type = NORMA_FLOAT;
  proto.n_dims = rank;
  proto.dims = dims;
  proto.n_float_data = count;
  proto.float_data = numbers;
  return proto;
}

/* ------------------------------------------------------------------------------------------------------------ kinds */

static void the_kind_is_asked_for(void **state) {
  (void)state;
  float numbers[] = {1, 2};
  int64_t dims[] = {2};
  value read;
  Onnx__TensorProto tensor = tensor_of(1, dims, numbers, 2);
  must_read(&tensor.base, NORMA_VALUE_TENSOR, &read);
  assert_memory_equal(read.tensor.data, numbers, sizeof numbers);
  value_clear(&read);
  expect_refused(&tensor.base, NORMA_VALUE_NONE, NORMA_ERROR_ARGUMENT, "not known");
  expect_refused(&tensor.base, (norma_value_kind)77, NORMA_ERROR_ARGUMENT, "not known");
  read = (value){0};
  assert_int_equal(value_read_memory(&account, "x", 1, NORMA_VALUE_TENSOR, &read, NULL), NORMA_ERROR_FORMAT);
  assert_int_equal(value_read_memory(&account, "", 0, NORMA_VALUE_SEQUENCE, &read, &error), NORMA_OK);
  assert_int_equal(read.list->count, 0);
  value_clear(&read);
}

/* Elements of a sequence are all of one of five kinds, of which sparse tensors become tensors. */
static void sequences_of_every_kind(void **state) {
  (void)state;
  float numbers[] = {7};
  int64_t one[] = {1}, four[] = {4}, place[] = {2};
  Onnx__TensorProto tensor = tensor_of(1, one, numbers, 1), *tensors[] = {&tensor, &tensor};
  Onnx__TensorProto indices = ONNX__TENSOR_PROTO__INIT;
  indices.has_data_type = 1;
  indices.data_type = NORMA_INT64;
  indices.n_dims = indices.n_int64_data = 1;
  indices.dims = one;
  indices.int64_data = place;
  Onnx__SparseTensorProto sparse = ONNX__SPARSE_TENSOR_PROTO__INIT, *sparses[] = {&sparse, &sparse};
  sparse.values = &tensor;
  sparse.indices = &indices;
  sparse.n_dims = 1;
  sparse.dims = four;
  Onnx__SequenceProto inner = ONNX__SEQUENCE_PROTO__INIT, *sequences[] = {&inner, &inner};
  inner.n_tensor_values = 2;
  inner.tensor_values = tensors;
  Onnx__MapProto map = ONNX__MAP_PROTO__INIT, *maps[] = {&map, &map};
  map.has_key_type = 1;
  map.key_type = NORMA_INT64;
  map.n_keys = 2;
  map.keys = (int64_t[]){4, 5};
  map.values = &inner;
  Onnx__OptionalProto optional = ONNX__OPTIONAL_PROTO__INIT, *optionals[] = {&optional, &optional};
  optional.tensor_value = &tensor;
  for (int kind = 0; kind < 5; kind++) {
    Onnx__SequenceProto outer = ONNX__SEQUENCE_PROTO__INIT;
    outer.n_tensor_values = kind == 0 ? 2 : 0;
    outer.n_sparse_tensor_values = kind == 1 ? 2 : 0;
    outer.n_sequence_values = kind == 2 ? 2 : 0;
    outer.n_map_values = kind == 3 ? 2 : 0;
    outer.n_optional_values = kind == 4 ? 2 : 0;
    outer.tensor_values = tensors;
    outer.sparse_tensor_values = sparses;
    outer.sequence_values = sequences;
    outer.map_values = maps;
    outer.optional_values = optionals;
    value read;
    must_read(&outer.base, NORMA_VALUE_SEQUENCE, &read);
    assert_int_equal(read.list->count, 2);
    static const norma_value_kind kinds[] = {NORMA_VALUE_TENSOR, NORMA_VALUE_TENSOR, NORMA_VALUE_SEQUENCE,
                                             NORMA_VALUE_MAP, NORMA_VALUE_OPTIONAL};
    for (int i = 0; i < 2; i++) assert_int_equal(read.list->items[i].kind, kinds[kind]);
    if (kind == 1) assert_true(((const float *)read.list->items[1].tensor.data)[2] == 7);
    value_clear(&read);

    Onnx__OptionalProto around = ONNX__OPTIONAL_PROTO__INIT; /* the same kinds in an optional */
    if (kind == 0) around.tensor_value = &tensor;
    if (kind == 1) around.sparse_tensor_value = &sparse;
    if (kind == 2) around.sequence_value = &inner;
    if (kind == 3) around.map_value = &map;
    if (kind == 4) around.optional_value = &optional;
    must_read(&around.base, NORMA_VALUE_OPTIONAL, &read);
    assert_int_equal(read.list->count, 1);
    assert_int_equal(read.list->items[0].kind, kinds[kind]);
    value_clear(&read);
  }
  Onnx__OptionalProto nothing = ONNX__OPTIONAL_PROTO__INIT;
  value read;
  must_read(&nothing.base, NORMA_VALUE_OPTIONAL, &read);
  assert_int_equal(read.list->count, 0);
  value_clear(&read);
}

static void wrong_containers_are_refused(void **state) {
  (void)state;
  int64_t dims[] = {0};
  Onnx__TensorProto tensor = tensor_of(1, dims, NULL, 0), *tensors[] = {&tensor};
  Onnx__SequenceProto sequence = ONNX__SEQUENCE_PROTO__INIT, inner = ONNX__SEQUENCE_PROTO__INIT, *list[] = {&inner};
  sequence.n_tensor_values = sequence.n_sequence_values = 1;
  sequence.tensor_values = tensors;
  sequence.sequence_values = list;
  expect_refused(&sequence.base, NORMA_VALUE_SEQUENCE, NORMA_ERROR_INVALID_MODEL, "different kinds");
  Onnx__OptionalProto optional = ONNX__OPTIONAL_PROTO__INIT;
  optional.tensor_value = &tensor;
  optional.sequence_value = &inner;
  expect_refused(&optional.base, NORMA_VALUE_OPTIONAL, NORMA_ERROR_INVALID_MODEL, "more than one element");

  enum { DEPTH = 200 };
  static Onnx__OptionalProto nested[DEPTH];
  for (int i = 0; i < DEPTH; i++) {
    onnx__optional_proto__init(&nested[i]);
    if (i > 0) nested[i].optional_value = &nested[i - 1];
  }
  expect_refused(&nested[DEPTH - 1].base, NORMA_VALUE_OPTIONAL, NORMA_ERROR_BUDGET, "nested");
}

/* ------------------------------------------------------------------------------------------------------------- maps */

/* Keys of every integer type, each with a number out of its range, and texts. */
static void keys_of_maps(void **state) {
  static const struct {
    norma_element_type type;
    int64_t low, high;
  } types[] = {{NORMA_INT8, -128, 127},
               {NORMA_UINT8, 0, 255},
               {NORMA_INT16, -32768, 32767},
               {NORMA_UINT16, 0, 65535},
               {NORMA_INT32, INT32_MIN, INT32_MAX},
               {NORMA_UINT32, 0, UINT32_MAX},
               {NORMA_INT64, INT64_MIN, INT64_MAX}};
  (void)state;
  float numbers[] = {7};
  Onnx__TensorProto tensor = tensor_of(0, NULL, numbers, 1), *tensors[] = {&tensor, &tensor};
  Onnx__SequenceProto values = ONNX__SEQUENCE_PROTO__INIT;
  values.n_tensor_values = 2;
  values.tensor_values = tensors;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    value read;
    Onnx__MapProto map = ONNX__MAP_PROTO__INIT;
    int64_t keys[] = {types[i].low, types[i].high};
    map.has_key_type = 1;
    map.key_type = (int32_t)types[i].type;
    map.n_keys = 2;
    map.keys = keys;
    map.values = &values;
    must_read(&map.base, NORMA_VALUE_MAP, &read);
    assert_int_equal(read.list->count, 2);
    const norma_tensor *found = &read.list->items[0].tensor;
    assert_int_equal(found->type, types[i].type);
    assert_int_equal(found->dims[0], 2);
    for (int k = 0; k < 2; k++) assert_true(tensor_get_int64(found, k) == keys[k]);
    value_clear(&read);
    for (int k = 0; k < 2 && types[i].type != NORMA_INT64; k++) {
      keys[0] = k ? types[i].low - 1 : types[i].high + 1;
      expect_refused(&map.base, NORMA_VALUE_MAP, NORMA_ERROR_INVALID_MODEL, "a key");
    }
  }
  ProtobufCBinaryData texts[] = {{0, NULL}, {3, (uint8_t *)(uintptr_t) "key"}};
  Onnx__MapProto map = ONNX__MAP_PROTO__INIT;
  value read;
  map.n_string_keys = 2;
  map.string_keys = texts;
  map.values = &values;
  must_read(&map.base, NORMA_VALUE_MAP, &read); /* whatever their type is said to be */
  const norma_string *strings = read.list->items[0].tensor.data;
  assert_int_equal(strings[0].size, 0);
  assert_memory_equal(strings[1].data, "key", 3);
  value_clear(&read);
}

/* Single numbers of one type become one tensor; texts, and values of different types or shapes, stay a sequence. */
static void values_of_maps(void **state) {
  (void)state;
  for (int form = 0; form < 5; form++) {
    float numbers[] = {7, 8};
    int64_t two[] = {2}, one[] = {1};
    int32_t integer[] = {5};
    ProtobufCBinaryData text = {1, (uint8_t *)(uintptr_t) "t"};
    Onnx__TensorProto first = tensor_of(0, NULL, numbers, 1), second = tensor_of(1, one, numbers + 1, 1);
    Onnx__TensorProto *tensors[] = {&first, &second};
    if (form == 1) second.n_dims = 1, second.dims = two, second.n_float_data = 2, second.float_data = numbers;
    if (form == 2) second.data_type = NORMA_INT32, second.n_float_data = 0, second.n_int32_data = 1;
    second.int32_data = integer;
    for (int k = 0; form == 3 && k < 2; k++) {
      tensors[k]->data_type = NORMA_STRING;
      tensors[k]->n_float_data = 0;
      tensors[k]->n_string_data = 1;
      tensors[k]->string_data = &text;
    }
    Onnx__SequenceProto values = ONNX__SEQUENCE_PROTO__INIT;
    values.n_tensor_values = form == 4 ? 0 : 2;
    values.tensor_values = tensors;
    Onnx__MapProto map = ONNX__MAP_PROTO__INIT;
    map.has_key_type = 1;
    map.key_type = NORMA_INT64;
    map.n_keys = values.n_tensor_values;
    map.keys = (int64_t[]){1, 2};
    map.values = form == 4 ? NULL : &values;
    value read;
    must_read(&map.base, NORMA_VALUE_MAP, &read);
    const value *found = &read.list->items[1];
    assert_int_equal(found->kind, form == 0 ? NORMA_VALUE_TENSOR : NORMA_VALUE_SEQUENCE);
    if (form == 0) assert_int_equal(found->tensor.rank, 1);
    if (form == 0) assert_memory_equal(found->tensor.data, numbers, sizeof numbers);
    if (form > 0) assert_int_equal(found->list->count, form == 4 ? 0 : 2);
    value_clear(&read);
  }
}

static void wrong_maps_are_refused(void **state) {
  (void)state;
  Onnx__MapProto proto = ONNX__MAP_PROTO__INIT;
  ProtobufCBinaryData text = {1, (uint8_t *)(uintptr_t) "t"};
  int64_t numbers[] = {1, 2};
  proto.has_key_type = 1;
  proto.key_type = NORMA_INT32;
  proto.n_keys = 2;
  proto.keys = numbers;
  expect_refused(&proto.base, NORMA_VALUE_MAP, NORMA_ERROR_INVALID_MODEL, "more keys than values");
  proto.key_type = NORMA_FLOAT;
  expect_refused(&proto.base, NORMA_VALUE_MAP, NORMA_ERROR_INVALID_MODEL, "neither integers nor strings");
  proto.key_type = 99;
  expect_refused(&proto.base, NORMA_VALUE_MAP, NORMA_ERROR_INVALID_MODEL, "neither integers nor strings");
  proto.has_key_type = 0;
  proto.key_type = 0;
  expect_refused(&proto.base, NORMA_VALUE_MAP, NORMA_ERROR_INVALID_MODEL, "neither integers nor strings");
  proto.n_string_keys = 1;
  proto.string_keys = &text;
  expect_refused(&proto.base, NORMA_VALUE_MAP, NORMA_ERROR_INVALID_MODEL, "keys of two types");
}

/* ----------------------------------------------------------------------------------------------------------- memory */

typedef struct packed_bytes {
  unsigned char bytes[400];
  size_t size;
} packed_bytes;

static norma_status read_in(void *context, const norma_allocator *allocator, norma_error *failed) {
  const packed_bytes *packed = context;
  memory limited;
  value read = {0};
  memory_init(&limited, allocator, 0);
  norma_status status = value_read_memory(&limited, packed->bytes, packed->size, NORMA_VALUE_SEQUENCE, &read, failed);
  value_clear(&read);
  assert_int_equal(atomic_load(&limited.used), 0);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  float numbers[] = {7};
  packed_bytes packed;
  ProtobufCBinaryData texts[] = {{0, NULL}, {3, (uint8_t *)(uintptr_t) "key"}};
  Onnx__TensorProto tensor = tensor_of(0, NULL, numbers, 1), *tensors[] = {&tensor, &tensor};
  Onnx__SequenceProto values = ONNX__SEQUENCE_PROTO__INIT, outer = ONNX__SEQUENCE_PROTO__INIT;
  Onnx__MapProto map = ONNX__MAP_PROTO__INIT, *maps[] = {&map, &map};
  values.n_tensor_values = 2;
  values.tensor_values = tensors;
  map.n_string_keys = 2;
  map.string_keys = texts;
  map.values = &values;
  outer.n_map_values = 2;
  outer.map_values = maps;
  packed.size = onnx__sequence_proto__pack(&outer, packed.bytes);
  assert_int_equal(fail_each_allocation(read_in, &packed), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_kind_is_asked_for),
      TEST(sequences_of_every_kind),
      TEST(wrong_containers_are_refused),
      TEST(keys_of_maps),
      TEST(values_of_maps),
      TEST(wrong_maps_are_refused),
      TEST(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
