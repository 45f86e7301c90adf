#include "ops/elementwise/cast_text.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CAST_BLANKS " \t\r\n"

/* strtod and strtof know the decimal point of the locale only; that of "C" takes no memory. */
static double text_to_double(const char *text, char **end) {
  const locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  const double number = c_locale ? strtod_l(text, end, c_locale) : strtod(text, end);
  if (c_locale) freelocale(c_locale);
  return number;
}

static float text_to_float(const char *text, char **end) {
  const locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  const float number = c_locale ? strtof_l(text, end, c_locale) : strtof(text, end);
  if (c_locale) freelocale(c_locale);
  return number;
}

/* The digits of |x| and its decimal exponent: 0.d1 d2 ... is x * 10^-(exponent + 1). */
static void decimal_digits(double x, int precision, char *digits, int *exponent) {
  char text[64];
  snprintf(text, sizeof text, "%.*e", precision - 1, fabs(x));
  int count = 0;
  const char *p = text;
  for (; *p && *p != 'e'; p++) {
    if (*p >= '0' && *p <= '9') digits[count++] = *p; /* the rest is the locale's decimal point */
  }
  while (count > 1 && digits[count - 1] == '0') count--;
  digits[count] = 0;
  *exponent = atoi(p + (*p == 'e'));
}

static bool gives_back(double x, bool is_float, const char *digits, int exponent) {
  char text[64];
  char *end;
  snprintf(text, sizeof text, "%c.%se%d", digits[0], digits + 1, exponent);
  return is_float ? text_to_float(text, &end) == (float)fabs(x) : text_to_double(text, &end) == fabs(x);
}

static void float_to_text(double x, bool is_float, char text[CAST_TEXT_SIZE]) {
  char digits[24];
  int exponent = 0;
  if (isnan(x) || isinf(x)) {
    snprintf(text, CAST_TEXT_SIZE, "%s", isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
    return;
  }
  const int most = is_float ? 9 : 17;
  for (int precision = 1; precision <= most; precision++) {
    decimal_digits(x, precision, digits, &exponent);
    if (precision == most || gives_back(x, is_float, digits, exponent)) break;
  }
  const char *sign = signbit(x) ? "-" : "";
  const int count = (int)strlen(digits);
  if (exponent < -4 || exponent >= 16) {
    snprintf(text, CAST_TEXT_SIZE, "%s%c%s%se%c%02d", sign, digits[0], count > 1 ? "." : "", digits + 1,
             exponent < 0 ? '-' : '+', abs(exponent));
  } else if (exponent < 0) {
    snprintf(text, CAST_TEXT_SIZE, "%s0.%.*s%s", sign, -exponent - 1, "0000", digits);
  } else if (count <= exponent + 1) {
    snprintf(text, CAST_TEXT_SIZE, "%s%.20s%.*s.0", sign, digits, exponent + 1 - count, "0000000000000000");
  } else {
    snprintf(text, CAST_TEXT_SIZE, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
  }
}

size_t cast_number_to_text(norma_element_type type, const void *data, int64_t index, char text[CAST_TEXT_SIZE]) {
  const type_mask signed_types = TYPES_SIGNED | TYPE_BIT(NORMA_INT4) | TYPE_BIT(NORMA_INT2);
  const type_mask unsigned_types = TYPES_UNSIGNED | TYPE_BIT(NORMA_UINT4) | TYPE_BIT(NORMA_UINT2);
  if (type == NORMA_BOOL) {
    snprintf(text, CAST_TEXT_SIZE, "%s", element_get_int64(type, data, index) ? "True" : "False");
  } else if (TYPE_BIT(type) & signed_types) {
    snprintf(text, CAST_TEXT_SIZE, "%" PRId64, element_get_int64(type, data, index));
  } else if (TYPE_BIT(type) & unsigned_types) {
    snprintf(text, CAST_TEXT_SIZE, "%" PRIu64, (uint64_t)element_get_int64(type, data, index));
  } else {
    float_to_text(element_get_double(type, data, index), type != NORMA_DOUBLE, text);
  }
  return strlen(text);
}

bool cast_text_to_number(const norma_string *text, norma_element_type type, void *data, int64_t index) {
  char copy[256];
  if (text->size == 0 || text->size >= sizeof copy || memchr(text->data, 0, text->size)) return false;
  memcpy(copy, text->data, text->size);
  copy[text->size] = 0;
  char *end;
  const bool negative = strchr(copy, '-') != NULL;
  if (type == NORMA_INT64 || (type == NORMA_UINT64 && !negative)) { /* more than double can hold */
    errno = 0;
    const uint64_t number = negative ? (uint64_t)strtoll(copy, &end, 10) : strtoull(copy, &end, 10);
    const bool fits = errno == 0 && (type == NORMA_UINT64 || negative || number <= INT64_MAX);
    if (end != copy && end[strspn(end, CAST_BLANKS)] == 0 && fits) {
      element_set_int64(type, data, index, (int64_t)number);
      return true;
    }
  }
  if (type == NORMA_FLOAT) {
    ((float *)data)[index] = text_to_float(copy, &end);
  } else {
    element_set_double(type, data, index, text_to_double(copy, &end));
  }
  if (end == copy) return false;
  return end[strspn(end, CAST_BLANKS)] == 0;
}
