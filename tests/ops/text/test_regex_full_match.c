/* RegexFullMatch: a table of expressions, with texts that match and texts that do not. */
#include "tests/support/workbench.h"

#include <string.h>

typedef struct expression {
  const char *pattern, *text;
  bool matches;
} expression;

static const expression expressions[] = {
    {"", "", true},
    {"", "a", false},
    {"a*", "aaaa", true},
    {"a|ab", "ab", true}, /* the whole text counts, not the first way that matches */
    {"(a|ab)(c|bcd)", "abcd", true},
    {"a{2,3}", "a", false},
    {"a{2,3}", "aaa", true},
    {"a{2,3}", "aaaa", false},
    {"a{2,}?b", "aaaab", true},
    {".", "\xe2\x82\xac", true}, /* a character, not a byte */
    {".", "\n", false},
    {"(?s).", "\n", true},
    {"(?i)stra\xc3\x9f"
     "e",
     "STRA\xc3\x9f"
     "E",
     true},
    {"[^a-c]", "b", false},
    {"[^a-c]", "d", true},
    {"[[:alpha:]\\d]+", "ab12", true},
    {"[[:alpha:]\\d]+", "ab-12", false},
    {"\\pL+", "\xc3\xa9t\xc3\xa9", true},
    {"[^\\pL]", "x", false},
    {"\\x{20ac}", "\xe2\x82\xac", true},
    {"\\Qa.b\\E", "a.b", true},
    {"\\Qa.b\\E", "axb", false},
    {"^a$", "a", true},
    {"\\bab\\b", "ab", true},
    {"a\\Bb", "ab", true},
    {"a\\bb", "ab", false},
    {"(?P<name>x)y", "xy", true},
    {"(?:a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false}, /* linear all the same */
};

static driver_call make_call(const value *x, const char *pattern) {
  driver_call call = CALL("RegexFullMatch", 20, x);
  call.attributes[0] = (attribute)DRIVER_TEXT("pattern", pattern);
  return call;
}

static void table(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(expressions); i++) {
    workbench bench;
    bench_init(&bench);
    const value *x = bench_strings(&bench, SHAPE(1), &expressions[i].text);
    const driver_call call = make_call(x, expressions[i].pattern);
    if (strstr(expressions[i].pattern, "\\p") && driver_run(&bench.driver, &call) == NORMA_ERROR_UNSUPPORTED) {
      assert_non_null(strstr(bench.driver.error.message, "libutf8proc")); /* properties need it, the rest does not */
      bench_finish(&bench);
      continue;
    }
    const value *y = bench_run(&bench, &call);
    if ((driver_element(y, 0) != 0) != expressions[i].matches)
      fail_msg("'%s' and '%s': expected %d", expressions[i].pattern, expressions[i].text, expressions[i].matches);
    bench_finish(&bench);
  }
}

static void any_shape(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = make_call(bench_strings(&bench, SHAPE(2, 2), (const char *[]){"a1", "1a", "", "b22"}), "[ab]\\d+");
  check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(2, 2), NUMBERS(1, 0, 0, 1));
  call.inputs[0] = bench_strings(&bench, SHAPE(3, 0), NULL);
  check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(3, 0), NULL);
  bench_finish(&bench);
}

static void expressions_that_do_not_exist(void **state) {
  static const char *const patterns[] = {"(",   ")",     "[a",    "a**",          "*",   "a{1001}",
                                         "\\1", "(?=a)", "[b-a]", "\\p{Nothing}", "\xff"};
  (void)state;
  for (size_t i = 0; i < COUNT(patterns); i++) {
    workbench bench;
    bench_init(&bench);
    const driver_call call = make_call(bench_strings(&bench, SHAPE(1), (const char *[]){"a"}), patterns[i]);
    if (driver_run(&bench.driver, &call) == NORMA_OK) fail_msg("'%s' was taken", patterns[i]);
    bench_finish(&bench);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(table),
      cmocka_unit_test(any_shape),
      cmocka_unit_test(expressions_that_do_not_exist),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
