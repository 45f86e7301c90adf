/* QLinearWhere: both sides requantised, all three inputs broadcast. */
#include "tests/ops/quantized/quantized_reference.h"

static void both_sides(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, BYTE_TYPES) {
    const shape forms[][3] = {{SHAPE(3, 50), SHAPE(3, 50), SHAPE(3, 50)},
                              {SHAPE(3, 1), SHAPE(50), SCALAR},
                              {SHAPE(50), SHAPE(3, 1), SHAPE(1, 50)}};
    const shape whole = SHAPE(3, 50);
    for (size_t f = 0; f < COUNT(forms); f++) {
      const value *condition = bench_random(&bench, NORMA_BOOL, forms[f][0], 0, 2);
      const value *x = any_numbers(&bench, type, forms[f][1]), *y = any_numbers(&bench, type, forms[f][2]);
      const value *zeros[3];
      for (int i = 0; i < 3; i++) zeros[i] = any_numbers(&bench, type, SCALAR);
      driver_call call =
          CALL("QLinearWhere", 1, condition, x, one_number(&bench, NORMA_FLOAT, 0.25), zeros[0], y,
               one_number(&bench, NORMA_FLOAT, 2), zeros[1], one_number(&bench, NORMA_FLOAT, 0.5), zeros[2]);
      call.domain = "com.microsoft";
      double expected[150];
      for (int64_t i = 0; i < 150; i++) {
        const bool chosen = driver_element(condition, broadcast_place(&forms[f][0], &whole, i)) != 0;
        const double real =
            chosen ? (driver_element(x, broadcast_place(&forms[f][1], &whole, i)) - driver_element(zeros[0], 0)) / 4
                   : (driver_element(y, broadcast_place(&forms[f][2], &whole, i)) - driver_element(zeros[1], 0)) * 2;
        expected[i] = quantized_reference(real * 2, driver_element(zeros[2], 0), type);
      }
      check_tensor(bench_run(&bench, &call), type, whole, expected);
    }
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *scale = one_number(&bench, NORMA_FLOAT, 1), *zero = one_number(&bench, NORMA_INT8, 0);
  const value *x = bench_tensor(&bench, NORMA_INT8, SHAPE(2, 3), NULL);
  driver_call call = CALL("QLinearWhere", 1, bench_tensor(&bench, NORMA_BOOL, SHAPE(2), NULL), x, scale, zero, x, scale,
                          zero, scale, zero);
  call.domain = "com.microsoft";
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "cannot be broadcast");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(both_sides),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
