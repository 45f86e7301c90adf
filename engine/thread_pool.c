#include "engine/thread_pool.h"

#include "engine/status.h"

#include <pthread.h>
#include <sched.h>

#define SPIN_ROUNDS 4000 /* some 50 to 100 microseconds: longer than the gap between two steps of a run */

/* The state of the loop in progress is one word, so that joining and closing cannot miss each other. */
#define STATE_PARTICIPANT  1u
#define STATE_PARTICIPANTS 0xFFFFu
#define STATE_OPEN         0x10000u
#define STATE_GENERATION   0x20000u

struct thread_pool {
  memory *memory;
  int worker_count; /* without the caller */
  int started;
  pthread_t *threads;
  atomic_flag owned;
  atomic_bool in_run, stop;
  _Alignas(64) atomic_uint state;
  norma_parallel_body body;
  void *argument;
  size_t count;
  _Alignas(64) atomic_size_t next;
  _Alignas(64) pthread_mutex_t mutex;
  pthread_cond_t wake;
  atomic_int sleepers;
};

typedef struct worker_start {
  thread_pool *pool;
  int worker;
} worker_start;

int thread_pool_available_cpus(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void work(thread_pool *pool, int worker) {
  for (;;) {
    size_t index = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
    if (index >= pool->count) return;
    pool->body(pool->argument, index, worker);
  }
}

/* Joins the open loop if there is one that this worker has not seen. */
static bool try_join(thread_pool *pool, unsigned *seen, int worker) {
  unsigned state = atomic_load_explicit(&pool->state, memory_order_acquire);
  while ((state & STATE_OPEN) && (state & ~(STATE_PARTICIPANTS | STATE_OPEN)) != *seen) {
    if (!atomic_compare_exchange_weak_explicit(&pool->state, &state, state + STATE_PARTICIPANT, memory_order_acq_rel,
                                               memory_order_acquire)) {
      continue;
    }
    *seen = state & ~(STATE_PARTICIPANTS | STATE_OPEN);
    work(pool, worker);
    atomic_fetch_sub_explicit(&pool->state, STATE_PARTICIPANT, memory_order_release);
    return true;
  }
  return false;
}

static bool has_new_loop(thread_pool *pool, unsigned seen) {
  unsigned state = atomic_load(&pool->state);
  return (state & STATE_OPEN) && (state & ~(STATE_PARTICIPANTS | STATE_OPEN)) != seen;
}

static void sleep_until_wanted(thread_pool *pool, unsigned seen) {
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1);
  while (!atomic_load(&pool->stop) && !has_new_loop(pool, seen)) pthread_cond_wait(&pool->wake, &pool->mutex);
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument) {
  worker_start start = *(worker_start *)argument;
  thread_pool *pool = start.pool;
  memory_free(pool->memory, argument);
  unsigned seen = STATE_PARTICIPANT; /* no generation has this bit */
  while (!atomic_load_explicit(&pool->stop, memory_order_relaxed)) {
    if (try_join(pool, &seen, start.worker)) continue;
    bool found = false;
    for (int i = 0; i < SPIN_ROUNDS && !found && atomic_load_explicit(&pool->in_run, memory_order_relaxed); i++) {
      relax();
      found = has_new_loop(pool, seen);
    }
    if (!found) sleep_until_wanted(pool, seen);
  }
  return NULL;
}

norma_status thread_pool_create(memory *memory, int threads, thread_pool **result, norma_error *error) {
  *result = NULL;
  thread_pool *pool = memory_allocate_zeroed(memory, sizeof *pool);
  if (!pool) return memory_error(memory, sizeof *pool, error);
  pool->memory = memory;
  pool->worker_count = threads - 1;
  atomic_flag_clear(&pool->owned);
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->wake, NULL);
  norma_status status = NORMA_OK;
  size_t bytes = sizeof(pthread_t) * (size_t)threads;
  pool->threads = memory_allocate(memory, bytes);
  if (!pool->threads) status = memory_error(memory, bytes, error);
  while (status == NORMA_OK && pool->started < pool->worker_count) {
    worker_start *start = memory_allocate(memory, sizeof *start);
    if (!start) {
      status = memory_error(memory, sizeof *start, error);
      break;
    }
    *start = (worker_start){pool, pool->started + 1};
    if (pthread_create(&pool->threads[pool->started], NULL, worker_main, start) != 0) {
      memory_free(memory, start);
      status = error_set(error, NORMA_ERROR_THREAD, "thread %d of %d cannot be created", pool->started + 2, threads);
      break;
    }
    pool->started++;
  }
  if (status != NORMA_OK) {
    thread_pool_destroy(pool);
    return status;
  }
  *result = pool;
  return NORMA_OK;
}

void thread_pool_destroy(thread_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->mutex);
  atomic_store(&pool->stop, true);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 0; i < pool->started; i++) pthread_join(pool->threads[i], NULL);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->mutex);
  memory_free(pool->memory, pool->threads);
  memory_free(pool->memory, pool);
}

bool thread_pool_enter(thread_pool *pool) {
  if (atomic_flag_test_and_set_explicit(&pool->owned, memory_order_acquire)) return false;
  atomic_store_explicit(&pool->in_run, true, memory_order_relaxed);
  return true;
}

void thread_pool_leave(thread_pool *pool) {
  atomic_store_explicit(&pool->in_run, false, memory_order_relaxed);
  atomic_flag_clear_explicit(&pool->owned, memory_order_release);
}

void thread_pool_run(thread_pool *pool, size_t count, norma_parallel_body body, void *argument) {
  pool->body = body;
  pool->argument = argument;
  pool->count = count;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  unsigned generation = (atomic_load_explicit(&pool->state, memory_order_relaxed) & ~STATE_OPEN) + STATE_GENERATION;
  atomic_store(&pool->state, generation | STATE_OPEN);
  if (atomic_load(&pool->sleepers) > 0) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
  }
  work(pool, 0);
  atomic_fetch_and_explicit(&pool->state, ~STATE_OPEN, memory_order_acq_rel);
  for (int i = 0; atomic_load_explicit(&pool->state, memory_order_acquire) & STATE_PARTICIPANTS; i++) {
    if (i < SPIN_ROUNDS) relax();
    else sched_yield();
  }
}
