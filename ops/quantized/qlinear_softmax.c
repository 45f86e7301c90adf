/*
 * QLinearSoftmax 1 (com.microsoft): Y = saturate(round(softmax((X - X_zero) * X_scale) / Y_scale) + Y_zero)
 *
 * `opset` says which Softmax of ai.onnx is meant: from 13 on one along `axis`; before, `axis` cuts X in two, and
 * all axes from it on are one line. The default is the last axis.
 *
 * Numbers of 8 bits have 256 powers, which a table holds for each line: exp((q - largest) * X_scale) in single
 * precision, the largest one being 1. They are summed in double precision.
 */
#include "ops/quantized/quantization.h"
#include "ops/work.h"

#include <inttypes.h>

enum qlinear_softmax_input { SOFTMAX_X_SCALE = 1, SOFTMAX_X_ZERO, SOFTMAX_Y_SCALE, SOFTMAX_Y_ZERO };

typedef struct qlinear_softmax_state {
  int64_t axis;
  bool flattens;
  int64_t outer, count, inner;
} qlinear_softmax_state;

typedef struct qlinear_softmax_job {
  const run_context *context;
  const qlinear_softmax_state *state;
  norma_element_type type;
  byte_scale result;
  float powers[256]; /* exp(-i * X_scale) */
} qlinear_softmax_job;

static norma_status qlinear_softmax_read(const node *node, void *opaque, norma_error *error) {
  qlinear_softmax_state *state = opaque;
  (void)error;
  state->flattens = attribute_int(node, "opset", 13) < 13;
  state->axis = attribute_int(node, "axis", -1);
  return NORMA_OK;
}

static norma_status qlinear_softmax_infer(infer_context *context) {
  const qlinear_softmax_state *state = context->state;
  const shape *x = infer_shape(context, 0);
  int axis;
  TRY(infer_singles(context,
                    INPUT(SOFTMAX_X_SCALE) | INPUT(SOFTMAX_X_ZERO) | INPUT(SOFTMAX_Y_SCALE) | INPUT(SOFTMAX_Y_ZERO)));
  if (x->rank != RANK_UNKNOWN && !axis_normalize(state->axis, x->rank, &axis))
    return infer_fail(context, "axis %" PRId64 " does not exist in an input of rank %d", state->axis, x->rank);
  return infer_same(context);
}

static norma_status qlinear_softmax_prepare(prepare_context *context) {
  qlinear_softmax_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  int axis;
  if (!axis_normalize(state->axis, x->rank, &axis))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "axis does not exist");
  const int end = state->flattens ? x->rank : axis + 1;
  state->outer = dims_product(x->dims, 0, axis);
  state->count = dims_product(x->dims, axis, end);
  state->inner = dims_product(x->dims, end, x->rank);
  context->kernel_name = "lines";
  return NORMA_OK;
}

static int32_t qlinear_softmax_number(norma_element_type type, uint8_t byte) {
  return type == NORMA_INT8 ? (int8_t)byte : byte;
}

static void qlinear_softmax_line(const qlinear_softmax_job *job, const uint8_t *x, uint8_t *y) {
  const qlinear_softmax_state *state = job->state;
  int32_t largest = INT32_MIN;
  double sum = 0;
  float numbers[256];
  uint8_t table[256];
  for (int64_t i = 0; i < state->count; i++) {
    const int32_t number = qlinear_softmax_number(job->type, x[i * state->inner]);
    if (number > largest) largest = number;
  }
  for (int64_t i = 0; i < state->count && !work_interrupted(job->context, i); i++)
    sum += (double)job->powers[largest - qlinear_softmax_number(job->type, x[i * state->inner])];
  for (int byte = 0; byte < 256; byte++) {
    const int32_t below = largest - qlinear_softmax_number(job->type, (uint8_t)byte);
    numbers[byte] = below < 0 ? 0 : (float)((double)job->powers[below] / sum);
  }
  job->context->kernels->quantize_f32(table, numbers, 256, job->result.scale, job->result.zero, job->type);
  for (int64_t i = 0; i < state->count; i++) y[i * state->inner] = table[x[i * state->inner]];
}

static void qlinear_softmax_lines(void *argument, int64_t begin, int64_t end, int worker) {
  const qlinear_softmax_job *job = argument;
  const qlinear_softmax_state *state = job->state;
  const uint8_t *x = run_input(job->context, 0)->data;
  uint8_t *y = run_output(job->context, 0)->data;
  (void)worker;
  for (int64_t i = begin; i < end && !run_cancelled(job->context); i++) {
    const int64_t first = i / state->inner * state->count * state->inner + i % state->inner;
    qlinear_softmax_line(job, x + first, y + first);
  }
}

static norma_status qlinear_softmax_compute(run_context *context) {
  const qlinear_softmax_state *state = context->state;
  qlinear_softmax_job job = {.context = context,
                             .state = state,
                             .type = run_output(context, 0)->type,
                             .result =
                                 byte_scale_of(context, run_output(context, 0)->type, SOFTMAX_Y_SCALE, SOFTMAX_Y_ZERO)};
  const float scale = quantization_scale(run_input(context, SOFTMAX_X_SCALE));
  if (state->count == 0) return NORMA_OK;
  for (int i = 0; i < 256; i++) job.powers[i] = -(float)i * scale;
  context->kernels->unary_f32[UNARY_EXP](job.powers, job.powers, 256, 0, 0);
  return run_parallel(context, state->outer * state->inner, work_grain(2000 + 8 * (double)state->count),
                      qlinear_softmax_lines, &job);
}

static const operator_attribute qlinear_softmax_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"opset", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_qlinear_softmax[] = {
    {.domain = "com.microsoft",
     .name = "QLinearSoftmax",
     .versions = {1},
     .min_inputs = 5,
     .max_inputs = 5,
     .absent_inputs = INPUT(SOFTMAX_X_ZERO),
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_8BIT, INPUT(0) | INPUT(SOFTMAX_X_ZERO) | INPUT(SOFTMAX_Y_ZERO), OUTPUT(0)},
               {TYPE_BIT(NORMA_FLOAT), INPUT(SOFTMAX_X_SCALE) | INPUT(SOFTMAX_Y_SCALE), 0}},
     .attributes = qlinear_softmax_attributes,
     .in_place = INPUT(0),
     .state_size = sizeof(qlinear_softmax_state),
     .read = qlinear_softmax_read,
     .infer = qlinear_softmax_infer,
     .prepare = qlinear_softmax_prepare,
     .facts = {.dimension = fact_dimension_same},
     .compute = qlinear_softmax_compute},
    {0},
};
