/* conv_8bit and depthwise_8bit against sums over all steps: equal to the bit on every table, with every override, and
 * nothing else written. */
#include "tests/ops/kernels/kernel_test.h"

#define MOST_STEPS 12
#define UNTOUCHED  0x5a

static uint8_t *random_bytes(size_t n) {
  uint8_t *x = exact_buffer(n);
  for (size_t i = 0; i < n; i++) x[i] = (uint8_t)(random_bits() >> 8);
  return x;
}

static int32_t number_of(const struct kernel_table *table, uint8_t byte) {
  return table->conv_8bit_signed ? (int8_t)byte : byte;
}

static uint8_t stored(uint32_t sum, float scale, int32_t zero, int32_t low, int32_t high) {
  const double y = nearbyint((double)((float)(int32_t)sum * scale)) + zero;
  return (uint8_t)(int32_t)(!(y > low) ? low : y > high ? high : y);
}

/* Parameters of a store: results of all sizes, for either type. */
struct store_8bit {
  int32_t *term, zero, low, high;
  float *scale;
};

static struct store_8bit random_store(size_t outputs, size_t depth) {
  const int32_t lowest = random_bits() & 1024 ? -128 : 0;
  struct store_8bit s = {.term = exact_buffer(outputs * sizeof(int32_t)), .scale = random_floats(outputs)};
  for (size_t o = 0; o < outputs; o++) {
    s.term[o] = (int32_t)random_bits() >> (8 + random_bits() % 24);
    s.scale[o] *= 1.0f / (float)(20 * (depth + 1));
  }
  s.zero = lowest + (int32_t)random_size(0, 255);
  s.low = lowest + (int32_t)random_size(0, 100);
  s.high = s.low + (int32_t)random_size(0, (size_t)(lowest + 255 - s.low));
  return s;
}

/* ---- whole products ---- */

static void check_conv(const struct kernel_table *table, size_t outputs, size_t steps, size_t rows, size_t pixels) {
  const size_t padded = (outputs + 15) / 16 * 16, x_row = 16 * pixels + random_size(0, 40);
  const size_t y_row = 16 * pixels + random_size(0, 9), y_block = y_row * rows + random_size(0, 9);
  const size_t columns = table->conv_8bit_columns, panels = (outputs + columns - 1) / columns;
  const size_t packed_size = table->conv_8bit_packed_size(outputs, steps), y_size = padded / 16 * y_block;
  size_t offsets[MOST_STEPS], furthest = 0;
  struct store_8bit s = random_store(padded, 16 * steps);
  for (size_t i = 0; i < steps; i++) {
    offsets[i] = random_size(0, 300);
    if (offsets[i] > furthest) furthest = offsets[i];
  }
  uint8_t *x = random_bytes(furthest + (rows - 1) * x_row + 16 * pixels), *w = random_bytes(outputs * steps * 16);
  uint8_t *y = exact_buffer(y_size);
  void *packed = exact_buffer(packed_size);
  memset(packed, 0, packed_size);
  memset(y, UNTOUCHED, y_size);
  for (size_t i = 0; i < outputs * steps; i++)
    table->conv_8bit_pack(packed, (const int8_t *)w + 16 * i, outputs, steps, i / steps, i % steps);
  const struct conv_8bit of = {.steps = steps,
                               .offsets = offsets,
                               .outputs = outputs,
                               .packed = packed,
                               .term = s.term,
                               .scale = s.scale,
                               .zero = s.zero,
                               .low = s.low,
                               .high = s.high,
                               .rows = rows,
                               .pixels = pixels,
                               .x_row = x_row,
                               .y_row = y_row,
                               .y_block = y_block};
  const size_t cut = random_size(0, panels);
  table->conv_8bit_run(&of, x, y, 0, cut);
  table->conv_8bit_run(&of, x, y, cut, panels);
  for (size_t at = 0; at < y_size; at++) {
    const size_t row = at % y_block / y_row, byte = at % y_block % y_row, o = at / y_block * 16 + byte % 16;
    uint8_t expected = UNTOUCHED;
    if (row < rows && byte < 16 * pixels && o < padded) {
      if (o >= outputs) continue;
      uint32_t sum = (uint32_t)s.term[o];
      for (size_t i = 0; i < 16 * steps; i++)
        sum += (uint32_t)(number_of(table, x[row * x_row + byte / 16 * 16 + offsets[i / 16] + i % 16]) *
                          (int8_t)w[o * steps * 16 + i]);
      expected = stored(sum, s.scale[o], s.zero, s.low, s.high);
    }
    if (y[at] != expected)
      fail_msg("%s: %zu outputs, %zu steps, %zux%zu pixels: byte %zu is %d, expected %d", table->name, outputs, steps,
               rows, pixels, at, y[at], expected);
  }
  free(x), free(w), free(y), free(packed), free(s.term), free(s.scale);
}

TABLE_TEST(each_number_of_pixels_and_outputs) {
  for (size_t pixels = 1; pixels <= 3 * table->conv_8bit_pixels; pixels++)
    check_conv(table, random_size(1, 70), random_size(1, MOST_STEPS), random_size(1, 3), pixels);
  for (size_t outputs = 1; outputs <= 80; outputs++)
    check_conv(table, outputs, random_size(1, MOST_STEPS), 1, random_size(1, 20));
}

/* The largest factors, whose sums of neighbouring products do not fit 16 bits. */
TABLE_TEST(extreme_factors) {
  const size_t offsets[1] = {0};
  const float scale[16] = {0x1p-16f, 0x1p-16f};
  const int32_t term[16] = {0};
  uint8_t x[16], y[16];
  int8_t low[16], high[16];
  void *packed = exact_buffer(table->conv_8bit_packed_size(2, 1));
  memset(packed, 0, table->conv_8bit_packed_size(2, 1));
  memset(x, table->conv_8bit_signed ? 0x80 : 0xff, sizeof x);
  memset(low, -128, sizeof low);
  memset(high, 127, sizeof high);
  table->conv_8bit_pack(packed, low, 2, 1, 0, 0);
  table->conv_8bit_pack(packed, high, 2, 1, 1, 0);
  const struct conv_8bit of = {.steps = 1,
                               .offsets = offsets,
                               .outputs = 2,
                               .packed = packed,
                               .term = term,
                               .scale = scale,
                               .zero = 100,
                               .high = 255,
                               .rows = 1,
                               .pixels = 1,
                               .y_block = 16};
  table->conv_8bit_run(&of, x, y, 0, 1);
  const int32_t factor = number_of(table, x[0]);
  assert_int_equal(y[0], 100 + (int32_t)nearbyint(16.0 * factor * -128 / 65536));
  assert_int_equal(y[1], 100 + (int32_t)nearbyint(16.0 * factor * 127 / 65536));
  free(packed);
}

/* ---- one channel at a time ---- */

static void check_depthwise(const struct kernel_table *table, size_t fours, size_t rows, size_t pixels) {
  const size_t x_row = 16 * pixels + random_size(0, 40), y_row = 16 * pixels + random_size(0, 9);
  const size_t y_size = (rows - 1) * y_row + 16 * pixels;
  size_t offsets[4 * MOST_STEPS], furthest = 0;
  struct store_8bit s = random_store(16, 4 * fours);
  for (size_t i = 0; i < 4 * fours; i++) {
    offsets[i] = random_size(0, 300);
    if (offsets[i] > furthest) furthest = offsets[i];
  }
  uint8_t *x = random_bytes(furthest + (rows - 1) * x_row + 16 * pixels + 64), *w = random_bytes(64 * fours);
  uint8_t *y = exact_buffer(y_size);
  memset(y, UNTOUCHED, y_size);
  const struct depthwise_8bit of = {.fours = fours,
                                    .offsets = offsets,
                                    .w = (const int8_t *)w,
                                    .term = s.term,
                                    .scale = s.scale,
                                    .zero = s.zero,
                                    .low = s.low,
                                    .high = s.high,
                                    .rows = rows,
                                    .pixels = pixels,
                                    .x_row = x_row,
                                    .y_row = y_row};
  table->depthwise_8bit_run(&of, x, y);
  for (size_t at = 0; at < y_size; at++) {
    const size_t row = at / y_row, byte = at % y_row, c = byte % 16;
    uint8_t expected = UNTOUCHED;
    if (byte < 16 * pixels) {
      uint32_t sum = (uint32_t)s.term[c];
      for (size_t t = 0; t < 4 * fours; t++)
        sum += (uint32_t)(number_of(table, x[row * x_row + byte + offsets[t]]) * (int8_t)w[t / 4 * 64 + 4 * c + t % 4]);
      expected = stored(sum, s.scale[c], s.zero, s.low, s.high);
    }
    if (y[at] != expected)
      fail_msg("%s: %zu fours, %zux%zu pixels: byte %zu is %d, expected %d", table->name, fours, rows, pixels, at,
               y[at], expected);
  }
  free(x), free(w), free(y), free(s.term), free(s.scale);
}

TABLE_TEST(depthwise_of_all_sizes) {
  for (size_t pixels = 1; pixels <= 40; pixels++)
    check_depthwise(table, random_size(1, MOST_STEPS), random_size(1, 4), pixels);
}

/* ---- reorders ---- */

/* The lanes behind the channels become zeros. */
TABLE_TEST(blocks_of_bytes) {
  for (size_t channels = 1; channels <= 16; channels++) {
    const size_t pixels = random_size(1, 70);
    uint8_t *x = random_bytes(channels * pixels), *y = exact_buffer(16 * pixels), *z = exact_buffer(channels * pixels);
    table->block_channels(y, x, channels, pixels, NORMA_UINT8);
    for (size_t i = 0; i < 16 * pixels; i++)
      assert_int_equal(y[i], i % 16 < channels ? x[i % 16 * pixels + i / 16] : 0);
    table->unblock_channels(z, y, channels, pixels, NORMA_INT8);
    assert_memory_equal(x, z, channels * pixels);
    free(x), free(y), free(z);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_number_of_pixels_and_outputs),
      cmocka_unit_test(extreme_factors),
      cmocka_unit_test(depthwise_of_all_sizes),
      cmocka_unit_test(blocks_of_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
