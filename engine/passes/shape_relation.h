/* Whether two values have the same shape in every run, as far as the model tells before shapes are known. */
#ifndef ENGINE_PASSES_SHAPE_RELATION_H
#define ENGINE_PASSES_SHAPE_RELATION_H

#include "engine/graph/graph.h"

/* Both are tensors of one rank, and each dimension is known and equal, or is the same function of one dimension of one
 * earlier value. false where that cannot be shown. */
bool values_have_same_shape(const graph_value *a, const graph_value *b);

#endif
