/* LinearRegressor and LinearClassifier against sums in double. */
#include "tests/support/workbench.h"

#define MOST_FEATURES 70
#define MOST_OUTPUTS  9

static driver_call make_call(const char *type, const value *x, size_t outputs, int64_t features,
                             const float *coefficients, const float *intercepts) {
  driver_call call = CALL(type, 1, x);
  call.domain = "ai.onnx.ml";
  call.attributes[0] = (attribute)DRIVER_FLOATS("coefficients", outputs * (size_t)features, coefficients);
  call.attributes[1] = (attribute)DRIVER_FLOATS("intercepts", outputs, intercepts);
  return call;
}

static void products_of_every_type(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_INT32, NORMA_INT64};
  static const int64_t labels[MOST_OUTPUTS] = {10, 11, 12, 13, 14, 15, 16, 17, 18};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 80; round++) {
    const int64_t rows = (int64_t)driver_random(&bench.seed, 0, 50);
    const int64_t features = (int64_t)driver_random(&bench.seed, 1, MOST_FEATURES);
    const size_t outputs = (size_t)driver_random(&bench.seed, 3, MOST_OUTPUTS + 1);
    float coefficients[MOST_OUTPUTS * MOST_FEATURES], intercepts[MOST_OUTPUTS];
    double scores[50 * MOST_OUTPUTS];
    int64_t best[50];
    for (size_t i = 0; i < outputs * (size_t)features; i++) coefficients[i] = (float)driver_random(&bench.seed, -1, 1);
    for (size_t j = 0; j < outputs; j++) intercepts[j] = (float)driver_random(&bench.seed, -1, 1);
    const value *x = bench_random(&bench, types[round % 4], SHAPE(rows, features), -5, 5);
    for (int64_t r = 0; r < rows; r++) {
      double largest = -INFINITY;
      for (size_t j = 0; j < outputs; j++) {
        double sum = (double)intercepts[j];
        for (int64_t f = 0; f < features; f++)
          sum += driver_element(x, r * features + f) * (double)coefficients[j * (size_t)features + (size_t)f];
        scores[r * (int64_t)outputs + (int64_t)j] = sum;
        if (sum > largest) best[r] = labels[j];
        largest = fmax(sum, largest);
      }
    }
    driver_call call = make_call("LinearRegressor", x, outputs, features, coefficients, intercepts);
    call.attributes[2] = (attribute)DRIVER_INT("targets", (int64_t)outputs);
    check_near("LinearRegressor", bench_run(&bench, &call), NORMA_FLOAT, SHAPE(rows, (int64_t)outputs), scores, 1e-4);
    call = make_call("LinearClassifier", x, outputs, features, coefficients, intercepts);
    call.output_count = 2;
    call.attributes[2] = (attribute)DRIVER_INTS("classlabels_ints", outputs, labels);
    check_ints(bench_run(&bench, &call), SHAPE(rows), best);
    check_near("LinearClassifier", &bench.driver.outputs[1], NORMA_FLOAT, SHAPE(rows, (int64_t)outputs), scores, 1e-4);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void one_score_for_two_classes(void **state) {
  static const float weights[] = {1, -1}, intercept[] = {0.25f};
  static const norma_string labels[] = {{"no", 2}, {"yes", 3}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 2), NUMBERS(1, 0.75, 0, 1));
  driver_call call = make_call("LinearClassifier", x, 1, 2, weights, intercept);
  call.output_count = 2;
  call.attributes[2] = (attribute)DRIVER_STRINGS("classlabels_strings", 2, labels);
  check_strings(bench_run(&bench, &call), SHAPE(2), (const char *[]){"yes", "no"});
  check_near("scores", &bench.driver.outputs[1], NORMA_FLOAT, SHAPE(2, 2), NUMBERS(0.5, 0.5, 1.75, -0.75), 1e-6);
  call.attributes[3] = (attribute)DRIVER_STRING("post_transform", "LOGISTIC");
  bench_run(&bench, &call);
  const double yes = 1 / (1 + exp(-0.5)), no = 1 / (1 + exp(0.75));
  check_near("logistic", &bench.driver.outputs[1], NORMA_FLOAT, SHAPE(2, 2), NUMBERS(1 - yes, yes, 1 - no, no), 1e-5);
  bench_finish(&bench);
}

static void refusals(void **state) {
  static const float list[] = {1, 2, 3, 4};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 3), NULL);
  driver_call call = make_call("LinearRegressor", x, 1, 2, list, list);
  assert_int_not_equal(driver_run(&bench.driver, &call), NORMA_OK); /* 3 features, not 2 */
  call.attributes[2] = (attribute)DRIVER_INT("targets", 0);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "targets is 0");
  call.attributes[2] = (attribute)DRIVER_INT("targets", 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "1 intercepts for 2 targets");
  call = make_call("LinearClassifier", x, 2, 2, list, list);
  call.output_count = 2;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "0 labels for 2 scores");
  call.attributes[2] = (attribute)DRIVER_STRING("post_transform", "SOFTER");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "SOFTER");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_of_every_type),
      cmocka_unit_test(one_score_for_two_classes),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
