/* A transposition of a transposition is one. Exact. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "merge_transposes"

static model_builder *start(void) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 4, 5));
  return b;
}

static node *add_transpose(model_builder *b, const char *x, const char *y, const int64_t perm[4]) {
  node *transpose = builder_node(b, "Transpose", x, y);
  if (perm) builder_ints(transpose, "perm", 4, perm);
  return transpose;
}

/* All pairs of permutations of four axes, `none` standing for the reversal: y[i] is what x has at p[q[i]]. */
static void all_pairs_of_permutations_merge(void **state) {
  static const int64_t permutations[][4] = {{0, 1, 2, 3}, {0, 2, 3, 1}, {3, 2, 1, 0}, {1, 0, 3, 2}, {2, 3, 1, 0}};
  (void)state;
  for (int p = 0; p < 6; p++) {
    for (int q = 0; q < 6; q++) {
      model_builder *b = start();
      add_transpose(b, "x", "t", p < 5 ? permutations[p] : NULL);
      add_transpose(b, "t", "y", q < 5 ? permutations[q] : NULL);
      checked c = check_nodes(b, PASS, 0, 1);
      size_t count;
      const int64_t *perm = attribute_ints(only_node(&c, "Transpose"), "perm", &count);
      const int64_t *first = permutations[p < 5 ? p : 2], *second = permutations[q < 5 ? q : 2];
      assert_int_equal(count, 4);
      for (int i = 0; i < 4; i++) assert_int_equal(perm[i], first[second[i]]);
      free_checked(&c);
    }
  }
}

static void chains_become_one(void **state) {
  (void)state;
  model_builder *b = start();
  add_transpose(b, "x", "a", DIMS(1, 2, 3, 0));
  add_transpose(b, "a", "b", DIMS(1, 2, 3, 0));
  add_transpose(b, "b", "c", DIMS(1, 0, 2, 3));
  add_transpose(b, "c", "y", NULL);
  expect_nodes(b, PASS, 0, 1);
}

static void back_and_forth_is_nothing(void **state) {
  (void)state;
  model_builder *b = start();
  add_transpose(b, "x", "t", NULL);
  add_transpose(b, "t", "u", NULL);
  builder_node(b, "Neg", "u", "y");
  expect_nodes(b, "merge_transposes remove_identity", 0, 1);
}

/* The first one is read elsewhere, and stays for that; the second one reads past it. */
static void other_readers_keep_the_first(void **state) {
  (void)state;
  model_builder *b = start();
  add_transpose(b, "x", "z", DIMS(1, 2, 3, 0));
  add_transpose(b, "z", "y", DIMS(1, 2, 3, 0));
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  checked c = check_nodes(b, PASS, 0, 2);
  for (const node *node = c.model->graph->first; node; node = node->next) {
    assert_string_equal(node->inputs[0]->name, "x");
  }
  free_checked(&c);
}

static void unknown_rank_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 2));
  builder_input(b, "shape", NORMA_INT64, 1, DIMS(-1)); /* the rank of r is known in the run only */
  builder_node(b, "Reshape", "x shape", "r");
  builder_node(b, "Transpose", "r", "t");
  builder_node(b, "Transpose", "t", "y");
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  checked c = {.builder = b};
  norma_error error;
  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &c.model, &error), NORMA_OK);
  assert_int_equal(count_nodes(&c, "Transpose"), 2);
  norma_model_destroy(c.model);
  builder_destroy(b);
}

/* One in a branch does not read past the graph that it stands in. */
static void graphs_are_not_crossed(void **state) {
  (void)state;
  model_builder *b = start();
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  add_transpose(b, "x", "t", NULL);
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    add_transpose(inner, "t", "u", NULL);
    builder_output(inner, "u", NORMA_FLOAT, -1, NULL);
  }
  expect_nodes(b, PASS, 0, 4);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = start();
  add_transpose(b, "x", "t", DIMS(1, 2, 3, 0));
  add_transpose(b, "t", "y", DIMS(1, 2, 3, 0));
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_pairs_of_permutations_merge),
      cmocka_unit_test(chains_become_one),
      cmocka_unit_test(back_and_forth_is_nothing),
      cmocka_unit_test(other_readers_keep_the_first),
      cmocka_unit_test(unknown_rank_stays),
      cmocka_unit_test(graphs_are_not_crossed),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
