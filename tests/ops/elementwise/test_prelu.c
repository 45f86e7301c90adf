/* PRelu: negative elements times a slope, which is broadcast to them. */
#include "tests/support/broadcast_check.h"
#include "tests/support/builtin_operator.h"

#include <stdlib.h>

static double prelu(double x, double slope) {
  return x < 0 ? x * slope : x;
}

static void check_random(workbench *bench, norma_element_type type) {
  const shape of_x = random_shape(&bench->seed, 0, 5, 5000);
  const int64_t skipped = of_x.rank > 0 ? (int64_t)driver_random(&bench->seed, 0, of_x.rank) : 0;
  shape of_slope = shape_make(of_x.rank - (int)skipped, of_x.dims + skipped);
  for (int i = 0; i < of_slope.rank; i++) {
    if (driver_random(&bench->seed, 0, 1) < 0.4) of_slope.dims[i] = 1;
  }
  const bool is_unsigned = (TYPE_BIT(type) & TYPES_UNSIGNED) != 0;
  const value *x = bench_random(bench, type, of_x, is_unsigned ? 0 : -8, 8);
  const value *slope = bench_random(bench, type, of_slope, is_unsigned ? 0 : -3, 3);
  const int64_t count = shape_count(&of_x);
  double *expected = malloc(sizeof *expected * (size_t)(count + 1));
  for (int64_t i = 0; i < count; i++) {
    expected[i] = prelu(driver_element(x, i), driver_element(slope, broadcast_place(&of_slope, &of_x, i)));
  }
  driver_call call = CALL("PRelu", 16, x, slope);
  check_near("PRelu", bench_run(bench, &call), type, of_x, expected,
             TYPE_BIT(type) & TYPES_INTEGER ? 0 : type_tolerance(type));
  free(expected);
  bench_clear(bench);
}

static void every_type_on_random_shapes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 12; round++) {
      FOR_TYPES(type, TYPES_NUMERIC) check_random(&bench, type);
    }
  }
  bench_finish(&bench);
}

static void integers_wrap_around(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_INT8, SHAPE(4), NUMBERS(-128, -100, -1, 127));
  driver_call call = CALL("PRelu", 9, x, bench_tensor(&bench, NORMA_INT8, SHAPE(4), NUMBERS(2, 3, -128, 5)));
  check_tensor(bench_run(&bench, &call), NORMA_INT8, SHAPE(4), NUMBERS(0, -44, -128, 127));
  bench_finish(&bench);
}

static void not_a_number_stays(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    FOR_TYPES(type, TYPES_FLOAT) {
      const value *x = bench_tensor(&bench, type, SHAPE(4), NUMBERS(NAN, 2, -2, -INFINITY));
      driver_call call = CALL("PRelu", 16, x, bench_tensor(&bench, type, SHAPE(4), NUMBERS(0, NAN, NAN, 0.5)));
      check_tensor(bench_run(&bench, &call), type, SHAPE(4), NUMBERS(NAN, 2, NAN, -INFINITY));
      call.inputs[1] = bench_tensor(&bench, type, SHAPE(1), NUMBERS(0.5));
      check_tensor(bench_run(&bench, &call), type, SHAPE(4), NUMBERS(NAN, 2, -1, -INFINITY));
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Before version 7 there is one slope, or one for each channel, which is dimension 1 of X. */
static void slopes_of_channels_before_version_7(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x =
      bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3, 2), NUMBERS(-1, -1, -1, -1, -1, -1, -2, 2, -2, 2, -2, 2));
  driver_call call = CALL("PRelu", 6, x, bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(1, 2, 3)));
  for (int version = 1; version <= 6; version += 5) {
    call.opset = version;
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 3, 2),
                 NUMBERS(-1, -1, -2, -2, -3, -3, -2, 2, -4, 2, -6, 2));
  }
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1), NUMBERS(10));
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 3, 2),
               NUMBERS(-10, -10, -10, -10, -10, -10, -20, 2, -20, 2, -20, 2));
  /* Since 7 it is aligned at the end. */
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NUMBERS(5, 6));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "slope of shape 2 does not fit X of shape 2x3x2");
  call.opset = 7;
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 3, 2),
               NUMBERS(-5, -6, -5, -6, -5, -6, -10, 2, -10, 2, -10, 2));
  bench_finish(&bench);
}

static void every_version(void **state) {
  const operator_descriptor *op = builtin_operator("", "PRelu");
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 2), NUMBERS(-1, 1, -2, 2));
  const value *slope = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1), NUMBERS(0.5));
  for (int v = 0; op->versions[v]; v++) {
    driver_call call = CALL("PRelu", op->versions[v], x, slope);
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 2), NUMBERS(-0.5, 1, -1, 2));
  }
  bench_finish(&bench);
}

/* The slope is broadcast to X; X never to the slope. */
static void what_does_not_fit_is_refused(void **state) {
  static const shape slopes[] = {{1, {2}}, {2, {2, 3}}, {3, {1, 1, 3}}, {1, {0}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 3), NULL);
  for (size_t i = 0; i < COUNT(slopes); i++) {
    driver_call call = CALL("PRelu", 16, x, bench_tensor(&bench, NORMA_FLOAT, slopes[i], NULL));
    bench_refuse(&bench, &call, i == 2 ? NORMA_ERROR_INVALID_MODEL : NORMA_ERROR_INPUT, "does not fit X");
  }
  driver_call call = CALL("PRelu", 16, x, bench_tensor(&bench, NORMA_DOUBLE, SHAPE(3), NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "float and double differ");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_on_random_shapes),
      cmocka_unit_test(integers_wrap_around),
      cmocka_unit_test(not_a_number_stays),
      cmocka_unit_test(slopes_of_channels_before_version_7),
      cmocka_unit_test(every_version),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
