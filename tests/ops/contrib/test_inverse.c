/* Inverse: its product with the matrix is the identity; what has none is refused. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16};

static void products_are_the_identity(void **state) {
  (void)state;
  static const int sizes[] = {0, 1, 2, 3, 4, 7, 60};
  driver driver;
  driver_init(&driver);
  uint64_t seed = 6;
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    for (int t = 0; t < 3; t++) {
      const int n = sizes[s], batch = n > 10 ? 3 : 50;
      double *elements = malloc(sizeof(double) * (size_t)(batch * n * n + 1));
      for (int i = 0; i < batch * n * n; i++) elements[i] = driver_random(&seed, -1, 1);
      for (int b = 0; b < batch; b++) /* far from singular, and with rows that must change places */
        for (int i = 0; i < n; i++) elements[b * n * n + i * n + (i + 1) % n] += 2 + n / 4;
      value x = driver_tensor(&driver, types[t], 3, (int64_t[]){batch, n, n}, elements);
      for (int threads = 1; threads < 4; threads++) {
        driver_call call = {.domain = "com.microsoft",
                            .op_type = "Inverse",
                            .opset = 1,
                            .inputs = {&x},
                            .input_count = 1,
                            .output_count = 1,
                            .workers = threads};
        assert_int_equal(driver_run(&driver, &call), NORMA_OK);
        const value *y = &driver.outputs[0];
        for (int b = 0; b < batch; b++) {
          for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
              double sum = 0;
              for (int k = 0; k < n; k++)
                sum += driver_element(&x, (b * n + i) * n + k) * driver_element(y, (b * n + k) * n + j);
              assert_true(fabs(sum - (i == j)) < (t == 1 ? 1e-12 : t == 0 ? 2e-5 : 2e-2));
            }
          }
        }
      }
      free(elements);
      value_clear(&x);
    }
  }
  driver_finish(&driver);
}

static void refused(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value singular = driver_floats(&driver, 3, (int64_t[]){2, 2, 2}, (float[]){1, 0, 0, 1, 1, 2, 2, 4});
  value oblong = driver_floats(&driver, 2, (int64_t[]){2, 3}, NULL),
        vector = driver_floats(&driver, 1, (int64_t[]){4}, NULL);
  value half = driver_tensor(&driver, NORMA_BFLOAT16, 2, (int64_t[]){2, 2}, NULL);
  const value *const wrong[] = {&singular, &oblong, &vector, &half};
  for (int i = 0; i < 4; i++) {
    driver_call call = {.domain = "com.microsoft",
                        .op_type = "Inverse",
                        .opset = 1,
                        .inputs = {wrong[i]},
                        .input_count = 1,
                        .output_count = 1};
    assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
    if (i == 0) assert_non_null(strstr(driver.error.message, "matrix 1 has no inverse"));
  }
  value_clear(&singular), value_clear(&oblong), value_clear(&vector), value_clear(&half);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(products_are_the_identity), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
