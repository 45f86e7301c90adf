/* ArrayFeatureExtractor: elements along the last axis. */
#include "tests/support/operator_checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static driver_call make_call(const value *x, const value *y) {
  return (driver_call){.domain = "ai.onnx.ml",
                       .op_type = "ArrayFeatureExtractor",
                       .opset = 1,
                       .inputs = {x, y},
                       .input_count = 2,
                       .output_count = 1};
}

static void every_type(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_INT32, NORMA_INT64};
  (void)state;
  for (int t = 0; t < 4; t++) {
    driver driver;
    driver_init(&driver);
    value x = driver_tensor(&driver, types[t], 2, (int64_t[]){2, 3}, (double[]){1, 2, 3, 4, 5, 6});
    value y = driver_ints(&driver, 2, (int64_t[]){2, 2}, (int64_t[]){2, 0, 0, 1});
    const driver_call call = make_call(&x, &y);
    check_all_workers(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], types[t], 2, (int64_t[]){2, 4}, (double[]){3, 1, 1, 2, 6, 4, 4, 5});
    value_clear(&x);
    value_clear(&y);
    driver_finish(&driver);
  }
}

static void strings_and_ranks(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_strings(&driver, 3, (int64_t[]){1, 2, 2}, (const char *[]){"a", "", "ccc", "d"});
  value vector = driver_floats(&driver, 1, (int64_t[]){3}, (float[]){7, 8, 9});
  value one = driver_ints(&driver, 0, NULL, (int64_t[]){1});
  driver_call call = make_call(&x, &one);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  check_strings(&driver.outputs[0], SHAPE(1, 2, 1), (const char *[]){"", "d"});
  call = make_call(&vector, &one);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){1, 1}, (double[]){8});
  value_clear(&x);
  value_clear(&vector);
  value_clear(&one);
  driver_finish(&driver);
}

static void refusals(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){3}, NULL), scalar = driver_floats(&driver, 0, NULL, NULL);
  value behind = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){0, 3});
  value before = driver_ints(&driver, 1, (int64_t[]){1}, (int64_t[]){-1});
  driver_call call = make_call(&x, &behind);
  check_refused(&driver, &call, NORMA_ERROR_RUN, "index 3 is outside an axis of 3");
  call = make_call(&x, &before);
  check_refused(&driver, &call, NORMA_ERROR_RUN, "index -1");
  call = make_call(&scalar, &before);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "scalar");
  value_clear(&x);
  value_clear(&scalar);
  value_clear(&behind);
  value_clear(&before);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type),
      cmocka_unit_test(strings_and_ranks),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
