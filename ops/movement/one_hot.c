/*
 * OneHot: for each index a vector of `depth` elements that is "off" but for one "on". 9; 11: negative indices count
 * from the end, before they lie outside; 28: bfloat16. Indices outside give "off" throughout. `values` holds off and
 * on.
 */
#include "ops/movement/movement.h"
#include "ops/work.h"

#define FILLED_AT_ONCE 65536 /* elements between questions whether to stop */

typedef struct one_hot_state {
  int64_t axis;
} one_hot_state;

static norma_status one_hot_read(const node *node, void *opaque, norma_error *error) {
  one_hot_state *state = opaque;
  (void)error;
  state->axis = attribute_int(node, "axis", -1);
  return NORMA_OK;
}

static norma_status one_hot_infer(infer_context *context) {
  const one_hot_state *state = context->state;
  const shape *indices = infer_shape(context, 0);
  const norma_tensor *depth = infer_value(context, 1);
  shape result = shape_unknown();
  if (indices->rank != RANK_UNKNOWN) {
    int axis;
    if (indices->rank >= NORMA_MAX_RANK || !axis_normalize(state->axis, indices->rank + 1, &axis)) {
      return infer_fail(context, "axis %lld does not fit indices of rank %d", (long long)state->axis, indices->rank);
    }
    int64_t size = DIM_UNKNOWN;
    if (depth) {
      if (norma_tensor_count(depth) != 1) return infer_fail(context, "depth must be one number");
      size = tensor_get_int64(depth, 0);
      if (size < 0) return infer_fail(context, "depth is %lld", (long long)size);
    }
    result.rank = 0;
    for (int i = 0; i <= indices->rank; i++) {
      result.dims[result.rank++] = i == axis ? size : indices->dims[i < axis ? i : i - 1];
    }
  }
  infer_output(context, 0, infer_type(context, 2), &result);
  return NORMA_OK;
}

static norma_status one_hot_compute(run_context *context) {
  const one_hot_state *state = context->state;
  const norma_tensor *indices = run_input(context, 0), *values = run_input(context, 2);
  norma_tensor target;
  char off[16], on[16];
  int axis;
  if (!context->outputs[0]) return NORMA_OK;
  if (norma_tensor_count(values) != 2) return run_fail(context, NORMA_ERROR_RUN, "values must hold off and on");
  TRY(movement_target(context, 0, &target));
  if (target.rank != indices->rank + 1 || !axis_normalize(state->axis, target.rank, &axis)) {
    return run_fail(context, NORMA_ERROR_RUN, "axis does not fit the output");
  }
  movement_get(values->type, values->data, 0, off);
  movement_get(values->type, values->data, 1, on);
  const size_t bytes = movement_bytes(values->type);
  const int64_t depth = target.dims[axis], inner = dims_product(indices->dims, axis, indices->rank);
  const int64_t elements = norma_tensor_count(&target);
  for (int64_t i = 0; i < elements; i += FILLED_AT_ONCE) {
    TRY(run_poll(context));
    strided_fill((char *)target.data + (size_t)i * bytes, off, bytes,
                 elements - i < FILLED_AT_ONCE ? elements - i : FILLED_AT_ONCE);
  }
  const int64_t count = depth > 0 ? norma_tensor_count(indices) : 0;
  for (int64_t i = 0; i < count; i++) {
    TRY(work_poll(context, i));
    int64_t index = tensor_get_int64(indices, i);
    if (indices->type == NORMA_UINT64 && index < 0) continue; /* beyond any depth */
    if (index < 0 && context->node->version >= 11) index += depth;
    if (index < 0 || index >= depth) continue;
    const int64_t at = (i / inner * depth + index) * inner + i % inner;
    memcpy((char *)target.data + (size_t)at * bytes, on, bytes);
  }
  return movement_finish(context, 0, &target);
}

static const operator_attribute one_hot_attributes[] = {
    {"axis", ATTRIBUTE_INT, 9, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_one_hot[] = {
    {.name = "OneHot",
     .domain = "",
     .versions = {9, 11, 28},
     .min_inputs = 3,
     .max_inputs = 3,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_NUMERIC, INPUT(0), 0}, {TYPES_NUMERIC, INPUT(1), 0}, {TYPES_ALL, INPUT(2), OUTPUT(0)}},
     .attributes = one_hot_attributes,
     .state_size = sizeof(one_hot_state),
     .read = one_hot_read,
     .infer = one_hot_infer,
     .compute = one_hot_compute},
    {0},
};
