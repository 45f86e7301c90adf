/* Reasons to stop: who asks is told CANCELLED or DEADLINE, and from then on nothing else. */
#include "engine/base/interruption.h"

#include "engine/base/platform.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

typedef struct asked {
  int count, yes_at; /* 0: never */
} asked;

static bool answer(void *context) {
  asked *asked = context;
  return ++asked->count == asked->yes_at;
}

static void nobody_is_asked_without_one(void **state) {
  (void)state;
  unsigned polls = 0xFF;
  norma_error error;
  assert_int_equal(interruption_reason(NULL), NORMA_OK);
  assert_int_equal(interruption_poll(NULL, &error), NORMA_OK);
  assert_int_equal(interruption_poll_often(NULL, &polls, &error), NORMA_OK);
}

static void one_yes_is_for_good(void **state) {
  (void)state;
  asked asked = {.yes_at = 3};
  interruption interruption = {.work = NULL};
  norma_error error;
  interruption_begin(&interruption, "load", 0, answer, &asked);
  assert_int_equal(interruption_reason(&interruption), NORMA_OK);
  assert_int_equal(interruption_poll(&interruption, &error), NORMA_OK);
  assert_int_equal(interruption_poll(&interruption, &error), NORMA_ERROR_CANCELLED);
  assert_string_equal(error.message, "the load was cancelled");
  assert_int_equal(interruption_poll(&interruption, &error), NORMA_ERROR_CANCELLED);
  assert_int_equal(asked.count, 3);
}

static void limits_that_are_none(void **state) {
  (void)state;
  static const double none[] = {0, -1, NAN, INFINITY, -INFINITY, 1e300};
  interruption interruption = {.work = NULL};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    assert_false(interruption_is_limit(none[i]));
    interruption_begin(&interruption, "run", none[i], NULL, NULL);
    assert_int_equal(interruption.deadline_ns, 0);
    assert_int_equal(interruption_reason(&interruption), NORMA_OK);
  }
}

static void deadlines_pass(void **state) {
  (void)state;
  interruption interruption = {.work = NULL};
  norma_error error;
  interruption_begin(&interruption, "run", 3600, NULL, NULL);
  assert_true(interruption.deadline_ns > clock_now_ns());
  assert_int_equal(interruption_poll(&interruption, &error), NORMA_OK);
  interruption_begin(&interruption, "run", 1e-9, NULL, NULL);
  while (clock_now_ns() < interruption.deadline_ns) continue;
  assert_int_equal(interruption_poll(&interruption, &error), NORMA_ERROR_DEADLINE);
  assert_string_equal(error.message, "the run took longer than its time limit");
  atomic_store(&interruption.cancelled, true); /* who cancels does not want to know of the deadline */
  assert_int_equal(interruption_poll(&interruption, &error), NORMA_ERROR_CANCELLED);
}

/* Loops over small things do not ask for each of them, and never stop asking. */
static void small_things_ask_seldom(void **state) {
  (void)state;
  asked asked = {.yes_at = 0};
  interruption interruption = {.work = NULL};
  unsigned polls = 0;
  interruption_begin(&interruption, "load", 0, answer, &asked);
  for (int i = 0; i < 2560; i++) assert_int_equal(interruption_poll_often(&interruption, &polls, NULL), NORMA_OK);
  assert_int_equal(asked.count, 10);
  atomic_store(&interruption.cancelled, true);
  int calls = 1;
  while (interruption_poll_often(&interruption, &polls, NULL) == NORMA_OK) calls++;
  assert_int_equal(calls, 256);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nobody_is_asked_without_one), cmocka_unit_test(one_yes_is_for_good),
      cmocka_unit_test(limits_that_are_none),        cmocka_unit_test(deadlines_pass),
      cmocka_unit_test(small_things_ask_seldom),
  };
  return cmocka_run_group_tests_name("interruption", tests, NULL, NULL);
}
