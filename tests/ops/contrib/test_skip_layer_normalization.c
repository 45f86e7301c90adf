/* SkipLayerNormalization, SkipSimplifiedLayerNormalization and SimplifiedLayerNormalization against their formulas. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct skip_case {
  norma_element_type type;
  bool simplified, beta, bias;
  int64_t batch, rows, hidden;
  int skip; /* 0: the shape of input; 1: one sample; 2: without samples */
} skip_case;

static void begin_case(const skip_case *c, trial *t, uint64_t seed) {
  const int64_t dims[3] = {c->batch, c->rows, c->hidden}, one[3] = {1, c->rows, c->hidden};
  trial_begin(t, "com.microsoft", c->simplified ? "SkipSimplifiedLayerNormalization" : "SkipLayerNormalization", 1);
  t->seed = seed;
  trial_random(t, c->type, 3, dims);
  trial_random(t, c->type, c->skip == 2 ? 2 : 3, c->skip == 0 ? dims : c->skip == 1 ? one : dims + 1);
  trial_random(t, c->type, 1, &c->hidden);
  if (c->beta && !c->simplified) trial_random(t, c->type, 1, &c->hidden);
  if (!c->beta && !c->simplified) trial_absent(t);
  if (c->bias) trial_random(t, c->type, 1, &c->hidden);
  trial_attribute(t, (attribute)DRIVER_FLOAT("epsilon", 1e-3f));
}

static void check_row(const skip_case *c, const trial *t, int64_t row) {
  double sums[64], mean = 0, squares = 0, n = (double)c->hidden, error = c->type == NORMA_DOUBLE ? 1e-12 : 1e-5;
  int64_t of_skip = c->skip ? row % c->rows : row;
  for (int64_t i = 0; i < c->hidden; i++) {
    sums[i] = t->numbers[0][row * c->hidden + i] + t->numbers[1][of_skip * c->hidden + i];
    if (c->bias) sums[i] += t->numbers[c->simplified ? 3 : 4][i];
    if (!c->simplified) mean += sums[i] / n;
    trial_expect(t, 3, row * c->hidden + i, sums[i], 1e-6);
  }
  for (int64_t i = 0; i < c->hidden; i++) squares += (sums[i] - mean) * (sums[i] - mean) / n;
  double inverse = 1 / sqrt(squares + (double)1e-3f);
  for (int64_t i = 0; i < c->hidden; i++) {
    double y = (sums[i] - mean) * inverse * t->numbers[2][i];
    if (c->beta && !c->simplified) y += t->numbers[3][i];
    trial_expect(t, 0, row * c->hidden + i, y, error * inverse);
  }
  trial_expect(t, 1, row, mean, 1e-6);
  trial_expect(t, 2, row, inverse, 1e-5 * inverse);
}

static void every_option_matches_the_formula(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  uint64_t seed = 5;
  (void)state;
  for (int i = 0; i < 200; i++) {
    skip_case c = {.type = types[i % 4],
                   .simplified = random_int(&seed, 0, 1),
                   .beta = random_int(&seed, 0, 1),
                   .bias = random_int(&seed, 0, 1),
                   .batch = random_int(&seed, 1, 4),
                   .rows = random_int(&seed, 1, 20),
                   .hidden = random_int(&seed, 1, 60),
                   .skip = (int)random_int(&seed, 0, 2)};
    trial t;
    begin_case(&c, &t, seed);
    trial_run(&t, 4);
    trial_expect_shape(&t, 1, NORMA_FLOAT, 3, (int64_t[]){c.batch, c.rows, 1});
    for (int64_t row = 0; row < c.batch * c.rows; row++) check_row(&c, &t, row);
    trial_end(&t);
  }
}

static void simplified_rows_have_their_inverse(void **state) {
  static const char *const domains[] = {"", "com.microsoft"};
  (void)state;
  for (int i = 0; i < 2; i++) {
    trial t;
    trial_begin(&t, domains[i], "SimplifiedLayerNormalization", 1);
    trial_random(&t, NORMA_FLOAT, 2, (int64_t[]){3, 5});
    trial_random(&t, NORMA_FLOAT16, 1, (int64_t[]){5});
    trial_run(&t, 2);
    trial_expect_shape(&t, 0, NORMA_FLOAT16, 2, (int64_t[]){3, 5});
    trial_expect_shape(&t, 1, NORMA_FLOAT, 2, (int64_t[]){3, 1});
    for (int64_t row = 0; row < 3; row++) {
      double squares = 0;
      for (int64_t k = 0; k < 5; k++) squares += pow(t.numbers[0][row * 5 + k], 2) / 5;
      double inverse = 1 / sqrt(squares + 1e-5);
      trial_expect(&t, 1, row, inverse, 1e-5);
      for (int64_t k = 0; k < 5; k++)
        trial_expect(&t, 0, row * 5 + k, t.numbers[0][row * 5 + k] * inverse * t.numbers[1][k], 1e-5);
    }
    trial_end(&t);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  static const skip_case good = {NORMA_FLOAT, false, true, true, 2, 3, 4, 0};
  static const int64_t wrong[] = {2, 3, 5};
  (void)state;
  for (int i = 0; i < 6; i++) {
    trial t;
    begin_case(&good, &t, 3);
    norma_tensor *tensor = &t.inputs[i < 5 ? i : 0].tensor;
    if (i < 2) norma_tensor_init(tensor, NORMA_FLOAT, 3, (int64_t[]){2, 3, 3}, tensor->data);
    if (i >= 2 && i < 5) norma_tensor_init(tensor, NORMA_FLOAT, 1, wrong, tensor->data);
    if (i == 5) trial_attribute(&t, (attribute)DRIVER_FLOAT("epsilon", -1));
    trial_expect_refusal(&t, 1, "an input of another shape");
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_option_matches_the_formula),
                                     cmocka_unit_test(simplified_rows_have_their_inverse),
                                     cmocka_unit_test(what_does_not_fit_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
