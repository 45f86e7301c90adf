/* Passes that only use standard operators: constants folded, no-ops and dead code removed, views merged. Exact. */
#include "tests/engine/passes/pass_check.h"
#include "tests/support/builtin_operator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static model_builder *start(int opset) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  return b;
}

static checked expect_nodes(model_builder *b, const char *passes, int count) {
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, passes, 0);
  if (count_nodes(&c, NULL) != count) fail_msg("%d nodes instead of %d", count_nodes(&c, NULL), count);
  return c;
}

static void expect(model_builder *b, const char *passes, int count) {
  checked c = expect_nodes(b, passes, count);
  free_checked(&c);
}

/* ---------------------------------------------------------------------------------------------------------- folding */

static void nodes_on_constants_fold(void **state) {
  (void)state;
  model_builder *b = start(13);
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(3, 4), -1, 1);
  builder_node(b, "Neg", "w", "n");
  builder_node(b, "Exp", "n", "e");
  builder_node(b, "Mul", "e w", "m");
  builder_node(b, "Add", "x m", "y");
  expect(b, "constant_folding", 1);
}

static void constant_nodes_fold(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_tensor(builder_node(b, "Constant", "", "w"), "value", NORMA_FLOAT, 1, DIMS(4), (float[]){1, 2, 3, 4});
  builder_node(b, "Add", "x w", "y");
  expect(b, "constant_folding", 1);
}

static void constant_outputs_keep_their_names(void **state) {
  (void)state;
  model_builder *b = start(13);
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(3, 4), -1, 1);
  builder_node(b, "Neg", "w", "y");
  builder_node(b, "Relu", "x", "z");
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  expect(b, "constant_folding", 1);
}

static void several_outputs_fold(void **state) {
  (void)state;
  model_builder *b = start(13);
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(3, 4), -1, 1);
  builder_int(builder_node(b, "Split", "w", "u v"), "axis", 1);
  builder_int(builder_node(b, "Concat", "v u", "c"), "axis", 1);
  builder_node(b, "Add", "x c", "y");
  expect(b, "constant_folding", 1);
}

static void shapes_that_are_known_fold(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Shape", "x", "s");
  builder_ints64(b, "turned", 1, DIMS(3), DIMS(2, 0, 1));
  builder_node(b, "Gather", "s turned", "t");
  builder_node(b, "Reshape", "x t", "y");
  expect(b, "constant_folding", 1);

  b = builder_create(15); /* the part that is asked for is known */
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 3, 4));
  node *shape = builder_node(b, "Shape", "x", "y");
  builder_int(shape, "start", 1);
  expect(b, "constant_folding", 0);
}

static void shapes_that_are_not_known_stay(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 3, 4));
  builder_node(b, "Shape", "x", "y");
  expect(b, "constant_folding", 1);
}

static void random_nodes_stay(void **state) {
  (void)state;
  if (!builtin_operator("", "RandomUniform")) skip();
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(2));
  node *random = builder_node(b, "RandomUniform", "", "r");
  builder_ints(random, "shape", 1, DIMS(2));
  builder_float(random, "seed", 1);
  builder_node(b, "Mul", "x r", "m");
  builder_node(b, "Sub", "m m", "y");
  expect(b, "constant_folding", 3);
}

static void folds_in_subgraphs(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(3, 4), -1, 1);
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    const char *op_type = i ? "Neg" : "Exp";
    builder_node(inner, op_type, "w", "v");
    builder_node(inner, i ? "Add" : "Sub", "x v", "z");
    builder_output(inner, "z", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  }
  expect(b, "constant_folding", 3);
}

/* 8 MiB made of 8 bytes. */
static model_builder *large_model(void) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 1024));
  builder_ints64(b, "shape", 1, DIMS(2), DIMS(1024, 2048));
  builder_tensor(builder_node(b, "ConstantOfShape", "shape", "w"), "value", NORMA_FLOAT, 1, DIMS(1), (float[]){0.5f});
  return b;
}

static void large_results_fold_for_those_who_pack_them(void **state) {
  (void)state;
  model_builder *b = large_model();
  builder_node(b, "MatMul", "x w", "y");
  expect(b, "constant_folding", 1);

  b = large_model(); /* through a node that folds as well */
  builder_node(b, "Neg", "w", "n");
  builder_node(b, "MatMul", "x n", "y");
  expect(b, "constant_folding", 1);
}

static void large_results_stay_where_they_are_cheap(void **state) {
  (void)state;
  model_builder *b = large_model();
  builder_input(b, "z", NORMA_FLOAT, 2, DIMS(1024, 2048));
  builder_node(b, "Add", "w z", "y");
  checked c = expect_nodes(b, "constant_folding", 2);
  only_node(&c, "ConstantOfShape");
  free_checked(&c);
}

/* A node that cannot be evaluated is left to the run, which may never come to it. */
static void failing_nodes_stay(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_ints64(b, "zero", 0, NULL, DIMS(0));
  builder_ints64(b, "one", 0, NULL, DIMS(1));
  node *branch = builder_node(b, "If", "choice", "i");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, "Div", i ? "one one" : "one zero", "z");
    builder_output(inner, "z", NORMA_INT64, 0, NULL);
  }
  builder_output(b, "i", NORMA_UNDEFINED, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  checked c = {.builder = b};
  norma_error error;
  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &c.model, &error), NORMA_OK);
  assert_int_equal(count_nodes(&c, "Div"), 1);
  norma_model_destroy(c.model);
  builder_destroy(b);
}

/* ------------------------------------------------------------------------------------------------------- identities */

static void identities_go(void **state) {
  static const char *const op_types[] = {"Identity", "Sum", "Max", "Min", "Mean"};
  (void)state;
  for (int i = 0; i < 5; i++) {
    model_builder *b = start(13);
    builder_node(b, "Relu", "x", "r");
    builder_node(b, op_types[i], "r", "i");
    builder_node(b, "Neg", "i", "y");
    expect(b, "remove_identity", 2);
  }
  model_builder *b = start(13);
  builder_int(builder_node(b, "Concat", "x", "i"), "axis", 1);
  builder_node(b, "Neg", "i", "y");
  expect(b, "remove_identity", 1);
}

/* The output's name moves to the node in front. */
static void identity_in_front_of_an_output_goes(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Relu", "x", "r");
  builder_node(b, "Neg", "r", "z");
  builder_node(b, "Identity", "r", "y");
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  expect(b, "remove_identity", 2);
}

static void identity_between_borders_stays(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Identity", "x", "y");
  expect(b, "remove_identity", 1);

  b = start(13);
  builder_node(b, "Relu", "x", "r");
  builder_node(b, "Identity", "r", "y");
  builder_output(b, "r", NORMA_UNDEFINED, -1, NULL);
  expect(b, "remove_identity", 2);
}

static void casts_to_the_same_type_go(void **state) {
  (void)state;
  for (int same = 0; same < 2; same++) {
    model_builder *b = start(13);
    builder_int(builder_node(b, "Cast", "x", "c"), "to", same ? NORMA_FLOAT : NORMA_FLOAT16);
    builder_node(b, "Neg", "c", "y");
    expect(b, "remove_identity", same ? 1 : 2);
  }
}

static void dropout_goes_in_inference(void **state) {
  (void)state;
  model_builder *b = start(12);
  builder_node(b, "Dropout", "x", "d");
  builder_node(b, "Neg", "d", "y");
  expect(b, "remove_identity", 1);

  b = start(10);
  builder_float(builder_node(b, "Dropout", "x", "d"), "ratio", 0.5f);
  builder_node(b, "Neg", "d", "y");
  expect(b, "remove_identity", 1);

  b = start(10); /* its mask is asked for */
  builder_node(b, "Dropout", "x", "d mask");
  builder_node(b, "Neg", "d", "y");
  builder_output(b, "mask", NORMA_UNDEFINED, -1, NULL);
  expect(b, "remove_identity", 2);
}

static void views_that_keep_the_shape_go(void **state) {
  static const char *const targets[] = {"same", "zeros", "other"};
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = start(13);
    builder_ints64(b, "same", 1, DIMS(3), DIMS(2, 3, 4));
    builder_ints64(b, "zeros", 1, DIMS(3), DIMS(0, -1, 0));
    builder_ints64(b, "other", 1, DIMS(3), DIMS(2, 4, 3));
    char inputs[16];
    snprintf(inputs, sizeof inputs, "x %s", targets[i]);
    builder_node(b, "Reshape", inputs, "r");
    builder_node(b, "Neg", "r", "y");
    expect(b, "remove_identity", i < 2 ? 1 : 2);
  }
}

static void transpositions_that_keep_the_order_go(void **state) {
  (void)state;
  for (int same = 0; same < 2; same++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 3, DIMS(3, 3, 3));
    builder_ints(builder_node(b, "Transpose", "x", "t"), "perm", 3, same ? DIMS(0, 1, 2) : DIMS(0, 2, 1));
    builder_node(b, "Neg", "t", "y");
    expect(b, "remove_identity", same ? 1 : 2);
  }
  model_builder *b = builder_create(13); /* without perm it reverses */
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 3));
  builder_node(b, "Transpose", "x", "t");
  builder_node(b, "Neg", "t", "y");
  expect(b, "remove_identity", 2);
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
    expect(b, "remove_identity", i == 0 ? 1 : 2);
  }
}

static void pads_of_nothing_go(void **state) {
  (void)state;
  for (int none = 0; none < 2; none++) {
    model_builder *b = start(13); /* the other one shifts and keeps the shape */
    builder_ints64(b, "pads", 1, DIMS(6), none ? DIMS(0, 0, 0, 0, 0, 0) : DIMS(0, 0, 1, 0, 0, -1));
    builder_node(b, "Pad", "x pads", "p");
    builder_node(b, "Neg", "p", "y");
    expect(b, "remove_identity", none ? 1 : 2);
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
    expect(b, "remove_identity", same ? 1 : 2);
  }
}

/* -------------------------------------------------------------------------------------------------------- dead code */

static void dead_chains_go(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Neg", "x", "y");
  builder_node(b, "Relu", "x", "a");
  builder_node(b, "Exp", "a", "c");
  builder_node(b, "Mul", "c a", "d");
  expect(b, "dead_code_elimination", 1);
}

static void what_a_subgraph_reads_is_alive(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_node(b, "Relu", "x", "r");
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, "Neg", "r", "z");
    builder_node(inner, "Exp", "r", "unused");
    builder_output(inner, "z", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  }
  expect(b, "dead_code_elimination", 4);
}

/* ------------------------------------------------------------------------------------------------------------ views */

static void transpositions_merge(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_ints(builder_node(b, "Transpose", "x", "t"), "perm", 3, DIMS(1, 2, 0));
  builder_ints(builder_node(b, "Transpose", "t", "u"), "perm", 3, DIMS(0, 2, 1));
  builder_node(b, "Neg", "u", "y");
  expect(b, "merge_transposes", 2);

  b = start(13); /* back and forth is nothing */
  builder_node(b, "Transpose", "x", "t");
  builder_node(b, "Transpose", "t", "u");
  builder_node(b, "Neg", "u", "y");
  expect(b, "merge_transposes remove_identity", 1);

  b = start(13); /* the first one is read elsewhere, and stays for that */
  builder_ints(builder_node(b, "Transpose", "x", "z"), "perm", 3, DIMS(1, 2, 0));
  builder_ints(builder_node(b, "Transpose", "z", "y"), "perm", 3, DIMS(1, 2, 0));
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  expect(b, "merge_transposes", 2);
}

static void reshapes_merge(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_ints64(b, "flat", 1, DIMS(1), DIMS(-1));
  builder_ints64(b, "turned", 1, DIMS(2), DIMS(4, 6));
  builder_node(b, "Reshape", "x flat", "f");
  builder_node(b, "Reshape", "f turned", "t");
  builder_node(b, "Neg", "t", "y");
  expect(b, "merge_reshapes", 2);

  b = start(13); /* 0 copies from the shape in between */
  builder_ints64(b, "two", 1, DIMS(2), DIMS(4, 6));
  builder_ints64(b, "copied", 1, DIMS(2), DIMS(0, -1));
  builder_node(b, "Reshape", "x two", "f");
  builder_node(b, "Reshape", "f copied", "t");
  builder_node(b, "Neg", "t", "y");
  expect(b, "merge_reshapes", 3);
}

/* Channels are shuffled by two reshapes around a transposition: nothing here may be merged but all of it. */
static void shuffled_channels_stay_apart(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 6, 2, 2));
  builder_ints64(b, "split", 1, DIMS(5), DIMS(1, 3, 2, 2, 2));
  builder_ints64(b, "joined", 1, DIMS(4), DIMS(1, 6, 2, 2));
  builder_node(b, "Reshape", "x split", "s");
  builder_ints(builder_node(b, "Transpose", "s", "t"), "perm", 5, DIMS(0, 2, 1, 3, 4));
  builder_node(b, "Reshape", "t joined", "y");
  expect(b, "merge_reshapes merge_transposes remove_identity", 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_on_constants_fold),
      cmocka_unit_test(constant_nodes_fold),
      cmocka_unit_test(constant_outputs_keep_their_names),
      cmocka_unit_test(several_outputs_fold),
      cmocka_unit_test(shapes_that_are_known_fold),
      cmocka_unit_test(shapes_that_are_not_known_stay),
      cmocka_unit_test(random_nodes_stay),
      cmocka_unit_test(folds_in_subgraphs),
      cmocka_unit_test(large_results_fold_for_those_who_pack_them),
      cmocka_unit_test(large_results_stay_where_they_are_cheap),
      cmocka_unit_test(failing_nodes_stay),
      cmocka_unit_test(identities_go),
      cmocka_unit_test(identity_in_front_of_an_output_goes),
      cmocka_unit_test(identity_between_borders_stays),
      cmocka_unit_test(casts_to_the_same_type_go),
      cmocka_unit_test(dropout_goes_in_inference),
      cmocka_unit_test(views_that_keep_the_shape_go),
      cmocka_unit_test(transpositions_that_keep_the_order_go),
      cmocka_unit_test(slices_of_everything_go),
      cmocka_unit_test(pads_of_nothing_go),
      cmocka_unit_test(expand_goes_where_it_does_nothing),
      cmocka_unit_test(dead_chains_go),
      cmocka_unit_test(what_a_subgraph_reads_is_alive),
      cmocka_unit_test(transpositions_merge),
      cmocka_unit_test(reshapes_merge),
      cmocka_unit_test(shuffled_channels_stay_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
