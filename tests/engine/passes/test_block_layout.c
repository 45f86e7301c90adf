/* Models in channel blocks compute what the plain graph computes, on every kernel table, whatever their channels. */
#include "tests/support/model_builder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LARGEST_ERROR 2e-5 /* over the largest magnitude: Winograd included */

static unsigned random_state;
static int thread_count = 2;

static unsigned next_random(void) {
  random_state = random_state * 1664525u + 1013904223u;
  return random_state >> 8;
}

static int64_t random_between(int64_t low, int64_t high) {
  return low + (int64_t)(next_random() % (unsigned)(high - low + 1));
}

static float random_float(void) {
  return (float)next_random() / 8388608.0f - 1;
}

static float *random_floats(int64_t count) {
  float *values = malloc((size_t)count * sizeof *values);
  assert_non_null(values);
  for (int64_t i = 0; i < count; i++) values[i] = random_float();
  return values;
}

static void add_constant(model_builder *b, const char *name, int rank, const int64_t *dims, float scale) {
  int64_t count = 1;
  for (int i = 0; i < rank; i++) count *= dims[i];
  float *values = random_floats(count);
  for (int64_t i = 0; i < count; i++) values[i] *= scale;
  builder_floats(b, name, rank, dims, values);
  free(values);
}

/* y = Conv(x) with `group` groups, weights NAME.w, bias NAME.b. */
static void add_conv(model_builder *b, const char *x, const char *y, int64_t channels, int64_t outputs, int64_t group,
                     int64_t kernel, int64_t stride, int64_t dilation) {
  char w[32], bias[32], inputs[96];
  snprintf(w, sizeof w, "%s.w", y);
  snprintf(bias, sizeof bias, "%s.b", y);
  snprintf(inputs, sizeof inputs, "%s %s %s", x, w, bias);
  int64_t dims[4] = {outputs, channels / group, kernel, kernel};
  add_constant(b, w, 4, dims, 1.0f / sqrtf((float)(channels / group * kernel * kernel)));
  add_constant(b, bias, 1, &outputs, 1);
  node *conv = builder_node(b, "Conv", inputs, y);
  int64_t pad = dilation * (kernel - 1) / 2;
  builder_int(conv, "group", group);
  builder_ints(conv, "strides", 2, (int64_t[]){stride, stride});
  builder_ints(conv, "dilations", 2, (int64_t[]){dilation, dilation});
  builder_ints(conv, "pads", 4, (int64_t[]){pad, pad, pad, pad});
}

/* ---------------------------------------------------------------------------------------------------------- running */

typedef struct result {
  float *values;
  int64_t count;
  int reorders; /* steps that only change the layout */
} result;

static result run_model(const void *bytes, size_t size, norma_optimization optimization, const char *table, bool exact,
                        int64_t batch, int64_t channels, int64_t height, int64_t width, float *x) {
  norma_error error;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_runtime_options options = {.struct_size = sizeof options};
  options.threads = thread_count;
  options.kernels = table;
  if (norma_runtime_create(&options, &runtime, &error) != NORMA_OK) fail_msg("%s", error.message);
  norma_load_options load = {.struct_size = sizeof load};
  load.runtime = runtime;
  load.optimization = optimization;
  load.exact = exact;
  if (norma_model_load_memory(bytes, size, &load, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  norma_session_options session_options = {.struct_size = sizeof session_options};
  session_options.profile = true;
  if (norma_session_create(model, &session_options, &session, &error) != NORMA_OK) fail_msg("%s", error.message);
  norma_tensor input;
  int64_t dims[4] = {batch, channels, height, width};
  norma_tensor_init(&input, NORMA_FLOAT, 4, dims, x);
  if (norma_session_set_input(session, "x", &input, &error) != NORMA_OK) fail_msg("%s", error.message);
  if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
  const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
  result result = {.count = norma_tensor_count(y)};
  result.values = malloc(y->size_bytes + 1);
  if (y->size_bytes) memcpy(result.values, y->data, y->size_bytes);
  for (size_t i = 0; i < norma_session_profile_count(session); i++) {
    norma_profile_entry entry;
    norma_session_profile(session, i, &entry);
    if (strstr(entry.op_type, "blockChannels") || strstr(entry.op_type, "BlockChannels")) result.reorders++;
    if (strstr(entry.op_type, "Shuffle") || strstr(entry.op_type, "Transpose")) result.reorders++;
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return result;
}

static void expect_same(const char *what, const result *expected, const result *actual) {
  assert_int_equal(actual->count, expected->count);
  double largest = 0, error = 0;
  for (int64_t i = 0; i < expected->count; i++) {
    double difference = fabs((double)expected->values[i] - (double)actual->values[i]);
    if (fabs((double)expected->values[i]) > largest) largest = fabs((double)expected->values[i]);
    if (!(difference <= error)) error = difference;
  }
  if (!(error <= LARGEST_ERROR * largest)) fail_msg("%s: error %g of %g", what, error, largest);
}

/* Runs plain and in blocks on every table of this machine; `reorders`: how many the blocked plan may have, -1: any. */
static void compare_layouts(const char *what, model_builder *b, int64_t batch, int64_t channels, int64_t height,
                            int64_t width, int reorders) {
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  float *x = random_floats(batch * channels * height * width);
  const struct kernel_table *kernels;
  for (size_t k = 0; (kernels = kernel_table_at(k)); k++) {
    const char *table = kernels->name;
    result plain = run_model(bytes, size, NORMA_OPTIMIZE_NONE, table, false, batch, channels, height, width, x);
    for (int exact = 0; exact <= 1; exact++) {
      result blocked = run_model(bytes, size, NORMA_OPTIMIZE_FULL, table, exact, batch, channels, height, width, x);
      char text[128];
      snprintf(text, sizeof text, "%s on %s%s", what, table, exact ? ", exact" : "");
      expect_same(text, &plain, &blocked);
      if (!exact && reorders >= 0 && blocked.reorders > reorders) fail_msg("%s: %d reorders", text, blocked.reorders);
      free(blocked.values);
    }
    free(plain.values);
  }
  free(x);
  builder_destroy(b);
}

static model_builder *begin(int64_t channels) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){-1, channels, -1, -1});
  return b;
}

/* ------------------------------------------------------------------------------------------------------------ cases */

static void convolutions_of_all_shapes(void **state) {
  (void)state;
  random_state = 1;
  for (int i = 0; i < 60; i++) {
    int64_t group = i % 4 == 3 ? 2 : 1, channels = random_between(1, 40) * group,
            outputs = random_between(1, 40) * group;
    if (i % 5 == 4) group = outputs = channels;
    int64_t kernel = (int64_t[]){1, 3, 5, 7}[random_between(0, 3)];
    int64_t height = random_between(1, 20), width = random_between(1, 20);
    model_builder *b = begin(channels);
    add_conv(b, "x", "c", channels, outputs, group, kernel, random_between(1, 2), random_between(1, 2));
    builder_node(b, "Relu", "c", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    char what[96];
    snprintf(what, sizeof what, "case %d: %d -> %d, %d groups, kernel %d, %d x %d", i, (int)channels, (int)outputs,
             (int)group, (int)kernel, (int)height, (int)width);
    compare_layouts(what, b, random_between(1, 3), channels, height, width, -1);
  }
}

/* A residual network: two convolutions, a shortcut, pooling, one more convolution, global pooling. */
static void a_residual_block_is_reordered_at_its_ends(void **state) {
  (void)state;
  static const int64_t channel_counts[] = {16, 24, 32, 5};
  random_state = 2;
  for (size_t i = 0; i < 4; i++) {
    int64_t c = channel_counts[i];
    model_builder *b = begin(3);
    add_conv(b, "x", "c1", 3, c, 1, 3, 2, 1);
    builder_node(b, "Relu", "c1", "r1");
    add_conv(b, "r1", "c2", c, c, 1, 3, 1, 1);
    builder_node(b, "Relu", "c2", "r2");
    add_conv(b, "r2", "c3", c, c, 1, 1, 1, 1);
    builder_node(b, "Add", "c3 r1", "s");
    builder_node(b, "Relu", "s", "r3");
    node *pool = builder_node(b, "MaxPool", "r3", "p");
    builder_ints(pool, "kernel_shape", 2, (int64_t[]){3, 3});
    builder_ints(pool, "strides", 2, (int64_t[]){2, 2});
    builder_ints(pool, "pads", 4, (int64_t[]){1, 1, 1, 1});
    node *average = builder_node(b, "AveragePool", "p", "a");
    builder_ints(average, "kernel_shape", 2, (int64_t[]){2, 2});
    add_conv(b, "a", "d", c, c, c, 3, 1, 1);
    builder_node(b, "Sigmoid", "d", "g");
    builder_node(b, "GlobalAveragePool", "g", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    compare_layouts("residual block", b, 2, 3, 33, 29, 1);
  }
}

/* DenseNet's pattern: Concat of whole blocks, BatchNormalization, a gate per channel, constants per channel. */
static void what_follows_a_convolution_stays_in_blocks(void **state) {
  (void)state;
  random_state = 3;
  for (int64_t c = 16; c <= 48; c += 16) {
    model_builder *b = begin(4);
    add_conv(b, "x", "c1", 4, c, 1, 3, 1, 1);
    add_conv(b, "c1", "c2", c, 32, 1, 3, 1, 1);
    builder_int(builder_node(b, "Concat", "c1 c2", "j"), "axis", 1);
    int64_t all = c + 32;
    add_constant(b, "scale", 1, &all, 1);
    add_constant(b, "bias", 1, &all, 1);
    add_constant(b, "mean", 1, &all, 1);
    float *variance = random_floats(all);
    for (int64_t i = 0; i < all; i++) variance[i] = 0.5f + fabsf(variance[i]);
    builder_floats(b, "var", 1, &all, variance);
    free(variance);
    builder_node(b, "BatchNormalization", "j scale bias mean var", "n");
    builder_node(b, "LeakyRelu", "n", "r");
    builder_node(b, "GlobalAveragePool", "r", "q");
    builder_node(b, "HardSigmoid", "q", "gate");
    builder_node(b, "Mul", "r gate", "m");
    add_constant(b, "k", 3, (int64_t[]){all, 1, 1}, 1);
    builder_node(b, "Sub", "k m", "t");
    add_constant(b, "slope", 3, (int64_t[]){all, 1, 1}, 1);
    builder_node(b, "PRelu", "t slope", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    compare_layouts("dense block", b, 2, 4, 9, 11, 1);
  }
}

static void response_normalization_sums_real_channels(void **state) {
  (void)state;
  random_state = 6;
  for (int64_t c = 5; c <= 40; c += 7) {
    model_builder *b = begin(3);
    add_conv(b, "x", "c", 3, c, 1, 3, 1, 1);
    node *lrn = builder_node(b, "LRN", "c", "n");
    builder_int(lrn, "size", 5);
    builder_float(lrn, "alpha", 0.5f);
    builder_node(b, "GlobalAveragePool", "n", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    compare_layouts("LRN", b, 2, 3, 37, 31, 1);
  }
}

/* What has no blocked form gets the plain tensor. */
static void plain_readers_get_plain_tensors(void **state) {
  (void)state;
  random_state = 4;
  model_builder *b = begin(8);
  add_conv(b, "x", "c1", 8, 20, 1, 3, 1, 1);
  builder_ints(builder_node(b, "Transpose", "c1", "t"), "perm", 4, (int64_t[]){0, 1, 3, 2});
  add_conv(b, "t", "c2", 20, 6, 1, 1, 1, 1);
  builder_int(builder_node(b, "Concat", "c2 t c1", "j"), "axis", 1);
  builder_node(b, "Softmax", "j", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  compare_layouts("plain readers", b, 2, 8, 7, 7, -1);
}

/* y = x with its channels transposed between groups, as exporters write it. */
static void add_shuffle(model_builder *b, const char *x, const char *y, int64_t group, int64_t channels, int64_t size) {
  char split[32], whole[32], names[4][96];
  snprintf(split, sizeof split, "%s.split", y);
  snprintf(whole, sizeof whole, "%s.whole", y);
  builder_ints64(b, split, 1, (int64_t[]){5}, (int64_t[]){-1, group, channels / group, size, size});
  builder_ints64(b, whole, 1, (int64_t[]){4}, (int64_t[]){-1, channels, size, size});
  snprintf(names[0], sizeof names[0], "%s %s", x, split);
  snprintf(names[1], sizeof names[1], "%s.a", y);
  snprintf(names[2], sizeof names[2], "%s.b", y);
  snprintf(names[3], sizeof names[3], "%s.b %s", y, whole);
  builder_node(b, "Reshape", names[0], names[1]);
  builder_ints(builder_node(b, "Transpose", names[1], names[2]), "perm", 5, (int64_t[]){0, 2, 1, 3, 4});
  builder_node(b, "Reshape", names[3], y);
}

/* Two units of ShuffleNet; the first halves the image and joins what pooling gives. */
static void shuffled_groups_stay_in_blocks(void **state) {
  (void)state;
  /* groups, channels before and in the first unit; reorders: groups of very few channels are computed plain */
  static const int64_t cases[][4] = {{4, 24, 112, 1}, {4, 136, 136, 1}, {3, 21, 39, -1},
                                     {2, 50, 34, 1},  {8, 64, 72, -1},  {5, 40, 40, -1}};
  random_state = 7;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t group = cases[i][0], c = cases[i][1], m = cases[i][2], all = c + m;
    bool has_groups = all % group == 0;
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){-1, 3, 18, 18});
    add_conv(b, "x", "c0", 3, c, 1, 3, 1, 1);
    add_conv(b, "c0", "c1", c, m, c % group == 0 ? group : 1, 1, 1, 1);
    builder_node(b, "Relu", "c1", "r1");
    add_shuffle(b, "r1", "s1", m % group == 0 ? group : 1, m, 18);
    add_conv(b, "s1", "d1", m, m, m, 3, 2, 1);
    add_conv(b, "d1", "e1", m, m, group, 1, 1, 1);
    node *average = builder_node(b, "AveragePool", "c0", "p1");
    builder_ints(average, "kernel_shape", 2, (int64_t[]){3, 3});
    builder_ints(average, "strides", 2, (int64_t[]){2, 2});
    builder_ints(average, "pads", 4, (int64_t[]){1, 1, 1, 1});
    builder_int(builder_node(b, "Concat", i & 1 ? "e1 p1" : "p1 e1", "j1"), "axis", 1);
    builder_node(b, "Relu", "j1", "u1");
    add_conv(b, "u1", "c2", all, all, has_groups ? group : 1, 1, 1, 1);
    add_shuffle(b, "c2", "s2", has_groups ? group : 1, all, 9);
    add_conv(b, "s2", "d2", all, all, all, 3, 1, 1);
    add_conv(b, "d2", "e2", all, all, has_groups ? group : 1, 1, 1, 1);
    builder_node(b, "Sum", "u1 e2", "v2");
    builder_node(b, "GlobalAveragePool", "v2", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    char what[96];
    snprintf(what, sizeof what, "%d groups of %d and %d channels", (int)group, (int)c, (int)m);
    compare_layouts(what, b, 2, 3, 18, 18, (int)cases[i][3]);
  }
}

/* A shuffle whose result has other readers, or is read by what cannot take its channels in any order. */
static void shuffles_that_cannot_be_folded_run(void **state) {
  (void)state;
  random_state = 8;
  for (int i = 0; i < 4; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){-1, 3, 7, 7});
    add_conv(b, "x", "c1", 3, 60, 1, 3, 1, 1);
    add_shuffle(b, i == 0 ? "x" : "c1", "s1", i == 0 ? 3 : 4, i == 0 ? 3 : 60, 7);
    add_conv(b, "s1", "d1", i == 0 ? 3 : 60, i == 0 ? 3 : 60, i == 0 ? 3 : 60, 3, 1, 1);
    if (i == 0) { /* nothing but the shuffle and a convolution of its channels, one by one */
      builder_node(b, "GlobalAveragePool", "d1", "y");
    } else if (i == 1) { /* both results have readers that keep them */
      add_conv(b, "d1", "e1", 60, 60, 4, 1, 1, 1);
      builder_node(b, "Add", "d1 e1", "v1");
      builder_node(b, "Mul", "v1 s1", "y");
    } else if (i == 2) { /* no depthwise convolution between */
      add_conv(b, "s1", "e1", 60, 60, 4, 1, 1, 1);
      builder_node(b, "Add", "d1 e1", "y");
    } else { /* another shuffle behind the first */
      add_shuffle(b, "s1", "s2", 3, 60, 7);
      add_conv(b, "s2", "d2", 60, 60, 60, 3, 1, 1);
      add_conv(b, "d2", "y", 60, 120, 3, 1, 1, 1);
    }
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    char what[32];
    snprintf(what, sizeof what, "shuffle %d", i);
    compare_layouts(what, b, 2, 3, 7, 7, -1);
  }
}

/* The same bits with any number of threads, and for the first sample alone where the model takes it. */
static void compare_bits(const char *what, model_builder *b, bool any_batch, int64_t batch, int64_t channels,
                         int64_t height, int64_t width) {
  static const int threads[] = {2, 3, 7, 1};
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  float *x = random_floats(batch * channels * height * width);
  thread_count = 1;
  result first = run_model(bytes, size, NORMA_OPTIMIZE_FULL, NULL, false, batch, channels, height, width, x);
  for (int i = 0; i < 4; i++) {
    thread_count = threads[i];
    int64_t samples = i < 3 || !any_batch ? batch : 1;
    result again = run_model(bytes, size, NORMA_OPTIMIZE_FULL, NULL, false, samples, channels, height, width, x);
    assert_int_equal(again.count, first.count / batch * samples);
    if (memcmp(again.values, first.values, (size_t)again.count * sizeof *again.values) != 0)
      fail_msg("%s: other bits with %d threads and %d samples", what, thread_count, (int)samples);
    free(again.values);
  }
  thread_count = 2;
  free(first.values);
  free(x);
  builder_destroy(b);
}

/* Strides, pads and kernels of both axes at random, behind a convolution; what is added to the result too. */
static void transposed_convolutions_of_all_shapes(void **state) {
  (void)state;
  random_state = 9;
  for (int i = 0; i < 160; i++) {
    int64_t channels = random_between(1, 40),
            outputs = (int64_t[]){16, 32, 47, 24, 31, 15, 3, 13}[random_between(0, 7)];
    int64_t size[2], stride[2], kernel[2], pads[4], extra[2];
    for (int d = 0; d < 2; d++) {
      size[d] = random_between(1, i % 5 == 0 ? 1 : 14);
      stride[d] = random_between(1, 4);
      kernel[d] = stride[d] + random_between(0, 3);
      int64_t most = (size[d] - 1) * stride[d] + kernel[d] - 1; /* leaves an output */
      pads[d] = random_between(0, kernel[d] - 1 < most ? kernel[d] - 1 : most);
      pads[2 + d] = random_between(0, kernel[d] - 1 < most - pads[d] ? kernel[d] - 1 : most - pads[d]);
      extra[d] = random_between(0, i % 3 == 0 ? stride[d] + 2 : 0);
    }
    int64_t batch = i % 3 == 0 ? 2 : random_between(1, 3);
    if (i % 4 == 2) { /* taps that do not overlap, and nothing padded */
      memcpy(kernel, stride, sizeof kernel);
      memset(pads, 0, sizeof pads);
      if (i % 8 == 2) memset(extra, 0, sizeof extra);
      if (i % 16 == 2) outputs = random_between(1, 12);
    }
    bool has_residual = i % 7 > 4; /* joined where shapes are known to be the same */
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4,
                  has_residual ? (int64_t[]){batch, 5, size[0], size[1]} : (int64_t[]){-1, 5, -1, -1});
    add_conv(b, "x", "c", 5, channels, 1, 1, 1, 1);
    add_constant(b, "w", 4, (int64_t[]){channels, outputs, kernel[0], kernel[1]},
                 1.0f / sqrtf((float)(channels * kernel[0] * kernel[1])));
    if (i % 4) add_constant(b, "b", 1, &outputs, 1);
    node *transposed = builder_node(b, "ConvTranspose", i % 4 ? "c w b" : "c w", "t");
    builder_ints(transposed, "strides", 2, stride);
    builder_ints(transposed, "pads", 4, pads);
    builder_ints(transposed, "output_padding", 2, extra);
    if (has_residual) {
      transposed = builder_node(b, "ConvTranspose", "c v", "r");
      builder_ints(transposed, "strides", 2, stride);
      builder_ints(transposed, "pads", 4, pads);
      builder_ints(transposed, "output_padding", 2, extra);
      add_constant(b, "v", 4, (int64_t[]){channels, outputs, kernel[0], kernel[1]}, 0.2f);
      builder_node(b, "Add", "r t", "s");
    } else {
      builder_node(b, "Identity", "t", "s");
    }
    builder_node(b, "Relu", "s", "a");
    add_conv(b, "a", "y", outputs, 7, 1, 1, 1, 1);
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    char what[160];
    snprintf(what, sizeof what, "case %d: %d -> %d, %d x %d, kernel %d x %d, strides %d %d, pads %d %d %d %d", i,
             (int)channels, (int)outputs, (int)size[0], (int)size[1], (int)kernel[0], (int)kernel[1], (int)stride[0],
             (int)stride[1], (int)pads[0], (int)pads[1], (int)pads[2], (int)pads[3]);
    if (i % 3)
      compare_layouts(what, b, batch, 5, size[0], size[1], -1);
    else
      compare_bits(what, b, !has_residual, batch, 5, size[0], size[1]);
  }
}

static void empty_batches_run(void **state) {
  (void)state;
  random_state = 5;
  model_builder *b = begin(8);
  add_conv(b, "x", "c", 8, 20, 1, 3, 1, 1);
  builder_node(b, "GlobalAveragePool", "c", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  compare_layouts("empty batch", b, 0, 8, 7, 7, -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(convolutions_of_all_shapes),
      cmocka_unit_test(a_residual_block_is_reordered_at_its_ends),
      cmocka_unit_test(what_follows_a_convolution_stays_in_blocks),
      cmocka_unit_test(response_normalization_sums_real_channels),
      cmocka_unit_test(plain_readers_get_plain_tensors),
      cmocka_unit_test(shuffled_groups_stay_in_blocks),
      cmocka_unit_test(shuffles_that_cannot_be_folded_run),
      cmocka_unit_test(transposed_convolutions_of_all_shapes),
      cmocka_unit_test(empty_batches_run),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
