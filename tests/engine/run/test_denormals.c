/* Denormals in runs: flushed or kept as the options of the load say, on every thread, and the caller's own setting back
 * on every way out. */
#include "engine/base/float_control.h"
#include "tests/support/model_builder.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT 400000 /* enough for all threads */

static bool can_flush(void) {
#if defined(__SSE2__) || defined(__aarch64__)
  return true;
#else
  return false;
#endif
}

/* Whether this thread flushes. */
static bool flushes(void) {
  volatile float x = FLT_MIN, half = 0.5f;
  return x * half == 0;
}

/* y = x * half */
static model_builder *make_halves(void) {
  model_builder *b = builder_create(17);
  const int64_t dims[] = {COUNT};
  builder_input(b, "x", NORMA_FLOAT, 1, dims);
  builder_input(b, "half", NORMA_FLOAT, 0, NULL);
  builder_node(b, "Mul", "x half", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return b;
}

typedef struct setting {
  norma_load_options load;
  bool flushed; /* what must come out, where the CPU can */
} setting;

static void parallel_backwards(void *context, size_t count, norma_parallel_body body, void *argument) {
  (void)context;
  for (size_t i = count; i > 0; i--) body(argument, i - 1, (int)(i % 2));
}

static void check_elements(const norma_tensor *y, bool flushed) {
  const float *found = y->data;
  for (int i = 0; i < COUNT; i++) {
    if ((found[i] == 0) != flushed) fail_msg("element %d is %g", i, (double)found[i]);
  }
}

static void check_setting(const void *bytes, size_t size, const setting *setting, int threads, bool own_loop) {
  norma_error error;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = threads};
  if (own_loop) options.parallel = parallel_backwards;
  assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_OK);
  norma_load_options load = setting->load;
  load.struct_size = sizeof load;
  load.runtime = runtime;
  if (norma_model_load_memory(bytes, size, &load, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  const int64_t dims[] = {COUNT};
  float *numbers = malloc(COUNT * sizeof *numbers), half = 0.5f;
  assert_non_null(numbers);
  for (int i = 0; i < COUNT; i++) numbers[i] = FLT_MIN;
  norma_tensor x, factor;
  assert_int_equal(norma_tensor_init(&x, NORMA_FLOAT, 1, dims, numbers), NORMA_OK);
  assert_int_equal(norma_tensor_init(&factor, NORMA_FLOAT, 0, NULL, &half), NORMA_OK);
  for (int caller_flushes = 0; caller_flushes <= can_flush(); caller_flushes++) {
    const float_control before = caller_flushes ? float_control_flush() : float_control_keep();
    assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
    assert_int_equal(norma_session_set_input(session, "half", &factor, &error), NORMA_OK);
    assert_int_equal(norma_session_run(session, &error), NORMA_OK);
    assert_int_equal(flushes(), caller_flushes);
    norma_session_cancel(session);
    assert_int_equal(norma_session_run(session, &error), NORMA_ERROR_CANCELLED);
    assert_int_equal(flushes(), caller_flushes);
    assert_int_equal(norma_session_run(session, &error), NORMA_OK);
    float_control_restore(before);
    check_elements(norma_value_tensor(norma_session_output(session, 0)), setting->flushed && can_flush());
  }
  free(numbers);
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
}

static void as_the_options_say(void **state) {
  (void)state;
  static const setting settings[] = {
      {{.optimization = NORMA_OPTIMIZE_NONE}, false},
      {{.optimization = NORMA_OPTIMIZE_BASIC}, true},
      {{.optimization = NORMA_OPTIMIZE_FULL}, true},
      {{.optimization = NORMA_OPTIMIZE_FULL, .exact = true}, false},
      {{.optimization = NORMA_OPTIMIZE_FULL, .denormals = NORMA_DENORMALS_KEEP}, false},
      {{.optimization = NORMA_OPTIMIZE_NONE, .denormals = NORMA_DENORMALS_FLUSH}, true},
      {{.optimization = NORMA_OPTIMIZE_FULL, .exact = true, .denormals = NORMA_DENORMALS_FLUSH}, true},
  };
  model_builder *b = make_halves();
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    for (int threads = 1; threads <= 3; threads++) check_setting(bytes, size, &settings[i], threads, false);
    check_setting(bytes, size, &settings[i], 2, true);
  }
  builder_destroy(b);
}

static void ways_that_do_not_exist(void **state) {
  (void)state;
  model_builder *b = make_halves();
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_model *model;
  norma_error error;
  norma_load_options load = {.struct_size = sizeof load, .denormals = (norma_denormals)3};
  assert_int_equal(norma_model_load_memory(bytes, size, &load, &model, &error), NORMA_ERROR_ARGUMENT);
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(as_the_options_say),
      cmocka_unit_test(ways_that_do_not_exist),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
