/*
 * LRN 1, 13 (ai.onnx): local response normalization across channels
 *
 *   Y[n][c][p] = X[n][c][p] / (bias + alpha / size * sum of X[n][i][p]^2)^beta,
 *   i from max(0, c - floor((size - 1) / 2)) to min(C - 1, c + ceil((size - 1) / 2))
 *
 * LRN 1 (norma): the same on channel blocks (ops/blocked.h), float; a few pixels at a time become plain and go back.
 *
 * 13 adds bfloat16. Squares of a block of pixels of all channels stay in cache while every channel adds its own window
 * of them, always in order of channels. double is computed in double, all else in float.
 */
#include "ops/blocked.h"
#include "ops/half.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

#define LRN_CACHED_BYTES (128 * 1024)

typedef struct lrn_state {
  double alpha, beta, bias;
  int64_t size;
  int64_t lanes, lane_channels; /* on channel blocks: b and C; else 0 */

  /* The plan's: X as samples x channels x pixels. */
  norma_element_type type;
  int64_t samples, channels, pixels, block;
  size_t line_at; /* in worker scratch, behind the squares: rows of one channel */
} lrn_state;

static norma_status lrn_read(const node *node, void *opaque, norma_error *error) {
  lrn_state *state = opaque;
  state->alpha = (double)attribute_float(node, "alpha", 0.0001f);
  state->beta = (double)attribute_float(node, "beta", 0.75f);
  state->bias = (double)attribute_float(node, "bias", 1);
  state->size = attribute_int(node, "size", 0);
  state->lanes = attribute_int(node, "block", 0);
  state->lane_channels = attribute_int(node, "channels", 0);
  if (state->size < 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "size is %" PRId64 " but must be at least 1",
                         state->size);
  return NORMA_OK;
}

static norma_status lrn_infer(infer_context *context) {
  const shape *x = infer_shape(context, 0);
  TRY(infer_types_since(context, TYPES_BFLOAT16, 13));
  if (x->rank != RANK_UNKNOWN && x->rank < 2)
    return infer_fail(context, "X has rank %d but needs a batch and a channel axis", x->rank);
  return infer_same(context);
}

static norma_status lrn_prepare(prepare_context *context) {
  lrn_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  state->type = prepare_type(context, 0);
  state->samples = x->dims[0];
  state->channels = state->lanes ? state->lane_channels : x->dims[1];
  state->pixels = state->lanes ? x->dims[2] * x->dims[3] : dims_product(x->dims, 2, x->rank);
  int64_t elements = LRN_CACHED_BYTES / (int64_t)sizeof(float) / (state->channels > 0 ? state->channels : 1);
  state->block = elements < 64 ? 64 : elements > 1024 ? 1024 : elements;
  if (state->block > state->pixels) state->block = state->pixels;
  size_t channels = (size_t)state->channels, block = (size_t)state->block, squares, *total;
  size_t element = state->type == NORMA_DOUBLE ? sizeof(double) : sizeof(float);
  total = &context->worker_scratch_bytes;
  /* Half precision, and channel blocks, keep the block as plain float beside its squares. */
  bool copies = is_half(state->type) || state->lanes;
  if (!scratch_append(total, channels * (copies ? 2 : 1), block * element, &squares) ||
      !scratch_append(total, 2 * block, element, &state->line_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "X has too many channels");
  context->kernel_name = "blocks";
  context->flops = (double)state->samples * (double)state->channels * (double)state->pixels *
                   (double)(state->size < state->channels ? state->size + 4 : state->channels + 4);
  return NORMA_OK;
}

/* The channels [*begin, *end) that channel c is normalized by. */
static void lrn_window(const lrn_state *state, int64_t c, int64_t *begin, int64_t *end) {
  int64_t before = (state->size - 1) / 2, after = state->size - 1 - before;
  *begin = c > before ? c - before : 0;
  *end = after < state->channels - c ? c + after + 1 : state->channels;
}

/* y = x * sum^-beta; `sum` is overwritten. */
static void lrn_scale(const struct kernel_table *kernels, double beta, float *y, const float *x, float *sum,
                      float *other, size_t n) {
  if (beta == 0.75) { /* sum^0.75 = sqrt(sum) * sqrt(sqrt(sum)) */
    kernels->unary_f32[UNARY_SQRT](sum, sum, n, 0, 0);
    kernels->unary_f32[UNARY_SQRT](other, sum, n, 0, 0);
    kernels->binary_f32[BINARY_MUL](sum, sum, other, n);
  } else if (beta == 0.5) {
    kernels->unary_f32[UNARY_SQRT](sum, sum, n, 0, 0);
  } else if (beta != 1) {
    for (size_t i = 0; i < n; i++) sum[i] = (float)pow((double)sum[i], beta);
  }
  kernels->binary_f32[BINARY_DIV](y, x, sum, n);
}

/* Pixels [first, first + count) of all channels of a sample, in float: x and y are rows `stride` apart. */
static void lrn_block(const run_context *context, float *y, const float *x, int64_t stride, int64_t count,
                      float *squares, float *line) {
  const lrn_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  double done = 0; /* since the last question whether to stop */
  static const struct activation none = {UNARY_IDENTITY, 0, 0};
  size_t n = (size_t)count;
  float factor = (float)(state->alpha / (double)state->size), bias = (float)state->bias;
  for (int64_t c = 0; c < state->channels; c++)
    kernels->unary_f32[UNARY_SQUARE](squares + c * count, x + c * stride, n, 0, 0);
  for (int64_t c = 0; c < state->channels; c++) {
    int64_t begin, end;
    lrn_window(state, c, &begin, &end);
    done += (double)(end - begin) * (double)count;
    if (done > WORK_LEAST) {
      if (run_cancelled(context)) return;
      done = 0;
    }
    kernels->reduce_rows_f32[REDUCE_SUM](line, squares + begin * count, (size_t)(end - begin), n, n);
    kernels->affine_f32(line, line, NULL, n, factor, bias, none);
    lrn_scale(kernels, state->beta, y + c * stride, x + c * stride, line, line + count, n);
  }
}

static void lrn_block_in_double(const run_context *context, double *y, const double *x, int64_t count,
                                double *squares) {
  const lrn_state *state = context->state;
  double done = 0;
  double factor = state->alpha / (double)state->size;
  for (int64_t c = 0; c < state->channels; c++) {
    for (int64_t i = 0; i < count; i++) {
      double value = x[c * state->pixels + i];
      squares[c * count + i] = value * value;
    }
  }
  for (int64_t c = 0; c < state->channels; c++) {
    int64_t begin, end;
    lrn_window(state, c, &begin, &end);
    done += (double)(end - begin) * (double)count;
    if (done > WORK_LEAST) {
      if (run_cancelled(context)) return;
      done = 0;
    }
    for (int64_t i = 0; i < count; i++) {
      double sum = 0;
      for (int64_t j = begin; j < end; j++) sum += squares[j * count + i];
      y[c * state->pixels + i] = x[c * state->pixels + i] / pow(state->bias + factor * sum, state->beta);
    }
  }
}

/* The same for half precision, by a copy of the block in float behind the squares. */
static void lrn_block_of_halves(const run_context *context, uint16_t *y, const uint16_t *x, int64_t count,
                                float *squares, float *line) {
  const lrn_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  float *values = squares + state->channels * count;
  for (int64_t c = 0; c < state->channels; c++)
    half_to_float(kernels, state->type, values + c * count, x + c * state->pixels, count);
  lrn_block(context, values, values, count, count, squares, line);
  for (int64_t c = 0; c < state->channels; c++)
    half_from_float(kernels, state->type, y + c * state->pixels, values + c * count, count);
}

/* The same for channel blocks: x and y lead to pixels of the first block of a sample. */
static void lrn_block_of_lanes(const run_context *context, float *y, const float *x, int64_t count, float *squares,
                               float *line) {
  const lrn_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  float *values = squares + state->channels * count;
  for (int64_t c = 0; c < state->channels; c += state->lanes) {
    int64_t real = state->channels - c < state->lanes ? state->channels - c : state->lanes;
    kernels->unblock_channels(values + c * count, x + c * state->pixels, (size_t)real, (size_t)count, NORMA_FLOAT);
  }
  lrn_block(context, values, values, count, count, squares, line);
  for (int64_t c = 0; c < state->channels; c += state->lanes) {
    int64_t real = state->channels - c < state->lanes ? state->channels - c : state->lanes;
    kernels->block_channels(y + c * state->pixels, values + c * count, (size_t)real, (size_t)count, NORMA_FLOAT);
  }
}

static void lrn_blocks(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const lrn_state *state = context->state;
  const void *x = run_input(context, 0)->data;
  void *y = run_output(context, 0)->data;
  char *scratch = run_worker_scratch(context, worker);
  float *squares = (float *)scratch, *line = (float *)(scratch + state->line_at);
  int64_t blocks = divide_up(state->pixels, state->block);
  for (int64_t i = begin; i < end; i++) {
    int64_t pixel = i % blocks * state->block, left = state->pixels - pixel;
    int64_t count = left < state->block ? left : state->block;
    int64_t at = i / blocks * state->channels * state->pixels + pixel;
    if (state->lanes) {
      int64_t stored = divide_up(state->channels, state->lanes) * state->lanes;
      at = i / blocks * stored * state->pixels + pixel * state->lanes;
      lrn_block_of_lanes(context, (float *)y + at, (const float *)x + at, count, squares, line);
    } else if (state->type == NORMA_FLOAT)
      lrn_block(context, (float *)y + at, (const float *)x + at, state->pixels, count, squares, line);
    else if (state->type == NORMA_DOUBLE)
      lrn_block_in_double(context, (double *)y + at, (const double *)x + at, count, (double *)scratch);
    else
      lrn_block_of_halves(context, (uint16_t *)y + at, (const uint16_t *)x + at, count, squares, line);
  }
}

static norma_status lrn_compute(run_context *context) {
  const lrn_state *state = context->state;
  if (state->samples == 0 || state->channels == 0 || state->pixels == 0) return NORMA_OK;
  int64_t blocks = state->samples * divide_up(state->pixels, state->block);
  double cost = 16.0 * (double)state->channels * (double)state->block;
  return run_parallel(context, blocks, work_grain(cost), lrn_blocks, context);
}

static const operator_attribute lrn_attributes[] = {
    {"alpha", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"beta", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"bias", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"size", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {0},
};

static const operator_attribute blocked_lrn_attributes[] = {
    {"alpha", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"beta", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"bias", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"block", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"channels", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"size", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool lrn_block_form(const node *node, block_form *form) {
  return node_follows_block(node) && block_as_inner(node, form, "LRN");
}

const operator_descriptor operators_lrn[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "LRN",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0), OUTPUT(0)}},
        .attributes = blocked_lrn_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(lrn_state),
        .read = lrn_read,
        .infer = infer_same,
        .prepare = lrn_prepare,
        .compute = lrn_compute,
    },
    {
        .domain = "",
        .name = "LRN",
        .versions = {1, 13},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
        .attributes = lrn_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(lrn_state),
        .read = lrn_read,
        .infer = lrn_infer,
        .prepare = lrn_prepare,
        .facts = {.dimension = fact_dimension_same, .block = lrn_block_form, .block_types = TYPE_BIT(NORMA_FLOAT)},
        .compute = lrn_compute,
    },
    {0},
};
