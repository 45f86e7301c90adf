/* The operators of the build by name, for tests that have no runtime. */
#ifndef TESTS_SUPPORT_BUILTIN_OPERATOR_H
#define TESTS_SUPPORT_BUILTIN_OPERATOR_H

#include "ops/operator.h"

/* NULL if there is none. */
static inline const operator_descriptor *builtin_operator(const char *domain, const char *name) {
  const operator_descriptor *op;
  for (size_t i = 0; (op = operator_at(i)); i++) {
    if (strcmp(op->name, name) == 0 && strcmp(op->domain, domain) == 0) return op;
  }
  return NULL;
}

#endif
