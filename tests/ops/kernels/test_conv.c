/* conv_f32 against the seven loops of the definition, in double precision. */
#include "tests/ops/kernels/kernel_test.h"

static size_t product(const size_t x[3]) {
  return x[0] * x[1] * x[2];
}

static size_t output_size(size_t input, size_t kernel, size_t stride, size_t dilation, size_t pads) {
  const size_t extent = (kernel - 1) * dilation + 1;
  return input + pads < extent ? 0 : (input + pads - extent) / stride + 1;
}

static double naive_element(const struct conv_f32 *conv, const float *x, const float *w, size_t o, const size_t p[3],
                            double *scale) {
  double sum = 0;
  for (size_t c = 0; c < conv->channels; c++)
    for (size_t k0 = 0; k0 < conv->kernel[0]; k0++)
      for (size_t k1 = 0; k1 < conv->kernel[1]; k1++)
        for (size_t k2 = 0; k2 < conv->kernel[2]; k2++) {
          const size_t k[3] = {k0, k1, k2};
          ptrdiff_t i[3];
          bool inside = true;
          for (int d = 0; d < 3; d++) {
            i[d] = (ptrdiff_t)(p[d] * conv->stride[d] + k[d] * conv->dilation[d]) - (ptrdiff_t)conv->pad[d];
            inside = inside && i[d] >= 0 && i[d] < (ptrdiff_t)conv->input[d];
          }
          if (!inside) continue;
          const size_t at =
              ((c * conv->input[0] + (size_t)i[0]) * conv->input[1] + (size_t)i[1]) * conv->input[2] + (size_t)i[2];
          const double term =
              (double)x[at] *
              w[((((o * conv->channels + c) * conv->kernel[0]) + k0) * conv->kernel[1] + k1) * conv->kernel[2] + k2];
          sum += term;
          *scale += fabs(term);
        }
  return sum;
}

static float *run(const struct kernel_table *table, const struct conv_f32 *conv, const float *x, size_t row_cut,
                  size_t pixel_cut) {
  const size_t pixels = product(conv->output), panels = table->gemm_f32_row_panels(conv->outputs);
  float *y = float_buffer(conv->outputs * pixels);
  void *scratch = exact_buffer(table->conv_f32_scratch_size(conv));
  table->conv_f32_run(conv, x, y, 0, row_cut, 0, pixel_cut, scratch);
  table->conv_f32_run(conv, x, y, row_cut, panels, 0, pixel_cut, scratch);
  table->conv_f32_run(conv, x, y, 0, panels, pixel_cut, pixels, scratch);
  free(scratch);
  return y;
}

static void check(const struct kernel_table *table, struct conv_f32 conv, const size_t pad_end[3]) {
  for (int d = 0; d < 3; d++) {
    conv.output[d] =
        output_size(conv.input[d], conv.kernel[d], conv.stride[d], conv.dilation[d], conv.pad[d] + pad_end[d]);
    if (!conv.output[d]) return;
  }
  char what[200];
  snprintf(what, sizeof what, "conv %zu->%zu, %zux%zux%zu, kernel %zux%zux%zu, stride %zux%zux%zu, pad %zux%zux%zu",
           conv.channels, conv.outputs, conv.input[0], conv.input[1], conv.input[2], conv.kernel[0], conv.kernel[1],
           conv.kernel[2], conv.stride[0], conv.stride[1], conv.stride[2], conv.pad[0], conv.pad[1], conv.pad[2]);
  const size_t k = conv.channels * product(conv.kernel), pixels = product(conv.output);
  float *x = random_floats(conv.channels * product(conv.input)), *w = random_floats(conv.outputs * k);
  float *bias = random_floats(conv.outputs), *residual = random_floats(conv.outputs * pixels);
  float *packed = float_buffer(table->gemm_f32_packed_a_size(conv.outputs, k));
  table->gemm_f32_pack_a(packed, w, conv.outputs, k, k, 1);
  conv.packed_weights = packed;
  conv.epilogue.row_bias = bias;
  if (random_bits() & 1) conv.epilogue.residual = residual;
  conv.epilogue.residual_stride = pixels;
  if (random_bits() & 1) conv.epilogue.activation.kind = UNARY_RELU;

  const size_t panels = table->gemm_f32_row_panels(conv.outputs);
  float *y = run(table, &conv, x, panels, pixels);
  float *split = run(table, &conv, x, panels / 2, random_size(0, pixels));
  expect_same_bits(table, what, split, y, conv.outputs * pixels * sizeof(float));

  for (size_t o = 0; o < conv.outputs; o++)
    for (size_t i = 0; i < pixels; i++) {
      const size_t p[3] = {i / conv.output[2] / conv.output[1], i / conv.output[2] % conv.output[1],
                           i % conv.output[2]};
      double scale = 2, sum = naive_element(&conv, x, w, o, p, &scale) + bias[o];
      if (conv.epilogue.residual) sum += residual[o * pixels + i];
      if (conv.epilogue.activation.kind == UNARY_RELU && sum < 0) sum = 0;
      expect_close(table, what, o * pixels + i, y[o * pixels + i], sum, scale, 2e-6);
    }
  free(x), free(w), free(bias), free(residual), free(packed), free(y), free(split);
}

TABLE_TEST(shapes_of_real_networks) {
  const size_t none[3] = {0, 0, 0}, one[3] = {0, 1, 1}, three[3] = {0, 3, 3};
  struct conv_f32 conv = {.channels = 3,
                          .outputs = 16,
                          .input = {1, 33, 31},
                          .kernel = {1, 7, 7},
                          .stride = {1, 2, 2},
                          .dilation = {1, 1, 1},
                          .pad = {0, 3, 3}};
  check(table, conv, three);
  conv = (struct conv_f32){.channels = 40,
                           .outputs = 33,
                           .input = {1, 7, 7},
                           .kernel = {1, 3, 3},
                           .stride = {1, 1, 1},
                           .dilation = {1, 1, 1},
                           .pad = {0, 1, 1}};
  check(table, conv, one);
  conv = (struct conv_f32){.channels = 300,
                           .outputs = 15,
                           .input = {1, 14, 14},
                           .kernel = {1, 1, 1},
                           .stride = {1, 1, 1},
                           .dilation = {1, 1, 1}};
  check(table, conv, none);
  conv = (struct conv_f32){.channels = 20,
                           .outputs = 9,
                           .input = {1, 14, 14},
                           .kernel = {1, 1, 1},
                           .stride = {1, 2, 2},
                           .dilation = {1, 1, 1}};
  check(table, conv, none);
  conv = (struct conv_f32){.channels = 3,
                           .outputs = 8,
                           .input = {1, 47, 47},
                           .kernel = {1, 11, 11},
                           .stride = {1, 4, 4},
                           .dilation = {1, 1, 1}};
  check(table, conv, none);
}

TABLE_TEST(random_two_dimensional) {
  for (int i = 0; i < 250; i++) {
    const struct conv_f32 conv = {.channels = random_size(1, 6),
                                  .outputs = random_size(1, 20),
                                  .input = {1, random_size(1, 20), random_size(1, 40)},
                                  .kernel = {1, random_size(1, 4), random_size(1, 5)},
                                  .stride = {1, random_size(1, 3), random_size(1, 3)},
                                  .dilation = {1, random_size(1, 3), random_size(1, 3)},
                                  .pad = {0, random_size(0, 4), random_size(0, 4)}};
    const size_t pad_end[3] = {0, random_size(0, 4), random_size(0, 4)};
    check(table, conv, pad_end);
  }
}

/* Kernels that a row of the image is sorted by phases for, and neighbours of these. */
TABLE_TEST(long_kernels_with_large_strides) {
  for (int i = 0; i < 80; i++) {
    const bool flat = i % 2;
    const struct conv_f32 conv = {.channels = random_size(1, 3),
                                  .outputs = random_size(1, 20),
                                  .input = {1, flat ? 1 : random_size(1, 5), random_size(1, 400)},
                                  .kernel = {1, flat ? 1 : random_size(1, 3), random_size(6, 90)},
                                  .stride = {1, random_size(1, 2), random_size(3, 9)},
                                  .dilation = {1, 1, random_size(1, 3)},
                                  .pad = {0, flat ? 0 : random_size(0, 2), random_size(0, 40)}};
    const size_t pad_end[3] = {0, flat ? 0 : random_size(0, 2), random_size(0, 40)};
    check(table, conv, pad_end);
  }
}

TABLE_TEST(random_three_dimensional) {
  for (int i = 0; i < 60; i++) {
    struct conv_f32 conv = {.channels = random_size(1, 3), .outputs = random_size(1, 9)};
    size_t pad_end[3];
    for (int d = 0; d < 3; d++) {
      conv.input[d] = random_size(1, 9);
      conv.kernel[d] = random_size(1, 3);
      conv.stride[d] = random_size(1, 3);
      conv.dilation[d] = random_size(1, 2);
      conv.pad[d] = random_size(0, 2);
      pad_end[d] = random_size(0, 2);
    }
    check(table, conv, pad_end);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_of_real_networks),
      cmocka_unit_test(random_two_dimensional),
      cmocka_unit_test(long_kernels_with_large_strides),
      cmocka_unit_test(random_three_dimensional),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
