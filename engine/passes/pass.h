/*
 * The contract of a graph pass.
 *
 * A pass is one file in engine/passes/: a before/after sketch, a legality check, a rewrite, and a descriptor `const
 * pass pass_NAME`; the build collects the files, and pass_order.c says when it runs. The runner offers the nodes of
 * each graph to `apply`, in topological order or from the last one backwards. The root is the LAST node of the pattern:
 * apply may change or remove it and nodes before it, and insert nodes before it. After a pass that changed something
 * types and shapes are inferred anew, and a group of passes is repeated until none of them changes anything.
 *
 * Passes know operators by their facts (ops/facts.h). Only a pass that looks for a certain pattern, or makes a certain
 * node, names operators; tests/structure/operator_names.py lists those.
 */
#ifndef ENGINE_PASSES_PASS_H
#define ENGINE_PASSES_PASS_H

#include "engine/execute/runtime.h"
#include "engine/graph/model.h"

typedef struct pass_context {
  norma_model *model;
  executor *executor; /* for evaluation */
  norma_error *error;
} pass_context;

typedef struct pass {
  const char *name;      /* as --disable takes it, such as "fold_batch_normalization_into_conv" */
  int level;             /* the optimisation level that it belongs to: 1 or 2 */
  bool changes_rounding; /* weights are scaled, sums ordered anew: left out where the model is to be exact */
  bool backwards;        /* nodes are offered from the last to the first */
  /* Operators that its rewrites need besides those that they find: "Transpose" of ai.onnx, "norma:GroupedConv" of
   * another domain. Ended by NULL. The pass is left out of a build that lacks one of them. */
  const char *const *makes;
  norma_status (*apply)(pass_context *context, node *node, bool *changed);
} pass;

/* Passes that are repeated together: names ended by NULL. */
typedef struct pass_group {
  const char *name; /* NULL ends the list of groups */
  const char *const *passes;
} pass_group;

/* All passes in the order in which they run (pass_order.c). */
extern const pass_group pass_groups[];

/* The pass of that name, NULL if there is none. */
const pass *pass_find(const char *name);
/* Visits all passes in the order in which they first run; NULL past the end. */
const pass *pass_at(size_t index);

/* Runs all passes of the model's level that are not among the disabled names. Errors: OUT_OF_MEMORY, BUDGET, ARGUMENT
 * (no pass of a disabled name), INTERNAL. */
norma_status passes_run(norma_model *model, executor *executor, const char *const *disabled, size_t disabled_count,
                        norma_error *error);

#endif
