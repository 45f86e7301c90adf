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

typedef struct compare_job {
  const struct kernel_table *kernels;
  norma_element_type type;
  strided_row *row; /* of float */
} compare_job;

#define COMPARE_ROWS(constant, type)                                                                                   \
  BINARY_ROW(equal_##type, type, type, uint8_t, x == z)                                                                \
  BINARY_ROW(less_##type, type, type, uint8_t, x < z)                                                                  \
  BINARY_ROW(greater_##type, type, type, uint8_t, x > z)                                                               \
  BINARY_ROW(less_or_equal_##type, type, type, uint8_t, x <= z)                                                        \
  BINARY_ROW(greater_or_equal_##type, type, type, uint8_t, x >= z)
NATIVE_SIGNED(COMPARE_ROWS)
NATIVE_UNSIGNED(COMPARE_ROWS)
COMPARE_ROWS(NORMA_FLOAT, float)
COMPARE_ROWS(NORMA_DOUBLE, double)
BINARY_ROW(equal_bool, uint8_t, uint8_t, uint8_t, !x == !z)
BINARY_ROW(and_bool, uint8_t, uint8_t, uint8_t, x &&z)
BINARY_ROW(or_bool, uint8_t, uint8_t, uint8_t, x || z)
BINARY_ROW(xor_bool, uint8_t, uint8_t, uint8_t, !x != !z)
BINARY_ROW(equal_string, norma_string, norma_string, uint8_t,
           x.size == z.size && (x.size == 0 || memcmp(x.data, z.data, x.size) == 0))

static void compare_row_half(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const compare_job *job = argument;
  float x[HALF_PIECE], z[HALF_PIECE];
  const int64_t float_steps[3] = {1, steps[1] ? (int64_t)sizeof *x : 0, steps[2] ? (int64_t)sizeof *z : 0};
  for (int64_t i = 0; i < count; i += HALF_PIECE) {
    const int64_t length = count - i < HALF_PIECE ? count - i : HALF_PIECE;
    half_to_float(job->kernels, job->type, x, pointers[1] + i * steps[1], steps[1] ? length : 1);
    half_to_float(job->kernels, job->type, z, pointers[2] + i * steps[2], steps[2] ? length : 1);
    char *const float_pointers[3] = {pointers[0] + i, (char *)x, (char *)z};
    job->row(NULL, float_pointers, float_steps, length);
  }
}

/* NULL: the type does not know the comparison. */
static strided_row *compare_row(norma_element_type type, enum comparison comparison) {
#define COMPARE_CASE(constant, type)                                                                                   \
  case constant: {                                                                                                     \
    static strided_row *const rows[COMPARISON_COUNT] = {[COMPARE_EQUAL] = equal_##type,                                \
                                                        [COMPARE_LESS] = less_##type,                                  \
                                                        [COMPARE_GREATER] = greater_##type,                            \
                                                        [COMPARE_LESS_OR_EQUAL] = less_or_equal_##type,                \
                                                        [COMPARE_GREATER_OR_EQUAL] = greater_or_equal_##type};         \
    return rows[comparison];                                                                                           \
  }
  static strided_row *const bool_rows[COMPARISON_COUNT] = {
      [COMPARE_EQUAL] = equal_bool, [LOGIC_AND] = and_bool, [LOGIC_OR] = or_bool, [LOGIC_XOR] = xor_bool};
  switch (type) {
    NATIVE_SIGNED(COMPARE_CASE)
    NATIVE_UNSIGNED(COMPARE_CASE)
    COMPARE_CASE(NORMA_FLOAT, float)
    COMPARE_CASE(NORMA_DOUBLE, double)
  case NORMA_FLOAT16:
  case NORMA_BFLOAT16:
    return compare_row(NORMA_FLOAT, comparison) ? compare_row_half : NULL;
  case NORMA_BOOL:
    return bool_rows[comparison];
  case NORMA_STRING:
    return comparison == COMPARE_EQUAL ? equal_string : NULL;
  default:
    return NULL;
  }
#undef COMPARE_CASE
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
  compare_job job = {context->kernels, a->type, compare_row(NORMA_FLOAT, state->comparison)};
  strided_row *row = compare_row(a->type, state->comparison);
  if (!row) return run_fail(context, NORMA_ERROR_RUN, "%s is not compared", norma_element_type_name(a->type));
  return binary_run(context, &state->broadcast, a, run_input(context, 1), 16384, row, &job);
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
