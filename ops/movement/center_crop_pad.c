/*
 * CenterCropPad 18 (ai.onnx): dimensions (all, or those of the attribute axes) get the sizes of input 1
 *
 * A larger dimension loses elements on both sides, a smaller one gets zeros (empty strings) on both sides; of an odd
 * number the second side has one more.
 */
#include "ops/axes.h"
#include "ops/movement/movement.h"

#include <inttypes.h>

typedef struct center_crop_pad_state {
  bool has_axes;
  integers axes;
} center_crop_pad_state;

static norma_status center_crop_pad_read(const node *node, void *opaque, norma_error *error) {
  center_crop_pad_state *state = opaque;
  size_t count;
  attribute_ints(node, "axes", &count);
  state->has_axes = count > 0;
  if (!integers_from_attribute(node, "axes", &state->axes))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "axes has %zu elements", count);
  return NORMA_OK;
}

static norma_status center_crop_pad_infer(infer_context *context) {
  const center_crop_pad_state *state = context->state;
  const shape *x = infer_shape(context, 0), *sizes = infer_shape(context, 1);
  integers axes = state->axes;
  int64_t values[NORMA_MAX_RANK];
  int count;
  norma_status status = NORMA_OK;
  shape y = *x;
  if (sizes->rank != RANK_UNKNOWN && sizes->rank != 1) return infer_fail(context, "shape must be a list of sizes");
  const bool is_known = infer_ints(context, 1, values, NORMA_MAX_RANK, &count, &status);
  TRY(status);
  if (x->rank == RANK_UNKNOWN) {
    infer_output(context, 0, infer_type(context, 0), &y);
    return NORMA_OK;
  }
  if (!axes_normalize(&axes, x->rank)) return infer_fail(context, "axes do not fit rank %d", x->rank);
  if (!state->has_axes) {
    axes.count = x->rank;
    for (int i = 0; i < x->rank; i++) axes.values[i] = i;
  }
  if (sizes->rank == 1 && sizes->dims[0] != DIM_UNKNOWN && sizes->dims[0] != axes.count)
    return infer_fail(context, "shape holds %" PRId64 " sizes for %d axes", sizes->dims[0], axes.count);
  for (int i = 0; i < axes.count; i++) {
    if (is_known && values[i] < 0) return infer_fail(context, "shape holds %" PRId64, values[i]);
    y.dims[axes.values[i]] = is_known ? values[i] : DIM_UNKNOWN;
  }
  if (shape_is_known(&y) && shape_count(&y) == DIM_UNKNOWN) return infer_fail(context, "the output is too large");
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

#define CENTER_CROP_PAD_PIECE (1 << 20) /* elements that are cleared between questions whether the run was cancelled */

static norma_status center_crop_pad_compute(run_context *context) {
  const norma_tensor *x = run_input(context, 0);
  norma_tensor y;
  const void *source;
  int64_t x_strides[NORMA_MAX_RANK], y_strides[NORMA_MAX_RANK], from = 0, to = 0;
  if (!context->outputs[0]) return NORMA_OK;
  TRY(movement_source(context, x, &source));
  TRY(movement_target(context, 0, &y));
  strided walk = {.rank = x->rank};
  movement_strides(x->rank, x->dims, x_strides);
  movement_strides(y.rank, y.dims, y_strides);
  bool pads = false;
  for (int i = 0; i < x->rank; i++) {
    const int64_t less = x->dims[i] - y.dims[i];
    walk.dims[i] = less > 0 ? y.dims[i] : x->dims[i];
    walk.strides[0][i] = y_strides[i];
    walk.strides[1][i] = x_strides[i];
    if (less > 0) from += less / 2 * x_strides[i];
    if (less < 0) to += -less / 2 * y_strides[i], pads = true;
  }
  const size_t bytes = movement_bytes(y.type);
  const int64_t count = norma_tensor_count(&y);
  for (int64_t i = 0; pads && i < count; i += CENTER_CROP_PAD_PIECE) {
    TRY(run_poll(context));
    const int64_t some = count - i < CENTER_CROP_PAD_PIECE ? count - i : CENTER_CROP_PAD_PIECE;
    memset((char *)y.data + (size_t)i * bytes, 0, (size_t)some * bytes);
  }
  if (x->rank == 0)
    memcpy(y.data, source, bytes);
  else
    TRY(movement_strided(context, &walk, &y, to, source, from));
  return movement_finish(context, 0, &y);
}

static const operator_attribute center_crop_pad_attributes[] = {
    {"axes", ATTRIBUTE_INTS, 18, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_center_crop_pad[] = {
    {
        .domain = "",
        .name = "CenterCropPad",
        .versions = {18},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_NUMERIC | TYPES_COMPLEX | TYPE_BIT(NORMA_BOOL) | TYPE_BIT(NORMA_STRING), INPUT(0), OUTPUT(0)},
                  {TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(1), 0}},
        .attributes = center_crop_pad_attributes,
        .state_size = sizeof(center_crop_pad_state),
        .read = center_crop_pad_read,
        .infer = center_crop_pad_infer,
        .compute = center_crop_pad_compute,
    },
    {0},
};
