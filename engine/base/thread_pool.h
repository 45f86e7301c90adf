/*
 * Threads that share the iterations of a loop: each begins with its own contiguous part, then helps the others. After a
 * loop they spin for at most 0.1 ms, so that the next one starts within a microsecond; then they sleep.
 *
 * Workers use the CPUs that the creating thread may use, but the caller's own where there are enough.
 *
 * One caller at a time owns the pool; another that finds it taken runs its loops alone, with the same results. Workers
 * join a loop when they are awake and nobody waits for one that sleeps.
 */
#ifndef ENGINE_BASE_THREAD_POOL_H
#define ENGINE_BASE_THREAD_POOL_H

#include "engine/base/memory.h"
#include "engine/norma.h"

typedef struct thread_pool thread_pool;

/* CPUs that this process may use (its affinity mask); at least 1. */
int thread_pool_available_cpus(void);

/* A pool of `threads` threads, the caller's included. NORMA_ERROR_THREAD when one cannot be created. */
norma_status thread_pool_create(memory *memory, int threads, thread_pool **pool, norma_error *error);
void thread_pool_destroy(thread_pool *pool); /* NULL is fine; nobody may own it */

/* Takes the pool for a run; false when somebody else has it, and in a forked child, which has none of the threads. */
bool thread_pool_enter(thread_pool *pool);
void thread_pool_leave(thread_pool *pool);

/* The iterations begin .. end - 1 of a loop, done by `worker`; 0 is the caller. */
typedef void (*thread_pool_body)(void *argument, size_t begin, size_t end, int worker);

/* Calls body for ranges that together are 0 .. count - 1. Only between enter and leave, not nested. */
void thread_pool_run(thread_pool *pool, size_t count, thread_pool_body body, void *argument);
/* From a body: what nobody has begun of the loop that runs is left out. */
void thread_pool_drop_rest(thread_pool *pool);

#endif
