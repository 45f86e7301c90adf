/* Unique against a naive one that compares every slice with every other; order, NaN, zeros, strings, complex
 * numbers. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NO_AXIS 99

static driver_call make_call(const value *x, int64_t axis, bool sorted) {
  driver_call call = {.op_type = "Unique",
                      .opset = 28,
                      .attributes = {DRIVER_INT("sorted", sorted)},
                      .inputs = {x},
                      .input_count = 1,
                      .output_count = 4};
  if (axis != NO_AXIS) call.attributes[1] = (attribute)DRIVER_INT("axis", axis);
  return call;
}

typedef struct slices {
  const norma_tensor *x;
  int64_t outer, count, inner;
} slices;

static int compare_numbers(double a, double b) {
  if (isnan(a) || isnan(b)) return isnan(a) - isnan(b);
  return (a > b) - (a < b);
}

static int compare_slices(const slices *s, int64_t a, int64_t b) {
  for (int64_t o = 0; o < s->outer; o++) {
    for (int64_t i = 0; i < s->inner; i++) {
      const int64_t at_a = (o * s->count + a) * s->inner + i, at_b = (o * s->count + b) * s->inner + i;
      const int order = compare_numbers(element_get_double(s->x->type, s->x->data, at_a),
                                        element_get_double(s->x->type, s->x->data, at_b));
      if (order) return order;
    }
  }
  return 0;
}

static void check(norma_element_type type, int rank, const int64_t *dims, int64_t axis, bool sorted, uint64_t *seed,
                  int range) {
  driver driver;
  driver_init(&driver);
  value x = driver_tensor(&driver, type, rank, dims, NULL);
  for (int64_t i = 0; i < norma_tensor_count(&x.tensor); i++) {
    element_set_double(type, x.tensor.data, i, floor(driver_random(seed, type == NORMA_BOOL ? 0 : -range / 2, range)));
    if ((TYPE_BIT(type) & TYPES_FLOAT) && driver_random(seed, 0, 1) < 0.1) {
      element_set_double(type, x.tensor.data, i, driver_random(seed, 0, 1) < 0.5 ? (double)NAN : -0.0);
    }
  }
  const driver_call call = make_call(&x, axis, sorted);
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
  slices s = {&x.tensor, 1, norma_tensor_count(&x.tensor), 1};
  int place = 0;
  if (axis != NO_AXIS) {
    place = (int)(axis < 0 ? axis + rank : axis);
    s = (slices){&x.tensor, dims_product(dims, 0, place), dims[place], dims_product(dims, place + 1, rank)};
  }
  const norma_tensor *y = &driver.outputs[0].tensor;
  const int64_t *indices = driver.outputs[1].tensor.data, *inverse = driver.outputs[2].tensor.data;
  const int64_t *counts = driver.outputs[3].tensor.data, groups = y->dims[place];
  assert_int_equal(y->type, type);
  assert_int_equal(y->rank, axis == NO_AXIS ? 1 : rank);
  assert_int_equal(norma_tensor_count(&driver.outputs[1].tensor), groups);
  assert_int_equal(norma_tensor_count(&driver.outputs[2].tensor), s.count);
  assert_int_equal(norma_tensor_count(&driver.outputs[3].tensor), groups);
  int64_t total = 0;
  for (int64_t g = 0; g < groups; g++) {
    total += counts[g];
    int64_t found = 0;
    for (int64_t i = 0; i < s.count; i++) {
      const bool is_same = compare_slices(&s, i, indices[g]) == 0;
      found += is_same;
      assert_int_equal(inverse[i] == g, is_same);
      if (is_same) assert_true(i >= indices[g]); /* the first */
    }
    assert_int_equal(found, counts[g]);
    if (g > 0) assert_true(sorted ? compare_slices(&s, indices[g - 1], indices[g]) < 0 : indices[g - 1] < indices[g]);
    const size_t bytes = (size_t)s.inner * element_type_bytes(type);
    for (int64_t o = 0; o < s.outer && bytes; o++) {
      assert_memory_equal((char *)y->data + (size_t)(o * groups + g) * bytes,
                          (char *)x.tensor.data + (size_t)(o * s.count + indices[g]) * bytes, bytes);
    }
  }
  assert_int_equal(total, s.count);
  value_clear(&x);
  driver_finish(&driver);
}

static void finds_what_is_different(void **state) {
  (void)state;
  const type_mask types = TYPES_NUMERIC | TYPE_BIT(NORMA_BOOL);
  uint64_t seed = 3;
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (!element_type_exists((norma_element_type)type) || !(types & TYPE_BIT(type))) continue;
    for (int sorted = 0; sorted < 2; sorted++) {
      check((norma_element_type)type, 1, (int64_t[]){37}, NO_AXIS, sorted, &seed, 20);
      check((norma_element_type)type, 2, (int64_t[]){4, 5}, NO_AXIS, sorted, &seed, 6);
      check((norma_element_type)type, 0, NULL, NO_AXIS, sorted, &seed, 6);
      check((norma_element_type)type, 1, (int64_t[]){0}, NO_AXIS, sorted, &seed, 6);
      check((norma_element_type)type, 1, (int64_t[]){9}, 0, sorted, &seed, 6);
      for (int axis = -3; axis < 3; axis++) {
        check((norma_element_type)type, 3, (int64_t[]){6, 5, 2}, axis, sorted, &seed, 2);
        check((norma_element_type)type, 3, (int64_t[]){6, 1, 1}, axis, sorted, &seed, 3);
      }
      check((norma_element_type)type, 3, (int64_t[]){0, 3, 2}, 0, sorted, &seed, 2);
      check((norma_element_type)type, 3, (int64_t[]){3, 0, 2}, 1, sorted, &seed, 2);
    }
  }
}

/* Of 64 bits, which a double cannot hold apart. */
static void tells_large_integers_apart(void **state) {
  (void)state;
  for (int is_unsigned = 0; is_unsigned < 2; is_unsigned++) {
    driver driver;
    driver_init(&driver);
    value x = driver_tensor(&driver, is_unsigned ? NORMA_UINT64 : NORMA_INT64, 1, (int64_t[]){5}, NULL);
    const uint64_t top = (uint64_t)1 << 63;
    memcpy(x.tensor.data, (uint64_t[]){top - 1, top - 2, top, top + 1, top - 1}, 40);
    const driver_call call = make_call(&x, NO_AXIS, true);
    if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
    const uint64_t in_order[2][4] = {{top, top + 1, top - 2, top - 1}, {top - 2, top - 1, top, top + 1}};
    assert_int_equal(norma_tensor_count(&driver.outputs[0].tensor), 4);
    assert_memory_equal(driver.outputs[0].tensor.data, in_order[is_unsigned], 32);
    value_clear(&x);
    driver_finish(&driver);
  }
}

static void orders_strings_and_complex_numbers(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_strings(
      &driver, 1, (int64_t[]){7},
      (const char *const[]){"b", "", "common start, then b", "b", "common start, then a", "common start", "\xC3\xA4"});
  driver_call call = make_call(&x, NO_AXIS, true);
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
  static const char *const expected[] = {"",        "b", "common start", "common start, then a", "common start, then b",
                                         "\xC3\xA4"};
  assert_int_equal(norma_tensor_count(&driver.outputs[0].tensor), 6);
  for (int i = 0; i < 6; i++) {
    const norma_string *got = (const norma_string *)driver.outputs[0].tensor.data + i;
    assert_int_equal(got->size, strlen(expected[i]));
    if (got->size) assert_memory_equal(got->data, expected[i], got->size);
  }
  value_clear(&x);

  for (int wide = 0; wide < 2; wide++) {
    static const double parts[10] = {1, 2, 0, 5, 1, -2, 1, 2, 0, -5};
    x = driver_tensor(&driver, wide ? NORMA_COMPLEX128 : NORMA_COMPLEX64, 1, (int64_t[]){5}, NULL);
    for (int i = 0; i < 10; i++) {
      element_set_double(wide ? NORMA_DOUBLE : NORMA_FLOAT, x.tensor.data, i, parts[i]);
    }
    call.inputs[0] = &x;
    if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
    static const double ordered[8] = {0, -5, 0, 5, 1, -2, 1, 2};
    assert_int_equal(norma_tensor_count(&driver.outputs[0].tensor), 4);
    for (int i = 0; i < 8; i++) {
      const double got = element_get_double(wide ? NORMA_DOUBLE : NORMA_FLOAT, driver.outputs[0].tensor.data, i);
      assert_true(got == ordered[i]);
    }
    value_clear(&x);
  }
  driver_finish(&driver);
}

static void outputs_may_be_absent(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){3}, (float[]){2, 1, 2});
  for (uint32_t absent = 0; absent < 16; absent += 2) {
    for (int named = 0; named < 2; named++) {
      driver_call call = make_call(&x, NO_AXIS, true);
      call.absent_outputs = named ? 0 : absent;
      call.unwanted_outputs = named ? absent : 0;
      if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
      for (int i = 0; i < 4; i++) {
        assert_int_equal(driver.outputs[i].kind == NORMA_VALUE_NONE, (absent >> i & 1) != 0);
      }
    }
  }
  value_clear(&x);
  driver_finish(&driver);
}

static void refuses_what_is_wrong(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){3}, (float[]){2, 1, 2});
  driver_call call = make_call(&x, 1, true);
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  assert_non_null(strstr(driver.error.message, "axis 1"));
  call = make_call(&x, NO_AXIS, true);
  call.attributes[0].i = 2;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  assert_non_null(strstr(driver.error.message, "sorted is 2"));
  value_clear(&x);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_what_is_different),
      cmocka_unit_test(tells_large_integers_apart),
      cmocka_unit_test(orders_strings_and_complex_numbers),
      cmocka_unit_test(outputs_may_be_absent),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
