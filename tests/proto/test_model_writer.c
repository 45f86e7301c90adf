/* Graphs as ONNX files: what is written reads the same, whatever a graph can hold, and what ONNX has no form for is
 * refused. */
#include "proto/model_writer.h"

#include "engine/execute/runtime.h"
#include "tests/support/built_model.h"
#include "tests/support/built_reading.h"
#include "tests/support/failing_allocations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* ------------------------------------------------------------------------------------------------------ round trips */

/* Written and read again, a model gives the same bytes. */
static void expect_same_bytes(const void *bytes, size_t size) {
  size_t again_size;
  void *again;
  model_reading reading;
  reading_init(&reading, 0);
  if (reading_read(&reading, bytes, size) != NORMA_OK) fail_msg("%s", reading.error.message);
  assert_int_equal(model_write_memory(&reading.model, NULL, &again, &again_size, &reading.error), NORMA_OK);
  assert_int_equal(again_size, size);
  assert_memory_equal(again, bytes, size);
  memory_free(&reading.memory, again);
  assert_int_equal(reading_release(&reading), 0);
}

/* Written and read again, a model gives the same bytes. */
static void written_models_read_the_same(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  value_info tensor = value_info_tensor(NORMA_INT64, &(shape){.rank = 1, .dims = {DIM_UNKNOWN}});
  value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .item = &tensor, .shape = shape_unknown()};
  value_info optional = {.kind = NORMA_VALUE_OPTIONAL, .item = &sequence, .shape = shape_unknown()};
  value_info map = {.kind = NORMA_VALUE_MAP, .type = NORMA_STRING, .item = &tensor, .shape = shape_unknown()};
  builder_input_info(b, "s", &sequence);
  builder_input_info(b, "o", &optional);
  builder_input_info(b, "m", &map);
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  builder_strings(b, "words", 1, (int64_t[]){2}, (const char *const[]){"", "w"});
  builder_initializer(b, "packed", NORMA_INT4, 1, (int64_t[]){3}, "\x21\x03");
  node *branch = builder_node(b, "If", "c", "y");
  model_builder *inner = builder_subgraph(b, branch, "then_branch");
  builder_floats(inner, "w", 0, NULL, (float[]){5});
  builder_output(inner, "w", NORMA_FLOAT, 0, NULL);
  builder_node(b, "Op", "s o m words packed", "z");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  builder_output_info(b, "z", &sequence);
  size_t size, again_size;
  const void *bytes = builder_bytes(b, &size);
  void *again;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(reading_read(&reading, bytes, size), NORMA_OK);
  assert_int_equal(reading.model.graph->inputs[1]->info.item->item->type, NORMA_INT64);
  assert_int_equal(model_write_memory(&reading.model, NULL, &again, &again_size, &reading.error), NORMA_OK);
  assert_int_equal(again_size, size);
  assert_memory_equal(again, bytes, size);
  memory_free(&reading.memory, again);
  assert_int_equal(reading_release(&reading), 0);
  builder_destroy(b);
}

/* Attributes of every kind, and lists of none. */
static model_builder *make_attributes(void) {
  model_builder *b = builder_create(17);
  builder_import(b, "com.example", 2);
  builder_metadata(b, "key", "text");
  builder_model(b)->producer_name = "maker";
  builder_model(b)->model_version = 3;
  builder_model(b)->doc_string = "words";
  graph_value *x = builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 3));
  builder_dim_name(b, x, 0, "batch");
  node *made = builder_named_node(b, "own", "com.example", "Op", "x - x", "y - z");
  made->overload = "variant";
  builder_int(made, "i", INT64_MIN);
  builder_float(made, "f", 0);
  builder_string(made, "s", "");
  builder_ints(made, "is", 2, DIMS(1, -2));
  builder_float_list(made, "fs", 2, (float[]){1, 2.5f});
  builder_string_list(made, "ss", 2, (const char *const[]){"a", ""});
  builder_tensor(made, "t", NORMA_INT32, 1, DIMS(2), (int32_t[]){7, 8});
  builder_tensor(made, "sparse", NORMA_FLOAT, 2, DIMS(1, 3), (float[]){0, 3, 0});
  made->attributes[made->attribute_count - 1].kind = ATTRIBUTE_SPARSE_TENSOR;
  builder_ints(made, "none", 0, NULL);
  builder_node(b, "Relu", "y", "w"); /* without a name of its own */
  builder_output(b, "w", NORMA_FLOAT, -1, NULL);
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  return b;
}

static void attributes_and_texts(void **state) {
  (void)state;
  size_t size;
  model_builder *b = make_attributes();
  const void *bytes = builder_bytes(b, &size);
  expect_same_bytes(bytes, size);
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(reading_read(&reading, bytes, size), NORMA_OK);
  assert_string_equal(reading.model.graph->first->overload, "variant");
  assert_string_equal(reading.model.graph->last->name, "#1 (Relu)");
  assert_int_equal(attribute_int(reading.model.graph->first, "i", 0), INT64_MIN);
  const attribute *sparse = node_attribute(reading.model.graph->first, "sparse");
  assert_int_equal(sparse->kind, ATTRIBUTE_SPARSE_TENSOR);
  assert_int_equal(sparse->tensor->tensor.dims[1], 3);
  assert_memory_equal(sparse->tensor->tensor.data, ((float[]){0, 3, 0}), 12);
  assert_int_equal(reading_release(&reading), 0);
  builder_destroy(b);
}

/* Lists of tensors, graphs and types. */
static void lists_of_all_kinds(void **state) {
  (void)state;
  float numbers[] = {5};
  Onnx__TensorProto tensor = ONNX__TENSOR_PROTO__INIT, *tensors[] = {&tensor, &tensor};
  Onnx__TypeProto type = ONNX__TYPE_PROTO__INIT, *types[] = {&type, &type};
  Onnx__TypeProto__Tensor inner = ONNX__TYPE_PROTO__TENSOR__INIT;
  Onnx__GraphProto graphs[2] = {ONNX__GRAPH_PROTO__INIT, ONNX__GRAPH_PROTO__INIT}, *list[] = {&graphs[0], &graphs[1]};
  Onnx__AttributeProto attributes[5], *attribute_list[5];
  static const char *const names[] = {"t", "ts", "gs", "tp", "tps"};
  for (int i = 0; i < 5; i++) {
    onnx__attribute_proto__init(&attributes[i]);
    attributes[i].name = (char *)(uintptr_t)names[i];
    attribute_list[i] = &attributes[i];
  }
  tensor.has_data_type = 1;
  tensor.data_type = NORMA_FLOAT;
  tensor.n_float_data = 1;
  tensor.float_data = numbers;
  type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
  type.tensor_type = &inner;
  inner.has_elem_type = 1;
  inner.elem_type = NORMA_INT8;
  attributes[0].t = &tensor;
  attributes[1].n_tensors = attributes[2].n_graphs = attributes[4].n_type_protos = 2;
  attributes[1].tensors = tensors;
  attributes[2].graphs = list;
  attributes[3].tp = &type;
  attributes[4].type_protos = types;
  Onnx__NodeProto node = ONNX__NODE_PROTO__INIT, *nodes[] = {&node};
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
  node.op_type = (char *)(uintptr_t) "Op";
  node.n_attribute = 5;
  node.attribute = attribute_list;
  graph.n_node = 1;
  graph.node = nodes;
  void *bytes;
  size_t size;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_graph_message(&reading, &graph), NORMA_OK);
  assert_int_equal(model_write_memory(&reading.model, NULL, &bytes, &size, &reading.error), NORMA_OK);
  expect_same_bytes(bytes, size);
  memory_free(&reading.memory, bytes);
  assert_int_equal(reading_release(&reading), 0);
}

/* Elements of every type, those of less than a byte and texts among them, and tensors of none. */
static void tensors_of_every_type(void **state) {
  (void)state;
  static const unsigned char bytes[64] = {1, 0, 1, 1, 0, 1};
  static const char *const words[] = {"", "word", "\xE2\x82\xAC"};
  model_builder *b = builder_create(17);
  for (int type = 1; type < 40; type++) {
    char name[16];
    if (!element_type_exists((norma_element_type)type)) continue;
    snprintf(name, sizeof name, "t%d", type);
    if (type == NORMA_STRING) builder_strings(b, name, 1, DIMS(3), words);
    if (type != NORMA_STRING) builder_initializer(b, name, (norma_element_type)type, 1, DIMS(3), bytes);
    builder_output(b, name, NORMA_UNDEFINED, -1, NULL);
  }
  builder_floats(b, "empty", 2, DIMS(3, 0), NULL);
  builder_output(b, "empty", NORMA_UNDEFINED, -1, NULL);
  size_t size;
  const void *written = builder_bytes(b, &size);
  expect_same_bytes(written, size);
  builder_destroy(b);
}

/* Initializers that nobody reads any more are left out, unless the file had them. */
static void unread_constants_of_passes_are_left_out(void **state) {
  (void)state;
  void *bytes;
  size_t size;
  model_builder *b = unary_model("Relu");
  builder_floats(b, "given", 1, DIMS(2), (float[]){1, 2});
  graph *graph = builder_model(b)->graph;
  for (int i = 0; i < 2; i++) {
    value contents = {.kind = NORMA_VALUE_TENSOR, .tensor = {.type = NORMA_FLOAT, .rank = 0}};
    static float number = 5;
    contents.tensor.data = &number;
    contents.tensor.size_bytes = sizeof number;
    graph_value *made = graph_add_constant(graph, i ? "unread" : "read", &contents);
    assert_non_null(made);
    if (!i) node_set_input(builder_node(b, "Neg", "x", "z"), 0, made);
  }
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(model_write_memory(builder_model(b), NULL, &bytes, &size, NULL), NORMA_OK);
  if (reading_read(&reading, bytes, size) != NORMA_OK) fail_msg("%s", reading.error.message);
  assert_non_null(graph_find_value(reading.model.graph, "given"));
  assert_non_null(graph_find_value(reading.model.graph, "read"));
  assert_null(graph_find_value(reading.model.graph, "unread"));
  assert_int_equal(reading_release(&reading), 0);
  memory_free(builder_model(b)->memory, bytes);
  builder_destroy(b);
}

/* ------------------------------------------------------------------------------------------------- what has no form */

/* Each fused part of a node by itself. */
static void fused_nodes_are_refused(void **state) {
  (void)state;
  for (int part = 0; part < 4; part++) {
    void *bytes;
    size_t size;
    norma_error error;
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 2));
    builder_floats(b, "w", 2, DIMS(2, 2), (float[4]){1, 2, 3, 4});
    builder_floats(b, "b", 1, DIMS(2), (float[2]){1, 2});
    node *node = builder_named_node(b, "fused", "", "MatMul", "x w b", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    if (part == 0) node->epilogue.bias_input = 2;
    if (part == 1) node->epilogue.residual_input = 2;
    if (part == 2) node->epilogue.activation.kind = UNARY_RELU;
    norma_status status = model_write_memory(builder_model(b), NULL, &bytes, &size, &error);
    assert_int_equal(status, part < 3 ? NORMA_ERROR_UNSUPPORTED : NORMA_OK);
    if (part < 3) assert_string_equal(error.node, "fused");
    if (part < 3) assert_non_null(strstr(error.message, "fused node"));
    if (part == 3) memory_free(builder_model(b)->memory, bytes);
    builder_destroy(b);
  }
}

/* A model that was optimised for runs has such nodes; the bias of a MatMul is one. */
static void models_optimised_for_runs_are_refused(void **state) {
  (void)state;
  void *bytes;
  size_t size;
  norma_error error;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 2, 2));
  builder_floats(b, "w", 2, DIMS(2, 2), (float[4]){1, 2, 3, 4});
  builder_floats(b, "b", 1, DIMS(2), (float[2]){1, 2});
  builder_node(b, "MatMul", "x w", "m");
  builder_node(b, "Add", "m b", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  size_t built_size;
  const void *built = builder_bytes(b, &built_size);
  norma_model *model;
  norma_load_options options = {.struct_size = sizeof options};
  options.optimization = NORMA_OPTIMIZE_FULL;
  options.keep_constants = true;
  assert_int_equal(norma_model_load_memory(built, built_size, &options, &model, &error), NORMA_OK);
  builder_destroy(b);
  assert_true(find_node(model, "MatMul")->epilogue.bias_input > 0);
  assert_int_equal(model_write_memory(model, NULL, &bytes, &size, &error), NORMA_ERROR_UNSUPPORTED);
  norma_model_destroy(model);
}

/* A node of another version than the model imports, in a subgraph as well. */
static void nodes_of_other_opsets_are_refused(void **state) {
  (void)state;
  for (int inside = 0; inside < 2; inside++) {
    void *bytes;
    size_t size;
    norma_error error;
    model_builder *b = unary_model("Relu");
    node *changed = builder_model(b)->graph->first;
    if (inside) {
      model_builder *branch = builder_subgraph(b, changed, "body");
      changed = builder_node(branch, "Neg", "x", "z");
      builder_output(branch, "z", NORMA_UNDEFINED, -1, NULL);
    }
    changed->opset = 16;
    assert_int_equal(model_write_memory(builder_model(b), NULL, &bytes, &size, &error), NORMA_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "does not import opset 16"));
    builder_destroy(b);
  }
}

/* ------------------------------------------------------------------------------------------------- failing to write */

static bool take_some(void *context, const void *bytes, size_t count) {
  size_t *left = context;
  (void)bytes;
  if (count > *left) return false;
  *left -= count;
  return true;
}

/* Whoever takes the bytes may refuse them at any point. */
static void writing_may_fail(void **state) {
  (void)state;
  size_t size;
  model_builder *b = make_attributes();
  builder_bytes(b, &size);
  for (size_t room = 0; room <= size; room++) {
    size_t left = room;
    norma_error error = {0};
    norma_status status = model_write(builder_model(b), take_some, &left, &error);
    assert_int_equal(status, room < size ? NORMA_ERROR_FILE : NORMA_OK);
    assert_int_equal(error.status, room < size ? NORMA_ERROR_FILE : NORMA_OK);
    if (room == size) assert_int_equal(left, 0);
  }
  builder_destroy(b);
}

static norma_status write_in(void *context, const norma_allocator *allocator, norma_error *error) {
  memory account;
  void *bytes;
  size_t size;
  memory_init(&account, allocator, 0);
  norma_model model = *(const norma_model *)context;
  model.memory = &account;
  norma_status status = model_write_memory(&model, NULL, &bytes, &size, error);
  if (status == NORMA_OK) memory_free(&account, bytes);
  assert_int_equal(atomic_load(&account.used), 0);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = make_attributes();
  assert_int_equal(fail_each_allocation(write_in, builder_model(b)), 0);
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(written_models_read_the_same),
      cmocka_unit_test(attributes_and_texts),
      cmocka_unit_test(lists_of_all_kinds),
      cmocka_unit_test(tensors_of_every_type),
      cmocka_unit_test(unread_constants_of_passes_are_left_out),
      cmocka_unit_test(fused_nodes_are_refused),
      cmocka_unit_test(models_optimised_for_runs_are_refused),
      cmocka_unit_test(nodes_of_other_opsets_are_refused),
      cmocka_unit_test(writing_may_fail),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
