/*
 * PRelu: y = x < 0 ? slope * x : x.
 *
 * 1, 6: slope has one element, or one for each channel (dimension 1 of X). 7: slope is broadcast to X's shape, which
 * stays the output's. 9: integers; 16: bfloat16. Integers wrap around.
 */
#include "engine/graph/query.h"
#include "ops/elementwise/binary.h"
#include "ops/movement/movement.h"

typedef struct prelu_job {
  const struct kernel_table *kernels;
  norma_element_type type;
} prelu_job;

/* How slope lies on X, in the words of limited broadcasting. */
static binary_broadcast prelu_broadcast(const node *node, int slope_rank) {
  return (binary_broadcast){
      .limited = node->version < 7 && slope_rank == 1, .enabled = true, .has_axis = true, .axis = 1};
}

static void prelu_row_float(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const prelu_job *job = argument;
  float *y = (float *)(void *)pointers[0];
  const float *x = (const float *)(const void *)pointers[1], *slope = (const float *)(const void *)pointers[2];
  if (!steps[2]) {
    job->kernels->unary_f32[UNARY_LEAKY_RELU](y, x, (size_t)count, *slope, 0);
  } else {
    job->kernels->prelu_f32(y, x, slope, (size_t)count);
  }
}

#define PRELU_SIGNED_ROW(constant, type)                                                                               \
  BINARY_ROW(prelu_##type, type, type, type, x < 0 ? (uint64_t)x * (uint64_t)z : (uint64_t)x)
NATIVE_SIGNED(PRELU_SIGNED_ROW)
BINARY_ROW(prelu_double, double, double, double, x < 0 ? x * z : x)

static void prelu_row_half(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const prelu_job *job = argument;
  for (int64_t i = 0; i < count; i++) {
    const double x = element_get_double(job->type, pointers[1] + i * steps[1], 0);
    const double slope = element_get_double(job->type, pointers[2] + i * steps[2], 0);
    element_set_double(job->type, pointers[0], i, x < 0 ? x * slope : x);
  }
}

static norma_status prelu_infer(infer_context *context) {
  const shape *x = infer_shape(context, 0), *slope = infer_shape(context, 1);
  const binary_broadcast broadcast = prelu_broadcast(context->node, slope->rank);
  shape aligned, result;
  if (!binary_align(&broadcast, x, slope, &aligned) || !shape_broadcast(x, &aligned, &result) ||
      (x->rank != RANK_UNKNOWN && !shape_merge(&result, x))) {
    char x_text[200], slope_text[200];
    return infer_fail(context, "slope of shape %s does not fit X of shape %s",
                      shape_text(slope, slope_text, sizeof slope_text), shape_text(x, x_text, sizeof x_text));
  }
  return infer_same(context);
}

static norma_status prelu_compute(run_context *context) {
  const norma_tensor *x = run_input(context, 0), *slope = run_input(context, 1);
  const binary_broadcast broadcast = prelu_broadcast(context->node, slope->rank);
  prelu_job job = {context->kernels, x->type};
  strided_row *row = prelu_row_half;
  if (TYPE_BIT(x->type) & TYPES_UNSIGNED) return movement_same(context); /* nothing is negative */
  switch (x->type) {
#define PRELU_CASE(constant, type)                                                                                     \
  case constant:                                                                                                       \
    row = prelu_##type;                                                                                                \
    break;
    NATIVE_SIGNED(PRELU_CASE)
    PRELU_CASE(NORMA_DOUBLE, double)
#undef PRELU_CASE
  case NORMA_FLOAT:
    row = prelu_row_float;
    break;
  default:
    break;
  }
  return binary_run(context, &broadcast, x, slope, 0, row, &job);
}

static const operator_attribute prelu_attributes[] = {
    {"consumed_inputs", ATTRIBUTE_INTS, 1, 5, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

/* One slope for all elements, in a tensor that does not make the output larger, makes it a function of X alone. */
static bool prelu_form(const node *node, elementwise_form *form) {
  double slope;
  const shape *x = node_input_shape(node, 0);
  form->kind = ELEMENTWISE_PRELU;
  form->numpy = node->version >= 7;
  if (!node_constant_number(node, 1, &slope) || x->rank == RANK_UNKNOWN) return true;
  if (node_input_shape(node, 1)->rank > x->rank) return true;
  form->kind = ELEMENTWISE_UNARY;
  form->unary = (struct activation){UNARY_LEAKY_RELU, (float)slope, 0};
  return true;
}

const operator_descriptor operators_prelu[] = {
    {.name = "PRelu",
     .domain = "",
     .versions = {1, 6, 7, 9, 16},
     .min_inputs = 2,
     .max_inputs = 2,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_NUMERIC, INPUT(0) | INPUT(1), OUTPUT(0)}},
     .attributes = prelu_attributes,
     .in_place = INPUT(0),
     .infer = prelu_infer,
     .facts = {.elementwise = prelu_form, .dimension = fact_dimension_same},
     .compute = prelu_compute},
    {0},
};
