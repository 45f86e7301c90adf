/* Shapes of tensors side by side, for all operators that do that. */
#ifndef OPS_MOVEMENT_CONCAT_SHAPE_H
#define OPS_MOVEMENT_CONCAT_SHAPE_H

#include "ops/operator.h"

/* Describes output 0, of element type `type`, as inputs first, first + step .. side by side along `axis`. Fails where
 * they do not fit together. */
norma_status infer_concat(infer_context *context, int64_t axis, int first, int step, norma_element_type type);

#endif
