/* Models as the reader takes them in: versions, texts, metadata, sources; and
 * that failing leaves nothing behind. The parts of a graph have tests of their
 * own. */
#include "proto/model_reader.h"

#include "engine/graph/lazy_weights.h"
#include "tests/support/built_reading.h"
#include "tests/support/function_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* -----------------------------------------------------------------------------------------------------
 * what is read */

static void model_and_graph_are_described(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_import(b, "ai.onnx.ml", 3);
  builder_metadata(b, "author", "me");
  norma_model *model = builder_model(b);
  model->producer_name = "maker";
  model->producer_version = "1.2";
  model->model_domain = "example.org";
  model->doc_string = "what it is";
  model->model_version = 7;
  graph_value *x = builder_input(b, "x", NORMA_FLOAT16, 3, (int64_t[]){-1, 3, -1});
  builder_dim_name(b, x, 0, "batch");
  builder_node(b, "Relu", "x", "y");
  builder_output(b, "y", NORMA_FLOAT16, 3, (int64_t[]){9, 9, 9}); /* wrong, as exporters have it */
  builder_output(b, "y", NORMA_FLOAT16, -1, NULL);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  const norma_model *read = &reading.model;
  assert_int_equal(read->ir_version, 10);
  assert_string_equal(read->producer_name, "maker");
  assert_string_equal(read->producer_version, "1.2");
  assert_string_equal(read->model_domain, "example.org");
  assert_string_equal(read->doc_string, "what it is");
  assert_int_equal(read->model_version, 7);
  assert_int_equal(read->opset_count, 2);
  assert_string_equal(read->opsets[1].domain, "ai.onnx.ml");
  assert_int_equal(read->opsets[1].version, 3);
  assert_int_equal(read->metadata_count, 1);
  assert_string_equal(read->metadata[0].key, "author");
  assert_string_equal(read->metadata[0].value, "me");
  const graph_value *input = read->graph->inputs[0], *output = read->graph->outputs[0];
  assert_true(input->is_input && !input->has_initializer && !input->constant);
  assert_int_equal(input->info.type, NORMA_FLOAT16);
  assert_int_equal(input->info.shape.rank, 3);
  assert_int_equal(input->info.shape.dims[0], DIM_UNKNOWN);
  assert_int_equal(input->info.shape.dims[1], 3);
  assert_int_equal(input->info.shape.dims[2], DIM_UNKNOWN);
  assert_string_equal(input->dim_names[0], "batch");
  assert_null(input->dim_names[1]);
  assert_int_equal(output->info.type, NORMA_FLOAT16);
  assert_int_equal(output->info.shape.rank, RANK_UNKNOWN);
  assert_int_equal(read->graph->output_count, 2); /* one value, twice */
  assert_ptr_equal(read->graph->outputs[1], output);
  assert_int_equal(output->output_count, 2);
  assert_int_equal(reading_release(&reading), 0);
}

/* Texts that are not given are empty. */
static void texts_are_never_missing(void **state) {
  (void)state;
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
  Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
  Onnx__StringStringEntryProto entry = ONNX__STRING_STRING_ENTRY_PROTO__INIT, *entries[] = {&entry};
  model.has_ir_version = 1;
  model.ir_version = 8;
  model.n_metadata_props = 1;
  model.metadata_props = entries;
  model.graph = &graph;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_model_message(&reading, &model), NORMA_OK);
  const char *const texts[] = {reading.model.producer_name,    reading.model.producer_version,
                               reading.model.model_domain,     reading.model.doc_string,
                               reading.model.graph->name,      reading.model.metadata[0].key,
                               reading.model.metadata[0].value};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) assert_string_equal(texts[i], "");
  assert_int_equal(reading.model.model_version, 0);
  assert_int_equal(reading.model.opset_count, 0);
  assert_int_equal(reading.model.function_count, 0);
  assert_int_equal(reading_release(&reading), 0);
}

/* Every version of the format up to the newest that is known. */
static void ir_versions_are_bounded(void **state) {
  (void)state;
  for (int version = -1; version <= MODEL_NEWEST_IR_VERSION + 1; version++) {
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    model.has_ir_version = 1;
    model.ir_version = version;
    model.graph = &graph;
    model_reading reading;
    reading_init(&reading, 0);
    const norma_status expected = version < 1                         ? NORMA_ERROR_INVALID_MODEL
                                  : version > MODEL_NEWEST_IR_VERSION ? NORMA_ERROR_UNSUPPORTED
                                                                      : NORMA_OK;
    assert_int_equal(read_model_message(&reading, &model), expected);
    if (expected == NORMA_OK) assert_int_equal(reading.model.ir_version, version);
    if (expected == NORMA_OK)
      assert_int_equal(reading.model.opset_count, version < 3); /* opset 1 before there were any */
    if (expected != NORMA_OK) assert_null(reading.model.graph);
    assert_int_equal(reading_release(&reading), 0);
  }
}

/* Functions are counted, though nothing calls them. */
static void functions_are_counted(void **state) {
  (void)state;
  model_reading reading;
  test_function leaky;
  test_node inner, relu;
  message_leaky(&leaky, &inner);
  message_node(&relu, "n", "", "Relu");
  message_input(&relu, "x");
  message_output(&relu, "y");
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&relu}, 1, (test_function *[]){&leaky}, 1), NORMA_OK);
  assert_int_equal(reading.model.function_count, 1);
  assert_int_equal(reading.model.graph->node_count, 1);
  assert_int_equal(reading_release(&reading), 0);
}

/* With a place for lazy values large initializers of the main graph stay in the
 * file, all others are read. */
static void large_initializers_may_wait(void **state) {
  enum { LARGE = 20000 };
  static float numbers[LARGE];
  static const char *const overridable[] = {"free"};
  (void)state;
  for (int wait = 0; wait < 2; wait++) {
    model_reading reading;
    lazy_source lazy;
    model_builder *b = builder_create(17);
    builder_input(b, "c", NORMA_BOOL, 0, NULL);
    builder_input(b, "free", NORMA_FLOAT, 1, (int64_t[]){LARGE});
    builder_floats(b, "free", 1, (int64_t[]){LARGE}, numbers);
    builder_floats(b, "large", 1, (int64_t[]){LARGE}, numbers);
    builder_floats(b, "small", 1, (int64_t[]){100}, numbers);
    node *branch = builder_node(b, "If", "c", "y");
    model_builder *inner = builder_subgraph(b, branch, "then_branch");
    builder_floats(inner, "inner", 1, (int64_t[]){LARGE}, numbers);
    builder_output(inner, "inner", NORMA_UNDEFINED, -1, NULL);
    builder_node(b, "Sum", "free large small", "z");
    builder_output(b, "z", NORMA_FLOAT, -1, NULL);
    size_t size;
    const void *bytes = builder_bytes(b, &size);
    reading_init(&reading, 0);
    lazy_source_init(&lazy, &reading.memory, NULL);
    reading.options.overridable = overridable;
    reading.options.overridable_count = 1;
    reading.options.lazy_source = wait ? &lazy : NULL;
    if (reading_read(&reading, bytes, size) != NORMA_OK) fail_msg("%s", reading.error.message);
    const node *sum = reading.model.graph->last;
    assert_false(value_is_lazy(sum->inputs[0]->initial));
    assert_int_equal(value_is_lazy(sum->inputs[1]->constant), wait);
    assert_false(value_is_lazy(sum->inputs[2]->constant));
    const graph *body = attribute_graph(reading.model.graph->first, "then_branch");
    assert_false(value_is_lazy(body->outputs[0]->constant));
    graph_release(reading.model.graph);
    reading.model.graph = NULL;
    lazy_source_close(&lazy);
    assert_int_equal(reading_release(&reading), 0);
    builder_destroy(b);
  }
}

/* --------------------------------------------------------------------------------------------------
 * what is refused */

static void no_graph_is_no_model(void **state) {
  (void)state;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(reading_read(&reading, "", 0), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "no ir version"));
  assert_int_equal(reading_release(&reading), 0);
  assert_int_equal(reading_read(&reading, "\x08\x08\x42\x02\x10\x11", 6), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "no graph"));
  assert_int_equal(reading_release(&reading), 0);
}

static void missing_file_is_a_file_error(void **state) {
  (void)state;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(reading_read_file(&reading, "/nonexistent/model.onnx"), NORMA_ERROR_FILE);
  assert_non_null(strstr(reading.error.message, "/nonexistent/model.onnx"));
  assert_int_equal(reading_release(&reading), 0);
  assert_int_equal(reading_read_file(&reading, "/tmp"), NORMA_ERROR_FILE);
  assert_non_null(strstr(reading.error.message, "directory"));
  assert_int_equal(reading_release(&reading), 0);
  assert_int_equal(reading_read_file(&reading, "/dev/null"), NORMA_ERROR_FILE);
  assert_int_equal(reading_release(&reading), 0);
}

/* The error of a file begins with its path; nobody needs to ask for it. */
static void errors_begin_with_the_path(void **state) {
  (void)state;
  model_reading reading;
  char path[64];
  snprintf(path, sizeof path, "/tmp/norma_test_model_reader_%ld", (long)getpid());
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite("\x3a\x05 no", 1, 5, file), 5);
  fclose(file);
  reading_init(&reading, 0);
  assert_int_equal(reading_read_file(&reading, path), NORMA_ERROR_FORMAT);
  assert_int_equal(strncmp(reading.error.message, path, strlen(path)), 0);
  assert_null(reading.model.graph);
  assert_int_equal(model_read_file(&reading.model, path, &reading.options, NULL), NORMA_ERROR_FORMAT);
  assert_int_equal(model_read_memory(&reading.model, "x", 1, &reading.options, NULL), NORMA_ERROR_FORMAT);
  assert_int_equal(reading_release(&reading), 0);
  remove(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(model_and_graph_are_described), cmocka_unit_test(texts_are_never_missing),
      cmocka_unit_test(ir_versions_are_bounded),       cmocka_unit_test(functions_are_counted),
      cmocka_unit_test(large_initializers_may_wait),   cmocka_unit_test(no_graph_is_no_model),
      cmocka_unit_test(missing_file_is_a_file_error),  cmocka_unit_test(errors_begin_with_the_path),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
