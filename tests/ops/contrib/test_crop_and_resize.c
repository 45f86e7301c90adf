/* CropAndResize against the interpolation of each point on its own. */
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

static double rounded(norma_element_type type, double x) {
  return type == NORMA_DOUBLE ? x : (double)(float)x;
}

static double point_of(const value *x, const value *rois, int64_t roi, int d, int64_t at, int64_t points) {
  const norma_element_type type = x->tensor.type;
  const double first = driver_element(rois, roi * 4 + d), last = driver_element(rois, roi * 4 + 2 + d),
               whole = (double)(x->tensor.dims[d + 2] - 1);
  if (points == 1) return rounded(type, 0.5 * rounded(type, first + last) * whole);
  const double step = rounded(type, rounded(type, rounded(type, last - first) * whole) / (double)(points - 1));
  return rounded(type, rounded(type, first * whole) + rounded(type, (double)at * step));
}

static double value_at(const value *x, int64_t plane, const double point[2], bool is_nearest, double outside) {
  const int64_t *size = x->tensor.dims + 2;
  double sum = 0;
  for (int d = 0; d < 2; d++)
    if (!(point[d] >= 0 && point[d] <= (double)(size[d] - 1))) return outside;
  for (int64_t i = 0; i < size[0]; i++) {
    for (int64_t j = 0; j < size[1]; j++) {
      const double dy = is_nearest ? (round(point[0]) == (double)i) : fmax(0, 1 - fabs(point[0] - (double)i));
      const double dx = is_nearest ? (round(point[1]) == (double)j) : fmax(0, 1 - fabs(point[1] - (double)j));
      sum += dy * dx * driver_element(x, (plane * size[0] + i) * size[1] + j);
    }
  }
  return sum;
}

static void every_type(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 60; round++) {
    FOR_TYPES(type, TYPES_FLOAT & ~TYPE_BIT(NORMA_BFLOAT16)) {
      const int64_t samples = random_int(&bench.seed, 1, 3), channels = random_int(&bench.seed, 0, 3),
                    count = random_int(&bench.seed, 0, 3), rows = random_int(&bench.seed, 1, 5),
                    columns = random_int(&bench.seed, 1, 5);
      const value *x = bench_random(
          &bench, type, SHAPE(samples, channels, random_int(&bench.seed, 1, 6), random_int(&bench.seed, 1, 6)), -2, 2);
      const value *rois = bench_random(&bench, type, SHAPE(count, 4), -0.3, 1.3);
      double samples_of[3];
      for (int64_t i = 0; i < count; i++) samples_of[i] = (double)random_int(&bench.seed, 0, samples - 1);
      driver_call call = CALL("CropAndResize", 1, x, rois, bench_tensor(&bench, NORMA_INT32, SHAPE(count), samples_of),
                              bench_tensor(&bench, NORMA_INT32, SHAPE(2), NUMBERS((double)rows, (double)columns)));
      call.domain = "com.microsoft";
      call.attributes[0] = (attribute)DRIVER_TEXT("mode", round % 2 ? "nearest" : "bilinear");
      call.attributes[1] = (attribute)DRIVER_FLOAT("extrapolation_value", -7);
      const shape y = SHAPE(count, channels, rows, columns);
      double *expected = malloc((size_t)(shape_count(&y) + 1) * sizeof *expected);
      for (int64_t i = 0; i < shape_count(&y); i++) {
        int64_t at[NORMA_MAX_RANK];
        shape_coordinates(&y, i, at);
        const double point[] = {point_of(x, rois, at[0], 0, at[2], rows), point_of(x, rois, at[0], 1, at[3], columns)};
        expected[i] = value_at(x, (int64_t)samples_of[at[0]] * channels + at[1], point, round % 2, -7);
      }
      check_near("crop", bench_run(&bench, &call), type, y, expected, type_tolerance(type));
      free(expected);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void mistakes_are_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 2, 2), NUMBERS(1, 2, 3, 4)),
              *rois = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 4), NUMBERS(NAN, 0, INFINITY, 1)),
              *index = bench_tensor(&bench, NORMA_INT32, SHAPE(1), NULL),
              *size = bench_tensor(&bench, NORMA_INT32, SHAPE(2), NUMBERS(1, 1));
  driver_call call = CALL("CropAndResize", 1, x, rois, index, size);
  call.domain = "com.microsoft";
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(1, 1, 1, 1), NUMBERS(0)); /* no numbers are outside */
  call.inputs[2] = bench_tensor(&bench, NORMA_INT32, SHAPE(1), NUMBERS(1));
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "batch_indices[0] is 1");
  call.inputs[2] = bench_tensor(&bench, NORMA_INT32, SHAPE(2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "1 boxes but 2");
  call.inputs[2] = index;
  call.inputs[3] = bench_tensor(&bench, NORMA_INT32, SHAPE(2), NUMBERS(1, 0));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "two sizes of at least 1");
  call.inputs[3] = size;
  call.attributes[0] = (attribute)DRIVER_STRING("mode", "cubic");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "mode is \"cubic\"");
  call.attributes[0] = (attribute){0};
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 5), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "four coordinates");
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 3");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_type), cmocka_unit_test(mistakes_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
