/* Looking into a model through norma.h: graphs, nodes, values, types and attributes of every kind. */
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static norma_model *load(model_builder *b, norma_load_options options) {
  size_t size;
  norma_model *model;
  norma_error error;
  const void *bytes = builder_bytes(b, &size);
  options.struct_size = sizeof options;
  if (norma_model_load_memory(bytes, size, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  builder_destroy(b);
  return model;
}

static norma_model *inspect(model_builder *b) {
  return load(b, (norma_load_options){.form = NORMA_FORM_INSPECT});
}

static norma_graph_value_info about(const norma_graph_value *value) {
  norma_graph_value_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_graph_value_describe(value, &info), NORMA_OK);
  return info;
}

static norma_node_info about_node(const norma_node *node) {
  norma_node_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_node_describe(node, &info), NORMA_OK);
  return info;
}

/* y = Relu(x + w), z = Mystery(y), with an open dimension called "batch". */
static norma_model *make_small(void) {
  model_builder *b = builder_create(17);
  builder_import(b, "test", 3);
  graph_value *x = builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){-1, 3});
  builder_dim_name(b, x, 0, "batch");
  builder_floats(b, "w", 1, (int64_t[]){3}, (float[]){1, 2, 3});
  builder_named_node(b, "sum", "", "Add", "x w", "s");
  builder_named_node(b, "act", "", "Relu", "s", "y");
  builder_named_node(b, "odd", "test", "Mystery", "y - y", "z -");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  builder_output(b, "z", NORMA_INT32, -1, NULL);
  return inspect(b);
}

static void nodes_in_their_order(void **state) {
  (void)state;
  norma_model *model = make_small();
  norma_graph_info graph = {.struct_size = sizeof graph};
  assert_int_equal(norma_graph_describe(norma_model_graph(model), &graph), NORMA_OK);
  assert_true(graph.node_count == 3 && graph.input_count == 1 && graph.output_count == 2 && !graph.parent);
  const norma_node *node = norma_graph_first_node(norma_model_graph(model));
  norma_node_info sum = about_node(node);
  assert_string_equal(sum.name, "sum");
  assert_string_equal(sum.op_type, "Add");
  assert_string_equal(sum.domain, "ai.onnx");
  assert_true(sum.opset == 17 && sum.version == 14 && sum.input_count == 2 && sum.output_count == 1);
  assert_ptr_equal(sum.graph, norma_model_graph(model));
  const norma_node *odd = norma_node_next(norma_node_next(node));
  norma_node_info mystery = about_node(odd);
  assert_string_equal(mystery.domain, "test");
  assert_true(mystery.opset == 3 && mystery.version == 0); /* this build has no such operator */
  assert_true(mystery.input_count == 3);
  assert_null(norma_node_input(odd, 1));
  assert_ptr_equal(norma_node_input(odd, 0), norma_node_input(odd, 2));
  assert_null(norma_node_input(odd, 3));
  assert_null(norma_node_next(odd));
  norma_model_destroy(model);
}

static void values_and_their_types(void **state) {
  (void)state;
  norma_model *model = make_small();
  const norma_graph *graph = norma_model_graph(model);
  const norma_graph_value *x = norma_graph_input(graph, 0), *y = norma_graph_output(graph, 0);
  norma_graph_value_info info = about(x);
  assert_string_equal(info.name, "x");
  assert_true(info.is_input && !info.is_output && !info.is_initializer && !info.is_constant && info.reader_count == 1);
  assert_null(info.producer);
  assert_int_equal(norma_type_kind(info.type), NORMA_VALUE_TENSOR);
  assert_int_equal(norma_type_element(info.type), NORMA_FLOAT);
  assert_int_equal(norma_type_rank(info.type), 2);
  assert_true(norma_type_dims(info.type)[0] == -1 && norma_type_dims(info.type)[1] == 3);
  assert_string_equal(norma_graph_value_dim_name(x, 0), "batch");
  assert_null(norma_graph_value_dim_name(x, 1));
  assert_null(norma_graph_value_dim_name(x, -1));
  assert_null(norma_graph_value_dim_name(x, 99));

  norma_graph_value_info w = about(norma_graph_find_value(graph, "w"));
  assert_true(w.is_initializer && w.is_constant && !w.is_input);
  assert_non_null(w.contents);
  assert_true(((const float *)norma_value_tensor(w.contents)->data)[2] == 3);

  norma_graph_value_info between = about(norma_graph_find_value(graph, "s"));
  assert_int_equal(norma_type_rank(between.type), 2); /* inferred */
  assert_string_equal(about_node(between.producer).name, "sum");
  norma_graph_value_info result = about(y);
  assert_true(result.is_output && result.reader_count == 2);
  assert_string_equal(about_node(norma_graph_value_reader(y, 0)).name, "odd");
  assert_string_equal(about_node(norma_graph_value_reader(y, 1)).name, "odd");
  assert_null(norma_graph_value_reader(y, 2));

  /* behind an operator that nobody knows what is declared is all there is */
  norma_graph_value_info z = about(norma_graph_output(graph, 1));
  assert_int_equal(norma_type_element(z.type), NORMA_INT32);
  assert_int_equal(norma_type_rank(z.type), -1);
  assert_null(norma_type_dims(z.type));
  assert_null(norma_graph_find_value(graph, "no such value"));
  norma_graph_info counts = {.struct_size = sizeof counts};
  assert_int_equal(norma_graph_describe(graph, &counts), NORMA_OK);
  size_t named = 0;
  for (size_t i = 0; i < counts.value_count; i++) named += norma_graph_value_at(graph, i) != NULL;
  assert_int_equal(named, 5); /* x w s y z */
  assert_null(norma_graph_value_at(graph, counts.value_count));
  norma_model_destroy(model);
}

static void types_of_containers_in_full(void **state) {
  (void)state;
  const shape vector = {.rank = 1, .dims = {4}};
  const value_info tensor = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_DOUBLE, .shape = vector};
  const value_info map = {.kind = NORMA_VALUE_MAP, .type = NORMA_STRING, .shape = {.rank = -1}, .item = &tensor};
  const value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .shape = {.rank = -1}, .item = &map};
  const value_info optional = {.kind = NORMA_VALUE_OPTIONAL, .shape = {.rank = -1}, .item = &sequence};
  model_builder *b = builder_create(17);
  builder_input_info(b, "x", &optional);
  builder_node(b, "Identity", "x", "y");
  builder_output_info(b, "y", &optional);
  norma_model *model = inspect(b);
  const norma_type *type = about(norma_graph_input(norma_model_graph(model), 0)).type;
  static const norma_value_kind kinds[] = {NORMA_VALUE_OPTIONAL, NORMA_VALUE_SEQUENCE, NORMA_VALUE_MAP,
                                           NORMA_VALUE_TENSOR};
  for (int i = 0; i < 4; i++, type = norma_type_item(type)) {
    assert_int_equal(norma_type_kind(type), kinds[i]);
    if (kinds[i] == NORMA_VALUE_MAP) assert_int_equal(norma_type_element(type), NORMA_STRING);
    assert_int_equal(norma_type_rank(type), kinds[i] == NORMA_VALUE_TENSOR ? 1 : -1);
    if (kinds[i] == NORMA_VALUE_TENSOR) assert_int_equal(norma_type_dims(type)[0], 4);
  }
  assert_null(type);
  assert_int_equal(norma_type_kind(NULL), NORMA_VALUE_NONE);
  assert_int_equal(norma_type_rank(NULL), -1);
  norma_model_destroy(model);
}

/* An attribute whose kind the builder has no function for. */
static attribute *add_attribute(node *node, const char *name) {
  builder_int(node, name, 0);
  return &node->attributes[node->attribute_count - 1];
}

static void attributes_of_every_kind(void **state) {
  (void)state;
  static value tensors[2];
  static float data[2] = {5, 6};
  const value_info types[2] = {{.kind = NORMA_VALUE_TENSOR, .type = NORMA_INT8, .shape = {.rank = -1}},
                               {.kind = NORMA_VALUE_SEQUENCE, .shape = {.rank = -1}}};
  model_builder *b = builder_create(17);
  builder_import(b, "test", 1);
  builder_input(b, "x", NORMA_FLOAT, 0, NULL);
  node *all = builder_named_node(b, "all", "test", "All", "x", "y");
  builder_int(all, "i", -7);
  builder_float(all, "f", 0.5f);
  builder_string(all, "s", "text");
  builder_ints(all, "is", 3, (int64_t[]){1, 2, 3});
  builder_float_list(all, "fs", 2, (float[]){1.5f, 2.5f});
  builder_string_list(all, "ss", 2, (const char *const[]){"a", "bc"});
  builder_tensor(all, "t", NORMA_INT32, 1, (int64_t[]){2}, (int32_t[]){8, 9});
  attribute *type = add_attribute(all, "tp");
  type->kind = ATTRIBUTE_TYPE_PROTO;
  type->count = 1;
  type->type = &types[0];
  attribute *many = add_attribute(all, "tps");
  many->kind = ATTRIBUTE_TYPE_PROTOS;
  many->count = 2;
  many->type = types;
  for (int i = 0; i < 2; i++) {
    tensors[i].kind = NORMA_VALUE_TENSOR;
    norma_tensor_init(&tensors[i].tensor, NORMA_FLOAT, 0, NULL, &data[i]);
  }
  attribute *list = add_attribute(all, "ts");
  list->kind = ATTRIBUTE_TENSORS;
  list->count = 2;
  list->tensors = tensors;
  model_builder *inner = builder_subgraph(b, all, "g");
  builder_node(inner, "Neg", "x", "inner_y");
  builder_output(inner, "inner_y", NORMA_FLOAT, -1, NULL);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = inspect(b);
  const norma_node *node = norma_graph_first_node(norma_model_graph(model));
  static const struct {
    const char *name;
    norma_attribute_kind kind;
    size_t count;
  } expected[] = {
      {"i", NORMA_ATTRIBUTE_INT, 1},      {"f", NORMA_ATTRIBUTE_FLOAT, 1},   {"s", NORMA_ATTRIBUTE_STRING, 1},
      {"is", NORMA_ATTRIBUTE_INTS, 3},    {"fs", NORMA_ATTRIBUTE_FLOATS, 2}, {"ss", NORMA_ATTRIBUTE_STRINGS, 2},
      {"t", NORMA_ATTRIBUTE_TENSOR, 1},   {"tp", NORMA_ATTRIBUTE_TYPE, 1},   {"tps", NORMA_ATTRIBUTE_TYPES, 2},
      {"ts", NORMA_ATTRIBUTE_TENSORS, 2}, {"g", NORMA_ATTRIBUTE_GRAPH, 1}};
  assert_int_equal(about_node(node).attribute_count, 11);
  for (size_t i = 0; i < 11; i++) {
    const norma_attribute *one = norma_node_find_attribute(node, expected[i].name);
    assert_non_null(one);
    assert_string_equal(norma_attribute_name(one), expected[i].name);
    assert_int_equal(norma_attribute_get_kind(one), expected[i].kind);
    assert_int_equal(norma_attribute_count(one), expected[i].count);
    /* of other kinds, and beyond the end, there is nothing */
    bool is_int = expected[i].kind == NORMA_ATTRIBUTE_INT || expected[i].kind == NORMA_ATTRIBUTE_INTS;
    if (!is_int) assert_int_equal(norma_attribute_int(one, 0), 0);
    assert_int_equal(norma_attribute_int(one, expected[i].count), 0);
    assert_null(norma_attribute_tensor(one, expected[i].count));
    assert_null(norma_attribute_string(one, expected[i].count).data);
    assert_null(norma_attribute_graph(one, expected[i].count));
    assert_null(norma_attribute_type(one, expected[i].count));
    assert_true(norma_attribute_float(one, expected[i].count) == 0);
  }
#define FIND(name) norma_node_find_attribute(node, name)
  assert_int_equal(norma_attribute_int(FIND("i"), 0), -7);
  assert_true(norma_attribute_float(FIND("f"), 0) == 0.5f);
  assert_string_equal(norma_attribute_string(FIND("s"), 0).data, "text");
  assert_int_equal(norma_attribute_int(FIND("is"), 2), 3);
  assert_true(norma_attribute_float(FIND("fs"), 1) == 2.5f);
  assert_string_equal(norma_attribute_string(FIND("ss"), 1).data, "bc");
  assert_int_equal(norma_attribute_string(FIND("ss"), 1).size, 2);
  assert_int_equal(((const int32_t *)norma_value_tensor(norma_attribute_tensor(FIND("t"), 0))->data)[1], 9);
  assert_true(*(const float *)norma_value_tensor(norma_attribute_tensor(FIND("ts"), 1))->data == 6);
  assert_int_equal(norma_type_element(norma_attribute_type(FIND("tp"), 0)), NORMA_INT8);
  assert_int_equal(norma_type_kind(norma_attribute_type(FIND("tps"), 1)), NORMA_VALUE_SEQUENCE);
#undef FIND
  const norma_graph *graph = norma_attribute_graph(norma_node_find_attribute(node, "g"), 0);
  assert_ptr_equal(graph, norma_node_subgraph(node, 0));
  assert_null(norma_node_subgraph(node, 1));
  norma_graph_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_graph_describe(graph, &info), NORMA_OK);
  assert_ptr_equal(info.parent, node);
  const norma_node *neg = norma_graph_first_node(graph);
  assert_ptr_equal(norma_node_input(neg, 0), norma_graph_input(norma_model_graph(model), 0)); /* an outer value */
  assert_non_null(norma_graph_find_value(graph, "x"));
  assert_null(norma_node_find_attribute(node, "none"));
  assert_null(norma_node_attribute(node, 11));
  assert_string_equal(norma_attribute_name(norma_node_attribute(node, 0)), "i");
  norma_model_destroy(model);
}

/* What optimisation made is seen too: one node with both names; weights that were packed are gone. */
static void an_optimised_graph(void **state) {
  (void)state;
  static float weights[8 * 8 * 3 * 3];
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){1, 8, 6, 6});
  for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) weights[i] = (float)(i % 7);
  builder_floats(b, "w", 4, (int64_t[]){8, 8, 3, 3}, weights);
  builder_named_node(b, "conv", "", "Conv", "x w", "c");
  builder_named_node(b, "relu", "", "Relu", "c", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = load(b, (norma_load_options){.optimization = NORMA_OPTIMIZE_FULL});
  bool joined = false, packed = false;
  for (const norma_node *node = norma_graph_first_node(norma_model_graph(model)); node; node = norma_node_next(node)) {
    norma_node_info info = about_node(node);
    joined = joined || (strstr(info.name, "conv") && strstr(info.name, "relu"));
    for (size_t i = 0; i < info.input_count; i++) {
      const norma_graph_value *input = norma_node_input(node, i);
      if (!input) continue;
      norma_graph_value_info value = about(input);
      packed = packed || (value.is_constant && !value.contents && norma_type_rank(value.type) == 4);
    }
  }
  assert_true(joined && packed);
  norma_model_destroy(model);
}

static void nothing_is_asked_of_nothing(void **state) {
  (void)state;
  norma_node_info node = {.struct_size = sizeof node};
  norma_graph_info graph = {.struct_size = sizeof graph};
  norma_graph_value_info value = {.struct_size = sizeof value};
  assert_int_equal(norma_node_describe(NULL, &node), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_graph_describe(NULL, &graph), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_graph_value_describe(NULL, &value), NORMA_ERROR_ARGUMENT);
  assert_null(norma_graph_first_node(NULL));
  assert_null(norma_node_next(NULL));
  assert_null(norma_graph_input(NULL, 0));
  assert_null(norma_graph_output(NULL, 0));
  assert_null(norma_graph_value_at(NULL, 0));
  assert_null(norma_graph_find_value(NULL, "x"));
  assert_null(norma_node_input(NULL, 0));
  assert_null(norma_node_output(NULL, 0));
  assert_null(norma_node_subgraph(NULL, 0));
  assert_null(norma_node_attribute(NULL, 0));
  assert_null(norma_node_find_attribute(NULL, "x"));
  assert_null(norma_graph_value_reader(NULL, 0));
  assert_null(norma_graph_value_dim_name(NULL, 0));
  assert_null(norma_type_item(NULL));
  assert_string_equal(norma_attribute_name(NULL), "");
  assert_int_equal(norma_attribute_get_kind(NULL), NORMA_ATTRIBUTE_NONE);
  assert_int_equal(norma_attribute_count(NULL), 0);
  assert_int_equal(norma_attribute_int(NULL, 0), 0);
  norma_model *model = make_small();
  const norma_node *first = norma_graph_first_node(norma_model_graph(model));
  node.struct_size = 4;
  assert_int_equal(norma_node_describe(first, &node), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_node_describe(first, NULL), NORMA_ERROR_ARGUMENT);
  norma_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_in_their_order),        cmocka_unit_test(values_and_their_types),
      cmocka_unit_test(types_of_containers_in_full), cmocka_unit_test(attributes_of_every_kind),
      cmocka_unit_test(an_optimised_graph),          cmocka_unit_test(nothing_is_asked_of_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
