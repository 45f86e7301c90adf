/*
 * BatchNormalization (norma): ai.onnx's in inference mode on channel blocks (ops/blocked.h).
 *
 *   Y = activation(X * factor[c] + shift[c]),  factor = scale / sqrt(var + epsilon), shift = bias - mean * factor
 *
 * X and Y in blocks; scale, bias, mean and var are constant vectors of C elements of any float types. Factor and shift
 * are computed in double and rounded once. Half precision is computed in float, some pixels at a time.
 */
#include "ops/blocked.h"
#include "ops/half.h"
#include "ops/work.h"

#include <math.h>

typedef struct blocked_normalization_state {
  double epsilon;

  /* The plan's. */
  int64_t channels, blocks, block, pixels;
  const float *factors; /* [blocks][2][b]: factor, then shift */
} blocked_normalization_state;

static norma_status blocked_normalization_read(const node *node, void *state, norma_error *error) {
  (void)error;
  ((blocked_normalization_state *)state)->epsilon = (double)attribute_float(node, "epsilon", 1e-5f);
  return NORMA_OK;
}

static norma_status blocked_normalization_infer(infer_context *context) {
  shape x;
  TRY(infer_blocked_input(context, &x));
  infer_output(context, 0, infer_type(context, 0), &x);
  return NORMA_OK;
}

typedef struct blocked_normalization_packing {
  const blocked_normalization_state *state;
  const norma_tensor *vectors[4]; /* scale, bias, mean, var */
} blocked_normalization_packing;

static void pack_factors(void *destination, const void *argument) {
  const blocked_normalization_packing *packing = argument;
  const blocked_normalization_state *state = packing->state;
  float *packed = destination;
  for (int64_t c = 0; c < state->blocks * state->block; c++) {
    double of[4] = {0};
    for (int i = 0; i < 4 && c < state->channels; i++) {
      of[i] = element_get_double(packing->vectors[i]->type, packing->vectors[i]->data, c);
    }
    double factor = c < state->channels ? of[0] / sqrt(of[3] + state->epsilon) : 0;
    float *block = packed + c / state->block * 2 * state->block;
    block[c % state->block] = (float)factor;
    block[state->block + c % state->block] = (float)(of[1] - of[2] * factor);
  }
}

static norma_status blocked_normalization_prepare(prepare_context *context) {
  blocked_normalization_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  blocked_normalization_packing packing = {.state = state};
  for (int i = 0; i < 4; i++) {
    packing.vectors[i] = prepare_constant(context, i + 1);
    if (!packing.vectors[i]) return prepare_fail(context, NORMA_ERROR_INTERNAL, "its vectors must be constants");
  }
  state->channels = norma_tensor_count(packing.vectors[0]);
  state->blocks = x->dims[1];
  state->block = x->dims[4];
  state->pixels = x->dims[2] * x->dims[3];
  context->kernel_name = "blocks";
  context->flops = 2.0 * (double)(x->dims[0] * state->blocks * state->block * state->pixels);
  const void *packed;
  TRY(prepare_packed(context, 0, (size_t)(state->blocks * 2 * state->block) * sizeof(float), pack_factors, &packing,
                     &packed));
  state->factors = packed;
  return NORMA_OK;
}

typedef struct blocked_normalization_work {
  const blocked_normalization_state *state;
  const run_context *context;
  norma_element_type type;
  const char *x;
  char *y;
} blocked_normalization_work;

/* One block of one sample, whose elements begin at `at`. */
static void blocked_normalization_plane(const blocked_normalization_work *work, int64_t at, const float *factors) {
  const blocked_normalization_state *state = work->state;
  const struct kernel_table *kernels = work->context->kernels;
  const struct activation activation = work->context->node->epilogue.activation;
  const size_t bytes = element_type_bytes(work->type);
  float piece[HALF_PIECE];
  if (!is_half(work->type)) {
    kernels->blocked_affine_f32((float *)work->y + at, (const float *)work->x + at, NULL, (size_t)state->pixels,
                                factors, factors + state->block, activation);
    return;
  }
  const int64_t most = HALF_PIECE / state->block;
  for (int64_t p = 0; p < state->pixels; p += most) {
    const int64_t pixels = state->pixels - p < most ? state->pixels - p : most, count = pixels * state->block;
    const size_t offset = (size_t)(at + p * state->block) * bytes;
    half_to_float(kernels, work->type, piece, work->x + offset, count);
    kernels->blocked_affine_f32(piece, piece, NULL, (size_t)pixels, factors, factors + state->block, activation);
    half_from_float(kernels, work->type, work->y + offset, piece, count);
  }
}

static void blocked_normalization_body(void *argument, int64_t begin, int64_t end, int worker) {
  const blocked_normalization_work *work = argument;
  const blocked_normalization_state *state = work->state;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const float *factors = state->factors + i % state->blocks * 2 * state->block;
    blocked_normalization_plane(work, i * state->pixels * state->block, factors);
  }
}

static norma_status blocked_normalization_compute(run_context *context) {
  const blocked_normalization_state *state = context->state;
  const norma_tensor *x = run_input(context, 0);
  if (x->size_bytes == 0) return NORMA_OK;
  blocked_normalization_work work = {state, context, x->type, x->data, run_output(context, 0)->data};
  return run_parallel(context, x->dims[0] * state->blocks,
                      work_grain(WORK_ELEMENT * (double)(state->pixels * state->block)), blocked_normalization_body,
                      &work);
}

static const operator_attribute blocked_normalization_attributes[] = {
    {"epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"momentum", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false}, /* of training; without meaning here, as the others */
    {"training_mode", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"is_test", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"spatial", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"consumed_inputs", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_blocked_batch_normalization[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "BatchNormalization",
        .versions = {1},
        .min_inputs = 5,
        .max_inputs = 5,
        .min_outputs = 1,
        .max_outputs = 5, /* of which all but the first are absent */
        .types = {{TYPES_BLOCKED, INPUT(0), OUTPUT(0)}},
        .attributes = blocked_normalization_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(blocked_normalization_state),
        .read = blocked_normalization_read,
        .infer = blocked_normalization_infer,
        .prepare = blocked_normalization_prepare,
        .facts = {.packs = INPUT(1) | INPUT(2) | INPUT(3) | INPUT(4)},
        .compute = blocked_normalization_compute,
    },
    {0},
};
