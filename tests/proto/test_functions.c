/* Model-local functions: inlined with unique names, attributes bound, defaults, nesting, closures; recursion and
 * expansion bounded. Models are written as messages of protobuf-c, since Norma's own graph holds no functions. */
#include "tests/support/model_reading.h"

#include "proto/onnx.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MOST 8

/* A node with room for what the tests need. */
typedef struct test_node {
  Onnx__NodeProto proto;
  char *inputs[MOST], *outputs[MOST];
  Onnx__AttributeProto attributes[MOST], *attribute_list[MOST];
} test_node;

typedef struct test_function {
  Onnx__FunctionProto proto;
  char *inputs[MOST], *outputs[MOST], *attributes[MOST];
  Onnx__AttributeProto defaults[MOST], *default_list[MOST];
  Onnx__NodeProto *nodes[MOST];
  Onnx__OperatorSetIdProto opsets[2], *opset_list[2];
} test_function;

static void add_name(char **list, size_t *count, const char *name) {
  assert_true(*count < MOST);
  list[(*count)++] = (char *)(uintptr_t)name;
}

static test_node *node_of(test_node *node, const char *name, const char *domain, const char *op_type) {
  memset(node, 0, sizeof *node);
  onnx__node_proto__init(&node->proto);
  node->proto.name = (char *)(uintptr_t)name;
  node->proto.domain = (char *)(uintptr_t)domain;
  node->proto.op_type = (char *)(uintptr_t)op_type;
  node->proto.input = node->inputs;
  node->proto.output = node->outputs;
  node->proto.attribute = node->attribute_list;
  return node;
}

static void node_input(test_node *node, const char *name) {
  add_name(node->inputs, &node->proto.n_input, name);
}

static void node_output(test_node *node, const char *name) {
  add_name(node->outputs, &node->proto.n_output, name);
}

static Onnx__AttributeProto *node_attribute_named(test_node *node, const char *name) {
  size_t i = node->proto.n_attribute++;
  onnx__attribute_proto__init(&node->attributes[i]);
  node->attributes[i].name = (char *)(uintptr_t)name;
  node->attribute_list[i] = &node->attributes[i];
  return &node->attributes[i];
}

static void set_float(Onnx__AttributeProto *attribute, float f) {
  attribute->has_type = 1;
  attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
  attribute->has_f = 1;
  attribute->f = f;
}

static void set_reference(Onnx__AttributeProto *attribute, const char *name) {
  attribute->has_type = 1;
  attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
  attribute->ref_attr_name = (char *)(uintptr_t)name;
}

static test_function *function_of(test_function *function, const char *name) {
  memset(function, 0, sizeof *function);
  onnx__function_proto__init(&function->proto);
  function->proto.name = (char *)(uintptr_t)name;
  function->proto.domain = (char *)(uintptr_t) "local";
  function->proto.input = function->inputs;
  function->proto.output = function->outputs;
  function->proto.attribute = function->attributes;
  function->proto.attribute_proto = function->default_list;
  function->proto.node = function->nodes;
  function->proto.opset_import = function->opset_list;
  static const char *const domains[] = {"", "local"};
  for (int i = 0; i < 2; i++) {
    onnx__operator_set_id_proto__init(&function->opsets[i]);
    function->opsets[i].domain = (char *)(uintptr_t)domains[i];
    function->opsets[i].has_version = 1;
    function->opsets[i].version = i ? 1 : 18;
    function->opset_list[i] = &function->opsets[i];
  }
  function->proto.n_opset_import = 2;
  return function;
}

static void function_default(test_function *function, const char *name, float f) {
  size_t i = function->proto.n_attribute_proto++;
  onnx__attribute_proto__init(&function->defaults[i]);
  function->defaults[i].name = (char *)(uintptr_t)name;
  set_float(&function->defaults[i], f);
  function->default_list[i] = &function->defaults[i];
}

static void function_node(test_function *function, test_node *node) {
  function->nodes[function->proto.n_node++] = &node->proto;
}

/* A model x -> y of these nodes and functions, packed. */
static void *pack_model(test_node **nodes, size_t node_count, test_function **functions, size_t function_count,
                        size_t *size) {
  Onnx__NodeProto *node_list[MOST];
  Onnx__FunctionProto *function_list[64];
  for (size_t i = 0; i < node_count; i++) node_list[i] = &nodes[i]->proto;
  for (size_t i = 0; i < function_count; i++) function_list[i] = &functions[i]->proto;
  Onnx__ValueInfoProto x = ONNX__VALUE_INFO_PROTO__INIT, y = ONNX__VALUE_INFO_PROTO__INIT;
  Onnx__ValueInfoProto *inputs[] = {&x}, *outputs[] = {&y};
  x.name = (char *)(uintptr_t) "x";
  y.name = (char *)(uintptr_t) "y";
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
  graph.n_node = node_count;
  graph.node = node_list;
  graph.n_input = graph.n_output = 1;
  graph.input = inputs;
  graph.output = outputs;
  test_function imports;
  function_of(&imports, "");
  imports.opsets[0].version = 17;
  Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
  model.has_ir_version = 1;
  model.ir_version = 10;
  model.n_opset_import = 2;
  model.opset_import = imports.opset_list;
  model.graph = &graph;
  model.n_functions = function_count;
  model.functions = function_list;
  *size = onnx__model_proto__get_packed_size(&model);
  void *bytes = malloc(*size);
  assert_non_null(bytes);
  onnx__model_proto__pack(&model, bytes);
  return bytes;
}

static norma_status read_model(model_reading *reading, test_node **nodes, size_t node_count, test_function **functions,
                               size_t function_count) {
  size_t size;
  void *bytes = pack_model(nodes, node_count, functions, function_count, &size);
  norma_status status = reading_read(reading, bytes, size);
  free(bytes);
  return status;
}

/* "leaky(a) -> b": LeakyRelu with alpha of the function's attribute `slope`. */
static void make_leaky(test_function *function, test_node *inner) {
  function_of(function, "leaky");
  add_name(function->inputs, &function->proto.n_input, "a");
  add_name(function->outputs, &function->proto.n_output, "b");
  node_of(inner, "inner", "", "LeakyRelu");
  node_input(inner, "a");
  node_output(inner, "b");
  set_reference(node_attribute_named(inner, "alpha"), "slope");
  function_node(function, inner);
}

static void make_call(test_node *call, const char *name, const char *function, const char *input, const char *output) {
  node_of(call, name, "local", function);
  node_input(call, input);
  node_output(call, output);
}

/* ------------------------------------------------------------------------------------------------------------ tests */

static void attribute_of_the_call_is_bound(void **state) {
  (void)state;
  model_reading reading;
  test_function leaky;
  test_node inner, first, second;
  make_leaky(&leaky, &inner);
  add_name(leaky.attributes, &leaky.proto.n_attribute, "slope");
  make_call(&first, "first", "leaky", "x", "m");
  set_float(node_attribute_named(&first, "slope"), 0.25f);
  make_call(&second, "", "leaky", "m", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_model(&reading, (test_node *[]){&first, &second}, 2, (test_function *[]){&leaky}, 1), NORMA_OK);
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
  make_leaky(&leaky, &inner);
  function_default(&leaky, "slope", 0.5f);
  make_call(&call, "call", "leaky", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1), NORMA_OK);
  assert_true(attribute_float(reading.model.graph->first, "alpha", -1) == 0.5f);
  assert_int_equal(reading_release(&reading), 0);
}

static void nested_calls_pass_attributes_on(void **state) {
  (void)state;
  model_reading reading;
  test_function leaky, twice;
  test_node inner, one, two, call;
  make_leaky(&leaky, &inner);
  function_default(&leaky, "slope", 0.5f);
  function_of(&twice, "twice");
  add_name(twice.inputs, &twice.proto.n_input, "p");
  add_name(twice.outputs, &twice.proto.n_output, "q");
  add_name(twice.attributes, &twice.proto.n_attribute, "steepness");
  make_call(&one, "one", "leaky", "p", "middle");
  set_reference(node_attribute_named(&one, "slope"), "steepness");
  make_call(&two, "two", "leaky", "middle", "q");
  function_node(&twice, &one);
  function_node(&twice, &two);
  make_call(&call, "call", "twice", "x", "y");
  set_float(node_attribute_named(&call, "steepness"), 2);
  reading_init(&reading, 0);
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, (test_function *[]){&twice, &leaky}, 2), NORMA_OK);
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
  function_of(&function, "f");
  add_name(function.inputs, &function.proto.n_input, "a");
  add_name(function.outputs, &function.proto.n_output, "b");
  node_of(&one, "one", "", "Neg");
  node_input(&one, "a");
  node_output(&one, "x"); /* the caller has an x, too */
  node_of(&two, "two", "", "Abs");
  node_input(&two, "x");
  node_output(&two, "b");
  function_node(&function, &one);
  function_node(&function, &two);
  make_call(&first, "same", "f", "x", "m");
  make_call(&second, "same", "f", "m", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_model(&reading, (test_node *[]){&first, &second}, 2, (test_function *[]){&function}, 1),
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
  function_of(&function, "same");
  add_name(function.inputs, &function.proto.n_input, "a");
  add_name(function.outputs, &function.proto.n_output, "a");
  make_call(&call, "call", "same", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, (test_function *[]){&function}, 1), NORMA_OK);
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
  function_of(&function, "clip");
  add_name(function.inputs, &function.proto.n_input, "a");
  add_name(function.inputs, &function.proto.n_input, "low");
  add_name(function.outputs, &function.proto.n_output, "b");
  node_of(&inner, "inner", "", "Clip");
  node_input(&inner, "a");
  node_input(&inner, "low");
  node_output(&inner, "b");
  function_node(&function, &inner);
  make_call(&call, "call", "clip", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, (test_function *[]){&function}, 1), NORMA_OK);
  assert_int_equal(reading.model.graph->first->input_count, 2);
  assert_null(reading.model.graph->first->inputs[1]);
  assert_int_equal(reading_release(&reading), 0);
}

static void outer_names_cannot_be_seen(void **state) {
  (void)state;
  model_reading reading;
  test_function function;
  test_node inner, call;
  function_of(&function, "f");
  add_name(function.inputs, &function.proto.n_input, "a");
  add_name(function.outputs, &function.proto.n_output, "b");
  node_of(&inner, "inner", "", "Add");
  node_input(&inner, "a");
  node_input(&inner, "x"); /* of the caller */
  node_output(&inner, "b");
  function_node(&function, &inner);
  make_call(&call, "call", "f", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, (test_function *[]){&function}, 1),
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
  node_of(&body_node, "deep", "", "Neg");
  node_input(&body_node, "x"); /* of the model */
  node_output(&body_node, "r");
  result.name = (char *)(uintptr_t) "r";
  body.n_node = body.n_output = 1;
  body.node = body_nodes;
  body.output = results;
  function_of(&function, "choose");
  add_name(function.inputs, &function.proto.n_input, "x"); /* another x: the condition */
  add_name(function.outputs, &function.proto.n_output, "b");
  add_name(function.attributes, &function.proto.n_attribute, "branch");
  node_of(&inner, "inner", "", "If");
  node_input(&inner, "x");
  node_output(&inner, "b");
  Onnx__AttributeProto *reference = node_attribute_named(&inner, "then_branch");
  reference->has_type = 1;
  reference->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
  reference->ref_attr_name = (char *)(uintptr_t) "branch";
  function_node(&function, &inner);
  test_node condition;
  node_of(&condition, "condition", "", "Constant");
  node_output(&condition, "c");
  make_call(&call, "call", "choose", "c", "y");
  Onnx__AttributeProto *given = node_attribute_named(&call, "branch");
  given->has_type = 1;
  given->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
  given->g = &body;
  reading_init(&reading, 0);
  assert_int_equal(read_model(&reading, (test_node *[]){&condition, &call}, 2, (test_function *[]){&function}, 1),
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
  function_of(&function, "f");
  add_name(function.inputs, &function.proto.n_input, "a");
  add_name(function.inputs, &function.proto.n_input, "low");
  add_name(function.outputs, &function.proto.n_output, "b");
  node_of(&inner, "inner", "", "If");
  node_input(&inner, "a");
  node_output(&inner, "b");
  Onnx__AttributeProto *branch = node_attribute_named(&inner, "then_branch");
  branch->has_type = 1;
  branch->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
  branch->g = &body;
  function_node(&function, &inner);
  make_call(&call, "call", "f", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, (test_function *[]){&function}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "output 'low': it is an input that the function's call leaves out"));
  assert_int_equal(reading_release(&reading), 0);

  function.proto.n_node = 0; /* nor of the function itself */
  function.outputs[0] = (char *)(uintptr_t) "low";
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, (test_function *[]){&function}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "output 'low' of function 'f' is not defined"));
  assert_int_equal(reading_release(&reading), 0);
}

static void recursion_is_an_error(void **state) {
  (void)state;
  model_reading reading;
  test_function one, two;
  test_node to_two, to_one, call;
  function_of(&one, "one");
  add_name(one.inputs, &one.proto.n_input, "a");
  add_name(one.outputs, &one.proto.n_output, "b");
  make_call(&to_two, "to_two", "two", "a", "b");
  function_node(&one, &to_two);
  function_of(&two, "two");
  add_name(two.inputs, &two.proto.n_input, "a");
  add_name(two.outputs, &two.proto.n_output, "b");
  make_call(&to_one, "to_one", "one", "a", "b");
  function_node(&two, &to_one);
  make_call(&call, "call", "one", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, (test_function *[]){&one, &two}, 2),
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
    list[i] = function_of(&functions[i], names[i]);
    add_name(functions[i].inputs, &functions[i].proto.n_input, "a");
    add_name(functions[i].outputs, &functions[i].proto.n_output, "b");
    bool last = i + 1 == LEVELS;
    for (int k = 0; k < 2; k++) {
      node_of(&nodes[i][k], "n", last ? "" : "local", last ? "Neg" : names[i + 1]);
      node_input(&nodes[i][k], k ? "m" : "a");
      node_output(&nodes[i][k], k ? "b" : "m");
      function_node(&functions[i], &nodes[i][k]);
    }
  }
  test_node call;
  make_call(&call, "call", "f0", "x", "y");
  reading_init(&reading, 0); /* 10,000 nodes */
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, list, LEVELS), NORMA_ERROR_BUDGET);
  assert_int_equal(reading_release(&reading), 0);
  reading.options.max_nodes = 100000; /* enough: 2^15 and the calls */
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, list, LEVELS), NORMA_OK);
  assert_int_equal(reading.model.graph->node_count, 1 << LEVELS);
  assert_int_equal(reading_release(&reading), 0);
  reading.options.max_depth = LEVELS - 1;
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, list, LEVELS), NORMA_ERROR_BUDGET);
  assert_int_equal(reading_release(&reading), 0);
}

/* A large tensor in a body is held once, however often the function is called. */
static void tensors_of_bodies_are_shared(void **state) {
  (void)state;
  static float numbers[1 << 14];
  int64_t dims[] = {1 << 14};
  model_reading reading;
  Onnx__TensorProto tensor = ONNX__TENSOR_PROTO__INIT;
  tensor.has_data_type = tensor.has_raw_data = 1;
  tensor.data_type = NORMA_FLOAT;
  tensor.n_dims = 1;
  tensor.dims = dims;
  tensor.raw_data = (ProtobufCBinaryData){.len = sizeof numbers, .data = (uint8_t *)numbers};
  test_function function;
  test_node constant, inner, calls[6];
  function_of(&function, "f");
  add_name(function.inputs, &function.proto.n_input, "a");
  add_name(function.outputs, &function.proto.n_output, "b");
  node_of(&constant, "constant", "", "Constant");
  node_output(&constant, "k");
  Onnx__AttributeProto *value = node_attribute_named(&constant, "value");
  value->has_type = 1;
  value->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
  value->t = &tensor;
  node_of(&inner, "inner", "", "Add");
  node_input(&inner, "a");
  node_input(&inner, "k");
  node_output(&inner, "b");
  function_node(&function, &constant);
  function_node(&function, &inner);
  static const char *const names[] = {"x", "v1", "v2", "v3", "v4", "v5", "y"};
  test_node *list[6];
  for (int i = 0; i < 6; i++) {
    make_call(&calls[i], "", "f", names[i], names[i + 1]);
    list[i] = &calls[i];
  }
  reading_init(&reading, 0);
  assert_int_equal(read_model(&reading, list, 6, (test_function *[]){&function}, 1), NORMA_OK);
  assert_true(atomic_load(&reading.memory.used) < 2 * sizeof numbers);
  const void *data = attribute_tensor(reading.model.graph->first, "value")->tensor.data;
  graph_remove_node(reading.model.graph->first); /* the others keep theirs */
  const node *other = reading.model.graph->first->next;
  assert_string_equal(other->op_type, "Constant");
  assert_ptr_equal(attribute_tensor(other, "value")->tensor.data, data);
  assert_int_equal(reading_release(&reading), 0);
}

static void wrong_calls_are_errors(void **state) {
  (void)state;
  model_reading reading;
  test_function leaky;
  test_node inner, call;
  reading_init(&reading, 0);
  make_leaky(&leaky, &inner);
  make_call(&call, "call", "leaky", "x", "y"); /* the body refers to an attribute that is not declared */
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "'slope'"));
  assert_int_equal(reading_release(&reading), 0);

  function_default(&leaky, "slope", 1);
  node_input(&call, "x");
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "2 inputs for a function of 1"));
  assert_int_equal(reading_release(&reading), 0);

  make_call(&call, "call", "leaky", "x", "y");
  set_float(node_attribute_named(&call, "unknown"), 1);
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "'unknown'"));
  assert_int_equal(reading_release(&reading), 0);

  make_call(&call, "call", "leaky", "x", "y");
  leaky.outputs[0] = (char *)(uintptr_t) "nowhere";
  assert_int_equal(read_model(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "'nowhere'"));
  assert_int_equal(reading_release(&reading), 0);

  make_leaky(&leaky, &inner);
  test_function other = leaky; /* the same again */
  assert_int_equal(read_model(&reading, NULL, 0, (test_function *[]){&leaky, &other}, 2), NORMA_ERROR_INVALID_MODEL);
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
      cmocka_unit_test(tensors_of_bodies_are_shared),
      cmocka_unit_test(wrong_calls_are_errors),
  };
  return cmocka_run_group_tests_name("functions", tests, NULL, NULL);
}
