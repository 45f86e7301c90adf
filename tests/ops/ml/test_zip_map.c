/* ZipMap: maps with sorted keys, one for each row. */
#include "tests/support/operator_checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static driver_call make_call(const value *x) {
  return (driver_call){
      .domain = "ai.onnx.ml", .op_type = "ZipMap", .opset = 1, .inputs = {x}, .input_count = 1, .output_count = 1};
}

static const value *part_of(const driver *driver, int64_t map, int64_t part) {
  return norma_value_element(norma_value_element(&driver->outputs[0], (size_t)map), (size_t)part);
}

static void integer_labels(void **state) {
  static const int64_t labels[] = {5, -3, 9};
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, (int64_t[]){2, 3}, (float[]){1, 2, 3, 4, 5, 6});
  driver_call call = make_call(&x);
  call.attributes[0] = (attribute)DRIVER_INTS("classlabels_int64s", 3, labels);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_int_equal(driver.outputs[0].kind, NORMA_VALUE_SEQUENCE);
  assert_int_equal(norma_value_count(&driver.outputs[0]), 2);
  for (int64_t n = 0; n < 2; n++) {
    driver_assert_tensor(part_of(&driver, n, 0), NORMA_INT64, 1, (int64_t[]){3}, (double[]){-3, 5, 9});
    driver_assert_tensor(part_of(&driver, n, 1), NORMA_FLOAT, 1, (int64_t[]){3},
                         (const double[][3]){{2, 1, 3}, {5, 4, 6}}[n]);
  }
  assert_int_equal(driver.inferred[0].kind, NORMA_VALUE_SEQUENCE);
  value_clear(&x);
  driver_finish(&driver);
}

/* Of equal labels the last counts; a vector is one row. */
static void string_labels(void **state) {
  static const norma_string labels[] = {{"b", 1}, {"a", 1}, {"b", 1}, {"", 0}};
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){4}, (float[]){1, 2, 3, 4});
  value none = driver_floats(&driver, 2, (int64_t[]){0, 4}, NULL);
  driver_call call = make_call(&x);
  call.attributes[0] = (attribute)DRIVER_STRINGS("classlabels_strings", 4, labels);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  check_strings(part_of(&driver, 0, 0), SHAPE(3), (const char *[]){"", "a", "b"});
  driver_assert_tensor(part_of(&driver, 0, 1), NORMA_FLOAT, 1, (int64_t[]){3}, (double[]){4, 2, 3});
  call.inputs[0] = &none;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_int_equal(norma_value_count(&driver.outputs[0]), 0);
  value_clear(&x);
  value_clear(&none);
  driver_finish(&driver);
}

static void refusals(void **state) {
  static const int64_t labels[] = {1, 2};
  static const norma_string words[] = {{"a", 1}, {"b", 1}};
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, (int64_t[]){1, 3}, NULL);
  driver_call call = make_call(&x);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "no labels");
  call.attributes[0] = (attribute)DRIVER_INTS("classlabels_int64s", 2, labels);
  check_refused(&driver, &call, NORMA_ERROR_INPUT, "3 features, expected 2");
  call.attributes[1] = (attribute)DRIVER_STRINGS("classlabels_strings", 2, words);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "classlabels");
  value_clear(&x);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(integer_labels),
      cmocka_unit_test(string_labels),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
