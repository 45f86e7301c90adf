/* LabelEncoder: each version with its types of keys and values. */
#include "tests/support/operator_checks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const norma_string words[] = {{"a", 1}, {"b", 1}, {"a", 1}};
static const int64_t numbers[] = {7, -1, 7};

static driver_call make_call(const value *x, int64_t opset) {
  return (driver_call){.domain = "ai.onnx.ml",
                       .op_type = "LabelEncoder",
                       .opset = opset,
                       .inputs = {x},
                       .input_count = 1,
                       .output_count = 1};
}

static void version_1(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_strings(&driver, 2, (int64_t[]){1, 3}, (const char *[]){"b", "a", "c"});
  value y = driver_ints(&driver, 1, (int64_t[]){4}, (int64_t[]){1, 2, 3, -1});
  driver_call call = make_call(&x, 1);
  call.attributes[0] = (attribute)DRIVER_STRINGS("classes_strings", 3, words);
  check_all_workers(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){1, 3}, (double[]){1, 2, -1});
  call.inputs[0] = &y;
  check_all_workers(&driver, &call);
  check_strings(&driver.outputs[0], SHAPE(4), (const char *[]){"b", "a", "_Unused", "_Unused"});
  call.attributes[1] = (attribute)DRIVER_STRING("default_string", "?");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  check_strings(&driver.outputs[0], SHAPE(4), (const char *[]){"b", "a", "?", "?"});
  value_clear(&x);
  value_clear(&y);
  driver_finish(&driver);
}

/* Of equal keys the first counts, and floats are compared by their bits. */
static void version_2(void **state) {
  static const float floats[] = {0, 1, NAN};
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_strings(&driver, 1, (int64_t[]){2}, (const char *[]){"a", "z"});
  value f = driver_floats(&driver, 1, (int64_t[]){4}, (float[]){-0.0f, 0, NAN, 1});
  driver_call call = make_call(&x, 2);
  call.attributes[0] = (attribute)DRIVER_STRINGS("keys_strings", 3, words);
  call.attributes[1] = (attribute)DRIVER_FLOATS("values_floats", 3, floats);
  call.attributes[2] = (attribute)DRIVER_FLOAT("default_float", 2.5f);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){2}, (double[]){0, 2.5});
  call = make_call(&f, 2);
  call.attributes[0] = (attribute)DRIVER_FLOATS("keys_floats", 3, floats);
  call.attributes[1] = (attribute)DRIVER_INTS("values_int64s", 3, numbers);
  call.attributes[2] = (attribute)DRIVER_INT("default_int64", 100);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 1, (int64_t[]){4}, (double[]){100, 7, 7, -1});
  value_clear(&x);
  value_clear(&f);
  driver_finish(&driver);
}

/* Keys and values of all pairs of types; of equal keys the last counts. */
static void version_4_every_type(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_INT16, NORMA_INT32, NORMA_INT64};
  (void)state;
  for (int pair = 0; pair < 25; pair++) {
    const norma_element_type from = types[pair / 5], to = types[pair % 5];
    driver driver;
    driver_init(&driver);
    value keys = driver_tensor(&driver, from, 1, (int64_t[]){4}, (double[]){3, -7, 5, 3});
    value values = driver_tensor(&driver, to, 1, (int64_t[]){4}, (double[]){1, 2, 3, 4});
    value otherwise = driver_tensor(&driver, to, 1, (int64_t[]){1}, (double[]){-9});
    value x = driver_tensor(&driver, from, 2, (int64_t[]){2, 2}, (double[]){-7, 3, 0, 5});
    driver_call call = make_call(&x, 4);
    call.attributes[0] = (attribute)DRIVER_TENSOR("keys_tensor", &keys);
    call.attributes[1] = (attribute)DRIVER_TENSOR("values_tensor", &values);
    call.attributes[2] = (attribute)DRIVER_TENSOR("default_tensor", &otherwise);
    check_all_workers(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], to, 2, (int64_t[]){2, 2}, (double[]){2, 4, -9, 3});
    call.attributes[2].name = NULL;
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    assert_true(driver_element(&driver.outputs[0], 2) == (to == NORMA_FLOAT || to == NORMA_DOUBLE ? 0 : -1));
    value_clear(&keys);
    value_clear(&values);
    value_clear(&otherwise);
    value_clear(&x);
    driver_finish(&driver);
  }
}

static void version_4_compares_numbers(void **state) {
  static const float keys[] = {0, NAN};
  static const norma_string values[] = {{"zero", 4}, {"none", 4}};
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){3}, (float[]){-0.0f, -NAN, 1});
  driver_call call = make_call(&x, 4);
  call.attributes[0] = (attribute)DRIVER_FLOATS("keys_floats", 2, keys);
  call.attributes[1] = (attribute)DRIVER_STRINGS("values_strings", 2, values);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  check_strings(&driver.outputs[0], SHAPE(3), (const char *[]){"zero", "none", "_Unused"});
  value_clear(&x);
  driver_finish(&driver);
}

static void refusals(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_ints(&driver, 1, (int64_t[]){1}, NULL), square = driver_ints(&driver, 2, (int64_t[]){1, 3}, numbers);
  value bytes = driver_tensor(&driver, NORMA_UINT8, 1, (int64_t[]){3}, NULL);
  value two = driver_ints(&driver, 1, (int64_t[]){2}, numbers);
  driver_call call = make_call(&x, 4);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "no keys or no values");
  call.attributes[0] = (attribute)DRIVER_INTS("keys_int64s", 3, numbers);
  call.attributes[1] = (attribute)DRIVER_INTS("values_int64s", 2, numbers);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "3 keys and 2 values");
  call.attributes[1] = (attribute)DRIVER_STRINGS("keys_strings", 3, words);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "more than one of");
  call.attributes[1] = (attribute)DRIVER_TENSOR("values_tensor", &square);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "rank 2");
  call.attributes[1] = (attribute)DRIVER_TENSOR("values_tensor", &bytes);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "of type uint8");
  call.attributes[1] = (attribute)DRIVER_INTS("values_int64s", 3, numbers);
  call.attributes[2] = (attribute)DRIVER_TENSOR("default_tensor", &two);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "default_tensor is not one element");
  call.attributes[2].name = NULL;
  call.attributes[0] = (attribute)DRIVER_STRINGS("keys_strings", 3, words);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "no keys of type int64");
  value_clear(&x);
  value_clear(&square);
  value_clear(&bytes);
  value_clear(&two);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(version_1),
      cmocka_unit_test(version_2),
      cmocka_unit_test(version_4_every_type),
      cmocka_unit_test(version_4_compares_numbers),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
