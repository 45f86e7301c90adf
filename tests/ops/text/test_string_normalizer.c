/* StringNormalizer: case, stop words, shapes. */
#include "tests/support/workbench.h"

#define TEXTS(...) ((const char *[]){__VA_ARGS__})

static const norma_string stops[] = {{"monday", 6}, {"\xc3\x89t\xc3\xa9", 5}};

static driver_call make_call(const value *x) {
  driver_call call = CALL("StringNormalizer", 10, x);
  call.attributes[0] = (attribute)DRIVER_STRINGS("stopwords", 2, stops);
  return call;
}

static void cases_and_stop_words(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_strings(&bench, SHAPE(1, 4),
                                 TEXTS("Monday", "\xc3\xa9t\xc3\xa9", "monday",
                                       "Stra\xc3\x9f"
                                       "e"));
  driver_call call = make_call(x);
  check_strings(bench_run(&bench, &call), SHAPE(1, 1),
                TEXTS("Stra\xc3\x9f"
                      "e"));
  call.attributes[1] = (attribute)DRIVER_INT("is_case_sensitive", 1);
  check_strings(bench_run(&bench, &call), SHAPE(1, 3),
                TEXTS("Monday", "\xc3\xa9t\xc3\xa9",
                      "Stra\xc3\x9f"
                      "e"));
  call.attributes[2] = (attribute)DRIVER_STRING("case_change_action", "LOWER");
  check_strings(bench_run(&bench, &call), SHAPE(1, 3),
                TEXTS("monday", "\xc3\xa9t\xc3\xa9",
                      "stra\xc3\x9f"
                      "e"));
  call.attributes[2] = (attribute)DRIVER_STRING("case_change_action", "SIDEWAYS");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "'SIDEWAYS'");
  bench_finish(&bench);
}

static void nothing_left_is_one_empty_string(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = make_call(bench_strings(&bench, SHAPE(2), TEXTS("MONDAY", "monday")));
  check_strings(bench_run(&bench, &call), SHAPE(1), TEXTS(""));
  call.inputs[0] = bench_strings(&bench, SHAPE(1, 2), TEXTS("MONDAY", "monday"));
  check_strings(bench_run(&bench, &call), SHAPE(1, 1), TEXTS(""));
  bench_finish(&bench);
}

static void refusals(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = make_call(bench_strings(&bench, SHAPE(2, 1), TEXTS("a", "b")));
  assert_int_not_equal(driver_run(&bench.driver, &call), NORMA_OK);
  call.inputs[0] = bench_strings(&bench, SHAPE(2), TEXTS("a", "\xff"));
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "string 1");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cases_and_stop_words),
      cmocka_unit_test(nothing_left_is_one_empty_string),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
