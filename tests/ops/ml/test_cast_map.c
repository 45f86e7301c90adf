/* CastMap: dense and sparse rows of the three types. */
#include "tests/support/operator_checks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static driver_call make_call(const value *x) {
  return (driver_call){
      .domain = "ai.onnx.ml", .op_type = "CastMap", .opset = 1, .inputs = {x}, .input_count = 1, .output_count = 1};
}

static void dense_in_the_order_of_keys(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value keys = driver_ints(&driver, 1, (int64_t[]){4}, (int64_t[]){30, -1, 7, 30});
  value values = driver_floats(&driver, 1, (int64_t[]){4}, (float[]){5, -1.75f, INFINITY, 2.5f});
  value map = driver_map(&driver, &keys, &values);
  driver_call call = make_call(&map);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK); /* of equal keys the last counts */
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){1, 3}, (double[]){-1.75, INFINITY, 2.5});
  call.attributes[0] = (attribute)DRIVER_STRING("cast_to", "TO_STRING");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  check_strings(&driver.outputs[0], SHAPE(1, 3), (const char *[]){"-1.750000", "inf", "2.500000"});
  value_clear(&map);
  value_clear(&keys);
  value_clear(&values);
  driver_finish(&driver);
}

static void sparse_at_the_places_of_keys(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value keys = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){3, 1});
  value texts = driver_strings(&driver, 1, (int64_t[]){2}, (const char *[]){"-2.5", "7"});
  value map = driver_map(&driver, &keys, &texts);
  driver_call call = make_call(&map);
  call.attributes[0] = (attribute)DRIVER_STRING("map_form", "SPARSE");
  call.attributes[1] = (attribute)DRIVER_INT("max_map", 5);
  call.attributes[2] = (attribute)DRIVER_STRING("cast_to", "TO_FLOAT");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){1, 5}, (double[]){0, 7, 0, -2.5, 0});
  call.attributes[2] = (attribute)DRIVER_STRING("cast_to", "TO_STRING");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  check_strings(&driver.outputs[0], SHAPE(1, 5), (const char *[]){"0.f", "7", "0.f", "-2.5", "0.f"});
  call.attributes[1] = (attribute)DRIVER_INT("max_map", 3);
  check_refused(&driver, &call, NORMA_ERROR_RUN, "key 3 is outside");
  value_clear(&map);
  value_clear(&keys);
  value_clear(&texts);
  driver_finish(&driver);
}

static void whole_numbers(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value keys = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){1, 0});
  value values = driver_floats(&driver, 1, (int64_t[]){2}, (float[]){-2.9f, 2.9f});
  value texts = driver_strings(&driver, 1, (int64_t[]){2}, (const char *[]){"12", "x"});
  value map = driver_map(&driver, &keys, &values), words = driver_map(&driver, &keys, &texts);
  driver_call call = make_call(&map);
  call.attributes[0] = (attribute)DRIVER_STRING("cast_to", "TO_INT64");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){1, 2}, (double[]){2, -2});
  call.inputs[0] = &words;
  check_refused(&driver, &call, NORMA_ERROR_RUN, "\"x\" is no number");
  value_clear(&map);
  value_clear(&words);
  value_clear(&keys);
  value_clear(&values);
  value_clear(&texts);
  driver_finish(&driver);
}

static void refusals(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value words = driver_strings(&driver, 1, (int64_t[]){1}, (const char *[]){"a"});
  value values = driver_floats(&driver, 1, (int64_t[]){1}, NULL);
  value map = driver_map(&driver, &words, &values);
  driver_call call = make_call(&map);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "keys of type string");
  call.attributes[0] = (attribute)DRIVER_STRING("cast_to", "TO_BOOL");
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "'TO_BOOL'");
  call.attributes[0] = (attribute)DRIVER_STRING("map_form", "ROUND");
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "'ROUND'");
  call.attributes[0] = (attribute)DRIVER_STRING("map_form", "SPARSE");
  call.attributes[1] = (attribute)DRIVER_INT("max_map", -1);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "max_map is -1");
  value_clear(&map);
  value_clear(&words);
  value_clear(&values);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dense_in_the_order_of_keys),
      cmocka_unit_test(sparse_at_the_places_of_keys),
      cmocka_unit_test(whole_numbers),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
