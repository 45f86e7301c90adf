/*
 * GridSample 16, 20, 22 (ai.onnx), 1 (com.microsoft)
 *
 *   Y[n][c][o1 .. ok] = X[n][c] at the point grid[n][o1 .. ok]
 *
 * X [N, C, D1 .. Dr], grid [N, o1 .. or, r]: a point has the coordinate of the last axis first, and -1 .. 1 on each
 * axis stands for the whole image, up to the centres of its last elements with align_corners. 16 and com.microsoft have
 * r = 2 and call the modes bilinear and bicubic; 22 adds bfloat16. Border means in ai.onnx that a point outside has the
 * value at the border, and in com.microsoft that elements outside have: of cubic interpolation these are two things.
 * Points of double are computed in double, others in float. Strings are moved, so they have the nearest mode only.
 *
 * Points are done in blocks: a table of taps is made for a block, and serves all channels (ops/image/sample_table.h).
 */
#include "ops/half.h"
#include "ops/image/sample_table.h"
#include "ops/movement/movement.h"
#include "ops/work.h"

#include <inttypes.h>

#define GRID_SAMPLE_PLANES 64 /* channels between questions whether to stop */

#define GRID_SAMPLE_TYPES                                                                                              \
  (TYPES_NUMERIC | TYPES_COMPLEX | TYPE_BIT(NORMA_BOOL) | TYPE_BIT(NORMA_STRING)) /* of X and Y */

enum grid_sample_path {
  GRID_SAMPLE_MOVE,  /* elements of any type */
  GRID_SAMPLE_FLOAT, /* float and half precision, by the kernel */
  GRID_SAMPLE_DOUBLE /* all else */
};

typedef struct grid_sample_state {
  sample_space space; /* axes and sizes: the plan's */

  /* The plan's. */
  enum grid_sample_path path;
  norma_element_type type, grid_type;
  bool is_converted;                         /* X lies in scratch as float or double, parts of complex numbers apart */
  int64_t samples, channels, pixels, points; /* pixels of X and points, of one sample */
  int64_t block, blocks;                     /* of a sample's points */
  size_t staged_at, points_at, offsets_at, weights_at, values_at; /* worker scratch */
} grid_sample_state;

/* ----------------------------------------------------------------------------------------------- attributes, shapes */

static norma_status grid_sample_read(const node *node, void *opaque, norma_error *error) {
  grid_sample_state *state = opaque;
  static const char *const old_modes[] = {"nearest", "bilinear", "bicubic"}, *modes[] = {"nearest", "linear", "cubic"};
  static const char *const paddings[] = {"zeros", "border", "reflection"};
  const bool is_old = node->version < 20;
  const char *const *const names = is_old ? old_modes : modes;
  const char *mode = attribute_string(node, "mode", names[SAMPLE_LINEAR]);
  const char *padding = attribute_string(node, "padding_mode", "zeros");
  int found = 0;
  for (int i = 0; i < 3; i++) {
    if (strcmp(mode, names[i]) == 0) state->space.mode = (enum sample_mode)i, found |= 1;
    if (strcmp(padding, paddings[i]) == 0) state->space.padding = (enum sample_padding)i, found |= 2;
  }
  if (!(found & 1))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "mode is \"%s\" but must be %s, %s or %s", mode,
                         names[0], names[1], names[2]);
  if (!(found & 2))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "padding_mode is \"%s\" but must be zeros, border or reflection", padding);
  state->space.centers = attribute_int(node, "align_corners", 0) != 0;
  state->space.keeps_points = strcmp(node->op->domain, "com.microsoft") == 0;
  return NORMA_OK;
}

static norma_status grid_sample_infer(infer_context *context) {
  const grid_sample_state *state = context->state;
  const shape *x = infer_shape(context, 0), *grid = infer_shape(context, 1);
  const norma_element_type type = infer_type(context, 0);
  const bool is_flat = context->node->version < 20;
  if (type == NORMA_STRING && state->space.mode != SAMPLE_NEAREST)
    return infer_fail(context, "strings have no mode but nearest");
  if (context->node->version < 22 && (type == NORMA_BFLOAT16 || infer_type(context, 1) == NORMA_BFLOAT16))
    return infer_fail(context, "bfloat16 needs opset 22");
  const int rank = x->rank != RANK_UNKNOWN ? x->rank : grid->rank;
  if (rank == RANK_UNKNOWN) {
    infer_output(context, 0, type, x);
    return NORMA_OK;
  }
  if (rank < 3 || (is_flat && rank != 4) || (grid->rank != RANK_UNKNOWN && grid->rank != rank))
    return infer_fail(context, "X has rank %d and grid %d, which do not fit", x->rank, grid->rank);
  shape y = shape_of_rank(rank), first = shape_of_rank(1), second = shape_of_rank(1);
  if (x->rank != RANK_UNKNOWN) first.dims[0] = x->dims[0], y.dims[1] = x->dims[1];
  if (grid->rank != RANK_UNKNOWN) {
    const int64_t coordinates = grid->dims[rank - 1];
    second.dims[0] = grid->dims[0];
    for (int i = 2; i < rank; i++) y.dims[i] = grid->dims[i - 1];
    if (coordinates != DIM_UNKNOWN && coordinates != rank - 2)
      return infer_fail(context, "grid has points of %" PRId64 " coordinates but X %d axes", coordinates, rank - 2);
  }
  if (!shape_merge(&first, &second))
    return infer_fail(context, "X has %" PRId64 " samples but grid %" PRId64, x->dims[0], grid->dims[0]);
  y.dims[0] = first.dims[0];
  infer_output(context, 0, type, &y);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static int64_t grid_sample_parts(norma_element_type type) {
  return TYPE_BIT(type) & TYPES_COMPLEX ? 2 : 1;
}

static norma_status grid_sample_prepare(prepare_context *context) {
  grid_sample_state *state = context->state;
  const shape *x = prepare_shape(context, 0), *grid = prepare_shape(context, 1);
  sample_space *space = &state->space;
  static const char *const names[] = {"move", "taps of float", "taps of double"};
  state->type = prepare_type(context, 0);
  state->grid_type = prepare_type(context, 1);
  state->samples = x->dims[0];
  state->channels = x->dims[1];
  state->pixels = dims_product(x->dims, 2, x->rank);
  state->points = dims_product(grid->dims, 1, grid->rank - 1);
  space->axes = x->rank - 2;
  for (int i = 0; i < space->axes; i++) space->sizes[i] = x->dims[i + 2];
  const bool is_float = state->type == NORMA_FLOAT || is_half(state->type);
  state->path = space->mode == SAMPLE_NEAREST                                               ? GRID_SAMPLE_MOVE
                : is_float && state->grid_type != NORMA_DOUBLE && sample_fits_floats(space) ? GRID_SAMPLE_FLOAT
                                                                                            : GRID_SAMPLE_DOUBLE;
  state->is_converted = state->path == GRID_SAMPLE_FLOAT    ? state->type != NORMA_FLOAT
                        : state->path == GRID_SAMPLE_DOUBLE ? state->type != NORMA_DOUBLE
                                                            : false;
  state->block = sample_block(space);
  state->blocks = divide_up(state->points, state->block);
  const size_t real = state->path == GRID_SAMPLE_FLOAT ? sizeof(float) : sizeof(double);
  const size_t block = (size_t)state->block, taps = (size_t)sample_taps(space), axes = (size_t)space->axes;
  size_t *total = &context->worker_scratch_bytes, offset;
  if (!scratch_append(total, block * axes, sizeof(double), &state->staged_at) ||
      !scratch_append(total, block * axes, real, &state->points_at) ||
      !scratch_append(total, block * taps, real, &state->offsets_at) ||
      !scratch_append(total, block * taps, real, &state->weights_at) ||
      !scratch_append(total, block, real, &state->values_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "points have too many taps");
  if (state->is_converted && !scratch_append(&context->scratch_bytes, (size_t)shape_count(x),
                                             real * (size_t)grid_sample_parts(state->type), &offset))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "X is too large");
  context->kernel_name = names[state->path];
  context->flops = 2.0 * (double)taps * (double)state->points * (double)state->channels * (double)state->samples;
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- points */

typedef struct grid_sample_job {
  run_context *context;
  const grid_sample_state *state;
  const norma_tensor *x, *grid;
  norma_tensor y;
  const void *source; /* elements of X, converted where they have to be */
} grid_sample_job;

/* From -1 .. 1 to elements, in the precision of the points. */
static float grid_sample_place_f32(const sample_space *space, int axis, float point) {
  const float size = (float)space->sizes[axis];
  return space->centers ? (point + 1) / 2 * (size - 1) : ((point + 1) * size - 1) / 2;
}

static double grid_sample_place_f64(const sample_space *space, int axis, double point) {
  const double size = (double)space->sizes[axis];
  return space->centers ? (point + 1) / 2 * (size - 1) : ((point + 1) * size - 1) / 2;
}

/* Points [first, first + count) of the grid, axis by axis, into the worker's scratch. */
static void grid_sample_locate(const grid_sample_job *job, int64_t first, int64_t count, char *scratch) {
  const grid_sample_state *state = job->state;
  const sample_space *space = &state->space;
  const int axes = space->axes;
  void *staged = scratch + state->staged_at, *points = scratch + state->points_at;
  const bool is_double = state->grid_type == NORMA_DOUBLE, to_float = state->path == GRID_SAMPLE_FLOAT;
  if (is_double)
    elements_to_double(state->grid_type, job->grid->data, first * axes, count * axes, staged);
  else
    elements_to_float(state->grid_type, job->grid->data, first * axes, count * axes, staged);
  for (int axis = 0; axis < axes; axis++) {
    const int component = axes - 1 - axis;
    for (int64_t i = 0; i < count; i++) {
      const int64_t at = i * axes + component, to = axis * count + i;
      if (is_double)
        ((double *)points)[to] = grid_sample_place_f64(space, axis, ((const double *)staged)[at]);
      else if (to_float)
        ((float *)points)[to] = grid_sample_place_f32(space, axis, ((const float *)staged)[at]);
      else
        ((double *)points)[to] = (double)grid_sample_place_f32(space, axis, ((const float *)staged)[at]);
    }
  }
}

/* ----------------------------------------------------------------------------------------------------------- blocks */

/* Where the points of a block lie in every plane of Y, and how many they are. */
typedef struct grid_sample_range {
  int64_t sample, first, count;
} grid_sample_range;

static void grid_sample_move(const grid_sample_job *job, const grid_sample_range *range, char *scratch) {
  const grid_sample_state *state = job->state;
  const size_t bytes = movement_bytes(state->type);
  const int64_t *offsets = (const int64_t *)(const void *)(scratch + state->offsets_at);
  sample_table_f64(&state->space, (double *)(void *)(scratch + state->points_at), range->count,
                   (int64_t *)(void *)(scratch + state->offsets_at), (double *)(void *)(scratch + state->weights_at));
  for (int64_t c = 0; c < state->channels; c++) {
    const int64_t plane = range->sample * state->channels + c;
    const char *x = (const char *)job->source + (size_t)(plane * state->pixels) * bytes;
    char *y = (char *)job->y.data + (size_t)(plane * state->points + range->first) * bytes;
    for (int64_t i = 0; i < range->count; i++, y += bytes) {
      if (offsets[i] >= 0)
        memcpy(y, x + (size_t)offsets[i] * bytes, bytes);
      else
        memset(y, 0, bytes);
    }
    if (run_cancelled(job->context)) return;
  }
}

static void grid_sample_floats(const grid_sample_job *job, const grid_sample_range *range, char *scratch) {
  const grid_sample_state *state = job->state;
  const struct kernel_table *kernels = job->context->kernels;
  const size_t taps = (size_t)sample_taps(&state->space), count = (size_t)range->count;
  int32_t *offsets = (int32_t *)(void *)(scratch + state->offsets_at);
  float *weights = (float *)(void *)(scratch + state->weights_at);
  float *values = (float *)(void *)(scratch + state->values_at);
  sample_table_f32(&state->space, (float *)(void *)(scratch + state->points_at), range->count, offsets, weights);
  const int64_t together = state->type == NORMA_FLOAT ? GRID_SAMPLE_PLANES : 1;
  for (int64_t c = 0; c < state->channels && !run_cancelled(job->context); c += together) {
    const int64_t plane = range->sample * state->channels + c, to = plane * state->points + range->first;
    const float *x = (const float *)job->source + plane * state->pixels;
    const int64_t left = state->channels - c;
    const struct sample_planes planes = {.count = (size_t)(left < together ? left : together),
                                         .x_step = (size_t)state->pixels,
                                         .y_step = (size_t)state->points};
    if (state->type == NORMA_FLOAT) {
      kernels->sample_points_f32((float *)job->y.data + to, x, &planes, offsets, weights, taps, count, count);
    } else {
      kernels->sample_points_f32(values, x, &planes, offsets, weights, taps, count, count);
      half_from_float(kernels, state->type, (uint16_t *)job->y.data + to, values, range->count);
    }
  }
}

static void grid_sample_doubles(const grid_sample_job *job, const grid_sample_range *range, char *scratch) {
  const grid_sample_state *state = job->state;
  const int64_t parts = grid_sample_parts(state->type), taps = sample_taps(&state->space);
  const norma_element_type type = state->type == NORMA_COMPLEX64    ? NORMA_FLOAT
                                  : state->type == NORMA_COMPLEX128 ? NORMA_DOUBLE
                                                                    : state->type;
  int64_t *offsets = (int64_t *)(void *)(scratch + state->offsets_at);
  double *weights = (double *)(void *)(scratch + state->weights_at);
  double *values = (double *)(void *)(scratch + state->values_at);
  sample_table_f64(&state->space, (double *)(void *)(scratch + state->points_at), range->count, offsets, weights);
  for (int64_t c = 0; c < state->channels * parts; c++) {
    const int64_t plane = range->sample * state->channels + c / parts;
    const double *x = (const double *)job->source + (plane * parts + c % parts) * state->pixels;
    const int64_t to = plane * state->points + range->first;
    sample_points_f64(values, x, offsets, weights, taps, range->count);
    for (int64_t i = 0; i < range->count; i++)
      element_set_double(type, job->y.data, (to + i) * parts + c % parts, values[i]);
    if (run_cancelled(job->context)) return;
  }
}

static void grid_sample_body(void *argument, int64_t begin, int64_t end, int worker) {
  const grid_sample_job *job = argument;
  const grid_sample_state *state = job->state;
  char *scratch = run_worker_scratch(job->context, worker);
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t sample = unit / state->blocks, first = unit % state->blocks * state->block;
    const int64_t left = state->points - first;
    const grid_sample_range range = {sample, first, left < state->block ? left : state->block};
    grid_sample_locate(job, sample * state->points + first, range.count, scratch);
    switch (state->path) {
    case GRID_SAMPLE_MOVE:
      grid_sample_move(job, &range, scratch);
      break;
    case GRID_SAMPLE_FLOAT:
      grid_sample_floats(job, &range, scratch);
      break;
    case GRID_SAMPLE_DOUBLE:
      grid_sample_doubles(job, &range, scratch);
      break;
    }
  }
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* Planes of X into scratch. */
static void grid_sample_convert(void *argument, int64_t begin, int64_t end, int worker) {
  const grid_sample_job *job = argument;
  const grid_sample_state *state = job->state;
  const int64_t pixels = state->pixels, parts = grid_sample_parts(state->type);
  (void)worker;
  if (state->path == GRID_SAMPLE_FLOAT) {
    half_to_float(job->context->kernels, state->type, (float *)job->context->scratch + begin * pixels,
                  (const uint16_t *)job->x->data + begin * pixels, (end - begin) * pixels);
    return;
  }
  for (int64_t plane = begin; plane < end; plane++) {
    double *to = (double *)job->context->scratch + plane * pixels * parts;
    const int64_t first = plane * pixels;
    for (int64_t i = 0; i < pixels; i++) {
      if (state->type == NORMA_COMPLEX64) {
        to[i] = (double)((const float *)job->x->data)[2 * (first + i)];
        to[pixels + i] = (double)((const float *)job->x->data)[2 * (first + i) + 1];
      } else if (state->type == NORMA_COMPLEX128) {
        to[i] = ((const double *)job->x->data)[2 * (first + i)];
        to[pixels + i] = ((const double *)job->x->data)[2 * (first + i) + 1];
      } else {
        to[i] = element_get_double(state->type, job->x->data, first + i);
      }
    }
  }
}

static norma_status grid_sample_compute(run_context *context) {
  const grid_sample_state *state = context->state;
  grid_sample_job job = {.context = context, .state = state, .x = run_input(context, 0), .grid = run_input(context, 1)};
  if (!context->outputs[0]) return NORMA_OK;
  TRY(movement_target(context, 0, &job.y));
  TRY(movement_source(context, job.x, &job.source));
  if (norma_tensor_count(&job.y) > 0) {
    if (state->is_converted) {
      TRY(run_parallel(context, state->samples * state->channels, work_grain(WORK_ELEMENT * (double)state->pixels),
                       grid_sample_convert, &job));
      job.source = context->scratch;
    }
    const double taps = (double)sample_taps(&state->space);
    const double cost = (double)state->block * taps * (4.0 * (double)state->channels + 8);
    TRY(run_parallel(context, state->samples * state->blocks, work_grain(cost), grid_sample_body, &job));
  }
  return movement_finish(context, 0, &job.y);
}

static const operator_attribute grid_sample_attributes[] = {
    {"align_corners", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"mode", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"padding_mode", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_grid_sample[] = {
    {
        .domain = "",
        .name = "GridSample",
        .versions = {16, 20, 22},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{GRID_SAMPLE_TYPES, INPUT(0), OUTPUT(0)}, {TYPES_FLOAT, INPUT(1), 0}},
        .attributes = grid_sample_attributes,
        .state_size = sizeof(grid_sample_state),
        .read = grid_sample_read,
        .infer = grid_sample_infer,
        .prepare = grid_sample_prepare,
        .compute = grid_sample_compute,
    },
    {
        .domain = "com.microsoft",
        .name = "GridSample",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT & ~TYPES_BFLOAT16, INPUT(0) | INPUT(1), OUTPUT(0)}},
        .attributes = grid_sample_attributes,
        .state_size = sizeof(grid_sample_state),
        .read = grid_sample_read,
        .infer = grid_sample_infer,
        .prepare = grid_sample_prepare,
        .compute = grid_sample_compute,
    },
    {0},
};
