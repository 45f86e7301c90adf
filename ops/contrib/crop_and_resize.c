/*
 * CropAndResize 1 (com.microsoft)
 *
 * X [N, C, H, W], rois [R, 4] as y1, x1, y2, x2 with 0 .. 1 from the first to the last element of an axis,
 * batch_indices [R], crop_size [2] -> Y [R, C, crop_size]: each box at crop_size points on each axis, its corners among
 * them (one point is its centre), by bilinear interpolation or the nearest element, halves away from zero. Points
 * outside the image have the value extrapolation_value. Points are computed in the precision of the type, half
 * precision as float.
 */
#include "ops/operator.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

typedef struct crop_state {
  bool is_nearest;
  float outside;
} crop_state;

static norma_status crop_read(const node *node, void *opaque, norma_error *error) {
  crop_state *state = opaque;
  const char *mode = attribute_string(node, "mode", "bilinear");
  state->is_nearest = strcmp(mode, "nearest") == 0;
  state->outside = attribute_float(node, "extrapolation_value", 0);
  if (!state->is_nearest && strcmp(mode, "bilinear") != 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "mode is \"%.40s\" but must be bilinear or nearest",
                         mode);
  return NORMA_OK;
}

static norma_status crop_infer(infer_context *context) {
  const shape *x = infer_shape(context, 0), *rois = infer_shape(context, 1), *indices = infer_shape(context, 2);
  shape y = shape_of_rank(4), boxes = shape_of_rank(1), counted = shape_of_rank(1);
  int64_t size[2];
  int count;
  norma_status status = NORMA_OK;
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
  if (x->rank == 4) y.dims[1] = x->dims[1];
  const bool is_known = infer_ints(context, 3, size, 2, &count, &status);
  TRY(status);
  if (is_known) {
    if (count != 2 || size[0] < 1 || size[1] < 1)
      return infer_fail(context, "crop_size must hold two sizes of at least 1");
    y.dims[2] = size[0];
    y.dims[3] = size[1];
  }
  if (shape_is_known(&y) && shape_count(&y) == DIM_UNKNOWN) return infer_fail(context, "the output is too large");
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

typedef struct crop_job {
  run_context *context;
  const crop_state *state;
  const norma_tensor *x, *rois, *indices, *y;
  bool is_single; /* points are computed in single precision */
} crop_job;

static double crop_round(const crop_job *job, double value) {
  return job->is_single ? (double)(float)value : value;
}

/* The coordinate of point `point` of a box on axis d. */
static double crop_point(const crop_job *job, int64_t roi, int d, int64_t point) {
  const double first = element_get_double(job->rois->type, job->rois->data, roi * 4 + d),
               last = element_get_double(job->rois->type, job->rois->data, roi * 4 + 2 + d),
               whole = (double)(job->x->dims[d + 2] - 1);
  const int64_t points = job->y->dims[d + 2];
  if (points == 1) return crop_round(job, 0.5 * crop_round(job, first + last) * whole);
  const double length = crop_round(job, crop_round(job, last - first) * whole);
  const double step = crop_round(job, length / (double)(points - 1));
  return crop_round(job, crop_round(job, first * whole) + crop_round(job, (double)point * step));
}

/* The elements around a point and the weight of the second; false outside the image. */
static bool crop_taps(const crop_job *job, int d, double point, int64_t *low, int64_t *high, double *weight) {
  const int64_t last = job->x->dims[d + 2] - 1;
  if (!(point >= 0 && point <= (double)last)) return false;
  if (job->state->is_nearest) {
    *low = *high = (int64_t)round(point);
    *weight = 0;
  } else {
    *low = (int64_t)point;
    *high = (double)*low < point ? *low + 1 : *low;
    *weight = point - (double)*low;
  }
  return true;
}

static double crop_element(const norma_tensor *x, int64_t index) {
  return x->type == NORMA_FLOAT ? (double)((const float *)x->data)[index] : element_get_double(x->type, x->data, index);
}

/* Rows of the output's boxes, with all channels. */
static void crop_body(void *argument, int64_t begin, int64_t end, int worker) {
  const crop_job *job = argument;
  const norma_tensor *x = job->x, *y = job->y;
  const int64_t channels = x->dims[1], width = x->dims[3], pixels = x->dims[2] * width;
  const int64_t rows = y->dims[2], columns = y->dims[3];
  (void)worker;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t roi = unit / rows, row = unit % rows, sample = tensor_get_int64(job->indices, roi);
    int64_t low[2] = {0}, high[2] = {0};
    double w[2] = {0};
    const bool row_inside = crop_taps(job, 0, crop_point(job, roi, 0, row), &low[0], &high[0], &w[0]);
    for (int64_t column = 0; column < columns; column++) {
      const bool inside = row_inside && crop_taps(job, 1, crop_point(job, roi, 1, column), &low[1], &high[1], &w[1]);
      for (int64_t c = 0; c < channels; c++) {
        const int64_t to = ((roi * channels + c) * rows + row) * columns + column;
        double value = (double)job->state->outside;
        if (inside) {
          const int64_t above = (sample * channels + c) * pixels + low[0] * width,
                        below = (sample * channels + c) * pixels + high[0] * width;
          const double a = crop_element(x, above + low[1]), b = crop_element(x, above + high[1]);
          const double p = crop_element(x, below + low[1]), q = crop_element(x, below + high[1]);
          const double top = w[1] == 0 ? a : a + (b - a) * w[1], bottom = w[1] == 0 ? p : p + (q - p) * w[1];
          value = w[0] == 0 ? top : top + (bottom - top) * w[0];
        }
        element_set_double(y->type, y->data, to, value);
      }
      if (work_interrupted(job->context, column)) return;
    }
  }
}

static norma_status crop_compute(run_context *context) {
  crop_job job = {.context = context,
                  .state = context->state,
                  .x = run_input(context, 0),
                  .rois = run_input(context, 1),
                  .indices = run_input(context, 2),
                  .y = run_output(context, 0)};
  if (!job.y) return NORMA_OK;
  job.is_single = job.x->type != NORMA_DOUBLE;
  for (int64_t i = 0; i < job.y->dims[0]; i++) {
    const int64_t index = tensor_get_int64(job.indices, i);
    TRY(work_poll(context, i));
    if (index < 0 || index >= job.x->dims[0])
      return run_fail(context, NORMA_ERROR_RUN, "batch_indices[%" PRId64 "] is %" PRId64 " but the batch is %" PRId64,
                      i, index, job.x->dims[0]);
  }
  if (norma_tensor_count(job.y) == 0) return NORMA_OK;
  return run_parallel(context, job.y->dims[0] * job.y->dims[2],
                      work_grain(30.0 * (double)job.y->dims[3] * (double)job.y->dims[1]), crop_body, &job);
}

static const operator_attribute crop_attributes[] = {
    {"extrapolation_value", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"mode", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_crop_and_resize[] = {
    {
        .domain = "com.microsoft",
        .name = "CropAndResize",
        .versions = {1},
        .min_inputs = 4,
        .max_inputs = 4,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT & ~TYPES_BFLOAT16, INPUT(0) | INPUT(1), OUTPUT(0)},
                  {TYPE_BIT(NORMA_INT32), INPUT(2) | INPUT(3), 0}},
        .attributes = crop_attributes,
        .state_size = sizeof(crop_state),
        .read = crop_read,
        .infer = crop_infer,
        .compute = crop_compute,
    },
    {0},
};
