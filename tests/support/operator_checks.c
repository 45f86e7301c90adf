#include "tests/support/operator_checks.h"

#include <string.h>

void check_all_workers(driver *driver, const driver_call *call) {
  static const int workers[] = {1, 2, 3, 7};
  value first[DRIVER_MAX];
  driver_call again = *call;
  for (int w = 0; w < 4; w++) {
    again.workers = workers[w];
    if (driver_run(driver, &again) != NORMA_OK) fail_msg("%s: %s", call->op_type, driver->error.message);
    for (int i = 0; i < call->output_count; i++) {
      if (w == 0)
        value_share(&first[i], &driver->outputs[i]);
      else if (!same_value(&first[i], &driver->outputs[i]))
        fail_msg("%s: output %d differs on %d workers", call->op_type, i, workers[w]);
    }
  }
  for (int i = 0; i < call->output_count; i++) value_clear(&first[i]);
}

void check_refused(driver *driver, const driver_call *call, norma_status status, const char *part) {
  const norma_status got = driver_run(driver, call);
  if (got != status) fail_msg("%s: expected status %d, got %d (%s)", call->op_type, status, got, driver->error.message);
  if (!strstr(driver->error.message, part))
    fail_msg("%s: '%s' does not say '%s'", call->op_type, driver->error.message, part);
}

value driver_map(driver *driver, const value *keys, const value *values) {
  const value *parts[] = {keys, values};
  return driver_list(driver, NORMA_VALUE_MAP, 2, parts);
}
