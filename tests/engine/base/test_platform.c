/* The clock. */
#include "engine/base/platform.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

static void the_clock_only_goes_forward(void **state) {
  (void)state;
  uint64_t last = clock_now_ns();
  for (int i = 0; i < 100000; i++) {
    const uint64_t now = clock_now_ns();
    assert_true(now >= last);
    last = now;
  }
}

/* It counts nanoseconds: a sleep takes as long as it says, at least. */
static void the_clock_counts_nanoseconds(void **state) {
  (void)state;
  const uint64_t start = clock_now_ns();
  const struct timespec wanted = {0, 20000000};
  nanosleep(&wanted, NULL);
  const uint64_t passed = clock_now_ns() - start;
  assert_true(passed >= 20000000);
  assert_true(passed < 60000000000); /* a minute: the machine may be busy */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_clock_only_goes_forward),
      cmocka_unit_test(the_clock_counts_nanoseconds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
