/* TensorScatter against the pseudo-code of its definition, for every element type. */
#include "tests/support/operator_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static driver_call make_call(const value *past, const value *update, const value *starts, const char *mode,
                             int64_t axis) {
  return (driver_call){
      .op_type = "TensorScatter",
      .opset = 24,
      .attributes = {DRIVER_INT("axis", axis), {.name = "mode", .kind = ATTRIBUTE_STRING, .s = {mode, strlen(mode)}}},
      .inputs = {past, update, starts},
      .input_count = starts ? 3 : 2,
      .output_count = 1};
}

static int bit_of(const norma_tensor *tensor, int64_t element, int bit) {
  const int64_t at = element * element_type_bits(tensor->type) + bit;
  return ((const uint8_t *)tensor->data)[at / 8] >> (at % 8) & 1;
}

static void fill(value *tensor, int factor) {
  const norma_tensor *t = &tensor->tensor;
  for (size_t i = 0; i < t->size_bytes; i++) {
    ((uint8_t *)t->data)[i] = (uint8_t)(t->type == NORMA_BOOL ? i % 2 : (size_t)factor * i + 3);
  }
  const int64_t bits = norma_tensor_count(t) * element_type_bits(t->type);
  if (bits % 8) ((uint8_t *)t->data)[bits / 8] &= (uint8_t)((1 << bits % 8) - 1);
}

/* past [2, 3, 5, 2] and update [2, 3, n, 2] (axis 2), or with the positions on axis 1. */
static void check(norma_element_type type, int axis, int64_t updates, const int64_t *starts, bool circular,
                  bool in_place) {
  driver driver;
  driver_init(&driver);
  int64_t dims[4] = {2, 3, 3, 2}, update_dims[4] = {2, 3, 3, 2};
  dims[axis] = 5;
  update_dims[axis] = updates;
  value past = driver_tensor(&driver, type, 4, dims, NULL), update = driver_tensor(&driver, type, 4, update_dims, NULL);
  value indices = driver_ints(&driver, 1, (int64_t[]){2}, starts ? starts : (int64_t[]){0, 0});
  fill(&past, 37);
  fill(&update, 91);
  driver_call call = make_call(&past, &update, starts ? &indices : NULL, circular ? "circular" : "linear",
                               updates % 2 ? axis : axis - 4);
  call.in_place = in_place;
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
  const norma_tensor *present = &driver.outputs[0].tensor;
  const int64_t inner = dims_product(dims, axis + 1, 4), outer = dims_product(dims, 0, axis);
  for (int64_t i = 0; i < norma_tensor_count(present); i++) {
    const int64_t sample = i / dims_product(dims, 1, 4), prefix = i / inner / 5, position = i / inner % 5;
    const norma_tensor *from = &past.tensor;
    int64_t element = i;
    for (int64_t u = 0; u < updates; u++) {
      int64_t at = (starts ? starts[sample] : 0) + u;
      if (circular) at = (at % 5 + 5) % 5;
      if (at != position) continue;
      from = &update.tensor;
      element = (prefix * updates + u) * inner + i % inner;
    }
    assert_true(prefix < outer);
    for (int bit = 0; bit < element_type_bits(type); bit++) {
      if (bit_of(present, i, bit) != bit_of(from, element, bit)) fail_msg("type %d, element %d differs", type, (int)i);
    }
  }
  value_clear(&past);
  value_clear(&update);
  value_clear(&indices);
  driver_finish(&driver);
}

static void writes_updates(void **state) {
  (void)state;
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (!element_type_exists((norma_element_type)type) || type == NORMA_STRING) continue;
    for (int axis = 1; axis < 3; axis++) {
      check((norma_element_type)type, axis, 3, NULL, false, false);
      check((norma_element_type)type, axis, 2, (int64_t[]){3, 0}, false, false);
      check((norma_element_type)type, axis, 1, (int64_t[]){4, 2}, false, true);
      check((norma_element_type)type, axis, 4, (int64_t[]){3, 14}, true, false);
      check((norma_element_type)type, axis, 5, (int64_t[]){-1, 2}, true, true);
      check((norma_element_type)type, axis, 0, (int64_t[]){5, 2}, false, false);
    }
  }
}

static void writes_strings(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value past = driver_strings(&driver, 2, (int64_t[]){1, 3}, (const char *const[]){"a", "bb", "ccc"});
  value update = driver_strings(&driver, 2, (int64_t[]){1, 2}, (const char *const[]){"x", "a longer text"});
  value starts = driver_ints(&driver, 1, (int64_t[]){1}, (int64_t[]){2});
  const driver_call call = make_call(&past, &update, &starts, "circular", 1);
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
  static const char *const expected[] = {"a longer text", "bb", "x"};
  for (int i = 0; i < 3; i++) {
    const norma_string *got = (const norma_string *)driver.outputs[0].tensor.data + i;
    assert_int_equal(got->size, strlen(expected[i]));
    assert_memory_equal(got->data, expected[i], got->size);
  }
  value_clear(&past);
  value_clear(&update);
  value_clear(&starts);
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
  value past = driver_tensor(&driver, NORMA_FLOAT, 3, (int64_t[]){2, 5, 3}, NULL);
  value update = driver_tensor(&driver, NORMA_FLOAT, 3, (int64_t[]){2, 2, 3}, NULL);
  value large = driver_tensor(&driver, NORMA_FLOAT, 3, (int64_t[]){2, 6, 3}, NULL);
  value other = driver_tensor(&driver, NORMA_FLOAT, 3, (int64_t[]){2, 2, 4}, NULL);
  value flat = driver_tensor(&driver, NORMA_FLOAT, 2, (int64_t[]){2, 2}, NULL);
  value late = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){0, 4});
  value negative = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){-1, 0});
  value three = driver_ints(&driver, 1, (int64_t[]){3}, (int64_t[]){0, 0, 0});
  driver_call call = make_call(&past, &large, NULL, "linear", 1);
  assert_refused(&driver, &call, "does not fit a cache of shape 2x5x3");
  call.inputs[1] = &other;
  assert_refused(&driver, &call, "does not fit");
  call.inputs[1] = &flat;
  assert_refused(&driver, &call, "does not fit");
  call = make_call(&past, &update, &late, "linear", 1);
  assert_refused(&driver, &call, "write_indices holds 4");
  call.inputs[2] = &negative;
  assert_refused(&driver, &call, "write_indices holds -1");
  call.inputs[2] = &three;
  assert_refused(&driver, &call, "3 elements for 2 samples");
  call = make_call(&past, &update, NULL, "linear", 0);
  assert_refused(&driver, &call, "axis 0");
  call = make_call(&past, &update, NULL, "linear", 3);
  assert_refused(&driver, &call, "axis 3");
  call = make_call(&past, &update, NULL, "spiral", 1);
  assert_refused(&driver, &call, "mode is 'spiral'");
  value *const values[] = {&past, &update, &large, &other, &flat, &late, &negative, &three};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) value_clear(values[i]);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(writes_updates),
      cmocka_unit_test(writes_strings),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
