/* MatMulInteger: sums of all types, zero points of all forms, many matrices. Numbers are held against sums in 64
 * bits. */
#include "tests/ops/quantized/quantized_reference.h"

/* Which element of a parameter belongs to a line (row of A or column of B) of a matrix. */
static double parameter_of(const value *parameter, int64_t matrix, int64_t line, int64_t lines) {
  if (!parameter) return 0;
  const int64_t count = norma_tensor_count(&parameter->tensor);
  return driver_element(parameter, count == 1 ? 0 : count == lines ? line : matrix * lines + line);
}

/* A of `batch` matrices m x k times B k x n or as many of these. */
static void check_product(workbench *bench, norma_element_type a_type, norma_element_type b_type, int64_t batch,
                          int64_t m, int64_t k, int64_t n, bool many_b, shape a_zeros, shape b_zeros) {
  const value *a = any_numbers(bench, a_type, SHAPE(batch, m, k));
  const value *b = any_numbers(bench, b_type, many_b ? SHAPE(batch, k, n) : SHAPE(k, n));
  const value *za = any_numbers(bench, a_type, a_zeros), *zb = any_numbers(bench, b_type, b_zeros);
  driver_call call = CALL("MatMulInteger", 10, a, b, za, zb);
  double *expected = malloc((size_t)(batch * m * n + 1) * sizeof *expected);
  assert_non_null(expected);
  for (int64_t i = 0; i < batch * m * n; i++) {
    const int64_t matrix = i / n / m, row = i / n % m, column = i % n;
    double sum = 0;
    for (int64_t p = 0; p < k; p++) {
      sum += (driver_element(a, (matrix * m + row) * k + p) - parameter_of(za, matrix, row, m)) *
             (driver_element(b, ((many_b ? matrix : 0) * k + p) * n + column) - parameter_of(zb, matrix, column, n));
    }
    expected[i] = sum;
  }
  check_tensor(bench_run(bench, &call), NORMA_INT32, SHAPE(batch, m, n), expected);
  free(expected);
  bench_clear(bench);
}

static void all_types_and_sizes(void **state) {
  static const int64_t sizes[][3] = {{1, 1, 1}, {7, 5, 3}, {1, 300, 33}, {33, 17, 65}, {6, 0, 4}, {0, 3, 4}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t s = 0; s < COUNT(sizes); s++) {
      const int64_t m = sizes[s][0], depth = sizes[s][1], n = sizes[s][2];
      FOR_TYPES(a_type, BYTE_TYPES) {
        FOR_TYPES(b_type, BYTE_TYPES) {
          check_product(&bench, a_type, b_type, 1, m, depth, n, false, SCALAR, SCALAR);
          check_product(&bench, a_type, b_type, 2, m, depth, n, true, SHAPE(1), SHAPE(n));
        }
      }
    }
  }
  bench_finish(&bench);
}

static void zero_points_of_rows_columns_and_matrices(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  check_product(&bench, NORMA_UINT8, NORMA_INT8, 1, 5, 9, 6, false, SHAPE(5), SHAPE(6));
  check_product(&bench, NORMA_UINT8, NORMA_INT8, 3, 5, 9, 6, true, SHAPE(3, 5, 1), SHAPE(3, 1, 6));
  check_product(&bench, NORMA_INT8, NORMA_UINT8, 3, 4, 9, 6, false, SHAPE(3, 4, 1), SHAPE(1, 6));
  bench_finish(&bench);
}

/* More than 32 bits wrap around. */
static void sums_wrap(void **state) {
  const int64_t k = 40000; /* times 255 * 255 is above 2^31 */
  workbench bench;
  (void)state;
  bench_init(&bench);
  value *a = bench_make(&bench, NORMA_UINT8, SHAPE(1, k)), *b = bench_make(&bench, NORMA_UINT8, SHAPE(k, 1));
  memset(a->tensor.data, 255, (size_t)k);
  memset(b->tensor.data, 255, (size_t)k);
  driver_call call = CALL("MatMulInteger", 10, a, b);
  check_tensor(bench_run(&bench, &call), NORMA_INT32, SHAPE(1, 1), NUMBERS(40000.0 * 255 * 255 - 4294967296.0));
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *a = bench_tensor(&bench, NORMA_UINT8, SHAPE(2, 3), NULL);
  const value *b = bench_tensor(&bench, NORMA_INT8, SHAPE(3, 4), NULL);
  driver_call shapes = CALL("MatMulInteger", 10, a, bench_tensor(&bench, NORMA_INT8, SHAPE(4, 3), NULL));
  bench_refuse(&bench, &shapes, NORMA_ERROR_INPUT, "cannot be multiplied");
  driver_call zeros = CALL("MatMulInteger", 10, a, b, bench_tensor(&bench, NORMA_UINT8, SHAPE(3), NULL));
  bench_refuse(&bench, &zeros, NORMA_ERROR_INPUT, "zero_point");
  driver_call type = CALL("MatMulInteger", 10, a, b, one_number(&bench, NORMA_INT8, 0));
  bench_refuse(&bench, &type, NORMA_ERROR_INVALID_MODEL, "int8");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_types_and_sizes),
      cmocka_unit_test(zero_points_of_rows_columns_and_matrices),
      cmocka_unit_test(sums_wrap),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
