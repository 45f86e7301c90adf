/*
 * Clip: y = min(max(x, low), high); where low > high everything becomes high. NaN stays NaN.
 *
 * 1, 6: bounds are attributes, absent ones are the largest finite numbers. 11: bounds are inputs 1 and 2, each a scalar
 * or absent, which means none. 12: integers. 13: bfloat16.
 */
#include "engine/graph/query.h"
#include "ops/half.h"
#include "ops/work.h"

#include <float.h>
#include <math.h>

typedef struct clip_state {
  bool has_attributes;
  float low, high;
} clip_state;

static norma_status clip_read(const node *node, void *state, norma_error *error) {
  clip_state *clip = state;
  TRY(read_inputs_since(node, 1, 11, error));
  clip->has_attributes = node->version < 11;
  clip->low = attribute_float(node, "min", -FLT_MAX);
  clip->high = attribute_float(node, "max", FLT_MAX);
  return NORMA_OK;
}

static norma_status clip_infer(infer_context *context) {
  TRY(infer_types_since(context, TYPES_INTEGER, 12)); /* attributes could not be their bounds */
  for (int i = 1; i < context->input_count; i++) {
    if (shape_is_known(infer_shape(context, i)) && shape_count(infer_shape(context, i)) != 1) {
      return infer_fail(context, "input %d must be a scalar", i);
    }
  }
  return infer_same(context);
}

typedef struct clip_job {
  const struct kernel_table *kernels;
  norma_element_type type;
  const void *x;
  void *y;
  double low, high;                 /* of float types */
  const void *low_item, *high_item; /* of integer types; NULL: no bound */
} clip_job;

static void clip_half(const clip_job *job, uint16_t *y, const uint16_t *x, int64_t count) {
  float piece[HALF_PIECE];
  for (int64_t i = 0; i < count; i += HALF_PIECE) {
    const int64_t length = count - i < HALF_PIECE ? count - i : HALF_PIECE;
    half_to_float(job->kernels, job->type, piece, x + i, length);
    job->kernels->unary_f32[UNARY_CLIP](piece, piece, (size_t)length, (float)job->low, (float)job->high);
    half_from_float(job->kernels, job->type, y + i, piece, length);
  }
}

#define CLIP_INTEGERS(X)                                                                                               \
  X(NORMA_INT8, int8_t, INT8_MIN, INT8_MAX)                                                                            \
  X(NORMA_INT16, int16_t, INT16_MIN, INT16_MAX)                                                                        \
  X(NORMA_INT32, int32_t, INT32_MIN, INT32_MAX)                                                                        \
  X(NORMA_INT64, int64_t, INT64_MIN, INT64_MAX)                                                                        \
  X(NORMA_UINT8, uint8_t, 0, UINT8_MAX)                                                                                \
  X(NORMA_UINT16, uint16_t, 0, UINT16_MAX)                                                                             \
  X(NORMA_UINT32, uint32_t, 0, UINT32_MAX)                                                                             \
  X(NORMA_UINT64, uint64_t, 0, UINT64_MAX)

static void clip_body(void *argument, int64_t begin, int64_t end, int worker) {
  const clip_job *job = argument;
  (void)worker;
  switch (job->type) {
  case NORMA_FLOAT:
    job->kernels->unary_f32[UNARY_CLIP]((float *)job->y + begin, (const float *)job->x + begin, (size_t)(end - begin),
                                        (float)job->low, (float)job->high);
    break;
  case NORMA_FLOAT16:
  case NORMA_BFLOAT16:
    clip_half(job, (uint16_t *)job->y + begin, (const uint16_t *)job->x + begin, end - begin);
    break;
  case NORMA_DOUBLE:
    for (int64_t i = begin; i < end; i++) {
      double x = ((const double *)job->x)[i];
      if (x < job->low) x = job->low;
      ((double *)job->y)[i] = x > job->high ? job->high : x;
    }
    break;
#define CLIP_CASE(constant, type, least, greatest)                                                                     \
  case constant: {                                                                                                     \
    const type low = job->low_item ? *(const type *)job->low_item : least;                                             \
    const type high = job->high_item ? *(const type *)job->high_item : greatest;                                       \
    const type *x = job->x;                                                                                            \
    type *y = job->y;                                                                                                  \
    for (int64_t i = begin; i < end; i++) {                                                                            \
      const type raised = x[i] < low ? low : x[i];                                                                     \
      y[i] = raised > high ? high : raised;                                                                            \
    }                                                                                                                  \
    break;                                                                                                             \
  }
    CLIP_INTEGERS(CLIP_CASE)
#undef CLIP_CASE
  default:
    break;
  }
}

static norma_status clip_compute(run_context *context) {
  const clip_state *state = context->state;
  const norma_tensor *input = run_input(context, 0), *output = run_output(context, 0);
  const norma_tensor *low = run_input(context, 1), *high = run_input(context, 2);
  if (!output) return NORMA_OK;
  clip_job job = {.kernels = context->kernels, .type = input->type, .x = input->data, .y = output->data};
  if (state->has_attributes) {
    job.low = (double)state->low;
    job.high = (double)state->high;
  } else {
    if ((low && norma_tensor_count(low) != 1) || (high && norma_tensor_count(high) != 1)) {
      return run_fail(context, NORMA_ERROR_RUN, "min and max must be scalars");
    }
    job.low = low ? element_get_double(low->type, low->data, 0) : -(double)INFINITY;
    job.high = high ? element_get_double(high->type, high->data, 0) : (double)INFINITY;
    job.low_item = low ? low->data : NULL;
    job.high_item = high ? high->data : NULL;
  }
  return run_parallel(context, norma_tensor_count(input), 16384, clip_body, &job);
}

static const operator_attribute clip_attributes[] = {
    {"consumed_inputs", ATTRIBUTE_INTS, 1, 5, false},
    {"min", ATTRIBUTE_FLOAT, 1, 10, false},
    {"max", ATTRIBUTE_FLOAT, 1, 10, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

/* A bound of Clip since version 11: a constant, or absent. */
static bool clip_read_bound(const node *node, int index, float *bound) {
  double number;
  if (!node_has_input(node, index)) return true;
  if (!node_constant_number(node, index, &number)) return false;
  *bound = (float)number;
  return true;
}

static bool clip_form(const node *node, elementwise_form *form) {
  const clip_state *state = node->state;
  form->kind = ELEMENTWISE_UNARY;
  form->unary = (struct activation){UNARY_CLIP, -INFINITY, INFINITY};
  if (!state->has_attributes)
    return clip_read_bound(node, 1, &form->unary.a) && clip_read_bound(node, 2, &form->unary.b);
  form->unary.a = state->low;
  form->unary.b = state->high;
  return true;
}

const operator_descriptor operators_clip[] = {
    {.name = "Clip",
     .domain = "",
     .versions = {1, 6, 11, 12, 13},
     .min_inputs = 1,
     .max_inputs = 3,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_NUMERIC, INPUT(0) | INPUT(1) | INPUT(2), OUTPUT(0)}},
     .attributes = clip_attributes,
     .in_place = INPUT(0),
     .state_size = sizeof(clip_state),
     .read = clip_read,
     .infer = clip_infer,
     .facts = {.elementwise = clip_form, .dimension = fact_dimension_same},
     .compute = clip_compute},
    {0},
};
