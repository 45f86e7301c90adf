/* An allocator for tests: counts calls and outstanding blocks, and fails on demand. Thread-safe. */
#ifndef TESTS_SUPPORT_COUNTING_ALLOCATOR_H
#define TESTS_SUPPORT_COUNTING_ALLOCATOR_H

#include "engine/norma.h"

#include <stdatomic.h>

typedef struct counting_allocator {
  atomic_long allocations; /* calls since the start, failed ones included */
  atomic_long outstanding; /* blocks that were not freed */
  atomic_long failures;    /* calls that were made to fail */
  long fail_at;            /* number of the call that fails (1 is the first); 0: none */
  bool fail_from;          /* all later calls fail too */
} counting_allocator;

/* The allocator's functions with `counting` as their context. */
norma_allocator counting_allocator_functions(counting_allocator *counting);

#endif
