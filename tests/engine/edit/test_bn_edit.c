/* New statistics written into a model, and training turned into inference. */
#include "tests/support/model_builder.h"
#include "tests/support/sparse_contents.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct bytes {
  unsigned char data[16384];
  size_t size;
} bytes;

static bool append(void *context, const void *data, size_t count) {
  bytes *bytes = context;
  if (count > sizeof bytes->data - bytes->size) return false;
  memcpy(bytes->data + bytes->size, data, count);
  bytes->size += count;
  return true;
}

/* One model, its study and its editor. */
typedef struct fixture {
  model_builder *builder;
  norma_runtime *runtime;
  norma_bn_study *study;
  norma_editor *editor;
  norma_model *edited;
  void *bytes; /* of a model that the builder cannot make; NULL: the builder's are the model's */
  int warnings;
  norma_error error;
} fixture;

static void count_warning(void *context, norma_log_level level, const char *line) {
  (void)line;
  if (level == NORMA_LOG_WARNING) ++*(int *)context;
}

/* `sparse`: what is to have the sparse form; NULL: nothing. */
static void open_sparse_fixture(fixture *fixture, model_builder *b, const char *sparse) {
  size_t size;
  *fixture = (struct fixture){.builder = b};
  builder_model(b)->ir_version = 8;
  norma_runtime_options runtime = {.struct_size = sizeof runtime, .threads = 1, .log = count_warning};
  runtime.log_context = &fixture->warnings;
  assert_int_equal(norma_runtime_create(&runtime, &fixture->runtime, &fixture->error), NORMA_OK);
  const void *bytes = builder_bytes(b, &size);
  if (sparse) bytes = fixture->bytes = make_sparse(bytes, size, sparse, &size);
  norma_load_options options = {.struct_size = sizeof options, .runtime = fixture->runtime};
  if (norma_bn_open_memory(bytes, size, &options, &fixture->study, &fixture->error) != NORMA_OK ||
      norma_editor_open_memory(fixture->runtime, bytes, size, NULL, NULL, &fixture->editor, &fixture->error) !=
          NORMA_OK) {
    fail_msg("%s", fixture->error.message);
  }
}

static void open_fixture(fixture *fixture, model_builder *b) {
  open_sparse_fixture(fixture, b, NULL);
}

static void close_fixture(fixture *fixture) {
  norma_model_destroy(fixture->edited);
  norma_editor_destroy(fixture->editor);
  norma_bn_destroy(fixture->study);
  norma_runtime_destroy(fixture->runtime);
  builder_destroy(fixture->builder);
  free(fixture->bytes);
}

/* The edited model at level 0. */
static void load_edited(fixture *fixture) {
  static bytes written;
  written.size = 0;
  norma_load_options options = {
      .struct_size = sizeof options, .runtime = fixture->runtime, .optimization = NORMA_OPTIMIZE_NONE};
  assert_int_equal(norma_editor_write(fixture->editor, append, &written, &fixture->error), NORMA_OK);
  if (norma_model_load_memory(written.data, written.size, &options, &fixture->edited, &fixture->error) != NORMA_OK) {
    fail_msg("%s", fixture->error.message);
  }
}

static const norma_node *node_of(const fixture *fixture, const char *output) {
  norma_graph_value_info info = {.struct_size = sizeof info};
  const norma_graph *graph = norma_model_graph(fixture->edited);
  assert_int_equal(norma_graph_value_describe(norma_graph_find_value(graph, output), &info), NORMA_OK);
  return info.producer;
}

static float input_element(const fixture *fixture, const char *output, size_t input, int element) {
  norma_graph_value_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_graph_value_describe(norma_node_input(node_of(fixture, output), input), &info), NORMA_OK);
  assert_non_null(info.contents);
  return ((const float *)norma_value_tensor(info.contents)->data)[element];
}

/* Two nodes; the second shares its mean with the bias of both. */
static model_builder *two_nodes(void) {
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){-1, 2});
  builder_floats(b, "scale", 1, (int64_t[]){2}, (float[]){1, 1});
  builder_floats(b, "zero", 1, (int64_t[]){2}, (float[]){0, 0});
  builder_floats(b, "mean", 1, (int64_t[]){2}, (float[]){0.5f, 0.25f});
  builder_floats(b, "variance", 1, (int64_t[]){2}, (float[]){1, 2});
  builder_floats(b, "other", 1, (int64_t[]){2}, (float[]){3, 4});
  builder_named_node(b, "first", "", "BatchNormalization", "x scale zero mean variance", "y");
  builder_named_node(b, "second", "", "BatchNormalization", "y scale zero zero other", "z");
  builder_output(b, "z", NORMA_FLOAT, -1, NULL);
  return b;
}

static void statistics_are_written(void **state) {
  (void)state;
  fixture fixture;
  size_t copied = 9;
  open_fixture(&fixture, two_nodes());
  const double mean[] = {-1.5, 2.5}, variance[] = {8, 16};
  assert_int_equal(norma_bn_set_statistics(fixture.study, 0, fixture.editor, mean, variance, &copied, &fixture.error),
                   NORMA_OK);
  assert_int_equal(copied, 0);
  assert_int_equal(norma_bn_set_statistics(fixture.study, 1, fixture.editor, mean, variance, &copied, &fixture.error),
                   NORMA_OK);
  assert_int_equal(copied, 1); /* the mean alone is shared */
  load_edited(&fixture);
  assert_true(input_element(&fixture, "y", 3, 0) == -1.5f && input_element(&fixture, "y", 4, 1) == 16);
  assert_true(input_element(&fixture, "z", 3, 1) == 2.5f && input_element(&fixture, "z", 4, 0) == 8);
  assert_true(input_element(&fixture, "y", 2, 0) == 0); /* what was shared stays for the others */
  close_fixture(&fixture);
}

/* A Constant node may hold floats as a list: it is replaced where it stands, as a tensor is. */
static void statistics_of_constant_nodes_are_written(void **state) {
  (void)state;
  static const float old[] = {0.5f, 0.25f};
  const double mean[] = {-1.5, 2.5}, variance[] = {8, 16};
  for (int lists = 0; lists < 4; lists++) { /* which of mean and variance */
    fixture fixture;
    size_t copied = 9;
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){-1, 2});
    builder_floats(b, "scale", 1, (int64_t[]){2}, (float[]){1, 1});
    builder_floats(b, "zero", 1, (int64_t[]){2}, (float[]){0, 0});
    for (int i = 0; i < 2; i++) {
      node *constant = builder_node(b, "Constant", "", i ? "variance" : "mean");
      if (lists >> i & 1) {
        builder_float_list(constant, "value_floats", 2, old);
      } else {
        builder_tensor(constant, "value", NORMA_FLOAT, 1, (int64_t[]){2}, old);
      }
    }
    builder_named_node(b, "bn", "", "BatchNormalization", "x scale zero mean variance", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    open_fixture(&fixture, b);
    norma_bn_info info = {.struct_size = sizeof info};
    assert_int_equal(norma_bn_describe(fixture.study, 0, &info), NORMA_OK);
    assert_null(info.obstacle);
    assert_int_equal(info.channels, 2);
    assert_false(info.is_shared);
    assert_memory_equal(info.mean->data, old, sizeof old);
    assert_memory_equal(info.variance->data, old, sizeof old);
    if (norma_bn_set_statistics(fixture.study, 0, fixture.editor, mean, variance, &copied, &fixture.error) !=
        NORMA_OK) {
      fail_msg("%s", fixture.error.message);
    }
    assert_int_equal(copied, 0);
    for (int i = 0; i < 2; i++) { /* what the editor holds now */
      float written[2];
      norma_tensor tensor;
      assert_int_equal(
          norma_editor_read(fixture.editor, i ? "variance" : "mean", &tensor, written, sizeof written, &fixture.error),
          NORMA_OK);
      const double *expected = i ? variance : mean;
      assert_true(written[0] == (float)expected[0] && written[1] == (float)expected[1]);
    }
    load_edited(&fixture);
    close_fixture(&fixture);
  }
}

/* What is sparse cannot be written where it stands: the node gets a dense copy. */
static void sparse_statistics_get_copies(void **state) {
  (void)state;
  const double mean[] = {-1.5, 2.5}, variance[] = {8, 16};
  for (int is_constant = 0; is_constant < 2; is_constant++) {
    fixture fixture;
    size_t copied = 9;
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){-1, 2});
    builder_floats(b, "scale", 1, (int64_t[]){2}, (float[]){1, 1});
    builder_floats(b, "zero", 1, (int64_t[]){2}, (float[]){0, 0});
    builder_floats(b, "mean", 1, (int64_t[]){2}, (float[]){0, 0.5f});
    if (is_constant) {
      builder_tensor(builder_node(b, "Constant", "", "variance"), "value", NORMA_FLOAT, 1, (int64_t[]){2},
                     (float[]){0, 4});
    } else {
      builder_floats(b, "variance", 1, (int64_t[]){2}, (float[]){0, 4});
    }
    builder_named_node(b, "bn", "", "BatchNormalization", "x scale zero mean variance", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    open_sparse_fixture(&fixture, b, "variance");
    norma_bn_info info = {.struct_size = sizeof info};
    assert_int_equal(norma_bn_describe(fixture.study, 0, &info), NORMA_OK);
    assert_null(info.obstacle);
    assert_false(info.is_shared);
    assert_memory_equal(info.variance->data, ((float[]){0, 4}), 2 * sizeof(float));
    if (norma_bn_set_statistics(fixture.study, 0, fixture.editor, mean, variance, &copied, &fixture.error) !=
        NORMA_OK) {
      fail_msg("%s", fixture.error.message);
    }
    assert_int_equal(copied, 1);
    load_edited(&fixture);
    assert_true(input_element(&fixture, "y", 3, 0) == -1.5f && input_element(&fixture, "y", 3, 1) == 2.5f);
    assert_true(input_element(&fixture, "y", 4, 0) == 8 && input_element(&fixture, "y", 4, 1) == 16);
    close_fixture(&fixture);
  }
}

static void statistics_that_cannot_be_are_refused(void **state) {
  (void)state;
  fixture fixture;
  open_fixture(&fixture, two_nodes());
  const double good[] = {1, 1};
  const double bad[][2] = {{1e39, 1}, {1, (double)NAN}, {(double)INFINITY, 1}};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(norma_bn_set_statistics(fixture.study, 0, fixture.editor, bad[i], good, NULL, &fixture.error),
                     NORMA_ERROR_ARGUMENT);
    assert_int_equal(norma_bn_set_statistics(fixture.study, 0, fixture.editor, good, bad[i], NULL, &fixture.error),
                     NORMA_ERROR_ARGUMENT);
  }
  assert_int_equal(norma_bn_set_statistics(fixture.study, 2, fixture.editor, good, good, NULL, &fixture.error),
                   NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_bn_set_statistics(fixture.study, 0, NULL, good, good, NULL, &fixture.error),
                   NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_bn_set_statistics(fixture.study, 0, fixture.editor, NULL, good, NULL, NULL),
                   NORMA_ERROR_ARGUMENT);
  close_fixture(&fixture);
}

/* A node in training mode with its further outputs, and a Dropout that drops. */
static model_builder *training(bool read_elsewhere, float variance) {
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){-1, 2});
  builder_floats(b, "scale", 1, (int64_t[]){2}, (float[]){1, 1});
  builder_floats(b, "bias", 1, (int64_t[]){2}, (float[]){0, 0});
  builder_floats(b, "mean", 1, (int64_t[]){2}, (float[]){0.5f, 0.25f});
  builder_floats(b, "variance", 1, (int64_t[]){2}, (float[]){1, variance});
  builder_floats(b, "ratio", 0, NULL, (float[]){0.5f});
  builder_initializer(b, "drop", NORMA_BOOL, 0, NULL, &(bool){true});
  node *bn = builder_named_node(b, "bn", "", "BatchNormalization", "x scale bias mean variance", "y new_mean new_var");
  builder_int(bn, "training_mode", 1);
  builder_named_node(b, "dropout", "", "Dropout", "y ratio drop", "z");
  if (read_elsewhere) builder_named_node(b, "reader", "", "Neg", "new_mean", "negated");
  builder_output(b, "z", NORMA_FLOAT, -1, NULL);
  builder_output(b, read_elsewhere ? "negated" : "new_var", NORMA_FLOAT, -1, NULL);
  return b;
}

static void training_becomes_inference(void **state) {
  (void)state;
  fixture fixture;
  open_fixture(&fixture, training(false, 2));
  norma_bn_freeze_report report = {.struct_size = sizeof report};
  if (norma_bn_freeze(fixture.study, fixture.editor, &report, &fixture.error) != NORMA_OK) {
    fail_msg("%s", fixture.error.message);
  }
  assert_true(report.normalizations == 1 && report.dropouts == 1);
  assert_int_equal(fixture.warnings, 1); /* an output of the model goes */
  load_edited(&fixture);
  norma_node_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_node_describe(node_of(&fixture, "y"), &info), NORMA_OK);
  assert_int_equal(info.output_count, 1);
  assert_null(norma_node_find_attribute(node_of(&fixture, "y"), "training_mode"));
  assert_int_equal(norma_node_describe(node_of(&fixture, "z"), &info), NORMA_OK);
  assert_int_equal(info.input_count, 2);
  assert_int_equal(norma_model_output_count(fixture.edited), 1);
  /* it computes by the stored statistics, and drops nothing */
  norma_session *session;
  float x[2] = {2.5f, 3.25f};
  norma_tensor tensor;
  norma_tensor_init(&tensor, NORMA_FLOAT, 2, (int64_t[]){1, 2}, x);
  assert_int_equal(norma_session_create(fixture.edited, NULL, &session, &fixture.error), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "x", &tensor, &fixture.error), NORMA_OK);
  assert_int_equal(norma_session_run(session, &fixture.error), NORMA_OK);
  const float *z = norma_value_tensor(norma_session_output(session, 0))->data;
  assert_true(fabsf(z[0] - 2 / sqrtf(1 + 1e-5f)) < 1e-6f && fabsf(z[1] - 3 / sqrtf(2 + 1e-5f)) < 1e-6f);
  norma_session_destroy(session);
  close_fixture(&fixture);
}

static void what_cannot_be_frozen_is_refused(void **state) {
  (void)state;
  fixture fixture;
  open_fixture(&fixture, training(true, 2));
  assert_int_equal(norma_bn_freeze(fixture.study, fixture.editor, NULL, &fixture.error), NORMA_ERROR_UNSUPPORTED);
  assert_non_null(strstr(fixture.error.message, "'reader' reads it"));
  norma_bn_freeze_report report = {.struct_size = 1};
  assert_int_equal(norma_bn_freeze(fixture.study, fixture.editor, &report, &fixture.error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_bn_freeze(NULL, fixture.editor, NULL, &fixture.error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_bn_freeze(fixture.study, NULL, NULL, NULL), NORMA_ERROR_ARGUMENT);
  close_fixture(&fixture);
  open_fixture(&fixture, training(false, -1));
  assert_int_equal(norma_bn_freeze(fixture.study, fixture.editor, NULL, &fixture.error), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(fixture.error.message, "channel 1 has mean 0.25 and variance -1"));
  close_fixture(&fixture);
  open_fixture(&fixture, two_nodes()); /* nothing to do */
  report.struct_size = sizeof report;
  assert_int_equal(norma_bn_freeze(fixture.study, fixture.editor, &report, &fixture.error), NORMA_OK);
  assert_true(report.normalizations == 0 && report.dropouts == 0);
  close_fixture(&fixture);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(statistics_are_written),       cmocka_unit_test(statistics_of_constant_nodes_are_written),
      cmocka_unit_test(sparse_statistics_get_copies), cmocka_unit_test(statistics_that_cannot_be_are_refused),
      cmocka_unit_test(training_becomes_inference),   cmocka_unit_test(what_cannot_be_frozen_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
