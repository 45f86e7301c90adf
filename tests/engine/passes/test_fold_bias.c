/* A constant that is added per channel behind a layer goes into its bias. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PASS      "fold_bias"
#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static node *add_conv(model_builder *b, const char *inputs, const char *output, int64_t pad) {
  node *conv = builder_node(b, "Conv", inputs, output);
  builder_ints(conv, "pads", 4, DIMS(pad, pad, pad, pad));
  return conv;
}

/* c = Conv(x, w, b), 4 channels. */
static model_builder *conv_model(int opset) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3), -1, 1);
  add_random(b, "b", NORMA_FLOAT, 1, DIMS(4), -1, 1);
  add_conv(b, "x w b", "c", 1);
  return b;
}

static void bias_folds_in_every_form(void **state) {
  static const struct {
    int rank;
    int64_t dims[4];
  } forms[] = {{0, {0}}, {1, {1}}, {3, {4, 1, 1}}, {4, {1, 4, 1, 1}}};
  static const struct {
    const char *op_type, *inputs;
  } sums[] = {{"Add", "c t"}, {"Add", "t c"}, {"Sub", "c t"}, {"Sub", "t c"}};
  (void)state;
  for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
    for (size_t s = 0; s < sizeof sums / sizeof *sums; s++) {
      model_builder *b = conv_model(13);
      add_random(b, "t", NORMA_FLOAT, forms[f].rank, forms[f].dims, -3, 3);
      builder_node(b, sums[s].op_type, sums[s].inputs, "y");
      expect_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
    }
  }
}

/* Before version 7 an axis says where B stands. */
static void bias_folds_with_old_broadcast(void **state) {
  (void)state;
  model_builder *b = conv_model(6);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(4), -3, 3);
  node *add = builder_node(b, "Add", "c t", "y");
  builder_int(add, "broadcast", 1);
  builder_int(add, "axis", 1);
  expect_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);

  b = conv_model(6);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -3, 3);
  add = builder_node(b, "Add", "c t", "y");
  builder_int(add, "broadcast", 1);
  builder_int(add, "axis", 3);
  expect_nodes(b, PASS, 0, 2);
}

static void bias_on_another_axis_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -3, 3); /* along the width */
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, 0, 2);

  b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 7, 1), -3, 3);
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void bias_that_enlarges_the_output_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 5, DIMS(1, 1, 4, 1, 1), -3, 3);
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, 0, 2);

  b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(1, 3, 3, 3), -1, 1);
  add_conv(b, "x w", "c", 1);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), -3, 3);
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void bias_stays_with_two_readers(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 0, NULL, -3, 3);
  builder_node(b, "Add", "c t", "s");
  builder_node(b, "Mul", "c s", "y");
  expect_nodes(b, PASS, 0, 3);
}

static void sum_of_variables_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  builder_input(b, "t", NORMA_FLOAT, 4, DIMS(1, 4, 1, 1));
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void bias_folds_into_layers_without_constant_weights(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
  builder_input(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3));
  add_conv(b, "x w", "c", 1);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), -3, 3);
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
}

static void matrix_products_take_a_bias(void **state) {
  static const char *const layers[] = {"MatMul", "Gemm"};
  (void)state;
  for (int i = 0; i < 2; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 7));
    add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
    builder_node(b, layers[i], "x w", "c");
    add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -3, 3);
    builder_node(b, "Add", "c t", "y");
    checked c = check_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
    only_node(&c, "Gemm");
    free_checked(&c);
  }
}

/* Its columns are not axis 1: there is no operator that takes the bias with the weights. */
static void product_of_rank_three_takes_no_bias(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 4, 7));
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
  builder_node(b, "MatMul", "x w", "c");
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -3, 3);
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, 0, 2);
}

/* Each difference folds on its side only: c - b adds -b to the bias, b - c turns the weights around as well. */
static void difference_from_a_constant_needs_constant_weights(void **state) {
  (void)state;
  for (int reversed = 0; reversed < 2; reversed++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
    builder_input(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3));
    add_conv(b, "x w", "c", 1);
    add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), -3, 3);
    builder_node(b, "Sub", reversed ? "t c" : "c t", "y");
    expect_nodes(b, PASS, reversed ? 0 : PASS_BOUND(NORMA_FLOAT), reversed ? 2 : 1);
  }
}

static void bias_that_is_an_input_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
  builder_input(b, "b", NORMA_FLOAT, 1, DIMS(4));
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3), -1, 1);
  add_conv(b, "x w b", "c", 1);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), -3, 3);
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, 0, 2);
}

/* Transposed, and in groups, where a channel of the output is not a row of the weights. */
static void transposed_convolutions_take_a_bias(void **state) {
  (void)state;
  for (int64_t group = 1; group <= 2; group++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 4, 5, 5));
    add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 2, 2), -1, 1);
    builder_int(builder_node(b, "ConvTranspose", "x w", "c"), "group", group);
    add_random(b, "t", NORMA_FLOAT, 3, DIMS(3 * group, 1, 1), -3, 3);
    builder_node(b, "Add", "c t", "y");
    checked c = check_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
    assert_int_equal(only_node(&c, "ConvTranspose")->input_count, 3);
    free_checked(&c);
  }
}

/* The addend of Gemm is C, times beta: it becomes a row with beta 1. */
static void gemm_takes_a_bias_beside_its_own(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 7));
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
  add_random(b, "b", NORMA_FLOAT, 2, DIMS(1, 5), -1, 1);
  node *gemm = builder_node(b, "Gemm", "x w b", "c");
  builder_float(gemm, "beta", -2.5f);
  builder_float(gemm, "alpha", 0.5f);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -3, 3);
  builder_node(b, "Add", "c t", "y");
  checked c = check_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
  assert_true(attribute_float(only_node(&c, "Gemm"), "beta", 1) == 1);
  free_checked(&c);

  b = builder_create(13); /* C differs from row to row */
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 7));
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
  add_random(b, "b", NORMA_FLOAT, 2, DIMS(3, 5), -1, 1);
  builder_node(b, "Gemm", "x w b", "c");
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -3, 3);
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, 0, 2);
}

/* Factors are not this pass' business, and neither is a sum with an activation in between. */
static void only_sums_fold(void **state) {
  static const char *const op_types[] = {"Mul", "Div", "Max", "Pow"};
  (void)state;
  for (int i = 0; i < 4; i++) {
    model_builder *b = conv_model(13);
    add_random(b, "t", NORMA_FLOAT, 0, NULL, 1, 3);
    builder_node(b, op_types[i], "c t", "y");
    expect_nodes(b, PASS, 0, 2);
  }
  model_builder *b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 0, NULL, 1, 3);
  builder_node(b, "Relu", "c", "r");
  builder_node(b, "Add", "r t", "y");
  expect_nodes(b, "fold_bias fuse_activation", 0, 2);
}

static void bias_out_of_range_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(22);
  builder_input(b, "x", NORMA_FLOAT16, 4, DIMS(2, 3, 7, 5));
  add_random(b, "w", NORMA_FLOAT16, 4, DIMS(4, 3, 3, 3), -1, 1);
  add_numbers(b, "b", NORMA_FLOAT16, 1, DIMS(4), (double[]){0, 0, 60000, 0});
  add_conv(b, "x w b", "c", 1);
  add_numbers(b, "t", NORMA_FLOAT16, 3, DIMS(4, 1, 1), (double[]){1, 2, 60000, 3});
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, 0, 2);
}

/* Many sums behind one layer: names of what is folded do not grow with their number, nor does the time of each. */
static void many_sums_fold_in_linear_memory(void **state) {
  size_t used[2];
  (void)state;
  for (int many = 0; many < 2; many++) {
    const int count = many ? 8000 : 1000;
    char inputs[40], output[20], from[20] = "c";
    model_builder *b = conv_model(13);
    add_numbers(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), (double[]){0.25, 0.5, -0.25, 0});
    for (int i = 0; i < count; i++) {
      snprintf(inputs, sizeof inputs, "%s t", from);
      snprintf(output, sizeof output, i + 1 < count ? "a%d" : "y", i);
      builder_node(b, "Add", inputs, output);
      strcpy(from, output);
    }
    checked c = check_nodes(b, PASS, 1e-3, 1); /* the sums of -O 0 are rounded each time */
    used[many] = norma_runtime_memory_used(c.runtime) - c.used;
    free_checked(&c);
  }
  if (used[1] > 16 * used[0]) fail_msg("%zu bytes for 8 times what took %zu", used[1], used[0]);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  static const char *const layers[] = {"Conv", "MatMul"};
  for (int i = 0; i < 2; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, i ? 2 : 4, i ? DIMS(2, 3) : DIMS(2, 3, 7, 5));
    add_random(b, "w", NORMA_FLOAT, i ? 2 : 4, i ? DIMS(3, 4) : DIMS(4, 3, 3, 3), -1, 1);
    builder_node(b, layers[i], "x w", "c");
    add_random(b, "t", NORMA_FLOAT, i ? 1 : 3, DIMS(4, 1, 1), -3, 3);
    builder_node(b, "Sub", "t c", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    check_allocations(b, PASS);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bias_folds_in_every_form),
      cmocka_unit_test(bias_folds_with_old_broadcast),
      cmocka_unit_test(bias_on_another_axis_stays),
      cmocka_unit_test(bias_that_enlarges_the_output_stays),
      cmocka_unit_test(bias_stays_with_two_readers),
      cmocka_unit_test(sum_of_variables_stays),
      cmocka_unit_test(bias_folds_into_layers_without_constant_weights),
      cmocka_unit_test(matrix_products_take_a_bias),
      cmocka_unit_test(product_of_rank_three_takes_no_bias),
      cmocka_unit_test(difference_from_a_constant_needs_constant_weights),
      cmocka_unit_test(bias_that_is_an_input_stays),
      cmocka_unit_test(transposed_convolutions_take_a_bias),
      cmocka_unit_test(gemm_takes_a_bias_beside_its_own),
      cmocka_unit_test(only_sums_fold),
      cmocka_unit_test(bias_out_of_range_stays),
      cmocka_unit_test(many_sums_fold_in_linear_memory),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
