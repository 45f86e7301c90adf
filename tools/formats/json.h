/* Writes JSON to a stream: commas, indentation and escapes are its business, nesting is the caller's. Keys are NULL
 * inside arrays. Numbers that JSON does not know (NaN, infinities) become null; bytes that are not UTF-8 become U+FFFD.
 */
#ifndef TOOLS_FORMATS_JSON_H
#define TOOLS_FORMATS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct json_writer {
  FILE *file;
  int depth;
  bool first;   /* nothing was written yet at this level */
  bool compact; /* one line */
} json_writer;

void json_start(json_writer *json, FILE *file, bool compact);
void json_object(json_writer *json, const char *key);
void json_end_object(json_writer *json); /* the end of the outermost object or array ends the line too */
void json_array(json_writer *json, const char *key);
void json_end_array(json_writer *json);
void json_string(json_writer *json, const char *key, const char *text);
void json_integer(json_writer *json, const char *key, int64_t number);
void json_unsigned(json_writer *json, const char *key, uint64_t number);
void json_number(json_writer *json, const char *key, double number);
void json_exact(json_writer *json, const char *key, double number); /* with all digits that tell doubles apart */
void json_boolean(json_writer *json, const char *key, bool truth);
void json_null(json_writer *json, const char *key);

#endif
