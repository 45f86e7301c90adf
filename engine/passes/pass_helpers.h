/* What several passes need: questions about nodes, and steps of a rewrite. */
#ifndef ENGINE_PASSES_PASS_HELPERS_H
#define ENGINE_PASSES_PASS_HELPERS_H

#include "engine/graph/query.h"
#include "engine/passes/pass.h"

/* ------------------------------------------------------------------------------------------------------------ facts */

/* What the node's operator says of it; false where it says nothing. */
bool node_is_identity(const node *node);
bool node_elementwise(const node *node, elementwise_form *form);
bool node_affine(const node *node, affine_form *form);
bool node_linear(const node *node, linear_form *form);

/* Whether the node adds two operands, element by element. */
bool node_is_sum(const node *node);
/* Whether the node applies nothing to its results yet that was fused into it. */
bool node_has_plain_store(const node *node);
/* Whether the node's kernels take over such a thing (`types` is one of facts.store) for what they compute now. */
bool node_can_fuse(const node *node, type_mask types);

/* ---------------------------------------------------------------------------------------------------------- rewrite */

/* Lets `node` compute the value that `last` computed (its output 0) and removes `last`. The node takes both names. */
norma_status pass_take_output(pass_context *context, node *node, struct node *last);
/* The same, after which the constants that `last` read are given back where nobody else reads them. */
norma_status pass_take_over(pass_context *context, node *node, struct node *last);
/* Joins the names of two nodes: what became of both. */
norma_status pass_join_names(pass_context *context, node *node, const struct node *other);
/* Removes a node whose output 0 equals its input `index`, and sets *changed. A node between a graph input (or constant)
 * and a graph output stays, since the output's name must. */
void pass_bypass(node *node, int index, bool *changed);
/* Removes a node whose outputs nobody reads, and gives back the constants that only it read. */
norma_status pass_remove(pass_context *context, node *node);
/* Gives back the memory of a constant that nothing reads any more; else does nothing. */
void pass_release_constant(graph_value *constant);
/* A new constant: `contents` is taken over as by graph_set_constant. */
norma_status pass_add_constant(pass_context *context, graph *graph, const char *stem, value *contents,
                               graph_value **result);
/* Gives the node `value` as an input behind all that its operator knows; *index is where it stands. */
norma_status pass_add_epilogue_input(pass_context *context, node *node, graph_value *value, int *index);
/* Whether this build has the operator, as pass.makes names it; `use` says that the model has it now. */
bool pass_can_make(const pass_context *context, const char *name);
void pass_use(const pass_context *context, const char *name);
/* Resolves the operator of a node that a pass made, and reads its attributes. */
norma_status pass_resolve(pass_context *context, node *node);

#endif
