/* Det against the expansion by minors, and against products of triangular matrices. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};

static double expand(const double *m, int n) {
  double minor[64], sum = 0;
  if (n == 0) return 1;
  for (int c = 0; c < n; c++) {
    for (int i = 1; i < n; i++)
      for (int j = 0, to = 0; j < n; j++)
        if (j != c) minor[(i - 1) * (n - 1) + to++] = m[i * n + j];
    sum += (c % 2 ? -1 : 1) * m[c] * expand(minor, n - 1);
  }
  return sum;
}

static void small_matrices(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 3;
  for (int n = 0; n <= 6; n++) {
    for (int t = 0; t < 4; t++) {
      for (int64_t batch = 0; batch < 300; batch += 149) {
        double *elements = malloc(sizeof(double) * (size_t)(2 * batch * n * n + 1));
        for (int64_t i = 0; i < 2 * batch * n * n; i++)
          elements[i] = floor(driver_random(&seed, -2, 3)); /* often singular */
        value x = driver_tensor(&driver, types[t], 4, (int64_t[]){batch, 2, n, n}, elements);
        for (int threads = 1; threads < 4; threads++) {
          driver_call call = {
              .op_type = "Det", .opset = 22, .inputs = {&x}, .input_count = 1, .output_count = 1, .workers = threads};
          assert_int_equal(driver_run(&driver, &call), NORMA_OK);
          const value *y = &driver.outputs[0];
          assert_true(y->tensor.rank == 2 && y->tensor.dims[0] == batch && y->tensor.dims[1] == 2);
          for (int64_t i = 0; i < 2 * batch; i++) {
            const double wanted = expand(elements + i * n * n, n), found = driver_element(y, i);
            assert_true(fabs(found - wanted) <= (t < 2 ? 1e-6 : 1e-2) * (1 + fabs(wanted)));
          }
        }
        free(elements);
        value_clear(&x);
      }
    }
  }
  driver_finish(&driver);
}

/* L U with ones on L's diagonal: the product of U's diagonal. */
static void a_large_matrix(void **state) {
  (void)state;
  enum { N = 120 };
  driver driver;
  driver_init(&driver);
  uint64_t seed = 4;
  double *l = calloc(N * N, sizeof *l), *u = calloc(N * N, sizeof *u), *product = calloc(N * N, sizeof *product),
         exact = 1;
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < N; j++) {
      l[i * N + j] = i == j ? 1 : i > j ? driver_random(&seed, -0.3, 0.3) : 0;
      u[i * N + j] = i == j ? driver_random(&seed, 0.7, 1.4) : i < j ? driver_random(&seed, -0.3, 0.3) : 0;
    }
    exact *= u[i * N + i];
  }
  for (int i = 0; i < N; i++)
    for (int k = 0; k < N; k++)
      for (int j = 0; j < N; j++) product[i * N + j] += l[i * N + k] * u[k * N + j];
  value x = driver_tensor(&driver, NORMA_DOUBLE, 2, (int64_t[]){N, N}, product);
  driver_call call = {.op_type = "Det", .opset = 11, .inputs = {&x}, .input_count = 1, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_int_equal(driver.outputs[0].tensor.rank, 0);
  assert_true(fabs(driver_element(&driver.outputs[0], 0) / exact - 1) < 1e-9);
  free(l), free(u), free(product);
  value_clear(&x);
  driver_finish(&driver);
}

static void refused(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value vector = driver_floats(&driver, 1, (int64_t[]){4}, NULL),
        oblong = driver_floats(&driver, 2, (int64_t[]){2, 3}, NULL);
  value half = driver_tensor(&driver, NORMA_BFLOAT16, 2, (int64_t[]){2, 2}, NULL),
        whole = driver_ints(&driver, 2, (int64_t[]){2, 2}, NULL);
  const value *const wrong[] = {&vector, &oblong, &half, &whole};
  for (int i = 0; i < 4; i++) {
    driver_call call = {.op_type = "Det", .opset = 21, .inputs = {wrong[i]}, .input_count = 1, .output_count = 1};
    assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  }
  value_clear(&vector), value_clear(&oblong), value_clear(&half), value_clear(&whole);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(small_matrices), cmocka_unit_test(a_large_matrix),
                                     cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
