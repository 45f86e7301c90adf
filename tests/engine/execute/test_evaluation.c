/* One node on values that exist: where its results go, what is shared, what a failure leaves, what it may cost. */
#include "engine/execute/evaluation.h"

#include "engine/base/status.h"
#include "tests/support/built_model.h"
#include "tests/support/failing_allocations.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* A model of one node, which is evaluated here. */
typedef struct evaluated {
  norma_runtime *runtime; /* of one thread: no other one takes memory or gives it back */
  norma_model *model;
  const node *node;
  executor executor;
  norma_error error;
} evaluated;

static void evaluated_open(evaluated *work, model_builder *b, const char *type) {
  memset(work, 0, sizeof *work);
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  assert_int_equal(norma_runtime_create(&options, &work->runtime, NULL), NORMA_OK);
  work->model = load_built(b, NORMA_OPTIMIZE_NONE, work->runtime);
  work->node = find_node(work->model, type);
  work->executor = executor_of(work->model);
}

static void evaluated_close(evaluated *work) {
  norma_model_destroy(work->model);
  norma_runtime_destroy(work->runtime);
}

static norma_status evaluate(evaluated *work, const value *const *inputs, value *const *outputs) {
  const value *constants[8] = {NULL};
  return evaluate_node(&work->executor, work->node, inputs, constants, outputs, NORMA_ERROR_RUN, &work->error);
}

static value borrowed_floats(int rank, const int64_t *dims, float *data) {
  value made = {.kind = NORMA_VALUE_TENSOR};
  assert_int_equal(norma_tensor_init(&made.tensor, NORMA_FLOAT, rank, dims, data), NORMA_OK);
  return made;
}

static model_builder *one_node(const char *type, const char *inputs, const char *outputs) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_input(b, "z", NORMA_FLOAT, -1, NULL);
  builder_named_node(b, "the node", "", type, inputs, outputs);
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  return b;
}

static void cleared_outputs_own_their_results(void **state) {
  (void)state;
  evaluated work;
  float a[3] = {1, 2, 3}, c[1] = {10};
  value x = borrowed_floats(1, DIMS(3), a), z = borrowed_floats(1, DIMS(1), c), y = {0};
  evaluated_open(&work, one_node("Add", "x z", "y"), "Add");
  assert_int_equal(evaluate(&work, (const value *[]){&x, &z}, (value *[]){&y}), NORMA_OK);
  assert_non_null(y.owner);
  assert_int_equal(y.tensor.dims[0], 3);
  assert_true(((const float *)y.tensor.data)[2] == 13);
  value_clear(&y);
  evaluated_close(&work);
}

/* Into memory that is planned; its shape must come out the same. */
static void planned_memory_is_filled(void **state) {
  (void)state;
  evaluated work;
  float a[3] = {1, 2, 3}, c[1] = {10}, place[4] = {0, 0, 0, -1};
  value x = borrowed_floats(1, DIMS(3), a), z = borrowed_floats(1, DIMS(1), c), y = borrowed_floats(1, DIMS(3), place);
  evaluated_open(&work, one_node("Add", "x z", "y"), "Add");
  assert_int_equal(evaluate(&work, (const value *[]){&x, &z}, (value *[]){&y}), NORMA_OK);
  assert_true(place[0] == 11 && place[2] == 13 && place[3] == -1);
  assert_null(y.owner);
  y = borrowed_floats(1, DIMS(4), place);
  assert_int_equal(evaluate(&work, (const value *[]){&x, &z}, (value *[]){&y}), NORMA_ERROR_RUN);
  assert_string_equal(work.error.node, "the node");
  assert_ptr_equal(y.tensor.data, place); /* which is the caller's, as before */
  evaluated_close(&work);
}

static void outputs_that_are_not_wanted_are_left_out(void **state) {
  (void)state;
  evaluated work;
  float a[4] = {1, 2, 3, 4};
  value x = borrowed_floats(1, DIMS(4), a), second = {0};
  evaluated_open(&work, one_node("Split", "x", "u y"), "Split");
  assert_int_equal(evaluate(&work, (const value *[]){&x}, (value *[]){NULL, &second}), NORMA_OK);
  assert_true(((const float *)second.tensor.data)[1] == 4);
  value_clear(&second);
  evaluated_close(&work);
}

/* A view of memory that is owned shares it; borrowed memory may be written over later, and is copied. */
static void views_share_what_is_owned(void **state) {
  (void)state;
  for (int owned = 0; owned < 2; owned++) {
    evaluated work;
    float a[6] = {1, 2, 3, 4, 5, 6};
    value borrowed = borrowed_floats(2, DIMS(2, 3), a), x = borrowed, y = {0};
    evaluated_open(&work, one_node("Flatten", "x", "y"), "Flatten");
    if (owned) assert_int_equal(value_copy(work.model->memory, &x, &borrowed, NULL), NORMA_OK);
    assert_int_equal(evaluate(&work, (const value *[]){&x}, (value *[]){&y}), NORMA_OK);
    if (owned) assert_ptr_equal(y.owner, x.owner);
    assert_int_equal(y.tensor.data == x.tensor.data, owned);
    if (owned) value_clear(&x); /* the view keeps it */
    assert_memory_equal(y.tensor.data, a, sizeof a);
    value_clear(&y);
    evaluated_close(&work);
  }
}

/* Shapes that only the data tell are made by the operator. */
static void operators_make_what_only_they_know(void **state) {
  (void)state;
  evaluated work;
  float a[4] = {0, 2, 0, 4};
  value x = borrowed_floats(1, DIMS(4), a), y = {0};
  evaluated_open(&work, one_node("NonZero", "x", "y"), "NonZero");
  assert_int_equal(evaluate(&work, (const value *[]){&x}, (value *[]){&y}), NORMA_OK);
  assert_int_equal(y.tensor.dims[1], 2);
  assert_int_equal(tensor_get_int64(&y.tensor, 1), 3);
  value_clear(&y);
  evaluated_close(&work);
}

/* --------------------------------------------------------------------------------------------------------- failures */

static void failures_leave_outputs_cleared(void **state) {
  (void)state;
  evaluated work;
  float a[3] = {1, 2, 3}, c[2] = {1, 2};
  value x = borrowed_floats(1, DIMS(3), a), z = borrowed_floats(1, DIMS(2), c), y = {0};
  evaluated_open(&work, one_node("Add", "x z", "y"), "Add");
  const size_t used = atomic_load(&work.model->memory->used);
  static const norma_status failures[] = {NORMA_ERROR_INVALID_MODEL, NORMA_ERROR_INPUT, NORMA_ERROR_RUN};
  for (int i = 0; i < 3; i++) { /* shapes that do not fit: the caller says what that is */
    const value *constants[2] = {NULL};
    norma_status status = evaluate_node(&work.executor, work.node, (const value *[]){&x, &z}, constants,
                                        (value *[]){&y}, failures[i], &work.error);
    assert_int_equal(status, failures[i]);
    assert_string_equal(work.error.node, "the node");
    assert_int_equal(y.kind, NORMA_VALUE_NONE);
  }
  value text = {.kind = NORMA_VALUE_TENSOR}; /* a type that was not known before */
  norma_string strings[3] = {{"a", 1}, {"b", 1}, {"c", 1}};
  norma_tensor_init(&text.tensor, NORMA_STRING, 1, DIMS(3), strings);
  assert_int_equal(evaluate(&work, (const value *[]){&text, &text}, (value *[]){&y}), NORMA_ERROR_RUN);
  assert_int_equal(y.kind, NORMA_VALUE_NONE);
  assert_int_equal(evaluate_node(&work.executor, work.node, (const value *[]){&x, &z}, (const value *[]){NULL, NULL},
                                 (value *[]){&y}, NORMA_ERROR_RUN, NULL),
                   NORMA_ERROR_RUN); /* nobody wants the error */
  assert_int_equal(atomic_load(&work.model->memory->used), used);
  evaluated_close(&work);
}

static norma_status fail_infer(norma_infer_context *context, void *user) {
  (void)user;
  norma_infer_set_output(context, 0, NORMA_FLOAT, 1, DIMS(2));
  return norma_infer_set_output(context, 1, NORMA_FLOAT, 1, DIMS(-1));
}

static norma_status fail_compute(norma_run_context *context, void *user) {
  (void)user;
  assert_non_null(norma_run_output(context, 0));
  assert_non_null(norma_run_allocate_output(context, 1, NORMA_FLOAT, 1, DIMS(5)));
  return norma_run_fail(context, "after all its outputs were made");
}

static void results_of_a_node_that_fails_late_are_dropped(void **state) {
  (void)state;
  evaluated work = {0};
  const norma_custom_operator late = {.struct_size = sizeof late,
                                      .domain = "test.house",
                                      .name = "Late",
                                      .since_version = 1,
                                      .min_outputs = 2,
                                      .max_outputs = 2,
                                      .infer = fail_infer,
                                      .compute = fail_compute};
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  assert_int_equal(norma_runtime_create(&options, &work.runtime, NULL), NORMA_OK);
  assert_int_equal(norma_runtime_register(work.runtime, &late, NULL), NORMA_OK);
  model_builder *b = builder_create(13);
  builder_import(b, "test.house", 1);
  builder_named_node(b, "the node", "test.house", "Late", "", "y z");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  work.model = load_built(b, NORMA_OPTIMIZE_NONE, work.runtime);
  work.node = find_node(work.model, "the node");
  work.executor = executor_of(work.model);
  const size_t used = atomic_load(&work.model->memory->used);
  value y = {0}, z = {0};
  assert_int_equal(evaluate(&work, (const value *[]){NULL}, (value *[]){&y, &z}), NORMA_ERROR_RUN);
  assert_non_null(strstr(work.error.message, "after all its outputs were made"));
  assert_int_equal(y.kind, NORMA_VALUE_NONE);
  assert_int_equal(z.kind, NORMA_VALUE_NONE);
  assert_int_equal(atomic_load(&work.model->memory->used), used);
  evaluated_close(&work);
}

/* ------------------------------------------------------------------------------------------------------------- cost */

/* Operations and bytes are taken from what is left; what would cost more is not begun. */
static void work_is_paid_for(void **state) {
  (void)state;
  evaluated work;
  static float a[64 * 64], c[64 * 64];
  value x = borrowed_floats(2, DIMS(64, 64), a), z = borrowed_floats(2, DIMS(64, 64), c), y = {0};
  evaluated_open(&work, one_node("MatMul", "x z", "y"), "MatMul");
  const double cost = 2.0 * 64 * 64 * 64 + 3 * 4 * 64 * 64;
  work.executor.work_left = cost + 10;
  assert_int_equal(evaluate(&work, (const value *[]){&x, &z}, (value *[]){&y}), NORMA_OK);
  assert_true(work.executor.work_left == 10);
  value_clear(&y);
  assert_int_equal(evaluate(&work, (const value *[]){&x, &z}, (value *[]){&y}), NORMA_ERROR_DEADLINE);
  assert_true(work.executor.work_left == 10);
  assert_string_equal(work.error.node, "the node");
  assert_int_equal(y.kind, NORMA_VALUE_NONE);
  evaluated_close(&work);
}

static norma_status evaluate_with(void *context, const norma_allocator *allocator, norma_error *error) {
  evaluated *work = context;
  static float a[40 * 40], c[40 * 40];
  value x = borrowed_floats(2, DIMS(40, 40), a), z = borrowed_floats(2, DIMS(40, 40), c), y = {0};
  const value *constants[2] = {NULL};
  memory memory;
  memory_init(&memory, allocator, 0);
  executor executor = work->executor;
  executor.memory = &memory;
  norma_status status = evaluate_node(&executor, work->node, (const value *[]){&x, &z}, constants, (value *[]){&y},
                                      NORMA_ERROR_RUN, error);
  if (status != NORMA_OK) assert_int_equal(y.kind, NORMA_VALUE_NONE);
  value_clear(&y);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  evaluated work;
  evaluated_open(&work, one_node("MatMul", "x z", "y"), "MatMul");
  assert_int_equal(fail_each_allocation(evaluate_with, &work), 0);
  evaluated_close(&work);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cleared_outputs_own_their_results),
      cmocka_unit_test(planned_memory_is_filled),
      cmocka_unit_test(outputs_that_are_not_wanted_are_left_out),
      cmocka_unit_test(views_share_what_is_owned),
      cmocka_unit_test(operators_make_what_only_they_know),
      cmocka_unit_test(failures_leave_outputs_cleared),
      cmocka_unit_test(results_of_a_node_that_fails_late_are_dropped),
      cmocka_unit_test(work_is_paid_for),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
