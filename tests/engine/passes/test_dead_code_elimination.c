/* Nodes whose results nobody reads go, with what only they read. Exact. */
#include "tests/engine/passes/pass_check.h"

#include "engine/execute/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "dead_code_elimination"

static model_builder *start(void) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  return b;
}

/* The sketch of the pass, and a chain of dead nodes, which goes in one sweep from behind. */
static void dead_chains_go(void **state) {
  (void)state;
  model_builder *b = start();
  builder_node(b, "Relu", "x", "a");
  builder_node(b, "Sigmoid", "x", "y");
  expect_nodes(b, PASS, 0, 1);

  b = start();
  builder_node(b, "Neg", "x", "y");
  builder_node(b, "Relu", "x", "a");
  builder_node(b, "Exp", "a", "c");
  builder_node(b, "Mul", "c a", "d");
  expect_nodes(b, PASS, 0, 1);
}

static void nodes_of_which_one_output_is_read_stay(void **state) {
  (void)state;
  model_builder *b = start();
  builder_int(builder_node(b, "Split", "x", "u v w"), "axis", 1);
  builder_node(b, "Neg", "w", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void outputs_of_the_graph_are_alive(void **state) {
  (void)state;
  model_builder *b = start();
  builder_node(b, "Neg", "x", "z");
  builder_node(b, "Exp", "x", "y");
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  expect_nodes(b, PASS, 0, 2);
}

static void what_a_subgraph_reads_is_alive(void **state) {
  (void)state;
  model_builder *b = start();
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_node(b, "Relu", "x", "r");
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, "Neg", "r", "z");
    builder_node(inner, "Exp", "r", "unused");
    builder_output(inner, "z", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  }
  expect_nodes(b, PASS, 0, 4);
}

/* An outer value may be an output of a branch without any node of it. */
static void what_a_subgraph_hands_on_is_alive(void **state) {
  (void)state;
  model_builder *b = start();
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_node(b, "Relu", "x", "r");
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    if (i) builder_node(inner, "Neg", "x", "z");
    builder_output(inner, i ? "z" : "r", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  }
  expect_nodes(b, PASS, 0, 3);
}

/* With a dead node its graphs go, and what they alone read. */
static void dead_subgraphs_go_with_what_they_read(void **state) {
  (void)state;
  model_builder *b = start();
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  add_random(b, "w", NORMA_FLOAT, 1, DIMS(4), -1, 1);
  builder_node(b, "Relu", "x", "r");
  node *branch = builder_node(b, "If", "choice", "unread");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, i ? "Add" : "Mul", "r w", "z");
    builder_output(inner, "z", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  }
  builder_node(b, "Neg", "x", "y");
  checked c = check_nodes(b, PASS, 0, 1);
  assert_null(graph_find_value(c.model->graph, "w")->constant);
  free_checked(&c);
}

static void constants_that_nobody_reads_give_back_their_memory(void **state) {
  (void)state;
  size_t used[2];
  for (int with = 0; with < 2; with++) {
    model_builder *b = start();
    static float numbers[100000];
    builder_floats(b, "w", 1, DIMS(100000), numbers);
    if (with) builder_node(b, "Neg", "w", "dead");
    builder_node(b, "Neg", "x", "y");
    checked c = check_nodes(b, PASS, 0, 1);
    used[with] = norma_runtime_memory_used(c.runtime) - c.used;
    free_checked(&c);
  }
  for (int with = 0; with < 2; with++) {
    if (used[with] > 100000) fail_msg("%zu bytes are held for a model of one Neg", used[with]);
  }
}

/* A constant that is an output, or declared as an input, is read from outside. */
static void constants_at_the_borders_stay(void **state) {
  (void)state;
  model_builder *b = start();
  builder_floats(b, "w", 1, DIMS(2), (float[]){1, 2});
  builder_floats(b, "v", 1, DIMS(2), (float[]){3, 4});
  builder_input(b, "v", NORMA_FLOAT, 1, DIMS(2));
  builder_node(b, "Exp", "x", "dead");
  builder_node(b, "Neg", "x", "y");
  builder_output(b, "w", NORMA_UNDEFINED, -1, NULL);
  checked c = check_nodes(b, PASS, 0, 1);
  assert_non_null(graph_find_value(c.model->graph, "w")->constant);
  assert_non_null(graph_find_value(c.model->graph, "v")->constant);
  free_checked(&c);
}

static norma_status effect_infer(norma_infer_context *context, void *user) {
  (void)user;
  return norma_infer_set_output(context, 0, NORMA_FLOAT, 1, DIMS(1));
}

static norma_status effect_compute(norma_run_context *context, void *user) {
  *(float *)norma_run_output(context, 0)->data = 0;
  ++*(int *)user;
  return NORMA_OK;
}

/* Operators of the embedding program may have effects beside their outputs: they stay in the graph, dead or not. */
static void operators_from_outside_stay(void **state) {
  (void)state;
  int calls = 0;
  norma_runtime *runtime;
  norma_error error;
  const norma_custom_operator effect = {.struct_size = sizeof effect,
                                        .domain = "test.house",
                                        .name = "Effect",
                                        .since_version = 1,
                                        .min_inputs = 1,
                                        .max_inputs = 1,
                                        .min_outputs = 1,
                                        .max_outputs = 1,
                                        .infer = effect_infer,
                                        .compute = effect_compute,
                                        .user = &calls};
  assert_int_equal(norma_runtime_create(NULL, &runtime, &error), NORMA_OK);
  assert_int_equal(norma_runtime_register(runtime, &effect, &error), NORMA_OK);
  model_builder *b = start();
  builder_import(b, "test.house", 1);
  builder_node(b, "Relu", "x", "r");
  builder_named_node(b, "effect", "test.house", "Effect", "r", "unread");
  builder_node(b, "Neg", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime};
  norma_model *model;
  if (norma_model_load_memory(bytes, size, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(model->graph->node_count, 3);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  builder_destroy(b);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = start();
  add_random(b, "w", NORMA_FLOAT, 1, DIMS(4), -1, 1);
  builder_node(b, "Add", "x w", "dead");
  builder_node(b, "Neg", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dead_chains_go),
      cmocka_unit_test(nodes_of_which_one_output_is_read_stay),
      cmocka_unit_test(outputs_of_the_graph_are_alive),
      cmocka_unit_test(what_a_subgraph_reads_is_alive),
      cmocka_unit_test(what_a_subgraph_hands_on_is_alive),
      cmocka_unit_test(dead_subgraphs_go_with_what_they_read),
      cmocka_unit_test(constants_that_nobody_reads_give_back_their_memory),
      cmocka_unit_test(constants_at_the_borders_stay),
      cmocka_unit_test(operators_from_outside_stay),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
