/* A runtime for the tests of a program, which checks that all they make with it is freed. */
#ifndef TESTS_TOOLS_UNIT_TOOL_RUNTIME_H
#define TESTS_TOOLS_UNIT_TOOL_RUNTIME_H

#include "engine/norma.h"

static norma_runtime *runtime;

/* What comes before the group of tests. */
static inline int tool_runtime_begin(void **state) {
  (void)state;
  const norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  return norma_runtime_create(&options, &runtime, NULL) == NORMA_OK ? 0 : -1;
}

/* What comes after it: fails where anything is left. */
static inline int tool_runtime_end(void **state) {
  (void)state;
  const norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  norma_runtime *fresh;
  if (norma_runtime_create(&options, &fresh, NULL) != NORMA_OK) return -1;
  const bool is_clean = norma_runtime_memory_used(runtime) == norma_runtime_memory_used(fresh);
  norma_runtime_destroy(fresh);
  norma_runtime_destroy(runtime);
  return is_clean ? 0 : -1;
}

#endif
