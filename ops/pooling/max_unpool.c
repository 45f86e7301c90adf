/*
 * MaxUnpool 9, 11, 22 (ai.onnx): the partial inverse of MaxPool
 *
 * Elements of X go to the places that I, the indices of MaxPool, names; all others are 0. Indices count the elements of
 * a tensor whose spatial sizes are (d - 1) * stride + kernel - pads. Where output_shape (input 2) is given it is
 * larger, and that tensor lies at its beginning. 22 adds bfloat16.
 */
#include "ops/window.h"
#include "ops/work.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct max_unpool_state {
  window_attributes attributes;
} max_unpool_state;

static norma_status max_unpool_read(const node *node, void *opaque, norma_error *error) {
  return window_read(node, &((max_unpool_state *)opaque)->attributes, error);
}

/* The shape that indices count; false with a message where there is none. */
static bool max_unpool_shape(const window_attributes *window, const shape *x, shape *inner,
                             char message[WINDOW_MESSAGE_SIZE]) {
  *inner = *x;
  if (window->axes != x->rank - 2) {
    snprintf(message, WINDOW_MESSAGE_SIZE, "X has rank %d but the kernel %d axes", x->rank, window->axes);
    return false;
  }
  for (int i = 0; i < window->axes; i++) {
    int64_t *size = &inner->dims[i + 2];
    if (*size == DIM_UNKNOWN) continue;
    if (*size == 0) continue;
    if (__builtin_mul_overflow(*size - 1, window->stride[i], size) ||
        __builtin_add_overflow(*size, window->kernel[i], size) ||
        __builtin_sub_overflow(*size, window->pad_begin[i], size) ||
        __builtin_sub_overflow(*size, window->pad_end[i], size) || *size < 0) {
      snprintf(message, WINDOW_MESSAGE_SIZE, "axis %d of the output has no size", i + 2);
      return false;
    }
  }
  return true;
}

static norma_status max_unpool_infer(infer_context *context) {
  const max_unpool_state *state = context->state;
  const shape *x = infer_shape(context, 0), *indices = infer_shape(context, 1);
  shape both = *x, y;
  int64_t given[NORMA_MAX_RANK];
  int count;
  norma_status status = NORMA_OK;
  char message[WINDOW_MESSAGE_SIZE];
  TRY(infer_types_since(context, TYPES_BFLOAT16, 22));
  if (!shape_merge(&both, indices)) return infer_fail(context, "X and I differ in their shapes");
  if (both.rank == RANK_UNKNOWN) {
    infer_output(context, 0, infer_type(context, 0), &both);
    return NORMA_OK;
  }
  if (both.rank < 3)
    return infer_fail(context, "X has rank %d: it needs a batch, a channel and one more axis", both.rank);
  if (!max_unpool_shape(&state->attributes, &both, &y, message)) return infer_fail(context, "%s", message);
  if (infer_has_input(context, 2)) {
    const bool is_known = infer_ints(context, 2, given, NORMA_MAX_RANK, &count, &status);
    TRY(status);
    if (is_known && count != y.rank)
      return infer_fail(context, "output_shape holds %d dimensions but X has %d", count, y.rank);
    for (int i = 0; i < y.rank; i++) {
      if (is_known && y.dims[i] != DIM_UNKNOWN && (i < 2 ? given[i] != y.dims[i] : given[i] < y.dims[i]))
        return infer_fail(context, "dimension %d of output_shape is %" PRId64 ", too %s", i, given[i],
                          given[i] < y.dims[i] ? "small" : "large");
      y.dims[i] = is_known ? given[i] : DIM_UNKNOWN;
      if (y.dims[i] < DIM_UNKNOWN) return infer_fail(context, "output_shape holds %" PRId64, given[i]);
    }
  }
  return window_infer_output(context, 0, infer_type(context, 0), &y);
}

/* Where element `index` of the inner shape lies in the output. */
static int64_t max_unpool_place(const shape *inner, const norma_tensor *y, int64_t index) {
  int64_t place = 0, stride = 1;
  for (int i = inner->rank - 1; i >= 0; i--) {
    place += index % inner->dims[i] * stride;
    index /= inner->dims[i];
    stride *= y->dims[i];
  }
  return place;
}

#define MAX_UNPOOL_PIECE (1 << 20) /* bytes that are cleared between questions whether the run was cancelled */

static norma_status max_unpool_compute(run_context *context) {
  const max_unpool_state *state = context->state;
  const norma_tensor *x = run_input(context, 0), *indices = run_input(context, 1), *y = run_output(context, 0);
  const int64_t *places = indices->data, count = norma_tensor_count(x);
  const shape given = shape_of_tensor(x), whole = y ? shape_of_tensor(y) : given;
  shape inner;
  char message[WINDOW_MESSAGE_SIZE];
  if (!y) return NORMA_OK;
  if (!max_unpool_shape(&state->attributes, &given, &inner, message))
    return run_fail(context, NORMA_ERROR_RUN, "%s", message);
  for (int i = 0; i < inner.rank; i++) {
    if (i < 2 ? inner.dims[i] != y->dims[i] : inner.dims[i] > y->dims[i])
      return run_fail(context, NORMA_ERROR_RUN, "output_shape does not fit X");
  }
  const int64_t most = shape_count(&inner);
  for (int64_t i = 0; i < count; i++) {
    TRY(work_poll(context, i));
    if (places[i] < 0 || places[i] >= most)
      return run_fail(context, NORMA_ERROR_RUN, "index %" PRId64 " lies outside 0 .. %" PRId64, places[i], most - 1);
  }
  for (size_t i = 0; i < y->size_bytes; i += MAX_UNPOOL_PIECE) {
    TRY(run_poll(context));
    memset((char *)y->data + i, 0, y->size_bytes - i < MAX_UNPOOL_PIECE ? y->size_bytes - i : MAX_UNPOOL_PIECE);
  }
  const size_t bytes = element_type_bytes(x->type);
  const bool is_whole = shape_equal(&inner, &whole);
  for (int64_t i = 0; i < count; i++) {
    TRY(work_poll(context, i));
    const int64_t place = is_whole ? places[i] : max_unpool_place(&inner, y, places[i]);
    memcpy((char *)y->data + (size_t)place * bytes, (const char *)x->data + (size_t)i * bytes, bytes);
  }
  return NORMA_OK;
}

static const operator_attribute max_unpool_attributes[] = {
    {"kernel_shape", ATTRIBUTE_INTS, 9, OPERATOR_LATEST, true},
    {"pads", ATTRIBUTE_INTS, 9, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 9, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_max_unpool[] = {
    {
        .domain = "",
        .name = "MaxUnpool",
        .versions = {9, 11, 22},
        .min_inputs = 2,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}, {TYPE_BIT(NORMA_INT64), INPUT(1) | INPUT(2), 0}},
        .attributes = max_unpool_attributes,
        .state_size = sizeof(max_unpool_state),
        .read = max_unpool_read,
        .infer = max_unpool_infer,
        .compute = max_unpool_compute,
    },
    {0},
};
