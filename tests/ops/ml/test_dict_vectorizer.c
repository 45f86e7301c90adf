/* DictVectorizer: maps of all types as rows. */
#include "tests/support/operator_checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const norma_string words[] = {{"a", 1}, {"b", 1}, {"c", 1}, {"a", 1}};
static const int64_t numbers[] = {3, 1, 2, 3};

static driver_call make_call(const value *x) {
  return (driver_call){.domain = "ai.onnx.ml",
                       .op_type = "DictVectorizer",
                       .opset = 1,
                       .inputs = {x},
                       .input_count = 1,
                       .output_count = 1};
}

static void numbers_by_either_key(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_INT64};
  (void)state;
  for (int t = 0; t < 6; t++) {
    const norma_element_type type = types[t % 3];
    const bool by_word = t < 3;
    if (!by_word && type == NORMA_INT64) continue;
    driver driver;
    driver_init(&driver);
    value keys = by_word ? driver_strings(&driver, 1, (int64_t[]){3}, (const char *[]){"z", "c", "a"})
                         : driver_ints(&driver, 1, (int64_t[]){3}, (int64_t[]){9, 2, 3});
    value values = driver_tensor(&driver, type, 1, (int64_t[]){3}, (double[]){7, 8, 9});
    value map = driver_map(&driver, &keys, &values);
    driver_call call = make_call(&map);
    call.attributes[0] = by_word ? (attribute)DRIVER_STRINGS("string_vocabulary", 4, words)
                                 : (attribute)DRIVER_INTS("int64_vocabulary", 4, numbers);
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], type, 2, (int64_t[]){1, 4}, (double[]){9, 0, 8, 9});
    value_clear(&map);
    value_clear(&keys);
    value_clear(&values);
    driver_finish(&driver);
  }
}

static void strings_by_number(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value keys = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){1, 3});
  value values = driver_strings(&driver, 1, (int64_t[]){2}, (const char *[]){"one", "three"});
  value map = driver_map(&driver, &keys, &values);
  driver_call call = make_call(&map);
  call.attributes[0] = (attribute)DRIVER_INTS("int64_vocabulary", 4, numbers);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  check_strings(&driver.outputs[0], SHAPE(1, 4), (const char *[]){"three", "one", "", "three"});
  value_clear(&map);
  value_clear(&keys);
  value_clear(&values);
  driver_finish(&driver);
}

static void refusals(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value keys = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){1, 3});
  value values = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){1, 3});
  value short_values = driver_floats(&driver, 1, (int64_t[]){1}, NULL);
  value same = driver_map(&driver, &keys, &values), uneven = driver_map(&driver, &keys, &short_values);
  driver_call call = make_call(&same);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "no vocabulary");
  call.attributes[0] = (attribute)DRIVER_INTS("int64_vocabulary", 4, numbers);
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.inputs[0] = &uneven;
  check_refused(&driver, &call, NORMA_ERROR_RUN, "more keys than values");
  call.attributes[0] = (attribute)DRIVER_STRINGS("string_vocabulary", 4, words);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "keys of type int64");
  call.inputs[0] = &values;
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "not a map");
  value_clear(&same);
  value_clear(&uneven);
  value_clear(&keys);
  value_clear(&values);
  value_clear(&short_values);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_by_either_key),
      cmocka_unit_test(strings_by_number),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
