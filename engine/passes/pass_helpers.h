/* What several passes need, beyond engine/passes/pass.h. */
#ifndef ENGINE_PASSES_PASS_HELPERS_H
#define ENGINE_PASSES_PASS_HELPERS_H

#include "engine/passes/pass.h"

/* Gives back the memory of a constant that nothing reads any more; else does nothing. */
void pass_release_constant(graph_value *constant);

/* pass_take_output, after which the constants that `last` read are given back where nobody else reads them. */
norma_status pass_take_over(pass_context *context, node *node, struct node *last);

/* Removes a node whose outputs nobody reads, and gives back the constants that only it read. */
norma_status pass_remove(pass_context *context, node *node);

/* The number behind input `index`, if that is a constant of a float type with one element. */
bool node_constant_number(const node *node, int index, double *number);

/* Whether the node is a Clip whose bounds are attributes or constants: its function. */
bool node_clip(const node *node, struct activation *activation);

/* Whether the value is a tensor of this element type. */
bool value_is(const graph_value *value, norma_element_type type);

/* Whether all readers of `value` are `reader`: once or several times, and no graph output. */
bool value_is_read_by_only(const graph_value *value, const node *reader);

/* Whether `first` stands before `second`; both are of one graph. */
bool node_stands_before(const node *first, const node *second);

#endif
