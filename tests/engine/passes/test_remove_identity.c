/* Nodes whose output is their input go, where their operator says that they are such (facts.is_identity). Exact. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "remove_identity"

static model_builder *start(int opset) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  return b;
}

static void expect(model_builder *b, int count) {
  expect_nodes(b, PASS, 0, count);
}

/* -------------------------------------------------------------------------------------------------------- operators */

static void nodes_with_one_input_go(void **state) {
  static const char *const op_types[] = {"Identity", "Sum", "Max", "Min", "Mean"};
  (void)state;
  for (int i = 0; i < 5; i++) {
    model_builder *b = start(13);
    builder_node(b, "Relu", "x", "r");
    builder_node(b, op_types[i], "r", "i");
    builder_node(b, "Neg", "i", "y");
    expect(b, 2);
  }
  for (int i = 1; i < 5; i++) { /* with two they do something */
    model_builder *b = start(13);
    builder_node(b, "Relu", "x", "r");
    builder_node(b, op_types[i], "r x", "y");
    expect(b, 2);
  }
  for (int two = 0; two < 2; two++) {
    model_builder *b = start(13);
    builder_int(builder_node(b, "Concat", two ? "x x" : "x", "i"), "axis", 1);
    builder_node(b, "Neg", "i", "y");
    expect(b, two ? 2 : 1);
  }
}

static void casts_to_the_same_type_go(void **state) {
  (void)state;
  for (int same = 0; same < 2; same++) {
    model_builder *b = start(13);
    builder_int(builder_node(b, "Cast", "x", "c"), "to", same ? NORMA_FLOAT : NORMA_FLOAT16);
    builder_node(b, "Neg", "c", "y");
    expect(b, same ? 1 : 2);
  }
}

static void dropout_goes_in_inference(void **state) {
  (void)state;
  model_builder *b = start(12);
  builder_node(b, "Dropout", "x", "d");
  builder_node(b, "Neg", "d", "y");
  expect(b, 1);

  b = start(10);
  builder_float(builder_node(b, "Dropout", "x", "d"), "ratio", 0.5f);
  builder_node(b, "Neg", "d", "y");
  expect(b, 1);
}

static void outputs_that_are_read_keep_the_node(void **state) {
  (void)state;
  model_builder *b = start(10); /* the mask of Dropout */
  builder_node(b, "Dropout", "x", "d mask");
  builder_node(b, "Neg", "d", "y");
  builder_output(b, "mask", NORMA_UNDEFINED, -1, NULL);
  expect(b, 2);

  b = start(10);
  builder_node(b, "Dropout", "x", "d mask");
  builder_node(b, "Not", "mask", "z");
  builder_node(b, "Neg", "d", "y");
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  expect(b, 3);

  b = start(10); /* it has a name, but nobody reads it */
  builder_node(b, "Dropout", "x", "d mask");
  builder_node(b, "Neg", "d", "y");
  expect(b, 1);
}

static void views_that_keep_the_shape_go(void **state) {
  static const char *const targets[] = {"x same", "x zeros", "x other"};
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = start(13);
    builder_ints64(b, "same", 1, DIMS(3), DIMS(2, 3, 4));
    builder_ints64(b, "zeros", 1, DIMS(3), DIMS(0, -1, 0));
    builder_ints64(b, "other", 1, DIMS(3), DIMS(2, 4, 3));
    builder_node(b, "Reshape", targets[i], "r");
    builder_node(b, "Neg", "r", "y");
    expect(b, i < 2 ? 1 : 2);
  }
  model_builder *b = builder_create(13); /* a size that is not known may be another one */
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 3, 4));
  builder_ints64(b, "target", 1, DIMS(3), DIMS(6, -1, 4));
  builder_node(b, "Reshape", "x target", "r");
  builder_node(b, "Neg", "r", "y");
  expect(b, 2);
}

static void transpositions_that_keep_the_order_go(void **state) {
  (void)state;
  for (int same = 0; same < 2; same++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 3, DIMS(3, 3, 3));
    builder_ints(builder_node(b, "Transpose", "x", "t"), "perm", 3, same ? DIMS(0, 1, 2) : DIMS(0, 2, 1));
    builder_node(b, "Neg", "t", "y");
    expect(b, same ? 1 : 2);
  }
  model_builder *b = builder_create(13); /* without perm it reverses */
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 3));
  builder_node(b, "Transpose", "x", "t");
  builder_node(b, "Neg", "t", "y");
  expect(b, 2);
}

static void slices_of_everything_go(void **state) {
  static const int64_t steps[] = {1, -1};
  (void)state;
  for (int i = 0; i < 2; i++) {
    model_builder *b = start(13);
    builder_ints64(b, "begin", 1, DIMS(1), DIMS(steps[i] > 0 ? 0 : -1));
    builder_ints64(b, "end", 1, DIMS(1), DIMS(steps[i] > 0 ? 100 : -100));
    builder_ints64(b, "axes", 1, DIMS(1), DIMS(1));
    builder_ints64(b, "step", 1, DIMS(1), &steps[i]);
    builder_node(b, "Slice", "x begin end axes step", "s");
    builder_node(b, "Neg", "s", "y");
    expect(b, i == 0 ? 1 : 2);
  }
}

static void pads_of_nothing_go(void **state) {
  (void)state;
  for (int none = 0; none < 2; none++) {
    model_builder *b = start(13); /* the other one shifts and keeps the shape */
    builder_ints64(b, "pads", 1, DIMS(6), none ? DIMS(0, 0, 0, 0, 0, 0) : DIMS(0, 0, 1, 0, 0, -1));
    builder_node(b, "Pad", "x pads", "p");
    builder_node(b, "Neg", "p", "y");
    expect(b, none ? 1 : 2);
  }
}

static void expand_goes_where_it_does_nothing(void **state) {
  (void)state;
  for (int same = 0; same < 2; same++) {
    model_builder *b = start(13);
    builder_ints64(b, "shape", 1, DIMS(3), same ? DIMS(1, 3, 4) : DIMS(2, 1, 1));
    builder_input(b, "z", NORMA_FLOAT, 3, DIMS(same ? 2 : 1, 3, 4));
    builder_node(b, "Expand", "z shape", "e");
    builder_node(b, "Add", "x e", "y");
    expect(b, same ? 1 : 2);
  }
}

/* x + 0 is another number than x where x is -0, and x * 1 makes quiet what was a signalling NaN. */
static void arithmetic_with_neutral_numbers_stays(void **state) {
  static const char *const op_types[] = {"Add", "Sub", "Mul", "Div", "Pow"};
  (void)state;
  for (int i = 0; i < 5; i++) {
    model_builder *b = start(13);
    add_number(b, "neutral", NORMA_FLOAT, i < 2 ? 0 : 1);
    builder_node(b, op_types[i], "x neutral", "y");
    expect(b, 1);
  }
}

/* --------------------------------------------------------------------------------------------------------- rewiring */

static void all_readers_read_the_input(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_node(b, "Relu", "x", "r");
  builder_node(b, "Identity", "r", "i");
  builder_node(b, "Neg", "i", "n");
  builder_node(b, "Mul", "i i", "m");
  node *branch = builder_node(b, "If", "choice", "c");
  for (int k = 0; k < 2; k++) {
    model_builder *inner = builder_subgraph(b, branch, k ? "then_branch" : "else_branch");
    builder_node(inner, k ? "Exp" : "Abs", "i", "z");
    builder_output(inner, "z", NORMA_FLOAT, -1, NULL);
  }
  builder_node(b, "Sum", "n m c", "y");
  checked c = check_nodes(b, PASS, 0, 7);
  const graph_value *r = c.model->graph->first->outputs[0];
  assert_string_equal(r->name, "r");
  assert_int_equal(r->use_count, 5);
  free_checked(&c);
}

static void chains_go_at_once(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Identity", "x", "a");
  builder_node(b, "Identity", "a", "b");
  builder_node(b, "Identity", "b", "c");
  builder_node(b, "Neg", "c", "y");
  checked c = check_nodes(b, PASS, 0, 1);
  assert_string_equal(c.model->graph->first->inputs[0]->name, "x");
  free_checked(&c);
}

/* The output's name moves to the node in front. */
static void identity_in_front_of_an_output_goes(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Relu", "x", "r");
  builder_node(b, "Neg", "r", "z");
  builder_node(b, "Identity", "r", "y");
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  checked c = check_nodes(b, PASS, 0, 2);
  const node *relu = only_node(&c, "Relu");
  assert_string_equal(relu->outputs[0]->name, "y");
  assert_ptr_equal(only_node(&c, "Neg")->inputs[0], relu->outputs[0]);
  free_checked(&c);
}

/* Neither name can go: both are of the model's borders. */
static void identity_between_borders_stays(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Identity", "x", "y");
  expect(b, 1);

  b = start(13);
  builder_node(b, "Relu", "x", "r");
  builder_node(b, "Identity", "r", "y");
  builder_output(b, "r", NORMA_UNDEFINED, -1, NULL);
  expect(b, 2);

  b = start(13);
  add_random(b, "w", NORMA_FLOAT, 1, DIMS(4), -1, 1);
  builder_node(b, "Identity", "w", "y");
  builder_node(b, "Add", "x w", "z");
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  expect(b, 2);
}

/* Of two outputs that are the same value one keeps its node. */
static void two_outputs_of_one_value(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Relu", "x", "r");
  builder_node(b, "Identity", "r", "y");
  builder_node(b, "Identity", "r", "z");
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  expect(b, 2);
}

static void branches_that_hand_on_an_outer_value(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  node *branch = builder_node(b, "If", "choice", "y");
  for (int k = 0; k < 2; k++) {
    model_builder *inner = builder_subgraph(b, branch, k ? "then_branch" : "else_branch");
    builder_node(inner, k ? "Identity" : "Neg", "x", "z");
    builder_output(inner, "z", NORMA_FLOAT, -1, NULL);
  }
  expect(b, 3); /* its producer is nobody of the branch: it stays */
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Relu", "x", "r");
  builder_node(b, "Identity", "r", "i");
  builder_node(b, "Neg", "i", "n");
  builder_node(b, "Identity", "n", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_with_one_input_go),
      cmocka_unit_test(casts_to_the_same_type_go),
      cmocka_unit_test(dropout_goes_in_inference),
      cmocka_unit_test(outputs_that_are_read_keep_the_node),
      cmocka_unit_test(views_that_keep_the_shape_go),
      cmocka_unit_test(transpositions_that_keep_the_order_go),
      cmocka_unit_test(slices_of_everything_go),
      cmocka_unit_test(pads_of_nothing_go),
      cmocka_unit_test(expand_goes_where_it_does_nothing),
      cmocka_unit_test(arithmetic_with_neutral_numbers_stays),
      cmocka_unit_test(all_readers_read_the_input),
      cmocka_unit_test(chains_go_at_once),
      cmocka_unit_test(identity_in_front_of_an_output_goes),
      cmocka_unit_test(identity_between_borders_stays),
      cmocka_unit_test(two_outputs_of_one_value),
      cmocka_unit_test(branches_that_hand_on_an_outer_value),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
