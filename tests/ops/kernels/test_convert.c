/* Transposition, and conversion of half and bfloat16 by their definitions. */
#include "engine/base/float_control.h"
#include "tests/ops/kernels/kernel_test.h"

static double value_of_f16(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 31) return fraction ? NAN : sign * INFINITY;
  return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static double value_of_bf16(uint16_t bits) {
  const uint32_t wide = (uint32_t)bits << 16;
  float x;
  memcpy(&x, &wide, sizeof x);
  return x;
}

/* got must be the value nearest to x, of even bits at a tie, among got and its neighbours. */
static bool is_nearest(double x, uint16_t got, double (*value)(uint16_t), uint16_t infinity) {
  if (isnan(x)) return isnan(value(got));
  if (signbit(x) != (got >> 15)) return false;
  const uint16_t magnitude = got & 0x7fff;
  if (magnitude > infinity) return false;
  x = fabs(x);
  /* infinity takes the place of the next power of two, as rounding sees it */
  const double top =
      value((uint16_t)(infinity - 1)) + (value((uint16_t)(infinity - 1)) - value((uint16_t)(infinity - 2)));
  const double here = magnitude == infinity ? top : value(magnitude);
  if (x >= top) return magnitude == infinity;
  const double below = magnitude ? (here + value((uint16_t)(magnitude - 1))) / 2 : -1;
  const double next = magnitude + 1 == infinity ? top : value((uint16_t)(magnitude + 1));
  const double above = magnitude == infinity ? INFINITY : (here + next) / 2;
  return magnitude & 1 ? x > below && x < above : x >= below && x <= above;
}

TABLE_TEST(factors) {
  static const double factors[] = {0.37, -3, 0, 0x1p-140, 0x1p100, 1.0 / 3};
  for (size_t i = 0; i < 400; i++) {
    const size_t n = random_size(0, 70);
    const double factor = factors[i % 6];
    float *x = random_floats(n), *y = float_buffer(n);
    if (i % 5 == 1 && n) x[random_size(0, n - 1)] = i % 2 ? INFINITY : -0x1.8p125f;
    table->scale_f32(y, x, n, factor);
    for (size_t j = 0; j < n; j++) {
      const float product = (float)((double)x[j] * factor);
      if (!isnan(product)) expect_same_bits(table, "factor", &y[j], &product, sizeof product);
      if (isnan(product) && !isnan(y[j])) fail_msg("%s: element %zu is no NaN", table->name, j);
    }
    table->scale_f32(x, x, n, factor);
    for (size_t j = 0; j < n; j++)
      if (!isnan(y[j])) expect_same_bits(table, "factor in place", &x[j], &y[j], sizeof *x);
    free(x), free(y);
  }
}

TABLE_TEST(largest_magnitudes) {
  for (size_t i = 0; i < 400; i++) {
    const size_t n = random_size(0, 150);
    float *x = random_floats(n), expected = 0;
    if (i % 5 == 1 && n) x[random_size(0, n - 1)] = i % 2 ? -INFINITY : -0x1.8p125f;
    for (size_t j = 0; j < n; j++) expected = fmaxf(expected, fabsf(x[j]));
    const float largest = table->magnitude_f32(x, n);
    expect_same_bits(table, "largest magnitude", &largest, &expected, sizeof expected);
    if (n) x[random_size(0, n - 1)] = i % 2 ? NAN : -NAN;
    if (n && !isnan(table->magnitude_f32(x, n))) fail_msg("%s: a NaN is lost among %zu numbers", table->name, n);
    free(x);
  }
}

TABLE_TEST(all_sixteen_bit_patterns_widen_and_return) {
  static uint16_t bits[65536], back[65536];
  static float wide[65536];
  for (int way = 0; way < 4; way++) { /* denormals of half are normal floats: flushing changes nothing */
    const int format = way % 2;
    double (*value)(uint16_t) = format ? value_of_bf16 : value_of_f16;
    for (size_t i = 0; i < 65536; i++) bits[i] = (uint16_t)i;
    const float_control before = way < 2 ? float_control_keep() : float_control_flush();
    (format ? table->bf16_to_f32 : table->f16_to_f32)(wide, bits, 65536);
    (format ? table->f32_to_bf16 : table->f32_to_f16)(back, wide, 65536);
    float_control_restore(before);
    for (size_t i = 0; i < 65536; i++) {
      expect_close(table, "widening", i, wide[i], value(bits[i]), 0, 0);
      if (isnan(wide[i]) ? !isnan(value(back[i])) : back[i] != bits[i])
        fail_msg("%s: pattern %04zx comes back as %04x", table->name, i, back[i]);
    }
  }
}

TABLE_TEST(rounding_to_nearest_even) {
  enum { COUNT = 100 };
  for (uint64_t pattern = 0; pattern < UINT64_C(1) << 32;) {
    float x[COUNT];
    uint16_t half[COUNT], brain[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
      /* steps that land on ties (only the top of the lost bits set) as often as between them */
      const uint32_t bits = i % 2 ? (uint32_t)pattern & 0xfffff000u : (uint32_t)pattern;
      memcpy(&x[i], &bits, sizeof bits);
      pattern += 10007;
    }
    table->f32_to_f16(half, x, COUNT);
    table->f32_to_bf16(brain, x, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
      if (!is_nearest(x[i], half[i], value_of_f16, 0x7c00))
        fail_msg("%s: half of %a is %04x", table->name, x[i], half[i]);
      if (!is_nearest(x[i], brain[i], value_of_bf16, 0x7f80))
        fail_msg("%s: bfloat16 of %a is %04x", table->name, x[i], brain[i]);
    }
  }
}

TABLE_TEST(short_arrays) {
  for (size_t n = 0; n < 40; n++) {
    float *x = random_floats(n), *wide = float_buffer(n);
    uint16_t *narrow = exact_buffer(n * sizeof(uint16_t));
    table->f32_to_f16(narrow, x, n);
    table->f16_to_f32(wide, narrow, n);
    for (size_t i = 0; i < n; i++) expect_close(table, "half", i, wide[i], x[i], 1, 0x1p-11);
    table->f32_to_bf16(narrow, x, n);
    table->bf16_to_f32(wide, narrow, n);
    for (size_t i = 0; i < n; i++) expect_close(table, "bfloat16", i, wide[i], x[i], 1, 0x1p-8);
    free(x), free(wide), free(narrow);
  }
}

TABLE_TEST(transposition) {
  for (int repeat = 0; repeat < 600; repeat++) {
    const bool is_narrow = repeat % 2;
    const size_t rows = random_size(0, is_narrow && repeat % 4 == 1 ? 5 : 70);
    const size_t columns = random_size(0, is_narrow && repeat % 4 == 3 ? 5 : 70);
    const size_t x_stride = columns + random_size(0, is_narrow ? 0 : 3),
                 y_stride = rows + random_size(0, is_narrow ? 0 : 3);
    const size_t x_size = rows ? (rows - 1) * x_stride + columns : 0;
    const size_t y_size = columns ? (columns - 1) * y_stride + rows : 0;
    uint32_t *x = exact_buffer(x_size * 4), *y = exact_buffer(y_size * 4);
    for (size_t i = 0; i < x_size; i++) x[i] = random_bits();
    for (size_t i = 0; i < y_size; i++) y[i] = 12345;
    table->transpose_32(y, y_stride, x, x_stride, rows, columns);
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < columns; j++) assert_int_equal(y[j * y_stride + i], x[i * x_stride + j]);
    for (size_t i = 0; i < y_size; i++) {
      if (i % y_stride >= rows) assert_int_equal(y[i], 12345);
    }
    free(x), free(y);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_sixteen_bit_patterns_widen_and_return),
      cmocka_unit_test(rounding_to_nearest_even),
      cmocka_unit_test(short_arrays),
      cmocka_unit_test(factors),
      cmocka_unit_test(largest_magnitudes),
      cmocka_unit_test(transposition),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
