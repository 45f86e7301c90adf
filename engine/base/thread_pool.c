#include "engine/base/thread_pool.h"

#include "engine/base/status.h"

#ifdef NORMA_BARE_METAL

/* One thread: nobody makes a pool, and what asks for one runs its loops itself. */
int thread_pool_available_cpus(void) {
  return 1;
}

norma_status thread_pool_create(memory *memory, int threads, thread_pool **result, norma_error *error) {
  (void)memory;
  *result = NULL;
  return error_set(error, NORMA_ERROR_THREAD, "there are no threads here to make %d of", threads);
}

void thread_pool_destroy(thread_pool *pool) {
  (void)pool;
}

bool thread_pool_enter(thread_pool *pool) {
  (void)pool;
  return false;
}

void thread_pool_leave(thread_pool *pool) {
  (void)pool;
}

void thread_pool_drop_rest(thread_pool *pool) {
  (void)pool;
}

void thread_pool_run(thread_pool *pool, size_t count, thread_pool_body body, void *argument) {
  (void)pool;
  body(argument, 0, count, 0);
}

#else

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

/* Some 50 to 100 microseconds: longer than the gap between two steps of a run, or between two runs in a row. */
#define SPIN_ROUNDS        4000

/* Iterations that one call of a body may cover: a run is cancelled between calls. */
#define MOST_TAKEN_AT_ONCE 8

/* The state of the loop in progress is one word, so that joining and closing cannot miss each other. */
#define STATE_PARTICIPANT  1u
#define STATE_PARTICIPANTS 0xFFFFu
#define STATE_OPEN         0x10000u
#define STATE_GENERATION   0x20000u

/* The iterations that one worker does first: its own range. Who has done its range helps the others. Equal
 * loops give a worker equal parts, so that it finds in its cache what it wrote a step before. */
typedef struct range {
  _Alignas(64) atomic_size_t next;
  size_t end;
} range;

struct thread_pool {
  memory *memory;
  pid_t process;    /* that has the threads; its children have none of them */
  int worker_count; /* without the caller */
  int started;
  pthread_t *threads;
#if defined(__linux__)
  cpu_set_t cpus; /* that workers may use */
#endif
  int caller_cpu; /* that they keep away from; -1: none */
  range *ranges;  /* of the caller, then of each worker */
  atomic_flag owned;
  atomic_bool stop;
  _Alignas(64) atomic_uint state;
  thread_pool_body body;
  void *argument;
  _Alignas(64) pthread_mutex_t mutex;
  pthread_cond_t wake;
  atomic_int sleepers;
};

typedef struct worker_start {
  thread_pool *pool;
  int worker;
} worker_start;

/* ------------------------------------------------------------------------------------------------------------- CPUs */

#if defined(__linux__)
int thread_pool_available_cpus(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

static void find_cpus(thread_pool *pool) {
  CPU_ZERO(&pool->cpus);
  if (sched_getaffinity(0, sizeof pool->cpus, &pool->cpus) != 0) CPU_ZERO(&pool->cpus);
}

/* A virtual machine's idle CPUs look busy to Linux, which then wakes workers on the CPU of the caller that wakes them,
 * where they wait for it. So they are kept away from there, where each thread can have a CPU of its own. */
static void keep_away_from_caller(thread_pool *pool) {
  const int cpu = sched_getcpu();
  if (cpu < 0 || cpu == pool->caller_cpu || !CPU_ISSET(cpu, &pool->cpus)) return;
  if (CPU_COUNT(&pool->cpus) <= pool->worker_count) return;
  cpu_set_t others = pool->cpus;
  CPU_CLR(cpu, &others);
  for (int i = 0; i < pool->started; i++) pthread_setaffinity_np(pool->threads[i], sizeof others, &others);
  pool->caller_cpu = cpu;
}

#else /* threads cannot be kept on CPUs, and there are no more than the caller asks for */
int thread_pool_available_cpus(void) {
  return 1;
}

static void find_cpus(thread_pool *pool) {
  (void)pool;
}

static void keep_away_from_caller(thread_pool *pool) {
  (void)pool;
}
#endif

/* ------------------------------------------------------------------------------------------------------------ loops */

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Takes half of what is left of a range, so that neighbours are done in one call and the last ones are small. */
static bool take_part(range *range, size_t *begin, size_t *end) {
  size_t next = atomic_load_explicit(&range->next, memory_order_relaxed);
  while (next < range->end) {
    size_t count = (range->end - next + 1) / 2;
    if (count > MOST_TAKEN_AT_ONCE) count = MOST_TAKEN_AT_ONCE;
    if (atomic_compare_exchange_weak_explicit(&range->next, &next, next + count, memory_order_relaxed,
                                              memory_order_relaxed)) {
      *begin = next;
      *end = next + count;
      return true;
    }
  }
  return false;
}

static void work(thread_pool *pool, int worker) {
  const int ranges = pool->worker_count + 1;
  for (int i = 0; i < ranges; i++) {
    size_t begin, end;
    while (take_part(&pool->ranges[(worker + i) % ranges], &begin, &end))
      pool->body(pool->argument, begin, end, worker);
  }
}

static void divide(thread_pool *pool, size_t count) {
  const size_t ranges = (size_t)pool->worker_count + 1, least = count / ranges, more = count % ranges;
  size_t begin = 0;
  for (size_t i = 0; i < ranges; i++) {
    atomic_store_explicit(&pool->ranges[i].next, begin, memory_order_relaxed);
    begin += least + (i < more);
    pool->ranges[i].end = begin;
  }
}

/* Joins the open loop if there is one that this worker has not seen. */
static bool pool_try_join(thread_pool *pool, unsigned *seen, int worker) {
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
    if (pool_try_join(pool, &seen, start.worker)) continue;
    bool found = false;
    for (int i = 0; i < SPIN_ROUNDS && !found && !atomic_load_explicit(&pool->stop, memory_order_relaxed); i++) {
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
  pool->process = getpid();
  pool->worker_count = threads - 1;
  pool->caller_cpu = -1;
  find_cpus(pool);
  atomic_flag_clear(&pool->owned);
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->wake, NULL);
  norma_status status = NORMA_OK;
  size_t bytes = sizeof(pthread_t) * (size_t)threads, range_bytes = sizeof(range) * (size_t)threads;
  pool->threads = memory_allocate(memory, bytes);
  pool->ranges = memory_allocate_zeroed(memory, range_bytes);
  if (!pool->threads || !pool->ranges) status = memory_error(memory, bytes + range_bytes, error);
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

/* What a forked child has of a pool: its memory. Threads that are not there may hold the locks, and wait for them. */
static bool is_copy_of_parent(const thread_pool *pool) {
  return pool->process != getpid();
}

static void stop_workers(thread_pool *pool) {
  pthread_mutex_lock(&pool->mutex);
  atomic_store(&pool->stop, true);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 0; i < pool->started; i++) pthread_join(pool->threads[i], NULL);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->mutex);
}

void thread_pool_destroy(thread_pool *pool) {
  if (!pool) return;
  if (!is_copy_of_parent(pool)) stop_workers(pool);
  memory_free(pool->memory, pool->threads);
  memory_free(pool->memory, pool->ranges);
  memory_free(pool->memory, pool);
}

bool thread_pool_enter(thread_pool *pool) {
  return !is_copy_of_parent(pool) && !atomic_flag_test_and_set_explicit(&pool->owned, memory_order_acquire);
}

void thread_pool_leave(thread_pool *pool) {
  atomic_flag_clear_explicit(&pool->owned, memory_order_release);
}

void thread_pool_drop_rest(thread_pool *pool) {
  for (int i = 0; i <= pool->worker_count; i++) {
    atomic_store_explicit(&pool->ranges[i].next, pool->ranges[i].end, memory_order_relaxed);
  }
}

void thread_pool_run(thread_pool *pool, size_t count, thread_pool_body body, void *argument) {
  pool->body = body;
  pool->argument = argument;
  divide(pool, count);
  unsigned generation = (atomic_load_explicit(&pool->state, memory_order_relaxed) & ~STATE_OPEN) + STATE_GENERATION;
  atomic_store(&pool->state, generation | STATE_OPEN);
  if (atomic_load(&pool->sleepers) > 0) {
    keep_away_from_caller(pool);
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
  }
  work(pool, 0);
  atomic_fetch_and_explicit(&pool->state, ~STATE_OPEN, memory_order_acq_rel);
  for (int i = 0; atomic_load_explicit(&pool->state, memory_order_acquire) & STATE_PARTICIPANTS; i++) {
    if (i < SPIN_ROUNDS)
      relax();
    else
      sched_yield();
  }
}

#endif
