#include "tools/formats/json.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

/* The length of the valid UTF-8 sequence at `text`, 0 if there is none. */
static size_t utf8_length(const unsigned char *text) {
  unsigned char c = text[0];
  size_t length = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
  for (size_t i = 1; i < length; i++) {
    if ((text[i] & 0xC0) != 0x80) return 0; /* stops at the terminator too */
  }
  if ((c == 0xE0 && text[1] < 0xA0) || (c == 0xED && text[1] > 0x9F)) return 0;
  if ((c == 0xF0 && text[1] < 0x90) || (c == 0xF4 && text[1] > 0x8F)) return 0;
  return length;
}

static void write_string(FILE *file, const char *text) {
  fputc('"', file);
  const unsigned char *c = (const unsigned char *)text;
  while (*c != '\0') {
    size_t length = utf8_length(c);
    if (length == 0) {
      fputs("\\ufffd", file);
      length = 1;
    } else if (*c == '"' || *c == '\\') {
      fprintf(file, "\\%c", *c);
    } else if (*c == '\n') {
      fputs("\\n", file);
    } else if (*c < 0x20 || *c == 0x7F || *c == '<') { /* '<': JSON may stand in HTML */
      fprintf(file, "\\u%04x", *c);
    } else {
      fwrite(c, 1, length, file);
    }
    c += length;
  }
  fputc('"', file);
}

static void new_line(json_writer *json) {
  if (json->compact) return;
  fputc('\n', json->file);
  for (int i = 0; i < json->depth; i++) fputs("  ", json->file);
}

static void begin_item(json_writer *json, const char *key) {
  if (json->depth > 0) {
    if (!json->first) fputs(json->compact ? ", " : ",", json->file);
    new_line(json);
  }
  json->first = false;
  if (key) {
    write_string(json->file, key);
    fputs(": ", json->file);
  }
}

static void begin_nest(json_writer *json, const char *key, char bracket) {
  begin_item(json, key);
  fputc(bracket, json->file);
  json->depth++;
  json->first = true;
}

static void end_nest(json_writer *json, char bracket) {
  bool empty = json->first;
  json->depth--;
  json->first = false;
  if (!empty) new_line(json);
  fputc(bracket, json->file);
  if (json->depth == 0) fputc('\n', json->file);
}

void json_start(json_writer *json, FILE *file, bool compact) {
  *json = (json_writer){.file = file, .first = true, .compact = compact};
}

void json_object(json_writer *json, const char *key) {
  begin_nest(json, key, '{');
}

void json_end_object(json_writer *json) {
  end_nest(json, '}');
}

void json_array(json_writer *json, const char *key) {
  begin_nest(json, key, '[');
}

void json_end_array(json_writer *json) {
  end_nest(json, ']');
}

void json_string(json_writer *json, const char *key, const char *text) {
  begin_item(json, key);
  write_string(json->file, text);
}

void json_integer(json_writer *json, const char *key, int64_t number) {
  begin_item(json, key);
  fprintf(json->file, "%" PRId64, number);
}

void json_unsigned(json_writer *json, const char *key, uint64_t number) {
  begin_item(json, key);
  fprintf(json->file, "%" PRIu64, number);
}

static void write_double(json_writer *json, const char *key, double number, int digits) {
  begin_item(json, key);
  if (isfinite(number)) {
    fprintf(json->file, "%.*g", digits, number);
  } else {
    fputs("null", json->file);
  }
}

void json_number(json_writer *json, const char *key, double number) {
  write_double(json, key, number, 10);
}

void json_exact(json_writer *json, const char *key, double number) {
  write_double(json, key, number, 17);
}

void json_boolean(json_writer *json, const char *key, bool truth) {
  begin_item(json, key);
  fputs(truth ? "true" : "false", json->file);
}

void json_null(json_writer *json, const char *key) {
  begin_item(json, key);
  fputs("null", json->file);
}
