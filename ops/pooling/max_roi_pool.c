/*
 * MaxRoiPool 1, 22 (ai.onnx)
 *
 * X [N, C, H, W], rois [R, 5] as index of the sample, x1, y1, x2, y2 of an image that is 1 / spatial_scale times as
 * large -> Y [R, C, pooled_shape]: the maximum of each bin of a box, whose corners are rounded to elements that both
 * count. Bins overlap where the sizes do not divide; one without elements gives 0. 22 adds bfloat16.
 */
#include "ops/operator.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

typedef struct max_roi_pool_state {
  int64_t bins[2]; /* height, width */
  float scale;
} max_roi_pool_state;

static norma_status max_roi_pool_read(const node *node, void *opaque, norma_error *error) {
  max_roi_pool_state *state = opaque;
  size_t count;
  const int64_t *bins = attribute_ints(node, "pooled_shape", &count);
  state->scale = attribute_float(node, "spatial_scale", 1);
  if (count != 2 || bins[0] < 1 || bins[1] < 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "pooled_shape must be two sizes of at least 1");
  state->bins[0] = bins[0];
  state->bins[1] = bins[1];
  return NORMA_OK;
}

static norma_status max_roi_pool_infer(infer_context *context) {
  const max_roi_pool_state *state = context->state;
  const shape *x = infer_shape(context, 0), *rois = infer_shape(context, 1);
  shape y = shape_of_rank(4);
  TRY(infer_types_since(context, TYPES_BFLOAT16, 22));
  if (x->rank != RANK_UNKNOWN && x->rank != 4) return infer_fail(context, "X has rank %d, not 4", x->rank);
  if (rois->rank != RANK_UNKNOWN && (rois->rank != 2 || (rois->dims[1] != DIM_UNKNOWN && rois->dims[1] != 5)))
    return infer_fail(context, "rois must be a sample's index and four coordinates each");
  if (rois->rank == 2) y.dims[0] = rois->dims[0];
  if (x->rank == 4) y.dims[1] = x->dims[1];
  y.dims[2] = state->bins[0];
  y.dims[3] = state->bins[1];
  if (shape_is_known(&y) && shape_count(&y) == DIM_UNKNOWN) return infer_fail(context, "the output is too large");
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

typedef struct max_roi_pool_job {
  run_context *context;
  const max_roi_pool_state *state;
  const norma_tensor *x, *rois, *y;
} max_roi_pool_job;

/* Elements [*begin, *end) of bin `bin` on axis d of a box. */
static void max_roi_pool_bin(const max_roi_pool_job *job, int64_t roi, int d, int64_t bin, int64_t *begin,
                             int64_t *end) {
  const int64_t size = job->x->dims[d + 2];
  const norma_tensor *rois = job->rois;
  const double scale = (double)job->state->scale;
  /* As in single precision, which decides where a bin ends. */
  const double first = round((double)(float)(element_get_double(rois->type, rois->data, roi * 5 + 2 - d) * scale));
  const double last = round((double)(float)(element_get_double(rois->type, rois->data, roi * 5 + 4 - d) * scale));
  const double length = last - first + 1 > 1 ? last - first + 1 : 1;
  const float width = (float)length / (float)job->state->bins[d];
  const double from = floor((double)((float)bin * width)) + first,
               to = ceil((double)((float)(bin + 1) * width)) + first;
  *begin = from > 0 ? from < (double)size ? (int64_t)from : size : 0; /* NaN too */
  *end = to > 0 ? to < (double)size ? (int64_t)to : size : 0;
}

static double max_roi_pool_largest(const max_roi_pool_job *job, int64_t plane, const int64_t begin[2],
                                   const int64_t end[2]) {
  const int64_t width = job->x->dims[3], first = plane * job->x->dims[2] * width;
  if (begin[0] >= end[0] || begin[1] >= end[1]) return 0;
  double largest = -(double)INFINITY;
  for (int64_t i = begin[0]; i < end[0] && !run_cancelled(job->context); i++) {
    for (int64_t j = begin[1]; j < end[1]; j++) {
      const double x = element_get_double(job->x->type, job->x->data, first + i * width + j);
      largest = x > largest || isnan(x) ? x : largest;
    }
  }
  return largest;
}

/* Planes of the output. */
static void max_roi_pool_body(void *argument, int64_t first, int64_t last, int worker) {
  const max_roi_pool_job *job = argument;
  const int64_t *bins = job->state->bins, channels = job->x->dims[1];
  (void)worker;
  for (int64_t plane = first; plane < last; plane++) {
    const int64_t roi = plane / channels;
    const int64_t sample = (int64_t)element_get_double(job->rois->type, job->rois->data, roi * 5);
    for (int64_t i = 0; i < bins[0] * bins[1] && !work_interrupted(job->context, i); i++) {
      int64_t begin[2], end[2];
      max_roi_pool_bin(job, roi, 0, i / bins[1], &begin[0], &end[0]);
      max_roi_pool_bin(job, roi, 1, i % bins[1], &begin[1], &end[1]);
      element_set_double(job->y->type, job->y->data, plane * bins[0] * bins[1] + i,
                         max_roi_pool_largest(job, sample * channels + plane % channels, begin, end));
    }
  }
}

static norma_status max_roi_pool_compute(run_context *context) {
  const max_roi_pool_state *state = context->state;
  max_roi_pool_job job = {context, state, run_input(context, 0), run_input(context, 1), run_output(context, 0)};
  if (!job.y) return NORMA_OK;
  for (int64_t i = 0; i < job.rois->dims[0]; i++) {
    const double sample = element_get_double(job.rois->type, job.rois->data, i * 5);
    TRY(work_poll(context, i));
    if (!(sample >= 0 && sample < (double)job.x->dims[0]))
      return run_fail(context, NORMA_ERROR_RUN, "box %" PRId64 " is of sample %g but the batch is %" PRId64, i, sample,
                      job.x->dims[0]);
  }
  if (norma_tensor_count(job.y) == 0) return NORMA_OK;
  const double cost = 100.0 * (double)state->bins[0] * (double)state->bins[1];
  return run_parallel(context, job.y->dims[0] * job.y->dims[1], work_grain(cost), max_roi_pool_body, &job);
}

static const operator_attribute max_roi_pool_attributes[] = {
    {"pooled_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {"spatial_scale", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_max_roi_pool[] = {
    {
        .domain = "",
        .name = "MaxRoiPool",
        .versions = {1, 22},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1), OUTPUT(0)}},
        .attributes = max_roi_pool_attributes,
        .state_size = sizeof(max_roi_pool_state),
        .read = max_roi_pool_read,
        .infer = max_roi_pool_infer,
        .compute = max_roi_pool_compute,
    },
    {0},
};
