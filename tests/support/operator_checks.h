/* What many tests of operators ask of the driver. All of these fail the test, saying what differs. */
#ifndef TESTS_SUPPORT_OPERATOR_CHECKS_H
#define TESTS_SUPPORT_OPERATOR_CHECKS_H

#include "tests/support/workbench.h"

/* Runs the call on 1, 2, 3 and 7 workers; the outputs, which stay with the driver, are the same to the bit. */
void check_all_workers(driver *driver, const driver_call *call);

/* The run must fail with this status, and with a message that has `part` in it. */
void check_refused(driver *driver, const driver_call *call, norma_status status, const char *part);

/* A map, which shares keys and values. */
value driver_map(driver *driver, const value *keys, const value *values);

#endif
