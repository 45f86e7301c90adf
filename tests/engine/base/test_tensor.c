/* Sizes, shapes, broadcasting, and values that hold references. */
#include "engine/base/tensor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void sizes(void **state) {
  (void)state;
  size_t bytes;
  assert_int_equal(norma_tensor_size(NORMA_FLOAT, 0, NULL, &bytes), NORMA_OK);
  assert_int_equal(bytes, 4);
  assert_int_equal(norma_tensor_size(NORMA_INT4, 2, (int64_t[]){3, 5}, &bytes), NORMA_OK);
  assert_int_equal(bytes, 8);
  assert_int_equal(norma_tensor_size(NORMA_FLOAT6E2M3, 1, (int64_t[]){4}, &bytes), NORMA_OK);
  assert_int_equal(bytes, 3);
  assert_int_equal(norma_tensor_size(NORMA_DOUBLE, 3, (int64_t[]){INT32_MAX, 0, 5}, &bytes), NORMA_OK);
  assert_int_equal(bytes, 0);
  /* A product of dimensions is within bounds whichever of them are left out. */
  assert_int_equal(norma_tensor_size(NORMA_DOUBLE, 3, (int64_t[]){INT64_MAX, 0, INT64_MAX}, &bytes),
                   NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_tensor_size(NORMA_FLOAT, 2, (int64_t[]){INT64_MAX, 2}, &bytes), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_tensor_size(NORMA_FLOAT, 1, (int64_t[]){INT64_MAX}, &bytes), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_tensor_size(NORMA_FLOAT, 1, (int64_t[]){-1}, &bytes), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_tensor_size(NORMA_UNDEFINED, 0, NULL, &bytes), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_tensor_size((norma_element_type)99, 0, NULL, &bytes), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_tensor_size(NORMA_FLOAT, NORMA_MAX_RANK + 1, (int64_t[17]){0}, &bytes), NORMA_ERROR_ARGUMENT);
}

static shape make(int rank, ...) {
  shape result = {.rank = rank};
  va_list dims;
  va_start(dims, rank);
  for (int i = 0; i < rank; i++) result.dims[i] = va_arg(dims, int);
  va_end(dims);
  return result;
}

static void expect_broadcast(shape a, shape b, const char *expected) {
  char text[200];
  for (int swapped = 0; swapped < 2; swapped++) {
    shape result;
    bool fits = swapped ? shape_broadcast(&b, &a, &result) : shape_broadcast(&a, &b, &result);
    assert_string_equal(fits ? shape_text(&result, text, sizeof text) : "no", expected);
  }
}

static void broadcasting(void **state) {
  (void)state;
  expect_broadcast(make(2, 3, 4), make(1, 4), "3x4");
  expect_broadcast(make(2, 3, 1), make(3, 5, 1, 4), "5x3x4");
  expect_broadcast(make(0), make(2, 2, 0), "2x0");
  expect_broadcast(make(1, 1), make(1, 0), "0");
  expect_broadcast(make(2, 3, 4), make(1, 3), "no");
  expect_broadcast(make(1, -1), make(1, 4), "4");
  expect_broadcast(make(1, -1), make(1, 1), "?");
  expect_broadcast(make(1, -1), make(2, 2, -1), "2x?");
  expect_broadcast(shape_unknown(), make(1, 4), "?");
}

static void merging(void **state) {
  (void)state;
  shape a = make(3, 2, -1, 4), b = make(3, -1, 3, 4), wrong = make(3, 2, 3, 5);
  assert_true(shape_merge(&a, &b));
  shape expected = make(3, 2, 3, 4);
  assert_true(shape_equal(&a, &expected));
  assert_false(shape_merge(&a, &wrong));
  shape unknown = shape_unknown();
  assert_true(shape_merge(&unknown, &a));
  assert_true(shape_equal(&unknown, &a));
  int axis;
  assert_true(axis_normalize(-3, 3, &axis));
  assert_int_equal(axis, 0);
  assert_false(axis_normalize(3, 3, &axis));
  assert_false(axis_normalize(INT64_MIN, 3, &axis));
  assert_int_equal(shape_count(&expected), 24);
  shape open = make(2, -1, 4), empty = make(2, -1, 0);
  assert_int_equal(shape_count(&open), DIM_UNKNOWN);
  assert_int_equal(shape_count(&empty), 0);
}

static void values_hold_references(void **state) {
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 0);
  shape shape = make(2, 2, 3);
  value owned, shared, copied, borrowed;
  assert_int_equal(value_allocate_tensor(&memory, &owned, NORMA_INT32, &shape, NULL), NORMA_OK);
  for (int i = 0; i < 6; i++) ((int32_t *)owned.tensor.data)[i] = i;
  value_share(&shared, &owned);
  assert_ptr_equal(shared.tensor.data, owned.tensor.data);
  borrowed = owned;
  borrowed.owner = NULL;
  assert_int_equal(value_copy(&memory, &copied, &borrowed, NULL), NORMA_OK);
  assert_ptr_not_equal(copied.tensor.data, owned.tensor.data);
  assert_memory_equal(copied.tensor.data, owned.tensor.data, 24);
  value_clear(&owned);
  assert_int_equal(((int32_t *)shared.tensor.data)[5], 5);
  value list;
  assert_int_equal(value_allocate_list(&memory, &list, NORMA_VALUE_SEQUENCE, 2, NULL), NORMA_OK);
  value_share(&list.list->items[0], &shared);
  value_share(&list.list->items[1], &copied);
  value_clear(&shared);
  value_clear(&copied);
  assert_int_equal(norma_value_count(&list), 2);
  assert_int_equal(((int32_t *)norma_value_tensor(norma_value_element(&list, 0))->data)[4], 4);
  assert_null(norma_value_element(&list, 2));
  value_clear(&list);
  assert_int_equal(atomic_load(&memory.used), 0);
}

static void strings_are_copied_whole(void **state) {
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 0);
  norma_string words[2] = {{"nor", 3}, {"", 0}};
  value from = {.kind = NORMA_VALUE_TENSOR}, copy;
  norma_tensor_init(&from.tensor, NORMA_STRING, 1, (int64_t[]){2}, words);
  assert_int_equal(value_copy(&memory, &copy, &from, NULL), NORMA_OK);
  const norma_string *copies = copy.tensor.data;
  assert_ptr_not_equal(copies[0].data, words[0].data);
  assert_int_equal(copies[0].size, 3);
  assert_memory_equal(copies[0].data, "nor", 3);
  assert_int_equal(copies[1].size, 0);
  value_clear(&copy);
  assert_int_equal(atomic_load(&memory.used), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes),
      cmocka_unit_test(broadcasting),
      cmocka_unit_test(merging),
      cmocka_unit_test(values_hold_references),
      cmocka_unit_test(strings_are_copied_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
