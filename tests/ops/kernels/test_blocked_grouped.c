/* Grouped 1x1 convolution on channel blocks against the definition, and the copy of some lanes. */
#include "tests/ops/kernels/kernel_test.h"

static size_t place(const struct kernel_table *table, size_t pixels, size_t c, size_t p) {
  const size_t b = table->channel_block[NORMA_FLOAT];
  return (c / b * pixels + p) * b + c % b;
}

/* Random numbers in the channels, NaN in the padding lanes. */
static float *random_blocks(const struct kernel_table *table, size_t channels, size_t pixels) {
  const size_t b = table->channel_block[NORMA_FLOAT], size = (channels + b - 1) / b * b * pixels;
  float *x = float_buffer(size);
  for (size_t i = 0; i < size; i++) x[i] = NAN;
  for (size_t c = 0; c < channels; c++)
    for (size_t p = 0; p < pixels; p++) x[place(table, pixels, c, p)] = random_float();
  return x;
}

static size_t *random_order(size_t n) {
  size_t *order = exact_buffer(n * sizeof *order);
  for (size_t i = 0; i < n; i++) {
    size_t j = random_size(0, i);
    order[i] = order[j];
    order[j] = i;
  }
  return order;
}

/* All parts for that many workers; y begins as a copy of `start`, which may be the residual. */
static float *run(const struct kernel_table *table, const struct blocked_grouped_f32 *conv, int workers, const float *x,
                  const float *start, size_t size) {
  const struct blocked_parts parts = table->blocked_grouped_parts(conv, workers);
  const size_t panels = table->blocked_grouped_panels(conv);
  float *y = float_buffer(size);
  void *scratch = exact_buffer(table->blocked_grouped_scratch_size(conv));
  struct blocked_grouped_f32 local = *conv;
  memcpy(y, start, size * sizeof(float));
  if (conv->residual == start) local.residual = y;
  assert_true(parts.pixels > 0 && parts.panels > 0 && parts.panels <= panels &&
              (parts.pixels - 1) * parts.part_pixels < conv->pixels);
  assert_true(parts.pixels * parts.part_pixels >= conv->pixels);
  for (size_t i = 0; i < parts.pixels; i++)
    for (size_t j = 0; j < parts.panels; j++)
      table->blocked_grouped_run(&local, x, y, i * parts.part_pixels,
                                 i + 1 < parts.pixels ? (i + 1) * parts.part_pixels : conv->pixels,
                                 panels * j / parts.panels, panels * (j + 1) / parts.panels, scratch);
  free(scratch);
  return y;
}

static void check(const struct kernel_table *table, size_t groups, size_t inputs, size_t outputs, size_t pixels) {
  const size_t b = table->channel_block[NORMA_FLOAT];
  struct blocked_grouped_f32 conv = {
      .channels = groups * inputs, .outputs = groups * outputs, .groups = groups, .pixels = pixels};
  const size_t padded = (conv.outputs + b - 1) / b * b, size = padded * pixels;
  float *x = random_blocks(table, conv.channels, pixels), *residual = random_floats(size);
  float *w = random_floats(conv.outputs * inputs), *bias = random_floats(padded);
  float *packed = float_buffer(table->blocked_grouped_packed_size(&conv));
  size_t *order = random_order(conv.channels);
  table->blocked_grouped_pack(&conv, packed, w);
  conv.packed_weights = packed;
  if (random_bits() & 1) conv.places = order;
  if (random_bits() & 1) conv.bias = bias;
  if (random_bits() & 1) conv.residual = residual;
  const bool relu = random_bits() & 1, tanh_follows = !relu && (random_bits() & 1);
  if (relu) conv.activation.kind = UNARY_RELU;
  if (tanh_follows) conv.activation.kind = UNARY_TANH;
  /* What one group holds reaches no other: the last one is full of infinities and NaN in some runs. */
  const bool poisoned = groups > 1 && (random_bits() & 1);
  for (size_t c = conv.channels - inputs; poisoned && c < conv.channels; c++)
    for (size_t p = 0; p < pixels; p++) x[place(table, pixels, conv.places ? order[c] : c, p)] = c & 1 ? INFINITY : NAN;

  float *y = run(table, &conv, 1, x, residual, size);
  char what[120];
  snprintf(what, sizeof what, "%zu groups of %zu -> %zu, %zu pixels", groups, inputs, outputs, pixels);
  for (int workers = 2; workers <= 7; workers += 5) {
    float *split = run(table, &conv, workers, x, residual, size);
    for (size_t o = 0; o < conv.outputs; o++)
      for (size_t p = 0; p < pixels; p++) {
        const size_t at = place(table, pixels, o, p);
        expect_same_bits(table, what, split + at, y + at, sizeof(float));
      }
    free(split);
  }
  for (size_t o = 0; o < conv.outputs - (poisoned ? outputs : 0); o++)
    for (size_t p = 0; p < pixels; p++) {
      const size_t at = place(table, pixels, o, p);
      double sum = 0, scale = 2;
      for (size_t i = 0; i < inputs; i++) {
        const size_t c = o / outputs * inputs + i;
        const double term = (double)x[place(table, pixels, conv.places ? order[c] : c, p)] * w[o * inputs + i];
        sum += term;
        scale += fabs(term);
      }
      if (conv.bias) sum += bias[o];
      if (conv.residual) sum += residual[at];
      if (relu && sum < 0) sum = 0;
      expect_close(table, what, at, y[at], tanh_follows ? tanh(sum) : sum, scale, 1e-6);
    }
  free(x), free(residual), free(w), free(bias), free(packed), free(order), free(y);
}

TABLE_TEST(groups_of_shufflenet) {
  static const size_t cases[][4] = {{4, 6, 28, 60},    {4, 28, 28, 31}, {4, 34, 34, 49}, {4, 68, 68, 30},
                                    {4, 136, 136, 49}, {3, 20, 80, 17}, {8, 12, 48, 29}, {2, 25, 25, 200}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    check(table, cases[i][0], cases[i][1], cases[i][2], cases[i][3]);
}

TABLE_TEST(groups_of_any_size) {
  for (int i = 0; i < 150; i++)
    check(table, random_size(1, 9), random_size(1, 20), random_size(1, 40), random_size(1, 70));
}

TABLE_TEST(lanes_are_copied) {
  const size_t b = table->channel_block[NORMA_FLOAT];
  for (size_t pixels = 0; pixels < 5; pixels++)
    for (size_t lanes = 0; lanes <= b; lanes++) {
      const size_t size = pixels ? (pixels - 1) * b + lanes : 0;
      float *x = random_floats(size), *y = random_floats(size), *expected = float_buffer(size);
      for (size_t i = 0; i < size; i++) expected[i] = i % b < lanes ? x[i] : y[i];
      table->blocked_copy_lanes_f32(y, x, lanes, pixels);
      expect_same_bits(table, "copy_lanes", y, expected, size * sizeof(float));
      free(x), free(y), free(expected);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(groups_of_shufflenet),
      cmocka_unit_test(groups_of_any_size),
      cmocka_unit_test(lanes_are_copied),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
