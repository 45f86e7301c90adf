/* Whole lives of a model, from the runtime's birth to its end, in which chosen allocations fail. */
#ifndef TESTS_FUZZ_FAILING_LIFE_H
#define TESTS_FUZZ_FAILING_LIFE_H

#include "tests/fuzz/vector_folder.h"

/* X(constant, name). RUN: loads, reads the inputs, runs twice. LOOK: loads to look at, reads all that is said of the
 * model, edits the file. WRITE: loads and writes the optimised model. NORMALIZE: measures BatchNormalization, sets its
 * statistics, freezes. */
#define LIFE_KIND_LIST(X)                                                                                              \
  X(LIFE_RUN_PLAIN, "run -O0")                                                                                         \
  X(LIFE_RUN_FULL, "run -O2")                                                                                          \
  X(LIFE_LOOK, "look, edit")                                                                                           \
  X(LIFE_WRITE, "write")                                                                                               \
  X(LIFE_NORMALIZE, "normalize")

typedef enum life_kind {
#define LIFE_KIND_ENTRY(constant, name) constant,
  LIFE_KIND_LIST(LIFE_KIND_ENTRY)
#undef LIFE_KIND_ENTRY
      LIFE_KINDS
} life_kind;

const char *life_kind_name(life_kind kind);

typedef struct life_plan {
  life_kind kind;
  int threads;
  long fail_at;     /* the number of the allocation that fails; 0: none */
  bool fail_from;   /* all later ones too */
  bool tries_again; /* a step that ran out of memory is done again with nothing failing, and must succeed */
} life_plan;

typedef struct life_result {
  norma_status status; /* OK: the life came to its end */
  uint64_t digest;     /* of everything that came out */
  long allocations;    /* calls of the allocator */
  bool failed;         /* an allocation was made to fail */
  bool ran_out;        /* a step ended with OUT_OF_MEMORY */
  char step[32];       /* the last one that failed */
  char fault[400];     /* what is wrong whatever the reference says: lost memory, a bad error; "": nothing */
} life_result;

void live(const vector_folder *vector, const life_plan *plan, life_result *result);

#endif
