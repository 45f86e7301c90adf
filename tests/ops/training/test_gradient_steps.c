/* SumTo, Positions, ScatterSum: every type, empty tensors, thread counts, refusals. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};

/* Sums each element of `a` into the one of `like` that it was repeated from. */
static void check_sum_to(norma_element_type type, shape a, shape like) {
  trial t;
  double sums[2000] = {0};
  trial_begin(&t, "norma", "SumTo", 1);
  trial_random(&t, type, a.rank, a.dims);
  trial_random(&t, type, like.rank, like.dims);
  trial_run(&t, 1);
  trial_expect_shape(&t, 0, type, like.rank, like.dims);
  const int64_t count = shape_count(&a), places = shape_count(&like);
  assert_in_range(places, 0, 2000);
  for (int64_t i = 0; i < count; i++) sums[broadcast_place(&like, &a, i)] += t.numbers[0][i];
  for (int64_t i = 0; i < places; i++) trial_expect(&t, 0, i, sums[i], 1e-12);
  trial_end(&t);
}

static void sums_to_every_shape(void **state) {
  static const struct {
    int a_rank, like_rank;
    int64_t a[4], like[4];
  } shapes[] = {
      {2, 2, {3, 4}, {3, 4}},
      {2, 1, {300, 40}, {40}},
      {2, 2, {300, 40}, {300, 1}},
      {3, 0, {2, 3, 4}, {0}},
      {4, 4, {2, 3, 4, 5}, {1, 3, 1, 5}},
      {4, 3, {2, 3, 4, 5}, {3, 1, 1}},
      {2, 2, {0, 4}, {1, 4}},
      {2, 2, {4, 0}, {4, 0}},
      {3, 2, {7, 1, 5}, {1, 1}},
  };
  (void)state;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
      const shape like = shape_make(shapes[i].like_rank, shapes[i].like);
      if (shape_count(&like) > 2000) continue;
      check_sum_to(types[k], shape_make(shapes[i].a_rank, shapes[i].a), like);
    }
  }
}

static void shapes_that_are_not_broadcast_are_refused(void **state) {
  trial t;
  (void)state;
  trial_begin(&t, "norma", "SumTo", 1);
  trial_random(&t, NORMA_FLOAT, 2, (int64_t[]){3, 4});
  trial_random(&t, NORMA_FLOAT, 1, (int64_t[]){3});
  trial_expect_refusal(&t, 1, "another size");
  trial_end(&t);
  trial_begin(&t, "norma", "SumTo", 1);
  trial_random(&t, NORMA_FLOAT, 1, (int64_t[]){1});
  trial_random(&t, NORMA_FLOAT, 1, (int64_t[]){3});
  trial_expect_refusal(&t, 1, "a larger shape");
  trial_end(&t);
}

static void positions_count(void **state) {
  trial t;
  (void)state;
  trial_begin(&t, "norma", "Positions", 1);
  trial_random(&t, NORMA_FLOAT16, 3, (int64_t[]){2, 3, 4});
  trial_run(&t, 1);
  trial_expect_shape(&t, 0, NORMA_INT64, 3, (int64_t[]){2, 3, 4});
  for (int64_t i = 0; i < 24; i++) trial_expect(&t, 0, i, (double)i, 0);
  trial_end(&t);
}

static void begin_scatter(trial *t, norma_element_type type, const double *indices) {
  trial_begin(t, "norma", "ScatterSum", 1);
  trial_random(t, type, 2, (int64_t[]){2, 3});
  trial_numbers(t, NORMA_INT64, 2, (int64_t[]){2, 3}, indices);
  trial_random(t, type, 1, (int64_t[]){4});
}

static void scatters_and_adds(void **state) {
  (void)state;
  for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
    trial t;
    begin_scatter(&t, types[k], (double[]){3, 0, 3, -1, 1, 3});
    trial_run(&t, 1);
    trial_expect_shape(&t, 0, types[k], 1, (int64_t[]){4});
    const double *a = t.numbers[0];
    trial_expect(&t, 0, 0, a[1], 0);
    trial_expect(&t, 0, 1, a[4], 0);
    trial_expect(&t, 0, 2, 0, 0);
    trial_expect(&t, 0, 3, a[0] + a[2] + a[5], 1e-14);
    trial_end(&t);
  }
}

static void indices_outside_are_refused(void **state) {
  trial t;
  (void)state;
  begin_scatter(&t, NORMA_FLOAT, (double[]){3, 0, 4, -1, 1, 3});
  trial_expect_refusal(&t, 1, "an index behind the end");
  trial_end(&t);
  begin_scatter(&t, NORMA_FLOAT, (double[]){3, 0, -2, -1, 1, 3});
  trial_expect_refusal(&t, 1, "an index below -1");
  trial_end(&t);
  trial_begin(&t, "norma", "ScatterSum", 1);
  trial_random(&t, NORMA_FLOAT, 1, (int64_t[]){3});
  trial_numbers(&t, NORMA_INT64, 1, (int64_t[]){2}, (double[]){0, 1});
  trial_random(&t, NORMA_FLOAT, 1, (int64_t[]){4});
  trial_expect_refusal(&t, 1, "fewer indices than elements");
  trial_end(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_to_every_shape),
      cmocka_unit_test(shapes_that_are_not_broadcast_are_refused),
      cmocka_unit_test(positions_count),
      cmocka_unit_test(scatters_and_adds),
      cmocka_unit_test(indices_outside_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
