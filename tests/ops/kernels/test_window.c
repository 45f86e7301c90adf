/* Depthwise convolution and pooling of a plane against the loops of their definitions in double precision. */
#include "tests/ops/kernels/kernel_test.h"

/* The input under tap (k0, k1) of output (p0, p1); false in the padding or beyond. */
static bool tap(const struct window_2d *w, const float *x, const size_t p[2], size_t k0, size_t k1, double *value) {
  const ptrdiff_t i0 = (ptrdiff_t)(p[0] * w->stride[0] + k0 * w->dilation[0]) - (ptrdiff_t)w->pad[0];
  const ptrdiff_t i1 = (ptrdiff_t)(p[1] * w->stride[1] + k1 * w->dilation[1]) - (ptrdiff_t)w->pad[1];
  if (i0 < 0 || i1 < 0 || i0 >= (ptrdiff_t)w->input[0] || i1 >= (ptrdiff_t)w->input[1]) return false;
  *value = x[(size_t)i0 * w->input[1] + (size_t)i1];
  return true;
}

static const char *describe(const struct window_2d *w) {
  static char text[200];
  snprintf(text, sizeof text, "input %zux%zu output %zux%zu kernel %zux%zu stride %zux%zu dilation %zux%zu pad %zux%zu",
           w->input[0], w->input[1], w->output[0], w->output[1], w->kernel[0], w->kernel[1], w->stride[0], w->stride[1],
           w->dilation[0], w->dilation[1], w->pad[0], w->pad[1]);
  return text;
}

static void check_depthwise(const struct kernel_table *table, const struct window_2d *w) {
  static const struct activation activations[] = {{UNARY_IDENTITY, 0, 0}, {UNARY_CLIP, 0, 0.5f}, {UNARY_TANH, 0, 0}};
  const size_t taps = w->kernel[0] * w->kernel[1], outputs = w->output[0] * w->output[1];
  float *x = random_floats(w->input[0] * w->input[1]), *weights = random_floats(taps), *y = float_buffer(outputs);
  float *residual = random_floats(outputs);
  void *scratch = exact_buffer(table->window_scratch_size(w));
  const float bias = random_float();
  const bool with_residual = random_bits() & 1;
  const struct activation activation = activations[random_bits() % 3];
  table->depthwise_f32(w, x, weights, bias, with_residual ? residual : NULL, activation, y, scratch);
  for (size_t i = 0; i < outputs; i++) {
    const size_t p[2] = {i / w->output[1], i % w->output[1]};
    double sum = bias, value;
    for (size_t k = 0; k < taps; k++)
      if (tap(w, x, p, k / w->kernel[1], k % w->kernel[1], &value)) sum += value * weights[k];
    if (with_residual) sum += residual[i];
    if (activation.kind == UNARY_CLIP) sum = fmin(fmax(sum, 0), 0.5);
    if (activation.kind == UNARY_TANH) sum = tanh(sum);
    expect_close(table, describe(w), i, y[i], sum, (double)taps + 3, 1e-6);
  }
  free(x), free(weights), free(y), free(residual), free(scratch);
}

static void check_pools(const struct kernel_table *table, const struct window_2d *w) {
  const size_t outputs = w->output[0] * w->output[1];
  const size_t pad_end[2] = {random_size(0, 2), random_size(0, 2)};
  const bool count_pad = random_bits() & 1;
  float *x = random_floats(w->input[0] * w->input[1]), *largest = float_buffer(outputs),
        *average = float_buffer(outputs);
  void *scratch = exact_buffer(table->window_scratch_size(w));
  if (random_bits() % 4 == 0) x[random_size(0, w->input[0] * w->input[1] - 1)] = NAN;
  table->max_pool_f32(w, x, largest, scratch);
  table->average_pool_f32(w, count_pad, pad_end, x, average, scratch);
  for (size_t i = 0; i < outputs; i++) {
    const size_t p[2] = {i / w->output[1], i % w->output[1]};
    double sum = 0, maximum = -INFINITY, value;
    size_t counted = 0;
    for (size_t k0 = 0; k0 < w->kernel[0]; k0++)
      for (size_t k1 = 0; k1 < w->kernel[1]; k1++) {
        const bool inside = tap(w, x, p, k0, k1, &value);
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
  free(x), free(largest), free(average), free(scratch);
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
  for (int i = 0; i < 400; i++) {
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

TABLE_TEST(planes_of_several_bands) {
  const struct window_2d w = {
      .input = {301, 515}, .output = {150, 258}, .kernel = {3, 3}, .stride = {2, 2}, .dilation = {1, 1}, .pad = {0, 1}};
  check_depthwise(table, &w);
  check_pools(table, &w);
  const struct window_2d tall = {
      .input = {9000, 5}, .output = {8997, 6}, .kernel = {4, 2}, .stride = {1, 1}, .dilation = {1, 1}, .pad = {0, 1}};
  check_depthwise(table, &tall);
  check_pools(table, &tall);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_windows),
      cmocka_unit_test(large_windows),
      cmocka_unit_test(planes_of_several_bands),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
