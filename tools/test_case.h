/* One test in the layout of ONNX's backend tests: DIR/model.onnx and DIR/test_data_set_N/input_I.pb, output_I.pb. */
#ifndef TOOLS_TEST_CASE_H
#define TOOLS_TEST_CASE_H

#include "tools/difference.h"
#include "tools/options.h"

typedef enum test_outcome { TEST_PASSED, TEST_FAILED, TEST_SKIPPED } test_outcome;

typedef struct test_result {
  test_outcome outcome;
  char reason[256]; /* of a skipped one: "Conv: operator not known"; the same for tests that lack the same thing */
  char text[1024];  /* what failed, for a person; of a skipped one the library's message */
} test_result;

/* The inputs of a data set are those of the model that are no constant initializers, in order; where the first data set
 * has more files, those of all inputs that the graph declares, initializers then being overridable. A model that is
 * refused at load as unsupported is skipped; everything else that goes wrong is a failure. */
void test_case_run(const struct common_settings *settings, const char *folder, const tolerance *tolerance,
                   test_result *result);

/* Whether `folder` is a test: it has model.onnx and at least one test_data_set_N. */
bool test_case_exists(const char *folder);

#endif
