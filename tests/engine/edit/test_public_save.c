/* Optimised models written as ONNX, to files and to memory, that load again and compute the same. */
#include "tests/support/model_run.h"

#include <math.h>
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

static bool refuse(void *context, const void *data, size_t count) {
  (void)context;
  (void)data;
  return count == 0;
}

static bytes read_file(const char *path) {
  bytes result = {0};
  char piece[4096];
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  for (size_t count; (count = fread(piece, 1, sizeof piece, file)) > 0;) append(&result, piece, count);
  fclose(file);
  return result;
}

static norma_model *load(norma_graph_form form, norma_optimization level) {
  norma_load_options options = {.struct_size = sizeof options, .form = form, .optimization = level};
  norma_model *model;
  norma_error error;
  if (norma_model_load(DIGITS_BN, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  return model;
}

static void compute(norma_model *model, float *result) {
  norma_session *session;
  float *pictures = make_pictures(2, 11);
  assert_int_equal(norma_session_create(model, NULL, &session, NULL), NORMA_OK);
  set_pictures(session, pictures, 2);
  memcpy(result, run_model(session)->data, 2 * DIGIT_CLASSES * sizeof *result);
  norma_session_destroy(session);
  free(pictures);
}

static size_t count_nodes(const norma_model *model) {
  norma_graph_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_graph_describe(norma_model_graph(model), &info), NORMA_OK);
  return info.node_count;
}

static void files_and_bytes_are_the_same(void **state) {
  (void)state;
  norma_error error;
  float expected[2 * DIGIT_CLASSES], actual[2 * DIGIT_CLASSES];
  bytes source = read_file(DIGITS_BN);
  norma_model *plain = load(NORMA_FORM_RUN, NORMA_OPTIMIZE_NONE);
  compute(plain, expected);
  for (int form = NORMA_FORM_FOLDED; form <= NORMA_FORM_OPTIMIZED; form++) {
    char path[] = "/tmp/norma_save_XXXXXX";
    close(mkstemp(path));
    bytes written = {0};
    norma_save_report report = {.struct_size = sizeof report}, other = report;
    norma_model *model = load((norma_graph_form)form, NORMA_OPTIMIZE_DEFAULT), *again;
    if (norma_model_save(model, DIGITS_BN, NULL, path, &report, &error) != NORMA_OK) fail_msg("%s", error.message);
    assert_int_equal(report.kept + report.changed, count_nodes(model));
    assert_true(report.changed > 0 && report.removed > 0);
    assert_int_equal(report.kept + report.changed + report.removed, count_nodes(plain));
    assert_int_equal(norma_model_write(model, source.data, source.size, NULL, append, &written, &other, &error),
                     NORMA_OK);
    assert_memory_equal(&report, &other, sizeof report);
    bytes saved = read_file(path);
    assert_int_equal(saved.size, written.size);
    assert_memory_equal(saved.data, written.data, saved.size);
    assert_int_equal(norma_model_load(path, NULL, &again, &error), NORMA_OK);
    compute(again, actual);
    for (int i = 0; i < 2 * DIGIT_CLASSES; i++) assert_true(fabsf(actual[i] - expected[i]) < 1e-5f);
    norma_model_destroy(again);
    norma_model_destroy(model);
    free(saved.data);
    free(written.data);
    unlink(path);
  }
  norma_model_destroy(plain);
  free(source.data);
}

/* A model that nothing was changed in is written as it was. */
static void an_unchanged_model_keeps_its_bytes(void **state) {
  (void)state;
  norma_error error;
  bytes source = read_file(DIGITS_BN), written = {0};
  norma_model *plain = load(NORMA_FORM_RUN, NORMA_OPTIMIZE_NONE);
  norma_save_report report = {.struct_size = sizeof report};
  assert_int_equal(norma_model_write(plain, source.data, source.size, NULL, append, &written, &report, &error),
                   NORMA_OK);
  assert_true(report.changed == 0 && report.removed == 0);
  assert_int_equal(written.size, source.size);
  norma_model_destroy(plain);
  free(written.data);
  free(source.data);
}

static void what_cannot_be_written_is_refused(void **state) {
  (void)state;
  char path[] = "/tmp/norma_save_XXXXXX";
  int file = mkstemp(path);
  norma_error error;
  norma_save_report report = {.struct_size = 2};
  norma_model *looked_at = load(NORMA_FORM_INSPECT, NORMA_OPTIMIZE_DEFAULT);
  norma_model *fast = load(NORMA_FORM_RUN, NORMA_OPTIMIZE_FULL), *good = load(NORMA_FORM_FOLDED, NORMA_OPTIMIZE_FULL);
  close(file);
  unlink(path);
  assert_int_equal(norma_model_save(looked_at, DIGITS_BN, NULL, path, NULL, &error), NORMA_ERROR_ARGUMENT);
  norma_status status = norma_model_save(fast, DIGITS_BN, NULL, path, NULL, &error); /* packed, fused */
  assert_true(status == NORMA_ERROR_ARGUMENT || status == NORMA_ERROR_UNSUPPORTED);
  assert_int_equal(norma_model_save(good, DIGITS_BN, NULL, path, &report, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_save(good, "/nowhere.onnx", NULL, path, NULL, &error), NORMA_ERROR_FILE);
  assert_int_equal(norma_model_save(good, DIGITS_BN, NULL, DIGITS_BN, NULL, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_save(good, NULL, NULL, path, NULL, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_model_save(NULL, DIGITS_BN, NULL, path, NULL, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_not_equal(access(path, F_OK), 0); /* nothing was written */
  bytes source = read_file(DIGITS_BN);
  assert_int_equal(norma_model_write(good, source.data, source.size, NULL, refuse, NULL, NULL, &error),
                   NORMA_ERROR_FILE);
  assert_int_equal(norma_model_write(good, source.data, 100, NULL, append, NULL, NULL, &error), NORMA_ERROR_FORMAT);
  assert_int_equal(norma_model_write(good, source.data, source.size, NULL, NULL, NULL, NULL, &error),
                   NORMA_ERROR_ARGUMENT);
  free(source.data);
  norma_model_destroy(looked_at);
  norma_model_destroy(fast);
  norma_model_destroy(good);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_and_bytes_are_the_same),
      cmocka_unit_test(an_unchanged_model_keeps_its_bytes),
      cmocka_unit_test(what_cannot_be_written_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
