/* LpNormalization and MeanVarianceNormalization against their formulas in double precision. */
#include "tests/support/operator_driver.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define RANK 4

/* Whether elements a and b differ in the reduced axes only. */
static bool same_set(const int64_t *dims, const bool *reduced, int64_t a, int64_t b) {
  for (int d = RANK - 1; d >= 0; d--) {
    if (!reduced[d] && a % dims[d] != b % dims[d]) return false;
    a /= dims[d];
    b /= dims[d];
  }
  return true;
}

/* p 0: mean and variance. */
static double reference(const double *x, int64_t count, const int64_t *dims, const bool *reduced, int64_t p,
                        int64_t at) {
  double sum = 0, squares = 0, elements = 0;
  for (int64_t i = 0; i < count; i++) {
    if (!same_set(dims, reduced, at, i)) continue;
    sum += p ? fabs(x[i]) : x[i];
    elements++;
  }
  double mean = p ? 0 : sum / elements;
  for (int64_t i = 0; i < count; i++) {
    if (same_set(dims, reduced, at, i)) squares += (x[i] - mean) * (x[i] - mean);
  }
  double divisor = p == 1 ? sum : p == 2 ? sqrt(squares) : sqrt(squares / elements) + 1e-9;
  return divisor == 0 ? 0 : (x[at] - mean) / divisor;
}

static void check(norma_element_type type, int64_t p, int variant, uint64_t *seed) {
  int64_t dims[RANK], axes[2] = {random_int(seed, -RANK, RANK - 1), random_int(seed, 0, RANK - 1)};
  bool reduced[RANK] = {false};
  driver driver;
  driver_init(&driver);
  for (int d = 0; d < RANK; d++) dims[d] = random_int(seed, 1, 5);
  reduced[(axes[0] + RANK) % RANK] = true;
  if (!p) reduced[axes[1]] = true;
  value x = random_tensor(seed, type, RANK, dims);
  if (variant % 7 == 0) memset(x.tensor.data, 0, x.tensor.size_bytes); /* norm 0 */
  double *numbers = tensor_doubles(&x);
  driver_call call = {.op_type = p ? "LpNormalization" : "MeanVarianceNormalization",
                      .opset = 22,
                      .inputs = {&x},
                      .input_count = 1,
                      .output_count = 1,
                      .in_place = variant % 2,
                      .workers = 1 + variant % 2};
  call.attributes[0] = p ? (attribute)DRIVER_INT("axis", axes[0]) : (attribute)DRIVER_INTS("axes", 2, axes);
  if (p) call.attributes[1] = (attribute)DRIVER_INT("p", p);
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
  int64_t count = norma_tensor_count(&x.tensor);
  for (int64_t i = 0; i < count; i++) {
    double wanted = reference(numbers, count, dims, reduced, p, i), got = driver_element(&driver.outputs[0], i);
    double allowed = rounding_error(type) * fabs(wanted) + 1e-12 + (type == NORMA_FLOAT16 ? 0x1p-25 : 0);
    if (!(fabs(got - wanted) <= allowed))
      fail_msg("%s p %d element %d: expected %.9g, got %.9g", norma_element_type_name(type), (int)p, (int)i, wanted,
               got);
  }
  free(numbers);
  random_tensor_free(&x);
  driver_finish(&driver);
}

static void every_type_matches_the_formula(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  uint64_t seed = 6;
  (void)state;
  for (int i = 0; i < 240; i++) check(types[i % 4], i % 3, i, &seed);
}

/* No elements are no work, however many sets of them there are. */
static void sets_without_elements(void **state) {
  const int64_t dims[] = {INT64_C(1) << 50, 0};
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, dims, NULL);
  driver_call call = {.op_type = "LpNormalization", .opset = 22, .inputs = {&x}, .input_count = 1, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, dims, NULL);
  value_clear(&x);
  driver_finish(&driver);
}

static void defaults_and_limits(void **state) {
  static const int64_t dims[] = {2, 2}, outside[] = {0, 2};
  static const float elements[] = {3, 4, 0, 0};
  driver driver;
  (void)state;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, dims, elements);
  driver_call call = {.op_type = "LpNormalization", .opset = 1, .inputs = {&x}, .input_count = 1, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK); /* p 2 along the last axis */
  assert_float_equal(driver_element(&driver.outputs[0], 1), 0.8, 1e-6);
  assert_float_equal(driver_element(&driver.outputs[0], 3), 0, 0);
  call.attributes[0] = (attribute)DRIVER_INT("p", 3);
  assert_int_equal(driver_run(&driver, &call), NORMA_ERROR_INVALID_MODEL);
  call.attributes[0] = (attribute)DRIVER_INT("axis", 2);
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.op_type = "MeanVarianceNormalization";
  call.opset = 13;
  call.attributes[0] = (attribute)DRIVER_INTS("axes", 2, outside);
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  memset(&call.attributes[0], 0, sizeof call.attributes[0]); /* axes 0, 2, 3, of which there is only 0 */
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value_clear(&x);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_matches_the_formula),
      cmocka_unit_test(sets_without_elements),
      cmocka_unit_test(defaults_and_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
