/* QLinearConcat: parts that are copied and parts that are requantised, along every axis. */
#include "tests/ops/quantized/quantized_reference.h"

/* Parts of 3, 0, 5 and 1 positions along the axis of a shape of two rows, two columns and two more. */
static void check_axis(workbench *bench, norma_element_type type, int axis) {
  static const int64_t lengths[] = {3, 0, 5, 1};
  const double y_zero = lowest_of(type) + 100;
  driver_call call = CALL("QLinearConcat", 1, one_number(bench, NORMA_FLOAT, 0.5), one_number(bench, type, y_zero));
  call.domain = "com.microsoft";
  call.attributes[0] = (attribute)DRIVER_INT("axis", axis - 3);
  shape whole = SHAPE(2, 2, 2);
  whole.dims[axis] = 9;
  double expected[36];
  int64_t begin = 0;
  for (int p = 0; p < 4; begin += lengths[p], p++) {
    shape own = whole;
    own.dims[axis] = lengths[p];
    const double scale = p == 0 ? 0.5 : p == 2 ? 0.25 : 2, zero = p == 0 ? y_zero : lowest_of(type) + 20 * p;
    const value *x = any_numbers(bench, type, own);
    call.inputs[call.input_count++] = x;
    call.inputs[call.input_count++] = one_number(bench, NORMA_FLOAT, scale);
    call.inputs[call.input_count++] = one_number(bench, type, zero);
    for (int64_t i = 0; i < shape_count(&own); i++) {
      int64_t at[NORMA_MAX_RANK];
      shape_coordinates(&own, i, at);
      at[axis] += begin;
      expected[shape_place(&whole, at)] = quantized_reference((driver_element(x, i) - zero) * scale * 2, y_zero, type);
    }
  }
  check_tensor(bench_run(bench, &call), type, whole, expected);
}

static void parts_along_every_axis(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, BYTE_TYPES) {
    for (int axis = 0; axis < 3; axis++) check_axis(&bench, type, axis);
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *scale = one_number(&bench, NORMA_FLOAT, 1), *zero = one_number(&bench, NORMA_INT8, 0);
  const value *x = bench_tensor(&bench, NORMA_INT8, SHAPE(2, 3), NULL);
  driver_call call = CALL("QLinearConcat", 1, scale, zero, x, scale, zero, x);
  call.domain = "com.microsoft";
  call.attributes[0] = (attribute)DRIVER_INT("axis", 1);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "each part needs");
  call.input_count = 5;
  call.inputs[2] = bench_tensor(&bench, NORMA_UINT8, SHAPE(2, 3), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "input 2 is of type uint8");
  call.inputs[2] = x;
  call.inputs[3] = zero;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "input 3 is of type int8");
  call.inputs[3] = scale;
  call.attributes[0] = (attribute)DRIVER_INT("axis", 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "axis 2");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parts_along_every_axis),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
