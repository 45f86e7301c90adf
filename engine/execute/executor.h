/*
 * What a running node may use: threads, memory, kernels, cancellation, subgraphs; and the evaluation of single nodes,
 * which constant folding, inference of known values and steps with shapes that depend on data have in common.
 */
#ifndef ENGINE_EXECUTE_EXECUTOR_H
#define ENGINE_EXECUTE_EXECUTOR_H

#include "engine/load/model.h"
#include "engine/base/thread_pool.h"
#include "ops/operator.h"

/* One thread at a time. */
typedef struct executor {
  memory *memory;
  const struct kernel_table *kernels;
  packed_cache *packed;
  bool exact;
  int workers;                 /* at least 1 */
  thread_pool *pool;           /* NULL: loops run on the calling thread, or by `parallel` */
  norma_parallel_for parallel; /* the caller's, or NULL */
  void *parallel_context;
  atomic_bool *cancelled;  /* NULL: cannot be cancelled */
  uint64_t deadline_ns;    /* of clock_now_ns; 0: none */
  double work_left;        /* operations and bytes that evaluate_node may still cost; INFINITY: no limit */
  norma_progress progress; /* of the outermost graph's steps, or NULL */
  void *progress_context;
  struct frame *frame;              /* the graph that runs now; NULL outside a session */
  struct subgraph_cache *subgraphs; /* plans of subgraphs; NULL outside a session */
} executor;

/* An executor without threads for work at load. `packed` must outlive it. */
void executor_init_serial(executor *executor, memory *memory, const struct kernel_table *kernels, packed_cache *packed,
                          bool exact);

uint64_t clock_now_ns(void); /* monotonic */

/* CANCELLED or DEADLINE when the run has to end, else OK. */
norma_status executor_poll(const executor *executor, norma_error *error);

/* Runs one node on values that exist. `constants` marks inputs that never change (entries NULL elsewhere). outputs[i]
 * is NULL when not wanted, a tensor with memory to be filled (its shape must come out the same), or a cleared value,
 * which then owns its result. On failure outputs that were cleared are cleared again. `failure` is the status for
 * shapes that do not fit. DEADLINE: it would cost more than executor->work_left. */
norma_status evaluate_node(executor *executor, const node *node, const value *const *inputs,
                           const value *const *constants, value *const *outputs, norma_status failure,
                           norma_error *error);

/* Frees what run_allocate_temporary gave out. */
void run_free_temporaries(run_context *context);

#endif
