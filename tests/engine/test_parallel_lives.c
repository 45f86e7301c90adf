/* Threads that load, run, cancel and free at once, on one runtime and on one model: every run that ends well gives the
 * same bits, every other one says that it was cancelled. For the thread sanitizer as much as for itself. */
#include "tests/support/model_builder.h"
#include "tests/support/model_run.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define THREADS  6
#define ROUNDS   12
#define PICTURES 40

typedef struct life {
  norma_runtime *runtime;
  norma_model *shared;
  float *pictures;
  const float *expected;
  const char *fault; /* the first; NULL: none */
  int finished, cancelled;
} life;

typedef struct canceller {
  norma_session *session;
  atomic_bool stop;
} canceller;

static void *cancel_now_and_then(void *argument) {
  canceller *canceller = argument;
  for (unsigned i = 1; !atomic_load(&canceller->stop); i++) {
    struct timespec pause = {0, (long)(i * 7919 % 400) * 1000};
    nanosleep(&pause, NULL);
    norma_session_cancel(canceller->session);
  }
  return NULL;
}

static const char *run_and_compare(life *life, norma_session *session) {
  norma_tensor tensor;
  norma_tensor_init(&tensor, NORMA_FLOAT, 4, (int64_t[]){PICTURES, 1, 8, 8}, life->pictures);
  if (norma_session_set_input(session, "picture", &tensor, NULL) != NORMA_OK) return "the input was refused";
  norma_status status = norma_session_run(session, NULL);
  if (status == NORMA_ERROR_CANCELLED) {
    life->cancelled++;
    return NULL;
  }
  if (status != NORMA_OK) return norma_status_text(status);
  life->finished++;
  const norma_tensor *output = norma_value_tensor(norma_session_output(session, 0));
  bool same = memcmp(output->data, life->expected, PICTURES * DIGIT_CLASSES * sizeof(float)) == 0;
  return same ? NULL : "other bits";
}

static void *live(void *argument) {
  life *life = argument;
  for (int round = 0; round < ROUNDS && !life->fault; round++) {
    norma_load_options options = {.struct_size = sizeof options, .runtime = life->runtime};
    norma_model *own = NULL;
    norma_session *session = NULL;
    if (round % 3 == 0 && norma_model_load(DIGITS_BN, &options, &own, NULL) != NORMA_OK) life->fault = "load";
    if (!life->fault && norma_session_create(own ? own : life->shared, NULL, &session, NULL) != NORMA_OK) {
      life->fault = "session";
    }
    canceller canceller = {.session = session};
    pthread_t thread;
    bool cancels =
        !life->fault && round % 2 == 1 && pthread_create(&thread, NULL, cancel_now_and_then, &canceller) == 0;
    for (int run = 0; run < 5 && !life->fault; run++) life->fault = run_and_compare(life, session);
    if (cancels) {
      atomic_store(&canceller.stop, true);
      pthread_join(thread, NULL);
    }
    norma_session_destroy(session);
    norma_model_destroy(own);
  }
  return NULL;
}

static void lives_in_parallel(void **state) {
  (void)state;
  float *pictures = make_pictures(PICTURES, 3);
  loaded_model shared = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 2, NULL);
  set_pictures(shared.session, pictures, PICTURES);
  const norma_tensor *expected = run_model(shared.session);
  life lives[THREADS];
  pthread_t threads[THREADS];
  int finished = 0, cancelled = 0;
  for (int i = 0; i < THREADS; i++) {
    lives[i] = (life){shared.runtime, shared.model, pictures, expected->data, NULL, 0, 0};
    assert_int_equal(pthread_create(&threads[i], NULL, live, &lives[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    finished += lives[i].finished;
    cancelled += lives[i].cancelled;
  }
  for (int i = 0; i < THREADS; i++) {
    if (lives[i].fault) fail_msg("thread %d: %s", i, lives[i].fault);
  }
  print_message("%d runs finished, %d were cancelled\n", finished, cancelled);
  assert_true(finished >= THREADS * ROUNDS / 2 * 5); /* those that nobody cancelled */
  free_model(&shared);
  free(pictures);
}

/* A request to cancel that comes before shapes are known leaves no plan, rather than one that knows less of them. */
static void cancelled_before_planning(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){-1, 6});
  builder_ints64(b, "zero", 1, (int64_t[]){1}, (int64_t[]){0});
  builder_ints64(b, "rest", 1, (int64_t[]){1}, (int64_t[]){-1});
  builder_node(b, "Shape", "x", "s");
  builder_node(b, "Gather", "s zero", "n");
  node *join = builder_node(b, "Concat", "n rest", "target");
  builder_int(join, "axis", 0);
  builder_node(b, "Reshape", "x target", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_model *model;
  norma_session *session;
  norma_error error;
  float data[12] = {0};
  norma_tensor x;
  norma_tensor_init(&x, NORMA_FLOAT, 2, (int64_t[]){2, 6}, data);
  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &model, &error), NORMA_OK);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
  norma_session_cancel(session);
  assert_int_equal(norma_session_run(session, &error), NORMA_ERROR_CANCELLED);
  assert_false(norma_session_is_static(session));
  assert_int_equal(norma_session_run(session, &error), NORMA_OK);
  assert_true(norma_session_is_static(session));
  norma_session_destroy(session);
  norma_model_destroy(model);
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lives_in_parallel),
      cmocka_unit_test(cancelled_before_planning),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
