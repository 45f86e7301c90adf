/* Imputer: what is replaced, by one value or one for each feature. */
#include "tests/support/operator_checks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static driver_call make_call(const value *x) {
  return (driver_call){
      .domain = "ai.onnx.ml", .op_type = "Imputer", .opset = 1, .inputs = {x}, .input_count = 1, .output_count = 1};
}

static void floats(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE};
  static const float values[] = {10, 20, 30};
  for (int t = 0; t < 2; t++) {
    driver driver;
    driver_init(&driver);
    value x = driver_tensor(&driver, types[t], 2, (int64_t[]){2, 3}, (double[]){NAN, 1, NAN, 0, NAN, 2});
    driver_call call = make_call(&x);
    call.attributes[0] = (attribute)DRIVER_FLOATS("imputed_value_floats", 3, values);
    call.attributes[1] = (attribute)DRIVER_FLOAT("replaced_value_float", NAN);
    check_all_workers(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], types[t], 2, (int64_t[]){2, 3}, (double[]){10, 1, 30, 0, 20, 2});
    call.attributes[0].count = 1;
    call.attributes[1].name = NULL; /* 0 is replaced, and NaN stays */
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    check_near("Imputer", &driver.outputs[0], types[t], SHAPE(2, 3), (double[]){NAN, 1, NAN, 10, NAN, 2}, 0);
    value_clear(&x);
    driver_finish(&driver);
  }
}

static void integers(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_INT32, NORMA_INT64};
  static const int64_t values[] = {7, -8};
  for (int t = 0; t < 2; t++) {
    driver driver;
    driver_init(&driver);
    value x = driver_tensor(&driver, types[t], 1, (int64_t[]){2}, (double[]){-1, -1});
    driver_call call = make_call(&x);
    call.attributes[0] = (attribute)DRIVER_INTS("imputed_value_int64s", 2, values);
    call.attributes[1] = (attribute)DRIVER_INT("replaced_value_int64", -1);
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], types[t], 1, (int64_t[]){2}, (double[]){7, -8});
    value_clear(&x);
    driver_finish(&driver);
  }
}

/* A replaced value that no int32 is replaces none, and one that none is does not fit. */
static void narrow_integers(void **state) {
  (void)state;
  static const int64_t wide[] = {INT64_C(1) << 40}, small[] = {3};
  driver driver;
  driver_init(&driver);
  value x = driver_tensor(&driver, NORMA_INT32, 1, (int64_t[]){2}, (double[]){0, 1});
  driver_call call = make_call(&x);
  call.attributes[0] = (attribute)DRIVER_INTS("imputed_value_int64s", 1, small);
  call.attributes[1] = (attribute)DRIVER_INT("replaced_value_int64", INT64_C(1) << 32);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT32, 1, (int64_t[]){2}, (double[]){0, 1});
  call.attributes[0] = (attribute)DRIVER_INTS("imputed_value_int64s", 1, wide);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "no int32");
  value_clear(&x);
  driver_finish(&driver);
}

static void refusals(void **state) {
  (void)state;
  static const float two[] = {1, 2};
  static const int64_t one[] = {1};
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, (int64_t[]){1, 3}, NULL);
  driver_call call = make_call(&x);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "imputed_value");
  call.attributes[0] = (attribute)DRIVER_FLOATS("imputed_value_floats", 2, two);
  check_refused(&driver, &call, NORMA_ERROR_INPUT, "2 imputed values for 3");
  call.attributes[0] = (attribute)DRIVER_INTS("imputed_value_int64s", 1, one);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "no imputed values of type float");
  call.attributes[1] = (attribute)DRIVER_FLOATS("imputed_value_floats", 2, two);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "needs one of");
  value_clear(&x);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(floats),
      cmocka_unit_test(integers),
      cmocka_unit_test(narrow_integers),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
