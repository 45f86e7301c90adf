/* A graph as a drawing for Graphviz. */
#ifndef TOOLS_DOT_H
#define TOOLS_DOT_H

#include "engine/norma.h"

#include <stdio.h>

/* Nodes, values between them with their shapes where known, inputs and outputs; subgraphs as boxes with dashed edges
 * from their node. Constants are left out. Write errors stay in the stream. */
void dot_write(FILE *file, const norma_graph *graph);

#endif
