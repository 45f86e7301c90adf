/* Dropout: the input itself in inference; in training elements that NumPy's generator drops, others scaled. */
#include "tests/support/builtin_operator.h"
#include "tests/support/workbench.h"

/* Whether numpy.random.seed(seed); numpy.random.uniform(size=12) is at least 0.5, and at least 0.75. */
static const struct {
  int64_t seed;
  double half[12], quarter[12];
} numpy[] = {
    {0, {1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1}, {0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0}},
    {42, {0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1}, {0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1}},
};

static const value *training(workbench *bench, bool on) {
  return bench_tensor(bench, NORMA_BOOL, SCALAR, NUMBERS(on));
}

static void training_draws_numpys_numbers(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    FOR_TYPES(ratio_type, TYPES_FLOAT) {
      for (size_t s = 0; s < COUNT(numpy); s++) {
        for (int quarter = 0; quarter < 2; quarter++) {
          const double *mask = quarter ? numpy[s].quarter : numpy[s].half, ratio = quarter ? 0.75 : 0.5;
          double expected[12], elements[12];
          for (int i = 0; i < 12; i++) {
            elements[i] = i + 1;
            expected[i] = mask[i] * (i + 1) / (1 - ratio);
          }
          driver_call call = CALL("Dropout", 13, bench_tensor(&bench, type, SHAPE(3, 4), elements),
                                  bench_tensor(&bench, ratio_type, SCALAR, &ratio), training(&bench, true));
          call.output_count = 2;
          call.attributes[0] = (attribute)DRIVER_INT("seed", numpy[s].seed);
          check_tensor(bench_run(&bench, &call), type, SHAPE(3, 4), expected);
          check_tensor(&bench.driver.outputs[1], NORMA_BOOL, SHAPE(3, 4), mask);
          call.output_count = 1; /* the same without the mask */
          check_tensor(bench_run(&bench, &call), type, SHAPE(3, 4), expected);
        }
      }
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Beyond the 624 words of the generator's state; half of many are dropped. */
static void many_elements(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_random(&bench, NORMA_FLOAT, SHAPE(100000), 1, 2);
  driver_call call =
      CALL("Dropout", 22, x, bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(0.3)), training(&bench, true));
  call.attributes[0] = (attribute)DRIVER_INT("seed", 5);
  call.output_count = 2;
  const value *y = bench_run(&bench, &call);
  double kept = 0;
  for (int i = 0; i < 100000; i++) {
    const bool stays = driver_element(&bench.driver.outputs[1], i) != 0;
    const double expected = stays ? driver_element(x, i) / (1 - (double)0.3f) : 0;
    assert_true(fabs(driver_element(y, i) - expected) <= 1e-6 * expected);
    kept += stays;
  }
  assert_true(fabs(kept / 100000 - 0.7) < 0.005);
  bench_finish(&bench);
}

/* Inference by all versions; the mask is all true, and of the input's type before version 10. */
static void inference_is_the_identity(void **state) {
  const operator_descriptor *op = builtin_operator("", "Dropout");
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int v = 0; op->versions[v]; v++) {
    const int version = op->versions[v];
    FOR_TYPES(type, TYPES_FLOAT) {
      const value *x = bench_tensor(&bench, type, SHAPE(2, 2), NUMBERS(1, NAN, -INFINITY, -0.0));
      driver_call call = CALL("Dropout", version, x);
      call.output_count = 2;
      if (version < 7) call.attributes[0] = (attribute)DRIVER_INT("is_test", 1);
      if (version < 12) call.attributes[version < 7] = (attribute)DRIVER_FLOAT("ratio", 0.9f);
      assert_true(same_value(bench_run(&bench, &call), x));
      check_tensor(&bench.driver.outputs[1], version < 10 ? type : NORMA_BOOL, SHAPE(2, 2), NUMBERS(1, 1, 1, 1));
      if (version < 12) continue;
      /* Not asked to train, or to drop nothing. */
      const value *most = bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(0.9)),
                  *none = bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(0));
      call = CALL("Dropout", version, x, most);
      assert_true(same_value(bench_run(&bench, &call), x));
      call = CALL("Dropout", version, x, most, training(&bench, false));
      assert_true(same_value(bench_run(&bench, &call), x));
      call = CALL("Dropout", version, x, none, training(&bench, true));
      assert_true(same_value(bench_run(&bench, &call), x));
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* The ratio is a half where it is left out; what is dropped is multiplied by zero, so NaN stays. */
static void training_by_default(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(6), NUMBERS(1, 1, 1, 1, NAN, 1));
  driver_call call = CALL("Dropout", 13, x, NULL, training(&bench, true));
  call.attributes[0] = (attribute)DRIVER_INT("seed", 0);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(6), NUMBERS(2, 2, 2, 2, NAN, 2));
  bench_finish(&bench);
}

static void ratios_that_make_no_sense_are_errors(void **state) {
  static const double ratios[] = {1, 1.5, -0.25, NAN, INFINITY};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t i = 0; i < COUNT(ratios); i++) {
    driver_call call = CALL("Dropout", 13, bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL),
                            bench_tensor(&bench, NORMA_FLOAT, SCALAR, &ratios[i]), training(&bench, true));
    bench_refuse(&bench, &call, NORMA_ERROR_RUN, "not in [0, 1)");
  }
  driver_call call = CALL("Dropout", 13, bench_tensor(&bench, NORMA_INT32, SHAPE(2), NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type int32");
  call = CALL("Dropout", 12, bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL));
  call.attributes[0] = (attribute)DRIVER_FLOAT("ratio", 0.5f);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute ratio");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(training_draws_numpys_numbers),
      cmocka_unit_test(many_elements),
      cmocka_unit_test(inference_is_the_identity),
      cmocka_unit_test(training_by_default),
      cmocka_unit_test(ratios_that_make_no_sense_are_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
