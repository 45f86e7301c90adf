/* What functions hold is read once, however often they are called, and what they expand to is counted. */
#include "proto/reader.h"

#include "tests/support/built_reading.h"
#include "tests/support/function_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

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
  message_function(&function, "f");
  message_add_name(function.inputs, &function.proto.n_input, "a");
  message_add_name(function.outputs, &function.proto.n_output, "b");
  message_node(&constant, "constant", "", "Constant");
  message_output(&constant, "k");
  Onnx__AttributeProto *value = message_attribute(&constant, "value");
  value->has_type = 1;
  value->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
  value->t = &tensor;
  message_node(&inner, "inner", "", "Add");
  message_input(&inner, "a");
  message_input(&inner, "k");
  message_output(&inner, "b");
  message_function_node(&function, &constant);
  message_function_node(&function, &inner);
  static const char *const names[] = {"x", "v1", "v2", "v3", "v4", "v5", "y"};
  test_node *list[6];
  for (int i = 0; i < 6; i++) {
    message_call(&calls[i], "", "f", names[i], names[i + 1]);
    list[i] = &calls[i];
  }
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, list, 6, (test_function *[]){&function}, 1), NORMA_OK);
  assert_true(atomic_load(&reading.memory.used) < 2 * sizeof numbers);
  const void *data = attribute_tensor(reading.model.graph->first, "value")->tensor.data;
  graph_remove_node(reading.model.graph->first); /* the others keep theirs */
  const node *other = reading.model.graph->first->next;
  assert_string_equal(other->op_type, "Constant");
  assert_ptr_equal(attribute_tensor(other, "value")->tensor.data, data);
  assert_int_equal(reading_release(&reading), 0);
}

#define CALLS 6

/* A function of one node with this attribute, called CALLS times; read. */
static norma_status read_calls(model_reading *reading, Onnx__AttributeProto *attribute) {
  static const char *const names[CALLS + 1] = {"x", "v1", "v2", "v3", "v4", "v5", "y"};
  test_function function;
  test_node inner, calls[CALLS], *list[CALLS];
  message_function(&function, "f");
  message_add_name(function.inputs, &function.proto.n_input, "a");
  message_add_name(function.outputs, &function.proto.n_output, "b");
  message_node(&inner, "inner", "", "Op");
  message_input(&inner, "a");
  message_output(&inner, "b");
  inner.attribute_list[0] = attribute;
  inner.proto.n_attribute = 1;
  message_function_node(&function, &inner);
  for (int i = 0; i < CALLS; i++) {
    message_call(&calls[i], "", "f", names[i], names[i + 1]);
    list[i] = &calls[i];
  }
  return read_messages(reading, list, CALLS, (test_function *[]){&function}, 1);
}

/* So are sparse tensors, lists and texts. */
static void lists_and_sparse_tensors_are_shared(void **state) {
  (void)state;
  static float numbers[20000];
  static int64_t integers[20000];
  float values_data[] = {1};
  int64_t one[] = {1}, large[] = {50000}, place[] = {7};
  Onnx__TensorProto values = ONNX__TENSOR_PROTO__INIT, indices = ONNX__TENSOR_PROTO__INIT;
  Onnx__SparseTensorProto sparse = ONNX__SPARSE_TENSOR_PROTO__INIT;
  values.has_data_type = indices.has_data_type = 1;
  values.data_type = NORMA_FLOAT;
  indices.data_type = NORMA_INT64;
  values.n_dims = indices.n_dims = values.n_float_data = indices.n_int64_data = sparse.n_dims = 1;
  values.dims = indices.dims = one;
  values.float_data = values_data;
  indices.int64_data = place;
  sparse.values = &values;
  sparse.indices = &indices;
  sparse.dims = large;
  static char text[100000];
  for (int kind = 0; kind < 4; kind++) {
    Onnx__AttributeProto attribute = ONNX__ATTRIBUTE_PROTO__INIT;
    attribute.name = (char *)(uintptr_t) "a";
    if (kind == 0) {
      attribute.n_floats = 20000;
      attribute.floats = numbers;
    } else if (kind == 1) {
      attribute.n_ints = 20000;
      attribute.ints = integers;
    } else if (kind == 2) {
      attribute.has_s = 1;
      attribute.s = (ProtobufCBinaryData){sizeof text, (uint8_t *)text};
    } else {
      attribute.sparse_tensor = &sparse;
    }
    model_reading reading;
    reading_init(&reading, 0);
    if (read_calls(&reading, &attribute) != NORMA_OK) fail_msg("%s", reading.error.message);
    static const size_t bytes[] = {sizeof numbers, sizeof integers, sizeof text, 200000};
    const size_t used = atomic_load(&reading.memory.used);
    if (used > 4 * bytes[kind]) fail_msg("kind %d: %zu bytes for %zu", kind, used, bytes[kind]);
    const graph *graph = reading.model.graph;
    assert_int_equal(graph->node_count, CALLS);
    for (const node *node = graph->first; node; node = node->next) {
      const struct attribute *found = node_attribute(node, "a");
      static const attribute_kind kinds[] = {ATTRIBUTE_FLOATS, ATTRIBUTE_INTS, ATTRIBUTE_STRING,
                                             ATTRIBUTE_SPARSE_TENSOR};
      assert_int_equal(found->kind, kinds[kind]);
      const struct attribute *first = node_attribute(graph->first, "a");
      if (kind == 0) assert_ptr_equal(found->floats, first->floats);
      if (kind == 1) assert_ptr_equal(found->ints, first->ints);
      if (kind == 2) assert_ptr_equal(found->s.data, first->s.data);
      if (kind == 3) assert_ptr_equal(found->tensors[0].tensor.data, first->tensors[0].tensor.data);
    }
    assert_int_equal(reading_release(&reading), 0);
  }
}

/* Graphs are not: each call has its own, in which it may see other names. */
static void graphs_are_not_shared(void **state) {
  (void)state;
  Onnx__NodeProto neg = ONNX__NODE_PROTO__INIT, *nodes[] = {&neg};
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
  char *input[] = {(char *)(uintptr_t) "a"}, *output[] = {(char *)(uintptr_t) "n"};
  Onnx__AttributeProto attribute = ONNX__ATTRIBUTE_PROTO__INIT;
  neg.op_type = (char *)(uintptr_t) "Neg";
  neg.n_input = neg.n_output = graph.n_node = 1;
  neg.input = input;
  neg.output = output;
  graph.node = nodes;
  attribute.name = (char *)(uintptr_t) "a";
  attribute.g = &graph;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_calls(&reading, &attribute), NORMA_OK);
  for (const node *node = reading.model.graph->first; node; node = node->next) {
    const struct graph *own = attribute_graph(node, "a");
    assert_ptr_equal(own->parent_node, node);
    assert_ptr_equal(own->first->inputs[0], node->inputs[0]);
    if (node->next) assert_ptr_not_equal(own, attribute_graph(node->next, "a"));
  }
  assert_int_equal(reading_release(&reading), 0);
}

/* Nodes with very many inputs cost more than their number: a function that holds one cannot be called without end. */
static void expanded_items_are_counted(void **state) {
  enum { INPUTS = 200, LEVELS = 9 };
  (void)state;
  static char *inputs[INPUTS];
  static test_function functions[LEVELS];
  static test_node nodes[LEVELS][2];
  static char names[LEVELS + 1][16];
  test_function *list[LEVELS];
  for (int i = 0; i < INPUTS; i++) inputs[i] = (char *)(uintptr_t) "a";
  for (int i = 0; i < LEVELS; i++) { /* each calls the next one twice; the last ones hold the node */
    snprintf(names[i], sizeof names[i], "f%d", i);
    snprintf(names[i + 1], sizeof names[i + 1], "f%d", i + 1);
    list[i] = message_function(&functions[i], names[i]);
    message_add_name(functions[i].inputs, &functions[i].proto.n_input, "a");
    message_add_name(functions[i].outputs, &functions[i].proto.n_output, "b");
    const bool last = i + 1 == LEVELS;
    for (int k = 0; k < 2; k++) {
      message_node(&nodes[i][k], "n", last ? "" : "local", last ? "Sum" : names[i + 1]);
      message_input(&nodes[i][k], k && !last ? "m" : "a");
      message_output(&nodes[i][k], k ? "b" : "m");
      if (last) {
        nodes[i][k].proto.input = inputs;
        nodes[i][k].proto.n_input = INPUTS;
      }
      message_function_node(&functions[i], &nodes[i][k]);
    }
  }
  test_node call;
  model_reading reading;
  message_call(&call, "call", "f0", "x", "y");
  reading_init(&reading, 0);
  reading.options.max_nodes = 3000; /* enough for the nodes: 2^9, and the calls */
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, list, LEVELS), NORMA_ERROR_BUDGET);
  assert_non_null(strstr(reading.error.message, "expanded functions make the model larger than"));
  assert_int_equal(reading_release(&reading), 0);
  reading.options.max_nodes = 10000;
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, list, LEVELS), NORMA_OK);
  assert_int_equal(reading.model.graph->node_count, 1 << LEVELS);
  assert_int_equal(reading_release(&reading), 0);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  static float numbers[40];
  Onnx__AttributeProto attribute = ONNX__ATTRIBUTE_PROTO__INIT;
  attribute.name = (char *)(uintptr_t) "a";
  attribute.n_floats = 40;
  attribute.floats = numbers;
  norma_status status = NORMA_ERROR_OUT_OF_MEMORY;
  for (size_t k = 1; status != NORMA_OK; k++) {
    for (int once = 0; once < 2; once++) {
      model_reading reading;
      reading_init(&reading, 0);
      reading.fail_at = k;
      reading.fail_once = once;
      status = read_calls(&reading, &attribute);
      assert_int_equal(status, reading.allocations < k ? NORMA_OK : NORMA_ERROR_OUT_OF_MEMORY);
      assert_int_equal(reading_release(&reading), 0);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tensors_of_bodies_are_shared),
      cmocka_unit_test(lists_and_sparse_tensors_are_shared),
      cmocka_unit_test(graphs_are_not_shared),
      cmocka_unit_test(expanded_items_are_counted),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
