/* SwiGLU against its formula. */
#include "tests/support/operator_trial.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void every_type_matches_the_formula(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  static const int64_t sizes[] = {0, 1, 17, 512, 1300, 40000};
  (void)state;
  for (int i = 0; i < 4; i++) {
    for (int s = 0; s < 6; s++) {
      trial t;
      double alpha = s % 2 ? 1 : 1.5;
      trial_begin(&t, "", "SwiGLU", 28);
      for (int k = 0; k < 2; k++) {
        trial_random(&t, types[i], 2, (int64_t[]){1, sizes[s]});
        trial_scale(&t, 6);
      }
      if (s % 2 == 0) trial_attribute(&t, (attribute)DRIVER_FLOAT("alpha", 1.5f));
      trial_run(&t, 1);
      for (int64_t e = 0; e < sizes[s]; e++) {
        double a = t.numbers[0][e];
        trial_expect(&t, 0, e, a / (1 + exp(-alpha * a)) * t.numbers[1][e], types[i] == NORMA_DOUBLE ? 1e-14 : 1e-5);
      }
      trial_end(&t);
    }
  }
}

static void shapes_must_be_the_same(void **state) {
  (void)state;
  trial t;
  trial_begin(&t, "", "SwiGLU", 28);
  trial_random(&t, NORMA_FLOAT, 2, (int64_t[]){2, 3});
  trial_random(&t, NORMA_FLOAT, 1, (int64_t[]){3});
  trial_expect_refusal(&t, 1, "a broadcast");
  trial_end(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_type_matches_the_formula),
                                     cmocka_unit_test(shapes_must_be_the_same)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
