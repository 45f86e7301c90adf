/* Inverse: times the matrix it is the identity. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void products_are_the_identity(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16};
  uint64_t seed = 3;
  (void)state;
  for (int i = 0; i < 60; i++) {
    int64_t n = random_int(&seed, 0, 9), count = random_int(&seed, 1, 4);
    double error = types[i % 3] == NORMA_DOUBLE ? 1e-12 : types[i % 3] == NORMA_FLOAT ? 1e-5 : 1e-2;
    trial t;
    trial_begin(&t, "com.microsoft", "Inverse", 1);
    t.seed = seed;
    trial_random(&t, types[i % 3], 3, (int64_t[]){count, n, n});
    norma_tensor *x = &t.inputs[0].tensor;
    for (int64_t k = 0; k < count * n; k++) { /* a large element in each row and column, not on the diagonal */
      int64_t at = k * n + (n - 1 - k % n);
      element_set_double(x->type, x->data, at, t.numbers[0][at] + 4);
    }
    free(t.numbers[0]);
    t.numbers[0] = tensor_doubles(&t.inputs[0]);
    trial_run(&t, 1);
    for (int64_t k = 0; k < count * n * n; k++) {
      const double *row = t.numbers[0] + k / n * n;
      double sum = 0, size = 0;
      for (int64_t p = 0; p < n; p++) {
        double term = row[p] * trial_output(&t, 0, (k / n / n * n + p) * n + k % n);
        sum += term;
        size += fabs(term);
      }
      double wanted = k / n % n == k % n ? 1 : 0;
      if (!(fabs(sum - wanted) <= error * (1 + size))) fail_msg("element %d of the product is %g", (int)k, sum);
    }
    trial_end(&t);
  }
}

static void matrices_must_be_square(void **state) {
  (void)state;
  for (int rank = 1; rank <= 2; rank++) {
    trial t;
    trial_begin(&t, "com.microsoft", "Inverse", 1);
    trial_random(&t, NORMA_FLOAT, rank, (int64_t[]){2, 3});
    trial_expect_refusal(&t, 1, "no square matrix");
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(products_are_the_identity),
                                     cmocka_unit_test(matrices_must_be_square)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
