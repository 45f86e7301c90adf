/*
 * RoiAlign 10, 16, 22 (ai.onnx)
 *
 * X [N, C, H, W], rois [R, 4] as x1, y1, x2, y2 of an image that is 1 / spatial_scale times as large, batch_indices [R]
 * -> Y [R, C, output_height, output_width]. Each box is cut into bins, and each bin sampled at the points of a grid of
 * sampling_ratio x sampling_ratio (0: about one point for each element) by bilinear interpolation. 16 adds
 * coordinate_transformation_mode: half_pixel moves boxes by half an element, output_half_pixel (all that 10 knows) does
 * not and makes them at least one element large. 22 adds bfloat16.
 *
 *   avg   the mean of the points, those more than one element outside counting as 0
 *   max   the largest of the four products of weight and element, over all points
 *
 * The mean of a grid is a sum over rows of sums over columns, with weights that each axis has for itself. So the work
 * for a box depends on its size in elements, whatever the number of points. Points are computed in the precision of the
 * type, half precision as float; sums in double precision.
 */
#include "ops/half.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

#define ROI_ALIGN_CHANNELS   32    /* of one unit of work */
#define ROI_ALIGN_MOST_RATIO 65536 /* that is taken for meant */

typedef struct roi_align_state {
  bool is_max, half_pixel;
  int64_t bins[2], ratio; /* [0] height, [1] width */
  float scale;

  /* The plan's. */
  norma_element_type type;
  int64_t size[2], channels, groups; /* groups of channels */
  size_t begin_at[2], weights_at[2]; /* worker scratch */
} roi_align_state;

/* ----------------------------------------------------------------------------------------------- attributes, shapes */

static norma_status roi_align_read(const node *node, void *opaque, norma_error *error) {
  roi_align_state *state = opaque;
  const char *mode = attribute_string(node, "mode", "avg");
  const char *place =
      attribute_string(node, "coordinate_transformation_mode", node->version < 16 ? "output_half_pixel" : "half_pixel");
  state->is_max = strcmp(mode, "max") == 0;
  state->half_pixel = strcmp(place, "half_pixel") == 0;
  state->bins[0] = attribute_int(node, "output_height", 1);
  state->bins[1] = attribute_int(node, "output_width", 1);
  state->ratio = attribute_int(node, "sampling_ratio", 0);
  state->scale = attribute_float(node, "spatial_scale", 1);
  if (!state->is_max && strcmp(mode, "avg") != 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "mode is \"%.40s\" but must be avg or max", mode);
  if (!state->half_pixel && strcmp(place, "output_half_pixel") != 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "coordinate_transformation_mode is \"%.40s\" but must be half_pixel or output_half_pixel",
                         place);
  if (state->bins[0] < 1 || state->bins[1] < 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "the output is %" PRId64 " x %" PRId64, state->bins[0],
                         state->bins[1]);
  if (state->ratio < 0 || state->ratio > ROI_ALIGN_MOST_RATIO)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "sampling_ratio is %" PRId64, state->ratio);
  return NORMA_OK;
}

static norma_status roi_align_infer(infer_context *context) {
  const roi_align_state *state = context->state;
  const shape *x = infer_shape(context, 0), *rois = infer_shape(context, 1), *indices = infer_shape(context, 2);
  shape y = shape_of_rank(4), boxes = shape_of_rank(1), counted = shape_of_rank(1);
  TRY(infer_types_since(context, TYPES_BFLOAT16, 22));
  if (x->rank != RANK_UNKNOWN && x->rank != 4) return infer_fail(context, "X has rank %d, not 4", x->rank);
  if (rois->rank != RANK_UNKNOWN && (rois->rank != 2 || (rois->dims[1] != DIM_UNKNOWN && rois->dims[1] != 4)))
    return infer_fail(context, "rois must be boxes of four coordinates");
  if (indices->rank != RANK_UNKNOWN && indices->rank != 1) return infer_fail(context, "batch_indices must be a list");
  if (rois->rank == 2) boxes.dims[0] = rois->dims[0];
  if (indices->rank == 1) counted.dims[0] = indices->dims[0];
  if (!shape_merge(&boxes, &counted))
    return infer_fail(context, "there are %" PRId64 " boxes but %" PRId64 " batch_indices", rois->dims[0],
                      indices->dims[0]);
  y.dims[0] = boxes.dims[0];
  y.dims[1] = x->rank == 4 ? x->dims[1] : DIM_UNKNOWN;
  y.dims[2] = state->bins[0];
  y.dims[3] = state->bins[1];
  if (shape_is_known(&y) && shape_count(&y) == DIM_UNKNOWN) return infer_fail(context, "the output is too large");
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

/* Elements that the bins of an axis read, an element that two bins read counted for both: bins follow each other. */
static bool roi_align_entries(int64_t size, int64_t bins, size_t *entries) {
  return size_multiply((size_t)bins, 3, entries) && size_add(*entries, (size_t)size, entries) &&
         size_add(*entries, 8, entries);
}

static norma_status roi_align_prepare(prepare_context *context) {
  roi_align_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  size_t entries, offset;
  bool fits = true;
  state->type = prepare_type(context, 0);
  state->channels = x->dims[1];
  state->groups = divide_up(state->channels, ROI_ALIGN_CHANNELS);
  context->kernel_name = state->is_max ? "largest products" : "rows and columns";
  for (int d = 0; d < 2; d++) {
    state->size[d] = x->dims[d + 2];
    fits = fits && roi_align_entries(state->size[d], state->bins[d], &entries) &&
           scratch_append(&context->worker_scratch_bytes, (size_t)state->bins[d], 2 * sizeof(int64_t),
                          &state->begin_at[d]) &&
           scratch_append(&context->worker_scratch_bytes, entries, sizeof(double), &state->weights_at[d]);
  }
  if (is_half(state->type))
    fits = fits && scratch_append(&context->scratch_bytes, (size_t)shape_count(x), sizeof(float), &offset);
  if (!fits) return prepare_fail(context, NORMA_ERROR_BUDGET, "the image or the output is too large");
  return NORMA_OK;
}

/* --------------------------------------------------------------------------------------------------------- the grid */

typedef struct roi_align_job {
  run_context *context;
  const roi_align_state *state;
  const norma_tensor *x, *rois, *indices, *y;
  const void *source; /* X as float or double */
} roi_align_job;

/* Points of a box on one axis: bin b has start + b * bin + (i + 0.5) * bin / grid for i < grid. */
typedef struct roi_align_axis {
  int64_t size, bins, grid;
  double start, bin;
  bool is_single; /* computed in single precision */
} roi_align_axis;

static double roi_align_round(const roi_align_axis *axis, double value) {
  return axis->is_single ? (double)(float)value : value;
}

static roi_align_axis roi_align_axis_make(const roi_align_job *job, int64_t roi, int d) {
  const roi_align_state *state = job->state;
  roi_align_axis axis = {.size = state->size[d], .bins = state->bins[d], .is_single = state->type != NORMA_DOUBLE};
  double ends[2];
  for (int i = 0; i < 2; i++) {
    const double end = element_get_double(job->rois->type, job->rois->data, roi * 4 + 2 * i + 1 - d);
    const double scaled = roi_align_round(&axis, end * (double)state->scale);
    ends[i] = state->half_pixel ? roi_align_round(&axis, scaled - 0.5) : scaled;
  }
  double length = roi_align_round(&axis, ends[1] - ends[0]);
  if (!state->half_pixel && !(length > 1)) length = 1;
  axis.start = ends[0];
  axis.bin = roi_align_round(&axis, length / (double)axis.bins);
  const double wanted = ceil(axis.bin);
  axis.grid = state->ratio > 0 ? state->ratio : wanted > 0 ? wanted < 1e15 ? (int64_t)wanted : (int64_t)1e15 : 0;
  return axis;
}

static double roi_align_point(const roi_align_axis *axis, int64_t bin, int64_t i) {
  const double first = roi_align_round(axis, axis->start + roi_align_round(axis, (double)bin * axis->bin));
  const double inner = roi_align_round(axis, roi_align_round(axis, ((double)i + 0.5) * axis->bin) / (double)axis->grid);
  return roi_align_round(axis, first + inner);
}

/* A number of points from a coordinate; 0 for NaN. */
static int64_t roi_align_limit(double value, int64_t most) {
  return value >= (double)most ? most : value > 0 ? (int64_t)value : 0;
}

/* A grid of more points is so much larger than any image that the mean is 0. */
#define ROI_ALIGN_MOST_POINTS ((int64_t)1 << 40)

/* Points outside *first <= i < *end are outside the image for certain: few are left, however large the box is. */
static void roi_align_inside(const roi_align_axis *axis, int64_t bin, int64_t *first, int64_t *end) {
  const double start = axis->start + (double)bin * axis->bin, step = axis->bin / (double)axis->grid;
  *first = 0, *end = axis->grid > ROI_ALIGN_MOST_POINTS ? 0 : axis->grid;
  if (axis->grid < 64 || step == 0) return;
  const double a = (-1 - start) / step, b = ((double)axis->size - start) / step;
  const double slack = 2 + 1e-5 * (fabs(a) + fabs(b)); /* start and step are rounded */
  *first = roi_align_limit((a < b ? a : b) - slack, *end);
  *end = roi_align_limit((a < b ? b : a) + slack, *end);
}

/* The elements on both sides of a point, and the weight of the second; false outside the image. */
static bool roi_align_taps(const roi_align_axis *axis, double point, int64_t *low, int64_t *high, double *weight) {
  if (!(point >= -1 && point <= (double)axis->size) || axis->size == 0) return false;
  const double inside = point > 0 ? point : 0;
  *low = (int64_t)inside;
  *high = *low + 1;
  if (*low >= axis->size - 1) {
    *low = *high = axis->size - 1;
    *weight = 0;
  } else {
    *weight = roi_align_round(axis, inside - (double)*low);
  }
  return true;
}

/* -------------------------------------------------------------------------------------------------------------- avg */

/* Bin b is the sum over its `counts[b]` elements from `begins[b]` on, times weights that lie one behind the other. */
typedef struct roi_align_sums {
  int64_t *begins, *counts;
  double *weights;
} roi_align_sums;

static roi_align_sums roi_align_sums_of(const roi_align_job *job, int d, char *scratch) {
  const roi_align_state *state = job->state;
  int64_t *begins = (int64_t *)(void *)(scratch + state->begin_at[d]);
  return (roi_align_sums){begins, begins + state->bins[d], (double *)(void *)(scratch + state->weights_at[d])};
}

static void roi_align_weigh(const roi_align_job *job, const roi_align_axis *axis, roi_align_sums *sums) {
  double *weights = sums->weights;
  for (int64_t b = 0; b < axis->bins; b++) {
    int64_t first, end, low, high, least = axis->size, most = -1;
    double weight;
    roi_align_inside(axis, b, &first, &end);
    for (int64_t i = first; i < end && !work_interrupted(job->context, i); i++) {
      if (!roi_align_taps(axis, roi_align_point(axis, b, i), &low, &high, &weight)) continue;
      least = low < least ? low : least;
      most = high > most ? high : most;
    }
    sums->begins[b] = least;
    sums->counts[b] = most < least ? 0 : most - least + 1;
    for (int64_t i = 0; i < sums->counts[b]; i++) weights[i] = 0;
    for (int64_t i = first; i < end && !work_interrupted(job->context, i); i++) {
      if (!roi_align_taps(axis, roi_align_point(axis, b, i), &low, &high, &weight)) continue;
      if (low < least || high > most) break; /* interrupted before */
      weights[low - least] += 1 - weight;
      weights[high - least] += weight;
    }
    weights += sums->counts[b];
  }
}

#define ROI_ALIGN_PLANE(suffix, real)                                                                                  \
  static void roi_align_plane_##suffix(const roi_align_job *job, const roi_align_sums *rows,                           \
                                       const roi_align_sums *columns, double points, const real *x, int64_t to) {      \
    const int64_t *bins = job->state->bins, width = job->state->size[1];                                               \
    const double *row_weights = rows->weights;                                                                         \
    for (int64_t i = 0; i < bins[0]; i++) {                                                                            \
      const double *column_weights = columns->weights;                                                                 \
      for (int64_t j = 0; j < bins[1]; j++) {                                                                          \
        const int64_t count = columns->counts[j];                                                                      \
        double sum = 0;                                                                                                \
        for (int64_t r = 0; r < rows->counts[i]; r++) {                                                                \
          const real *from = x + (rows->begins[i] + r) * width + columns->begins[j];                                   \
          double row = 0;                                                                                              \
          for (int64_t k = 0; k < count; k++) row += column_weights[k] * (double)from[k];                              \
          sum += row_weights[r] * row;                                                                                 \
        }                                                                                                              \
        column_weights += count;                                                                                       \
        element_set_double(job->y->type, job->y->data, to + i * bins[1] + j, sum / points);                            \
      }                                                                                                                \
      row_weights += rows->counts[i];                                                                                  \
    }                                                                                                                  \
  }

ROI_ALIGN_PLANE(f32, float)
ROI_ALIGN_PLANE(f64, double)

static void roi_align_average(const roi_align_job *job, const roi_align_axis *axes, int64_t plane, int64_t planes,
                              int64_t to, char *scratch) {
  const roi_align_state *state = job->state;
  const int64_t pixels = state->size[0] * state->size[1], outputs = state->bins[0] * state->bins[1];
  roi_align_sums rows = roi_align_sums_of(job, 0, scratch), columns = roi_align_sums_of(job, 1, scratch);
  roi_align_weigh(job, &axes[0], &rows);
  roi_align_weigh(job, &axes[1], &columns);
  const double all = (double)axes[0].grid * (double)axes[1].grid, points = all > 1 ? all : 1;
  for (int64_t c = 0; c < planes && !run_cancelled(job->context); c++) {
    const int64_t from = (plane + c) * pixels, target = to + c * outputs;
    if (state->type == NORMA_DOUBLE)
      roi_align_plane_f64(job, &rows, &columns, points, (const double *)job->source + from, target);
    else
      roi_align_plane_f32(job, &rows, &columns, points, (const float *)job->source + from, target);
  }
}

/* -------------------------------------------------------------------------------------------------------------- max */

static double roi_align_element(const roi_align_job *job, int64_t index) {
  return job->state->type == NORMA_DOUBLE ? ((const double *)job->source)[index]
                                          : (double)((const float *)job->source)[index];
}

/* NaN where one of them is. */
static double roi_align_larger(double a, double b) {
  return a > b || isnan(a) ? a : b;
}

/* The largest products of a bin, for some channels. */
static void roi_align_bin_max(const roi_align_job *job, const roi_align_axis *axes, int64_t row, int64_t column,
                              int64_t plane, int64_t planes, double *largest) {
  const int64_t width = axes[1].size, pixels = axes[0].size * width;
  int64_t first[2], end[2], low[2], high[2];
  double w[2];
  roi_align_inside(&axes[0], row, &first[0], &end[0]);
  roi_align_inside(&axes[1], column, &first[1], &end[1]);
  const bool all_inside = end[0] - first[0] == axes[0].grid && end[1] - first[1] == axes[1].grid;
  bool some_outside = !all_inside || axes[0].grid == 0 || axes[1].grid == 0;
  for (int64_t c = 0; c < planes; c++) largest[c] = -(double)INFINITY;
  for (int64_t i = first[0]; i < end[0] && !run_cancelled(job->context); i++) {
    const bool row_inside = roi_align_taps(&axes[0], roi_align_point(&axes[0], row, i), &low[0], &high[0], &w[0]);
    some_outside = some_outside || !row_inside;
    for (int64_t j = first[1]; row_inside && j < end[1] && !work_interrupted(job->context, j); j++) {
      if (!roi_align_taps(&axes[1], roi_align_point(&axes[1], column, j), &low[1], &high[1], &w[1])) {
        some_outside = true;
        continue;
      }
      for (int64_t c = 0; c < planes; c++) {
        const int64_t at = (plane + c) * pixels;
        for (int t = 0; t < 4; t++) {
          const int64_t y = t < 2 ? low[0] : high[0], x = t % 2 ? high[1] : low[1];
          const double weight = (t < 2 ? 1 - w[0] : w[0]) * (t % 2 ? w[1] : 1 - w[1]);
          largest[c] = roi_align_larger(largest[c], weight * roi_align_element(job, at + y * width + x));
        }
      }
    }
  }
  for (int64_t c = 0; c < planes && some_outside; c++) largest[c] = roi_align_larger(largest[c], 0);
}

static void roi_align_max(const roi_align_job *job, const roi_align_axis *axes, int64_t plane, int64_t planes,
                          int64_t to) {
  const int64_t *bins = job->state->bins;
  double largest[ROI_ALIGN_CHANNELS];
  for (int64_t i = 0; i < bins[0] * bins[1]; i++) {
    roi_align_bin_max(job, axes, i / bins[1], i % bins[1], plane, planes, largest);
    for (int64_t c = 0; c < planes; c++)
      element_set_double(job->y->type, job->y->data, to + c * bins[0] * bins[1] + i, largest[c]);
  }
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static void roi_align_body(void *argument, int64_t begin, int64_t end, int worker) {
  const roi_align_job *job = argument;
  const roi_align_state *state = job->state;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t roi = unit / state->groups, channel = unit % state->groups * ROI_ALIGN_CHANNELS;
    const int64_t left = state->channels - channel, planes = left < ROI_ALIGN_CHANNELS ? left : ROI_ALIGN_CHANNELS;
    const int64_t plane = tensor_get_int64(job->indices, roi) * state->channels + channel;
    const int64_t to = (roi * state->channels + channel) * state->bins[0] * state->bins[1];
    const roi_align_axis axes[2] = {roi_align_axis_make(job, roi, 0), roi_align_axis_make(job, roi, 1)};
    if (state->is_max)
      roi_align_max(job, axes, plane, planes, to);
    else
      roi_align_average(job, axes, plane, planes, to, run_worker_scratch(job->context, worker));
  }
}

static void roi_align_convert(void *argument, int64_t begin, int64_t end, int worker) {
  const roi_align_job *job = argument;
  const int64_t pixels = job->state->size[0] * job->state->size[1];
  (void)worker;
  half_to_float(job->context->kernels, job->state->type, (float *)job->context->scratch + begin * pixels,
                (const uint16_t *)job->x->data + begin * pixels, (end - begin) * pixels);
}

static norma_status roi_align_compute(run_context *context) {
  const roi_align_state *state = context->state;
  roi_align_job job = {.context = context,
                       .state = state,
                       .x = run_input(context, 0),
                       .rois = run_input(context, 1),
                       .indices = run_input(context, 2),
                       .y = run_output(context, 0)};
  if (!job.y) return NORMA_OK;
  for (int64_t i = 0; i < job.y->dims[0]; i++) {
    const int64_t index = tensor_get_int64(job.indices, i);
    TRY(work_poll(context, i));
    if (index < 0 || index >= job.x->dims[0])
      return run_fail(context, NORMA_ERROR_RUN, "batch_indices[%" PRId64 "] is %" PRId64 " but the batch is %" PRId64,
                      i, index, job.x->dims[0]);
  }
  if (norma_tensor_count(job.y) == 0) return NORMA_OK;
  job.source = job.x->data;
  if (is_half(state->type)) {
    job.source = context->scratch;
    TRY(run_parallel(context, job.x->dims[0] * state->channels,
                     work_grain(WORK_ELEMENT * (double)state->size[0] * (double)state->size[1]), roi_align_convert,
                     &job));
  }
  const double cost = 16.0 * (double)state->bins[0] * (double)state->bins[1] * ROI_ALIGN_CHANNELS;
  return run_parallel(context, job.y->dims[0] * state->groups, work_grain(cost), roi_align_body, &job);
}

static const operator_attribute roi_align_attributes[] = {
    {"coordinate_transformation_mode", ATTRIBUTE_STRING, 16, OPERATOR_LATEST, false},
    {"mode", ATTRIBUTE_STRING, 10, OPERATOR_LATEST, false},
    {"output_height", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {"output_width", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {"sampling_ratio", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {"spatial_scale", ATTRIBUTE_FLOAT, 10, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_roi_align[] = {
    {
        .domain = "",
        .name = "RoiAlign",
        .versions = {10, 16, 22},
        .min_inputs = 3,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1), OUTPUT(0)}, {TYPE_BIT(NORMA_INT64), INPUT(2), 0}},
        .attributes = roi_align_attributes,
        .state_size = sizeof(roi_align_state),
        .read = roi_align_read,
        .infer = roi_align_infer,
        .prepare = roi_align_prepare,
        .compute = roi_align_compute,
    },
    {0},
};
