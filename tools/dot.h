/* A graph as a drawing for Graphviz. */
#ifndef TOOLS_DOT_H
#define TOOLS_DOT_H

#include "engine/graph/graph.h"

#include <stdio.h>

/* Nodes, values between them with their shapes where known, inputs and outputs; subgraphs as boxes with dashed edges
 * from their node. Constants are left out. Write errors stay in the stream. */
void dot_write(FILE *file, const graph *graph);

#endif
