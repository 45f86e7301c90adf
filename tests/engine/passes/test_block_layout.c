/* Convolutional stretches of a graph in channel blocks: where they begin and end, what stays plain, and that they
 * compute what the plain graph computes. What single operators become is in test_block_layout_operators.c. */
#include "tests/engine/passes/block_check.h"
#include "tests/engine/passes/pass_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static model_builder *begin(int64_t channels) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){-1, channels, -1, -1});
  return b;
}

/* ---------------------------------------------------------------------------------------------------------- results */

static void convolutions_of_all_shapes(void **state) {
  (void)state;
  for (int i = 0; i < 60; i++) {
    int64_t group = i % 4 == 3 ? 2 : 1, channels = block_random(1, 40) * group, outputs = block_random(1, 40) * group;
    if (i % 5 == 4) group = outputs = channels;
    int64_t kernel = (int64_t[]){1, 3, 5, 7}[block_random(0, 3)];
    int64_t height = block_random(1, 20), width = block_random(1, 20);
    int64_t stride = block_random(1, 2), dilation = block_random(1, 2);
    model_builder *b = begin(channels);
    block_conv(b, "x", "c",
               (block_conv_form){.channels = channels,
                                 .outputs = outputs,
                                 .group = group,
                                 .kernel = kernel,
                                 .stride = stride,
                                 .dilation = dilation});
    builder_node(b, "Relu", "c", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    char what[96];
    snprintf(what, sizeof what, "case %d: %d -> %d, %d groups, kernel %d, %d x %d", i, (int)channels, (int)outputs,
             (int)group, (int)kernel, (int)height, (int)width);
    check_blocks(b, &(block_case){.what = what,
                                  .input = {block_random(1, 3), channels, height, width},
                                  .reorders = -1,
                                  .any_batch = true});
  }
}

/* A residual network: two convolutions, a shortcut, pooling, one more convolution, global pooling. */
static void a_residual_block_is_reordered_at_its_ends(void **state) {
  (void)state;
  static const int64_t channel_counts[] = {16, 24, 32, 5};
  for (size_t i = 0; i < 4; i++) {
    int64_t c = channel_counts[i];
    model_builder *b = begin(3);
    block_conv(b, "x", "c1", (block_conv_form){.channels = 3, .outputs = c, .kernel = 3, .stride = 2});
    builder_node(b, "Relu", "c1", "r1");
    block_conv(b, "r1", "c2", (block_conv_form){.channels = c, .outputs = c, .kernel = 3});
    builder_node(b, "Relu", "c2", "r2");
    block_conv(b, "r2", "c3", (block_conv_form){.channels = c, .outputs = c});
    builder_node(b, "Add", "c3 r1", "s");
    builder_node(b, "Relu", "s", "r3");
    node *pool = builder_node(b, "MaxPool", "r3", "p");
    builder_ints(pool, "kernel_shape", 2, (int64_t[]){3, 3});
    builder_ints(pool, "strides", 2, (int64_t[]){2, 2});
    builder_ints(pool, "pads", 4, (int64_t[]){1, 1, 1, 1});
    node *average = builder_node(b, "AveragePool", "p", "a");
    builder_ints(average, "kernel_shape", 2, (int64_t[]){2, 2});
    block_conv(b, "a", "d", (block_conv_form){.channels = c, .outputs = c, .group = c, .kernel = 3});
    builder_node(b, "Sigmoid", "d", "g");
    builder_node(b, "GlobalAveragePool", "g", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    check_blocks(b, &(block_case){.what = "residual block", .input = {2, 3, 33, 29}, .reorders = 1, .any_batch = true});
  }
}

/* DenseNet's pattern: Concat of whole blocks, BatchNormalization, a gate per channel, constants per channel. */
static void what_follows_a_convolution_stays_in_blocks(void **state) {
  (void)state;
  for (int64_t c = 16; c <= 48; c += 16) {
    model_builder *b = begin(4);
    block_conv(b, "x", "c1", (block_conv_form){.channels = 4, .outputs = c, .kernel = 3});
    block_conv(b, "c1", "c2", (block_conv_form){.channels = c, .outputs = 32, .kernel = 3});
    builder_int(builder_node(b, "Concat", "c1 c2", "j"), "axis", 1);
    int64_t all = c + 32;
    block_constant(b, "scale", 1, &all, 1);
    block_constant(b, "bias", 1, &all, 1);
    block_constant(b, "mean", 1, &all, 1);
    float *variance = block_numbers(all);
    for (int64_t i = 0; i < all; i++) variance[i] = 0.5f + fabsf(variance[i]);
    builder_floats(b, "var", 1, &all, variance);
    free(variance);
    builder_node(b, "BatchNormalization", "j scale bias mean var", "n");
    builder_node(b, "LeakyRelu", "n", "r");
    builder_node(b, "GlobalAveragePool", "r", "q");
    builder_node(b, "HardSigmoid", "q", "gate");
    builder_node(b, "Mul", "r gate", "m");
    block_constant(b, "k", 3, (int64_t[]){all, 1, 1}, 1);
    builder_node(b, "Sub", "k m", "t");
    block_constant(b, "slope", 3, (int64_t[]){all, 1, 1}, 1);
    builder_node(b, "PRelu", "t slope", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    check_blocks(b, &(block_case){.what = "dense block", .input = {2, 4, 9, 11}, .reorders = 1, .any_batch = true});
  }
}

static void response_normalization_sums_real_channels(void **state) {
  (void)state;
  for (int64_t c = 5; c <= 40; c += 7) {
    model_builder *b = begin(3);
    block_conv(b, "x", "c", (block_conv_form){.channels = 3, .outputs = c, .kernel = 3});
    node *lrn = builder_node(b, "LRN", "c", "n");
    builder_int(lrn, "size", 5);
    builder_float(lrn, "alpha", 0.5f);
    builder_node(b, "GlobalAveragePool", "n", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    check_blocks(b, &(block_case){.what = "LRN", .input = {2, 3, 37, 31}, .reorders = 1, .any_batch = true});
  }
}

/* What has no blocked form gets the plain tensor. */
static void plain_readers_get_plain_tensors(void **state) {
  (void)state;
  model_builder *b = begin(8);
  block_conv(b, "x", "c1", (block_conv_form){.channels = 8, .outputs = 20, .kernel = 3});
  builder_ints(builder_node(b, "Transpose", "c1", "t"), "perm", 4, (int64_t[]){0, 1, 3, 2});
  block_conv(b, "t", "c2", (block_conv_form){.channels = 20, .outputs = 6});
  builder_int(builder_node(b, "Concat", "c2 t c1", "j"), "axis", 1);
  builder_node(b, "Softmax", "j", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_blocks(b, &(block_case){.what = "plain readers", .input = {2, 8, 7, 7}, .reorders = -1, .any_batch = true});
}

/* A transposed convolution: kernel, strides and pads by axis. */
typedef struct transposed_form {
  int64_t channels, outputs, kernel[2], stride[2], pads[4], extra[2];
} transposed_form;

static void add_transposed(model_builder *b, const char *inputs, const char *y, const char *weights,
                           const transposed_form *form) {
  const int64_t dims[4] = {form->channels, form->outputs, form->kernel[0], form->kernel[1]};
  block_constant(b, weights, 4, dims, 1.0f / sqrtf((float)(form->channels * form->kernel[0] * form->kernel[1])));
  node *transposed = builder_node(b, "ConvTranspose", inputs, y);
  builder_ints(transposed, "strides", 2, form->stride);
  builder_ints(transposed, "pads", 4, form->pads);
  builder_ints(transposed, "output_padding", 2, form->extra);
}

static transposed_form random_transposed(int i, const int64_t size[2]) {
  transposed_form form = {.channels = block_random(1, 40),
                          .outputs = (int64_t[]){16, 32, 47, 24, 31, 15, 3, 13}[block_random(0, 7)]};
  for (int d = 0; d < 2; d++) {
    form.stride[d] = block_random(1, 4);
    form.kernel[d] = form.stride[d] + block_random(0, 3);
    const int64_t reach = form.kernel[d] - 1, most = (size[d] - 1) * form.stride[d] + reach; /* leaves an output */
    form.pads[d] = block_random(0, reach < most ? reach : most);
    form.pads[2 + d] = block_random(0, reach < most - form.pads[d] ? reach : most - form.pads[d]);
    form.extra[d] = block_random(0, i % 3 == 0 ? form.stride[d] + 2 : 0);
  }
  if (i % 4 != 2) return form;
  memcpy(form.kernel, form.stride, sizeof form.kernel); /* taps that do not overlap, and nothing padded */
  memset(form.pads, 0, sizeof form.pads);
  if (i % 8 == 2) memset(form.extra, 0, sizeof form.extra);
  if (i % 16 == 2) form.outputs = block_random(1, 12);
  return form;
}

/* Strides, pads and kernels of both axes at random, behind a convolution; what is added to the result too. */
static void transposed_convolutions_of_all_shapes(void **state) {
  (void)state;
  for (int i = 0; i < 160; i++) {
    const int64_t most = i % 5 == 0 ? 1 : 14, size[2] = {block_random(1, most), block_random(1, most)};
    const int64_t batch = i % 3 == 0 ? 2 : block_random(1, 3);
    const transposed_form form = random_transposed(i, size);
    const bool has_residual = i % 7 > 4; /* joined where shapes are known to be the same */
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, has_residual ? DIMS(batch, 5, size[0], size[1]) : DIMS(-1, 5, -1, -1));
    block_conv(b, "x", "c", (block_conv_form){.channels = 5, .outputs = form.channels});
    if (i % 4) block_constant(b, "b", 1, &form.outputs, 1);
    add_transposed(b, i % 4 ? "c w b" : "c w", "t", "w", &form);
    if (has_residual) add_transposed(b, "c v", "r", "v", &form);
    builder_node(b, has_residual ? "Add" : "Identity", has_residual ? "r t" : "t", "s");
    builder_node(b, "Relu", "s", "a");
    block_conv(b, "a", "y", (block_conv_form){.channels = form.outputs, .outputs = 7});
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    char what[160];
    snprintf(what, sizeof what, "case %d: %d -> %d, %d x %d, kernel %d x %d, strides %d %d, pads %d %d %d %d", i,
             (int)form.channels, (int)form.outputs, (int)size[0], (int)size[1], (int)form.kernel[0],
             (int)form.kernel[1], (int)form.stride[0], (int)form.stride[1], (int)form.pads[0], (int)form.pads[1],
             (int)form.pads[2], (int)form.pads[3]);
    check_blocks(
        b,
        &(block_case){.what = what, .input = {batch, 5, size[0], size[1]}, .reorders = -1, .any_batch = !has_residual});
  }
}

/* With strides of 1 they are convolutions, and begin a stretch where their channels fill blocks. */
static void transposed_convolutions_begin_a_stretch(void **state) {
  (void)state;
  for (int i = 0; i < 24; i++) {
    const int64_t size[2] = {block_random(3, 20), block_random(3, 20)};
    const bool begins = i % 4 != 3;
    transposed_form form = {.channels = begins ? 32 : 5,
                            .outputs = begins ? 48 : 3,
                            .kernel = {block_random(1, 4), block_random(1, 4)},
                            .stride = {1, 1}};
    for (int d = 0; d < 2; d++) {
      form.pads[d] = block_random(0, form.kernel[d] - 1);
      form.pads[2 + d] = block_random(0, form.kernel[d] - 1);
    }
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(-1, form.channels, -1, -1));
    if (i % 2) block_constant(b, "b", 1, &form.outputs, 1);
    add_transposed(b, i % 2 ? "x w b" : "x w", "y", "w", &form);
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    check_blocks(b, &(block_case){.what = "lone",
                                  .input = {2, form.channels, size[0], size[1]},
                                  .reorders = begins ? 2 : 0,
                                  .any_batch = true});
  }
}

static void empty_batches_run(void **state) {
  (void)state;
  model_builder *b = begin(8);
  block_conv(b, "x", "c", (block_conv_form){.channels = 8, .outputs = 20, .kernel = 3});
  builder_node(b, "GlobalAveragePool", "c", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_blocks(b, &(block_case){.what = "empty batch", .input = {0, 8, 7, 7}, .reorders = -1, .any_batch = true});
}

/* -------------------------------------------------------------------------------------------------------- the graph */

#define PASS "block_layout"

/* y = the named nodes on x, run with this pass alone. */
static checked expect_types(model_builder *b, double bound, const char *const *types) {
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, PASS, bound);
  const node *node = c.model->graph->first;
  for (int i = 0; types[i]; i++, node = node->next) {
    if (!node || strcmp(node->op_type, types[i]) != 0) {
      fail_msg("node %d is %s, not %s", i, node ? node->op_type : "missing", types[i]);
    }
  }
  assert_null(node);
  return c;
}

static model_builder *conv_model(norma_element_type type, int rank, const int64_t *dims, const int64_t *weights) {
  model_builder *b = builder_create(22);
  builder_input(b, "x", type, rank, dims);
  add_random(b, "w", type, rank, weights, -1, 1);
  return b;
}

/* The sketch of the pass. Reorders whose results nobody reads are still there; no plan has steps for them. */
static void a_stretch_is_reordered_once_at_each_end(void **state) {
  (void)state;
  model_builder *b = conv_model(NORMA_FLOAT, 4, DIMS(2, 8, 9, 9), DIMS(16, 8, 3, 3));
  builder_node(b, "Conv", "x w", "c");
  builder_ints(builder_node(b, "MaxPool", "c", "p"), "kernel_shape", 2, DIMS(2, 2));
  builder_node(b, "Relu", "p", "y");
  checked c = expect_types(b, 2e-5,
                           (const char *const[]){"BlockChannels", "Conv", "UnblockChannels", "MaxPool",
                                                 "UnblockChannels", "Relu", "UnblockChannels", NULL});
  const graph *graph = c.model->graph;
  const node *conv = graph->first->next, *last = graph->last;
  assert_string_equal(conv->domain, "norma");
  assert_string_equal(last->previous->domain, ""); /* Relu runs on blocks as it is */
  assert_int_equal(last->previous->inputs[0]->info.shape.rank, 5);
  assert_string_equal(last->outputs[0]->name, "y");
  assert_ptr_equal(last->outputs[0]->blocked, last->inputs[0]);
  int unread = 0;
  for (const node *node = graph->first; node; node = node->next) {
    if (strcmp(node->op_type, "UnblockChannels") != 0) continue;
    unread += node->outputs[0]->use_count == 0 && node->outputs[0]->output_count == 0;
  }
  assert_int_equal(unread, 2);
  free_checked(&c);
}

/* A value that several convolutions read is reordered once, right behind what computes it. */
static void readers_share_a_blocked_copy(void **state) {
  (void)state;
  model_builder *b = conv_model(NORMA_FLOAT, 4, DIMS(2, 16, 5, 5), DIMS(16, 16, 3, 3));
  builder_node(b, "Neg", "x", "n");
  builder_node(b, "Conv", "n w", "c");
  builder_node(b, "Conv", "n w", "d");
  builder_node(b, "Add", "c d", "y");
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, PASS, 2e-5);
  assert_int_equal(count_nodes(&c, "BlockChannels"), 1);
  assert_string_equal(only_node(&c, "BlockChannels")->previous->op_type, "Neg");
  free_checked(&c);
}

/* Other types, other ranks, channels that nobody knows: nothing becomes a block. */
static void what_has_no_blocks_stays(void **state) {
  (void)state;
  static const char *const plain[] = {"Conv", NULL};
  model_builder *b = conv_model(NORMA_DOUBLE, 4, DIMS(2, 16, 5, 5), DIMS(16, 16, 3, 3));
  builder_node(b, "Conv", "x w", "y");
  checked c = expect_types(b, 0, plain);
  free_checked(&c);
  b = conv_model(NORMA_FLOAT, 5, DIMS(1, 16, 4, 4, 4), DIMS(16, 16, 2, 2, 2));
  builder_node(b, "Conv", "x w", "y");
  c = expect_types(b, 0, plain);
  free_checked(&c);
  b = builder_create(13); /* weights that are no constants */
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 16, 5, 5));
  builder_input(b, "w", NORMA_FLOAT, 4, DIMS(16, 16, 3, 3));
  builder_node(b, "Conv", "x w", "y");
  c = expect_types(b, 0, plain);
  free_checked(&c);
}

/* Without a convolution in front nobody asks for blocks. */
static void no_stretch_begins_without_a_convolution(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 16, 8, 8));
  builder_ints(builder_node(b, "MaxPool", "x", "p"), "kernel_shape", 2, DIMS(2, 2));
  builder_node(b, "Relu", "p", "r");
  builder_node(b, "GlobalAveragePool", "r", "y");
  checked c = expect_types(b, 0, (const char *const[]){"MaxPool", "Relu", "GlobalAveragePool", NULL});
  free_checked(&c);
}

/* Graphs below nodes have stretches of their own: what they read from outside they reorder themselves. */
static void branches_have_blocks_too(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 16, 6, 6));
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  block_conv(b, "x", "c", (block_conv_form){.channels = 16, .outputs = 16, .kernel = 3});
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    block_conv(inner, "c", i ? "d" : "e", (block_conv_form){.channels = 16, .outputs = 16, .kernel = 1});
    builder_node(inner, "Relu", i ? "d" : "e", i ? "t" : "u");
    builder_output(inner, i ? "t" : "u", NORMA_FLOAT, -1, NULL);
  }
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  checked c = check_passes(b, PASS, 2e-5);
  assert_int_equal(count_nodes(&c, "BlockChannels"), 1 + 2);
  assert_int_equal(count_nodes(&c, "UnblockChannels"), 1 + 2 * 2);
  free_checked(&c);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 8, 6, 6));
  block_conv(b, "x", "c", (block_conv_form){.channels = 8, .outputs = 16, .kernel = 3});
  builder_ints(builder_node(b, "ReduceMax", "c", "g"), "axes", 1, DIMS(1));
  builder_node(b, "Mul", "c g", "m");
  block_constant(b, "k", 3, DIMS(16, 1, 1), 1);
  builder_node(b, "Add", "m k", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(convolutions_of_all_shapes),
      cmocka_unit_test(a_residual_block_is_reordered_at_its_ends),
      cmocka_unit_test(what_follows_a_convolution_stays_in_blocks),
      cmocka_unit_test(response_normalization_sums_real_channels),
      cmocka_unit_test(plain_readers_get_plain_tensors),
      cmocka_unit_test(transposed_convolutions_of_all_shapes),
      cmocka_unit_test(transposed_convolutions_begin_a_stretch),
      cmocka_unit_test(empty_batches_run),
      cmocka_unit_test(a_stretch_is_reordered_once_at_each_end),
      cmocka_unit_test(readers_share_a_blocked_copy),
      cmocka_unit_test(what_has_no_blocks_stays),
      cmocka_unit_test(no_stretch_begins_without_a_convolution),
      cmocka_unit_test(branches_have_blocks_too),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
