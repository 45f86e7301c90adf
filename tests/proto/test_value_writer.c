/* Values as bytes that read the same; values that have no form as a message are refused. */
#include "proto/value_writer.h"

#include "proto/value_reader.h"
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

/* Writes a value and reads it again. */
static void write_and_read(const value *from, value *into) {
  void *bytes;
  size_t size;
  *into = (value){0};
  assert_int_equal(value_write_memory(&account, from, "v", &bytes, &size, &error), NORMA_OK);
  assert_int_equal(value_read_memory(&account, bytes, size, from->kind, into, &error), NORMA_OK);
  assert_int_equal(into->kind, from->kind);
  memory_free(&account, bytes);
}

static void make_list(value *into, norma_value_kind kind, int64_t count) {
  assert_int_equal(value_allocate_list(&account, into, kind, count, &error), NORMA_OK);
}

static void make_floats(value *into, int64_t count, float first) {
  shape shape = shape_of_rank(1);
  shape.dims[0] = count;
  assert_int_equal(value_allocate_tensor(&account, into, NORMA_FLOAT, &shape, &error), NORMA_OK);
  for (int64_t i = 0; i < count; i++) ((float *)into->tensor.data)[i] = first + (float)i;
}

static void make_strings(value *into, int64_t count, const char *const *texts) {
  shape shape = shape_of_rank(1);
  char *characters;
  size_t bytes = 0;
  shape.dims[0] = count;
  for (int64_t i = 0; i < count; i++) bytes += strlen(texts[i]);
  assert_int_equal(value_allocate_strings(&account, into, &shape, bytes, &characters, &error), NORMA_OK);
  for (int64_t i = 0; i < count; i++) {
    const size_t size = strlen(texts[i]);
    memcpy(characters, texts[i], size);
    ((norma_string *)into->tensor.data)[i] = (norma_string){characters, size};
    characters += size;
  }
}

/* ------------------------------------------------------------------------------------------------------ round trips */

static void tensors_of_every_type(void **state) {
  (void)state;
  for (int type = 1; type < 40; type++) {
    value tensor, read;
    if (!element_type_exists((norma_element_type)type)) continue;
    shape shape = shape_make(2, (int64_t[]){3, 5});
    if (type == NORMA_STRING) {
      make_strings(&tensor, 3, (const char *const[]){"", "one", "\xE2\x82\xAC"});
    } else {
      assert_int_equal(value_allocate_tensor(&account, &tensor, (norma_element_type)type, &shape, &error), NORMA_OK);
      for (size_t i = 0; i < tensor.tensor.size_bytes; i++) {
        ((unsigned char *)tensor.tensor.data)[i] = (unsigned char)(type == NORMA_BOOL ? i % 2 : i * 37 % 16);
      }
    }
    write_and_read(&tensor, &read);
    assert_int_equal(read.tensor.type, type);
    assert_int_equal(read.tensor.rank, tensor.tensor.rank);
    if (type != NORMA_STRING) assert_memory_equal(read.tensor.data, tensor.tensor.data, tensor.tensor.size_bytes);
    if (type == NORMA_STRING) assert_memory_equal(((norma_string *)read.tensor.data)[2].data, "\xE2\x82\xAC", 3);
    value_clear(&read);
    value_clear(&tensor);
  }
}

static void sequences_and_optionals(void **state) {
  (void)state;
  value sequence, optional, read;
  assert_int_equal(value_allocate_list(&account, &sequence, NORMA_VALUE_SEQUENCE, 2, &error), NORMA_OK);
  make_floats(&sequence.list->items[0], 3, 1);
  make_floats(&sequence.list->items[1], 0, 1);
  assert_int_equal(value_allocate_list(&account, &optional, NORMA_VALUE_OPTIONAL, 1, &error), NORMA_OK);
  optional.list->items[0] = sequence;
  write_and_read(&optional, &read);
  assert_int_equal(read.list->count, 1);
  const value *inner = &read.list->items[0];
  assert_int_equal(inner->kind, NORMA_VALUE_SEQUENCE);
  assert_int_equal(inner->list->count, 2);
  assert_true(((float *)inner->list->items[0].tensor.data)[2] == 3);
  assert_int_equal(inner->list->items[1].tensor.dims[0], 0);
  value_clear(&read);
  value_clear(&optional);

  assert_int_equal(value_allocate_list(&account, &optional, NORMA_VALUE_OPTIONAL, 0, &error), NORMA_OK);
  write_and_read(&optional, &read);
  assert_int_equal(read.list->count, 0);
  value_clear(&read);
  value_clear(&optional);
  assert_int_equal(value_allocate_list(&account, &sequence, NORMA_VALUE_SEQUENCE, 0, &error), NORMA_OK);
  write_and_read(&sequence, &read);
  assert_int_equal(read.list->count, 0);
  value_clear(&read);
  value_clear(&sequence);
}

/* Maps of integers and of texts, to numbers, to texts and to containers. */
static void maps(void **state) {
  (void)state;
  static const char *const words[] = {"a", "", "word"};
  for (int form = 0; form < 4; form++) {
    value map, read;
    make_list(&map, NORMA_VALUE_MAP, 2);
    value *keys = &map.list->items[0], *values = &map.list->items[1];
    if (form % 2) make_strings(keys, 3, words);
    shape three = shape_make(1, (int64_t[]){3});
    if (form % 2 == 0) {
      assert_int_equal(value_allocate_tensor(&account, keys, NORMA_INT16, &three, &error), NORMA_OK);
      for (int i = 0; i < 3; i++) ((int16_t *)keys->tensor.data)[i] = (int16_t)(-300 * i);
    }
    if (form < 2) make_floats(values, 3, 7);
    if (form == 2) make_strings(values, 3, words);
    if (form == 3) make_list(values, NORMA_VALUE_SEQUENCE, 3);
    for (int i = 0; form == 3 && i < 3; i++) {
      make_list(&values->list->items[i], NORMA_VALUE_SEQUENCE, 1);
      make_floats(&values->list->items[i].list->items[0], i, 1);
    }
    write_and_read(&map, &read);
    assert_int_equal(read.list->count, 2);
    const value *read_keys = &read.list->items[0], *read_values = &read.list->items[1];
    if (form % 2) assert_int_equal(((norma_string *)read_keys->tensor.data)[2].size, 4);
    if (form % 2 == 0) assert_int_equal(tensor_get_int64(&read_keys->tensor, 2), -600);
    if (form < 2) assert_true(((float *)read_values->tensor.data)[2] == 9);
    if (form >= 2) assert_int_equal(read_values->list->count, 3);
    if (form == 2) assert_memory_equal(((norma_string *)read_values->list->items[2].tensor.data)->data, "word", 4);
    if (form == 3) assert_int_equal(read_values->list->items[2].list->items[0].tensor.dims[0], 2);
    value_clear(&read);
    value_clear(&map);
  }
}

/* The name is in the bytes; there need not be one. */
static void names_are_written(void **state) {
  (void)state;
  value tensor;
  void *bytes;
  size_t size, plain;
  make_floats(&tensor, 2, 1);
  assert_int_equal(value_write_memory(&account, &tensor, NULL, &bytes, &plain, &error), NORMA_OK);
  memory_free(&account, bytes);
  assert_int_equal(value_write_memory(&account, &tensor, "called", &bytes, &size, &error), NORMA_OK);
  assert_int_equal(size, plain + 8);
  assert_memory_equal((char *)bytes + size - 6 - 10, "called", 6); /* in front of the data */
  memory_free(&account, bytes);
  value_clear(&tensor);
}

/* ------------------------------------------------------------------------------------------------- what has no form */

static void expect_refused(value *from, const char *part) {
  void *bytes;
  size_t size;
  memset(&error, 0, sizeof error);
  assert_int_equal(value_write_memory(&account, from, "v", &bytes, &size, &error), NORMA_ERROR_ARGUMENT);
  if (!strstr(error.message, part)) fail_msg("expected '%s' in '%s'", part, error.message);
  assert_int_equal(value_write_memory(&account, from, "v", &bytes, &size, NULL), NORMA_ERROR_ARGUMENT);
  value_clear(from);
}

static void missing_values_cannot_be_written(void **state) {
  (void)state;
  value none = {0}, list;
  expect_refused(&none, "no value");
  make_list(&list, NORMA_VALUE_SEQUENCE, 2); /* of which the second is there */
  make_floats(&list.list->items[1], 1, 1);
  expect_refused(&list, "no value");
  make_list(&list, NORMA_VALUE_OPTIONAL, 1);
  expect_refused(&list, "no value");
  make_list(&list, NORMA_VALUE_OPTIONAL, 1);
  make_list(&list.list->items[0], NORMA_VALUE_SEQUENCE, 1); /* further inside */
  expect_refused(&list, "no value");
}

/* A sequence has elements of one kind, an optional one at most. */
static void mixed_containers_cannot_be_written(void **state) {
  (void)state;
  value list;
  for (int first = 0; first < 2; first++) {
    make_list(&list, NORMA_VALUE_SEQUENCE, 2);
    make_floats(&list.list->items[first], 1, 1);
    make_list(&list.list->items[1 - first], NORMA_VALUE_SEQUENCE, 0);
    expect_refused(&list, "different kinds");
  }
  make_list(&list, NORMA_VALUE_OPTIONAL, 2);
  for (int i = 0; i < 2; i++) make_floats(&list.list->items[i], 1, 1);
  expect_refused(&list, "more than one element");
}

/* A map has as many values as keys, which are integers or texts. */
static void wrong_maps_cannot_be_written(void **state) {
  enum { ONE_PART, NO_KEYS, FLOAT_KEYS, MORE_KEYS, MORE_VALUES, LISTED_VALUES, OPTIONAL_VALUES, PACKED_VALUES, COUNT };
  static const char *const words[] = {"a", "b", "c"};
  (void)state;
  for (int form = 0; form < COUNT; form++) {
    value map;
    make_list(&map, NORMA_VALUE_MAP, form == ONE_PART ? 1 : 2);
    value *keys = &map.list->items[0], *values = &map.list->items[1];
    if (form == NO_KEYS) make_list(keys, NORMA_VALUE_SEQUENCE, 0);
    if (form == FLOAT_KEYS) make_floats(keys, 2, 1);
    if (form != NO_KEYS && form != FLOAT_KEYS) make_strings(keys, form == MORE_KEYS ? 3 : 2, words);
    if (form == LISTED_VALUES) {
      make_list(values, NORMA_VALUE_SEQUENCE, 3);
      for (int i = 0; i < 3; i++) make_floats(&values->list->items[i], 1, 1);
    } else if (form == OPTIONAL_VALUES) {
      make_list(values, NORMA_VALUE_OPTIONAL, 1);
      make_floats(&values->list->items[0], 2, 1);
    } else if (form == PACKED_VALUES) { /* which cannot stand one by one */
      shape two = shape_make(1, (int64_t[]){2});
      assert_int_equal(value_allocate_tensor(&account, values, NORMA_INT4, &two, &error), NORMA_OK);
    } else if (form != ONE_PART) {
      make_floats(values, form == MORE_VALUES ? 3 : 2, 1);
    }
    expect_refused(&map, "a map");
  }
}

/* ------------------------------------------------------------------------------------------------- failing to write */

static bool take_some(void *context, const void *bytes, size_t count) {
  size_t *left = context;
  (void)bytes;
  if (count > *left) return false;
  *left -= count;
  return true;
}

static value make_everything(void) {
  value sequence;
  make_list(&sequence, NORMA_VALUE_SEQUENCE, 2);
  for (int i = 0; i < 2; i++) {
    value *map = &sequence.list->items[i];
    make_list(map, NORMA_VALUE_MAP, 2);
    make_strings(&map->list->items[0], 2, (const char *const[]){"a", "b"});
    make_floats(&map->list->items[1], 2, 1);
  }
  return sequence;
}

static void writing_may_fail(void **state) {
  (void)state;
  void *bytes;
  size_t size;
  value sequence = make_everything();
  assert_int_equal(value_write_memory(&account, &sequence, "v", &bytes, &size, &error), NORMA_OK);
  memory_free(&account, bytes);
  for (size_t room = 0; room <= size; room++) {
    size_t left = room;
    norma_status status = value_write(&account, &sequence, "v", take_some, &left, &error);
    assert_int_equal(status, room < size ? NORMA_ERROR_FILE : NORMA_OK);
  }
  value_clear(&sequence);
}

static norma_status write_in(void *context, const norma_allocator *allocator, norma_error *failed) {
  memory limited;
  void *bytes;
  size_t size;
  memory_init(&limited, allocator, 0);
  norma_status status = value_write_memory(&limited, context, "v", &bytes, &size, failed);
  if (status == NORMA_OK) memory_free(&limited, bytes);
  assert_int_equal(atomic_load(&limited.used), 0);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  value sequence = make_everything();
  assert_int_equal(fail_each_allocation(write_in, &sequence), 0);
  value_clear(&sequence);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(tensors_of_every_type),
      TEST(sequences_and_optionals),
      TEST(maps),
      TEST(names_are_written),
      TEST(missing_values_cannot_be_written),
      TEST(mixed_containers_cannot_be_written),
      TEST(wrong_maps_cannot_be_written),
      TEST(writing_may_fail),
      TEST(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
