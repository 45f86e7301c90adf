/* Graphs that passes have changed, as edits of their files: what is still the same keeps its bytes, what is gone goes,
 * and the result computes the same. */
#include "proto/model_rewrite.h"

#include "proto/model_parts.h"
#include "tests/support/built_model.h"
#include "tests/support/failing_allocations.h"
#include "tests/support/file_folder.h"
#include "tests/support/model_reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MODEL_IR = 1, MODEL_GRAPH = 7, MODEL_OPSET = 8, MODEL_FUNCTION = 25, UNKNOWN = 900 };

/* --------------------------------------------------------------------------------------------------- models by hand */

/* One node, with a comment of its own and an unknown field; names are separated by spaces. */
static byte_block *make_node(const char *op_type, const char *inputs, const char *outputs) {
  char names[200], comment[100];
  byte_block *node = block_new();
  snprintf(names, sizeof names, "%s", inputs);
  for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) block_text(node, NODE_INPUT, name);
  snprintf(names, sizeof names, "%s", outputs);
  for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) block_text(node, NODE_OUTPUT, name);
  block_text(node, NODE_OP_TYPE, op_type);
  snprintf(comment, sizeof comment, "comment of %s", outputs);
  block_text(node, 6, comment);
  block_text(node, UNKNOWN, "unknown");
  return node;
}

/* Two floats, in float_data, with a comment. */
static byte_block *make_tensor(const char *name, float first, float second) {
  const float numbers[2] = {first, second};
  char comment[100];
  byte_block *tensor = block_new();
  block_int(tensor, TENSOR_DIMS, 2);
  block_int(tensor, TENSOR_DATA_TYPE, NORMA_FLOAT);
  block_field(tensor, TENSOR_FLOAT_DATA, numbers, sizeof numbers);
  block_text(tensor, TENSOR_NAME, name);
  snprintf(comment, sizeof comment, "comment of %s", name);
  block_text(tensor, 12, comment);
  return tensor;
}

static byte_block *make_value(const char *name) {
  byte_block *value = block_new(), *type = block_new(), *tensor = block_new(), *shape = block_new(), *dim = block_new();
  block_int(dim, 1, 2);
  block_message(shape, 1, dim);
  block_int(tensor, 1, NORMA_FLOAT);
  block_message(tensor, 2, shape);
  block_message(type, 1, tensor);
  block_text(value, 1, name);
  block_message(value, 2, type);
  return value;
}

static byte_block *make_model(byte_block *graph, uint64_t ir_version) {
  byte_block *model = block_new();
  block_int(model, MODEL_IR, ir_version);
  block_text(model, UNKNOWN, "before the graph");
  block_message(model, MODEL_GRAPH, graph);
  for (int i = 0; i < 2; i++) {
    byte_block *opset = block_new();
    if (i) block_text(opset, 1, "local");
    block_int(opset, 2, i ? 1 : 13);
    block_message(model, MODEL_OPSET, opset);
  }
  block_text(model, UNKNOWN, "behind the graph");
  return model;
}

/* -------------------------------------------------------------------------------------------------------- rewriting */

typedef struct fixture {
  file_folder folder;
  norma_runtime *runtime;
  norma_model *before, *after;
  rewrite_counts counts;
  norma_error error;
  byte_block *result; /* what was written last */
} fixture;

static norma_model *load(fixture *made, const char *name, norma_optimization level) {
  norma_model *model;
  norma_load_options options = {.struct_size = sizeof options, .runtime = made->runtime, .optimization = level};
  options.keep_constants = true;
  if (norma_model_load(folder_path(&made->folder, name), &options, &model, &made->error) != NORMA_OK) {
    fail_msg("%s: %s", name, made->error.message);
  }
  return model;
}

/* The model, which is freed, as it is and as passes of this level leave it. */
static fixture *fixture_open(byte_block *model, norma_optimization level) {
  fixture *made = calloc(1, sizeof *made);
  folder_open(&made->folder);
  folder_write(&made->folder, "in.onnx", model->bytes, model->size);
  free(model);
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  assert_int_equal(norma_runtime_create(&options, &made->runtime, &made->error), NORMA_OK);
  made->before = load(made, "in.onnx", NORMA_OPTIMIZE_NONE);
  made->after = load(made, "in.onnx", level);
  return made;
}

static void fixture_close(fixture *made) {
  norma_model_destroy(made->before);
  norma_model_destroy(made->after);
  norma_runtime_destroy(made->runtime);
  folder_close(&made->folder);
  free(made->result);
  free(made);
}

static void run_model(norma_model *model, float y[2]) {
  float x[2] = {3, -5};
  norma_session *session;
  norma_error error;
  norma_tensor tensor;
  norma_tensor_init(&tensor, NORMA_FLOAT, 1, (int64_t[]){2}, x);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "x", &tensor, &error), NORMA_OK);
  if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
  memcpy(y, norma_value_tensor(norma_session_output(session, 0))->data, 2 * sizeof *y);
  norma_session_destroy(session);
}

/* Writes "out.onnx", which must load and compute the same. */
static void rewrite_model(fixture *made) {
  float expected[2], found[2];
  if (model_rewrite(made->before, made->after, folder_path(&made->folder, "in.onnx"),
                    folder_path(&made->folder, "out.onnx"), NULL, &made->counts, &made->error) != NORMA_OK) {
    fail_msg("%s", made->error.message);
  }
  free(made->result);
  made->result = block_new();
  void *bytes = folder_read(&made->folder, "out.onnx", &made->result->size);
  memcpy(made->result->bytes, bytes, made->result->size);
  free(bytes);
  norma_model *again = load(made, "out.onnx", NORMA_OPTIMIZE_NONE);
  run_model(made->before, expected);
  run_model(again, found);
  assert_memory_equal(found, expected, sizeof found);
  norma_model_destroy(again);
}

static bool has_text(const fixture *made, const char *text) {
  const size_t length = strlen(text);
  for (size_t i = 0; i + length <= made->result->size; i++) {
    if (memcmp(made->result->bytes + i, text, length) == 0) return true;
  }
  return false;
}

static void expect_texts(const fixture *made, const char *const *present, const char *const *absent) {
  for (; *present; present++) {
    if (!has_text(made, *present)) fail_msg("'%s' is gone", *present);
  }
  for (; *absent; absent++) {
    if (has_text(made, *absent)) fail_msg("'%s' is still there", *absent);
  }
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_TEXTS   ((const char *const[]){NULL})

/* x -> Neg -> Identity -> Add(w) -> Mul(u + v) -> y, with hints; with declarations of initializers below IR version 4.
 */
static byte_block *make_chain(uint64_t ir_version) {
  byte_block *graph = block_new();
  block_message(graph, GRAPH_NODE, make_node("Neg", "x", "n"));
  block_message(graph, GRAPH_NODE, make_node("Identity", "n", "i"));
  block_message(graph, GRAPH_NODE, make_node("Add", "i w", "a"));
  block_message(graph, GRAPH_NODE, make_node("Add", "u v", "c"));
  block_message(graph, GRAPH_NODE, make_node("Mul", "a c", "y"));
  block_text(graph, 2, "the name of the graph");
  block_message(graph, GRAPH_INITIALIZER, make_tensor("w", 1, 2));
  block_message(graph, GRAPH_INITIALIZER, make_tensor("u", 3, 4));
  block_message(graph, GRAPH_INITIALIZER, make_tensor("v", 5, 6));
  block_message(graph, GRAPH_INPUT, make_value("x"));
  for (int i = 0; ir_version < 4 && i < 3; i++) {
    block_message(graph, GRAPH_INPUT, make_value((const char *[]){"w", "u", "v"}[i]));
  }
  block_message(graph, GRAPH_OUTPUT, make_value("y"));
  block_text(graph, UNKNOWN, "of the graph");
  block_message(graph, GRAPH_VALUE_INFO, make_value("i"));
  block_message(graph, GRAPH_VALUE_INFO, make_value("a"));
  return make_model(graph, ir_version);
}

/* Without a change the file comes back byte for byte. */
static void nothing_changed(void **state) {
  (void)state;
  fixture *made = fixture_open(make_chain(8), NORMA_OPTIMIZE_NONE);
  rewrite_model(made);
  folder_compare(&made->folder, "in.onnx", "out.onnx");
  assert_int_equal(made->counts.kept, 5);
  assert_int_equal(made->counts.changed + made->counts.removed, 0);
  fixture_close(made);
}

/* Nodes that are the same keep comments and unknown fields, and so do initializers, in their encoding; a node that
 * reads something else is written anew; what is folded becomes an initializer, declared where that is needed. */
static void what_is_the_same_keeps_its_bytes(void **state) {
  (void)state;
  for (uint64_t ir_version = 3; ir_version <= 8; ir_version += 5) {
    fixture *made = fixture_open(make_chain(ir_version), NORMA_OPTIMIZE_BASIC);
    rewrite_model(made);
    assert_int_equal(made->counts.kept, 2);    /* Neg, Mul */
    assert_int_equal(made->counts.changed, 1); /* Add, of what Identity read */
    assert_int_equal(made->counts.removed, 2);
    expect_texts(made,
                 TEXTS("comment of n", "comment of y", "comment of w", "before the graph", "behind the graph",
                       "of the graph", "the name of the graph"),
                 TEXTS("comment of i", "comment of a", "comment of c", "comment of u", "comment of v", "Identity"));
    model_reading reading;
    reading_init(&reading, 0);
    assert_int_equal(reading_read(&reading, made->result->bytes, made->result->size), NORMA_OK);
    const graph *graph = reading.model.graph;
    assert_int_equal(graph->node_count, 3);
    assert_int_equal(graph->input_count, ir_version < 4 ? 3 : 1); /* x, w and what was folded */
    assert_int_equal(reading_release(&reading), 0);
    fixture_close(made);
  }
}

/* Hints go with their values. */
static void hints_go_with_their_values(void **state) {
  (void)state;
  memory memory;
  region region;
  model_parts parts;
  fixture *made = fixture_open(make_chain(8), NORMA_OPTIMIZE_BASIC);
  rewrite_model(made);
  memory_init(&memory, NULL, 0);
  region_init(&region, &memory);
  const wire_span bytes = {made->result->bytes, made->result->size};
  assert_int_equal(model_parts_read(&parts, &region, bytes, &made->error), NORMA_OK);
  assert_null(model_parts_find(&parts, GRAPH_VALUE_INFO, "i"));
  assert_non_null(model_parts_find(&parts, GRAPH_VALUE_INFO, "a"));
  assert_non_null(model_parts_find(&parts, GRAPH_OUTPUT, "y"));
  region_free(&region);
  fixture_close(made);
}

/* A sparse initializer stays as it is, or goes. */
static void sparse_initializers(void **state) {
  (void)state;
  for (int used = 0; used < 2; used++) {
    byte_block *graph = block_new(), *sparse = block_new(), *indices = block_new();
    const int64_t places[2] = {0, 1};
    block_message(graph, GRAPH_NODE, make_node("Identity", "x", "i"));
    block_message(graph, GRAPH_NODE, make_node("Add", used ? "i s" : "i i", "y"));
    block_message(sparse, 1, make_tensor("s", 1, 2));
    block_int(indices, TENSOR_DIMS, 2);
    block_int(indices, TENSOR_DATA_TYPE, NORMA_INT64);
    block_field(indices, TENSOR_RAW_DATA, places, sizeof places);
    block_message(sparse, 2, indices);
    block_int(sparse, 3, 2);
    block_message(graph, GRAPH_SPARSE_INITIALIZER, sparse);
    block_message(graph, GRAPH_INPUT, make_value("x"));
    block_message(graph, GRAPH_OUTPUT, make_value("y"));
    fixture *made = fixture_open(make_model(graph, 8), NORMA_OPTIMIZE_BASIC);
    rewrite_model(made);
    assert_int_equal(has_text(made, "comment of s"), used);
    assert_int_equal(made->counts.changed, 1);
    fixture_close(made);
  }
}

/* -------------------------------------------------------------------------------------------------------- functions */

/* halves(a) -> b, c: b = Neg(a), d = Exp(b), c = Add(a, d). */
static byte_block *make_function(void) {
  byte_block *function = block_new(), *opset = block_new();
  block_text(function, 1, "halves");
  block_text(function, 4, "a");
  block_text(function, 5, "b");
  block_text(function, 5, "c");
  block_message(function, 7, make_node("Neg", "a", "b"));
  block_message(function, 7, make_node("Exp", "b", "d"));
  block_message(function, 7, make_node("Add", "a d", "c"));
  block_int(opset, 2, 13);
  block_message(function, 9, opset);
  block_text(function, 10, "local");
  return function;
}

/* Calls were expanded when the model was read, and are written expanded, whether or not their nodes are as they were: a
 * call in their place would define its results once more. */
static void calls_are_written_expanded(void **state) {
  (void)state;
  for (int level = NORMA_OPTIMIZE_NONE; level <= NORMA_OPTIMIZE_BASIC; level++) {
    byte_block *graph = block_new(), *call = make_node("halves", "i", "p q");
    block_text(call, NODE_DOMAIN, "local");
    block_message(graph, GRAPH_NODE, make_node("Identity", "x", "i"));
    block_message(graph, GRAPH_NODE, call);
    block_message(graph, GRAPH_NODE, make_node("Mul", "p q", "y"));
    block_message(graph, GRAPH_INPUT, make_value("x"));
    block_message(graph, GRAPH_OUTPUT, make_value("y"));
    byte_block *model = make_model(graph, 10);
    block_message(model, MODEL_FUNCTION, make_function());
    fixture *made = fixture_open(model, (norma_optimization)level);
    rewrite_model(made);
    model_reading reading;
    reading_init(&reading, 0);
    assert_int_equal(reading_read(&reading, made->result->bytes, made->result->size), NORMA_OK);
    assert_int_equal(reading.model.graph->node_count, level == NORMA_OPTIMIZE_NONE ? 5 : 4);
    assert_int_equal(reading.model.function_count, 1); /* which stays, though nothing calls it */
    for (const node *node = reading.model.graph->first; node; node = node->next) {
      assert_string_not_equal(node->op_type, "halves");
      assert_null(strstr(node->name, "halves/")); /* not by being expanded anew */
    }
    assert_int_equal(reading_release(&reading), 0);
    expect_texts(made, TEXTS("comment of y"), TEXTS("comment of p q"));
    fixture_close(made);
  }
}

/* -------------------------------------------------------------------------------------------------------- subgraphs */

/* A change within a branch writes its node anew; a node whose branches are as they were keeps its bytes. */
static void branches_that_change(void **state) {
  (void)state;
  for (int changes = 0; changes < 2; changes++) {
    byte_block *graph = block_new(), *condition = block_new(), *branches = make_node("If", "c", "y");
    for (int i = 0; i < 2; i++) {
      byte_block *attribute = block_new(), *inner = block_new();
      block_text(inner, 2, "branch");
      if (changes) block_message(inner, GRAPH_NODE, make_node("Identity", "x", "i"));
      block_message(inner, GRAPH_NODE, make_node("Neg", changes ? "i" : "x", "r"));
      block_message(inner, GRAPH_OUTPUT, make_value("r"));
      block_text(attribute, ATTRIBUTE_NAME, i ? "else_branch" : "then_branch");
      block_message(attribute, ATTRIBUTE_G, inner);
      block_int(attribute, ATTRIBUTE_TYPE, 5);
      block_message(branches, NODE_ATTRIBUTE, attribute);
    }
    block_int(condition, TENSOR_DATA_TYPE, NORMA_BOOL);
    block_field(condition, TENSOR_RAW_DATA, "\1", 1);
    block_text(condition, TENSOR_NAME, "c");
    block_message(graph, GRAPH_NODE, branches);
    block_message(graph, GRAPH_INITIALIZER, condition);
    block_message(graph, GRAPH_INPUT, make_value("x"));
    block_message(graph, GRAPH_OUTPUT, make_value("y"));
    fixture *made = fixture_open(make_model(graph, 8), NORMA_OPTIMIZE_BASIC);
    rewrite_model(made);
    assert_int_equal(has_text(made, "comment of y"), !changes);
    assert_int_equal(has_text(made, "Identity"), false);
    fixture_close(made);
  }
}

/* -------------------------------------------------------------------------------------------------- what is refused */

static norma_status rewrite_to(fixture *made, const char *source, const char *name) {
  memset(&made->error, 0, sizeof made->error);
  return model_rewrite(made->before, made->after, folder_path(&made->folder, source), folder_path(&made->folder, name),
                       NULL, NULL, &made->error);
}

static void what_cannot_be_written(void **state) {
  (void)state;
  fixture *made = fixture_open(make_chain(8), NORMA_OPTIMIZE_BASIC);
  assert_int_equal(rewrite_to(made, "in.onnx", "in.onnx"), NORMA_ERROR_ARGUMENT);
  assert_int_equal(rewrite_to(made, "not_there.onnx", "out.onnx"), NORMA_ERROR_FILE);
  folder_write(&made->folder, "broken.onnx", "\x3a\x05 no", 5);
  assert_int_equal(rewrite_to(made, "broken.onnx", "out.onnx"), NORMA_ERROR_FORMAT);
  folder_write(&made->folder, "empty.onnx", "\x08\x08", 2);
  assert_int_equal(rewrite_to(made, "empty.onnx", "out.onnx"), NORMA_ERROR_INVALID_MODEL);
  assert_int_equal(rewrite_to(made, "in.onnx", "nowhere/out.onnx"), NORMA_ERROR_FILE);
  made->after->graph->first->epilogue.activation.kind = UNARY_RELU; /* has no form in ONNX */
  assert_int_equal(rewrite_to(made, "in.onnx", "out.onnx"), NORMA_ERROR_UNSUPPORTED);
  made->after->graph->first->epilogue.activation.kind = UNARY_IDENTITY;
  assert_false(folder_has(&made->folder, "out.onnx"));
  assert_int_equal(model_rewrite(made->before, made->after, folder_path(&made->folder, "in.onnx"),
                                 folder_path(&made->folder, "out.onnx"), NULL, NULL, NULL),
                   NORMA_OK); /* neither counts nor error are needed */
  fixture_close(made);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

static norma_status rewrite_in(void *context, const norma_allocator *allocator, norma_error *error) {
  fixture *made = context;
  memory memory;
  memory_init(&memory, allocator, 0);
  norma_model before = *made->before, after = *made->after;
  before.memory = after.memory = &memory;
  remove(folder_path(&made->folder, "out.onnx"));
  norma_status status = model_rewrite(&before, &after, folder_path(&made->folder, "in.onnx"),
                                      folder_path(&made->folder, "out.onnx"), NULL, NULL, error);
  assert_int_equal(folder_has(&made->folder, "out.onnx"), status == NORMA_OK);
  assert_int_equal(atomic_load(&memory.used), 0);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  fixture *made = fixture_open(make_chain(3), NORMA_OPTIMIZE_BASIC);
  assert_int_equal(fail_each_allocation(rewrite_in, made), 0);
  fixture_close(made);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_changed),
      cmocka_unit_test(what_is_the_same_keeps_its_bytes),
      cmocka_unit_test(hints_go_with_their_values),
      cmocka_unit_test(sparse_initializers),
      cmocka_unit_test(calls_are_written_expanded),
      cmocka_unit_test(branches_that_change),
      cmocka_unit_test(what_cannot_be_written),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
