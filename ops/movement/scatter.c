/*
 * ScatterElements (11; 13: bfloat16; 16: reduction add, mul; 18: min, max), Scatter (9, the same under its old name)
 * and ScatterND (11; 13; 16; 18): a copy of the data with elements or slices replaced by updates, or joined with them.
 *
 * Updates are applied one after the other, in their order: where an index comes twice, the last one stays. All indices
 * are checked before anything is written.
 */
#include "ops/movement/movement.h"
#include "ops/work.h"

#include <math.h>

#define UPDATES_PER_POLL 65536 /* elements between questions whether to stop */

enum scatter_reduction { SCATTER_NONE, SCATTER_ADD, SCATTER_MUL, SCATTER_MIN, SCATTER_MAX };

typedef struct scatter_state {
  int64_t axis;
  enum scatter_reduction reduction;
} scatter_state;

static norma_status scatter_read(const node *node, void *opaque, norma_error *error) {
  static const char *const names[] = {"none", "add", "mul", "min", "max"};
  scatter_state *state = opaque;
  const char *reduction = attribute_string(node, "reduction", "none");
  int found = -1;
  for (int i = 0; i < 5; i++) {
    if (strcmp(names[i], reduction) == 0) found = i;
  }
  if (found < 0) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "reduction is \"%s\"", reduction);
  state->reduction = (enum scatter_reduction)found;
  state->axis = attribute_int(node, "axis", 0);
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- values */

/* Where updates go. With a reduction, elements are numbers in the tensors' own presentation. */
typedef struct scatter_target {
  enum scatter_reduction reduction;
  norma_element_type type;
  size_t bytes;
  char *data;
  const char *updates;
} scatter_target;

static double join_floats(enum scatter_reduction reduction, double x, double update) {
  switch (reduction) {
  case SCATTER_ADD:
    return x + update;
  case SCATTER_MUL:
    return x * update;
  case SCATTER_MIN:
    return isnan(x) || x < update ? x : update;
  default:
    return isnan(x) || x > update ? x : update;
  }
}

static int64_t join_integers(enum scatter_reduction reduction, int64_t x, int64_t update, bool is_unsigned) {
  const bool less = is_unsigned ? (uint64_t)x < (uint64_t)update : x < update;
  switch (reduction) {
  case SCATTER_ADD:
    return (int64_t)((uint64_t)x + (uint64_t)update);
  case SCATTER_MUL:
    return (int64_t)((uint64_t)x * (uint64_t)update);
  case SCATTER_MIN:
    return less ? x : update;
  default:
    return less ? update : x;
  }
}

/* `count` adjacent elements of the target from `at` on, joined with updates from `from` on. */
static void scatter_apply(const scatter_target *target, int64_t at, int64_t from, int64_t count) {
  if (target->reduction == SCATTER_NONE) {
    memcpy(target->data + (size_t)at * target->bytes, target->updates + (size_t)from * target->bytes,
           (size_t)count * target->bytes);
    return;
  }
  for (int64_t i = 0; i < count; i++) {
    if (TYPE_BIT(target->type) & TYPES_FLOAT) {
      const double x = element_get_double(target->type, target->data, at + i);
      const double update = element_get_double(target->type, target->updates, from + i);
      element_set_double(target->type, target->data, at + i, join_floats(target->reduction, x, update));
    } else {
      const int64_t x = element_get_int64(target->type, target->data, at + i);
      const int64_t update = element_get_int64(target->type, target->updates, from + i);
      element_set_int64(target->type, target->data, at + i,
                        join_integers(target->reduction, x, update, target->type == NORMA_UINT64));
    }
  }
}

/* The output with the data in it. */
static norma_status scatter_begin(run_context *context, norma_tensor *output, scatter_target *target) {
  const scatter_state *state = context->state;
  const norma_tensor *data = run_input(context, 0), *updates = run_input(context, 2);
  const void *source, *update_source;
  if (state->reduction != SCATTER_NONE && !(TYPE_BIT(data->type) & (TYPES_NUMERIC | TYPE_BIT(NORMA_BOOL)))) {
    return run_fail(context, NORMA_ERROR_RUN, "%s cannot be added or compared", norma_element_type_name(data->type));
  }
  TRY(movement_source(context, data, &source));
  TRY(movement_source(context, updates, &update_source));
  TRY(movement_target(context, 0, output));
  const size_t bytes = movement_bytes(data->type);
  const int64_t count = norma_tensor_count(data);
  if (norma_tensor_count(output) != count)
    return run_fail(context, NORMA_ERROR_RUN, "the output does not fit the data");
  if (output->data != source && count > 0) memcpy(output->data, source, (size_t)count * bytes);
  *target = (scatter_target){state->reduction, data->type, bytes, output->data, update_source};
  return NORMA_OK;
}

static norma_status outside(run_context *context, int64_t index, int64_t size) {
  return run_fail(context, NORMA_ERROR_RUN, "index %lld is outside an axis of %lld", (long long)index, (long long)size);
}

/* -------------------------------------------------------------------------------------------------- ScatterElements */

static norma_status scatter_elements_infer(infer_context *context) {
  const scatter_state *state = context->state;
  const shape *data = infer_shape(context, 0), *indices = infer_shape(context, 1);
  shape merged = *indices;
  int axis;
  if (!shape_merge(&merged, infer_shape(context, 2))) return infer_fail(context, "indices and updates differ in shape");
  if (data->rank != RANK_UNKNOWN && merged.rank != RANK_UNKNOWN) {
    if (data->rank != merged.rank || !axis_normalize(state->axis, data->rank, &axis)) {
      return infer_fail(context, "data of rank %d, indices of rank %d and axis %lld do not fit", data->rank,
                        merged.rank, (long long)state->axis);
    }
    for (int i = 0; i < data->rank; i++) {
      if (i != axis && data->dims[i] != DIM_UNKNOWN && merged.dims[i] > data->dims[i]) {
        return infer_fail(context, "indices have %lld entries in dimension %d, the data only %lld",
                          (long long)merged.dims[i], i, (long long)data->dims[i]);
      }
    }
  }
  return infer_same(context);
}

static norma_status scatter_elements_compute(run_context *context) {
  const scatter_state *state = context->state;
  const norma_tensor *data = run_input(context, 0), *indices = run_input(context, 1);
  int axis;
  if (!context->outputs[0]) return NORMA_OK;
  if (data->rank != indices->rank || !axis_normalize(state->axis, data->rank, &axis) ||
      norma_tensor_count(indices) != norma_tensor_count(run_input(context, 2))) {
    return run_fail(context, NORMA_ERROR_RUN, "data, indices and updates do not fit");
  }
  const int64_t count = norma_tensor_count(indices), size = data->dims[axis];
  for (int64_t i = 0; i < count; i++) {
    TRY(work_poll(context, i));
    const int64_t index = tensor_get_int64(indices, i);
    if (index < -size || index >= size) return outside(context, index, size);
  }
  norma_tensor output;
  scatter_target target;
  TRY(scatter_begin(context, &output, &target));
  int64_t strides[NORMA_MAX_RANK], at[NORMA_MAX_RANK] = {0};
  movement_strides(data->rank, data->dims, strides);
  for (int64_t i = 0; i < count; i++) {
    TRY(work_poll(context, i));
    const int64_t index = tensor_get_int64(indices, i);
    int64_t place = (index < 0 ? index + size : index) * strides[axis];
    for (int k = 0; k < data->rank; k++) place += k == axis ? 0 : at[k] * strides[k];
    scatter_apply(&target, place, i, 1);
    for (int k = data->rank - 1; k >= 0 && ++at[k] == indices->dims[k]; k--) at[k] = 0;
  }
  return movement_finish(context, 0, &output);
}

/* -------------------------------------------------------------------------------------------------------- ScatterND */

static norma_status scatter_nd_infer(infer_context *context) {
  const shape *data = infer_shape(context, 0), *indices = infer_shape(context, 1);
  if (data->rank != RANK_UNKNOWN && indices->rank != RANK_UNKNOWN) {
    const int64_t tuple = indices->rank > 0 ? indices->dims[indices->rank - 1] : 0;
    if (tuple != DIM_UNKNOWN) {
      if (indices->rank < 1 || tuple < 0 || tuple > data->rank ||
          indices->rank - 1 + data->rank - (int)tuple > NORMA_MAX_RANK) {
        return infer_fail(context, "tuples of %lld indices do not fit rank %d", (long long)tuple, data->rank);
      }
      shape expected = {.rank = 0};
      for (int i = 0; i < indices->rank - 1; i++) expected.dims[expected.rank++] = indices->dims[i];
      for (int i = (int)tuple; i < data->rank; i++) expected.dims[expected.rank++] = data->dims[i];
      if (!shape_merge(&expected, infer_shape(context, 2))) {
        return infer_fail(context, "updates do not fit data and indices");
      }
    }
  }
  return infer_same(context);
}

static norma_status scatter_nd_compute(run_context *context) {
  const norma_tensor *data = run_input(context, 0), *indices = run_input(context, 1);
  if (!context->outputs[0]) return NORMA_OK;
  const int64_t tuple = indices->rank > 0 ? indices->dims[indices->rank - 1] : -1;
  if (tuple < 0 || tuple > data->rank) return run_fail(context, NORMA_ERROR_RUN, "tuples do not fit the data");
  const int64_t tuples = dims_product(indices->dims, 0, indices->rank - 1);
  const int64_t block = dims_product(data->dims, (int)tuple, data->rank);
  int64_t updates;
  if (__builtin_mul_overflow(tuples, block, &updates) || updates != norma_tensor_count(run_input(context, 2))) {
    return run_fail(context, NORMA_ERROR_RUN, "updates do not fit data and indices");
  }
  for (int64_t i = 0; i < tuples * tuple; i++) {
    TRY(work_poll(context, i));
    const int64_t index = tensor_get_int64(indices, i), size = data->dims[i % tuple];
    if (index < -size || index >= size) return outside(context, index, size);
  }
  norma_tensor output;
  scatter_target target;
  TRY(scatter_begin(context, &output, &target));
  int64_t strides[NORMA_MAX_RANK];
  movement_strides(data->rank, data->dims, strides);
  const int64_t tuples_per_poll = block < UPDATES_PER_POLL ? UPDATES_PER_POLL / (block + 1) + 1 : 1;
  for (int64_t i = 0; i < tuples && block > 0; i++) {
    if (i % tuples_per_poll == 0) TRY(run_poll(context));
    int64_t place = 0;
    for (int64_t k = 0; k < tuple; k++) {
      const int64_t index = tensor_get_int64(indices, i * tuple + k);
      place += (index < 0 ? index + data->dims[k] : index) * strides[k];
    }
    scatter_apply(&target, place, i * block, block);
  }
  return movement_finish(context, 0, &output);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute scatter_elements_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"reduction", ATTRIBUTE_STRING, 16, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute scatter_nd_attributes[] = {
    {"reduction", ATTRIBUTE_STRING, 16, OPERATOR_LATEST, false},
    {0},
};

#define SCATTER(op, prefix, list, ...)                                                                                 \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {__VA_ARGS__}, .min_inputs = 3, .max_inputs = 3, .min_outputs = 1,           \
    .max_outputs = 1,                                                                                                  \
    .types = {{TYPES_ALL, INPUT(0) | INPUT(2), OUTPUT(0)},                                                             \
              {TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(1), 0}},                                           \
    .attributes = list, .in_place = INPUT(0), .state_size = sizeof(scatter_state), .read = scatter_read,               \
    .infer = prefix##_infer, .compute = prefix##_compute,                                                              \
  }

const operator_descriptor operators_scatter[] = {
    SCATTER("ScatterElements", scatter_elements, scatter_elements_attributes, 11, 13, 16, 18),
    SCATTER("Scatter", scatter_elements, scatter_elements_attributes, 9, 11),
    SCATTER("ScatterND", scatter_nd, scatter_nd_attributes, 11, 13, 16, 18),
    {0},
};
