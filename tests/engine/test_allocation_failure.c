/* Every allocation of loading and running is made to fail, once and from there on: no crash, no leak, no silent
 * success. */
#include "tests/support/counting_allocator.h"
#include "tests/support/model_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Loads, runs twice at different batch sizes and frees; the first status that is not OK. */
static norma_status life(const norma_allocator *allocator, const char *path, norma_optimization optimization,
                         float *pictures, norma_error *error) {
  norma_runtime *runtime = NULL;
  norma_model *model = NULL;
  norma_session *session = NULL;
  norma_runtime_options runtime_options = {.struct_size = sizeof runtime_options};
  runtime_options.allocator = *allocator;
  runtime_options.threads = 2;
  norma_status status = norma_runtime_create(&runtime_options, &runtime, error);
  norma_load_options load_options = {.struct_size = sizeof load_options};
  load_options.runtime = runtime;
  load_options.optimization = optimization;
  if (status == NORMA_OK) status = norma_model_load(path, &load_options, &model, error);
  if (status == NORMA_OK) status = norma_session_create(model, NULL, &session, error);
  for (int64_t batch = 1; batch <= 2 && status == NORMA_OK; batch++) {
    int64_t dims[4] = {batch, 1, 8, 8};
    norma_tensor tensor;
    norma_tensor_init(&tensor, NORMA_FLOAT, 4, dims, pictures);
    norma_session_clear_inputs(session);
    status = norma_session_set_input(session, "picture", &tensor, error);
    if (status == NORMA_OK) status = norma_session_run(session, error);
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return status;
}

static void fail_each(const char *path, norma_optimization optimization, bool from) {
  float *pictures = make_pictures(2, 1);
  long succeeded = 0, k = 1;
  for (;; k++) {
    counting_allocator counting = {.fail_at = k, .fail_from = from};
    norma_allocator allocator = counting_allocator_functions(&counting);
    norma_error error = {0};
    norma_status status = life(&allocator, path, optimization, pictures, &error);
    if (atomic_load(&counting.outstanding) != 0) fail_msg("allocation %ld of %s: blocks are leaked", k, path);
    if (atomic_load(&counting.failures) == 0) {
      assert_int_equal(status, NORMA_OK); /* k is past the last allocation */
      break;
    }
    if (status == NORMA_OK) {
      succeeded++;
    } else if (status != NORMA_ERROR_OUT_OF_MEMORY || error.status != status || !error.message[0]) {
      fail_msg("allocation %ld of %s: %s (%s)", k, path, norma_status_text(status), error.message);
    }
  }
  print_message("%s at level %d: %ld allocations failed %s\n", path, (int)optimization - 1, k - 1,
                from ? "from there on" : "once");
  assert_true(k > 20);
  assert_true(succeeded <= (from ? 0 : 1)); /* an arena that grows can do without its slack */
  free(pictures);
}

static void each_allocation_fails(void **state) {
  (void)state;
  static const char *const models[] = {DIGITS_BN, DIGITS_DYNAMO, DIGITS_MLP};
  for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
    for (int from = 0; from <= 1; from++) {
      fail_each(models[m], NORMA_OPTIMIZE_NONE, from);
      fail_each(models[m], NORMA_OPTIMIZE_FULL, from);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_fails)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
