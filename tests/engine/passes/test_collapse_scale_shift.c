/* Neighbours that scale and shift each channel become one BatchNormalization. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PASS      "collapse_scale_shift"
#define DIMS(...) ((int64_t[]){__VA_ARGS__})

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
  } cases[] = {{7, NORMA_FLOAT},   {13, NORMA_FLOAT},   {15, NORMA_FLOAT},
               {14, NORMA_DOUBLE}, {15, NORMA_FLOAT16}, {15, NORMA_BFLOAT16}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    model_builder *b = chain_model(cases[i].opset, cases[i].type);
    checked c = check_nodes(b, PASS, PASS_BOUND(cases[i].type), 1);
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
    expect_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
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
  expect_nodes(b, PASS, 0, 2);
}

static void chain_with_another_reader_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 4, 5));
  add_random(b, "s", NORMA_FLOAT, 3, DIMS(3, 1, 1), 0.5, 2);
  builder_node(b, "Mul", "x s", "a");
  builder_node(b, "Add", "a s", "y");
  builder_output(b, "a", NORMA_UNDEFINED, -1, NULL);
  expect_nodes(b, PASS, 0, 2);
}

static void chain_of_integers_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_INT32, 2, DIMS(2, 3));
  add_number(b, "s", NORMA_INT32, 3);
  builder_node(b, "Mul", "x s", "a");
  builder_node(b, "Add", "a s", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void chain_that_would_overflow_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 3));
  add_number(b, "s", NORMA_FLOAT, 1e30);
  builder_node(b, "Mul", "x s", "a");
  builder_node(b, "Mul", "a s", "y");
  expect_nodes(b, PASS, 0, 2);
}

/* The sketch of the pass: epsilon 0, mean 0, variance 1, of the first node's name and with the names of all. */
static void the_new_node_is_a_plain_normalization(void **state) {
  (void)state;
  model_builder *b = chain_model(13, NORMA_FLOAT);
  checked c = check_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
  const node *made = only_node(&c, "BatchNormalization");
  assert_true(attribute_float(made, "epsilon", 1) == 0);
  for (int i = 0; i < 3; i++) {
    assert_true(element_get_double(NORMA_FLOAT, made->inputs[3]->constant->tensor.data, i) == 0);
    assert_true(element_get_double(NORMA_FLOAT, made->inputs[4]->constant->tensor.data, i) == 1);
  }
  assert_string_equal(made->name, "#0 (Mul) + #1 (Add) + #2 (BatchNormalization) + #3 (Sub)");
  assert_string_equal(made->inputs[0]->name, "x");
  free_checked(&c);
}

/* Where a layer stands in front, the nodes go one by one into its weights instead. */
static void nodes_behind_a_layer_are_left_to_it(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 5, 5));
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 3, 3), -1, 1);
  add_random(b, "s", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 2);
  builder_node(b, "Conv", "x w", "c");
  builder_node(b, "Mul", "c s", "m");
  builder_node(b, "Add", "m s", "y");
  expect_nodes(b, PASS, 0, 3);
}

static void variables_stay(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 4, 5));
  builder_input(b, "t", NORMA_FLOAT, 3, DIMS(3, 1, 1));
  add_random(b, "s", NORMA_FLOAT, 3, DIMS(3, 1, 1), 0.5, 2);
  builder_node(b, "Mul", "x s", "a");
  builder_node(b, "Add", "a t", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void training_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(14);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 4, 5));
  add_random(b, "s", NORMA_FLOAT, 3, DIMS(3, 1, 1), 0.5, 2);
  add_random(b, "v", NORMA_FLOAT, 1, DIMS(3), 0.5, 2);
  builder_node(b, "Mul", "x s", "a");
  builder_int(builder_node(b, "BatchNormalization", "a v v v v", "y m r"), "training_mode", 1);
  expect_nodes(b, PASS, 0, 2);
}

/* BatchNormalization has channels on axis 1, and takes them as a vector: their number must be known. */
static void what_has_no_channels_stays(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, i ? 2 : 1, i == 1 ? DIMS(3, -1) : DIMS(5, 5));
    add_random(b, "s", NORMA_FLOAT, i == 2 ? 2 : 0, DIMS(5, 1), 0.5, 2); /* 2: per row */
    builder_node(b, "Mul", "x s", "a");
    builder_node(b, "Add", "a s", "y");
    expect_nodes(b, PASS, 0, 2);
  }
}

/* Before version 14 BatchNormalization takes no bfloat16. */
static void bfloat16_needs_a_new_version(void **state) {
  (void)state;
  for (int opset = 13; opset <= 14; opset++) {
    model_builder *b = builder_create(opset);
    builder_input(b, "x", NORMA_BFLOAT16, 3, DIMS(2, 3, 4));
    add_random(b, "s", NORMA_BFLOAT16, 0, NULL, 0.5, 2);
    builder_node(b, "Mul", "x s", "a");
    builder_node(b, "Add", "a s", "y");
    expect_nodes(b, PASS, opset < 14 ? 0 : PASS_BOUND(NORMA_BFLOAT16), opset < 14 ? 2 : 1);
  }
}

static void factors_that_would_be_denormal_stay(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 3));
  add_number(b, "s", NORMA_FLOAT, 1e-20);
  builder_node(b, "Mul", "x s", "a");
  builder_node(b, "Mul", "a s", "y");
  expect_nodes(b, PASS, 0, 2);
}

/* The time and memory of a long chain grow with its length. */
static void long_chains_collapse_in_linear_memory(void **state) {
  size_t used[2];
  (void)state;
  for (int many = 0; many < 2; many++) {
    const int count = many ? 8000 : 1000;
    char inputs[40], output[20], from[20] = "x";
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 4));
    add_numbers(b, "t", NORMA_FLOAT, 1, DIMS(4), (double[]){0.25, 0.5, -0.25, 0});
    for (int i = 0; i < count; i++) {
      snprintf(inputs, sizeof inputs, "%s t", from);
      snprintf(output, sizeof output, i + 1 < count ? "a%d" : "y", i);
      builder_node(b, i % 2 ? "Sub" : "Add", inputs, output);
      strcpy(from, output);
    }
    checked c = check_nodes(b, PASS, 1e-3, 1); /* -O 0 rounds each time */
    used[many] = norma_runtime_memory_used(c.runtime) - c.used;
    free_checked(&c);
  }
  if (used[1] > 16 * used[0]) fail_msg("%zu bytes for 8 times what took %zu", used[1], used[0]);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 4, 5));
  add_random(b, "s", NORMA_FLOAT, 3, DIMS(3, 1, 1), 0.5, 2);
  builder_node(b, "Mul", "x s", "a");
  builder_node(b, "Add", "a s", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chain_becomes_one_normalization),
      cmocka_unit_test(chain_of_old_versions_becomes_one_normalization),
      cmocka_unit_test(chains_on_different_axes_stay),
      cmocka_unit_test(chain_with_another_reader_stays),
      cmocka_unit_test(chain_of_integers_stays),
      cmocka_unit_test(chain_that_would_overflow_stays),
      cmocka_unit_test(the_new_node_is_a_plain_normalization),
      cmocka_unit_test(nodes_behind_a_layer_are_left_to_it),
      cmocka_unit_test(variables_stay),
      cmocka_unit_test(training_stays),
      cmocka_unit_test(what_has_no_channels_stays),
      cmocka_unit_test(bfloat16_needs_a_new_version),
      cmocka_unit_test(factors_that_would_be_denormal_stay),
      cmocka_unit_test(long_chains_collapse_in_linear_memory),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
