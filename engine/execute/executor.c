#include "engine/execute/executor.h"

#include "engine/base/platform.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void executor_init_serial(executor *executor, memory *memory, const struct kernel_table *kernels,
                          packed_constants *packed, bool exact) {
  memset(executor, 0, sizeof *executor);
  executor->memory = memory;
  executor->kernels = kernels;
  executor->packed = packed;
  executor->exact = exact;
  executor->workers = 1;
  executor->work_left = INFINITY;
}

prepare_context executor_prepare_context(const executor *executor, const node *node, void *state,
                                         const value_info *const *inputs, const value *const *constants,
                                         const value_info *const *outputs, norma_error *error) {
  return (prepare_context){.node = node,
                           .state = state,
                           .input_count = node->input_count,
                           .output_count = node->output_count,
                           .inputs = inputs,
                           .constants = constants,
                           .outputs = outputs,
                           .kernels = executor->kernels,
                           .workers = executor->workers,
                           .exact = executor->exact,
                           .kernel_name = "",
                           .packed = executor->packed,
                           .error = error};
}

norma_status executor_check_scratch(const executor *executor, prepare_context *prepared) {
  const size_t most = SIZE_MAX / 4;
  if (prepared->scratch_bytes > most || prepared->worker_scratch_bytes > most / (size_t)executor->workers) {
    return prepare_fail(prepared, NORMA_ERROR_BUDGET, "needs more scratch memory than can be addressed");
  }
  prepared->worker_scratch_bytes = size_align(prepared->worker_scratch_bytes, MEMORY_ALIGNMENT);
  return NORMA_OK;
}

static norma_status executor_stop_reason(const executor *executor) {
  if (executor->cancelled && atomic_load_explicit(executor->cancelled, memory_order_relaxed)) {
    return NORMA_ERROR_CANCELLED;
  }
  if (executor->is_cancelled && executor->is_cancelled(executor->cancel_context)) {
    /* One yes is enough: what was left out because of it stays left out. */
    if (executor->cancelled) atomic_store_explicit(executor->cancelled, true, memory_order_relaxed);
    return NORMA_ERROR_CANCELLED;
  }
  if (executor->deadline_ns && clock_now_ns() >= executor->deadline_ns) return NORMA_ERROR_DEADLINE;
  return NORMA_OK;
}

norma_status executor_poll(const executor *executor, norma_error *error) {
  norma_status reason = executor_stop_reason(executor);
  if (reason == NORMA_OK) return NORMA_OK;
  return error_set(error, reason, "%s",
                   reason == NORMA_ERROR_CANCELLED ? "the run was cancelled"
                                                   : "the run took longer than its time limit");
}

bool run_cancelled(const run_context *context) {
  return executor_stop_reason(context->executor) != NORMA_OK;
}

norma_status run_poll(const run_context *context) {
  return executor_poll(context->executor, context->error);
}

/* --------------------------------------------------------------------------------------------------------- parallel */

float_control executor_enter_floats(const executor *executor) {
  return executor->flush_denormals ? float_control_flush() : float_control_keep();
}

typedef struct parallel_loop {
  const executor *executor;
  int64_t count, grain;
  parallel_body body;
  void *argument;
  thread_pool *pool; /* that runs it; NULL: none */
  atomic_bool stopped;
} parallel_loop;

static bool parallel_loop_stopped(parallel_loop *loop) {
  return atomic_load_explicit(&loop->stopped, memory_order_relaxed);
}

/* Neighbouring chunks in one call. */
static void parallel_loop_run(void *argument, size_t first, size_t last, int worker) {
  parallel_loop *loop = argument;
  if (parallel_loop_stopped(loop)) return;
  if (executor_stop_reason(loop->executor) != NORMA_OK) {
    atomic_store_explicit(&loop->stopped, true, memory_order_relaxed);
    if (loop->pool) thread_pool_drop_rest(loop->pool);
    return;
  }
  int64_t begin = (int64_t)first * loop->grain, most = (int64_t)(last - first) * loop->grain;
  const float_control before = executor_enter_floats(loop->executor);
  loop->body(loop->argument, begin, loop->count - begin < most ? loop->count : begin + most, worker);
  float_control_restore(before);
}

static void parallel_loop_chunk(void *argument, size_t index, int worker) {
  parallel_loop_run(argument, index, index + 1, worker);
}

static void parallel_loop_chunks(void *argument, size_t first, size_t last, int worker) {
  for (size_t i = first; i < last && !parallel_loop_stopped(argument); i++) parallel_loop_chunk(argument, i, worker);
}

static norma_status parallel_loop_start(run_context *context, parallel_loop *loop, thread_pool_body body) {
  const executor *executor = context->executor;
  int64_t chunks = (loop->count - 1) / loop->grain + 1;
  loop->executor = executor;
  if (chunks > 1 && executor->workers > 1 && executor->parallel) {
    executor->parallel(executor->parallel_context, (size_t)chunks, parallel_loop_chunk, loop);
  } else if (chunks > 1 && executor->workers > 1 && executor->pool) {
    loop->pool = executor->pool;
    thread_pool_run(executor->pool, (size_t)chunks, body, loop);
  } else {
    for (int64_t i = 0; i < chunks && !parallel_loop_stopped(loop); i++) parallel_loop_chunk(loop, (size_t)i, 0);
  }
  return executor_poll(executor, context->error); /* bodies, too, may have returned early: a reason to stop stays one */
}

norma_status run_parallel(run_context *context, int64_t count, int64_t grain, parallel_body body, void *argument) {
  parallel_loop loop = {.count = count, .grain = grain < 1 ? 1 : grain, .body = body, .argument = argument};
  return count <= 0 ? NORMA_OK : parallel_loop_start(context, &loop, parallel_loop_chunks);
}

norma_status run_parallel_units(run_context *context, int64_t count, parallel_body body, void *argument) {
  parallel_loop loop = {.count = count, .grain = 1, .body = body, .argument = argument};
  return count <= 0 ? NORMA_OK : parallel_loop_start(context, &loop, parallel_loop_run);
}

void run_warn(run_context *context, const char *format, ...) {
  const executor *executor = context->executor;
  if (!executor->log) return;
  norma_error warning;
  char text[sizeof warning.message];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  error_at_node(&warning, NORMA_ERROR_RUN, context->node, "%s", text);
  executor->log(executor->log_context, NORMA_LOG_WARNING, warning.message);
}

/* ---------------------------------------------------------------------------------------------------------- outputs */

static norma_status complete_error(run_context *context, norma_status status) {
  if (status != NORMA_OK) error_add_node(context->error, context->node);
  return status;
}

bool output_is_ready(const value *output, norma_element_type type, const shape *shape) {
  if (output->kind != NORMA_VALUE_TENSOR || output->tensor.type != type) return false;
  struct shape existing = shape_of_tensor(&output->tensor);
  return shape_equal(&existing, shape);
}

norma_status run_allocate_output(run_context *context, int index, norma_element_type type, const shape *shape,
                                 norma_tensor **tensor) {
  value *output = context->outputs[index];
  *tensor = NULL;
  if (!output_is_ready(output, type, shape)) {
    if (output->kind == NORMA_VALUE_TENSOR && !output->owner) {
      return run_fail(context, NORMA_ERROR_RUN, "output %d has another type or shape than the model fixes", index);
    }
    value_clear(output);
    TRY(complete_error(context, value_allocate_tensor(context->executor->memory, output, type, shape, context->error)));
  }
  *tensor = &output->tensor;
  return NORMA_OK;
}

norma_status run_allocate_strings(run_context *context, int index, const shape *shape, size_t bytes, char **characters,
                                  norma_tensor **tensor) {
  value *output = context->outputs[index];
  value_clear(output);
  *tensor = NULL;
  TRY(complete_error(
      context, value_allocate_strings(context->executor->memory, output, shape, bytes, characters, context->error)));
  *tensor = &output->tensor;
  return NORMA_OK;
}

norma_status run_allocate_list(run_context *context, int index, norma_value_kind kind, int64_t count) {
  value *output = context->outputs[index];
  value_clear(output);
  return complete_error(context, value_allocate_list(context->executor->memory, output, kind, count, context->error));
}

norma_status run_set_element(run_context *context, int index, int64_t element, const value *contents) {
  value *item = &context->outputs[index]->list->items[element];
  value_clear(item);
  return complete_error(context, value_copy(context->executor->memory, item, contents, context->error));
}

norma_status run_set_map(run_context *context, int index, int64_t element, const value *keys, const value *values) {
  memory *memory = context->executor->memory;
  value *item = &context->outputs[index]->list->items[element];
  value_clear(item);
  norma_status status = value_allocate_list(memory, item, NORMA_VALUE_MAP, 2, context->error);
  if (status == NORMA_OK) status = value_copy(memory, &item->list->items[0], keys, context->error);
  if (status == NORMA_OK) status = value_copy(memory, &item->list->items[1], values, context->error);
  return complete_error(context, status);
}

norma_status run_create_tensor(run_context *context, norma_element_type type, const shape *shape, value *made) {
  return complete_error(context, value_allocate_tensor(context->executor->memory, made, type, shape, context->error));
}

norma_status run_set_output(run_context *context, int index, const value *contents) {
  value *output = context->outputs[index];
  if (contents->kind == NORMA_VALUE_TENSOR && output->kind == NORMA_VALUE_TENSOR && !output->owner) {
    shape shape = shape_of_tensor(&contents->tensor);
    if (!output_is_ready(output, contents->tensor.type, &shape)) {
      return run_fail(context, NORMA_ERROR_RUN, "output %d has another type or shape than the model fixes", index);
    }
    if (contents->tensor.size_bytes) memcpy(output->tensor.data, contents->tensor.data, contents->tensor.size_bytes);
    return NORMA_OK;
  }
  value_clear(output);
  return complete_error(context, value_copy(context->executor->memory, output, contents, context->error));
}

/* In front of the block. */
struct temporary {
  struct temporary *next;
};

_Static_assert(sizeof(struct temporary) <= MEMORY_ALIGNMENT, "a block is aligned behind its header");

norma_status run_allocate_temporary(run_context *context, size_t bytes, void **block) {
  memory *memory = context->executor->memory;
  struct temporary *entry = NULL;
  size_t total;
  *block = NULL;
  if (size_add(bytes, MEMORY_ALIGNMENT, &total)) entry = memory_allocate(memory, total);
  if (!entry) return complete_error(context, memory_error(memory, bytes, context->error));
  entry->next = context->temporaries;
  context->temporaries = entry;
  *block = (char *)entry + MEMORY_ALIGNMENT;
  return NORMA_OK;
}

void run_free_temporaries(run_context *context) {
  while (context->temporaries) {
    struct temporary *entry = context->temporaries;
    context->temporaries = entry->next;
    memory_free(context->executor->memory, entry);
  }
}
