/*
 * The stages "resolve" and "check types" of a load: every node gets its operator and reads its attributes, and whatever
 * this build cannot run is reported, all of it at once.
 */
#ifndef ENGINE_LOAD_RESOLVE_H
#define ENGINE_LOAD_RESOLVE_H

#include "engine/execute/runtime.h"
#include "engine/graph/model.h"

/* What was found on the way. */
typedef struct resolution {
  norma_model *model;
  const norma_load_options *options;
  norma_status status; /* of the first node that is invalid */
  norma_error invalid; /* its error */
  int unsupported;     /* nodes */
  norma_error first;   /* node, op_type, domain and opset of the first of them */
  char list[sizeof((norma_error *)0)->message];
  region region;
  unsigned polls;
} resolution;

void resolution_init(resolution *resolution, norma_model *model, const norma_load_options *options);
void resolution_free(resolution *resolution);

/* Finds all operators. false: a node is invalid, which ends the walk, or the load is interrupted. */
bool resolve_operators(resolution *resolution);
/* Holds element types against the operators' rules, types and shapes being inferred. false as above. */
bool resolve_types(resolution *resolution);

/* The outcome: the error of an invalid node, or UNSUPPORTED with the list of all unsupported ones, or OK. */
norma_status resolution_finish(const resolution *resolution, norma_error *error);

#endif
