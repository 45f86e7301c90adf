/* Channel blocks of tensors of three dimensions, whose one spatial axis is a plane of height 1: convolutions, pools and
 * what follows them compute what they compute on plain tensors, and stay in blocks. */
#include "tests/engine/passes/block_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define CHANNELS  32 /* whole blocks on every table */
#define LENGTH    37
#define BORDERS   2 /* reorders of x and y */

static void line_conv(model_builder *b, const char *x, const char *y, block_conv_form form) {
  form.is_line = true;
  block_conv(b, x, y, form);
}

/* ----------------------------------------------------------------------------------------------------- convolutions */

static void convolutions_of_all_shapes(void **state) {
  (void)state;
  for (int i = 0; i < 80; i++) {
    int64_t group = i % 4 == 3 ? 2 : 1, channels = block_random(1, 40) * group, outputs = block_random(1, 40) * group;
    if (i % 5 == 4) group = outputs = channels;
    const int64_t kernel = DIMS(1, 3, 5, 9)[block_random(0, 3)], stride = block_random(1, 3);
    const int64_t length = block_random(1, i % 8 == 0 ? 400 : 60), dilation = block_random(1, 8);
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, channels, -1));
    line_conv(b, "x", "c",
              (block_conv_form){.channels = channels,
                                .outputs = outputs,
                                .group = group,
                                .kernel = kernel,
                                .stride = stride,
                                .dilation = dilation});
    builder_node(b, "Relu", "c", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    char what[120];
    snprintf(what, sizeof what, "case %d: %d -> %d, %d groups, kernel %d, stride %d, dilation %d, length %d", i,
             (int)channels, (int)outputs, (int)group, (int)kernel, (int)stride, (int)dilation, (int)length);
    check_blocks(b,
                 &(block_case){
                     .what = what, .input = {block_random(1, 3), channels, length}, .reorders = -1, .any_batch = true});
  }
}

/* Bands that do not fit the second-level cache, several panels, all phases of a stride. */
static void long_lines(void **state) {
  (void)state;
  for (int64_t stride = 1; stride <= 2; stride++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 160, -1));
    line_conv(b, "x", "y", (block_conv_form){.channels = 160, .outputs = 70, .kernel = 3, .stride = stride});
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    check_blocks(b, &(block_case){.what = "long", .input = {1, 160, 3001}, .reorders = BORDERS});
  }
}

/* ---------------------------------------------------------------------------------------------- what follows a Conv */

/* x [2, 8, 37] -> Conv -> c of `channels`; the test puts something between c and d; then Conv d -> y. */
static model_builder *line_start(int opset, int64_t channels) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 8, LENGTH));
  line_conv(b, "x", "c", (block_conv_form){.channels = 8, .outputs = channels, .kernel = 3});
  return b;
}

static void expect_lines(const char *what, model_builder *b, int64_t channels, int reorders) {
  line_conv(b, "d", "y", (block_conv_form){.channels = channels, .outputs = 16});
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  check_blocks(b, &(block_case){what, {2, 8, LENGTH}, reorders, true});
}

static node *window_node(model_builder *b, const char *op, int64_t kernel, int64_t stride, int64_t pad) {
  node *made = builder_node(b, op, "c", "d");
  builder_ints(made, "kernel_shape", 1, &kernel);
  builder_ints(made, "strides", 1, &stride);
  builder_ints(made, "pads", 2, DIMS(pad, pad));
  return made;
}

static void pools(void **state) {
  (void)state;
  for (int64_t channels = 20; channels <= CHANNELS; channels += 12) {
    model_builder *b = line_start(19, channels);
    node *pool = window_node(b, "MaxPool", 3, 2, 1);
    builder_ints(pool, "dilations", 1, DIMS(2));
    expect_lines("MaxPool", b, channels, BORDERS);
    b = line_start(19, channels);
    pool = window_node(b, "AveragePool", 4, 1, 2);
    builder_int(pool, "count_include_pad", 1);
    builder_int(pool, "ceil_mode", 1);
    expect_lines("AveragePool", b, channels, BORDERS);
    b = line_start(13, channels);
    pool = builder_node(b, "MaxPool", "c", "d");
    builder_ints(pool, "kernel_shape", 1, DIMS(3));
    builder_string(pool, "auto_pad", "SAME_UPPER");
    expect_lines("MaxPool SAME_UPPER", b, channels, BORDERS);
    b = line_start(13, channels);
    builder_node(b, "GlobalAveragePool", "c", "g");
    builder_node(b, "Mul", "c g", "d");
    expect_lines("GlobalAveragePool", b, channels, BORDERS);
    b = line_start(13, channels);
    builder_ints(builder_node(b, "ReduceMean", "c", "g"), "axes", 1, DIMS(-1));
    builder_node(b, "Sub", "c g", "d");
    expect_lines("ReduceMean", b, channels, BORDERS);
    b = line_start(13, channels); /* of channels: plain */
    builder_ints(builder_node(b, "ReduceMean", "c", "g"), "axes", 1, DIMS(1));
    builder_node(b, "Sub", "c g", "d");
    expect_lines("ReduceMean of channels", b, channels, -1);
  }
}

static void transposed_convolutions(void **state) {
  (void)state;
  for (int64_t stride = 1; stride <= 4; stride++) {
    model_builder *b = line_start(13, CHANNELS);
    block_constant(b, "w", 3, DIMS(CHANNELS, 48, 2 * stride + 1), 0.2f);
    block_constant(b, "bias", 1, DIMS(48), 1);
    node *transposed = builder_node(b, "ConvTranspose", "c w bias", "d");
    builder_ints(transposed, "strides", 1, &stride);
    builder_ints(transposed, "pads", 2, DIMS(1, stride / 2));
    builder_ints(transposed, "output_padding", 1, DIMS(stride / 2));
    expect_lines("ConvTranspose", b, 48, BORDERS);
    b = line_start(13, CHANNELS);
    block_constant(b, "w", 3, DIMS(CHANNELS, 3, stride), 0.2f);
    transposed = builder_node(b, "ConvTranspose", "c w", "d");
    builder_ints(transposed, "strides", 1, &stride);
    expect_lines("ConvTranspose of few outputs", b, 3, -1);
    b = line_start(13, CHANNELS);
    block_constant(b, "w", 3, DIMS(CHANNELS, 16, 3), 0.2f);
    transposed = builder_node(b, "ConvTranspose", "c w", "d");
    builder_ints(transposed, "strides", 1, &stride);
    builder_ints(transposed, "output_shape", 1, DIMS(LENGTH * stride));
    expect_lines("ConvTranspose with output_shape", b, 16, -1);
  }
}

static void movements(void **state) {
  (void)state;
  model_builder *b = line_start(18, 20);
  builder_ints64(b, "p", 1, DIMS(2), DIMS(3, -2));
  builder_ints64(b, "a", 1, DIMS(1), DIMS(-1));
  builder_node(b, "Pad", "c p - a", "d");
  expect_lines("Pad", b, 20, BORDERS);
  b = line_start(11, 20);
  builder_ints64(b, "p", 1, DIMS(6), DIMS(0, 0, 5, 0, 0, 1));
  builder_string(builder_node(b, "Pad", "c p", "d"), "mode", "reflect");
  expect_lines("Pad, all axes", b, 20, BORDERS);
  b = line_start(13, CHANNELS);
  builder_ints64(b, "s", 1, DIMS(2), DIMS(-3, 16));
  builder_ints64(b, "e", 1, DIMS(2), DIMS(2, 32));
  builder_ints64(b, "a", 1, DIMS(2), DIMS(2, -2));
  builder_ints64(b, "t", 1, DIMS(2), DIMS(-2, 1));
  builder_node(b, "Slice", "c s e a t", "d");
  expect_lines("Slice", b, CHANNELS - 16, BORDERS);
  for (int64_t axis = 1; axis >= -2; axis -= 3) {
    b = line_start(13, 20);
    line_conv(b, "c", "e", (block_conv_form){.channels = 20, .outputs = CHANNELS});
    builder_int(builder_node(b, "Concat", "e c e", "d"), "axis", axis);
    expect_lines("Concat", b, 20 + 2 * CHANNELS, BORDERS);
    b = line_start(11, 64);
    node *split = builder_node(b, "Split", "c", "p0 p1");
    builder_int(split, "axis", axis);
    builder_node(b, "Sigmoid", "p1", "g");
    builder_node(b, "Mul", "p0 g", "d");
    expect_lines("Split", b, 32, BORDERS);
  }
  b = line_start(13, 20); /* along the line: plain */
  builder_int(builder_node(b, "Concat", "c c", "d"), "axis", -1);
  expect_lines("Concat of lines", b, 20, -1);
  b = line_start(13, 20);
  builder_node(b, "Identity", "c", "n");
  builder_floats(b, "scales", 1, DIMS(3), (float[]){1, 1, 2});
  builder_string(builder_node(b, "Resize", "n - scales", "d"), "mode", "linear");
  expect_lines("Resize", b, 20, -1);
}

static void normalizations(void **state) {
  (void)state;
  for (int64_t channels = 20; channels <= CHANNELS; channels += 12) {
    model_builder *b = line_start(13, channels);
    block_constant(b, "slope", 2, DIMS(channels, 1), 1);
    builder_node(b, "PRelu", "c slope", "p");
    block_constant(b, "scale", 1, &channels, 1);
    block_constant(b, "bias", 1, &channels, 1);
    block_constant(b, "mean", 1, &channels, 1);
    float *variance = block_numbers(channels);
    for (int64_t i = 0; i < channels; i++) variance[i] = 0.5f + fabsf(variance[i]);
    builder_floats(b, "variance", 1, &channels, variance);
    free(variance);
    builder_node(b, "BatchNormalization", "p scale bias mean variance", "n");
    line_conv(b, "n", "e",
              (block_conv_form){.channels = channels, .outputs = channels, .group = channels, .kernel = 3});
    builder_node(b, "Add", "e n", "d");
    expect_lines("PRelu, BatchNormalization", b, channels, BORDERS);
    b = line_start(13, channels);
    block_constant(b, "scale", 1, &channels, 1);
    block_constant(b, "bias", 1, &channels, 1);
    builder_node(b, "InstanceNormalization", "c scale bias", "d");
    expect_lines("InstanceNormalization", b, channels, BORDERS);
    b = line_start(13, channels);
    builder_int(builder_node(b, "Softmax", "c", "d"), "axis", 1);
    expect_lines("Softmax of channels", b, channels, BORDERS);
    b = line_start(13, channels);
    builder_int(builder_node(b, "Softmax", "c", "d"), "axis", -1);
    expect_lines("Softmax of lines", b, channels, -1);
  }
}

/* Constants of every shape that is broadcast to [N, C, W]. */
static void line_operands(void **state) {
  static const struct {
    int rank;
    int64_t dims[3];
  } shapes[] = {{0, {0}},          {1, {1}},        {1, {LENGTH}},   {2, {20, 1}},        {2, {1, LENGTH}},
                {2, {20, LENGTH}}, {3, {1, 20, 1}}, {3, {2, 20, 1}}, {3, {2, 1, LENGTH}}, {3, {1, 20, LENGTH}}};
  (void)state;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 8, LENGTH));
    line_conv(b, "x", "c", (block_conv_form){.channels = 8, .outputs = 20, .kernel = 3});
    block_constant(b, "k", shapes[i].rank, shapes[i].dims, 1);
    builder_node(b, "Sigmoid", "c", "g"); /* else the constant may go into the convolution */
    builder_node(b, "Max", "k g", "m");
    builder_node(b, "Mul", "m c", "d");
    line_conv(b, "d", "y", (block_conv_form){.channels = 20, .outputs = 16});
    builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
    char what[60];
    snprintf(what, sizeof what, "constant %d", (int)i);
    check_blocks(b, &(block_case){what, {2, 8, LENGTH}, BORDERS, false});
  }
  /* One channel for all, and a value whose batch is absent: it is no block. */
  model_builder *b = line_start(13, 20);
  line_conv(b, "c", "one", (block_conv_form){.channels = 20, .outputs = 1});
  builder_node(b, "Mul", "c one", "d");
  expect_lines("one channel", b, 20, -1);
  b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 8, 5));
  line_conv(b, "x", "c", (block_conv_form){.channels = 8, .outputs = 20});
  block_constant(b, "w", 4, DIMS(20, 20, 1, 1), 0.2f);
  block_constant(b, "u", 4, DIMS(1, 20, 20, 5), 1);
  builder_node(b, "Conv", "u w", "v");
  builder_node(b, "Relu", "v", "r");
  builder_node(b, "Add", "c r", "d"); /* [N, 20, 5] + [1, 20, 20, 5] */
  builder_output(b, "d", NORMA_UNDEFINED, -1, NULL);
  check_blocks(b, &(block_case){"ranks 3 and 4", {1, 8, 5}, -1, false});
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(convolutions_of_all_shapes),
      cmocka_unit_test(long_lines),
      cmocka_unit_test(pools),
      cmocka_unit_test(transposed_convolutions),
      cmocka_unit_test(movements),
      cmocka_unit_test(normalizations),
      cmocka_unit_test(line_operands),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
