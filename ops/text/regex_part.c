/* Parts of patterns that are no groups: characters, escapes, classes, assertions. */
#include "ops/text/regex_parser.h"

/* ---------------------------------------------------------------------------------------------------------- escapes */

static int hex_digit(char letter) {
  if (letter >= '0' && letter <= '9') return letter - '0';
  if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
  if (letter >= 'A' && letter <= 'F') return letter - 'A' + 10;
  return -1;
}

/* Behind "\x": two digits, or any number of them in braces. */
static norma_status take_hex(pattern_parser *parser, uint32_t *character) {
  const bool has_braces = pattern_takes(parser, '{');
  int digits = 0;
  *character = 0;
  while (parser->next < parser->end && hex_digit(*parser->next) >= 0 && (has_braces || digits < 2)) {
    *character = *character * 16 + (uint32_t)hex_digit(*parser->next++);
    digits++;
    if (*character > UNICODE_LAST) return pattern_wrong(parser, "\\x{..} is beyond Unicode");
  }
  if (digits == 0 || (has_braces ? !pattern_takes(parser, '}') : digits < 2))
    return pattern_wrong(parser, "\\x wants two digits, or digits in braces");
  return NORMA_OK;
}

/* The one character that an escape behind its backslash stands for. */
static norma_status take_escaped(pattern_parser *parser, uint32_t *character) {
  static const char letters[] = "aftnrv", meanings[] = "\a\f\t\n\r\v";
  if (parser->next == parser->end) return pattern_wrong(parser, "ends with a backslash");
  const uint32_t letter = *character = pattern_take_character(parser);
  if (letter == 'x') return take_hex(parser, character);
  if (letter >= '0' && letter <= '7') {
    const bool is_octal = letter == '0' || (parser->next < parser->end && *parser->next >= '0' && *parser->next <= '7');
    if (!is_octal) return pattern_wrong(parser, "back references such as \\1 cannot be matched in linear time");
    *character = letter - '0';
    for (int i = 0; i < 2 && parser->next < parser->end && *parser->next >= '0' && *parser->next <= '7'; i++)
      *character = *character * 8 + (uint32_t)(*parser->next++ - '0');
    return NORMA_OK;
  }
  const bool is_letter = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z');
  if (!is_letter && (letter < '0' || letter > '9') && letter < 0x80) return NORMA_OK; /* punctuation is itself */
  const char *found = letter < 0x80 ? strchr(letters, (int)letter) : NULL;
  if (!found) {
    char bytes[5] = {0};
    utf8_encode(letter, bytes);
    return regex_refuse(parser->builder, NORMA_ERROR_INVALID_MODEL, "there is no escape \\%s", bytes);
  }
  *character = (unsigned char)meanings[found - letters];
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- classes */

/* Adds characters, with those that differ by case alone where that is ignored, or all others. */
static norma_status add_item(const pattern_parser *parser, character_set *set, character_set *item, bool is_negated) {
  if (parser->flags.ignores_case) TRY(set_fold(item));
  if (is_negated) TRY(set_negate(item));
  return set_add_all(set, item);
}

/* \d \D \w \W \s \S \pN \p{Lu} \P.. at the next byte; *found says whether there is one. */
static norma_status take_class_escape(pattern_parser *parser, character_set *set, bool *found) {
  const char *at = parser->next;
  character_set item = {.builder = parser->builder};
  *found = false;
  if (parser->end - at < 2 || at[0] != '\\') return NORMA_OK;
  bool is_negated = at[1] >= 'A' && at[1] <= 'Z';
  const char letter = is_negated ? (char)(at[1] - 'A' + 'a') : at[1];
  const character_range *ranges;
  size_t count;
  if (set_perl_ranges(letter, &ranges, &count)) {
    parser->next += 2;
    for (size_t i = 0; i < count; i++) TRY(set_add(&item, ranges[i].low, ranges[i].high));
  } else if (letter == 'p') {
    parser->next += 2;
    if (parser->next == parser->end) return pattern_wrong(parser, "\\p wants a category");
    const char *name = parser->next;
    if (pattern_takes(parser, '{')) {
      const char *close = memchr(parser->next, '}', (size_t)(parser->end - parser->next));
      if (!close) return pattern_wrong(parser, "\\p{ without its }");
      if (pattern_takes(parser, '^')) is_negated = !is_negated;
      name = parser->next;
      TRY(set_add_category(&item, name, (size_t)(close - name)));
      parser->next = close + 1;
    } else {
      pattern_take_character(parser);
      TRY(set_add_category(&item, name, (size_t)(parser->next - name)));
    }
  } else {
    return NORMA_OK;
  }
  *found = true;
  return add_item(parser, set, &item, is_negated);
}

/* [:alpha:] and [:^alpha:] */
static norma_status take_posix_class(pattern_parser *parser, character_set *set, bool *found) {
  const size_t left = (size_t)(parser->end - parser->next);
  character_set item = {.builder = parser->builder};
  *found = false;
  if (left < 2 || memcmp(parser->next, "[:", 2) != 0) return NORMA_OK;
  const char *name = parser->next + 2, *close = name;
  while (close + 1 < parser->end && memcmp(close, ":]", 2) != 0) close++;
  if (close + 1 >= parser->end) return NORMA_OK;
  const bool is_negated = *name == '^';
  name += is_negated;
  const character_range *ranges;
  size_t count;
  if (name > close || !set_posix_ranges(name, (size_t)(close - name), &ranges, &count))
    return regex_refuse(parser->builder, NORMA_ERROR_INVALID_MODEL, "there is no class [:%.*s:]",
                        close - name > 40 ? 40
                        : name > close    ? 0
                                          : (int)(close - name),
                        name);
  for (size_t i = 0; i < count; i++) TRY(set_add(&item, ranges[i].low, ranges[i].high));
  parser->next = close + 2;
  *found = true;
  return add_item(parser, set, &item, is_negated);
}

static norma_status take_class_character(pattern_parser *parser, uint32_t *character) {
  if (parser->next == parser->end) return pattern_wrong(parser, "[ without its ]");
  if (pattern_takes(parser, '\\')) return take_escaped(parser, character);
  *character = pattern_take_character(parser);
  return NORMA_OK;
}

static norma_status take_class_range(pattern_parser *parser, character_set *set) {
  character_set item = {.builder = parser->builder};
  uint32_t low, high;
  TRY(take_class_character(parser, &low));
  high = low;
  if (parser->end - parser->next >= 2 && parser->next[0] == '-' && parser->next[1] != ']') {
    parser->next++;
    TRY(take_class_character(parser, &high));
    if (high < low) return pattern_wrong(parser, "a range in [..] ends before it begins");
  }
  TRY(set_add(&item, low, high));
  return add_item(parser, set, &item, false);
}

/* Behind "[". */
static norma_status parse_class(pattern_parser *parser) {
  character_set set = {.builder = parser->builder};
  const bool is_negated = pattern_takes(parser, '^');
  for (bool is_first = true;; is_first = false) {
    bool found;
    if (!is_first && pattern_takes(parser, ']')) break;
    if (parser->next == parser->end) return pattern_wrong(parser, "[ without its ]");
    TRY(take_posix_class(parser, &set, &found));
    if (!found) TRY(take_class_escape(parser, &set, &found));
    if (!found) TRY(take_class_range(parser, &set));
  }
  if (is_negated) TRY(set_negate(&set));
  return set_compile(&set);
}

/* ------------------------------------------------------------------------------------------------------------ parts */

static norma_status put_character(pattern_parser *parser, uint32_t character) {
  character_set set = {.builder = parser->builder}, item = set;
  pattern_begin_part(parser);
  TRY(set_add(&item, character, character));
  TRY(add_item(parser, &set, &item, false));
  return set_compile(&set);
}

static norma_status put_assertion(pattern_parser *parser, int assertion) {
  pattern_begin_part(parser);
  return regex_append(parser->builder, (regex_instruction){REGEX_ASSERT, (uint8_t)assertion, 0, 0});
}

/* Behind ".". */
static norma_status put_any(pattern_parser *parser) {
  character_set set = {.builder = parser->builder};
  pattern_begin_part(parser);
  if (parser->flags.dot_takes_newline) {
    TRY(set_add(&set, 0, UNICODE_LAST));
  } else {
    TRY(set_add(&set, 0, '\n' - 1));
    TRY(set_add(&set, '\n' + 1, UNICODE_LAST));
  }
  return set_compile(&set);
}

/* Behind "\Q": characters as they are, up to "\E" or the end. */
static norma_status parse_quoted(pattern_parser *parser) {
  while (parser->next < parser->end && !pattern_takes_text(parser, "\\E"))
    TRY(put_character(parser, pattern_take_character(parser)));
  return NORMA_OK;
}

static norma_status parse_escape(pattern_parser *parser) {
  character_set set = {.builder = parser->builder};
  uint32_t character;
  bool found;
  if (pattern_takes_text(parser, "\\Q")) return parse_quoted(parser);
  if (pattern_takes_text(parser, "\\A")) return put_assertion(parser, REGEX_BEGIN_TEXT);
  if (pattern_takes_text(parser, "\\z")) return put_assertion(parser, REGEX_END_TEXT);
  if (pattern_takes_text(parser, "\\b")) return put_assertion(parser, REGEX_WORD_EDGE);
  if (pattern_takes_text(parser, "\\B")) return put_assertion(parser, REGEX_NO_WORD_EDGE);
  if (pattern_takes_text(parser, "\\C")) {
    pattern_begin_part(parser);
    return regex_append(parser->builder, (regex_instruction){REGEX_BYTES, 0, 255, 0});
  }
  pattern_begin_part(parser);
  TRY(take_class_escape(parser, &set, &found));
  if (found) return set_compile(&set);
  parser->next++;
  TRY(take_escaped(parser, &character));
  return put_character(parser, character);
}

norma_status pattern_parse_part(pattern_parser *parser) {
  if (*parser->next == '\\') return parse_escape(parser);
  if (pattern_takes(parser, '^'))
    return put_assertion(parser, parser->flags.is_multiline ? REGEX_BEGIN_LINE : REGEX_BEGIN_TEXT);
  if (pattern_takes(parser, '$'))
    return put_assertion(parser, parser->flags.is_multiline ? REGEX_END_LINE : REGEX_END_TEXT);
  if (pattern_takes(parser, '.')) return put_any(parser);
  if (pattern_takes(parser, '[')) {
    pattern_begin_part(parser);
    return parse_class(parser);
  }
  return put_character(parser, pattern_take_character(parser));
}
