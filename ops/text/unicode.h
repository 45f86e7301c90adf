/*
 * Characters of UTF-8 and what is known of them.
 *
 * Tables of Unicode are other people's work, done well and every year anew, so the ones of libraries are used, and
 * asked for when a text needs them:
 *
 *   Upper and lower case come from the C library, by its locale C.UTF-8, which is part of glibc and of musl, whatever
 *   the locale of the program. They map one character to one: the sharp s has no upper case. ASCII does without; where
 *   the locale is missing, other characters are an error that says so.
 *
 *   General categories (\p{Lu} in regular expressions) come from libutf8proc, which is small and plain C; it is loaded
 *   by dlopen, so that nobody else needs it. Where it is missing, such expressions are refused, by its name.
 *
 * Threads: nothing here is shared; a unicode_case belongs to one thread.
 */
#ifndef OPS_TEXT_UNICODE_H
#define OPS_TEXT_UNICODE_H

#include "engine/norma.h"

#include <locale.h>

#define UNICODE_LAST 0x10FFFFu

/* The character at the begin of a text, and its bytes, 1 to 4; 0: these are no UTF-8 (surrogates and forms that are
 * longer than need be included), or the text is empty. */
int utf8_decode(const char *text, size_t size, uint32_t *character);
/* Writes a character of up to UNICODE_LAST; returns its bytes. */
int utf8_encode(uint32_t character, char bytes[4]);
/* Bytes of the character at the begin of a text that is not empty; 1 for a byte that begins none. */
int utf8_step(const char *text, size_t size);
/* The number of characters; false: the text is not UTF-8. */
bool utf8_count(const char *text, size_t size, size_t *count);
/* Bytes at the begin of a text that are ASCII; some more may follow. */
size_t utf8_ascii(const char *text, size_t size);
bool utf8_is_space(uint32_t character); /* Unicode's property White_Space */

/* Upper and lower case. */
typedef struct unicode_case {
  locale_t locale; /* of the C library; (locale_t)0: not asked for yet */
  bool is_turkic;  /* I and i are upper and lower case of others than each other */
} unicode_case;

/* `language` is a locale's name, such as "tr_TR.UTF-8": Turkish and Azeri differ, all others are alike. */
void unicode_case_init(unicode_case *table, const char *language);
void unicode_case_close(unicode_case *table);
/* The character in lower or upper case. false: the C library has no tables for it. */
bool unicode_lower(unicode_case *table, uint32_t character, uint32_t *result);
bool unicode_upper(unicode_case *table, uint32_t character, uint32_t *result);

/* The two letters of a character's general category, "Lu" and so on. */
typedef const char *unicode_category(int32_t character);
/* NULL where libutf8proc is missing. It stays loaded. */
unicode_category *unicode_find_category(void);

#endif
