/* QLinearReduceMean: every set of axes of a tensor whose sizes are powers of two, so that means are exact. */
#include "tests/ops/quantized/quantized_reference.h"

static void check_axes(workbench *bench, norma_element_type type, unsigned reduced, bool keeps) {
  const shape in = SHAPE(2, 4, 8);
  const value *x = any_numbers(bench, type, in);
  int64_t axes[3];
  size_t count = 0;
  shape out = shape_of_rank(0), kept = in;
  for (int i = 0; i < 3; i++) {
    if (reduced >> i & 1) {
      axes[count++] = i == 1 ? -2 : i;
      kept.dims[i] = 1;
    }
    if (!(reduced >> i & 1) || keeps) out.dims[out.rank++] = kept.dims[i];
  }
  driver_call call = CALL("QLinearReduceMean", 1, x, one_number(bench, NORMA_FLOAT, 0.5), one_number(bench, type, 9),
                          one_number(bench, NORMA_FLOAT, 0.25), one_number(bench, type, 20));
  call.domain = "com.microsoft";
  call.attributes[0] = (attribute)DRIVER_INTS("axes", count, axes);
  call.attributes[1] = (attribute)DRIVER_INT("keepdims", keeps);
  double expected[64] = {0};
  const int64_t outputs = shape_count(&kept);
  for (int64_t i = 0; i < 64; i++) {
    int64_t at[NORMA_MAX_RANK];
    shape_coordinates(&in, i, at);
    for (int d = 0; d < 3; d++) at[d] = reduced >> d & 1 ? 0 : at[d];
    expected[shape_place(&kept, at)] += (driver_element(x, i) - 9) * (double)outputs / 64;
  }
  for (int64_t i = 0; i < outputs; i++) expected[i] = quantized_reference(expected[i] * 2, 20, type);
  check_tensor(bench_run(bench, &call), type, out, expected);
}

static void every_set_of_axes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, BYTE_TYPES) {
    for (unsigned reduced = 1; reduced < 8; reduced++) {
      check_axes(&bench, type, reduced, true);
      check_axes(&bench, type, reduced, false);
    }
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *scale = one_number(&bench, NORMA_FLOAT, 1);
  const int64_t axes[] = {2};
  driver_call call =
      CALL("QLinearReduceMean", 1, bench_tensor(&bench, NORMA_INT8, SHAPE(2, 3), NULL), scale, NULL, scale);
  call.domain = "com.microsoft";
  call.attributes[0] = (attribute)DRIVER_INTS("axes", 1, axes);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "keepdims");
  call.attributes[1] = (attribute)DRIVER_INT("keepdims", 1);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "axes do not fit rank 2");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_set_of_axes),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
