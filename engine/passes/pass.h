/*
 * The contract of a graph pass.
 *
 * A pass is one file in engine/passes/: a before/after sketch, a legality check, a rewrite, and a descriptor `const
 * pass pass_NAME`; the build collects the files. The runner offers each node whose operator is among `roots`, in
 * topological order, to `apply`. The root is the LAST node of the pattern: apply may change or remove it and nodes
 * before it, and insert nodes before it. After a pass that changed something types and shapes are inferred anew.
 */
#ifndef ENGINE_PASSES_PASS_H
#define ENGINE_PASSES_PASS_H

#include "engine/execute/executor.h"

typedef enum pass_phase {
  PASS_CLEAN,  /* folding, removal: makes graphs smaller, standard operators only */
  PASS_FUSE,   /* merges nodes into others */
  PASS_FINISH, /* what needs to see the fused graph: activations into their producers; the first inner operators */
  PASS_LAYOUT, /* inner layouts, with nodes of the inner domain */
  PASS_CHAINS, /* what no kernel has taken into its store is joined */
  PASS_PHASE_COUNT
} pass_phase;

typedef struct pass_context {
  norma_model *model;
  executor *executor; /* for evaluation */
  norma_error *error;
} pass_context;

typedef struct pass {
  const char *name; /* as --disable takes it, such as "fold_batch_normalization_into_conv" */
  pass_phase phase;
  int level;                /* the optimisation level that it belongs to: 1 or 2 */
  bool changes_rounding;    /* weights are scaled, sums ordered anew: left out where the model is to be exact */
  const char *const *roots; /* operator types of ai.onnx (or "domain:Type") ended by NULL; NULL: every node */
  norma_status (*apply)(pass_context *context, node *node, bool *changed);
} pass;

/* Runs all passes of the model's level that are not among the disabled names. Errors: OUT_OF_MEMORY, BUDGET, ARGUMENT
 * (no pass of a disabled name), INTERNAL. */
norma_status passes_run(norma_model *model, executor *executor, const char *const *disabled, size_t disabled_count,
                        norma_error *error);

/* ----------------------------------------------------------------------------------------------- helpers for passes */

bool node_is(const node *node, const char *op_type); /* of ai.onnx */
/* The constant tensor behind input `index`; NULL if the input is absent, no constant, or no tensor. */
const norma_tensor *node_constant_input(const node *node, int index);
/* The node that produces input `index`, if that is `op_type` of ai.onnx, stands in the same graph, and its output 0 is
 * read by this node alone (once) and is no graph output; else NULL. */
node *node_single_producer(const node *node, int index, const char *op_type);

/* Lets `node` compute the value that `last` computed (its output 0) and removes `last`. The node takes both names. */
norma_status pass_take_output(pass_context *context, node *node, struct node *last);
/* Joins the names of two nodes: what became of both. */
norma_status pass_join_names(pass_context *context, node *node, const struct node *other);
/* Removes a node whose output 0 equals its input `index`, and sets *changed. A node between a graph input (or constant)
 * and a graph output stays, since the output's name must. */
void pass_bypass(node *node, int index, bool *changed);
/* A new f32/f64/... constant: `contents` is taken over as by graph_set_constant. */
norma_status pass_add_constant(pass_context *context, graph *graph, const char *stem, value *contents,
                               graph_value **result);
/* Resolves the operator of a node that a pass made, and reads its attributes. */
norma_status pass_resolve(pass_context *context, node *node);

#endif
