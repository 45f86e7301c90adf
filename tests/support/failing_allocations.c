#include "tests/support/failing_allocations.h"

#include "tests/support/counting_allocator.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Whether allocation `number` was one that failed; *status is that of the work. */
static bool call_work(allocating_work work, void *context, long number, bool from, norma_status *status) {
  counting_allocator counting = {.fail_at = number, .fail_from = from};
  norma_allocator allocator = counting_allocator_functions(&counting);
  norma_error error = {0};
  *status = work(context, &allocator, &error);
  if (atomic_load(&counting.outstanding) != 0) {
    fail_msg("allocation %ld fails: %ld blocks are lost", number, atomic_load(&counting.outstanding));
  }
  if (*status != NORMA_OK && (*status != NORMA_ERROR_OUT_OF_MEMORY || error.status != *status || !error.message[0])) {
    fail_msg("allocation %ld fails: %s, and the error says %s, '%s'", number, norma_status_text(*status),
             norma_status_text(error.status), error.message);
  }
  return atomic_load(&counting.failures) > 0;
}

int fail_each_allocation(allocating_work work, void *context) {
  int succeeded = 0;
  for (long number = 1;; number++) {
    norma_status once, from_there_on;
    if (!call_work(work, context, number, false, &once)) {
      assert_int_equal(once, NORMA_OK);
      assert_true(number > 1); /* it allocates at all */
      return succeeded;
    }
    call_work(work, context, number, true, &from_there_on);
    succeeded += (once == NORMA_OK) + (from_there_on == NORMA_OK);
  }
}
