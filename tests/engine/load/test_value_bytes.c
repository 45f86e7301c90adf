/* Values to bytes and back: every kind, and bytes that are none. */
#include "engine/norma.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static norma_runtime *runtime;
static norma_error error;

static int set_up(void **state) {
  (void)state;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  return norma_runtime_create(&options, &runtime, &error) == NORMA_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  norma_runtime_destroy(runtime);
  return 0;
}

typedef struct bytes {
  unsigned char data[8192];
  size_t size, room;
} bytes;

static bool append(void *context, const void *data, size_t count) {
  bytes *bytes = context;
  if (count > bytes->room - bytes->size) return false;
  memcpy(bytes->data + bytes->size, data, count);
  bytes->size += count;
  return true;
}

static norma_value *numbers(norma_element_type type, int64_t count, int64_t first) {
  norma_value *value;
  assert_int_equal(norma_value_allocate_tensor(runtime, type, 1, &count, &value, &error), NORMA_OK);
  norma_tensor tensor = *norma_value_tensor(value);
  memset(tensor.data, 0, tensor.size_bytes);
  for (int64_t i = 0; i < count; i++) {
    assert_int_equal(norma_tensor_set_integers(&tensor, i, 1, (int64_t[]){first + i}), NORMA_OK);
  }
  return value;
}

static void assert_same(const norma_value *expected, const norma_value *actual) {
  assert_int_equal(norma_value_get_kind(actual), norma_value_get_kind(expected));
  assert_int_equal(norma_value_count(actual), norma_value_count(expected));
  for (size_t i = 0; i < norma_value_count(expected); i++) {
    assert_same(norma_value_element(expected, i), norma_value_element(actual, i));
  }
  const norma_tensor *left = norma_value_tensor(expected), *right = norma_value_tensor(actual);
  if (!left) return;
  assert_true(left->type == right->type && left->rank == right->rank && left->size_bytes == right->size_bytes);
  assert_memory_equal(left->dims, right->dims, (size_t)left->rank * sizeof left->dims[0]);
  if (left->type != NORMA_STRING) {
    assert_memory_equal(left->data, right->data, left->size_bytes);
    return;
  }
  const norma_string *a = left->data, *b = right->data;
  for (int64_t i = 0; i < norma_tensor_count(left); i++) {
    assert_int_equal(a[i].size, b[i].size);
    if (a[i].size) assert_memory_equal(a[i].data, b[i].data, a[i].size);
  }
}

/* Writes, reads and compares; destroys the value. */
static void round_trip(norma_value *value) {
  bytes written = {.room = sizeof written.data};
  norma_value *back;
  if (norma_value_write(runtime, value, "name", append, &written, &error) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(norma_value_read(runtime, written.data, written.size, norma_value_get_kind(value), &back, &error),
                   NORMA_OK);
  memset(&written, 0xA5, sizeof written.data); /* nothing of it is kept */
  assert_same(value, back);
  norma_value_destroy(back);
  norma_value_destroy(value);
}

static void every_kind_comes_back(void **state) {
  (void)state;
  norma_string words[] = {{"a", 1}, {NULL, 0}, {"b\0c", 3}};
  norma_value *text, *sequence, *optional, *map;
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    norma_element_class kind = norma_element_type_class((norma_element_type)type);
    if (kind == NORMA_CLASS_STRING || kind == NORMA_CLASS_COMPLEX || kind == NORMA_CLASS_BOOL) continue;
    round_trip(numbers((norma_element_type)type, 5, 0));
  }
  assert_int_equal(norma_value_create_strings(runtime, 1, (int64_t[]){3}, words, &text, &error), NORMA_OK);
  norma_value *keys = numbers(NORMA_INT32, 3, -1), *floats = numbers(NORMA_FLOAT, 3, 7);
  assert_int_equal(norma_value_create_sequence(runtime, (const norma_value *[]){floats, floats}, 2, &sequence, &error),
                   NORMA_OK);
  assert_int_equal(norma_value_create_map(runtime, keys, floats, &map, &error), NORMA_OK);
  round_trip(map);
  assert_int_equal(norma_value_create_map(runtime, text, keys, &map, &error), NORMA_OK);
  assert_int_equal(norma_value_create_optional(runtime, map, &optional, &error), NORMA_OK);
  round_trip(optional);
  assert_int_equal(norma_value_create_optional(runtime, sequence, &optional, &error), NORMA_OK);
  round_trip(optional);
  assert_int_equal(norma_value_create_optional(runtime, NULL, &optional, &error), NORMA_OK);
  round_trip(optional);
  norma_value *outer;
  assert_int_equal(norma_value_create_sequence(runtime, (const norma_value *[]){sequence}, 1, &outer, &error),
                   NORMA_OK);
  round_trip(outer);
  round_trip(map);
  round_trip(sequence);
  round_trip(text);
  norma_value_destroy(keys);
  norma_value_destroy(floats);
}

static void depth_is_bounded(void **state) {
  (void)state;
  static bytes written;
  norma_value *value = numbers(NORMA_FLOAT, 1, 0), *outer;
  norma_status status = NORMA_OK;
  int depth = 0;
  for (; status == NORMA_OK && depth < 100; depth++) {
    assert_int_equal(norma_value_create_optional(runtime, value, &outer, &error), NORMA_OK);
    norma_value_destroy(value);
    value = outer;
    written = (bytes){.room = sizeof written.data};
    status = norma_value_write(runtime, value, NULL, append, &written, &error);
  }
  assert_int_equal(status, NORMA_ERROR_BUDGET);
  assert_int_equal(depth, 49);
  norma_value_destroy(value);
}

static void what_is_wrong_is_refused(void **state) {
  (void)state;
  norma_value *value = numbers(NORMA_FLOAT, 4, 0), *back = value;
  bytes written = {.room = sizeof written.data};
  assert_int_equal(norma_value_write(runtime, value, NULL, append, &written, &error), NORMA_OK);
  assert_int_equal(norma_value_read(runtime, written.data, written.size - 1, NORMA_VALUE_TENSOR, &back, &error),
                   NORMA_ERROR_FORMAT);
  assert_null(back);
  assert_int_equal(norma_value_read(runtime, "\xFF\xFF", 2, NORMA_VALUE_SEQUENCE, &back, &error), NORMA_ERROR_FORMAT);
  assert_int_equal(norma_value_read(runtime, written.data, written.size, NORMA_VALUE_NONE, &back, &error),
                   NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_value_read(runtime, NULL, 1, NORMA_VALUE_TENSOR, &back, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_value_read(NULL, written.data, 1, NORMA_VALUE_TENSOR, &back, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_value_read(runtime, written.data, 1, NORMA_VALUE_TENSOR, NULL, &error), NORMA_ERROR_ARGUMENT);
  bytes narrow = {.room = 5};
  assert_int_equal(norma_value_write(runtime, value, NULL, append, &narrow, &error), NORMA_ERROR_FILE);
  assert_int_equal(norma_value_write(runtime, NULL, NULL, append, &narrow, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_value_write(runtime, value, NULL, NULL, &narrow, &error), NORMA_ERROR_ARGUMENT);
  norma_value_destroy(value);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(every_kind_comes_back, set_up, tear_down),
      cmocka_unit_test_setup_teardown(depth_is_bounded, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_wrong_is_refused, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
