/* Nodes in an order in which each stands after what it reads, as near to the file's as there is one; cycles are
 * refused. */
#include "proto/reader.h"

#include "tests/support/built_reading.h"
#include "tests/support/failing_allocations.h"
#include "tests/support/random_tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static norma_status sort_built(model_builder *b, norma_error *error) {
  memory memory;
  memory_init(&memory, NULL, 0);
  norma_status status = graph_sort(&memory, builder_model(b)->graph, NULL, error);
  assert_int_equal(atomic_load(&memory.used), 0);
  return status;
}

/* The names of the nodes, in order. */
static void expect_order(const graph *graph, const char *expected) {
  char names[400] = "";
  for (const node *node = graph->first; node; node = node->next) {
    strcat(strcat(names, *names ? " " : ""), node->name);
  }
  assert_string_equal(names, expected);
}

/* ----------------------------------------------------------------------------------------------------------- orders */

/* Of the nodes that can come next the first one of the file. */
static void the_order_is_the_nearest(void **state) {
  (void)state;
  norma_error error;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_named_node(b, "e", "", "Add", "c d", "e");
  builder_named_node(b, "d", "", "Neg", "b", "d");
  builder_named_node(b, "z", "", "Neg", "x", "z");
  builder_named_node(b, "b", "", "Neg", "x", "b");
  builder_named_node(b, "c", "", "Add", "b z", "c");
  builder_named_node(b, "a", "", "Neg", "x", "a");
  assert_int_equal(sort_built(b, &error), NORMA_OK);
  expect_order(builder_model(b)->graph, "z b d c e a");
  assert_int_equal(sort_built(b, &error), NORMA_OK); /* and what is sorted stays */
  expect_order(builder_model(b)->graph, "z b d c e a");
  builder_destroy(b);
}

/* A node with several inputs from one other waits for it once or for each: no matter. */
static void inputs_that_repeat(void **state) {
  (void)state;
  norma_error error;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_named_node(b, "last", "", "Sum", "p p q - p", "y");
  builder_named_node(b, "first", "", "Split", "x", "p q");
  assert_int_equal(sort_built(b, &error), NORMA_OK);
  expect_order(builder_model(b)->graph, "first last");
  builder_destroy(b);
}

static void graphs_without_nodes(void **state) {
  (void)state;
  norma_error error;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  assert_int_equal(sort_built(b, &error), NORMA_OK);
  builder_named_node(b, "only", "", "Constant", "", "c");
  assert_int_equal(sort_built(b, &error), NORMA_OK);
  expect_order(builder_model(b)->graph, "only");
  builder_destroy(b);
}

/* What stands below a node counts as read by it, however deep, and an outer value that is only given out, too. */
static void subgraphs_are_looked_into(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  node *branch = builder_named_node(b, "branch", "", "If", "x", "y");
  model_builder *inner = builder_subgraph(b, branch, "then_branch");
  node *deep = builder_node(inner, "If", "x", "t");
  model_builder *deepest = builder_subgraph(inner, deep, "then_branch");
  builder_node(deepest, "Neg", "m", "u"); /* needs m */
  builder_output(deepest, "u", NORMA_UNDEFINED, -1, NULL);
  model_builder *other = builder_subgraph(inner, deep, "else_branch");
  builder_output(other, "n", NORMA_UNDEFINED, -1, NULL); /* needs n, as an output only */
  builder_output(inner, "t", NORMA_UNDEFINED, -1, NULL);
  model_builder *second = builder_subgraph(b, branch, "else_branch");
  builder_output(second, "k", NORMA_UNDEFINED, -1, NULL); /* needs k, twice */
  builder_output(second, "k", NORMA_UNDEFINED, -1, NULL);
  builder_named_node(b, "free", "", "Neg", "x", "f");
  builder_named_node(b, "k", "", "Neg", "n", "k");
  builder_named_node(b, "m", "", "Neg", "k", "m");
  builder_named_node(b, "n", "", "Neg", "x", "n");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  reading_init(&reading, 0);
  must_read_built(&reading, b);
  expect_order(reading.model.graph, "free n k m branch");
  assert_int_equal(reading_release(&reading), 0);
}

/* Random graphs in random orders: each node behind what it reads, and no node that could have stood earlier. */
static void random_graphs(void **state) {
  enum { NODES = 40 };
  (void)state;
  for (uint64_t seed = 1; seed <= 200; seed++) {
    uint64_t random = seed * 0x9E3779B97F4A7C15u; /* small seeds begin alike */
    int order[NODES];
    norma_error error;
    char name[8], inputs[40], output[8];
    model_builder *b = builder_create(17);
    builder_input(b, "v-1", NORMA_FLOAT, -1, NULL);
    for (int i = 0; i < NODES; i++) {
      const int k = (int)random_int(&random, 0, i);
      order[i] = order[k];
      order[k] = i;
    }
    int reads[NODES][3]; /* nodes of smaller number, -1 the input */
    for (int i = 0; i < NODES; i++) {
      for (int k = 0; k < 3; k++) reads[i][k] = (int)random_int(&random, i > 6 ? i - 7 : -1, i - 1);
    }
    for (int i = 0; i < NODES; i++) {
      const int n = order[i];
      snprintf(name, sizeof name, "%d", n);
      snprintf(inputs, sizeof inputs, "v%d v%d v%d", reads[n][0], reads[n][1], reads[n][2]);
      snprintf(output, sizeof output, "v%d", n);
      builder_named_node(b, name, "", "Sum", inputs, output);
    }
    assert_int_equal(sort_built(b, &error), NORMA_OK);
    bool placed[NODES] = {false};
    int count = 0;
    for (const node *node = builder_model(b)->graph->first; node; node = node->next, count++) {
      int best = -1; /* the first of the file that can come next */
      for (int i = 0; i < NODES && best < 0; i++) {
        bool can = !placed[order[i]];
        for (int k = 0; k < 3; k++) can = can && (reads[order[i]][k] < 0 || placed[reads[order[i]][k]]);
        if (can) best = order[i];
      }
      assert_int_equal(atoi(node->name), best);
      placed[best] = true;
    }
    assert_int_equal(count, NODES);
    builder_destroy(b);
  }
}

/* ----------------------------------------------------------------------------------------------------------- cycles */

/* The error names a node that waits in vain. */
static void cycles_are_refused(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_named_node(b, "free", "", "Neg", "x", "f");
  builder_named_node(b, "one", "", "Add", "x b", "a");
  builder_named_node(b, "two", "", "Neg", "a", "b");
  builder_output(b, "b", NORMA_FLOAT, -1, NULL);
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(reading.error.node, "one");
  assert_non_null(strstr(reading.error.message, "cycle"));
  assert_int_equal(reading_release(&reading), 0);

  b = builder_create(17); /* through a subgraph */
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  node *branch = builder_named_node(b, "branch", "", "If", "c", "y");
  model_builder *inner = builder_subgraph(b, branch, "then_branch");
  builder_node(inner, "Neg", "y", "t");
  builder_output(inner, "t", NORMA_UNDEFINED, -1, NULL);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  expect_unreadable(b, NORMA_ERROR_INVALID_MODEL, "cycle");
}

static void nodes_that_read_themselves(void **state) {
  (void)state;
  norma_error error;
  model_builder *b = builder_create(17);
  builder_named_node(b, "good", "", "Constant", "", "c");
  builder_named_node(b, "own", "", "Add", "c y", "y");
  assert_int_equal(sort_built(b, &error), NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(error.node, "own");
  builder_destroy(b);
}

/* ---------------------------------------------------------------------------------------------------------- reading */

/* Files out of order are sorted as they are read; memory may run out meanwhile. */
static void unsorted_nodes_are_sorted(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_node(b, "Sqrt", "p", "y");
  node *branch = builder_node(b, "If", "x", "p");
  model_builder *inner = builder_subgraph(b, branch, "then_branch");
  builder_node(inner, "Neg", "m", "t"); /* needs m from within */
  builder_output(inner, "t", NORMA_UNDEFINED, -1, NULL);
  model_builder *other = builder_subgraph(b, branch, "else_branch");
  builder_output(other, "k", NORMA_UNDEFINED, -1, NULL); /* needs k, as an output only */
  builder_node(b, "Abs", "x", "m");
  builder_node(b, "Exp", "x", "k");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_status status = NORMA_ERROR_OUT_OF_MEMORY;
  for (size_t k = 1; status != NORMA_OK; k++) { /* memory may run out while sorting, too */
    reading_init(&reading, 0);
    reading.fail_at = k;
    status = reading_read(&reading, bytes, size);
    assert_int_equal(status, reading.allocations < k ? NORMA_OK : NORMA_ERROR_OUT_OF_MEMORY);
    if (status != NORMA_OK) assert_int_equal(reading_release(&reading), 0);
  }
  builder_destroy(b);
  static const char *const expected[] = {"Abs", "Exp", "If", "Sqrt"};
  const node *node = reading.model.graph->first;
  for (int i = 0; i < 4; i++, node = node->next) assert_string_equal(node->op_type, expected[i]);
  assert_null(node);
  assert_int_equal(reading_release(&reading), 0);
}

/* Seconds of this thread for a chain whose nodes stand in reverse, each of which has a subgraph that reads the one
 * before. */
static double time_reversed(int count) {
  char name[16], input[16];
  norma_error error;
  model_builder *b = builder_create(17);
  builder_input(b, "v0", NORMA_FLOAT, -1, NULL);
  for (int i = count; i > 0; i--) {
    snprintf(name, sizeof name, "v%d", i);
    snprintf(input, sizeof input, "v%d", i - 1);
    builder_named_node(b, name, "", "Neg", input, name);
  }
  struct timespec from, to;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
  assert_int_equal(sort_built(b, &error), NORMA_OK);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
  int expected = 1;
  for (const node *node = builder_model(b)->graph->first; node; node = node->next) {
    assert_int_equal(atoi(node->name + 1), expected++);
  }
  builder_destroy(b);
  return (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
}

static void long_chains_take_little_time(void **state) {
  (void)state;
  double small = 1e9, large = 1e9;
  for (int i = 0; i < 3; i++) {
    const double once = time_reversed(5000), again = time_reversed(50000);
    small = once < small ? once : small;
    large = again < large ? again : large;
  }
  if (large > 30 * small) fail_msg("%g s for 5,000 nodes, %g s for 50,000", small, large);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_order_is_the_nearest),
      cmocka_unit_test(inputs_that_repeat),
      cmocka_unit_test(graphs_without_nodes),
      cmocka_unit_test(subgraphs_are_looked_into),
      cmocka_unit_test(random_graphs),
      cmocka_unit_test(cycles_are_refused),
      cmocka_unit_test(nodes_that_read_themselves),
      cmocka_unit_test(unsorted_nodes_are_sorted),
      cmocka_unit_test(long_chains_take_little_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
