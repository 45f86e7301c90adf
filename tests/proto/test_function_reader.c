/* Model-local functions: inlined with unique names, attributes bound, defaults, nesting, closures; recursion and
 * expansion bounded. */
#include "tests/support/function_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void attribute_of_the_call_is_bound(void **state) {
  (void)state;
  model_reading reading;
  test_function leaky;
  test_node inner, first, second;
  message_leaky(&leaky, &inner);
  message_add_name(leaky.attributes, &leaky.proto.n_attribute, "slope");
  message_call(&first, "first", "leaky", "x", "m");
  message_set_float(message_attribute(&first, "slope"), 0.25f);
  message_call(&second, "", "leaky", "m", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&first, &second}, 2, (test_function *[]){&leaky}, 1),
                   NORMA_OK);
  const graph *graph = reading.model.graph;
  assert_int_equal(graph->node_count, 2);
  assert_string_equal(graph->first->name, "first/inner");
  assert_string_equal(graph->first->op_type, "LeakyRelu");
  assert_string_equal(graph->first->domain, "");
  assert_int_equal(graph->first->opset, 18); /* what the function imports, not the model */
  assert_true(attribute_float(graph->first, "alpha", -1) == 0.25f);
  assert_string_equal(graph->first->outputs[0]->name, "m"); /* results of the call keep their names */
  assert_string_equal(graph->last->name, "#1 (leaky)/inner");
  assert_int_equal(graph->last->attribute_count, 0); /* not given, no default: the operator's own */
  assert_int_equal(reading.model.function_count, 1);
  assert_int_equal(reading_release(&reading), 0);
}

static void default_of_the_function_is_used(void **state) {
  (void)state;
  model_reading reading;
  test_function leaky;
  test_node inner, call;
  message_leaky(&leaky, &inner);
  message_default(&leaky, "slope", 0.5f);
  message_call(&call, "call", "leaky", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1), NORMA_OK);
  assert_true(attribute_float(reading.model.graph->first, "alpha", -1) == 0.5f);
  assert_int_equal(reading_release(&reading), 0);
}

static void nested_calls_pass_attributes_on(void **state) {
  (void)state;
  model_reading reading;
  test_function leaky, twice;
  test_node inner, one, two, call;
  message_leaky(&leaky, &inner);
  message_default(&leaky, "slope", 0.5f);
  message_function(&twice, "twice");
  message_add_name(twice.inputs, &twice.proto.n_input, "p");
  message_add_name(twice.outputs, &twice.proto.n_output, "q");
  message_add_name(twice.attributes, &twice.proto.n_attribute, "steepness");
  message_call(&one, "one", "leaky", "p", "middle");
  message_set_reference(message_attribute(&one, "slope"), "steepness");
  message_call(&two, "two", "leaky", "middle", "q");
  message_function_node(&twice, &one);
  message_function_node(&twice, &two);
  message_call(&call, "call", "twice", "x", "y");
  message_set_float(message_attribute(&call, "steepness"), 2);
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&twice, &leaky}, 2),
                   NORMA_OK);
  const graph *graph = reading.model.graph;
  assert_int_equal(graph->node_count, 2);
  assert_string_equal(graph->first->name, "call/one/inner");
  assert_true(attribute_float(graph->first, "alpha", -1) == 2);
  assert_string_equal(graph->first->outputs[0]->name, "call/middle");
  assert_ptr_equal(graph->first->outputs[0], graph->last->inputs[0]);
  assert_true(attribute_float(graph->last, "alpha", -1) == 0.5f);
  assert_string_equal(graph->last->outputs[0]->name, "y");
  assert_int_equal(reading_release(&reading), 0);
}

static void names_inside_are_unique(void **state) {
  (void)state;
  model_reading reading;
  test_function function;
  test_node one, two, first, second;
  message_function(&function, "f");
  message_add_name(function.inputs, &function.proto.n_input, "a");
  message_add_name(function.outputs, &function.proto.n_output, "b");
  message_node(&one, "one", "", "Neg");
  message_input(&one, "a");
  message_output(&one, "x"); /* the caller has an x, too */
  message_node(&two, "two", "", "Abs");
  message_input(&two, "x");
  message_output(&two, "b");
  message_function_node(&function, &one);
  message_function_node(&function, &two);
  message_call(&first, "same", "f", "x", "m");
  message_call(&second, "same", "f", "m", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&first, &second}, 2, (test_function *[]){&function}, 1),
                   NORMA_OK);
  const graph *graph = reading.model.graph;
  assert_int_equal(graph->node_count, 4);
  for (int i = 0; i < graph->value_count; i++) {
    for (int k = 0; k < i; k++) assert_string_not_equal(graph->values[i]->name, graph->values[k]->name);
  }
  assert_string_equal(graph->first->inputs[0]->name, "x");
  assert_string_equal(graph->first->outputs[0]->name, "same/x");
  assert_ptr_equal(graph->first->next->inputs[0], graph->first->outputs[0]);
  assert_int_equal(reading_release(&reading), 0);
}

static void inputs_passed_through_are_copied(void **state) {
  (void)state;
  model_reading reading;
  test_function function;
  test_node call;
  message_function(&function, "same");
  message_add_name(function.inputs, &function.proto.n_input, "a");
  message_add_name(function.outputs, &function.proto.n_output, "a");
  message_call(&call, "call", "same", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&function}, 1), NORMA_OK);
  const node *copy = reading.model.graph->first;
  assert_string_equal(copy->op_type, "Identity");
  assert_string_equal(copy->inputs[0]->name, "x");
  assert_string_equal(copy->outputs[0]->name, "y");
  assert_int_equal(reading_release(&reading), 0);
}

static void inputs_left_out_are_absent(void **state) {
  (void)state;
  model_reading reading;
  test_function function;
  test_node inner, call;
  message_function(&function, "clip");
  message_add_name(function.inputs, &function.proto.n_input, "a");
  message_add_name(function.inputs, &function.proto.n_input, "low");
  message_add_name(function.outputs, &function.proto.n_output, "b");
  message_node(&inner, "inner", "", "Clip");
  message_input(&inner, "a");
  message_input(&inner, "low");
  message_output(&inner, "b");
  message_function_node(&function, &inner);
  message_call(&call, "call", "clip", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&function}, 1), NORMA_OK);
  assert_int_equal(reading.model.graph->first->input_count, 2);
  assert_null(reading.model.graph->first->inputs[1]);
  assert_int_equal(reading_release(&reading), 0);
}

static void outer_names_cannot_be_seen(void **state) {
  (void)state;
  model_reading reading;
  test_function function;
  test_node inner, call;
  message_function(&function, "f");
  message_add_name(function.inputs, &function.proto.n_input, "a");
  message_add_name(function.outputs, &function.proto.n_output, "b");
  message_node(&inner, "inner", "", "Add");
  message_input(&inner, "a");
  message_input(&inner, "x"); /* of the caller */
  message_output(&inner, "b");
  message_function_node(&function, &inner);
  message_call(&call, "call", "f", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&function}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(reading.error.node, "call/inner");
  assert_string_equal(reading.error.value, "x");
  assert_int_equal(reading_release(&reading), 0);
}

/* The graph attribute of a call belongs to the caller: its names are the caller's. */
static void graphs_given_to_a_function_see_the_caller(void **state) {
  (void)state;
  model_reading reading;
  test_function function;
  test_node inner, call, body_node;
  Onnx__GraphProto body = ONNX__GRAPH_PROTO__INIT;
  Onnx__NodeProto *body_nodes[] = {&body_node.proto};
  Onnx__ValueInfoProto result = ONNX__VALUE_INFO_PROTO__INIT, *results[] = {&result};
  message_node(&body_node, "deep", "", "Neg");
  message_input(&body_node, "x"); /* of the model */
  message_output(&body_node, "r");
  result.name = (char *)(uintptr_t) "r";
  body.n_node = body.n_output = 1;
  body.node = body_nodes;
  body.output = results;
  message_function(&function, "choose");
  message_add_name(function.inputs, &function.proto.n_input, "x"); /* another x: the condition */
  message_add_name(function.outputs, &function.proto.n_output, "b");
  message_add_name(function.attributes, &function.proto.n_attribute, "branch");
  message_node(&inner, "inner", "", "If");
  message_input(&inner, "x");
  message_output(&inner, "b");
  Onnx__AttributeProto *reference = message_attribute(&inner, "then_branch");
  reference->has_type = 1;
  reference->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
  reference->ref_attr_name = (char *)(uintptr_t) "branch";
  message_function_node(&function, &inner);
  test_node condition;
  message_node(&condition, "condition", "", "Constant");
  message_output(&condition, "c");
  message_call(&call, "call", "choose", "c", "y");
  Onnx__AttributeProto *given = message_attribute(&call, "branch");
  given->has_type = 1;
  given->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
  given->g = &body;
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&condition, &call}, 2, (test_function *[]){&function}, 1),
                   NORMA_OK);
  const graph *branch = attribute_graph(reading.model.graph->last, "then_branch");
  assert_non_null(branch);
  assert_ptr_equal(branch->first->inputs[0], reading.model.graph->inputs[0]);
  assert_string_equal(reading.model.graph->last->inputs[0]->name, "c");
  assert_int_equal(reading_release(&reading), 0);
}

/* An input that the call leaves out is nothing that a graph could give. */
static void absent_inputs_are_no_outputs(void **state) {
  (void)state;
  model_reading reading;
  test_function function;
  test_node inner, call;
  Onnx__GraphProto body = ONNX__GRAPH_PROTO__INIT;
  Onnx__ValueInfoProto result = ONNX__VALUE_INFO_PROTO__INIT, *results[] = {&result};
  result.name = (char *)(uintptr_t) "low";
  body.n_output = 1;
  body.output = results;
  message_function(&function, "f");
  message_add_name(function.inputs, &function.proto.n_input, "a");
  message_add_name(function.inputs, &function.proto.n_input, "low");
  message_add_name(function.outputs, &function.proto.n_output, "b");
  message_node(&inner, "inner", "", "If");
  message_input(&inner, "a");
  message_output(&inner, "b");
  Onnx__AttributeProto *branch = message_attribute(&inner, "then_branch");
  branch->has_type = 1;
  branch->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
  branch->g = &body;
  message_function_node(&function, &inner);
  message_call(&call, "call", "f", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&function}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "output 'low': it is an input that the function's call leaves out"));
  assert_int_equal(reading_release(&reading), 0);

  function.proto.n_node = 0; /* nor of the function itself */
  function.outputs[0] = (char *)(uintptr_t) "low";
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&function}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "output 'low' of function 'f' is not defined"));
  assert_int_equal(reading_release(&reading), 0);
}

static void recursion_is_an_error(void **state) {
  (void)state;
  model_reading reading;
  test_function one, two;
  test_node to_two, to_one, call;
  message_function(&one, "one");
  message_add_name(one.inputs, &one.proto.n_input, "a");
  message_add_name(one.outputs, &one.proto.n_output, "b");
  message_call(&to_two, "to_two", "two", "a", "b");
  message_function_node(&one, &to_two);
  message_function(&two, "two");
  message_add_name(two.inputs, &two.proto.n_input, "a");
  message_add_name(two.outputs, &two.proto.n_output, "b");
  message_call(&to_one, "to_one", "one", "a", "b");
  message_function_node(&two, &to_one);
  message_call(&call, "call", "one", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&one, &two}, 2),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "calls itself"));
  assert_string_equal(reading.error.node, "call/to_two/to_one");
  assert_int_equal(reading_release(&reading), 0);
}

/* f0 calls f1 twice, f1 calls f2 twice, ...: few bytes, 2^15 nodes. */
static void expansion_is_bounded(void **state) {
  (void)state;
  enum { LEVELS = 15 };
  static test_function functions[LEVELS];
  static test_node nodes[LEVELS][2];
  static char names[LEVELS + 1][16];
  test_function *list[LEVELS];
  model_reading reading;
  for (int i = 0; i < LEVELS; i++) {
    snprintf(names[i], sizeof names[i], "f%d", i);
    snprintf(names[i + 1], sizeof names[i + 1], "f%d", i + 1);
    list[i] = message_function(&functions[i], names[i]);
    message_add_name(functions[i].inputs, &functions[i].proto.n_input, "a");
    message_add_name(functions[i].outputs, &functions[i].proto.n_output, "b");
    bool last = i + 1 == LEVELS;
    for (int k = 0; k < 2; k++) {
      message_node(&nodes[i][k], "n", last ? "" : "local", last ? "Neg" : names[i + 1]);
      message_input(&nodes[i][k], k ? "m" : "a");
      message_output(&nodes[i][k], k ? "b" : "m");
      message_function_node(&functions[i], &nodes[i][k]);
    }
  }
  test_node call;
  message_call(&call, "call", "f0", "x", "y");
  reading_init(&reading, 0); /* 10,000 nodes */
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, list, LEVELS), NORMA_ERROR_BUDGET);
  assert_int_equal(reading_release(&reading), 0);
  reading.options.max_nodes = 100000; /* enough: 2^15 and the calls */
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, list, LEVELS), NORMA_OK);
  assert_int_equal(reading.model.graph->node_count, 1 << LEVELS);
  assert_int_equal(reading_release(&reading), 0);
  reading.options.max_depth = LEVELS - 1;
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, list, LEVELS), NORMA_ERROR_BUDGET);
  assert_int_equal(reading_release(&reading), 0);
}

static void wrong_calls_are_errors(void **state) {
  (void)state;
  model_reading reading;
  test_function leaky;
  test_node inner, call;
  reading_init(&reading, 0);
  message_leaky(&leaky, &inner);
  message_call(&call, "call", "leaky", "x", "y"); /* the body refers to an attribute that is not declared */
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "'slope'"));
  assert_int_equal(reading_release(&reading), 0);

  message_default(&leaky, "slope", 1);
  message_input(&call, "x");
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "2 inputs for a function of 1"));
  assert_int_equal(reading_release(&reading), 0);

  message_call(&call, "call", "leaky", "x", "y");
  message_set_float(message_attribute(&call, "unknown"), 1);
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "'unknown'"));
  assert_int_equal(reading_release(&reading), 0);

  message_call(&call, "call", "leaky", "x", "y");
  leaky.outputs[0] = (char *)(uintptr_t) "nowhere";
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "'nowhere'"));
  assert_int_equal(reading_release(&reading), 0);

  message_leaky(&leaky, &inner);
  test_function other = leaky; /* the same again */
  assert_int_equal(read_messages(&reading, NULL, 0, (test_function *[]){&leaky, &other}, 2), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "twice"));
  assert_int_equal(reading_release(&reading), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(attribute_of_the_call_is_bound),
      cmocka_unit_test(default_of_the_function_is_used),
      cmocka_unit_test(nested_calls_pass_attributes_on),
      cmocka_unit_test(names_inside_are_unique),
      cmocka_unit_test(inputs_passed_through_are_copied),
      cmocka_unit_test(inputs_left_out_are_absent),
      cmocka_unit_test(outer_names_cannot_be_seen),
      cmocka_unit_test(graphs_given_to_a_function_see_the_caller),
      cmocka_unit_test(absent_inputs_are_no_outputs),
      cmocka_unit_test(recursion_is_an_error),
      cmocka_unit_test(expansion_is_bounded),
      cmocka_unit_test(wrong_calls_are_errors),
  };
  return cmocka_run_group_tests_name("functions", tests, NULL, NULL);
}
