/* DynamicQuantizeLinear: the scale and zero point that it chooses, and what it makes of the numbers. */
#include "tests/ops/quantized/quantized_reference.h"

static void check_example(workbench *bench, int64_t count, const double *numbers, double scale, double zero,
                          const double *expected) {
  driver_call call = CALL("DynamicQuantizeLinear", 11, bench_tensor(bench, NORMA_FLOAT, SHAPE(count), numbers));
  call.output_count = 3;
  check_tensor(bench_run(bench, &call), NORMA_UINT8, SHAPE(count), expected);
  check_tensor(bench_keep(bench, 1), NORMA_FLOAT, SCALAR, &scale);
  check_tensor(bench_keep(bench, 2), NORMA_UINT8, SCALAR, &zero);
}

/* Ranges of 255, which make scales of 1, and ranges that 0 widens. */
static void ranges_hold_zero(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  check_example(&bench, 4, NUMBERS(0, 2.5, 3.5, 255), 1, 0, NUMBERS(0, 2, 4, 255));
  check_example(&bench, 4, NUMBERS(-55, 0, 1, 200), 1, 55, NUMBERS(0, 55, 56, 255));
  check_example(&bench, 2, NUMBERS(-255, -100), 1, 255, NUMBERS(0, 155));
  check_example(&bench, 2, NUMBERS(510, 100), 2, 0, NUMBERS(255, 50));
  bench_finish(&bench);
}

static void nothing_but_zero(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  check_example(&bench, 2, NUMBERS(0, 0), (double)(1.0f / 255.0f), 0, NUMBERS(0, 0));
  check_example(&bench, 0, NUMBERS(0), (double)(1.0f / 255.0f), 0, NUMBERS(0));
  bench_finish(&bench);
}

/* Many pieces: bench_run compares numbers of workers. */
static void long_inputs(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  value *x = bench_make(&bench, NORMA_FLOAT, SHAPE(50000));
  double *expected = malloc(50000 * sizeof *expected);
  assert_non_null(expected);
  for (int64_t i = 0; i < 50000; i++) {
    const double number = (double)(i * 7919 % 256) - 128;
    element_set_double(NORMA_FLOAT, x->tensor.data, i, number / 4);
    expected[i] = number + 128;
  }
  driver_call call = CALL("DynamicQuantizeLinear", 11, x);
  call.output_count = 3;
  check_tensor(bench_run(&bench, &call), NORMA_UINT8, SHAPE(50000), expected);
  free(expected);
  bench_finish(&bench);
}

static void no_number_makes_all_zero(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call =
      CALL("DynamicQuantizeLinear", 11, bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(1, (double)NAN, -2)));
  call.output_count = 3;
  check_tensor(bench_run(&bench, &call), NORMA_UINT8, SHAPE(3), NUMBERS(0, 0, 0));
  assert_true(isnan(driver_element(bench_keep(&bench, 1), 0)));
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranges_hold_zero),
      cmocka_unit_test(nothing_but_zero),
      cmocka_unit_test(long_inputs),
      cmocka_unit_test(no_number_makes_all_zero),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
