/* QLinearLeakyRelu, QLinearSigmoid and the inner QuantizedActivation, for all 256 numbers of a type. */
#include "tests/ops/quantized/quantized_reference.h"

/* 256 * 3 elements: all numbers, in an order that has no pattern of 8. */
static value *all_numbers(workbench *bench, norma_element_type type) {
  value *x = bench_make(bench, type, SHAPE(3, 256));
  for (int64_t i = 0; i < 768; i++)
    element_set_double(type, x->tensor.data, i, lowest_of(type) + (double)(i * 37 % 256));
  return x;
}

static void leaky_relu(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, BYTE_TYPES) {
    const value *x = all_numbers(&bench, type);
    const double x_zero = type == NORMA_INT8 ? -20 : 100, y_zero = type == NORMA_INT8 ? 10 : 70;
    driver_call call =
        CALL("QLinearLeakyRelu", 1, x, one_number(&bench, NORMA_FLOAT, 0.5), one_number(&bench, type, x_zero),
             one_number(&bench, NORMA_FLOAT, 0.25), one_number(&bench, type, y_zero));
    call.domain = "com.microsoft";
    call.attributes[0] = (attribute)DRIVER_FLOAT("alpha", 0.25f);
    double expected[768];
    for (int i = 0; i < 768; i++) {
      const double real = (driver_element(x, i) - x_zero) / 2;
      expected[i] = quantized_reference((real < 0 ? real / 4 : real) * 4, y_zero, type);
    }
    check_tensor(bench_run(&bench, &call), type, SHAPE(3, 256), expected);
  }
  bench_finish(&bench);
}

/* Within one of the exact function, since its own rounding may cross a half. */
static void sigmoid(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, BYTE_TYPES) {
    const value *x = all_numbers(&bench, type);
    driver_call call = CALL("QLinearSigmoid", 1, x, one_number(&bench, NORMA_FLOAT, 0.0625), NULL,
                            one_number(&bench, NORMA_FLOAT, 1.0 / 256), one_number(&bench, type, lowest_of(type)));
    call.domain = "com.microsoft";
    const value *y = bench_run(&bench, &call);
    for (int i = 0; i < 768; i++) {
      const double exact = 256 / (1 + exp(-driver_element(x, i) / 16)) + lowest_of(type);
      assert_true(fabs(driver_element(y, i) - fmin(exact, highest_of(type))) <= 0.5001);
    }
  }
  bench_finish(&bench);
}

/* From one type to the other, without a function. */
static void another_scale_and_type(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = all_numbers(&bench, NORMA_INT8);
  driver_call call =
      CALL("QuantizedActivation", 1, x, one_number(&bench, NORMA_FLOAT, 0.5), one_number(&bench, NORMA_INT8, 3),
           one_number(&bench, NORMA_FLOAT, 1), one_number(&bench, NORMA_UINT8, 128));
  call.domain = "norma";
  call.attributes[0] = (attribute)DRIVER_INT("kind", UNARY_IDENTITY);
  double expected[768];
  for (int i = 0; i < 768; i++) expected[i] = quantized_reference((driver_element(x, i) - 3) / 2, 128, NORMA_UINT8);
  check_tensor(bench_run(&bench, &call), NORMA_UINT8, SHAPE(3, 256), expected);
  call.attributes[0] = (attribute)DRIVER_INT("kind", UNARY_KIND_COUNT);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "kind");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(leaky_relu),
      cmocka_unit_test(sigmoid),
      cmocka_unit_test(another_scale_and_type),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
