/* Binarizer: 1 above the threshold, exactly, for every type. */
#include "tests/support/operator_checks.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_INT32, NORMA_INT64};

static driver_call make_call(const value *x, float threshold) {
  return (driver_call){.domain = "ai.onnx.ml",
                       .op_type = "Binarizer",
                       .opset = 1,
                       .attributes = {DRIVER_FLOAT("threshold", threshold)},
                       .inputs = {x},
                       .input_count = 1,
                       .output_count = 1};
}

static void every_type(void **state) {
  uint64_t seed = 1;
  (void)state;
  for (int t = 0; t < 4; t++) {
    driver driver;
    driver_init(&driver);
    const int64_t dims[] = {31, 701};
    value x = random_tensor(&seed, types[t], 2, dims);
    double *numbers = tensor_doubles(&x);
    const int64_t count = norma_tensor_count(&x.tensor);
    const float threshold = t < 2 ? 0.25f : 2.5f;
    const driver_call call = make_call(&x, threshold);
    for (int64_t i = 0; i < count; i++) numbers[i] = numbers[i] > (double)threshold;
    check_all_workers(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], types[t], 2, dims, numbers);
    free(numbers);
    random_tensor_free(&x);
    driver_finish(&driver);
  }
}

static void odd_numbers(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){5}, (float[]){NAN, 0, -0.0f, INFINITY, 1});
  driver_call call = make_call(&x, 0);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){5}, (double[]){0, 0, 0, 1, 1});
  call = make_call(&x, INFINITY);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){5}, (double[]){0, 0, 0, 0, 0});
  value_clear(&x);
  driver_finish(&driver);
}

/* Where the threshold is beyond the integers, or between two that a float cannot tell apart. */
static void wide_integers(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  const int64_t above = (INT64_C(1) << 60) + 1;
  value x = driver_ints(&driver, 1, (int64_t[]){4}, (int64_t[]){INT64_MIN, INT64_MAX, above, above - 1});
  const struct {
    float threshold;
    double expected[4];
  } cases[] = {{-1e20f, {1, 1, 1, 1}},   {1e20f, {0, 0, 0, 0}}, {0x1p60f, {0, 1, 1, 0}},
               {-0x1p63f, {0, 1, 1, 1}}, {NAN, {0, 0, 0, 0}},   {-INFINITY, {1, 1, 1, 1}}};
  for (int c = 0; c < 6; c++) {
    const driver_call call = make_call(&x, cases[c].threshold);
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 1, (int64_t[]){4}, cases[c].expected);
  }
  value_clear(&x);
  driver_finish(&driver);
}

static void empty_and_wrong(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value none = driver_floats(&driver, 2, (int64_t[]){0, 3}, NULL);
  value text = driver_strings(&driver, 1, (int64_t[]){1}, (const char *[]){"a"});
  driver_call call = make_call(&none, 0);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){0, 3}, NULL);
  call.inputs[0] = &text;
  check_refused(&driver, &call, NORMA_ERROR_UNSUPPORTED, "string");
  value_clear(&none);
  value_clear(&text);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type),
      cmocka_unit_test(odd_numbers),
      cmocka_unit_test(wide_integers),
      cmocka_unit_test(empty_and_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
