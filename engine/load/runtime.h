/* What one norma_runtime holds. Immutable after creation but for the memory account, the pool and registered
 * operators. */
#ifndef ENGINE_LOAD_RUNTIME_H
#define ENGINE_LOAD_RUNTIME_H

#include "engine/execute/executor.h"
#include "engine/base/memory.h"
#include "engine/base/thread_pool.h"

typedef struct custom_operator {
  struct operator op; /* its `custom` points here */
  norma_custom_operator public;
  struct custom_operator *next;
} custom_operator;

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
  region region;            /* of custom operators */
  custom_operator *customs; /* newest first */
};

/* One line to the caller's log, if there is one. */
void runtime_log(const norma_runtime *runtime, norma_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The operator for a name, those registered from outside first. NULL if there is none. */
const struct operator* runtime_find_operator(const norma_runtime *runtime, const char *domain, const char *name);

#endif
