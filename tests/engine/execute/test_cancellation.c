/* A request to cancel that a caller holds: one for loads and runs alike, made by any thread. */
#include "tests/support/model_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

static void a_request_stands_until_it_is_taken_back(void **state) {
  (void)state;
  norma_cancellation *cancellation;
  norma_error error;
  assert_int_equal(norma_cancellation_create(NULL, &cancellation, &error), NORMA_OK);
  assert_false(norma_cancellation_is_requested(cancellation));
  norma_cancellation_request(cancellation);
  assert_true(norma_cancellation_is_requested(cancellation));
  assert_true(norma_cancellation_is_requested(cancellation));
  norma_cancellation_reset(cancellation);
  assert_false(norma_cancellation_is_requested(cancellation));
  norma_cancellation_destroy(cancellation);
}

static void nothing_is_fine(void **state) {
  (void)state;
  norma_error error;
  norma_cancellation_request(NULL);
  norma_cancellation_reset(NULL);
  norma_cancellation_destroy(NULL);
  assert_false(norma_cancellation_is_requested(NULL));
  assert_int_equal(norma_cancellation_create(NULL, NULL, &error), NORMA_ERROR_ARGUMENT);
}

static void memory_is_the_runtimes(void **state) {
  (void)state;
  norma_runtime *runtime;
  norma_cancellation *cancellation;
  norma_error error;
  assert_int_equal(norma_runtime_create(NULL, &runtime, &error), NORMA_OK);
  const size_t before = norma_runtime_memory_used(runtime);
  assert_int_equal(norma_cancellation_create(runtime, &cancellation, &error), NORMA_OK);
  assert_true(norma_runtime_memory_used(runtime) > before);
  norma_cancellation_destroy(cancellation);
  assert_int_equal(norma_runtime_memory_used(runtime), before);
  norma_runtime_destroy(runtime);
}

static void *request(void *cancellation) {
  norma_cancellation_request(cancellation);
  return NULL;
}

static void it_ends_loads_and_runs(void **state) {
  (void)state;
  norma_cancellation *cancellation;
  norma_model *model;
  norma_error error;
  pthread_t other;
  assert_int_equal(norma_cancellation_create(NULL, &cancellation, &error), NORMA_OK);
  norma_load_options load = {.struct_size = sizeof load};
  load.is_cancelled = norma_cancellation_is_requested;
  load.cancel_context = cancellation;
  assert_int_equal(pthread_create(&other, NULL, request, cancellation), 0);
  assert_int_equal(pthread_join(other, NULL), 0);
  assert_int_equal(norma_model_load(DIGITS_BN, &load, &model, &error), NORMA_ERROR_CANCELLED);
  assert_null(model);
  assert_int_equal(error.status, NORMA_ERROR_CANCELLED);
  assert_string_equal(error.message, "the load was cancelled");

  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 1, NULL);
  float pictures[PICTURE_ELEMENTS] = {0};
  set_pictures(loaded.session, pictures, 1);
  norma_run_options run = {.struct_size = sizeof run};
  run.is_cancelled = norma_cancellation_is_requested;
  run.cancel_context = cancellation;
  assert_int_equal(norma_session_run_with(loaded.session, &run, &error), NORMA_ERROR_CANCELLED);
  norma_cancellation_reset(cancellation);
  assert_int_equal(norma_session_run_with(loaded.session, &run, &error), NORMA_OK);
  free_model(&loaded);
  norma_cancellation_destroy(cancellation);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_stands_until_it_is_taken_back),
      cmocka_unit_test(nothing_is_fine),
      cmocka_unit_test(memory_is_the_runtimes),
      cmocka_unit_test(it_ends_loads_and_runs),
  };
  return cmocka_run_group_tests_name("cancellation", tests, NULL, NULL);
}
