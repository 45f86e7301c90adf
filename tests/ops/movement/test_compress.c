/* Compress against a naive one. */
#include "tests/support/operator_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NO_AXIS 99

static driver_call make_call(const value *x, const value *condition, int64_t axis) {
  driver_call call = {
      .op_type = "Compress", .opset = 28, .inputs = {x, condition}, .input_count = 2, .output_count = 1};
  if (axis != NO_AXIS) call.attributes[0] = (attribute)DRIVER_INT("axis", axis);
  return call;
}

/* x of 3 x 4 x 5; flags of `length`, the i-th from bit i of `mask`. */
static void check(norma_element_type type, int64_t axis, int64_t length, uint64_t mask, bool constant, int workers) {
  driver driver;
  driver_init(&driver);
  const int64_t dims[3] = {3, 4, 5};
  bool flags[64];
  for (int i = 0; i < length; i++) flags[i] = mask >> i & 1;
  value x = driver_tensor(&driver, type, 3, dims, NULL), condition = driver_bools(&driver, 1, &length, flags);
  for (size_t i = 0; i < x.tensor.size_bytes; i++) {
    ((uint8_t *)x.tensor.data)[i] = (uint8_t)(type == NORMA_BOOL ? i % 3 == 0 : i * 31 + 5);
  }
  driver_call call = make_call(&x, &condition, axis);
  call.constants = constant ? 2 : 0;
  call.workers = workers;
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
  const int place = axis == NO_AXIS ? 0 : (int)(axis < 0 ? axis + 3 : axis);
  const int64_t outer = axis == NO_AXIS ? 1 : dims_product(dims, 0, place);
  const int64_t size = axis == NO_AXIS ? 60 : dims[place], inner = 60 / outer / size;
  const size_t bytes = element_type_bytes(type);
  const norma_tensor *y = &driver.outputs[0].tensor;
  int64_t at = 0, taken = 0;
  for (int i = 0; i < length; i++) taken += flags[i];
  assert_int_equal(y->rank, axis == NO_AXIS ? 1 : 3);
  assert_int_equal(y->dims[place], taken);
  for (int64_t o = 0; o < outer; o++) {
    for (int64_t i = 0; i < length; i++) {
      for (int64_t k = 0; flags[i] && k < inner; k++, at++) {
        assert_memory_equal((char *)y->data + (size_t)at * bytes,
                            (char *)x.tensor.data + (size_t)((o * size + i) * inner + k) * bytes, bytes);
      }
    }
  }
  assert_int_equal(norma_tensor_count(y), at);
  value_clear(&x);
  value_clear(&condition);
  driver_finish(&driver);
}

static void takes_slices(void **state) {
  (void)state;
  const type_mask types = TYPES_NUMERIC | TYPES_COMPLEX | TYPE_BIT(NORMA_BOOL);
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (!element_type_exists((norma_element_type)type) || !(types & TYPE_BIT(type))) continue;
    for (int constant = 0; constant < 2; constant++) {
      check((norma_element_type)type, 0, 3, 5, constant, 1);
      check((norma_element_type)type, 1, 4, 6, constant, 2);
      check((norma_element_type)type, 1, 2, 2, constant, 1); /* shorter than the axis */
      check((norma_element_type)type, -1, 5, 31, constant, 3);
      check((norma_element_type)type, 2, 5, 0, constant, 1);
      check((norma_element_type)type, 2, 0, 0, constant, 1);
      check((norma_element_type)type, NO_AXIS, 60, 0x123456789ABCDEF, constant, 1);
      check((norma_element_type)type, NO_AXIS, 10, 0x2A1, constant, 7);
    }
  }
}

static void takes_strings(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_strings(&driver, 2, (int64_t[]){2, 2}, (const char *const[]){"a", "", "a longer text", "d"});
  value condition = driver_bools(&driver, 1, (int64_t[]){3}, (bool[]){true, false, true});
  const driver_call call = make_call(&x, &condition, NO_AXIS);
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
  const norma_string *got = driver.outputs[0].tensor.data;
  assert_int_equal(norma_tensor_count(&driver.outputs[0].tensor), 2);
  assert_int_equal(got[0].size, 1);
  assert_int_equal(got[1].size, 13);
  assert_memory_equal(got[1].data, "a longer text", 13);
  value_clear(&x);
  value_clear(&condition);
  driver_finish(&driver);
}

static void assert_refused(driver *driver, const driver_call *call, const char *text) {
  assert_int_not_equal(driver_run(driver, call), NORMA_OK);
  if (!strstr(driver->error.message, text)) fail_msg("expected \"%s\", got \"%s\"", text, driver->error.message);
}

static void refuses_what_is_wrong(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_tensor(&driver, NORMA_FLOAT, 2, (int64_t[]){2, 2}, NULL);
  value three = driver_bools(&driver, 1, (int64_t[]){3}, (bool[]){true, false, true});
  value square = driver_bools(&driver, 2, (int64_t[]){1, 2}, (bool[]){true, false});
  value half = driver_tensor(&driver, NORMA_BFLOAT16, 1, (int64_t[]){4}, NULL);
  driver_call call = make_call(&x, &three, 0);
  for (int constant = 0; constant < 2; constant++) {
    call.constants = constant ? 2 : 0;
    assert_refused(&driver, &call, "true beyond the 2 slices");
  }
  call = make_call(&x, &three, 2);
  assert_refused(&driver, &call, "axis 2");
  call = make_call(&x, &square, 0);
  assert_refused(&driver, &call, "no list");
  call = make_call(&half, &three, NO_AXIS);
  call.opset = 27;
  assert_refused(&driver, &call, "bfloat16 needs opset 28");
  value_clear(&x);
  value_clear(&three);
  value_clear(&square);
  value_clear(&half);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(takes_slices),
      cmocka_unit_test(takes_strings),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
