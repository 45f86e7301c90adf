/*
 * AveragePoolGradient (inner domain): the gradient of AveragePool's input X [N, C, D1 .. Dn] from that of its output.
 *
 * Inputs: the gradient G of the output, and X, of which the shape counts. Attributes are those of AveragePool. Each one
 * of G is shared by the inputs under its window: divided by their number, with count_include_pad by that of the
 * window's taps in the input and its padding. Planes are computed in double, each alone. float16, bfloat16, float,
 * double.
 */
#include "ops/window.h"
#include "ops/work.h"

typedef struct pool_gradient_state {
  window_attributes attributes;
  bool count_pad;
  window window; /* the plan's */
} pool_gradient_state;

static norma_status pool_gradient_read(const node *node, void *opaque, norma_error *error) {
  pool_gradient_state *state = opaque;
  state->count_pad = attribute_int(node, "count_include_pad", 0) != 0;
  return window_read(node, &state->attributes, error);
}

static norma_status pool_gradient_infer(infer_context *context) {
  infer_output(context, 0, infer_type(context, 0), infer_shape(context, 1));
  return NORMA_OK;
}

static norma_status pool_gradient_prepare(prepare_context *context) {
  pool_gradient_state *state = context->state;
  const shape *g = prepare_shape(context, 0), *x = prepare_shape(context, 1);
  char message[WINDOW_MESSAGE_SIZE];
  if (!window_resolve(&state->attributes, x->rank - 2, x->dims + 2, NULL, &state->window, message))
    return prepare_fail(context, NORMA_ERROR_INPUT, "%s", message);
  if (g->rank != x->rank || memcmp(g->dims, x->dims, 2 * sizeof *g->dims) != 0 ||
      memcmp(g->dims + 2, state->window.output, (size_t)state->window.axes * sizeof *g->dims) != 0)
    return prepare_fail(context, NORMA_ERROR_INPUT, "the gradient does not have the shape of the pool's output");
  size_t bytes;
  if (!size_multiply((size_t)window_inputs(&state->window), sizeof(double), &bytes))
    return prepare_fail(context, NORMA_ERROR_INPUT, "a plane is too large");
  context->worker_scratch_bytes = bytes;
  context->kernel_name = "planes in double";
  return NORMA_OK;
}

/* Adds `share` to the inputs under the window, whose taps [begin, end) exist, or counts them. */
static int64_t pool_gradient_window(const window *w, const int64_t *position, const int64_t *begin, const int64_t *end,
                                    double share, double *plane) {
  int64_t tap[WINDOW_MAX_AXES], count = 1;
  for (int d = 0; d < w->axes; d++) {
    tap[d] = begin[d];
    count *= end[d] - begin[d];
  }
  for (int64_t left = plane ? count : 0; left > 0; left--) {
    int64_t at = 0;
    for (int d = 0; d < w->axes; d++) {
      at = at * w->input[d] + position[d] * w->stride[d] + tap[d] * w->dilation[d] - w->pad_begin[d];
    }
    plane[at] += share;
    for (int d = w->axes - 1; d >= 0 && ++tap[d] == end[d]; d--) tap[d] = begin[d];
  }
  return count;
}

static void pool_gradient_plane(const pool_gradient_state *state, const norma_tensor *g, int64_t first, double *plane) {
  const window *w = &state->window;
  int64_t position[WINDOW_MAX_AXES] = {0}, begin[WINDOW_MAX_AXES], end[WINDOW_MAX_AXES];
  const int64_t outputs = window_outputs(w);
  for (int64_t i = 0; i < outputs; i++) {
    int64_t padded = 1;
    for (int d = 0; d < w->axes; d++) {
      window_clip(w, d, position[d], &begin[d], &end[d]);
      padded *= window_padded_taps(w, d, position[d]);
    }
    const int64_t taps = pool_gradient_window(w, position, begin, end, 0, NULL);
    const double divisor = (double)(state->count_pad ? padded : taps);
    const double gradient = element_get_double(g->type, g->data, first + i);
    if (taps > 0) pool_gradient_window(w, position, begin, end, gradient / divisor, plane);
    window_advance(w->axes, w->output, position);
  }
}

static void pool_gradient_planes(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const pool_gradient_state *state = context->state;
  const norma_tensor *g = run_input(context, 0), *y = run_output(context, 0);
  const int64_t inputs = window_inputs(&state->window), outputs = window_outputs(&state->window);
  double *plane = run_worker_scratch(context, worker);
  for (int64_t i = begin; i < end && !run_cancelled(context); i++) {
    for (int64_t k = 0; k < inputs; k++) plane[k] = 0;
    pool_gradient_plane(state, g, i * outputs, plane);
    elements_from_double(y->type, y->data, i * inputs, inputs, plane);
  }
}

static norma_status pool_gradient_compute(run_context *context) {
  const pool_gradient_state *state = context->state;
  const norma_tensor *x = run_input(context, 1);
  if (norma_tensor_count(run_output(context, 0)) == 0) return NORMA_OK;
  const double cost = (double)window_outputs(&state->window) * (double)window_taps(&state->window) * 8;
  return run_parallel(context, dims_product(x->dims, 0, 2), work_grain(cost), pool_gradient_planes, context);
}

static const operator_attribute pool_gradient_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"ceil_mode", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"count_include_pad", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_pool_gradient[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "AveragePoolGradient",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1), OUTPUT(0)}},
        .attributes = pool_gradient_attributes,
        .state_size = sizeof(pool_gradient_state),
        .read = pool_gradient_read,
        .infer = pool_gradient_infer,
        .prepare = pool_gradient_prepare,
        .compute = pool_gradient_compute,
    },
    {0},
};
