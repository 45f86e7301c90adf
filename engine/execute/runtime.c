#include "engine/execute/runtime.h"

#include "engine/base/struct_size.h"

#include <stdarg.h>
#include <stdio.h>

#define DEFAULT_MAX_NODES 1000000
#define DEFAULT_MAX_DEPTH 32
#define MAX_THREADS       1024

static norma_status choose_kernels(const char *name, const struct kernel_table **kernels, norma_error *error) {
  *kernels = name ? kernel_table_find(name) : kernel_table_default();
  if (*kernels) return NORMA_OK;
  return error_set(error, NORMA_ERROR_ARGUMENT, "kernel table '%s' does not exist or cannot run on this CPU", name);
}

norma_status norma_runtime_create(const norma_runtime_options *given, norma_runtime **result, norma_error *error) {
  if (!result) return error_set(error, NORMA_ERROR_ARGUMENT, "norma_runtime_create needs a place for the runtime");
  *result = NULL;
  norma_runtime_options options;
  TRY(options_take(&options, sizeof options, given, "norma_runtime_options", error));
  if (options.threads < 0 || options.threads > MAX_THREADS || options.max_depth < 0) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "threads must be 0 to %d, max_depth at least 0", MAX_THREADS);
  }
  const struct kernel_table *kernels;
  TRY(choose_kernels(options.kernels, &kernels, error));
  memory memory;
  memory_init(&memory, &options.allocator, options.max_memory_bytes);
  norma_runtime *runtime = memory_allocate_zeroed(&memory, sizeof *runtime);
  if (!runtime) return memory_error(&memory, sizeof *runtime, error);
  runtime->memory = memory; /* with the runtime itself counted */
  runtime->workers = options.threads ? options.threads : thread_pool_available_cpus();
  runtime->parallel = options.parallel;
  runtime->parallel_context = options.parallel_context;
  runtime->log = options.log;
  runtime->log_context = options.log_context;
  runtime->kernels = kernels;
  runtime->max_nodes = options.max_nodes ? options.max_nodes : DEFAULT_MAX_NODES;
  runtime->max_depth = options.max_depth ? options.max_depth : DEFAULT_MAX_DEPTH;
  pthread_mutex_init(&runtime->lock, NULL);
  runtime->operators = operator_registry_create(&runtime->memory);
  if (!runtime->operators) {
    norma_status status = memory_error(&runtime->memory, OPERATOR_REGISTRY_BYTES, error);
    norma_runtime_destroy(runtime);
    return status;
  }
  if (runtime->workers > 1 && !runtime->parallel) {
    norma_status status = thread_pool_create(&runtime->memory, runtime->workers, &runtime->pool, error);
    if (status != NORMA_OK) {
      norma_runtime_destroy(runtime);
      return status;
    }
  }
  *result = runtime;
  return NORMA_OK;
}

void norma_runtime_destroy(norma_runtime *runtime) {
  if (!runtime) return;
  thread_pool_destroy(runtime->pool);
  custom_operators_free(runtime);
  operator_registry_destroy(runtime->operators);
  pthread_mutex_destroy(&runtime->lock);
  memory memory = runtime->memory; /* the account must outlive the block that holds it */
  memory_free(&memory, runtime);
}

size_t norma_runtime_memory_used(const norma_runtime *runtime) {
  return runtime ? atomic_load(&runtime->memory.used) : 0;
}

size_t norma_runtime_memory_peak(const norma_runtime *runtime) {
  return runtime ? atomic_load(&runtime->memory.peak) : 0;
}

int norma_runtime_threads(const norma_runtime *runtime) {
  return runtime ? runtime->workers : 0;
}

const char *norma_runtime_kernels(const norma_runtime *runtime) {
  return runtime ? runtime->kernels->name : "";
}

void runtime_log(const norma_runtime *runtime, norma_log_level level, const char *format, ...) {
  if (!runtime->log) return;
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  runtime->log(runtime->log_context, level, line);
}
