/* QLinearMatMul: scales of tensors, rows and columns, all types of both versions. */
#include "tests/ops/quantized/quantized_reference.h"

static double line_of(const value *parameter, int64_t line) {
  return driver_element(parameter, norma_tensor_count(&parameter->tensor) == 1 ? 0 : line);
}

static void check_product(workbench *bench, const norma_element_type types[3], int64_t m, int64_t k, int64_t n,
                          shape a_form, shape b_form) {
  const value *a = any_numbers(bench, types[0], SHAPE(m, k)), *b = any_numbers(bench, types[1], SHAPE(k, n));
  const value *a_scale = scales_of(bench, NORMA_FLOAT, a_form), *b_scale = scales_of(bench, NORMA_FLOAT, b_form);
  const value *a_zero = any_numbers(bench, types[0], a_form), *b_zero = any_numbers(bench, types[1], b_form);
  const value *y_zero = any_numbers(bench, types[2], SCALAR);
  driver_call call =
      CALL("QLinearMatMul", 10, a, a_scale, a_zero, b, b_scale, b_zero, one_number(bench, NORMA_FLOAT, 16), y_zero);
  double *expected = malloc((size_t)(m * n + 1) * sizeof *expected);
  assert_non_null(expected);
  for (int64_t i = 0; i < m * n; i++) {
    double sum = 0;
    for (int64_t p = 0; p < k; p++) {
      sum += (driver_element(a, i / n * k + p) - line_of(a_zero, i / n)) *
             (driver_element(b, p * n + i % n) - line_of(b_zero, i % n));
    }
    const double scale = line_of(a_scale, i / n) * line_of(b_scale, i % n) / 16;
    expected[i] = quantized_reference(sum * scale, driver_element(y_zero, 0), types[2]);
  }
  check_tensor(bench_run(bench, &call), types[2], SHAPE(m, n), expected);
  free(expected);
  bench_clear(bench);
}

static void all_types_and_forms(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int code = 0; code < 8; code++) {
    norma_element_type types[3];
    for (int i = 0; i < 3; i++) types[i] = code >> i & 1 ? NORMA_INT8 : NORMA_UINT8;
    check_product(&bench, types, 7, 5, 9, SCALAR, SCALAR);
    check_product(&bench, types, 33, 64, 40, SHAPE(1), SHAPE(40));
    check_product(&bench, types, 6, 20, 5, SHAPE(6), SCALAR);
    check_product(&bench, types, 6, 20, 5, SHAPE(6), SHAPE(5));
    check_product(&bench, types, 3, 0, 4, SCALAR, SCALAR);
  }
  bench_finish(&bench);
}

static void floats_of_eight_bits(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *a = bench_tensor(&bench, NORMA_FLOAT8E4M3FN, SHAPE(1, 2), NUMBERS(1, 2));
  const value *b = bench_tensor(&bench, NORMA_FLOAT8E4M3FN, SHAPE(2, 1), NUMBERS(4, -0.5));
  const value *scale = one_number(&bench, NORMA_FLOAT16, 2), *zero = one_number(&bench, NORMA_FLOAT8E4M3FN, 0);
  driver_call call = CALL("QLinearMatMul", 21, a, scale, zero, b, scale, zero, scale, zero);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT8E4M3FN, SHAPE(1, 1), NUMBERS(6));
  call.opset = 20;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "needs opset 21");
  bench_finish(&bench);
}

/* The types of a, b and y are chosen one by one. Numbers and zero points are small and whole, scales powers of two. */
static void floats_beside_integers(void **state) {
  static const norma_element_type choices[] = {NORMA_UINT8, NORMA_INT8, NORMA_FLOAT8E4M3FN, NORMA_FLOAT8E5M2};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int code = 0; code < 64; code++) {
    const norma_element_type types[3] = {choices[code % 4], choices[code / 4 % 4], choices[code / 16]};
    const value *a = bench_tensor(&bench, types[0], SHAPE(2, 3), NUMBERS(1, 2, 3, 4, 0, 6));
    const value *b = bench_tensor(&bench, types[1], SHAPE(3, 2), NUMBERS(2, 1, 0, 3, 1, 4));
    const value *zeros[3] = {one_number(&bench, types[0], 1), one_number(&bench, types[1], 2),
                             one_number(&bench, types[2], 2)};
    const value *scale = one_number(&bench, NORMA_FLOAT, 2), *y_scale = one_number(&bench, NORMA_FLOAT, 1);
    driver_call call = CALL("QLinearMatMul", 21, a, scale, zeros[0], b, scale, zeros[1], y_scale, zeros[2]);
    /* sums -4, 5, -3, 6 times 4, and 2 */
    const bool is_unsigned = types[2] == NORMA_UINT8;
    check_tensor(bench_run(&bench, &call), types[2], SHAPE(2, 2),
                 is_unsigned                    ? NUMBERS(0, 22, 0, 26)
                 : types[2] == NORMA_FLOAT8E5M2 ? NUMBERS(-14, 24, -10, 24)
                                                : NUMBERS(-14, 22, -10, 26));
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *a = bench_tensor(&bench, NORMA_INT8, SHAPE(2, 3), NULL), *zero = one_number(&bench, NORMA_INT8, 0);
  const value *b = bench_tensor(&bench, NORMA_INT8, SHAPE(3, 4), NULL), *scale = one_number(&bench, NORMA_FLOAT, 1);
  driver_call call = CALL("QLinearMatMul", 10, a, scale, zero, b, bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NULL),
                          zero, scale, zero);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "b_scale");
  call.inputs[4] = scale;
  call.inputs[6] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "y_scale");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_types_and_forms),
      cmocka_unit_test(floats_of_eight_bits),
      cmocka_unit_test(floats_beside_integers),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
