/*
 * MaxPool 1, 8, 10, 11, 12, 22; AveragePool 1, 7, 10, 11, 19, 22; LpPool 1, 2, 11, 18, 22 (ai.onnx)
 *
 * X [N, C, D1 .. Dn] -> Y [N, C, o1 .. on], each output the maximum, mean or p-norm of the inputs under its window.
 *
 *   MaxPool      8 adds Indices and storage_order, 10 dilations and ceil_mode, 12 int8 and uint8, 22 bfloat16
 *   AveragePool  7 adds count_include_pad, 10 ceil_mode, 19 dilations, 22 bfloat16
 *   LpPool       p is a float in 1 and an integer later; 18 adds dilations and ceil_mode, 22 bfloat16
 *
 * Indices count elements of all of X, in row-major order or, within a plane and with storage_order 1, column-major; of
 * equal elements the first in row-major order counts; a window without any input has index -1 and the type's lowest
 * value. A mean over nothing is 0.
 *
 * One or two axes of float and half precision run in kernels, and maxima of bytes without Indices; all else plane by
 * plane in double precision.
 */
#include "ops/blocked.h"
#include "ops/byte_rows.h"
#include "ops/half.h"
#include "ops/window.h"
#include "ops/work.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

enum pool_kind { POOL_MAX, POOL_AVERAGE, POOL_LP };

typedef struct pool_state {
  enum pool_kind kind;
  window_attributes attributes;
  bool column_major;
  bool count_pad;
  double p;

  /* The plan's. */
  window window;
  norma_element_type type;
  bool has_kernel; /* one of the kernel table */
  struct window_2d plane;
  int64_t planes, inputs, outputs, grain;
  int64_t slices, slice_rows; /* of a plane, for the kernels */
  bool has_bytes;             /* maxima by `bytes` */
  byte_rows bytes;
  size_t x_at, y_at; /* in worker scratch: a plane as float or double */
} pool_state;

/* ----------------------------------------------------------------------------------------------- attributes, shapes */

static norma_status pool_read(const node *node, pool_state *pool, enum pool_kind kind, norma_error *error) {
  pool->kind = kind;
  TRY(window_read(node, &pool->attributes, error));
  if (!pool->attributes.has_kernel)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "kernel_shape is missing");
  return NORMA_OK;
}

static norma_status max_pool_read(const node *node, void *state, norma_error *error) {
  pool_state *pool = state;
  int64_t order = attribute_int(node, "storage_order", 0);
  if (order != 0 && order != 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "storage_order is %" PRId64 " but must be 0 or 1",
                         order);
  if (node->version < 8 && node->output_count > 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %d outputs, of which version 8 has the second",
                         node->output_count);
  pool->column_major = order == 1;
  return pool_read(node, pool, POOL_MAX, error);
}

static norma_status average_pool_read(const node *node, void *state, norma_error *error) {
  pool_state *pool = state;
  pool->count_pad = attribute_int(node, "count_include_pad", 0) != 0;
  return pool_read(node, pool, POOL_AVERAGE, error);
}

static norma_status lp_pool_read(const node *node, void *state, norma_error *error) {
  pool_state *pool = state;
  pool->p = node->version == 1 ? (double)attribute_float(node, "p", 2) : (double)attribute_int(node, "p", 2);
  if (!(pool->p > 0))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "p is %g but must be above 0", pool->p);
  return pool_read(node, pool, POOL_LP, error);
}

static norma_status pool_infer(infer_context *context) {
  const pool_state *pool = context->state;
  const shape *x = infer_shape(context, 0);
  shape y = *x;
  TRY(infer_types_since(context, TYPES_BFLOAT16, 22));
  TRY(infer_types_since(context, TYPE_BIT(NORMA_INT8) | TYPE_BIT(NORMA_UINT8), 12));
  if (x->rank != RANK_UNKNOWN) {
    window window;
    char message[WINDOW_MESSAGE_SIZE];
    if (!window_resolve(&pool->attributes, x->rank - 2, x->dims + 2, NULL, &window, message))
      return infer_fail(context, "%s", message);
    memcpy(y.dims + 2, window.output, (size_t)window.axes * sizeof *y.dims);
  }
  TRY(window_infer_output(context, 0, infer_type(context, 0), &y));
  if (pool->kind == POOL_MAX && context->output_count > 1) return window_infer_output(context, 1, NORMA_INT64, &y);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

/* Kernels visit every tap, so they are for windows that mostly lie inside. */
static bool pool_has_kernel(const prepare_context *context, const pool_state *pool) {
  const window *w = &pool->window;
  bool wants_indices = context->output_count > 1 && context->outputs[1];
  bool is_float = pool->type == NORMA_FLOAT || is_half(pool->type);
  if (!is_float || pool->kind == POOL_LP || wants_indices || w->axes > 2) return false;
  for (int d = 0; d < w->axes; d++) {
    if (w->kernel[d] > 64 && w->kernel[d] > 2 * w->input[d]) return false;
  }
  return window_suits_planes(w);
}

/* Maxima of bytes, without places. */
static bool pool_has_bytes(const prepare_context *context, pool_state *pool) {
  const bool wants_indices = context->output_count > 1 && context->outputs[1];
  return pool->kind == POOL_MAX && (pool->type == NORMA_INT8 || pool->type == NORMA_UINT8) && !wants_indices &&
         byte_rows_init(&pool->bytes, &pool->window);
}

static norma_status pool_prepare(prepare_context *context) {
  pool_state *pool = context->state;
  const shape *x = prepare_shape(context, 0);
  char message[WINDOW_MESSAGE_SIZE];
  if (!window_resolve(&pool->attributes, x->rank - 2, x->dims + 2, NULL, &pool->window, message))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "%s", message);
  pool->type = prepare_type(context, 0);
  pool->planes = dims_product(x->dims, 0, 2);
  pool->inputs = window_inputs(&pool->window);
  pool->outputs = window_outputs(&pool->window);
  pool->has_kernel = pool_has_kernel(context, pool);
  context->kernel_name = pool->has_kernel ? "planes" : "planes in double";
  double taps = 1;
  for (int d = 0; d < pool->window.axes; d++) taps *= (double)pool->window.kernel[d];
  context->flops = taps * (double)pool->outputs * (double)pool->planes;
  pool->slices = 1;
  pool->has_bytes = pool_has_bytes(context, pool);
  if (pool->has_bytes) {
    pool->slices = divide_up((int64_t)pool->bytes.plane.output[0], (int64_t)pool->bytes.slice);
    pool->grain = work_grain(taps * (double)pool->outputs / 8 / (double)pool->slices);
    context->kernel_name = "rows of bytes";
    context->worker_scratch_bytes = pool->bytes.scratch;
    return NORMA_OK;
  }
  if (pool->has_kernel) pool->slices = window_slices(&pool->window, &pool->slice_rows);
  pool->grain = work_grain(taps * (double)pool->outputs * (pool->has_kernel ? 1 : 8) / (double)pool->slices);

  size_t *total = &context->worker_scratch_bytes;
  size_t element = pool->has_kernel ? sizeof(float) : sizeof(double);
  if (pool->has_kernel) {
    pool->plane = window_plane(&pool->window);
    size_t scratch = window_slices_scratch(context->kernels, &pool->plane, pool->slice_rows);
    *total = size_align(scratch, MEMORY_ALIGNMENT);
    if (pool->type == NORMA_FLOAT) return NORMA_OK;
  } else if (pool->type == NORMA_DOUBLE) {
    return NORMA_OK;
  }
  if (!scratch_append(total, (size_t)pool->inputs, element, &pool->x_at) ||
      !scratch_append(total, (size_t)pool->outputs, element, &pool->y_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "one plane is too large");
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------- one plane in double */

/* The taps of one output position that lie inside, and what has been found among them. */
struct pool_spot {
  int64_t begin[WINDOW_MAX_AXES], count[WINDOW_MAX_AXES]; /* of taps */
  int64_t first[WINDOW_MAX_AXES];                         /* the input under tap `begin` */
  double counted;                                         /* by what a mean is divided */
  double value;
  int64_t best;    /* offset in the plane, -1: none */
  int64_t visited; /* taps since the last question whether to stop */
};

/* false: no tap lies inside. */
static bool pool_locate(const pool_state *pool, const int64_t *position, struct pool_spot *spot) {
  const window *w = &pool->window;
  bool inside = true;
  spot->counted = 1;
  for (int d = 0; d < w->axes; d++) {
    int64_t end, first = position[d] * w->stride[d] - w->pad_begin[d];
    window_clip(w, d, position[d], &spot->begin[d], &end);
    spot->count[d] = end - spot->begin[d];
    spot->first[d] = first + spot->begin[d] * w->dilation[d];
    inside = inside && spot->count[d] > 0;
    spot->counted *= (double)(pool->count_pad ? window_padded_taps(w, d, position[d]) : spot->count[d]);
  }
  return inside;
}

static void pool_visit(const pool_state *pool, struct pool_spot *spot, double x, int64_t offset) {
  switch (pool->kind) {
  case POOL_MAX:
    if (spot->best >= 0 && !(x > spot->value) && (x == x || spot->value != spot->value)) break;
    spot->value = x;
    spot->best = offset;
    break;
  case POOL_AVERAGE:
    spot->value += x;
    break;
  case POOL_LP:
    if (pool->p == 2)
      spot->value += x * x;
    else if (pool->p == 1)
      spot->value += fabs(x);
    else
      spot->value += pow(fabs(x), pool->p);
    break;
  }
}

/* Stops early when the run is cancelled. */
static void pool_gather(const run_context *context, const double *x, struct pool_spot *spot) {
  const pool_state *pool = context->state;
  const window *w = &pool->window;
  int last = w->axes - 1;
  int64_t tap[WINDOW_MAX_AXES] = {0};
  do { /* a row of taps */
    int64_t offset = 0;
    for (int d = 0; d < w->axes; d++) offset = offset * w->input[d] + spot->first[d] + tap[d] * w->dilation[d];
    for (int64_t i = 0; i < spot->count[last]; i++, offset += w->dilation[last])
      pool_visit(pool, spot, x[offset], offset);
    spot->visited += spot->count[last];
    if (spot->visited > WORK_LEAST) {
      if (run_cancelled(context)) return;
      spot->visited = 0;
    }
  } while (window_advance(last, spot->count, tap));
}

/* Row-major offset to the position in column-major order. */
static int64_t pool_column_major(const window *w, int64_t offset) {
  int64_t position[WINDOW_MAX_AXES], result = 0;
  for (int d = w->axes - 1; d >= 0; d--) {
    position[d] = offset % w->input[d];
    offset /= w->input[d];
  }
  for (int d = w->axes - 1; d >= 0; d--) result = result * w->input[d] + position[d];
  return result;
}

static double pool_result(const pool_state *pool, const struct pool_spot *spot) {
  switch (pool->kind) {
  case POOL_MAX:
    break;
  case POOL_AVERAGE:
    return spot->counted > 0 ? spot->value / spot->counted : 0;
  case POOL_LP:
    if (pool->p == 1) break;
    return pool->p == 2 ? sqrt(spot->value) : pow(spot->value, 1 / pool->p);
  }
  return spot->value;
}

static void pool_plane(const run_context *context, const double *x, double *y, int64_t *indices, int64_t plane) {
  const pool_state *pool = context->state;
  const window *w = &pool->window;
  int64_t position[WINDOW_MAX_AXES] = {0}, visited = 0;
  for (int64_t i = 0; i < pool->outputs; i++) {
    struct pool_spot spot = {.value = pool->kind == POOL_MAX ? -INFINITY : 0, .best = -1, .visited = visited};
    if (pool_locate(pool, position, &spot)) pool_gather(context, x, &spot);
    visited = spot.visited + 1;
    if (visited > WORK_LEAST) {
      if (run_cancelled(context)) return;
      visited = 0;
    }
    y[i] = pool_result(pool, &spot);
    if (indices) {
      int64_t offset = spot.best < 0 || !pool->column_major ? spot.best : pool_column_major(w, spot.best);
      indices[i] = offset < 0 ? -1 : plane * pool->inputs + offset;
    }
    window_advance(w->axes, w->output, position);
  }
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static void pool_planes_in_double(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const pool_state *pool = context->state;
  const norma_tensor *x = run_input(context, 0);
  norma_tensor *y = run_output(context, 0), *indices = run_output(context, 1);
  char *scratch = run_worker_scratch(context, worker);
  for (int64_t plane = begin; plane < end; plane++) {
    int64_t x_first = plane * pool->inputs, y_first = plane * pool->outputs;
    int64_t *plane_indices = indices ? (int64_t *)indices->data + y_first : NULL;
    if (pool->type == NORMA_DOUBLE) {
      pool_plane(context, (const double *)x->data + x_first, (double *)y->data + y_first, plane_indices, plane);
      continue;
    }
    double *x_plane = (double *)(scratch + pool->x_at), *y_plane = (double *)(scratch + pool->y_at);
    for (int64_t i = 0; i < pool->inputs; i++) x_plane[i] = element_get_double(pool->type, x->data, x_first + i);
    pool_plane(context, x_plane, y_plane, plane_indices, plane);
    for (int64_t i = 0; i < pool->outputs; i++) element_set_double(pool->type, y->data, y_first + i, y_plane[i]);
  }
}

static void pool_planes(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const pool_state *pool = context->state;
  const struct kernel_table *kernels = context->kernels;
  const norma_tensor *x = run_input(context, 0);
  norma_tensor *y = run_output(context, 0);
  const window *w = &pool->window;
  char *scratch = run_worker_scratch(context, worker);
  size_t pad_end[2] = {w->axes == 2 ? (size_t)w->pad_end[0] : 0, (size_t)w->pad_end[w->axes - 1]};
  for (int64_t i = begin; i < end; i++) {
    size_t row = (size_t)(i % pool->slices * pool->slice_rows);
    struct window_slice slice = window_slice(&pool->plane, pad_end[0], row, (size_t)pool->slice_rows);
    size_t slice_pad_end[2] = {slice.pad_end, pad_end[1]};
    int64_t x_first = i / pool->slices * pool->inputs + (int64_t)slice.x_offset;
    int64_t y_first = i / pool->slices * pool->outputs + (int64_t)slice.y_offset;
    int64_t inputs = (int64_t)(slice.plane.input[0] * slice.plane.input[1]);
    int64_t outputs = (int64_t)(slice.plane.output[0] * slice.plane.output[1]);
    const float *x_plane = (const float *)x->data + x_first;
    float *y_plane = (float *)y->data + y_first;
    if (pool->type != NORMA_FLOAT) {
      half_to_float(kernels, pool->type, (float *)(scratch + pool->x_at), (const uint16_t *)x->data + x_first, inputs);
      x_plane = (const float *)(scratch + pool->x_at);
      y_plane = (float *)(scratch + pool->y_at);
    }
    if (pool->kind == POOL_MAX)
      kernels->max_pool_f32(&slice.plane, x_plane, y_plane, scratch);
    else
      kernels->average_pool_f32(&slice.plane, pool->count_pad, slice_pad_end, x_plane, y_plane, scratch);
    if (pool->type != NORMA_FLOAT)
      half_from_float(kernels, pool->type, (uint16_t *)y->data + y_first, y_plane, outputs);
  }
}

/* Slices of planes of bytes. Padding is the type's lowest number. */
static void pool_bytes(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const pool_state *pool = context->state;
  const struct window_2d *plane = &pool->bytes.plane;
  const uint8_t *x = run_input(context, 0)->data, *taps[BYTE_ROWS_MOST_TAPS];
  uint8_t *y = run_output(context, 0)->data, *scratch = run_worker_scratch(context, worker);
  const size_t count = plane->kernel[0] * plane->kernel[1];
  for (int64_t i = begin; i < end; i++) {
    const size_t first = (size_t)(i % pool->slices) * pool->bytes.slice, left = plane->output[0] - first;
    const size_t rows = left < pool->bytes.slice ? left : pool->bytes.slice;
    uint8_t *to = y + i / pool->slices * pool->outputs;
    byte_rows_copy(&pool->bytes, x + i / pool->slices * pool->inputs, pool->type == NORMA_INT8 ? 0x80 : 0, first, rows,
                   scratch);
    for (size_t row = 0; row < rows; row++) {
      byte_rows_taps(&pool->bytes, scratch, row, taps);
      context->kernels->maximum_8bit(to + (first + row) * plane->output[1], plane->output[1], taps, count, pool->type);
    }
  }
}

static norma_status pool_compute(run_context *context) {
  const pool_state *pool = context->state;
  if (pool->outputs == 0) return NORMA_OK;
  return run_parallel(context, pool->planes * pool->slices, pool->grain,
                      pool->has_bytes    ? pool_bytes
                      : pool->has_kernel ? pool_planes
                                         : pool_planes_in_double,
                      context);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute max_pool_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"ceil_mode", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 10, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"storage_order", ATTRIBUTE_INT, 8, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute average_pool_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"ceil_mode", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {"count_include_pad", ATTRIBUTE_INT, 7, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 19, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute lp_pool_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"ceil_mode", ATTRIBUTE_INT, 18, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 18, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, 1, false},
    {"kernel_shape", ATTRIBUTE_INTS, 2, OPERATOR_LATEST, true},
    {"p", ATTRIBUTE_FLOAT, 1, 1, false},
    {"p", ATTRIBUTE_INT, 2, OPERATOR_LATEST, false},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool pool_dimension(const node *node, int output, int axis, dimension_source *source) {
  (void)output;
  return window_dimension(node, axis, NULL, true, source);
}

static bool pool_block(const node *node, block_form *form) {
  const window_attributes *window = &((const pool_state *)node->state)->attributes;
  if (!node_follows_block(node) || !block_takes_window(window->kernel, (size_t)window->axes)) return false;
  int64_t taps = 1;
  for (int i = 0; i < window->axes; i++) taps *= window->kernel[i];
  if ((TYPE_BIT(form->type) & TYPES_BLOCKED_BYTES) && taps > BYTE_ROWS_MOST_TAPS) return false;
  form->inner = node->op_type;
  form->uses[0] = BLOCK_FOLLOW;
  return block_set_window(form, window);
}

const operator_descriptor operators_pool[] = {
    {
        .domain = "",
        .name = "MaxPool",
        .versions = {1, 8, 10, 11, 12, 22},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 2,
        .types = {{TYPES_FLOAT | TYPE_BIT(NORMA_INT8) | TYPE_BIT(NORMA_UINT8), INPUT(0), OUTPUT(0)},
                  {TYPE_BIT(NORMA_INT64), 0, OUTPUT(1)}},
        .attributes = max_pool_attributes,
        .state_size = sizeof(pool_state),
        .read = max_pool_read,
        .infer = pool_infer,
        .prepare = pool_prepare,
        .facts = {.dimension = pool_dimension, .block = pool_block, .block_types = TYPES_IN_BLOCKS},
        .compute = pool_compute,
    },
    {
        .domain = "",
        .name = "AveragePool",
        .versions = {1, 7, 10, 11, 19, 22},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
        .attributes = average_pool_attributes,
        .state_size = sizeof(pool_state),
        .read = average_pool_read,
        .infer = pool_infer,
        .prepare = pool_prepare,
        .facts = {.dimension = pool_dimension, .block = pool_block, .block_types = TYPES_BLOCKED},
        .compute = pool_compute,
    },
    {
        .domain = "",
        .name = "LpPool",
        .versions = {1, 2, 11, 18, 22},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
        .attributes = lp_pool_attributes,
        .state_size = sizeof(pool_state),
        .read = lp_pool_read,
        .infer = pool_infer,
        .prepare = pool_prepare,
        .facts = {.dimension = pool_dimension},
        .compute = pool_compute,
    },
    {0},
};
