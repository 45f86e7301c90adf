/*
 * Operators that give the elements of their input, in the same order, another shape.
 *
 * Reshape    1: attribute shape; 5: input shape; 14: allowzero; 13, 19, 21, 23, 24, 25: more types
 * Flatten    1; 11: negative axes; 9, 13, 21, 23, 24, 25: more types
 * Squeeze    1; 11: negative axes; 13: axes become an input; 21, 23, 24, 25: more types
 * Unsqueeze  1; 11: negative axes; 13: axes become an input; 21, 23, 24, 25: more types
 * Identity   1; 14: sequences; 16: optionals; 13, 19, 21, 23, 24, 25: more types
 *
 * Negative axes are taken in every version, since exporters wrote them before opset 11 allowed them.
 *
 * Where planning lets output and input share memory, compute has nothing to do.
 */
#include "ops/axes.h"
#include "ops/movement/movement.h"
#include "ops/work.h"

/* ---------------------------------------------------------------------------------------------------------- Reshape */

typedef struct reshape_state {
  bool has_shape; /* version 1 */
  bool allow_zero;
  integers shape;
} reshape_state;

static norma_status reshape_read(const node *node, void *state, norma_error *error) {
  reshape_state *reshape = state;
  reshape->allow_zero = attribute_int(node, "allowzero", 0) != 0;
  if (node->version >= 5) return NORMA_OK;
  reshape->has_shape = true;
  TRY(read_inputs_since(node, 1, 5, error));
  if (!integers_from_attribute(node, "shape", &reshape->shape)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "shape has more than %d dimensions", NORMA_MAX_RANK);
  }
  return NORMA_OK;
}

/* Multiplies; false on overflow. */
static bool multiply_sizes(int64_t *product, int64_t factor) {
  return !__builtin_mul_overflow(*product, factor, product);
}

static norma_status reshape_resolve(infer_context *context, const integers *target, shape *result) {
  const reshape_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  int wildcard = -1;
  bool copied[NORMA_MAX_RANK] = {false}, unknown = input->rank == RANK_UNKNOWN;
  int64_t wanted = 1, available = 1;
  bool explicit_zero = false;
  *result = shape_of_rank(target->count);
  for (int i = 0; i < target->count; i++) {
    int64_t size = target->values[i];
    if (size == -1) {
      if (wildcard >= 0) return infer_fail(context, "shape has more than one -1");
      wildcard = i;
      continue;
    }
    if (size < -1) return infer_fail(context, "shape has the negative size %lld", (long long)size);
    if (size == 0 && !state->allow_zero) {
      if (input->rank != RANK_UNKNOWN && i >= input->rank) {
        return infer_fail(context, "shape copies dimension %d, which the input does not have", i);
      }
      copied[i] = true;
      size = input->rank == RANK_UNKNOWN ? DIM_UNKNOWN : input->dims[i];
    }
    result->dims[i] = size;
    if (copied[i]) continue; /* cancels against the same dimension of the input */
    explicit_zero |= size == 0;
    if (!multiply_sizes(&wanted, size)) return infer_fail(context, "shape is too large");
  }
  if (wildcard >= 0 && explicit_zero) return infer_fail(context, "shape has both 0 and -1");
  for (int i = 0; !unknown && i < input->rank; i++) {
    if (copied[i]) continue;
    if (input->dims[i] == DIM_UNKNOWN)
      unknown = true;
    else if (!multiply_sizes(&available, input->dims[i]))
      return infer_fail(context, "the input is too large");
  }
  bool copied_zero = false;
  for (int i = 0; i < target->count; i++) copied_zero |= copied[i] && result->dims[i] == 0;
  if (unknown) return NORMA_OK;
  if (wildcard >= 0) {
    if (available % wanted != 0 && !copied_zero) {
      return infer_fail(context, "%lld elements cannot be divided by %lld", (long long)available, (long long)wanted);
    }
    result->dims[wildcard] = available / wanted;
  } else if (available != wanted && !copied_zero) {
    return infer_fail(context, "%lld elements cannot become %lld", (long long)available, (long long)wanted);
  }
  return NORMA_OK;
}

static norma_status reshape_infer(infer_context *context) {
  const reshape_state *state = context->state;
  integers target = state->shape;
  shape result = shape_unknown();
  if (!state->has_shape) {
    norma_status status;
    if (!infer_has_input(context, 1)) return infer_fail(context, "input 1 (shape) is missing");
    if (!infer_ints(context, 1, target.values, NORMA_MAX_RANK, &target.count, &status)) {
      TRY(status);
      const shape *shape = infer_shape(context, 1);
      if (shape->rank == 1 && shape->dims[0] >= 0 && shape->dims[0] <= NORMA_MAX_RANK) {
        result = shape_of_rank((int)shape->dims[0]);
      }
      infer_output(context, 0, infer_type(context, 0), &result);
      return NORMA_OK;
    }
  }
  TRY(reshape_resolve(context, &target, &result));
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

static const operator_attribute reshape_attributes[] = {
    {"consumed_inputs", ATTRIBUTE_INTS, 1, 4, false},
    {"shape", ATTRIBUTE_INTS, 1, 4, false},
    {"allowzero", ATTRIBUTE_INT, 14, OPERATOR_LATEST, false},
    {0},
};

/* ---------------------------------------------------------------------------------------------------------- Flatten */

typedef struct flatten_state {
  int64_t axis;
} flatten_state;

static norma_status flatten_read(const node *node, void *state, norma_error *error) {
  flatten_state *flatten = state;
  flatten->axis = attribute_int(node, "axis", 1);
  if (flatten->axis < -NORMA_MAX_RANK || flatten->axis > NORMA_MAX_RANK) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "axis %lld is out of range", (long long)flatten->axis);
  }
  return NORMA_OK;
}

static norma_status flatten_infer(infer_context *context) {
  const flatten_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  shape result = shape_of_rank(2);
  if (input->rank != RANK_UNKNOWN) {
    const int64_t axis = state->axis < 0 ? state->axis + input->rank : state->axis;
    if (axis < 0 || axis > input->rank) {
      return infer_fail(context, "axis %lld is outside a tensor of rank %d", (long long)state->axis, input->rank);
    }
    const shape outer = shape_make((int)axis, input->dims);
    const shape inner = shape_make(input->rank - (int)axis, input->dims + axis);
    result.dims[0] = shape_count(&outer);
    result.dims[1] = shape_count(&inner);
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

static const operator_attribute flatten_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

/* -------------------------------------------------------------------------------------------- Squeeze and Unsqueeze */

typedef struct axes_state {
  bool has_axes; /* from the attribute; else input 1 may have them */
  integers axes;
} axes_state;

static norma_status axes_read(const node *node, void *state, norma_error *error) {
  axes_state *axes = state;
  axes->has_axes = node->version < 13 && node_attribute(node, "axes");
  if (!axes->has_axes) return NORMA_OK;
  if (!integers_from_attribute(node, "axes", &axes->axes)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "more than %d axes", NORMA_MAX_RANK);
  }
  return NORMA_OK;
}

/* The axes where they are known: *known false when they come from an input that is not. *count is their number, or -1.
 */
static norma_status axes_get(infer_context *context, integers *axes, bool *known, int *count) {
  const axes_state *state = context->state;
  norma_status status = NORMA_OK;
  *axes = state->axes;
  *known = state->has_axes || infer_ints(context, 1, axes->values, NORMA_MAX_RANK, &axes->count, &status);
  *count = *known ? axes->count : -1;
  if (*known) return NORMA_OK;
  const shape *shape = infer_shape(context, 1);
  if (shape->rank == 0) *count = 1;
  if (shape->rank == 1 && shape->dims[0] <= NORMA_MAX_RANK) *count = (int)shape->dims[0]; /* or unknown, which is -1 */
  return status;
}

static norma_status squeeze_infer(infer_context *context) {
  const axes_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  shape result = shape_unknown();
  integers axes;
  bool known;
  int count;
  TRY(axes_get(context, &axes, &known, &count));
  const bool all = !state->has_axes && !infer_has_input(context, 1);
  if (input->rank != RANK_UNKNOWN && known) {
    if (!axes_normalize(&axes, input->rank)) return infer_fail(context, "axes do not fit rank %d", input->rank);
    bool squeezed[NORMA_MAX_RANK] = {false};
    for (int i = 0; i < axes.count; i++) {
      const int64_t size = input->dims[axes.values[i]];
      if (size != 1 && size != DIM_UNKNOWN) {
        return infer_fail(context, "dimension %d has size %lld and cannot be squeezed", (int)axes.values[i],
                          (long long)size);
      }
      squeezed[axes.values[i]] = true;
    }
    result.rank = 0;
    for (int i = 0; i < input->rank; i++) {
      if (!squeezed[i]) result.dims[result.rank++] = input->dims[i];
    }
  } else if (shape_is_known(input) && all) {
    result.rank = 0;
    for (int i = 0; i < input->rank; i++) {
      if (input->dims[i] != 1) result.dims[result.rank++] = input->dims[i];
    }
  } else if (input->rank != RANK_UNKNOWN && !all && count >= 0 && count <= input->rank) {
    result = shape_of_rank(input->rank - count);
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

static norma_status unsqueeze_infer(infer_context *context) {
  const shape *input = infer_shape(context, 0);
  shape result = shape_unknown();
  integers axes;
  bool known;
  int count;
  TRY(axes_get(context, &axes, &known, &count));
  if (!known && !infer_has_input(context, 1)) return infer_fail(context, "axes are missing");
  if (input->rank != RANK_UNKNOWN && count >= 0) {
    const int rank = input->rank + count;
    if (rank > NORMA_MAX_RANK) return infer_fail(context, "the output would have rank %d", rank);
    result = shape_of_rank(rank);
    if (known) {
      if (!axes_normalize(&axes, rank)) return infer_fail(context, "axes do not fit an output of rank %d", rank);
      for (int i = 0; i < axes.count; i++) result.dims[axes.values[i]] = 1;
      for (int i = 0, next = 0; i < rank; i++) {
        bool added = false;
        for (int k = 0; k < axes.count; k++) added |= axes.values[k] == i;
        if (!added) result.dims[i] = input->dims[next++];
      }
    }
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

static const operator_attribute squeeze_attributes[] = {
    {"axes", ATTRIBUTE_INTS, 1, 12, false},
    {0},
};
static const operator_attribute unsqueeze_attributes[] = {
    {"axes", ATTRIBUTE_INTS, 1, 12, true},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------------ */

#define SAME_TYPE                                                                                                      \
  { TYPES_ALL, INPUT(0), OUTPUT(0) }
#define INDEX_TYPE                                                                                                     \
  { TYPE_BIT(NORMA_INT64), INPUT(1), 0 }

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool identity_always(const node *node) {
  (void)node;
  return true;
}

const operator_descriptor operators_reshape[] = {
    {.name = "Reshape",
     .domain = "",
     .versions = {1, 5, 13, 14, 19, 21, 23, 24, 25},
     .min_inputs = 1,
     .max_inputs = 2,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {SAME_TYPE, INDEX_TYPE},
     .attributes = reshape_attributes,
     .flags = OPERATOR_VIEW,
     .in_place = INPUT(0),
     .state_size = sizeof(reshape_state),
     .read = reshape_read,
     .infer = reshape_infer,
     .facts = {.is_identity = fact_keeps_shape},
     .compute = movement_same},
    {.name = "Flatten",
     .domain = "",
     .versions = {1, 9, 11, 13, 21, 23, 24, 25},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {SAME_TYPE},
     .attributes = flatten_attributes,
     .flags = OPERATOR_VIEW,
     .in_place = INPUT(0),
     .state_size = sizeof(flatten_state),
     .read = flatten_read,
     .infer = flatten_infer,
     .facts = {.is_identity = fact_keeps_shape},
     .compute = movement_same},
    {.name = "Squeeze",
     .domain = "",
     .versions = {1, 11, 13, 21, 23, 24, 25},
     .min_inputs = 1,
     .max_inputs = 2,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {SAME_TYPE, INDEX_TYPE},
     .attributes = squeeze_attributes,
     .flags = OPERATOR_VIEW,
     .in_place = INPUT(0),
     .state_size = sizeof(axes_state),
     .read = axes_read,
     .infer = squeeze_infer,
     .facts = {.is_identity = fact_keeps_shape},
     .compute = movement_same},
    {.name = "Unsqueeze",
     .domain = "",
     .versions = {1, 11, 13, 21, 23, 24, 25},
     .min_inputs = 1,
     .max_inputs = 2,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {SAME_TYPE, INDEX_TYPE},
     .attributes = unsqueeze_attributes,
     .flags = OPERATOR_VIEW,
     .in_place = INPUT(0),
     .state_size = sizeof(axes_state),
     .read = axes_read,
     .infer = unsqueeze_infer,
     .facts = {.is_identity = fact_keeps_shape},
     .compute = movement_same},
    {.name = "Identity",
     .domain = "",
     .versions = {1, 13, 14, 16, 19, 21, 23, 24, 25},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .flags = OPERATOR_VIEW,
     .in_place = INPUT(0),
     .infer = infer_same,
     .facts = {.is_identity = identity_always},
     .compute = movement_same},
    {0},
};
