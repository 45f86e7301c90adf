/* .npy and .npz: what NumPy writes is read back, what is damaged or no ONNX type is refused with a reason. */
#include "tests/tools/unit/tool_runtime.h"
#include "tests/tools/unit/tool_test.h"

#include "tools/formats/npy.h"

/* A file with this header dictionary and data, in format version 1 or 2. */
static size_t make_file(unsigned char *file, int version, const char *dictionary, const void *data, size_t data_size) {
  size_t length = strlen(dictionary), start = version == 1 ? 10 : 12;
  memcpy(file, "\x93NUMPY", 6);
  file[6] = (unsigned char)version;
  file[7] = 0;
  file[8] = (unsigned char)length;
  file[9] = (unsigned char)(length >> 8);
  if (version > 1) file[10] = file[11] = 0;
  memcpy(file + start, dictionary, length);
  if (data_size > 0) memcpy(file + start + length, data, data_size);
  return start + length + data_size;
}

static norma_status decode(const char *dictionary, const void *data, size_t size, norma_value **into,
                           norma_error *error) {
  unsigned char file[2048];
  size_t bytes = make_file(file, 1, dictionary, data, size);
  *into = NULL;
  return npy_decode(runtime, file, bytes, into, error);
}

static void assert_refused(const char *dictionary, const void *data, size_t size, norma_status status,
                           const char *words) {
  norma_value *contents;
  norma_error error = {.status = NORMA_OK};
  assert_int_equal(decode(dictionary, data, size, &contents, &error), status);
  if (!strstr(error.message, words))
    fail_msg("message of %s: expected \"%s\", got \"%s\"", dictionary, words, error.message);
}

static void what_is_written_is_read_back(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_FLOAT,  NORMA_UINT8,  NORMA_INT8,      NORMA_UINT16,    NORMA_INT16,
                                             NORMA_INT32,  NORMA_INT64,  NORMA_BOOL,      NORMA_FLOAT16,   NORMA_DOUBLE,
                                             NORMA_UINT32, NORMA_UINT64, NORMA_COMPLEX64, NORMA_COMPLEX128};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    for (int rank = 0; rank <= 3; rank++) {
      unsigned char data[6 * 16];
      for (size_t b = 0; b < sizeof data; b++) data[b] = (unsigned char)(types[i] == NORMA_BOOL ? b % 2 : b * 37 + 1);
      norma_tensor tensor = tensor_over(types[i], data, rank, (const int64_t[]){2, 3, 1});
      char *file = NULL;
      size_t size = 0;
      FILE *stream = open_memstream(&file, &size);
      assert_true(npy_can_hold(&tensor));
      npy_encode(stream, &tensor);
      fclose(stream);
      assert_true(npy_recognise(file, size));
      assert_int_equal((size - tensor.size_bytes) % 64, 0); /* the data are aligned, as the format asks */
      norma_value *contents = NULL;
      norma_error error;
      assert_int_equal(npy_decode(runtime, file, size, &contents, &error), NORMA_OK);
      assert_int_equal(norma_value_tensor(contents)->type, types[i]);
      assert_int_equal(norma_value_tensor(contents)->rank, rank);
      for (int d = 0; d < rank; d++) assert_int_equal(norma_value_tensor(contents)->dims[d], tensor.dims[d]);
      assert_memory_equal(norma_value_tensor(contents)->data, data, tensor.size_bytes);
      norma_value_destroy(contents);
      free(file);
    }
  }
}

static void types_that_numpy_lacks_are_not_held(void **state) {
  (void)state;
  unsigned char data[16] = {0};
  static const norma_element_type types[] = {NORMA_BFLOAT16, NORMA_FLOAT8E4M3FN, NORMA_INT4, NORMA_FLOAT4E2M1,
                                             NORMA_UINT2};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    norma_tensor tensor = tensor_over(types[i], data, 1, (const int64_t[]){4});
    assert_false(npy_can_hold(&tensor));
  }
}

static void fortran_order_is_transposed(void **state) {
  (void)state;
  const int16_t columns[] = {1, 4, 2, 5, 3, 6}, rows[] = {1, 2, 3, 4, 5, 6};
  norma_value *contents;
  norma_error error;
  assert_int_equal(decode("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }", columns, 12, &contents, &error),
                   NORMA_OK);
  assert_memory_equal(norma_value_tensor(contents)->data, rows, 12);
  norma_value_destroy(contents);
}

static void big_endian_is_turned(void **state) {
  (void)state;
  const unsigned char numbers[] = {0x3F, 0x80, 0, 0, 0xC0, 0, 0, 0}; /* 1, -2 */
  norma_value *contents;
  norma_error error;
  assert_int_equal(decode("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", numbers, 8, &contents, &error),
                   NORMA_OK);
  assert_true(((const float *)norma_value_tensor(contents)->data)[0] == 1 &&
              ((const float *)norma_value_tensor(contents)->data)[1] == -2);
  norma_value_destroy(contents);
  /* a complex number turns each half for itself */
  assert_int_equal(decode("{'descr': '>c8', 'fortran_order': False, 'shape': (), }", numbers, 8, &contents, &error),
                   NORMA_OK);
  assert_int_equal(norma_value_tensor(contents)->rank, 0);
  assert_true(((const float *)norma_value_tensor(contents)->data)[0] == 1 &&
              ((const float *)norma_value_tensor(contents)->data)[1] == -2);
  norma_value_destroy(contents);
}

static void later_versions_and_bool(void **state) {
  (void)state;
  for (int version = 1; version <= 3; version++) {
    unsigned char file[256];
    const unsigned char flags[] = {0, 1, 7};
    size_t size = make_file(file, version, "{\"shape\":(3L,),'fortran_order':False,'descr':'|b1'}", flags, 3);
    norma_value *contents = NULL;
    norma_error error;
    assert_int_equal(npy_decode(runtime, file, size, &contents, &error), NORMA_OK);
    assert_memory_equal(norma_value_tensor(contents)->data, "\0\1\1", 3);
    norma_value_destroy(contents);
  }
}

static void text_becomes_utf8(void **state) {
  (void)state;
  /* 'ä€', '😀' and '' as U2 */
  const uint32_t characters[] = {0xE4, 0x20AC, 0x1F600, 0, 0, 0};
  norma_value *contents;
  norma_error error;
  assert_int_equal(
      decode("{'descr': '<U2', 'fortran_order': False, 'shape': (3,), }", characters, 24, &contents, &error), NORMA_OK);
  const norma_string *strings = norma_value_tensor(contents)->data;
  assert_int_equal(strings[0].size, 5);
  assert_memory_equal(strings[0].data, "\xC3\xA4\xE2\x82\xAC", 5);
  assert_int_equal(strings[1].size, 4);
  assert_memory_equal(strings[1].data, "\xF0\x9F\x98\x80", 4);
  assert_int_equal(strings[2].size, 0);
  /* and back */
  char *file = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&file, &size);
  assert_true(npy_can_hold(norma_value_tensor(contents)));
  npy_encode(stream, norma_value_tensor(contents));
  fclose(stream);
  assert_memory_equal(file + size - 24, characters, 24);
  free(file);
  norma_value_destroy(contents);
  assert_int_equal(decode("{'descr': '|S3', 'fortran_order': False, 'shape': (2,), }", "ab\0cde", 6, &contents, &error),
                   NORMA_OK);
  strings = norma_value_tensor(contents)->data;
  assert_int_equal(strings[0].size, 2);
  assert_memory_equal(strings[1].data, "cde", 3);
  norma_value_destroy(contents);
}

static void text_that_would_change_is_not_held(void **state) {
  (void)state;
  norma_string strings[] = {{"ok", 2}};
  norma_tensor tensor = tensor_over(NORMA_STRING, strings, 1, (const int64_t[]){1});
  assert_true(npy_can_hold(&tensor));
  static const norma_string bad[] = {{"a\0", 2}, {"\xFF", 1}, {"\xC3", 1}, {"\xC0\x80", 2}, {"\xED\xA0\x80", 3}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    strings[0] = bad[i];
    assert_false(npy_can_hold(&tensor));
  }
}

static void empty_arrays(void **state) {
  (void)state;
  norma_value *contents;
  norma_error error;
  assert_int_equal(decode("{'descr': '<f8', 'fortran_order': True, 'shape': (0, 4), }", NULL, 0, &contents, &error),
                   NORMA_OK);
  assert_int_equal(norma_value_tensor(contents)->rank, 2);
  assert_int_equal(norma_tensor_count(norma_value_tensor(contents)), 0);
  norma_value_destroy(contents);
}

static void what_is_no_tensor_is_refused(void **state) {
  (void)state;
  unsigned char data[64] = {0};
  const char *after = "', 'fortran_order': False, 'shape': (2,), }";
  static const struct {
    const char *type, *words;
  } types[] = {{"|O", "pickled"},           {"<V2", "bfloat16"},     {"|V1", "bfloat16"},  {"<f16", "no ONNX type"},
               {"<M8[ns]", "no ONNX type"}, {"<i3", "no ONNX type"}, {"", "no ONNX type"}, {"<f", "no ONNX type"}};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    char dictionary[128];
    snprintf(dictionary, sizeof dictionary, "{'descr': '%s%s", types[i].type, after);
    assert_refused(dictionary, data, sizeof data, NORMA_ERROR_UNSUPPORTED, types[i].words);
  }
  assert_refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", data, 64,
                 NORMA_ERROR_UNSUPPORTED, "records");
  const uint32_t surrogate = 0xD800;
  assert_refused("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", &surrogate, 4, NORMA_ERROR_FORMAT,
                 "Unicode");
}

static void damage_is_refused(void **state) {
  (void)state;
  unsigned char file[256], data[16] = {0};
  const char *good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
  size_t size = make_file(file, 1, good, data, 16);
  for (size_t length = 0; length < size; length++) { /* cut anywhere */
    unsigned char *part = malloc(length + 1);        /* of exactly that size, for sanitizers */
    norma_value *contents = NULL;
    norma_error error;
    memcpy(part, file, length);
    assert_int_equal(npy_decode(runtime, part, length, &contents, &error), NORMA_ERROR_FORMAT);
    free(part);
  }
  assert_refused("{'descr': '<f4', 'fortran_order': False, }", data, 16, NORMA_ERROR_FORMAT, "not understood");
  assert_refused("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 2), }", data, 16, NORMA_ERROR_FORMAT,
                 "not understood");
  assert_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", data, 16, NORMA_ERROR_FORMAT,
                 "not understood");
  assert_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1), }", data, 16,
                 NORMA_ERROR_FORMAT, "16 dimensions");
  assert_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", data, 16,
                 NORMA_ERROR_FORMAT, "");
  assert_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", data, 16,
                 NORMA_ERROR_FORMAT, "");
  assert_refused("{'descr': '<U4611686018427387904', 'fortran_order': False, 'shape': (1,), }", data, 16,
                 NORMA_ERROR_UNSUPPORTED, "");
  file[6] = 9;
  norma_value *contents = NULL;
  norma_error error;
  assert_int_equal(npy_decode(runtime, file, size, &contents, &error), NORMA_ERROR_UNSUPPORTED);
}

/* -------------------------------------------------------------------------------------------------------------- npz */

static void put(unsigned char **at, uint64_t number, int bytes) {
  for (int i = 0; i < bytes; i++) *(*at)++ = (unsigned char)(number >> (8 * i));
}

static uint32_t crc_of(const unsigned char *bytes, size_t size) {
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < size; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

/* An archive with one member x.npy. method 8: one stored block of deflate. Sizes stand in zip64 fields where `wide`. */
static size_t make_archive(unsigned char *archive, const unsigned char *member, size_t size, int method, bool wide) {
  unsigned char *at = archive, packed[600];
  size_t packed_size = size;
  memcpy(packed, member, size);
  if (method == 8) {
    packed[0] = 1;
    packed[1] = (unsigned char)size;
    packed[2] = (unsigned char)(size >> 8);
    packed[3] = (unsigned char)~packed[1];
    packed[4] = (unsigned char)~packed[2];
    memcpy(packed + 5, member, size);
    packed_size += 5;
  }
  uint32_t crc = crc_of(member, size);
  put(&at, 0x04034B50, 4), put(&at, 20, 2), put(&at, 0, 2), put(&at, (uint64_t)method, 2), put(&at, 0, 4),
      put(&at, crc, 4);
  put(&at, packed_size, 4), put(&at, size, 4), put(&at, 5, 2), put(&at, 0, 2);
  memcpy(at, "x.npy", 5), at += 5;
  memcpy(at, packed, packed_size), at += packed_size;
  size_t directory = (size_t)(at - archive);
  put(&at, 0x02014B50, 4), put(&at, 20, 2), put(&at, 20, 2), put(&at, 0, 2), put(&at, (uint64_t)method, 2),
      put(&at, 0, 4);
  put(&at, crc, 4), put(&at, wide ? 0xFFFFFFFF : packed_size, 4), put(&at, wide ? 0xFFFFFFFF : size, 4);
  put(&at, 5, 2), put(&at, wide ? 20 : 0, 2), put(&at, 0, 2), put(&at, 0, 2), put(&at, 0, 2), put(&at, 0, 4),
      put(&at, 0, 4);
  memcpy(at, "x.npy", 5), at += 5;
  if (wide) put(&at, 1, 2), put(&at, 16, 2), put(&at, size, 8), put(&at, packed_size, 8);
  size_t directory_size = (size_t)(at - archive) - directory;
  put(&at, 0x06054B50, 4), put(&at, 0, 4), put(&at, 1, 2), put(&at, 1, 2), put(&at, directory_size, 4);
  put(&at, directory, 4), put(&at, 3, 2);
  memcpy(at, "end", 3), at += 3; /* a comment */
  return (size_t)(at - archive);
}

static const float four[] = {1, 2, 3, 4};

static size_t make_test_archive(unsigned char *archive, int method, bool wide) {
  unsigned char member[256];
  size_t size = make_file(member, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }", four, sizeof four);
  return make_archive(archive, member, size, method, wide);
}

static norma_status read_archive(const void *archive, size_t size, norma_value **into, norma_error *error) {
  npz_member *members;
  size_t count;
  norma_status status = npz_list(archive, size, &members, &count, error);
  if (status != NORMA_OK) return status;
  *into = NULL;
  if (count == 0) {
    status = NORMA_ERROR_FORMAT;
  } else {
    status = npz_decode(runtime, &members[0], into, error);
  }
  free(members);
  return status;
}

static void members_are_read(void **state) {
  (void)state;
  unsigned char archive[1024];
  for (int wide = 0; wide < 2; wide++) {
    size_t size = make_test_archive(archive, 0, wide);
    npz_member *members;
    size_t count;
    norma_value *contents;
    norma_error error;
    assert_true(npz_recognise(archive, size));
    assert_int_equal(npz_list(archive, size, &members, &count, &error), NORMA_OK);
    assert_int_equal(count, 1);
    assert_int_equal(members[0].name_size, 1);
    assert_memory_equal(members[0].name, "x", 1);
    free(members);
    assert_int_equal(read_archive(archive, size, &contents, &error), NORMA_OK);
    assert_memory_equal(norma_value_tensor(contents)->data, four, sizeof four);
    norma_value_destroy(contents);
    size = make_test_archive(archive, 8, wide);
    norma_status status = read_archive(archive, size, &contents, &error);
#ifdef NORMA_HAVE_ZLIB
    assert_int_equal(status, NORMA_OK);
    assert_memory_equal(norma_value_tensor(contents)->data, four, sizeof four);
    norma_value_destroy(contents);
#else
    assert_int_equal(status, NORMA_ERROR_UNSUPPORTED);
#endif
  }
}

static void damaged_archives_are_refused(void **state) {
  (void)state;
  unsigned char archive[1024];
  for (int method = 0; method <= 8; method += 8) {
    size_t size = make_test_archive(archive, method, true);
    for (size_t length = 0; length < size - 3; length++) { /* without the comment, which may be cut */
      unsigned char *part = malloc(length + 1);
      norma_value *contents;
      norma_error error;
      memcpy(part, archive, length);
      assert_int_not_equal(read_archive(part, length, &contents, &error), NORMA_OK);
      free(part);
    }
    for (size_t at = 0; at < size;
         at++) { /* a flipped byte may go unnoticed, but nothing breaks and no number changes */
      for (int bit = 0; bit < 8; bit++) {
        unsigned char *copy = malloc(size);
        norma_value *contents;
        norma_error error;
        memcpy(copy, archive, size);
        copy[at] ^= (unsigned char)(1 << bit);
        if (read_archive(copy, size, &contents, &error) == NORMA_OK) {
          assert_memory_equal(norma_value_tensor(contents)->data, four, sizeof four);
          norma_value_destroy(contents);
        }
        free(copy);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_read_back),
      cmocka_unit_test(types_that_numpy_lacks_are_not_held),
      cmocka_unit_test(fortran_order_is_transposed),
      cmocka_unit_test(big_endian_is_turned),
      cmocka_unit_test(later_versions_and_bool),
      cmocka_unit_test(text_becomes_utf8),
      cmocka_unit_test(text_that_would_change_is_not_held),
      cmocka_unit_test(empty_arrays),
      cmocka_unit_test(what_is_no_tensor_is_refused),
      cmocka_unit_test(damage_is_refused),
      cmocka_unit_test(members_are_read),
      cmocka_unit_test(damaged_archives_are_refused),
  };
  return cmocka_run_group_tests(tests, tool_runtime_begin, tool_runtime_end);
}
