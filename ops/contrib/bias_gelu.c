/*
 * BiasGelu 1, FastGelu 1 (com.microsoft)
 *
 *   BiasGelu  C = gelu(A + B)
 *   FastGelu  Y = gelu(X + bias), by tanh; without a bias gelu(X)
 *
 * B and bias have an element for each one of the last axis. float and half precision run through the kernel table, half
 * in pieces; double through libm.
 */
#include "engine/graph/query.h"
#include "ops/half.h"
#include "ops/operator.h"
#include "ops/work.h"

#include <math.h>

typedef struct bias_gelu_state {
  bool by_tanh;
} bias_gelu_state;

static norma_status bias_gelu_read(const node *node, void *opaque, norma_error *error) {
  bias_gelu_state *state = opaque;
  (void)error;
  state->by_tanh = strcmp(node->op_type, "FastGelu") == 0;
  return NORMA_OK;
}

static norma_status bias_gelu_infer(infer_context *context) {
  const shape *x = infer_shape(context, 0), *bias = infer_shape(context, 1);
  shape expected = shape_of_rank(1);
  char texts[2][100];
  if (x->rank > 0) expected.dims[0] = x->dims[x->rank - 1];
  if (infer_has_input(context, 1) && (x->rank == 0 || !shape_merge(&expected, bias)))
    return infer_fail(context, "a bias of shape %s does not fit an input of shape %s",
                      shape_text(bias, texts[0], sizeof texts[0]), shape_text(x, texts[1], sizeof texts[1]));
  return infer_same(context);
}

static double bias_gelu_double(const bias_gelu_state *state, double x) {
  if (state->by_tanh) return 0.5 * x * (1 + tanh(M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * x * x * x)));
  return 0.5 * x * (1 + erf(x * M_SQRT1_2));
}

struct bias_gelu_job {
  run_context *context;
  const norma_tensor *x, *bias;
  norma_tensor *y;
  int64_t width; /* elements of a bias, or of a row where there is none */
};

/* Elements first .. first + count - 1 of a row, at `at` in the tensor. */
static void bias_gelu_piece(const struct bias_gelu_job *job, int64_t at, int64_t first, int64_t count) {
  const bias_gelu_state *state = job->context->state;
  const struct kernel_table *kernels = job->context->kernels;
  size_t bytes = element_type_bytes(job->x->type);
  float piece[HALF_PIECE], bias[HALF_PIECE];
  if (job->x->type == NORMA_DOUBLE) {
    for (int64_t i = 0; i < count; i++) {
      double addend = job->bias ? ((const double *)job->bias->data)[first + i] : 0;
      ((double *)job->y->data)[at + i] = bias_gelu_double(state, ((const double *)job->x->data)[at + i] + addend);
    }
    return;
  }
  float_from(kernels, job->x->type, piece, (const char *)job->x->data + (size_t)at * bytes, count);
  if (job->bias) {
    float_from(kernels, job->bias->type, bias, (const char *)job->bias->data + (size_t)first * bytes, count);
    kernels->binary_f32[BINARY_ADD](piece, piece, bias, (size_t)count);
  }
  kernels->unary_f32[state->by_tanh ? UNARY_GELU_TANH : UNARY_GELU_ERF](piece, piece, (size_t)count, 0, 0);
  float_to(kernels, job->y->type, (char *)job->y->data + (size_t)at * bytes, piece, count);
}

/* Units count pieces of rows. */
static void bias_gelu_pieces(void *argument, int64_t begin, int64_t end, int worker) {
  const struct bias_gelu_job *job = argument;
  int64_t pieces = divide_up(job->width, HALF_PIECE);
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t first = i % pieces * HALF_PIECE, left = job->width - first;
    bias_gelu_piece(job, i / pieces * job->width + first, first, left < HALF_PIECE ? left : HALF_PIECE);
  }
}

static norma_status bias_gelu_compute(run_context *context) {
  struct bias_gelu_job job = {context, run_input(context, 0), run_input(context, 1), run_output(context, 0), 0};
  int64_t count = norma_tensor_count(job.x);
  if (count == 0) return NORMA_OK;
  job.width = job.bias ? norma_tensor_count(job.bias) : count;
  int64_t pieces = count / job.width * divide_up(job.width, HALF_PIECE);
  double of_piece = (double)(job.width < HALF_PIECE ? job.width : HALF_PIECE);
  return run_parallel(context, pieces, work_grain(2 * WORK_ELEMENT * of_piece), bias_gelu_pieces, &job);
}

/* Without a bias it is a function of single elements. */
static bool bias_gelu_form(const node *node, elementwise_form *form) {
  const bias_gelu_state *state = node->state;
  if (!state || node_has_input(node, 1)) return false;
  form->kind = ELEMENTWISE_UNARY;
  form->unary = (struct activation){state->by_tanh ? UNARY_GELU_TANH : UNARY_GELU_ERF, 0, 0};
  return true;
}

#define BIAS_GELU(op, least)                                                                                           \
  {                                                                                                                    \
    .domain = "com.microsoft", .name = op, .versions = {1}, .min_inputs = least, .max_inputs = 2, .min_outputs = 1,    \
    .max_outputs = 1, .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1), OUTPUT(0)}}, .in_place = INPUT(0),                  \
    .state_size = sizeof(bias_gelu_state), .read = bias_gelu_read, .infer = bias_gelu_infer,                           \
    .facts = {.elementwise = bias_gelu_form, .dimension = fact_dimension_same}, .compute = bias_gelu_compute,          \
  }

const operator_descriptor operators_bias_gelu[] = {
    BIAS_GELU("BiasGelu", 2),
    BIAS_GELU("FastGelu", 1),
    {0},
};
