/*
 * y = x * scale[c] + shift[c], where c counts along one axis of x: what BatchNormalization in inference, and Mul, Div,
 * Add and Sub with a constant, have in common. Passes read such nodes, put them one behind the other, and move them
 * into the weights of a neighbour (engine/passes/fold_into_weights.h).
 */
#ifndef ENGINE_PASSES_SCALE_SHIFT_H
#define ENGINE_PASSES_SCALE_SHIFT_H

#include "engine/passes/pass_helpers.h"

typedef struct scale_shift {
  memory *memory;
  int input;     /* which input of the node x is */
  int axis;      /* of x, along which c counts; -1 where count is 1: then scale and shift are the same everywhere */
  int64_t count; /* elements of scale and shift */
  double *scale, *shift; /* all finite */
} scale_shift;

/* Reads `node`. *found tells whether it is one, with finite constants, on a float type, with y of the shape of x; then
 * the result is to be freed. Errors: OUT_OF_MEMORY, BUDGET. */
norma_status scale_shift_read(pass_context *context, const node *node, scale_shift *result, bool *found);
void scale_shift_free(scale_shift *transform); /* all zero is fine */

/* *first becomes what `first` and then `second` do. *found: false where their axes differ or a product is not finite;
 * then *first is as it was. Errors: OUT_OF_MEMORY, BUDGET. */
norma_status scale_shift_append(pass_context *context, scale_shift *first, const scale_shift *second, bool *found);

/* The factor and the summand of channel c. */
static inline double scale_shift_scale(const scale_shift *transform, int64_t c) {
  return transform->scale[transform->count == 1 ? 0 : c];
}
static inline double scale_shift_shift(const scale_shift *transform, int64_t c) {
  return transform->shift[transform->count == 1 ? 0 : c];
}

/* Whether it is a plain sum, or a plain product. */
bool scale_shift_is_sum(const scale_shift *transform);
bool scale_shift_is_product(const scale_shift *transform);

#endif
