/* AveragePoolGradient: each element of G is spread over its window; types, thread counts, refusals. Other windows are
 * in tests/ops/training/test_gradient_pools.c. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const int64_t kernel[] = {3, 2}, strides[] = {2, 2}, pads[] = {1, 0, 0, 1};

/* X [planes, 1, 6, 5] -> G [planes, 1, 3, 3] */
static void begin_pool(trial *t, norma_element_type type, int64_t planes, int64_t rows, int64_t count_pad) {
  trial_begin(t, "norma", "AveragePoolGradient", 1);
  trial_random(t, type, 4, (int64_t[]){planes, 1, rows, 3});
  trial_random(t, type, 4, (int64_t[]){planes, 1, 6, 5});
  trial_attribute(t, (attribute)DRIVER_INTS("kernel_shape", 2, kernel));
  trial_attribute(t, (attribute)DRIVER_INTS("strides", 2, strides));
  trial_attribute(t, (attribute)DRIVER_INTS("pads", 4, pads));
  trial_attribute(t, (attribute)DRIVER_INT("count_include_pad", count_pad));
}

/* Among denormals of float16 a rounding is half of the smallest one. */
static double error_of(const trial *t) {
  return t->inputs[0].tensor.type == NORMA_FLOAT16 ? 0x1p-25 : 1e-14;
}

static void expect_planes(const trial *t, int64_t planes, bool count_pad) {
  for (int64_t p = 0; p < planes; p++) {
    double x[6][5] = {{0}};
    for (int i = 0; i < 3; i++) {
      for (int j = 0; j < 3; j++) {
        int rows = 0, columns = 0;
        for (int r = 0; r < 3; r++) rows += 2 * i + r - 1 >= 0 && 2 * i + r - 1 < 6;
        for (int c = 0; c < 2; c++) columns += 2 * j + c < 5;
        const double share = t->numbers[0][(p * 3 + i) * 3 + j] / (count_pad ? 6 : rows * columns);
        for (int r = 0; r < 3; r++) {
          for (int c = 0; c < 2; c++) {
            if (2 * i + r - 1 >= 0 && 2 * j + c < 5) x[2 * i + r - 1][2 * j + c] += share;
          }
        }
      }
    }
    for (int64_t k = 0; k < 30; k++) trial_expect(t, 0, p * 30 + k, x[k / 5][k % 5], error_of(t));
  }
}

static void spreads_over_windows(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  static const int64_t planes[] = {1, 0, 3, 4000};
  (void)state;
  for (int i = 0; i < 16; i++) {
    trial t;
    begin_pool(&t, types[i % 4], planes[i / 4], 3, i % 2);
    trial_run(&t, 1);
    trial_expect_shape(&t, 0, types[i % 4], 4, (int64_t[]){planes[i / 4], 1, 6, 5});
    expect_planes(&t, planes[i / 4], i % 2);
    trial_end(&t);
  }
}

static void other_shapes_are_refused(void **state) {
  trial t;
  (void)state;
  begin_pool(&t, NORMA_FLOAT, 2, 4, 0);
  trial_expect_refusal(&t, 1, "a gradient of another shape");
  trial_end(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(spreads_over_windows),
      cmocka_unit_test(other_shapes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
