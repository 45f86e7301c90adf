/* MaxRoiPool against the maximum of each bin. */
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

static double largest_of(const value *x, const value *rois, int64_t roi, int64_t channel, const int64_t bin[2],
                         const int64_t bins[2], double scale) {
  const int64_t *dims = x->tensor.dims;
  int64_t begin[2], end[2];
  for (int d = 0; d < 2; d++) {
    const double first = round(driver_element(rois, roi * 5 + 2 - d) * scale),
                 last = round(driver_element(rois, roi * 5 + 4 - d) * scale);
    const float width = (float)fmax(last - first + 1, 1) / (float)bins[d];
    begin[d] = (int64_t)fmin(fmax(floor((double)((float)bin[d] * width)) + first, 0), (double)dims[d + 2]);
    end[d] = (int64_t)fmin(fmax(ceil((double)((float)(bin[d] + 1) * width)) + first, 0), (double)dims[d + 2]);
  }
  double largest = begin[0] < end[0] && begin[1] < end[1] ? -(double)INFINITY : 0;
  const int64_t plane = ((int64_t)driver_element(rois, roi * 5) * dims[1] + channel) * dims[2];
  for (int64_t i = begin[0]; i < end[0]; i++)
    for (int64_t j = begin[1]; j < end[1]; j++) largest = fmax(largest, driver_element(x, (plane + i) * dims[3] + j));
  return largest;
}

static void every_type(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 60; round++) {
    FOR_TYPES(type, TYPES_FLOAT) {
      const int64_t samples = random_int(&bench.seed, 1, 3), channels = random_int(&bench.seed, 0, 4),
                    count = random_int(&bench.seed, 0, 4);
      const int64_t bins[] = {random_int(&bench.seed, 1, 5), random_int(&bench.seed, 1, 5)};
      const float scale = round % 2 ? 0.5f : 1;
      const value *x = bench_random(
          &bench, type, SHAPE(samples, channels, random_int(&bench.seed, 1, 9), random_int(&bench.seed, 1, 9)), -2, 2);
      double boxes[20];
      for (int64_t i = 0; i < 5 * count; i++)
        boxes[i] = (double)(i % 5 ? random_int(&bench.seed, -2, 14) : random_int(&bench.seed, 0, samples - 1));
      driver_call call =
          CALL("MaxRoiPool", type == NORMA_BFLOAT16 ? 22 : 1, x, bench_tensor(&bench, type, SHAPE(count, 5), boxes));
      call.attributes[0] = (attribute)DRIVER_INTS("pooled_shape", 2, bins);
      call.attributes[1] = (attribute)DRIVER_FLOAT("spatial_scale", scale);
      const shape y = SHAPE(count, channels, bins[0], bins[1]);
      double *expected = malloc((size_t)(shape_count(&y) + 1) * sizeof *expected);
      for (int64_t i = 0; i < shape_count(&y); i++) {
        int64_t at[NORMA_MAX_RANK];
        shape_coordinates(&y, i, at);
        expected[i] = largest_of(x, call.inputs[1], at[0], at[1], at + 2, bins, (double)scale);
      }
      check_tensor(bench_run(&bench, &call), type, y, expected);
      free(expected);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* Boxes that are no numbers, or larger than any image, are cut at its borders. */
static void boxes_without_end(void **state) {
  static const int64_t bins[] = {1, 1};
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call =
      CALL("MaxRoiPool", 22, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 2, 2), NUMBERS(1, 2, 3, 4)),
           bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 5), NUMBERS(0, -1e9, -1e9, 1e9, 1e9, 0, 5e30, 5e30, 6e30, 6e30)));
  call.attributes[0] = (attribute)DRIVER_INTS("pooled_shape", 2, bins);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 1, 1, 1), NUMBERS(4, 0));
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 5), NUMBERS(0, NAN, -INFINITY, INFINITY, NAN));
  assert_true(driver_element(bench_run(&bench, &call), 0) <= 4);
  bench_finish(&bench);
}

static void mistakes_are_refused(void **state) {
  static const int64_t bins[] = {1, 0};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 2, 2), NULL);
  driver_call call = CALL("MaxRoiPool", 1, x, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 5), NUMBERS(1, 0, 0, 1, 1)));
  call.attributes[0] = (attribute)DRIVER_INTS("pooled_shape", 2, bins);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "two sizes of at least 1");
  call.attributes[0] = (attribute)DRIVER_INTS("pooled_shape", 1, bins);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "two sizes of at least 1");
  call.attributes[0] = (attribute)DRIVER_INTS("pooled_shape", 2, ((const int64_t[]){1, 1}));
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "box 0 is of sample 1");
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 5), NUMBERS(NAN, 0, 0, 1, 1));
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "box 0 is of sample");
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 4), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "four coordinates each");
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 3");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type),
      cmocka_unit_test(boxes_without_end),
      cmocka_unit_test(mistakes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
