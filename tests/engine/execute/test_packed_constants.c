/* What operators pack: filled once per node and key, by whichever thread comes first; nothing kept where filling fails.
 */
#include "engine/execute/packed_constants.h"

#include "engine/base/status.h"
#include "ops/operator.h"
#include "tests/support/failing_allocations.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Nodes are told apart by their addresses alone. */
static node nodes[3000];

static prepare_context context_for(packed_constants *packed, const node *node, norma_error *error) {
  return (prepare_context){.node = node, .packed = packed, .error = error};
}

typedef struct filling {
  atomic_int calls;
  int number, failures; /* the first `failures` calls fail */
  bool slow;
} filling;

static norma_status fill_number(prepare_context *context, void *destination, const void *argument) {
  filling *filling = (void *)(uintptr_t)argument;
  (void)context;
  const int call = atomic_fetch_add(&filling->calls, 1);
  if (filling->slow) nanosleep(&(struct timespec){0, 20000000}, NULL);
  if (call < filling->failures) return error_set(context->error, NORMA_ERROR_FILE, "cannot fill");
  *(int *)destination = filling->number;
  return NORMA_OK;
}

static void fill_plain(void *destination, const void *argument) {
  memcpy(destination, argument, sizeof(int));
}

static void each_key_is_filled_once(void **state) {
  (void)state;
  memory memory;
  norma_error error;
  memory_init(&memory, NULL, 0);
  packed_constants *packed = packed_constants_create(&memory);
  const void *found[2][3], *again;
  for (int n = 0; n < 2; n++) {
    for (uint64_t key = 0; key < 3; key++) {
      prepare_context context = context_for(packed, &nodes[n], &error);
      filling filling = {.number = n * 10 + (int)key};
      assert_int_equal(prepare_packed_from(&context, key, sizeof(int), fill_number, &filling, &found[n][key]),
                       NORMA_OK);
      assert_int_equal(*(const int *)found[n][key], n * 10 + (int)key);
      assert_int_equal((uintptr_t)found[n][key] % MEMORY_ALIGNMENT, 0);
      assert_int_equal(prepare_packed_from(&context, key, sizeof(int), fill_number, &filling, &again), NORMA_OK);
      assert_ptr_equal(again, found[n][key]);
      assert_int_equal(atomic_load(&filling.calls), 1);
    }
  }
  assert_int_equal(packed_constants_bytes(packed), 6 * sizeof(int));
  prepare_context context = context_for(packed, &nodes[2], &error);
  const int number = 77;
  assert_int_equal(prepare_packed(&context, 5, sizeof(int), fill_plain, &number, &again), NORMA_OK);
  assert_int_equal(*(const int *)again, 77);
  packed_constants_destroy(packed);
  packed_constants_destroy(NULL);
  assert_int_equal(atomic_load(&memory.used), 0);
}

/* The place of the result may be the argument itself. */
static void results_may_replace_arguments(void **state) {
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 0);
  packed_constants *packed = packed_constants_create(&memory);
  prepare_context context = context_for(packed, &nodes[0], NULL);
  filling filling = {.number = 9};
  const void *place = &filling;
  assert_int_equal(prepare_packed_from(&context, 1, sizeof(int), fill_number, place, &place), NORMA_OK);
  assert_int_equal(*(const int *)place, 9);
  packed_constants_destroy(packed);
}

static void failures_leave_nothing(void **state) {
  (void)state;
  memory memory;
  norma_error error;
  memory_init(&memory, NULL, 0);
  packed_constants *packed = packed_constants_create(&memory);
  const size_t used = atomic_load(&memory.used);
  prepare_context context = context_for(packed, &nodes[0], &error);
  filling filling = {.number = 4, .failures = 2};
  const void *found = &filling;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(prepare_packed_from(&context, 1, 1000, fill_number, &filling, &found), NORMA_ERROR_FILE);
    assert_string_equal(error.message, "cannot fill");
    assert_null(found);
    assert_int_equal(packed_constants_bytes(packed), 0);
    assert_int_equal(atomic_load(&memory.used), used);
  }
  assert_int_equal(prepare_packed_from(&context, 1, 1000, fill_number, &filling, &found), NORMA_OK); /* tried again */
  assert_int_equal(*(const int *)found, 4);
  assert_int_equal(atomic_load(&filling.calls), 3);
  assert_int_equal(packed_constants_bytes(packed), 1000);
  packed_constants_destroy(packed);
  assert_int_equal(atomic_load(&memory.used), 0);
}

/* More than the table begins with. */
static void many_constants_are_found(void **state) {
  enum { NODES = 3000, KEYS = 3 };
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 0);
  packed_constants *packed = packed_constants_create(&memory);
  static const void *found[NODES][KEYS];
  for (int round = 0; round < 2; round++) {
    for (int n = 0; n < NODES; n++) {
      for (uint64_t key = 0; key < KEYS; key++) {
        prepare_context context = context_for(packed, &nodes[n], NULL);
        filling filling = {.number = n * KEYS + (int)key};
        const void *now;
        assert_int_equal(prepare_packed_from(&context, key << 40, sizeof(int), fill_number, &filling, &now), NORMA_OK);
        assert_int_equal(*(const int *)now, n * KEYS + (int)key);
        if (round) assert_ptr_equal(now, found[n][key]);
        found[n][key] = now;
        assert_int_equal(atomic_load(&filling.calls), round == 0);
      }
    }
  }
  assert_int_equal(packed_constants_bytes(packed), NODES * KEYS * sizeof(int));
  packed_constants_destroy(packed);
  assert_int_equal(atomic_load(&memory.used), 0);
}

/* ---------------------------------------------------------------------------------------------------------- threads */

#define THREADS 8

typedef struct asking {
  packed_constants *packed;
  filling *filling;
  pthread_barrier_t *barrier;
  const void *found;
  norma_status status;
} asking;

static void *ask(void *argument) {
  asking *asking = argument;
  norma_error error;
  prepare_context context = context_for(asking->packed, &nodes[0], &error);
  pthread_barrier_wait(asking->barrier);
  asking->status = prepare_packed_from(&context, 1, sizeof(int), fill_number, asking->filling, &asking->found);
  return NULL;
}

/* All ask at once for what takes a while to fill. */
static void ask_at_once(packed_constants *packed, filling *filling, asking asked[THREADS]) {
  pthread_t threads[THREADS];
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, NULL, THREADS);
  for (int i = 0; i < THREADS; i++) {
    asked[i] = (asking){.packed = packed, .filling = filling, .barrier = &barrier};
    assert_int_equal(pthread_create(&threads[i], NULL, ask, &asked[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&barrier);
}

static void threads_wait_for_the_one_that_fills(void **state) {
  (void)state;
  for (int round = 0; round < 5; round++) {
    memory memory;
    asking asked[THREADS];
    filling filling = {.number = 5, .slow = true};
    memory_init(&memory, NULL, 0);
    packed_constants *packed = packed_constants_create(&memory);
    ask_at_once(packed, &filling, asked);
    assert_int_equal(atomic_load(&filling.calls), 1);
    for (int i = 0; i < THREADS; i++) {
      assert_int_equal(asked[i].status, NORMA_OK);
      assert_ptr_equal(asked[i].found, asked[0].found);
      assert_int_equal(*(const int *)asked[i].found, 5);
    }
    packed_constants_destroy(packed);
    assert_int_equal(atomic_load(&memory.used), 0);
  }
}

/* The first ones fail: each tells it to its own caller, and one of those that waited tries next. */
static void waiting_threads_try_after_a_failure(void **state) {
  (void)state;
  for (int failures = 1; failures <= 4; failures++) {
    memory memory;
    asking asked[THREADS];
    filling filling = {.number = 6, .slow = true, .failures = failures};
    memory_init(&memory, NULL, 0);
    packed_constants *packed = packed_constants_create(&memory);
    ask_at_once(packed, &filling, asked);
    int failed = 0;
    for (int i = 0; i < THREADS; i++) {
      failed += asked[i].status == NORMA_ERROR_FILE;
      if (asked[i].status == NORMA_OK) assert_int_equal(*(const int *)asked[i].found, 6);
      if (asked[i].status != NORMA_OK) assert_null(asked[i].found);
    }
    assert_int_equal(failed, failures);
    assert_int_equal(atomic_load(&filling.calls), failures + 1);
    packed_constants_destroy(packed);
    assert_int_equal(atomic_load(&memory.used), 0);
  }
}

/* While one constant is filled, another one can be: filling is not done under the lock. */
static norma_status fill_nested(prepare_context *context, void *destination, const void *argument) {
  (void)argument;
  filling inner = {.number = 3};
  const void *found;
  TRY(prepare_packed_from(context, 2, sizeof(int), fill_number, &inner, &found));
  *(int *)destination = *(const int *)found + 1;
  return NORMA_OK;
}

static void filling_may_ask_for_more(void **state) {
  (void)state;
  memory memory;
  norma_error error;
  memory_init(&memory, NULL, 0);
  packed_constants *packed = packed_constants_create(&memory);
  prepare_context context = context_for(packed, &nodes[0], &error);
  const void *found;
  assert_int_equal(prepare_packed_from(&context, 1, sizeof(int), fill_nested, NULL, &found), NORMA_OK);
  assert_int_equal(*(const int *)found, 4);
  packed_constants_destroy(packed);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

static norma_status pack_some(void *context, const norma_allocator *allocator, norma_error *error) {
  memory memory;
  norma_status status = NORMA_OK;
  (void)context;
  memory_init(&memory, allocator, 0);
  packed_constants *packed = packed_constants_create(&memory);
  if (!packed) return memory_error(&memory, 1, error);
  for (int n = 0; n < 3 && status == NORMA_OK; n++) {
    static node named[3];
    named[n] = (node){.name = "n", .op_type = "Test", .domain = ""};
    prepare_context prepare = context_for(packed, &named[n], error);
    filling filling = {.number = n};
    const void *found;
    status = prepare_packed_from(&prepare, 1, 100, fill_number, &filling, &found);
  }
  packed_constants_destroy(packed);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  assert_int_equal(fail_each_allocation(pack_some, NULL), 0);
}

/* A table that cannot grow still finds everything. */
static void tables_that_cannot_grow_are_searched(void **state) {
  enum { COUNT = 200 };
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 40000);
  packed_constants *packed = packed_constants_create(&memory);
  assert_non_null(packed);
  int made = 0;
  const void *found;
  for (; made < COUNT; made++) {
    prepare_context context = context_for(packed, &nodes[made], NULL);
    filling filling = {.number = made};
    if (prepare_packed_from(&context, 1, sizeof(int), fill_number, &filling, &found) != NORMA_OK) break;
  }
  assert_true(made > 64);
  for (int n = 0; n < made; n++) {
    prepare_context context = context_for(packed, &nodes[n], NULL);
    filling filling = {.number = -1};
    assert_int_equal(prepare_packed_from(&context, 1, sizeof(int), fill_number, &filling, &found), NORMA_OK);
    assert_int_equal(*(const int *)found, n);
  }
  packed_constants_destroy(packed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_key_is_filled_once),
      cmocka_unit_test(results_may_replace_arguments),
      cmocka_unit_test(failures_leave_nothing),
      cmocka_unit_test(many_constants_are_found),
      cmocka_unit_test(threads_wait_for_the_one_that_fills),
      cmocka_unit_test(waiting_threads_try_after_a_failure),
      cmocka_unit_test(filling_may_ask_for_more),
      cmocka_unit_test(allocations_that_fail_are_reported),
      cmocka_unit_test(tables_that_cannot_grow_are_searched),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
