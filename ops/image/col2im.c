/*
 * Col2Im 18 (ai.onnx): adds patches up to an image
 *
 * X [N, C * b1 * .. * br, L] holds, for each of the L places of a window b1 x .. x br over an image D1 x .. x Dr, the
 * elements under the window. Y [N, C, D1 .. Dr] is the sum of all patches, each where it lies; what lies in the padding
 * is left out. Half precision is summed in float, integers modulo their size, truths are true where one is. Strings,
 * which the definition lists, have no sum and are refused.
 */
#include "ops/half.h"
#include "ops/window.h"
#include "ops/work.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct col2im_state {
  window_attributes attributes;

  /* The plan's. */
  norma_element_type type; /* complex numbers: of a part */
  int parts;
  enum { COL2IM_F32, COL2IM_F64, COL2IM_I64 } kind;
  bool is_converted; /* planes are computed in scratch, in another type */
  size_t x_at, y_at; /* worker scratch */
} col2im_state;

static norma_status col2im_read(const node *node, void *opaque, norma_error *error) {
  col2im_state *state = opaque;
  return window_read(node, &state->attributes, error);
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

/* The window for an image and a block; false with a message where they do not fit. */
static bool col2im_window(const col2im_state *state, int axes, const int64_t *image, const int64_t *block,
                          window *window, char message[WINDOW_MESSAGE_SIZE]) {
  for (int i = 0; i < axes; i++) {
    if (image[i] >= 0 && block[i] >= 1) continue;
    snprintf(message, WINDOW_MESSAGE_SIZE, "image_shape or block_shape holds %" PRId64,
             image[i] < 0 ? image[i] : block[i]);
    return false;
  }
  window_attributes attributes = state->attributes;
  if (attributes.axes == 0) {
    attributes.axes = axes;
    for (int i = 0; i < axes; i++) {
      attributes.stride[i] = attributes.dilation[i] = 1;
      attributes.pad_begin[i] = attributes.pad_end[i] = 0;
    }
  }
  return window_resolve(&attributes, axes, image, block, window, message);
}

static norma_status col2im_infer(infer_context *context) {
  const col2im_state *state = context->state;
  const shape *x = infer_shape(context, 0), *image_shape = infer_shape(context, 1),
              *block_shape = infer_shape(context, 2);
  int64_t image[NORMA_MAX_RANK], block[NORMA_MAX_RANK], taps, places;
  int axes = 0, block_axes = 0;
  norma_status status = NORMA_OK;
  window window;
  char message[WINDOW_MESSAGE_SIZE];
  if (infer_type(context, 0) == NORMA_STRING) return infer_fail(context, "strings have no sum");
  if (x->rank != RANK_UNKNOWN && x->rank != 3) return infer_fail(context, "the input has rank %d, not 3", x->rank);
  bool is_known = infer_ints(context, 1, image, WINDOW_MAX_AXES, &axes, &status);
  TRY(status);
  is_known = infer_ints(context, 2, block, WINDOW_MAX_AXES, &block_axes, &status) && is_known;
  TRY(status);
  if (!is_known) {
    axes = image_shape->rank == 1 && image_shape->dims[0] != DIM_UNKNOWN   ? (int)image_shape->dims[0]
           : block_shape->rank == 1 && block_shape->dims[0] != DIM_UNKNOWN ? (int)block_shape->dims[0]
                                                                           : 0;
    shape unknown = axes > 0 && axes <= WINDOW_MAX_AXES ? shape_of_rank(axes + 2) : shape_unknown();
    if (unknown.rank > 0 && x->rank == 3) unknown.dims[0] = x->dims[0];
    infer_output(context, 0, infer_type(context, 0), &unknown);
    return NORMA_OK;
  }
  if (axes < 1 || axes != block_axes)
    return infer_fail(context, "image_shape has %d axes, block_shape %d", axes, block_axes);
  if (!col2im_window(state, axes, image, block, &window, message)) return infer_fail(context, "%s", message);
  shape y = shape_of_rank(axes + 2);
  memcpy(y.dims + 2, image, (size_t)axes * sizeof *image);
  const shape kernel = shape_make(axes, window.kernel), outputs = shape_make(axes, window.output);
  taps = shape_count(&kernel), places = shape_count(&outputs);
  if (taps == DIM_UNKNOWN || places == DIM_UNKNOWN) return infer_fail(context, "the window is too large");
  if (x->rank == 3) {
    y.dims[0] = x->dims[0];
    if (x->dims[1] != DIM_UNKNOWN && x->dims[1] % taps != 0)
      return infer_fail(context,
                        "dimension 1 of the input is %" PRId64 ", no multiple of the block's %" PRId64 " elements",
                        x->dims[1], taps);
    if (x->dims[2] != DIM_UNKNOWN && x->dims[2] != places)
      return infer_fail(context, "the input has %" PRId64 " patches but the window %" PRId64 " places", x->dims[2],
                        places);
    y.dims[1] = x->dims[1] == DIM_UNKNOWN ? DIM_UNKNOWN : x->dims[1] / taps;
  }
  return window_infer_output(context, 0, infer_type(context, 0), &y);
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static norma_status col2im_prepare(prepare_context *context) {
  col2im_state *state = context->state;
  const shape *x = prepare_shape(context, 0), *y = &context->outputs[0]->shape;
  const norma_element_type type = prepare_type(context, 0);
  const bool is_complex = TYPE_BIT(type) & TYPES_COMPLEX;
  state->type = type == NORMA_COMPLEX64 ? NORMA_FLOAT : type == NORMA_COMPLEX128 ? NORMA_DOUBLE : type;
  state->parts = is_complex ? 2 : 1;
  state->kind = state->type == NORMA_FLOAT || is_half(state->type) ? COL2IM_F32
                : state->type == NORMA_DOUBLE                      ? COL2IM_F64
                                                                   : COL2IM_I64;
  state->is_converted = is_complex || (type != NORMA_FLOAT && type != NORMA_DOUBLE);
  context->kernel_name = "planes";
  if (!shape_is_known(y)) return prepare_fail(context, NORMA_ERROR_INTERNAL, "the output's shape is not known");
  const int64_t planes = dims_product(y->dims, 0, 2), pixels = dims_product(y->dims, 2, y->rank);
  context->flops = (double)dims_product(x->dims, 0, 3);
  if (!state->is_converted || planes == 0) return NORMA_OK;
  const size_t element = state->kind == COL2IM_F32 ? sizeof(float) : sizeof(int64_t);
  if (!scratch_append(&context->worker_scratch_bytes, (size_t)(dims_product(x->dims, 0, 3) / planes), element,
                      &state->x_at) ||
      !scratch_append(&context->worker_scratch_bytes, (size_t)pixels, element, &state->y_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "one plane is too large");
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct col2im_job {
  run_context *context;
  const col2im_state *state;
  const norma_tensor *x, *y;
  window window;
  int64_t taps, places, pixels; /* of a plane */
} col2im_job;

/* Positions p of the window along an axis for which tap `tap` lies inside: *begin <= p < *end. */
static void col2im_range(const window *w, int axis, int64_t tap, int64_t *begin, int64_t *end) {
  const int64_t shift = tap * w->dilation[axis] - w->pad_begin[axis], last = w->input[axis] - 1 - shift;
  *begin = shift < 0 ? divide_up(-shift, w->stride[axis]) : 0;
  *end = last < 0 ? 0 : last / w->stride[axis] + 1;
  if (*end > w->output[axis]) *end = w->output[axis];
  if (*begin > *end) *begin = *end;
}

/* y += the elements of x, one for each place of the window, that lie under one of its taps. */
#define COL2IM_ADD(suffix, real)                                                                                       \
  static void col2im_add_##suffix(const window *w, const int64_t *tap, const real *x, real *y) {                       \
    int64_t begin[WINDOW_MAX_AXES], end[WINDOW_MAX_AXES], count[WINDOW_MAX_AXES], at[WINDOW_MAX_AXES] = {0};           \
    const int last = w->axes - 1;                                                                                      \
    for (int d = 0; d < w->axes; d++) {                                                                                \
      col2im_range(w, d, tap[d], &begin[d], &end[d]);                                                                  \
      count[d] = end[d] - begin[d];                                                                                    \
      if (count[d] == 0) return;                                                                                       \
    }                                                                                                                  \
    do {                                                                                                               \
      int64_t from = 0, to = 0;                                                                                        \
      for (int d = 0; d < w->axes; d++) {                                                                              \
        const int64_t place = begin[d] + (d < last ? at[d] : 0);                                                       \
        from = from * w->output[d] + place;                                                                            \
        to = to * w->input[d] + place * w->stride[d] + tap[d] * w->dilation[d] - w->pad_begin[d];                      \
      }                                                                                                                \
      const int64_t step = w->stride[last], n = count[last];                                                           \
      if (step == 1)                                                                                                   \
        for (int64_t i = 0; i < n; i++) y[to + i] += x[from + i];                                                      \
      else                                                                                                             \
        for (int64_t i = 0; i < n; i++) y[to + i * step] += x[from + i];                                               \
    } while (window_advance(last, count, at));                                                                         \
  }

COL2IM_ADD(f32, float)
COL2IM_ADD(f64, double)
COL2IM_ADD(i64, uint64_t)

/* Part `part` of the elements of a plane of X, in the type that is computed in. */
static void col2im_load(const col2im_job *job, int64_t first, int part, void *x) {
  const col2im_state *state = job->state;
  const int64_t count = job->taps * job->places, parts = state->parts;
  if (is_half(state->type)) {
    half_to_float(job->context->kernels, state->type, x, (const uint16_t *)job->x->data + first, count);
    return;
  }
  for (int64_t i = 0; i < count && !work_interrupted(job->context, i); i++) {
    const int64_t at = (first + i) * parts + part;
    if (state->kind == COL2IM_F32)
      ((float *)x)[i] = ((const float *)job->x->data)[at];
    else if (state->kind == COL2IM_F64)
      ((double *)x)[i] = ((const double *)job->x->data)[at];
    else
      ((int64_t *)x)[i] = element_get_int64(state->type, job->x->data, at);
  }
}

static void col2im_store(const col2im_job *job, int64_t first, int part, const void *y) {
  const col2im_state *state = job->state;
  const int64_t parts = state->parts;
  if (is_half(state->type)) {
    half_from_float(job->context->kernels, state->type, (uint16_t *)job->y->data + first, y, job->pixels);
    return;
  }
  for (int64_t i = 0; i < job->pixels && !work_interrupted(job->context, i); i++) {
    const int64_t at = (first + i) * parts + part;
    if (state->kind == COL2IM_F32)
      ((float *)job->y->data)[at] = ((const float *)y)[i];
    else if (state->kind == COL2IM_F64)
      ((double *)job->y->data)[at] = ((const double *)y)[i];
    else
      element_set_int64(state->type, job->y->data, at,
                        state->type == NORMA_BOOL ? ((const int64_t *)y)[i] != 0 : ((const int64_t *)y)[i]);
  }
}

static void col2im_sum(const col2im_job *job, const void *x, void *y) {
  const size_t element = job->state->kind == COL2IM_F32 ? sizeof(float) : sizeof(int64_t);
  int64_t tap[WINDOW_MAX_AXES] = {0};
  memset(y, 0, (size_t)job->pixels * element);
  for (int64_t t = 0; t < job->taps && !run_cancelled(job->context); t++) {
    const int64_t at = t * job->places;
    switch (job->state->kind) {
    case COL2IM_F32:
      col2im_add_f32(&job->window, tap, (const float *)x + at, y);
      break;
    case COL2IM_F64:
      col2im_add_f64(&job->window, tap, (const double *)x + at, y);
      break;
    case COL2IM_I64:
      col2im_add_i64(&job->window, tap, (const uint64_t *)x + at, y);
      break;
    }
    window_advance(job->window.axes, job->window.kernel, tap);
  }
}

static void col2im_body(void *argument, int64_t begin, int64_t end, int worker) {
  const col2im_job *job = argument;
  const col2im_state *state = job->state;
  const size_t element = element_type_bytes(job->x->type);
  char *scratch = run_worker_scratch(job->context, worker);
  for (int64_t plane = begin; plane < end; plane++) {
    const int64_t from = plane * job->taps * job->places, to = plane * job->pixels;
    if (!state->is_converted) {
      col2im_sum(job, (const char *)job->x->data + (size_t)from * element, (char *)job->y->data + (size_t)to * element);
      continue;
    }
    for (int part = 0; part < state->parts; part++) {
      col2im_load(job, from, part, scratch + state->x_at);
      col2im_sum(job, scratch + state->x_at, scratch + state->y_at);
      col2im_store(job, to, part, scratch + state->y_at);
    }
  }
}

static norma_status col2im_compute(run_context *context) {
  const col2im_state *state = context->state;
  const norma_tensor *x = run_input(context, 0), *y = run_output(context, 0), *block = run_input(context, 2);
  col2im_job job = {.context = context, .state = state, .x = x, .y = y};
  int64_t kernel[WINDOW_MAX_AXES];
  char message[WINDOW_MESSAGE_SIZE];
  if (!y || norma_tensor_count(y) == 0) return NORMA_OK;
  const int axes = y->rank - 2;
  if (norma_tensor_count(block) != axes)
    return run_fail(context, NORMA_ERROR_RUN, "block_shape does not fit the output");
  for (int i = 0; i < axes; i++) kernel[i] = tensor_get_int64(block, i);
  if (!col2im_window(state, axes, y->dims + 2, kernel, &job.window, message))
    return run_fail(context, NORMA_ERROR_RUN, "%s", message);
  job.taps = window_taps(&job.window);
  job.places = window_outputs(&job.window);
  job.pixels = dims_product(y->dims, 2, y->rank);
  if (job.places != x->dims[2] || job.taps * y->dims[1] != x->dims[1])
    return run_fail(context, NORMA_ERROR_RUN, "block_shape and image_shape do not fit the input");
  const double cost = (double)job.taps * (double)job.places * state->parts * (state->is_converted ? 4 : 1);
  return run_parallel(context, dims_product(y->dims, 0, 2), work_grain(cost), col2im_body, &job);
}

static const operator_attribute col2im_attributes[] = {
    {"dilations", ATTRIBUTE_INTS, 18, OPERATOR_LATEST, false},
    {"pads", ATTRIBUTE_INTS, 18, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 18, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_col2im[] = {
    {
        .domain = "",
        .name = "Col2Im",
        .versions = {18},
        .min_inputs = 3,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_NUMERIC | TYPES_COMPLEX | TYPE_BIT(NORMA_BOOL) | TYPE_BIT(NORMA_STRING), INPUT(0), OUTPUT(0)},
                  {TYPE_BIT(NORMA_INT64), INPUT(1) | INPUT(2), 0}},
        .attributes = col2im_attributes,
        .state_size = sizeof(col2im_state),
        .read = col2im_read,
        .infer = col2im_infer,
        .prepare = col2im_prepare,
        .compute = col2im_compute,
    },
    {0},
};
