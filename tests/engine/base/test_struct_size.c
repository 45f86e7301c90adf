/* Structs that carry their size: shorter ones of older programs, longer ones of newer programs. */
#include "engine/base/struct_size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct sample {
  size_t struct_size;
  int first;
  double second;
  void *third;
} sample;

static void shorter_options_are_zero_behind_their_end(void **state) {
  (void)state;
  norma_error error;
  sample options, given = {.struct_size = offsetof(sample, third), .first = 3, .second = 2.5, .third = &given};
  memset(&options, 0xA5, sizeof options);
  assert_int_equal(options_take(&options, sizeof options, &given, "sample", &error), NORMA_OK);
  assert_true(options.first == 3 && options.second == 2.5);
  assert_null(options.third);
  given.struct_size = sizeof(size_t);
  assert_int_equal(options_take(&options, sizeof options, &given, "sample", &error), NORMA_OK);
  assert_int_equal(options.first, 0);
  assert_int_equal(options_take(&options, sizeof options, NULL, "sample", &error), NORMA_OK);
  assert_true(options.struct_size == 0 && options.first == 0);
}

static void impossible_options_are_refused(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, sizeof(size_t) - 1, sizeof(sample) + 1, SIZE_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    norma_error error = {0};
    sample options, given = {.struct_size = sizes[i]};
    assert_int_equal(options_take(&options, sizeof options, &given, "sample", &error), NORMA_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "sample.struct_size"));
    assert_int_equal(options_take(&options, sizeof options, &given, "sample", NULL), NORMA_ERROR_ARGUMENT);
  }
}

static void answers_fit_the_callers_struct(void **state) {
  (void)state;
  const sample filled = {.first = 7, .second = 1.5, .third = (void *)(uintptr_t)&filled};
  sample info;
  memset(&info, 0xA5, sizeof info);
  info.struct_size = offsetof(sample, second);
  assert_int_equal(info_give(&info, &filled, sizeof filled), NORMA_OK);
  assert_int_equal(info.first, 7);
  assert_int_equal(info.struct_size, offsetof(sample, second)); /* the caller's */
  unsigned char untouched[sizeof info.third];
  memset(untouched, 0xA5, sizeof untouched);
  assert_memory_equal(&info.third, untouched, sizeof untouched);

  struct {
    sample known;
    int64_t newer;
  } longer;
  memset(&longer, 0xA5, sizeof longer);
  longer.known.struct_size = sizeof longer;
  assert_int_equal(info_give(&longer, &filled, sizeof filled), NORMA_OK);
  assert_ptr_equal(longer.known.third, &filled);
  assert_int_equal(longer.newer, 0);

  info.struct_size = 0;
  assert_int_equal(info_give(&info, &filled, sizeof filled), NORMA_ERROR_ARGUMENT);
  assert_int_equal(info_give(NULL, &filled, sizeof filled), NORMA_ERROR_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shorter_options_are_zero_behind_their_end),
      cmocka_unit_test(impossible_options_are_refused),
      cmocka_unit_test(answers_fit_the_callers_struct),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
