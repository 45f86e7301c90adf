/*
 * QLinearAdd, QLinearMul 1 (com.microsoft): arithmetic of quantised tensors, broadcast as NumPy does
 *
 *   QLinearAdd   C = saturate(round((A - A_zero) * (A_scale / C_scale) + (B - B_zero) * (B_scale / C_scale)) + C_zero)
 *   QLinearMul   C = saturate(round((A - A_zero) * (B - B_zero) * (A_scale * B_scale / C_scale)) + C_zero)
 *
 * Halves are rounded to even; factors, products and sums are rounded to float. Zero points that are left out are 0. An
 * epilogue may limit C (ops/quantized/quantized_store.h).
 */
#include "ops/blocked.h"
#include "ops/elementwise/binary.h"
#include "ops/quantized/quantization.h"
#include "ops/quantized/quantized_store.h"

#define QLINEAR_GRAIN 32768
#define QLINEAR_PIECE 1024 /* bytes of a number that is written out */

enum qlinear_binary_input {
  LEFT,
  LEFT_SCALE,
  LEFT_ZERO,
  RIGHT,
  RIGHT_SCALE,
  RIGHT_ZERO,
  SUM_OR_PRODUCT_SCALE,
  SUM_OR_PRODUCT_ZERO
};

typedef struct qlinear_binary_state {
  bool multiplies;
} qlinear_binary_state;

typedef struct qlinear_binary_job {
  void (*function)(void *y, const void *a, const void *b, size_t n, const struct binary_8bit *of);
  struct binary_8bit of;
} qlinear_binary_job;

static norma_status qlinear_binary_read(const node *node, void *state, norma_error *error) {
  (void)error;
  ((qlinear_binary_state *)state)->multiplies = strcmp(node->op->name, "QLinearMul") == 0;
  return NORMA_OK;
}

static norma_status qlinear_binary_infer(infer_context *context) {
  const shape *a = infer_shape(context, LEFT), *b = infer_shape(context, RIGHT);
  shape result;
  TRY(infer_singles(context, INPUT(LEFT_SCALE) | INPUT(LEFT_ZERO) | INPUT(RIGHT_SCALE) | INPUT(RIGHT_ZERO) |
                                 INPUT(SUM_OR_PRODUCT_SCALE) | INPUT(SUM_OR_PRODUCT_ZERO)));
  if (!shape_broadcast(a, b, &result)) {
    char a_text[200], b_text[200];
    return infer_fail(context, "shapes %s and %s cannot be broadcast", shape_text(a, a_text, sizeof a_text),
                      shape_text(b, b_text, sizeof b_text));
  }
  infer_output(context, 0, infer_type(context, LEFT), &result);
  return NORMA_OK;
}

static void qlinear_binary_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const qlinear_binary_job *job = argument;
  uint8_t repeated[2][QLINEAR_PIECE];
  const int64_t most = steps[1] && steps[2] ? count : QLINEAR_PIECE;
  for (int k = 0; k < 2; k++) {
    if (!steps[k + 1]) memset(repeated[k], *(const uint8_t *)pointers[k + 1], QLINEAR_PIECE);
  }
  for (int64_t i = 0; i < count; i += most) {
    const void *a = steps[1] ? (const void *)(pointers[1] + i) : repeated[0];
    const void *b = steps[2] ? (const void *)(pointers[2] + i) : repeated[1];
    job->function(pointers[0] + i, a, b, (size_t)(count - i < most ? count - i : most), &job->of);
  }
}

static norma_status qlinear_binary_compute(run_context *context) {
  const qlinear_binary_state *state = context->state;
  const norma_tensor *a = run_input(context, LEFT), *b = run_input(context, RIGHT);
  const byte_scale left = byte_scale_of(context, a->type, LEFT_SCALE, LEFT_ZERO);
  const byte_scale right = byte_scale_of(context, a->type, RIGHT_SCALE, RIGHT_ZERO);
  const byte_scale result = byte_scale_of(context, a->type, SUM_OR_PRODUCT_SCALE, SUM_OR_PRODUCT_ZERO);
  const quantized_store store = quantized_store_of(context, SUM_OR_PRODUCT_ZERO);
  qlinear_binary_job job = {.of = {.a_type = a->type,
                                   .b_type = b->type,
                                   .y_type = a->type,
                                   .a_zero = left.zero,
                                   .b_zero = right.zero,
                                   .zero = result.zero,
                                   .low = store.low,
                                   .high = store.high}};
  job.function = state->multiplies ? context->kernels->product_8bit : context->kernels->sum_8bit;
  job.of.a_factor = state->multiplies ? left.scale * right.scale / result.scale : left.scale / result.scale;
  job.of.b_factor = right.scale / result.scale;
  return binary_run(context, NULL, a, b, QLINEAR_GRAIN, qlinear_binary_row, &job);
}

/* Both operands have all channels, or one is a single number. */
static bool qlinear_operand_fits(const node *node, int input, int64_t channels) {
  const graph_value *operand = node->inputs[input];
  if (operand->constant && norma_tensor_count(&operand->constant->tensor) == 1) return true;
  return value_is_blockable(operand) && operand->info.shape.dims[1] == channels;
}

static bool qlinear_binary_block(const node *node, block_form *form) {
  if (!value_is_blockable(node->outputs[0])) return false;
  const int64_t channels = node->outputs[0]->info.shape.dims[1];
  bool has_block = false;
  for (int i = LEFT; i <= RIGHT; i += RIGHT - LEFT) {
    const graph_value *operand = node->inputs[i];
    if (!qlinear_operand_fits(node, i, channels)) return false;
    form->uses[i] = value_is_blockable(operand) && operand->info.shape.dims[1] == channels ? BLOCK_MAKE : BLOCK_KEEP;
    has_block |= value_blocked_copy(node->graph, operand) != NULL;
  }
  return has_block;
}

#define QLINEAR_BINARY(text)                                                                                           \
  {                                                                                                                    \
    .domain = "com.microsoft", .name = text, .versions = {1}, .min_inputs = 7, .max_inputs = 8,                        \
    .absent_inputs = INPUT(LEFT_ZERO) | INPUT(RIGHT_ZERO), .min_outputs = 1, .max_outputs = 1,                         \
    .types = {{TYPES_8BIT,                                                                                             \
               INPUT(LEFT) | INPUT(LEFT_ZERO) | INPUT(RIGHT) | INPUT(RIGHT_ZERO) | INPUT(SUM_OR_PRODUCT_ZERO),         \
               OUTPUT(0)},                                                                                             \
              {TYPE_BIT(NORMA_FLOAT), INPUT(LEFT_SCALE) | INPUT(RIGHT_SCALE) | INPUT(SUM_OR_PRODUCT_SCALE), 0}},       \
    .state_size = sizeof(qlinear_binary_state), .read = qlinear_binary_read, .infer = qlinear_binary_infer,            \
    .in_place = INPUT(LEFT) | INPUT(RIGHT), .facts = {.block = qlinear_binary_block, .block_types = TYPES_8BIT},       \
    .compute = qlinear_binary_compute                                                                                  \
  }

const operator_descriptor operators_qlinear_binary[] = {
    QLINEAR_BINARY("QLinearAdd"),
    QLINEAR_BINARY("QLinearMul"),
    {0},
};
