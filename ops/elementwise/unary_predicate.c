/*
 * Not          1: of bool
 * BitwiseNot  18: of integers
 * IsNaN        9; 13, 20: more types
 * IsInf       10; 20: more types. Attributes detect_negative and detect_positive choose among the infinities.
 */
#include "ops/operator.h"

#include <math.h>

enum predicate { PREDICATE_NOT, PREDICATE_BITWISE_NOT, PREDICATE_IS_NAN, PREDICATE_IS_INF };

typedef struct predicate_state {
  enum predicate predicate;
  bool negative, positive;
} predicate_state;

static norma_status predicate_read(const node *node, void *state, norma_error *error) {
  static const char *const names[] = {"Not", "BitwiseNot", "IsNaN", "IsInf"};
  predicate_state *predicate = state;
  (void)error;
  for (int i = 0; i < 4; i++) {
    if (strcmp(names[i], node->op->name) == 0) predicate->predicate = (enum predicate)i;
  }
  predicate->negative = attribute_int(node, "detect_negative", 1) != 0;
  predicate->positive = attribute_int(node, "detect_positive", 1) != 0;
  return NORMA_OK;
}

static norma_status predicate_infer(infer_context *context) {
  infer_output(context, 0, NORMA_BOOL, infer_shape(context, 0));
  return NORMA_OK;
}

typedef struct predicate_job {
  const predicate_state *state;
  const struct array_kernels *kernels;
  const norma_tensor *x;
  const norma_tensor *y;
} predicate_job;

/* Of floats only. */
static void predicate_of_floats(const predicate_job *job, unsigned char *result, const float *x, size_t count) {
  const predicate_state *state = job->state;
  if (state->predicate == PREDICATE_IS_NAN) {
    job->kernels->is_nan(result, x, count);
  } else if (state->negative || state->positive) {
    job->kernels->is_infinite(result, x, count, (int)state->positive - (int)state->negative);
  } else {
    memset(result, 0, count);
  }
}

static void predicate_body(void *argument, int64_t begin, int64_t end, int worker) {
  const predicate_job *job = argument;
  const predicate_state *state = job->state;
  const unsigned char *bytes = job->x->data;
  unsigned char *result = job->y->data;
  const bool of_numbers = state->predicate == PREDICATE_IS_NAN || state->predicate == PREDICATE_IS_INF;
  (void)worker;
  if (of_numbers && job->x->type == NORMA_FLOAT) {
    predicate_of_floats(job, result + begin, (const float *)job->x->data + begin, (size_t)(end - begin));
    return;
  }
  switch (state->predicate) {
  case PREDICATE_NOT:
    job->kernels->logic_not(result + begin, bytes + begin, (size_t)(end - begin));
    break;
  case PREDICATE_BITWISE_NOT: /* of bytes: begin and end count them */
    for (int64_t i = begin; i < end; i++) result[i] = (unsigned char)~bytes[i];
    break;
  case PREDICATE_IS_NAN:
    for (int64_t i = begin; i < end; i++) result[i] = isnan(element_get_double(job->x->type, job->x->data, i)) != 0;
    break;
  case PREDICATE_IS_INF:
    for (int64_t i = begin; i < end; i++) {
      const double x = element_get_double(job->x->type, job->x->data, i);
      result[i] = isinf(x) && (signbit(x) ? state->negative : state->positive);
    }
    break;
  }
}

static norma_status predicate_compute(run_context *context) {
  predicate_job job = {context->state, context->kernels->arrays, run_input(context, 0), run_output(context, 0)};
  if (!job.y) return NORMA_OK;
  const bool by_bytes = job.state->predicate == PREDICATE_BITWISE_NOT;
  const int64_t count = by_bytes ? (int64_t)job.x->size_bytes : norma_tensor_count(job.x);
  return run_parallel(context, count, by_bytes ? 64 * 1024 : 16384, predicate_body, &job);
}

static const operator_attribute is_inf_attributes[] = {
    {"detect_negative", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {"detect_positive", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {0},
};

#define PREDICATE(op, mask, result, list, infer_function, places, ...)                                                 \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {__VA_ARGS__}, .min_inputs = 1, .max_inputs = 1, .min_outputs = 1,           \
    .max_outputs = 1, .types = {{mask, INPUT(0), 0}, {result, 0, OUTPUT(0)}}, .attributes = list, .in_place = places,  \
    .state_size = sizeof(predicate_state), .read = predicate_read, .infer = infer_function,                            \
    .compute = predicate_compute,                                                                                      \
  }
#define BOOL TYPE_BIT(NORMA_BOOL)

const operator_descriptor operators_unary_predicate[] = {
    PREDICATE("Not", BOOL, BOOL, NULL, infer_same, INPUT(0), 1),
    PREDICATE("BitwiseNot", TYPES_INTEGER, TYPES_INTEGER, NULL, infer_same, INPUT(0), 18),
    PREDICATE("IsNaN", TYPES_FLOAT | TYPES_FLOAT8, BOOL, NULL, predicate_infer, 0, 9, 13, 20),
    PREDICATE("IsInf", TYPES_FLOAT | TYPES_FLOAT8, BOOL, is_inf_attributes, predicate_infer, 0, 10, 20),
    {0},
};
