/*
 * Slice: a part of the input, by first and last index and step along some axes.
 *
 * 1: attributes starts, ends, axes. 10: these are inputs, and steps. 11: negative axes. 13: bfloat16.
 *
 * Negative indices count from the end; indices beyond the ends are moved to them, so that every slice is valid and may
 * be empty. A step may be negative, but not 0.
 */
#include "engine/graph/query.h"
#include "ops/blocked.h"
#include "ops/axes.h"
#include "ops/movement/movement.h"
#include "ops/work.h"

#define SLICE_OPSET_OF_LISTS 13 /* where all lists are inputs */

typedef struct slice_state {
  bool has_attributes;
  integers starts, ends, axes;
} slice_state;

static norma_status slice_read(const node *node, void *state, norma_error *error) {
  slice_state *slice = state;
  slice->has_attributes = node->version < 10;
  TRY(read_inputs_since(node, 1, 10, error));
  if (!slice->has_attributes) return NORMA_OK;
  if (!integers_from_attribute(node, "starts", &slice->starts) ||
      !integers_from_attribute(node, "ends", &slice->ends) || !integers_from_attribute(node, "axes", &slice->axes)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "more than %d axes", NORMA_MAX_RANK);
  }
  if (!node_attribute(node, "axes")) {
    slice->axes.count = slice->starts.count;
    for (int i = 0; i < slice->axes.count; i++) slice->axes.values[i] = i;
  }
  if (slice->starts.count != slice->ends.count || slice->starts.count != slice->axes.count) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "starts, ends and axes differ in length");
  }
  return NORMA_OK;
}

/* What is taken along each dimension of the input. */
typedef struct slice_range {
  int64_t start, step, count;
} slice_range;

/* Fills ranges[rank]; NULL, or what is wrong. A size of DIM_UNKNOWN gives a count of DIM_UNKNOWN. */
static const char *slice_resolve(const integers *starts, const integers *ends, const integers *given_axes,
                                 const integers *steps, const shape *input, slice_range *ranges) {
  integers axes = *given_axes;
  if (starts->count != ends->count || starts->count != axes.count || starts->count != steps->count) {
    return "starts, ends, axes and steps differ in length";
  }
  if (!axes_normalize(&axes, input->rank)) return "an axis is outside the input's rank, or comes twice";
  for (int i = 0; i < input->rank; i++) ranges[i] = (slice_range){0, 1, input->dims[i]};
  for (int i = 0; i < axes.count; i++) {
    const int64_t size = input->dims[axes.values[i]], step = steps->values[i];
    int64_t start = starts->values[i], end = ends->values[i];
    slice_range *range = &ranges[axes.values[i]];
    if (step == 0) return "a step is 0";
    if (size == DIM_UNKNOWN) { /* what any size gives: all of it */
      const bool all = start == 0 && step == 1 && end >= INT32_MAX;
      *range = (slice_range){0, 1, DIM_UNKNOWN};
      if (!all && start >= 0 && end >= 0 && step > 0 && start >= end) range->count = 0;
      continue;
    }
    /* The first index that may be taken and the one that ends, both within -1 .. size. A start before the first element
     * is the first one in either direction: so the definition says since version 13, unlike NumPy. */
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    if (start < 0) start = start < -size ? 0 : start + size;
    if (end < 0) end = end < -size ? low : end + size;
    start = start > high ? high : start;
    end = end > high ? high : end < low ? low : end;
    const int64_t distance = step > 0 ? end - start : start - end;
    const uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    range->start = start;
    range->step = step;
    range->count = distance <= 0 ? 0 : (int64_t)(((uint64_t)distance - 1) / stride + 1);
  }
  return NULL;
}

/* Axes and steps that are not given. */
static void slice_defaults(int count, bool has_axes, bool has_steps, integers *axes, integers *steps) {
  if (!has_axes) axes->count = count;
  if (!has_steps) steps->count = count;
  for (int i = 0; i < count; i++) {
    if (!has_axes) axes->values[i] = i;
    if (!has_steps) steps->values[i] = 1;
  }
}

static norma_status slice_infer(infer_context *context) {
  const slice_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  integers starts = state->starts, ends = state->ends, axes = state->axes, steps = {0};
  bool known = true;
  if (!state->has_attributes) {
    integers *const lists[4] = {&starts, &ends, &axes, &steps};
    for (int i = 0; i < 4; i++) {
      norma_status status = NORMA_OK;
      if (!infer_has_input(context, i + 1)) {
        if (i < 2) return infer_fail(context, "starts or ends are missing");
        continue;
      }
      known &= infer_ints(context, i + 1, lists[i]->values, NORMA_MAX_RANK, &lists[i]->count, &status);
      TRY(status);
    }
  }
  const bool has_axes = state->has_attributes || infer_has_input(context, 3);
  shape result = shape_unknown();
  if (input->rank != RANK_UNKNOWN && known) {
    slice_range ranges[NORMA_MAX_RANK];
    slice_defaults(starts.count, has_axes, infer_has_input(context, 4), &axes, &steps);
    const char *problem = slice_resolve(&starts, &ends, &axes, &steps, input, ranges);
    if (problem) return infer_fail(context, "%s", problem);
    result.rank = input->rank;
    for (int i = 0; i < input->rank; i++) result.dims[i] = ranges[i].count;
  } else if (input->rank != RANK_UNKNOWN) {
    result = shape_of_rank(input->rank);
    norma_status status = NORMA_OK;
    if (has_axes && infer_ints(context, 3, axes.values, NORMA_MAX_RANK, &axes.count, &status) &&
        axes_normalize(&axes, input->rank)) { /* other dimensions stay as they are */
      result = *input;
      for (int i = 0; i < axes.count; i++) result.dims[axes.values[i]] = DIM_UNKNOWN;
    }
    TRY(status);
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

static norma_status slice_compute(run_context *context) {
  const slice_state *state = context->state;
  const norma_tensor *input = run_input(context, 0);
  integers starts = state->starts, ends = state->ends, axes = state->axes, steps = {0};
  integers *const lists[4] = {&starts, &ends, &axes, &steps};
  for (int i = 0; i < 4 && !state->has_attributes; i++) {
    const norma_tensor *list = run_input(context, i + 1);
    if (list && !integers_from_tensor(list, lists[i])) {
      return run_fail(context, NORMA_ERROR_RUN, "input %d is no list of at most %d integers", i + 1, NORMA_MAX_RANK);
    }
  }
  slice_defaults(starts.count, state->has_attributes || run_input(context, 3), run_input(context, 4) != NULL, &axes,
                 &steps);
  slice_range ranges[NORMA_MAX_RANK];
  const shape shape = shape_of_tensor(input);
  const char *problem = slice_resolve(&starts, &ends, &axes, &steps, &shape, ranges);
  if (problem) return run_fail(context, NORMA_ERROR_RUN, "%s", problem);

  const void *source;
  norma_tensor target;
  if (!context->outputs[0]) return NORMA_OK;
  TRY(movement_source(context, input, &source));
  TRY(movement_target(context, 0, &target));
  strided walk = {.rank = input->rank};
  int64_t strides[NORMA_MAX_RANK], offset = 0;
  movement_strides(input->rank, input->dims, strides);
  for (int i = 0; i < input->rank; i++) {
    if (target.rank != input->rank || target.dims[i] != ranges[i].count) {
      return run_fail(context, NORMA_ERROR_RUN, "the slice does not fit the output");
    }
    walk.dims[i] = ranges[i].count;
    walk.strides[1][i] = ranges[i].count > 1 ? strides[i] * ranges[i].step : 0; /* else the step may be any number */
    offset += ranges[i].start * strides[i];
  }
  movement_strides(target.rank, target.dims, walk.strides[0]);
  TRY(movement_strided(context, &walk, &target, 0, source, offset));
  return movement_finish(context, 0, &target);
}

static const operator_attribute slice_attributes[] = {
    {"starts", ATTRIBUTE_INTS, 1, 9, true},
    {"ends", ATTRIBUTE_INTS, 1, 9, true},
    {"axes", ATTRIBUTE_INTS, 1, 9, false},
    {0},
};

#define SLICE_INDEX (TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64))

/* ------------------------------------------------------------------------------------------------------------ facts */

/* A step of -1 keeps the shape but not the order. */
static bool slices_all(const node *node) {
  if (!fact_keeps_shape(node)) return false;
  if (!node_has_input(node, 4)) return true;
  const norma_tensor *steps = node_constant_input(node, 4);
  for (int64_t i = 0; steps && i < norma_tensor_count(steps); i++) {
    if (tensor_get_int64(steps, i) < 0) return false;
  }
  return steps != NULL;
}

/* In blocks: cuts of channels must be at borders of blocks; those of pixels, and of samples, are as they were. */
static bool slice_cut_blocks(block_list *starts, block_list *ends, const block_list *steps, int i, int64_t channels,
                             int64_t block) {
  int64_t *start = &starts->values[i], *end = &ends->values[i];
  if (*start < 0) *start += channels;
  if (*end < 0) *end += channels;
  if (*end > channels) *end = channels;
  if (steps->values[i] != 1 || *start < 0 || *end <= *start || *start % block != 0) return false;
  if (*end % block != 0 && *end != channels) return false;
  *start /= block;
  *end = (*end + block - 1) / block;
  return true;
}

static bool slice_block(const node *node, block_form *form) {
  if (!node_follows_block(node)) return false;
  const int64_t channels = node->inputs[0]->info.shape.dims[1];
  block_list *starts = block_add_list(form, 1, "starts"), *ends = block_add_list(form, 2, "ends");
  block_list *axes = block_add_list(form, 3, "axes"), *steps = block_add_list(form, 4, "steps");
  if (!node_read_list(node, "starts", 1, starts) || !node_read_list(node, "ends", 2, ends)) return false;
  const int count = axes->count = steps->count = starts->count;
  if (count > 4) return false;
  for (int i = 0; i < count; i++) {
    axes->values[i] = i;
    steps->values[i] = 1;
  }
  if (!node_lacks_list(node, "axes", 3) && !node_read_list(node, "axes", 3, axes)) return false;
  if (!node_lacks_list(node, "steps", 4) && !node_read_list(node, "steps", 4, steps)) return false;
  if (ends->count != count || axes->count != count || steps->count != count) return false;
  for (int i = 0; i < count; i++) {
    axes->values[i] = block_axis(node->inputs[0], axes->values[i]);
    if (axes->values[i] < 0) return false;
    if (axes->values[i] == 1 && !slice_cut_blocks(starts, ends, steps, i, channels, form->block)) return false;
  }
  form->uses[0] = BLOCK_FOLLOW;
  form->opset = SLICE_OPSET_OF_LISTS;
  form->drops_attributes = true;
  return true;
}

const operator_descriptor operators_slice[] = {
    {.name = "Slice",
     .domain = "",
     .versions = {1, 10, 11, 13},
     .min_inputs = 1,
     .max_inputs = 5,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_ALL, INPUT(0), OUTPUT(0)}, {SLICE_INDEX, INPUT(1) | INPUT(2) | INPUT(3) | INPUT(4), 0}},
     .attributes = slice_attributes,
     .state_size = sizeof(slice_state),
     .read = slice_read,
     .infer = slice_infer,
     .facts = {.is_identity = slices_all, .block = slice_block, .block_types = TYPES_IN_BLOCKS},
     .compute = slice_compute},
    {0},
};
