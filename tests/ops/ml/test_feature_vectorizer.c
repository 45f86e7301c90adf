/* FeatureVectorizer: rows side by side, cut or filled with zeros. */
#include "tests/support/operator_checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void every_type(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_INT32, NORMA_INT64};
  static const int64_t sizes[] = {1, 4};
  (void)state;
  for (int t = 0; t < 4; t++) {
    driver driver;
    driver_init(&driver);
    value a = driver_tensor(&driver, types[t], 2, (int64_t[]){2, 2}, (double[]){1, 2, 3, 4});
    value b = driver_tensor(&driver, types[t], 3, (int64_t[]){2, 1, 3}, (double[]){5, 6, 7, 8, 9, 10});
    driver_call call = {.domain = "ai.onnx.ml",
                        .op_type = "FeatureVectorizer",
                        .opset = 1,
                        .attributes = {DRIVER_INTS("inputdimensions", 2, sizes)},
                        .inputs = {&a, &b},
                        .input_count = 2,
                        .output_count = 1};
    check_all_workers(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){2, 5},
                         (double[]){1, 5, 6, 7, 0, 3, 8, 9, 10, 0});
    call.attributes[0].name = NULL;
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){2, 5},
                         (double[]){1, 2, 5, 6, 7, 3, 4, 8, 9, 10});
    value_clear(&a);
    value_clear(&b);
    driver_finish(&driver);
  }
}

static void vectors_are_rows(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value a = driver_floats(&driver, 1, (int64_t[]){2}, (float[]){1, 2});
  value b = driver_floats(&driver, 2, (int64_t[]){1, 1}, (float[]){3});
  value none = driver_floats(&driver, 2, (int64_t[]){0, 4}, NULL);
  driver_call call = {.domain = "ai.onnx.ml",
                      .op_type = "FeatureVectorizer",
                      .opset = 1,
                      .inputs = {&a, &b},
                      .input_count = 2,
                      .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){1, 3}, (double[]){1, 2, 3});
  call.inputs[0] = &none;
  call.input_count = 1;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){0, 4}, NULL);
  value_clear(&a);
  value_clear(&b);
  value_clear(&none);
  driver_finish(&driver);
}

static void refusals(void **state) {
  static const int64_t sizes[] = {1, -1};
  (void)state;
  driver driver;
  driver_init(&driver);
  value a = driver_floats(&driver, 2, (int64_t[]){2, 2}, NULL);
  value b = driver_floats(&driver, 2, (int64_t[]){3, 2}, NULL);
  value scalar = driver_floats(&driver, 0, NULL, NULL);
  driver_call call = {.domain = "ai.onnx.ml",
                      .op_type = "FeatureVectorizer",
                      .opset = 1,
                      .inputs = {&a, &b},
                      .input_count = 2,
                      .output_count = 1};
  check_refused(&driver, &call, NORMA_ERROR_INPUT, "3 rows, others 2");
  call.attributes[0] = (attribute)DRIVER_INTS("inputdimensions", 2, sizes);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "is -1");
  call.attributes[0].count = 1;
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "1 inputdimensions and 2 inputs");
  call.inputs[0] = &scalar;
  call.input_count = 1;
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "is a scalar");
  value_clear(&a);
  value_clear(&b);
  value_clear(&scalar);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type),
      cmocka_unit_test(vectors_are_rows),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
