/*
 * Shape  1; 15: attributes start and end; 13, 19, 21, 23, 24, 25: more types
 * Size   1; 13, 19, 21, 23, 24, 25: more types
 *
 * Where the input's shape is known, so are the results, before anything runs.
 */
#include "ops/operator.h"

typedef struct shape_state {
  int64_t start, end;
} shape_state;

static norma_status shape_read(const node *node, void *state, norma_error *error) {
  shape_state *range = state;
  (void)error;
  range->start = attribute_int(node, "start", 0);
  range->end = attribute_int(node, "end", INT64_MAX);
  return NORMA_OK;
}

static int clamp_axis(int64_t axis, int rank) {
  if (axis < 0) axis = axis < -rank ? 0 : axis + rank;
  return (int)(axis > rank ? rank : axis);
}

/* The dimensions first .. first + count - 1 that are asked for. */
static void shape_range(const shape_state *state, int rank, int *first, int *count) {
  const int end = clamp_axis(state->end, rank);
  *first = clamp_axis(state->start, rank);
  *count = end > *first ? end - *first : 0;
}

static norma_status shape_infer(infer_context *context) {
  const shape *input = infer_shape(context, 0);
  shape result = shape_of_rank(1);
  if (input->rank != RANK_UNKNOWN) {
    int first, count;
    shape_range(context->state, input->rank, &first, &count);
    const shape part = shape_make(count, input->dims + first);
    if (shape_is_known(&part)) return infer_output_ints(context, 0, part.dims, count, 1);
    result.dims[0] = count;
  }
  infer_output(context, 0, NORMA_INT64, &result);
  return NORMA_OK;
}

static norma_status shape_compute(run_context *context) {
  const norma_tensor *input = run_input(context, 0), *output = run_output(context, 0);
  int first, count;
  if (!output) return NORMA_OK;
  shape_range(context->state, input->rank, &first, &count);
  if (count) memcpy(output->data, input->dims + first, (size_t)count * sizeof(int64_t));
  return NORMA_OK;
}

static norma_status size_infer(infer_context *context) {
  const shape scalar = shape_of_rank(0);
  const int64_t count = shape_count(infer_shape(context, 0));
  if (count != DIM_UNKNOWN) return infer_output_ints(context, 0, &count, 1, 0);
  infer_output(context, 0, NORMA_INT64, &scalar);
  return NORMA_OK;
}

static norma_status size_compute(run_context *context) {
  const norma_tensor *output = run_output(context, 0);
  if (output) *(int64_t *)output->data = norma_tensor_count(run_input(context, 0));
  return NORMA_OK;
}

static const operator_attribute shape_attributes[] = {
    {"start", ATTRIBUTE_INT, 15, OPERATOR_LATEST, false},
    {"end", ATTRIBUTE_INT, 15, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_shape[] = {
    {.name = "Shape",
     .domain = "",
     .versions = {1, 13, 15, 19, 21, 23, 24, 25},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_ALL, INPUT(0), 0}, {TYPE_BIT(NORMA_INT64), 0, OUTPUT(0)}},
     .attributes = shape_attributes,
     .state_size = sizeof(shape_state),
     .read = shape_read,
     .infer = shape_infer,
     .flags = OPERATOR_SHAPE_ONLY,
     .compute = shape_compute},
    {.name = "Size",
     .domain = "",
     .versions = {1, 13, 19, 21, 23, 24, 25},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_ALL, INPUT(0), 0}, {TYPE_BIT(NORMA_INT64), 0, OUTPUT(0)}},
     .infer = size_infer,
     .flags = OPERATOR_SHAPE_ONLY,
     .compute = size_compute},
    {0},
};
