/* Runs with inputs and outputs by name in one call. */
#include "tests/support/counting_allocator.h"
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct fixture {
  counting_allocator counting;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_error error;
} fixture;

/* sum = a + b, twice = sum + sum, for any length. */
static int set_up(void **state) {
  fixture *fixture = calloc(1, sizeof *fixture);
  size_t size;
  norma_runtime_options runtime = {.struct_size = sizeof runtime, .threads = 1};
  runtime.allocator = counting_allocator_functions(&fixture->counting);
  assert_int_equal(norma_runtime_create(&runtime, &fixture->runtime, &fixture->error), NORMA_OK);
  model_builder *b = builder_create(17);
  builder_input(b, "a", NORMA_FLOAT, 1, (int64_t[]){-1});
  builder_input(b, "b", NORMA_FLOAT, 1, (int64_t[]){-1});
  builder_node(b, "Add", "a b", "sum");
  builder_node(b, "Add", "sum sum", "twice");
  builder_node(b, "Neg", "twice", "turned");
  builder_output(b, "sum", NORMA_FLOAT, -1, NULL);
  builder_output(b, "turned", NORMA_FLOAT, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {
      .struct_size = sizeof options, .runtime = fixture->runtime, .optimization = NORMA_OPTIMIZE_NONE};
  assert_int_equal(norma_model_load_memory(bytes, size, &options, &fixture->model, &fixture->error), NORMA_OK);
  builder_destroy(b);
  assert_int_equal(norma_session_create(fixture->model, NULL, &fixture->session, &fixture->error), NORMA_OK);
  *state = fixture;
  return 0;
}

static int tear_down(void **state) {
  fixture *fixture = *state;
  norma_session_destroy(fixture->session);
  norma_model_destroy(fixture->model);
  norma_runtime_destroy(fixture->runtime);
  int left = (int)atomic_load(&fixture->counting.outstanding);
  free(fixture);
  return left;
}

static norma_value *make(const fixture *fixture, int64_t count, float first) {
  norma_value *value;
  norma_error error;
  assert_int_equal(norma_value_allocate_tensor(fixture->runtime, NORMA_FLOAT, 1, &count, &value, &error), NORMA_OK);
  for (int64_t i = 0; i < count; i++) ((float *)norma_value_tensor(value)->data)[i] = first + (float)i;
  return value;
}

static float first_of(const norma_value *value) {
  assert_non_null(value);
  return *(const float *)norma_value_tensor(value)->data;
}

static const char *const both[] = {"b", "a"};

static void inputs_and_outputs_in_one_call(void **state) {
  fixture *fixture = *state;
  const norma_value *outputs[2];
  for (int64_t count = 1; count < 4; count++) {
    norma_value *b = make(fixture, count, 10), *a = make(fixture, count, 1);
    const norma_value *inputs[] = {b, a};
    assert_int_equal(norma_session_run_named(fixture->session, NULL, both, inputs, 2,
                                             (const char *const[]){"turned", "sum"}, outputs, 2, &fixture->error),
                     NORMA_OK);
    norma_value_destroy(a); /* borrowed during the call alone */
    norma_value_destroy(b);
    assert_true(first_of(outputs[0]) == -22 && first_of(outputs[1]) == 11);
    assert_int_equal(norma_value_tensor(outputs[0])->dims[0], count);
    assert_ptr_equal(outputs[1], norma_session_output(fixture->session, 0));
  }
  /* nothing is bound afterwards */
  assert_int_equal(norma_session_run(fixture->session, &fixture->error), NORMA_ERROR_INPUT);
}

static void all_outputs_without_names(void **state) {
  fixture *fixture = *state;
  const norma_value *outputs[2];
  norma_value *b = make(fixture, 2, 10), *a = make(fixture, 2, 1);
  const norma_value *inputs[] = {b, a};
  assert_int_equal(norma_session_run_named(fixture->session, NULL, both, inputs, 2, NULL, outputs, 2, &fixture->error),
                   NORMA_OK);
  assert_true(first_of(outputs[0]) == 11 && first_of(outputs[1]) == -22);
  assert_int_equal(norma_session_run_named(fixture->session, NULL, both, inputs, 2, NULL, NULL, 0, &fixture->error),
                   NORMA_OK);
  norma_value_destroy(a);
  norma_value_destroy(b);
}

static void watched_values_have_names_too(void **state) {
  fixture *fixture = *state;
  const norma_value *output;
  norma_value *b = make(fixture, 2, 10), *a = make(fixture, 2, 1);
  const norma_value *inputs[] = {b, a};
  const char *const name[] = {"twice"};
  assert_int_equal(norma_session_run_named(fixture->session, NULL, both, inputs, 2, name, &output, 1, &fixture->error),
                   NORMA_ERROR_ARGUMENT);
  assert_null(output);
  assert_int_equal(norma_session_watch(fixture->session, "twice", &fixture->error), NORMA_OK);
  assert_int_equal(norma_session_run_named(fixture->session, NULL, both, inputs, 2, name, &output, 1, &fixture->error),
                   NORMA_OK);
  assert_true(first_of(output) == 22);
  norma_value_destroy(a);
  norma_value_destroy(b);
}

/* What is bound to the session stays bound, and stands in for what is not given. */
static void bound_inputs_come_back(void **state) {
  fixture *fixture = *state;
  const norma_value *output;
  norma_value *a = make(fixture, 2, 1), *b = make(fixture, 2, 10), *other = make(fixture, 2, 100);
  norma_value *longer[] = {make(fixture, 3, 1000), make(fixture, 3, 0)};
  assert_int_equal(norma_session_set_input_value(fixture->session, "a", a, &fixture->error), NORMA_OK);
  assert_int_equal(norma_session_set_input_value(fixture->session, "b", b, &fixture->error), NORMA_OK);
  assert_int_equal(norma_session_run_named(fixture->session, NULL, (const char *const[]){"a"},
                                           (const norma_value *[]){other}, 1, NULL, &output, 1, &fixture->error),
                   NORMA_OK);
  assert_true(first_of(output) == 110);
  assert_int_equal(norma_session_run(fixture->session, &fixture->error), NORMA_OK);
  assert_true(first_of(norma_session_output(fixture->session, 0)) == 11);
  assert_int_equal(norma_session_run_named(fixture->session, NULL, both, (const norma_value *const *)longer, 2, NULL,
                                           &output, 1, &fixture->error),
                   NORMA_OK);
  assert_true(first_of(output) == 1000);
  assert_int_equal(norma_session_run(fixture->session, &fixture->error), NORMA_OK); /* of the old length again */
  assert_true(first_of(norma_session_output(fixture->session, 0)) == 11);
  norma_value *all[] = {a, b, other, longer[0], longer[1]};
  for (int i = 0; i < 5; i++) norma_value_destroy(all[i]);
}

static void the_second_call_allocates_nothing(void **state) {
  fixture *fixture = *state;
  const norma_value *output;
  norma_value *b = make(fixture, 2, 10), *a = make(fixture, 2, 1);
  const norma_value *inputs[] = {b, a};
  for (int i = 0; i < 4; i++) {
    long before = atomic_load(&fixture->counting.allocations);
    assert_int_equal(
        norma_session_run_named(fixture->session, NULL, both, inputs, 2, NULL, &output, 1, &fixture->error), NORMA_OK);
    if (i > 0) assert_int_equal(atomic_load(&fixture->counting.allocations), before);
  }
  norma_value_destroy(a);
  norma_value_destroy(b);
}

static void what_is_wrong_is_refused_and_leaves_nothing(void **state) {
  fixture *fixture = *state;
  norma_session *session = fixture->session;
  norma_error *error = &fixture->error;
  const norma_value *outputs[3];
  norma_value *a = make(fixture, 2, 1), *b = make(fixture, 2, 10), *whole;
  assert_int_equal(norma_value_allocate_tensor(fixture->runtime, NORMA_INT32, 1, (int64_t[]){2}, &whole, error),
                   NORMA_OK);
  const norma_value *inputs[] = {b, a}, *wrong[] = {b, whole}, *missing[] = {b, NULL};
  static const char *const twice[] = {"a", "a"}, *const strange[] = {"a", "none"}, *const unnamed[] = {"a", NULL};
  const struct {
    const char *const *input_names;
    const norma_value *const *inputs;
    size_t input_count;
    const char *const *output_names;
    size_t output_count;
    norma_status status;
    const char *words;
  } cases[] = {{twice, inputs, 2, NULL, 1, NORMA_ERROR_ARGUMENT, "given twice"},
               {strange, inputs, 2, NULL, 1, NORMA_ERROR_ARGUMENT, "'none'"},
               {unnamed, inputs, 2, NULL, 1, NORMA_ERROR_ARGUMENT, "no name"},
               {both, missing, 2, NULL, 1, NORMA_ERROR_ARGUMENT, "no name or value"},
               {both, wrong, 2, NULL, 1, NORMA_ERROR_INPUT, "int32"},
               {both, inputs, 1, NULL, 1, NORMA_ERROR_INPUT, "is not set"},
               {both, inputs, 2, NULL, 3, NORMA_ERROR_ARGUMENT, "3 outputs"},
               {both, inputs, 2, strange, 2, NORMA_ERROR_ARGUMENT, "no output 'a'"},
               {both, inputs, 2, unnamed + 1, 1, NORMA_ERROR_ARGUMENT, "no output"},
               {NULL, inputs, 2, NULL, 1, NORMA_ERROR_ARGUMENT, "needed"},
               {both, NULL, 2, NULL, 1, NORMA_ERROR_ARGUMENT, "needed"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    outputs[0] = a;
    assert_int_equal(norma_session_run_named(session, NULL, cases[i].input_names, cases[i].inputs, cases[i].input_count,
                                             cases[i].output_names, outputs, cases[i].output_count, error),
                     cases[i].status);
    assert_null(outputs[0]);
    if (!strstr(error->message, cases[i].words)) fail_msg("expected \"%s\" in: %s", cases[i].words, error->message);
    assert_int_equal(norma_session_run(session, error), NORMA_ERROR_INPUT); /* nothing is bound */
  }
  assert_int_equal(norma_session_run_named(session, NULL, both, inputs, 2, NULL, NULL, 1, error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_session_run_named(NULL, NULL, both, inputs, 2, NULL, outputs, 1, NULL), NORMA_ERROR_ARGUMENT);
  norma_run_options options = {.struct_size = sizeof options, .timeout = 1e-9};
  assert_int_equal(norma_session_run_named(session, &options, both, inputs, 2, NULL, outputs, 1, error),
                   NORMA_ERROR_DEADLINE);
  assert_null(outputs[0]);
  norma_value_destroy(a);
  norma_value_destroy(b);
  norma_value_destroy(whole);
}

/* An optional input that one run has and the next has not. */
static void optional_inputs_may_be_left_out(void **state) {
  fixture *fixture = *state;
  const value_info tensor = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_FLOAT, .shape = {.rank = 1, .dims = {-1}}};
  const value_info optional = {.kind = NORMA_VALUE_OPTIONAL, .shape = {.rank = -1}, .item = &tensor};
  size_t size;
  norma_model *model;
  norma_session *session;
  norma_error error;
  model_builder *b = builder_create(18);
  builder_input_info(b, "x", &optional);
  builder_node(b, "OptionalHasElement", "x", "has");
  builder_output(b, "has", NORMA_BOOL, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {.struct_size = sizeof options, .runtime = fixture->runtime};
  norma_status loaded = norma_model_load_memory(bytes, size, &options, &model, &error);
  builder_destroy(b);
  if (loaded == NORMA_ERROR_UNSUPPORTED) skip();
  assert_int_equal(loaded, NORMA_OK);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  norma_value *x = make(fixture, 2, 1);
  const norma_value *output;
  for (int i = 0; i < 4; i++) {
    const bool given = i % 2 == 0;
    assert_int_equal(norma_session_run_named(session, NULL, (const char *const[]){"x"}, (const norma_value *[]){x},
                                             given, NULL, &output, 1, &error),
                     NORMA_OK);
    assert_int_equal(*(const bool *)norma_value_tensor(output)->data, given);
  }
  norma_value_destroy(x);
  norma_session_destroy(session);
  norma_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(inputs_and_outputs_in_one_call, set_up, tear_down),
      cmocka_unit_test_setup_teardown(all_outputs_without_names, set_up, tear_down),
      cmocka_unit_test_setup_teardown(watched_values_have_names_too, set_up, tear_down),
      cmocka_unit_test_setup_teardown(bound_inputs_come_back, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_second_call_allocates_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_wrong_is_refused_and_leaves_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(optional_inputs_may_be_left_out, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
