/* MatMulIntegerToFloat, and DynamicQuantizeMatMul, which quantises A itself. */
#include "tests/ops/quantized/quantized_reference.h"

#define M 5
#define N 7
#define K 12

static void check_product(workbench *bench, norma_element_type type, bool has_zeros, bool has_bias, shape form) {
  const value *a = any_numbers(bench, NORMA_UINT8, SHAPE(M, K)), *b = any_numbers(bench, NORMA_INT8, SHAPE(K, N));
  const value *b_scale = scales_of(bench, type, form);
  const value *a_zero = has_zeros ? any_numbers(bench, NORMA_UINT8, SCALAR) : NULL;
  const value *b_zero = has_zeros ? any_numbers(bench, NORMA_INT8, form) : NULL;
  const value *bias = has_bias ? bench_random(bench, NORMA_INT32, SHAPE(N), -50, 50) : NULL;
  value *real_bias = bench_make(bench, type, SHAPE(N));
  for (int64_t i = 0; i < N && bias; i++) element_set_double(type, real_bias->tensor.data, i, driver_element(bias, i));
  driver_call call = CALL("MatMulIntegerToFloat", 1, a, b, one_number(bench, type, 0.03125), b_scale, a_zero, b_zero,
                          bias ? real_bias : NULL);
  call.domain = "com.microsoft";
  double expected[M * N];
  for (int64_t i = 0; i < M * N; i++) {
    const int64_t line = norma_tensor_count(&b_scale->tensor) > 1 ? i % N : 0;
    double sum = 0;
    for (int64_t p = 0; p < K; p++)
      sum += (driver_element(a, i / N * K + p) - (a_zero ? driver_element(a_zero, 0) : 0)) *
             (driver_element(b, p * N + i % N) - (b_zero ? driver_element(b_zero, line) : 0));
    expected[i] = sum * 0.03125 * driver_element(b_scale, line) + (bias ? driver_element(bias, i % N) : 0);
  }
  check_near("product", bench_run(bench, &call), type, SHAPE(M, N), expected, type_tolerance(type));
  bench_clear(bench);
}

static void zeros_scales_and_biases(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16)) {
    for (int code = 0; code < 4; code++) {
      check_product(&bench, type, code & 1, code & 2, SCALAR);
      check_product(&bench, type, code & 1, code & 2, SHAPE(N));
    }
  }
  bench_finish(&bench);
}

/* A of range -55 .. 200 has scale 1 and zero point 55, so nothing is lost. */
static void dynamic_quantisation(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  value *a = bench_make(&bench, NORMA_FLOAT, SHAPE(M, K));
  for (int64_t i = 0; i < M * K; i++)
    element_set_double(NORMA_FLOAT, a->tensor.data, i, i == 0 ? -55 : i == 1 ? 200 : (double)(i * 31 % 256) - 55);
  const value *b = any_numbers(&bench, NORMA_INT8, SHAPE(K, N)), *zero = any_numbers(&bench, NORMA_INT8, SCALAR);
  driver_call call = CALL("DynamicQuantizeMatMul", 1, a, b, one_number(&bench, NORMA_FLOAT, 0.5), zero);
  call.domain = "com.microsoft";
  double expected[M * N];
  for (int64_t i = 0; i < M * N; i++) {
    expected[i] = 0;
    for (int64_t p = 0; p < K; p++)
      expected[i] +=
          driver_element(a, i / N * K + p) * (driver_element(b, p * N + i % N) - driver_element(zero, 0)) / 2;
  }
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(M, N), expected);
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(zeros_scales_and_biases),
      cmocka_unit_test(dynamic_quantisation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
