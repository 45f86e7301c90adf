/* Normalizer against its norms in double. */
#include "tests/support/operator_checks.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static driver_call make_call(const value *x, int norm) {
  static const attribute norms[] = {DRIVER_STRING("norm", "MAX"), DRIVER_STRING("norm", "L1"),
                                    DRIVER_STRING("norm", "L2")};
  return (driver_call){.domain = "ai.onnx.ml",
                       .op_type = "Normalizer",
                       .opset = 1,
                       .attributes = {norms[norm]},
                       .inputs = {x},
                       .input_count = 1,
                       .output_count = 1};
}

static void divide_row(double *row, int64_t features, int norm) {
  double total = norm == 0 ? -INFINITY : 0;
  for (int64_t f = 0; f < features; f++)
    total = norm == 0 ? fmax(total, row[f]) : norm == 1 ? total + fabs(row[f]) : total + row[f] * row[f];
  if (norm == 2) total = sqrt(total);
  for (int64_t f = 0; f < features && total != 0; f++) row[f] /= total;
}

static void every_type_and_norm(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_INT32, NORMA_INT64};
  uint64_t seed = 9;
  (void)state;
  for (int round = 0; round < 120; round++) {
    const int64_t dims[] = {random_int(&seed, 0, 50), random_int(&seed, 1, 90)};
    const int norm = round / 4 % 3;
    driver driver;
    driver_init(&driver);
    value x = random_tensor(&seed, types[round % 4], 2, dims);
    if (dims[0] > 1) memset(x.tensor.data, 0, (size_t)dims[1] * element_type_bytes(types[round % 4])); /* norm 0 */
    double *expected = tensor_doubles(&x);
    for (int64_t n = 0; n < dims[0]; n++) divide_row(expected + n * dims[1], dims[1], norm);
    const driver_call call = make_call(&x, norm);
    check_all_workers(&driver, &call);
    check_near("Normalizer", &driver.outputs[0], NORMA_FLOAT, shape_make(2, dims), expected, 1e-6);
    free(expected);
    random_tensor_free(&x);
    driver_finish(&driver);
  }
}

static void vectors_and_limits(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){3}, (float[]){NAN, -2, -4});
  driver_call call = make_call(&x, 0); /* NaN is no maximum */
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  check_near("Normalizer", &driver.outputs[0], NORMA_FLOAT, SHAPE(3), (double[]){NAN, 1, 2}, 0);
  value large = driver_floats(&driver, 1, (int64_t[]){2}, (float[]){3e30f, 4e30f});
  call = make_call(&large, 2); /* the squares are beyond float */
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  check_near("Normalizer", &driver.outputs[0], NORMA_FLOAT, SHAPE(2), (double[]){0.6, 0.8}, 1e-6);
  call.attributes[0] = (attribute)DRIVER_STRING("norm", "L3");
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "'L3'");
  value cube = driver_floats(&driver, 3, (int64_t[]){1, 1, 2}, NULL);
  call = make_call(&cube, 1);
  check_refused(&driver, &call, NORMA_ERROR_INVALID_MODEL, "not rows of features");
  value_clear(&x);
  value_clear(&large);
  value_clear(&cube);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_norm),
      cmocka_unit_test(vectors_and_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
