/*
 * The operators that a runtime knows: those of the build, and those that the embedding program registered. Finding one
 * takes constant time. Thread-safe.
 */
#ifndef OPS_REGISTRY_H
#define OPS_REGISTRY_H

#include "ops/operator.h"

typedef struct operator_registry operator_registry;

/* Holds the operators of the build. NULL: out of memory. */
operator_registry *operator_registry_create(memory *memory);
#define OPERATOR_REGISTRY_BYTES 16384 /* that it takes at least, for the error when there is no room for it */
void operator_registry_destroy(operator_registry *registry); /* NULL is fine */

/* Adds an operator, which is found from now on before an older one of the same name and domain; `op` is borrowed until
 * the registry is destroyed. Errors: OUT_OF_MEMORY, BUDGET. */
norma_status operator_registry_add(operator_registry *registry, const operator_descriptor *op, norma_error *error);

/* NULL if there is none. */
const operator_descriptor *operator_registry_find(operator_registry *registry, const char *domain, const char *name);

/* The same, and remembers that a model has it. */
const operator_descriptor *operator_registry_use(operator_registry *registry, const char *domain, const char *name);
/* Whether that was asked for. */
bool operator_registry_uses(operator_registry *registry, const operator_descriptor *op);

/* Finds the operator of one node, checks arity and attributes, and reads the attributes into node->state. *reason is
 * set, with status OK, when the node is unsupported; an invalid node is an error. */
norma_status operator_resolve(operator_registry *registry, node *node, const char **reason, norma_error *error);

#endif
