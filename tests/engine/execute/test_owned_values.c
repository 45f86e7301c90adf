/* Values that callers make: what they own, share and borrow, and that nothing is left when they are gone. */
#include "tests/support/counting_allocator.h"

#include "engine/norma.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static counting_allocator counting;
static norma_runtime *runtime;
static norma_error error;

static int set_up(void **state) {
  (void)state;
  memset(&counting, 0, sizeof counting);
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  options.allocator = counting_allocator_functions(&counting);
  return norma_runtime_create(&options, &runtime, &error) == NORMA_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  norma_runtime_destroy(runtime);
  return atomic_load(&counting.outstanding) == 0 ? 0 : -1; /* every value was freed */
}

static norma_tensor tensor_over(norma_element_type type, int rank, const int64_t *dims, void *data) {
  norma_tensor tensor;
  assert_int_equal(norma_tensor_init(&tensor, type, rank, dims, data), NORMA_OK);
  return tensor;
}

static norma_value *floats(int64_t count, float first) {
  norma_value *value;
  assert_int_equal(norma_value_allocate_tensor(runtime, NORMA_FLOAT, 1, &count, &value, &error), NORMA_OK);
  float *data = norma_value_tensor(value)->data;
  for (int64_t i = 0; i < count; i++) data[i] = first + (float)i;
  return value;
}

/* ---------------------------------------------------------------------------------------------------------- tensors */

static void a_created_tensor_is_a_copy(void **state) {
  (void)state;
  float data[] = {1, 2, 3, 4, 5, 6};
  norma_tensor tensor = tensor_over(NORMA_FLOAT, 2, (int64_t[]){2, 3}, data);
  norma_value *value;
  assert_int_equal(norma_value_create_tensor(runtime, &tensor, &value, &error), NORMA_OK);
  data[0] = 9;
  const norma_tensor *held = norma_value_tensor(value);
  assert_int_equal(norma_value_get_kind(value), NORMA_VALUE_TENSOR);
  assert_true(held->rank == 2 && held->dims[0] == 2 && held->dims[1] == 3 && held->size_bytes == sizeof data);
  assert_true(((const float *)held->data)[0] == 1 && ((const float *)held->data)[5] == 6);
  assert_int_equal((uintptr_t)held->data % 64, 0);
  norma_value_destroy(value);
}

static void tensors_without_elements_and_scalars(void **state) {
  (void)state;
  norma_value *value;
  norma_tensor empty = tensor_over(NORMA_INT64, 2, (int64_t[]){0, 3}, NULL);
  assert_int_equal(norma_value_create_tensor(runtime, &empty, &value, &error), NORMA_OK);
  assert_int_equal(norma_tensor_count(norma_value_tensor(value)), 0);
  norma_value_destroy(value);
  double one = 1.5;
  norma_tensor scalar = tensor_over(NORMA_DOUBLE, 0, NULL, &one);
  assert_int_equal(norma_value_create_tensor(runtime, &scalar, &value, &error), NORMA_OK);
  assert_true(*(const double *)norma_value_tensor(value)->data == 1.5);
  norma_value_destroy(value);
  norma_value_destroy(NULL);
}

static void strings_are_copied_with_their_characters(void **state) {
  (void)state;
  char text[] = "one\0two";
  norma_string strings[] = {{text, 3}, {NULL, 0}, {text, 7}, {text + 4, 3}};
  norma_value *value, *copy;
  assert_int_equal(norma_value_create_strings(runtime, 2, (int64_t[]){2, 2}, strings, &value, &error), NORMA_OK);
  memset(text, 'x', sizeof text);
  memset(strings, 0, sizeof strings);
  assert_int_equal(norma_value_copy(runtime, value, &copy, &error), NORMA_OK);
  norma_value_destroy(value);
  const norma_string *held = norma_value_tensor(copy)->data;
  assert_int_equal(norma_value_tensor(copy)->type, NORMA_STRING);
  assert_true(held[0].size == 3 && memcmp(held[0].data, "one", 3) == 0);
  assert_int_equal(held[1].size, 0);
  assert_true(held[2].size == 7 && memcmp(held[2].data, "one\0two", 7) == 0);
  assert_true(held[3].size == 3 && memcmp(held[3].data, "two", 3) == 0);
  norma_value_destroy(copy);
  assert_int_equal(norma_value_allocate_tensor(runtime, NORMA_STRING, 1, (int64_t[]){3}, &value, &error), NORMA_OK);
  held = norma_value_tensor(value)->data;
  for (int i = 0; i < 3; i++) assert_int_equal(held[i].size, 0);
  norma_value_destroy(value);
}

static void count_release(void *context) {
  ++*(int *)context;
}

static void an_adopted_tensor_is_released_once_by_the_last_that_needs_it(void **state) {
  (void)state;
  static float data[3] = {1, 2, 3};
  int released = 0;
  norma_tensor tensor = tensor_over(NORMA_FLOAT, 1, (int64_t[]){3}, data);
  norma_value *value, *copy, *sequence;
  assert_int_equal(norma_value_adopt_tensor(runtime, &tensor, count_release, &released, &value, &error), NORMA_OK);
  assert_ptr_equal(norma_value_tensor(value)->data, data);
  assert_int_equal(norma_value_copy(runtime, value, &copy, &error), NORMA_OK);
  assert_ptr_equal(norma_value_tensor(copy)->data, data); /* shared */
  assert_int_equal(norma_value_create_sequence(runtime, (const norma_value *[]){value, copy}, 2, &sequence, &error),
                   NORMA_OK);
  norma_value_destroy(value);
  norma_value_destroy(copy);
  assert_int_equal(released, 0);
  assert_ptr_equal(norma_value_tensor(norma_value_element(sequence, 1))->data, data);
  norma_value_destroy(sequence);
  assert_int_equal(released, 1);
  assert_int_equal(norma_value_adopt_tensor(runtime, &tensor, NULL, NULL, &value, &error), NORMA_OK);
  norma_value_destroy(value);
  /* refused: it stays the caller's */
  tensor.size_bytes = 4;
  assert_int_equal(norma_value_adopt_tensor(runtime, &tensor, count_release, &released, &value, &error),
                   NORMA_ERROR_ARGUMENT);
  assert_int_equal(released, 1);
}

static void a_view_is_copied_where_it_is_kept(void **state) {
  (void)state;
  float data[2] = {1, 2};
  norma_tensor tensor = tensor_over(NORMA_FLOAT, 1, (int64_t[]){2}, data);
  norma_value *view, *copy, *optional;
  assert_int_equal(norma_value_borrow_tensor(runtime, &tensor, &view, &error), NORMA_OK);
  assert_ptr_equal(norma_value_tensor(view)->data, data);
  assert_int_equal(norma_value_copy(runtime, view, &copy, &error), NORMA_OK);
  assert_int_equal(norma_value_create_optional(runtime, view, &optional, &error), NORMA_OK);
  data[0] = 9;
  assert_true(*(const float *)norma_value_tensor(view)->data == 9);
  assert_true(*(const float *)norma_value_tensor(copy)->data == 1);
  assert_true(*(const float *)norma_value_tensor(norma_value_element(optional, 0))->data == 1);
  norma_value_destroy(view);
  norma_value_destroy(copy);
  norma_value_destroy(optional);
}

/* ------------------------------------------------------------------------------------------------------- containers */

static void sequences_hold_their_elements(void **state) {
  (void)state;
  norma_value *a = floats(2, 1), *b = floats(3, 5), *inner, *outer, *empty;
  assert_int_equal(norma_value_create_sequence(runtime, (const norma_value *[]){a, b, a}, 3, &inner, &error), NORMA_OK);
  assert_int_equal(norma_value_create_sequence(runtime, NULL, 0, &empty, &error), NORMA_OK);
  assert_int_equal(norma_value_create_sequence(runtime, (const norma_value *[]){inner, empty}, 2, &outer, &error),
                   NORMA_OK);
  norma_value_destroy(a);
  norma_value_destroy(b);
  norma_value_destroy(inner);
  norma_value_destroy(empty);
  assert_int_equal(norma_value_get_kind(outer), NORMA_VALUE_SEQUENCE);
  assert_int_equal(norma_value_count(outer), 2);
  const norma_value *first = norma_value_element(outer, 0);
  assert_int_equal(norma_value_count(first), 3);
  assert_int_equal(norma_value_count(norma_value_element(outer, 1)), 0);
  assert_null(norma_value_element(outer, 2));
  assert_true(((const float *)norma_value_tensor(norma_value_element(first, 1))->data)[2] == 7);
  norma_value_destroy(outer);
}

static void optionals_and_maps(void **state) {
  (void)state;
  norma_string names[] = {{"ant", 3}, {"bee", 3}};
  norma_value *keys, *numbers = floats(2, 1), *map, *many, *optional, *none, *parts;
  assert_int_equal(norma_value_create_strings(runtime, 1, (int64_t[]){2}, names, &keys, &error), NORMA_OK);
  assert_int_equal(norma_value_create_map(runtime, keys, numbers, &map, &error), NORMA_OK);
  assert_int_equal(norma_value_get_kind(map), NORMA_VALUE_MAP);
  assert_int_equal(norma_value_count(map), 2);
  assert_int_equal(norma_value_tensor(norma_value_element(map, 0))->type, NORMA_STRING);
  assert_true(((const float *)norma_value_tensor(norma_value_element(map, 1))->data)[1] == 2);
  assert_int_equal(norma_value_create_sequence(runtime, (const norma_value *[]){numbers, numbers}, 2, &parts, &error),
                   NORMA_OK);
  assert_int_equal(norma_value_create_map(runtime, keys, parts, &many, &error), NORMA_OK);
  assert_int_equal(norma_value_get_kind(norma_value_element(many, 1)), NORMA_VALUE_SEQUENCE);
  assert_int_equal(norma_value_create_optional(runtime, map, &optional, &error), NORMA_OK);
  assert_int_equal(norma_value_create_optional(runtime, NULL, &none, &error), NORMA_OK);
  assert_int_equal(norma_value_count(optional), 1);
  assert_int_equal(norma_value_count(none), 0);
  assert_int_equal(norma_value_get_kind(none), NORMA_VALUE_OPTIONAL);
  norma_value *all[] = {keys, numbers, map, many, optional, none, parts};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) norma_value_destroy(all[i]);
}

/* Freed without recursion: how deep containers nest is for the caller to say. */
static void containers_nest_without_end(void **state) {
  (void)state;
  norma_value *value = floats(1, 0);
  for (int i = 0; i < 200000; i++) {
    norma_value *outer;
    assert_int_equal(norma_value_create_optional(runtime, value, &outer, &error), NORMA_OK);
    norma_value_destroy(value);
    value = outer;
  }
  norma_value_destroy(value);
}

/* ---------------------------------------------------------------------------------------------------- what is wrong */

static void what_cannot_be_is_refused(void **state) {
  (void)state;
  float data[2] = {0};
  norma_tensor tensor = tensor_over(NORMA_FLOAT, 1, (int64_t[]){2}, data), wrong;
  norma_value *value, *a = floats(2, 0), *b, *keys, *twos;
  int64_t numbers[] = {1, 2};
  norma_tensor whole = tensor_over(NORMA_INT64, 1, (int64_t[]){2}, numbers);
  assert_int_equal(norma_value_create_tensor(runtime, &whole, &keys, &error), NORMA_OK);
  norma_tensor square = tensor_over(NORMA_INT64, 2, (int64_t[]){2, 1}, numbers);
  assert_int_equal(norma_value_create_tensor(runtime, &square, &b, &error), NORMA_OK);
  norma_tensor packed = tensor_over(NORMA_UINT4, 1, (int64_t[]){2}, numbers);
  assert_int_equal(norma_value_create_tensor(runtime, &packed, &twos, &error), NORMA_OK);
#define REFUSED(call)                                                                                                  \
  do {                                                                                                                 \
    value = a;                                                                                                         \
    error.message[0] = '\0';                                                                                           \
    assert_int_equal((call), NORMA_ERROR_ARGUMENT);                                                                    \
    assert_true(error.message[0] != '\0');                                                                             \
    assert_null(value);                                                                                                \
  } while (0)
  REFUSED(norma_value_create_tensor(NULL, &tensor, &value, &error));
  REFUSED(norma_value_create_tensor(runtime, NULL, &value, &error));
  wrong = tensor;
  wrong.dims[0] = -1;
  REFUSED(norma_value_create_tensor(runtime, &wrong, &value, &error));
  wrong = tensor;
  wrong.data = NULL;
  REFUSED(norma_value_borrow_tensor(runtime, &wrong, &value, &error));
  REFUSED(norma_value_allocate_tensor(runtime, NORMA_UNDEFINED, 0, NULL, &value, &error));
  REFUSED(norma_value_allocate_tensor(runtime, NORMA_FLOAT, 17, whole.dims, &value, &error));
  REFUSED(norma_value_allocate_tensor(runtime, NORMA_FLOAT, 2, (int64_t[]){INT64_MAX, 4}, &value, &error));
  norma_string nothing = {NULL, 3};
  REFUSED(norma_value_create_strings(runtime, 0, NULL, &nothing, &value, &error));
  REFUSED(norma_value_create_strings(runtime, 1, (int64_t[]){2}, NULL, &value, &error));
  REFUSED(norma_value_create_sequence(runtime, NULL, 1, &value, &error));
  REFUSED(norma_value_create_sequence(runtime, (const norma_value *[]){a, NULL}, 2, &value, &error));
  REFUSED(norma_value_create_sequence(runtime, (const norma_value *[]){a, keys}, 2, &value, &error)); /* types differ */
  REFUSED(norma_value_create_map(runtime, a, a, &value, &error)); /* keys are floats */
  REFUSED(norma_value_create_map(runtime, b, b, &value, &error)); /* of rank 2 */
  REFUSED(norma_value_create_map(runtime, keys, NULL, &value, &error));
  REFUSED(norma_value_create_map(runtime, keys, twos, &value, &error)); /* packed */
  REFUSED(norma_value_copy(runtime, NULL, &value, &error));
#undef REFUSED
  /* no place for the error either */
  assert_int_equal(norma_value_create_tensor(NULL, NULL, NULL, NULL), NORMA_ERROR_ARGUMENT);
  norma_value_destroy(a);
  norma_value_destroy(b);
  norma_value_destroy(keys);
  norma_value_destroy(twos);
}

static norma_status make_everything(norma_value **value) {
  norma_string names[] = {{"ant", 3}, {"bee", 3}};
  int released = 0;
  float data[2] = {0};
  norma_tensor tensor = tensor_over(NORMA_FLOAT, 1, (int64_t[]){2}, data);
  norma_value *keys = NULL, *numbers = NULL, *view = NULL, *adopted = NULL, *map = NULL, *sequence = NULL;
  norma_status status = norma_value_create_strings(runtime, 1, (int64_t[]){2}, names, &keys, &error);
  if (status == NORMA_OK) status = norma_value_create_tensor(runtime, &tensor, &numbers, &error);
  if (status == NORMA_OK) status = norma_value_borrow_tensor(runtime, &tensor, &view, &error);
  if (status == NORMA_OK)
    status = norma_value_adopt_tensor(runtime, &tensor, count_release, &released, &adopted, &error);
  if (status == NORMA_OK) status = norma_value_create_map(runtime, keys, view, &map, &error);
  if (status == NORMA_OK)
    status = norma_value_create_sequence(runtime, (const norma_value *[]){map, map}, 2, &sequence, &error);
  if (status == NORMA_OK) status = norma_value_create_optional(runtime, sequence, value, &error);
  norma_value *all[] = {keys, numbers, view, adopted, map, sequence};
  bool was_adopted = adopted != NULL;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) norma_value_destroy(all[i]);
  assert_int_equal(released, was_adopted);
  return status;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  norma_value *value = NULL;
  long before = atomic_load(&counting.outstanding), failures = 0;
  for (long at = 1;; at++) {
    atomic_store(&counting.allocations, 0);
    counting.fail_at = at;
    norma_status status = make_everything(&value);
    counting.fail_at = 0;
    if (status == NORMA_OK) break;
    assert_int_equal(status, NORMA_ERROR_OUT_OF_MEMORY);
    assert_null(value);
    assert_int_equal(atomic_load(&counting.outstanding), before);
    failures++;
  }
  assert_true(failures > 10);
  norma_value_destroy(value);
}

static void budgets_hold(void **state) {
  (void)state;
  norma_runtime *small;
  norma_value *value;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .max_memory_bytes = 1 << 20};
  assert_int_equal(norma_runtime_create(&options, &small, &error), NORMA_OK);
  assert_int_equal(norma_value_allocate_tensor(small, NORMA_UINT8, 1, (int64_t[]){2 << 20}, &value, &error),
                   NORMA_ERROR_BUDGET);
  assert_null(value);
  assert_int_equal(norma_value_allocate_tensor(small, NORMA_UINT8, 1, (int64_t[]){1 << 18}, &value, &error), NORMA_OK);
  assert_true(norma_runtime_memory_used(small) > 1 << 18);
  norma_value_destroy(value);
  norma_runtime_destroy(small);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_created_tensor_is_a_copy, set_up, tear_down),
      cmocka_unit_test_setup_teardown(tensors_without_elements_and_scalars, set_up, tear_down),
      cmocka_unit_test_setup_teardown(strings_are_copied_with_their_characters, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_adopted_tensor_is_released_once_by_the_last_that_needs_it, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_view_is_copied_where_it_is_kept, set_up, tear_down),
      cmocka_unit_test_setup_teardown(sequences_hold_their_elements, set_up, tear_down),
      cmocka_unit_test_setup_teardown(optionals_and_maps, set_up, tear_down),
      cmocka_unit_test_setup_teardown(containers_nest_without_end, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(every_allocation_may_fail, set_up, tear_down),
      cmocka_unit_test_setup_teardown(budgets_hold, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
