/* A constant that multiplies or divides each channel behind a layer goes into its weights and bias. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PASS      "fold_scale"
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

static void factor_folds(void **state) {
  static const char *const op_types[] = {"Mul", "Div"};
  (void)state;
  for (int i = 0; i < 2; i++) {
    model_builder *b = conv_model(13);
    add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 3);
    builder_node(b, op_types[i], "c t", "y");
    expect_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
  }
}

static void quotient_of_a_constant_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 3);
  builder_node(b, "Div", "t c", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void division_by_zero_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_number(b, "t", NORMA_FLOAT, 0);
  builder_node(b, "Div", "c t", "y");
  expect_nodes(b, PASS, 0, 2);
}

/* A Conv without bias gets none. */
static void layers_without_bias_stay_so(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3), -1, 1);
  add_conv(b, "x w", "c", 1);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 3);
  builder_node(b, "Mul", "t c", "y");
  checked c = check_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
  assert_int_equal(only_node(&c, "Conv")->input_count, 2);
  free_checked(&c);
}

/* Layer by layer: where the weights' channels lie is another matter in each. */
static void every_layer_takes_a_factor(void **state) {
  static const struct {
    const char *op_type;
    int rank;
    int64_t x[4], w[4];
    int64_t group, transposed, channels;
  } layers[] = {{"Conv", 4, {2, 4, 5, 5}, {6, 2, 3, 3}, 2, 0, 6},
                {"Conv", 4, {2, 4, 5, 5}, {4, 1, 3, 3}, 4, 0, 4},
                {"Conv", 3, {2, 4, 5}, {6, 4, 3}, 1, 0, 6},
                {"ConvTranspose", 4, {2, 4, 5, 5}, {4, 3, 2, 2}, 1, 0, 3},
                {"ConvTranspose", 4, {2, 4, 5, 5}, {4, 3, 2, 2}, 2, 0, 6},
                {"Gemm", 2, {3, 4}, {4, 5}, 0, 0, 5},
                {"Gemm", 2, {3, 4}, {5, 4}, 0, 1, 5},
                {"MatMul", 2, {3, 4}, {4, 5}, 0, 0, 5}};
  (void)state;
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
    for (int by_channel = 0; by_channel < 2; by_channel++) {
      model_builder *b = builder_create(13);
      builder_input(b, "x", NORMA_FLOAT, layers[i].rank, layers[i].x);
      add_random(b, "w", NORMA_FLOAT, layers[i].rank, layers[i].w, -1, 1);
      node *layer = builder_node(b, layers[i].op_type, "x w", "c");
      if (layers[i].group) builder_int(layer, "group", layers[i].group);
      if (layers[i].transposed) builder_int(layer, "transB", 1);
      const int64_t dims[3] = {by_channel ? layers[i].channels : 1, 1, 1};
      add_random(b, "t", NORMA_FLOAT, layers[i].rank - 1, dims, 0.5, 3);
      builder_node(b, "Mul", "c t", "y");
      checked c = check_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
      only_node(&c, layers[i].op_type);
      free_checked(&c);
    }
  }
}

static void product_of_rank_three_takes_a_factor(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 4, 7));
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
  builder_node(b, "MatMul", "x w", "c");
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -3, 3);
  builder_node(b, "Mul", "c t", "y");
  expect_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);

  b = builder_create(13); /* per row of the result */
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 4, 7));
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
  builder_node(b, "MatMul", "x w", "c");
  add_random(b, "t", NORMA_FLOAT, 2, DIMS(4, 1), -3, 3);
  builder_node(b, "Mul", "c t", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void variables_stay(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) { /* the factor, the weights, the bias */
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 7, 5));
    if (i == 0) builder_input(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1));
    if (i == 1) builder_input(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3));
    if (i == 2) builder_input(b, "b", NORMA_FLOAT, 1, DIMS(4));
    if (i != 0) add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 3);
    if (i != 1) add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3), -1, 1);
    if (i != 2) add_random(b, "b", NORMA_FLOAT, 1, DIMS(4), -1, 1);
    add_conv(b, "x w b", "c", 1);
    builder_node(b, "Mul", "c t", "y");
    expect_nodes(b, PASS, 0, 2);
  }
}

static void other_readers_keep_it_apart(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 0, NULL, -3, 3);
  builder_node(b, "Mul", "c t", "m");
  builder_node(b, "Sub", "c m", "y");
  expect_nodes(b, PASS, 0, 3);

  b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 0, NULL, -3, 3);
  builder_node(b, "Mul", "c t", "y");
  builder_output(b, "c", NORMA_UNDEFINED, -1, NULL);
  expect_nodes(b, PASS, 0, 2);
}

static void sums_stay(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 0, NULL, -3, 3);
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = conv_model(13);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), -3, 3);
  builder_node(b, "Mul", "c t", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(factor_folds),
      cmocka_unit_test(quotient_of_a_constant_stays),
      cmocka_unit_test(division_by_zero_stays),
      cmocka_unit_test(layers_without_bias_stay_so),
      cmocka_unit_test(every_layer_takes_a_factor),
      cmocka_unit_test(product_of_rank_three_takes_a_factor),
      cmocka_unit_test(variables_stay),
      cmocka_unit_test(other_readers_keep_it_apart),
      cmocka_unit_test(sums_stay),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
