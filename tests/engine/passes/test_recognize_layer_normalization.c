/* Normalization written in simple operators becomes LayerNormalization or RMSNormalization, and what only looks alike
 * does not. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "recognize_layer_normalization dead_code_elimination"
#define COUNT     37

/* x [2, 5, 37], and numbers and rows that patterns need. */
static model_builder *rows_model(int64_t opset, norma_element_type type) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", type, 3, DIMS(2, 5, COUNT));
  add_number(b, "two", type, 2);
  add_number(b, "one", type, 1);
  add_number(b, "minus_half", type, -0.5);
  add_number(b, "epsilon", type, 1e-3);
  add_random(b, "scale", type, 1, DIMS(COUNT), 0.5, 2);
  add_random(b, "bias", type, 1, DIMS(COUNT), -1, 1);
  if (opset >= 18) builder_ints64(b, "axes", 1, DIMS(1), DIMS(-1));
  return b;
}

static node *mean_along(model_builder *b, int64_t opset, const char *x, const char *y, int64_t axis) {
  char inputs[32];
  snprintf(inputs, sizeof inputs, opset >= 18 ? "%s axes" : "%s", x);
  node *mean = builder_node(b, "ReduceMean", inputs, y);
  if (opset < 18) builder_ints(mean, "axes", 1, &axis);
  return mean;
}

/* x to mean m, difference d, variance v plus epsilon. */
static void add_variance(model_builder *b, int64_t opset, const char *square, bool centered) {
  if (centered) {
    mean_along(b, opset, "x", "m", 2);
    builder_node(b, "Sub", "x m", "d");
  }
  if (square[0] == 'P')
    builder_node(b, "Pow", centered ? "d two" : "x two", "q");
  else
    builder_node(b, "Mul", centered ? "d d" : "x x", "q");
  mean_along(b, opset, "q", "v", opset >= 18 ? -1 : 2);
  builder_node(b, "Add", "v epsilon", "e");
}

/* d (or x) divided by the root of e, in four ways. */
static void add_quotient(model_builder *b, int way, bool centered) {
  if (way < 3) builder_node(b, "Sqrt", "e", "r");
  if (way == 0) {
    builder_node(b, "Div", centered ? "d r" : "x r", "n");
    return;
  }
  if (way == 1) builder_node(b, "Reciprocal", "r", "i");
  if (way == 2) builder_node(b, "Div", "one r", "i");
  if (way == 3) builder_node(b, "Pow", "e minus_half", "i");
  builder_node(b, "Mul", centered ? "d i" : "i x", "n");
}

static void all_forms_are_recognised(void **state) {
  static const int64_t opsets[] = {11, 13, 18, 23};
  (void)state;
  for (int o = 0; o < 4; o++)
    for (int form = 0; form < 32; form++) {
      bool centered = form & 1, has_bias = form & 4 && centered;
      model_builder *b = rows_model(opsets[o], NORMA_FLOAT);
      add_variance(b, opsets[o], form & 2 ? "Pow" : "Mul", centered);
      add_quotient(b, form >> 3, centered);
      builder_node(b, "Mul", form & 4 ? "scale n" : "n scale", has_bias ? "s" : "y");
      if (has_bias) builder_node(b, "Add", form & 2 ? "bias s" : "s bias", "y");
      checked c = check_nodes(b, PASS, 2 * PASS_BOUND(NORMA_FLOAT), 1);
      const node *made = only_node(&c, centered ? "LayerNormalization" : "RMSNormalization");
      assert_true(made->opset >= (centered ? 17 : 23));
      assert_int_equal(made->input_count, has_bias ? 3 : 2);
      free_checked(&c);
    }
}

/* The difference computed twice, as old exporters write it. */
static void a_difference_may_be_there_twice(void **state) {
  (void)state;
  model_builder *b = rows_model(13, NORMA_FLOAT);
  add_variance(b, 13, "Pow", true);
  builder_node(b, "Sub", "x m", "d2");
  builder_node(b, "Sqrt", "e", "r");
  builder_node(b, "Div", "d2 r", "n");
  builder_node(b, "Mul", "n scale", "y");
  expect_nodes(b, PASS, 2 * PASS_BOUND(NORMA_FLOAT), 1);
}

/* x * F + (bias - mean * F). */
static void folded_factors_are_recognised(void **state) {
  (void)state;
  for (int form = 0; form < 4; form++) {
    model_builder *b = rows_model(13, NORMA_FLOAT);
    add_variance(b, 13, "Mul", true);
    builder_node(b, "Sqrt", "e", "r");
    builder_node(b, "Reciprocal", "r", "i");
    builder_node(b, "Mul", form & 1 ? "i scale" : "scale i", "f");
    builder_node(b, "Mul", form & 2 ? "x f" : "f x", "a");
    builder_node(b, "Mul", form & 1 ? "m f" : "f m", "c");
    builder_node(b, "Sub", "bias c", "t");
    builder_node(b, "Add", form & 2 ? "a t" : "t a", "y");
    checked c = check_nodes(b, PASS, 4 * PASS_BOUND(NORMA_FLOAT), 1);
    assert_int_equal(only_node(&c, "LayerNormalization")->input_count, 3);
    free_checked(&c);
  }
}

/* Others may read what is in between; it stays for them. */
static void parts_with_readers_stay(void **state) {
  (void)state;
  model_builder *b = rows_model(13, NORMA_FLOAT);
  add_variance(b, 13, "Pow", true);
  add_quotient(b, 0, true);
  builder_node(b, "Mul", "n scale", "y");
  builder_output(b, "m", NORMA_UNDEFINED, -1, NULL);
  checked c = check_nodes(b, PASS, 2 * PASS_BOUND(NORMA_FLOAT), 2);
  only_node(&c, "ReduceMean");
  free_checked(&c);
}

/* Half precision is computed with more digits than in between. */
static void types_are_checked(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT16, NORMA_BFLOAT16, NORMA_DOUBLE};
  (void)state;
  for (int t = 0; t < 3; t++) {
    model_builder *b = rows_model(13, types[t]);
    add_variance(b, 13, "Mul", true);
    add_quotient(b, 0, true);
    builder_node(b, "Mul", "n scale", "y");
    expect_nodes(b, PASS, t == 2 ? 0 : 3 * PASS_BOUND(types[t]), t == 2 ? 8 : 1);
  }
}

static void what_only_looks_alike_stays(void **state) {
  (void)state;
  model_builder *b = rows_model(13, NORMA_FLOAT); /* the mean of another axis */
  mean_along(b, 13, "x", "m", 1);
  builder_node(b, "Sub", "x m", "d");
  builder_node(b, "Mul", "d d", "q");
  mean_along(b, 13, "q", "v", 1);
  builder_node(b, "Add", "v epsilon", "e");
  add_quotient(b, 0, true);
  builder_node(b, "Mul", "n scale", "y");
  expect_nodes(b, PASS, 0, 8);

  b = rows_model(13, NORMA_FLOAT); /* the square of something else */
  builder_input(b, "z", NORMA_FLOAT, 3, DIMS(2, 5, COUNT));
  builder_node(b, "Mul", "x z", "q");
  mean_along(b, 13, "q", "v", 2);
  builder_node(b, "Abs", "v", "w");
  builder_node(b, "Add", "w epsilon", "e");
  add_quotient(b, 0, false);
  builder_node(b, "Mul", "n scale", "y");
  expect_nodes(b, PASS, 0, 7);

  b = rows_model(13, NORMA_FLOAT); /* an exponent of 4 */
  add_number(b, "four", NORMA_FLOAT, 4);
  builder_node(b, "Pow", "x four", "q");
  mean_along(b, 13, "q", "v", 2);
  builder_node(b, "Add", "v epsilon", "e");
  add_quotient(b, 0, false);
  builder_node(b, "Mul", "n scale", "y");
  expect_nodes(b, PASS, 0, 6);

  b = rows_model(13, NORMA_FLOAT); /* a factor for each row, not in each row */
  add_random(b, "columns", NORMA_FLOAT, 2, DIMS(5, 1), 1, 2);
  add_variance(b, 13, "Mul", false);
  add_quotient(b, 0, false);
  builder_node(b, "Mul", "n columns", "y");
  expect_nodes(b, PASS, 0, 6);

  b = rows_model(13, NORMA_FLOAT); /* an epsilon of higher rank makes the result larger */
  add_numbers(b, "wide", NORMA_FLOAT, 4, DIMS(1, 1, 1, 1), (double[]){1e-3});
  builder_node(b, "Mul", "x x", "q");
  mean_along(b, 13, "q", "v", 2);
  builder_node(b, "Add", "v wide", "e");
  add_quotient(b, 0, false);
  builder_node(b, "Mul", "n scale", "y");
  expect_nodes(b, PASS, 0, 6);
}

static void unknown_rows_stay(void **state) {
  (void)state;
  for (int known = 0; known < 2; known++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 3, known ? DIMS(-1, -1, 6) : DIMS(2, 5, -1));
    add_number(b, "epsilon", NORMA_FLOAT, 1e-3);
    add_random(b, "scale", NORMA_FLOAT, 1, DIMS(6), 0.5, 2);
    add_variance(b, 13, "Mul", false);
    add_quotient(b, 0, false);
    builder_node(b, "Mul", "n scale", "y");
    expect_nodes(b, PASS, known ? 2 * PASS_BOUND(NORMA_FLOAT) : 0, known ? 1 : 6);
  }
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = rows_model(13, NORMA_FLOAT);
  add_variance(b, 13, "Pow", true);
  add_quotient(b, 0, true);
  builder_node(b, "Mul", "n scale", "s");
  builder_node(b, "Add", "s bias", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_forms_are_recognised),
      cmocka_unit_test(a_difference_may_be_there_twice),
      cmocka_unit_test(folded_factors_are_recognised),
      cmocka_unit_test(parts_with_readers_stay),
      cmocka_unit_test(types_are_checked),
      cmocka_unit_test(what_only_looks_alike_stays),
      cmocka_unit_test(unknown_rows_stay),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
