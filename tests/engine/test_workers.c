/* Who computes: small work stays on the calling thread, large work is shared, by Norma's threads or the caller's loop
 * with the same bits; between runs nobody is awake. */
#include "ops/kernels/kernel_table.h"
#include "tests/support/model_run.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MANY = 400, MOST_WORKERS = 7 };

/* A caller's loop on threads of its own, made anew for each loop. */
typedef struct callers_loop {
  int workers, calls;
  atomic_int used; /* bit i: worker i has computed something */
} callers_loop;

typedef struct loop_share {
  callers_loop *loop;
  norma_parallel_body body;
  void *argument;
  atomic_size_t *next;
  size_t count;
  int worker;
} loop_share;

static void *run_share(void *argument) {
  loop_share *share = argument;
  for (size_t i = atomic_fetch_add(share->next, 1); i < share->count; i = atomic_fetch_add(share->next, 1)) {
    share->body(share->argument, i, share->worker);
    atomic_fetch_or(&share->loop->used, 1 << share->worker);
  }
  return NULL;
}

static void run_loop(void *context, size_t count, norma_parallel_body body, void *argument) {
  callers_loop *loop = context;
  pthread_t threads[MOST_WORKERS];
  loop_share shares[MOST_WORKERS];
  atomic_size_t next = 0;
  loop->calls++;
  for (int i = 0; i < loop->workers; i++) {
    shares[i] = (loop_share){loop, body, argument, &next, count, i};
    assert_int_equal(pthread_create(&threads[i], NULL, run_share, &shares[i]), 0);
  }
  for (int i = 0; i < loop->workers; i++) pthread_join(threads[i], NULL);
}

static loaded_model load_with_loop(const char *path, norma_optimization level, callers_loop *loop) {
  loaded_model loaded = {0};
  norma_runtime_options options = {.struct_size = sizeof options, .threads = loop->workers};
  norma_load_options load = {.struct_size = sizeof load, .optimization = level};
  options.parallel = run_loop;
  options.parallel_context = loop;
  assert_int_equal(norma_runtime_create(&options, &loaded.runtime, NULL), NORMA_OK);
  load.runtime = loaded.runtime;
  assert_int_equal(norma_model_load(path, &load, &loaded.model, NULL), NORMA_OK);
  assert_int_equal(norma_session_create(loaded.model, NULL, &loaded.session, NULL), NORMA_OK);
  return loaded;
}

static void loops_of_the_caller(void **state) {
  (void)state;
  static const char *const models[] = {DIGITS_BN, DIGITS_FOLDED, DIGITS_DYNAMO, DIGITS_MLP};
  static const norma_optimization levels[] = {NORMA_OPTIMIZE_NONE, NORMA_OPTIMIZE_BASIC, NORMA_OPTIMIZE_FULL};
  float *pictures = make_pictures(MANY, 31);
  for (int m = 0; m < 4; m++) {
    for (int l = 0; l < 3; l++) {
      loaded_model alone = load_model(models[m], levels[l], 1, NULL);
      set_pictures(alone.session, pictures, MANY);
      const norma_tensor *expected = run_model(alone.session);
      for (int workers = 3; workers <= MOST_WORKERS; workers += 4) {
        callers_loop loop = {.workers = workers};
        loaded_model loaded = load_with_loop(models[m], levels[l], &loop);
        set_pictures(loaded.session, pictures, MANY);
        assert_memory_equal(run_model(loaded.session)->data, expected->data, expected->size_bytes);
        assert_true(loop.calls > 0);
        assert_true(atomic_load(&loop.used) != 0);
        free_model(&loaded);
      }
      free_model(&alone);
    }
  }
  free(pictures);
}

/* A picture of 8 x 8 is too little to wake anybody for; with vectors of four lanes only the layers of the MLP are. */
static void small_work_stays_on_one_thread(void **state) {
  (void)state;
  static const char *const models[] = {DIGITS_MLP, DIGITS_BN, DIGITS_FOLDED, DIGITS_DYNAMO};
  const int count = kernel_table_default()->channel_block[NORMA_FLOAT] > 4 ? 4 : 1;
  float *picture = make_pictures(1, 32);
  for (int m = 0; m < count; m++) {
    callers_loop loop = {.workers = MOST_WORKERS};
    loaded_model loaded = load_with_loop(models[m], NORMA_OPTIMIZE_FULL, &loop);
    set_pictures(loaded.session, picture, 1);
    run_model(loaded.session);
    assert_int_equal(loop.calls, 0);
    free_model(&loaded);
  }
  free(picture);
}

static double process_cpu_ms(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (double)used.tv_sec * 1e3 + (double)used.tv_nsec / 1e6;
}

static double cpu_ms_of_a_pause(void) {
  struct timespec settle = {0, 20 * 1000 * 1000}, pause = {0, 300 * 1000 * 1000};
  nanosleep(&settle, NULL);
  double before = process_cpu_ms();
  nanosleep(&pause, NULL);
  return process_cpu_ms() - before;
}

static void nobody_is_awake_between_runs(void **state) {
  (void)state;
  float *pictures = make_pictures(MANY, 33);
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 4, NULL);
  double loaded_only = cpu_ms_of_a_pause();
  set_pictures(loaded.session, pictures, MANY);
  run_model(loaded.session);
  double after_a_run = cpu_ms_of_a_pause();
  print_message("CPU time of 300 ms: %.3f ms before the first run, %.3f ms after one\n", loaded_only, after_a_run);
  assert_true(loaded_only < 30); /* one thread that spins would use 300 */
  assert_true(after_a_run < 30);
  free_model(&loaded);
  free(pictures);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loops_of_the_caller),
      cmocka_unit_test(small_work_stays_on_one_thread),
      cmocka_unit_test(nobody_is_awake_between_runs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
