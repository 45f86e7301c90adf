/* The maps that CastMap and DictVectorizer read: a tensor of keys, and values in the same order, a tensor or a sequence
 * of single elements. */
#ifndef OPS_ML_MAP_INPUT_H
#define OPS_ML_MAP_INPUT_H

#include "ops/operator.h"

typedef struct map_input {
  const norma_tensor *keys, *values; /* of as many elements */
  int64_t count;
  norma_tensor gathered; /* what `values` points at where they were a sequence */
} map_input;

/* What is known of the map that input 0 has to be: types of keys and values, UNDEFINED where unknown. Refused are other
 * kinds, and types outside the masks. */
norma_status infer_map_input(infer_context *context, type_mask key_types, type_mask value_types,
                             norma_element_type *key_type, norma_element_type *value_type);
/* Input 0 itself; `map` must stay where it is. Values of an empty map that do not tell their type are of
 * `otherwise`. */
norma_status run_map_input(run_context *context, type_mask key_types, type_mask value_types,
                           norma_element_type otherwise, map_input *map);

#endif
