/* DequantizeLinear of ai.onnx and com.microsoft: every type, one scale, scales of an axis, blocks. */
#include "tests/ops/quantized/quantized_reference.h"

#define INTEGERS                                                                                                       \
  (BYTE_TYPES | TYPE_BIT(NORMA_INT16) | TYPE_BIT(NORMA_UINT16) | TYPE_BIT(NORMA_INT4) | TYPE_BIT(NORMA_UINT4) |        \
   TYPE_BIT(NORMA_INT2) | TYPE_BIT(NORMA_UINT2))

static void check_by_place(workbench *bench, norma_element_type type, shape scales, int64_t block,
                           int64_t (*scale_of)(const int64_t *at)) {
  const shape whole = SHAPE(3, 5, 4);
  const value *x = any_numbers(bench, type, whole), *scale = scales_of(bench, NORMA_FLOAT, scales);
  const value *zero = any_numbers(bench, type, scales);
  driver_call call = CALL("DequantizeLinear", 25, x, scale, zero);
  call.attributes[0] = (attribute)DRIVER_INT("axis", -2);
  if (block) call.attributes[1] = (attribute)DRIVER_INT("block_size", block);
  double expected[60];
  for (int64_t i = 0; i < 60; i++) {
    int64_t at[NORMA_MAX_RANK];
    shape_coordinates(&whole, i, at);
    const int64_t s = scale_of(at);
    expected[i] = (driver_element(x, i) - driver_element(zero, s)) * driver_element(scale, s);
  }
  check_tensor(bench_run(bench, &call), NORMA_FLOAT, whole, expected);
}

static int64_t first_scale(const int64_t *at) {
  (void)at;
  return 0;
}
static int64_t scale_of_axis(const int64_t *at) {
  return at[1];
}
static int64_t scale_of_block(const int64_t *at) {
  return (at[0] * 3 + at[1] / 2) * 4 + at[2];
}

static void every_type_and_granularity(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, INTEGERS) {
    check_by_place(&bench, type, SCALAR, 0, first_scale);
    check_by_place(&bench, type, SHAPE(5), 0, scale_of_axis);
    check_by_place(&bench, type, SHAPE(3, 3, 4), 2, scale_of_block);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void floats_and_half_precision(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT8E5M2, SHAPE(3), NUMBERS(1, -2, 0.5));
  driver_call call = CALL("DequantizeLinear", 19, x, one_number(&bench, NORMA_FLOAT16, 4));
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT16, SHAPE(3), NUMBERS(4, -8, 2));
  driver_call typed = CALL("DequantizeLinear", 23, x, one_number(&bench, NORMA_FLOAT, 4));
  typed.attributes[0] = (attribute)DRIVER_INT("output_dtype", NORMA_BFLOAT16);
  check_tensor(bench_run(&bench, &typed), NORMA_BFLOAT16, SHAPE(3), NUMBERS(4, -8, 2));
  bench_finish(&bench);
}

/* Sums of products, which biases are: more digits than float has, rounded once. */
static void integers_of_32_bits(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_INT32, SHAPE(3), NUMBERS(-2147483648.0, 16777217, 5));
  driver_call call = CALL("DequantizeLinear", 10, x, one_number(&bench, NORMA_FLOAT, 0.5));
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(3), NUMBERS(-1073741824.0, 8388608, 2.5));
  bench_finish(&bench);
}

static void the_domain_of_microsoft(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_INT4, SHAPE(2, 2), NUMBERS(-8, 7, 1, 2));
  const value *scale = bench_tensor(&bench, NORMA_FLOAT16, SHAPE(2), NUMBERS(1, 0.5));
  driver_call call = CALL("DequantizeLinear", 1, x, scale, bench_tensor(&bench, NORMA_INT4, SHAPE(2), NUMBERS(1, 2)));
  call.domain = "com.microsoft";
  call.attributes[0] = (attribute)DRIVER_INT("axis", 1);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT16, SHAPE(2, 2), NUMBERS(-9, 2.5, 0, 0));
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_INT8, SHAPE(2, 3), NULL);
  const value *scales = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NUMBERS(1, 1));
  driver_call count = CALL("DequantizeLinear", 13, x, scales);
  bench_refuse(&bench, &count, NORMA_ERROR_INPUT, "2 scales for 3");
  driver_call rank = CALL("DequantizeLinear", 21, x, scales);
  rank.attributes[0] = (attribute)DRIVER_INT("block_size", 2);
  bench_refuse(&bench, &rank, NORMA_ERROR_INVALID_MODEL, "rank");
  driver_call zero = CALL("DequantizeLinear", 13, x, one_number(&bench, NORMA_FLOAT, 1), scales);
  bench_refuse(&bench, &zero, NORMA_ERROR_UNSUPPORTED, "float");
  driver_call type = CALL("DequantizeLinear", 13, bench_tensor(&bench, NORMA_INT16, SHAPE(2), NULL),
                          one_number(&bench, NORMA_FLOAT, 1));
  bench_refuse(&bench, &type, NORMA_ERROR_INVALID_MODEL, "int16 needs a later opset");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_granularity),   cmocka_unit_test(floats_and_half_precision),
      cmocka_unit_test(integers_of_32_bits),          cmocka_unit_test(the_domain_of_microsoft),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
