/* SVMRegressor: each kernel against its formula in double, near and far from zero. */
#include "tests/support/workbench.h"

#include <string.h>

#define VECTORS  37
#define FEATURES 11
#define MOST     60

static const char *const kernels[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};

static double kernel(int kind, const float *parameters, const double *x, const float *vector) {
  double dot = 0, distance = 0;
  for (int f = 0; f < FEATURES; f++) {
    dot += x[f] * (double)vector[f];
    distance += (x[f] - (double)vector[f]) * (x[f] - (double)vector[f]);
  }
  const double gamma = (double)parameters[0], moved = gamma * dot + (double)parameters[1];
  return kind == 0   ? dot
         : kind == 1 ? pow(moved, (double)parameters[2])
         : kind == 2 ? exp(-gamma * distance)
                     : tanh(moved);
}

static driver_call make_call(const value *x, const char *kind, const float *parameters, const float *support,
                             const float *coefficients, const float *rho) {
  driver_call call = CALL("SVMRegressor", 1, x);
  call.domain = "ai.onnx.ml";
  call.attributes[0] = (attribute)DRIVER_TEXT("kernel_type", kind);
  call.attributes[1] = (attribute)DRIVER_FLOATS("kernel_params", 3, parameters);
  call.attributes[2] = (attribute)DRIVER_FLOATS("support_vectors", VECTORS * FEATURES, support);
  call.attributes[3] = (attribute)DRIVER_FLOATS("coefficients", VECTORS, coefficients);
  call.attributes[4] = (attribute)DRIVER_FLOATS("rho", 1, rho);
  call.attributes[5] = (attribute)DRIVER_INT("n_supports", VECTORS);
  return call;
}

static void kernels_match_their_formulas(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_INT32, NORMA_INT64};
  static const float parameters[] = {0.125f, 0.5f, 3}, rho[] = {-0.75f};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 96; round++) {
    const int kind = round % 4;
    const double far = kind == 2 && round % 8 == 2 ? 1000 : 0; /* where squares lose the distance */
    const int64_t rows = (int64_t)driver_random(&bench.seed, 0, MOST);
    float support[VECTORS * FEATURES], coefficients[VECTORS];
    double expected[MOST], signs[MOST];
    for (int i = 0; i < VECTORS * FEATURES; i++) support[i] = (float)(far + driver_random(&bench.seed, -2, 2));
    for (int i = 0; i < VECTORS; i++) coefficients[i] = (float)driver_random(&bench.seed, -1, 1);
    const value *x = bench_random(&bench, types[round / 4 % 4], SHAPE(rows, FEATURES), far - 2, far + 2);
    for (int64_t r = 0; r < rows; r++) {
      double row[FEATURES];
      for (int f = 0; f < FEATURES; f++) row[f] = driver_element(x, r * FEATURES + f);
      expected[r] = (double)rho[0];
      for (int i = 0; i < VECTORS; i++)
        expected[r] += (double)coefficients[i] * kernel(kind, parameters, row, support + i * FEATURES);
      signs[r] = expected[r] > 0 ? 1 : -1;
    }
    driver_call call = make_call(x, kernels[kind], parameters, support, coefficients, rho);
    check_near(kernels[kind], bench_run(&bench, &call), NORMA_FLOAT, SHAPE(rows, 1), expected, 2e-4);
    call.attributes[6] = (attribute)DRIVER_INT("one_class", 1);
    const value *y = bench_run(&bench, &call);
    for (int64_t r = 0; r < rows; r++) {
      if (fabs(expected[r]) > 1e-2) assert_true(driver_element(y, r) == signs[r]);
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void linear_without_vectors(void **state) {
  static const float weights[] = {2, -1, 0.5f}, rho[] = {1};
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = CALL("SVMRegressor", 1, bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NUMBERS(1, 2, 4, 0, 0, 0)));
  call.domain = "ai.onnx.ml";
  call.attributes[0] = (attribute)DRIVER_FLOATS("coefficients", 3, weights);
  call.attributes[1] = (attribute)DRIVER_FLOATS("rho", 1, rho);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 1), NUMBERS(3, 1));
  bench_finish(&bench);
}

static void refusals(void **state) {
  static const float support[VECTORS * FEATURES], coefficients[VECTORS], numbers[3];
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, FEATURES), NULL);
  driver_call call = make_call(x, "CUBIC", numbers, support, coefficients, numbers);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "'CUBIC'");
  call = make_call(x, "RBF", numbers, support, coefficients, numbers);
  call.attributes[1].count = 2;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "2 kernel_params");
  call = make_call(x, "RBF", numbers, support, coefficients, numbers);
  call.attributes[2].count--;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "no multiple");
  call = make_call(x, "RBF", numbers, support, coefficients, numbers);
  call.attributes[3].count--;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "coefficients");
  call.attributes[5].i = -1;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "n_supports is -1");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(kernels_match_their_formulas),
      cmocka_unit_test(linear_without_vectors),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
