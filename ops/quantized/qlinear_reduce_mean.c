/*
 * QLinearReduceMean 1 (com.microsoft): saturate(round(mean of (data - data_zero) * data_scale / reduced_scale)
 * + reduced_zero) along `axes`, all where that is empty; halves to even. Sums are exact. A mean over nothing is the
 * lowest number of the type.
 */
#include "ops/axes.h"
#include "ops/quantized/quantization.h"
#include "ops/window.h"
#include "ops/work.h"

enum qlinear_mean_input { DATA_SCALE = 1, DATA_ZERO, REDUCED_SCALE, REDUCED_ZERO };

typedef struct qlinear_mean_dims {
  int rank;
  int64_t dims[NORMA_MAX_RANK], strides[NORMA_MAX_RANK];
  int64_t count;
} qlinear_mean_dims;

typedef struct qlinear_mean_state {
  integers axes;
  bool keep_dims;
  qlinear_mean_dims kept, reduced; /* the plan's */
} qlinear_mean_state;

typedef struct qlinear_mean_job {
  const run_context *context;
  const qlinear_mean_state *state;
  byte_scale from, to;
} qlinear_mean_job;

static norma_status qlinear_mean_read(const node *node, void *opaque, norma_error *error) {
  qlinear_mean_state *state = opaque;
  state->keep_dims = attribute_int(node, "keepdims", 1) != 0;
  if (integers_from_attribute(node, "axes", &state->axes)) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "more than %d axes", NORMA_MAX_RANK);
}

/* Marks the dimensions that are reduced; false where axes do not fit. */
static bool qlinear_mean_mark(const qlinear_mean_state *state, int rank, bool *reduced) {
  integers axes = state->axes;
  for (int i = 0; i < rank; i++) reduced[i] = axes.count == 0;
  if (!axes_normalize(&axes, rank)) return false;
  for (int i = 0; i < axes.count; i++) reduced[axes.values[i]] = true;
  return true;
}

static norma_status qlinear_mean_infer(infer_context *context) {
  const qlinear_mean_state *state = context->state;
  const shape *x = infer_shape(context, 0);
  shape y = shape_unknown();
  bool reduced[NORMA_MAX_RANK];
  TRY(infer_singles(context, INPUT(DATA_SCALE) | INPUT(DATA_ZERO) | INPUT(REDUCED_SCALE) | INPUT(REDUCED_ZERO)));
  if (x->rank != RANK_UNKNOWN) {
    if (!qlinear_mean_mark(state, x->rank, reduced)) return infer_fail(context, "axes do not fit rank %d", x->rank);
    y.rank = 0;
    for (int i = 0; i < x->rank; i++) {
      if (!reduced[i] || state->keep_dims) y.dims[y.rank++] = reduced[i] ? 1 : x->dims[i];
    }
  }
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

static norma_status qlinear_mean_prepare(prepare_context *context) {
  qlinear_mean_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  bool reduced[NORMA_MAX_RANK];
  if (!qlinear_mean_mark(state, x->rank, reduced))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "axes do not fit");
  state->kept = state->reduced = (qlinear_mean_dims){.count = 1};
  for (int i = 0; i < x->rank; i++) {
    qlinear_mean_dims *list = reduced[i] ? &state->reduced : &state->kept;
    list->dims[list->rank] = x->dims[i];
    list->strides[list->rank++] = dims_product(x->dims, i + 1, x->rank);
    list->count *= x->dims[i];
  }
  context->flops = (double)state->kept.count * (double)state->reduced.count;
  return NORMA_OK;
}

static int64_t qlinear_mean_offset(const qlinear_mean_dims *list, const int64_t *position) {
  int64_t offset = 0;
  for (int i = 0; i < list->rank; i++) offset += position[i] * list->strides[i];
  return offset;
}

static int64_t qlinear_mean_sum(const qlinear_mean_job *job, int64_t first) {
  const qlinear_mean_dims *reduced = &job->state->reduced;
  const norma_tensor *x = run_input(job->context, 0);
  int64_t position[NORMA_MAX_RANK] = {0}, sum = 0;
  for (int64_t i = 0; i < reduced->count && !work_interrupted(job->context, i); i++) {
    const uint8_t byte = ((const uint8_t *)x->data)[first + qlinear_mean_offset(reduced, position)];
    sum += x->type == NORMA_INT8 ? (int8_t)byte : byte;
    window_advance(reduced->rank, reduced->dims, position);
  }
  return sum;
}

static void qlinear_mean_body(void *argument, int64_t begin, int64_t end, int worker) {
  const qlinear_mean_job *job = argument;
  const qlinear_mean_dims *kept = &job->state->kept;
  const norma_tensor *y = run_output(job->context, 0);
  const double count = (double)job->state->reduced.count;
  int64_t position[NORMA_MAX_RANK], rest = begin;
  (void)worker;
  for (int i = kept->rank - 1; i >= 0; i--) {
    position[i] = rest % kept->dims[i];
    rest /= kept->dims[i];
  }
  for (int64_t i = begin; i < end; i++) {
    const double sum = (double)qlinear_mean_sum(job, qlinear_mean_offset(kept, position)) - count * job->from.zero;
    const float mean = (float)(sum / count) * job->from.scale;
    ((uint8_t *)y->data)[i] = (uint8_t)quantize_ratio((double)(mean / job->to.scale), job->to.zero,
                                                      quantized_lowest(y->type), quantized_highest(y->type));
    window_advance(kept->rank, kept->dims, position);
  }
}

static norma_status qlinear_mean_compute(run_context *context) {
  const qlinear_mean_state *state = context->state;
  qlinear_mean_job job = {.context = context,
                          .state = state,
                          .from = byte_scale_of(context, run_output(context, 0)->type, DATA_SCALE, DATA_ZERO),
                          .to = byte_scale_of(context, run_output(context, 0)->type, REDUCED_SCALE, REDUCED_ZERO)};
  return run_parallel(context, state->kept.count, work_grain(8 * (double)state->reduced.count), qlinear_mean_body,
                      &job);
}

static const operator_attribute qlinear_mean_attributes[] = {
    {"axes", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {"keepdims", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_qlinear_reduce_mean[] = {
    {.domain = "com.microsoft",
     .name = "QLinearReduceMean",
     .versions = {1},
     .min_inputs = 4,
     .max_inputs = 5,
     .absent_inputs = INPUT(DATA_ZERO),
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_8BIT, INPUT(0) | INPUT(DATA_ZERO) | INPUT(REDUCED_ZERO), OUTPUT(0)},
               {TYPE_BIT(NORMA_FLOAT), INPUT(DATA_SCALE) | INPUT(REDUCED_SCALE), 0}},
     .attributes = qlinear_mean_attributes,
     .state_size = sizeof(qlinear_mean_state),
     .read = qlinear_mean_read,
     .infer = qlinear_mean_infer,
     .prepare = qlinear_mean_prepare,
     .compute = qlinear_mean_compute},
    {0},
};
