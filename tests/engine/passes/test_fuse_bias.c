/* A constant row that is added behind a product goes into its store, where the product has no bias of its own. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "fuse_bias"
#define BOUND     PASS_BOUND(NORMA_FLOAT)

/* c = MatMul(x, w): 2 x 6 x 7 by 7 x 5. */
static model_builder *product_model(norma_element_type type) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", type, 3, DIMS(2, 6, 7));
  add_random(b, "w", type, 2, DIMS(7, 5), -1, 1);
  builder_node(b, "MatMul", "x w", "c");
  return b;
}

/* The sketch of the pass: the bias stands behind the inputs that the operator knows. */
static void row_becomes_a_bias(void **state) {
  static const struct {
    int rank;
    int64_t dims[3];
  } forms[] = {{1, {5}}, {2, {1, 5}}, {3, {1, 1, 5}}};
  (void)state;
  for (int i = 0; i < 6; i++) {
    model_builder *b = product_model(NORMA_FLOAT);
    add_random(b, "t", NORMA_FLOAT, forms[i / 2].rank, forms[i / 2].dims, -1, 1);
    builder_node(b, "Add", i % 2 ? "t c" : "c t", "y");
    checked c = check_nodes(b, PASS, BOUND, 1);
    const node *product = only_node(&c, "MatMul");
    assert_int_equal(product->epilogue.bias_input, 2);
    assert_string_equal(product->inputs[2]->name, "t");
    assert_string_equal(product->name, "#0 (MatMul) + #1 (Add)");
    free_checked(&c);
  }
}

static void products_of_variables_take_a_bias(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 6, 7));
  builder_input(b, "z", NORMA_FLOAT, 3, DIMS(3, 7, 5));
  add_random(b, "t", NORMA_FLOAT, 2, DIMS(1, 5), -1, 1);
  builder_node(b, "MatMul", "x z", "c");
  builder_node(b, "Add", "c t", "y");
  checked c = check_nodes(b, "fuse_bias", BOUND, 1);
  free_checked(&c);
}

static void what_is_no_row_is_no_bias(void **state) {
  static const struct {
    int rank;
    int64_t dims[4];
  } forms[] = {{0, {0}}, {1, {1}}, {2, {6, 1}}, {2, {6, 6}}, {4, {1, 1, 1, 6}}};
  (void)state;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 6, 7));
    add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 6), -1, 1);
    add_random(b, "t", NORMA_FLOAT, forms[i].rank, forms[i].dims, -1, 1);
    builder_node(b, "MatMul", "x w", "c");
    builder_node(b, "Add", "c t", "y");
    checked c = check_nodes(b, "fuse_bias", 0, 2);
    free_checked(&c);
  }
}

/* Between the product and the sum stands nothing else: the order of a store is bias, residual, activation. */
static void bias_comes_first_in_the_store(void **state) {
  (void)state;
  model_builder *b = product_model(NORMA_FLOAT);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -1, 1);
  builder_node(b, "Relu", "c", "r");
  builder_node(b, "Add", "r t", "y");
  checked c = check_nodes(b, "fuse_bias fuse_activation", BOUND, 2);
  assert_int_equal(only_node(&c, "MatMul")->epilogue.bias_input, 0);
  free_checked(&c);

  b = product_model(NORMA_FLOAT);
  builder_input(b, "r", NORMA_FLOAT, 3, DIMS(2, 6, 5));
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -1, 1);
  builder_node(b, "Add", "c r", "s");
  builder_node(b, "Add", "s t", "y");
  c = check_nodes(b, "fuse_bias fuse_residual", BOUND, 2);
  assert_int_equal(only_node(&c, "MatMul")->epilogue.bias_input, 0);
  free_checked(&c);
}

static void second_bias_stays(void **state) {
  (void)state;
  model_builder *b = product_model(NORMA_FLOAT);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -1, 1);
  builder_node(b, "Add", "c t", "s");
  builder_node(b, "Add", "s t", "y");
  expect_nodes(b, PASS, BOUND, 2);
}

static void variables_are_no_bias(void **state) {
  (void)state;
  model_builder *b = product_model(NORMA_FLOAT);
  builder_input(b, "t", NORMA_FLOAT, 1, DIMS(5));
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void other_readers_keep_it_apart(void **state) {
  (void)state;
  for (int as_output = 0; as_output < 2; as_output++) {
    model_builder *b = product_model(NORMA_FLOAT);
    add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -1, 1);
    builder_node(b, "Add", "c t", as_output ? "y" : "s");
    if (as_output) builder_output(b, "c", NORMA_UNDEFINED, -1, NULL);
    if (!as_output) builder_node(b, "Sub", "s c", "y");
    expect_nodes(b, PASS, 0, as_output ? 2 : 3);
  }
}

static void other_layers_and_types_stay(void **state) {
  static const norma_element_type types[] = {NORMA_DOUBLE, NORMA_FLOAT16, NORMA_INT32};
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = product_model(types[i]);
    add_random(b, "t", types[i], 1, DIMS(5), -3, 3);
    builder_node(b, "Add", "c t", "y");
    expect_nodes(b, PASS, 0, 2);
  }
  model_builder *b = builder_create(13); /* fold_bias serves those that have a bias of their own */
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(6, 7));
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -1, 1);
  builder_node(b, "Gemm", "x w", "c");
  builder_node(b, "Add", "c t", "y");
  expect_nodes(b, PASS, 0, 2);
}

/* Before version 7 the axis of the row was an attribute. */
static void old_broadcasting_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(6);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 5, 7));
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -1, 1);
  builder_node(b, "MatMul", "x w", "c");
  node *add = builder_node(b, "Add", "c t", "y");
  builder_int(add, "broadcast", 1);
  builder_int(add, "axis", 1);
  expect_nodes(b, PASS, 0, 2);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = product_model(NORMA_FLOAT);
  add_random(b, "t", NORMA_FLOAT, 1, DIMS(5), -1, 1);
  builder_node(b, "Add", "c t", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(row_becomes_a_bias),          cmocka_unit_test(products_of_variables_take_a_bias),
      cmocka_unit_test(what_is_no_row_is_no_bias),   cmocka_unit_test(bias_comes_first_in_the_store),
      cmocka_unit_test(second_bias_stays),           cmocka_unit_test(variables_are_no_bias),
      cmocka_unit_test(other_readers_keep_it_apart), cmocka_unit_test(other_layers_and_types_stay),
      cmocka_unit_test(old_broadcasting_stays),      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
