/*
 * DeformConv 19, 22 (ai.onnx): convolution whose taps are moved by data
 *
 *   Y[n][o][p] = B[o] + sum over c, k of W[o][c][k] * mask[n][g][k][p] * X[n][c] at p * stride - pad + k * dilation
 *                                                                        + offset[n][g][k][.][p]
 *
 * X [N, C, D1 .. Dr], W [O, C / group, k1 .. kr], offset [N, offset_group * k1 * .. * kr * r, o1 .. or], mask (1 where
 * it is absent) the same without r. Elements between those of X are interpolated linearly, those outside are 0. 22 adds
 * bfloat16.
 *
 * For a block of places the moved elements of all channels become a matrix (ops/image/sample_table.h), and the groups'
 * weights are multiplied with it. Half precision is computed in float.
 */
#include "ops/half.h"
#include "ops/image/sample_table.h"
#include "ops/window.h"
#include "ops/work.h"

#include <inttypes.h>

enum { DEFORM_X, DEFORM_W, DEFORM_OFFSET, DEFORM_B, DEFORM_MASK };

/* Keys of what prepare_packed keeps. */
#define DEFORM_CONVERTED_WEIGHTS 1
#define DEFORM_PACKED_WEIGHTS    2

typedef struct deform_state {
  window_attributes attributes;
  int64_t group, offset_group;

  /* The plan's. */
  window window;
  sample_space space;
  norma_element_type type;
  int64_t samples, channels, outputs;  /* channels of X, of one sample; outputs of one group */
  int64_t depth, taps, places, pixels; /* depth: of the product, of one group */
  int64_t block, blocks;
  size_t packed_size;                          /* elements of the packed weights of one group */
  const void *packed;                          /* NULL: made in the run */
  size_t x_at, bias_at, weights_at, packed_at; /* in scratch */
  size_t bases_at, points_at, offsets_at, factors_at, mask_at, columns_at, result_at, product_at; /* of a worker */
} deform_state;

/* ----------------------------------------------------------------------------------------------- attributes, shapes */

static norma_status deform_read(const node *node, void *opaque, norma_error *error) {
  deform_state *state = opaque;
  state->group = attribute_int(node, "group", 1);
  state->offset_group = attribute_int(node, "offset_group", 1);
  if (state->group < 1 || state->offset_group < 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "group is %" PRId64 " and offset_group %" PRId64,
                         state->group, state->offset_group);
  return window_read(node, &state->attributes, error);
}

/* What is known of an input that has `channels` channels and the places of the output. */
static norma_status deform_infer_places(infer_context *context, int input, const char *name, int64_t channels,
                                        const shape *y) {
  const shape *given = infer_shape(context, input);
  shape expected = *y;
  char text[200], wanted[200];
  if (!infer_has_input(context, input)) return NORMA_OK;
  expected.dims[1] = channels;
  if (shape_merge(&expected, given)) return NORMA_OK;
  return infer_fail(context, "%s has shape %s but must have %s", name, shape_text(given, text, sizeof text),
                    shape_text(&expected, wanted, sizeof wanted));
}

static norma_status deform_infer(infer_context *context) {
  const deform_state *state = context->state;
  const shape *x = infer_shape(context, DEFORM_X), *w = infer_shape(context, DEFORM_W),
              *bias = infer_shape(context, DEFORM_B);
  window window;
  char message[WINDOW_MESSAGE_SIZE];
  TRY(infer_types_since(context, TYPES_BFLOAT16, 22));
  if (x->rank == RANK_UNKNOWN || w->rank == RANK_UNKNOWN) {
    const shape y = x->rank != RANK_UNKNOWN ? shape_of_rank(x->rank) : shape_unknown();
    infer_output(context, 0, infer_type(context, 0), &y);
    return NORMA_OK;
  }
  if (x->rank < 3 || x->rank != w->rank) return infer_fail(context, "X has rank %d, W %d", x->rank, w->rank);
  const int axes = x->rank - 2;
  const int64_t channels = x->dims[1], outputs = w->dims[0];
  int64_t expected = DIM_UNKNOWN;
  if (w->dims[1] != DIM_UNKNOWN && __builtin_mul_overflow(w->dims[1], state->group, &expected))
    return infer_fail(context, "W has too many channels");
  if ((channels != DIM_UNKNOWN && expected != DIM_UNKNOWN && channels != expected) ||
      (outputs != DIM_UNKNOWN && outputs % state->group != 0))
    return infer_fail(context, "%" PRId64 " channels of X and %" PRId64 " outputs do not fit %" PRId64 " groups of W",
                      channels, outputs, state->group);
  if (channels != DIM_UNKNOWN && channels % state->offset_group != 0)
    return infer_fail(context, "%" PRId64 " channels are no multiple of offset_group %" PRId64, channels,
                      state->offset_group);
  if (!window_resolve(&state->attributes, axes, x->dims + 2, w->dims + 2, &window, message))
    return infer_fail(context, "%s", message);
  shape y = *x, counted = shape_of_rank(1);
  y.dims[1] = counted.dims[0] = outputs;
  memcpy(y.dims + 2, window.output, (size_t)axes * sizeof *y.dims);
  if (!shape_merge(&counted, bias)) return infer_fail(context, "B must have one element for each output");
  const shape kernel = shape_make(axes, w->dims + 2);
  int64_t moved = shape_count(&kernel), coordinates = DIM_UNKNOWN;
  if (moved != DIM_UNKNOWN &&
      (__builtin_mul_overflow(moved, state->offset_group, &moved) || __builtin_mul_overflow(moved, axes, &coordinates)))
    return infer_fail(context, "the kernel is too large");
  TRY(deform_infer_places(context, DEFORM_OFFSET, "offset", coordinates, &y));
  TRY(deform_infer_places(context, DEFORM_MASK, "mask", moved, &y));
  return window_infer_output(context, 0, infer_type(context, 0), &y);
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

struct deform_packing {
  const deform_state *state;
  const struct kernel_table *kernels;
  const void *weights; /* as float or double */
};

static void deform_pack(void *destination, const void *argument) {
  const struct deform_packing *packing = argument;
  const deform_state *state = packing->state;
  const size_t m = (size_t)state->outputs, k = (size_t)state->depth;
  for (size_t g = 0; g < (size_t)state->group; g++) {
    if (state->type == NORMA_DOUBLE)
      packing->kernels->gemm_f64_pack_a((double *)destination + g * state->packed_size,
                                        (const double *)packing->weights + g * m * k, m, k, k, 1);
    else
      packing->kernels->gemm_f32_pack_a((float *)destination + g * state->packed_size,
                                        (const float *)packing->weights + g * m * k, m, k, k, 1);
  }
}

static void deform_convert_weights(void *destination, const void *argument) {
  const struct deform_packing *packing = argument;
  const deform_state *state = packing->state;
  half_to_float(packing->kernels, state->type, destination, packing->weights,
                state->outputs * state->group * state->depth);
}

/* The description of a group's product for the kernels; pointers that are NULL are set where it is run. */
static struct gemm_f32 deform_gemm_f32(const deform_state *state, size_t count) {
  return (struct gemm_f32){.m = (size_t)state->outputs,
                           .n = count,
                           .k = (size_t)state->depth,
                           .a_row_stride = (size_t)state->depth,
                           .a_column_stride = 1,
                           .b_row_stride = count,
                           .b_column_stride = 1};
}

static struct gemm_f64 deform_gemm_f64(const deform_state *state, size_t count) {
  return (struct gemm_f64){.m = (size_t)state->outputs,
                           .n = count,
                           .k = (size_t)state->depth,
                           .a_row_stride = (size_t)state->depth,
                           .a_column_stride = 1,
                           .b_row_stride = count,
                           .b_column_stride = 1};
}

static bool deform_lay_out(const prepare_context *context, deform_state *state, bool packs, size_t *scratch,
                           size_t *worker) {
  const struct kernel_table *kernels = context->kernels;
  const bool is_double = state->type == NORMA_DOUBLE, converts = is_half(state->type);
  const size_t real = is_double ? sizeof(double) : sizeof(float), block = (size_t)state->block,
               axes = (size_t)state->space.axes, taps = (size_t)sample_taps(&state->space);
  static const float none = 0;
  struct gemm_f32 single = deform_gemm_f32(state, block);
  struct gemm_f64 wide = deform_gemm_f64(state, block);
  single.packed_a = &none;
  static const double nothing = 0;
  wide.packed_a = &nothing;
  const size_t product = is_double ? kernels->gemm_f64_scratch_size(&wide) : kernels->gemm_f32_scratch_size(&single);
  size_t columns, packed, weights, elements;
  if (!size_multiply((size_t)state->channels, (size_t)state->taps, &columns) ||
      !size_multiply(columns, block, &columns) || !size_multiply(state->packed_size, (size_t)state->group, &packed) ||
      !size_multiply((size_t)(state->outputs * state->group), (size_t)state->depth, &weights) ||
      !size_multiply((size_t)(state->samples * state->channels), (size_t)state->pixels, &elements))
    return false;
  if (converts && (!scratch_append(scratch, elements, real, &state->x_at) ||
                   !scratch_append(scratch, (size_t)(state->outputs * state->group), real, &state->bias_at)))
    return false;
  if (packs && ((converts && !scratch_append(scratch, weights, real, &state->weights_at)) ||
                !scratch_append(scratch, packed, real, &state->packed_at)))
    return false;
  return scratch_append(worker, block * axes, sizeof(double), &state->bases_at) &&
         scratch_append(worker, block * axes, real, &state->points_at) &&
         scratch_append(worker, block * taps, real, &state->offsets_at) &&
         scratch_append(worker, block * taps, real, &state->factors_at) &&
         scratch_append(worker, block, real, &state->mask_at) &&
         scratch_append(worker, columns, real, &state->columns_at) &&
         (!converts || scratch_append(worker, block * (size_t)state->outputs, real, &state->result_at)) &&
         scratch_append(worker, product, 1, &state->product_at);
}

#define DEFORM_COLUMNS 131072 /* elements of the matrix of a block, if it has not too few places then */

static norma_status deform_prepare(prepare_context *context) {
  deform_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  const shape *x = prepare_shape(context, DEFORM_X), *w = prepare_shape(context, DEFORM_W);
  char message[WINDOW_MESSAGE_SIZE];
  const int axes = x->rank - 2;
  if (!window_resolve(&state->attributes, axes, x->dims + 2, w->dims + 2, &state->window, message))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "%s", message);
  state->type = prepare_type(context, 0);
  state->space = (sample_space){.axes = axes, .mode = SAMPLE_LINEAR, .padding = SAMPLE_ZEROS};
  memcpy(state->space.sizes, x->dims + 2, (size_t)axes * sizeof *x->dims);
  state->samples = x->dims[0];
  state->channels = x->dims[1];
  state->outputs = w->dims[0] / state->group;
  state->taps = window_taps(&state->window);
  state->places = window_outputs(&state->window);
  state->pixels = window_inputs(&state->window);
  context->kernel_name = "moved patches";
  if (state->type != NORMA_DOUBLE && !sample_fits_floats(&state->space))
    return prepare_fail(context, NORMA_ERROR_UNSUPPORTED, "one plane is too large");
  if (__builtin_mul_overflow(w->dims[1], state->taps, &state->depth))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the kernel is too large");
  const double rows = (double)state->channels * (double)state->taps;
  const int64_t most = rows < DEFORM_COLUMNS / 32 ? (int64_t)(DEFORM_COLUMNS / (rows > 1 ? rows : 1)) : 32;
  state->block = most > 512 ? 512 : most;
  state->blocks = divide_up(state->places, state->block);
  state->packed_size =
      (state->type == NORMA_DOUBLE ? kernels->gemm_f64_packed_a_size
                                   : kernels->gemm_f32_packed_a_size)((size_t)state->outputs, (size_t)state->depth);
  const bool is_constant = prepare_constant(context, DEFORM_W) != NULL;
  if (!deform_lay_out(context, state, !is_constant, &context->scratch_bytes, &context->worker_scratch_bytes))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the convolution is too large");
  context->flops = 2.0 * (double)state->outputs * (double)state->depth * (double)state->group * (double)state->places *
                   (double)state->samples;
  if (!is_constant) return NORMA_OK;
  const size_t real = state->type == NORMA_DOUBLE ? sizeof(double) : sizeof(float);
  const size_t count = (size_t)(state->outputs * state->group * state->depth);
  struct deform_packing packing = {state, kernels, prepare_constant(context, DEFORM_W)->data};
  if (is_half(state->type))
    TRY(prepare_packed(context, DEFORM_CONVERTED_WEIGHTS, count * real, deform_convert_weights, &packing,
                       &packing.weights));
  TRY(prepare_packed(context, DEFORM_PACKED_WEIGHTS, state->packed_size * (size_t)state->group * real, deform_pack,
                     &packing, &state->packed));
  context->packed_inputs = context->packed_for_good = INPUT(DEFORM_W);
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- blocks */

typedef struct deform_job {
  run_context *context;
  const deform_state *state;
  const norma_tensor *offset, *mask, *y;
  const void *x, *packed, *bias; /* as float or double; bias NULL: none */
} deform_job;

typedef struct deform_block {
  int64_t sample, first, count; /* places */
  char *scratch;
} deform_block;

/* Where the window stands at the places of a block, axis by axis. */
static void deform_place(const deform_job *job, const deform_block *block) {
  const window *w = &job->state->window;
  double *bases = (double *)(void *)(block->scratch + job->state->bases_at);
  for (int64_t i = 0; i < block->count; i++) {
    int64_t place = block->first + i;
    for (int d = w->axes - 1; d >= 0; d--) {
      bases[d * block->count + i] = (double)(place % w->output[d] * w->stride[d] - w->pad_begin[d]);
      place /= w->output[d];
    }
  }
}

/* The table of the moved tap `tap` for an offset group. */
static void deform_table(const deform_job *job, const deform_block *block, int64_t group, int64_t tap) {
  const deform_state *state = job->state;
  const window *w = &state->window;
  const int64_t count = block->count, moved = group * state->taps + tap;
  const int64_t sample = block->sample * state->offset_group * state->taps;
  const double *bases = (const double *)(const void *)(block->scratch + state->bases_at);
  void *points = block->scratch + state->points_at, *offsets = block->scratch + state->offsets_at,
       *factors = block->scratch + state->factors_at;
  int64_t rest = tap;
  for (int d = w->axes - 1; d >= 0; d--) {
    const double shift = (double)(rest % w->kernel[d] * w->dilation[d]);
    const int64_t from = ((sample + moved) * w->axes + d) * state->places + block->first;
    rest /= w->kernel[d];
    if (state->type == NORMA_DOUBLE) {
      double *to = (double *)points + d * count;
      elements_to_double(state->type, job->offset->data, from, count, to);
      for (int64_t i = 0; i < count; i++) to[i] += bases[d * count + i] + shift;
    } else {
      float *to = (float *)points + d * count;
      elements_to_float(state->type, job->offset->data, from, count, to);
      for (int64_t i = 0; i < count; i++) to[i] = (float)((double)to[i] + bases[d * count + i] + shift);
    }
  }
  if (state->type == NORMA_DOUBLE)
    sample_table_f64(&state->space, points, count, offsets, factors);
  else
    sample_table_f32(&state->space, points, count, offsets, factors);
  if (!job->mask) return;
  const int64_t from = (sample + moved) * state->places + block->first;
  if (state->type == NORMA_DOUBLE)
    elements_to_double(state->type, job->mask->data, from, count, (double *)(void *)(block->scratch + state->mask_at));
  else
    elements_to_float(state->type, job->mask->data, from, count, (float *)(void *)(block->scratch + state->mask_at));
}

/* The row of the matrix that holds channel `channel` under the tap of the table. */
static void deform_sample(const deform_job *job, const deform_block *block, int64_t channel, int64_t tap) {
  const deform_state *state = job->state;
  const struct kernel_table *kernels = job->context->kernels;
  const int64_t row = (channel * state->taps + tap) * block->count, taps = sample_taps(&state->space);
  const int64_t from = (block->sample * state->channels + channel) * state->pixels;
  const size_t count = (size_t)block->count;
  const void *offsets = block->scratch + state->offsets_at, *factors = block->scratch + state->factors_at,
             *mask = block->scratch + state->mask_at;
  if (state->type == NORMA_DOUBLE) {
    double *to = (double *)(void *)(block->scratch + state->columns_at) + row;
    sample_points_f64(to, (const double *)job->x + from, offsets, factors, taps, block->count);
    for (int64_t i = 0; i < block->count && job->mask; i++) to[i] *= ((const double *)mask)[i];
  } else {
    float *to = (float *)(void *)(block->scratch + state->columns_at) + row;
    const struct sample_planes one = {.count = 1};
    kernels->sample_points_f32(to, (const float *)job->x + from, &one, offsets, factors, (size_t)taps, count, count);
    if (job->mask) kernels->binary_f32[BINARY_MUL](to, to, mask, count);
  }
}

static void deform_multiply_f64(const deform_job *job, const deform_block *block, int64_t group) {
  const deform_state *state = job->state;
  const struct kernel_table *kernels = job->context->kernels;
  struct gemm_f64 gemm = deform_gemm_f64(state, (size_t)block->count);
  gemm.packed_a = (const double *)job->packed + (size_t)group * state->packed_size;
  gemm.b = (const double *)(const void *)(block->scratch + state->columns_at) + group * state->depth * block->count;
  gemm.c =
      (double *)job->y->data + (block->sample * state->group + group) * state->outputs * state->places + block->first;
  gemm.c_row_stride = (size_t)state->places;
  gemm.row_bias = job->bias ? (const double *)job->bias + group * state->outputs : NULL;
  kernels->gemm_f64_run(&gemm, 0, kernels->gemm_f64_row_panels(gemm.m), 0, kernels->gemm_f64_column_panels(gemm.n),
                        block->scratch + state->product_at);
}

static void deform_multiply_f32(const deform_job *job, const deform_block *block, int64_t group) {
  const deform_state *state = job->state;
  const struct kernel_table *kernels = job->context->kernels;
  const int64_t to = (block->sample * state->group + group) * state->outputs * state->places + block->first;
  float *result = (float *)(void *)(block->scratch + state->result_at);
  struct gemm_f32 gemm = deform_gemm_f32(state, (size_t)block->count);
  gemm.packed_a = (const float *)job->packed + (size_t)group * state->packed_size;
  gemm.b = (const float *)(const void *)(block->scratch + state->columns_at) + group * state->depth * block->count;
  gemm.c = is_half(state->type) ? result : (float *)job->y->data + to;
  gemm.c_row_stride = (size_t)(is_half(state->type) ? block->count : state->places);
  gemm.epilogue.row_bias = job->bias ? (const float *)job->bias + group * state->outputs : NULL;
  kernels->gemm_f32_run(&gemm, 0, kernels->gemm_f32_row_panels(gemm.m), 0, kernels->gemm_f32_column_panels(gemm.n),
                        block->scratch + state->product_at);
  for (int64_t o = 0; o < state->outputs && is_half(state->type); o++)
    half_from_float(kernels, state->type, (uint16_t *)job->y->data + to + o * state->places, result + o * block->count,
                    block->count);
}

static void deform_body(void *argument, int64_t begin, int64_t end, int worker) {
  const deform_job *job = argument;
  const deform_state *state = job->state;
  const int64_t shared = state->channels / state->offset_group;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t first = unit % state->blocks * state->block, left = state->places - first;
    const deform_block block = {.sample = unit / state->blocks,
                                .first = first,
                                .count = left < state->block ? left : state->block,
                                .scratch = run_worker_scratch(job->context, worker)};
    deform_place(job, &block);
    for (int64_t i = 0; i < state->offset_group * state->taps && shared > 0; i++) {
      const int64_t group = i / state->taps, tap = i % state->taps;
      if (run_cancelled(job->context)) return;
      deform_table(job, &block, group, tap);
      for (int64_t c = 0; c < shared; c++) deform_sample(job, &block, group * shared + c, tap);
    }
    for (int64_t group = 0; group < state->group; group++) {
      if (state->type == NORMA_DOUBLE)
        deform_multiply_f64(job, &block, group);
      else
        deform_multiply_f32(job, &block, group);
    }
  }
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* Planes of X into scratch. */
static void deform_convert(void *argument, int64_t begin, int64_t end, int worker) {
  const deform_job *job = argument;
  const deform_state *state = job->state;
  float *to = (float *)(void *)((char *)job->context->scratch + state->x_at);
  (void)worker;
  half_to_float(job->context->kernels, state->type, to + begin * state->pixels,
                (const uint16_t *)run_input(job->context, DEFORM_X)->data + begin * state->pixels,
                (end - begin) * state->pixels);
}

/* Weights that are no constants. */
static const void *deform_pack_now(const deform_job *job) {
  const deform_state *state = job->state;
  char *scratch = job->context->scratch;
  struct deform_packing packing = {state, job->context->kernels, run_input(job->context, DEFORM_W)->data};
  if (is_half(state->type)) {
    half_to_float(packing.kernels, state->type, (float *)(void *)(scratch + state->weights_at), packing.weights,
                  state->outputs * state->group * state->depth);
    packing.weights = scratch + state->weights_at;
  }
  deform_pack(scratch + state->packed_at, &packing);
  return scratch + state->packed_at;
}

static norma_status deform_compute(run_context *context) {
  const deform_state *state = context->state;
  const norma_tensor *bias = run_input(context, DEFORM_B);
  deform_job job = {.context = context,
                    .state = state,
                    .offset = run_input(context, DEFORM_OFFSET),
                    .mask = run_input(context, DEFORM_MASK),
                    .y = run_output(context, 0),
                    .x = run_input(context, DEFORM_X)->data,
                    .packed = state->packed,
                    .bias = bias ? bias->data : NULL};
  if (!job.y || norma_tensor_count(job.y) == 0) return NORMA_OK;
  if (!job.packed) job.packed = deform_pack_now(&job);
  if (is_half(state->type)) {
    char *scratch = context->scratch;
    job.x = scratch + state->x_at;
    TRY(run_parallel(context, state->samples * state->channels, work_grain(WORK_ELEMENT * (double)state->pixels),
                     deform_convert, &job));
    if (bias) {
      half_to_float(context->kernels, state->type, (float *)(void *)(scratch + state->bias_at), bias->data,
                    state->outputs * state->group);
      job.bias = scratch + state->bias_at;
    }
  }
  return run_parallel(context, state->samples * state->blocks, 1, deform_body, &job);
}

static const operator_attribute deform_attributes[] = {
    {"dilations", ATTRIBUTE_INTS, 19, OPERATOR_LATEST, false},
    {"group", ATTRIBUTE_INT, 19, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 19, OPERATOR_LATEST, false},
    {"offset_group", ATTRIBUTE_INT, 19, OPERATOR_LATEST, false},
    {"pads", ATTRIBUTE_INTS, 19, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 19, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_deform_conv[] = {
    {
        .domain = "",
        .name = "DeformConv",
        .versions = {19, 22},
        .min_inputs = 3,
        .max_inputs = 5,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1) | INPUT(2) | INPUT(3) | INPUT(4), OUTPUT(0)}},
        .attributes = deform_attributes,
        .facts = {.packs = INPUT(DEFORM_W)},
        .state_size = sizeof(deform_state),
        .read = deform_read,
        .infer = deform_infer,
        .prepare = deform_prepare,
        .compute = deform_compute,
    },
    {0},
};
