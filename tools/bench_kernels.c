/* bench_kernels [TABLE...]: GFLOP/s of the matrix product and of ResNet-50's convolutions, per kernel table and as a
 * part of the multiply-add peak measured next to it. Best of several runs on one thread. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ops/kernels/kernel_table.h"

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the peak: twelve independent chains of multiply-adds, in assembly so that no compiler has a say ---- */
#define TWELVE(line)                                                                                                   \
  line("0") line("1") line("2") line("3") line("4") line("5") line("6") line("7") line("8") line("9") line("10")       \
      line("11")
#define FMA_ZMM(r)  "vfmadd231ps %%zmm12, %%zmm13, %%zmm" r "\n"
#define FMA_YMM(r)  "vfmadd231ps %%ymm12, %%ymm13, %%ymm" r "\n"
#define FMA_XMM(r)  "movaps %%xmm12, %%xmm14\n mulps %%xmm13, %%xmm14\n addps %%xmm14, %%xmm" r "\n"
#define FMA_NEON(r) "fmla v" r ".4s, v12.4s, v13.4s\n"
#define PEAK_LOOP(line, ...)                                                                                           \
  for (int i = 0; i < 1000000; i++) __asm__ volatile(TWELVE(line)::: __VA_ARGS__)
#define FIRST_14_XMM                                                                                                   \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",  \
      "xmm14"

static void multiply_add_12_million(enum cpu_isa isa) {
#if defined(__x86_64__)
  __asm__ volatile("xorps %%xmm12, %%xmm12\n xorps %%xmm13, %%xmm13" ::: "xmm12", "xmm13");
  if (isa == CPU_ISA_AVX512)
    PEAK_LOOP(FMA_ZMM, FIRST_14_XMM);
  else if (isa == CPU_ISA_AVX2)
    PEAK_LOOP(FMA_YMM, FIRST_14_XMM);
  else
    PEAK_LOOP(FMA_XMM, FIRST_14_XMM);
#else
  (void)isa;
  PEAK_LOOP(FMA_NEON, "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11");
#endif
}

static double peak_gflops(enum cpu_isa isa, const struct kernel_table *table) {
  double best = 1e9;
  for (int run = 0; run < 20; run++) {
    const double start = seconds();
    multiply_add_12_million(isa);
    const double time = seconds() - start;
    if (time < best) best = time;
  }
  return 12e6 * 2 * (double)(table->vector_bytes / 4) / best * 1e-9;
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

int main(int argc, char **argv) {
  for (int i = 0; i < CPU_ISA_COUNT; i++) {
    const enum cpu_isa isa = (enum cpu_isa)i;
    const struct kernel_table *table = kernel_table_get(isa);
    bool wanted = argc < 2;
    for (int arg = 1; arg < argc; arg++) wanted = wanted || strcmp(argv[arg], cpu_isa_name(isa)) == 0;
    if (!wanted || !table || !cpu_isa_supported(isa)) continue;

    const double peak = peak_gflops(isa, table);
    printf("%s: multiply-add peak %.1f GFLOP/s\n", table->name, peak);
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
    double total = 0;
    for (size_t s = 0; s < sizeof resnet50 / sizeof *resnet50; s++)
      total += resnet50[s].count * bench_conv(table, peak, resnet50[s]);
    report("ResNet-50's convolutions", 2 * 4.087e9, total, peak);
    bench_depthwise(table, peak, 32, 112, 3, 1);
    bench_depthwise(table, peak, 64, 112, 3, 2);
    bench_depthwise(table, peak, 256, 28, 3, 1);
    bench_depthwise(table, peak, 512, 14, 3, 1);
    bench_depthwise(table, peak, 1024, 7, 3, 1);
    bench_depthwise(table, peak, 240, 28, 5, 1);
    bench_depthwise(table, peak, 64, 112, 2, 2);
    bench_unary(table);
  }
  return 0;
}
