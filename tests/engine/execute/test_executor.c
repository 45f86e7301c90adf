/* What a running node may use: loops on any number of threads, an end that others ask for, memory for outputs. */
#include "engine/execute/executor.h"

#include "engine/base/platform.h"
#include "engine/base/status.h"
#include "tests/support/failing_allocations.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* A node in a run, of an operator without functions. */
typedef struct running {
  memory memory;
  region region;
  executor executor;
  run_context context;
  value outputs[2], *output_list[2];
  norma_error error;
} running;

static const operator_descriptor test_operator = {.domain = "", .name = "Test"};

static void running_open(running *run, int workers) {
  memset(run, 0, sizeof *run);
  memory_init(&run->memory, NULL, 0);
  region_init(&run->region, &run->memory);
  graph *graph = graph_create(&run->region, &run->memory, "g", NULL, NULL);
  node *node = graph_add_node(graph, "the node", "Test", "", 0, 2, 0);
  node->op = &test_operator;
  executor_init_serial(&run->executor, &run->memory, kernel_table_default(), NULL, false);
  run->executor.workers = workers;
  for (int i = 0; i < 2; i++) run->output_list[i] = &run->outputs[i];
  run->context = (run_context){
      .node = node, .output_count = 2, .outputs = run->output_list, .executor = &run->executor, .error = &run->error};
}

static void running_close(running *run) {
  run_free_temporaries(&run->context);
  for (int i = 0; i < 2; i++) value_clear(&run->outputs[i]);
  region_free(&run->region);
  assert_int_equal(atomic_load(&run->memory.used), 0);
}

/* ----------------------------------------------------------------------------------------------------------- making */

static void a_serial_executor_has_no_limits(void **state) {
  (void)state;
  running run;
  running_open(&run, 1);
  assert_int_equal(run.executor.workers, 1);
  assert_true(isinf(run.executor.work_left));
  assert_null(run.executor.interruption);
  assert_null(run.executor.pool);
  assert_int_equal(executor_poll(&run.executor, &run.error), NORMA_OK);
  assert_false(run_cancelled(&run.context));
  assert_int_equal(run_poll(&run.context), NORMA_OK);
  running_close(&run);
}

static void scratch_must_be_addressable(void **state) {
  (void)state;
  running run;
  running_open(&run, 4);
  prepare_context prepare =
      executor_prepare_context(&run.executor, run.context.node, NULL, NULL, NULL, NULL, &run.error);
  assert_string_equal(prepare.kernel_name, "");
  assert_int_equal(prepare.workers, 4);
  assert_ptr_equal(prepare.kernels, kernel_table_default());
  prepare.scratch_bytes = 100;
  prepare.worker_scratch_bytes = 100;
  assert_int_equal(executor_check_scratch(&run.executor, &prepare), NORMA_OK);
  assert_int_equal(prepare.worker_scratch_bytes, 128); /* workers do not share a line of the cache */
  prepare.worker_scratch_bytes = SIZE_MAX / 8;
  assert_int_equal(executor_check_scratch(&run.executor, &prepare), NORMA_ERROR_BUDGET);
  assert_string_equal(run.error.node, "the node");
  prepare.worker_scratch_bytes = 0;
  prepare.scratch_bytes = SIZE_MAX - 7;
  assert_int_equal(executor_check_scratch(&run.executor, &prepare), NORMA_ERROR_BUDGET);
  running_close(&run);
}

/* -------------------------------------------------------------------------------------------------------------- end */

static void runs_end_when_asked(void **state) {
  (void)state;
  running run;
  interruption interruption = {.work = "run"};
  running_open(&run, 1);
  run.executor.interruption = &interruption;
  assert_int_equal(run_poll(&run.context), NORMA_OK);
  atomic_store(&interruption.cancelled, true);
  assert_true(run_cancelled(&run.context));
  assert_int_equal(run_poll(&run.context), NORMA_ERROR_CANCELLED);
  assert_string_equal(run.error.message, "the run was cancelled");
  atomic_store(&interruption.cancelled, false);
  interruption.deadline_ns = clock_now_ns() + (uint64_t)1000000000 * 3600;
  assert_int_equal(run_poll(&run.context), NORMA_OK);
  interruption.deadline_ns = clock_now_ns();
  assert_int_equal(run_poll(&run.context), NORMA_ERROR_DEADLINE);
  assert_true(run_cancelled(&run.context));
  atomic_store(&interruption.cancelled, true); /* both: who cancels does not want to know of the deadline */
  assert_int_equal(run_poll(&run.context), NORMA_ERROR_CANCELLED);
  running_close(&run);
}

/* ------------------------------------------------------------------------------------------------------------ loops */

#define MOST_ITEMS 1000

typedef struct loop_record {
  atomic_int seen[MOST_ITEMS];
  int64_t count, grain;
  int workers;
  bool exact;         /* ranges have exactly `grain` items but the last */
  atomic_int busy[8]; /* calls of each worker that run now */
  atomic_bool wrong;
  atomic_int calls;
  atomic_bool *cancelled; /* set by the first range */
} loop_record;

static void record_range(void *argument, int64_t begin, int64_t end, int worker) {
  loop_record *record = argument;
  atomic_fetch_add(&record->calls, 1);
  bool good = begin >= 0 && begin < end && end <= record->count && worker >= 0 && worker < record->workers;
  good = good &&
         (!record->exact || (begin % record->grain == 0 && (end - begin == record->grain || end == record->count)));
  if (!good) {
    atomic_store(&record->wrong, true);
    return;
  }
  if (atomic_fetch_add(&record->busy[worker], 1) != 0) atomic_store(&record->wrong, true); /* one call at a time */
  for (int64_t i = begin; i < end; i++) atomic_fetch_add(&record->seen[i], 1);
  if (record->cancelled) atomic_store(record->cancelled, true);
  atomic_fetch_sub(&record->busy[worker], 1);
}

/* A parallel-for of the caller: one after the other, from the last to the first, on changing workers. */
static void backwards(void *context, size_t count, norma_parallel_body body, void *argument) {
  for (size_t i = count; i-- > 0;) body(argument, i, (int)(i % 3));
  ++*(int *)context;
}

typedef enum loop_way { LOOP_SERIAL, LOOP_POOL, LOOP_CALLER, LOOP_WAYS } loop_way;

static void run_loop(loop_way way, bool units, int64_t count, int64_t grain, bool cancel) {
  static loop_record record;
  running run;
  thread_pool *pool = NULL;
  interruption interruption = {.work = "run"};
  int calls_of_caller = 0;
  running_open(&run, way == LOOP_SERIAL ? 1 : 3);
  run.executor.interruption = &interruption;
  if (way == LOOP_POOL) {
    assert_int_equal(thread_pool_create(&run.memory, 3, &pool, &run.error), NORMA_OK);
    assert_true(thread_pool_enter(pool));
    run.executor.pool = pool;
  } else if (way == LOOP_CALLER) {
    run.executor.parallel = backwards;
    run.executor.parallel_context = &calls_of_caller;
  }
  memset(&record, 0, sizeof record);
  record.count = count;
  record.grain = grain < 1 ? 1 : grain;
  record.workers = run.executor.workers;
  record.exact = !units;
  record.cancelled = cancel ? &interruption.cancelled : NULL;
  norma_status status = units ? run_parallel_units(&run.context, count, record_range, &record)
                              : run_parallel(&run.context, count, grain, record_range, &record);
  assert_false(atomic_load(&record.wrong));
  int64_t seen = 0;
  for (int64_t i = 0; i < MOST_ITEMS; i++) {
    const int times = atomic_load(&record.seen[i]);
    assert_true(times <= 1 && (i < count || times == 0));
    seen += times;
  }
  if (cancel && count > 0) {
    assert_int_equal(status, NORMA_ERROR_CANCELLED);
    assert_true(seen > 0);
    if (count > 3 * 300 * record.grain) assert_true(seen < count); /* the rest is left out */
  } else {
    assert_int_equal(status, NORMA_OK);
    assert_int_equal(seen, count > 0 ? count : 0);
  }
  if (pool) thread_pool_leave(pool);
  thread_pool_destroy(pool);
  running_close(&run);
}

static void loops_cover_everything_once(void **state) {
  static const int64_t counts[] = {-5, 0, 1, 2, 3, 7, 64, 999}, grains[] = {-1, 0, 1, 2, 7, 64, 1000, INT64_MAX};
  (void)state;
  for (loop_way way = 0; way < LOOP_WAYS; way++) {
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
      for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) run_loop(way, false, counts[c], grains[g], false);
      run_loop(way, true, counts[c], 1, false);
    }
  }
}

static void cancelled_loops_leave_out_the_rest(void **state) {
  (void)state;
  for (loop_way way = 0; way < LOOP_WAYS; way++) {
    run_loop(way, false, 1000, 1, true);
    run_loop(way, false, 1000, 100, true);
    run_loop(way, true, 1000, 1, true);
    run_loop(way, false, 1, 1, true); /* the reason stays one, though nothing was left out */
  }
}

static void cancel_range(void *argument, int64_t begin, int64_t end, int worker) {
  (void)begin, (void)end, (void)worker;
  atomic_store((atomic_bool *)argument, true);
}

/* What is left out is not counted either: more ranges than anybody could go through. */
static void cancelled_loops_of_any_length_end(void **state) {
  (void)state;
  for (int workers = 1; workers <= 3; workers += 2) {
    running run;
    thread_pool *pool = NULL;
    interruption interruption = {.work = "run"};
    running_open(&run, workers);
    run.executor.interruption = &interruption;
    assert_int_equal(thread_pool_create(&run.memory, workers, &pool, &run.error), NORMA_OK);
    assert_true(thread_pool_enter(pool));
    if (workers > 1) run.executor.pool = pool;
    assert_int_equal(run_parallel(&run.context, INT64_MAX / 2, 1, cancel_range, &interruption.cancelled),
                     NORMA_ERROR_CANCELLED);
    thread_pool_leave(pool);
    thread_pool_destroy(pool);
    running_close(&run);
  }
}

/* ---------------------------------------------------------------------------------------------------------- outputs */

static void outputs_are_allocated(void **state) {
  (void)state;
  running run;
  norma_tensor *tensor;
  const shape shape = shape_make(2, DIMS(2, 3)), other = shape_make(1, DIMS(4));
  running_open(&run, 1);
  assert_int_equal(run_allocate_output(&run.context, 0, NORMA_FLOAT, &shape, &tensor), NORMA_OK);
  assert_ptr_equal(tensor, &run.outputs[0].tensor);
  assert_int_equal(tensor->size_bytes, 24);
  assert_non_null(run.outputs[0].owner);
  const void *data = tensor->data;
  assert_int_equal(run_allocate_output(&run.context, 0, NORMA_FLOAT, &shape, &tensor), NORMA_OK);
  assert_ptr_equal(tensor->data, data); /* it is ready: the same again */
  assert_int_equal(run_allocate_output(&run.context, 0, NORMA_INT8, &other, &tensor), NORMA_OK);
  assert_int_equal(tensor->size_bytes, 4); /* its own memory may be exchanged */
  running_close(&run);
}

/* An output with a planned place must come out as planned. */
static void planned_outputs_keep_type_and_shape(void **state) {
  (void)state;
  running run;
  norma_tensor *tensor;
  float place[6] = {0};
  const shape planned = shape_make(2, DIMS(2, 3)), other = shape_make(2, DIMS(3, 2));
  running_open(&run, 1);
  run.outputs[0].kind = NORMA_VALUE_TENSOR;
  norma_tensor_init(&run.outputs[0].tensor, NORMA_FLOAT, 2, planned.dims, place);
  assert_true(output_is_ready(&run.outputs[0], NORMA_FLOAT, &planned));
  assert_false(output_is_ready(&run.outputs[0], NORMA_DOUBLE, &planned));
  assert_false(output_is_ready(&run.outputs[0], NORMA_FLOAT, &other));
  assert_false(output_is_ready(&run.outputs[1], NORMA_FLOAT, &planned));
  assert_int_equal(run_allocate_output(&run.context, 0, NORMA_FLOAT, &planned, &tensor), NORMA_OK);
  assert_ptr_equal(tensor->data, place);
  assert_int_equal(run_allocate_output(&run.context, 0, NORMA_FLOAT, &other, &tensor), NORMA_ERROR_RUN);
  assert_null(tensor);
  assert_string_equal(run.error.node, "the node");
  assert_int_equal(run_allocate_output(&run.context, 0, NORMA_INT32, &planned, &tensor), NORMA_ERROR_RUN);
  running_close(&run);
}

static void strings_and_lists_are_allocated(void **state) {
  (void)state;
  running run;
  norma_tensor *tensor;
  char *characters;
  const shape shape = shape_make(1, DIMS(2));
  running_open(&run, 1);
  assert_int_equal(run_allocate_strings(&run.context, 0, &shape, 5, &characters, &tensor), NORMA_OK);
  memcpy(characters, "twone", 5);
  ((norma_string *)tensor->data)[0] = (norma_string){characters, 3};
  ((norma_string *)tensor->data)[1] = (norma_string){characters + 2, 3};
  assert_int_equal(run_allocate_list(&run.context, 1, NORMA_VALUE_SEQUENCE, 3), NORMA_OK);
  assert_int_equal(norma_value_count(&run.outputs[1]), 3);
  assert_int_equal(norma_value_get_kind(norma_value_element(&run.outputs[1], 1)), NORMA_VALUE_NONE);
  for (int i = 0; i < 2; i++) { /* twice: the first contents go */
    assert_int_equal(run_set_element(&run.context, 1, 1, &run.outputs[0]), NORMA_OK);
  }
  const norma_value *element = norma_value_element(&run.outputs[1], 1);
  assert_ptr_equal(element->owner, run.outputs[0].owner); /* shared, being owned */
  running_close(&run);
}

/* What is owned is shared, what is borrowed is copied, what has a planned place is copied there. */
static void values_become_outputs(void **state) {
  (void)state;
  running run;
  float numbers[3] = {1, 2, 3}, place[3] = {0}, short_place[2];
  const shape shape = shape_make(1, DIMS(3));
  value borrowed = {.kind = NORMA_VALUE_TENSOR}, owned;
  running_open(&run, 1);
  norma_tensor_init(&borrowed.tensor, NORMA_FLOAT, 1, shape.dims, numbers);
  assert_int_equal(value_copy(&run.memory, &owned, &borrowed, NULL), NORMA_OK);
  assert_int_equal(run_set_output(&run.context, 0, &owned), NORMA_OK);
  assert_ptr_equal(run.outputs[0].owner, owned.owner);
  assert_int_equal(run_set_output(&run.context, 0, &borrowed), NORMA_OK);
  assert_ptr_not_equal(run.outputs[0].tensor.data, numbers);
  assert_memory_equal(run.outputs[0].tensor.data, numbers, sizeof numbers);
  run.outputs[1].kind = NORMA_VALUE_TENSOR;
  norma_tensor_init(&run.outputs[1].tensor, NORMA_FLOAT, 1, shape.dims, place);
  assert_int_equal(run_set_output(&run.context, 1, &owned), NORMA_OK);
  assert_memory_equal(place, numbers, sizeof numbers);
  norma_tensor_init(&run.outputs[1].tensor, NORMA_FLOAT, 1, DIMS(2), short_place);
  assert_int_equal(run_set_output(&run.context, 1, &owned), NORMA_ERROR_RUN);
  value none = {.kind = NORMA_VALUE_NONE};
  run.outputs[1] = none;
  assert_int_equal(run_set_output(&run.context, 1, &none), NORMA_OK); /* an optional without an element */
  assert_int_equal(run.outputs[1].kind, NORMA_VALUE_NONE);
  value_clear(&owned);
  running_close(&run);
}

static void temporaries_are_freed_together(void **state) {
  (void)state;
  running run;
  running_open(&run, 1);
  const size_t used = atomic_load(&run.memory.used);
  for (int i = 0; i < 20; i++) {
    void *block;
    assert_int_equal(run_allocate_temporary(&run.context, (size_t)i * 100, &block), NORMA_OK);
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % MEMORY_ALIGNMENT, 0);
    memset(block, i, (size_t)i * 100);
  }
  assert_true(atomic_load(&run.memory.used) > used + 19000);
  run_free_temporaries(&run.context);
  assert_int_equal(atomic_load(&run.memory.used), used);
  run_free_temporaries(&run.context); /* none are left */
  running_close(&run);
}

/* Everything that allocates, with an allocator that fails. */
static norma_status allocate_everything(void *context, const norma_allocator *allocator, norma_error *error) {
  running run;
  norma_tensor *tensor;
  char *characters;
  void *block;
  (void)context;
  const shape shape = shape_make(1, DIMS(3));
  float numbers[3] = {1, 2, 3};
  value borrowed = {.kind = NORMA_VALUE_TENSOR};
  norma_tensor_init(&borrowed.tensor, NORMA_FLOAT, 1, shape.dims, numbers);
  running_open(&run, 1);
  memory failing;
  memory_init(&failing, allocator, 0);
  run.executor.memory = &failing;
  run.context.error = error;
  norma_status status = run_allocate_output(&run.context, 0, NORMA_FLOAT, &shape, &tensor);
  if (status == NORMA_OK) status = run_allocate_strings(&run.context, 0, &shape, 100, &characters, &tensor);
  if (status == NORMA_OK) status = run_allocate_list(&run.context, 1, NORMA_VALUE_SEQUENCE, 2);
  if (status == NORMA_OK) status = run_set_element(&run.context, 1, 0, &borrowed);
  if (status == NORMA_OK) status = run_allocate_temporary(&run.context, 100, &block);
  if (status == NORMA_OK) status = run_set_output(&run.context, 0, &borrowed);
  if (status != NORMA_OK) assert_string_equal(error->node, "the node");
  run_free_temporaries(&run.context);
  running_close(&run);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  assert_int_equal(fail_each_allocation(allocate_everything, NULL), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_serial_executor_has_no_limits),
      cmocka_unit_test(scratch_must_be_addressable),
      cmocka_unit_test(runs_end_when_asked),
      cmocka_unit_test(loops_cover_everything_once),
      cmocka_unit_test(cancelled_loops_leave_out_the_rest),
      cmocka_unit_test(cancelled_loops_of_any_length_end),
      cmocka_unit_test(outputs_are_allocated),
      cmocka_unit_test(planned_outputs_keep_type_and_shape),
      cmocka_unit_test(strings_and_lists_are_allocated),
      cmocka_unit_test(values_become_outputs),
      cmocka_unit_test(temporaries_are_freed_together),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
