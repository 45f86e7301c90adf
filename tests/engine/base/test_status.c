/* Errors: statuses and their texts, messages, fields that are cut. */
#include "engine/base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Each status has a text of its own; numbers that are none have one too. */
static void every_status_has_a_text(void **state) {
  (void)state;
  for (norma_status status = NORMA_OK; status <= NORMA_ERROR_INTERNAL; status++) {
    const char *text = norma_status_text(status);
    assert_true(text && text[0]);
    assert_string_not_equal(text, "unknown status");
    for (norma_status other = NORMA_OK; other < status; other++) {
      assert_string_not_equal(norma_status_text(other), text);
    }
  }
  assert_string_equal(norma_status_text(NORMA_OK), "ok");
  assert_string_equal(norma_status_text((norma_status)(NORMA_ERROR_INTERNAL + 1)), "unknown status");
  assert_string_equal(norma_status_text((norma_status)-1), "unknown status");
}

/* The numbers are part of the binary interface. */
static void numbers_of_statuses_stay(void **state) {
  (void)state;
  assert_int_equal(NORMA_OK, 0);
  assert_int_equal(NORMA_ERROR_ARGUMENT, 1);
  assert_int_equal(NORMA_ERROR_OUT_OF_MEMORY, 2);
  assert_int_equal(NORMA_ERROR_INVALID_MODEL, 6);
  assert_int_equal(NORMA_ERROR_INTERNAL, 13);
}

static void setting_clears_what_stood(void **state) {
  (void)state;
  norma_error error;
  memset(&error, 'x', sizeof error);
  assert_int_equal(error_set(&error, NORMA_ERROR_FILE, "%s: %d", "path", 7), NORMA_ERROR_FILE);
  assert_int_equal(error.status, NORMA_ERROR_FILE);
  assert_string_equal(error.message, "path: 7");
  assert_string_equal(error.node, "");
  assert_string_equal(error.value, "");
  assert_int_equal(error.opset, 0);
  assert_int_equal(error_set(NULL, NORMA_ERROR_RUN, "nobody"), NORMA_ERROR_RUN);
}

static void prefixes_stand_in_front(void **state) {
  (void)state;
  norma_error error;
  error_set(&error, NORMA_ERROR_RUN, "it is wrong");
  assert_int_equal(error_prefix(&error, "node '%s'", "n"), NORMA_ERROR_RUN);
  assert_string_equal(error.message, "node 'n': it is wrong");
  assert_int_equal(error_prefix(&error, "file"), NORMA_ERROR_RUN);
  assert_string_equal(error.message, "file: node 'n': it is wrong");
  assert_int_equal(error.status, NORMA_ERROR_RUN);
}

/* Messages and prefixes of any length fit, always terminated. */
static void long_messages_are_cut(void **state) {
  static char text[3000];
  (void)state;
  norma_error error;
  const size_t room = sizeof error.message;
  memset(text, 'a', sizeof text - 1);
  error_set(&error, NORMA_ERROR_RUN, "%s", text);
  assert_int_equal(strlen(error.message), room - 1);
  for (size_t length = room - 4; length <= room + 1; length++) {
    text[length] = '\0';
    error_set(&error, NORMA_ERROR_RUN, "tail");
    error_prefix(&error, "%s", text);
    assert_true(strlen(error.message) < room);
    assert_int_equal(strncmp(error.message, "aaaa", 4), 0);
    text[length] = 'a';
  }
  error_set(&error, NORMA_ERROR_RUN, "tail");
  for (int i = 0; i < 300; i++) error_prefix(&error, "prefix %d", i);
  assert_true(strlen(error.message) < room);
  assert_int_equal(strncmp(error.message, "prefix 299: prefix 298: ", 24), 0);
}

/* Fields are cut at the border of a character of UTF-8. */
static void characters_stay_whole(void **state) {
  static const struct {
    size_t size;
    const char *text, *cut;
  } cases[] = {{8, "short", "short"},
               {6, "exact", "exact"},
               {5, "longer", "long"},
               {4, "ab\xC3\xA9", "ab"},         /* a letter of two bytes has no room */
               {5, "ab\xC3\xA9", "ab\xC3\xA9"}, /* and here it has */
               {4, "a\xE2\x82\xAC", "a"},       /* three bytes */
               {4, "\xF0\x9F\x98\x80", ""},     /* four */
               {1, "anything", ""},
               {3, "\xA9\xA9\xA9\xA9", ""}, /* no UTF-8 at all */
               {4, NULL, ""}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char field[16];
    memset(field, 'x', sizeof field);
    error_copy_text(field, cases[i].size, cases[i].text);
    assert_string_equal(field, cases[i].cut);
    for (size_t k = cases[i].size; k < sizeof field; k++) assert_int_equal(field[k], 'x');
  }
  norma_error error = {.node = "abcdef"};
  ERROR_COPY(error.node, error.node + 2); /* from within the field itself */
  assert_string_equal(error.node, "cdef");
}

static norma_status first_of_two(norma_status one, norma_status two, int *calls) {
  TRY(one);
  ++*calls;
  TRY(two);
  ++*calls;
  return NORMA_OK;
}

static void try_returns_the_first_failure(void **state) {
  (void)state;
  int calls = 0;
  assert_int_equal(first_of_two(NORMA_OK, NORMA_OK, &calls), NORMA_OK);
  assert_int_equal(calls, 2);
  assert_int_equal(first_of_two(NORMA_OK, NORMA_ERROR_RUN, &calls), NORMA_ERROR_RUN);
  assert_int_equal(calls, 3);
  assert_int_equal(first_of_two(NORMA_ERROR_FILE, NORMA_ERROR_RUN, &calls), NORMA_ERROR_FILE);
  assert_int_equal(calls, 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_status_has_a_text),       cmocka_unit_test(numbers_of_statuses_stay),
      cmocka_unit_test(setting_clears_what_stood),     cmocka_unit_test(prefixes_stand_in_front),
      cmocka_unit_test(long_messages_are_cut),         cmocka_unit_test(characters_stay_whole),
      cmocka_unit_test(try_returns_the_first_failure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
