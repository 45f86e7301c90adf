/* Scaler against its formula in double. */
#include "tests/support/operator_checks.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MOST_FEATURES 70

static driver_call make_call(const value *x, size_t scales, const float *scale, size_t offsets, const float *offset) {
  driver_call call = {
      .domain = "ai.onnx.ml", .op_type = "Scaler", .opset = 1, .inputs = {x}, .input_count = 1, .output_count = 1};
  int count = 0;
  if (scales) call.attributes[count++] = (attribute)DRIVER_FLOATS("scale", scales, scale);
  if (offsets) call.attributes[count++] = (attribute)DRIVER_FLOATS("offset", offsets, offset);
  return call;
}

/* Of any number of features, lists for one or all of them, or none. */
static void every_type_matches_the_formula(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_INT32, NORMA_INT64};
  uint64_t seed = 5;
  (void)state;
  for (int round = 0; round < 120; round++) {
    float scale[MOST_FEATURES], offset[MOST_FEATURES];
    const int64_t dims[] = {random_int(&seed, 0, 40), random_int(&seed, 1, MOST_FEATURES)}, features = dims[1];
    const size_t scales = (size_t)random_of(&seed, 0, 1, features), offsets = (size_t)random_of(&seed, 0, 1, features);
    driver driver;
    driver_init(&driver);
    for (int64_t f = 0; f < features; f++) {
      scale[f] = (float)driver_random(&seed, -3, 3);
      offset[f] = (float)driver_random(&seed, -3, 3);
    }
    value x = random_tensor(&seed, types[round % 4], 2, dims);
    double *expected = tensor_doubles(&x);
    const driver_call call = make_call(&x, scales, scale, offsets, offset);
    for (int64_t i = 0; i < dims[0] * features; i++) {
      const double moved = expected[i] - (offsets == 0 ? 0 : (double)offset[offsets == 1 ? 0 : i % features]);
      expected[i] = moved * (scales == 0 ? 1 : (double)scale[scales == 1 ? 0 : i % features]);
    }
    check_all_workers(&driver, &call);
    check_near("Scaler", &driver.outputs[0], NORMA_FLOAT, shape_make(2, dims), expected, 1e-6);
    free(expected);
    random_tensor_free(&x);
    driver_finish(&driver);
  }
}

/* A float cannot hold these integers, but what is left of them. */
static void large_integers_lose_nothing_early(void **state) {
  (void)state;
  static const float offset[] = {0x1p40f}, scale[] = {2};
  driver driver;
  driver_init(&driver);
  value x = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){(INT64_C(1) << 40) + 3, (INT64_C(1) << 40) - 1});
  const driver_call call = make_call(&x, 1, scale, 1, offset);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){2}, (double[]){6, -2});
  value_clear(&x);
  driver_finish(&driver);
}

static void lists_that_do_not_fit(void **state) {
  (void)state;
  static const float list[] = {1, 2, 3};
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, (int64_t[]){2, 4}, NULL);
  driver_call call = make_call(&x, 3, list, 0, NULL);
  check_refused(&driver, &call, NORMA_ERROR_INPUT, "3 features, X has 4");
  call = make_call(&x, 3, list, 2, list);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "3 scales and 2 offsets");
  value_clear(&x);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_matches_the_formula),
      cmocka_unit_test(large_integers_lose_nothing_early),
      cmocka_unit_test(lists_that_do_not_fit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
