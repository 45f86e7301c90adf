/* What a single run can be told: time limit, cancellation, progress, profile, log; and what a session holds. */
#include "tests/support/model_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CNN DIGITS_BN

typedef struct fixture {
  loaded_model loaded;
  float *pictures;
  norma_run_options options;
  norma_error error;
} fixture;

static int set_up(void **state) {
  fixture *fixture = calloc(1, sizeof *fixture);
  fixture->loaded = load_model(CNN, NORMA_OPTIMIZE_FULL, 2, NULL);
  fixture->pictures = make_pictures(8, 1);
  fixture->options = (norma_run_options){.struct_size = sizeof fixture->options};
  set_pictures(fixture->loaded.session, fixture->pictures, 8);
  *state = fixture;
  return 0;
}

static int tear_down(void **state) {
  fixture *fixture = *state;
  free_model(&fixture->loaded);
  free(fixture->pictures);
  free(fixture);
  return 0;
}

static norma_status run_with(fixture *fixture) {
  return norma_session_run_with(fixture->loaded.session, &fixture->options, &fixture->error);
}

static void a_time_limit_is_for_one_run(void **state) {
  fixture *fixture = *state;
  norma_session *session = fixture->loaded.session;
  fixture->options.timeout = 1e-9;
  assert_int_equal(run_with(fixture), NORMA_ERROR_DEADLINE);
  assert_null(norma_session_output(session, 0));
  assert_int_equal(norma_session_run(session, &fixture->error), NORMA_OK);
  norma_session_set_timeout(session, 1e-9);
  assert_int_equal(norma_session_run(session, &fixture->error), NORMA_ERROR_DEADLINE);
  fixture->options.timeout = 0;
  assert_int_equal(run_with(fixture), NORMA_ERROR_DEADLINE);
  fixture->options.timeout = -1;
  assert_int_equal(run_with(fixture), NORMA_OK);
  fixture->options.timeout = 1000;
  assert_int_equal(run_with(fixture), NORMA_OK);
}

typedef struct polls {
  atomic_int asked;
  int most; /* true from then on */
} polls;

static bool ask(void *context) {
  polls *polls = context;
  return atomic_fetch_add(&polls->asked, 1) >= polls->most;
}

static void a_run_is_cancelled_by_its_callback(void **state) {
  fixture *fixture = *state;
  polls polls = {.most = 0};
  fixture->options.is_cancelled = ask;
  fixture->options.cancel_context = &polls;
  assert_int_equal(run_with(fixture), NORMA_ERROR_CANCELLED);
  assert_true(atomic_load(&polls.asked) >= 1);
  for (int most = 1; most < 5; most++) { /* somewhere on the way */
    polls.most = most;
    atomic_store(&polls.asked, 0);
    assert_int_equal(run_with(fixture), NORMA_ERROR_CANCELLED);
  }
  polls.most = 1 << 30;
  atomic_store(&polls.asked, 0);
  assert_int_equal(run_with(fixture), NORMA_OK);
  assert_true(atomic_load(&polls.asked) > 5);
  int before = atomic_load(&polls.asked);
  assert_int_equal(norma_session_run(fixture->loaded.session, &fixture->error), NORMA_OK);
  assert_int_equal(atomic_load(&polls.asked), before); /* it belonged to the other run */
  assert_true(norma_session_is_static(fixture->loaded.session));
}

static bool ask_once(void *context) {
  polls *polls = context;
  return atomic_fetch_add(&polls->asked, 1) == polls->most;
}

/* What a loop left out because of one yes is not there, whatever is answered later. */
static void one_yes_is_enough(void **state) {
  fixture *fixture = *state;
  polls polls = {.most = 0};
  fixture->options.is_cancelled = ask_once;
  fixture->options.cancel_context = &polls;
  for (; polls.most < 8; polls.most++) {
    atomic_store(&polls.asked, 0);
    assert_int_equal(run_with(fixture), NORMA_ERROR_CANCELLED);
    assert_null(norma_session_output(fixture->loaded.session, 0));
  }
  assert_int_equal(norma_session_run(fixture->loaded.session, &fixture->error), NORMA_OK);
}

static void count_progress(void *context, size_t done, size_t total) {
  size_t *last = context;
  assert_int_equal(done, *last + 1);
  assert_true(done <= total);
  *last = done == total ? 0 : done;
  last[1] += done == total;
}

static void progress_of_one_run(void **state) {
  fixture *fixture = *state;
  size_t seen[2] = {0, 0};
  fixture->options.progress = count_progress;
  fixture->options.progress_context = seen;
  assert_int_equal(run_with(fixture), NORMA_OK);
  assert_int_equal(seen[1], 1);
  assert_int_equal(norma_session_run(fixture->loaded.session, &fixture->error), NORMA_OK);
  assert_int_equal(seen[1], 1);
}

static uint64_t profiled_runs(const norma_session *session) {
  norma_profile_entry entry;
  assert_int_equal(norma_session_profile(session, 0, &entry), NORMA_OK);
  return entry.runs;
}

static void single_runs_are_measured(void **state) {
  fixture *fixture = *state;
  norma_session *session = fixture->loaded.session;
  assert_int_equal(run_with(fixture), NORMA_OK);
  assert_int_equal(norma_session_profile_count(session), 0);
  fixture->options.profile = NORMA_PROFILE_ON;
  assert_int_equal(run_with(fixture), NORMA_OK);
  assert_true(norma_session_profile_count(session) > 0);
  assert_int_equal(profiled_runs(session), 1);
  fixture->options.profile = NORMA_PROFILE_SESSION;
  assert_int_equal(run_with(fixture), NORMA_OK);
  assert_int_equal(profiled_runs(session), 1); /* what was measured stays */
  norma_session_profile_reset(session);
  assert_int_equal(profiled_runs(session), 0);

  norma_session_options measured = {.struct_size = sizeof measured, .profile = true};
  norma_session *other;
  assert_int_equal(norma_session_create(fixture->loaded.model, &measured, &other, &fixture->error), NORMA_OK);
  set_pictures(other, fixture->pictures, 8);
  fixture->options.profile = NORMA_PROFILE_OFF;
  assert_int_equal(norma_session_run_with(other, &fixture->options, &fixture->error), NORMA_OK);
  assert_int_equal(profiled_runs(other), 0);
  assert_int_equal(norma_session_run(other, &fixture->error), NORMA_OK);
  assert_int_equal(profiled_runs(other), 1);
  norma_session_destroy(other);
}

static void note_plan(void *context, norma_log_level level, const char *line) {
  if (level == NORMA_LOG_DEBUG && strncmp(line, "plan: ", 6) == 0) ++*(int *)context;
}

static void the_log_of_one_run(void **state) {
  (void)state;
  int of_runtime = 0, of_run = 0;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .log = note_plan};
  options.log_context = &of_runtime;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_error error;
  assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_OK);
  norma_load_options load = {.struct_size = sizeof load, .runtime = runtime};
  assert_int_equal(norma_model_load(CNN, &load, &model, &error), NORMA_OK);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  float *pictures = make_pictures(3, 1);
  set_pictures(session, pictures, 1);
  norma_run_options run = {.struct_size = sizeof run, .log = note_plan, .log_context = &of_run};
  assert_int_equal(norma_session_run_with(session, &run, &error), NORMA_OK);
  assert_true(of_run == 1 && of_runtime == 0);
  norma_session_clear_inputs(session);
  set_pictures(session, pictures, 2);
  assert_int_equal(norma_session_run(session, &error), NORMA_OK);
  assert_true(of_run == 1 && of_runtime == 1);
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  free(pictures);
}

/* A program that was compiled when the struct ended earlier. */
static void shorter_and_impossible_options(void **state) {
  fixture *fixture = *state;
  fixture->options.timeout = 1e-9;
  fixture->options.struct_size = offsetof(norma_run_options, timeout);
  assert_int_equal(run_with(fixture), NORMA_OK); /* the time limit is behind the end */
  fixture->options.struct_size = offsetof(norma_run_options, is_cancelled);
  assert_int_equal(run_with(fixture), NORMA_ERROR_DEADLINE);
  static const size_t wrong[] = {0, 3, sizeof(norma_run_options) + 1};
  for (size_t i = 0; i < 3; i++) {
    fixture->options.struct_size = wrong[i];
    assert_int_equal(run_with(fixture), NORMA_ERROR_ARGUMENT);
  }
  fixture->options = (norma_run_options){.struct_size = sizeof fixture->options, .profile = (norma_run_profile)7};
  assert_int_equal(run_with(fixture), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_session_run_with(NULL, NULL, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_session_run_with(fixture->loaded.session, NULL, NULL), NORMA_OK);
}

static norma_session_memory_info held(const norma_session *session) {
  norma_session_memory_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_session_memory(session, &info), NORMA_OK);
  return info;
}

static void memory_can_be_asked_for_and_given_back(void **state) {
  fixture *fixture = *state;
  norma_session *session = fixture->loaded.session;
  assert_int_equal(held(session).plan_count, 0);
  assert_int_equal(run_with(fixture), NORMA_OK);
  float expected[8 * DIGIT_CLASSES];
  memcpy(expected, norma_value_tensor(norma_session_output(session, 0))->data, sizeof expected);
  norma_session_memory_info info = held(session);
  assert_true(info.arena_bytes > 0 && info.needed_bytes == info.arena_bytes && info.plan_count == 1);
  assert_false(info.arena_is_borrowed);
  size_t before = norma_runtime_memory_used(fixture->loaded.runtime);
  norma_session_trim(session);
  info = held(session);
  assert_true(info.arena_bytes == 0 && info.needed_bytes == 0 && info.plan_count == 0);
  assert_true(norma_runtime_memory_used(fixture->loaded.runtime) < before);
  assert_null(norma_session_output(session, 0));
  assert_int_equal(norma_session_profile_count(session), 0);
  assert_int_equal(run_with(fixture), NORMA_OK); /* inputs are still bound */
  assert_memory_equal(norma_value_tensor(norma_session_output(session, 0))->data, expected, sizeof expected);
  norma_session_trim(NULL);
  assert_int_equal(norma_session_memory(NULL, &info), NORMA_ERROR_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_time_limit_is_for_one_run, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_run_is_cancelled_by_its_callback, set_up, tear_down),
      cmocka_unit_test_setup_teardown(one_yes_is_enough, set_up, tear_down),
      cmocka_unit_test_setup_teardown(progress_of_one_run, set_up, tear_down),
      cmocka_unit_test_setup_teardown(single_runs_are_measured, set_up, tear_down),
      cmocka_unit_test(the_log_of_one_run),
      cmocka_unit_test_setup_teardown(shorter_and_impossible_options, set_up, tear_down),
      cmocka_unit_test_setup_teardown(memory_can_be_asked_for_and_given_back, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
