/* Weighted sums of elements from anywhere against plain loops. */
#include "tests/ops/kernels/kernel_test.h"

TABLE_TEST(points) {
  for (int repeat = 0; repeat < 200; repeat++) {
    const bool linear = repeat % 2; /* taps 2 and 3 behind 0 and 1, now and then not */
    const size_t n = random_size(0, 70), taps = linear ? 4 : random_size(0, 9), stride = n + random_size(0, 3),
                 size = random_size(2, 500);
    const struct sample_planes planes = {
        .count = random_size(1, 4), .x_step = size + random_size(0, 3), .y_step = n + random_size(0, 3)};
    const size_t last = planes.count - 1;
    float *x = random_floats(last * planes.x_step + size), *weights = random_floats(taps * stride),
          *y = float_buffer(last * planes.y_step + n);
    int32_t *offsets = exact_buffer(taps * stride * sizeof *offsets);
    for (size_t i = 0; i < taps * stride; i++) {
      offsets[i] = (int32_t)random_size(0, size) - 1;
      if (!linear) continue;
      if (offsets[i] < 0 && repeat % 8) offsets[i] = 0;
      if (offsets[i] == (int32_t)size - 1) offsets[i]--;
      if (i >= 2 * stride && random_size(0, 50)) offsets[i] = offsets[i - 2 * stride] + 1;
    }
    table->sample_points_f32(y, x, &planes, offsets, weights, taps, stride, n);
    for (size_t p = 0; p < planes.count; p++)
      for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t t = 0; t < taps; t++) {
          const int32_t offset = offsets[t * stride + i];
          if (offset >= 0) sum += (double)weights[t * stride + i] * (double)x[p * planes.x_step + (size_t)offset];
        }
        expect_close(table, "sample", i, y[p * planes.y_step + i], sum, (double)taps + 1, 2e-7);
      }
    free(x), free(weights), free(y), free(offsets);
  }
}

/* What lies outside does not count, whatever its weight and whatever lies at the beginning. */
TABLE_TEST(outside_counts_nothing) {
  const float x[] = {NAN, INFINITY, 3}, weights[] = {2, 0, 5};
  const int32_t offsets[] = {2, -1, -7};
  const struct sample_planes one = {.count = 1};
  float y;
  table->sample_points_f32(&y, x, &one, offsets, weights, 3, 1, 1);
  assert_true(y == 6);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(points), cmocka_unit_test(outside_counts_nothing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
