/* Sums and products per channel folded into a neighbouring layer, and chains of them collapsed. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

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

/* Runs with these passes and expects `count` nodes. */
static void expect_nodes(model_builder *b, const char *passes, double bound, int count) {
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, passes, bound);
  assert_int_equal(count_nodes(&c, NULL), count);
  free_checked(&c);
}

/* --------------------------------------------------------------------------------------------------- behind a layer */

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
      expect_nodes(b, "fold_bias", 1e-6, 1);
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
  expect_nodes(b, "fold_bias", 1e-6, 1);

  b = conv_model(6);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -3, 3);
  add = builder_node(b, "Add", "c t", "y");
  builder_int(add, "broadcast", 1);
  builder_int(add, "axis", 3);
  expect_nodes(b, "fold_bias", 0, 2);
}

static void bias_on_another_axis_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -3, 3); /* along the width */
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, "fold_bias", 0, 2);

  b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 7, 1), -3, 3);
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, "fold_bias", 0, 2);
}

static void bias_that_enlarges_the_output_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 5, DIMS(1, 1, 4, 1, 1), -3, 3);
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, "fold_bias", 0, 2);

  b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(1, 3, 3, 3), -1, 1);
  add_conv(b, "x w", "c", 1);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), -3, 3);
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, "fold_bias", 0, 2);
}

static void bias_stays_with_two_readers(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 0, NULL, -3, 3);
  builder_node(b, "Add", "c t", "s");
  builder_node(b, "Mul", "c s", "y");
  expect_nodes(b, "fold_bias", 0, 3);
}

static void sum_of_variables_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  builder_input(b, "t", NORMA_FLOAT, 4, DIMS(1, 4, 1, 1));
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, "fold_bias", 0, 2);
}

static void bias_folds_into_layers_without_constant_weights(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
  builder_input(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3));
  add_conv(b, "x w", "c", 1);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), -3, 3);
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, "fold_bias", 1e-6, 1);
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
    builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
    checked c = check_passes(b, "fold_bias", 1e-6);
    assert_int_equal(count_nodes(&c, NULL), 1);
    only_node(&c, "Gemm");
    free_checked(&c);
  }
}

static void product_of_rank_three_takes_a_factor_but_no_bias(void **state) {
  (void)state;
  for (int with_sum = 0; with_sum < 2; with_sum++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 4, 7));
    add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
    builder_node(b, "MatMul", "x w", "c");
    add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -3, 3);
    builder_node(b, with_sum ? "Add" : "Mul", "c t", "y");
    expect_nodes(b, "fold_bias fold_scale", 1e-6, with_sum ? 2 : 1);
  }
}

static void factor_folds(void **state) {
  static const char *const op_types[] = {"Mul", "Div"};
  (void)state;
  for (int i = 0; i < 2; i++) {
    model_builder *b = conv_model(13);
    add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 3);
    builder_node(b, op_types[i], "c t", "y");
    expect_nodes(b, "fold_scale", 1e-6, 1);
  }
}

static void quotient_of_a_constant_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 3);
  builder_node(b, "Div", "t c", "y");
  expect_nodes(b, "fold_scale", 0, 2);
}

static void division_by_zero_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_number(b, "t", NORMA_FLOAT, 0);
  builder_node(b, "Div", "c t", "y");
  expect_nodes(b, "fold_scale", 0, 2);
}

/* ---------------------------------------------------------------------------------------------- in front of a layer */

static void normalization_folds_into_next_convolution_without_padding(void **state) {
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
    expect_nodes(b, "fold_scale_shift_into_next", i < 2 ? 2e-6 : 0, i < 2 ? 1 : 2);
  }
}

static void factor_folds_into_next_layer_with_padding(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(3, 1, 1), 0.5, 3);
  builder_node(b, "Div", "x t", "n");
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3), -1, 1);
  add_conv(b, "n w", "y", 1);
  expect_nodes(b, "fold_scale_shift_into_next", 2e-6, 1);
}

/* The borders of a transposed convolution are sums of fewer elements. */
static void only_factors_fold_into_next_transposed_convolution(void **state) {
  (void)state;
  for (int with_sum = 0; with_sum < 2; with_sum++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 4, 5, 5));
    add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 3);
    builder_node(b, with_sum ? "Add" : "Mul", "x t", "n");
    add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3), -1, 1);
    builder_int(builder_node(b, "ConvTranspose", "n w", "y"), "group", 2);
    expect_nodes(b, "fold_scale_shift_into_next", with_sum ? 0 : 2e-6, with_sum ? 2 : 1);
  }
}

static void normalization_folds_into_next_product(void **state) {
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
      expect_nodes(b, "fold_scale_shift_into_next", 2e-6, 1);
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
  expect_nodes(b, "fold_scale_shift_into_next", 0, 2);
}

/* ----------------------------------------------------------------------------------------------------------- chains */

/* x * s + t, normalised, - u: four nodes, each with another form of constant. */
static model_builder *chain_model(int opset, norma_element_type type) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", type, 4, DIMS(2, 3, 4, 5));
  add_random(b, "s", type, 3, DIMS(3, 1, 1), 0.5, 2);
  add_random(b, "t", type, 0, NULL, -1, 1);
  add_random(b, "v", type, 1, DIMS(3), 0.5, 2);
  add_random(b, "u", type, 4, DIMS(1, 3, 1, 1), -1, 1);
  builder_node(b, "Mul", "x s", "a");
  builder_node(b, "Add", "a t", "d");
  builder_node(b, "BatchNormalization", "d v v v v", "e");
  builder_node(b, "Sub", "u e", "y");
  return b;
}

static void chain_becomes_one_normalization(void **state) {
  static const struct {
    int opset;
    norma_element_type type;
    double bound;
  } cases[] = {{7, NORMA_FLOAT, 2e-6},    {13, NORMA_FLOAT, 2e-6},   {15, NORMA_FLOAT, 2e-6},
               {14, NORMA_DOUBLE, 1e-14}, {15, NORMA_FLOAT16, 8e-3}, {15, NORMA_BFLOAT16, 6e-2}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    model_builder *b = chain_model(cases[i].opset, cases[i].type);
    builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
    checked c = check_passes(b, "collapse_scale_shift", cases[i].bound);
    assert_int_equal(count_nodes(&c, NULL), 1);
    assert_int_equal(only_node(&c, "BatchNormalization")->input_count, 5);
    free_checked(&c);
  }
}

static void chain_of_old_versions_becomes_one_normalization(void **state) {
  static const int opsets[] = {1, 6};
  (void)state;
  for (int i = 0; i < 2; i++) {
    model_builder *b = builder_create(opsets[i]);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 4, 5));
    add_random(b, "t", NORMA_FLOAT, 1, DIMS(3), 0.5, 2);
    for (int n = 0; n < 2; n++) {
      node *node = builder_node(b, n ? "Add" : "Mul", n ? "a t" : "x t", n ? "y" : "a");
      builder_int(node, "broadcast", 1);
      builder_int(node, "axis", 1);
    }
    expect_nodes(b, "collapse_scale_shift", 1e-6, 1);
  }
}

static void chains_on_different_axes_stay(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 4, 5));
  add_random(b, "s", NORMA_FLOAT, 3, DIMS(3, 1, 1), 0.5, 2);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), 0.5, 2);
  builder_node(b, "Mul", "x s", "a");
  builder_node(b, "Add", "a t", "y");
  expect_nodes(b, "collapse_scale_shift", 0, 2);
}

static void chain_with_another_reader_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 4, 5));
  add_random(b, "s", NORMA_FLOAT, 3, DIMS(3, 1, 1), 0.5, 2);
  builder_node(b, "Mul", "x s", "a");
  builder_node(b, "Add", "a s", "y");
  builder_output(b, "a", NORMA_UNDEFINED, -1, NULL);
  expect_nodes(b, "collapse_scale_shift", 0, 2);
}

static void chain_of_integers_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_INT32, 2, DIMS(2, 3));
  add_number(b, "s", NORMA_INT32, 3);
  builder_node(b, "Mul", "x s", "a");
  builder_node(b, "Add", "a s", "y");
  expect_nodes(b, "collapse_scale_shift", 0, 2);
}

static void chain_that_would_overflow_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 3));
  add_number(b, "s", NORMA_FLOAT, 1e30);
  builder_node(b, "Mul", "x s", "a");
  builder_node(b, "Mul", "a s", "y");
  expect_nodes(b, "collapse_scale_shift", 0, 2);
}

/* Everything at once, as in old Caffe2 models: the layer takes it all. */
static void all_passes_leave_one_convolution(void **state) {
  (void)state;
  model_builder *b = conv_model(9);
  add_random(b, "v", NORMA_FLOAT, 1, DIMS(4), 0.5, 2);
  add_random(b, "s", NORMA_FLOAT, 1, DIMS(4), 0.5, 2);
  builder_node(b, "BatchNormalization", "c v v v v", "n");
  builder_ints(builder_node(b, "Unsqueeze", "s", "t"), "axes", 2, DIMS(1, 2));
  builder_node(b, "Mul", "n t", "m");
  builder_node(b, "Add", "m t", "a");
  builder_node(b, "Relu", "a", "y");
  expect_nodes(b, NULL, 2e-6, 1);
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
      cmocka_unit_test(product_of_rank_three_takes_a_factor_but_no_bias),
      cmocka_unit_test(factor_folds),
      cmocka_unit_test(quotient_of_a_constant_stays),
      cmocka_unit_test(division_by_zero_stays),
      cmocka_unit_test(normalization_folds_into_next_convolution_without_padding),
      cmocka_unit_test(factor_folds_into_next_layer_with_padding),
      cmocka_unit_test(only_factors_fold_into_next_transposed_convolution),
      cmocka_unit_test(normalization_folds_into_next_product),
      cmocka_unit_test(normalization_in_front_of_a_transposed_operand_stays),
      cmocka_unit_test(chain_becomes_one_normalization),
      cmocka_unit_test(chain_of_old_versions_becomes_one_normalization),
      cmocka_unit_test(chains_on_different_axes_stay),
      cmocka_unit_test(chain_with_another_reader_stays),
      cmocka_unit_test(chain_of_integers_stays),
      cmocka_unit_test(chain_that_would_overflow_stays),
      cmocka_unit_test(all_passes_leave_one_convolution),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
