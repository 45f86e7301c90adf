/* How much arithmetic a model takes. */
#ifndef TOOLS_PRODUCTS_H
#define TOOLS_PRODUCTS_H

#include "engine/norma.h"

/* Multiply-accumulates of one run, from the shapes that are known: convolutions, matrix products, recurrent networks;
 * of this graph without those below it. *complete becomes false where a shape is not known. */
uint64_t multiply_accumulates(const norma_graph *graph, bool *complete);

#endif
