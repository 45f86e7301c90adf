/* What one norma_runtime holds. Immutable after creation but for the memory account, the pool and the registry of
 * operators. */
#ifndef ENGINE_EXECUTE_RUNTIME_H
#define ENGINE_EXECUTE_RUNTIME_H

#include "engine/base/memory.h"
#include "engine/base/thread_pool.h"
#include "engine/execute/executor.h"
#include "ops/registry.h"

#include <pthread.h>

struct norma_runtime {
  memory memory;
  int workers;
  thread_pool *pool; /* NULL with one worker or with the caller's parallel-for */
  norma_parallel_for parallel;
  void *parallel_context;
  norma_log log;
  void *log_context;
  const struct kernel_table *kernels;
  size_t max_nodes;
  int max_depth;
  operator_registry *operators;
  struct custom_operator *customs; /* newest first; changed under `lock` */
  pthread_mutex_t lock;
};

/* One line to the caller's log, if there is one. */
void runtime_log(const norma_runtime *runtime, norma_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Frees what norma_runtime_register made; nobody uses the runtime any more. */
void custom_operators_free(norma_runtime *runtime);

#endif
