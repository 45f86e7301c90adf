/* What a run leaves: watched values, and that they stay readable until the next run. */
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct fixture {
  norma_model *model;
  norma_session *session;
  norma_error error;
} fixture;

/* m = x + x, y = -m, for any length of x. */
static int set_up(void **state) {
  fixture *fixture = calloc(1, sizeof *fixture);
  size_t size;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){-1});
  builder_named_node(b, "twice", "", "Add", "x x", "m");
  builder_named_node(b, "turn", "", "Neg", "m", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {.struct_size = sizeof options, .optimization = NORMA_OPTIMIZE_BASIC};
  assert_int_equal(norma_model_load_memory(bytes, size, &options, &fixture->model, &fixture->error), NORMA_OK);
  builder_destroy(b);
  norma_session_options measured = {.struct_size = sizeof measured, .profile = true};
  assert_int_equal(norma_session_create(fixture->model, &measured, &fixture->session, &fixture->error), NORMA_OK);
  *state = fixture;
  return 0;
}

static int tear_down(void **state) {
  fixture *fixture = *state;
  norma_session_destroy(fixture->session);
  norma_model_destroy(fixture->model);
  free(fixture);
  return 0;
}

static void set_input(fixture *fixture, float *data, int64_t count) {
  norma_tensor x;
  norma_tensor_init(&x, NORMA_FLOAT, 1, &count, data);
  assert_int_equal(norma_session_set_input(fixture->session, "x", &x, &fixture->error), NORMA_OK);
}

static float element(const norma_value *value, int index) {
  assert_non_null(value);
  return ((const float *)norma_value_tensor(value)->data)[index];
}

static void watches_come_and_go(void **state) {
  fixture *fixture = *state;
  float x[2] = {1, 2};
  set_input(fixture, x, 2);
  assert_int_equal(norma_session_watch(fixture->session, "m", &fixture->error), NORMA_OK);
  assert_int_equal(norma_session_run(fixture->session, &fixture->error), NORMA_OK);
  assert_true(element(norma_session_value(fixture->session, "m"), 1) == 4);
  assert_int_equal(norma_session_unwatch(fixture->session, "m", &fixture->error), NORMA_OK);
  assert_null(norma_session_value(fixture->session, "m"));
  assert_int_equal(norma_session_run(fixture->session, &fixture->error), NORMA_OK);
  assert_null(norma_session_value(fixture->session, "m"));
  assert_int_equal(norma_session_unwatch(fixture->session, "m", &fixture->error), NORMA_ERROR_ARGUMENT);
  assert_non_null(strstr(fixture->error.message, "'m' is not watched"));
  assert_int_equal(norma_session_watch(fixture->session, "*", &fixture->error), NORMA_OK);
  assert_int_equal(norma_session_watch(fixture->session, "m", &fixture->error), NORMA_OK);
  assert_int_equal(norma_session_unwatch(fixture->session, "*", &fixture->error), NORMA_OK);
  assert_int_equal(norma_session_run(fixture->session, &fixture->error), NORMA_OK);
  assert_null(norma_session_value(fixture->session, "m"));
  assert_int_equal(norma_session_watch(fixture->session, "none", &fixture->error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_session_unwatch(NULL, "*", NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_session_unwatch(fixture->session, NULL, NULL), NORMA_ERROR_ARGUMENT);
}

static void count_values(void *context, const char *name, const norma_value *value) {
  (void)name;
  assert_non_null(value);
  ++*(int *)context;
}

/* New inputs of another shape, or none, change nothing about the run that has been. */
static void values_stay_until_the_next_run(void **state) {
  fixture *fixture = *state;
  float x[2] = {1, 2}, other[5] = {0};
  assert_int_equal(norma_session_watch(fixture->session, "*", &fixture->error), NORMA_OK);
  for (int clear = 0; clear <= 1; clear++) {
    set_input(fixture, x, 2);
    assert_int_equal(norma_session_run(fixture->session, &fixture->error), NORMA_OK);
    size_t steps = norma_session_profile_count(fixture->session);
    if (clear) {
      norma_session_clear_inputs(fixture->session);
    } else {
      set_input(fixture, other, 5);
    }
    int count = 0;
    assert_true(element(norma_session_value(fixture->session, "m"), 1) == 4);
    assert_true(element(norma_session_output(fixture->session, 0), 1) == -4);
    norma_session_visit_values(fixture->session, count_values, &count);
    assert_int_equal(count, 2);
    assert_int_equal(norma_session_profile_count(fixture->session), steps);
    norma_profile_entry entry;
    assert_int_equal(norma_session_profile(fixture->session, 1, &entry), NORMA_OK);
    assert_string_equal(entry.node, "turn");
  }
  assert_int_equal(norma_session_run(fixture->session, &fixture->error), NORMA_ERROR_INPUT);
  assert_null(norma_session_value(fixture->session, "m"));
  assert_null(norma_session_output(fixture->session, 0));
}

static void copies_stay_longer(void **state) {
  fixture *fixture = *state;
  float x[2] = {1, 2}, other[2] = {30, 40};
  norma_value *kept;
  set_input(fixture, x, 2);
  assert_int_equal(norma_session_run(fixture->session, &fixture->error), NORMA_OK);
  assert_int_equal(norma_value_copy(norma_model_runtime(fixture->model), norma_session_output(fixture->session, 0),
                                    &kept, &fixture->error),
                   NORMA_OK);
  set_input(fixture, other, 2);
  assert_int_equal(norma_session_run(fixture->session, &fixture->error), NORMA_OK);
  assert_true(element(norma_session_output(fixture->session, 0), 0) == -60);
  assert_true(element(kept, 0) == -2 && element(kept, 1) == -4);
  norma_value_destroy(kept);
}

typedef struct arena_record {
  norma_arena_use uses[8];
  size_t count;
} arena_record;

static void record_use(void *context, const norma_arena_use *use) {
  arena_record *record = context;
  assert_true(record->count < sizeof record->uses / sizeof *record->uses);
  record->uses[record->count++] = *use;
}

static void uses_of_the_arena_do_not_overlap(void **state) {
  fixture *fixture = *state;
  float x[100] = {0};
  arena_record record = {.count = 0};
  norma_session_visit_arena(fixture->session, record_use, &record);
  assert_int_equal(record.count, 0); /* no plan yet */
  assert_int_equal(norma_session_watch(fixture->session, "m", &fixture->error), NORMA_OK);
  set_input(fixture, x, 100);
  assert_int_equal(norma_session_prepare(fixture->session, &fixture->error), NORMA_OK);
  norma_session_visit_arena(fixture->session, record_use, &record);
  const size_t arena = norma_session_arena_bytes(fixture->session);
  assert_int_equal(record.count, 2);
  for (size_t i = 0; i < 2; i++) {
    const norma_arena_use *use = &record.uses[i];
    assert_string_equal(use->value, i == 0 ? "m" : "y");
    assert_int_equal(use->bytes, 400);
    assert_true(use->offset + use->bytes <= arena);
    assert_int_equal(use->first_step, i);
    assert_true(use->last_step == SIZE_MAX); /* watched, and an output */
  }
  const size_t first = record.uses[0].offset, second = record.uses[1].offset;
  assert_true(first + 400 <= second || second + 400 <= first);
}

static void nothing_of_no_session(void **state) {
  (void)state;
  norma_profile_entry entry;
  int count = 0;
  assert_null(norma_session_output(NULL, 0));
  assert_null(norma_session_value(NULL, "x"));
  assert_int_equal(norma_session_profile_count(NULL), 0);
  assert_int_equal(norma_session_profile(NULL, 0, &entry), NORMA_ERROR_ARGUMENT);
  norma_session_profile_reset(NULL);
  norma_session_visit_values(NULL, count_values, &count);
  assert_int_equal(count, 0);
  arena_record record = {.count = 0};
  norma_session_visit_arena(NULL, record_use, &record);
  assert_int_equal(record.count, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(watches_come_and_go, set_up, tear_down),
      cmocka_unit_test_setup_teardown(values_stay_until_the_next_run, set_up, tear_down),
      cmocka_unit_test_setup_teardown(copies_stay_longer, set_up, tear_down),
      cmocka_unit_test_setup_teardown(uses_of_the_arena_do_not_overlap, set_up, tear_down),
      cmocka_unit_test(nothing_of_no_session),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
