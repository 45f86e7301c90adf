/* How much of a model is constant. */
#ifndef TOOLS_WEIGHTS_H
#define TOOLS_WEIGHTS_H

#include "engine/graph/model.h"

typedef struct weight_count {
  uint64_t elements;
  size_t bytes;
} weight_count;

/* Constants that some node or output still uses, those of Constant nodes and subgraphs included. Shared ones count
 * once. */
weight_count weights_of_model(const norma_model *model);

/* Multiply-accumulates of one run, from the shapes that are known: convolutions, matrix products, recurrent networks;
 * of the main graph. *complete becomes false where a shape is not known. */
uint64_t multiply_accumulates(const graph *graph, bool *complete);

#endif
