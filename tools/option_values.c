#include "tools/option_values.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------------- single values */

/* A number that is not negative, and where it ended; NULL if there is none. strtod alone would take blanks, signs,
 * "nan", "inf" and hexadecimal. */
static const char *parse_number(const char *text, double *number) {
  if (!isdigit((unsigned char)text[0]) && !(text[0] == '.' && isdigit((unsigned char)text[1]))) return NULL;
  if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) return NULL;
  char *end;
  *number = strtod(text, &end);
  return isfinite(*number) ? end : NULL;
}

bool parse_size(const char *text, size_t *bytes) {
  double number;
  const char *unit = parse_number(text, &number);
  if (!unit) return false;
  if (*unit == ' ') unit++;
  static const char letters[] = "KMGT";
  const char *letter = *unit ? strchr(letters, toupper((unsigned char)*unit)) : NULL;
  if (letter) {
    int power = (int)(letter - letters) + 1;
    bool decimal = (unit[1] == 'B' || unit[1] == 'b') && unit[2] == '\0';
    unit += decimal || unit[1] == '\0' ? 1 : unit[1] == 'i' ? 2 : 0;
    number *= pow(decimal ? 1000 : 1024, power);
  }
  if (*unit == 'B' || *unit == 'b') unit++;
  if (*unit != '\0' || number < 1 || number >= 9.0e18) return false;
  *bytes = (size_t)number;
  return true;
}

bool parse_duration(const char *text, double *seconds) {
  static const struct {
    const char *name;
    double seconds;
  } units[] = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"m", 60}, {"min", 60}, {"h", 3600}};
  double number;
  const char *unit = parse_number(text, &number);
  for (size_t i = 0; unit && i < sizeof units / sizeof units[0]; i++) {
    if (strcmp(unit, units[i].name) == 0 && number > 0) {
      *seconds = number * units[i].seconds;
      return true;
    }
  }
  return false;
}

int parse_shape(const char *text, int64_t dims[NORMA_MAX_RANK]) {
  if (strcmp(text, "scalar") == 0) return 0;
  int rank = 0;
  while (rank < NORMA_MAX_RANK && isdigit((unsigned char)*text)) {
    char *end;
    errno = 0;
    dims[rank] = strtoll(text, &end, 10);
    if (errno != 0) return -1;
    rank++;
    if (*end == '\0') return rank;
    if ((*end != 'x' && *end != 'X' && *end != ',') || end[1] == '\0') return -1;
    text = end + 1;
  }
  return -1;
}

bool parse_integer(const char *text, int64_t low, int64_t high, int64_t *number) {
  char *end;
  errno = 0;
  if (!isdigit((unsigned char)text[0]) && !(text[0] == '-' && isdigit((unsigned char)text[1]))) return false;
  *number = strtoll(text, &end, 10);
  return errno == 0 && *end == '\0' && *number >= low && *number <= high;
}

bool parse_tolerance(const char *text, double *number) {
  const char *end = parse_number(text, number);
  return end && *end == '\0';
}

bool parse_real(const char *text, double *number) {
  char *end;
  double above = strtod(text, &end), below = 1;
  bool good = end != text;
  if (good && *end == '/') {
    const char *rest = end + 1;
    below = strtod(rest, &end);
    good = end != rest;
  }
  *number = above / below;
  return good && *end == '\0' && isfinite(*number);
}

bool parse_numbers(const char *text, number_list *list) {
  char one[64];
  list->count = 0;
  for (;;) {
    size_t length = strcspn(text, ",");
    if (length >= sizeof one || list->count == (int)(sizeof list->numbers / sizeof list->numbers[0])) return false;
    memcpy(one, text, length);
    one[length] = '\0';
    if (!parse_real(one, &list->numbers[list->count++])) return false;
    if (text[length] == '\0') return true;
    text += length + 1;
  }
}

int find_word(const char *text, const char *const *names) {
  for (int i = 0; names[i]; i++) {
    if (strcmp(text, names[i]) == 0) return i;
  }
  return -1;
}

/* ------------------------------------------------------------------------------------------------------ taking them */

bool take_flag(void *place, const char *text, option_pool *pool) {
  (void)text;
  (void)pool;
  return *(bool *)place = true;
}

bool take_text(void *place, const char *text, option_pool *pool) {
  (void)pool;
  *(const char **)place = text;
  return true;
}

bool take_list(void *place, const char *text, option_pool *pool) {
  text_list *list = place;
  if (list->count == list->room) { /* what was there before stays in the pool */
    const size_t room = list->room ? 2 * list->room : 8;
    const char **items = option_pool_allocate(pool, room * sizeof *items);
    if (!items) return false;
    for (size_t i = 0; i < list->count; i++) items[i] = list->items[i];
    list->items = items;
    list->room = room;
  }
  list->items[list->count++] = text;
  return true;
}

bool take_names(void *place, const char *text, option_pool *pool) {
  char *copy = option_pool_allocate(pool, strlen(text) + 1), *rest = NULL;
  if (!copy) return false;
  strcpy(copy, text);
  for (const char *name = strtok_r(copy, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
    if (!take_list(place, name, pool)) return false;
  }
  return true;
}

static bool take_int_from(int64_t low, int *place, const char *text) {
  int64_t number;
  if (!parse_integer(text, low, INT_MAX, &number)) return false;
  *place = (int)number;
  return true;
}

bool take_count(void *place, const char *text, option_pool *pool) {
  (void)pool;
  return take_int_from(0, place, text);
}

bool take_positive(void *place, const char *text, option_pool *pool) {
  (void)pool;
  return take_int_from(1, place, text);
}

bool take_size(void *place, const char *text, option_pool *pool) {
  (void)pool;
  return parse_size(text, place);
}

bool take_duration(void *place, const char *text, option_pool *pool) {
  (void)pool;
  return parse_duration(text, place);
}

bool take_tolerance(void *place, const char *text, option_pool *pool) {
  (void)pool;
  return parse_tolerance(text, place);
}
