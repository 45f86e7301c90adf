/*
 * ConvTranspose (norma): ai.onnx's ConvTranspose on channel blocks (ops/blocked.h), float, two spatial axes, one group.
 *
 * X in blocks; W [C, M, k0, k1] or, of one axis, [C, M, k1], and B [M] constant and plain; Y in blocks. `pads` are
 * given, no output has a negative first input, and the kernel reaches over the stride. The epilogue's residual is laid
 * out as Y.
 *
 * Outputs whose place has the same remainder by the stride, a phase, are a convolution of stride 1 with every s-th tap,
 * the last one first. Each phase is computed by the kernels of Conv into a part of scratch; then the rows of all are
 * interleaved. With a stride of 1 there is one phase, and Y is computed where it belongs.
 *
 * With `plain_output` Y is plain [N, M, H, W], for few outputs, where the kernel is the stride and nothing is padded:
 * the outputs under all taps, columns, are those of one 1x1 convolution, and share blocks.
 */
#include "ops/blocked.h"
#include "ops/window.h"
#include "ops/work.h"

enum blocked_conv_transpose_packed { TRANSPOSE_BIAS, TRANSPOSE_WEIGHTS };

/* Of one axis of a phase: output i * stride + first reads the inputs i + j - pad under the taps last - j * stride. */
typedef struct phase_axis {
  int64_t outputs, taps, last, pad;
} phase_axis;

typedef struct phase {
  phase_axis axis[2];
  int64_t weights_at, y_at, y_sample; /* floats: among all weights, in scratch, of a sample there */
  int64_t units;                      /* of one sample */
  struct blocked_conv_f32 problem;
} phase;

typedef struct blocked_conv_transpose_state {
  window_attributes attributes;
  int64_t extra[2], block, channels;
  bool plain_output;

  /* The plan's. */
  int64_t samples, outputs, columns, blocks, x[2], y[2], kernel[2], x_sample, y_sample;
  int64_t units; /* of one sample and all phases */
  int phase_count;
  phase phases[BLOCKED_MOST_PHASES];
  int64_t packed_count; /* floats of all weights */
  const float *weights, *bias;
} blocked_conv_transpose_state;

static norma_status blocked_conv_transpose_read(const node *node, void *opaque, norma_error *error) {
  blocked_conv_transpose_state *state = opaque;
  size_t count;
  const int64_t *extra = attribute_ints(node, "output_padding", &count);
  state->block = attribute_int(node, "block", 0);
  state->channels = attribute_int(node, "channels", 0);
  state->plain_output = attribute_int(node, "plain_output", 0) != 0;
  TRY(window_read(node, &state->attributes, error));
  if (state->attributes.axes != 2 || count != 2 ||
      state->attributes.stride[0] > BLOCKED_MOST_PHASES / state->attributes.stride[1])
    return error_at_node(error, NORMA_ERROR_INTERNAL, node, "its attributes are not those of two axes");
  memcpy(state->extra, extra, sizeof state->extra);
  return NORMA_OK;
}

static int64_t output_size(const blocked_conv_transpose_state *state, int axis, int64_t x, int64_t kernel) {
  const window_attributes *a = &state->attributes;
  if (x == DIM_UNKNOWN || kernel == DIM_UNKNOWN) return DIM_UNKNOWN;
  int64_t y, kept = kernel + state->extra[axis] - (a->pad_begin[axis] + a->pad_end[axis]);
  if (x == 0) return 0;
  if (__builtin_mul_overflow(x - 1, a->stride[axis], &y) || __builtin_add_overflow(y, kept, &y)) return -2;
  return y;
}

static norma_status blocked_conv_transpose_infer(infer_context *context) {
  const blocked_conv_transpose_state *state = context->state;
  const shape weights = plane_shape(infer_shape(context, 1)), *w = &weights;
  shape x;
  TRY(infer_blocked_input(context, &x));
  if (w->rank != 4) return infer_fail(context, "its weights have rank %d, expected 4", w->rank);
  int64_t dims[4] = {x.dims[0], w->dims[1]};
  for (int d = 0; d < 2; d++) {
    dims[2 + d] = output_size(state, d, x.dims[2 + d], w->dims[2 + d]);
    if (dims[2 + d] < 0 && dims[2 + d] != DIM_UNKNOWN)
      return infer_fail(context, "its pads take more than there is of spatial axis %d, or it is too large", d);
  }
  shape plain = shape_make(4, dims), y = state->plain_output ? plain : blocked_shape(&plain, state->block);
  return window_infer_output(context, 0, NORMA_FLOAT, &y);
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

typedef struct blocked_conv_transpose_packing {
  const blocked_conv_transpose_state *state;
  const struct kernel_table *kernels;
  const float *source;
} blocked_conv_transpose_packing;

static void blocked_conv_transpose_pack_bias(void *destination, const void *argument) {
  const blocked_conv_transpose_packing *packing = argument;
  const blocked_conv_transpose_state *state = packing->state;
  float *bias = destination;
  for (int64_t i = 0; i < state->blocks * state->block; i++)
    bias[i] = i < state->columns ? packing->source[i % state->outputs] : 0;
}

/* A phase's weights of `count` outputs from `first` on, as those of a convolution: [count][C][taps0][taps1]. */
static void gather_weights(const blocked_conv_transpose_packing *packing, const phase *phase, int64_t first,
                           int64_t count, float *weights) {
  const blocked_conv_transpose_state *state = packing->state;
  const int64_t *stride = state->attributes.stride, *kernel = state->kernel;
  for (int64_t o = first; o < first + count; o++) {
    for (int64_t c = 0; c < state->channels; c++) {
      const float *from = packing->source + (c * state->outputs + o) * kernel[0] * kernel[1];
      for (int64_t i = 0; i < phase->axis[0].taps; i++) {
        const float *row = from + (phase->axis[0].last - i * stride[0]) * kernel[1];
        for (int64_t j = 0; j < phase->axis[1].taps; j++) *weights++ = row[phase->axis[1].last - j * stride[1]];
      }
    }
  }
}

/* Those of `count` columns, which are sorted by tap: [count][C]. */
static void gather_columns(const blocked_conv_transpose_packing *packing, int64_t first, int64_t count,
                           float *weights) {
  const blocked_conv_transpose_state *state = packing->state;
  int64_t taps = state->kernel[0] * state->kernel[1];
  for (int64_t i = first; i < first + count; i++) {
    const float *from = packing->source + i % state->outputs * taps + i / state->outputs;
    for (int64_t c = 0; c < state->channels; c++) *weights++ = from[c * state->outputs * taps];
  }
}

/* Behind what it fills is room for the gathered weights of a block. */
static void blocked_conv_transpose_pack_weights(void *destination, const void *argument) {
  const blocked_conv_transpose_packing *packing = argument;
  const blocked_conv_transpose_state *state = packing->state;
  float *packed = destination, *gathered = packed + state->packed_count;
  for (int i = 0; i < state->phase_count; i++) {
    const phase *phase = &state->phases[i];
    for (int64_t first = 0; first < state->columns; first += state->block) {
      int64_t left = state->columns - first, count = left < state->block ? left : state->block;
      if (state->plain_output)
        gather_columns(packing, first, count, gathered);
      else
        gather_weights(packing, phase, first, count, gathered);
      packing->kernels->blocked_conv_pack(&phase->problem, packed + phase->weights_at, gathered, (size_t)first,
                                          (size_t)count);
    }
  }
}

static norma_status blocked_conv_transpose_prepare_weights(prepare_context *context,
                                                           blocked_conv_transpose_state *state) {
  const norma_tensor *w = prepare_constant(context, 1), *b = prepare_constant(context, 2);
  if (!w || (context->input_count > 2 && context->inputs[2] && !b))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "its weights and bias must be constants");
  blocked_conv_transpose_packing packing = {state, context->kernels, w->data};
  const void *packed;
  uint64_t key = 0; /* the weights depend on the shape by the algorithms alone, of which there are three */
  for (int i = 0; i < state->phase_count; i++) key = 3 * key + (uint64_t)state->phases[i].problem.algorithm;
  size_t count = (size_t)(state->packed_count + state->block * state->channels * state->kernel[0] * state->kernel[1]);
  TRY(prepare_packed(context, TRANSPOSE_WEIGHTS + key, count * sizeof(float), blocked_conv_transpose_pack_weights,
                     &packing, &packed));
  state->weights = packed;
  context->packed_inputs |= INPUT(1);
  if (!b) return NORMA_OK;
  packing.source = b->data;
  TRY(prepare_packed(context, TRANSPOSE_BIAS, (size_t)(state->blocks * state->block) * sizeof(float),
                     blocked_conv_transpose_pack_bias, &packing, &packed));
  state->bias = packed;
  return NORMA_OK;
}

static phase_axis phase_axis_of(const blocked_conv_transpose_state *state, int d, int64_t first) {
  int64_t stride = state->attributes.stride[d], place = first + state->attributes.pad_begin[d];
  int64_t tap = place % stride, taps = divide_up(state->kernel[d] - tap, stride);
  return (phase_axis){.outputs = first < state->y[d] ? divide_up(state->y[d] - first, stride) : 0,
                      .taps = taps,
                      .last = tap + (taps - 1) * stride,
                      .pad = taps - 1 - place / stride};
}

static norma_status describe_phase(prepare_context *context, blocked_conv_transpose_state *state, phase *phase) {
  struct blocked_conv_f32 *problem = &phase->problem;
  problem->type = NORMA_FLOAT;
  problem->channels = (size_t)state->channels;
  problem->outputs = (size_t)state->columns;
  for (int d = 0; d < 2; d++) {
    const phase_axis *axis = &phase->axis[d];
    if (axis->taps < 1 || axis->pad < 0)
      return prepare_fail(context, NORMA_ERROR_INTERNAL, "its kernel or pads do not fit its stride");
    problem->input[d] = (size_t)state->x[d];
    problem->output[d] = (size_t)axis->outputs;
    problem->kernel[d] = (size_t)axis->taps;
    problem->stride[d] = problem->dilation[d] = 1;
    problem->pad[d] = (size_t)axis->pad;
  }
  const struct kernel_table *kernels = context->kernels;
  problem->algorithm = kernels->blocked_conv_choose(problem, context->exact);
  size_t worker_scratch = kernels->blocked_conv_scratch_size(problem);
  if (worker_scratch > context->worker_scratch_bytes) context->worker_scratch_bytes = worker_scratch;
  phase->weights_at = state->packed_count;
  state->packed_count += (int64_t)kernels->blocked_conv_packed_size(problem);
  phase->y_sample = state->blocks * state->block * phase->axis[0].outputs * phase->axis[1].outputs;
  return NORMA_OK;
}

/* All phases, those without outputs too, since the weights of all are packed. */
static norma_status describe_phases(prepare_context *context, blocked_conv_transpose_state *state) {
  const int64_t *stride = state->attributes.stride;
  struct activation activation = context->node->epilogue.activation;
  state->phase_count = state->plain_output ? 1 : (int)(stride[0] * stride[1]);
  int64_t y_at = 0;
  for (int i = 0; i < state->phase_count; i++) {
    phase *phase = &state->phases[i];
    phase->axis[0] = phase_axis_of(state, 0, i / stride[1]);
    phase->axis[1] = phase_axis_of(state, 1, i % stride[1]);
    for (int d = 0; d < 2 && state->plain_output; d++) phase->axis[d].outputs = state->x[d];
    TRY(describe_phase(context, state, phase));
    phase->y_at = y_at;
    y_at += state->samples * phase->y_sample;
    bool is_last = !state->plain_output && (state->phase_count == 1 || !context->node->epilogue.residual_input);
    if (is_last) phase->problem.activation = activation;
    if (phase->y_sample == 0) continue;
    size_t parts = (size_t)(state->samples * state->phase_count);
    phase->units = (int64_t)context->kernels->blocked_conv_divide(&phase->problem, parts, context->workers);
    state->units += phase->units;
  }
  if (state->phase_count > 1 || state->plain_output) context->scratch_bytes = (size_t)y_at * sizeof(float);
  return NORMA_OK;
}

static norma_status blocked_conv_transpose_prepare(prepare_context *context) {
  blocked_conv_transpose_state *state = context->state;
  const shape *x = prepare_shape(context, 0), weights = plane_shape(prepare_shape(context, 1)), *w = &weights;
  if ((size_t)state->block != context->kernels->channel_block[NORMA_FLOAT])
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "blocks of %d channels are not this kernel table's",
                        (int)state->block);
  state->samples = x->dims[0];
  state->outputs = w->dims[1];
  for (int d = 0; d < 2; d++) {
    state->x[d] = x->dims[2 + d];
    state->kernel[d] = w->dims[2 + d];
    state->y[d] = output_size(state, d, state->x[d], state->kernel[d]);
  }
  state->columns = state->plain_output ? state->outputs * state->kernel[0] * state->kernel[1] : state->outputs;
  state->blocks = divide_up(state->columns, state->block);
  state->x_sample = dims_product(x->dims, 1, x->rank);
  state->y_sample = state->blocks * state->block * state->y[0] * state->y[1];
  context->flops = 2.0 * (double)state->samples * (double)state->outputs * (double)state->channels *
                   (double)(state->kernel[0] * state->kernel[1]) * (double)(state->x[0] * state->x[1]);
  context->kernel_name = state->plain_output ? "columns, blocks" : "phases, blocks";
  if (state->samples == 0 || state->y_sample == 0) return NORMA_OK;
  TRY(describe_phases(context, state));
  return blocked_conv_transpose_prepare_weights(context, state);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct conv_transpose_work {
  const blocked_conv_transpose_state *state;
  const run_context *context;
  const float *x, *residual;
  float *y, *phases; /* y itself where there is one phase */
} conv_transpose_work;

static void blocked_conv_transpose_run_units(void *argument, int64_t begin, int64_t end, int worker) {
  const conv_transpose_work *work = argument;
  const blocked_conv_transpose_state *state = work->state;
  while (begin < end) {
    int64_t sample = begin / state->units, unit = begin % state->units;
    const phase *phase = state->phases;
    while (unit >= phase->units) unit -= phase++->units;
    int64_t count = phase->units - unit < end - begin ? phase->units - unit : end - begin;
    struct blocked_conv_f32 problem = phase->problem;
    problem.packed_weights = state->weights + phase->weights_at;
    problem.bias = state->bias;
    if (state->phase_count == 1 && work->residual) problem.residual = work->residual + sample * phase->y_sample;
    work->context->kernels->blocked_conv_run(&problem, work->x + sample * state->x_sample,
                                             work->phases + phase->y_at + sample * phase->y_sample, (size_t)unit,
                                             (size_t)(unit + count), run_worker_scratch(work->context, worker));
    begin += count;
  }
}

/* Pixel i of x, of `bytes` bytes, becomes pixel i * stride of y. */
static inline void spread(char *y, const char *x, int64_t pixels, int64_t stride, size_t bytes) {
  for (int64_t i = 0; i < pixels; i++) memcpy(y + (size_t)(i * stride) * bytes, x + (size_t)i * bytes, bytes);
}

/* The sizes that blocks have, so that each is copied by a few instructions. */
static void spread_pixels(float *y, const float *x, int64_t pixels, int64_t stride, int64_t block) {
  if (block == 16)
    spread((char *)y, (const char *)x, pixels, stride, 16 * sizeof *y);
  else if (block == 8)
    spread((char *)y, (const char *)x, pixels, stride, 8 * sizeof *y);
  else if (block == 4)
    spread((char *)y, (const char *)x, pixels, stride, 4 * sizeof *y);
  else
    spread((char *)y, (const char *)x, pixels, stride, (size_t)block * sizeof *y);
}

/* Row `row` of plane `plane`, of those of all samples. */
static void interleave_row(const conv_transpose_work *work, int64_t plane, int64_t row, float *y) {
  const blocked_conv_transpose_state *state = work->state;
  const int64_t *stride = state->attributes.stride;
  const phase *phases = state->phases + row % stride[0] * stride[1];
  for (int64_t i = 0; i < stride[1]; i++) {
    const phase_axis *axis = phases[i].axis;
    const float *from =
        work->phases + phases[i].y_at + (plane * axis[0].outputs + row / stride[0]) * axis[1].outputs * state->block;
    spread_pixels(y + i * state->block, from, axis[1].outputs, stride[1], state->block);
  }
}

static void interleave_rows(void *argument, int64_t begin, int64_t end, int worker) {
  static const float ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, zeros[sizeof ones / sizeof *ones];
  const conv_transpose_work *work = argument;
  const blocked_conv_transpose_state *state = work->state;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t at = i * state->y[1] * state->block;
    interleave_row(work, i / state->y[0], i % state->y[0], work->y + at);
    if (work->residual)
      work->context->kernels->blocked_affine_f32(work->y + at, work->y + at, work->residual + at, (size_t)state->y[1],
                                                 ones, zeros, work->context->node->epilogue.activation);
  }
}

/* Each item is a row of pixels of X, for one output. */
static void unfold_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const conv_transpose_work *work = argument;
  const blocked_conv_transpose_state *state = work->state;
  const int64_t *stride = state->attributes.stride, b = state->block;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t row = i % state->x[0], plane = i / state->x[0], output = plane % state->outputs;
    const float *sample = work->phases + plane / state->outputs * state->phases[0].y_sample;
    float *y = work->y + (plane * state->y[0] + row * stride[0]) * state->y[1];
    for (int64_t tap = 0; tap < stride[0] * stride[1]; tap++) {
      int64_t column = tap * state->outputs + output;
      const float *from = sample + (column / b * state->x[0] + row) * state->x[1] * b + column % b;
      float *to = y + tap / stride[1] * state->y[1] + tap % stride[1];
      for (int64_t j = 0; j < state->x[1]; j++) to[j * stride[1]] = from[j * b];
    }
    work->context->kernels->affine_f32(y, y, NULL, (size_t)(stride[0] * state->y[1]), 1, 0,
                                       work->context->node->epilogue.activation);
  }
}

static norma_status blocked_conv_transpose_compute(run_context *context) {
  const blocked_conv_transpose_state *state = context->state;
  int residual = context->node->epilogue.residual_input;
  norma_tensor *y = run_output(context, 0);
  if (y->size_bytes == 0) return NORMA_OK;
  conv_transpose_work work = {.state = state, .context = context, .x = run_input(context, 0)->data, .y = y->data};
  work.phases = state->phase_count > 1 || state->plain_output ? context->scratch : y->data;
  if (residual) work.residual = run_input(context, residual)->data;
  TRY(run_parallel_units(context, state->samples * state->units, blocked_conv_transpose_run_units, &work));
  if (state->plain_output) {
    double cost = WORK_ELEMENT * (double)(state->y[1] * state->attributes.stride[0]);
    return run_parallel(context, state->samples * state->outputs * state->x[0], work_grain(cost), unfold_rows, &work);
  }
  if (state->phase_count == 1) return NORMA_OK;
  double cost = WORK_ELEMENT * (double)(state->y[1] * state->block);
  return run_parallel(context, state->samples * state->blocks * state->y[0], work_grain(cost), interleave_rows, &work);
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static const operator_attribute blocked_conv_transpose_attributes[] = {
    {"block", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"channels", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"output_padding", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {"plain_output", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_blocked_conv_transpose[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "ConvTranspose",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 4, /* the last is the epilogue's residual */
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0) | INPUT(1) | INPUT(2) | INPUT(3), OUTPUT(0)}},
        .attributes = blocked_conv_transpose_attributes,
        .state_size = sizeof(blocked_conv_transpose_state),
        .read = blocked_conv_transpose_read,
        .infer = blocked_conv_transpose_infer,
        .prepare = blocked_conv_transpose_prepare,
        .facts = {.packs = INPUT(1) | INPUT(2), .bias = 2},
        .compute = blocked_conv_transpose_compute,
    },
    {0},
};
