/*
 * Patterns to programs, in one pass from left to right. Every part becomes a fragment behind the one before, and what
 * stands behind a part (a repetition, the end of its group) changes or moves the fragment. Groups are on a stack of
 * their own, so that nothing recurses.
 */
#include "ops/text/regex_parser.h"

#define REGEX_MOST_REPEATS 1000 /* as in RE2: in one repetition, and in those inside of each other together */
#define REGEX_MOST_GROUPS  1000 /* inside of each other */

norma_status pattern_wrong(const pattern_parser *parser, const char *reason) {
  return regex_refuse(parser->builder, NORMA_ERROR_INVALID_MODEL, "%s", reason);
}

bool pattern_takes(pattern_parser *parser, char letter) {
  if (parser->next == parser->end || *parser->next != letter) return false;
  parser->next++;
  return true;
}

bool pattern_takes_text(pattern_parser *parser, const char *text) {
  const size_t size = strlen(text);
  if ((size_t)(parser->end - parser->next) < size || memcmp(parser->next, text, size) != 0) return false;
  parser->next += size;
  return true;
}

void pattern_begin_part(pattern_parser *parser) {
  parser->has_part = true;
  parser->is_repeated = false;
  parser->part = parser->builder->count;
  parser->part_repeats = 1;
}

uint32_t pattern_take_character(pattern_parser *parser) {
  uint32_t character = 0;
  parser->next += utf8_decode(parser->next, (size_t)(parser->end - parser->next), &character);
  return character;
}

/* ------------------------------------------------------------------------------------------------------ repetitions */

/* The fragment of the last part becomes `least` to `most` of it, most -1: any number. */
static norma_status repeat_part(pattern_parser *parser, int least, int most) {
  regex_builder *builder = parser->builder;
  const size_t begin = parser->part, size = builder->count - begin, lead = least == 0;
  const int copies = most >= 0 ? most : least == 0 ? 1 : least;
  const regex_instruction split = {.operation = REGEX_SPLIT};
  if (most == 0 || size == 0) { /* nothing any number of times is nothing */
    if (most == 0) builder->count = begin;
    return NORMA_OK;
  }
  if (lead) {
    TRY(regex_insert(builder, begin, 1));
    builder->code[begin] = split;
  }
  for (int i = 1; i < copies; i++) {
    if (i >= least) TRY(regex_append(builder, split));
    TRY(regex_append_copy(builder, begin + lead, size));
  }
  if (most < 0 && lead) {
    TRY(regex_append(builder, (regex_instruction){.operation = REGEX_JUMP}));
    builder->code[builder->count - 1].offset = -(int32_t)(builder->count - 1 - begin);
    builder->code[begin].offset = (int32_t)(builder->count - begin);
  } else if (most < 0) {
    TRY(regex_append(builder, split));
    builder->code[builder->count - 1].offset = -(int32_t)size;
  }
  for (int i = least; i < most; i++) { /* each copy that may be left out, with all that follow it */
    const size_t at = begin + (size_t)i * size + (size_t)(i - least);
    builder->code[at].offset = (int32_t)(builder->count - at);
  }
  return NORMA_OK;
}

/* "{n}", "{n,}" or "{n,m}" at the next byte; *found: there is one, and it is taken. Others are characters as they
 * are. */
static norma_status take_counts(pattern_parser *parser, int *least, int *most, bool *found) {
  const char *at = parser->next + 1;
  int counts[2] = {0, 0}, digits[2] = {0, 0};
  bool has_comma = false;
  *found = false;
  for (; at < parser->end && (*at == ',' || (*at >= '0' && *at <= '9')); at++) {
    if (*at == ',' && has_comma) return NORMA_OK;
    if (*at == ',') {
      has_comma = true;
      continue;
    }
    digits[has_comma]++;
    if (counts[has_comma] <= REGEX_MOST_REPEATS) counts[has_comma] = counts[has_comma] * 10 + (*at - '0');
  }
  if (at == parser->end || *at != '}' || digits[0] == 0) return NORMA_OK;
  parser->next = at + 1;
  *found = true;
  *least = counts[0];
  *most = !has_comma ? counts[0] : digits[1] ? counts[1] : -1;
  if (*least > REGEX_MOST_REPEATS || *most > REGEX_MOST_REPEATS || (*most >= 0 && *most < *least))
    return pattern_wrong(parser, "counts in {..} must rise, up to 1000");
  return NORMA_OK;
}

static norma_status parse_repetition(pattern_parser *parser, bool *found) {
  int least = 0, most = -1;
  *found = false;
  switch (*parser->next) {
  case '*':
    break;
  case '+':
    least = 1;
    break;
  case '?':
    most = 1;
    break;
  case '{':
    TRY(take_counts(parser, &least, &most, found));
    if (!*found) return NORMA_OK;
    parser->next--; /* as if it were one letter */
    break;
  default:
    return NORMA_OK;
  }
  parser->next++;
  *found = true;
  if (!parser->has_part) return pattern_wrong(parser, "a repetition has nothing to repeat");
  if (parser->is_repeated)
    return pattern_wrong(parser, "a repetition is repeated: possessive ones do not exist, and others want a group");
  pattern_takes(parser, '?'); /* the longest match is wanted all the same */
  parser->is_repeated = true;
  const int factor = most > 0 ? most : least;
  if (factor > 1) parser->part_repeats *= factor;
  if (parser->part_repeats > REGEX_MOST_REPEATS)
    return pattern_wrong(parser, "repetitions inside of each other repeat more than 1000 times");
  return repeat_part(parser, least, most);
}

/* ----------------------------------------------------------------------------------------------------------- groups */

static norma_status open_group(pattern_parser *parser, regex_flags around) {
  if (parser->group_count > REGEX_MOST_GROUPS)
    return pattern_wrong(parser, "more than 1000 groups inside of each other");
  parser->groups[parser->group_count++] = (regex_group){around, parser->builder->count, parser->bar_count, 1};
  parser->has_part = false;
  return NORMA_OK;
}

/* The repetitions of a part count for its group when the next part begins, or the group ends. */
static void count_repeats(pattern_parser *parser) {
  regex_group *group = &parser->groups[parser->group_count - 1];
  if (parser->has_part && parser->part_repeats > group->repeats) group->repeats = parser->part_repeats;
}

/* Fragments of alternatives, one behind the other, become one: a split before each but the last, and a jump behind. */
static norma_status join_alternatives(pattern_parser *parser, const regex_group *group) {
  regex_builder *builder = parser->builder;
  const size_t *bars = parser->bars + group->bars, count = parser->bar_count - group->bars;
  size_t end = builder->count;
  if (count == 0) return NORMA_OK;
  TRY(regex_insert(builder, end, 2 * count));
  const size_t whole = builder->count;
  for (size_t i = count + 1; i-- > 0;) { /* from behind, so that nothing is written over */
    const size_t begin = i == 0 ? group->begin : bars[i - 1], size = end - begin;
    const size_t to = begin + 2 * i + (i < count);
    memmove(builder->code + to, builder->code + begin, size * sizeof *builder->code);
    if (i < count) {
      builder->code[to - 1] = (regex_instruction){.operation = REGEX_SPLIT, .offset = (int32_t)(size + 2)};
      builder->code[to + size] = (regex_instruction){.operation = REGEX_JUMP, .offset = (int32_t)(whole - (to + size))};
    }
    end = begin;
  }
  parser->bar_count = group->bars;
  return NORMA_OK;
}

static norma_status close_group(pattern_parser *parser) {
  count_repeats(parser);
  const regex_group *group = &parser->groups[--parser->group_count];
  TRY(join_alternatives(parser, group));
  parser->flags = group->flags;
  parser->has_part = true;
  parser->is_repeated = false;
  parser->part = group->begin;
  parser->part_repeats = group->repeats;
  return NORMA_OK;
}

static norma_status add_bar(pattern_parser *parser) {
  if (parser->bar_count == parser->bar_capacity) {
    const size_t capacity = parser->bar_capacity ? 2 * parser->bar_capacity : 64;
    size_t *grown = region_array(&parser->builder->work, capacity, sizeof *grown);
    if (!grown) return region_error(&parser->builder->work, parser->builder->error);
    if (parser->bar_count) memcpy(grown, parser->bars, parser->bar_count * sizeof *grown);
    parser->bars = grown;
    parser->bar_capacity = capacity;
  }
  count_repeats(parser);
  parser->has_part = false;
  parser->bars[parser->bar_count++] = parser->builder->count;
  return NORMA_OK;
}

/* Behind "(?P<" or "(?<": a name, which is not needed. */
static norma_status parse_name(pattern_parser *parser) {
  const char *begin = parser->next;
  while (parser->next < parser->end && regex_side_of((uint8_t)*parser->next) == SIDE_WORD) parser->next++;
  if (parser->next == begin || !pattern_takes(parser, '>'))
    return pattern_wrong(parser, "the name of a group is wrong");
  return open_group(parser, parser->flags);
}

/* Behind "(?": flags for the rest of the group around, or for a group. */
static norma_status parse_flags(pattern_parser *parser) {
  const regex_flags around = parser->flags;
  regex_flags flags = around;
  bool value = true, has_one = true;
  while (parser->next < parser->end) {
    const char letter = *parser->next++;
    if (letter == ')' && has_one) {
      parser->flags = flags;
      parser->is_repeated = false;
      return NORMA_OK;
    }
    if (letter == ':' && has_one) {
      parser->flags = flags;
      count_repeats(parser);
      return open_group(parser, around);
    }
    if (letter == '-' && value) {
      value = false;
      has_one = false;
      continue;
    }
    has_one = true;
    if (letter == 'i')
      flags.ignores_case = value;
    else if (letter == 'm')
      flags.is_multiline = value;
    else if (letter == 's')
      flags.dot_takes_newline = value;
    else if (letter != 'U') /* greedy and lazy change places, which makes no difference here */
      break;
  }
  return pattern_wrong(parser, "(? is followed by what is no flag");
}

/* Behind "(". */
static norma_status parse_open(pattern_parser *parser) {
  if (pattern_takes_text(parser, "?=") || pattern_takes_text(parser, "?!") || pattern_takes_text(parser, "?<=") ||
      pattern_takes_text(parser, "?<!"))
    return pattern_wrong(parser, "looking around, as in (?=..), cannot be matched in linear time");
  if (pattern_takes_text(parser, "?>") || pattern_takes_text(parser, "?P=") || pattern_takes_text(parser, "?P>"))
    return pattern_wrong(parser, "atomic groups and references to groups are not supported");
  if (pattern_takes_text(parser, "?P<") || pattern_takes_text(parser, "?<")) {
    count_repeats(parser);
    return parse_name(parser);
  }
  if (pattern_takes(parser, '?')) return parse_flags(parser);
  count_repeats(parser);
  return open_group(parser, parser->flags);
}

/* ------------------------------------------------------------------------------------------------------------ whole */

static norma_status parse_part(pattern_parser *parser) {
  bool found;
  TRY(parse_repetition(parser, &found));
  if (found) return NORMA_OK;
  if (pattern_takes(parser, '(')) return parse_open(parser);
  if (pattern_takes(parser, '|')) return add_bar(parser);
  if (pattern_takes(parser, ')')) {
    if (parser->group_count == 1) return pattern_wrong(parser, ") without its (");
    return close_group(parser);
  }
  count_repeats(parser);
  return pattern_parse_part(parser);
}

norma_status regex_parse(regex_builder *builder, const norma_string *pattern) {
  pattern_parser parser = {.builder = builder};
  size_t characters;
  if (!utf8_count(pattern->data, pattern->size, &characters))
    return pattern_wrong(&parser, "the expression is not UTF-8");
  parser.groups = region_array(&builder->work, REGEX_MOST_GROUPS + 1, sizeof *parser.groups);
  if (!parser.groups) return region_error(&builder->work, builder->error);
  parser.next = pattern->size ? pattern->data : "";
  parser.end = parser.next + pattern->size;
  TRY(open_group(&parser, parser.flags));
  while (parser.next < parser.end) TRY(parse_part(&parser));
  if (parser.group_count > 1) return pattern_wrong(&parser, "( without its )");
  return close_group(&parser);
}
