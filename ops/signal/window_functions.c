/*
 * HannWindow, HammingWindow, BlackmanWindow 17 (ai.onnx): windows of `size` elements
 *
 *   Hann      sin(pi n / N)^2
 *   Hamming   25/46 - 21/46 cos(2 pi n / N)
 *   Blackman  0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)
 *
 * with N = size, or size - 1 where periodic is 0. Computed in double, of any numeric type; integers are truncated.
 */
#include "ops/operator.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

enum window_kind { WINDOW_HANN, WINDOW_HAMMING, WINDOW_BLACKMAN };

typedef struct window_state {
  enum window_kind kind;
  bool periodic;
  norma_element_type type;
} window_state;

static norma_status window_function_read(const node *node, void *opaque, norma_error *error) {
  window_state *state = opaque;
  const int64_t type = attribute_int(node, "output_datatype", NORMA_FLOAT);
  const char *name = node->op->name;
  state->kind = strcmp(name, "HannWindow") == 0      ? WINDOW_HANN
                : strcmp(name, "HammingWindow") == 0 ? WINDOW_HAMMING
                                                     : WINDOW_BLACKMAN;
  state->periodic = attribute_int(node, "periodic", 1) != 0;
  if (type < 0 || type >= NORMA_ELEMENT_TYPE_COUNT || !(TYPE_BIT(type) & TYPES_NUMERIC))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "output_datatype %" PRId64 " is no numeric type",
                         type);
  state->type = (norma_element_type)type;
  return NORMA_OK;
}

static norma_status window_function_infer(infer_context *context) {
  const window_state *state = context->state;
  const norma_tensor *size = infer_value(context, 0);
  shape result = shape_of_rank(1);
  if (size) {
    if (norma_tensor_count(size) != 1) return infer_fail(context, "size must be one number");
    result.dims[0] = tensor_get_int64(size, 0);
    if (result.dims[0] < 0) return infer_fail(context, "size is %" PRId64, result.dims[0]);
  }
  infer_output(context, 0, state->type, &result);
  return NORMA_OK;
}

static double window_value(enum window_kind kind, double n, double size) {
  const double pi = 3.14159265358979323846;
  const double sine = sin(n * pi / size);
  switch (kind) {
  case WINDOW_HANN:
    return sine * sine;
  case WINDOW_HAMMING:
    return 25.0 / 46 - cos(n * pi * 2 / size) * (1 - 25.0 / 46);
  default:
    return cos(n * (pi * 2) / size) * -0.5 + cos(n * (pi * 4) / size) * 0.08 + 0.42;
  }
}

static void window_function_body(void *argument, int64_t begin, int64_t end, int worker) {
  const run_context *context = argument;
  const window_state *state = context->state;
  const norma_tensor *output = run_output(context, 0);
  const double size = (double)(state->periodic ? output->dims[0] : output->dims[0] - 1);
  (void)worker;
  for (int64_t i = begin; i < end; i++)
    element_set_double(state->type, output->data, i, window_value(state->kind, (double)i, size));
}

static norma_status window_function_compute(run_context *context) {
  const norma_tensor *size = run_input(context, 0), *output = run_output(context, 0);
  if (!output) return NORMA_OK;
  if (norma_tensor_count(size) != 1 || tensor_get_int64(size, 0) != output->dims[0])
    return run_fail(context, NORMA_ERROR_RUN, "size does not fit the output");
  return run_parallel(context, output->dims[0], 4096, window_function_body, context);
}

static const operator_attribute window_function_attributes[] = {
    {"output_datatype", ATTRIBUTE_INT, 17, OPERATOR_LATEST, false},
    {"periodic", ATTRIBUTE_INT, 17, OPERATOR_LATEST, false},
    {0},
};

#define WINDOW_FUNCTION(op)                                                                                            \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {17}, .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 1,  \
    .types = {{TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(0), 0}, {TYPES_NUMERIC, 0, OUTPUT(0)}},            \
    .attributes = window_function_attributes, .state_size = sizeof(window_state), .read = window_function_read,        \
    .infer = window_function_infer, .compute = window_function_compute,                                                \
  }

const operator_descriptor operators_window_functions[] = {
    WINDOW_FUNCTION("HannWindow"),
    WINDOW_FUNCTION("HammingWindow"),
    WINDOW_FUNCTION("BlackmanWindow"),
    {0},
};
