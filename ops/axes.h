/* Axes, sizes and other lists of integers that an operator takes from an attribute in early versions and from an input
 * in later ones. */
#ifndef OPS_AXES_H
#define OPS_AXES_H

#include "ops/operator.h"

/* A list that is known: its elements, at most NORMA_MAX_RANK. */
typedef struct integers {
  int count;
  int64_t values[NORMA_MAX_RANK];
} integers;

/* Fills *list from an attribute. false: too many elements. */
static inline bool integers_from_attribute(const node *node, const char *name, integers *list) {
  size_t count;
  const int64_t *values = attribute_ints(node, name, &count);
  list->count = 0;
  if (count > NORMA_MAX_RANK) return false;
  for (size_t i = 0; i < count; i++) list->values[list->count++] = values[i];
  return true;
}

/* Fills *list from an integer tensor of rank 0 or 1. false: another rank or type, or too many elements. */
static inline bool integers_from_tensor(const norma_tensor *tensor, integers *list) {
  list->count = 0;
  if (tensor->rank > 1 || !(TYPE_BIT(tensor->type) & TYPES_INTEGER)) return false;
  const int64_t count = norma_tensor_count(tensor);
  if (count > NORMA_MAX_RANK) return false;
  for (int64_t i = 0; i < count; i++) list->values[list->count++] = tensor_get_int64(tensor, i);
  return true;
}

/* Makes axes[] count from the front. false when one is outside -rank .. rank - 1 or comes twice. */
static inline bool axes_normalize(integers *axes, int rank) {
  bool taken[2 * NORMA_MAX_RANK] = {false};
  for (int i = 0; i < axes->count; i++) {
    int axis;
    if (!axis_normalize(axes->values[i], rank, &axis) || taken[axis]) return false;
    taken[axis] = true;
    axes->values[i] = axis;
  }
  return true;
}

#endif
