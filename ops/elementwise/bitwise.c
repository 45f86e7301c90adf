/*
 * Bits of two integer inputs, with NumPy's broadcasting.
 *
 * BitwiseAnd, BitwiseOr, BitwiseXor  18
 * BitShift                           11: unsigned types; 28: signed ones too, whose right shift copies the sign. A
 *                                    distance that is negative or not less than the width shifts everything out.
 */
#include "ops/array_rows.h"
#include "ops/elementwise/binary.h"

enum bitwise { BITWISE_AND, BITWISE_OR, BITWISE_XOR, SHIFT_LEFT, SHIFT_RIGHT, BITWISE_COUNT };

typedef struct bitwise_state {
  enum bitwise kind;
} bitwise_state;

#define WIDTH(type)         (8 * sizeof(type))
#define IN_RANGE(type, z)   ((uint64_t)(z) < WIDTH(type)) /* negative ones are huge */
#define SIGN(x)             ((x) < 0 ? -1 : 0)
#define SHIFTED_RIGHT(x, z) ((x) < 0 ? ~(~(x) >> (z)) : (x) >> (z)) /* >> of a negative number is not defined by C */

#define BITWISE_ROWS(constant, type) BINARY_ROW(left_##type, type, type, type, IN_RANGE(type, z) ? (uint64_t)x << z : 0)
#define BITWISE_SIGNED_ROWS(constant, type)                                                                            \
  BINARY_ROW(right_##type, type, type, type, IN_RANGE(type, z) ? SHIFTED_RIGHT(x, z) : SIGN(x))
#define BITWISE_UNSIGNED_ROWS(constant, type) BINARY_ROW(right_##type, type, type, type, IN_RANGE(type, z) ? x >> z : 0)
NATIVE_SIGNED(BITWISE_ROWS)
NATIVE_SIGNED(BITWISE_SIGNED_ROWS)
NATIVE_UNSIGNED(BITWISE_ROWS)
NATIVE_UNSIGNED(BITWISE_UNSIGNED_ROWS)

static strided_row *shift_row(norma_element_type type, enum bitwise kind) {
#define BITWISE_CASE(constant, type)                                                                                   \
  case constant: {                                                                                                     \
    static strided_row *const rows[BITWISE_COUNT] = {[SHIFT_LEFT] = left_##type, [SHIFT_RIGHT] = right_##type};        \
    return rows[kind];                                                                                                 \
  }
  switch (type) {
    NATIVE_SIGNED(BITWISE_CASE)
    NATIVE_UNSIGNED(BITWISE_CASE)
  default:
    return NULL;
  }
#undef BITWISE_CASE
}

static norma_status bitwise_read(const node *node, void *state, norma_error *error) {
  static const char *const names[] = {"BitwiseAnd", "BitwiseOr", "BitwiseXor"};
  bitwise_state *bitwise = state;
  for (int i = 0; i < 3; i++) {
    if (strcmp(names[i], node->op->name) == 0) bitwise->kind = (enum bitwise)i;
  }
  if (strcmp(node->op->name, "BitShift") != 0) return NORMA_OK;
  const char *direction = attribute_string(node, "direction", "");
  if (strcmp(direction, "LEFT") != 0 && strcmp(direction, "RIGHT") != 0) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "direction is \"%s\", neither LEFT nor RIGHT",
                         direction);
  }
  bitwise->kind = strcmp(direction, "LEFT") == 0 ? SHIFT_LEFT : SHIFT_RIGHT;
  return NORMA_OK;
}

static norma_status bitwise_infer(infer_context *context) {
  return binary_infer_shape(context, NULL, infer_type(context, 0));
}

static norma_status bitwise_compute(run_context *context) {
  const bitwise_state *state = context->state;
  const norma_tensor *a = run_input(context, 0);
  if (state->kind <= BITWISE_XOR) {
    static const enum array_bits kinds[] = {
        [BITWISE_AND] = ARRAY_AND, [BITWISE_OR] = ARRAY_OR, [BITWISE_XOR] = ARRAY_XOR};
    array_row_job job = {.function = context->kernels->arrays->bits[kinds[state->kind]],
                         .bytes = element_type_bytes(a->type),
                         .by_bytes = true};
    return binary_run(context, NULL, a, run_input(context, 1), 16384, array_binary_row, &job);
  }
  strided_row *row = shift_row(a->type, state->kind);
  if (!row) return run_fail(context, NORMA_ERROR_RUN, "%s is no integer", norma_element_type_name(a->type));
  return binary_run(context, NULL, a, run_input(context, 1), 16384, row, NULL);
}

static const operator_attribute shift_attributes[] = {
    {"direction", ATTRIBUTE_STRING, 11, OPERATOR_LATEST, true},
    {0},
};

#define BITWISE(op, list, ...)                                                                                         \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {__VA_ARGS__}, .min_inputs = 2, .max_inputs = 2, .min_outputs = 1,           \
    .max_outputs = 1, .types = {{TYPES_INTEGER, INPUT(0) | INPUT(1), OUTPUT(0)}}, .attributes = list,                  \
    .in_place = INPUT(0) | INPUT(1), .state_size = sizeof(bitwise_state), .read = bitwise_read,                        \
    .infer = bitwise_infer, .compute = bitwise_compute,                                                                \
  }

const operator_descriptor operators_bitwise[] = {
    BITWISE("BitwiseAnd", NULL, 18),
    BITWISE("BitwiseOr", NULL, 18),
    BITWISE("BitwiseXor", NULL, 18),
    BITWISE("BitShift", shift_attributes, 11, 28),
    {0},
};
