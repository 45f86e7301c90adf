/*
 * SwiGLU 28 (ai.onnx): Y = A * sigmoid(alpha * A) * B, of two tensors of the same shape.
 *
 * float and half precision run through the kernel table, half in pieces; double through libm.
 */
#include "ops/half.h"
#include "ops/operator.h"
#include "ops/work.h"

#include <math.h>

typedef struct swiglu_state {
  float alpha;
} swiglu_state;

static norma_status swiglu_read(const node *node, void *opaque, norma_error *error) {
  swiglu_state *state = opaque;
  (void)error;
  state->alpha = attribute_float(node, "alpha", 1);
  return NORMA_OK;
}

static norma_status swiglu_infer(infer_context *context) {
  shape y = *infer_shape(context, 0);
  char a[100], b[100];
  if (!shape_merge(&y, infer_shape(context, 1)))
    return infer_fail(context, "A of shape %s and B of shape %s must have the same shape",
                      shape_text(infer_shape(context, 0), a, sizeof a),
                      shape_text(infer_shape(context, 1), b, sizeof b));
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

static void swiglu_double(double *y, const double *a, const double *b, int64_t count, double alpha) {
  for (int64_t i = 0; i < count; i++) y[i] = a[i] / (1 + exp(-alpha * a[i])) * b[i];
}

static void swiglu_elements(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const swiglu_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  const norma_tensor *a = run_input(context, 0), *b = run_input(context, 1);
  norma_tensor *y = run_output(context, 0);
  size_t bytes = element_type_bytes(y->type);
  float gate[HALF_PIECE], value[HALF_PIECE];
  (void)worker;
  for (int64_t i = begin; i < end; i += HALF_PIECE) {
    int64_t count = end - i < HALF_PIECE ? end - i : HALF_PIECE;
    const char *from = (const char *)a->data + (size_t)i * bytes, *with = (const char *)b->data + (size_t)i * bytes;
    char *to = (char *)y->data + (size_t)i * bytes;
    if (y->type == NORMA_DOUBLE) {
      swiglu_double((double *)y->data + i, (const double *)a->data + i, (const double *)b->data + i, count,
                    (double)state->alpha);
      continue;
    }
    float_from(kernels, a->type, gate, from, count);
    float_from(kernels, b->type, value, with, count);
    kernels->unary_f32[UNARY_SILU](gate, gate, (size_t)count, state->alpha, 0);
    kernels->binary_f32[BINARY_MUL](gate, gate, value, (size_t)count);
    float_to(kernels, y->type, to, gate, count);
  }
}

static norma_status swiglu_compute(run_context *context) {
  int64_t count = norma_tensor_count(run_output(context, 0)), grain = work_grain(2 * WORK_ELEMENT);
  return run_parallel(context, count, divide_up(grain, HALF_PIECE) * HALF_PIECE, swiglu_elements, context);
}

static const operator_attribute swiglu_attributes[] = {
    {"alpha", ATTRIBUTE_FLOAT, 28, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_swiglu[] = {
    {
        .domain = "",
        .name = "SwiGLU",
        .versions = {28},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1), OUTPUT(0)}},
        .attributes = swiglu_attributes,
        .in_place = INPUT(0) | INPUT(1),
        .state_size = sizeof(swiglu_state),
        .read = swiglu_read,
        .infer = swiglu_infer,
        .facts = {.dimension = fact_dimension_same},
        .compute = swiglu_compute,
    },
    {0},
};
