/* BatchNormalization in inference behind a convolution goes into its weights: all versions, forms and types, and what
 * must not be folded. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PASS      "fold_batch_normalization_into_conv"
#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* Parameters named scale, bias, mean, var. */
static void add_parameters(model_builder *b, norma_element_type type, int64_t channels) {
  add_random(b, "scale", type, 1, &channels, -2, 2);
  add_random(b, "bias", type, 1, &channels, -1, 1);
  add_random(b, "mean", type, 1, &channels, -1, 1);
  add_random(b, "var", type, 1, &channels, 0.1, 3);
}

/* y = BatchNormalization(c), in inference whatever the version. */
static node *add_normalization(model_builder *b, int opset) {
  node *bn = builder_node(b, "BatchNormalization", "c scale bias mean var", "y");
  if (opset < 7) builder_int(bn, "is_test", 1);
  if (opset < 6) builder_ints(bn, "consumed_inputs", 5, DIMS(0, 0, 0, 1, 1));
  return bn;
}

/* c = Conv(x, w), 4 channels from 6 in 2 groups. */
static model_builder *conv_model(int opset, norma_element_type type, bool with_bias) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", type, 4, DIMS(2, 6, 7, 5));
  add_random(b, "w", type, 4, DIMS(4, 3, 3, 3), -1, 1);
  if (with_bias) add_random(b, "b", type, 1, DIMS(4), -1, 1);
  node *conv = builder_node(b, "Conv", with_bias ? "x w b" : "x w", "c");
  builder_int(conv, "group", 2);
  builder_ints(conv, "pads", 4, DIMS(1, 1, 1, 1));
  return b;
}

static void folds_into_conv_in_all_versions(void **state) {
  static const int opsets[] = {1, 6, 7, 9, 13, 14, 15, 17};
  (void)state;
  for (size_t i = 0; i < sizeof opsets / sizeof *opsets; i++) {
    for (int with_bias = 0; with_bias < 2; with_bias++) {
      model_builder *b = conv_model(opsets[i], NORMA_FLOAT, with_bias);
      add_parameters(b, NORMA_FLOAT, 4);
      add_normalization(b, opsets[i]);
      checked c = check_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
      const node *conv = only_node(&c, "Conv");
      assert_int_equal(conv->input_count, 3);
      assert_non_null(strstr(conv->name, " + "));
      free_checked(&c);
    }
  }
}

static void folds_all_float_types(void **state) {
  static const norma_element_type types[] = {NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  (void)state;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    model_builder *b = conv_model(22, types[i], true);
    add_parameters(b, types[i], 4);
    add_normalization(b, 22);
    expect_nodes(b, PASS, PASS_BOUND(types[i]), 1);
  }
}

static void folds_into_grouped_transposed_convolution(void **state) {
  (void)state;
  for (int64_t group = 1; group <= 3; group += 2) {
    model_builder *b = builder_create(11);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 6, 4, 5));
    add_random(b, "w", NORMA_FLOAT, 4, DIMS(6, 2, 3, 3), -1, 1);
    add_random(b, "b", NORMA_FLOAT, 1, DIMS(2 * group), -1, 1);
    node *layer = builder_node(b, "ConvTranspose", "x w b", "c");
    builder_int(layer, "group", group);
    builder_ints(layer, "strides", 2, DIMS(2, 2));
    add_parameters(b, NORMA_FLOAT, 2 * group);
    add_normalization(b, 11);
    expect_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
  }
}

/* Depthwise, where each channel has weights of its own, and convolutions of one and three dimensions. */
static void folds_into_convolutions_of_all_forms(void **state) {
  static const struct {
    int rank;
    int64_t x[5], w[5], group;
  } forms[] = {{4, {2, 4, 6, 5}, {4, 1, 3, 3}, 4},
               {4, {2, 2, 6, 5}, {6, 1, 3, 3}, 2},
               {3, {2, 3, 9}, {4, 3, 3}, 1},
               {5, {1, 3, 4, 4, 4}, {4, 3, 2, 2, 2}, 1}};
  (void)state;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, forms[i].rank, forms[i].x);
    add_random(b, "w", NORMA_FLOAT, forms[i].rank, forms[i].w, -1, 1);
    builder_int(builder_node(b, "Conv", "x w", "c"), "group", forms[i].group);
    add_parameters(b, NORMA_FLOAT, forms[i].w[0]);
    add_normalization(b, 13);
    expect_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
  }
}

/* From the least subnormal to the largest variances that models have. */
static void survives_extreme_variances(void **state) {
  (void)state;
  model_builder *b = conv_model(9, NORMA_FLOAT, true);
  add_parameters(b, NORMA_FLOAT, 4);
  add_numbers(b, "extreme", NORMA_FLOAT, 1, DIMS(4), (double[]){5.6e-45, 0, 2.2e10, 1e-5});
  builder_node(b, "BatchNormalization", "c scale bias mean extreme", "y");
  /* Each channel by itself, or the one with factor 1/sqrt(epsilon) would hide the others. */
  builder_node(b, "Split", "y", "y0 y1 y2 y3");
  node *split = builder_model(b)->graph->last;
  builder_int(split, "axis", 1);
  for (int i = 0; i < 4; i++) {
    char name[16];
    snprintf(name, sizeof name, "y%d", i);
    builder_output(b, name, NORMA_UNDEFINED, -1, NULL);
  }
  checked c = check_passes(b, PASS, PASS_BOUND(NORMA_FLOAT));
  assert_int_equal(count_nodes(&c, "BatchNormalization"), 0);
  free_checked(&c);
}

static void folds_a_factor_of_zero(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT, false);
  add_parameters(b, NORMA_FLOAT, 4);
  add_numbers(b, "zero", NORMA_FLOAT, 1, DIMS(4), (double[]){1, 0, 1, 0});
  builder_node(b, "BatchNormalization", "c zero bias mean var", "y");
  expect_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
}

/* Weights that two convolutions share are folded for one without harm to the other. */
static void shared_weights_stay_for_others(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT, true);
  node *conv = builder_node(b, "Conv", "x w b", "z");
  builder_int(conv, "group", 2);
  add_parameters(b, NORMA_FLOAT, 4);
  add_normalization(b, 13);
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  expect_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 2);
}

/* In a branch, with parameters of the graph around it. */
static void folds_in_branches(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 6, 7, 5));
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 6, 3, 3), -1, 1);
  add_parameters(b, NORMA_FLOAT, 4);
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, "Conv", "x w", "c");
    if (i) builder_node(inner, "BatchNormalization", "c scale bias mean var", "z");
    if (!i) builder_node(inner, "Neg", "c", "z");
    builder_output(inner, "z", NORMA_FLOAT, -1, NULL);
  }
  expect_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 4);
}

/* ---------------------------------------------------------------------------------------------- what stays as it is */

static void expect_untouched(model_builder *b, const char *output) {
  if (output) builder_output(b, output, NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, PASS, 0);
  only_node(&c, "BatchNormalization");
  free_checked(&c);
}

static void keeps_when_convolution_has_another_reader(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT, true);
  add_parameters(b, NORMA_FLOAT, 4);
  add_normalization(b, 13);
  builder_node(b, "Relu", "c", "z");
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  expect_untouched(b, "y");
}

static void keeps_when_convolution_is_an_output(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT, true);
  add_parameters(b, NORMA_FLOAT, 4);
  add_normalization(b, 13);
  builder_output(b, "c", NORMA_UNDEFINED, -1, NULL);
  expect_untouched(b, "y");
}

static void keeps_training(void **state) {
  static const int opsets[] = {6, 7, 14};
  (void)state;
  for (size_t i = 0; i < sizeof opsets / sizeof *opsets; i++) {
    model_builder *b = conv_model(opsets[i], NORMA_FLOAT, true);
    add_parameters(b, NORMA_FLOAT, 4);
    node *bn = builder_node(b, "BatchNormalization", "c scale bias mean var", opsets[i] == 6 ? "y" : "y m v");
    if (opsets[i] == 14) builder_int(bn, "training_mode", 1);
    expect_untouched(b, "y");
  }
}

static void keeps_parameters_that_are_inputs(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT, true);
  builder_input(b, "scale", NORMA_FLOAT, 1, DIMS(4));
  add_random(b, "bias", NORMA_FLOAT, 1, DIMS(4), -1, 1);
  add_random(b, "mean", NORMA_FLOAT, 1, DIMS(4), -1, 1);
  add_random(b, "var", NORMA_FLOAT, 1, DIMS(4), 0.1, 3);
  add_normalization(b, 13);
  expect_untouched(b, "y");
}

static void keeps_weights_that_are_inputs(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
  builder_input(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3));
  builder_node(b, "Conv", "x w", "c");
  add_parameters(b, NORMA_FLOAT, 4);
  add_normalization(b, 13);
  expect_untouched(b, "y");
}

static void keeps_parameters_per_feature(void **state) {
  (void)state;
  model_builder *b = conv_model(7, NORMA_FLOAT, true);
  static const char *const names[] = {"scale", "bias", "mean", "var"};
  for (int i = 0; i < 4; i++) add_random(b, names[i], NORMA_FLOAT, 3, DIMS(4, 7, 5), 0.5, 2);
  builder_int(add_normalization(b, 7), "spatial", 0);
  expect_untouched(b, "y");
}

/* The other pass' layers. */
static void keeps_matrix_products(void **state) {
  static const char *const layers[] = {"MatMul", "Gemm"};
  (void)state;
  for (int i = 0; i < 2; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 7));
    add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
    builder_node(b, layers[i], "x w", "c");
    add_parameters(b, NORMA_FLOAT, 5);
    add_normalization(b, 13);
    expect_untouched(b, "y");
  }
}

/* Once a layer applies an activation it is linear no more. */
static void keeps_layers_with_an_activation(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT, true);
  builder_node(b, "Relu", "c", "r");
  add_parameters(b, NORMA_FLOAT, 4);
  builder_node(b, "BatchNormalization", "r scale bias mean var", "y");
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, "fold_batch_normalization_into_conv fuse_activation", 0);
  only_node(&c, "BatchNormalization");
  free_checked(&c);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  for (int with_bias = 0; with_bias < 2; with_bias++) {
    model_builder *b = conv_model(13, NORMA_FLOAT, with_bias);
    add_parameters(b, NORMA_FLOAT, 4);
    add_normalization(b, 13);
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    check_allocations(b, PASS);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(folds_into_conv_in_all_versions),
      cmocka_unit_test(folds_all_float_types),
      cmocka_unit_test(folds_into_grouped_transposed_convolution),
      cmocka_unit_test(folds_into_convolutions_of_all_forms),
      cmocka_unit_test(survives_extreme_variances),
      cmocka_unit_test(folds_a_factor_of_zero),
      cmocka_unit_test(shared_weights_stay_for_others),
      cmocka_unit_test(folds_in_branches),
      cmocka_unit_test(keeps_when_convolution_has_another_reader),
      cmocka_unit_test(keeps_when_convolution_is_an_output),
      cmocka_unit_test(keeps_training),
      cmocka_unit_test(keeps_parameters_that_are_inputs),
      cmocka_unit_test(keeps_weights_that_are_inputs),
      cmocka_unit_test(keeps_parameters_per_feature),
      cmocka_unit_test(keeps_matrix_products),
      cmocka_unit_test(keeps_layers_with_an_activation),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
