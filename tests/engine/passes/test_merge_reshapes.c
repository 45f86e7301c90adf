/* Reshape reads past views of the same elements. Exact. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "merge_reshapes"

static model_builder *start(int opset) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  builder_ints64(b, "turned", 1, DIMS(2), DIMS(4, 6));
  return b;
}

/* Every operator that only gives its elements another shape. */
static void views_in_front_go(void **state) {
  (void)state;
  for (int i = 0; i < 5; i++) {
    model_builder *b = start(13);
    builder_ints64(b, "flat", 1, DIMS(1), DIMS(-1));
    builder_ints64(b, "axis", 1, DIMS(1), DIMS(1));
    if (i == 0) builder_node(b, "Flatten", "x", "v");
    if (i == 1) builder_node(b, "Reshape", "x flat", "v");
    if (i == 2) builder_node(b, "Unsqueeze", "x axis", "v");
    if (i == 3) builder_node(b, "Identity", "x", "v");
    if (i == 4) builder_node(b, "Squeeze", "x", "v");
    builder_node(b, "Reshape", "v turned", "y");
    checked c = check_nodes(b, PASS, 0, 1);
    const node *reshape = only_node(&c, "Reshape");
    assert_string_equal(reshape->inputs[0]->name, "x");
    assert_non_null(strstr(reshape->name, " + ")); /* of both */
    free_checked(&c);
  }
}

static void chains_become_one(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_ints64(b, "flat", 1, DIMS(1), DIMS(-1));
  builder_node(b, "Reshape", "x flat", "f");
  builder_node(b, "Flatten", "f", "g");
  builder_node(b, "Reshape", "g turned", "t");
  builder_node(b, "Reshape", "t flat", "y");
  expect_nodes(b, PASS, 0, 1);
}

/* The first one stays for its other readers, the last one reads past it all the same. */
static void other_readers_keep_the_first(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Flatten", "x", "z");
  builder_node(b, "Reshape", "z turned", "y");
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  checked c = check_nodes(b, PASS, 0, 2);
  assert_string_equal(only_node(&c, "Reshape")->inputs[0]->name, "x");
  free_checked(&c);
}

/* 0 copies a dimension of what is in between. */
static void targets_that_copy_a_dimension_stay(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_ints64(b, "copied", 1, DIMS(2), DIMS(0, -1));
  builder_node(b, "Reshape", "x turned", "f");
  builder_node(b, "Reshape", "f copied", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void targets_that_are_no_constants_stay(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 4));
  builder_node(b, "Shape", "x", "shape");
  builder_node(b, "Flatten", "x", "f");
  builder_node(b, "Reshape", "f shape", "y");
  expect_nodes(b, PASS, 0, 3);
}

/* Before version 5 the target is an attribute, whose zeros nobody looks at here. */
static void old_versions_stay(void **state) {
  (void)state;
  model_builder *b = start(4);
  builder_node(b, "Flatten", "x", "f");
  builder_ints(builder_node(b, "Reshape", "f", "y"), "shape", 2, DIMS(4, 6));
  expect_nodes(b, PASS, 0, 2);
}

static void what_moves_elements_stays(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Transpose", "x", "t");
  builder_node(b, "Reshape", "t turned", "y");
  expect_nodes(b, PASS, 0, 2);
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
  expect_nodes(b, "merge_reshapes merge_transposes remove_identity", 0, 3);
}

static void graphs_are_not_crossed(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_node(b, "Flatten", "x", "f");
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, "Reshape", "f turned", "u");
    builder_output(inner, "u", NORMA_FLOAT, -1, NULL);
  }
  expect_nodes(b, PASS, 0, 4);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Flatten", "x", "f");
  builder_node(b, "Reshape", "f turned", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(views_in_front_go),
      cmocka_unit_test(chains_become_one),
      cmocka_unit_test(other_readers_keep_the_first),
      cmocka_unit_test(targets_that_copy_a_dimension_stay),
      cmocka_unit_test(targets_that_are_no_constants_stay),
      cmocka_unit_test(old_versions_stay),
      cmocka_unit_test(what_moves_elements_stays),
      cmocka_unit_test(shuffled_channels_stay_apart),
      cmocka_unit_test(graphs_are_not_crossed),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
