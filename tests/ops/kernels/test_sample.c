/* Weighted sums of elements from anywhere against plain loops. */
#include "tests/ops/kernels/kernel_test.h"

TABLE_TEST(points) {
  for (int repeat = 0; repeat < 200; repeat++) {
    const size_t n = random_size(0, 70), taps = random_size(0, 9), stride = n + random_size(0, 3),
                 size = random_size(1, 500);
    float *x = random_floats(size), *weights = random_floats(taps * stride), *y = float_buffer(n);
    int32_t *offsets = exact_buffer(taps * stride * sizeof *offsets);
    for (size_t i = 0; i < taps * stride; i++) offsets[i] = (int32_t)random_size(0, size) - 1;
    table->sample_points_f32(y, x, offsets, weights, taps, stride, n);
    for (size_t i = 0; i < n; i++) {
      double sum = 0;
      for (size_t t = 0; t < taps; t++)
        if (offsets[t * stride + i] >= 0) sum += (double)weights[t * stride + i] * (double)x[offsets[t * stride + i]];
      expect_close(table, "sample", i, y[i], sum, (double)taps + 1, 2e-7);
    }
    free(x), free(weights), free(y), free(offsets);
  }
}

/* What lies outside does not count, whatever its weight and whatever lies at the beginning. */
TABLE_TEST(outside_counts_nothing) {
  const float x[] = {NAN, INFINITY, 3}, weights[] = {2, 0, 5};
  const int32_t offsets[] = {2, -1, -7};
  float y;
  table->sample_points_f32(&y, x, offsets, weights, 3, 1, 1);
  assert_true(y == 6);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(points), cmocka_unit_test(outside_counts_nothing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
