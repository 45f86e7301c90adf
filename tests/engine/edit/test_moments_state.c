/* Moments as bytes: what was gathered comes back to the bit, and bytes that are none are refused. */
#include "engine/norma.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CHANNELS = 3, ROWS = 13 };

typedef struct bytes {
  unsigned char data[8192];
  size_t size;
} bytes;

static bool append(void *context, const void *data, size_t count) {
  bytes *bytes = context;
  if (count > sizeof bytes->data - bytes->size) return false;
  memcpy(bytes->data + bytes->size, data, count);
  bytes->size += count;
  return true;
}

static norma_runtime *runtime;
static norma_error error;
static float samples[ROWS * CHANNELS];

static int set_up(void **state) {
  (void)state;
  for (int i = 0; i < ROWS * CHANNELS; i++) samples[i] = (float)(i * 37 % 11) / 7;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  return norma_runtime_create(&options, &runtime, &error) == NORMA_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  norma_runtime_destroy(runtime);
  return 0;
}

static norma_moments *gather(int begin, int end) {
  norma_moments *moments;
  norma_tensor tensor;
  assert_int_equal(norma_moments_create(runtime, CHANNELS, &moments, &error), NORMA_OK);
  norma_tensor_init(&tensor, NORMA_FLOAT, 2, (int64_t[]){end - begin, CHANNELS}, samples + begin * CHANNELS);
  assert_int_equal(norma_moments_add(moments, &tensor, &error), NORMA_OK);
  return moments;
}

static void add(norma_moments *moments, int begin, int end) {
  norma_tensor tensor;
  norma_tensor_init(&tensor, NORMA_FLOAT, 2, (int64_t[]){end - begin, CHANNELS}, samples + begin * CHANNELS);
  assert_int_equal(norma_moments_add(moments, &tensor, &error), NORMA_OK);
}

static void assert_same(const norma_moments *a, const norma_moments *b) {
  double count[2], mean[2][CHANNELS], squares[2][CHANNELS];
  assert_int_equal(norma_moments_total(a, &count[0], mean[0], squares[0], &error), NORMA_OK);
  assert_int_equal(norma_moments_total(b, &count[1], mean[1], squares[1], &error), NORMA_OK);
  assert_true(count[0] == count[1]);
  assert_memory_equal(mean[0], mean[1], sizeof mean[0]);
  assert_memory_equal(squares[0], squares[1], sizeof squares[0]);
}

/* To go on from bytes gives the bits of never having stopped. */
static void what_was_gathered_comes_back(void **state) {
  (void)state;
  norma_moments *whole = gather(0, ROWS);
  for (int stop = 0; stop <= ROWS; stop++) {
    bytes saved = {.size = 0};
    norma_moments *part = gather(0, stop), *resumed = gather(3, 4); /* what was there before goes */
    size_t used = 0;
    assert_int_equal(norma_moments_export(part, append, &saved, &error), NORMA_OK);
    size_t size = saved.size;
    append(&saved, "more", 4);
    assert_int_equal(norma_moments_import(resumed, saved.data, saved.size, &used, &error), NORMA_OK);
    assert_int_equal(used, size);
    assert_same(part, resumed);
    add(resumed, stop, ROWS);
    assert_same(whole, resumed);
    norma_moments_destroy(part);
    norma_moments_destroy(resumed);
  }
  norma_moments_destroy(whole);
}

static void refuse(norma_moments *moments, const void *data, size_t size) {
  double count, mean[CHANNELS], squares[CHANNELS];
  size_t used = 9;
  add(moments, 0, 2);
  assert_int_equal(norma_moments_import(moments, data, size, &used, &error), NORMA_ERROR_FORMAT);
  assert_int_equal(used, 0);
  assert_int_equal(norma_moments_total(moments, &count, mean, squares, &error), NORMA_OK);
  assert_true(count == 0);
}

static void damaged_bytes_are_refused(void **state) {
  (void)state;
  bytes saved = {.size = 0};
  norma_moments *moments = gather(0, 5);
  assert_int_equal(norma_moments_export(moments, append, &saved, &error), NORMA_OK);
  for (size_t size = 0; size < saved.size; size += 3) refuse(moments, saved.data, size);
  bytes changed = saved;
  const double bad[] = {(double)NAN, (double)INFINITY, 0, -1};
  for (size_t i = 0; i < 4; i++) { /* the first count */
    memcpy(changed.data + 8, &bad[i], 8);
    refuse(moments, changed.data, changed.size);
  }
  changed = saved;
  memcpy(changed.data + 16, &bad[0], 8); /* a mean */
  refuse(moments, changed.data, changed.size);
  changed = saved;
  memset(changed.data, 0xFF, 8); /* more samples than there can be */
  refuse(moments, changed.data, changed.size);
  changed = saved;
  const uint64_t many = (uint64_t)1 << 40 | 5;
  memcpy(changed.data, &many, 8); /* more groups than bytes */
  refuse(moments, changed.data, changed.size);
  norma_moments *other;
  size_t used;
  assert_int_equal(norma_moments_create(runtime, 1000, &other, &error), NORMA_OK); /* other channels */
  assert_int_equal(norma_moments_import(other, saved.data, saved.size, &used, &error), NORMA_ERROR_FORMAT);
  norma_moments_destroy(other);
  norma_moments_destroy(moments);
}

static bool refuse_bytes(void *context, const void *data, size_t count) {
  (void)context;
  (void)data;
  (void)count;
  return false;
}

static void arguments(void **state) {
  (void)state;
  norma_moments *moments = gather(0, 2);
  size_t used;
  double count = 1, mean[CHANNELS], squares[CHANNELS];
  assert_int_equal(norma_moments_channels(moments), CHANNELS);
  assert_int_equal(norma_moments_channels(NULL), 0);
  assert_int_equal(norma_moments_export(moments, refuse_bytes, NULL, &error), NORMA_ERROR_FILE);
  assert_int_equal(norma_moments_export(moments, NULL, NULL, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_moments_export(NULL, append, NULL, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_moments_import(NULL, "", 0, &used, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_moments_import(moments, NULL, 1, &used, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_moments_import(moments, "", 0, NULL, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_moments_total(moments, &count, mean, NULL, &error), NORMA_ERROR_ARGUMENT);
  norma_moments_reset(moments);
  assert_int_equal(norma_moments_total(moments, &count, mean, squares, &error), NORMA_OK);
  assert_true(count == 0 && mean[0] == 0 && squares[0] == 0);
  norma_moments_reset(NULL);
  norma_moments_destroy(moments);
}

/* Joining single channels, and distances. */
static void figures(void **state) {
  (void)state;
  double count = 2, mean = 1, squares = 2; /* 0 and 2 */
  norma_moments_join(&count, &mean, &squares, 1, 4, 0);
  assert_true(count == 3 && mean == 2 && squares == 8); /* 0, 2, 4 */
  count = 0;
  norma_moments_join(&count, &mean, &squares, 2, 1, 2);
  assert_true(count == 2 && mean == 1 && squares == 2);
  assert_true(norma_moments_drift(1, 4, 5) == 2);
  assert_true(norma_moments_divergence(1, 4, 1, 4) == 0);
  assert_true(isinf(norma_moments_divergence(1, 0, 1, 4)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_was_gathered_comes_back, set_up, tear_down),
      cmocka_unit_test_setup_teardown(damaged_bytes_are_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(arguments, set_up, tear_down),
      cmocka_unit_test(figures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
