#include "engine/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *norma_status_text(norma_status status) {
  switch (status) {
#define STATUS_CASE(constant, text)                                                                                    \
  case constant:                                                                                                       \
    return text;
    NORMA_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
  }
  return "unknown status";
}

void error_copy_text(char *field, size_t size, const char *text) {
  size_t length = text ? strlen(text) : 0;
  if (length >= size) {
    length = size - 1;
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length--;
  }
  if (length > 0) memmove(field, text, length);
  field[length] = '\0';
}

norma_status error_set(norma_error *error, norma_status status, const char *format, ...) {
  if (!error) return status;
  memset(error, 0, sizeof *error);
  error->status = status;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return status;
}

norma_status error_prefix(norma_error *error, const char *format, ...) {
  if (!error) return NORMA_ERROR_INTERNAL;
  char text[sizeof error->message];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  size_t used = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
  if (used + 2 < sizeof text) {
    memcpy(text + used, ": ", 2);
    error_copy_text(text + used + 2, sizeof text - used - 2, error->message);
  }
  ERROR_COPY(error->message, text);
  return error->status;
}
