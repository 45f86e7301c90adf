/* CategoryMapper: both ways, and what is in neither list. */
#include "tests/support/operator_checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const norma_string words[] = {{"a", 1}, {"b", 1}, {"a", 1}, {"", 0}};
static const int64_t numbers[] = {10, 20, 30, 20};

static void both_ways(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_strings(&driver, 2, (int64_t[]){2, 2}, (const char *[]){"a", "b", "", "c"});
  value y = driver_ints(&driver, 1, (int64_t[]){4}, (int64_t[]){10, 20, 30, 0});
  driver_call call = {.domain = "ai.onnx.ml",
                      .op_type = "CategoryMapper",
                      .opset = 1,
                      .attributes = {DRIVER_STRINGS("cats_strings", 4, words), DRIVER_INTS("cats_int64s", 4, numbers)},
                      .inputs = {&x},
                      .input_count = 1,
                      .output_count = 1};
  check_all_workers(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){2, 2}, (double[]){30, 20, 20, -1});
  call.inputs[0] = &y;
  check_all_workers(&driver, &call);
  check_strings(&driver.outputs[0], SHAPE(4), (const char *[]){"a", "", "a", "_Unused"});
  call.attributes[2] = (attribute)DRIVER_STRING("default_string", "none");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  check_strings(&driver.outputs[0], SHAPE(4), (const char *[]){"a", "", "a", "none"});
  call.inputs[0] = &x;
  call.attributes[2] = (attribute)DRIVER_INT("default_int64", -5);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){2, 2}, (double[]){30, 20, 20, -5});
  call.attributes[1].count = 3;
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "3 cats_int64s and 4 cats_strings");
  value_clear(&x);
  value_clear(&y);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(both_ways)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
