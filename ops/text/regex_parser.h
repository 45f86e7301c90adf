/* Where the parser of regular expressions stands in a pattern; see regex_parse.c. */
#ifndef OPS_TEXT_REGEX_PARSER_H
#define OPS_TEXT_REGEX_PARSER_H

#include "ops/text/regex_program.h"

typedef struct regex_flags {
  bool ignores_case, is_multiline, dot_takes_newline;
} regex_flags;

typedef struct regex_group {
  regex_flags flags; /* of what is around the group */
  size_t begin;      /* of its first instruction */
  size_t bars;       /* of those before the group */
  int repeats;       /* the most, multiplied, of its parts so far */
} regex_group;

typedef struct pattern_parser {
  regex_builder *builder;
  const char *next, *end;
  regex_flags flags;
  regex_group *groups; /* the whole pattern is the first */
  size_t group_count;
  size_t *bars; /* where the alternatives of the open groups end, but the last of each */
  size_t bar_count, bar_capacity;

  /* The part that a repetition would repeat. */
  bool has_part, is_repeated; /* by the operator before */
  size_t part;                /* where its fragment begins */
  int part_repeats;
} pattern_parser;

norma_status pattern_wrong(const pattern_parser *parser, const char *reason);
/* Whether the letter, or the text, comes next; then it is taken. */
bool pattern_takes(pattern_parser *parser, char letter);
bool pattern_takes_text(pattern_parser *parser, const char *text);
/* What comes next is the begin of a part. */
void pattern_begin_part(pattern_parser *parser);
/* The next character, of a pattern that is UTF-8 and not at its end. */
uint32_t pattern_take_character(pattern_parser *parser);

/* Takes a part that matches one character or none, other than a group, with its fragment. */
norma_status pattern_parse_part(pattern_parser *parser);

#endif
