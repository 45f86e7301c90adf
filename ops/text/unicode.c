#include "ops/text/unicode.h"

#include <dlfcn.h>
#include <string.h>
#include <wctype.h>

int utf8_decode(const char *text, size_t size, uint32_t *character) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const unsigned char *bytes = (const unsigned char *)text;
  if (size == 0) return 0;
  if (bytes[0] < 0x80) {
    *character = bytes[0];
    return 1;
  }
  const int count = bytes[0] < 0xC2 ? 0 : bytes[0] < 0xE0 ? 2 : bytes[0] < 0xF0 ? 3 : bytes[0] < 0xF5 ? 4 : 0;
  if (count == 0 || size < (size_t)count) return 0;
  uint32_t result = bytes[0] & (0x7Fu >> count);
  for (int i = 1; i < count; i++) {
    if ((bytes[i] & 0xC0) != 0x80) return 0;
    result = result << 6 | (bytes[i] & 0x3F);
  }
  if (result < least[count] || result > UNICODE_LAST || (result >= 0xD800 && result < 0xE000)) return 0;
  *character = result;
  return count;
}

int utf8_encode(uint32_t character, char bytes[4]) {
  if (character < 0x80) {
    bytes[0] = (char)character;
    return 1;
  }
  const int count = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
  for (int i = count - 1; i > 0; i--, character >>= 6) bytes[i] = (char)(0x80 | (character & 0x3F));
  bytes[0] = (char)((0xF00u >> count & 0xF0) | character);
  return count;
}

int utf8_step(const char *text, size_t size) {
  uint32_t character;
  const int bytes = utf8_decode(text, size, &character);
  return bytes > 0 ? bytes : 1;
}

size_t utf8_ascii(const char *text, size_t size) {
  size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    uint64_t word;
    memcpy(&word, text + at, 8);
    if (word & 0x8080808080808080u) return at;
  }
  return at;
}

bool utf8_count(const char *text, size_t size, size_t *count) {
  uint32_t character;
  size_t at = utf8_ascii(text, size);
  for (*count = at; at < size; (*count)++) {
    const int bytes = utf8_decode(text + at, size - at, &character);
    if (bytes == 0) return false;
    at += (size_t)bytes;
  }
  return true;
}

bool utf8_is_space(uint32_t character) {
  if (character < 0x80) return character == ' ' || (character >= '\t' && character <= '\r');
  return character == 0x85 || character == 0xA0 || character == 0x1680 ||
         (character >= 0x2000 && character <= 0x200A) || character == 0x2028 || character == 0x2029 ||
         character == 0x202F || character == 0x205F || character == 0x3000;
}

/* ------------------------------------------------------------------------------------------------------------- case */

void unicode_case_init(unicode_case *table, const char *language) {
  const bool is_turkic = strncmp(language, "tr", 2) == 0 || strncmp(language, "az", 2) == 0;
  const char end = is_turkic ? language[2] : 'x'; /* "tr", "tr_TR", "tr-TR", "tr.UTF-8" */
  *table = (unicode_case){.is_turkic = is_turkic && (end == 0 || end == '_' || end == '-' || end == '.')};
}

void unicode_case_close(unicode_case *table) {
  if (table->locale) freelocale(table->locale);
  table->locale = (locale_t)0;
}

static bool unicode_case_open(unicode_case *table) {
  if (!table->locale) table->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  return table->locale != (locale_t)0;
}

bool unicode_lower(unicode_case *table, uint32_t character, uint32_t *result) {
  *result = character;
  if (table->is_turkic && (character == 'I' || character == 0x130)) {
    *result = character == 'I' ? 0x131 : 'i';
    return true;
  }
  if (character < 0x80) {
    if (character >= 'A' && character <= 'Z') *result = character + ('a' - 'A');
    return true;
  }
  if (!unicode_case_open(table)) return false;
  *result = (uint32_t)towlower_l((wint_t)character, table->locale);
  return true;
}

bool unicode_upper(unicode_case *table, uint32_t character, uint32_t *result) {
  *result = character;
  if (table->is_turkic && (character == 'i' || character == 0x131)) {
    *result = character == 'i' ? 0x130 : 'I';
    return true;
  }
  if (character < 0x80) {
    if (character >= 'a' && character <= 'z') *result = character - ('a' - 'A');
    return true;
  }
  if (!unicode_case_open(table)) return false;
  *result = (uint32_t)towupper_l((wint_t)character, table->locale);
  return true;
}

/* ------------------------------------------------------------------------------------------------------- categories */

unicode_category *unicode_find_category(void) {
  static const char *const names[] = {"libutf8proc.so.3", "libutf8proc.so.2", "libutf8proc.so"};
  unicode_category *found = NULL;
  for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++) {
    void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) continue;
    *(void **)&found = dlsym(library, "utf8proc_category_string");
    dlclose(library); /* which stays all the same */
  }
  return found;
}
