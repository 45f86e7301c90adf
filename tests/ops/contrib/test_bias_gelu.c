/* BiasGelu, FastGelu, Gelu and QuickGelu of com.microsoft against their formulas. */
#include "tests/support/operator_trial.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum kind { GELU, QUICK_GELU, BIAS_GELU, FAST_GELU, FAST_GELU_OF_BIAS, KINDS };

static double expected_of(enum kind kind, double x) {
  if (kind == QUICK_GELU) return x / (1 + exp(-1.702 * x));
  if (kind == GELU || kind == BIAS_GELU) return x / 2 * (1 + erf(x / sqrt(2)));
  return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static void every_type_matches_the_formula(void **state) {
  static const char *const names[] = {"Gelu", "QuickGelu", "BiasGelu", "FastGelu", "FastGelu"};
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  static const int64_t shapes[][2] = {{0, 3}, {1, 1}, {3, 17}, {40, 700}};
  (void)state;
  for (int i = 0; i < KINDS * 16; i++) {
    enum kind kind = (enum kind)(i % KINDS);
    const int64_t *dims = shapes[i / KINDS % 4];
    norma_element_type type = types[i / KINDS / 4];
    bool bias = kind == BIAS_GELU || kind == FAST_GELU_OF_BIAS;
    trial t;
    trial_begin(&t, "com.microsoft", names[kind], 1);
    trial_random(&t, type, 2, dims);
    trial_scale(&t, 4);
    if (bias) trial_random(&t, type, 1, dims + 1);
    trial_run(&t, 1);
    trial_expect_shape(&t, 0, type, 2, dims);
    for (int64_t e = 0; e < dims[0] * dims[1]; e++) {
      double x = t.numbers[0][e] + (bias ? t.numbers[1][e % dims[1]] : 0);
      /* QuickGelu's factor is a float */
      trial_expect(&t, 0, e, expected_of(kind, x), type == NORMA_DOUBLE ? (kind == QUICK_GELU ? 1e-7 : 1e-14) : 4e-6);
    }
    trial_end(&t);
  }
}

static void a_bias_that_does_not_fit_is_refused(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    trial t;
    trial_begin(&t, "com.microsoft", i ? "FastGelu" : "BiasGelu", 1);
    trial_random(&t, NORMA_FLOAT, i == 2 ? 0 : 2, (int64_t[]){2, 3});
    trial_random(&t, NORMA_FLOAT, 1, (int64_t[]){2});
    trial_expect_refusal(&t, 1, "a bias of another length");
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_type_matches_the_formula),
                                     cmocka_unit_test(a_bias_that_does_not_fit_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
