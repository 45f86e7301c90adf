/* Operators of the embedding program: registered, resolved, inferred, run, and what they may ask for. */
#include "engine/execute/runtime.h"

#include "engine/base/status.h"
#include "tests/support/built_model.h"
#include "tests/support/counting_allocator.h"
#include "tests/support/failing_allocations.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define HOUSE     "test.house"

static norma_status same_infer(norma_infer_context *context, void *user) {
  norma_element_type type;
  int rank;
  int64_t dims[NORMA_MAX_RANK];
  (void)user;
  if (!norma_infer_input(context, 0, &type, &rank, dims)) return NORMA_ERROR_ARGUMENT;
  return norma_infer_set_output(context, 0, type, rank, dims);
}

/* y = x + what the user data say. */
static norma_status add_compute(norma_run_context *context, void *user) {
  const norma_tensor *x = norma_run_input(context, 0);
  float *y = norma_run_output(context, 0)->data;
  for (int64_t i = 0; i < norma_tensor_count(x); i++) y[i] = ((const float *)x->data)[i] + *(const float *)user;
  return NORMA_OK;
}

static float one = 1;

static norma_custom_operator operator_named(const char *name) {
  return (norma_custom_operator){.struct_size = sizeof(norma_custom_operator),
                                 .domain = HOUSE,
                                 .name = name,
                                 .since_version = 1,
                                 .min_inputs = 1,
                                 .max_inputs = 1,
                                 .min_outputs = 1,
                                 .max_outputs = 1,
                                 .infer = same_infer,
                                 .compute = add_compute,
                                 .user = &one};
}

static norma_runtime *make_runtime(void) {
  norma_runtime *runtime;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  assert_int_equal(norma_runtime_create(&options, &runtime, NULL), NORMA_OK);
  return runtime;
}

static void add_operator(norma_runtime *runtime, const norma_custom_operator *custom) {
  norma_error error;
  if (norma_runtime_register(runtime, custom, &error) != NORMA_OK) fail_msg("%s", error.message);
}

/* A model with one node of the house's operator on x, a vector of 3 floats. */
static model_builder *model_with(const char *name, int64_t version, const char *inputs, const char *outputs) {
  model_builder *b = builder_create(13);
  builder_import(b, HOUSE, version);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(3));
  builder_named_node(b, "the node", HOUSE, name, inputs, outputs);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return b;
}

/* The first element of output 0 for x = {1, 2, 3}; the status in *status. */
static float run_once(norma_model *model, norma_status *status, norma_error *error) {
  norma_session *session;
  float data[3] = {1, 2, 3}, result = 0;
  norma_tensor x;
  norma_tensor_init(&x, NORMA_FLOAT, 1, DIMS(3), data);
  *status = norma_session_create(model, NULL, &session, error);
  if (*status == NORMA_OK) *status = norma_session_set_input(session, "x", &x, error);
  if (*status == NORMA_OK) *status = norma_session_run(session, error);
  if (*status == NORMA_OK) {
    const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
    if (norma_tensor_count(y) > 0) result = *(const float *)y->data;
  }
  norma_session_destroy(session);
  return result;
}

static float run_good(norma_model *model) {
  norma_status status;
  norma_error error;
  const float result = run_once(model, &status, &error);
  if (status != NORMA_OK) fail_msg("%s", error.message);
  return result;
}

/* ----------------------------------------------------------------------------------------------------- registration */

/* Strings and struct are copied. */
static void what_is_registered_is_copied(void **state) {
  (void)state;
  norma_runtime *runtime = make_runtime();
  char *name = strdup("Increment"), *domain = strdup(HOUSE);
  norma_custom_operator *custom = malloc(sizeof *custom);
  *custom = operator_named(name);
  custom->domain = domain;
  add_operator(runtime, custom);
  memset(name, '?', strlen(name));
  memset(domain, '?', strlen(domain));
  memset(custom, 0, sizeof *custom);
  free(name), free(domain), free(custom);
  norma_model *model = load_built(model_with("Increment", 1, "x", "y"), NORMA_OPTIMIZE_FULL, runtime);
  assert_true(run_good(model) == 2);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
}

static void expect_refused(norma_custom_operator custom, const char *part) {
  norma_runtime *runtime = make_runtime();
  norma_error error;
  assert_int_equal(norma_runtime_register(runtime, &custom, &error), NORMA_ERROR_ARGUMENT);
  if (!strstr(error.message, part)) fail_msg("'%s' lacks '%s'", error.message, part);
  assert_int_equal(norma_runtime_register(runtime, &custom, NULL), NORMA_ERROR_ARGUMENT);
  norma_runtime_destroy(runtime);
}

static void wrong_registrations_are_refused(void **state) {
  static const char *const domains[] = {"", "ai.onnx", "ai.onnx.ml"};
  (void)state;
  norma_custom_operator good = operator_named("Op"), custom = good;
  for (int i = 0; i < 3; i++) {
    custom.domain = domains[i];
    expect_refused(custom, "a domain of its own");
  }
  custom = good, custom.domain = NULL;
  expect_refused(custom, "needs domain, name, infer and compute");
  custom = good, custom.name = NULL;
  expect_refused(custom, "needs domain, name");
  custom = good, custom.name = "";
  expect_refused(custom, "a domain of its own");
  custom = good, custom.infer = NULL;
  expect_refused(custom, "infer and compute");
  custom = good, custom.compute = NULL;
  expect_refused(custom, "infer and compute");
  custom = good, custom.since_version = 0;
  expect_refused(custom, "version or arity");
  custom = good, custom.min_inputs = -1;
  expect_refused(custom, "version or arity");
  custom = good, custom.max_inputs = 0;
  expect_refused(custom, "version or arity");
  custom = good, custom.min_outputs = 2;
  expect_refused(custom, "version or arity");
  norma_runtime *runtime = make_runtime();
  assert_int_equal(norma_runtime_register(NULL, &good, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_runtime_register(runtime, NULL, NULL), NORMA_ERROR_ARGUMENT);
  norma_runtime_destroy(runtime);
}

/* A struct of an older header must have all that this build has needed from the first version on; a longer one asks for
 * what it does not know. */
static void struct_sizes_are_checked(void **state) {
  (void)state;
  const size_t least = offsetof(norma_custom_operator, user) + sizeof(void *);
  norma_custom_operator custom = operator_named("Op");
  custom.struct_size = least;
  norma_runtime *runtime = make_runtime();
  add_operator(runtime, &custom);
  norma_runtime_destroy(runtime);
  custom.struct_size = least - 1;
  expect_refused(custom, "struct_size");
  custom.struct_size = 0;
  expect_refused(custom, "struct_size is 0");
  custom.struct_size = sizeof custom + 1;
  expect_refused(custom, "struct_size");
}

/* Opsets before since_version do not have it; later ones do. */
static void versions_are_held(void **state) {
  (void)state;
  norma_runtime *runtime = make_runtime();
  norma_custom_operator custom = operator_named("Op");
  custom.since_version = 3;
  add_operator(runtime, &custom);
  for (int64_t version = 2; version <= 4; version++) {
    norma_model *model;
    norma_error error;
    norma_status status = try_built(model_with("Op", version, "x", "y"), NORMA_OPTIMIZE_FULL, runtime, &model, &error);
    assert_int_equal(status, version < 3 ? NORMA_ERROR_UNSUPPORTED : NORMA_OK);
    if (version < 3) assert_string_equal(error.node, "the node");
    norma_model_destroy(model);
  }
  norma_runtime_destroy(runtime);
}

/* Of two of one name the later one is found; models that were loaded keep theirs. */
static void the_last_one_of_a_name_counts(void **state) {
  static float ten = 10;
  (void)state;
  norma_runtime *runtime = make_runtime();
  norma_custom_operator custom = operator_named("Op");
  add_operator(runtime, &custom);
  norma_model *first = load_built(model_with("Op", 1, "x", "y"), NORMA_OPTIMIZE_FULL, runtime);
  custom.user = &ten;
  add_operator(runtime, &custom);
  norma_model *second = load_built(model_with("Op", 1, "x", "y"), NORMA_OPTIMIZE_FULL, runtime);
  assert_true(run_good(first) == 2);
  assert_true(run_good(second) == 11);
  norma_model_destroy(first);
  norma_model_destroy(second);
  norma_runtime_destroy(runtime);
}

static void runtimes_do_not_share_operators(void **state) {
  (void)state;
  norma_runtime *with = make_runtime(), *without = make_runtime();
  const norma_custom_operator custom = operator_named("Op");
  norma_model *model;
  norma_error error;
  add_operator(with, &custom);
  assert_int_equal(try_built(model_with("Op", 1, "x", "y"), NORMA_OPTIMIZE_FULL, without, &model, &error),
                   NORMA_ERROR_UNSUPPORTED);
  norma_runtime_destroy(with);
  norma_runtime_destroy(without);
}

static void numbers_of_operands_are_checked(void **state) {
  static const struct {
    const char *inputs, *outputs;
    norma_status status;
  } cases[] = {{"x", "y", NORMA_OK},
               {"x x", "y", NORMA_OK},
               {"x x x", "y", NORMA_ERROR_INVALID_MODEL},
               {"", "y", NORMA_ERROR_INVALID_MODEL},
               {"x", "y z w", NORMA_ERROR_INVALID_MODEL},
               {"x -", "y z", NORMA_OK}};
  (void)state;
  norma_runtime *runtime = make_runtime();
  norma_custom_operator custom = operator_named("Op");
  custom.max_inputs = custom.max_outputs = 2;
  add_operator(runtime, &custom);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    norma_model *model;
    norma_error error;
    norma_status status =
        try_built(model_with("Op", 1, cases[i].inputs, cases[i].outputs), NORMA_OPTIMIZE_NONE, runtime, &model, &error);
    if (status != cases[i].status) fail_msg("case %d: %s", (int)i, norma_status_text(status));
    norma_model_destroy(model);
  }
  norma_runtime_destroy(runtime);
}

/* ------------------------------------------------------------------------------------------------------------ infer */

/* What infer was asked with, and what it says. */
typedef struct inferring {
  bool has_input[3];
  norma_element_type type;
  int rank;
  int64_t dims[NORMA_MAX_RANK];
  bool knows_value;
  int64_t number;
  float real;
  char text[20];
  norma_status set[8];
} inferring;

static norma_status asking_infer(norma_infer_context *context, void *user) {
  inferring *asked = user;
  norma_element_type type;
  int rank;
  int64_t dims[NORMA_MAX_RANK];
  for (int i = 0; i < 3; i++) asked->has_input[i] = norma_infer_input(context, i == 2 ? -1 : i, &type, &rank, dims);
  norma_infer_input(context, 0, &asked->type, &asked->rank, asked->dims);
  asked->knows_value = norma_infer_input_value(context, 1) != NULL;
  assert_null(norma_infer_input_value(context, -1));
  assert_null(norma_infer_input_value(context, 99));
  asked->number = norma_infer_attribute_int(context, "number", -1);
  asked->real = norma_infer_attribute_float(context, "real", -1);
  snprintf(asked->text, sizeof asked->text, "%s", norma_infer_attribute_string(context, "text", "none"));
  asked->set[0] = norma_infer_set_output(context, -1, NORMA_FLOAT, 0, NULL);
  asked->set[1] = norma_infer_set_output(context, 1, NORMA_FLOAT, 0, NULL);
  asked->set[2] = norma_infer_set_output(context, 0, (norma_element_type)99, 0, NULL);
  asked->set[3] = norma_infer_set_output(context, 0, NORMA_FLOAT, NORMA_MAX_RANK + 1, dims);
  asked->set[4] = norma_infer_set_output(context, 0, NORMA_FLOAT, 1, DIMS(-2));
  asked->set[5] = norma_infer_set_output(context, 0, NORMA_FLOAT, 1, NULL);
  asked->set[6] = norma_infer_set_output(context, 0, NORMA_FLOAT, -1, NULL);
  asked->set[7] = norma_infer_set_output(context, 0, NORMA_FLOAT, 1, DIMS(3));
  return asked->set[7];
}

static void infer_sees_what_is_known(void **state) {
  (void)state;
  inferring asked = {0};
  norma_runtime *runtime = make_runtime();
  norma_custom_operator custom = operator_named("Op");
  custom.infer = asking_infer;
  custom.user = &asked;
  custom.max_inputs = 2;
  add_operator(runtime, &custom);
  model_builder *b = builder_create(13);
  builder_import(b, HOUSE, 1);
  builder_input(b, "x", NORMA_FLOAT16, 3, DIMS(-1, 3, 4));
  builder_floats(b, "k", 0, NULL, (float[]){5});
  node *node = builder_named_node(b, "the node", HOUSE, "Op", "x k", "y");
  builder_int(node, "number", 7);
  builder_float(node, "real", 0.5f);
  builder_string(node, "text", "letters");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = load_built(b, NORMA_OPTIMIZE_NONE, runtime);
  assert_true(asked.has_input[0] && asked.has_input[1] && !asked.has_input[2]);
  assert_int_equal(asked.type, NORMA_FLOAT16);
  assert_int_equal(asked.rank, 3);
  assert_true(asked.dims[0] == -1 && asked.dims[2] == 4);
  assert_true(asked.knows_value);
  assert_int_equal(asked.number, 7);
  assert_true(asked.real == 0.5f);
  assert_string_equal(asked.text, "letters");
  for (int i = 0; i < 6; i++) assert_int_equal(asked.set[i], NORMA_ERROR_ARGUMENT);
  assert_int_equal(asked.set[6], NORMA_OK);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
}

static norma_status refusing_infer(norma_infer_context *context, void *user) {
  (void)context;
  (void)user;
  return NORMA_ERROR_INPUT;
}

static void inputs_that_infer_refuses(void **state) {
  (void)state;
  norma_runtime *runtime = make_runtime();
  norma_custom_operator custom = operator_named("Op");
  custom.infer = refusing_infer;
  add_operator(runtime, &custom);
  norma_model *model;
  norma_error error;
  assert_int_equal(try_built(model_with("Op", 1, "x", "y"), NORMA_OPTIMIZE_NONE, runtime, &model, &error),
                   NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(error.message,
                      "node 'the node' (Op, test.house 1): its operator refuses these inputs (invalid input)");
  norma_runtime_destroy(runtime);
}

/* -------------------------------------------------------------------------------------------------------------- run */

typedef struct computing {
  norma_status result;
  bool fail_with_message, allocate, sequences;
  int rank;
  int64_t dims[2];
  int calls;
} computing;

static norma_status open_infer(norma_infer_context *context, void *user) {
  computing *work = user;
  if (work->sequences) {
    norma_element_type type;
    int rank;
    int64_t dims[NORMA_MAX_RANK];
    assert_false(norma_infer_input(context, 0, &type, &rank, dims)); /* no tensor */
  }
  return norma_infer_set_output(context, 0, NORMA_FLOAT, 1, DIMS(-1));
}

static norma_status asking_compute(norma_run_context *context, void *user) {
  computing *work = user;
  work->calls++;
  assert_null(norma_run_input(context, -1));
  assert_null(norma_run_input(context, 7));
  if (work->sequences) assert_null(norma_run_input(context, 0)); /* a sequence is no tensor */
  assert_null(norma_run_output(context, -1));
  assert_null(norma_run_output(context, 7));
  assert_null(norma_run_output(context, 0)); /* whose shape was not set */
  assert_null(norma_run_allocate_output(context, -1, NORMA_FLOAT, 0, NULL));
  assert_null(norma_run_allocate_output(context, 1, NORMA_FLOAT, 0, NULL));
  assert_null(norma_run_allocate_output(context, 0, NORMA_FLOAT, -1, NULL));
  assert_null(norma_run_allocate_output(context, 0, NORMA_FLOAT, 1, DIMS(-1)));
  assert_null(norma_run_allocate_output(context, 0, NORMA_FLOAT, 1, NULL));
  assert_int_equal(norma_run_attribute_int(context, "number", 4), 4);
  assert_true(norma_run_attribute_float(context, "real", 0.25f) == 0.25f);
  assert_string_equal(norma_run_attribute_string(context, "text", "none"), "none");
  assert_false(norma_run_cancelled(context));
  if (work->allocate) {
    norma_tensor *y = norma_run_allocate_output(context, 0, NORMA_FLOAT, work->rank, work->dims);
    if (!y) return NORMA_ERROR_OUT_OF_MEMORY;
    for (int64_t i = 0; i < norma_tensor_count(y); i++) ((float *)y->data)[i] = 8;
  }
  if (work->fail_with_message) return norma_run_fail(context, "it will not");
  return work->result;
}

static norma_model *open_model(norma_runtime *runtime, computing *work) {
  norma_custom_operator custom = operator_named("Op");
  custom.infer = open_infer;
  custom.compute = asking_compute;
  custom.user = work;
  add_operator(runtime, &custom);
  return load_built(model_with("Op", 1, "x", "y"), NORMA_OPTIMIZE_FULL, runtime);
}

static void outputs_are_made_in_the_run(void **state) {
  (void)state;
  computing work = {.allocate = true, .rank = 1, .dims = {4}};
  norma_runtime *runtime = make_runtime();
  norma_model *model = open_model(runtime, &work);
  assert_true(run_good(model) == 8);
  work.dims[0] = 0; /* empty */
  assert_true(run_good(model) == 0);
  assert_int_equal(work.calls, 2);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
}

static void failures_name_the_node(void **state) {
  (void)state;
  norma_runtime *runtime = make_runtime();
  computing work = {.result = NORMA_ERROR_FILE};
  norma_model *model = open_model(runtime, &work);
  norma_status status;
  norma_error error;
  run_once(model, &status, &error);
  assert_int_equal(status, NORMA_ERROR_FILE);
  assert_string_equal(error.message, "node 'the node' (Op, test.house 1): its operator failed: file error");
  work = (computing){.fail_with_message = true};
  run_once(model, &status, &error);
  assert_int_equal(status, NORMA_ERROR_RUN);
  assert_string_equal(error.message, "node 'the node' (Op, test.house 1): it will not");
  assert_string_equal(error.node, "the node");
  work = (computing){.allocate = true, .rank = 2, .dims = {2, 2}}; /* another rank than infer had said */
  run_once(model, &status, &error);
  assert_int_equal(status, NORMA_ERROR_RUN);
  assert_string_equal(error.node, "the node");
  assert_int_equal(error.status, status);
  work = (computing){.result = NORMA_OK}; /* no output, and nothing said */
  run_once(model, &status, &error);
  assert_int_equal(status, NORMA_ERROR_RUN);
  work = (computing){.allocate = true, .rank = 1, .dims = {(int64_t)1 << 60}};
  run_once(model, &status, &error);
  assert_true(status == NORMA_ERROR_OUT_OF_MEMORY || status == NORMA_ERROR_BUDGET);
  assert_string_equal(error.node, "the node");
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
}

/* Inputs of other kinds have no tensor; the operator is told so. */
static void inputs_that_are_no_tensors(void **state) {
  (void)state;
  computing work = {.allocate = true, .rank = 1, .dims = {1}, .sequences = true};
  norma_runtime *runtime = make_runtime();
  norma_custom_operator custom = operator_named("Op");
  custom.infer = open_infer;
  custom.compute = asking_compute;
  custom.user = &work;
  add_operator(runtime, &custom);
  model_builder *b = builder_create(13);
  builder_import(b, HOUSE, 1);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(3));
  builder_node(b, "SequenceConstruct", "x x", "s");
  builder_named_node(b, "the node", HOUSE, "Op", "s", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = load_built(b, NORMA_OPTIMIZE_FULL, runtime);
  assert_true(run_good(model) == 8);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
}

/* ---------------------------------------------------------------------------------------------------------- threads */

#define THREADS    6
#define OPERATIONS 60

typedef struct registering {
  norma_runtime *runtime;
  pthread_barrier_t *barrier;
  int number;
} registering;

/* Registers operators of its own, and loads and runs models with the one that was there from the beginning. */
static void *register_and_load(void *argument) {
  const registering *mine = argument;
  pthread_barrier_wait(mine->barrier);
  for (int i = 0; i < OPERATIONS; i++) {
    char name[32];
    snprintf(name, sizeof name, "Op.%d.%d", mine->number, i);
    const norma_custom_operator custom = operator_named(name);
    add_operator(mine->runtime, &custom);
    norma_model *model =
        load_built(model_with(i % 2 ? name : "Common", 1, "x", "y"), NORMA_OPTIMIZE_FULL, mine->runtime);
    assert_true(run_good(model) == 2);
    norma_model_destroy(model);
  }
  return NULL;
}

static void threads_register_while_others_load(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  registering each[THREADS];
  pthread_barrier_t barrier;
  counting_allocator counting = {0};
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  norma_runtime *runtime;
  options.allocator = counting_allocator_functions(&counting);
  assert_int_equal(norma_runtime_create(&options, &runtime, NULL), NORMA_OK);
  const norma_custom_operator common = operator_named("Common");
  add_operator(runtime, &common);
  pthread_barrier_init(&barrier, NULL, THREADS);
  for (int i = 0; i < THREADS; i++) {
    each[i] = (registering){runtime, &barrier, i};
    assert_int_equal(pthread_create(&threads[i], NULL, register_and_load, &each[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < THREADS * OPERATIONS; i++) { /* all of them are there */
    char name[32];
    snprintf(name, sizeof name, "Op.%d.%d", i / OPERATIONS, i % OPERATIONS);
    assert_non_null(operator_registry_find(runtime->operators, HOUSE, name));
  }
  pthread_barrier_destroy(&barrier);
  norma_runtime_destroy(runtime);
  assert_int_equal(atomic_load(&counting.outstanding), 0);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

static norma_status register_some(void *context, const norma_allocator *allocator, norma_error *error) {
  norma_runtime *runtime;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .allocator = *allocator};
  (void)context;
  norma_status status = norma_runtime_create(&options, &runtime, error);
  for (int i = 0; i < 600 && status == NORMA_OK; i++) { /* more than the table of operators has room for at first */
    char name[16];
    snprintf(name, sizeof name, "Op%d", i);
    const norma_custom_operator custom = operator_named(name);
    status = norma_runtime_register(runtime, &custom, error);
  }
  norma_runtime_destroy(runtime);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  assert_int_equal(fail_each_allocation(register_some, NULL), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_registered_is_copied),
      cmocka_unit_test(wrong_registrations_are_refused),
      cmocka_unit_test(struct_sizes_are_checked),
      cmocka_unit_test(versions_are_held),
      cmocka_unit_test(the_last_one_of_a_name_counts),
      cmocka_unit_test(runtimes_do_not_share_operators),
      cmocka_unit_test(numbers_of_operands_are_checked),
      cmocka_unit_test(infer_sees_what_is_known),
      cmocka_unit_test(inputs_that_infer_refuses),
      cmocka_unit_test(outputs_are_made_in_the_run),
      cmocka_unit_test(failures_name_the_node),
      cmocka_unit_test(inputs_that_are_no_tensors),
      cmocka_unit_test(threads_register_while_others_load),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
