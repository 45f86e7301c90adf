/* Sets of operators, by their index in the list of the build. */
#ifndef TESTS_FUZZ_OPERATOR_SET_H
#define TESTS_FUZZ_OPERATOR_SET_H

#include "engine/norma.h"

#define OPERATOR_SET_ROOM 1024

typedef struct operator_set {
  bool has[OPERATOR_SET_ROOM];
} operator_set;

/* Adds what the model's nodes are, those of subgraphs too. */
void operator_set_add_model(operator_set *set, const norma_model *model);
bool operator_set_has(const operator_set *set, const char *domain, const char *name);
/* "com.microsoft.QMoE", or "Conv" of the default domain. The text is valid until the next call. */
const char *operator_set_name(size_t index);

#endif
