/* Attributes of nodes: every kind with its contents, what a writer may leave out, references to those of a function,
 * and what is refused. */
#include "proto/reader.h"

#include "tests/support/built_reading.h"
#include "tests/support/function_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A model of one node "n" with these attributes. */
static norma_status read_attribute_messages(model_reading *reading, Onnx__AttributeProto **attributes, size_t count) {
  Onnx__NodeProto node = ONNX__NODE_PROTO__INIT, *nodes[] = {&node};
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
  node.op_type = (char *)(uintptr_t) "Op";
  node.name = (char *)(uintptr_t) "n";
  node.n_attribute = count;
  node.attribute = attributes;
  graph.n_node = 1;
  graph.node = nodes;
  return read_graph_message(reading, &graph);
}

/* ----------------------------------------------------------------------------------------------------------- values */

static void nodes_and_attributes_are_read(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){4});
  node *made = builder_named_node(b, "n", "", "Op", "x - x", "y - z");
  builder_int(made, "i", -5);
  builder_float(made, "f", 0.5f);
  builder_string(made, "s", "text");
  builder_ints(made, "is", 2, (int64_t[]){1, -2});
  builder_float_list(made, "fs", 2, (float[]){1, 2.5f});
  builder_string_list(made, "ss", 2, (const char *const[]){"a", ""});
  builder_tensor(made, "t", NORMA_INT32, 1, (int64_t[]){2}, (int32_t[]){7, 8});
  builder_ints(made, "none", 0, NULL);
  builder_node(b, "Op", "y", "w");
  builder_output(b, "z", NORMA_FLOAT, -1, NULL);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  const node *node = reading.model.graph->first;
  size_t count;
  assert_string_equal(node->name, "n");
  assert_int_equal(node->opset, 17);
  assert_int_equal(node->input_count, 3);
  assert_null(node->inputs[1]);
  assert_ptr_equal(node->inputs[0], node->inputs[2]);
  assert_int_equal(node->inputs[0]->use_count, 2);
  assert_int_equal(node->output_count, 3);
  assert_null(node->outputs[1]);
  assert_ptr_equal(node->outputs[2]->producer, node);
  assert_int_equal(node->outputs[2]->producer_index, 2);
  assert_int_equal(attribute_int(node, "i", 0), -5);
  assert_true(attribute_float(node, "f", 0) == 0.5f);
  assert_string_equal(attribute_string(node, "s", ""), "text");
  const int64_t *ints = attribute_ints(node, "is", &count);
  assert_int_equal(count, 2);
  assert_int_equal(ints[1], -2);
  const float *floats = attribute_floats(node, "fs", &count);
  assert_int_equal(count, 2);
  assert_true(floats[1] == 2.5f);
  const attribute *strings = node_attribute(node, "ss");
  assert_int_equal(strings->count, 2);
  assert_string_equal(strings->strings[0].data, "a");
  assert_int_equal(strings->strings[1].size, 0);
  assert_int_equal(((const int32_t *)attribute_tensor(node, "t")->tensor.data)[1], 8);
  assert_non_null(attribute_ints(node, "none", &count));
  assert_int_equal(count, 0);
  assert_string_equal(node->next->name, "#1 (Op)");
  assert_int_equal(reading_release(&reading), 0);
}

/* A tensor of two floats. */
static Onnx__TensorProto tensor_of(float *numbers, int64_t *dims) {
  Onnx__TensorProto tensor = ONNX__TENSOR_PROTO__INIT;
  tensor.has_data_type = 1;
  tensor.data_type = NORMA_FLOAT;
  tensor.n_dims = 1;
  tensor.dims = dims;
  tensor.n_float_data = 2;
  tensor.float_data = numbers;
  return tensor;
}

/* Sparse tensors are dense from here on, and so are lists of them. */
static void tensors_of_every_kind(void **state) {
  (void)state;
  float numbers[] = {5, 6};
  int64_t two[] = {2}, four[] = {4}, places[] = {1, 3};
  Onnx__TensorProto tensor = tensor_of(numbers, two), indices = ONNX__TENSOR_PROTO__INIT;
  Onnx__TensorProto *tensors[] = {&tensor, &tensor};
  indices.has_data_type = 1;
  indices.data_type = NORMA_INT64;
  indices.n_dims = 1;
  indices.dims = two;
  indices.n_int64_data = 2;
  indices.int64_data = places;
  Onnx__SparseTensorProto sparse = ONNX__SPARSE_TENSOR_PROTO__INIT, *sparses[] = {&sparse, &sparse, &sparse};
  sparse.values = &tensor;
  sparse.indices = &indices;
  sparse.n_dims = 1;
  sparse.dims = four;
  Onnx__AttributeProto attributes[4], *list[4];
  static const char *const names[] = {"t", "ts", "s", "ss"};
  for (int i = 0; i < 4; i++) {
    onnx__attribute_proto__init(&attributes[i]);
    attributes[i].name = (char *)(uintptr_t)names[i];
    list[i] = &attributes[i];
  }
  attributes[0].t = &tensor;
  attributes[1].n_tensors = 2;
  attributes[1].tensors = tensors;
  attributes[2].sparse_tensor = &sparse;
  attributes[3].n_sparse_tensors = 3;
  attributes[3].sparse_tensors = sparses;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_attribute_messages(&reading, list, 4), NORMA_OK);
  const node *node = reading.model.graph->first;
  static const size_t counts[] = {1, 2, 1, 3};
  static const attribute_kind kinds[] = {ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS, ATTRIBUTE_SPARSE_TENSOR,
                                         ATTRIBUTE_SPARSE_TENSORS};
  for (int i = 0; i < 4; i++) {
    const attribute *found = node_attribute(node, names[i]);
    assert_int_equal(found->kind, kinds[i]);
    assert_int_equal(found->count, counts[i]);
    for (size_t k = 0; k < counts[i]; k++) {
      const norma_tensor *held = &found->tensors[k].tensor;
      assert_int_equal(held->dims[0], i < 2 ? 2 : 4);
      assert_true(((const float *)held->data)[i < 2 ? 1 : 3] == 6);
    }
  }
  assert_int_equal(reading_release(&reading), 0);
}

static void types_and_lists_of_them(void **state) {
  (void)state;
  Onnx__TypeProto__Tensor tensor = ONNX__TYPE_PROTO__TENSOR__INIT;
  Onnx__TypeProto inner = ONNX__TYPE_PROTO__INIT, outer = ONNX__TYPE_PROTO__INIT, *types[] = {&inner, &outer};
  Onnx__TypeProto__Sequence sequence = ONNX__TYPE_PROTO__SEQUENCE__INIT;
  tensor.has_elem_type = 1;
  tensor.elem_type = NORMA_INT16;
  inner.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
  inner.tensor_type = &tensor;
  outer.value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
  outer.sequence_type = &sequence;
  sequence.elem_type = &inner;
  Onnx__AttributeProto one = ONNX__ATTRIBUTE_PROTO__INIT, many = ONNX__ATTRIBUTE_PROTO__INIT, *list[] = {&one, &many};
  one.name = (char *)(uintptr_t) "one";
  many.name = (char *)(uintptr_t) "many";
  one.tp = &outer;
  many.n_type_protos = 2;
  many.type_protos = types;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_attribute_messages(&reading, list, 2), NORMA_OK);
  const attribute *found = node_attribute(reading.model.graph->first, "one");
  assert_int_equal(found->kind, ATTRIBUTE_TYPE_PROTO);
  assert_int_equal(found->type->kind, NORMA_VALUE_SEQUENCE);
  assert_int_equal(found->type->item->type, NORMA_INT16);
  found = node_attribute(reading.model.graph->first, "many");
  assert_int_equal(found->kind, ATTRIBUTE_TYPE_PROTOS);
  assert_int_equal(found->count, 2);
  assert_int_equal(found->type[0].type, NORMA_INT16);
  assert_int_equal(found->type[1].kind, NORMA_VALUE_SEQUENCE);
  assert_int_equal(reading_release(&reading), 0);
}

static void lists_of_graphs(void **state) {
  (void)state;
  Onnx__GraphProto graphs[2] = {ONNX__GRAPH_PROTO__INIT, ONNX__GRAPH_PROTO__INIT}, *list[] = {&graphs[0], &graphs[1]};
  Onnx__AttributeProto attribute = ONNX__ATTRIBUTE_PROTO__INIT, *attributes[] = {&attribute};
  graphs[0].name = (char *)(uintptr_t) "first";
  graphs[1].name = (char *)(uintptr_t) "second";
  attribute.name = (char *)(uintptr_t) "g";
  attribute.n_graphs = 2;
  attribute.graphs = list;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_attribute_messages(&reading, attributes, 1), NORMA_OK);
  const node *node = reading.model.graph->first;
  const struct attribute *found = node_attribute(node, "g");
  assert_int_equal(found->kind, ATTRIBUTE_GRAPHS);
  assert_int_equal(found->count, 2);
  assert_string_equal(found->graphs[1]->name, "second");
  assert_ptr_equal(found->graphs[0]->parent, reading.model.graph);
  assert_ptr_equal(found->graphs[0]->parent_node, node);
  assert_int_equal(reading_release(&reading), 0);
}

/* Texts are bytes, with zeros or without. */
static void texts_with_zeros(void **state) {
  (void)state;
  Onnx__AttributeProto one = ONNX__ATTRIBUTE_PROTO__INIT, many = ONNX__ATTRIBUTE_PROTO__INIT, *list[] = {&one, &many};
  ProtobufCBinaryData texts[] = {{3, (uint8_t *)(uintptr_t) "a\0b"}, {0, NULL}};
  one.name = (char *)(uintptr_t) "one";
  one.has_s = 1;
  one.s = texts[0];
  many.name = (char *)(uintptr_t) "many";
  many.n_strings = 2;
  many.strings = texts;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_attribute_messages(&reading, list, 2), NORMA_OK);
  const attribute *found = node_attribute(reading.model.graph->first, "one");
  assert_int_equal(found->s.size, 3);
  assert_memory_equal(found->s.data, "a\0b", 4); /* terminated all the same */
  found = node_attribute(reading.model.graph->first, "many");
  assert_int_equal(found->strings[0].size, 3);
  assert_int_equal(found->strings[1].size, 0);
  assert_int_equal(reading_release(&reading), 0);
}

/* ------------------------------------------------------------------------------------------------------------ kinds */

/* Attributes as protobuf-c packs them, put into a node by hand. */
static void expect_attribute(const Onnx__AttributeProto *attribute, norma_status status, const char *part) {
  Onnx__AttributeProto *attributes[] = {(Onnx__AttributeProto *)(uintptr_t)attribute};
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_attribute_messages(&reading, attributes, 1), status);
  if (status != NORMA_OK && !strstr(reading.error.message, part)) {
    fail_msg("expected '%s' in '%s'", part, reading.error.message);
  }
  if (status != NORMA_OK) assert_string_equal(reading.error.node, "n");
  if (status == NORMA_OK) assert_int_equal(reading.model.graph->first->attributes[0].kind, atoi(part));
  assert_int_equal(reading_release(&reading), 0);
}

static void kinds_of_attributes_are_checked(void **state) {
  (void)state;
  Onnx__AttributeProto attribute = ONNX__ATTRIBUTE_PROTO__INIT;
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "an attribute has no name");
  attribute.name = (char *)(uintptr_t) "a";
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "attribute 'a': it has no type and no value");
  attribute.has_i = 1;
  expect_attribute(&attribute, NORMA_OK, "2"); /* IR version 1 had no types */
  attribute.has_f = 1;
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "it has no type and several values");
  attribute.has_type = 1;
  attribute.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "its type is int but it has a value of type float");
  attribute.has_f = 0;
  expect_attribute(&attribute, NORMA_OK, "2");
  attribute.has_i = 0;
  expect_attribute(&attribute, NORMA_OK, "2"); /* writers of proto3 leave out zeros */
  attribute.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "its type is tensor but it has no value");
  attribute.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS;
  expect_attribute(&attribute, NORMA_OK, "8");
  attribute.type = (Onnx__AttributeProto__AttributeType)77;
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "77 is not a type of attributes");
  attribute.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
  attribute.ref_attr_name = (char *)(uintptr_t) "outer";
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "stands in none");
}

/* Lists without elements and scalars of zero may be left out by a writer; other kinds may not. */
static void what_writers_leave_out(void **state) {
  static const struct {
    int type;
    bool may;
  } cases[] = {{ATTRIBUTE_FLOAT, true},          {ATTRIBUTE_INT, true},
               {ATTRIBUTE_STRING, true},         {ATTRIBUTE_TENSOR, false},
               {ATTRIBUTE_GRAPH, false},         {ATTRIBUTE_FLOATS, true},
               {ATTRIBUTE_INTS, true},           {ATTRIBUTE_STRINGS, true},
               {ATTRIBUTE_TENSORS, true},        {ATTRIBUTE_GRAPHS, true},
               {ATTRIBUTE_SPARSE_TENSOR, false}, {ATTRIBUTE_TYPE_PROTO, false}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char kind[8];
    Onnx__AttributeProto attribute = ONNX__ATTRIBUTE_PROTO__INIT;
    attribute.name = (char *)(uintptr_t) "a";
    attribute.has_type = 1;
    attribute.type = (Onnx__AttributeProto__AttributeType)cases[i].type;
    snprintf(kind, sizeof kind, "%d", cases[i].type);
    expect_attribute(&attribute, cases[i].may ? NORMA_OK : NORMA_ERROR_INVALID_MODEL,
                     cases[i].may ? kind : "but it has no value");
  }
}

/* Zeros of each kind are zeros. */
static void left_out_scalars_are_zero(void **state) {
  (void)state;
  Onnx__AttributeProto attributes[3], *list[3];
  for (int i = 0; i < 3; i++) {
    static const char *const names[] = {"f", "i", "s"};
    onnx__attribute_proto__init(&attributes[i]);
    attributes[i].name = (char *)(uintptr_t)names[i];
    attributes[i].has_type = 1;
    attributes[i].type = (Onnx__AttributeProto__AttributeType)(ATTRIBUTE_FLOAT + i);
    list[i] = &attributes[i];
  }
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_attribute_messages(&reading, list, 3), NORMA_OK);
  const node *node = reading.model.graph->first;
  assert_true(attribute_float(node, "f", 7) == 0);
  assert_int_equal(attribute_int(node, "i", 7), 0);
  assert_string_equal(attribute_string(node, "s", "other"), "");
  assert_int_equal(reading_release(&reading), 0);
}

static void attributes_stand_once(void **state) {
  (void)state;
  model_builder *b = unary_model("Op");
  node *made = builder_model(b)->graph->first;
  builder_int(made, "a", 1);
  builder_float(made, "b", 1);
  made->attributes[1].name = "a";
  expect_unreadable(b, NORMA_ERROR_INVALID_MODEL, "attribute 'a' is there twice");
}

static void long_names_are_refused(void **state) {
  (void)state;
  for (int more = 0; more < 2; more++) {
    static char name[LONGEST_OPERATOR_NAME + 2];
    memset(name, 'a', sizeof name);
    name[LONGEST_OPERATOR_NAME + more] = '\0';
    Onnx__AttributeProto attribute = ONNX__ATTRIBUTE_PROTO__INIT;
    attribute.name = name;
    attribute.has_i = 1;
    expect_attribute(&attribute, more ? NORMA_ERROR_INVALID_MODEL : NORMA_OK, more ? "more than 512 bytes" : "2");
  }
}

/* ------------------------------------------------------------------------------------------------------- references */

/* A reference may say what it expects, and then it must be so. */
static void references_expect_a_type(void **state) {
  (void)state;
  for (int wrong = 0; wrong < 3; wrong++) {
    model_reading reading;
    test_function leaky;
    test_node inner, call;
    message_leaky(&leaky, &inner);
    message_add_name(leaky.attributes, &leaky.proto.n_attribute, "slope");
    message_call(&call, "call", "leaky", "x", "y");
    Onnx__AttributeProto *given = message_attribute(&call, "slope");
    message_set_float(given, 3);
    if (wrong) {
      given->has_f = 0;
      given->has_i = 1;
      given->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    }
    if (wrong == 2) inner.attributes[0].has_type = 0; /* it expects nothing */
    reading_init(&reading, 0);
    norma_status status = read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1);
    assert_int_equal(status, wrong == 1 ? NORMA_ERROR_INVALID_MODEL : NORMA_OK);
    if (wrong == 1) assert_non_null(strstr(reading.error.message, "'slope', which is of another type"));
    if (status == NORMA_OK) {
      const attribute *alpha = node_attribute(reading.model.graph->first, "alpha");
      assert_int_equal(alpha->kind, wrong ? ATTRIBUTE_INT : ATTRIBUTE_FLOAT);
    }
    assert_int_equal(reading_release(&reading), 0);
  }
}

/* Memory may run out at any of them. */
static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){4});
  node *made = builder_node(b, "Op", "x", "y");
  builder_string(made, "s", "text");
  builder_ints(made, "is", 2, (int64_t[]){1, -2});
  builder_float_list(made, "fs", 2, (float[]){1, 2.5f});
  builder_string_list(made, "ss", 2, (const char *const[]){"a", ""});
  builder_tensor(made, "t", NORMA_INT32, 1, (int64_t[]){2}, (int32_t[]){7, 8});
  model_builder *inner = builder_subgraph(b, made, "g");
  builder_node(inner, "Neg", "x", "z");
  builder_output(inner, "z", NORMA_UNDEFINED, -1, NULL);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_status status = NORMA_ERROR_OUT_OF_MEMORY;
  for (size_t k = 1; status != NORMA_OK; k++) {
    model_reading reading;
    for (int once = 0; once < 2; once++) {
      reading_init(&reading, 0);
      reading.fail_at = k;
      reading.fail_once = once;
      status = reading_read(&reading, bytes, size);
      assert_int_equal(status, reading.allocations < k ? NORMA_OK : NORMA_ERROR_OUT_OF_MEMORY);
      assert_int_equal(reading_release(&reading), 0);
    }
  }
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_and_attributes_are_read),
      cmocka_unit_test(tensors_of_every_kind),
      cmocka_unit_test(types_and_lists_of_them),
      cmocka_unit_test(lists_of_graphs),
      cmocka_unit_test(texts_with_zeros),
      cmocka_unit_test(kinds_of_attributes_are_checked),
      cmocka_unit_test(what_writers_leave_out),
      cmocka_unit_test(left_out_scalars_are_zero),
      cmocka_unit_test(attributes_stand_once),
      cmocka_unit_test(long_names_are_refused),
      cmocka_unit_test(references_expect_a_type),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
