/*
 * Comparisons and logic of two inputs; the result is bool.
 *
 * Equal                        1: limited broadcasting (see binary.h); 7: NumPy's; 11, 13: more types; 19: strings
 * Less, Greater                1: limited; 7: NumPy's; 9, 13: more types
 * LessOrEqual, GreaterOrEqual  12; 16: bfloat16
 * And, Or, Xor                 1: limited; 7: NumPy's. Of bool
 *
 * Any comparison with NaN is false.
 */
#include "ops/array_rows.h"
#include "ops/elementwise/binary.h"
#include "ops/half.h"

enum comparison {
  COMPARE_EQUAL,
  COMPARE_LESS,
  COMPARE_GREATER,
  COMPARE_LESS_OR_EQUAL,
  COMPARE_GREATER_OR_EQUAL,
  LOGIC_AND,
  LOGIC_OR,
  LOGIC_XOR,
  COMPARISON_COUNT
};

typedef struct compare_state {
  binary_broadcast broadcast;
  enum comparison comparison;
} compare_state;

BINARY_ROW(equal_string, norma_string, norma_string, uint8_t,
           x.size == z.size && (x.size == 0 || memcmp(x.data, z.data, x.size) == 0))

/* The kernel of a comparison, and whether its operands change sides. NULL: the type does not know the comparison. */
static array_function *compare_kernel(const struct array_kernels *arrays, norma_element_type type,
                                      enum comparison comparison, bool *is_reversed) {
  *is_reversed = comparison == COMPARE_GREATER || comparison == COMPARE_GREATER_OR_EQUAL;
  switch (comparison) {
  case COMPARE_EQUAL:
    return arrays->compare[type][ARRAY_EQUAL];
  case COMPARE_LESS:
  case COMPARE_GREATER:
    return arrays->compare[type][ARRAY_LESS];
  case COMPARE_LESS_OR_EQUAL:
  case COMPARE_GREATER_OR_EQUAL:
    return arrays->compare[type][ARRAY_LESS_OR_EQUAL];
  case LOGIC_AND:
    return arrays->logic[ARRAY_AND];
  case LOGIC_OR:
    return arrays->logic[ARRAY_OR];
  default:
    return arrays->logic[ARRAY_XOR];
  }
}

typedef struct compare_half_job {
  const struct kernel_table *kernels;
  norma_element_type type;
  array_row_job of_float;
} compare_half_job;

static void compare_row_half(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  compare_half_job *job = argument;
  float x[HALF_PIECE], z[HALF_PIECE];
  const int64_t float_steps[3] = {1, steps[1] ? (int64_t)sizeof *x : 0, steps[2] ? (int64_t)sizeof *z : 0};
  for (int64_t i = 0; i < count; i += HALF_PIECE) {
    const int64_t length = count - i < HALF_PIECE ? count - i : HALF_PIECE;
    half_to_float(job->kernels, job->type, x, pointers[1] + i * steps[1], steps[1] ? length : 1);
    half_to_float(job->kernels, job->type, z, pointers[2] + i * steps[2], steps[2] ? length : 1);
    char *const float_pointers[3] = {pointers[0] + i, (char *)x, (char *)z};
    array_binary_row(&job->of_float, float_pointers, float_steps, length);
  }
}

static norma_status compare_read(const node *node, void *state, norma_error *error) {
  static const char *const names[COMPARISON_COUNT] = {"Equal",          "Less", "Greater", "LessOrEqual",
                                                      "GreaterOrEqual", "And",  "Or",      "Xor"};
  compare_state *compare = state;
  (void)error;
  for (int i = 0; i < COMPARISON_COUNT; i++) {
    if (strcmp(names[i], node->op->name) == 0) compare->comparison = (enum comparison)i;
  }
  binary_broadcast_read(node, &compare->broadcast);
  return NORMA_OK;
}

static norma_status compare_infer(infer_context *context) {
  const compare_state *state = context->state;
  return binary_infer_shape(context, &state->broadcast, NORMA_BOOL);
}

static norma_status compare_compute(run_context *context) {
  const compare_state *state = context->state;
  const norma_tensor *a = run_input(context, 0);
  const norma_tensor *b = run_input(context, 1);
  if (a->type == NORMA_STRING) return binary_run(context, &state->broadcast, a, b, 16384, equal_string, NULL);
  const norma_element_type type = is_half(a->type) ? NORMA_FLOAT : a->type;
  array_row_job job = {.bytes = element_type_bytes(type)};
  job.function = compare_kernel(context->kernels->arrays, type, state->comparison, &job.is_reversed);
  if (!job.function) {
    return run_fail(context, NORMA_ERROR_RUN, "%s is not compared", norma_element_type_name(a->type));
  }
  if (type == a->type) return binary_run(context, &state->broadcast, a, b, 16384, array_binary_row, &job);
  compare_half_job half = {context->kernels, a->type, job};
  return binary_run(context, &state->broadcast, a, b, 16384, compare_row_half, &half);
}

static const operator_attribute compare_attributes[] = {BINARY_ATTRIBUTES, {0}};

#define COMPARE(op, mask, ...)                                                                                         \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {__VA_ARGS__}, .min_inputs = 2, .max_inputs = 2, .min_outputs = 1,           \
    .max_outputs = 1, .types = {{mask, INPUT(0) | INPUT(1), 0}, {TYPE_BIT(NORMA_BOOL), 0, OUTPUT(0)}},                 \
    .attributes = compare_attributes, .state_size = sizeof(compare_state), .read = compare_read,                       \
    .infer = compare_infer, .compute = compare_compute,                                                                \
  }

const operator_descriptor operators_compare[] = {
    COMPARE("Equal", TYPES_NUMERIC | TYPE_BIT(NORMA_BOOL) | TYPE_BIT(NORMA_STRING), 1, 7, 11, 13, 19),
    COMPARE("Less", TYPES_NUMERIC, 1, 7, 9, 13),
    COMPARE("Greater", TYPES_NUMERIC, 1, 7, 9, 13),
    COMPARE("LessOrEqual", TYPES_NUMERIC, 12, 16),
    COMPARE("GreaterOrEqual", TYPES_NUMERIC, 12, 16),
    COMPARE("And", TYPE_BIT(NORMA_BOOL), 1, 7),
    COMPARE("Or", TYPE_BIT(NORMA_BOOL), 1, 7),
    COMPARE("Xor", TYPE_BIT(NORMA_BOOL), 1, 7),
    {0},
};
