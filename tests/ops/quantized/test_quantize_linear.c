/* QuantizeLinear of ai.onnx and com.microsoft: every type, one scale, scales of an axis, blocks. */
#include "tests/ops/quantized/quantized_reference.h"

#define INTEGERS                                                                                                       \
  (BYTE_TYPES | TYPE_BIT(NORMA_INT16) | TYPE_BIT(NORMA_UINT16) | TYPE_BIT(NORMA_INT4) | TYPE_BIT(NORMA_UINT4) |        \
   TYPE_BIT(NORMA_INT2) | TYPE_BIT(NORMA_UINT2))
#define FLOATS (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))

/* x of 3 x 5 x 4 elements; `scale_of` gives the scale that an element has. */
static void check_by_place(workbench *bench, norma_element_type x_type, norma_element_type type, shape scales,
                           int64_t block, int64_t (*scale_of)(const int64_t *at)) {
  const shape whole = SHAPE(3, 5, 4);
  const value *x = bench_random(bench, x_type, whole, -40, 40), *scale = scales_of(bench, x_type, scales);
  const value *zero = any_numbers(bench, type, scales);
  driver_call call = CALL("QuantizeLinear", 25, x, scale, zero);
  call.attributes[0] = (attribute)DRIVER_INT("axis", 1);
  if (block) call.attributes[1] = (attribute)DRIVER_INT("block_size", block);
  double expected[60];
  for (int64_t i = 0; i < 60; i++) {
    int64_t at[NORMA_MAX_RANK];
    shape_coordinates(&whole, i, at);
    const int64_t s = scale_of(at);
    expected[i] = quantized_reference(driver_element(x, i) / driver_element(scale, s), driver_element(zero, s), type);
  }
  check_tensor(bench_run(bench, &call), type, whole, expected);
}

static int64_t first_scale(const int64_t *at) {
  (void)at;
  return 0;
}
static int64_t scale_of_axis(const int64_t *at) {
  return at[1];
}
static int64_t scale_of_block(const int64_t *at) { /* of two positions along axis 1 */
  return (at[0] * 3 + at[1] / 2) * 4 + at[2];
}

static void every_type_and_granularity(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, INTEGERS) {
    FOR_TYPES(x_type, FLOATS) {
      check_by_place(&bench, x_type, type, SCALAR, 0, first_scale);
      check_by_place(&bench, x_type, type, SHAPE(5), 0, scale_of_axis);
      check_by_place(&bench, x_type, type, SHAPE(3, 3, 4), 2, scale_of_block);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void halves_limits_and_no_numbers(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const double inputs[] = {0.5,         1.5, 2.5, -0.5, -1.5, 1e30, -1e30, (double)INFINITY, -(double)INFINITY,
                           (double)NAN, 300};
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(11), inputs);
  const value *scale = one_number(&bench, NORMA_FLOAT, 1), *zero = one_number(&bench, NORMA_INT8, 1);
  driver_call call = CALL("QuantizeLinear", 10, x, scale, zero);
  check_tensor(bench_run(&bench, &call), NORMA_INT8, SHAPE(11),
               NUMBERS(1, 3, 3, 1, -1, 127, -128, 127, -128, -128, 127));
  driver_call plain = CALL("QuantizeLinear", 13, x, scale);
  check_tensor(bench_run(&bench, &plain), NORMA_UINT8, SHAPE(11), NUMBERS(0, 2, 2, 0, 0, 255, 0, 255, 0, 0, 255));
  bench_finish(&bench);
}

static void output_type_without_zero_point(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(-9, 1.5, 90));
  driver_call call = CALL("QuantizeLinear", 21, x, one_number(&bench, NORMA_FLOAT, 1));
  call.attributes[0] = (attribute)DRIVER_INT("output_dtype", NORMA_INT4);
  check_tensor(bench_run(&bench, &call), NORMA_INT4, SHAPE(3), NUMBERS(-8, 2, 7));
  bench_finish(&bench);
}

static void floats_of_eight_bits(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(4), NUMBERS(1, -3, 1e9, -1e9));
  const value *scale = one_number(&bench, NORMA_FLOAT, 2), *zero = one_number(&bench, NORMA_FLOAT8E4M3FN, 0);
  driver_call call = CALL("QuantizeLinear", 19, x, scale, zero);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT8E4M3FN, SHAPE(4), NUMBERS(0.5, -1.5, 448, -448));
  bench_finish(&bench);
}

static void the_domain_of_microsoft(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 2), NUMBERS(1, 2, 3, 4));
  const value *scale = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NUMBERS(1, 0.5));
  const value *zero = bench_tensor(&bench, NORMA_UINT16, SHAPE(2), NUMBERS(10, 20));
  driver_call call = CALL("QuantizeLinear", 1, x, scale, zero);
  call.domain = "com.microsoft";
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "must be one"); /* an axis is not given */
  call.attributes[0] = (attribute)DRIVER_INT("axis", 0);
  check_tensor(bench_run(&bench, &call), NORMA_UINT16, SHAPE(2, 2), NUMBERS(11, 12, 26, 28));
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NULL), *scale = one_number(&bench, NORMA_FLOAT, 1);
  const value *scales = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NUMBERS(1, 1));
  driver_call wrong_count = CALL("QuantizeLinear", 13, x, scales);
  bench_refuse(&bench, &wrong_count, NORMA_ERROR_INPUT, "2 scales for 3");
  driver_call old = CALL("QuantizeLinear", 10, x, scales);
  bench_refuse(&bench, &old, NORMA_ERROR_INPUT, "must be one");
  driver_call axis = CALL("QuantizeLinear", 13, x, scales);
  axis.attributes[0] = (attribute)DRIVER_INT("axis", 2);
  bench_refuse(&bench, &axis, NORMA_ERROR_INPUT, "axis 2");
  driver_call zeros = CALL("QuantizeLinear", 13, x, scale, bench_tensor(&bench, NORMA_UINT8, SHAPE(3), NULL));
  bench_refuse(&bench, &zeros, NORMA_ERROR_INPUT, "shape of the scale");
  driver_call type = CALL("QuantizeLinear", 19, x, scale, one_number(&bench, NORMA_INT4, 0));
  bench_refuse(&bench, &type, NORMA_ERROR_INVALID_MODEL, "cannot quantise to int4");
  driver_call block = CALL("QuantizeLinear", 21, x, scales);
  block.attributes[0] = (attribute)DRIVER_INT("block_size", -1);
  bench_refuse(&bench, &block, NORMA_ERROR_INVALID_MODEL, "block_size");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_granularity),     cmocka_unit_test(halves_limits_and_no_numbers),
      cmocka_unit_test(output_type_without_zero_point), cmocka_unit_test(floats_of_eight_bits),
      cmocka_unit_test(the_domain_of_microsoft),        cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
