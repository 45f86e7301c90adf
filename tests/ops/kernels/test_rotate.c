/* rotate_f32 against the rotation of pairs in double precision. */
#include "tests/ops/kernels/kernel_test.h"

TABLE_TEST(pairs_are_rotated) {
  for (size_t half = 0; half < 70; half++) {
    for (int neighbours = 0; neighbours < 2; neighbours++) {
      float *x = random_floats(2 * half), *y = float_buffer(2 * half), *cos = random_floats(half);
      float *sin = random_floats(half);
      table->rotate_f32(y, x, cos, sin, half, neighbours);
      for (size_t i = 0; i < half; i++) {
        const size_t a = neighbours ? 2 * i : i, b = neighbours ? 2 * i + 1 : half + i;
        expect_close(table, "real", i, (double)y[a], (double)x[a] * (double)cos[i] - (double)x[b] * (double)sin[i], 1,
                     3e-7);
        expect_close(table, "imaginary", i, (double)y[b], (double)x[a] * (double)sin[i] + (double)x[b] * (double)cos[i],
                     1, 3e-7);
      }
      table->rotate_f32(x, x, cos, sin, half, neighbours);
      expect_same_bits(table, "in place", x, y, 2 * half * sizeof *x);
      free(x), free(y), free(cos), free(sin);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(pairs_are_rotated)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
