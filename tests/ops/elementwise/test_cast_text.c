/* Numbers to text and back: shortest texts, limits, what is no number, and locales with a decimal comma. */
#include "ops/elementwise/cast_text.h"
#include "tests/support/workbench.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

/* Decimal commas must not show: the first locale of these that the machine has. */
static int take_a_locale_with_commas(void **state) {
  static const char *const locales[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "C"};
  (void)state;
  for (size_t i = 0; i < COUNT(locales) && !setlocale(LC_ALL, locales[i]); i++) {
  }
  return 0;
}

static int give_the_locale_back(void **state) {
  (void)state;
  setlocale(LC_ALL, "C");
  return 0;
}

/* ----------------------------------------------------------------------------------------------------- from numbers */

static void check_text(norma_element_type type, double number, const char *expected) {
  char text[CAST_TEXT_SIZE];
  uint64_t element = 0;
  element_set_double(type, &element, 0, number);
  const size_t size = cast_number_to_text(type, &element, 0, text);
  if (strcmp(text, expected) != 0 || size != strlen(text)) {
    fail_msg("%.17g of %s becomes \"%s\", not \"%s\"", number, norma_element_type_name(type), text, expected);
  }
}

static void floats_are_the_shortest_that_give_them_back(void **state) {
  static const struct {
    double number;
    const char *of_float, *of_double;
  } cases[] = {{0.47892547, "0.47892547", "0.47892547"},
               {0.1, "0.1", "0.1"},
               {-1.5, "-1.5", "-1.5"},
               {100, "100.0", "100.0"},
               {0, "0.0", "0.0"},
               {-0.0, "-0.0", "-0.0"},
               {INFINITY, "inf", "inf"},
               {-INFINITY, "-inf", "-inf"},
               {NAN, "nan", "nan"},
               {1.0 / 3, "0.33333334", "0.3333333333333333"},
               {16777216, "16777216.0", "16777216.0"},
               {3.14159265358979, "3.1415927", "3.14159265358979"},
               /* plain notation for exponents -4 to 15 */
               {1e-4, "0.0001", "0.0001"},
               {1.5e-4, "0.00015", "0.00015"},
               {1e-5, "1e-05", "1e-05"},
               {1e15, "1000000000000000.0", "1000000000000000.0"},
               {1e16, "1e+16", "1e+16"},
               {1.25e20, "1.25e+20", "1.25e+20"},
               {-2.5e-10, "-2.5e-10", "-2.5e-10"}};
  (void)state;
  for (size_t c = 0; c < COUNT(cases); c++) {
    check_text(NORMA_FLOAT, cases[c].number, cases[c].of_float);
    check_text(NORMA_DOUBLE, cases[c].number, cases[c].of_double);
  }
  check_text(NORMA_DOUBLE, -1.25e-300, "-1.25e-300");
  check_text(NORMA_DOUBLE, 0x1p-1074, "5e-324");
  check_text(NORMA_DOUBLE, 1.7976931348623157e308, "1.7976931348623157e+308");
  check_text(NORMA_FLOAT, 0x1p-149, "1e-45");
  check_text(NORMA_FLOAT, 0x1.fffffep127, "3.4028235e+38");
  check_text(NORMA_FLOAT16, 0.5, "0.5");
  check_text(NORMA_FLOAT16, 65504, "65504.0");
  check_text(NORMA_BFLOAT16, 1.5, "1.5");
}

static void integers_are_their_digits(void **state) {
  (void)state;
  check_text(NORMA_INT8, -128, "-128");
  check_text(NORMA_UINT8, 255, "255");
  check_text(NORMA_INT4, -8, "-8");
  check_text(NORMA_UINT4, 15, "15");
  check_text(NORMA_INT32, -2147483648.0, "-2147483648");
  char text[CAST_TEXT_SIZE];
  const int64_t least = INT64_MIN;
  const uint64_t most = UINT64_MAX;
  cast_number_to_text(NORMA_INT64, &least, 0, text);
  assert_string_equal(text, "-9223372036854775808");
  cast_number_to_text(NORMA_UINT64, &most, 0, text);
  assert_string_equal(text, "18446744073709551615");
}

static void bools_are_words(void **state) {
  static const unsigned char bytes[] = {0, 1, 7};
  static const char *const expected[] = {"False", "True", "True"};
  char text[CAST_TEXT_SIZE];
  (void)state;
  for (int i = 0; i < 3; i++) {
    assert_int_equal(cast_number_to_text(NORMA_BOOL, bytes, i, text), strlen(expected[i]));
    assert_string_equal(text, expected[i]);
  }
}

/* What is written is read as the same number: random bits, all exponents. */
static void texts_give_their_numbers_back(void **state) {
  uint64_t seed = 5;
  (void)state;
  for (int i = 0; i < 20000; i++) {
    char text[CAST_TEXT_SIZE];
    driver_random(&seed, 0, 1); /* the state's bits are random */
    uint64_t bits = seed, again = 0;
    uint32_t float_bits = (uint32_t)(seed >> 20), float_again = 0;
    size_t size = cast_number_to_text(NORMA_DOUBLE, &bits, 0, text);
    assert_true(size < CAST_TEXT_SIZE && cast_text_to_number(&(norma_string){text, size}, NORMA_DOUBLE, &again, 0));
    if ((bits & 0x7FF0000000000000) != 0x7FF0000000000000) assert_true(bits == again);
    size = cast_number_to_text(NORMA_FLOAT, &float_bits, 0, text);
    assert_true(cast_text_to_number(&(norma_string){text, size}, NORMA_FLOAT, &float_again, 0));
    if ((float_bits & 0x7F800000) != 0x7F800000) assert_true(float_bits == float_again);
    size = cast_number_to_text(NORMA_INT64, &bits, 0, text);
    assert_true(cast_text_to_number(&(norma_string){text, size}, NORMA_INT64, &again, 0) && bits == again);
    size = cast_number_to_text(NORMA_UINT64, &bits, 0, text);
    assert_true(cast_text_to_number(&(norma_string){text, size}, NORMA_UINT64, &again, 0) && bits == again);
  }
}

/* -------------------------------------------------------------------------------------------------------- from text */

static bool read_text(const char *text, norma_element_type type, void *element) {
  return cast_text_to_number(&(norma_string){text, strlen(text)}, type, element, 0);
}

static void check_number(const char *text, norma_element_type type, double expected) {
  uint64_t element = 0;
  if (!read_text(text, type, &element)) fail_msg("\"%s\" is no %s", text, norma_element_type_name(type));
  const double found = element_get_double(type, &element, 0);
  if (!(found == expected || (isnan(found) && isnan(expected)))) {
    fail_msg("\"%s\" of %s is read as %.17g, not %.17g", text, norma_element_type_name(type), found, expected);
  }
}

static void texts_of_numbers(void **state) {
  (void)state;
  check_number("3.14", NORMA_FLOAT, (double)3.14f);
  check_number("3.14", NORMA_DOUBLE, 3.14);
  check_number("1e-5", NORMA_DOUBLE, 1e-5);
  check_number("1E8", NORMA_FLOAT, 1e8);
  check_number("+INF", NORMA_FLOAT, INFINITY);
  check_number("-inf", NORMA_FLOAT, -INFINITY);
  check_number("NaN", NORMA_FLOAT, NAN);
  check_number(" 7 ", NORMA_FLOAT, 7);
  check_number("\t-7\r\n", NORMA_INT16, -7);
  check_number("+5", NORMA_INT64, 5);
  check_number(".5", NORMA_FLOAT16, 0.5);
  check_number("5.", NORMA_FLOAT, 5);
  check_number("1", NORMA_BOOL, 1);
  check_number("0.0", NORMA_BOOL, 0);
  check_number("16777217", NORMA_FLOAT, 16777216);
  /* Rounded once: through float this would be 1. */
  check_number("1.00000005960464477540", NORMA_FLOAT, (double)1.00000012f);
}

/* Written as floats they are truncated; what does not fit is limited to the range, of all types alike. */
static void integers_are_truncated_and_limited(void **state) {
  (void)state;
  check_number("100.5", NORMA_INT64, 100);
  check_number("-1.9", NORMA_INT8, -1);
  check_number("1e3", NORMA_INT32, 1000);
  check_number("300", NORMA_UINT8, 255);
  check_number("-1", NORMA_UINT8, 0);
  check_number("3000000000", NORMA_INT32, INT32_MAX);
  check_number("-3000000000", NORMA_INT32, INT32_MIN);
  int64_t i;
  uint64_t u;
  assert_true(read_text("9223372036854775807", NORMA_INT64, &i) && i == INT64_MAX);
  assert_true(read_text("-9223372036854775808", NORMA_INT64, &i) && i == INT64_MIN);
  assert_true(read_text("9223372036854775808", NORMA_INT64, &i) && i == INT64_MAX);
  assert_true(read_text("-9223372036854775809", NORMA_INT64, &i) && i == INT64_MIN);
  assert_true(read_text("18446744073709551615", NORMA_UINT64, &u) && u == UINT64_MAX);
  assert_true(read_text("18446744073709551616", NORMA_UINT64, &u) && u == UINT64_MAX);
  assert_true(read_text("-1", NORMA_UINT64, &u) && u == 0);
  assert_true(read_text("-18446744073709551616", NORMA_UINT64, &u) && u == 0);
  assert_true(read_text("nan", NORMA_INT64, &i) && i == 0);
  assert_true(read_text("inf", NORMA_INT64, &i) && i == INT64_MAX);
}

static void what_is_no_number(void **state) {
  static const char *const wrong[] = {"Hello", "", " ", "1.5x", "--1", "1 2", "1,5", "e5", "True", "0x", "+", "-", "."};
  static const norma_element_type types[] = {NORMA_DOUBLE, NORMA_FLOAT, NORMA_INT64, NORMA_UINT64, NORMA_INT8};
  uint64_t element;
  (void)state;
  for (size_t i = 0; i < COUNT(wrong); i++) {
    for (size_t t = 0; t < COUNT(types); t++) {
      if (read_text(wrong[i], types[t], &element)) fail_msg("\"%s\" was read", wrong[i]);
    }
  }
  /* A byte of 0 ends no text; texts of any length are no reason to read further. */
  assert_false(cast_text_to_number(&(norma_string){"1\0002", 3}, NORMA_FLOAT, &element, 0));
  char digits[300];
  memset(digits, '1', sizeof digits);
  assert_false(cast_text_to_number(&(norma_string){digits, sizeof digits}, NORMA_FLOAT, &element, 0));
  /* The text need not be terminated. */
  assert_true(cast_text_to_number(&(norma_string){"123", 2}, NORMA_INT64, &element, 0) && element == 12);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(floats_are_the_shortest_that_give_them_back),
      cmocka_unit_test(integers_are_their_digits),
      cmocka_unit_test(bools_are_words),
      cmocka_unit_test(texts_give_their_numbers_back),
      cmocka_unit_test(texts_of_numbers),
      cmocka_unit_test(integers_are_truncated_and_limited),
      cmocka_unit_test(what_is_no_number),
  };
  return cmocka_run_group_tests(tests, take_a_locale_with_commas, give_the_locale_back);
}
