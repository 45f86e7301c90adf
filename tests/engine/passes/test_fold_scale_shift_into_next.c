/* A factor and a summand per channel in front of a layer go into its weights and bias. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PASS      "fold_scale_shift_into_next"
#define BOUND     (2 * PASS_BOUND(NORMA_FLOAT)) /* the new bias is a sum of the size of the old one */
#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static node *add_conv(model_builder *b, const char *inputs, const char *output, int64_t pad) {
  node *conv = builder_node(b, "Conv", inputs, output);
  builder_ints(conv, "pads", 4, DIMS(pad, pad, pad, pad));
  return conv;
}

static void normalization_folds_into_a_convolution_without_padding(void **state) {
  static const char *const automatic[] = {"NOTSET", "VALID", "SAME_UPPER"};
  (void)state;
  for (int i = 0; i < 4; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 6, 7, 5));
    add_random(b, "s", NORMA_FLOAT, 1, DIMS(6), 0.5, 2);
    add_random(b, "v", NORMA_FLOAT, 1, DIMS(6), 0.5, 2);
    builder_node(b, "BatchNormalization", "x s v s v", "n");
    add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3), -1, 1);
    node *conv = builder_node(b, "Conv", "n w", "y");
    builder_int(conv, "group", 2);
    if (i < 3)
      builder_string(conv, "auto_pad", automatic[i]);
    else
      builder_ints(conv, "pads", 4, DIMS(0, 0, 0, 1));
    expect_nodes(b, PASS, i < 2 ? BOUND : 0, i < 2 ? 1 : 2);
  }
}

static void factor_folds_into_a_layer_with_padding(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(3, 1, 1), 0.5, 3);
  builder_node(b, "Div", "x t", "n");
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3), -1, 1);
  add_conv(b, "n w", "y", 1);
  expect_nodes(b, PASS, BOUND, 1);
}

/* The borders of a transposed convolution are sums of fewer elements. */
static void only_factors_fold_into_a_transposed_convolution(void **state) {
  (void)state;
  for (int with_sum = 0; with_sum < 2; with_sum++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 4, 5, 5));
    add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 3);
    builder_node(b, with_sum ? "Add" : "Mul", "x t", "n");
    add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3), -1, 1);
    builder_int(builder_node(b, "ConvTranspose", "n w", "y"), "group", 2);
    expect_nodes(b, PASS, with_sum ? 0 : BOUND, with_sum ? 2 : 1);
  }
}

static void normalization_folds_into_a_product(void **state) {
  static const char *const layers[] = {"MatMul", "Gemm"};
  (void)state;
  for (int i = 0; i < 2; i++) {
    for (int transposed = 0; transposed <= i; transposed++) {
      model_builder *b = builder_create(13);
      builder_input(b, "x", NORMA_FLOAT, 2, DIMS(4, 7));
      add_random(b, "s", NORMA_FLOAT, 1, DIMS(7), 0.5, 2);
      builder_node(b, "BatchNormalization", "x s s s s", "n");
      add_random(b, "w", NORMA_FLOAT, 2, transposed ? DIMS(5, 7) : DIMS(7, 5), -1, 1);
      add_random(b, "b", NORMA_FLOAT, 1, DIMS(5), -1, 1);
      node *layer = builder_node(b, layers[i], i ? "n w b" : "n w", "y");
      if (i) builder_float(layer, "alpha", 0.25f);
      if (i) builder_float(layer, "beta", 2);
      if (transposed) builder_int(layer, "transB", 1);
      expect_nodes(b, PASS, BOUND, 1);
    }
  }
}

/* Transposed, the channels are rows of the result. */
static void normalization_in_front_of_a_transposed_operand_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(7, 7));
  add_random(b, "s", NORMA_FLOAT, 1, DIMS(7), 0.5, 2);
  builder_node(b, "BatchNormalization", "x s s s s", "n");
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
  builder_int(builder_node(b, "Gemm", "n w", "y"), "transA", 1);
  expect_nodes(b, PASS, 0, 2);
}

/* y = Conv(x + t, w, b) with 1 x 1 windows: every form of a sum in front. */
static void sums_fold_in_every_form(void **state) {
  static const struct {
    const char *op_type, *inputs;
  } sums[] = {{"Add", "x t"}, {"Add", "t x"}, {"Sub", "x t"}, {"Sub", "t x"}};
  (void)state;
  for (int i = 0; i < 8; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 5, 5));
    add_random(b, "t", NORMA_FLOAT, i < 4 ? 3 : 0, DIMS(3, 1, 1), -1, 1);
    builder_node(b, sums[i % 4].op_type, sums[i % 4].inputs, "n");
    add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 1, 1), -1, 1);
    add_random(b, "b", NORMA_FLOAT, 1, DIMS(4), -1, 1);
    builder_node(b, "Conv", i % 2 ? "n w b" : "n w", "y");
    checked c = check_nodes(b, PASS, BOUND, 1);
    const node *conv = only_node(&c, "Conv");
    assert_int_equal(conv->input_count, 3);
    assert_string_equal(conv->inputs[0]->name, "x");
    free_checked(&c);
  }
}

static void variables_stay(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) { /* the summand, the weights, the bias */
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
    if (i == 0) builder_input(b, "t", NORMA_FLOAT, 3, DIMS(3, 1, 1));
    if (i == 1) builder_input(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 1, 1));
    if (i == 2) builder_input(b, "b", NORMA_FLOAT, 1, DIMS(4));
    if (i != 0) add_random(b, "t", NORMA_FLOAT, 3, DIMS(3, 1, 1), 0.5, 3);
    if (i != 1) add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 1, 1), -1, 1);
    if (i != 2) add_random(b, "b", NORMA_FLOAT, 1, DIMS(4), -1, 1);
    builder_node(b, "Add", "x t", "n");
    builder_node(b, "Conv", "n w b", "y");
    expect_nodes(b, PASS, 0, 2);
  }
}

static void other_readers_keep_it_apart(void **state) {
  (void)state;
  for (int as_output = 0; as_output < 2; as_output++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 4, 5, 5));
    add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 3);
    add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 4, 1, 1), -1, 1);
    builder_node(b, "Mul", "x t", "n");
    builder_node(b, "Conv", "n w", as_output ? "y" : "c");
    if (as_output) builder_output(b, "n", NORMA_UNDEFINED, -1, NULL);
    if (!as_output) builder_node(b, "Sub", "c n", "y");
    expect_nodes(b, PASS, 0, as_output ? 2 : 3);
  }
}

/* The normalization is of the other operand, which is no constant then. */
static void second_operand_of_a_product_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(7, 5));
  add_random(b, "a", NORMA_FLOAT, 2, DIMS(3, 7), -1, 1);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), 0.5, 3);
  builder_node(b, "Mul", "x t", "n");
  builder_node(b, "MatMul", "a n", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void factors_on_another_axis_stay(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 5, 5, 5));
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), 0.5, 3); /* along the width */
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 5, 1, 1), -1, 1);
  builder_node(b, "Mul", "x t", "n");
  builder_node(b, "Conv", "n w", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void weights_out_of_range_stay(void **state) {
  (void)state;
  model_builder *b = builder_create(22);
  builder_input(b, "x", NORMA_FLOAT16, 4, DIMS(1, 2, 3, 3));
  add_numbers(b, "t", NORMA_FLOAT16, 3, DIMS(2, 1, 1), (double[]){1, 300});
  add_numbers(b, "w", NORMA_FLOAT16, 4, DIMS(1, 2, 1, 1), (double[]){1, 300});
  builder_node(b, "Mul", "x t", "n");
  builder_node(b, "Conv", "n w", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void all_float_types_fold(void **state) {
  static const norma_element_type types[] = {NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = builder_create(22);
    builder_input(b, "x", types[i], 4, DIMS(2, 3, 5, 5));
    add_random(b, "t", types[i], 3, DIMS(3, 1, 1), 0.5, 2);
    add_random(b, "w", types[i], 4, DIMS(4, 3, 1, 1), -1, 1);
    builder_node(b, "Add", "x t", "n");
    builder_node(b, "Conv", "n w", "y");
    expect_nodes(b, PASS, PASS_BOUND(types[i]), 1);
  }
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 3));
  add_random(b, "s", NORMA_FLOAT, 1, DIMS(3), 0.5, 2);
  builder_node(b, "BatchNormalization", "x s s s s", "n");
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(3, 4), -1, 1);
  builder_node(b, "MatMul", "n w", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(normalization_folds_into_a_convolution_without_padding),
      cmocka_unit_test(factor_folds_into_a_layer_with_padding),
      cmocka_unit_test(only_factors_fold_into_a_transposed_convolution),
      cmocka_unit_test(normalization_folds_into_a_product),
      cmocka_unit_test(normalization_in_front_of_a_transposed_operand_stays),
      cmocka_unit_test(sums_fold_in_every_form),
      cmocka_unit_test(variables_stay),
      cmocka_unit_test(other_readers_keep_it_apart),
      cmocka_unit_test(second_operand_of_a_product_stays),
      cmocka_unit_test(factors_on_another_axis_stay),
      cmocka_unit_test(weights_out_of_range_stay),
      cmocka_unit_test(all_float_types_fold),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
