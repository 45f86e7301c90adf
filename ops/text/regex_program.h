/* What the parts of the regular expressions share: programs, and how they are put together. */
#ifndef OPS_TEXT_REGEX_PROGRAM_H
#define OPS_TEXT_REGEX_PROGRAM_H

#include "ops/text/regex.h"
#include "ops/text/unicode.h"

/* --------------------------------------------------------------------------------------------------------- programs */

typedef enum regex_operation {
  REGEX_BYTES,  /* takes a byte from low to high, and goes on with the next instruction */
  REGEX_SPLIT,  /* goes on with the next instruction, and `offset` instructions further */
  REGEX_JUMP,   /* goes on `offset` instructions further */
  REGEX_ASSERT, /* goes on with the next instruction where the assertion `low` holds */
  REGEX_FAIL,
  REGEX_MATCH
} regex_operation;

typedef struct regex_instruction {
  uint8_t operation, low, high;
  int32_t offset;
} regex_instruction;

/* Assertions, and in sets those that hold between two bytes. */
enum {
  REGEX_BEGIN_TEXT = 1,
  REGEX_END_TEXT = 2,
  REGEX_BEGIN_LINE = 4,
  REGEX_END_LINE = 8,
  REGEX_WORD_EDGE = 16,
  REGEX_NO_WORD_EDGE = 32
};

/* What assertions see of a neighbour. */
typedef enum regex_side { SIDE_NONE, SIDE_WORD, SIDE_NEWLINE, SIDE_OTHER, SIDE_COUNT } regex_side;

struct regex {
  size_t count; /* of instructions */
  const regex_instruction *program;
  bool has_assertions;
  int classes; /* of bytes that no instruction tells apart */
  uint8_t class_of[256];
  uint8_t example[256]; /* a byte of each class */

  /* The table; state 0 is dead. NULL: there are too many states. */
  size_t states;
  const uint32_t *next; /* by state and class: row << 1, of the state that follows, + 1 where the text before the byte
                                  matches; the row of a state is its number times `classes` */
  const bool *accepts;  /* by state: at the end of the text */
  uint32_t starts[SIDE_COUNT]; /* rows, by what stands before */
  bool can_begin[256];         /* whether a match may begin with the byte, or be empty before it */
};

static inline regex_side regex_side_of(uint8_t byte) {
  const bool word =
      (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '_';
  return word ? SIDE_WORD : byte == '\n' ? SIDE_NEWLINE : SIDE_OTHER;
}

/* The assertions that hold between two neighbours. */
uint8_t regex_assertions(regex_side before, regex_side after);

/* Makes the table of a program, if it is small enough, in `region`; `work` is for what goes. Errors: OUT_OF_MEMORY,
 * BUDGET. */
norma_status regex_tabulate(regex *regex, region *region, struct region *work, norma_error *error);

/* Where a program stands, in all places at once. */
typedef struct regex_place {
  uint32_t instruction;
  size_t begin; /* of the match that this would be part of */
} regex_place;

typedef struct regex_threads {
  const regex *regex;
  regex_place *seeds; /* in rising order of `begin`: where to go on from */
  size_t seed_count;
  regex_place *waiting; /* for a byte, in the same order */
  size_t waiting_count;
  uint32_t *stack;
  uint32_t *visited;
  bool *is_visited; /* all false between steps */
} regex_threads;

size_t regex_threads_bytes(const regex *regex);
/* In a block of as many bytes, zeroed before it is used for the first time. */
void regex_threads_init(regex_threads *threads, const regex *regex, void *block);
/* Follows all that takes no byte, from the seeds to those that wait; an instruction belongs to the first that comes
 * there. Whether a match ends here, and the first begin of one. */
bool regex_threads_follow(regex_threads *threads, uint8_t assertions, size_t *begin);
/* Takes a byte: seeds are behind those that waited for it. */
void regex_threads_take(regex_threads *threads, uint8_t byte);

/* ---------------------------------------------------------------------------------------------------------- putting */

/* A program that grows. Fragments lie one behind the other, begin at their first instruction, and end behind their
 * last; offsets within stay right when a fragment is moved. */
typedef struct regex_builder {
  const node *node;
  const char *what;
  norma_error *error;
  region work; /* of what goes when the program is made */
  regex_instruction *code;
  size_t count, capacity;
  const struct fold_table *folds; /* made when it is needed */
} regex_builder;

/* "what: reason" as an error of the node. */
norma_status regex_refuse(const regex_builder *builder, norma_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes room for `room` instructions at `at` by moving those from there on. */
norma_status regex_insert(regex_builder *builder, size_t at, size_t room);
norma_status regex_append(regex_builder *builder, regex_instruction instruction);
/* Appends `count` instructions from `begin` on once more. */
norma_status regex_append_copy(regex_builder *builder, size_t begin, size_t count);

/* Appends the fragment of a pattern. */
norma_status regex_parse(regex_builder *builder, const norma_string *pattern);

/* ---------------------------------------------------------------------------------------------------------- classes */

typedef struct character_range {
  uint32_t low, high;
} character_range;

/* A set of characters, in the work region of a builder. */
typedef struct character_set {
  regex_builder *builder;
  character_range *ranges;
  size_t count, capacity;
} character_set;

norma_status set_add(character_set *set, uint32_t low, uint32_t high);
norma_status set_add_all(character_set *set, const character_set *other);
/* In rising order, without ranges that touch. */
void set_tidy(character_set *set);
norma_status set_negate(character_set *set);
/* Adds the characters that differ from some of the set by case. */
norma_status set_fold(character_set *set);
/* \d \w \s by their letters; false: there is none such. */
bool set_perl_ranges(char letter, const character_range **ranges, size_t *count);
/* [:name:]; false: there is none such. */
bool set_posix_ranges(const char *name, size_t size, const character_range **ranges, size_t *count);
/* \p{name} */
norma_status set_add_category(character_set *set, const char *name, size_t size);
/* Appends a fragment that takes one character of the set. */
norma_status set_compile(character_set *set);

#endif
