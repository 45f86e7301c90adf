/* Runtimes: options, budgets, the log, kernel tables, threads. */
#include "engine/execute/runtime.h"

#include "engine/base/status.h"
#include "tests/support/built_model.h"
#include "tests/support/counting_allocator.h"
#include "tests/support/failing_allocations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static norma_runtime *create(norma_runtime_options options) {
  norma_runtime *runtime;
  norma_error error;
  options.struct_size = sizeof options;
  if (norma_runtime_create(&options, &runtime, &error) != NORMA_OK) fail_msg("%s", error.message);
  return runtime;
}

static void expect_refused(norma_runtime_options options, const char *part) {
  norma_runtime *runtime = (void *)&options;
  norma_error error;
  assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_ERROR_ARGUMENT);
  assert_null(runtime);
  if (!strstr(error.message, part)) fail_msg("'%s' lacks '%s'", error.message, part);
}

/* ---------------------------------------------------------------------------------------------------------- options */

static void zeros_are_the_defaults(void **state) {
  (void)state;
  norma_runtime_options options = {.struct_size = sizeof options};
  norma_runtime *runtimes[2];
  assert_int_equal(norma_runtime_create(NULL, &runtimes[0], NULL), NORMA_OK);
  assert_int_equal(norma_runtime_create(&options, &runtimes[1], NULL), NORMA_OK);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(runtimes[i]->workers, thread_pool_available_cpus());
    assert_int_equal(runtimes[i]->pool != NULL, runtimes[i]->workers > 1);
    assert_ptr_equal(runtimes[i]->kernels, kernel_table_default());
    assert_int_equal(runtimes[i]->max_nodes, 1000000);
    assert_int_equal(runtimes[i]->max_depth, 32);
    assert_null(runtimes[i]->log);
    norma_runtime_destroy(runtimes[i]);
  }
  norma_runtime_destroy(NULL);
}

/* A program that was compiled with an older header has a shorter struct: what it lacks is as if zero. One that is
 * longer asks for what this library does not know. */
static void shorter_structs_are_completed(void **state) {
  (void)state;
  norma_runtime_options options = {.threads = 1, .max_depth = 7, .kernels = "no such table"};
  norma_runtime *runtime;
  options.struct_size = offsetof(norma_runtime_options, kernels);
  assert_int_equal(norma_runtime_create(&options, &runtime, NULL), NORMA_OK);
  assert_int_equal(runtime->max_depth, 7);
  norma_runtime_destroy(runtime);
  options.struct_size = offsetof(norma_runtime_options, max_depth);
  assert_int_equal(norma_runtime_create(&options, &runtime, NULL), NORMA_OK);
  assert_int_equal(runtime->max_depth, 32);
  norma_runtime_destroy(runtime);
  options.struct_size = 0;
  expect_refused(options, "struct_size is 0");
  options.struct_size = sizeof options + 1;
  expect_refused(options, "struct_size");
}

static void wrong_options_are_refused(void **state) {
  (void)state;
  const size_t size = sizeof(norma_runtime_options);
  expect_refused((norma_runtime_options){.struct_size = size, .threads = -1}, "threads");
  expect_refused((norma_runtime_options){.struct_size = size, .threads = 100000}, "threads");
  expect_refused((norma_runtime_options){.struct_size = size, .max_depth = -1}, "max_depth");
  expect_refused((norma_runtime_options){.struct_size = size, .kernels = "fastest"}, "'fastest'");
  expect_refused((norma_runtime_options){.struct_size = size, .kernels = ""}, "''");
  norma_error error;
  assert_int_equal(norma_runtime_create(NULL, NULL, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_runtime_create(NULL, NULL, NULL), NORMA_ERROR_ARGUMENT);
}

static void kernel_tables_are_chosen_by_name(void **state) {
  (void)state;
  const struct kernel_table *kernels;
  for (size_t i = 0; (kernels = kernel_table_built_at(i)); i++) {
    norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .kernels = kernels->name};
    if (!kernel_table_find(kernels->name)) {
      expect_refused(options, kernels->name);
      continue;
    }
    norma_runtime *runtime = create(options);
    assert_ptr_equal(runtime->kernels, kernel_table_find(kernels->name));
    norma_runtime_destroy(runtime);
  }
}

/* ---------------------------------------------------------------------------------------------------------- threads */

static void run_nothing(void *context, size_t count, norma_parallel_body body, void *argument) {
  (void)context;
  for (size_t i = 0; i < count; i++) body(argument, i, 0);
}

/* With one thread, or with the caller's loop, there is no pool. */
static void pools_are_made_when_needed(void **state) {
  (void)state;
  norma_runtime *runtime = create((norma_runtime_options){.threads = 1});
  assert_null(runtime->pool);
  norma_runtime_destroy(runtime);
  runtime = create((norma_runtime_options){.threads = 3});
  assert_non_null(runtime->pool);
  assert_int_equal(runtime->workers, 3);
  norma_runtime_destroy(runtime);
  runtime = create((norma_runtime_options){.threads = 3, .parallel = run_nothing});
  assert_null(runtime->pool);
  assert_int_equal(runtime->workers, 3);
  norma_runtime_destroy(runtime);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

/* The runtime itself counts, its models do, and the peak stays. */
static void memory_is_counted(void **state) {
  (void)state;
  counting_allocator counting = {0};
  norma_runtime *runtime =
      create((norma_runtime_options){.threads = 1, .allocator = counting_allocator_functions(&counting)});
  const size_t empty = norma_runtime_memory_used(runtime);
  assert_true(empty > 0);
  static float weights[10000];
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(10000));
  builder_floats(b, "w", 1, DIMS(10000), weights);
  builder_node(b, "Add", "x w", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = load_built(b, NORMA_OPTIMIZE_FULL, runtime);
  const size_t loaded = norma_runtime_memory_used(runtime);
  assert_true(loaded >= empty + sizeof weights);
  assert_true(norma_runtime_memory_peak(runtime) >= loaded);
  norma_model_destroy(model);
  assert_int_equal(norma_runtime_memory_used(runtime), empty);
  assert_true(norma_runtime_memory_peak(runtime) >= loaded);
  norma_runtime_destroy(runtime);
  assert_int_equal(atomic_load(&counting.outstanding), 0);
  assert_int_equal(norma_runtime_memory_used(NULL), 0);
  assert_int_equal(norma_runtime_memory_peak(NULL), 0);
}

/* The budget is for all models of the runtime together. */
static void budgets_hold(void **state) {
  (void)state;
  static float weights[10000];
  norma_runtime *runtime = create((norma_runtime_options){.threads = 1, .max_memory_bytes = 150000});
  norma_model *models[4] = {NULL};
  norma_error error;
  int loaded = 0;
  for (int i = 0; i < 4; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 1, DIMS(10000));
    builder_floats(b, "w", 1, DIMS(10000), weights);
    builder_node(b, "Add", "x w", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    norma_status status = try_built(b, NORMA_OPTIMIZE_NONE, runtime, &models[i], &error);
    if (status == NORMA_OK) loaded++;
    if (status != NORMA_OK) assert_int_equal(status, NORMA_ERROR_BUDGET);
    assert_true(norma_runtime_memory_used(runtime) <= 150000);
  }
  assert_int_equal(loaded, 2); /* of 40,000 bytes of weights each, and something beside */
  for (int i = 0; i < 4; i++) norma_model_destroy(models[i]);
  norma_runtime_destroy(runtime);

  runtime = create((norma_runtime_options){.threads = 1, .max_nodes = 2});
  for (int nodes = 2; nodes <= 3; nodes++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 1, DIMS(2));
    builder_node(b, "Neg", "x", "a");
    builder_node(b, "Abs", "a", "y");
    if (nodes == 3) builder_node(b, "Exp", "a", "z");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    norma_model *model;
    norma_status status = try_built(b, NORMA_OPTIMIZE_NONE, runtime, &model, &error);
    assert_int_equal(status, nodes == 3 ? NORMA_ERROR_BUDGET : NORMA_OK);
    norma_model_destroy(model);
  }
  norma_runtime_destroy(runtime);
}

static norma_status create_and_destroy(void *context, const norma_allocator *allocator, norma_error *error) {
  norma_runtime_options options = {.struct_size = sizeof options, .threads = *(int *)context, .allocator = *allocator};
  norma_runtime *runtime;
  norma_status status = norma_runtime_create(&options, &runtime, error);
  if (status != NORMA_OK) assert_null(runtime);
  norma_runtime_destroy(runtime);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  for (int threads = 1; threads <= 3; threads += 2) {
    assert_int_equal(fail_each_allocation(create_and_destroy, &threads), 0);
  }
}

/* -------------------------------------------------------------------------------------------------------------- log */

typedef struct last_line {
  norma_log_level level;
  char text[2000];
  int count;
} last_line;

static void keep_line(void *context, norma_log_level level, const char *line) {
  last_line *last = context;
  last->level = level;
  last->count++;
  strncpy(last->text, line, sizeof last->text - 1);
}

static void lines_reach_the_caller(void **state) {
  (void)state;
  last_line last = {0};
  norma_runtime *runtime = create((norma_runtime_options){.threads = 1, .log = keep_line, .log_context = &last});
  runtime_log(runtime, NORMA_LOG_WARNING, "%s: %d", "answer", 42);
  assert_int_equal(last.count, 1);
  assert_int_equal(last.level, NORMA_LOG_WARNING);
  assert_string_equal(last.text, "answer: 42");
  char large[5000];
  memset(large, 'x', sizeof large - 1);
  large[sizeof large - 1] = '\0';
  runtime_log(runtime, NORMA_LOG_INFO, "%s", large); /* cut, as one line */
  assert_int_equal(strlen(last.text), 1023);
  norma_runtime_destroy(runtime);
  runtime = create((norma_runtime_options){.threads = 1});
  runtime_log(runtime, NORMA_LOG_ERROR, "nobody listens");
  norma_runtime_destroy(runtime);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(zeros_are_the_defaults),
      cmocka_unit_test(shorter_structs_are_completed),
      cmocka_unit_test(wrong_options_are_refused),
      cmocka_unit_test(kernel_tables_are_chosen_by_name),
      cmocka_unit_test(pools_are_made_when_needed),
      cmocka_unit_test(memory_is_counted),
      cmocka_unit_test(budgets_hold),
      cmocka_unit_test(allocations_that_fail_are_reported),
      cmocka_unit_test(lines_reach_the_caller),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
