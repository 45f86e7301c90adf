#include "tools/formats/file_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

norma_status set_error(norma_error *error, norma_status status, const char *format, ...) {
  if (!error) return status;
  memset(error, 0, sizeof *error);
  error->status = status;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return status;
}

void prefix_error(norma_error *error, const char *prefix) {
  char text[sizeof error->message];
  if (!error) return;
  int length = snprintf(text, sizeof text, "%s: %s", prefix, error->message);
  if (length >= (int)sizeof text) { /* cut at a character border of UTF-8 */
    size_t end = sizeof text - 1;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) end--;
    if (end > 0 && (unsigned char)text[end - 1] >= 0xC0) end--;
    text[end] = '\0';
  }
  memcpy(error->message, text, sizeof text);
}
