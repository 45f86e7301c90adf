/* Calls of operators and models that tests make, kept as models: seeds of mutants for operators that have no official
 * vectors, and for what only optimisation makes. */
#ifndef TESTS_SUPPORT_CALL_KEEPER_H
#define TESTS_SUPPORT_CALL_KEEPER_H

#include "tests/support/operator_driver.h"

/* Where the environment variable NORMA_KEEP_CALLS names a folder: writes the call as OPERATOR-NUMBER/model.onnx, with
 * its inputs in OPERATOR-NUMBER/test_data_set_0, unless there is one like it, or this program has kept many of the
 * operator. Else does nothing. */
void keep_call(const driver_call *call);

/* The same of a model that a test has built, as built-HASH/model.onnx with an empty test_data_set_0. */
void keep_built_model(const void *bytes, size_t size);

#endif
