/* What the tests of the tool's parts share. */
#ifndef TESTS_TOOLS_UNIT_TOOL_TEST_H
#define TESTS_TOOLS_UNIT_TOOL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/norma.h"

/* A tensor over the caller's data. */
static inline norma_tensor tensor_over(norma_element_type type, void *data, int rank, const int64_t *dims) {
  norma_tensor tensor;
  assert_int_equal(norma_tensor_init(&tensor, type, rank, dims, data), NORMA_OK);
  return tensor;
}

/* stderr goes to a file until tool_test_unmute gives back what was written there. */
static inline int tool_test_mute(FILE **file) {
  fflush(stderr);
  int saved = dup(STDERR_FILENO);
  *file = tmpfile();
  assert_non_null(*file);
  dup2(fileno(*file), STDERR_FILENO);
  return saved;
}

static inline void tool_test_unmute(int saved, FILE *file, char *text, size_t size) {
  fflush(stderr);
  dup2(saved, STDERR_FILENO);
  close(saved);
  rewind(file);
  text[fread(text, 1, size - 1, file)] = '\0';
  fclose(file);
}

#endif
