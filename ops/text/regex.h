/*
 * Regular expressions in the syntax of RE2, matched in time that grows with the length of the text alone.
 *
 * An expression becomes a program over the bytes of UTF-8 (Thompson's construction), at load. Where its sets of states
 * are few, they are all made then too, as a table (REGEX_MOST_STATES, and a bound for the work); else texts are run
 * through the program itself, state by state. Neither goes back in the text, recurses, or allocates while it matches.
 *
 * Syntax: literals; . \C; classes [..], [[:alpha:]], \d \w \s, \pN \p{Lu} (general categories; see unicode.h); | ( )
 * (?: ) (?P<name> ) (?<name> ) (?flags) (?flags: ) with the flags i m s U; * + ? {n} {n,} {n,m} up to 1000, with a ?
 * behind them; ^ $ \A \z \b \B; \Q..\E and escapes. Refused, by name: what RE2 has not either (back references, looking
 * around, atomic groups and possessive repetition), and scripts such as \p{Greek}. Of a match only where it lies is
 * told, and it is the longest of those that begin first, so that lazy repetition, and parentheses, change nothing.
 */
#ifndef OPS_TEXT_REGEX_H
#define OPS_TEXT_REGEX_H

#include "ops/operator.h"

#define REGEX_MOST_INSTRUCTIONS 200000
#define REGEX_MOST_STATES       2000

typedef struct regex regex;

/* Compiles into the region of the node's graph. Expressions that are wrong, or refused, are an INVALID_MODEL or
 * UNSUPPORTED error of the node; `what` says which of its attributes it is. */
norma_status regex_compile(const node *node, const char *what, const norma_string *pattern, const regex **made,
                           norma_error *error);

/* Bytes of scratch for each thread that matches, aligned to 64, which must be zeroed before the first use. */
size_t regex_scratch_bytes(const regex *regex);

/* Whether the whole text matches. May end early, saying false, when the run is cancelled. */
bool regex_matches(const run_context *context, const regex *regex, const char *text, size_t size, void *scratch);

/* The longest of the matches that begin first, from `start` on; what stands before `start` is seen by \b and ^. false:
 * there is none, or the run is cancelled. Adds the bytes that it read to *steps. */
bool regex_search(const run_context *context, const regex *regex, const char *text, size_t size, size_t start,
                  void *scratch, size_t *begin, size_t *end, size_t *steps);

#endif
