/* QLinearSoftmax: lines along every axis, and all axes behind one before opset 13. Results are within a rounding of the
 * exact function. */
#include "tests/ops/quantized/quantized_reference.h"

/* x of outer x count x inner elements; the scale of y is 1/256. */
static void check_lines(const value *x, const value *y, int64_t outer, int64_t count, int64_t inner, double scale) {
  const norma_element_type type = x->tensor.type;
  for (int64_t line = 0; line < outer * inner; line++) {
    const int64_t first = line / inner * count * inner + line % inner;
    double sum = 0, largest = -1e9;
    for (int64_t i = 0; i < count; i++) largest = fmax(largest, driver_element(x, first + i * inner));
    for (int64_t i = 0; i < count; i++) sum += exp((driver_element(x, first + i * inner) - largest) * scale);
    for (int64_t i = 0; i < count; i++) {
      const int64_t at = first + i * inner;
      const double exact = exp((driver_element(x, at) - largest) * scale) / sum * 256 + lowest_of(type);
      assert_true(fabs(driver_element(y, at) - fmin(exact, highest_of(type))) <= 0.5001);
    }
  }
}

static void lines_along_every_axis(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const int64_t dims[] = {3, 5, 40};
  FOR_TYPES(type, BYTE_TYPES) {
    for (int late = 0; late < 2; late++) {
      for (int axis = 0; axis < 3; axis++) {
        const value *x = any_numbers(&bench, type, SHAPE(3, 5, 40));
        driver_call call =
            CALL("QLinearSoftmax", 1, x, one_number(&bench, NORMA_FLOAT, 0.03125), one_number(&bench, type, 5),
                 one_number(&bench, NORMA_FLOAT, 1.0 / 256), one_number(&bench, type, lowest_of(type)));
        call.domain = "com.microsoft";
        call.attributes[0] = (attribute)DRIVER_INT("opset", late ? 13 : 12);
        call.attributes[1] = (attribute)DRIVER_INT("axis", late ? axis : axis - 3);
        int64_t outer = 1, inner = 1;
        for (int i = 0; i < axis; i++) outer *= dims[i];
        for (int i = axis + 1; i < 3; i++) inner *= dims[i];
        const int64_t count = late ? dims[axis] : dims[axis] * inner;
        check_lines(x, bench_run(&bench, &call), outer, count, late ? inner : 1, 0.03125);
      }
    }
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *scale = one_number(&bench, NORMA_FLOAT, 1), *zero = one_number(&bench, NORMA_INT8, 0);
  driver_call call =
      CALL("QLinearSoftmax", 1, bench_tensor(&bench, NORMA_INT8, SHAPE(2, 3), NULL), scale, NULL, scale, zero);
  call.domain = "com.microsoft";
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "opset");
  call.attributes[0] = (attribute)DRIVER_INT("opset", 13);
  call.attributes[1] = (attribute)DRIVER_INT("axis", 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "axis 2");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_along_every_axis),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
