/* Cast as passes make it and find it. */
#ifndef OPS_ELEMENTWISE_CAST_H
#define OPS_ELEMENTWISE_CAST_H

#include "ops/operator.h"

/* Inserts a Cast to `type`; the caller gives it input, output and operator. NULL: out of memory. */
node *graph_insert_cast(graph *graph, node *position, const char *name, norma_element_type type);
/* Whether the node is a Cast with an input and an output. */
bool node_is_cast(const node *node);

#endif
