/* What operators become in channel blocks (facts.block): those that move elements, gates, normalizations and constants
 * of all shapes stay in blocks where they can, and compute what they compute on plain tensors. */
#include "tests/engine/passes/block_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define CHANNELS  32 /* whole blocks on every table */

static void add_conv(model_builder *b, const char *x, const char *y, int64_t channels, int64_t outputs) {
  block_conv(b, x, y, (block_conv_form){.channels = channels, .outputs = outputs, .without_bias = true});
}

/* x [2, 8, 6, 5] -> Conv -> c of `channels`; the test puts something between c and d; then Conv d -> y. */
static model_builder *start(int opset, int64_t channels, bool sizes_are_known) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", NORMA_FLOAT, 4, sizes_are_known ? DIMS(2, 8, 6, 5) : DIMS(-1, 8, -1, -1));
  add_conv(b, "x", "c", 8, channels);
  return b;
}

/* Ends the model (d has `channels`) and compares. `reorders`: how many there may be, -1: any; x is reordered once where
 * its channels are not read plain. */
static void expect_blocks(const char *what, model_builder *b, int64_t channels, int reorders) {
  const bool any_batch = builder_model(b)->graph->inputs[0]->info.shape.dims[0] == DIM_UNKNOWN;
  add_conv(b, "d", "y", channels, 16);
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  check_blocks(b, &(block_case){what, {2, 8, 6, 5}, reorders, any_batch});
}

#define BORDERS 2 /* reorders of x and y */

static void slices(void **state) {
  (void)state;
  for (int known = 0; known < 2; known++) {
    model_builder *b = start(13, CHANNELS, known); /* pixels, from both ends */
    builder_ints64(b, "s", 1, DIMS(2), DIMS(1, -2));
    builder_ints64(b, "e", 1, DIMS(2), DIMS(-1, -6));
    builder_ints64(b, "a", 1, DIMS(2), DIMS(-2, 3));
    builder_ints64(b, "t", 1, DIMS(2), DIMS(2, -1));
    builder_node(b, "Slice", "c s e a t", "d");
    expect_blocks("pixels", b, CHANNELS, BORDERS);
    b = start(9, CHANNELS, known); /* channels, as attributes */
    node *slice = builder_node(b, "Slice", "c", "d");
    builder_ints(slice, "starts", 2, DIMS(16, 0));
    builder_ints(slice, "ends", 2, DIMS(INT64_MAX, 3));
    builder_ints(slice, "axes", 2, DIMS(1, 2));
    expect_blocks("channels", b, CHANNELS - 16, BORDERS);
    b = start(9, CHANNELS, known); /* within a block: plain */
    slice = builder_node(b, "Slice", "c", "d");
    builder_ints(slice, "starts", 1, DIMS(3));
    builder_ints(slice, "ends", 1, DIMS(25));
    builder_ints(slice, "axes", 1, DIMS(1));
    expect_blocks("channels within a block", b, 22, -1);
    b = start(9, 19, known); /* the last block is not full */
    slice = builder_node(b, "Slice", "c", "d");
    builder_ints(slice, "starts", 1, DIMS(-3));
    builder_ints(slice, "ends", 1, DIMS(19));
    builder_ints(slice, "axes", 1, DIMS(1));
    expect_blocks("the last channels", b, 3, BORDERS);
  }
}

/* Parts of `sizes` (NULL: equal ones), each of them squared or not, joined in another order. */
static void expect_split(int opset, int64_t channels, int count, const int64_t *sizes, bool known, int reorders) {
  static const char *const names[] = {"p0", "p1", "p2"};
  model_builder *b = start(opset, channels, known);
  const bool is_input = sizes && opset >= 13;
  if (is_input) builder_ints64(b, "s", 1, DIMS(count), sizes);
  node *split = builder_node(b, "Split", is_input ? "c s" : "c", count == 2 ? "p0 p1" : "p0 p1 p2");
  builder_int(split, "axis", opset == 11 ? -3 : 1);
  if (sizes && !is_input) builder_ints(split, "split", (size_t)count, sizes);
  if (!sizes && opset >= 18) builder_int(split, "num_outputs", count);
  builder_node(b, "Mul", "p0 p0", "q");
  char inputs[64];
  snprintf(inputs, sizeof inputs, "%s %s q", names[count - 1], names[1]);
  builder_int(builder_node(b, "Concat", inputs, "d"), "axis", 1);
  int64_t first = sizes ? sizes[0] : channels / count, second = sizes ? sizes[1] : channels / count;
  int64_t last = !sizes ? channels - channels / count * (count - 1) : sizes[count - 1];
  expect_blocks("split", b, first + second + last, reorders);
}

static void splits(void **state) {
  static const int opsets[] = {1, 2, 11, 13, 18};
  (void)state;
  for (int i = 0; i < 10; i++) {
    const int opset = opsets[i / 2];
    bool known = i % 2 == 0;
    expect_split(opset, 64, 2, NULL, known, BORDERS);
    expect_split(opset, 48, 3, NULL, known, BORDERS);
    expect_split(opset, 64, 3, DIMS(16, 32, 16), known, BORDERS);
    expect_split(opset, 39, 2, DIMS(32, 7), known, BORDERS); /* the last block is not full */
    expect_split(opset, 42, 2, NULL, known, -1);             /* within a block: plain */
    expect_split(opset, 42, 3, DIMS(16, 9, 17), known, -1);
  }
}

static void pads(void **state) {
  static const char *const modes[] = {"constant", "reflect", "edge"};
  (void)state;
  for (int i = 0; i < 6; i++) {
    bool known = i % 2;
    model_builder *b = start(18, 20, known);
    builder_ints64(b, "p", 1, DIMS(4), DIMS(1, 2, -1, 3));
    builder_ints64(b, "a", 1, DIMS(2), DIMS(-1, 2));
    block_constant(b, "v", 0, NULL, 2);
    node *pad = builder_node(b, "Pad", "c p v a", "d");
    builder_string(pad, "mode", modes[i / 2]);
    expect_blocks(modes[i / 2], b, 20, BORDERS);
    b = start(2, 20, known);
    pad = builder_node(b, "Pad", "c", "d");
    builder_string(pad, "mode", modes[i / 2]);
    builder_ints(pad, "pads", 8, DIMS(0, 0, 2, 1, 0, 0, 0, 3));
    builder_float(pad, "value", 1.5f);
    expect_blocks(modes[i / 2], b, 20, BORDERS);
    b = start(2, 20, known); /* of channels: plain */
    pad = builder_node(b, "Pad", "c", "d");
    builder_ints(pad, "pads", 8, DIMS(0, 1, 2, 1, 0, 3, 0, 3));
    expect_blocks("channels", b, 24, -1);
  }
}

static void resizes(void **state) {
  static const char *const modes[] = {"nearest", "linear", "cubic"};
  static const char *const coordinates[] = {"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"};
  static const float scales[][4] = {{1, 1, 2, 2}, {1, 1, 1.7f, 3}, {1, 1, 0.6f, 0.4f}, {1, 1, 1, 2}, {1, 1, 3, 1}};
  (void)state;
  for (int i = 0; i < 60; i++) {
    model_builder *b = start(13, i % 2 ? CHANNELS : 30, true);
    builder_floats(b, "s", 1, DIMS(4), scales[i % 5]);
    node *resize = builder_node(b, "Resize", "c - s", "d");
    builder_string(resize, "mode", modes[i / 5 % 3]);
    builder_string(resize, "coordinate_transformation_mode", coordinates[i / 15]);
    expect_blocks(modes[i / 5 % 3], b, i % 2 ? CHANNELS : 30, BORDERS);
  }
  for (int i = 0; i < 3; i++) { /* older ones, and sizes */
    model_builder *b = start(i == 0 ? 7 : i == 1 ? 9 : 18, CHANNELS, true);
    builder_floats(b, "s", 1, DIMS(4), scales[0]);
    builder_ints64(b, "z", 1, DIMS(2), DIMS(11, 7));
    node *resize =
        i < 2 ? builder_node(b, "Upsample", i == 0 ? "c" : "c s", "d") : builder_node(b, "Resize", "c - - z", "d");
    if (i == 0) builder_float_list(resize, "scales", 4, scales[0]);
    if (i == 2) builder_ints(resize, "axes", 2, DIMS(2, 3));
    builder_string(resize, "mode", "linear");
    expect_blocks("resize", b, CHANNELS, BORDERS);
  }
  model_builder *b = start(13, CHANNELS, true); /* a crop, with what lies outside */
  builder_floats(b, "r", 1, DIMS(8), (const float[]){0, 0, -0.2f, 0.1f, 1, 1, 0.8f, 1.3f});
  builder_ints64(b, "z", 1, DIMS(4), DIMS(2, CHANNELS, 9, 8));
  node *resize = builder_node(b, "Resize", "c r - z", "d");
  builder_string(resize, "mode", "linear");
  builder_string(resize, "coordinate_transformation_mode", "tf_crop_and_resize");
  builder_float(resize, "extrapolation_value", 3);
  expect_blocks("crop", b, CHANNELS, -1);
}

static void squeeze_and_excitation(void **state) {
  (void)state;
  for (int i = 0; i < 8; i++) {
    int64_t channels = i & 1 ? CHANNELS : 21;
    model_builder *b = start(13, channels, i & 2);
    if (i & 4) {
      builder_ints(builder_node(b, "ReduceMean", "c", "g"), "axes", 2, DIMS(-1, 2));
    } else {
      builder_node(b, "GlobalAveragePool", "c", "g");
    }
    add_conv(b, "g", "g1", channels, 9);
    builder_node(b, "Relu", "g1", "g2");
    add_conv(b, "g2", "g3", 9, channels);
    builder_node(b, "Sigmoid", "g3", "g4");
    builder_node(b, "Mul", "c g4", "d");
    expect_blocks("gate", b, channels, BORDERS);
  }
}

/* One channel over all of them, as attention to places has it. */
static void gates_of_one_channel(void **state) {
  static const char *const kinds[] = {"Mul", "Add", "Sub", "Max"};
  (void)state;
  for (int i = 0; i < 16; i++) {
    int64_t channels = i & 1 ? CHANNELS : 21;
    const bool is_first = i / 4 == 2;
    model_builder *b = start(13, channels, i & 2);
    builder_ints(builder_node(b, "ReduceMax", "x", "g1"), "axes", 1, DIMS(1));
    add_conv(b, "g1", "g2", 1, 1);
    builder_node(b, "Sigmoid", "g2", "g");
    builder_node(b, kinds[i / 4], is_first ? "g c" : "c g", "d");
    expect_blocks(kinds[i / 4], b, channels, BORDERS + 2); /* the gate, from its block to all lanes */
  }
  model_builder *b = start(13, CHANNELS, true); /* of one pixel, and of every sample */
  builder_ints(builder_node(b, "ReduceMean", "x", "g"), "axes", 3, DIMS(1, 2, 3));
  builder_node(b, "Mul", "c g", "d");
  expect_blocks("a number", b, CHANNELS, BORDERS + 1);
}

static void instance_normalization(void **state) {
  (void)state;
  for (int i = 0; i < 8; i++) {
    int64_t channels = i & 1 ? CHANNELS : 21;
    model_builder *b = start(13, channels, i & 2);
    block_constant(b, "scale", 1, &channels, 2);
    block_constant(b, "bias", 1, &channels, 1);
    builder_floats(b, "far", 0, NULL, (const float[]){20}); /* the mean is far larger than the deviations */
    if (i & 4) builder_node(b, "Add", "c far", "e");
    builder_node(b, "InstanceNormalization", i & 4 ? "e scale bias" : "c scale bias", "n");
    builder_node(b, "LeakyRelu", "n", "d");
    expect_blocks("InstanceNormalization", b, channels, BORDERS);
  }
}

static void large_planes(void **state) {
  (void)state;
  model_builder *b = start(13, 5, true); /* pixels for several chunks */
  block_constant(b, "scale", 1, DIMS(5), 2);
  block_constant(b, "bias", 1, DIMS(5), 1);
  builder_floats(b, "s", 1, DIMS(4), (const float[]){1, 1, 17, 13});
  builder_string(builder_node(b, "Resize", "c - s", "e"), "mode", "linear");
  add_conv(b, "e", "f", 5, 5);
  builder_node(b, "InstanceNormalization", "f scale bias", "d");
  expect_blocks("large planes", b, 5, -1);
}

/* Between c and d, with what is not finite in some of the pixels where `hard`. */
static void expect_softmax(const char *op_type, int opset, int64_t channels, int64_t axis, bool hard) {
  model_builder *b = start(opset, channels, true);
  if (hard) {
    const float odd[] = {INFINITY, -INFINITY, NAN, 200, -200};
    const int64_t count = channels * 30;
    float *values = calloc((size_t)count, sizeof *values);
    for (int64_t i = 0; i < 9; i++) values[(i * 7 + 3) % channels * 30 + i] = odd[i % 5];
    for (int64_t c = 0; c < channels; c++) values[c * 30 + 9] = -INFINITY; /* nothing but that: 0 / 0 */
    for (int64_t c = 0; c < channels; c++) values[c * 30 + 11] = -1000;    /* padding lanes would win */
    builder_floats(b, "odd", 4, DIMS(1, channels, 6, 5), values);
    free(values);
    builder_node(b, "Add", "c odd", "e");
  }
  builder_int(builder_node(b, op_type, hard ? "e" : "c", "d"), "axis", axis);
  expect_blocks(op_type, b, channels, opset < 13 ? -1 : BORDERS);
}

static void softmax(void **state) {
  static const char *const kinds[] = {"Softmax", "LogSoftmax"};
  static const int64_t channels[] = {1, 5, 16, 21, CHANNELS, 300, 2100};
  (void)state;
  for (int i = 0; i < 14; i++) {
    const char *kind = kinds[i % 2];
    expect_softmax(kind, 13, channels[i / 2], i & 4 ? 1 : -3, false);
    if (channels[i / 2] > 1) expect_softmax(kind, 13, channels[i / 2], 1, true);
    expect_softmax(kind, 11, channels[i / 2], 1, false); /* over pixels, too: plain */
    for (int opset = 9; opset <= 13; opset += 4) {       /* one pixel */
      model_builder *b = start(opset, channels[i / 2], true);
      builder_node(b, "GlobalAveragePool", "c", "g");
      builder_int(builder_node(b, kind, "g", "d"), "axis", 1);
      expect_blocks(kind, b, channels[i / 2], BORDERS);
    }
  }
}

static void softmax_of_large_planes(void **state) {
  static const char *const kinds[] = {"Softmax", "LogSoftmax"};
  static const int64_t channels[] = {13, 300};
  (void)state;
  for (int i = 0; i < 4; i++) { /* several pieces of a plane */
    model_builder *b = start(13, channels[i / 2], i & 1);
    builder_floats(b, "s", 1, DIMS(4), (const float[]){1, 1, 5, 3});
    builder_string(builder_node(b, "Resize", "c - s", "e"), "mode", "linear");
    add_conv(b, "e", "f", channels[i / 2], channels[i / 2]);
    builder_int(builder_node(b, kinds[i % 2], "f", "d"), "axis", 1);
    expect_blocks("softmax of large planes", b, channels[i / 2], -1);
  }
}

static void constants_of_all_shapes(void **state) {
  static const struct {
    int rank;
    int64_t dims[4];
  } shapes[] = {{0, {0}},    {1, {1}}, {3, {21, 1, 1}},   {4, {1, 21, 1, 1}}, {4, {1, 21, 6, 5}},
                {2, {6, 5}}, {1, {5}}, {4, {2, 1, 6, 1}}, {4, {2, 21, 1, 5}}, {4, {1, 1, 1, 1}}};
  static const char *const operators[] = {"Add", "Mul", "PRelu", "Max", "Sub"};
  (void)state;
  for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
    size_t s = i / 2;
    const bool has_samples = shapes[s].rank == 4 && shapes[s].dims[0] > 1; /* then the batch is fixed */
    model_builder *b = start(13, 21, i % 2 || has_samples);
    block_constant(b, "k", shapes[s].rank, shapes[s].dims, 1);
    builder_node(b, operators[s % 5], "c k", "e");
    builder_node(b, "Abs", "e", "d");
    expect_blocks(operators[s % 5], b, 21, BORDERS);
  }
  model_builder *b = start(13, 4, true); /* one number in each channel */
  float slopes[4 * 6 * 5];
  for (int i = 0; i < 4 * 6 * 5; i++) slopes[i] = (float)(i / 30) * 0.1f;
  builder_floats(b, "k", 4, DIMS(1, 4, 6, 5), slopes);
  builder_node(b, "PRelu", "c k", "d");
  expect_blocks("slopes", b, 4, BORDERS);
}

static void operands_that_are_no_blocks(void **state) {
  (void)state;
  model_builder *b = start(13, 8, true); /* x is reordered */
  builder_node(b, "Add", "c x", "d");
  expect_blocks("sum", b, 8, BORDERS + 1);
  b = start(13, CHANNELS, true); /* Concat with a constant, and with less than half from elsewhere */
  block_constant(b, "k", 4, DIMS(2, 3, 6, 5), 1);
  builder_int(builder_node(b, "Concat", "c k x", "d"), "axis", 1);
  expect_blocks("concat", b, CHANNELS + 3 + 8, BORDERS + 1);
  b = start(13, 2, true); /* and with more */
  builder_int(builder_node(b, "Concat", "c x", "d"), "axis", -3);
  expect_blocks("concat", b, 10, -1);
}

/* Factors per channel that float does not hold, or only with few digits: these are computed in double, on plain
 * tensors. */
static void normalizations_beyond_float(void **state) {
  static const struct {
    float weights, scale, variance; /* results are about weights * scale / sqrt(variance) */
  } cases[] = {{1, 2, 1}, {1e-11f, 1e38f, 1e-6f}, {1e11f, 1e-38f, 1e12f}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    float vectors[4][CHANNELS] = {{0}};
    static const char *const names[] = {"scale", "shift", "mean", "variance"};
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(-1, 8, -1, -1));
    block_constant(b, "w", 4, DIMS(CHANNELS, 8, 1, 1), cases[i].weights);
    builder_node(b, "Conv", "x w", "c");
    builder_node(b, "Relu", "c", "r");
    for (int c = 0; c < CHANNELS; c++) {
      vectors[0][c] = c % 3 ? cases[i].scale : cases[i].scale / 2;
      vectors[3][c] = cases[i].variance;
    }
    for (int k = 0; k < 4; k++) builder_floats(b, names[k], 1, DIMS(CHANNELS), vectors[k]);
    builder_float(builder_node(b, "BatchNormalization", "r scale shift mean variance", "n"), "epsilon", 0);
    builder_node(b, "Relu", "n", "d");
    expect_blocks(i == 0 ? "a normalization in blocks" : "a normalization beyond float", b, CHANNELS,
                  i == 0 ? BORDERS : -1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(normalizations_beyond_float),
      cmocka_unit_test(slices),
      cmocka_unit_test(splits),
      cmocka_unit_test(pads),
      cmocka_unit_test(resizes),
      cmocka_unit_test(squeeze_and_excitation),
      cmocka_unit_test(gates_of_one_channel),
      cmocka_unit_test(instance_normalization),
      cmocka_unit_test(large_planes),
      cmocka_unit_test(softmax),
      cmocka_unit_test(softmax_of_large_planes),
      cmocka_unit_test(constants_of_all_shapes),
      cmocka_unit_test(operands_that_are_no_blocks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
