/*
 * What a running node may use: threads, memory, kernels, cancellation, subgraphs. Behind it stand the functions that
 * ops/operator.h offers to compute.
 */
#ifndef ENGINE_EXECUTE_EXECUTOR_H
#define ENGINE_EXECUTE_EXECUTOR_H

#include "engine/base/float_control.h"
#include "engine/base/thread_pool.h"
#include "engine/execute/packed_constants.h"
#include "ops/operator.h"

/* One thread at a time. */
typedef struct executor {
  memory *memory;
  const struct kernel_table *kernels;
  packed_constants *packed;
  bool exact;
  bool flush_denormals;        /* set on all threads that compute; else IEEE 754 is */
  int workers;                 /* at least 1 */
  thread_pool *pool;           /* NULL: loops run on the calling thread, or by `parallel` */
  norma_parallel_for parallel; /* the caller's, or NULL */
  void *parallel_context;
  atomic_bool *cancelled;              /* NULL: cannot be cancelled */
  bool (*is_cancelled)(void *context); /* asked as well, from any worker; NULL: nobody is */
  void *cancel_context;
  uint64_t deadline_ns;    /* of clock_now_ns; 0: none */
  double work_left;        /* operations and bytes that evaluate_node may still cost; INFINITY: no limit */
  norma_progress progress; /* of the outermost graph's steps, or NULL */
  void *progress_context;
  norma_log log; /* of the run in progress, or NULL */
  void *log_context;
  region *spare;                    /* where evaluate_node keeps memory for its next call; NULL: nowhere */
  struct frame *frame;              /* the graph that runs now; NULL outside a session */
  struct subgraph_cache *subgraphs; /* plans of subgraphs; NULL outside a session */
} executor;

/* Lets the calling thread compute with denormals as the executor says; float_control_restore takes it back. */
float_control executor_enter_floats(const executor *executor);

/* An executor without threads for work at load. `packed` must outlive it. */
void executor_init_serial(executor *executor, memory *memory, const struct kernel_table *kernels,
                          packed_constants *packed, bool exact);

/* CANCELLED or DEADLINE when the run has to end, else OK. */
norma_status executor_poll(const executor *executor, norma_error *error);

/* What `prepare` is called with; arrays as in prepare_context. */
prepare_context executor_prepare_context(const executor *executor, const node *node, void *state,
                                         const value_info *const *inputs, const value *const *constants,
                                         const value_info *const *outputs, norma_error *error);
/* After `prepare`: aligns the scratch that was asked for. Errors: BUDGET. */
norma_status executor_check_scratch(const executor *executor, prepare_context *prepared);

/* Whether an output's memory (a planned slot, or made from the inferred shape) is of this type and shape. */
bool output_is_ready(const value *output, norma_element_type type, const shape *shape);

/* Frees what run_allocate_temporary gave out. */
void run_free_temporaries(run_context *context);

#endif
