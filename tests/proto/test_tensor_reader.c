/* Tensors of every type in every encoding: what is read, and what is refused. */
#include "proto/value_reader.h"

#include "proto/onnx.pb-c.h"

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

static Onnx__TensorProto tensor_of(norma_element_type type, size_t rank, int64_t *dims) {
  Onnx__TensorProto proto = ONNX__TENSOR_PROTO__INIT;
  proto.name = (char *)(uintptr_t) "t";
  proto.has_data_type = 1;
  proto.data_type = (int32_t)type;
  proto.n_dims = rank;
  proto.dims = dims;
  return proto;
}

static void expect_bytes(const Onnx__TensorProto *proto, const void *bytes, size_t size) {
  value read;
  if (read_message(&proto->base, NORMA_VALUE_TENSOR, &read) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(read.tensor.type, proto->data_type);
  assert_int_equal(read.tensor.rank, proto->n_dims);
  assert_int_equal(read.tensor.size_bytes, size);
  assert_memory_equal(read.tensor.data, bytes, size);
  value_clear(&read);
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

static void expect_bad_tensor(const Onnx__TensorProto *proto, norma_status status, const char *part) {
  expect_refused(&proto->base, NORMA_VALUE_TENSOR, status, part);
}

/* ---------------------------------------------------------------------------------------------------- raw and typed */

/* Raw bytes of every type that has any; long enough to be cut out, and short. */
static void raw_data_of_every_type(void **state) {
  (void)state;
  static unsigned char bytes[4000 * 16];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 37 + i / 256);
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (type == NORMA_STRING || type == NORMA_BOOL) continue;
    for (int64_t count = 0; count <= 4000; count = count < 3 ? count + 1 : count * 11) {
      int64_t dims[] = {1, count};
      size_t size;
      assert_int_equal(norma_tensor_size((norma_element_type)type, 2, dims, &size), NORMA_OK);
      Onnx__TensorProto proto = tensor_of((norma_element_type)type, 2, dims);
      proto.has_raw_data = 1;
      proto.raw_data = (ProtobufCBinaryData){.len = size, .data = bytes};
      expect_bytes(&proto, bytes, size);
      proto.raw_data.len = size + 1;
      expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "bytes stand for the");
    }
  }
}

static void bool_is_normalised(void **state) {
  (void)state;
  int64_t dims[] = {4};
  Onnx__TensorProto proto = tensor_of(NORMA_BOOL, 1, dims);
  proto.has_raw_data = 1;
  proto.raw_data = (ProtobufCBinaryData){.len = 4, .data = (uint8_t *)(uintptr_t) "\x00\x01\xFF\x02"};
  expect_bytes(&proto, "\0\1\1\1", 4);
  int32_t numbers[] = {0, 1, 256, -1};
  proto = tensor_of(NORMA_BOOL, 1, dims);
  proto.n_int32_data = 4;
  proto.int32_data = numbers;
  expect_bytes(&proto, "\0\1\1\1", 4);
}

static void floats_and_doubles(void **state) {
  (void)state;
  static float floats[1000];
  static double doubles[1000];
  for (int i = 0; i < 1000; i++) {
    floats[i] = (float)i * 0.37f - 5;
    doubles[i] = i * 1.7 - 9;
  }
  for (int64_t count = 2; count <= 1000; count *= 500) { /* the second time cut out */
    int64_t dims[] = {count}, pairs[] = {count / 2};
    Onnx__TensorProto proto = tensor_of(NORMA_FLOAT, 1, dims);
    proto.n_float_data = (size_t)count;
    proto.float_data = floats;
    expect_bytes(&proto, floats, (size_t)count * sizeof(float));
    proto.data_type = NORMA_COMPLEX64;
    proto.dims = pairs;
    expect_bytes(&proto, floats, (size_t)count * sizeof(float));
    proto = tensor_of(NORMA_DOUBLE, 1, dims);
    proto.n_double_data = (size_t)count;
    proto.double_data = doubles;
    expect_bytes(&proto, doubles, (size_t)count * sizeof(double));
    proto.data_type = NORMA_COMPLEX128;
    proto.dims = pairs;
    expect_bytes(&proto, doubles, (size_t)count * sizeof(double));
  }
}

/* int32_data hold an element each of 8-bit and 16-bit types and of 6-bit ones, and a byte each of 4-bit and 2-bit ones.
 */
static void integers_in_int32_data(void **state) {
  (void)state;
  static int32_t numbers[3000];
  static unsigned char expected[3000 * 4];
  static const norma_element_type types[] = {
      NORMA_INT32,        NORMA_INT16,      NORMA_UINT16,         NORMA_INT8,           NORMA_UINT8,     NORMA_FLOAT16,
      NORMA_BFLOAT16,     NORMA_INT4,       NORMA_UINT4,          NORMA_FLOAT4E2M1,     NORMA_INT2,      NORMA_UINT2,
      NORMA_FLOAT8E4M3FN, NORMA_FLOAT8E5M2, NORMA_FLOAT8E4M3FNUZ, NORMA_FLOAT8E5M2FNUZ, NORMA_FLOAT8E8M0};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
    int bits = element_type_bits(types[t]), width = bits < 8 ? 8 : bits;
    for (size_t count = 3; count <= 3000; count *= 1000) {
      int64_t dims[] = {(int64_t)count * (width / bits)};
      for (size_t i = 0; i < count; i++) {
        int32_t number = (int32_t)((uint32_t)i * 2654435761u >> (32 - width + 1)); /* positive in the type's width */
        if (i % 3 == 0 && types[t] != NORMA_UINT16 && types[t] != NORMA_UINT8) number = -1 - number;
        numbers[i] = number;
        memcpy(expected + i * (size_t)width / 8, &number, (size_t)width / 8);
      }
      Onnx__TensorProto proto = tensor_of(types[t], 1, dims);
      proto.n_int32_data = count;
      proto.int32_data = numbers;
      expect_bytes(&proto, expected, count * (size_t)width / 8);
      if (width < 32) {
        numbers[count - 1] = 1 << width;
        expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "is out of range for");
        numbers[count - 1] = 0;
      }
      proto.n_int32_data = count - 1;
      expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "numbers stand for");
      dims[0] = (int64_t)(count - 1) * (width / bits);
      proto.n_int32_data = count;
      expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "more numbers than");
    }
  }
}

static void six_bits_are_packed(void **state) {
  (void)state;
  int64_t dims[] = {5};
  int32_t numbers[] = {0x3F, 1, 0x20, 2, 0x15};
  Onnx__TensorProto proto = tensor_of(NORMA_FLOAT6E2M3, 1, dims);
  proto.n_int32_data = 5;
  proto.int32_data = numbers;
  /* bits from the lowest: 111111 100000 000001 010000 101010 */
  expect_bytes(&proto, "\x7F\x00\x0A\x15", 4);
}

static void wide_integers(void **state) {
  (void)state;
  static int64_t signed_numbers[500];
  static uint64_t unsigned_numbers[500];
  static uint32_t narrow[500];
  for (int i = 0; i < 500; i++) {
    signed_numbers[i] = (int64_t)((uint64_t)i * 0x9E3779B97F4A7C15u);
    unsigned_numbers[i] = UINT64_MAX - (uint64_t)i * 98765432109876;
    narrow[i] = UINT32_MAX - (uint32_t)i * 12345;
  }
  signed_numbers[1] = INT64_MIN;
  for (int64_t count = 2; count <= 500; count *= 250) {
    int64_t dims[] = {count};
    Onnx__TensorProto proto = tensor_of(NORMA_INT64, 1, dims);
    proto.n_int64_data = (size_t)count;
    proto.int64_data = signed_numbers;
    expect_bytes(&proto, signed_numbers, (size_t)count * 8);
    proto = tensor_of(NORMA_UINT64, 1, dims);
    proto.n_uint64_data = (size_t)count;
    proto.uint64_data = unsigned_numbers;
    expect_bytes(&proto, unsigned_numbers, (size_t)count * 8);
    uint64_t wide[500];
    for (int i = 0; i < 500; i++) wide[i] = narrow[i];
    proto.data_type = NORMA_UINT32;
    proto.uint64_data = wide;
    expect_bytes(&proto, narrow, (size_t)count * 4);
    wide[count - 1] = (uint64_t)1 << 32;
    expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "is out of range for uint32");
  }
}

static void strings(void **state) {
  (void)state;
  int64_t dims[] = {3};
  ProtobufCBinaryData texts[] = {{3, (uint8_t *)(uintptr_t) "abc"}, {0, NULL}, {2, (uint8_t *)(uintptr_t) "\0x"}};
  Onnx__TensorProto proto = tensor_of(NORMA_STRING, 1, dims);
  proto.n_string_data = 3;
  proto.string_data = texts;
  value read;
  assert_int_equal(read_message(&proto.base, NORMA_VALUE_TENSOR, &read), NORMA_OK);
  const norma_string *got = read.tensor.data;
  assert_int_equal(got[0].size, 3);
  assert_memory_equal(got[0].data, "abc", 3);
  assert_int_equal(got[1].size, 0);
  assert_int_equal(got[2].size, 2);
  assert_memory_equal(got[2].data, "\0x", 2);
  value_clear(&read);
  proto.n_string_data = 2;
  expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "2 strings stand for 3");
  proto = tensor_of(NORMA_STRING, 1, dims);
  proto.has_raw_data = 1;
  proto.raw_data = (ProtobufCBinaryData){
      .len = 48, .data = (uint8_t *)(uintptr_t) "0123456789012345678901234567890123456789abcdefgh"};
  expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "strings cannot stand as raw");
}

/* ---------------------------------------------------------------------------------------------------------- refused */

static void wrong_descriptions(void **state) {
  (void)state;
  float number = 1;
  int64_t dims[17] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  Onnx__TensorProto proto = tensor_of(NORMA_FLOAT, 1, dims);
  expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "tensor 't': it has no data");
  assert_string_equal(error.value, "t");
  proto.n_float_data = 1;
  proto.float_data = &number;
  expect_bytes(&proto, &number, sizeof number);
  proto.n_dims = 16;
  expect_bytes(&proto, &number, sizeof number);
  proto.n_dims = 17;
  expect_bad_tensor(&proto, NORMA_ERROR_UNSUPPORTED, "rank 17 is more than 16");
  proto.n_dims = 1;
  dims[0] = -1;
  expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "dimension 0 is -1");
  dims[0] = dims[1] = dims[2] = (int64_t)1 << 31;
  proto.n_dims = 3;
  expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "is too large");
  dims[0] = 0;
  proto.n_dims = 1;
  expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "bytes stand for the 0");
  dims[0] = 1;
  static const int wrong_types[] = {0, -1, 29, 1000};
  for (int i = 0; i < 4; i++) {
    proto.data_type = wrong_types[i];
    expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "is not an element type");
  }
  proto.data_type = NORMA_DOUBLE;
  expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "not that of type double");
  proto.data_type = NORMA_FLOAT;
  proto.has_raw_data = 1;
  proto.raw_data = (ProtobufCBinaryData){.len = 4, .data = (uint8_t *)&number};
  expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "more than one field");
  proto.raw_data.len = 0; /* an empty field is none */
  expect_bytes(&proto, &number, sizeof number);
  Onnx__TensorProto__Segment segment = ONNX__TENSOR_PROTO__SEGMENT__INIT;
  proto.segment = &segment;
  expect_bad_tensor(&proto, NORMA_ERROR_UNSUPPORTED, "segments");
  proto = tensor_of(NORMA_FLOAT, 1, dims);
  proto.has_data_location = 1;
  proto.data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
  expect_bad_tensor(&proto, NORMA_ERROR_UNSUPPORTED, "external data are not allowed here");
}

/* A few bytes must not ask for much memory. */
static void size_is_checked_before_memory(void **state) {
  (void)state;
  float number = 1;
  int64_t dims[] = {1 << 20, 1 << 20};
  Onnx__TensorProto proto = tensor_of(NORMA_FLOAT, 2, dims);
  proto.n_float_data = 1;
  proto.float_data = &number;
  expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "4 bytes stand for the 4398046511104 of its shape");
  assert_true(atomic_load(&account.peak) < 1 << 20);
  int32_t integer = 1;
  proto = tensor_of(NORMA_INT32, 2, dims);
  proto.n_int32_data = 1;
  proto.int32_data = &integer;
  expect_bad_tensor(&proto, NORMA_ERROR_INVALID_MODEL, "1 numbers stand for 1099511627776");
  assert_true(atomic_load(&account.peak) < 1 << 20);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(raw_data_of_every_type),
      TEST(bool_is_normalised),
      TEST(floats_and_doubles),
      TEST(integers_in_int32_data),
      TEST(six_bits_are_packed),
      TEST(wide_integers),
      TEST(strings),
      TEST(wrong_descriptions),
      TEST(size_is_checked_before_memory),
  };
  return cmocka_run_group_tests_name("tensor reader", tests, NULL, NULL);
}
