/* Graphs as the reader makes them: values and the scopes of their names, initializers, nodes, subgraphs, and what it
 * says to graphs that break the specification. */
#include "proto/reader.h"

#include "tests/support/built_reading.h"
#include "tests/support/function_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ------------------------------------------------------------------------------------------------------------ nodes */

/* Names, inputs and outputs in their places, the opset of the domain; a node without a name is named by its number. */
static void nodes_are_connected(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_import(b, "com.example", 3);
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){4});
  builder_named_node(b, "n", "com.example", "Op", "x - x", "y - z")->overload = "variant";
  builder_node(b, "Op", "y", "w");
  builder_output(b, "z", NORMA_FLOAT, -1, NULL);
  reading_init(&reading, 0);
  must_read_built(&reading, b);
  const graph *graph = reading.model.graph;
  const node *node = graph->first;
  assert_string_equal(node->name, "n");
  assert_string_equal(node->op_type, "Op");
  assert_string_equal(node->domain, "com.example");
  assert_string_equal(node->overload, "variant");
  assert_int_equal(node->opset, 3);
  assert_int_equal(node->input_count, 3);
  assert_null(node->inputs[1]);
  assert_ptr_equal(node->inputs[0], node->inputs[2]);
  assert_int_equal(node->inputs[0]->use_count, 2);
  assert_int_equal(node->output_count, 3);
  assert_null(node->outputs[1]);
  assert_ptr_equal(node->outputs[2]->producer, node);
  assert_int_equal(node->outputs[2]->producer_index, 2);
  assert_string_equal(node->next->name, "#1 (Op)");
  assert_int_equal(node->next->opset, 17);
  assert_string_equal(node->next->overload, "");
  assert_int_equal(graph->node_count, 2);
  assert_int_equal(graph->value_count, 4);
  assert_int_equal(reading_release(&reading), 0);
}

static void nodes_that_are_none(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    static char name[LONGEST_OPERATOR_NAME + 2];
    Onnx__NodeProto node = ONNX__NODE_PROTO__INIT, *nodes[] = {&node};
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    memset(name, 'o', sizeof name - 1);
    graph.n_node = 1;
    graph.node = nodes;
    node.name = (char *)(uintptr_t) "n";
    node.op_type = i == 0 ? NULL : i == 1 ? name : (char *)(uintptr_t) "Op";
    if (i == 2) node.domain = name;
    if (i == 3) node.overload = name;
    model_reading reading;
    reading_init(&reading, 0);
    assert_int_equal(read_graph_message(&reading, &graph), NORMA_ERROR_INVALID_MODEL);
    const char *part = i == 0 ? "it has no operator type" : "more than 512 bytes";
    if (!strstr(reading.error.message, part)) fail_msg("%s", reading.error.message);
    assert_string_equal(reading.error.node, "n");
    assert_int_equal(reading_release(&reading), 0);
  }
}

/* All nodes count, those of subgraphs and of expanded functions too. */
static void number_of_nodes_is_bounded(void **state) {
  (void)state;
  for (size_t most = 4; most <= 5; most++) {
    model_reading reading;
    model_builder *b = builder_create(17);
    builder_input(b, "c", NORMA_BOOL, 0, NULL);
    builder_node(b, "Neg", "c", "n");
    node *branch = builder_node(b, "If", "c", "y");
    for (int i = 0; i < 2; i++) {
      model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
      builder_node(inner, "Neg", "n", "t");
      builder_output(inner, "t", NORMA_UNDEFINED, -1, NULL);
    }
    builder_node(b, "Neg", "y", "z");
    builder_output(b, "z", NORMA_FLOAT, -1, NULL);
    reading_init(&reading, 0);
    reading.options.max_nodes = most;
    assert_int_equal(read_built(&reading, b), most < 5 ? NORMA_ERROR_BUDGET : NORMA_OK);
    if (most < 5 && !strstr(reading.error.message, "nodes")) fail_msg("%s", reading.error.message);
    assert_int_equal(reading_release(&reading), 0);
  }
}

/* ----------------------------------------------------------------------------------------------------- initializers */

static void initializers_are_constant_unless_overridable(void **state) {
  (void)state;
  static const char *const overridable[] = {"v"};
  for (int i = 0; i < 2; i++) {
    model_reading reading;
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){2});
    builder_floats(b, "w", 1, (int64_t[]){2}, (float[]){1, 2});
    builder_floats(b, "v", 1, (int64_t[]){2}, (float[]){3, 4});
    builder_input(b, "v", NORMA_FLOAT, 1, (int64_t[]){2});
    builder_node(b, "Sum", "x w v", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    reading_init(&reading, 0);
    reading.options.overridable = overridable;
    reading.options.overridable_count = (size_t)i;
    assert_int_equal(read_built(&reading, b), NORMA_OK);
    const node *node = reading.model.graph->first;
    const graph_value *w = node->inputs[1], *v = node->inputs[2];
    assert_true(w->has_initializer && !w->is_input && w->constant && !w->initial);
    assert_true(v->has_initializer && v->is_input);
    assert_int_equal(reading.model.graph->input_count, 2);
    const value *contents = i ? v->initial : v->constant;
    assert_non_null(contents);
    assert_null(i ? v->constant : v->initial);
    assert_true(((const float *)contents->tensor.data)[1] == 4);
    assert_int_equal(reading_release(&reading), 0);
  }
  model_reading reading;
  reading_init(&reading, 0);
  reading.options.overridable = overridable;
  reading.options.overridable_count = 1;
  assert_int_equal(read_built(&reading, unary_model("Relu")), NORMA_ERROR_ARGUMENT);
  assert_non_null(strstr(reading.error.message, "'v'"));
  assert_int_equal(reading_release(&reading), 0);
}

/* Before IR version 4 initializers had to be inputs, in subgraphs too: an If gives its branches nothing. */
static void initializers_of_subgraphs_are_no_inputs(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(9);
  builder_model(b)->ir_version = 3;
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  node *branch = builder_node(b, "If", "c", "y");
  model_builder *inner = builder_subgraph(b, branch, "then_branch");
  builder_input(inner, "w", NORMA_FLOAT, 1, (int64_t[]){1});
  builder_floats(inner, "w", 1, (int64_t[]){1}, (float[]){5});
  builder_node(inner, "Neg", "w", "t");
  builder_output(inner, "t", NORMA_UNDEFINED, -1, NULL);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  const graph *graph = attribute_graph(reading.model.graph->first, "then_branch");
  assert_int_equal(graph->input_count, 0);
  assert_false(graph->first->inputs[0]->is_input);
  assert_non_null(graph->first->inputs[0]->constant);
  assert_int_equal(reading_release(&reading), 0);
}

/* Sparse initializers are dense from here on, called as their values are. */
static void sparse_initializers(void **state) {
  (void)state;
  float numbers[] = {5, 6};
  int64_t two[] = {2}, four[] = {2, 2}, places[] = {1, 2};
  Onnx__TensorProto values = ONNX__TENSOR_PROTO__INIT, indices = ONNX__TENSOR_PROTO__INIT;
  Onnx__SparseTensorProto sparse = ONNX__SPARSE_TENSOR_PROTO__INIT, *sparses[] = {&sparse, &sparse};
  Onnx__NodeProto node = ONNX__NODE_PROTO__INIT, *nodes[] = {&node};
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
  char *inputs[] = {(char *)(uintptr_t) "w"};
  values.has_data_type = indices.has_data_type = 1;
  values.data_type = NORMA_FLOAT;
  indices.data_type = NORMA_INT64;
  values.n_dims = indices.n_dims = 1;
  values.dims = indices.dims = two;
  values.n_float_data = indices.n_int64_data = 2;
  values.float_data = numbers;
  indices.int64_data = places;
  values.name = inputs[0];
  sparse.values = &values;
  sparse.indices = &indices;
  sparse.n_dims = 2;
  sparse.dims = four;
  node.op_type = (char *)(uintptr_t) "Op";
  node.n_input = 1;
  node.input = inputs;
  graph.n_node = graph.n_sparse_initializer = 1;
  graph.node = nodes;
  graph.sparse_initializer = sparses;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_graph_message(&reading, &graph), NORMA_OK);
  const graph_value *w = reading.model.graph->first->inputs[0];
  static const float expected[4] = {0, 5, 6, 0};
  assert_true(w->has_initializer && !w->is_input);
  assert_int_equal(w->constant->tensor.rank, 2);
  assert_memory_equal(w->constant->tensor.data, expected, sizeof expected);
  assert_int_equal(reading_release(&reading), 0);

  graph.n_sparse_initializer = 2;
  assert_int_equal(read_graph_message(&reading, &graph), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "'w' is defined twice"));
  assert_int_equal(reading_release(&reading), 0);
  graph.n_sparse_initializer = 1;
  values.name = NULL;
  assert_int_equal(read_graph_message(&reading, &graph), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "an initializer has no name"));
  assert_int_equal(reading_release(&reading), 0);
  sparse.values = NULL;
  assert_int_equal(read_graph_message(&reading, &graph), NORMA_ERROR_INVALID_MODEL);
  assert_int_equal(reading_release(&reading), 0);
}

/* An initializer that stands twice, as a result, or without a name. */
static void initializers_that_are_none(void **state) {
  (void)state;
  float number[] = {5};
  Onnx__TensorProto tensor = ONNX__TENSOR_PROTO__INIT, *tensors[] = {&tensor, &tensor};
  Onnx__NodeProto node = ONNX__NODE_PROTO__INIT, *nodes[] = {&node};
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
  char *outputs[] = {(char *)(uintptr_t) "w"};
  tensor.has_data_type = 1;
  tensor.data_type = NORMA_FLOAT;
  tensor.n_float_data = 1;
  tensor.float_data = number;
  node.op_type = (char *)(uintptr_t) "Op";
  node.n_output = 1;
  node.output = outputs;
  graph.initializer = tensors;
  graph.node = nodes;
  for (int i = 0; i < 4; i++) {
    static const char *const parts[] = {"an initializer has no name", "'w' is defined twice", "'w' is defined twice",
                                        ""};
    model_reading reading;
    tensor.name = i == 0 ? NULL : (char *)(uintptr_t) "w";
    graph.n_initializer = i == 1 ? 2 : 1;
    graph.n_node = i == 2 ? 1 : 0;
    reading_init(&reading, 0);
    assert_int_equal(read_graph_message(&reading, &graph), i == 3 ? NORMA_OK : NORMA_ERROR_INVALID_MODEL);
    if (i < 3 && !strstr(reading.error.message, parts[i])) fail_msg("%s", reading.error.message);
    assert_int_equal(reading_release(&reading), 0);
  }
}

/* ----------------------------------------------------------------------------------------------- inputs and outputs */

/* The type of an output is what the model declares, its shape is left for inference; of inputs both count. */
static void types_are_as_declared(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT16, 2, (int64_t[]){3, -1});
  builder_floats(b, "w", 1, (int64_t[]){2}, (float[]){1, 2});
  builder_node(b, "Op", "x", "y");
  builder_output(b, "y", NORMA_INT8, 2, (int64_t[]){9, 9});
  builder_output(b, "x", NORMA_UNDEFINED, -1, NULL); /* an input that is an output as well */
  builder_output(b, "w", NORMA_UNDEFINED, -1, NULL); /* and a constant */
  reading_init(&reading, 0);
  must_read_built(&reading, b);
  const graph *graph = reading.model.graph;
  assert_int_equal(graph->output_count, 3);
  assert_int_equal(graph->outputs[0]->info.type, NORMA_INT8);
  assert_int_equal(graph->outputs[0]->info.shape.rank, RANK_UNKNOWN);
  assert_ptr_equal(graph->outputs[1], graph->inputs[0]);
  assert_int_equal(graph->outputs[1]->info.shape.dims[0], 3);
  assert_int_equal(graph->outputs[2]->constant->tensor.type, NORMA_FLOAT);
  assert_int_equal(reading_release(&reading), 0);
}

static void inputs_and_outputs_need_names(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    Onnx__ValueInfoProto info = ONNX__VALUE_INFO_PROTO__INIT, *infos[] = {&info, &info};
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    if (i == 2) info.name = (char *)(uintptr_t) "x";
    graph.n_input = i == 0 ? 1 : i == 2 ? 2 : 0;
    graph.input = infos;
    graph.n_output = i == 1;
    graph.output = infos;
    model_reading reading;
    reading_init(&reading, 0);
    assert_int_equal(read_graph_message(&reading, &graph), NORMA_ERROR_INVALID_MODEL);
    static const char *const parts[] = {"an input of the graph has no name", "an output of the graph has no name",
                                        "the name 'x' is defined twice"};
    if (!strstr(reading.error.message, parts[i])) fail_msg("%s", reading.error.message);
    assert_int_equal(reading_release(&reading), 0);
  }
}

/* ----------------------------------------------------------------------------------------------------------- scopes */

static void subgraphs_see_outer_names(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_node(b, "Neg", "x", "m");
  node *branch = builder_node(b, "If", "c", "y");
  model_builder *then_branch = builder_subgraph(b, branch, "then_branch");
  builder_node(then_branch, "Abs", "m", "t");
  node *inner = builder_node(then_branch, "If", "c", "u");
  model_builder *deep = builder_subgraph(then_branch, inner, "then_branch");
  builder_node(deep, "Add", "t x", "d");
  builder_output(deep, "d", NORMA_UNDEFINED, -1, NULL);
  builder_output(then_branch, "u", NORMA_UNDEFINED, -1, NULL);
  model_builder *else_branch = builder_subgraph(b, branch, "else_branch");
  builder_node(else_branch, "Exp", "x", "t");                  /* the same name as in the other branch */
  builder_output(else_branch, "m", NORMA_UNDEFINED, -1, NULL); /* an outer value as an output */
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  const graph *graph = reading.model.graph;
  const struct graph *outer = attribute_graph(graph->last, "then_branch");
  const struct graph *within = attribute_graph(outer->last, "then_branch");
  assert_int_equal(within->depth, 2);
  assert_ptr_equal(within->parent_node, outer->last);
  assert_ptr_equal(outer->first->inputs[0], graph->first->outputs[0]);
  assert_ptr_equal(within->first->inputs[0], outer->first->outputs[0]);
  assert_ptr_equal(within->first->inputs[1], graph->inputs[1]);
  const struct graph *other = attribute_graph(graph->last, "else_branch");
  assert_string_equal(other->first->outputs[0]->name, "t");
  assert_ptr_not_equal(other->first->outputs[0], outer->first->outputs[0]);
  assert_ptr_equal(other->outputs[0], graph->first->outputs[0]);
  assert_int_equal(reading_release(&reading), 0);
}

/* An inner name that hides an outer one is renamed: what a node sees has unique names. */
static void hidden_names_are_renamed(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  builder_node(b, "Neg", "c", "m");
  node *branch = builder_node(b, "If", "c", "y");
  model_builder *then_branch = builder_subgraph(b, branch, "then_branch");
  builder_node(then_branch, "Abs", "m", "p");
  builder_node(then_branch, "Exp", "p", "m");
  builder_node(then_branch, "Log", "m", "q");
  builder_output(then_branch, "q", NORMA_UNDEFINED, -1, NULL);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  const graph *graph = reading.model.graph, *inner = attribute_graph(graph->last, "then_branch");
  const graph_value *outer_m = graph->first->outputs[0], *inner_m = inner->first->next->outputs[0];
  assert_ptr_equal(inner->first->inputs[0], outer_m); /* the outer one until the inner one is there */
  assert_ptr_equal(inner->last->inputs[0], inner_m);
  assert_string_not_equal(inner_m->name, outer_m->name);
  assert_int_equal(reading_release(&reading), 0);
}

/* A name of an inner graph that an outer one defines later stands for the outer value until the inner one is there. */
static void outer_values_that_come_later(void **state) {
  (void)state;
  model_reading reading;
  Onnx__NodeProto outer = ONNX__NODE_PROTO__INIT, branch = ONNX__NODE_PROTO__INIT, inner = ONNX__NODE_PROTO__INIT;
  Onnx__NodeProto *outer_nodes[] = {&branch, &outer}, *inner_nodes[] = {&inner};
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT, body = ONNX__GRAPH_PROTO__INIT;
  Onnx__AttributeProto attribute = ONNX__ATTRIBUTE_PROTO__INIT, *attributes[] = {&attribute};
  char *later[] = {(char *)(uintptr_t) "later"}, *result[] = {(char *)(uintptr_t) "r"};
  outer.op_type = inner.op_type = branch.op_type = (char *)(uintptr_t) "Op";
  outer.n_output = inner.n_input = inner.n_output = branch.n_attribute = 1;
  outer.output = inner.input = later;
  inner.output = result;
  branch.attribute = attributes;
  attribute.name = (char *)(uintptr_t) "body";
  attribute.g = &body;
  body.n_node = 1;
  body.node = inner_nodes;
  graph.n_node = 2;
  graph.node = outer_nodes;
  reading_init(&reading, 0);
  assert_int_equal(read_graph_message(&reading, &graph), NORMA_OK);
  const struct graph *read = reading.model.graph;
  const node *user = attribute_graph(read->last, "body")->first; /* sorted: the branch comes last */
  assert_ptr_equal(user->inputs[0], read->first->outputs[0]);
  assert_int_equal(reading_release(&reading), 0);
}

/* Of several that are still to come the innermost is meant. */
static void inner_values_that_come_later(void **state) {
  (void)state;
  model_reading reading;
  Onnx__NodeProto outer = ONNX__NODE_PROTO__INIT, branch = ONNX__NODE_PROTO__INIT;
  Onnx__NodeProto user = ONNX__NODE_PROTO__INIT, maker = ONNX__NODE_PROTO__INIT;
  Onnx__NodeProto *outer_nodes[] = {&branch, &outer}, *inner_nodes[] = {&user, &maker};
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT, body = ONNX__GRAPH_PROTO__INIT;
  Onnx__AttributeProto attribute = ONNX__ATTRIBUTE_PROTO__INIT, *attributes[] = {&attribute};
  char *later[] = {(char *)(uintptr_t) "later"}, *result[] = {(char *)(uintptr_t) "r"};
  outer.op_type = user.op_type = maker.op_type = branch.op_type = (char *)(uintptr_t) "Op";
  outer.n_output = user.n_input = user.n_output = maker.n_output = branch.n_attribute = 1;
  outer.output = maker.output = user.input = later;
  user.output = result;
  branch.attribute = attributes;
  attribute.name = (char *)(uintptr_t) "body";
  attribute.g = &body;
  body.n_node = graph.n_node = 2;
  body.node = inner_nodes;
  graph.node = outer_nodes;
  reading_init(&reading, 0);
  assert_int_equal(read_graph_message(&reading, &graph), NORMA_OK);
  const struct graph *read = attribute_graph(reading.model.graph->first, "body");
  assert_ptr_equal(read->last->inputs[0], read->first->outputs[0]); /* sorted */
  assert_int_equal(reading_release(&reading), 0);
}

static void undefined_values_are_named(void **state) {
  (void)state;
  model_builder *b = unary_model("Relu");
  builder_named_node(b, "reader", "", "Neg", "nowhere", "z");
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(reading.error.node, "reader");
  assert_string_equal(reading.error.op_type, "Neg");
  assert_string_equal(reading.error.value, "nowhere");
  assert_string_equal(reading.error.domain, "ai.onnx");
  assert_int_equal(reading.error.opset, 17);
  assert_string_equal(reading.error.message, "node 'reader' (Neg): the value 'nowhere' is not defined");
  assert_int_equal(reading_release(&reading), 0);

  b = builder_create(17);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  expect_unreadable(b, NORMA_ERROR_INVALID_MODEL, "output 'y': the value 'y' is not defined");
}

static void names_are_defined_once(void **state) {
  (void)state;
  model_builder *b = unary_model("Relu");
  builder_node(b, "Neg", "x", "y");
  expect_unreadable(b, NORMA_ERROR_INVALID_MODEL, "node '#1 (Neg)': the name 'y' is defined twice");
  b = unary_model("Relu");
  builder_node(b, "Neg", "y", "x"); /* an input */
  expect_unreadable(b, NORMA_ERROR_INVALID_MODEL, "the name 'x' is defined twice");
  b = unary_model("Relu");
  builder_floats(b, "y", 0, NULL, (float[]){1}); /* would be a constant: make it look like one */
  node *made = builder_node(b, "Neg", "x", "-");
  made->outputs[0] = builder_model(b)->graph->first->outputs[0];
  made->outputs[0]->producer = NULL; /* the writer writes initializers of what no node makes */
  expect_unreadable(b, NORMA_ERROR_INVALID_MODEL, "the name 'y' is defined twice");
  b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  expect_unreadable(b, NORMA_ERROR_INVALID_MODEL, "the name 'x' is defined twice");
}

/* The names of graphs that functions hold are the callers' and theirs; made-up ones are cut at a border of characters.
 */
static void made_up_names_are_short(void **state) {
  (void)state;
  static char long_name[1000];
  model_reading reading;
  test_function function;
  test_node first, second, call;
  for (size_t i = 0; i + 3 < sizeof long_name; i += 3) memcpy(long_name + i, "\xE2\x82\xAC", 3);
  message_function(&function, "f");
  message_add_name(function.inputs, &function.proto.n_input, "a");
  message_add_name(function.outputs, &function.proto.n_output, "b");
  message_node(&first, "one", "", "Neg");
  message_input(&first, "a");
  message_output(&first, long_name);
  message_node(&second, "two", "", "Neg");
  message_input(&second, long_name);
  message_output(&second, "b");
  message_function_node(&function, &first);
  message_function_node(&function, &second);
  message_call(&call, "call", "f", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&function}, 1), NORMA_OK);
  const char *name = reading.model.graph->first->outputs[0]->name;
  assert_int_equal(strncmp(name, "call/\xE2\x82\xAC", 8), 0);
  assert_true(strlen(name) <= 255 && strlen(name) > 250);
  assert_int_equal((strlen(name) - 5) % 3, 0); /* whole characters */
  assert_ptr_equal(reading.model.graph->last->inputs[0], reading.model.graph->first->outputs[0]);
  assert_int_equal(reading_release(&reading), 0);
}

static void depth_is_bounded(void **state) {
  (void)state;
  model_builder *b = builder_create(17), *at = b;
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  for (int depth = 0; depth < 5; depth++) {
    node *branch = builder_node(at, "If", "c", "y");
    builder_output(at, "y", NORMA_UNDEFINED, -1, NULL);
    at = builder_subgraph(at, branch, "then_branch");
  }
  builder_output(at, "c", NORMA_UNDEFINED, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  model_reading reading;
  for (int limit = 4; limit <= 5; limit++) {
    reading_init(&reading, 0);
    reading.options.max_depth = limit;
    assert_int_equal(reading_read(&reading, bytes, size), limit < 5 ? NORMA_ERROR_BUDGET : NORMA_OK);
    assert_int_equal(reading_release(&reading), 0);
  }
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_are_connected),
      cmocka_unit_test(nodes_that_are_none),
      cmocka_unit_test(number_of_nodes_is_bounded),
      cmocka_unit_test(initializers_are_constant_unless_overridable),
      cmocka_unit_test(initializers_of_subgraphs_are_no_inputs),
      cmocka_unit_test(sparse_initializers),
      cmocka_unit_test(initializers_that_are_none),
      cmocka_unit_test(types_are_as_declared),
      cmocka_unit_test(inputs_and_outputs_need_names),
      cmocka_unit_test(subgraphs_see_outer_names),
      cmocka_unit_test(hidden_names_are_renamed),
      cmocka_unit_test(outer_values_that_come_later),
      cmocka_unit_test(inner_values_that_come_later),
      cmocka_unit_test(undefined_values_are_named),
      cmocka_unit_test(names_are_defined_once),
      cmocka_unit_test(made_up_names_are_short),
      cmocka_unit_test(depth_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
