/* SVMClassifier: votes of pairs against sums in double; machines without support vectors. */
#include "tests/support/workbench.h"

#include <string.h>

#define CLASSES  4
#define PAIRS    6
#define VECTORS  23
#define FEATURES 5
#define MOST     40

static const int64_t per_class[CLASSES] = {7, 1, 9, 6}, labels[CLASSES] = {40, 30, 20, 10};

static driver_call make_call(const value *x, const float *support, const float *coefficients, const float *rho) {
  static const float parameters[] = {0.25f, 0, 3};
  driver_call call = CALL("SVMClassifier", 1, x);
  call.domain = "ai.onnx.ml";
  call.output_count = 2;
  call.attributes[0] = (attribute)DRIVER_STRING("kernel_type", "RBF");
  call.attributes[1] = (attribute)DRIVER_FLOATS("kernel_params", 3, parameters);
  call.attributes[2] = (attribute)DRIVER_FLOATS("support_vectors", VECTORS * FEATURES, support);
  call.attributes[3] = (attribute)DRIVER_FLOATS("coefficients", (CLASSES - 1) * VECTORS, coefficients);
  call.attributes[4] = (attribute)DRIVER_FLOATS("rho", PAIRS, rho);
  call.attributes[5] = (attribute)DRIVER_INTS("vectors_per_class", CLASSES, per_class);
  call.attributes[6] = (attribute)DRIVER_INTS("classlabels_ints", CLASSES, labels);
  return call;
}

/* Decisions of one row, and the least distance of one from 0. */
static double decide(const double *kernels, const float *coefficients, const float *rho, double *decisions,
                     int64_t *label) {
  int first[CLASSES + 1] = {0}, votes[CLASSES] = {0}, pair = 0, best = 0;
  double margin = INFINITY;
  for (int c = 0; c < CLASSES; c++) first[c + 1] = first[c] + (int)per_class[c];
  for (int i = 0; i < CLASSES; i++) {
    for (int j = i + 1; j < CLASSES; j++, pair++) {
      double sum = (double)rho[pair];
      for (int v = first[i]; v < first[i + 1]; v++) sum += (double)coefficients[(j - 1) * VECTORS + v] * kernels[v];
      for (int v = first[j]; v < first[j + 1]; v++) sum += (double)coefficients[i * VECTORS + v] * kernels[v];
      decisions[pair] = sum;
      votes[sum > 0 ? i : j]++;
      margin = fmin(margin, fabs(sum));
    }
  }
  for (int c = 1; c < CLASSES; c++) best = votes[c] > votes[best] ? c : best;
  *label = labels[best];
  return margin;
}

static void pairs_vote(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 30; round++) {
    const int64_t rows = (int64_t)driver_random(&bench.seed, 0, MOST);
    float support[VECTORS * FEATURES], coefficients[(CLASSES - 1) * VECTORS], rho[PAIRS];
    double decisions[MOST * PAIRS], margins[MOST];
    int64_t best[MOST];
    for (int i = 0; i < VECTORS * FEATURES; i++) support[i] = (float)driver_random(&bench.seed, -2, 2);
    for (int i = 0; i < (CLASSES - 1) * VECTORS; i++) coefficients[i] = (float)driver_random(&bench.seed, -1, 1);
    for (int i = 0; i < PAIRS; i++) rho[i] = (float)driver_random(&bench.seed, -0.3, 0.3);
    const value *x = bench_random(&bench, NORMA_FLOAT, SHAPE(rows, FEATURES), -2, 2);
    for (int64_t r = 0; r < rows; r++) {
      double kernels[VECTORS];
      for (int v = 0; v < VECTORS; v++) {
        double distance = 0;
        for (int f = 0; f < FEATURES; f++)
          distance += pow(driver_element(x, r * FEATURES + f) - (double)support[v * FEATURES + f], 2);
        kernels[v] = exp(-0.25 * distance);
      }
      margins[r] = decide(kernels, coefficients, rho, decisions + r * PAIRS, &best[r]);
    }
    const driver_call call = make_call(x, support, coefficients, rho);
    const value *y = bench_run(&bench, &call);
    for (int64_t r = 0; r < rows; r++) {
      if (margins[r] > 1e-4) assert_int_equal(((const int64_t *)y->tensor.data)[r], best[r]);
    }
    check_near("Z", &bench.driver.outputs[1], NORMA_FLOAT, SHAPE(rows, PAIRS), decisions, 1e-4);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void probabilities_add_up_to_one(void **state) {
  static const float a[PAIRS] = {-1, -2, -1, -1.5f, -1, -1}, b[PAIRS] = {0, 0.1f, 0, -0.1f, 0, 0};
  float support[VECTORS * FEATURES], coefficients[(CLASSES - 1) * VECTORS], rho[PAIRS] = {0};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int i = 0; i < VECTORS * FEATURES; i++) support[i] = (float)driver_random(&bench.seed, -2, 2);
  for (int i = 0; i < (CLASSES - 1) * VECTORS; i++) coefficients[i] = (float)driver_random(&bench.seed, -1, 1);
  driver_call call =
      make_call(bench_random(&bench, NORMA_DOUBLE, SHAPE(9, FEATURES), -2, 2), support, coefficients, rho);
  call.attributes[7] = (attribute)DRIVER_FLOATS("prob_a", PAIRS, a);
  call.attributes[8] = (attribute)DRIVER_FLOATS("prob_b", PAIRS, b);
  bench_run(&bench, &call);
  const value *z = &bench.driver.outputs[1];
  assert_int_equal(z->tensor.dims[1], CLASSES);
  for (int64_t r = 0; r < 9; r++) {
    double sum = 0;
    for (int64_t c = 0; c < CLASSES; c++) {
      assert_true(driver_element(z, r * CLASSES + c) > 0);
      sum += driver_element(z, r * CLASSES + c);
    }
    assert_true(fabs(sum - 1) < 1e-5);
  }
  bench_finish(&bench);
}

static void weights_without_vectors(void **state) {
  static const float weights[] = {1, 0, 0, 1, -1, -1}, rho[] = {0.5f};
  static const norma_string names[] = {{"x", 1}, {"y", 1}, {"neither", 7}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3, 2), NUMBERS(2, 1, 1, 3, -1, -1));
  driver_call call = CALL("SVMClassifier", 1, x);
  call.domain = "ai.onnx.ml";
  call.output_count = 2;
  call.attributes[0] = (attribute)DRIVER_FLOATS("coefficients", 6, weights);
  call.attributes[1] = (attribute)DRIVER_FLOATS("rho", 1, rho);
  call.attributes[2] = (attribute)DRIVER_STRINGS("classlabels_strings", 3, names);
  check_strings(bench_run(&bench, &call), SHAPE(3), (const char *[]){"x", "y", "neither"});
  check_tensor(&bench.driver.outputs[1], NORMA_FLOAT, SHAPE(3, 3),
               NUMBERS(2.5, 1.5, -2.5, 1.5, 3.5, -3.5, -0.5, -0.5, 2.5));
  bench_finish(&bench);
}

static void refusals(void **state) {
  static const float numbers[VECTORS * FEATURES];
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, FEATURES), NULL);
  driver_call call = make_call(x, numbers, numbers, numbers);
  call.attributes[4].count = PAIRS - 1;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "5 rho for 6 pairs");
  call.attributes[4].count = 0;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "no rho");
  call = make_call(x, numbers, numbers, numbers);
  call.attributes[3].count--;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "coefficients for 23 support vectors");
  call = make_call(x, numbers, numbers, numbers);
  call.attributes[5].count--;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "3 vectors_per_class for 4 classes");
  call = make_call(x, numbers, numbers, numbers);
  call.attributes[7] = (attribute)DRIVER_FLOATS("prob_a", PAIRS, numbers);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "6 prob_a and 0 prob_b");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pairs_vote),
      cmocka_unit_test(probabilities_add_up_to_one),
      cmocka_unit_test(weights_without_vectors),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
