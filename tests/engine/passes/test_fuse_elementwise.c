/* Chains of elementwise operators in one node: bit for bit what the operators compute one by one. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "fuse_elementwise"
#define CHAIN     "ElementwiseChain"

/* The number of nodes left, and of chains among them. */
static void expect_chains(model_builder *b, int nodes, int chains) {
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, PASS, 0);
  assert_int_equal(count_nodes(&c, NULL), nodes);
  assert_int_equal(count_nodes(&c, CHAIN), chains);
  free_checked(&c);
}

static model_builder *start(int opset, int rank, const int64_t *dims) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", NORMA_FLOAT, rank, dims);
  return b;
}

/* A value read twice, numbers on both sides, a factor for each channel, and what comes out of all kinds of steps. */
static model_builder *every_step(const int64_t *x_dims, const int64_t *channel_dims) {
  model_builder *b = start(16, 4, x_dims);
  builder_input(b, "z", NORMA_FLOAT, 4, x_dims);
  add_random(b, "c", NORMA_FLOAT, 4, channel_dims, -1, 1);
  add_number(b, "two", NORMA_FLOAT, 2);
  add_number(b, "low", NORMA_FLOAT, -0.75);
  add_number(b, "high", NORMA_FLOAT, 0.75);
  builder_node(b, "Add", "x z", "a");
  builder_node(b, "Sigmoid", "a", "s");
  builder_node(b, "Mul", "a s", "m");
  builder_node(b, "Mul", "m c", "n");
  builder_node(b, "Sub", "two n", "o");
  builder_node(b, "Pow", "o two", "p");
  builder_node(b, "Div", "p two", "q");
  builder_node(b, "PRelu", "n c", "r");
  builder_node(b, "Clip", "r low high", "t");
  builder_node(b, "Max", "t q x", "u");
  builder_node(b, "Sum", "u two c", "v");
  builder_node(b, "LeakyRelu", "v", "w");
  builder_node(b, "Min", "w two", "y");
  return b;
}

static void all_kinds_of_steps(void **state) {
  static const int64_t sizes[][4] = {{2, 5, 3, 4},   {1, 3, 40, 41}, {2, 16, 1, 1}, {1, 2, 1, 3000},
                                     {3, 1, 7, 255}, {1, 4, 5, 256}, {1, 1, 1, 1},  {0, 3, 4, 5}};
  (void)state;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    const int64_t *x = sizes[i];
    expect_chains(every_step(x, DIMS(1, x[1], 1, 1)), 1, 1);
    expect_chains(every_step(x, DIMS(1, 1, 1, x[3])), 1, 1);
    expect_chains(every_step(x, DIMS(1, x[1], x[2], 1)), 1, 1);
    expect_chains(every_step(x, DIMS(1, 1, x[2], 1)), 1, 1);
    expect_chains(every_step(x, DIMS(x[0] ? x[0] : 1, 1, 1, x[3])), 1, 1);
  }
}

static void sizes_known_in_the_run(void **state) {
  (void)state;
  model_builder *b = start(16, 3, DIMS(-1, -1, 16));
  add_random(b, "c", NORMA_FLOAT, 1, DIMS(16), -1, 1);
  builder_node(b, "Mul", "x c", "a");
  builder_node(b, "Tanh", "a", "b");
  builder_node(b, "Add", "b c", "y");
  expect_chains(b, 1, 1);
}

static void numbers_alone(void **state) {
  (void)state;
  model_builder *b = start(16, 2, DIMS(3, 700)); /* functions of a single number that is no constant */
  builder_input(b, "n", NORMA_FLOAT, 1, DIMS(1));
  builder_input(b, "m", NORMA_FLOAT, 0, NULL);
  builder_node(b, "Add", "x n", "a");
  builder_node(b, "Mul", "a m", "b");
  builder_node(b, "PRelu", "b n", "y");
  expect_chains(b, 1, 1);
  b = start(16, 0, NULL);
  builder_node(b, "Add", "x x", "a");
  builder_node(b, "Mul", "x a", "b");
  builder_node(b, "Exp", "b", "y");
  expect_chains(b, 1, 1);
}

static void what_others_read_stays(void **state) {
  (void)state;
  model_builder *b = start(16, 2, DIMS(3, 7));
  builder_node(b, "Exp", "x", "a");
  builder_node(b, "Neg", "a", "b");
  builder_node(b, "Abs", "b", "y");
  builder_node(b, "ReduceSum", "a", "r");
  builder_output(b, "r", NORMA_UNDEFINED, -1, NULL);
  expect_chains(b, 3, 1);
  b = start(16, 2, DIMS(3, 7)); /* an output of the graph */
  builder_node(b, "Exp", "x", "a");
  builder_node(b, "Neg", "a", "y");
  builder_output(b, "a", NORMA_UNDEFINED, -1, NULL);
  expect_chains(b, 2, 0);
}

static void nothing_is_computed_twice(void **state) {
  (void)state;
  model_builder *b = start(16, 3, DIMS(4, 6, 5));
  builder_input(b, "c", NORMA_FLOAT, 3, DIMS(4, 6, 1));
  builder_node(b, "Exp", "c", "a");
  builder_node(b, "Neg", "a", "b");
  builder_node(b, "Mul", "x b", "d");
  builder_node(b, "Abs", "d", "y");
  expect_chains(b, 2, 2);
}

static void other_types_stay(void **state) {
  (void)state;
  model_builder *b = builder_create(16);
  builder_input(b, "x", NORMA_DOUBLE, 2, DIMS(3, 7));
  builder_node(b, "Exp", "x", "a");
  builder_node(b, "Neg", "a", "y");
  expect_chains(b, 2, 0);
  b = builder_create(6); /* limited broadcasting */
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  add_random(b, "c", NORMA_FLOAT, 1, DIMS(3), -1, 1);
  node *add = builder_node(b, "Add", "x c", "a");
  builder_int(add, "broadcast", 1);
  builder_int(add, "axis", 1);
  builder_node(b, "Exp", "a", "y");
  expect_chains(b, 2, 0);
}

static void long_chains_are_cut(void **state) {
  enum { LENGTH = 100 };
  char from[16] = "x", to[16], inputs[40];
  (void)state;
  model_builder *b = start(16, 2, DIMS(3, 700));
  for (int i = 0; i < LENGTH; i++) {
    snprintf(to, sizeof to, i + 1 < LENGTH ? "a%d" : "y", i);
    snprintf(inputs, sizeof inputs, "%s x", from);
    builder_node(b, i % 3 ? "Add" : "Sigmoid", i % 3 ? inputs : from, to);
    strcpy(from, to);
  }
  expect_chains(b, 4, 4);

  b = start(16, 2, DIMS(3, 7)); /* more inputs than a chain takes */
  strcpy(from, "x");
  for (int i = 0; i < 20; i++) {
    snprintf(to, sizeof to, "x%d", i);
    builder_input(b, to, NORMA_FLOAT, 2, DIMS(3, 7));
    snprintf(inputs, sizeof inputs, "%s x%d", from, i);
    snprintf(to, sizeof to, i < 19 ? "a%d" : "y", i);
    builder_node(b, "Add", inputs, to);
    strcpy(from, to);
  }
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  size_t size;
  norma_error error;
  norma_model *model;
  const void *bytes = builder_bytes(b, &size);
  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &model, &error), NORMA_OK);
  assert_int_equal(model->graph->node_count, 2);
  norma_model_destroy(model);
  builder_destroy(b);
}

/* Whatever the length of a chain, all of it is joined, in pieces of 32 steps, and the time that it takes grows with the
 * length. The memory that a model takes is a measure of this that does not depend on the machine; the time has a
 * generous bound. */
static void long_chains_are_joined_in_linear_time(void **state) {
  static const int lengths[] = {1000, 10000, 100000};
  size_t used[3];
  double seconds[3];
  (void)state;
  for (int l = 0; l < 3; l++) {
    char from[16] = "x", to[16], inputs[40];
    model_builder *b = start(16, 2, DIMS(3, 7));
    for (int i = 0; i < lengths[l]; i++) {
      snprintf(to, sizeof to, "a%d", i);
      snprintf(inputs, sizeof inputs, "%s x", from);
      builder_node(b, "Add", inputs, to);
      strcpy(from, to);
    }
    builder_output(b, from, NORMA_FLOAT, -1, NULL);
    seconds[l] = time_load(b, PASS, (lengths[l] + 31) / 32, &used[l]);
  }
  for (int l = 1; l < 3; l++) {
    if (used[l] > 12 * used[l - 1]) fail_msg("%zu bytes for ten times what took %zu", used[l], used[l - 1]);
    if (seconds[l] > 30 * seconds[l - 1]) fail_msg("%g s for ten times what took %g", seconds[l], seconds[l - 1]);
  }
}

/* A value that very many nodes read, each of which begins a chain of its own. */
static void many_readers_of_one_value(void **state) {
  static const int counts[] = {300, 3000};
  double seconds[2];
  size_t used[2];
  (void)state;
  for (int c = 0; c < 2; c++) {
    char name[32], inputs[40];
    model_builder *b = start(16, 2, DIMS(3, 7));
    builder_node(b, "Exp", "x", "e");
    for (int i = 0; i < counts[c]; i++) {
      snprintf(name, sizeof name, "n%d", i);
      builder_node(b, "Neg", "e", name);
      snprintf(inputs, sizeof inputs, "n%d e", i);
      snprintf(name, sizeof name, "y%d", i);
      builder_node(b, "Mul", inputs, name);
      builder_output(b, name, NORMA_FLOAT, -1, NULL);
    }
    seconds[c] = time_load(b, PASS, counts[c] + 1, &used[c]);
  }
  if (used[1] > 12 * used[0]) fail_msg("%zu bytes for ten times what took %zu", used[1], used[0]);
  if (seconds[1] > 30 * seconds[0]) fail_msg("%g s for ten times what took %g", seconds[1], seconds[0]);
}

/* A tree whose results cannot all be kept in registers is left in parts. */
static void wide_trees_are_cut(void **state) {
  (void)state;
  model_builder *b = start(16, 2, DIMS(3, 7));
  char name[16], inputs[40];
  for (int i = 0; i < 12; i++) {
    snprintf(name, sizeof name, "l0_%d", i);
    node *leaf = builder_node(b, "LeakyRelu", "x", name);
    builder_float(leaf, "alpha", 0.1f * (float)i);
  }
  int width = 12;
  for (int level = 1; width > 1; level++) {
    for (int i = 0; i < width / 2; i++) {
      snprintf(inputs, sizeof inputs, "l%d_%d l%d_%d", level - 1, i, level - 1, width - 1 - i);
      snprintf(name, sizeof name, width > 3 ? "l%d_%d" : "y", level, i);
      builder_node(b, i % 2 ? "Mul" : "Sub", inputs, name);
    }
    width /= 2;
  }
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, PASS, 0);
  assert_true(count_nodes(&c, NULL) < 10);
  free_checked(&c);
}

/* ----------------------------------------------------------------------------------------------- threads and tables */

static void run_once(model_builder *b, const char *table, int threads, const char *disabled, const float *x,
                     const int64_t *dims, float *y, size_t bytes_of_y) {
  norma_error error;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_tensor input;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = threads, .kernels = table};
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_OK);
  norma_load_options load = {.struct_size = sizeof load, .runtime = runtime};
  load.disabled_passes = &disabled;
  load.disabled_pass_count = disabled != NULL;
  if (norma_model_load_memory(bytes, size, &load, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  norma_tensor_init(&input, NORMA_FLOAT, 4, dims, (void *)(uintptr_t)x);
  assert_int_equal(norma_session_set_input(session, "x", &input, &error), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "z", &input, &error), NORMA_OK);
  assert_int_equal(norma_session_run(session, &error), NORMA_OK);
  const norma_tensor *result = norma_value_tensor(norma_session_output(session, 0));
  assert_int_equal(result->size_bytes, bytes_of_y);
  memcpy(y, result->data, bytes_of_y);
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
}

static void bitwise_for_any_number_of_threads(void **state) {
  static const int64_t sizes[][4] = {{2, 7, 90, 91}, {3, 33, 60, 16}, {1, 3, 1, 70001}};
  (void)state;
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    const int64_t *dims = sizes[s];
    size_t count = (size_t)(dims[0] * dims[1] * dims[2] * dims[3]), bytes = count * sizeof(float);
    model_builder *b = every_step(dims, s == 1 ? DIMS(1, dims[1], 1, dims[3]) : DIMS(1, dims[1], 1, 1));
    builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
    float *x = malloc(bytes), *expected = malloc(bytes), *y = malloc(bytes);
    for (size_t i = 0; i < count; i++) x[i] = (float)((i * 7919) % 20011) / 5000.0f - 2;
    const struct kernel_table *kernels;
    for (size_t k = 0; (kernels = kernel_table_at(k)); k++) {
      const char *table = kernels->name;
      run_once(b, table, 1, PASS, x, dims, expected, bytes);
      static const int threads[] = {1, 2, 3, 7};
      for (size_t t = 0; t < 4; t++) {
        run_once(b, table, threads[t], NULL, x, dims, y, bytes);
        if (memcmp(expected, y, bytes) != 0) fail_msg("%s, %d threads: other bits", table, threads[t]);
      }
    }
    free(x), free(expected), free(y);
    builder_destroy(b);
  }
}

/* Chains stand in one graph: what a branch reads is computed outside, and what it computes joins nobody there. */
static void graphs_are_not_crossed(void **state) {
  (void)state;
  model_builder *b = start(16, 2, DIMS(3, 7));
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_node(b, "Exp", "x", "e");
  builder_node(b, "Neg", "e", "n");
  node *branch = builder_node(b, "If", "choice", "i");
  for (int k = 0; k < 2; k++) {
    model_builder *inner = builder_subgraph(b, branch, k ? "then_branch" : "else_branch");
    builder_node(inner, "Abs", "n", "a");
    builder_node(inner, k ? "Softmax" : "Tanh", "a", "z");
    builder_output(inner, "z", NORMA_FLOAT, -1, NULL);
  }
  builder_node(b, "Add", "i x", "s");
  builder_node(b, "Relu", "s", "y");
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, PASS, 0);
  assert_int_equal(count_nodes(&c, "If"), 1);
  assert_int_equal(count_nodes(&c, CHAIN), 3); /* before and behind If, and in the branch of Tanh */
  free_checked(&c);
}

/* Results of unknown size may differ from the root's: they join only where they are the same in every run. */
static void repeated_operands_do_not_join(void **state) {
  (void)state;
  model_builder *b = start(16, 2, DIMS(-1, 300));
  builder_input(b, "c", NORMA_FLOAT, 2, DIMS(1, 300));
  builder_node(b, "Exp", "c", "e"); /* of the smaller shape */
  builder_node(b, "Mul", "x e", "y");
  expect_chains(b, 2, 0);
}

static void unread_reorders_go(void **state) {
  (void)state;
  model_builder *b = builder_create(16);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 16, 5, 5));
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(16, 16, 1, 1), -1, 1);
  builder_node(b, "Conv", "x w", "c");
  builder_node(b, "Exp", "c", "e");
  builder_node(b, "Neg", "e", "y");
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, "block_layout fuse_elementwise", 2e-5);
  assert_int_equal(count_nodes(&c, "UnblockChannels"), 1);
  assert_int_equal(count_nodes(&c, CHAIN), 1);
  assert_int_equal(only_node(&c, CHAIN)->inputs[0]->info.shape.rank, 5);
  free_checked(&c);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = start(16, 2, DIMS(3, 7));
  builder_node(b, "Add", "x x", "a");
  builder_node(b, "Mul", "x a", "m");
  builder_node(b, "Exp", "m", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_kinds_of_steps),
      cmocka_unit_test(sizes_known_in_the_run),
      cmocka_unit_test(numbers_alone),
      cmocka_unit_test(what_others_read_stays),
      cmocka_unit_test(nothing_is_computed_twice),
      cmocka_unit_test(other_types_stay),
      cmocka_unit_test(long_chains_are_cut),
      cmocka_unit_test(long_chains_are_joined_in_linear_time),
      cmocka_unit_test(many_readers_of_one_value),
      cmocka_unit_test(wide_trees_are_cut),
      cmocka_unit_test(graphs_are_not_crossed),
      cmocka_unit_test(repeated_operands_do_not_join),
      cmocka_unit_test(unread_reorders_go),
      cmocka_unit_test(allocations_that_fail_are_reported),
      cmocka_unit_test(bitwise_for_any_number_of_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
