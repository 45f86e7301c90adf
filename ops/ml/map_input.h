/* The maps that CastMap and DictVectorizer read: a tensor of keys, and one of values in the same order. */
#ifndef OPS_ML_MAP_INPUT_H
#define OPS_ML_MAP_INPUT_H

#include "ops/operator.h"

typedef struct map_input {
  const norma_tensor *keys, *values; /* of one dimension and as many elements */
  int64_t count;
} map_input;

/* What is known of the map that input 0 has to be: types of keys and values, UNDEFINED where unknown. Refused are other
 * kinds, and types outside the masks. */
norma_status infer_map_input(infer_context *context, type_mask key_types, type_mask value_types,
                             norma_element_type *key_type, norma_element_type *value_type);
/* Input 0 itself. */
norma_status run_map_input(run_context *context, type_mask key_types, type_mask value_types, map_input *map);

#endif
