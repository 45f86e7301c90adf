/* Depthwise convolution, pooling, sums, scale and shift and changes of layout on channel blocks, against the loops of
 * their definitions in double precision. */
#include "tests/ops/kernels/kernel_test.h"

/* The input under tap (k0, k1) of output (p0, p1) in lane `lane`; false in the padding or beyond. */
static bool tap(const struct window_2d *w, const float *x, size_t b, size_t lane, const size_t p[2], size_t k0,
                size_t k1, double *value) {
  const ptrdiff_t i0 = (ptrdiff_t)(p[0] * w->stride[0] + k0 * w->dilation[0]) - (ptrdiff_t)w->pad[0];
  const ptrdiff_t i1 = (ptrdiff_t)(p[1] * w->stride[1] + k1 * w->dilation[1]) - (ptrdiff_t)w->pad[1];
  if (i0 < 0 || i1 < 0 || i0 >= (ptrdiff_t)w->input[0] || i1 >= (ptrdiff_t)w->input[1]) return false;
  *value = x[((size_t)i0 * w->input[1] + (size_t)i1) * b + lane];
  return true;
}

static const char *describe(const struct window_2d *w) {
  static char text[200];
  snprintf(text, sizeof text, "input %zux%zu output %zux%zu kernel %zux%zu stride %zux%zu dilation %zux%zu pad %zux%zu",
           w->input[0], w->input[1], w->output[0], w->output[1], w->kernel[0], w->kernel[1], w->stride[0], w->stride[1],
           w->dilation[0], w->dilation[1], w->pad[0], w->pad[1]);
  return text;
}

static const struct activation activations[] = {{UNARY_IDENTITY, 0, 0}, {UNARY_CLIP, 0, 0.5f}, {UNARY_TANH, 0, 0}};

static double activate(struct activation activation, double x) {
  if (activation.kind == UNARY_CLIP) return fmin(fmax(x, activation.a), activation.b);
  return activation.kind == UNARY_TANH ? tanh(x) : x;
}

static void check_depthwise(const struct kernel_table *table, const struct window_2d *w) {
  const size_t b = table->channel_block[NORMA_FLOAT], taps = w->kernel[0] * w->kernel[1],
               outputs = w->output[0] * w->output[1];
  float *x = random_floats(w->input[0] * w->input[1] * b), *weights = random_floats(taps * b);
  float *residual = random_floats(outputs * b), *bias = random_floats(b), *y = float_buffer(outputs * b);
  const bool with_residual = random_bits() & 1, with_bias = random_bits() & 1, in_place = random_bits() & 1;
  const struct activation activation = activations[random_bits() % 3];
  if (with_residual && in_place) memcpy(y, residual, outputs * b * sizeof(float));
  table->blocked_depthwise_f32(w, x, weights, with_bias ? bias : NULL, with_residual ? (in_place ? y : residual) : NULL,
                               activation, y);
  for (size_t i = 0; i < outputs * b; i++) {
    const size_t p[2] = {i / b / w->output[1], i / b % w->output[1]}, lane = i % b;
    double sum = with_bias ? bias[lane] : 0, value;
    for (size_t k = 0; k < taps; k++)
      if (tap(w, x, b, lane, p, k / w->kernel[1], k % w->kernel[1], &value)) sum += value * weights[k * b + lane];
    if (with_residual) sum += residual[i];
    expect_close(table, describe(w), i, y[i], activate(activation, sum), (double)taps + 3, 1e-6);
  }
  free(x), free(weights), free(y), free(residual), free(bias);
}

static void check_pools(const struct kernel_table *table, const struct window_2d *w) {
  const size_t b = table->channel_block[NORMA_FLOAT], outputs = w->output[0] * w->output[1],
               inputs = w->input[0] * w->input[1];
  const size_t pad_end[2] = {random_size(0, 2), random_size(0, 2)};
  const bool count_pad = random_bits() & 1;
  float *x = random_floats(inputs * b), *largest = float_buffer(outputs * b), *average = float_buffer(outputs * b);
  if (random_bits() % 4 == 0) x[random_size(0, inputs * b - 1)] = NAN;
  table->blocked_max_pool_f32(w, x, largest);
  table->blocked_average_pool_f32(w, count_pad, pad_end, x, average);
  for (size_t i = 0; i < outputs * b; i++) {
    const size_t p[2] = {i / b / w->output[1], i / b % w->output[1]};
    double sum = 0, maximum = -INFINITY, value;
    size_t counted = 0;
    for (size_t k0 = 0; k0 < w->kernel[0]; k0++)
      for (size_t k1 = 0; k1 < w->kernel[1]; k1++) {
        const bool inside = tap(w, x, b, i % b, p, k0, k1, &value);
        const bool in_padding = p[0] * w->stride[0] + k0 * w->dilation[0] < w->pad[0] + w->input[0] + pad_end[0] &&
                                p[1] * w->stride[1] + k1 * w->dilation[1] < w->pad[1] + w->input[1] + pad_end[1];
        counted += inside || (count_pad && in_padding);
        if (!inside) continue;
        sum += value;
        if (isnan(value) || value > maximum) maximum = isnan(maximum) ? maximum : value;
      }
    expect_close(table, describe(w), i, largest[i], maximum, 0, 0);
    expect_close(table, describe(w), i, average[i], counted ? sum / (double)counted : 0, 1, 1e-6);
  }
  free(x), free(largest), free(average);
}

static void random_window(struct window_2d *w, int square_kernel) {
  for (int d = 0; d < 2; d++) {
    w->kernel[d] = square_kernel ? (size_t)square_kernel : random_size(1, 6);
    w->stride[d] = square_kernel ? (d ? w->stride[0] : random_size(1, 2)) : random_size(1, 4);
    w->dilation[d] = square_kernel ? 1 : random_size(1, 3);
    w->pad[d] = random_size(0, 3);
    w->input[d] = random_size(1, 40);
    const size_t extent = (w->kernel[d] - 1) * w->dilation[d] + 1, padded = w->input[d] + w->pad[d] + random_size(0, 3);
    w->output[d] = padded < extent ? 1 : (padded - extent) / w->stride[d] + 1;
  }
}

TABLE_TEST(random_windows) {
  const int kernels[] = {0, 2, 3, 5, 7};
  for (int i = 0; i < 300; i++) {
    struct window_2d w;
    random_window(&w, kernels[i % 5]);
    check_depthwise(table, &w);
    check_pools(table, &w);
  }
}

/* Running maxima and sums of columns. */
TABLE_TEST(large_windows) {
  for (int i = 0; i < 120; i++) {
    struct window_2d w;
    for (int d = 0; d < 2; d++) {
      w.kernel[d] = random_size(1, 19);
      w.stride[d] = random_size(1, 3);
      w.dilation[d] = i % 3 ? 1 : random_size(1, 3);
      w.pad[d] = random_size(0, w.kernel[d] - 1);
      w.input[d] = random_size(1, 70);
      const size_t extent = (w.kernel[d] - 1) * w.dilation[d] + 1, padded = w.input[d] + 2 * w.pad[d];
      w.output[d] = padded < extent ? 1 : (padded - extent) / w.stride[d] + 1;
    }
    if (i % 2) w.stride[1] = 1, w.output[1] = w.input[1];
    check_pools(table, &w);
  }
}

TABLE_TEST(sums_of_pixels) {
  const size_t b = table->channel_block[NORMA_FLOAT];
  for (size_t pixels = 0; pixels < 70; pixels += pixels < 12 ? 1 : 7) {
    float *x = random_floats(pixels * b), *y = float_buffer(b);
    table->blocked_sum_f32(y, x, pixels);
    for (size_t lane = 0; lane < b; lane++) {
      double sum = 0;
      for (size_t p = 0; p < pixels; p++) sum += x[p * b + lane];
      expect_close(table, "sum", lane, y[lane], sum, (double)pixels, 2e-7);
    }
    free(x), free(y);
  }
}

TABLE_TEST(scale_and_shift) {
  const size_t b = table->channel_block[NORMA_FLOAT];
  for (int i = 0; i < 60; i++) {
    const size_t pixels = random_size(0, 200);
    const struct activation activation = activations[i % 3];
    float *x = random_floats(pixels * b), *residual = random_floats(pixels * b), *y = float_buffer(pixels * b);
    float *scale = random_floats(b), *shift = random_floats(b);
    const bool with_residual = random_bits() & 1;
    table->blocked_affine_f32(y, x, with_residual ? residual : NULL, pixels, scale, shift, activation);
    for (size_t e = 0; e < pixels * b; e++) {
      const double sum = (double)x[e] * scale[e % b] + shift[e % b] + (with_residual ? residual[e] : 0);
      expect_close(table, "affine", e, y[e], activate(activation, sum), 3, 5e-7);
    }
    float *in_place = float_buffer(pixels * b);
    memcpy(in_place, x, pixels * b * sizeof(float));
    table->blocked_affine_f32(in_place, in_place, with_residual ? residual : NULL, pixels, scale, shift, activation);
    expect_same_bits(table, "affine in place of x", in_place, y, pixels * b * sizeof(float));
    memcpy(in_place, residual, pixels * b * sizeof(float));
    table->blocked_affine_f32(in_place, x, with_residual ? in_place : NULL, pixels, scale, shift, activation);
    expect_same_bits(table, "affine in place of the residual", in_place, y, pixels * b * sizeof(float));
    free(x), free(residual), free(y), free(scale), free(shift), free(in_place);
  }
}

TABLE_TEST(to_blocks_and_back) {
  const size_t b = table->channel_block[NORMA_FLOAT];
  for (size_t channels = 1; channels <= b; channels++)
    for (int i = 0; i < 8; i++) {
      const size_t pixels = i < 6 ? (size_t)i : random_size(6, 300);
      float *x = random_floats(channels * pixels), *blocked = float_buffer(pixels * b);
      float *back = float_buffer(channels * pixels);
      table->block_channels(blocked, x, channels, pixels, NORMA_FLOAT);
      for (size_t e = 0; e < pixels * b; e++)
        expect_close(table, "block", e, blocked[e], e % b < channels ? x[e % b * pixels + e / b] : 0, 0, 0);
      table->unblock_channels(back, blocked, channels, pixels, NORMA_FLOAT);
      expect_same_bits(table, "unblock", back, x, channels * pixels * sizeof(float));
      free(x), free(blocked), free(back);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_windows),  cmocka_unit_test(large_windows),      cmocka_unit_test(sums_of_pixels),
      cmocka_unit_test(scale_and_shift), cmocka_unit_test(to_blocks_and_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
