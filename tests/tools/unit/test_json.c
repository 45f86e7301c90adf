/* The JSON writer: commas, nesting, escapes, numbers that JSON lacks. */
#include "tests/tools/unit/tool_test.h"

#include "tools/formats/json.h"

#include <math.h>

static void assert_written(void (*write)(json_writer *json), bool compact, const char *expected) {
  char *text = NULL;
  size_t size = 0;
  json_writer json;
  FILE *file = open_memstream(&text, &size);
  json_start(&json, file, compact);
  write(&json);
  fclose(file);
  assert_string_equal(text, expected);
  free(text);
}

static void write_nested(json_writer *json) {
  json_object(json, NULL);
  json_string(json, "name", "x");
  json_array(json, "list");
  json_integer(json, NULL, -1);
  json_unsigned(json, NULL, UINT64_MAX);
  json_end_array(json);
  json_object(json, "empty");
  json_end_object(json);
  json_boolean(json, "yes", true);
  json_null(json, "nothing");
  json_end_object(json);
}

static void nesting(void **state) {
  (void)state;
  assert_written(
      write_nested, true,
      "{\"name\": \"x\", \"list\": [-1, 18446744073709551615], \"empty\": {}, \"yes\": true, \"nothing\": null}\n");
  assert_written(write_nested, false,
                 "{\n  \"name\": \"x\",\n  \"list\": [\n    -1,\n    18446744073709551615\n  ],\n  \"empty\": {},\n"
                 "  \"yes\": true,\n  \"nothing\": null\n}\n");
}

static void write_strings(json_writer *json) {
  json_array(json, NULL);
  json_string(json, NULL, "\"\\\n\t\x7F");
  json_string(json, NULL, "\xC3\xA4\xF0\x9F\x98\x80");
  json_string(json, NULL,
              "a\xFF\xC3\xC0\x80\xED\xA0\x80z"); /* no UTF-8: a lone byte, cut short, overlong, a surrogate */
  json_end_array(json);
}

static void strings_are_escaped_and_valid(void **state) {
  (void)state;
  assert_written(write_strings, true,
                 "[\"\\\"\\\\\\n\\u0009\\u007f\", \"\xC3\xA4\xF0\x9F\x98\x80\", "
                 "\"a\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffdz\"]\n");
}

static void write_numbers(json_writer *json) {
  json_array(json, NULL);
  json_number(json, NULL, 0.5);
  json_number(json, NULL, 1e300);
  json_number(json, NULL, NAN);
  json_number(json, NULL, INFINITY);
  json_end_array(json);
}

static void numbers(void **state) {
  (void)state;
  assert_written(write_numbers, true, "[0.5, 1e+300, null, null]\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nesting),
      cmocka_unit_test(strings_are_escaped_and_valid),
      cmocka_unit_test(numbers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
