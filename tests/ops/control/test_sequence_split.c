/* SplitToSequence and ConcatFromSequence, each against its definition and as inverses of each other. */
#include "tests/support/operator_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state) {
  static driver shared;
  driver_init(&shared);
  *state = &shared;
  return 0;
}

static int teardown(void **state) {
  driver_finish(*state);
  return 0;
}

static driver_call split_call(const value *x, const value *split, int64_t axis) {
  driver_call call = {
      .op_type = "SplitToSequence", .opset = 11, .inputs = {x, split}, .input_count = split ? 2 : 1, .output_count = 1};
  call.attributes[0] = (attribute)DRIVER_INT("axis", axis);
  return call;
}

static driver_call concat_call(const value *sequence, int64_t axis, int64_t new_axis) {
  driver_call call = {
      .op_type = "ConcatFromSequence", .opset = 11, .inputs = {sequence}, .input_count = 1, .output_count = 1};
  call.attributes[0] = (attribute)DRIVER_INT("axis", axis);
  call.attributes[1] = (attribute)DRIVER_INT("new_axis", new_axis);
  return call;
}

static void run(driver *driver, const driver_call *call) {
  if (driver_run(driver, call) != NORMA_OK) fail_msg("%s", driver->error.message);
}

static void assert_refused(driver *driver, const driver_call *call, const char *text) {
  assert_int_not_equal(driver_run(driver, call), NORMA_OK);
  if (!strstr(driver->error.message, text)) {
    fail_msg("expected a message with \"%s\", got \"%s\"", text, driver->error.message);
  }
}

/* 0, 1, 2, ... */
static value counting(driver *driver, norma_element_type type, int rank, const int64_t *dims) {
  value made = driver_tensor(driver, type, rank, dims, NULL);
  for (int64_t i = 0; i < norma_tensor_count(&made.tensor); i++) {
    element_set_double(type, made.tensor.data, i, (double)i);
  }
  return made;
}

static const value *part(const driver *driver, size_t index) {
  return norma_value_element(&driver->outputs[0], index);
}

static void a_scalar_is_the_size_of_all_parts_but_the_last(void **state) {
  driver *driver = *state;
  value x = counting(driver, NORMA_INT16, 2, (int64_t[]){2, 5}), two = driver_ints(driver, 0, NULL, (int64_t[]){2});
  driver_call call = split_call(&x, &two, -1);
  run(driver, &call);
  assert_int_equal(norma_value_count(&driver->outputs[0]), 3);
  driver_assert_tensor(part(driver, 0), NORMA_INT16, 2, (int64_t[]){2, 2}, (double[]){0, 1, 5, 6});
  driver_assert_tensor(part(driver, 1), NORMA_INT16, 2, (int64_t[]){2, 2}, (double[]){2, 3, 7, 8});
  driver_assert_tensor(part(driver, 2), NORMA_INT16, 2, (int64_t[]){2, 1}, (double[]){4, 9});
  assert_int_equal(driver->inferred[0].item->shape.rank, 2);
  value_clear(&x);
  value_clear(&two);
}

static void a_list_has_the_size_of_each_part(void **state) {
  driver *driver = *state;
  value x = counting(driver, NORMA_FLOAT, 1, (int64_t[]){4});
  value sizes = driver_ints(driver, 1, (int64_t[]){3}, (int64_t[]){1, 0, 3});
  driver_call call = split_call(&x, &sizes, 0);
  call.attributes[1] = (attribute)DRIVER_INT("keepdims", 0); /* ignored where sizes are given */
  run(driver, &call);
  assert_int_equal(norma_value_count(&driver->outputs[0]), 3);
  driver_assert_tensor(part(driver, 0), NORMA_FLOAT, 1, (int64_t[]){1}, (double[]){0});
  driver_assert_tensor(part(driver, 1), NORMA_FLOAT, 1, (int64_t[]){0}, NULL);
  driver_assert_tensor(part(driver, 2), NORMA_FLOAT, 1, (int64_t[]){3}, (double[]){1, 2, 3});
  value_clear(&x);
  value_clear(&sizes);
}

static void without_sizes_parts_have_size_1(void **state) {
  driver *driver = *state;
  value x = counting(driver, NORMA_DOUBLE, 3, (int64_t[]){2, 3, 2});
  driver_call call = split_call(&x, NULL, 1);
  run(driver, &call);
  assert_int_equal(norma_value_count(&driver->outputs[0]), 3);
  driver_assert_tensor(part(driver, 1), NORMA_DOUBLE, 3, (int64_t[]){2, 1, 2}, (double[]){2, 3, 8, 9});
  call.attributes[1] = (attribute)DRIVER_INT("keepdims", 0);
  run(driver, &call);
  driver_assert_tensor(part(driver, 2), NORMA_DOUBLE, 2, (int64_t[]){2, 2}, (double[]){4, 5, 10, 11});
  assert_int_equal(driver->inferred[0].item->shape.rank, 2);
  value_clear(&x);
}

static void an_empty_axis_gives_an_empty_sequence(void **state) {
  driver *driver = *state;
  value x = counting(driver, NORMA_FLOAT, 2, (int64_t[]){2, 0}), two = driver_ints(driver, 0, NULL, (int64_t[]){2});
  driver_call call = split_call(&x, &two, 1);
  run(driver, &call);
  assert_int_equal(norma_value_count(&driver->outputs[0]), 0);
  call = split_call(&x, NULL, 1);
  run(driver, &call);
  assert_int_equal(norma_value_count(&driver->outputs[0]), 0);
  call = split_call(&x, NULL, 0);
  run(driver, &call);
  assert_int_equal(norma_value_count(&driver->outputs[0]), 2);
  driver_assert_tensor(part(driver, 1), NORMA_FLOAT, 2, (int64_t[]){1, 0}, NULL);
  value_clear(&x);
  value_clear(&two);
}

static void strings_are_split_and_joined(void **state) {
  driver *driver = *state;
  static const char *const words[] = {"one", "", "three", "four"};
  value x = driver_strings(driver, 2, (int64_t[]){2, 2}, words), sequence;
  driver_call call = split_call(&x, NULL, 1);
  run(driver, &call);
  value_share(&sequence, &driver->outputs[0]);
  value_clear(&x); /* the parts have characters of their own */
  call = concat_call(&sequence, 0, 0);
  run(driver, &call);
  value_clear(&sequence);
  driver_assert_tensor(&driver->outputs[0], NORMA_STRING, 2, (int64_t[]){4, 1}, NULL);
  const norma_string *strings = driver->outputs[0].tensor.data;
  static const int order[] = {0, 2, 1, 3};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(strings[i].size, strlen(words[order[i]]));
    if (strings[i].size) assert_memory_equal(strings[i].data, words[order[i]], strings[i].size);
  }
}

static void refuses_sizes_that_do_not_fit(void **state) {
  driver *driver = *state;
  value x = counting(driver, NORMA_FLOAT, 1, (int64_t[]){4});
  static const struct {
    int rank;
    int64_t sizes[2];
    const char *text;
  } cases[] = {
      {0, {0}, "split is 0"},         {0, {-1}, "split is -1"},       {1, {1, 2}, "sum up to 3"},
      {1, {3, 2}, "the axis has 4"},  {1, {-1, 5}, "the axis has 4"}, {1, {4, INT64_MAX}, "the axis has 4"},
      {1, {5, -1}, "the axis has 4"},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    value split = driver_ints(driver, cases[c].rank, (int64_t[]){2}, cases[c].sizes);
    driver_call call = split_call(&x, &split, 0);
    assert_refused(driver, &call, cases[c].text);
    value_clear(&split);
  }
  value table = driver_ints(driver, 2, (int64_t[]){1, 1}, (int64_t[]){4});
  driver_call call = split_call(&x, &table, 0);
  assert_refused(driver, &call, "neither a scalar nor a list");
  call = split_call(&x, NULL, 1);
  assert_refused(driver, &call, "axis 1 is outside a tensor of rank 1");
  call = split_call(&x, &x, 0);
  assert_refused(driver, &call, "element type float");
  value_clear(&table);
  value_clear(&x);
}

static void concat_joins_along_an_axis(void **state) {
  driver *driver = *state;
  value a = counting(driver, NORMA_INT64, 2, (int64_t[]){2, 2}),
        b = counting(driver, NORMA_INT64, 2, (int64_t[]){2, 1});
  const value *list[] = {&a, &b, &a};
  value sequence = driver_list(driver, NORMA_VALUE_SEQUENCE, 3, list);
  driver_call call = concat_call(&sequence, -1, 0);
  run(driver, &call);
  driver_assert_tensor(&driver->outputs[0], NORMA_INT64, 2, (int64_t[]){2, 5},
                       (double[]){0, 1, 0, 0, 1, 2, 3, 1, 2, 3});
  call = concat_call(&sequence, 0, 0);
  assert_refused(driver, &call, "element 1 (int64 2x1) does not fit the first (int64 2x2)");
  value_clear(&sequence);
  value_clear(&a);
  value_clear(&b);
}

static void concat_stacks_on_a_new_axis(void **state) {
  driver *driver = *state;
  value a = counting(driver, NORMA_FLOAT, 1, (int64_t[]){2}), scalar = counting(driver, NORMA_FLOAT, 0, NULL);
  const value *list[] = {&a, &a, &a}, *scalars[] = {&scalar, &scalar};
  value sequence = driver_list(driver, NORMA_VALUE_SEQUENCE, 3, list);
  driver_call call = concat_call(&sequence, 0, 1);
  run(driver, &call);
  driver_assert_tensor(&driver->outputs[0], NORMA_FLOAT, 2, (int64_t[]){3, 2}, (double[]){0, 1, 0, 1, 0, 1});
  for (int64_t axis = -1; axis < 2; axis += 2) { /* -1 and 1 are the last of two */
    call = concat_call(&sequence, axis, 1);
    run(driver, &call);
    driver_assert_tensor(&driver->outputs[0], NORMA_FLOAT, 2, (int64_t[]){2, 3}, (double[]){0, 0, 0, 1, 1, 1});
  }
  call = concat_call(&sequence, 2, 1);
  assert_refused(driver, &call, "axis 2 is outside a tensor of rank 2");
  call = concat_call(&sequence, 0, 2);
  assert_refused(driver, &call, "neither 0 nor 1");
  value_clear(&sequence);
  sequence = driver_list(driver, NORMA_VALUE_SEQUENCE, 2, scalars);
  call = concat_call(&sequence, 0, 1);
  run(driver, &call);
  driver_assert_tensor(&driver->outputs[0], NORMA_FLOAT, 1, (int64_t[]){2}, (double[]){0, 0});
  call = concat_call(&sequence, 0, 0);
  assert_refused(driver, &call, "axis 0 is outside a tensor of rank 0");
  value_clear(&sequence);
  value_clear(&a);
  value_clear(&scalar);
}

static void an_empty_sequence_cannot_be_joined(void **state) {
  driver *driver = *state;
  value sequence = driver_list(driver, NORMA_VALUE_SEQUENCE, 0, NULL);
  driver_call call = concat_call(&sequence, 0, 0);
  assert_refused(driver, &call, "nothing to join");
  value_clear(&sequence);
}

static void splitting_and_joining_give_the_tensor_back(void **state) {
  driver *driver = *state;
  static const norma_element_type types[] = {NORMA_BOOL,   NORMA_INT8,   NORMA_BFLOAT16,  NORMA_FLOAT,
                                             NORMA_DOUBLE, NORMA_UINT64, NORMA_COMPLEX64, NORMA_COMPLEX128};
  const int64_t dims[3] = {3, 5, 4};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
    for (int64_t axis = 0; axis < 3; axis++) {
      for (int64_t length = 0; length < 6; length++) { /* 0: none given, the axis is dropped */
        value x = counting(driver, types[t], 3, dims), size = driver_ints(driver, 0, NULL, &length), sequence;
        driver_call call = split_call(&x, length ? &size : NULL, axis);
        call.opset = 24;
        call.attributes[1] = (attribute)DRIVER_INT("keepdims", 0);
        run(driver, &call);
        value_share(&sequence, &driver->outputs[0]);
        call = concat_call(&sequence, axis, length == 0);
        run(driver, &call);
        driver_assert_tensor(&driver->outputs[0], types[t], 3, dims, NULL);
        assert_memory_equal(driver->outputs[0].tensor.data, x.tensor.data, x.tensor.size_bytes);
        value_clear(&sequence);
        value_clear(&x);
        value_clear(&size);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_scalar_is_the_size_of_all_parts_but_the_last, setup, teardown),
      cmocka_unit_test_setup_teardown(a_list_has_the_size_of_each_part, setup, teardown),
      cmocka_unit_test_setup_teardown(without_sizes_parts_have_size_1, setup, teardown),
      cmocka_unit_test_setup_teardown(an_empty_axis_gives_an_empty_sequence, setup, teardown),
      cmocka_unit_test_setup_teardown(strings_are_split_and_joined, setup, teardown),
      cmocka_unit_test_setup_teardown(refuses_sizes_that_do_not_fit, setup, teardown),
      cmocka_unit_test_setup_teardown(concat_joins_along_an_axis, setup, teardown),
      cmocka_unit_test_setup_teardown(concat_stacks_on_a_new_axis, setup, teardown),
      cmocka_unit_test_setup_teardown(an_empty_sequence_cannot_be_joined, setup, teardown),
      cmocka_unit_test_setup_teardown(splitting_and_joining_give_the_tensor_back, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
