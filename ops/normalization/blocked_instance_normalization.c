/*
 * InstanceNormalization (norma): that of ai.onnx on channel blocks (ops/blocked.h), float, two spatial axes.
 *
 * X in blocks, scale and B as they are, with one element for each channel; an activation may be fused.
 *
 * Sums are taken in float over INSTANCE_PIECE pixels, and in double from piece to piece, chunk by chunk of a plane:
 * chunks are work for several threads, and are always added in order. Deviations are from that mean as a float; what it
 * is off, by rounding and by sums of elements far larger than their deviations, is their mean, and is taken out again.
 */
#include "ops/blocked.h"
#include "ops/work.h"

#include <math.h>

#define INSTANCE_PIECE 64 /* pixels */
#define CHUNK          2048
#define MOST_LANES     16

typedef struct instance_state {
  double epsilon;
  int64_t block, channels;

  /* The plan's. */
  int64_t planes, pixels, chunks; /* planes of blocks, chunks of a plane */
} instance_state;

/* Of each chunk, in scratch. */
typedef struct chunk_sums {
  double elements[MOST_LANES], deviations[MOST_LANES], squares[MOST_LANES]; /* squares of deviations */
} chunk_sums;

static norma_status instance_read(const node *node, void *opaque, norma_error *error) {
  instance_state *state = opaque;
  state->epsilon = (double)attribute_float(node, "epsilon", 1e-5f);
  state->block = attribute_int(node, "block", 0);
  state->channels = attribute_int(node, "channels", 0);
  if (!(state->epsilon >= 0) || isinf(state->epsilon)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "epsilon is %g, which is not a number of at least 0",
                         state->epsilon);
  }
  if (state->block < 1 || state->block > MOST_LANES) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "blocks have %lld channels", (long long)state->block);
  }
  return NORMA_OK;
}

static norma_status instance_infer(infer_context *context) {
  const instance_state *state = context->state;
  shape x;
  TRY(infer_blocked_input(context, &x));
  for (int i = 1; i < 3; i++) {
    shape expected = shape_make(1, &state->channels), given = *infer_shape(context, i);
    if (!shape_merge(&expected, &given)) {
      return infer_fail(context, "input %d does not have one element for each channel", i);
    }
  }
  return infer_same(context);
}

static norma_status instance_prepare(prepare_context *context) {
  instance_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  state->planes = x->dims[0] * x->dims[1];
  state->pixels = x->dims[2] * x->dims[3];
  state->chunks = divide_up(state->pixels, CHUNK);
  size_t offset;
  context->kernel_name = "blocks";
  context->flops = 6.0 * (double)state->planes * (double)state->pixels * (double)state->block;
  if (!scratch_append(&context->scratch_bytes, (size_t)(state->planes * state->chunks), sizeof(chunk_sums), &offset)) {
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the input is too large");
  }
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- running */

typedef struct lanes {
  _Alignas(64) float at[MOST_LANES];
} lanes;

typedef struct instance_work {
  run_context *context;
  const instance_state *state;
  const float *x, *scale, *bias;
  float *y;
  chunk_sums *sums;
} instance_work;

/* Pixels of chunk `index`, of all planes; the first of them, from the beginning of x. */
static int64_t chunk_pixels(const instance_state *state, int64_t index, int64_t *first) {
  const int64_t begin = index % state->chunks * CHUNK, left = state->pixels - begin;
  *first = index / state->chunks * state->pixels + begin;
  return left < CHUNK ? left : CHUNK;
}

static void sum_elements(void *argument, int64_t begin, int64_t end, int worker) {
  const instance_work *work = argument;
  const instance_state *state = work->state;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t first, count = chunk_pixels(state, i, &first);
    double *sum = work->sums[i].elements;
    for (int64_t l = 0; l < state->block; l++) sum[l] = 0;
    for (int64_t p = 0; p < count; p += INSTANCE_PIECE) {
      lanes piece;
      work->context->kernels->blocked_sum_f32(piece.at, work->x + (first + p) * state->block,
                                              (size_t)(count - p < INSTANCE_PIECE ? count - p : INSTANCE_PIECE));
      for (int64_t l = 0; l < state->block; l++) sum[l] += (double)piece.at[l];
    }
  }
}

/* What deviations are taken from: the mean of each lane of a plane, as far as sums of floats tell it. */
static void find_centers(const instance_work *work, int64_t plane, lanes *negative_center) {
  const instance_state *state = work->state;
  for (int64_t l = 0; l < state->block; l++) {
    double sum = 0;
    for (int64_t c = 0; c < state->chunks; c++) sum += work->sums[plane * state->chunks + c].elements[l];
    negative_center->at[l] = -(float)(sum / (double)state->pixels);
  }
}

static void sum_deviations(void *argument, int64_t begin, int64_t end, int worker) {
  const instance_work *work = argument;
  const instance_state *state = work->state;
  const struct kernel_table *kernels = work->context->kernels;
  const struct activation none = {.kind = UNARY_IDENTITY};
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t first, count = chunk_pixels(state, i, &first);
    chunk_sums *sums = &work->sums[i];
    lanes negative_center, one;
    _Alignas(64) float deviations[INSTANCE_PIECE * MOST_LANES];
    find_centers(work, i / state->chunks, &negative_center);
    for (int64_t l = 0; l < state->block; l++) {
      sums->deviations[l] = sums->squares[l] = 0;
      one.at[l] = 1;
    }
    for (int64_t p = 0; p < count; p += INSTANCE_PIECE) {
      const size_t pixels = (size_t)(count - p < INSTANCE_PIECE ? count - p : INSTANCE_PIECE),
                   n = pixels * (size_t)state->block;
      lanes piece;
      kernels->blocked_affine_f32(deviations, work->x + (first + p) * state->block, NULL, pixels, one.at,
                                  negative_center.at, none);
      kernels->blocked_sum_f32(piece.at, deviations, pixels);
      for (int64_t l = 0; l < state->block; l++) sums->deviations[l] += (double)piece.at[l];
      kernels->unary_f32[UNARY_SQUARE](deviations, deviations, n, 0, 0);
      kernels->blocked_sum_f32(piece.at, deviations, pixels);
      for (int64_t l = 0; l < state->block; l++) sums->squares[l] += (double)piece.at[l];
    }
  }
}

/* factor and shift of each lane, to be applied to deviations. */
static void find_factors(const instance_work *work, int64_t plane, lanes *factor, lanes *shift) {
  const instance_state *state = work->state;
  const int64_t blocks = divide_up(state->channels, state->block), channel = plane % blocks * state->block;
  for (int64_t l = 0; l < state->block; l++) {
    const bool is_real = channel + l < state->channels;
    const double scale = is_real ? (double)work->scale[channel + l] : 0;
    double rest = 0, variance = 0;
    for (int64_t c = 0; c < state->chunks; c++) {
      rest += work->sums[plane * state->chunks + c].deviations[l];
      variance += work->sums[plane * state->chunks + c].squares[l];
    }
    rest /= (double)state->pixels;
    variance = variance / (double)state->pixels - rest * rest;
    if (variance < 0) variance = 0;
    factor->at[l] = (float)(scale / sqrt(variance + state->epsilon));
    shift->at[l] = (float)((is_real ? (double)work->bias[channel + l] : 0) - rest * (double)factor->at[l]);
  }
}

static void normalize(void *argument, int64_t begin, int64_t end, int worker) {
  const instance_work *work = argument;
  const instance_state *state = work->state;
  const struct kernel_table *kernels = work->context->kernels;
  const struct activation none = {.kind = UNARY_IDENTITY}, activation = work->context->node->epilogue.activation;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t first, count = chunk_pixels(state, i, &first);
    lanes negative_center, one, factor, shift;
    find_centers(work, i / state->chunks, &negative_center);
    find_factors(work, i / state->chunks, &factor, &shift);
    for (int64_t l = 0; l < state->block; l++) one.at[l] = 1;
    for (int64_t p = 0; p < count; p += INSTANCE_PIECE) {
      const size_t pixels = (size_t)(count - p < INSTANCE_PIECE ? count - p : INSTANCE_PIECE);
      float *y = work->y + (first + p) * state->block;
      /* The mean goes first: as a part of the shift it would cancel digits where it is far larger than the deviation.
       */
      kernels->blocked_affine_f32(y, work->x + (first + p) * state->block, NULL, pixels, one.at, negative_center.at,
                                  none);
      kernels->blocked_affine_f32(y, y, NULL, pixels, factor.at, shift.at, activation);
    }
  }
}

static norma_status instance_compute(run_context *context) {
  const instance_state *state = context->state;
  if (!run_output(context, 0) || run_output(context, 0)->size_bytes == 0) return NORMA_OK;
  instance_work work = {.context = context,
                        .state = state,
                        .x = run_input(context, 0)->data,
                        .scale = run_input(context, 1)->data,
                        .bias = run_input(context, 2)->data,
                        .y = run_output(context, 0)->data,
                        .sums = context->scratch};
  const int64_t units = state->planes * state->chunks;
  const double cost = (double)state->block * (double)(state->pixels < CHUNK ? state->pixels : CHUNK);
  TRY(run_parallel(context, units, work_grain(cost), sum_elements, &work));
  TRY(run_parallel(context, units, work_grain(4 * cost), sum_deviations, &work));
  return run_parallel(context, units, work_grain(3 * cost), normalize, &work);
}

static const operator_attribute instance_attributes[] = {
    {"epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"consumed_inputs", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"block", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"channels", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_blocked_instance_normalization[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "InstanceNormalization",
        .versions = {1},
        .min_inputs = 3,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0) | INPUT(1) | INPUT(2), OUTPUT(0)}},
        .attributes = instance_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(instance_state),
        .read = instance_read,
        .infer = instance_infer,
        .prepare = instance_prepare,
        .compute = instance_compute,
    },
    {0},
};
