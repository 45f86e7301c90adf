/*
 * QLinearConv (norma): ai.onnx's QLinearConv on channel blocks of bytes (ops/blocked.h), two spatial axes.
 *
 * X in blocks, or plain [N, C, H, W] with `plain_input`, of up to four channels; W and all scales, zero points and the
 * bias constant and plain; Y in blocks. Weights are signed with zero point 0, or unsigned with 128. Groups are one, or
 * one per channel (depthwise), or begin at blocks on both sides. The results are those of QLinearConv to the bit.
 *
 * A piece of work copies the rows that its outputs see, with their padding, to where it stays in a cache; a 1x1 kernel
 * reads pixels as they lie. Zero points of X need no products: they are a term of each output, as the padding holds
 * them too.
 */
#include "ops/blocked.h"
#include "ops/quantized/blocked_integer_conv.h"
#include "ops/quantized/quantization.h"
#include "ops/quantized/quantized_store.h"

#define INTEGER_BAND_BYTES      ((size_t)192 << 10) /* inputs of a piece of work: half of a small second-level cache */
#define INTEGER_DEPTHWISE_BYTES ((size_t)32 << 10)  /* and of a depthwise one, which should stay in the first */
#define INTEGER_LEAST_ROWS      4 /* of outputs: fewer are not worth the rows that neighbouring pieces copy twice */

static norma_status blocked_integer_conv_read(const node *node, void *state, norma_error *error) {
  blocked_integer_conv_state *conv = state;
  conv->group = attribute_int(node, "group", 1);
  conv->channels = attribute_int(node, "channels", 0);
  conv->plain_input = attribute_int(node, "plain_input", 0) != 0;
  return window_read(node, &conv->attributes, error);
}

static norma_status blocked_integer_conv_infer(infer_context *context) {
  const blocked_integer_conv_state *conv = context->state;
  const int rank = conv->plain_input ? 4 : 5;
  const shape *w = infer_shape(context, INTEGER_W);
  shape x = *infer_shape(context, INTEGER_X);
  if (x.rank == RANK_UNKNOWN) x = shape_of_rank(rank);
  if (w->rank != 4 || x.rank != rank) return infer_fail(context, "its inputs have ranks %d and %d", x.rank, w->rank);
  window window;
  char message[WINDOW_MESSAGE_SIZE];
  if (!window_resolve(&conv->attributes, 2, x.dims + 2, w->dims + 2, &window, message))
    return infer_fail(context, "%s", message);
  const int64_t dims[4] = {x.dims[0], w->dims[0], window.output[0], window.output[1]};
  const shape plain = shape_make(4, dims), y = blocked_shape(&plain, BYTE_BLOCK);
  return window_infer_output(context, 0, infer_type(context, INTEGER_Y_ZERO), &y);
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

size_t integer_planes_columns(const blocked_integer_conv_state *conv) {
  return (size_t)((conv->window.output[1] - 1) * conv->window.stride[1]) + 4 * integer_planes_fours(conv);
}

size_t integer_planes_fours(const blocked_integer_conv_state *conv) {
  return (size_t)divide_up(conv->window.kernel[1], 4);
}

static bool steps_over_nothing(const window *w) {
  for (int d = 0; d < 2; d++) {
    if (w->kernel[d] != 1 || w->stride[d] != 1 || w->input[d] != w->output[d] || w->pad_begin[d]) return false;
  }
  return true;
}

static enum integer_conv_path choose_path(const blocked_integer_conv_state *conv) {
  if (conv->plain_input) return INTEGER_CONV_PLANES;
  if (conv->group > 1 && conv->inputs == 1) return INTEGER_CONV_DEPTHWISE;
  return steps_over_nothing(&conv->window) && !conv->flip ? INTEGER_CONV_DIRECT : INTEGER_CONV_COPIED;
}

/* Bytes that a row of outputs takes of x, as it is copied, for all blocks of a group; `count` rows take more than a
 * multiple of it. */
static size_t band_bytes(const blocked_integer_conv_state *conv, size_t count) {
  const size_t rows = byte_blocks_rows(&conv->rows, count);
  if (conv->path == INTEGER_CONV_PLANES)
    return rows * integer_planes_fours(conv) * (size_t)conv->window.output[1] * BYTE_BLOCK;
  return byte_blocks_bytes(&conv->rows, count) * (conv->path == INTEGER_CONV_DEPTHWISE ? 1 : (size_t)conv->x_blocks);
}

/* How many units (rows of outputs, or pixels) a piece has of `count` whose inputs fit with `fitting` of them. Where
 * there are fewer pieces than workers, each gets one of `least` units or more. */
static int64_t choose_slice(int64_t count, int64_t fitting, int64_t least, int64_t others, int workers) {
  int64_t slice = fitting < 1 ? 1 : fitting < count ? fitting : count;
  if (others * divide_up(count, slice) < workers && divide_up(count, workers) >= least)
    slice = divide_up(count, workers);
  return divide_up(count, divide_up(count, slice)); /* pieces of like sizes */
}

static void choose_pieces(blocked_integer_conv_state *conv, const struct kernel_table *kernels, int workers) {
  const int64_t height = conv->window.output[0], pixels = window_outputs(&conv->window);
  const bool is_depthwise = conv->path == INTEGER_CONV_DEPTHWISE;
  const int64_t others = conv->samples * (is_depthwise ? conv->blocks : conv->group);
  conv->panels = divide_up(conv->outputs, (int64_t)kernels->conv_8bit_columns);
  conv->parts = 1;
  if (conv->path == INTEGER_CONV_DIRECT) {
    const int64_t tile = (int64_t)kernels->conv_8bit_pixels;
    const int64_t fitting = (int64_t)INTEGER_BAND_BYTES / (conv->x_blocks * BYTE_BLOCK) / tile * tile;
    conv->slice = choose_slice(pixels, fitting, 4 * tile, others, workers);
    conv->slices = divide_up(pixels, conv->slice);
  } else {
    const size_t most = is_depthwise ? INTEGER_DEPTHWISE_BYTES : INTEGER_BAND_BYTES;
    size_t fitting = 1;
    while (fitting < (size_t)height && band_bytes(conv, fitting + 1) <= most) fitting++;
    conv->slice = choose_slice(height, (int64_t)fitting, INTEGER_LEAST_ROWS, others, workers);
    conv->slices = divide_up(height, conv->slice);
  }
  const int64_t pieces = others * conv->slices;
  if (!is_depthwise && pieces < workers)
    conv->parts = conv->panels < workers ? conv->panels : workers / pieces < 1 ? 1 : divide_up(workers, pieces);
  conv->units = pieces * conv->parts;
}

static norma_status prepare_scratch(prepare_context *context, blocked_integer_conv_state *conv) {
  const size_t taps = (size_t)divide_up(conv->taps, 4) * 4;
  const size_t offsets = conv->path == INTEGER_CONV_DEPTHWISE ? taps : (size_t)conv->steps;
  size_t at;
  bool fits = scratch_append(&context->scratch_bytes, offsets, sizeof(size_t), &at);
  if (conv->path != INTEGER_CONV_DIRECT) {
    /* Depthwise kernels read up to a vector behind a row. */
    fits = fits && scratch_append(&context->worker_scratch_bytes, band_bytes(conv, (size_t)conv->slice) + 64, 1, &at);
  }
  if (conv->path == INTEGER_CONV_PLANES)
    fits = fits && scratch_append(&context->worker_scratch_bytes, integer_planes_columns(conv), 4, &conv->columns_at);
  return fits ? NORMA_OK : prepare_fail(context, NORMA_ERROR_BUDGET, "the convolution is too large");
}

static const char *const integer_conv_path_names[] = {
    [INTEGER_CONV_DIRECT] = "pixels, blocks",
    [INTEGER_CONV_COPIED] = "rows, blocks",
    [INTEGER_CONV_PLANES] = "planes, blocks",
    [INTEGER_CONV_DEPTHWISE] = "depthwise, blocks",
};

static void describe_channels(blocked_integer_conv_state *conv, const shape *w) {
  conv->inputs = w->dims[1];
  conv->all_outputs = w->dims[0];
  conv->outputs = conv->all_outputs / conv->group;
  conv->blocks = divide_up(conv->all_outputs, BYTE_BLOCK);
  conv->x_blocks = divide_up(conv->inputs, BYTE_BLOCK);
  conv->taps = window_taps(&conv->window);
}

static void describe_memory(const struct kernel_table *kernels, blocked_integer_conv_state *conv) {
  const int64_t pixels = window_inputs(&conv->window);
  conv->x_sample =
      conv->plain_input ? conv->channels * pixels : divide_up(conv->channels, BYTE_BLOCK) * BYTE_BLOCK * pixels;
  conv->y_block = window_outputs(&conv->window) * BYTE_BLOCK;
  conv->steps = conv->path == INTEGER_CONV_PLANES ? conv->window.kernel[0] * (int64_t)integer_planes_fours(conv)
                                                  : conv->x_blocks * conv->taps;
  if (conv->path == INTEGER_CONV_DEPTHWISE)
    conv->group_bytes = (size_t)divide_up(conv->taps, 4) * 4 * BYTE_BLOCK;
  else
    conv->group_bytes = kernels->conv_8bit_packed_size((size_t)conv->outputs, (size_t)conv->steps);
}

static norma_status blocked_integer_conv_prepare(prepare_context *context) {
  blocked_integer_conv_state *conv = context->state;
  const shape *x = prepare_shape(context, INTEGER_X), *w = prepare_shape(context, INTEGER_W);
  char message[WINDOW_MESSAGE_SIZE];
  if (!window_resolve(&conv->attributes, 2, x->dims + 2, w->dims + 2, &conv->window, message))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "%s", message);
  conv->x_type = prepare_type(context, INTEGER_X);
  conv->w_type = prepare_type(context, INTEGER_W);
  conv->flip = (conv->x_type == NORMA_INT8) == context->kernels->conv_8bit_signed ? 0 : 128;
  conv->samples = x->dims[0];
  describe_channels(conv, w);
  const double cost = 2.0 * (double)conv->inputs * (double)conv->taps * (double)window_outputs(&conv->window);
  context->flops = (double)conv->samples * (double)conv->all_outputs * cost;
  context->kernel_name = "empty";
  if (conv->samples == 0 || window_outputs(&conv->window) == 0 || window_inputs(&conv->window) == 0) return NORMA_OK;
  if (!byte_blocks_init(&conv->rows, &conv->window))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the convolution is too large");
  conv->path = choose_path(conv);
  describe_memory(context->kernels, conv);
  choose_pieces(conv, context->kernels, context->workers);
  conv->grain = work_grain(context->flops / 8 / (double)conv->units);
  context->kernel_name = integer_conv_path_names[conv->path];
  TRY(prepare_scratch(context, conv));
  return blocked_integer_conv_prepare_weights(context, conv);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct blocked_integer_job {
  const run_context *context;
  const blocked_integer_conv_state *conv;
  quantized_store store;
  const uint8_t *x;
  uint8_t *y;
  const size_t *offsets;
  uint8_t outside; /* what stands in the padding, as the kernel sees it */
} blocked_integer_job;

static void set_offsets(const blocked_integer_conv_state *conv, size_t *offsets) {
  const size_t block = (size_t)window_inputs(&conv->window) * BYTE_BLOCK;
  const size_t width = (size_t)conv->window.output[1], fours = integer_planes_fours(conv);
  switch (conv->path) {
  case INTEGER_CONV_DIRECT:
    for (size_t b = 0; b < (size_t)conv->x_blocks; b++) offsets[b] = b * block;
    return;
  case INTEGER_CONV_PLANES:
    for (size_t i = 0; i < (size_t)conv->steps; i++)
      offsets[i] = (i / fours * (size_t)conv->window.dilation[0] * fours + i % fours) * width * BYTE_BLOCK;
    return;
  case INTEGER_CONV_COPIED:
    for (size_t b = 0; b < (size_t)conv->x_blocks; b++) {
      size_t *own = offsets + b * (size_t)conv->taps;
      byte_blocks_offsets(&conv->rows, own);
      for (int64_t tap = 0; tap < conv->taps; tap++)
        own[tap] += b * byte_blocks_bytes(&conv->rows, (size_t)conv->slice);
    }
    return;
  case INTEGER_CONV_DEPTHWISE:
    byte_blocks_offsets(&conv->rows, offsets);
    for (int64_t tap = conv->taps; tap % 4; tap++) offsets[tap] = offsets[0]; /* of weight 0 */
    return;
  }
}

/* Writes out what rows first .. see of planes, blocks of four taps behind each other. */
static void copy_planes(const blocked_integer_job *job, int64_t sample, size_t first, size_t count, uint8_t *scratch) {
  const blocked_integer_conv_state *conv = job->conv;
  const struct window_2d *plane = &conv->rows.plane;
  const size_t fours = integer_planes_fours(conv), columns = integer_planes_columns(conv);
  const size_t pixels = plane->input[0] * plane->input[1], row_bytes = fours * plane->output[1] * BYTE_BLOCK;
  const uint8_t *x = job->x + (size_t)(sample * conv->x_sample);
  uint8_t *pixel = scratch + conv->columns_at, *to = scratch;
  const size_t skipped = plane->pad[1] < columns ? plane->pad[1] : columns;
  const size_t inside = columns - skipped < plane->input[1] ? columns - skipped : plane->input[1];
  memset(pixel, job->outside, 4 * columns);
  for (size_t i = 0; i < byte_blocks_rows(&conv->rows, count); i++, to += row_bytes) {
    const int64_t row = (int64_t)(first * plane->stride[0] + i) - (int64_t)plane->pad[0];
    if (!window_meets(plane, 0, i)) continue;
    if (row < 0 || row >= (int64_t)plane->input[0]) {
      memset(to, job->outside, row_bytes);
      continue;
    }
    byte_planes_join(pixel + 4 * skipped, x + (size_t)row * plane->input[1], pixels, (size_t)conv->inputs, conv->flip,
                     inside);
    for (size_t four = 0; four < fours; four++) {
      uint8_t *block = to + four * plane->output[1] * BYTE_BLOCK;
      for (size_t p = 0; p < plane->output[1]; p++)
        memcpy(block + p * BYTE_BLOCK, pixel + 4 * (p * plane->stride[1] + 4 * four), BYTE_BLOCK);
    }
  }
}

/* Rows of the outputs of one block. */
static void compute_depthwise(const blocked_integer_job *job, int64_t block, int64_t slice, uint8_t *scratch) {
  const blocked_integer_conv_state *conv = job->conv;
  const int64_t first = slice * conv->slice, left = conv->window.output[0] - first, own = block % conv->blocks;
  const struct depthwise_8bit of = {
      .fours = (size_t)divide_up(conv->taps, 4),
      .offsets = job->offsets,
      .w = (const int8_t *)conv->weights + (size_t)own * conv->group_bytes,
      .term = conv->term + own * BYTE_BLOCK,
      .scale = conv->scale + own * BYTE_BLOCK,
      .zero = job->store.zero,
      .low = job->store.low,
      .high = job->store.high,
      .rows = (size_t)(left < conv->slice ? left : conv->slice),
      .pixels = (size_t)conv->window.output[1],
      .x_row = (size_t)conv->window.stride[0] * conv->rows.row_bytes,
      .y_row = (size_t)conv->window.output[1] * BYTE_BLOCK,
  };
  byte_blocks_copy(&conv->rows, job->x + block * window_inputs(&conv->window) * BYTE_BLOCK, job->outside, conv->flip,
                   (size_t)first, of.rows, scratch);
  job->context->kernels->depthwise_8bit_run(&of, scratch, job->y + block * conv->y_block + first * (int64_t)of.y_row);
}

/* Copies what a band of rows sees, unless it is read as it lies, and says how the kernel walks over it. */
static const uint8_t *prepare_band(const blocked_integer_job *job, int64_t part, int64_t first, struct conv_8bit *of,
                                   uint8_t *scratch) {
  const blocked_integer_conv_state *conv = job->conv;
  const int64_t block_bytes = window_inputs(&conv->window) * BYTE_BLOCK;
  const uint8_t *x = job->x + part / conv->group * conv->x_sample + part % conv->group * conv->x_blocks * block_bytes;
  const int64_t count = conv->path == INTEGER_CONV_DIRECT ? window_outputs(&conv->window) : conv->window.output[0];
  const size_t units = (size_t)(count - first < conv->slice ? count - first : conv->slice);
  if (conv->path == INTEGER_CONV_DIRECT) {
    of->rows = 1;
    of->pixels = units;
    return x + first * BYTE_BLOCK;
  }
  of->rows = units;
  of->pixels = (size_t)conv->window.output[1];
  of->y_row = of->pixels * BYTE_BLOCK;
  if (conv->path == INTEGER_CONV_PLANES) {
    of->x_row = (size_t)conv->window.stride[0] * integer_planes_fours(conv) * of->pixels * BYTE_BLOCK;
    copy_planes(job, part, (size_t)first, units, scratch);
    return scratch;
  }
  of->x_row = (size_t)conv->window.stride[0] * conv->rows.row_bytes;
  for (int64_t b = 0; b < conv->x_blocks; b++)
    byte_blocks_copy(&conv->rows, x + b * block_bytes, job->outside, conv->flip, (size_t)first, units,
                     scratch + (size_t)b * byte_blocks_bytes(&conv->rows, (size_t)conv->slice));
  return scratch;
}

/* Some panels of outputs of a band of one group of one sample. */
static void compute_band(const blocked_integer_job *job, int64_t group, int64_t slice, int64_t part, uint8_t *scratch) {
  const blocked_integer_conv_state *conv = job->conv;
  const int64_t own = group % conv->group, first = slice * conv->slice, output = own * conv->outputs;
  struct conv_8bit of = {.steps = (size_t)conv->steps,
                         .offsets = job->offsets,
                         .outputs = (size_t)conv->outputs,
                         .packed = (const char *)conv->weights + (size_t)own * conv->group_bytes,
                         .term = conv->term + output,
                         .scale = conv->scale + output,
                         .zero = job->store.zero,
                         .low = job->store.low,
                         .high = job->store.high,
                         .y_block = (size_t)conv->y_block};
  const uint8_t *x = prepare_band(job, group, first, &of, scratch);
  const int64_t unit = conv->path == INTEGER_CONV_DIRECT ? 1 : conv->window.output[1];
  uint8_t *y =
      job->y + (group / conv->group * conv->blocks + output / BYTE_BLOCK) * conv->y_block + first * unit * BYTE_BLOCK;
  job->context->kernels->conv_8bit_run(&of, x, y, (size_t)(part * conv->panels / conv->parts),
                                       (size_t)((part + 1) * conv->panels / conv->parts));
}

static void blocked_integer_pieces(void *argument, int64_t begin, int64_t end, int worker) {
  const blocked_integer_job *job = argument;
  const blocked_integer_conv_state *conv = job->conv;
  uint8_t *scratch = run_worker_scratch(job->context, worker);
  for (int64_t i = begin; i < end; i++) {
    const int64_t part = i % conv->parts, piece = i / conv->parts;
    if (conv->path == INTEGER_CONV_DEPTHWISE)
      compute_depthwise(job, piece / conv->slices, piece % conv->slices, scratch);
    else
      compute_band(job, piece / conv->slices, piece % conv->slices, part, scratch);
  }
}

static norma_status blocked_integer_conv_compute(run_context *context) {
  const blocked_integer_conv_state *conv = context->state;
  norma_tensor *y = run_output(context, 0);
  if (y->size_bytes == 0) return NORMA_OK;
  set_offsets(conv, context->scratch);
  const blocked_integer_job job = {
      .context = context,
      .conv = conv,
      .store = quantized_store_of(context, INTEGER_Y_ZERO),
      .x = run_input(context, INTEGER_X)->data,
      .y = y->data,
      .offsets = context->scratch,
      .outside = (uint8_t)((uint8_t)quantization_zero(run_input(context, INTEGER_X_ZERO)) ^ conv->flip),
  };
  return run_parallel(context, conv->units, conv->grain, blocked_integer_pieces, (void *)&job);
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static const operator_attribute blocked_integer_conv_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"block", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"channels", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"channels_last", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false}, /* 0 */
    {"dilations", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"group", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"plain_input", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_blocked_integer_conv[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "QLinearConv",
        .versions = {1},
        .min_inputs = 8,
        .max_inputs = 9,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_8BIT, INPUT(INTEGER_X) | INPUT(INTEGER_X_ZERO), 0},
                  {TYPES_8BIT, INPUT(INTEGER_W) | INPUT(INTEGER_W_ZERO), 0},
                  {TYPE_BIT(NORMA_FLOAT), INPUT(INTEGER_X_SCALE) | INPUT(INTEGER_W_SCALE) | INPUT(INTEGER_Y_SCALE), 0},
                  {TYPES_8BIT, INPUT(INTEGER_Y_ZERO), OUTPUT(0)},
                  {TYPE_BIT(NORMA_INT32), INPUT(INTEGER_BIAS), 0}},
        .attributes = blocked_integer_conv_attributes,
        .state_size = sizeof(blocked_integer_conv_state),
        .read = blocked_integer_conv_read,
        .infer = blocked_integer_conv_infer,
        .prepare = blocked_integer_conv_prepare,
        .facts = {.packs = INPUT(INTEGER_W), .weights = INPUT(INTEGER_W)},
        .compute = blocked_integer_conv_compute,
    },
    {0},
};
