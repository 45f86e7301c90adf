/* The public interface for statistics: moments of a watched value, and a model saved with new ones. */
#include "tests/support/model_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define INPUT_OF_FIRST "/block1/conv/Conv_output_0"
#define CHANNELS       16

/* Moments of what the first BatchNormalization reads, over `count` pictures in batches. */
static void gather(int batch, double *mean, double *variance) {
  enum { COUNT = 24 };
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_NONE, 1, NULL);
  float *pictures = make_pictures(COUNT, 4);
  norma_moments *moments;
  double count;
  assert_int_equal(norma_moments_create(loaded.runtime, CHANNELS, &moments, NULL), NORMA_OK);
  assert_int_equal(norma_session_watch(loaded.session, INPUT_OF_FIRST, NULL), NORMA_OK);
  for (int first = 0; first < COUNT; first += batch) {
    norma_session_clear_inputs(loaded.session);
    set_pictures(loaded.session, pictures + first * PICTURE_ELEMENTS, batch);
    run_model(loaded.session);
    const norma_tensor *x = norma_value_tensor(norma_session_value(loaded.session, INPUT_OF_FIRST));
    assert_non_null(x);
    assert_int_equal(norma_moments_add(moments, x, NULL), NORMA_OK);
  }
  assert_int_equal(norma_moments_read(moments, &count, mean, variance, NULL), NORMA_OK);
  assert_true(count == COUNT * 64);
  norma_moments_destroy(moments);
  free(pictures);
  free_model(&loaded);
}

static void test_gather(void **unused) {
  (void)unused;
  double mean[CHANNELS], variance[CHANNELS], other_mean[CHANNELS], other_variance[CHANNELS];
  gather(24, mean, variance);
  gather(3, other_mean, other_variance);
  assert_memory_equal(mean, other_mean, sizeof mean);
  assert_memory_equal(variance, other_variance, sizeof variance);
  for (int c = 0; c < CHANNELS; c++) assert_true(variance[c] > 0 && isfinite(mean[c]));
}

static void test_replace_and_save(void **unused) {
  (void)unused;
  char path[] = "/tmp/norma_statistics_XXXXXX";
  int file = mkstemp(path);
  assert_true(file >= 0);
  close(file);
  norma_runtime *runtime;
  norma_editor *editor;
  norma_tensor tensor;
  norma_error error;
  float old[CHANNELS], new[CHANNELS], read[CHANNELS];
  assert_int_equal(norma_runtime_create(NULL, &runtime, NULL), NORMA_OK);
  assert_int_equal(norma_editor_open(runtime, DIGITS_BN, &editor, NULL), NORMA_OK);
  assert_int_equal(norma_editor_read(editor, "block1.bn.running_mean", &tensor, NULL, 0, NULL), NORMA_OK);
  assert_int_equal(tensor.size_bytes, sizeof old);
  assert_int_equal(norma_editor_read(editor, "block1.bn.running_mean", &tensor, old, sizeof old - 1, NULL),
                   NORMA_ERROR_BUDGET);
  assert_int_equal(norma_editor_read(editor, "block1.bn.running_mean", &tensor, old, sizeof old, NULL), NORMA_OK);
  for (int c = 0; c < CHANNELS; c++) new[c] = old[c] + 1;
  tensor.data = new;
  assert_int_equal(norma_editor_replace(editor, "block1.bn.running_mean", &tensor, NULL), NORMA_OK);
  assert_int_equal(norma_editor_replace(editor, "no such name", &tensor, &error), NORMA_ERROR_ARGUMENT);
  assert_non_null(strstr(error.message, "no such name"));
  assert_int_equal(norma_editor_replace(editor, "block1.conv.weight", &tensor, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_save(editor, DIGITS_BN, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_editor_save(editor, "/nowhere/at/all.onnx", NULL), NORMA_ERROR_FILE);
  assert_int_equal(norma_editor_save(editor, path, NULL), NORMA_OK);
  norma_editor_destroy(editor);
  assert_int_equal(norma_editor_open(runtime, path, &editor, NULL), NORMA_OK);
  assert_int_equal(norma_editor_read(editor, "block1.bn.running_mean", &tensor, read, sizeof read, NULL), NORMA_OK);
  assert_memory_equal(read, new, sizeof new);
  norma_editor_destroy(editor);
  norma_runtime_destroy(runtime);
  unlink(path);
}

static void test_arguments(void **unused) {
  (void)unused;
  norma_moments_destroy(NULL);
  norma_editor_destroy(NULL);
  norma_moments *moments;
  norma_editor *editor;
  norma_runtime *runtime;
  assert_int_equal(norma_runtime_create(NULL, &runtime, NULL), NORMA_OK);
  assert_int_equal(norma_moments_create(NULL, 1, &moments, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_moments_create(runtime, 0, &moments, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_moments_create(runtime, 2, &moments, NULL), NORMA_OK);
  assert_int_equal(norma_moments_add(moments, NULL, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_moments_merge(moments, moments, NULL), NORMA_ERROR_ARGUMENT);
  norma_moments_destroy(moments);
  assert_int_equal(norma_editor_open(runtime, "README.md", &editor, NULL), NORMA_ERROR_FORMAT);
  assert_null(editor);
  assert_int_equal(norma_editor_open(runtime, "absent.onnx", &editor, NULL), NORMA_ERROR_FILE);
  norma_runtime_destroy(runtime);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gather),
      cmocka_unit_test(test_replace_and_save),
      cmocka_unit_test(test_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
