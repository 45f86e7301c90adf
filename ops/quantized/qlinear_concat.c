/*
 * QLinearConcat 1 (com.microsoft): quantised tensors side by side along an axis
 *
 * Inputs are Y_scale, Y_zero, and for each part X, X_scale, X_zero. A part of other parameters than Y's is requantised,
 * saturate(round((X - X_zero) * X_scale / Y_scale) + Y_zero), by a table of its 256 values; else it is copied.
 */
#include "ops/movement/concat_shape.h"
#include "ops/quantized/quantization.h"
#include "ops/work.h"

#include <stdio.h>

#define CONCAT_FIRST 2
#define CONCAT_STEP  3

typedef struct qlinear_concat_state {
  int64_t axis;
} qlinear_concat_state;

typedef struct qlinear_concat_job {
  const struct kernel_table *kernels;
  const uint8_t *x;
  uint8_t *y;
  int64_t x_stride, y_stride; /* of outer indices; a row of x has x_stride bytes */
  bool is_copy;
  uint8_t table[256];
} qlinear_concat_job;

static norma_status qlinear_concat_read(const node *node, void *state, norma_error *error) {
  ((qlinear_concat_state *)state)->axis = attribute_int(node, "axis", 0);
  if ((node->input_count - CONCAT_FIRST) % CONCAT_STEP == 0) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                       "has %d inputs: each part needs a tensor, a scale and a zero point", node->input_count);
}

/* Whether input `index` is a tensor of one of `types`, or of none that is known. */
static norma_status qlinear_concat_check_type(infer_context *context, int index, type_mask types) {
  const norma_value_kind kind = context->inputs[index]->kind;
  const norma_element_type type = infer_type(context, index);
  if (kind != NORMA_VALUE_TENSOR && kind != NORMA_VALUE_NONE)
    return infer_fail(context, "input %d is no tensor", index);
  if (type == NORMA_UNDEFINED || (TYPE_BIT(type) & types)) return NORMA_OK;
  return infer_fail(context, "input %d is of type %s", index, norma_element_type_name(type));
}

static norma_status qlinear_concat_infer(infer_context *context) {
  const qlinear_concat_state *state = context->state;
  const norma_element_type known = infer_type(context, 1);
  const type_mask bytes = known == NORMA_UNDEFINED ? TYPES_8BIT : TYPES_8BIT & TYPE_BIT(known);
  for (int i = 0; i < context->input_count; i++) {
    const bool is_scale = i % CONCAT_STEP == 0, is_part = i % CONCAT_STEP == CONCAT_FIRST;
    char name[32];
    snprintf(name, sizeof name, "input %d", i);
    TRY(qlinear_concat_check_type(context, i, is_scale ? TYPE_BIT(NORMA_FLOAT) : i == 1 ? TYPES_8BIT : bytes));
    if (!is_part) TRY(infer_single(context, i, name));
  }
  return infer_concat(context, state->axis, CONCAT_FIRST, CONCAT_STEP, known);
}

static void qlinear_concat_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const qlinear_concat_job *job = argument;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    uint8_t *y = job->y + i * job->y_stride;
    const uint8_t *x = job->x + i * job->x_stride;
    if (job->is_copy)
      memcpy(y, x, (size_t)job->x_stride);
    else
      job->kernels->lookup_8bit(y, x, (size_t)job->x_stride, job->table);
  }
}

static norma_status qlinear_concat_compute(run_context *context) {
  const qlinear_concat_state *state = context->state;
  const norma_tensor *y = run_output(context, 0);
  const struct activation none = {.kind = UNARY_IDENTITY};
  const byte_scale result = byte_scale_of(context, y->type, 0, 1);
  int axis;
  if (!axis_normalize(state->axis, y->rank, &axis)) return run_fail(context, NORMA_ERROR_RUN, "axis is out of range");
  const int64_t outer = dims_product(y->dims, 0, axis), inner = dims_product(y->dims, axis + 1, y->rank);
  qlinear_concat_job job = {.kernels = context->kernels, .y = y->data, .y_stride = y->dims[axis] * inner};
  for (int i = CONCAT_FIRST; i < context->input_count; i += CONCAT_STEP) {
    const norma_tensor *x = run_input(context, i);
    const byte_scale part = byte_scale_of(context, y->type, i + 1, i + 2);
    job.x = x->data;
    job.x_stride = x->dims[axis] * inner;
    if (job.x_stride == 0 || outer == 0) continue;
    job.is_copy = byte_scale_equal(part, result);
    if (!job.is_copy) byte_table_fill(context->kernels, part, result, &none, job.table);
    TRY(run_parallel(context, outer, work_grain((double)job.x_stride), qlinear_concat_rows, &job));
    job.y += job.x_stride;
  }
  return NORMA_OK;
}

static const operator_attribute qlinear_concat_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_qlinear_concat[] = {
    {.domain = "com.microsoft",
     .name = "QLinearConcat",
     .versions = {1},
     .min_inputs = 5,
     .max_inputs = OPERATOR_VARIADIC,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_8BIT, 0, OUTPUT(0)}}, /* inputs: in infer, since their types take turns */
     .attributes = qlinear_concat_attributes,
     .state_size = sizeof(qlinear_concat_state),
     .read = qlinear_concat_read,
     .infer = qlinear_concat_infer,
     .compute = qlinear_concat_compute},
    {0},
};
