/* bench_kernels [TABLE...] [SECTION...]: GFLOP/s of the matrix product, of ResNet-50's convolutions, of windows, of
 * elementwise functions and of the kernels on channel blocks, per kernel table and as a part of the multiply-add peak
 * measured next to it. Sections: gemm, gemm_i8 (with the table's overrides and without), conv, window, unary, blocked
 * (all convolutions by every algorithm), chosen (by the one that the table chooses). Best of several runs on one
 * thread.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ops/kernels/kernel_table.h"
#include "tools/bench/machine_limits.h"

/* Of processor time: what else runs on the machine disturbs it less. */
static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- data ---- */
static float *random_floats(size_t n) {
  static uint32_t state = 1;
  float *x = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64 + 64);
  if (!x) exit(2);
  for (size_t i = 0; i < n; i++) {
    state = state * 1664525u + 1013904223u;
    x[i] = (float)(int32_t)state * 0x1p-31f;
  }
  return x;
}

static void report(const char *what, double flops, double time, double peak) {
  printf("  %-44s %9.3f ms %8.1f GFLOP/s %5.1f %%\n", what, time * 1e3, flops / time * 1e-9,
         flops / time * 1e-9 / peak * 100);
}

static double bench_gemm(const struct kernel_table *table, double peak, size_t m, size_t n, size_t k, bool pack_a,
                         bool pack_b) {
  char what[80];
  float *a = random_floats(m * k), *b = random_floats(k * n), *c = random_floats(m * n);
  float *packed_a = random_floats(table->gemm_f32_packed_a_size(m, k));
  float *packed_b = random_floats(table->gemm_f32_packed_b_size(k, n));
  struct gemm_f32 gemm = {.m = m, .n = n, .k = k, .a = a, .b = b, .c = c, .c_row_stride = n};
  gemm.a_row_stride = k;
  gemm.a_column_stride = 1;
  gemm.b_row_stride = n;
  gemm.b_column_stride = 1;
  table->gemm_f32_pack_a(packed_a, a, m, k, k, 1);
  table->gemm_f32_pack_b(packed_b, b, k, n, n, 1);
  if (pack_a) gemm.packed_a = packed_a;
  if (pack_b) gemm.packed_b = packed_b;
  void *scratch = random_floats(table->gemm_f32_scratch_size(&gemm) / sizeof(float) + 1);
  const double flops = 2.0 * (double)m * (double)n * (double)k;
  const int runs = flops > 4e8 ? 10 : (int)(4e9 / (flops + 1e5));
  double best = 1e9;
  for (int run = 0; run < runs; run++) {
    const double start = seconds();
    table->gemm_f32_run(&gemm, 0, table->gemm_f32_row_panels(m), 0, table->gemm_f32_column_panels(n), scratch);
    const double time = seconds() - start;
    if (time < best) best = time;
  }
  snprintf(what, sizeof what, "gemm %zu x %zu x %zu%s%s", m, n, k, pack_a ? " A packed" : "",
           pack_b ? " B packed" : "");
  report(what, flops, best, peak);
  free(a), free(b), free(c), free(packed_a), free(packed_b), free(scratch);
  return best;
}

/* uint8_t times int8_t into int32_t, or requantised to uint8_t with zero points that take row sums. */
static void bench_gemm_i8(const struct kernel_table *table, double peak, size_t m, size_t n, size_t k,
                          bool requantise) {
  char what[80];
  const float scale = 1e-3f;
  const int32_t a_zero = 120, b_zero = 3;
  uint8_t *a = (uint8_t *)random_floats(m * k / 4 + 1), *b = (uint8_t *)random_floats(k * n / 4 + 1);
  void *c = random_floats(m * n), *packed_b = random_floats(table->gemm_i8_packed_b_size(k, n) / sizeof(float));
  table->gemm_i8_pack_b(packed_b, b, NORMA_INT8, k, n, n, 1, 0, table->gemm_i8_column_panels(n));
  struct gemm_i8 gemm = {.m = m, .n = n, .k = k, .a_type = NORMA_UINT8, .b_type = NORMA_INT8, .c_type = NORMA_INT32};
  gemm.a = a;
  gemm.a_row_stride = k;
  gemm.a_column_stride = 1;
  gemm.packed_b = packed_b;
  gemm.c = c;
  gemm.c_row_stride = n;
  if (requantise) {
    gemm.c_type = NORMA_UINT8;
    gemm.scale = &scale;
    gemm.a_zero = &a_zero;
    gemm.b_zero = &b_zero;
  }
  void *scratch = random_floats(table->gemm_i8_scratch_size(&gemm) / sizeof(float) + 1);
  const double operations = 2.0 * (double)m * (double)n * (double)k;
  const int runs = operations > 4e8 ? 10 : (int)(4e9 / (operations + 1e5));
  double best = 1e9;
  for (int run = 0; run < runs; run++) {
    const double start = seconds();
    table->gemm_i8_run(&gemm, 0, table->gemm_i8_row_panels(m), 0, table->gemm_i8_column_panels(n), scratch);
    const double time = seconds() - start;
    if (time < best) best = time;
  }
  snprintf(what, sizeof what, "gemm_i8 %zu x %zu x %zu%s", m, n, k, requantise ? " to uint8" : "");
  printf("  %-44s %9.3f ms %8.1f GOP/s   %5.1f %%\n", what, best * 1e3, operations / best * 1e-9,
         operations / best * 1e-9 / peak * 100);
  free(a), free(b), free(c), free(packed_b), free(scratch);
}

static void bench_gemms_i8(const struct kernel_table *table, const char *override, double peak) {
  printf(" gemm_i8%s%s, of 4 times the multiply-add peak:\n", *override ? " with " : "", override);
  for (int requantise = 0; requantise < 2; requantise++) {
    bench_gemm_i8(table, 4 * peak, 256, 256, 256, requantise);
    bench_gemm_i8(table, 4 * peak, 1024, 1024, 1024, requantise);
    bench_gemm_i8(table, 4 * peak, 1, 1024, 1024, requantise);
  }
  bench_gemm_i8(table, 4 * peak, 12544, 64, 27, true);
  bench_gemm_i8(table, 4 * peak, 784, 128, 1152, true);
  bench_gemm_i8(table, 4 * peak, 4, 1000, 2048, false);
}

/* The table as it is, and with each of its overrides. */
static void bench_overrides_i8(const struct kernel_table *table, double peak) {
  const struct kernel_override *override;
  char name[64];
  snprintf(name, sizeof name, "%s:plain", table->name);
  const struct kernel_table *plain = kernel_table_find(name);
  bench_gemms_i8(plain, "", peak);
  for (size_t i = 0; (override = kernel_override_at(i)); i++) {
    if (strcmp(override->table, table->name) != 0) continue;
    struct kernel_table with = *plain;
    override->apply(&with);
    if (with.gemm_i8_run != plain->gemm_i8_run) bench_gemms_i8(&with, override->name, peak);
  }
}

struct shape {
  size_t channels, outputs, size, kernel, stride;
  int count; /* how often ResNet-50 has it */
};

static double bench_conv(const struct kernel_table *table, double peak, struct shape shape) {
  char what[80];
  const size_t out = (shape.size + shape.stride - 1) / shape.stride;
  const size_t k = shape.channels * shape.kernel * shape.kernel;
  float *x = random_floats(shape.channels * shape.size * shape.size), *y = random_floats(shape.outputs * out * out);
  float *w = random_floats(shape.outputs * k), *packed = random_floats(shape.outputs * k);
  float *bias = random_floats(shape.outputs);
  struct conv_f32 conv = {.channels = shape.channels,
                          .outputs = shape.outputs,
                          .input = {1, shape.size, shape.size},
                          .output = {1, out, out},
                          .kernel = {1, shape.kernel, shape.kernel},
                          .stride = {1, shape.stride, shape.stride},
                          .dilation = {1, 1, 1},
                          .pad = {0, shape.kernel / 2, shape.kernel / 2},
                          .packed_weights = packed,
                          .epilogue = {.row_bias = bias, .activation = {.kind = UNARY_RELU}}};
  table->gemm_f32_pack_a(packed, w, shape.outputs, k, k, 1);
  void *scratch = random_floats(table->conv_f32_scratch_size(&conv) / sizeof(float) + 1);
  double best = 1e9;
  for (int run = 0; run < 12; run++) {
    const double start = seconds();
    table->conv_f32_run(&conv, x, y, 0, table->gemm_f32_row_panels(shape.outputs), 0, out * out, scratch);
    const double time = seconds() - start;
    if (time < best) best = time;
  }
  snprintf(what, sizeof what, "%2d x conv %4zu -> %4zu @ %3zu, %zux%zu stride %zu", shape.count, shape.channels,
           shape.outputs, shape.size, shape.kernel, shape.kernel, shape.stride);
  report(what, 2.0 * (double)k * (double)(shape.outputs * out * out), best, peak);
  free(x), free(y), free(w), free(packed), free(bias), free(scratch);
  return best;
}

/* Depthwise convolution of `channels` planes; half the bytes moved would be the copy's. */
static void bench_depthwise(const struct kernel_table *table, double peak, size_t channels, size_t size, size_t kernel,
                            size_t stride) {
  char what[80];
  const size_t out = (size + stride - 1) / stride;
  const struct window_2d window = {.input = {size, size},
                                   .output = {out, out},
                                   .kernel = {kernel, kernel},
                                   .stride = {stride, stride},
                                   .dilation = {1, 1},
                                   .pad = {kernel / 2, kernel / 2}};
  const struct activation relu6 = {.kind = UNARY_CLIP, .b = 6};
  float *x = random_floats(channels * size * size), *y = random_floats(channels * out * out);
  float *w = random_floats(channels * kernel * kernel);
  void *scratch = random_floats(table->window_scratch_size(&window) / sizeof(float) + 1);
  double best = 1e9, best_pool = 1e9;
  for (int run = 0; run < 20; run++) {
    const double start = seconds();
    for (size_t c = 0; c < channels; c++)
      table->depthwise_f32(&window, x + c * size * size, w + c * kernel * kernel, 0.5f, NULL, relu6, y + c * out * out,
                           scratch);
    const double middle = seconds();
    for (size_t c = 0; c < channels; c++) table->max_pool_f32(&window, x + c * size * size, y + c * out * out, scratch);
    const double end = seconds();
    if (middle - start < best) best = middle - start;
    if (end - middle < best_pool) best_pool = end - middle;
  }
  const double flops = 2.0 * (double)(channels * out * out * kernel * kernel);
  snprintf(what, sizeof what, "depthwise %4zu @ %3zu, %zux%zu stride %zu", channels, size, kernel, kernel, stride);
  report(what, flops, best, peak);
  snprintf(what, sizeof what, "max pool  %4zu @ %3zu, %zux%zu stride %zu", channels, size, kernel, kernel, stride);
  report(what, flops, best_pool, peak);
  free(x), free(y), free(w), free(scratch);
}

static void bench_unary(const struct kernel_table *table) {
  static const char *const names[] = {
#define UNARY_NAME(NAME, function, formula) #function,
      UNARY_KINDS(UNARY_NAME)
#undef UNARY_NAME
  };
  enum { COUNT = 4096, REPEAT = 100 };
  float *x = random_floats(COUNT), *y = random_floats(COUNT);
  printf("  elements per nanosecond:");
  for (int kind = 0; kind < UNARY_KIND_COUNT; kind++) {
    double best = 1e9;
    for (int run = 0; run < 10; run++) {
      const double start = seconds();
      for (int i = 0; i < REPEAT; i++) table->unary_f32[kind](y, x, COUNT, 0.5f, 1);
      const double time = seconds() - start;
      if (time < best) best = time;
    }
    printf(" %s %.1f", names[kind], COUNT * REPEAT / best * 1e-9);
  }
  printf("\n");
  free(x), free(y);
}

static const struct shape resnet50[] = {
    {3, 64, 224, 7, 2, 1},     {64, 64, 56, 1, 1, 1},    {64, 64, 56, 3, 1, 3},    {64, 256, 56, 1, 1, 4},
    {256, 64, 56, 1, 1, 2},    {256, 128, 56, 1, 1, 1},  {128, 128, 56, 3, 2, 1},  {128, 512, 28, 1, 1, 4},
    {256, 512, 56, 1, 2, 1},   {512, 128, 28, 1, 1, 3},  {128, 128, 28, 3, 1, 3},  {512, 256, 28, 1, 1, 1},
    {256, 256, 28, 3, 2, 1},   {256, 1024, 14, 1, 1, 6}, {512, 1024, 28, 1, 2, 1}, {1024, 256, 14, 1, 1, 5},
    {256, 256, 14, 3, 1, 5},   {1024, 512, 14, 1, 1, 1}, {512, 512, 14, 3, 2, 1},  {512, 2048, 7, 1, 1, 3},
    {1024, 2048, 14, 1, 2, 1}, {2048, 512, 7, 1, 1, 2},  {512, 512, 7, 3, 1, 2},
};

/* ---- channel blocks ---- */
struct blocked_shape {
  const char *model;
  struct shape shape;
};

static const struct blocked_shape blocked_shapes[] = {
    {"ResNet-50", {3, 64, 224, 7, 2, 1}},      {"ResNet-50", {64, 64, 56, 1, 1, 1}},
    {"ResNet-50", {64, 64, 56, 3, 1, 3}},      {"ResNet-50", {64, 256, 56, 1, 1, 4}},
    {"ResNet-50", {256, 64, 56, 1, 1, 2}},     {"ResNet-50", {256, 128, 56, 1, 1, 1}},
    {"ResNet-50", {128, 128, 56, 3, 2, 1}},    {"ResNet-50", {128, 512, 28, 1, 1, 4}},
    {"ResNet-50", {256, 512, 56, 1, 2, 1}},    {"ResNet-50", {512, 128, 28, 1, 1, 3}},
    {"ResNet-50", {128, 128, 28, 3, 1, 3}},    {"ResNet-50", {512, 256, 28, 1, 1, 1}},
    {"ResNet-50", {256, 256, 28, 3, 2, 1}},    {"ResNet-50", {256, 1024, 14, 1, 1, 6}},
    {"ResNet-50", {512, 1024, 28, 1, 2, 1}},   {"ResNet-50", {1024, 256, 14, 1, 1, 5}},
    {"ResNet-50", {256, 256, 14, 3, 1, 5}},    {"ResNet-50", {1024, 512, 14, 1, 1, 1}},
    {"ResNet-50", {512, 512, 14, 3, 2, 1}},    {"ResNet-50", {512, 2048, 7, 1, 1, 3}},
    {"ResNet-50", {1024, 2048, 14, 1, 2, 1}},  {"ResNet-50", {2048, 512, 7, 1, 1, 2}},
    {"ResNet-50", {512, 512, 7, 3, 1, 2}},     {"VGG-19", {3, 64, 224, 3, 1, 1}},
    {"VGG-19", {64, 64, 224, 3, 1, 1}},        {"VGG-19", {64, 128, 112, 3, 1, 1}},
    {"VGG-19", {128, 128, 112, 3, 1, 1}},      {"VGG-19", {128, 256, 56, 3, 1, 1}},
    {"VGG-19", {256, 256, 56, 3, 1, 3}},       {"VGG-19", {256, 512, 28, 3, 1, 1}},
    {"VGG-19", {512, 512, 28, 3, 1, 3}},       {"VGG-19", {512, 512, 14, 3, 1, 4}},
    {"MobileNet v1", {3, 32, 224, 3, 2, 1}},   {"MobileNet v1", {32, 64, 112, 1, 1, 1}},
    {"MobileNet v1", {64, 128, 56, 1, 1, 1}},  {"MobileNet v1", {128, 128, 56, 1, 1, 1}},
    {"MobileNet v1", {128, 256, 28, 1, 1, 1}}, {"MobileNet v1", {256, 256, 28, 1, 1, 1}},
    {"MobileNet v1", {256, 512, 14, 1, 1, 1}}, {"MobileNet v1", {512, 512, 14, 1, 1, 5}},
    {"MobileNet v1", {512, 1024, 7, 1, 1, 1}}, {"MobileNet v1", {1024, 1024, 7, 1, 1, 1}},
    {"MobileNet v2", {32, 16, 112, 1, 1, 1}},  {"MobileNet v2", {16, 96, 112, 1, 1, 1}},
    {"MobileNet v2", {96, 24, 56, 1, 1, 1}},   {"MobileNet v2", {24, 144, 56, 1, 1, 2}},
    {"MobileNet v2", {144, 24, 56, 1, 1, 1}},  {"MobileNet v2", {144, 32, 28, 1, 1, 1}},
    {"MobileNet v2", {32, 192, 28, 1, 1, 3}},  {"MobileNet v2", {192, 32, 28, 1, 1, 2}},
    {"MobileNet v2", {64, 384, 14, 1, 1, 4}},  {"MobileNet v2", {384, 64, 14, 1, 1, 3}},
    {"MobileNet v2", {384, 96, 14, 1, 1, 1}},  {"MobileNet v2", {96, 576, 14, 1, 1, 3}},
    {"MobileNet v2", {160, 960, 7, 1, 1, 3}},  {"MobileNet v2", {960, 160, 7, 1, 1, 2}},
    {"SqueezeNet", {64, 16, 55, 1, 1, 1}},     {"SqueezeNet", {16, 64, 55, 3, 1, 2}},
    {"SqueezeNet", {32, 128, 27, 3, 1, 2}},    {"SqueezeNet", {48, 192, 13, 3, 1, 2}},
    {"SqueezeNet", {64, 256, 13, 3, 1, 2}},    {"SqueezeNet", {512, 1000, 13, 1, 1, 1}},
    {"DenseNet-121", {64, 128, 56, 1, 1, 1}},  {"DenseNet-121", {128, 32, 56, 3, 1, 6}},
    {"DenseNet-121", {256, 128, 28, 1, 1, 1}}, {"DenseNet-121", {128, 32, 28, 3, 1, 12}},
    {"DenseNet-121", {512, 128, 14, 1, 1, 1}}, {"DenseNet-121", {128, 32, 14, 3, 1, 24}},
    {"DenseNet-121", {128, 32, 7, 3, 1, 16}},  {"AlexNet", {3, 64, 224, 11, 4, 1}},
    {"AlexNet", {64, 192, 27, 5, 1, 1}},       {"AlexNet", {192, 384, 13, 3, 1, 1}},
};

/* One convolution by one algorithm, or by the one that the table chooses if that is not given. */
static double bench_blocked_conv(const struct kernel_table *table, double peak, const struct blocked_shape *blocked,
                                 const enum blocked_algorithm *algorithm) {
  static const char *const names[] = {"direct", "F(2x2)", "F(4x4)"};
  char what[100];
  const struct shape shape = blocked->shape;
  const size_t b = table->channel_block[NORMA_FLOAT], out = (shape.size + shape.stride - 1) / shape.stride;
  const size_t k = shape.channels * shape.kernel * shape.kernel, outputs = (shape.outputs + b - 1) / b * b;
  struct blocked_conv_f32 conv = {.type = NORMA_FLOAT,
                                  .channels = shape.channels,
                                  .outputs = shape.outputs,
                                  .input = {shape.size, shape.size},
                                  .output = {out, out},
                                  .kernel = {shape.kernel, shape.kernel},
                                  .stride = {shape.stride, shape.stride},
                                  .dilation = {1, 1},
                                  .pad = {shape.kernel / 2, shape.kernel / 2},
                                  .plain_input = shape.channels < 4,
                                  .activation = {.kind = UNARY_RELU}};
  conv.algorithm = algorithm ? *algorithm : table->blocked_conv_choose(&conv, false);
  float *x = random_floats((shape.channels + b - 1) / b * b * shape.size * shape.size);
  float *y = random_floats(outputs * out * out), *w = random_floats(shape.outputs * k);
  float *packed = random_floats(table->blocked_conv_packed_size(&conv)), *bias = random_floats(outputs);
  void *scratch = random_floats(table->blocked_conv_scratch_size(&conv) / sizeof(float) + 1);
  table->blocked_conv_pack(&conv, packed, w, 0, conv.outputs);
  conv.packed_weights = packed;
  conv.bias = bias;
  const size_t units = table->blocked_conv_divide(&conv, 1, 1);
  const double flops = 2.0 * (double)k * (double)(shape.outputs * out * out);
  const int runs = flops > 1e9 ? 5 : 15;
  double best = 1e9;
  for (int run = 0; run < runs; run++) {
    const double start = seconds();
    table->blocked_conv_run(&conv, x, y, 0, units, scratch);
    const double time = seconds() - start;
    if (time < best) best = time;
  }
  snprintf(what, sizeof what, "%-12s %2d x %4zu -> %4zu @ %3zu, %zux%zu/%zu %s", blocked->model, shape.count,
           shape.channels, shape.outputs, shape.size, shape.kernel, shape.kernel, shape.stride, names[conv.algorithm]);
  report(what, flops, best, peak);
  free(x), free(y), free(w), free(packed), free(bias), free(scratch);
  return best;
}

static void bench_blocked_convs(const struct kernel_table *table, double peak, bool every_algorithm) {
  static const enum blocked_algorithm algorithms[] = {BLOCKED_DIRECT, BLOCKED_WINOGRAD_2, BLOCKED_WINOGRAD_4};
  double total = 0;
  for (size_t s = 0; s < sizeof blocked_shapes / sizeof *blocked_shapes; s++) {
    const struct blocked_shape *blocked = &blocked_shapes[s];
    const bool winograd = blocked->shape.kernel == 3 && blocked->shape.stride == 1 && blocked->shape.channels > 3;
    if (!every_algorithm)
      total += blocked->shape.count * bench_blocked_conv(table, peak, blocked, NULL);
    else
      for (int i = 0; i < (winograd ? 3 : 1); i++) bench_blocked_conv(table, peak, blocked, &algorithms[i]);
    if (!every_algorithm &&
        (s + 1 == sizeof blocked_shapes / sizeof *blocked_shapes || strcmp(blocked->model, blocked[1].model) != 0)) {
      printf("  %s: %.3f ms\n", blocked->model, total * 1e3);
      total = 0;
    }
  }
}

/* Bytes read and written per nanosecond by the kernels that are bound by memory, on `blocks` channel blocks. */
static void bench_blocked_windows(const struct kernel_table *table, size_t channels, size_t size, size_t kernel,
                                  size_t stride) {
  const size_t b = table->channel_block[NORMA_FLOAT], blocks = (channels + b - 1) / b,
               out = (size + stride - 1) / stride;
  const struct window_2d window = {.input = {size, size},
                                   .output = {out, out},
                                   .kernel = {kernel, kernel},
                                   .stride = {stride, stride},
                                   .dilation = {1, 1},
                                   .pad = {kernel / 2, kernel / 2}};
  const struct activation relu6 = {.kind = UNARY_CLIP, .b = 6};
  const size_t in_block = size * size * b, out_block = out * out * b, pad_end[2] = {kernel / 2, kernel / 2};
  float *x = random_floats(blocks * in_block), *y = random_floats(blocks * in_block);
  float *w = random_floats(blocks * kernel * kernel * b), *bias = random_floats(blocks * b);
  double best[8];
  for (int i = 0; i < 8; i++) best[i] = 1e9;
  for (int run = 0; run < 20; run++)
    for (int i = 0; i < 8; i++) {
      const double start = seconds();
      for (size_t block = 0; block < blocks; block++) {
        const float *from = x + block * in_block;
        if (i == 0)
          table->blocked_depthwise_f32(&window, from, w + block * kernel * kernel * b, bias + block * b, NULL, relu6,
                                       y + block * out_block);
        else if (i == 1)
          table->blocked_max_pool_f32(&window, from, y + block * out_block);
        else if (i == 2)
          table->blocked_average_pool_f32(&window, false, pad_end, from, y + block * out_block);
        else if (i == 3)
          table->blocked_sum_f32(y + block * b, from, size * size);
        else if (i == 4)
          table->blocked_affine_f32(y + block * in_block, from, NULL, size * size, bias, bias, relu6);
        else if (i == 5)
          table->block_channels(y + block * in_block, from, b, size * size, NORMA_FLOAT);
        else if (i == 6)
          table->unblock_channels(y + block * in_block, from, b, size * size, NORMA_FLOAT);
        else
          memcpy(y + block * in_block, from, in_block * sizeof(float));
      }
      const double time = seconds() - start;
      if (time < best[i]) best[i] = time;
    }
  const double in = (double)(blocks * in_block * sizeof(float)), to = (double)(blocks * out_block * sizeof(float));
  printf("  %4zu @ %3zu, %zux%zu/%zu, GB/s: depthwise %.1f (%.3f ms) max %.1f average %.1f sum %.1f affine %.1f block "
         "%.1f "
         "unblock %.1f memcpy %.1f\n",
         channels, size, kernel, kernel, stride, (in + to) / best[0] * 1e-9, best[0] * 1e3, (in + to) / best[1] * 1e-9,
         (in + to) / best[2] * 1e-9, in / best[3] * 1e-9, 2 * in / best[4] * 1e-9, 2 * in / best[5] * 1e-9,
         2 * in / best[6] * 1e-9, 2 * in / best[7] * 1e-9);
  free(x), free(y), free(w), free(bias);
}

/* True if `name` is among the arguments, or if no argument is one of the sections. */
static bool section_wanted(int argc, char **argv, const char *name) {
  static const char *const sections[] = {"gemm", "gemm_i8", "conv", "window", "unary", "blocked", "chosen"};
  bool any = false;
  for (int arg = 1; arg < argc; arg++) {
    if (strcmp(argv[arg], name) == 0) return true;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) any = any || strcmp(argv[arg], sections[i]) == 0;
  }
  return !any;
}

static bool table_wanted(int argc, char **argv, const char *name) {
  bool any = false;
  for (int arg = 1; arg < argc; arg++) {
    if (strcmp(argv[arg], name) == 0) return true;
    any = any || kernel_table_find(argv[arg]);
  }
  return !any;
}

int main(int argc, char **argv) {
  const struct kernel_table *table;
  for (size_t i = 0; (table = kernel_table_at(i)); i++) {
    if (!table_wanted(argc, argv, table->name)) continue;

    const double peak = limits_multiply_add(table->name, 1) * 1e-9;
    printf("%s: multiply-add peak %.1f GFLOP/s\n", table->name, peak);
    if (section_wanted(argc, argv, "gemm")) {
      bench_gemm(table, peak, 672, 672, 256, true, true);
      bench_gemm(table, peak, 1024, 1024, 1024, true, true);
      bench_gemm(table, peak, 1024, 1024, 1024, false, true);
      bench_gemm(table, peak, 1024, 1024, 1024, false, false);
      bench_gemm(table, peak, 128, 768, 768, false, true);
      bench_gemm(table, peak, 128, 128, 64, false, false);
      bench_gemm(table, peak, 16, 16, 16, false, false);
      bench_gemm(table, peak, 1, 1000, 2048, false, true);
      bench_gemm(table, peak, 1, 1000, 2048, false, false);
      bench_gemm(table, peak, 4, 1000, 2048, false, true);
    }
    if (section_wanted(argc, argv, "gemm_i8")) bench_overrides_i8(table, peak);
    if (section_wanted(argc, argv, "conv")) {
      double total = 0;
      for (size_t s = 0; s < sizeof resnet50 / sizeof *resnet50; s++)
        total += resnet50[s].count * bench_conv(table, peak, resnet50[s]);
      report("ResNet-50's convolutions", 2 * 4.087e9, total, peak);
    }
    if (section_wanted(argc, argv, "window")) {
      bench_depthwise(table, peak, 32, 112, 3, 1);
      bench_depthwise(table, peak, 64, 112, 3, 2);
      bench_depthwise(table, peak, 256, 28, 3, 1);
      bench_depthwise(table, peak, 512, 14, 3, 1);
      bench_depthwise(table, peak, 1024, 7, 3, 1);
      bench_depthwise(table, peak, 240, 28, 5, 1);
      bench_depthwise(table, peak, 64, 112, 2, 2);
      bench_blocked_windows(table, 32, 112, 3, 1);
      bench_blocked_windows(table, 64, 112, 3, 2);
      bench_blocked_windows(table, 256, 28, 3, 1);
      bench_blocked_windows(table, 512, 14, 3, 1);
      bench_blocked_windows(table, 1024, 7, 3, 1);
      bench_blocked_windows(table, 240, 28, 5, 1);
    }
    if (section_wanted(argc, argv, "unary")) bench_unary(table);
    if (section_wanted(argc, argv, "blocked")) bench_blocked_convs(table, peak, true);
    if (section_wanted(argc, argv, "chosen")) bench_blocked_convs(table, peak, false);
  }
  return 0;
}
