#include "tests/support/function_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

void message_add_name(char **list, size_t *count, const char *name) {
  assert_true(*count < MESSAGE_MOST);
  list[(*count)++] = (char *)(uintptr_t)name;
}

test_node *message_node(test_node *node, const char *name, const char *domain, const char *op_type) {
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

void message_input(test_node *node, const char *name) {
  message_add_name(node->inputs, &node->proto.n_input, name);
}

void message_output(test_node *node, const char *name) {
  message_add_name(node->outputs, &node->proto.n_output, name);
}

Onnx__AttributeProto *message_attribute(test_node *node, const char *name) {
  size_t i = node->proto.n_attribute++;
  onnx__attribute_proto__init(&node->attributes[i]);
  node->attributes[i].name = (char *)(uintptr_t)name;
  node->attribute_list[i] = &node->attributes[i];
  return &node->attributes[i];
}

void message_set_float(Onnx__AttributeProto *attribute, float f) {
  attribute->has_type = 1;
  attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
  attribute->has_f = 1;
  attribute->f = f;
}

void message_set_reference(Onnx__AttributeProto *attribute, const char *name) {
  attribute->has_type = 1;
  attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
  attribute->ref_attr_name = (char *)(uintptr_t)name;
}

test_function *message_function(test_function *function, const char *name) {
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

void message_default(test_function *function, const char *name, float f) {
  size_t i = function->proto.n_attribute_proto++;
  onnx__attribute_proto__init(&function->defaults[i]);
  function->defaults[i].name = (char *)(uintptr_t)name;
  message_set_float(&function->defaults[i], f);
  function->default_list[i] = &function->defaults[i];
}

void message_function_node(test_function *function, test_node *node) {
  function->nodes[function->proto.n_node++] = &node->proto;
}

void *pack_messages(test_node **nodes, size_t node_count, test_function **functions, size_t function_count,
                    size_t *size) {
  Onnx__NodeProto *node_list[MESSAGE_MOST];
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
  message_function(&imports, "");
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

norma_status read_messages(model_reading *reading, test_node **nodes, size_t node_count, test_function **functions,
                           size_t function_count) {
  size_t size;
  void *bytes = pack_messages(nodes, node_count, functions, function_count, &size);
  norma_status status = reading_read(reading, bytes, size);
  free(bytes);
  return status;
}

void message_leaky(test_function *function, test_node *inner) {
  message_function(function, "leaky");
  message_add_name(function->inputs, &function->proto.n_input, "a");
  message_add_name(function->outputs, &function->proto.n_output, "b");
  message_node(inner, "inner", "", "LeakyRelu");
  message_input(inner, "a");
  message_output(inner, "b");
  message_set_reference(message_attribute(inner, "alpha"), "slope");
  message_function_node(function, inner);
}

void message_call(test_node *call, const char *name, const char *function, const char *input, const char *output) {
  message_node(call, name, "local", function);
  message_input(call, input);
  message_output(call, output);
}
