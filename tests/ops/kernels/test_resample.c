/* Interpolation along rows. */
#include "tests/ops/kernels/kernel_test.h"

TABLE_TEST(interpolated_rows) {
  enum { ROWS = 5, OUTPUTS = 7 };
  static const int64_t first[OUTPUTS] = {-3, -1, 0, 1, 3, 4, 9};
  for (size_t columns = 1; columns < 70; columns++)
    for (size_t taps = 1; taps < 5; taps++) {
      float *x = random_floats(ROWS * columns), *weights = random_floats(OUTPUTS * taps);
      float *y = float_buffer(OUTPUTS * columns);
      table->interpolate_rows_f32(y, x, ROWS, columns, first, weights, taps, OUTPUTS);
      for (size_t o = 0; o < OUTPUTS; o++)
        for (size_t j = 0; j < columns; j++) {
          float expected = 0;
          for (size_t k = 0; k < taps; k++) {
            int64_t row = first[o] + (int64_t)k;
            row = row < 0 ? 0 : row >= ROWS ? ROWS - 1 : row;
            const float product = weights[o * taps + k] * x[(size_t)row * columns + j];
            expected = k == 0 ? product : expected + product;
          }
          expect_close(table, "interpolate_rows", o * columns + j, y[o * columns + j], expected, 0, 0);
        }
      free(x), free(weights), free(y);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(interpolated_rows)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
