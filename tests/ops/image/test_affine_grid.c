/* AffineGrid against the product of each matrix with each point. */
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

static double place_of(int64_t at, int64_t size, bool corners) {
  if (corners) return size == 1 ? 0 : -1 + 2 * (double)at / (double)(size - 1);
  return (2 * (double)at + 1) / (double)size - 1;
}

static void check_grid(workbench *bench, norma_element_type type, int axes, bool corners, int64_t largest) {
  const int64_t samples = random_int(&bench->seed, 0, 2);
  int64_t size[5] = {samples, random_int(&bench->seed, 0, 4)};
  shape y = shape_of_rank(axes + 2);
  y.dims[0] = samples;
  for (int d = 0; d < axes; d++) size[d + 2] = y.dims[d + 1] = random_int(&bench->seed, 1, largest);
  y.dims[axes + 1] = axes;
  const value *theta = bench_random(bench, type, SHAPE(samples, axes, axes + 1), -2, 2);
  driver_call call = CALL("AffineGrid", 20, theta, bench_ints(bench, SHAPE(axes + 2), size));
  call.attributes[0] = (attribute)DRIVER_INT("align_corners", corners);
  double *expected = malloc((size_t)(shape_count(&y) + 1) * sizeof *expected);
  for (int64_t i = 0; i < shape_count(&y); i++) {
    int64_t at[NORMA_MAX_RANK];
    shape_coordinates(&y, i, at);
    const int64_t row = (at[0] * axes + at[axes + 1]) * (axes + 1);
    expected[i] = driver_element(theta, row + axes);
    for (int j = 0; j < axes; j++)
      expected[i] += driver_element(theta, row + j) * place_of(at[axes - j], y.dims[axes - j], corners);
  }
  check_near("grid", bench_run(bench, &call), type, y, expected, type_tolerance(type));
  free(expected);
}

static void every_type_and_size(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    for (int round = 0; round < 40; round++) check_grid(&bench, type, 2 + round % 2, round / 2 % 2, 5);
    check_grid(&bench, type, 2, true, 300);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Known by hand; an image without pixels has no grid. */
static void the_identity(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *theta = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 2, 3), NUMBERS(1, 0, 0, 0, 1, 0));
  driver_call call = CALL("AffineGrid", 20, theta, bench_list(&bench, 1, 1, 2, 2));
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(1, 2, 2, 2),
               NUMBERS(-0.5, -0.5, 0.5, -0.5, -0.5, 0.5, 0.5, 0.5));
  call.attributes[0] = (attribute)DRIVER_INT("align_corners", 1);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(1, 2, 2, 2), NUMBERS(-1, -1, 1, -1, -1, 1, 1, 1));
  call.inputs[1] = bench_list(&bench, 1, 1, 0, 2);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(1, 0, 2, 2), NULL);
  bench_finish(&bench);
}

static void mistakes_are_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *flat = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 2, 3), NULL);
  driver_call call = CALL("AffineGrid", 20, flat, bench_list(&bench, 1, 1, 2));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "4 or 5 dimensions");
  call.inputs[1] = bench_list(&bench, 1, 1, 2, 2, 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "2 x 3");
  call.inputs[1] = bench_list(&bench, 2, 1, 2, 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "1 matrices but size 2 samples");
  call.inputs[1] = bench_list(&bench, 1, 1, 2, -2);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "size holds -2");
  call.inputs[1] = bench_list(&bench, 1, 1, INT64_MAX, INT64_MAX);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "too large");
  call.inputs[1] = bench_list(&bench, 1, 1, 2, 2);
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 2");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_size),
      cmocka_unit_test(the_identity),
      cmocka_unit_test(mistakes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
