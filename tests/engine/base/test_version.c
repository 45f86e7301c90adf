/* What the library says of itself. */
#include "engine/norma.h"

#include "ops/kernels/kernel_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The version of the header that the program was compiled with, which is the library's where both are of one build. */
static void the_version_is_that_of_the_header(void **state) {
  char expected[64];
  (void)state;
  snprintf(expected, sizeof expected, "%d.%d.%d", NORMA_VERSION_MAJOR, NORMA_VERSION_MINOR, NORMA_VERSION_PATCH);
  assert_string_equal(norma_version(), expected);
  assert_ptr_equal(norma_version(), norma_version()); /* a literal */
}

/* One item after the other: kernels by name, the library for protobuf with its version, the compiler. */
static void features_name_what_was_built(void **state) {
  (void)state;
  const char *features = norma_build_features();
  assert_int_equal(strncmp(features, "kernels ", 8), 0);
  assert_non_null(strstr(features, "; protobuf-c "));
  assert_null(strstr(features, "; ;"));
  assert_null(strchr(features, '\n'));
  int kernels = 0;
  const struct kernel_table *table;
  for (size_t i = 0; (table = kernel_table_built_at(i)); i++) {
    const char *name = strstr(features, table->name);
    kernels += name && name < strchr(features, ';'); /* every table that runs here was built */
    assert_non_null(name);
  }
  assert_true(kernels > 0);
#if defined(__clang__)
  assert_non_null(strstr(features, "; Clang "));
#else
  assert_non_null(strstr(features, "; GCC "));
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_version_is_that_of_the_header),
      cmocka_unit_test(features_name_what_was_built),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
