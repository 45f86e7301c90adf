/* BiasSoftmax against its formula. */
#include "tests/support/operator_trial.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BATCH = 3, HEADS = 2, ROWS = 4, KEYS = 37 };

/* data [3, 2, 4, 37], softmax from axis 3 on or from 2 on. */
static void check_case(norma_element_type type, int64_t axis, bool inner) {
  static const int64_t data[4] = {BATCH, HEADS, ROWS, KEYS};
  int64_t bias[4] = {inner ? BATCH : 1, inner ? 1 : HEADS, inner && axis == 3 ? 1 : ROWS, KEYS};
  int64_t rows = dims_product(data, 0, (int)axis), count = dims_product(data, (int)axis, 4);
  int64_t bias_rows = dims_product(bias, 0, (int)axis), repeats = rows / bias_rows;
  trial t;
  trial_begin(&t, "com.microsoft", "BiasSoftmax", 1);
  trial_random(&t, type, 4, data);
  trial_random(&t, type, 4, bias);
  trial_attribute(&t, (attribute)DRIVER_INT("axis", axis));
  trial_attribute(&t, (attribute)DRIVER_INT("is_inner_broadcast", inner));
  trial_run(&t, 1);
  for (int64_t r = 0; r < rows; r++) {
    const double *x = t.numbers[0] + r * count, *addend = t.numbers[1] + (inner ? r / repeats : r % bias_rows) * count;
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += exp(x[i] + addend[i]);
    for (int64_t i = 0; i < count; i++)
      trial_expect(&t, 0, r * count + i, exp(x[i] + addend[i]) / sum, type == NORMA_DOUBLE ? 1e-15 : 1e-7);
  }
  trial_end(&t);
}

static void every_option_matches_the_formula(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16};
  (void)state;
  for (int i = 0; i < 12; i++) check_case(types[i % 3], 2 + i / 3 % 2, i / 6);
}

static void what_does_not_fit_is_refused(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    trial t;
    trial_begin(&t, "com.microsoft", "BiasSoftmax", 1);
    trial_random(&t, NORMA_FLOAT, 2, (int64_t[]){4, 6});
    trial_random(&t, NORMA_FLOAT, 2, i ? (int64_t[]){3, 6} : (int64_t[]){4, 5});
    trial_attribute(&t, (attribute)DRIVER_INT("is_inner_broadcast", 1));
    trial_expect_refusal(&t, 1, "a bias that does not fit");
    trial_attribute(&t, (attribute)DRIVER_INT("axis", 2));
    trial_expect_refusal(&t, 1, "an axis that is not there");
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_option_matches_the_formula),
                                     cmocka_unit_test(what_does_not_fit_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
