/* Optional, OptionalHasElement, OptionalGetElement: full and empty optionals, and what other kinds of values may do. */
#include "tests/support/model_builder.h"
#include "tests/support/operator_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct fixture {
  driver driver;
  value tensor, sequence, full, full_sequence, empty;
} fixture;

static int setup(void **state) {
  static fixture shared;
  fixture *f = &shared;
  driver_init(&f->driver);
  f->tensor = driver_floats(&f->driver, 1, (int64_t[]){2}, (float[]){1, 2});
  const value *tensor[] = {&f->tensor}, *sequence[] = {&f->sequence};
  f->sequence = driver_list(&f->driver, NORMA_VALUE_SEQUENCE, 1, tensor);
  f->full = driver_list(&f->driver, NORMA_VALUE_OPTIONAL, 1, tensor);
  f->full_sequence = driver_list(&f->driver, NORMA_VALUE_OPTIONAL, 1, sequence);
  f->empty = driver_list(&f->driver, NORMA_VALUE_OPTIONAL, 0, NULL);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  value_clear(&f->tensor);
  value_clear(&f->sequence);
  value_clear(&f->full);
  value_clear(&f->full_sequence);
  value_clear(&f->empty);
  driver_finish(&f->driver);
  return 0;
}

static driver_call make_call(const char *op_type, int64_t opset, const value *input) {
  return (driver_call){
      .op_type = op_type, .opset = opset, .inputs = {input}, .input_count = input ? 1 : 0, .output_count = 1};
}

static void assert_refused(fixture *f, const driver_call *call, const char *text) {
  assert_int_not_equal(driver_run(&f->driver, call), NORMA_OK);
  if (!strstr(f->driver.error.message, text)) {
    fail_msg("expected a message with \"%s\", got \"%s\"", text, f->driver.error.message);
  }
}

static void optional_holds_its_input(void **state) {
  fixture *f = *state;
  driver_call call = make_call("Optional", 15, &f->tensor);
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  assert_int_equal(f->driver.outputs[0].kind, NORMA_VALUE_OPTIONAL);
  assert_int_equal(norma_value_count(&f->driver.outputs[0]), 1);
  assert_ptr_equal(norma_value_element(&f->driver.outputs[0], 0)->tensor.data, f->tensor.tensor.data);
  assert_int_equal(f->driver.inferred[0].item->type, NORMA_FLOAT);

  call.inputs[0] = &f->sequence;
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  assert_int_equal(norma_value_element(&f->driver.outputs[0], 0)->kind, NORMA_VALUE_SEQUENCE);
}

static void optionals_do_not_nest(void **state) {
  fixture *f = *state;
  driver_call call = make_call("Optional", 15, &f->full);
  assert_refused(f, &call, "is an optional itself");
}

/* Types of 100,000 levels, joined where branches meet. */
static void types_do_not_grow(void **state) {
  (void)state;
  enum { LEVELS = 100000 };
  model_builder *b = builder_create(17);
  size_t size;
  norma_model *model;
  norma_error error;
  char from[16] = "x", to[16];
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){2});
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  for (int i = 0; i < LEVELS; i++) {
    snprintf(to, sizeof to, "o%d", i);
    builder_node(b, "Optional", from, to);
    strcpy(from, to);
  }
  node *choice = builder_node(b, "If", "c", "y");
  for (int branch = 0; branch < 2; branch++) {
    model_builder *inner = builder_subgraph(b, choice, branch ? "then_branch" : "else_branch");
    builder_node(inner, "Identity", from, "r");
    builder_output(inner, "r", NORMA_UNDEFINED, -1, NULL);
  }
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &model, &error), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(error.message, "is an optional itself"));
  builder_destroy(b);
}

static void optional_without_input_is_empty(void **state) {
  fixture *f = *state;
  value_info type = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_INT8, .shape = {.rank = RANK_UNKNOWN}};
  driver_call call = make_call("Optional", 15, NULL);
  call.attributes[0] = (attribute){.name = "type", .kind = ATTRIBUTE_TYPE_PROTO, .type = &type};
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  assert_int_equal(f->driver.outputs[0].kind, NORMA_VALUE_OPTIONAL);
  assert_int_equal(norma_value_count(&f->driver.outputs[0]), 0);
  assert_int_equal(f->driver.inferred[0].item->type, NORMA_INT8);
  call.attributes[0].name = NULL;
  assert_refused(f, &call, "neither an input nor the attribute type");
}

static void has_element(void **state) {
  fixture *f = *state;
  const struct {
    int64_t opset;
    const value *input;
    double expected;
  } cases[] = {{15, &f->full, 1},  {15, &f->full_sequence, 1}, {15, &f->empty, 0},    {18, &f->full, 1},
               {18, &f->empty, 0}, {18, &f->tensor, 1},        {18, &f->sequence, 1}, {18, NULL, 0}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    driver_call call = make_call("OptionalHasElement", cases[c].opset, cases[c].input);
    assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
    driver_assert_tensor(&f->driver.outputs[0], NORMA_BOOL, 0, NULL, &cases[c].expected);
  }
  driver_call absent = make_call("OptionalHasElement", 18, NULL);
  absent.input_count = 1; /* an input without a name */
  assert_int_equal(driver_run(&f->driver, &absent), NORMA_OK);
  driver_assert_tensor(&f->driver.outputs[0], NORMA_BOOL, 0, NULL, (double[]){0});
}

static void get_element(void **state) {
  fixture *f = *state;
  driver_call call = make_call("OptionalGetElement", 15, &f->full);
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  driver_assert_tensor(&f->driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){2}, (double[]){1, 2});
  assert_int_equal(f->driver.inferred[0].type, NORMA_FLOAT);

  call.inputs[0] = &f->full_sequence;
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  assert_int_equal(f->driver.outputs[0].kind, NORMA_VALUE_SEQUENCE);
  assert_int_equal(norma_value_count(&f->driver.outputs[0]), 1);

  call = make_call("OptionalGetElement", 18, &f->tensor);
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  driver_assert_tensor(&f->driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){2}, (double[]){1, 2});

  call.inputs[0] = &f->sequence;
  assert_int_equal(driver_run(&f->driver, &call), NORMA_OK);
  assert_int_equal(f->driver.outputs[0].kind, NORMA_VALUE_SEQUENCE);

  call.inputs[0] = &f->empty;
  assert_refused(f, &call, "holds no element");
}

static void version_15_takes_optionals_only(void **state) {
  fixture *f = *state;
  driver_call call = make_call("OptionalGetElement", 15, &f->tensor);
  assert_refused(f, &call, "must be an optional");
  call = make_call("OptionalHasElement", 17, &f->sequence);
  assert_refused(f, &call, "must be an optional");
  call = make_call("OptionalHasElement", 15, NULL);
  assert_refused(f, &call, "missing");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(optional_holds_its_input, setup, teardown),
      cmocka_unit_test_setup_teardown(optionals_do_not_nest, setup, teardown),
      cmocka_unit_test(types_do_not_grow),
      cmocka_unit_test_setup_teardown(optional_without_input_is_empty, setup, teardown),
      cmocka_unit_test_setup_teardown(has_element, setup, teardown),
      cmocka_unit_test_setup_teardown(get_element, setup, teardown),
      cmocka_unit_test_setup_teardown(version_15_takes_optionals_only, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
