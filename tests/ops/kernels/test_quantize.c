/* Between float and integers of 8 bits, and functions of these: every kernel against the formula of kernel_table.h. */
#include "tests/ops/kernels/kernel_test.h"

static const norma_element_type byte_types[] = {NORMA_INT8, NORMA_UINT8};

static int number_of(const uint8_t *bytes, size_t i, norma_element_type type) {
  return type == NORMA_INT8 ? (int8_t)bytes[i] : bytes[i];
}

static int lowest(norma_element_type type) {
  return type == NORMA_INT8 ? -128 : 0;
}

static int rounded(float x, int zero, int low, int high) {
  if (isnan(x)) return low;
  const double whole = nearbyint((double)x) + zero;
  return whole < low ? low : whole > high ? high : (int)whole;
}

/* `behind` more bytes than n. */
static uint8_t *random_bytes(size_t n, size_t behind) {
  uint8_t *bytes = malloc(n + behind + 1);
  assert_non_null(bytes);
  for (size_t i = 0; i < n + behind; i++) bytes[i] = (uint8_t)random_size(0, 255);
  return bytes;
}

static void expect_byte(const struct kernel_table *table, const char *what, int got, int expected, size_t at) {
  if (got != expected) fail_msg("%s: %s: element %zu is %d, not %d", table->name, what, at, got, expected);
}

TABLE_TEST(floats_and_bytes) {
  for (size_t i = 0; i < 300; i++) {
    const norma_element_type type = byte_types[i % 2];
    const size_t n = random_size(0, 100);
    const int zero = lowest(type) + (int)random_size(0, 255);
    const float scale = i % 3 ? 0.0371f : 0.5f;
    float *x = random_floats(n), *back = float_buffer(n);
    uint8_t *y = random_bytes(n, 0);
    for (size_t k = 0; k < n; k++) x[k] = k % 11 == 5 ? NAN : k % 13 == 7 ? INFINITY : x[k] * 3;
    for (size_t k = 0; k < n && i % 3 == 0; k++) x[k] = (float)(int)random_size(0, 400) / 4 - 50; /* many halves */
    table->quantize_f32(y, x, n, scale, zero, type);
    table->dequantize_f32(back, y, n, scale, zero, type);
    for (size_t k = 0; k < n; k++) {
      const int expected = rounded(x[k] / scale, zero, lowest(type), lowest(type) + 255);
      expect_byte(table, "quantised", number_of(y, k, type), expected, k);
      assert_true(back[k] == (float)(expected - zero) * scale);
    }
    free(x), free(back), free(y);
  }
}

TABLE_TEST(sums_and_products) {
  for (size_t i = 0; i < 300; i++) {
    const size_t n = random_size(0, 100);
    struct binary_8bit of = {.a_type = byte_types[i % 2],
                             .b_type = byte_types[i / 2 % 2],
                             .y_type = byte_types[i / 4 % 2],
                             .a_zero = (int)random_size(0, 255) - 128,
                             .b_zero = (int)random_size(0, 255) - 128,
                             .a_factor = 0.37f,
                             .b_factor = 1.3f};
    of.zero = lowest(of.y_type) + (int)random_size(0, 255);
    of.low = lowest(of.y_type) + (int)random_size(0, 100);
    of.high = of.low + (int)random_size(0, 155);
    uint8_t *a = random_bytes(n, 0), *b = random_bytes(n, 0), *sum = random_bytes(n, 0), *product = random_bytes(n, 0);
    table->sum_8bit(sum, a, b, n, &of);
    table->product_8bit(product, a, b, n, &of);
    for (size_t k = 0; k < n; k++) {
      const int x = number_of(a, k, of.a_type) - of.a_zero, z = number_of(b, k, of.b_type) - of.b_zero;
      const float left = (float)x * of.a_factor, right = (float)z * of.b_factor, both = (float)(x * z) * of.a_factor;
      expect_byte(table, "sum", number_of(sum, k, of.y_type), rounded(left + right, of.zero, of.low, of.high), k);
      expect_byte(table, "product", number_of(product, k, of.y_type), rounded(both, of.zero, of.low, of.high), k);
    }
    table->sum_8bit(a, a, b, n, &of);
    assert_memory_equal(a, sum, n);
    free(a), free(b), free(sum), free(product);
  }
}

TABLE_TEST(rows_under_windows) {
  for (size_t i = 0; i < 200; i++) {
    const size_t n = random_size(1, 100), taps = random_size(1, 9);
    uint8_t *x[9], *bytes = random_bytes(n, 0), *largest = random_bytes(n, 0);
    int32_t w[9], *sums = malloc((n + 1) * sizeof *sums);
    const norma_element_type type = byte_types[i % 2];
    for (size_t t = 0; t < taps; t++) {
      x[t] = random_bytes(n, 64);
      w[t] = (int32_t)random_size(0, 510) - 255;
    }
    struct taps_8bit of = {.x_type = type,
                           .y_type = NORMA_INT32,
                           .taps = taps,
                           .x = (const uint8_t *const *)x,
                           .w = w,
                           .bias = (int32_t)random_size(0, 20000) - 10000,
                           .low = lowest(type) + 5,
                           .high = lowest(type) + 240,
                           .scale = 0.0021f};
    of.zero = lowest(type) + 100;
    table->taps_8bit(sums, n, &of);
    of.y_type = type;
    table->taps_8bit(bytes, n, &of);
    table->maximum_8bit(largest, n, (const uint8_t *const *)x, taps, type);
    for (size_t k = 0; k < n; k++) {
      int sum = of.bias, most = -1000;
      for (size_t t = 0; t < taps; t++) {
        sum += number_of(x[t], k, type) * w[t];
        if (number_of(x[t], k, type) > most) most = number_of(x[t], k, type);
      }
      assert_int_equal(sums[k], sum);
      expect_byte(table, "taps", number_of(bytes, k, type), rounded((float)sum * of.scale, of.zero, of.low, of.high),
                  k);
      expect_byte(table, "maximum", number_of(largest, k, type), most, k);
    }
    for (size_t t = 0; t < taps; t++) free(x[t]);
    free(bytes), free(largest), free(sums);
  }
}

TABLE_TEST(tables_of_bytes) {
  uint8_t numbers[256];
  for (int i = 0; i < 256; i++) numbers[i] = (uint8_t)(i * 7 + 3);
  for (size_t n = 0; n < 60; n++) {
    uint8_t *x = random_bytes(n, 0), *y = random_bytes(n, 0);
    table->lookup_8bit(y, x, n, numbers);
    for (size_t k = 0; k < n; k++) assert_int_equal(y[k], numbers[x[k]]);
    table->lookup_8bit(x, x, n, numbers);
    assert_memory_equal(x, y, n);
    free(x), free(y);
  }
}

TABLE_TEST(transpositions) {
  for (size_t round = 0; round < 200; round++) {
    const size_t rows = random_size(0, 70), columns = random_size(0, 70);
    const size_t x_stride = columns + random_size(0, 9), y_stride = rows + random_size(0, 9);
    uint8_t *x = random_bytes(rows * x_stride, 0), *y = random_bytes(columns * y_stride, 0);
    uint8_t *before = malloc(columns * y_stride + 1);
    assert_non_null(before);
    memcpy(before, y, columns * y_stride);
    table->transpose_8bit(y, y_stride, x, x_stride, rows, columns);
    for (size_t j = 0; j < columns; j++)
      for (size_t i = 0; i < y_stride; i++)
        assert_int_equal(y[j * y_stride + i], i < rows ? x[i * x_stride + j] : before[j * y_stride + i]);
    free(x), free(y), free(before);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(floats_and_bytes), cmocka_unit_test(sums_and_products), cmocka_unit_test(rows_under_windows),
      cmocka_unit_test(transpositions),   cmocka_unit_test(tables_of_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
