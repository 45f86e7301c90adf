/* Clip: elements limited to a range that attributes give (to version 6), or inputs (from 11 on). */
#include "tests/support/workbench.h"

/* Bounds of inputs of `type`; either may be absent. */
static void check_bounds(workbench *bench, norma_element_type type, const value *x, const double *low,
                         const double *high) {
  const int64_t count = norma_tensor_count(&x->tensor);
  value *expected = bench_make(bench, type, shape_of_tensor(&x->tensor));
  driver_call call = CALL("Clip", 13, x, low ? bench_tensor(bench, type, SCALAR, low) : NULL,
                          high ? bench_tensor(bench, type, SCALAR, high) : NULL);
  for (int64_t i = 0; i < count; i++) {
    double element = driver_element(x, i);
    if (low && element < driver_element(call.inputs[1], 0)) element = driver_element(call.inputs[1], 0);
    if (high && element > driver_element(call.inputs[2], 0)) element = driver_element(call.inputs[2], 0);
    element_set_double(type, expected->tensor.data, i, element);
  }
  if (!same_value(bench_run(bench, &call), expected)) {
    fail_msg("Clip of %s between %g and %g", norma_element_type_name(type), low ? *low : -INFINITY,
             high ? *high : INFINITY);
  }
  if (high) return;
  call.input_count = low ? 2 : 1; /* left out at the end */
  assert_true(same_value(bench_run(bench, &call), expected));
}

static void every_type_and_every_bound(void **state) {
  static const double low = 2, high = 6;
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    FOR_TYPES(type, TYPES_NUMERIC) {
      const value *const xs[] = {bench_random(&bench, type, SHAPE(3, 7, 11), 0, 9),
                                 bench_random(&bench, type, SHAPE(20001), 0, 9),
                                 bench_tensor(&bench, type, SCALAR, NULL), bench_tensor(&bench, type, SHAPE(0), NULL)};
      for (size_t i = 0; i < COUNT(xs); i++) {
        check_bounds(&bench, type, xs[i], &low, &high);
        check_bounds(&bench, type, xs[i], &low, NULL);
        check_bounds(&bench, type, xs[i], NULL, &high);
        check_bounds(&bench, type, xs[i], NULL, NULL);
        check_bounds(&bench, type, xs[i], &high, &low); /* crossed: everything is the upper bound */
      }
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void numbers_of_64_bits_stay_whole(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const int64_t lowest = INT64_MIN + 1, highest = INT64_MAX - 1;
  driver_call call = CALL("Clip", 12, bench_list(&bench, INT64_MIN, 0, INT64_MAX), bench_int(&bench, lowest),
                          bench_int(&bench, highest));
  check_ints(bench_run(&bench, &call), SHAPE(3), (const int64_t[]){lowest, 0, highest});
  value *u = bench_make(&bench, NORMA_UINT64, SHAPE(2)), *most = bench_make(&bench, NORMA_UINT64, SCALAR);
  ((uint64_t *)u->tensor.data)[0] = UINT64_MAX;
  ((uint64_t *)u->tensor.data)[1] = UINT64_MAX - 2;
  *(uint64_t *)most->tensor.data = UINT64_MAX - 1;
  call = CALL("Clip", 12, u, NULL, most);
  const uint64_t *y = bench_run(&bench, &call)->tensor.data;
  assert_true(y[0] == UINT64_MAX - 1 && y[1] == UINT64_MAX - 2);
  bench_finish(&bench);
}

/* NaN stays; infinities are limited; bounds may be infinite themselves. */
static void numbers_that_are_none(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    FOR_TYPES(type, TYPES_FLOAT) {
      const value *x = bench_tensor(&bench, type, SHAPE(4), NUMBERS(NAN, -INFINITY, INFINITY, 0.5));
      driver_call call = CALL("Clip", 13, x, bench_tensor(&bench, type, SCALAR, NUMBERS(-1)),
                              bench_tensor(&bench, type, SCALAR, NUMBERS(1)));
      check_tensor(bench_run(&bench, &call), type, SHAPE(4), NUMBERS(NAN, -1, 1, 0.5));
      driver_call open = CALL("Clip", 13, x);
      check_tensor(bench_run(&bench, &open), type, SHAPE(4), NUMBERS(NAN, -INFINITY, INFINITY, 0.5));
      call.inputs[1] = bench_tensor(&bench, type, SCALAR, NUMBERS(-INFINITY));
      call.inputs[2] = bench_tensor(&bench, type, SCALAR, NUMBERS(INFINITY));
      check_tensor(bench_run(&bench, &call), type, SHAPE(4), NUMBERS(NAN, -INFINITY, INFINITY, 0.5));
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Without attributes the bounds are the largest finite floats. */
static void attributes_before_version_11(void **state) {
  const double most = (double)3.40282346638528859812e+38f;
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    const value *x = bench_tensor(&bench, type, SHAPE(5), NUMBERS(-3, -1, 0.5, 2, 9));
    for (int version = 1; version <= 6; version += 5) {
      driver_call call = CALL("Clip", version, x);
      call.attributes[0] = (attribute)DRIVER_FLOAT("min", -1);
      call.attributes[1] = (attribute)DRIVER_FLOAT("max", 2);
      check_tensor(bench_run(&bench, &call), type, SHAPE(5), NUMBERS(-1, -1, 0.5, 2, 2));
      call.attributes[1] = (attribute){0};
      check_tensor(bench_run(&bench, &call), type, SHAPE(5), NUMBERS(-1, -1, 0.5, 2, 9));
      call.attributes[0] = (attribute)DRIVER_FLOAT("max", 0);
      check_tensor(bench_run(&bench, &call), type, SHAPE(5), NUMBERS(-3, -1, 0, 0, 0));
    }
  }
  driver_call call = CALL("Clip", 6, bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(-INFINITY, INFINITY, NAN)));
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(3), NUMBERS(-most, most, NAN));
  bench_finish(&bench);
}

static void what_makes_no_sense_is_refused(void **state) {
  static const int64_t zero = 0;
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NULL),
              *two = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL);
  const value *d = bench_tensor(&bench, NORMA_DOUBLE, SCALAR, NULL),
              *i = bench_tensor(&bench, NORMA_INT32, SHAPE(3), NULL);
  driver_call call = CALL("Clip", 13, x, two);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "input 1 must be a scalar");
  call = CALL("Clip", 13, x, NULL, two);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "input 2 must be a scalar");
  call = CALL("Clip", 13, x, d);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "float and double differ");
  call = CALL("Clip", 11, x);
  call.attributes[0] = (attribute)DRIVER_FLOAT("min", 0);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute min");
  call = CALL("Clip", 5, x);
  call.attributes[0] = (attribute)DRIVER_INTS("consumed_inputs", 1, &zero);
  bench_run(&bench, &call);
  call.opset = 6;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute consumed_inputs");
  /* Integers came with version 12: attributes could not be their bounds. */
  call = CALL("Clip", 6, i);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "int32 needs opset 12");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_every_bound),     cmocka_unit_test(numbers_of_64_bits_stay_whole),
      cmocka_unit_test(numbers_that_are_none),          cmocka_unit_test(attributes_before_version_11),
      cmocka_unit_test(what_makes_no_sense_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
