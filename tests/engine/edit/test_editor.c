/* Editing a model through norma.h: from a file and from memory, tensors, single parts of nodes, and what is refused. */
#include "tests/support/model_builder.h"
#include "tests/support/model_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct bytes {
  unsigned char *data;
  size_t size, room;
} bytes;

static bool append(void *context, const void *data, size_t count) {
  bytes *bytes = context;
  if (bytes->size + count > bytes->room) {
    bytes->room = 2 * (bytes->size + count);
    bytes->data = realloc(bytes->data, bytes->room);
  }
  memcpy(bytes->data + bytes->size, data, count);
  bytes->size += count;
  return true;
}

static bool append_nothing(void *context, const void *data, size_t count) {
  (void)context;
  (void)data;
  (void)count;
  return false;
}

typedef struct fixture {
  norma_runtime *runtime;
  norma_editor *editor;
  model_builder *builder;
  norma_error error;
} fixture;

/* y, mask = Dropout(LeakyRelu(x) * w); words = Identity(names); c is a Constant. */
static int set_up(void **state) {
  fixture *fixture = calloc(1, sizeof *fixture);
  size_t size;
  model_builder *b = fixture->builder = builder_create(17);
  builder_model(b)->ir_version = 8;
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){3});
  builder_floats(b, "w", 1, (int64_t[]){3}, (float[]){1, 2, 3});
  builder_strings(b, "names", 1, (int64_t[]){2}, (const char *const[]){"one", "two"});
  builder_tensor(builder_node(b, "Constant", "", "c"), "value", NORMA_FLOAT, 0, NULL, &(float){4});
  builder_float(builder_node(b, "LeakyRelu", "x", "l"), "alpha", 0.5f);
  builder_node(b, "Mul", "l w", "m");
  builder_node(b, "Dropout", "m", "y mask");
  builder_node(b, "Mul", "y c", "z");
  builder_node(b, "Identity", "names", "words");
  builder_output(b, "z", NORMA_FLOAT, -1, NULL);
  builder_output(b, "mask", NORMA_BOOL, -1, NULL);
  builder_output(b, "words", NORMA_STRING, -1, NULL);
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  assert_int_equal(norma_runtime_create(&options, &fixture->runtime, &fixture->error), NORMA_OK);
  const void *data = builder_bytes(b, &size);
  assert_int_equal(
      norma_editor_open_memory(fixture->runtime, data, size, NULL, NULL, &fixture->editor, &fixture->error), NORMA_OK);
  *state = fixture;
  return 0;
}

static int tear_down(void **state) {
  fixture *fixture = *state;
  norma_editor_destroy(fixture->editor);
  norma_runtime_destroy(fixture->runtime);
  builder_destroy(fixture->builder);
  free(fixture);
  return 0;
}

/* The edited model, to be looked at. */
static norma_model *look(fixture *fixture) {
  bytes written = {0};
  norma_model *model;
  norma_load_options options = {
      .struct_size = sizeof options, .form = NORMA_FORM_INSPECT, .runtime = fixture->runtime, .keep_constants = true};
  assert_int_equal(norma_editor_write(fixture->editor, append, &written, &fixture->error), NORMA_OK);
  if (norma_model_load_memory(written.data, written.size, &options, &model, &fixture->error) != NORMA_OK) {
    fail_msg("%s", fixture->error.message);
  }
  free(written.data);
  return model;
}

static const norma_node *producer(const norma_model *model, const char *name) {
  norma_graph_value_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_graph_value_describe(norma_graph_find_value(norma_model_graph(model), name), &info), NORMA_OK);
  return info.producer;
}

static float first_float(const norma_model *model, const char *name) {
  norma_graph_value_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_graph_value_describe(norma_graph_find_value(norma_model_graph(model), name), &info), NORMA_OK);
  assert_non_null(info.contents);
  return *(const float *)norma_value_tensor(info.contents)->data;
}

static void unchanged_bytes_come_back(void **state) {
  fixture *fixture = *state;
  size_t size;
  bytes written = {0};
  const void *data = builder_bytes(fixture->builder, &size);
  assert_int_equal(norma_editor_write(fixture->editor, append, &written, &fixture->error), NORMA_OK);
  assert_int_equal(written.size, size);
  assert_memory_equal(written.data, data, size);
  free(written.data);
}

static void tensors_are_read_replaced_and_added(void **state) {
  fixture *fixture = *state;
  norma_value *value;
  norma_tensor tensor;
  float data[3];
  const char *name;
  assert_int_equal(norma_editor_read(fixture->editor, "w", &tensor, data, sizeof data, &fixture->error), NORMA_OK);
  assert_true(tensor.rank == 1 && tensor.dims[0] == 3 && data[2] == 3);
  assert_int_equal(norma_editor_read_value(fixture->editor, "names", &value, &fixture->error), NORMA_OK);
  assert_memory_equal(((const norma_string *)norma_value_tensor(value)->data)[1].data, "two", 3);
  norma_value_destroy(value);
  assert_int_equal(norma_editor_read_value(fixture->editor, "c", &value, &fixture->error), NORMA_OK);
  assert_true(*(const float *)norma_value_tensor(value)->data == 4);
  norma_value_destroy(value);
  assert_int_equal(norma_editor_read_value(fixture->editor, "l", &value, &fixture->error), NORMA_ERROR_ARGUMENT);
  assert_null(value);

  data[0] = 9;
  norma_tensor_init(&tensor, NORMA_FLOAT, 1, (int64_t[]){3}, data);
  assert_int_equal(norma_editor_replace(fixture->editor, "w", &tensor, &fixture->error), NORMA_OK);
  data[0] = 7;
  assert_int_equal(norma_editor_add(fixture->editor, "w", &tensor, &name, &fixture->error), NORMA_OK);
  assert_string_not_equal(name, "w");
  assert_int_equal(norma_editor_set_input(fixture->editor, "m", 1, name, &fixture->error), NORMA_OK);
  norma_model *model = look(fixture);
  assert_true(first_float(model, "w") == 9);
  assert_true(first_float(model, name) == 7);
  norma_graph_value_info info = {.struct_size = sizeof info};
  norma_graph_value_describe(norma_node_input(producer(model, "m"), 1), &info);
  assert_string_equal(info.name, name);
  norma_model_destroy(model);
}

static void parts_of_nodes_are_changed(void **state) {
  fixture *fixture = *state;
  norma_editor *editor = fixture->editor;
  norma_error *error = &fixture->error;
  assert_int_equal(norma_editor_remove_attribute(editor, "l", "alpha", error), NORMA_OK);
  assert_int_equal(norma_editor_set_int(editor, "m", "extra", -5, error), NORMA_OK);
  assert_int_equal(norma_editor_keep_outputs(editor, "y", 1, error), NORMA_OK);
  assert_int_equal(norma_editor_remove_output(editor, "mask", error), NORMA_OK);
  assert_int_equal(norma_editor_remove_output(editor, "none", error), NORMA_OK); /* nothing to take */
  assert_int_equal(norma_editor_keep_inputs(editor, "z", 1, error), NORMA_OK);
  norma_model *model = look(fixture);
  norma_node_info info = {.struct_size = sizeof info};
  assert_null(norma_node_find_attribute(producer(model, "l"), "alpha"));
  assert_int_equal(norma_attribute_int(norma_node_find_attribute(producer(model, "m"), "extra"), 0), -5);
  norma_node_describe(producer(model, "y"), &info);
  assert_int_equal(info.output_count, 1);
  norma_node_describe(producer(model, "z"), &info);
  assert_int_equal(info.input_count, 1);
  assert_int_equal(norma_model_output_count(model), 2);
  norma_model_destroy(model);
}

static void what_is_wrong_is_refused(void **state) {
  fixture *fixture = *state;
  norma_editor *editor = fixture->editor;
  norma_error *error = &fixture->error;
  float data[4] = {0};
  norma_string text = {"x", 1};
  norma_tensor good, longer, wrong, words;
  const char *name;
  norma_tensor_init(&good, NORMA_FLOAT, 1, (int64_t[]){3}, data);
  norma_tensor_init(&longer, NORMA_FLOAT, 1, (int64_t[]){4}, data);
  norma_tensor_init(&words, NORMA_STRING, 0, NULL, &text);
  wrong = good;
  wrong.dims[0] = 1000; /* more than its size says */
  assert_int_equal(norma_editor_replace(editor, "w", &longer, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_replace(editor, "w", &wrong, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_replace(editor, "none", &good, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_replace(editor, "w", NULL, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_add(editor, "n", &words, &name, error), NORMA_ERROR_UNSUPPORTED);
  assert_int_equal(norma_editor_add(editor, "", &good, &name, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_add(editor, "n", &wrong, &name, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_add(editor, "n", &good, NULL, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_set_input(editor, "none", 0, "x", error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_set_input(editor, "m", 2, "x", error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_set_input(editor, "m", 0, NULL, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_set_int(editor, "none", "a", 1, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_set_int(editor, "m", NULL, 1, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_remove_attribute(editor, "none", "a", error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_keep_inputs(editor, "none", 1, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_keep_outputs(NULL, "m", 1, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_remove_output(editor, NULL, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_write(editor, append_nothing, NULL, error), NORMA_ERROR_FILE);
  assert_int_equal(norma_editor_write(editor, NULL, NULL, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_write(NULL, append, NULL, NULL), NORMA_ERROR_ARGUMENT);
  norma_editor *none = editor;
  assert_int_equal(norma_editor_open_memory(fixture->runtime, "nonsense", 8, NULL, NULL, &none, error),
                   NORMA_ERROR_FORMAT);
  assert_null(none);
  assert_int_equal(norma_editor_open_memory(fixture->runtime, NULL, 0, NULL, NULL, &none, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_open(fixture->runtime, "/nowhere/at/all.onnx", &none, error), NORMA_ERROR_FILE);
  assert_null(none);
  assert_int_equal(norma_editor_open(NULL, DIGITS_BN, &none, NULL), NORMA_ERROR_ARGUMENT);
}

static void files_are_told_apart(void **state) {
  fixture *fixture = *state;
  norma_editor *first, *second;
  assert_int_equal(norma_editor_open(fixture->runtime, DIGITS_BN, &first, &fixture->error), NORMA_OK);
  assert_int_equal(norma_editor_open(fixture->runtime, DIGITS_FOLDED, &second, &fixture->error), NORMA_OK);
  assert_true(norma_editor_fingerprint(first) != norma_editor_fingerprint(second));
  norma_editor_destroy(second);
  assert_int_equal(norma_editor_open(fixture->runtime, DIGITS_BN, &second, &fixture->error), NORMA_OK);
  assert_true(norma_editor_fingerprint(first) == norma_editor_fingerprint(second));
  norma_editor_destroy(first);
  norma_editor_destroy(second);
  assert_int_equal(norma_editor_fingerprint(NULL), 0);
}

/* A model from memory has no folder: its edited form can be written to a file as long as no other file belongs to
 * it. */
static void a_model_from_memory_becomes_a_file(void **state) {
  fixture *fixture = *state;
  char path[] = "/tmp/norma_editor_XXXXXX";
  norma_model *model;
  int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  assert_int_equal(norma_editor_save(fixture->editor, path, &fixture->error), NORMA_OK);
  norma_load_options options = {.struct_size = sizeof options, .form = NORMA_FORM_INSPECT};
  assert_int_equal(norma_model_load(path, &options, &model, &fixture->error), NORMA_OK);
  norma_model_destroy(model);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(unchanged_bytes_come_back, set_up, tear_down),
      cmocka_unit_test_setup_teardown(tensors_are_read_replaced_and_added, set_up, tear_down),
      cmocka_unit_test_setup_teardown(parts_of_nodes_are_changed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_wrong_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(files_are_told_apart, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_model_from_memory_becomes_a_file, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
