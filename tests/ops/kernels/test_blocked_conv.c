/* Convolution on channel blocks, every algorithm, against the loops of the definition in double precision. */
#include "tests/ops/kernels/kernel_test.h"

static size_t output_size(size_t input, size_t kernel, size_t stride, size_t dilation, size_t pads) {
  const size_t extent = (kernel - 1) * dilation + 1;
  return input + pads < extent ? 0 : (input + pads - extent) / stride + 1;
}

/* x is plain: [channels][input]. */
static double naive_element(const struct blocked_conv_f32 *conv, const float *x, const float *w, size_t o, size_t p0,
                            size_t p1, double *scale) {
  double sum = 0;
  for (size_t c = 0; c < conv->channels; c++)
    for (size_t k0 = 0; k0 < conv->kernel[0]; k0++)
      for (size_t k1 = 0; k1 < conv->kernel[1]; k1++) {
        const ptrdiff_t i0 = (ptrdiff_t)(p0 * conv->stride[0] + k0 * conv->dilation[0]) - (ptrdiff_t)conv->pad[0];
        const ptrdiff_t i1 = (ptrdiff_t)(p1 * conv->stride[1] + k1 * conv->dilation[1]) - (ptrdiff_t)conv->pad[1];
        if (i0 < 0 || i1 < 0 || i0 >= (ptrdiff_t)conv->input[0] || i1 >= (ptrdiff_t)conv->input[1]) continue;
        const double term = (double)x[(c * conv->input[0] + (size_t)i0) * conv->input[1] + (size_t)i1] *
                            w[((o * conv->channels + c) * conv->kernel[0] + k0) * conv->kernel[1] + k1];
        sum += term;
        *scale += fabs(term);
      }
  return sum;
}

/* Channel c of pixel p of a blocked tensor. */
static size_t place(const struct kernel_table *table, size_t pixels, size_t c, size_t p) {
  const size_t b = table->channel_block[NORMA_FLOAT];
  return (c / b * pixels + p) * b + c % b;
}

/* [channels][pixels] into blocks, NaN in the padding lanes. */
static float *blocked_copy(const struct kernel_table *table, const float *x, size_t channels, size_t pixels) {
  const size_t b = table->channel_block[NORMA_FLOAT], size = (channels + b - 1) / b * b * pixels;
  float *y = float_buffer(size);
  for (size_t i = 0; i < size; i++) y[i] = NAN;
  for (size_t c = 0; c < channels; c++)
    for (size_t p = 0; p < pixels; p++) y[place(table, pixels, c, p)] = x[c * pixels + p];
  return y;
}

/* All units for `workers`, in calls of one unit or of random runs of units; y begins as a copy of `start`. */
static void *run(const struct kernel_table *table, const struct blocked_conv_f32 *conv, int workers, const void *x,
                 const void *start, size_t size) {
  const size_t bytes = size * (conv->type == NORMA_FLOAT ? sizeof(float) : sizeof(uint16_t));
  struct blocked_conv_f32 local = *conv;
  const size_t units = table->blocked_conv_divide(&local, random_size(1, 2), workers);
  void *y = exact_buffer(bytes), *scratch = exact_buffer(table->blocked_conv_scratch_size(conv));
  memcpy(y, start, bytes);
  if (conv->residual == start) local.residual = y;
  assert_true(units > 0);
  for (size_t unit = 0; unit < units;) {
    const size_t left = units - unit, some = workers == 1 ? left : random_size(1, left < 5 ? left : 5);
    table->blocked_conv_run(&local, x, y, unit, unit + some, scratch);
    unit += some;
  }
  free(scratch);
  return y;
}

static float *pack(const struct kernel_table *table, const struct blocked_conv_f32 *conv, const void *weights) {
  const size_t bytes = conv->channels * conv->kernel[0] * conv->kernel[1] *
                       (conv->type == NORMA_FLOAT ? sizeof(float) : sizeof(uint16_t));
  float *packed = float_buffer(table->blocked_conv_packed_size(conv));
  for (size_t first = 0, count; first < conv->outputs; first += count) {
    count = random_size(1, 3) * table->channel_block[conv->type];
    if (count > conv->outputs - first) count = conv->outputs - first;
    void *piece = exact_buffer(count * bytes);
    memcpy(piece, (const char *)weights + first * bytes, count * bytes);
    table->blocked_conv_pack(conv, packed, piece, first, count);
    free(piece);
  }
  return packed;
}

/* Numbers of half precision, and `x` becomes the same in float. */
static uint16_t *half_copy(const struct kernel_table *table, norma_element_type type, float *x, size_t n) {
  uint16_t *y = exact_buffer(n * sizeof *y);
  (type == NORMA_FLOAT16 ? table->f32_to_f16 : table->f32_to_bf16)(y, x, n);
  (type == NORMA_FLOAT16 ? table->f16_to_f32 : table->bf16_to_f32)(x, y, n);
  return y;
}

/* With inputs and weights of half precision the result is that of float, rounded once. */
static void check_half(const struct kernel_table *table, const struct blocked_conv_f32 *conv, norma_element_type type,
                       float *x, size_t x_size, float *w, float *residual, size_t size, const char *what) {
  const size_t pixels = conv->output[0] * conv->output[1];
  struct blocked_conv_f32 wide = *conv, half = *conv;
  const size_t w_size = conv->outputs * conv->channels * conv->kernel[0] * conv->kernel[1];
  uint16_t *half_x = half_copy(table, type, x, x_size), *half_w = half_copy(table, type, w, w_size);
  uint16_t *half_residual = half_copy(table, type, residual, size);
  half.type = type;
  half.residual = conv->residual ? half_residual : NULL;
  float *packed = pack(table, &wide, w), *half_packed = pack(table, &half, half_w);
  wide.packed_weights = packed;
  half.packed_weights = half_packed;
  float *expected = run(table, &wide, 1, x, residual, size);
  uint16_t *rounded = half_copy(table, type, expected, size);
  for (int workers = 1; workers <= 3; workers += 2) {
    uint16_t *got = run(table, &half, workers, half_x, half_residual, size);
    for (size_t o = 0; o < conv->outputs; o++)
      for (size_t p = 0; p < pixels; p++) {
        const size_t at = place(table, pixels, o, p);
        expect_same_bits(table, what, got + at, rounded + at, sizeof *got);
      }
    free(got);
  }
  free(half_x), free(half_w), free(half_residual), free(packed), free(half_packed), free(expected), free(rounded);
}

static double activate(struct activation activation, double x) {
  if (activation.kind == UNARY_RELU) return x < 0 ? 0 : x;
  return activation.kind == UNARY_TANH ? tanh(x) : x;
}

static void check(const struct kernel_table *table, struct blocked_conv_f32 conv, const size_t pad_end[2],
                  double tolerance) {
  static const struct activation activations[] = {{UNARY_IDENTITY, 0, 0}, {UNARY_RELU, 0, 0}, {UNARY_TANH, 0, 0}};
  for (int d = 0; d < 2; d++) {
    conv.output[d] =
        output_size(conv.input[d], conv.kernel[d], conv.stride[d], conv.dilation[d], conv.pad[d] + pad_end[d]);
    if (!conv.output[d]) return;
  }
  char what[200];
  snprintf(what, sizeof what,
           "algorithm %d%s %zu->%zu, %zux%zu, kernel %zux%zu, stride %zux%zu, dilation %zux%zu, pad %zux%zu",
           (int)conv.algorithm, conv.plain_input ? " plain" : "", conv.channels, conv.outputs, conv.input[0],
           conv.input[1], conv.kernel[0], conv.kernel[1], conv.stride[0], conv.stride[1], conv.dilation[0],
           conv.dilation[1], conv.pad[0], conv.pad[1]);
  const size_t b = table->channel_block[NORMA_FLOAT], inputs = conv.input[0] * conv.input[1];
  const size_t pixels = conv.output[0] * conv.output[1], outputs = (conv.outputs + b - 1) / b * b;
  const size_t k = conv.channels * conv.kernel[0] * conv.kernel[1], size = outputs * pixels;
  float *x = random_floats(conv.channels * inputs), *blocked_x = blocked_copy(table, x, conv.channels, inputs);
  float *w = random_floats(conv.outputs * k), *bias = random_floats(outputs), *residual = random_floats(size);
  for (size_t o = conv.outputs; o < outputs; o++) bias[o] = 0;
  conv.type = NORMA_FLOAT;
  float *packed = pack(table, &conv, w);
  conv.packed_weights = packed;
  if (random_bits() & 1) conv.bias = bias;
  if (random_bits() & 1) conv.residual = residual;
  conv.activation = activations[random_bits() % 3];

  const float *from = conv.plain_input ? x : blocked_x;
  float *y = run(table, &conv, 1, from, residual, size);
  for (int workers = 2; workers <= 7; workers += 5) {
    float *split = run(table, &conv, workers, from, residual, size);
    for (size_t o = 0; o < conv.outputs; o++)
      for (size_t p = 0; p < pixels; p++) {
        const size_t at = place(table, pixels, o, p);
        expect_same_bits(table, what, split + at, y + at, sizeof(float));
      }
    free(split);
  }
  for (size_t o = 0; o < conv.outputs; o++)
    for (size_t p = 0; p < pixels; p++) {
      const size_t at = place(table, pixels, o, p);
      double scale = 2, sum = naive_element(&conv, x, w, o, p / conv.output[1], p % conv.output[1], &scale);
      if (conv.bias) sum += bias[o];
      if (conv.residual) sum += residual[at];
      expect_close(table, what, at, y[at], activate(conv.activation, sum), scale, tolerance);
    }
  const norma_element_type half = random_bits() & 1 ? NORMA_FLOAT16 : NORMA_BFLOAT16;
  float *own = conv.plain_input ? x : blocked_x;
  const size_t x_size = conv.plain_input ? conv.channels * inputs : (conv.channels + b - 1) / b * b * inputs;
  check_half(table, &conv, half, own, x_size, w, residual, size, what);
  free(x), free(blocked_x), free(w), free(bias), free(residual), free(packed), free(y);
}

static void check_square(const struct kernel_table *table, size_t channels, size_t outputs, size_t size, size_t kernel,
                         size_t stride, size_t pad, bool plain) {
  const struct blocked_conv_f32 conv = {.channels = channels,
                                        .outputs = outputs,
                                        .input = {size, size},
                                        .kernel = {kernel, kernel},
                                        .stride = {stride, stride},
                                        .dilation = {1, 1},
                                        .pad = {pad, pad},
                                        .plain_input = plain};
  const size_t pad_end[2] = {pad, pad};
  check(table, conv, pad_end, 1e-6);
}

TABLE_TEST(shapes_of_real_networks) {
  check_square(table, 3, 40, 33, 7, 2, 3, true);
  check_square(table, 3, 24, 47, 11, 4, 0, true);
  check_square(table, 1, 8, 28, 5, 1, 2, true);
  check_square(table, 3, 32, 35, 3, 2, 1, true);
  check_square(table, 40, 33, 7, 3, 1, 1, false);
  check_square(table, 300, 100, 14, 1, 1, 0, false);
  check_square(table, 600, 50, 7, 1, 1, 0, false);
  check_square(table, 24, 96, 14, 1, 2, 0, false);
  check_square(table, 32, 24, 13, 5, 1, 2, false);
  check_square(table, 130, 20, 7, 3, 2, 1, false);
  check_square(table, 16, 16, 150, 3, 1, 1, false);
}

static struct blocked_conv_f32 random_conv(void) {
  struct blocked_conv_f32 conv = {.channels = random_size(1, 40), .outputs = random_size(1, 70)};
  for (int d = 0; d < 2; d++) {
    conv.input[d] = random_size(1, 24);
    conv.kernel[d] = random_size(1, 4);
    conv.stride[d] = random_size(1, 3);
    conv.dilation[d] = random_size(1, 3);
    conv.pad[d] = random_size(0, 4);
  }
  return conv;
}

TABLE_TEST(random_blocked) {
  for (int i = 0; i < 200; i++) {
    struct blocked_conv_f32 conv = random_conv();
    const size_t pad_end[2] = {random_size(0, 4), random_size(0, 4)};
    if (i % 3 == 0) conv.kernel[0] = conv.kernel[1] = 1;
    if (i % 6 == 0) conv.pad[0] = conv.pad[1] = 0, conv.stride[0] = conv.stride[1] = 1;
    check(table, conv, pad_end, 1e-6);
  }
}

TABLE_TEST(random_plain) {
  for (int i = 0; i < 100; i++) {
    struct blocked_conv_f32 conv = random_conv();
    const size_t pad_end[2] = {random_size(0, 4), random_size(0, 4)};
    conv.plain_input = true;
    conv.channels = random_size(1, 5);
    check(table, conv, pad_end, 1e-6);
  }
}

TABLE_TEST(random_winograd) {
  for (int i = 0; i < 120; i++) {
    struct blocked_conv_f32 conv = random_conv();
    const size_t pad_end[2] = {random_size(0, 3), random_size(0, 3)};
    conv.algorithm = i & 1 ? BLOCKED_WINOGRAD_4 : BLOCKED_WINOGRAD_2;
    for (int d = 0; d < 2; d++) {
      conv.kernel[d] = 3;
      conv.stride[d] = conv.dilation[d] = 1;
      conv.pad[d] = random_size(0, 3);
    }
    if (i % 10 == 0) conv.channels = random_size(250, 300);
    check(table, conv, pad_end, i & 1 ? 1.2e-5 : 1e-6);
  }
}

TABLE_TEST(large_winograd) {
  for (int algorithm = BLOCKED_WINOGRAD_2; algorithm <= BLOCKED_WINOGRAD_4; algorithm++) {
    const struct blocked_conv_f32 conv = {.channels = 17,
                                          .outputs = 50,
                                          .input = {75, 83},
                                          .kernel = {3, 3},
                                          .stride = {1, 1},
                                          .dilation = {1, 1},
                                          .pad = {1, 1},
                                          .algorithm = (enum blocked_algorithm)algorithm};
    const size_t pad_end[2] = {1, 1};
    check(table, conv, pad_end, algorithm == BLOCKED_WINOGRAD_4 ? 1.2e-5 : 1e-6);
  }
}

/* Inputs so large and weights so few that they are cut in bands: rows that are lines, rows that join to one line,
 * pixels of a 1x1 convolution, planes of a plain input. The last band is smaller than the others. */
TABLE_TEST(several_bands) {
  static const struct {
    size_t channels, outputs, input[2], kernel, stride, dilation, pad;
    bool plain;
  } shapes[] = {
      {200, 10, {83, 30}, 3, 1, 1, 1, false},  {200, 10, {83, 9}, 3, 1, 1, 1, false},
      {150, 20, {99, 17}, 3, 2, 1, 1, false},  {150, 20, {60, 9}, 3, 2, 3, 2, false},
      {120, 5, {50, 9}, 2, 5, 1, 0, false},    {100, 30, {41, 51}, 1, 1, 1, 0, false},
      {100, 30, {83, 103}, 1, 2, 1, 0, false}, {5, 20, {201, 203}, 3, 2, 1, 1, true},
  };
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    struct blocked_conv_f32 conv = {
        .channels = shapes[i].channels, .outputs = shapes[i].outputs, .plain_input = shapes[i].plain};
    for (int d = 0; d < 2; d++) {
      conv.input[d] = shapes[i].input[d];
      conv.kernel[d] = shapes[i].kernel;
      conv.stride[d] = shapes[i].stride;
      conv.dilation[d] = shapes[i].dilation;
      conv.pad[d] = shapes[i].pad;
    }
    check(table, conv, conv.pad, 1e-6);
  }
}

/* Exactness forbids Winograd; so does any shape that it is not made for. */
TABLE_TEST(choice_of_the_algorithm) {
  struct blocked_conv_f32 conv = {.channels = 64,
                                  .outputs = 64,
                                  .input = {56, 56},
                                  .output = {56, 56},
                                  .kernel = {3, 3},
                                  .stride = {1, 1},
                                  .dilation = {1, 1},
                                  .pad = {1, 1}};
  assert_int_equal(table->blocked_conv_choose(&conv, true), BLOCKED_DIRECT);
  assert_int_equal(table->blocked_conv_choose(&conv, false), BLOCKED_WINOGRAD_4);
  conv.stride[1] = 2;
  assert_int_equal(table->blocked_conv_choose(&conv, false), BLOCKED_DIRECT);
  conv.stride[1] = 1;
  conv.dilation[0] = 2;
  assert_int_equal(table->blocked_conv_choose(&conv, false), BLOCKED_DIRECT);
  conv.dilation[0] = 1;
  conv.kernel[0] = 1;
  assert_int_equal(table->blocked_conv_choose(&conv, false), BLOCKED_DIRECT);
  conv.kernel[0] = 3;
  conv.plain_input = true;
  assert_int_equal(table->blocked_conv_choose(&conv, false), BLOCKED_DIRECT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_of_real_networks), cmocka_unit_test(random_blocked), cmocka_unit_test(random_plain),
      cmocka_unit_test(random_winograd),         cmocka_unit_test(large_winograd), cmocka_unit_test(several_bands),
      cmocka_unit_test(choice_of_the_algorithm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
