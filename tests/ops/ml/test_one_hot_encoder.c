/* OneHotEncoder: categories of integers and strings. */
#include "tests/support/operator_checks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const int64_t numbers[] = {5, -2, 0};
static const norma_string texts[] = {{"a", 1}, {"", 0}, {"b", 1}, {"a", 1}};

static driver_call make_call(const value *x) {
  return (driver_call){.domain = "ai.onnx.ml",
                       .op_type = "OneHotEncoder",
                       .opset = 1,
                       .inputs = {x},
                       .input_count = 1,
                       .output_count = 1};
}

static void every_type(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_INT32, NORMA_INT64};
  (void)state;
  for (int t = 0; t < 4; t++) {
    driver driver;
    driver_init(&driver);
    value x = driver_tensor(&driver, types[t], 2, (int64_t[]){1, 4}, (double[]){-2, 5, 1, 0});
    driver_call call = make_call(&x);
    call.attributes[0] = (attribute)DRIVER_INTS("cats_int64s", 3, numbers);
    check_all_workers(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 3, (int64_t[]){1, 4, 3},
                         (double[]){0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1});
    call.attributes[1] = (attribute)DRIVER_INT("zeros", 0);
    check_refused(&driver, &call, NORMA_ERROR_RUN, "in no category");
    value_clear(&x);
    driver_finish(&driver);
  }
}

/* Numbers that are no integers, and of equal strings the last. */
static void odd_elements(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){4}, (float[]){-2.9f, NAN, 1e30f, 0.5f});
  driver_call call = make_call(&x);
  call.attributes[0] = (attribute)DRIVER_INTS("cats_int64s", 3, numbers);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){4, 3},
                       (double[]){0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  value words = driver_strings(&driver, 0, NULL, (const char *[]){"a"});
  call = make_call(&words);
  call.attributes[0] = (attribute)DRIVER_STRINGS("cats_strings", 4, texts);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){4}, (double[]){0, 0, 0, 1});
  value_clear(&x);
  value_clear(&words);
  driver_finish(&driver);
}

static void refusals(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){2}, NULL);
  driver_call call = make_call(&x);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "needs one of");
  call.attributes[0] = (attribute)DRIVER_STRINGS("cats_strings", 4, texts);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "no categories of type float");
  call.attributes[1] = (attribute)DRIVER_INTS("cats_int64s", 3, numbers);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "needs one of");
  value_clear(&x);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type),
      cmocka_unit_test(odd_elements),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
