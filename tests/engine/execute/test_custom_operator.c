/* Operators of the embedding program: messages with arguments, values of every kind, attributes, memory and threads. */
#include "tests/support/counting_allocator.h"
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef norma_status (*infer_function)(norma_infer_context *context, void *user);
typedef norma_status (*compute_function)(norma_run_context *context, void *user);

typedef struct house {
  counting_allocator counting;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_error error;
} house;

static void open_house(house *house, infer_function infer, compute_function compute) {
  memset(house, 0, sizeof *house);
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 3};
  options.allocator = counting_allocator_functions(&house->counting);
  assert_int_equal(norma_runtime_create(&options, &house->runtime, &house->error), NORMA_OK);
  norma_custom_operator custom = {.struct_size = sizeof custom,
                                  .domain = "test.house",
                                  .name = "Own",
                                  .since_version = 1,
                                  .min_inputs = 1,
                                  .max_inputs = 2,
                                  .min_outputs = 1,
                                  .max_outputs = 2,
                                  .infer = infer,
                                  .compute = compute,
                                  .user = house};
  assert_int_equal(norma_runtime_register(house->runtime, &custom, &house->error), NORMA_OK);
}

static void close_house(house *house) {
  norma_session_destroy(house->session);
  norma_model_destroy(house->model);
  norma_runtime_destroy(house->runtime);
  assert_int_equal(atomic_load(&house->counting.outstanding), 0);
}

/* y = Own(x), of any type; `attributes` may be NULL. */
static norma_status load_house(house *house, norma_element_type type, int64_t count, void (*attributes)(node *)) {
  size_t size;
  model_builder *b = builder_create(17);
  builder_import(b, "test.house", 1);
  builder_input(b, "x", type, 1, &count);
  node *own = builder_named_node(b, "own", "test.house", "Own", "x", "y");
  if (attributes) attributes(own);
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {.struct_size = sizeof options, .runtime = house->runtime};
  norma_status status = norma_model_load_memory(bytes, size, &options, &house->model, &house->error);
  builder_destroy(b);
  return status;
}

static norma_status run_house(house *house, norma_element_type type, int64_t count, const void *data) {
  norma_tensor x;
  if (!house->session) {
    assert_int_equal(norma_session_create(house->model, NULL, &house->session, &house->error), NORMA_OK);
  }
  norma_tensor_init(&x, type, 1, &count, (void *)(uintptr_t)data);
  assert_int_equal(norma_session_set_input(house->session, "x", &x, &house->error), NORMA_OK);
  return norma_session_run(house->session, &house->error);
}

static norma_status infer_nothing(norma_infer_context *context, void *user) {
  (void)context;
  (void)user;
  return NORMA_OK;
}

static norma_status infer_same_shape(norma_infer_context *context, void *user) {
  norma_element_type type;
  int rank;
  int64_t dims[NORMA_MAX_RANK];
  (void)user;
  if (!norma_infer_input(context, 0, &type, &rank, dims)) return NORMA_ERROR_ARGUMENT;
  return norma_infer_set_output(context, 0, type, rank, dims);
}

/* --------------------------------------------------------------------------------------------------------- messages */

static norma_status refuse_to_infer(norma_infer_context *context, void *user) {
  (void)user;
  return norma_infer_fail(context, "%s is refused, %d%% of it", "everything", 100);
}

static norma_status fail_with_numbers(norma_run_context *context, void *user) {
  (void)user;
  const norma_tensor *x = norma_run_input(context, 0);
  return norma_run_fail(context, "element %d is %g, expected less than %s", 2, (double)((const float *)x->data)[2],
                        "two");
}

static void messages_are_formatted(void **state) {
  (void)state;
  house house;
  open_house(&house, refuse_to_infer, fail_with_numbers);
  assert_int_equal(load_house(&house, NORMA_FLOAT, 3, NULL), NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(house.error.message, "node 'own' (Own, test.house 1): everything is refused, 100% of it");
  close_house(&house);
  open_house(&house, infer_same_shape, fail_with_numbers);
  assert_int_equal(load_house(&house, NORMA_FLOAT, 3, NULL), NORMA_OK);
  assert_int_equal(run_house(&house, NORMA_FLOAT, 3, (float[]){1, 2, 2.5f}), NORMA_ERROR_RUN);
  assert_string_equal(house.error.message, "node 'own' (Own, test.house 1): element 2 is 2.5, expected less than two");
  assert_string_equal(house.error.node, "own");
  close_house(&house);
}

/* ----------------------------------------------------------------------------------------------------------- values */

static norma_status make_strings(norma_run_context *context, void *user) {
  const house *house = user;
  const norma_tensor *x = norma_run_input(context, 0);
  const norma_string *words = x->data;
  int64_t count = norma_tensor_count(x);
  norma_string *turned = norma_run_allocate(context, (size_t)count * sizeof *turned);
  norma_value *value;
  if (!turned) return NORMA_ERROR_OUT_OF_MEMORY;
  assert_ptr_equal(norma_value_tensor(norma_run_input_value(context, 0))->data, words);
  assert_null(norma_run_input_value(context, 1));
  assert_null(norma_run_input_value(context, -1));
  for (int64_t i = 0; i < count; i++) turned[i] = words[count - 1 - i];
  norma_status status = norma_value_create_strings(house->runtime, 1, &count, turned, &value, NULL);
  if (status != NORMA_OK) return status;
  status = norma_run_set_output(context, 0, value);
  norma_value_destroy(value);
  return status;
}

static void strings_come_out(void **state) {
  (void)state;
  house house;
  norma_string words[] = {{"one", 3}, {"two", 3}, {"three", 5}};
  open_house(&house, infer_same_shape, make_strings);
  assert_int_equal(load_house(&house, NORMA_STRING, 3, NULL), NORMA_OK);
  for (int i = 0; i < 2; i++) {
    if (run_house(&house, NORMA_STRING, 3, words) != NORMA_OK) fail_msg("%s", house.error.message);
    const norma_tensor *y = norma_value_tensor(norma_session_output(house.session, 0));
    assert_int_equal(y->type, NORMA_STRING);
    assert_memory_equal(((const norma_string *)y->data)[0].data, "three", 5);
    assert_memory_equal(((const norma_string *)y->data)[2].data, "one", 3);
  }
  close_house(&house);
}

static norma_status make_sequence(norma_run_context *context, void *user) {
  const house *house = user;
  norma_value *copy, *sequence;
  norma_status status = norma_value_copy(house->runtime, norma_run_input_value(context, 0), &copy, NULL);
  if (status != NORMA_OK) return status;
  status = norma_value_create_sequence(house->runtime, (const norma_value *[]){copy, copy}, 2, &sequence, NULL);
  norma_value_destroy(copy);
  if (status != NORMA_OK) return status;
  status = norma_run_set_output(context, 0, sequence);
  norma_value_destroy(sequence);
  return status;
}

static void sequences_come_out(void **state) {
  (void)state;
  house house;
  open_house(&house, infer_nothing, make_sequence);
  assert_int_equal(load_house(&house, NORMA_FLOAT, 2, NULL), NORMA_OK);
  if (run_house(&house, NORMA_FLOAT, 2, (float[]){4, 5}) != NORMA_OK) fail_msg("%s", house.error.message);
  const norma_value *y = norma_session_output(house.session, 0);
  assert_int_equal(norma_value_get_kind(y), NORMA_VALUE_SEQUENCE);
  assert_true(((const float *)norma_value_tensor(norma_value_element(y, 1))->data)[1] == 5);
  close_house(&house);
}

static norma_status make_nothing(norma_run_context *context, void *user) {
  (void)context;
  (void)user;
  return NORMA_OK;
}

static norma_status make_wrong(norma_run_context *context, void *user) {
  const house *house = user;
  norma_value *value;
  if (norma_run_set_output(context, 7, norma_run_input_value(context, 0)) != NORMA_ERROR_RUN) return NORMA_OK;
  if (norma_run_set_output(context, 0, NULL) != NORMA_ERROR_RUN) return NORMA_OK;
  norma_status status = norma_value_allocate_tensor(house->runtime, NORMA_FLOAT, 1, (int64_t[]){9}, &value, NULL);
  if (status != NORMA_OK) return status;
  status = norma_run_set_output(context, 0, value); /* not the shape that was inferred */
  norma_value_destroy(value);
  return status;
}

static void what_is_not_made_or_made_wrong_ends_the_run(void **state) {
  (void)state;
  house house;
  open_house(&house, infer_nothing, make_nothing);
  assert_int_equal(load_house(&house, NORMA_FLOAT, 2, NULL), NORMA_OK);
  assert_int_equal(run_house(&house, NORMA_FLOAT, 2, (float[]){4, 5}), NORMA_ERROR_RUN);
  assert_non_null(strstr(house.error.message, "made no output 0"));
  close_house(&house);
  open_house(&house, infer_same_shape, make_wrong);
  assert_int_equal(load_house(&house, NORMA_FLOAT, 2, NULL), NORMA_OK);
  assert_int_equal(run_house(&house, NORMA_FLOAT, 2, (float[]){4, 5}), NORMA_ERROR_RUN);
  assert_non_null(strstr(house.error.message, "another type or shape"));
  close_house(&house);
}

/* ------------------------------------------------------------------------------------------- attributes and threads */

/* Returns early, with success, when the run is to end. */
static norma_status wait_for_the_end(norma_run_context *context, void *user) {
  (void)user;
  while (!norma_run_cancelled(context)) continue;
  *(float *)norma_run_output(context, 0)->data = 1;
  return NORMA_OK;
}

static void a_computation_that_returns_early_ends_the_run(void **state) {
  (void)state;
  house house;
  const float x[] = {1, 2};
  open_house(&house, infer_same_shape, wait_for_the_end);
  assert_int_equal(load_house(&house, NORMA_FLOAT, 2, NULL), NORMA_OK);
  assert_int_equal(norma_session_create(house.model, NULL, &house.session, &house.error), NORMA_OK);
  norma_session_set_timeout(house.session, 0.01);
  assert_int_equal(run_house(&house, NORMA_FLOAT, 2, x), NORMA_ERROR_DEADLINE);
  assert_null(norma_session_output(house.session, 0));
  close_house(&house);
}

static void give_lists(node *node) {
  builder_ints(node, "offsets", 2, (int64_t[]){10, 20});
}

static norma_status infer_with_list(norma_infer_context *context, void *user) {
  const norma_attribute *offsets = norma_node_find_attribute(norma_infer_node(context), "offsets");
  if (norma_attribute_count(offsets) != 2) return norma_infer_fail(context, "two offsets are needed");
  return infer_same_shape(context, user);
}

typedef struct adding {
  const float *x;
  float *y;
  float offset;
  int threads;
} adding;

static void add_range(void *argument, int64_t begin, int64_t end, int worker) {
  const adding *adding = argument;
  assert_true(worker >= 0 && worker < adding->threads);
  for (int64_t i = begin; i < end; i++) adding->y[i] = adding->x[i] + adding->offset;
}

static norma_status add_in_parallel(norma_run_context *context, void *user) {
  (void)user;
  const norma_tensor *x = norma_run_input(context, 0);
  const norma_attribute *offsets = norma_node_find_attribute(norma_run_node(context), "offsets");
  adding adding = {x->data, norma_run_output(context, 0)->data, (float)norma_attribute_int(offsets, 1),
                   norma_run_threads(context)};
  return norma_run_parallel(context, norma_tensor_count(x), 100, add_range, &adding);
}

static void lists_of_attributes_and_loops_on_all_threads(void **state) {
  (void)state;
  enum { COUNT = 10000 };
  static float x[COUNT];
  house house;
  open_house(&house, infer_with_list, add_in_parallel);
  assert_int_equal(load_house(&house, NORMA_FLOAT, COUNT, NULL), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(house.error.message, "two offsets"));
  assert_int_equal(load_house(&house, NORMA_FLOAT, COUNT, give_lists), NORMA_OK);
  for (int i = 0; i < COUNT; i++) x[i] = (float)i;
  assert_int_equal(run_house(&house, NORMA_FLOAT, COUNT, x), NORMA_OK);
  const float *y = norma_value_tensor(norma_session_output(house.session, 0))->data;
  for (int i = 0; i < COUNT; i++) assert_true(y[i] == (float)i + 20);
  /* cancelled in the loop: the status of the loop is the run's */
  norma_session_cancel(house.session);
  assert_int_equal(run_house(&house, NORMA_FLOAT, COUNT, x), NORMA_ERROR_CANCELLED);
  close_house(&house);
}

/* ------------------------------------------------------------------------------------------------------- the struct */

static void wrong_operators_are_refused(void **state) {
  (void)state;
  house house;
  open_house(&house, infer_nothing, make_nothing);
  const norma_custom_operator good = {.struct_size = sizeof good,
                                      .domain = "d",
                                      .name = "n",
                                      .since_version = 1,
                                      .infer = infer_nothing,
                                      .compute = make_nothing};
  norma_custom_operator wrong[8];
  for (int i = 0; i < 8; i++) wrong[i] = good;
  wrong[0].struct_size = 8;
  wrong[1].struct_size = sizeof good + 8;
  wrong[2].domain = "";
  wrong[3].name = NULL;
  wrong[4].since_version = 0;
  wrong[5].max_inputs = -1;
  wrong[6].min_outputs = 2;
  wrong[7].compute = NULL;
  for (int i = 0; i < 8; i++) {
    assert_int_equal(norma_runtime_register(house.runtime, &wrong[i], &house.error), NORMA_ERROR_ARGUMENT);
  }
  assert_int_equal(norma_runtime_register(house.runtime, &good, &house.error), NORMA_OK);
  assert_int_equal(norma_runtime_register(NULL, &good, &house.error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_runtime_register(house.runtime, NULL, &house.error), NORMA_ERROR_ARGUMENT);
  close_house(&house);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_are_formatted),
      cmocka_unit_test(strings_come_out),
      cmocka_unit_test(sequences_come_out),
      cmocka_unit_test(what_is_not_made_or_made_wrong_ends_the_run),
      cmocka_unit_test(a_computation_that_returns_early_ends_the_run),
      cmocka_unit_test(lists_of_attributes_and_loops_on_all_threads),
      cmocka_unit_test(wrong_operators_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
