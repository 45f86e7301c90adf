/* The pool runs every index once, refuses a second owner, and sleeps when nothing runs. */
#include "engine/base/thread_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define COUNT 1000

typedef struct tally {
  atomic_int seen[COUNT];
  atomic_int busy[8]; /* by worker: two calls at the same time must not share one */
  int threads;
  atomic_bool broken;
} tally;

static void count_range(void *argument, size_t begin, size_t end, int worker) {
  tally *tally = argument;
  if (begin >= end) tally->broken = true;
  if (worker < 0 || worker >= tally->threads || atomic_fetch_add(&tally->busy[worker], 1) != 0) tally->broken = true;
  for (size_t i = begin; i < end; i++) atomic_fetch_add(&tally->seen[i], 1);
  if (worker >= 0 && worker < tally->threads) atomic_fetch_sub(&tally->busy[worker], 1);
}

static void every_index_once(void **state) {
  (void)state;
  static const int threads[] = {1, 2, 3, 7};
  memory memory;
  memory_init(&memory, NULL, 0);
  for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
    thread_pool *pool;
    assert_int_equal(thread_pool_create(&memory, threads[t], &pool, NULL), NORMA_OK);
    for (int run = 0; run < 50; run++) {
      assert_true(thread_pool_enter(pool));
      assert_false(thread_pool_enter(pool));
      for (size_t count = 0; count <= COUNT; count += 1 + count / 3) {
        static tally tally;
        memset(&tally, 0, sizeof tally);
        tally.threads = threads[t];
        thread_pool_run(pool, count, count_range, &tally);
        for (size_t i = 0; i < COUNT; i++) assert_int_equal(tally.seen[i], i < count);
        assert_false(tally.broken);
      }
      thread_pool_leave(pool);
    }
    thread_pool_destroy(pool);
  }
  assert_int_equal(atomic_load(&memory.used), 0);
}

static double process_cpu_ms(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (double)used.tv_sec * 1e3 + (double)used.tv_nsec / 1e6;
}

static void nobody_is_awake_between_runs(void **state) {
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 0);
  thread_pool *pool;
  static tally tally = {.threads = 4};
  assert_int_equal(thread_pool_create(&memory, 4, &pool, NULL), NORMA_OK);
  assert_true(thread_pool_enter(pool));
  thread_pool_run(pool, COUNT, count_range, &tally);
  thread_pool_leave(pool);
  struct timespec settle = {0, 20 * 1000 * 1000}, idle = {0, 300 * 1000 * 1000};
  nanosleep(&settle, NULL);
  double before = process_cpu_ms();
  nanosleep(&idle, NULL);
  double used = process_cpu_ms() - before;
  print_message("CPU time of 300 ms without work: %.3f ms\n", used);
  assert_true(used < 30); /* one thread that spins would use 300 */
  thread_pool_destroy(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_index_once),
      cmocka_unit_test(nobody_is_awake_between_runs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
