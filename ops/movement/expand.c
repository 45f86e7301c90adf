/*
 * Operators that repeat elements.
 *
 * Expand  8; 13: bfloat16. Broadcasts the input against a shape.
 * Tile    1: repeats the input `tiles` times along one axis; 6: a count for each dimension; 13: bfloat16
 *
 * Both can make much of little: the output's size is checked before anything is allocated.
 */
#include "ops/axes.h"
#include "ops/movement/movement.h"

static norma_status check_sizes(infer_context *context, const integers *sizes, const char *name) {
  for (int i = 0; i < sizes->count; i++) {
    if (sizes->values[i] < 0) return infer_fail(context, "%s has the entry %lld", name, (long long)sizes->values[i]);
  }
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- Expand */

static norma_status expand_infer(infer_context *context) {
  const shape *input = infer_shape(context, 0), *list = infer_shape(context, 1);
  shape result = shape_unknown();
  integers sizes;
  norma_status status;
  if (infer_ints(context, 1, sizes.values, NORMA_MAX_RANK, &sizes.count, &status)) {
    TRY(check_sizes(context, &sizes, "shape"));
    const shape wanted = shape_make(sizes.count, sizes.values);
    if (!shape_broadcast(input, &wanted, &result)) {
      char a[200], b[200];
      return infer_fail(context, "shape %s cannot be broadcast with %s", shape_text(input, a, sizeof a),
                        shape_text(&wanted, b, sizeof b));
    }
  } else if (list->rank == 1 && list->dims[0] >= 0 && list->dims[0] <= NORMA_MAX_RANK && input->rank != RANK_UNKNOWN) {
    result = shape_of_rank(list->dims[0] > input->rank ? (int)list->dims[0] : input->rank);
  }
  TRY(status);
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

static norma_status expand_compute(run_context *context) {
  const norma_tensor *input = run_input(context, 0);
  const void *source;
  norma_tensor target;
  if (!context->outputs[0]) return NORMA_OK;
  TRY(movement_source(context, input, &source));
  TRY(movement_target(context, 0, &target));
  if (target.rank < input->rank) return run_fail(context, NORMA_ERROR_RUN, "the shape does not fit the output");
  strided walk = {.rank = target.rank};
  memcpy(walk.dims, target.dims, sizeof target.dims);
  strided_add_broadcast(&walk, target.data, 1, target.rank, target.dims);
  strided_add_broadcast(&walk, source, 1, input->rank, input->dims);
  TRY(movement_strided(context, &walk, &target, 0, source, 0));
  return movement_finish(context, 0, &target);
}

/* ------------------------------------------------------------------------------------------------------------- Tile */

/* The repeats of each dimension; *known false where they cannot be told yet. */
static norma_status tile_repeats(infer_context *context, int rank, integers *repeats, bool *known) {
  norma_status status = NORMA_OK;
  *known = false;
  if (context->node->version >= 6) {
    *known = infer_ints(context, 1, repeats->values, NORMA_MAX_RANK, &repeats->count, &status);
    if (*known && repeats->count != rank) {
      return infer_fail(context, "%d repeats for a tensor of rank %d", repeats->count, rank);
    }
    return status;
  }
  const norma_tensor *tiles = infer_value(context, 1), *axis_tensor = infer_value(context, 2);
  if (!tiles || !axis_tensor) return NORMA_OK;
  int axis;
  if (norma_tensor_count(tiles) != 1 || norma_tensor_count(axis_tensor) != 1 ||
      !axis_normalize(tensor_get_int64(axis_tensor, 0), rank, &axis)) {
    return infer_fail(context, "tiles and axis must be scalars, the axis within rank %d", rank);
  }
  repeats->count = rank;
  for (int i = 0; i < rank; i++) repeats->values[i] = i == axis ? tensor_get_int64(tiles, 0) : 1;
  *known = true;
  return NORMA_OK;
}

static norma_status tile_infer(infer_context *context) {
  const shape *input = infer_shape(context, 0);
  shape result = *input;
  const bool has_axis = infer_has_input(context, 2); /* which came with the tiles of version 1 */
  if (has_axis != (context->node->version < 6)) {
    return infer_fail(context, "has %d inputs, expected %d", has_axis ? 3 : 2, has_axis ? 2 : 3);
  }
  if (input->rank != RANK_UNKNOWN) {
    integers repeats;
    bool known;
    TRY(tile_repeats(context, input->rank, &repeats, &known));
    if (known) TRY(check_sizes(context, &repeats, "repeats"));
    for (int i = 0; i < input->rank; i++) {
      if (!known || input->dims[i] == DIM_UNKNOWN)
        result.dims[i] = DIM_UNKNOWN;
      else if (__builtin_mul_overflow(input->dims[i], repeats.values[i], &result.dims[i])) {
        return infer_fail(context, "dimension %d of the output is too large", i);
      }
    }
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

static norma_status tile_compute(run_context *context) {
  const norma_tensor *input = run_input(context, 0);
  const void *source;
  norma_tensor target;
  if (!context->outputs[0]) return NORMA_OK;
  TRY(movement_source(context, input, &source));
  TRY(movement_target(context, 0, &target));
  if (norma_tensor_count(&target) == 0) return movement_finish(context, 0, &target);
  int64_t input_strides[NORMA_MAX_RANK], target_strides[NORMA_MAX_RANK];
  strided walk = {.rank = 2 * input->rank};
  movement_strides(input->rank, input->dims, input_strides);
  movement_strides(target.rank, target.dims, target_strides);
  for (int i = 0; i < input->rank; i++) { /* dimension 2 i counts the repeats, 2 i + 1 runs over the input */
    if (target.rank != input->rank || target.dims[i] % input->dims[i] != 0) {
      return run_fail(context, NORMA_ERROR_RUN, "the repeats do not fit the output");
    }
    walk.dims[2 * i] = target.dims[i] / input->dims[i];
    walk.dims[2 * i + 1] = input->dims[i];
    walk.strides[0][2 * i] = target_strides[i] * input->dims[i];
    walk.strides[0][2 * i + 1] = target_strides[i];
    walk.strides[1][2 * i] = 0;
    walk.strides[1][2 * i + 1] = input_strides[i];
  }
  TRY(movement_strided(context, &walk, &target, 0, source, 0));
  return movement_finish(context, 0, &target);
}

#define REPEAT(op, prefix, most, rest, ...)                                                                            \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {__VA_ARGS__}, .min_inputs = 2, .max_inputs = most, .min_outputs = 1,        \
    .max_outputs = 1, .types = {{TYPES_ALL, INPUT(0), OUTPUT(0)}, {rest, INPUT(1) | (most > 2 ? INPUT(2) : 0), 0}},    \
    .infer = prefix##_infer, .facts = {.is_identity = fact_keeps_shape}, .compute = prefix##_compute,                  \
  }

const operator_descriptor operators_expand[] = {
    REPEAT("Expand", expand, 2, TYPE_BIT(NORMA_INT64), 8, 13),
    REPEAT("Tile", tile, 3, TYPE_BIT(NORMA_INT64) | TYPES_FLOAT, 1, 6, 13),
    {0},
};
