/* QLinearAdd and QLinearMul: both types, broadcast, left out zero points. */
#include "tests/ops/quantized/quantized_reference.h"

static void check_pair(workbench *bench, bool multiplies, norma_element_type type, shape a_shape, shape b_shape,
                       shape whole, bool has_zeros) {
  const value *a = any_numbers(bench, type, a_shape), *b = any_numbers(bench, type, b_shape);
  const value *a_zero = has_zeros ? any_numbers(bench, type, SCALAR) : NULL;
  const value *b_zero = has_zeros ? any_numbers(bench, type, SCALAR) : NULL;
  const value *c_zero = has_zeros ? any_numbers(bench, type, SCALAR) : NULL;
  const value *quarter = one_number(bench, NORMA_FLOAT, 0.25), *half = one_number(bench, NORMA_FLOAT, 0.5);
  driver_call call = CALL(multiplies ? "QLinearMul" : "QLinearAdd", 1, a, quarter, a_zero, b, half, b_zero,
                          one_number(bench, NORMA_FLOAT, multiplies ? 8 : 1), c_zero);
  call.domain = "com.microsoft";
  const int64_t count = shape_count(&whole);
  double *expected = malloc((size_t)(count + 1) * sizeof *expected);
  assert_non_null(expected);
  for (int64_t i = 0; i < count; i++) {
    const double x = driver_element(a, broadcast_place(&a_shape, &whole, i)) - (a_zero ? driver_element(a_zero, 0) : 0);
    const double z = driver_element(b, broadcast_place(&b_shape, &whole, i)) - (b_zero ? driver_element(b_zero, 0) : 0);
    expected[i] = quantized_reference(multiplies ? x * z * 0.125 / 8 : x * 0.25 + z * 0.5,
                                      c_zero ? driver_element(c_zero, 0) : 0, type);
  }
  check_tensor(bench_run(bench, &call), type, whole, expected);
  free(expected);
}

static void sums_and_products(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int code = 0; code < 4; code++) {
      FOR_TYPES(type, BYTE_TYPES) {
        check_pair(&bench, code & 1, type, SHAPE(3, 70), SHAPE(3, 70), SHAPE(3, 70), code & 2);
        check_pair(&bench, code & 1, type, SHAPE(2, 3, 4), SHAPE(3, 1), SHAPE(2, 3, 4), code & 2);
        check_pair(&bench, code & 1, type, SCALAR, SHAPE(3000), SHAPE(3000), code & 2);
        check_pair(&bench, code & 1, type, SHAPE(0, 3), SHAPE(3), SHAPE(0, 3), code & 2);
        for (int i = 0; i < 10; i++) {
          shape a, b, whole;
          random_broadcast(&bench.seed, 200, &a, &b, &whole);
          check_pair(&bench, code & 1, type, a, b, whole, code & 2);
        }
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
  const value *a = bench_tensor(&bench, NORMA_INT8, SHAPE(2, 3), NULL), *scale = one_number(&bench, NORMA_FLOAT, 1);
  driver_call call =
      CALL("QLinearAdd", 1, a, scale, NULL, bench_tensor(&bench, NORMA_INT8, SHAPE(2), NULL), scale, NULL, scale);
  call.domain = "com.microsoft";
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "cannot be broadcast");
  call.inputs[3] = a;
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "must be one number");
  call.inputs[1] = scale;
  call.inputs[3] = bench_tensor(&bench, NORMA_UINT8, SHAPE(2, 3), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "uint8");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_and_products),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
