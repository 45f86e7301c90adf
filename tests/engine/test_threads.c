/* Eight threads on one model that load, run, are cancelled, create and free in no order; two sessions whose loops run
 * on threads of the caller's own; and children that are forked once a model is loaded. All results are the same to the
 * bit. */
#include "tests/support/model_run.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 8, STEPS = 60, MOST_PICTURES = 24, MOST_HELD = 4 };

/* A number that follows from the state alone. */
static unsigned draw(unsigned *state, unsigned limit) {
  *state = *state * 1664525u + 1013904223u;
  return (*state >> 16) % limit;
}

/* What all threads share. `expected`: the results of 1 to MOST_PICTURES pictures, each computed alone before. */
typedef struct common {
  norma_runtime *runtime;
  norma_model *model;
  float *pictures;
  float expected[MOST_PICTURES][DIGIT_CLASSES];
  atomic_int finished, cancelled;
} common;

typedef struct thread_life {
  common *common;
  unsigned state;
  norma_session *held[MOST_HELD]; /* on the shared model or on one of its own */
  norma_model *own[MOST_HELD];
  const char *fault;
} thread_life;

static const char *check_rows(const common *common, norma_session *session, int64_t count) {
  const norma_tensor *output = norma_value_tensor(norma_session_output(session, 0));
  const bool same =
      output->dims[0] == count && memcmp(output->data, common->expected, (size_t)count * sizeof *common->expected) == 0;
  return same ? NULL : "other bits";
}

static const char *run_some(thread_life *life, norma_session *session) {
  common *common = life->common;
  norma_tensor tensor;
  const int64_t count = 1 + draw(&life->state, MOST_PICTURES);
  norma_tensor_init(&tensor, NORMA_FLOAT, 4, (int64_t[]){count, 1, 8, 8}, common->pictures);
  if (norma_session_set_input(session, NULL, &tensor, NULL) != NORMA_OK) return "the input was refused";
  const bool cancels = draw(&life->state, 4) == 0;
  if (cancels) norma_session_cancel(session);
  norma_error error;
  const norma_status status = norma_session_run(session, &error);
  norma_session_clear_inputs(session);
  if (status == NORMA_ERROR_CANCELLED && cancels) {
    atomic_fetch_add(&common->cancelled, 1);
    return NULL;
  }
  if (status != NORMA_OK || cancels) return "a run that was not cancelled failed, or one that was did not";
  atomic_fetch_add(&common->finished, 1);
  return check_rows(common, session, count);
}

static void drop(thread_life *life, int place) {
  norma_session_destroy(life->held[place]);
  norma_model_destroy(life->own[place]);
  life->held[place] = NULL;
  life->own[place] = NULL;
}

/* A session in a free place: on the shared model, or on one that is loaded for it, now and then with a runtime of its
 * own. */
static const char *begin(thread_life *life, int place) {
  const unsigned kind = draw(&life->state, 6);
  norma_load_options options = {.struct_size = sizeof options};
  options.runtime = kind == 1 ? NULL : life->common->runtime;
  if (kind < 2 && norma_model_load(DIGITS_BN, &options, &life->own[place], NULL) != NORMA_OK) return "load";
  norma_model *model = life->own[place] ? life->own[place] : life->common->model;
  return norma_session_create(model, NULL, &life->held[place], NULL) == NORMA_OK ? NULL : "session";
}

static void *live(void *argument) {
  thread_life *life = argument;
  for (int step = 0; step < STEPS && !life->fault; step++) {
    const int place = (int)draw(&life->state, MOST_HELD);
    if (!life->held[place])
      life->fault = begin(life, place);
    else if (draw(&life->state, 8) == 0)
      drop(life, place);
    else
      life->fault = run_some(life, life->held[place]);
    if (life->held[place] && draw(&life->state, 16) == 0) norma_session_trim(life->held[place]);
  }
  for (int place = 0; place < MOST_HELD; place++) drop(life, place);
  return NULL;
}

static void open_common(common *common, int threads) {
  *common = (struct common){.pictures = make_pictures(MOST_PICTURES, 5)};
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, threads, NULL);
  common->runtime = loaded.runtime;
  common->model = loaded.model;
  for (int i = 0; i < MOST_PICTURES; i++) {
    norma_session_clear_inputs(loaded.session);
    set_pictures(loaded.session, common->pictures + i * PICTURE_ELEMENTS, 1);
    memcpy(common->expected[i], run_model(loaded.session)->data, sizeof common->expected[i]);
  }
  norma_session_destroy(loaded.session);
}

static void close_common(common *common) {
  norma_model_destroy(common->model);
  norma_runtime_destroy(common->runtime);
  free(common->pictures);
}

static void eight_threads(void **state) {
  (void)state;
  static common common;
  open_common(&common, 2);
  thread_life lives[THREADS] = {{NULL}};
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) {
    lives[i].common = &common;
    lives[i].state = (unsigned)i * 77 + 1;
    assert_int_equal(pthread_create(&threads[i], NULL, live, &lives[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < THREADS; i++) {
    if (lives[i].fault) fail_msg("thread %d: %s", i, lives[i].fault);
  }
  print_message("%d runs finished, %d were cancelled\n", atomic_load(&common.finished), atomic_load(&common.cancelled));
  assert_true(atomic_load(&common.finished) > THREADS * STEPS / 4 && atomic_load(&common.cancelled) > 10);
  close_common(&common);
}

/* ------------------------------------------------------------------------------------------------ the caller's pool */

enum { POOL_WORKERS = 3 };

/* One loop on threads that live as long as it; many may run at once. */
typedef struct pool_loop {
  norma_parallel_body body;
  void *argument;
  size_t count;
  atomic_size_t next;
  atomic_int worker;
} pool_loop;

static void *share_loop(void *argument) {
  pool_loop *loop = argument;
  const int worker = atomic_fetch_add(&loop->worker, 1);
  for (size_t i; (i = atomic_fetch_add(&loop->next, 1)) < loop->count;) loop->body(loop->argument, i, worker);
  return NULL;
}

static void pool_for(void *context, size_t count, norma_parallel_body body, void *argument) {
  pool_loop loop = {.body = body, .argument = argument, .count = count};
  pthread_t threads[POOL_WORKERS - 1];
  int started = 0;
  atomic_fetch_add((atomic_int *)context, 1);
  while (started < POOL_WORKERS - 1 && pthread_create(&threads[started], NULL, share_loop, &loop) == 0) started++;
  share_loop(&loop);
  for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
}

typedef struct pool_user {
  common *common;
  norma_session *session;
  const char *fault;
} pool_user;

static void *use_pool(void *argument) {
  pool_user *user = argument;
  norma_tensor tensor;
  for (int64_t count = MOST_PICTURES; count > MOST_PICTURES - 6 && !user->fault; count--) {
    norma_tensor_init(&tensor, NORMA_FLOAT, 4, (int64_t[]){count, 1, 8, 8}, user->common->pictures);
    norma_session_clear_inputs(user->session);
    if (norma_session_set_input(user->session, NULL, &tensor, NULL) != NORMA_OK) user->fault = "input";
    if (!user->fault && norma_session_run(user->session, NULL) != NORMA_OK) user->fault = "run";
    if (!user->fault) user->fault = check_rows(user->common, user->session, count);
  }
  return NULL;
}

static void two_sessions_on_the_callers_pool(void **state) {
  (void)state;
  static common common;
  atomic_int loops = 0;
  norma_runtime *runtime;
  norma_model *model;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = POOL_WORKERS, .parallel = pool_for};
  options.parallel_context = &loops;
  open_common(&common, 1);
  assert_int_equal(norma_runtime_create(&options, &runtime, NULL), NORMA_OK);
  norma_load_options load = {.struct_size = sizeof load, .runtime = runtime};
  assert_int_equal(norma_model_load(DIGITS_BN, &load, &model, NULL), NORMA_OK);
  pool_user users[2] = {{NULL}};
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    users[i].common = &common;
    assert_int_equal(norma_session_create(model, NULL, &users[i].session, NULL), NORMA_OK);
  }
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, use_pool, &users[i]), 0);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < 2; i++) {
    if (users[i].fault) fail_msg("session %d: %s", i, users[i].fault);
    norma_session_destroy(users[i].session);
  }
  assert_true(atomic_load(&loops) > 0);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  close_common(&common);
}

/* ------------------------------------------------------------------------------------------------------------- fork */

/* In a child: goes on with the session that it has inherited, then with one of its own, and frees everything. */
static int live_in_child(loaded_model *loaded, common *common) {
  thread_life life = {.common = common, .state = 9};
  alarm(60);
  for (int i = 0; i < 5; i++) {
    pool_user user = {common, loaded->session, NULL};
    use_pool(&user);
    if (user.fault) return 1;
  }
  if (begin(&life, 0) != NULL || run_some(&life, life.held[0]) != NULL) return 2;
  drop(&life, 0);
  free_model(loaded);
  close_common(common);
  return 0;
}

static void children_go_on(void **state) {
  (void)state;
#if defined(__SANITIZE_THREAD__)
  skip(); /* that sanitizer wants one thread in a process that forks */
#endif
  static common common;
  open_common(&common, 3);
  loaded_model loaded = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 3, NULL);
  pool_user user = {&common, loaded.session, NULL};
  for (int round = 0; round < 20; round++) {
    int status;
    use_pool(&user); /* workers are awake, on their way to sleep, or asleep */
    assert_null(user.fault);
    if (round % 2) usleep((useconds_t)round * 20);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(live_in_child(&loaded, &common));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
  }
  use_pool(&user);
  assert_null(user.fault);
  free_model(&loaded);
  close_common(&common);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(eight_threads),
      cmocka_unit_test(two_sessions_on_the_callers_pool),
      cmocka_unit_test(children_go_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
