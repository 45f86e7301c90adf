/* The sequence operators: what comes out, where positions may lie, and that elements are shared, not copied. */
#include "tests/support/operator_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A driver with three tensors of different shapes, a sequence of them, and a fourth tensor. */
typedef struct fixture {
  driver driver;
  value elements[4];
  value sequence;
} fixture;

static int setup(void **state) {
  static fixture shared;
  fixture *f = &shared;
  driver_init(&f->driver);
  f->elements[0] = driver_floats(&f->driver, 1, (int64_t[]){1}, (float[]){10});
  f->elements[1] = driver_floats(&f->driver, 1, (int64_t[]){2}, (float[]){20, 21});
  f->elements[2] = driver_floats(&f->driver, 2, (int64_t[]){1, 3}, (float[]){30, 31, 32});
  f->elements[3] = driver_floats(&f->driver, 1, (int64_t[]){1}, (float[]){40});
  const value *list[3] = {&f->elements[0], &f->elements[1], &f->elements[2]};
  f->sequence = driver_list(&f->driver, NORMA_VALUE_SEQUENCE, 3, list);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  for (int i = 0; i < 4; i++) value_clear(&f->elements[i]);
  value_clear(&f->sequence);
  driver_finish(&f->driver);
  return 0;
}

/* Fails unless output 0 is a sequence of tensors that begin with these numbers. */
static void assert_sequence(const driver *driver, int count, const double *first) {
  const value *output = &driver->outputs[0];
  assert_int_equal(output->kind, NORMA_VALUE_SEQUENCE);
  assert_int_equal(norma_value_count(output), count);
  for (int i = 0; i < count; i++) {
    double got = driver_element(norma_value_element(output, (size_t)i), 0);
    if (got != first[i]) fail_msg("element %d: expected %g, got %g", i, first[i], got);
  }
}

static value position(fixture *f, norma_element_type type, int64_t number) {
  double element = (double)number;
  return driver_tensor(&f->driver, type, 0, NULL, &element);
}

static void assert_refused(fixture *f, const driver_call *call, const char *text) {
  norma_status status = driver_run(&f->driver, call);
  assert_int_not_equal(status, NORMA_OK);
  if (!strstr(f->driver.error.message, text)) {
    fail_msg("expected a message with \"%s\", got \"%s\"", text, f->driver.error.message);
  }
}

static void construct_takes_tensors_of_any_shape(void **state) {
  fixture *f = *state;
  driver_call call = {.op_type = "SequenceConstruct",
                      .opset = 11,
                      .inputs = {&f->elements[0], &f->elements[1], &f->elements[0]},
                      .input_count = 3,
                      .output_count = 1};
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  assert_sequence(&f->driver, 3, (double[]){10, 20, 10});
  assert_int_equal(f->driver.inferred[0].item->type, NORMA_FLOAT);
  assert_int_equal(f->driver.inferred[0].item->shape.rank, 1);
  assert_int_equal(f->driver.inferred[0].item->shape.dims[0], DIM_UNKNOWN);
}

static void construct_refuses_mixed_types(void **state) {
  fixture *f = *state;
  value number = position(f, NORMA_INT64, 3);
  driver_call call = {.op_type = "SequenceConstruct",
                      .opset = 11,
                      .inputs = {&f->elements[0], &number},
                      .input_count = 2,
                      .output_count = 1};
  assert_refused(f, &call, "float and int64");
  value_clear(&number);
}

static void construct_copies_strings(void **state) {
  fixture *f = *state;
  value text = driver_strings(&f->driver, 1, (int64_t[]){2}, (const char *[]){"first", ""});
  value borrowed = text;
  borrowed.owner = NULL; /* as a caller's input: the sequence must not point into it */
  driver_call call = {
      .op_type = "SequenceConstruct", .opset = 11, .inputs = {&borrowed}, .input_count = 1, .output_count = 1};
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  value_clear(&text);
  const norma_string *copied = norma_value_element(&f->driver.outputs[0], 0)->tensor.data;
  assert_int_equal(copied[0].size, 5);
  assert_memory_equal(copied[0].data, "first", 5);
  assert_int_equal(copied[1].size, 0);
}

static void empty_has_no_elements_and_a_type(void **state) {
  fixture *f = *state;
  driver_call call = {.op_type = "SequenceEmpty", .opset = 11, .output_count = 1};
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  assert_sequence(&f->driver, 0, NULL);
  assert_int_equal(f->driver.inferred[0].item->type, NORMA_FLOAT);
  call.attributes[0] = (attribute)DRIVER_INT("dtype", NORMA_STRING);
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  assert_int_equal(f->driver.inferred[0].item->type, NORMA_STRING);
  static const int64_t wrong[] = {0, -1, 1000, INT64_MAX};
  for (int i = 0; i < 4; i++) {
    call.attributes[0].i = wrong[i];
    assert_refused(f, &call, "no element type");
  }
}

static void insert_puts_the_tensor_where_the_position_says(void **state) {
  fixture *f = *state;
  static const struct {
    int64_t position;
    double first[4];
  } cases[] = {
      {0, {40, 10, 20, 30}},  {1, {10, 40, 20, 30}},  {2, {10, 20, 40, 30}},  {3, {10, 20, 30, 40}},
      {-1, {10, 20, 40, 30}}, {-2, {10, 40, 20, 30}}, {-3, {40, 10, 20, 30}},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    for (int wide = 0; wide < 2; wide++) {
      value at = position(f, wide ? NORMA_INT64 : NORMA_INT32, cases[c].position);
      driver_call call = {.op_type = "SequenceInsert",
                          .opset = 11,
                          .inputs = {&f->sequence, &f->elements[3], &at},
                          .input_count = 3,
                          .output_count = 1};
      assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
      assert_sequence(&f->driver, 4, cases[c].first);
      value_clear(&at);
    }
  }
  assert_int_equal(norma_value_count(&f->sequence), 3);
}

static void insert_appends_without_a_position(void **state) {
  fixture *f = *state;
  driver_call call = {.op_type = "SequenceInsert",
                      .opset = 11,
                      .inputs = {&f->sequence, &f->elements[3]},
                      .input_count = 2,
                      .output_count = 1};
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  assert_sequence(&f->driver, 4, (double[]){10, 20, 30, 40});
  value empty = driver_list(&f->driver, NORMA_VALUE_SEQUENCE, 0, NULL);
  call.inputs[0] = &empty;
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  assert_sequence(&f->driver, 1, (double[]){40});
  value_clear(&empty);
}

static void insert_shares_elements(void **state) {
  fixture *f = *state;
  driver_call call = {.op_type = "SequenceInsert",
                      .opset = 11,
                      .inputs = {&f->sequence, &f->elements[3]},
                      .input_count = 2,
                      .output_count = 1};
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  for (int i = 0; i < 4; i++) {
    assert_ptr_equal(norma_value_element(&f->driver.outputs[0], (size_t)i)->tensor.data, f->elements[i].tensor.data);
  }
}

static void insert_refuses_what_does_not_fit(void **state) {
  fixture *f = *state;
  value number = position(f, NORMA_INT64, 3), two = driver_ints(&f->driver, 1, (int64_t[]){2}, NULL);
  driver_call call = {
      .op_type = "SequenceInsert", .opset = 11, .inputs = {&f->sequence, &number}, .input_count = 2, .output_count = 1};
  assert_refused(f, &call, "float and int64");
  call.inputs[1] = &f->elements[3];
  call.inputs[2] = &f->elements[3];
  call.input_count = 3;
  assert_refused(f, &call, "not int32 or int64");
  call.inputs[2] = &two;
  assert_refused(f, &call, "position");
  call.inputs[0] = &f->elements[0];
  assert_refused(f, &call, "not a sequence");
  value_clear(&number);
  value_clear(&two);
}

static void positions_outside_are_errors(void **state) {
  fixture *f = *state;
  static const struct {
    const char *op_type;
    int64_t position;
  } cases[] = {{"SequenceInsert", 4},         {"SequenceInsert", -4}, {"SequenceInsert", INT64_MIN},
               {"SequenceInsert", INT64_MAX}, {"SequenceAt", 3},      {"SequenceAt", -4},
               {"SequenceAt", INT64_MIN},     {"SequenceErase", 3},   {"SequenceErase", -4},
               {"SequenceErase", INT64_MAX}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    bool inserts = strcmp(cases[c].op_type, "SequenceInsert") == 0;
    value at = driver_ints(&f->driver, 0, NULL, &cases[c].position);
    driver_call call = {.op_type = cases[c].op_type,
                        .opset = 11,
                        .inputs = {&f->sequence, inserts ? &f->elements[3] : &at, &at},
                        .input_count = inserts ? 3 : 2,
                        .output_count = 1};
    assert_refused(f, &call, "is outside a sequence of 3 elements");
    value_clear(&at);
  }
}

static void at_gives_the_element(void **state) {
  fixture *f = *state;
  for (int64_t number = -3; number < 3; number++) {
    value at = position(f, NORMA_INT64, number);
    driver_call call = {
        .op_type = "SequenceAt", .opset = 11, .inputs = {&f->sequence, &at}, .input_count = 2, .output_count = 1};
    assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
    const value *expected = &f->elements[number < 0 ? number + 3 : number];
    assert_ptr_equal(f->driver.outputs[0].tensor.data, expected->tensor.data); /* shared */
    assert_int_equal(f->driver.outputs[0].tensor.rank, expected->tensor.rank);
    assert_int_equal(f->driver.inferred[0].type, NORMA_FLOAT);
    value_clear(&at);
  }
}

static void erase_leaves_the_element_out(void **state) {
  fixture *f = *state;
  static const double left[3][2] = {{20, 30}, {10, 30}, {10, 20}};
  for (int64_t number = -3; number < 3; number++) {
    value at = position(f, NORMA_INT32, number);
    driver_call call = {
        .op_type = "SequenceErase", .opset = 11, .inputs = {&f->sequence, &at}, .input_count = 2, .output_count = 1};
    assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
    assert_sequence(&f->driver, 2, left[number < 0 ? number + 3 : number]);
    value_clear(&at);
  }
  driver_call last = {
      .op_type = "SequenceErase", .opset = 11, .inputs = {&f->sequence}, .input_count = 1, .output_count = 1};
  assert_int_equal(driver_run(&f->driver, &last), NORMA_OK);
  assert_sequence(&f->driver, 2, left[2]);
}

static void an_empty_sequence_has_nothing_to_give(void **state) {
  fixture *f = *state;
  value empty = driver_list(&f->driver, NORMA_VALUE_SEQUENCE, 0, NULL), at = position(f, NORMA_INT64, 0);
  driver_call call = {
      .op_type = "SequenceAt", .opset = 11, .inputs = {&empty, &at}, .input_count = 2, .output_count = 1};
  assert_refused(f, &call, "outside a sequence of 0 elements");
  call.op_type = "SequenceErase";
  assert_refused(f, &call, "outside a sequence of 0 elements");
  call.input_count = 1;
  assert_refused(f, &call, "outside a sequence of 0 elements");
  value_clear(&empty);
  value_clear(&at);
}

static void length_counts(void **state) {
  fixture *f = *state;
  value empty = driver_list(&f->driver, NORMA_VALUE_SEQUENCE, 0, NULL);
  driver_call call = {
      .op_type = "SequenceLength", .opset = 11, .inputs = {&f->sequence}, .input_count = 1, .output_count = 1};
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  driver_assert_tensor(&f->driver.outputs[0], NORMA_INT64, 0, NULL, (double[]){3});
  call.inputs[0] = &empty;
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  driver_assert_tensor(&f->driver.outputs[0], NORMA_INT64, 0, NULL, (double[]){0});
  call.inputs[0] = &f->elements[0];
  assert_refused(f, &call, "not a sequence");
  value_clear(&empty);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(construct_takes_tensors_of_any_shape, setup, teardown),
      cmocka_unit_test_setup_teardown(construct_refuses_mixed_types, setup, teardown),
      cmocka_unit_test_setup_teardown(construct_copies_strings, setup, teardown),
      cmocka_unit_test_setup_teardown(empty_has_no_elements_and_a_type, setup, teardown),
      cmocka_unit_test_setup_teardown(insert_puts_the_tensor_where_the_position_says, setup, teardown),
      cmocka_unit_test_setup_teardown(insert_appends_without_a_position, setup, teardown),
      cmocka_unit_test_setup_teardown(insert_shares_elements, setup, teardown),
      cmocka_unit_test_setup_teardown(insert_refuses_what_does_not_fit, setup, teardown),
      cmocka_unit_test_setup_teardown(positions_outside_are_errors, setup, teardown),
      cmocka_unit_test_setup_teardown(at_gives_the_element, setup, teardown),
      cmocka_unit_test_setup_teardown(erase_leaves_the_element_out, setup, teardown),
      cmocka_unit_test_setup_teardown(an_empty_sequence_has_nothing_to_give, setup, teardown),
      cmocka_unit_test_setup_teardown(length_counts, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
