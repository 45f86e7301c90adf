/* Model files as the fields of their main graph: each kept byte for byte, replaced or dropped, and new ones added. */
#include "proto/model_parts.h"

#include "tests/support/failing_allocations.h"
#include "tests/support/model_reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MODEL_IR = 1, MODEL_GRAPH = 7, MODEL_OPSET = 8, MODEL_TRAINING = 20, MODEL_FUNCTION = 25, UNKNOWN = 900 };

/* --------------------------------------------------------------------------------------------------- models by hand */

/* `inputs` and `outputs` end with NULL. */
static byte_block *make_node(const char *op_type, const char *const *inputs, const char *const *outputs) {
  byte_block *node = block_new();
  for (; *inputs; inputs++) block_text(node, NODE_INPUT, *inputs);
  for (; *outputs; outputs++) block_text(node, NODE_OUTPUT, *outputs);
  block_text(node, NODE_OP_TYPE, op_type);
  block_text(node, UNKNOWN, "of the node");
  return node;
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NONE       ((const char *const[]){NULL})

/* A tensor with its data in the file of that name (NULL: here). */
static byte_block *make_tensor(const char *name, const char *location) {
  byte_block *tensor = block_new();
  block_int(tensor, TENSOR_DATA_TYPE, NORMA_FLOAT);
  if (name) block_text(tensor, TENSOR_NAME, name);
  if (!location) {
    block_field(tensor, TENSOR_RAW_DATA, "\0\0\0\0", 4);
    return tensor;
  }
  static const char *const keys[] = {"offset", "location"};
  for (int i = 0; i < 2; i++) {
    byte_block *entry = block_new();
    block_text(entry, 1, keys[i]);
    block_text(entry, 2, i ? location : "0");
    block_message(tensor, TENSOR_EXTERNAL_DATA, entry);
  }
  block_int(tensor, TENSOR_DATA_LOCATION, 1);
  return tensor;
}

static byte_block *make_sparse(const char *name, const char *values, const char *indices) {
  byte_block *sparse = block_new();
  block_message(sparse, 1, make_tensor(name, values));
  block_message(sparse, 2, make_tensor(NULL, indices));
  return sparse;
}

static byte_block *make_value(const char *name) {
  byte_block *value = block_new();
  block_text(value, 1, name);
  return value;
}

static byte_block *make_model(byte_block *graph) {
  byte_block *model = block_new(), *opset = block_new();
  block_int(opset, 2, 13);
  block_int(model, MODEL_IR, 8);
  block_text(model, UNKNOWN, "before the graph");
  block_message(model, MODEL_GRAPH, graph);
  block_text(model, UNKNOWN, "behind the graph");
  block_message(model, MODEL_OPSET, opset);
  return model;
}

/* Something of each field. */
static byte_block *make_graph(void) {
  byte_block *graph = block_new();
  block_message(graph, GRAPH_NODE, make_node("Split", NAMES("x"), NAMES("", "s", "t")));
  block_text(graph, 2, "the graph");
  block_message(graph, GRAPH_INITIALIZER, make_tensor("a", NULL));
  block_message(graph, GRAPH_NODE, make_node("Silent", NAMES("s"), NONE));
  block_message(graph, GRAPH_SPARSE_INITIALIZER, make_sparse("b", NULL, NULL));
  block_message(graph, GRAPH_INPUT, make_value("x"));
  block_message(graph, GRAPH_OUTPUT, make_value("t"));
  block_text(graph, UNKNOWN, "of the graph");
  block_message(graph, GRAPH_VALUE_INFO, make_value("s"));
  block_message(graph, GRAPH_ANNOTATION, make_value("a"));
  return graph;
}

/* ---------------------------------------------------------------------------------------------------------- editing */

typedef struct edited {
  memory memory;
  region region;
  byte_block *model;
  model_parts parts;
  norma_error error;
} edited;

static void edited_open(edited *edited, byte_block *model) {
  memory_init(&edited->memory, NULL, 0);
  region_init(&edited->region, &edited->memory);
  edited->model = model;
  const wire_span bytes = {model->bytes, model->size};
  if (model_parts_read(&edited->parts, &edited->region, bytes, &edited->error) != NORMA_OK) {
    fail_msg("%s", edited->error.message);
  }
}

static void edited_close(edited *edited) {
  region_free(&edited->region);
  assert_int_equal(atomic_load(&edited->memory.used), 0);
  free(edited->model);
}

static bool append(void *context, const void *bytes, size_t count) {
  block_add(context, bytes, count);
  return true;
}

/* What is written, to be freed. */
static byte_block *written(edited *edited) {
  byte_block *result = block_new();
  assert_int_equal(model_parts_write(&edited->parts, append, result, &edited->error), NORMA_OK);
  return result;
}

/* The model is written as `expected`, which is freed. */
static void expect_written(edited *edited, byte_block *expected) {
  byte_block *result = written(edited);
  assert_int_equal(result->size, expected->size);
  assert_memory_equal(result->bytes, expected->bytes, expected->size);
  free(result);
  free(expected);
}

/* ---------------------------------------------------------------------------------------------------------- reading */

static void parts_have_names(void **state) {
  static const struct {
    uint32_t number;
    const char *name;
  } expected[] = {{GRAPH_NODE, "s"},
                  {2, ""},
                  {GRAPH_INITIALIZER, "a"},
                  {GRAPH_NODE, ""},
                  {GRAPH_SPARSE_INITIALIZER, "b"},
                  {GRAPH_INPUT, "x"},
                  {GRAPH_OUTPUT, "t"},
                  {UNKNOWN, ""},
                  {GRAPH_VALUE_INFO, "s"},
                  {GRAPH_ANNOTATION, "a"}};
  (void)state;
  edited edited;
  edited_open(&edited, make_model(make_graph()));
  const model_parts *parts = &edited.parts;
  assert_int_equal(parts->ir_version, 8);
  assert_int_equal(parts->count, sizeof expected / sizeof *expected);
  for (size_t i = 0; i < parts->count; i++) {
    assert_int_equal(parts->parts[i].field.number, expected[i].number);
    assert_string_equal(parts->parts[i].name, expected[i].name);
    assert_false(parts->parts[i].replaced || parts->parts[i].dropped);
  }
  assert_ptr_equal(model_parts_find(parts, GRAPH_NODE, "s"), &parts->parts[0]);
  assert_ptr_equal(model_parts_find(parts, GRAPH_VALUE_INFO, "s"), &parts->parts[8]);
  assert_null(model_parts_find(parts, GRAPH_NODE, "t")); /* not its first output */
  parts->parts[0].dropped = true;
  assert_null(model_parts_find(parts, GRAPH_NODE, "s"));
  edited_close(&edited);
}

static void no_graph_is_no_model(void **state) {
  (void)state;
  memory memory;
  region region;
  model_parts parts;
  norma_error error;
  memory_init(&memory, NULL, 0);
  region_init(&region, &memory);
  assert_int_equal(model_parts_read(&parts, &region, (wire_span){(const unsigned char *)"\x08\x08", 2}, &error),
                   NORMA_ERROR_INVALID_MODEL);
  assert_int_equal(model_parts_read(&parts, &region, (wire_span){0}, &error), NORMA_ERROR_INVALID_MODEL);
  region_free(&region);
}

/* ---------------------------------------------------------------------------------------------------------- writing */

static void what_is_not_changed_keeps_its_bytes(void **state) {
  (void)state;
  edited edited;
  edited_open(&edited, make_model(make_graph()));
  expect_written(&edited, make_model(make_graph()));
  edited_close(&edited);
  edited_open(&edited, make_model(block_new())); /* an empty graph */
  expect_written(&edited, make_model(block_new()));
  edited_close(&edited);
}

static void parts_are_replaced_and_dropped(void **state) {
  (void)state;
  edited edited;
  edited_open(&edited, make_model(make_graph()));
  graph_part *silent = &edited.parts.parts[3], *initializer = model_parts_find(&edited.parts, GRAPH_INITIALIZER, "a");
  silent->replaced = true;
  silent->contents = span_of_text("\x22\x03New");
  initializer->dropped = true;
  model_parts_find(&edited.parts, GRAPH_ANNOTATION, "a")->dropped = true;
  byte_block *graph = block_new(), *new = block_new();
  block_message(graph, GRAPH_NODE, make_node("Split", NAMES("x"), NAMES("", "s", "t")));
  block_text(graph, 2, "the graph");
  block_text(new, NODE_OP_TYPE, "New");
  block_message(graph, GRAPH_NODE, new);
  block_message(graph, GRAPH_SPARSE_INITIALIZER, make_sparse("b", NULL, NULL));
  block_message(graph, GRAPH_INPUT, make_value("x"));
  block_message(graph, GRAPH_OUTPUT, make_value("t"));
  block_text(graph, UNKNOWN, "of the graph");
  block_message(graph, GRAPH_VALUE_INFO, make_value("s"));
  expect_written(&edited, make_model(graph));
  silent->dropped = true; /* which counts for more */
  byte_block *result = written(&edited);
  for (size_t i = 0; i + 3 <= result->size; i++) assert_int_not_equal(memcmp(result->bytes + i, "New", 3), 0);
  free(result);
  edited_close(&edited);
}

/* What is added stands behind the last field of its number, in its order; where there is none, at the end. */
static void additions_have_their_place(void **state) {
  (void)state;
  for (int has_fields = 0; has_fields < 2; has_fields++) {
    edited edited;
    byte_block *graph = block_new();
    if (has_fields) block_message(graph, GRAPH_INPUT, make_value("x"));
    if (has_fields) block_message(graph, GRAPH_NODE, make_node("One", NONE, NONE));
    block_message(graph, GRAPH_OUTPUT, make_value("y"));
    edited_open(&edited, make_model(graph));
    static const uint32_t numbers[] = {GRAPH_INPUT, GRAPH_INITIALIZER, GRAPH_NODE, GRAPH_NODE, GRAPH_INPUT};
    static const char *const texts[] = {"i1", "w", "n1", "n2", "i2"};
    for (int i = 0; i < 5; i++) {
      assert_int_equal(model_parts_add(&edited.parts, numbers[i], span_of_text(texts[i]), &edited.error), NORMA_OK);
    }
    graph = block_new();
    if (has_fields) {
      block_message(graph, GRAPH_INPUT, make_value("x"));
      block_text(graph, GRAPH_INPUT, "i1");
      block_text(graph, GRAPH_INPUT, "i2");
      block_message(graph, GRAPH_NODE, make_node("One", NONE, NONE));
    }
    if (!has_fields) block_message(graph, GRAPH_OUTPUT, make_value("y"));
    block_text(graph, GRAPH_NODE, "n1");
    block_text(graph, GRAPH_NODE, "n2");
    if (has_fields) block_message(graph, GRAPH_OUTPUT, make_value("y"));
    block_text(graph, GRAPH_INITIALIZER, "w");
    if (!has_fields) block_text(graph, GRAPH_INPUT, "i1");
    if (!has_fields) block_text(graph, GRAPH_INPUT, "i2");
    expect_written(&edited, make_model(graph));
    assert_int_equal(model_parts_add(&edited.parts, GRAPH_NODE, (wire_span){0}, &edited.error),
                     NORMA_ERROR_OUT_OF_MEMORY); /* of a build that failed */
    edited_close(&edited);
  }
}

/* ------------------------------------------------------------------------------------------------------------ names */

static void expect_names(byte_block *graph, bool outputs, const char *const *expected) {
  edited edited;
  name_table names;
  size_t count = 0;
  edited_open(&edited, make_model(graph));
  name_table_init(&names, &edited.memory);
  assert_true(collect_names(edited.parts.graph, &edited.region, &names, outputs));
  for (; expected[count]; count++) {
    if (!name_table_find(&names, expected[count])) fail_msg("'%s' is missing", expected[count]);
  }
  assert_int_equal(names.count, count);
  name_table_free(&names);
  edited_close(&edited);
}

/* Nodes within nodes, by attributes of one graph and of several. */
static byte_block *make_nested(void) {
  byte_block *graph = block_new(), *node = make_node("Loop", NAMES("outer", ""), NAMES("result"));
  for (int list = 0; list < 2; list++) {
    byte_block *attribute = block_new(), *inner = block_new();
    block_message(
        inner, GRAPH_NODE,
        make_node("Op", NAMES(list ? "read_in_list" : "read_inside"), NAMES(list ? "made_in_list" : "made_inside")));
    block_message(inner, GRAPH_OUTPUT, make_value(list ? "given_by_list" : "given"));
    block_message(inner, GRAPH_INPUT, make_value(list ? "input_of_list" : "input"));
    block_message(attribute, list ? ATTRIBUTE_GRAPH_LIST : ATTRIBUTE_G, inner);
    block_message(node, NODE_ATTRIBUTE, attribute);
  }
  block_message(graph, GRAPH_NODE, node);
  block_message(graph, GRAPH_OUTPUT, make_value("y"));
  block_message(graph, GRAPH_INPUT, make_value("x"));
  block_message(graph, GRAPH_INITIALIZER, make_tensor("w", NULL));
  block_message(graph, GRAPH_SPARSE_INITIALIZER, make_sparse("v", NULL, NULL));
  return graph;
}

static void names_are_collected(void **state) {
  (void)state;
  expect_names(make_nested(), false, NAMES("outer", "read_inside", "read_in_list", "given", "given_by_list", "y"));
  expect_names(make_nested(), true,
               NAMES("outer", "read_inside", "read_in_list", "given", "given_by_list", "y", "result", "made_inside",
                     "made_in_list", "input", "input_of_list", "x", "w", "v"));
}

/* ---------------------------------------------------------------------------------------------------- external data */

typedef struct visited {
  char locations[4000]; /* "one two " */
  int most;
} visited;

static norma_status visit(void *context, const char *location, norma_error *error) {
  visited *visited = context;
  (void)error;
  strcat(strcat(visited->locations, location), " ");
  return --visited->most == 0 ? NORMA_ERROR_RUN : NORMA_OK;
}

/* A node with tensors of each kind of attribute, in files whose names begin with `stem`. */
static byte_block *make_external_node(const char *stem) {
  static const struct {
    unsigned field;
    const char *name;
  } kinds[] = {{ATTRIBUTE_T, "t"}, {10, "list"}, {22, "s"}, {23, "sparse_list"}};
  char locations[2][40];
  byte_block *node = make_node("Op", NONE, NONE);
  for (int i = 0; i < 4; i++) {
    byte_block *attribute = block_new();
    for (int k = 0; k < 1 + i % 2; k++) { /* lists of two */
      snprintf(locations[0], sizeof locations[0], "%s_%s%d", stem, kinds[i].name, k);
      snprintf(locations[1], sizeof locations[1], "%s_%s%d_i", stem, kinds[i].name, k);
      block_message(attribute, kinds[i].field,
                    i < 2 ? make_tensor(NULL, locations[0]) : make_sparse(NULL, locations[0], locations[1]));
    }
    block_message(node, NODE_ATTRIBUTE, attribute);
  }
  return node;
}

static byte_block *make_external_graph(const char *stem) {
  char location[40];
  byte_block *graph = block_new();
  block_message(graph, GRAPH_NODE, make_external_node(stem));
  snprintf(location, sizeof location, "%s_w", stem);
  block_message(graph, GRAPH_INITIALIZER, make_tensor("w", location));
  block_message(graph, GRAPH_INITIALIZER, make_tensor("here", NULL));
  snprintf(location, sizeof location, "%s_v", stem);
  block_message(graph, GRAPH_SPARSE_INITIALIZER, make_sparse("v", NULL, location));
  return graph;
}

/* Wherever a tensor may stand: in graphs, in graphs below nodes, in functions, in the graphs of training. */
static byte_block *make_external_model(void) {
  byte_block *graph = make_external_graph("main"), *node = make_node("If", NONE, NONE), *attribute = block_new();
  block_message(attribute, ATTRIBUTE_G, make_external_graph("inner"));
  block_message(attribute, ATTRIBUTE_GRAPH_LIST, make_external_graph("listed"));
  block_message(node, NODE_ATTRIBUTE, attribute);
  block_message(graph, GRAPH_NODE, node);
  byte_block *model = make_model(graph), *function = block_new(), *given = block_new(), *training = block_new();
  block_message(function, 7, make_external_node("body"));
  block_message(given, ATTRIBUTE_T, make_tensor(NULL, "default"));
  block_message(function, 11, given);
  block_message(model, MODEL_FUNCTION, function);
  block_message(training, 1, make_external_graph("initialization"));
  block_message(training, 2, make_external_graph("algorithm"));
  block_message(model, MODEL_TRAINING, training);
  return model;
}

static void every_location_is_visited(void **state) {
  static const char *const graphs[] = {"main", "inner", "listed", "initialization", "algorithm", "body"};
  static const char *const ends[] = {
      "t0",           "list0",          "list1", "s0", "s0_i", "sparse_list0", "sparse_list0_i",
      "sparse_list1", "sparse_list1_i", "w",     "v"};
  (void)state;
  edited edited;
  visited visited = {.most = -1};
  size_t expected = strlen("default ");
  edited_open(&edited, make_external_model());
  assert_int_equal(model_parts_external(&edited.parts, visit, &visited, &edited.error), NORMA_OK);
  for (int g = 0; g < 6; g++) {
    for (int e = 0; e < (g < 5 ? 11 : 9); e++) {
      char location[60];
      snprintf(location, sizeof location, "%s_%s ", graphs[g], ends[e]);
      if (!strstr(visited.locations, location)) fail_msg("'%s' is not visited", location);
      expected += strlen(location);
    }
  }
  assert_non_null(strstr(visited.locations, "default "));
  assert_int_equal(strlen(visited.locations), expected); /* each once */
  edited_close(&edited);
}

/* What will be written counts: parts as they are now, additions, nothing that is dropped. */
static void locations_of_changed_parts(void **state) {
  (void)state;
  edited edited;
  visited visited = {.most = -1};
  byte_block *graph = block_new(), *new = make_tensor("c", "new"), *added = make_external_node("added");
  block_message(graph, GRAPH_INITIALIZER, make_tensor("a", "dropped"));
  block_message(graph, GRAPH_INITIALIZER, make_tensor("b", "kept"));
  block_message(graph, GRAPH_INITIALIZER, make_tensor("c", "old"));
  edited_open(&edited, make_model(graph));
  edited.parts.parts[0].dropped = true;
  edited.parts.parts[2].replaced = true;
  edited.parts.parts[2].contents = (wire_span){new->bytes, new->size};
  assert_int_equal(model_parts_add(&edited.parts, GRAPH_NODE, (wire_span){added->bytes, added->size}, &edited.error),
                   NORMA_OK);
  assert_int_equal(model_parts_external(&edited.parts, visit, &visited, &edited.error), NORMA_OK);
  assert_int_equal(strncmp(visited.locations, "kept new added_t0 ", 18), 0);
  edited_close(&edited);
  free(new);
  free(added);
}

/* Visiting ends with the first one that fails, wherever it stands. */
static void visits_may_fail(void **state) {
  enum { LOCATIONS = 5 * 11 + 9 + 1 };
  (void)state;
  edited edited;
  edited_open(&edited, make_external_model());
  for (int most = 1; most <= LOCATIONS + 1; most++) {
    visited visited = {.most = most};
    norma_status status = model_parts_external(&edited.parts, visit, &visited, &edited.error);
    assert_int_equal(status, most <= LOCATIONS ? NORMA_ERROR_RUN : NORMA_OK);
    if (most <= LOCATIONS) assert_int_equal(visited.most, 0);
  }
  edited_close(&edited);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

static norma_status edit_in(void *context, const norma_allocator *allocator, norma_error *error) {
  const byte_block *model = context;
  memory memory;
  region region;
  model_parts parts;
  name_table names;
  visited visited = {.most = -1};
  byte_block *result = block_new();
  memory_init(&memory, allocator, 0);
  region_init(&region, &memory);
  name_table_init(&names, &memory);
  norma_status status = model_parts_read(&parts, &region, (wire_span){model->bytes, model->size}, error);
  if (status == NORMA_OK) status = model_parts_add(&parts, GRAPH_NODE, span_of_text("\x22\x01N"), error);
  if (status == NORMA_OK && !collect_names(parts.graph, &region, &names, true)) status = region_error(&region, error);
  if (status == NORMA_OK) status = model_parts_external(&parts, visit, &visited, error);
  if (status == NORMA_OK) status = model_parts_write(&parts, append, result, error);
  name_table_free(&names);
  region_free(&region);
  assert_int_equal(atomic_load(&memory.used), 0);
  free(result);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  byte_block *model = make_external_model();
  assert_int_equal(fail_each_allocation(edit_in, model), 0);
  free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parts_have_names),
      cmocka_unit_test(no_graph_is_no_model),
      cmocka_unit_test(what_is_not_changed_keeps_its_bytes),
      cmocka_unit_test(parts_are_replaced_and_dropped),
      cmocka_unit_test(additions_have_their_place),
      cmocka_unit_test(names_are_collected),
      cmocka_unit_test(every_location_is_visited),
      cmocka_unit_test(locations_of_changed_parts),
      cmocka_unit_test(visits_may_fail),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
