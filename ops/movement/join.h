/* What two descriptions of a value have in common: the branches of If, the elements of a sequence. */
#ifndef OPS_MOVEMENT_JOIN_H
#define OPS_MOVEMENT_JOIN_H

#include "ops/operator.h"

/* *into becomes a description that fits values of both: ranks and dimensions that differ become unknown. Both must be
 * of one kind and element type where these are known; what is not known of one is taken from the other, but for shapes.
 * `what` names the value in the error. */
norma_status infer_join(infer_context *context, value_info *into, const value_info *from, const char *what);

/* A description in the region of the inference, for value_info.item. NULL: out of memory, and *status says so. */
value_info *infer_new_item(infer_context *context, const value_info *contents, norma_status *status);

#endif
