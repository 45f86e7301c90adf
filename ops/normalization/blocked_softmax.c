/*
 * Softmax, LogSoftmax (norma): those of ai.onnx over all channels, on channel blocks (ops/blocked.h), float.
 *
 * Piece by piece of a plane the pixels of all blocks are brought into rows of channels, which stay in a worker's cache,
 * and back. Padding lanes so take no part, and are written as zeros; the values are those of the plain operators.
 */
#include "ops/blocked.h"
#include "ops/normalization/softmax.h"

#define SCRATCH_ELEMENTS 32768 /* of rows, where the channels allow it */
#define FEWEST_PIXELS    16

typedef struct blocked_softmax_state {
  enum softmax_kind kind;
  int64_t block, channels;

  /* The plan's. */
  int64_t blocks, pixels, piece, pieces; /* pixels of a piece, pieces of a plane */
} blocked_softmax_state;

static norma_status read_kind(const node *node, void *opaque, enum softmax_kind kind, norma_error *error) {
  blocked_softmax_state *state = opaque;
  state->kind = kind;
  state->block = attribute_int(node, "block", 0);
  state->channels = attribute_int(node, "channels", 0);
  if (state->block > 0 && state->channels > 0) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "blocks have %lld channels, all together %lld",
                       (long long)state->block, (long long)state->channels);
}

static norma_status blocked_softmax_read(const node *node, void *state, norma_error *error) {
  return read_kind(node, state, SOFTMAX, error);
}

static norma_status blocked_log_softmax_read(const node *node, void *state, norma_error *error) {
  return read_kind(node, state, LOG_SOFTMAX, error);
}

static norma_status blocked_softmax_infer(infer_context *context) {
  shape x;
  TRY(infer_blocked_input(context, &x));
  return infer_same(context);
}

static norma_status blocked_softmax_prepare(prepare_context *context) {
  blocked_softmax_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  size_t offset;
  state->blocks = divide_up(state->channels, state->block);
  state->pixels = x->dims[2] * x->dims[3];
  state->piece = SCRATCH_ELEMENTS / state->channels / FEWEST_PIXELS * FEWEST_PIXELS;
  if (state->piece < FEWEST_PIXELS) state->piece = FEWEST_PIXELS;
  if (state->piece > SOFTMAX_COLUMNS) state->piece = SOFTMAX_COLUMNS;
  state->pieces = divide_up(state->pixels, state->piece);
  context->kernel_name = "blocks";
  context->flops = 5.0 * (double)x->dims[0] * (double)state->channels * (double)state->pixels;
  if (x->dims[1] != state->blocks || x->dims[4] != state->block) {
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "the input is not in blocks of %lld channels",
                        (long long)state->block);
  }
  if (!scratch_append(&context->worker_scratch_bytes, (size_t)(state->channels * state->piece), sizeof(float),
                      &offset)) {
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the input has too many channels");
  }
  return NORMA_OK;
}

/* All channels of one pixel lie together. */
static void softmax_of_vector(const run_context *context, float *y, const float *x) {
  const blocked_softmax_state *state = context->state;
  softmax_float_lines(context->kernels, state->kind, y, x, 1, state->channels);
  for (int64_t c = state->channels; c < state->blocks * state->block; c++) y[c] = 0;
}

/* `pixels` pixels of a sample; x and y are where block 0 holds the first of them. */
static void softmax_of_piece(const run_context *context, float *y, const float *x, int64_t pixels, float *rows) {
  const blocked_softmax_state *state = context->state;
  const int64_t size = state->pixels * state->block;
  for (int64_t i = 0; i < state->blocks; i++) {
    const int64_t first = i * state->block, left = state->channels - first;
    context->kernels->unblock_channels(rows + first * pixels, x + i * size,
                                       (size_t)(left < state->block ? left : state->block), (size_t)pixels,
                                       NORMA_FLOAT);
  }
  softmax_float_columns(context->kernels, state->kind, rows, rows, (size_t)state->channels, (size_t)pixels,
                        (size_t)pixels);
  for (int64_t i = 0; i < state->blocks; i++) {
    const int64_t first = i * state->block, left = state->channels - first;
    context->kernels->block_channels(y + i * size, rows + first * pixels,
                                     (size_t)(left < state->block ? left : state->block), (size_t)pixels, NORMA_FLOAT);
  }
}

static void blocked_softmax_body(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const blocked_softmax_state *state = context->state;
  const float *x = run_input(context, 0)->data;
  float *y = run_output(context, 0)->data;
  for (int64_t i = begin; i < end; i++) {
    const int64_t pixel = i % state->pieces * state->piece, left = state->pixels - pixel;
    const int64_t first = (i / state->pieces * state->blocks * state->pixels + pixel) * state->block;
    if (state->pixels == 1)
      softmax_of_vector(context, y + first, x + first);
    else
      softmax_of_piece(context, y + first, x + first, left < state->piece ? left : state->piece,
                       run_worker_scratch(context, worker));
  }
}

static norma_status blocked_softmax_compute(run_context *context) {
  const blocked_softmax_state *state = context->state;
  const double cost = 16.0 * (double)state->channels * (double)(state->pieces > 1 ? state->piece : state->pixels);
  if (run_output(context, 0)->size_bytes == 0) return NORMA_OK;
  return run_parallel(context, run_input(context, 0)->dims[0] * state->pieces, work_grain(cost), blocked_softmax_body,
                      context);
}

static const operator_attribute blocked_softmax_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false}, /* ai.onnx's */
    {"block", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"channels", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_blocked_softmax[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "Softmax",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0), OUTPUT(0)}},
        .attributes = blocked_softmax_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(blocked_softmax_state),
        .read = blocked_softmax_read,
        .infer = blocked_softmax_infer,
        .prepare = blocked_softmax_prepare,
        .compute = blocked_softmax_compute,
    },
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "LogSoftmax",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0), OUTPUT(0)}},
        .attributes = blocked_softmax_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(blocked_softmax_state),
        .read = blocked_log_softmax_read,
        .infer = blocked_softmax_infer,
        .prepare = blocked_softmax_prepare,
        .compute = blocked_softmax_compute,
    },
    {0},
};
