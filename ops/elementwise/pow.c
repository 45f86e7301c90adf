/*
 * Pow: y = x ^ z, with x and y of one type and z of that or another.
 *
 * 1: limited broadcasting (see binary.h); 7: NumPy's; 12: integers, types may differ; 13, 15: bfloat16.
 *
 * Small whole exponents of float are multiplied out, element by element, so that neither the shape of z nor its place
 * decides how a result is rounded. Integers to integer powers wrap around; a negative power of 1 or -1 is that, of
 * others 0. An integer to the power of a float is computed in double, truncated and limited to the type's range.
 */
#include "engine/graph/query.h"
#include "ops/elementwise/binary.h"

#include <math.h>

typedef struct pow_state {
  binary_broadcast broadcast;
} pow_state;

typedef struct pow_job {
  const struct kernel_table *kernels;
  norma_element_type base, exponent;
} pow_job;

static float pow_f32(float x, float z) {
  if (z == 2) return x * x;
  if (z == 1) return x;
  if (z == 3) return x * x * x;
  return powf(x, z);
}

BINARY_ROW(pow_row_float, float, float, float, pow_f32(x, z))

/* Of an exponent that is 2 throughout: bit for bit what pow_f32 gives. */
static void pow_row_square(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const pow_job *job = argument;
  (void)steps;
  job->kernels->unary_f32[UNARY_SQUARE]((float *)(void *)pointers[0], (const float *)(const void *)pointers[1],
                                        (size_t)count, 0, 0);
}
BINARY_ROW(pow_row_double, double, double, double, z == 2 ? x * x : pow(x, z))

/* Either may be of uint64: then it is never negative. */
static int64_t pow_integer(int64_t base, bool unsigned_base, int64_t exponent, bool unsigned_exponent) {
  if (exponent < 0 && !unsigned_exponent) {
    return base == 1 ? 1 : base == -1 && !unsigned_base ? (exponent % 2 ? -1 : 1) : 0;
  }
  uint64_t result = 1, square = (uint64_t)base;
  for (uint64_t left = (uint64_t)exponent; left; left >>= 1) {
    if (left & 1) result *= square;
    square *= square;
  }
  return (int64_t)result;
}

/* Mixed types. */
static void pow_row_any(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const pow_job *job = argument;
  const bool integers = (TYPE_BIT(job->base) & TYPES_INTEGER) && (TYPE_BIT(job->exponent) & TYPES_INTEGER);
  for (int64_t i = 0; i < count; i++) {
    const char *x = pointers[1] + i * steps[1], *z = pointers[2] + i * steps[2];
    if (integers) {
      const int64_t power = pow_integer(element_get_int64(job->base, x, 0), job->base == NORMA_UINT64,
                                        element_get_int64(job->exponent, z, 0), job->exponent == NORMA_UINT64);
      element_set_int64(job->base, pointers[0], i, power);
    } else {
      const double power = pow(element_get_double(job->base, x, 0), element_get_double(job->exponent, z, 0));
      element_set_double(job->base, pointers[0], i, power);
    }
  }
}

static norma_status pow_read(const node *node, void *state, norma_error *error) {
  pow_state *pow = state;
  (void)error;
  binary_broadcast_read(node, &pow->broadcast);
  return NORMA_OK;
}

static norma_status pow_infer(infer_context *context) {
  const pow_state *state = context->state;
  return binary_infer_shape(context, &state->broadcast, infer_type(context, 0));
}

static norma_status pow_compute(run_context *context) {
  const pow_state *state = context->state;
  const norma_tensor *a = run_input(context, 0), *b = run_input(context, 1);
  pow_job job = {context->kernels, a->type, b->type};
  strided_row *row = pow_row_any;
  if (a->type == NORMA_FLOAT && b->type == NORMA_FLOAT) row = pow_row_float;
  if (row == pow_row_float && norma_tensor_count(b) == 1 && *(const float *)b->data == 2) row = pow_row_square;
  if (a->type == NORMA_DOUBLE && b->type == NORMA_DOUBLE) row = pow_row_double;
  return binary_run(context, &state->broadcast, a, b, 4096, row, &job);
}

static const operator_attribute pow_attributes[] = {BINARY_ATTRIBUTES, {0}};

/* ------------------------------------------------------------------------------------------------------------ facts */

/* The square, which the kernel table has, and any other power. */
static bool pow_form(const node *node, elementwise_form *form) {
  double exponent;
  form->numpy = node->version >= 7 || !node_attribute(node, "broadcast");
  if (!node_constant_number(node, 1, &exponent) || exponent != 2) return true;
  if (!value_is(node->inputs[1], NORMA_FLOAT) || !value_is(node->inputs[0], NORMA_FLOAT)) return true;
  if (node_input_shape(node, 1)->rank > node_input_shape(node, 0)->rank) return true;
  form->kind = ELEMENTWISE_UNARY;
  form->unary = (struct activation){UNARY_SQUARE, 0, 0};
  return true;
}

const operator_descriptor operators_pow[] = {
    {.name = "Pow",
     .domain = "",
     .versions = {1, 7, 12, 13, 15},
     .min_inputs = 2,
     .max_inputs = 2,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_NUMERIC, INPUT(0), OUTPUT(0)}, {TYPES_NUMERIC, INPUT(1), 0}},
     .attributes = pow_attributes,
     .in_place = INPUT(0),
     .state_size = sizeof(pow_state),
     .read = pow_read,
     .infer = pow_infer,
     .facts = {.elementwise = pow_form},
     .compute = pow_compute},
    {0},
};
