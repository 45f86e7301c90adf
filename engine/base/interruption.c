#include "engine/base/interruption.h"

#include "engine/base/platform.h"
#include "engine/base/status.h"

#define LONGEST_LIMIT 1e9 /* seconds */

bool interruption_is_limit(double timeout) {
  return timeout > 0 && timeout < LONGEST_LIMIT;
}

void interruption_begin(interruption *interruption, const char *work, double timeout,
                        bool (*is_cancelled)(void *context), void *context) {
  interruption->work = work;
  interruption->is_cancelled = is_cancelled;
  interruption->context = context;
  interruption->deadline_ns = interruption_is_limit(timeout) ? clock_now_ns() + (uint64_t)(timeout * 1e9) : 0;
}

norma_status interruption_reason(interruption *interruption) {
  if (!interruption) return NORMA_OK;
  if (atomic_load_explicit(&interruption->cancelled, memory_order_relaxed)) return NORMA_ERROR_CANCELLED;
  if (interruption->is_cancelled && interruption->is_cancelled(interruption->context)) {
    /* What was left out because of one yes stays left out. */
    atomic_store_explicit(&interruption->cancelled, true, memory_order_relaxed);
    return NORMA_ERROR_CANCELLED;
  }
  if (interruption->deadline_ns && clock_now_ns() >= interruption->deadline_ns) return NORMA_ERROR_DEADLINE;
  return NORMA_OK;
}

norma_status interruption_poll(interruption *interruption, norma_error *error) {
  const norma_status reason = interruption_reason(interruption);
  if (reason == NORMA_OK) return NORMA_OK;
  const bool is_cancelled = reason == NORMA_ERROR_CANCELLED;
  return error_set(error, reason, is_cancelled ? "the %s was cancelled" : "the %s took longer than its time limit",
                   interruption->work ? interruption->work : "work");
}
