/* QGemm: transpositions, the bias in all its shapes, results of 8 bits and float. */
#include "tests/ops/quantized/quantized_reference.h"

#define M 6
#define N 9
#define K 21

static double at_order(const value *matrix, int64_t row, int64_t column, int64_t rows, int64_t columns, bool turned) {
  return driver_element(matrix, turned ? column * rows + row : row * columns + column);
}

/* The bias of an element; dims are 1 or those of the result, or there is one axis. */
static double bias_of(const value *c, int64_t row, int64_t column) {
  if (!c || norma_tensor_count(&c->tensor) == 1) return c ? driver_element(c, 0) : 0;
  const bool has_rows = c->tensor.rank == 2 && c->tensor.dims[0] == M;
  const bool has_columns = c->tensor.dims[c->tensor.rank - 1] == N;
  return driver_element(c, has_rows ? row * (has_columns ? N : 1) + (has_columns ? column : 0) : column);
}

static void check_gemm(workbench *bench, int turned, const value *c, norma_element_type type, shape form) {
  const bool turns_a = turned & 1, turns_b = turned & 2;
  const value *a = any_numbers(bench, NORMA_UINT8, turns_a ? SHAPE(K, M) : SHAPE(M, K));
  const value *b = any_numbers(bench, NORMA_INT8, turns_b ? SHAPE(N, K) : SHAPE(K, N));
  const value *a_zero = any_numbers(bench, NORMA_UINT8, SCALAR), *b_zero = any_numbers(bench, NORMA_INT8, form);
  const value *b_scale = scales_of(bench, NORMA_FLOAT, form), *y_zero = any_numbers(bench, NORMA_INT8, SCALAR);
  driver_call call = CALL("QGemm", 1, a, one_number(bench, NORMA_FLOAT, 0.25), a_zero, b, b_scale, b_zero, c,
                          one_number(bench, NORMA_FLOAT, 32), y_zero);
  if (type == NORMA_FLOAT) call.input_count = c ? 7 : 6;
  call.domain = "com.microsoft";
  call.attributes[0] = (attribute)DRIVER_INT("transA", turns_a);
  call.attributes[1] = (attribute)DRIVER_INT("transB", turns_b);
  call.attributes[2] = (attribute)DRIVER_FLOAT("alpha", 0.5f);
  double expected[M * N];
  const bool many = norma_tensor_count(&b_scale->tensor) > 1;
  for (int64_t i = 0; i < M * N; i++) {
    const int64_t row = i / N, column = i % N, line = many ? column : 0;
    double sum = bias_of(c, row, column);
    for (int64_t p = 0; p < K; p++)
      sum += (at_order(a, row, p, M, K, turns_a) - driver_element(a_zero, 0)) *
             (at_order(b, p, column, K, N, turns_b) - driver_element(b_zero, line));
    const double real = sum * 0.5 * 0.25 * driver_element(b_scale, line);
    expected[i] = type == NORMA_FLOAT ? real : quantized_reference(real / 32, driver_element(y_zero, 0), type);
  }
  check_tensor(bench_run(bench, &call), type, SHAPE(M, N), expected);
}

static void biases_and_transpositions(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int turned = 0; turned < 4; turned++) {
    const shape forms[] = {SCALAR, SHAPE(N), SHAPE(1, N), SHAPE(M, 1), SHAPE(M, N)};
    for (size_t i = 0; i <= COUNT(forms); i++) {
      FOR_TYPES(type, TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_INT8)) {
        const value *c = i ? bench_random(&bench, NORMA_INT32, forms[i - 1], -9999, 9999) : NULL;
        check_gemm(&bench, turned, c, type, SCALAR);
        check_gemm(&bench, turned, c, type, SHAPE(N));
        bench_clear(&bench);
      }
    }
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *a = bench_tensor(&bench, NORMA_INT8, SHAPE(2, 3), NULL), *zero = one_number(&bench, NORMA_INT8, 0);
  const value *b = bench_tensor(&bench, NORMA_INT8, SHAPE(4, 3), NULL), *scale = one_number(&bench, NORMA_FLOAT, 1);
  driver_call call = CALL("QGemm", 1, a, scale, zero, b, scale, zero);
  call.domain = "com.microsoft";
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "2x3");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(biases_and_transpositions),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
