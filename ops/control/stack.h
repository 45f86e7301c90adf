/*
 * Tensors of one type and shape, put together along a new axis: the scan outputs of Loop and Scan.
 *
 * Elements come one after the other, and how many there will be need not be known. Elements of a whole number of bytes
 * are written to where the output has them; those of packed types and strings wait until the end.
 *
 *     stack stack = {.context = context, .output = 2, .length = STACK_OPEN, .most = trips};
 *     for (...) TRY(stack_set(&stack, i, &element));     (and stack_release where that fails)
 *     TRY(stack_finish(&stack, count));
 *     stack_release(&stack);
 */
#ifndef OPS_CONTROL_STACK_H
#define OPS_CONTROL_STACK_H

#include "ops/operator.h"

#define STACK_OPEN (-1)

typedef struct stack {
  run_context *context;
  int output;     /* of the node; one that is not wanted is not made */
  int64_t length; /* elements, or STACK_OPEN: then they come in order, axis is 0, and there are no batches */
  int64_t most;   /* where the length is open: no more than these */
  int axis;       /* that the output has in addition; negative: from its end */
  bool batched;   /* elements are numbered through `batches` times `length`; batches become the first dimension */
  int64_t batches;
  /* Set by the first element. */
  bool begun;
  norma_element_type type;
  shape element;
  int place;     /* the axis, from the front */
  int64_t outer; /* parts of an element between which others lie, each of inner_bytes bytes */
  size_t inner_bytes;
  int64_t capacity;
  char *rows;     /* elements, as ops/movement/movement.h presents them */
  uint8_t *codes; /* packed types: one element */
  value *kept;    /* strings: references to what `rows` points to */
} stack;

/* Element `index` of the stack. Errors: RUN where it is no tensor, or of another type or shape than the first. */
norma_status stack_set(stack *stack, int64_t index, const value *element);

/* Makes the output of `length` elements (of each batch), of which there must have been one. With batches, those that
 * were not set are zero; else all must have been. */
norma_status stack_finish(stack *stack, int64_t length);

/* Makes the output where there was no element: of no elements of this type and shape. Dimensions that are not known
 * count 0, and so does a rank. Errors: RUN where the type is not known. */
norma_status stack_finish_empty(stack *stack, int64_t length, const value_info *element);

/* Gives back what the stack holds, at any time. */
void stack_release(stack *stack);

#endif
