/* What functions expand to is known before anything is expanded: bombs are refused by name, at once and in little
 * memory, and what is counted is what the reader then makes, to the node. */
#include "tests/support/function_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LEVELS 27

/* Function f0 calls f1 twice, f1 calls f2 twice, ...; the last one holds two nodes. */
typedef struct doubling {
  test_function functions[LEVELS];
  test_node nodes[LEVELS][2];
  char names[LEVELS + 1][16];
  test_function *list[LEVELS];
  test_node call;
} doubling;

static doubling *make_doubling(int levels) {
  doubling *made = calloc(1, sizeof *made);
  assert_non_null(made);
  for (int i = 0; i <= levels; i++) snprintf(made->names[i], sizeof made->names[i], "f%d", i);
  for (int i = 0; i < levels; i++) {
    made->list[i] = message_function(&made->functions[i], made->names[i]);
    message_add_name(made->functions[i].inputs, &made->functions[i].proto.n_input, "a");
    message_add_name(made->functions[i].outputs, &made->functions[i].proto.n_output, "b");
    const bool last = i + 1 == levels;
    for (int k = 0; k < 2; k++) {
      message_node(&made->nodes[i][k], "n", last ? "" : "local", last ? "Neg" : made->names[i + 1]);
      message_input(&made->nodes[i][k], k ? "m" : "a");
      message_output(&made->nodes[i][k], k ? "b" : "m");
      message_function_node(&made->functions[i], &made->nodes[i][k]);
    }
  }
  message_call(&made->call, "call", "f0", "x", "y");
  return made;
}

/* Of 2^28 nodes not one is made: the whole reading takes no more memory than a few copies of the file. */
static void a_bomb_is_refused_before_it_grows(void **state) {
  (void)state;
  model_reading reading;
  doubling *bomb = make_doubling(LEVELS);
  reading_init(&reading, 256 << 10); /* a reader that expands would be out of memory, not of nodes */
  reading.options.max_nodes = 1000000;
  reading.options.max_depth = 32;
  assert_int_equal(read_messages(&reading, (test_node *[]){&bomb->call}, 1, bomb->list, LEVELS), NORMA_ERROR_BUDGET);
  assert_non_null(strstr(reading.error.message, "more than 1000000 nodes, functions expanded: function 'f8'"));
  assert_string_equal(reading.error.node, "call");
  assert_string_equal(reading.error.op_type, "f0");
  assert_string_equal(reading.error.domain, "local");
  assert_int_equal(reading_release(&reading), 0);
  free(bomb);
}

static void the_count_is_exact(void **state) {
  (void)state;
  enum { FEW = 6, ALL = (1 << (FEW + 1)) - 2 + 1 }; /* all levels' nodes, and the call */
  model_reading reading;
  doubling *small = make_doubling(FEW);
  reading_init(&reading, 0);
  reading.options.max_nodes = ALL;
  assert_int_equal(read_messages(&reading, (test_node *[]){&small->call}, 1, small->list, FEW), NORMA_OK);
  assert_int_equal(reading.model.graph->node_count, 1 << FEW);
  assert_int_equal(reading_release(&reading), 0);
  reading.options.max_nodes = ALL - 1;
  assert_int_equal(read_messages(&reading, (test_node *[]){&small->call}, 1, small->list, FEW), NORMA_ERROR_BUDGET);
  assert_null(strstr(reading.error.message, "alone")); /* no function is too large, all of it is */
  assert_non_null(strstr(reading.error.message, "node 'call' (f0)"));
  assert_int_equal(reading_release(&reading), 0);
  free(small);
}

static void functions_that_nobody_calls_do_not_count(void **state) {
  (void)state;
  model_reading reading;
  doubling *bomb = make_doubling(LEVELS);
  test_node plain;
  message_node(&plain, "plain", "", "Neg");
  message_input(&plain, "x");
  message_output(&plain, "y");
  reading_init(&reading, 0);
  reading.options.max_depth = 32;
  assert_int_equal(read_messages(&reading, (test_node *[]){&plain}, 1, bomb->list, LEVELS), NORMA_OK);
  assert_int_equal(reading.model.graph->node_count, 1);
  assert_int_equal(reading_release(&reading), 0);
  free(bomb);
}

/* --------------------------------------------------------------------------------------------- graphs as attributes */

static void graph_attribute(test_node *node, const char *name, Onnx__GraphProto *graph, const char *reference) {
  Onnx__AttributeProto *attribute = message_attribute(node, name);
  attribute->has_type = 1;
  attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
  attribute->g = graph;
  if (reference) attribute->ref_attr_name = (char *)(uintptr_t)reference;
}

/* Function g0 puts its graph into both branches of an If; gN gives g(N-1) the graph with an If that holds its own graph
 * twice. No function calls another twice, and yet each level doubles. */
typedef struct graph_doubling {
  test_function functions[LEVELS];
  test_node nodes[LEVELS], inner[LEVELS];
  Onnx__GraphProto graphs[LEVELS], leaf;
  Onnx__NodeProto *graph_nodes[LEVELS][1], *leaf_nodes[1];
  Onnx__ValueInfoProto result, *results[1];
  char names[LEVELS][16];
  test_function *list[LEVELS];
  test_node condition, leaf_node, call;
} graph_doubling;

static void add_branches(test_node *node, const char *condition) {
  message_input(node, condition);
  message_output(node, "r");
  graph_attribute(node, "then_branch", NULL, "body");
  graph_attribute(node, "else_branch", NULL, "body");
}

static graph_doubling *make_graph_doubling(int levels) {
  graph_doubling *made = calloc(1, sizeof *made);
  assert_non_null(made);
  onnx__value_info_proto__init(&made->result);
  made->result.name = (char *)(uintptr_t) "r";
  made->results[0] = &made->result;
  for (int i = 0; i < levels; i++) {
    snprintf(made->names[i], sizeof made->names[i], "g%d", i);
    test_function *function = made->list[i] = message_function(&made->functions[i], made->names[i]);
    message_add_name(function->inputs, &function->proto.n_input, "c");
    message_add_name(function->outputs, &function->proto.n_output, "r");
    message_add_name(function->attributes, &function->proto.n_attribute, "body");
    message_node(&made->nodes[i], "n", i ? "local" : "", i ? made->names[i - 1] : "If");
    if (i == 0) {
      add_branches(&made->nodes[i], "c");
    } else {
      message_input(&made->nodes[i], "c");
      message_output(&made->nodes[i], "r");
      message_node(&made->inner[i], "i", "", "If");
      add_branches(&made->inner[i], "c");
      onnx__graph_proto__init(&made->graphs[i]);
      made->graph_nodes[i][0] = &made->inner[i].proto;
      made->graphs[i].node = made->graph_nodes[i];
      made->graphs[i].output = made->results;
      made->graphs[i].n_node = made->graphs[i].n_output = 1;
      graph_attribute(&made->nodes[i], "body", &made->graphs[i], NULL);
    }
    message_function_node(function, &made->nodes[i]);
  }
  message_node(&made->leaf_node, "leaf", "", "Constant");
  message_output(&made->leaf_node, "r");
  onnx__graph_proto__init(&made->leaf);
  made->leaf_nodes[0] = &made->leaf_node.proto;
  made->leaf.node = made->leaf_nodes;
  made->leaf.output = made->results;
  made->leaf.n_node = made->leaf.n_output = 1;
  message_node(&made->condition, "condition", "", "Constant");
  message_output(&made->condition, "c");
  message_call(&made->call, "call", made->names[levels - 1], "c", "y");
  graph_attribute(&made->call, "body", &made->leaf, NULL);
  return made;
}

static void graphs_that_calls_give_are_multiplied(void **state) {
  (void)state;
  enum { FEW = 4 };
  model_reading reading;
  graph_doubling *small = make_graph_doubling(FEW);
  test_node *nodes[] = {&small->condition, &small->call};
  /* The condition, the call, the call of each function but the last one's If, and a tree of Ifs with 2^FEW leaves. */
  const size_t all = 2 + (FEW - 1) + (((size_t)1 << (FEW + 1)) - 1);
  reading_init(&reading, 0);
  reading.options.max_depth = 32;
  reading.options.max_nodes = all;
  assert_int_equal(read_messages(&reading, nodes, 2, small->list, FEW), NORMA_OK);
  assert_int_equal(reading_release(&reading), 0);
  reading.options.max_nodes = all - 1;
  assert_int_equal(read_messages(&reading, nodes, 2, small->list, FEW), NORMA_ERROR_BUDGET);
  assert_string_equal(reading.error.node, "call");
  assert_int_equal(reading_release(&reading), 0);
  free(small);

  graph_doubling *bomb = make_graph_doubling(25);
  test_node *bomb_nodes[] = {&bomb->condition, &bomb->call};
  reading_init(&reading, 256 << 10);
  reading.options.max_depth = 64;
  reading.options.max_nodes = 1000000;
  assert_int_equal(read_messages(&reading, bomb_nodes, 2, bomb->list, 25), NORMA_ERROR_BUDGET);
  assert_non_null(strstr(reading.error.message, "more than 1000000 nodes, functions expanded"));
  assert_int_equal(reading_release(&reading), 0);
  free(bomb);
}

/* ------------------------------------------------------------------------------------------------- depth, recursion */

static void the_chain_of_calls_is_no_deeper_than_the_budget(void **state) {
  (void)state;
  model_reading reading;
  doubling *bomb = make_doubling(LEVELS);
  reading_init(&reading, 256 << 10);
  reading.options.max_nodes = (size_t)1 << 40;
  reading.options.max_depth = LEVELS - 1;
  assert_int_equal(read_messages(&reading, (test_node *[]){&bomb->call}, 1, bomb->list, LEVELS), NORMA_ERROR_BUDGET);
  assert_non_null(strstr(reading.error.message, "functions and subgraphs are nested more than 26 deep"));
  assert_int_equal(reading_release(&reading), 0);
  free(bomb);
}

/* The last function calls the first one again: that is told by name, not taken for a large model. */
static void recursion_is_left_to_the_reader(void **state) {
  (void)state;
  model_reading reading;
  doubling *circle = make_doubling(4);
  circle->nodes[3][1].proto.domain = (char *)(uintptr_t) "local";
  circle->nodes[3][1].proto.op_type = circle->names[0];
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&circle->call}, 1, circle->list, 4),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "function 'f0' calls itself"));
  assert_int_equal(reading_release(&reading), 0);
  free(circle);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_bomb_is_refused_before_it_grows),
      cmocka_unit_test(the_count_is_exact),
      cmocka_unit_test(functions_that_nobody_calls_do_not_count),
      cmocka_unit_test(graphs_that_calls_give_are_multiplied),
      cmocka_unit_test(the_chain_of_calls_is_no_deeper_than_the_budget),
      cmocka_unit_test(recursion_is_left_to_the_reader),
  };
  return cmocka_run_group_tests_name("what functions expand to", tests, NULL, NULL);
}
