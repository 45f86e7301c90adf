/*
 * Conv (norma): ai.onnx's Conv on channel blocks (ops/blocked.h), two spatial axes or one, which is a
 * height of 1. Half precision is computed in float and rounded once, when the result is stored.
 *
 * X in blocks, or plain [N, C, H, W] or [N, C, W] with `plain_input`; W [M, C/group, kh, kw], of the rank of a plain X,
 * and B [M] constant and plain; Y in blocks. Groups are one, or one per channel (depthwise, M = C), or begin at blocks
 * on both sides. The epilogue's residual is laid out as Y.
 */
#include "ops/blocked.h"
#include "ops/half.h"
#include "ops/window.h"
#include "ops/work.h"

enum blocked_conv_packed { BLOCKED_CONV_BIAS, BLOCKED_CONV_DEPTHWISE, BLOCKED_CONV_WEIGHTS };

typedef struct blocked_conv_state {
  window_attributes attributes;
  int64_t group, block, channels;
  bool plain_input;

  /* The plan's. */
  window window;
  bool depthwise;
  norma_element_type type;
  int64_t samples, outputs, x_sample, y_sample; /* elements of one sample */
  int64_t units;                                /* of one group of one sample; blocks when depthwise */
  int64_t grain;
  struct blocked_conv_f32 problem;
  struct window_2d plane;
  struct blocked_slices slices; /* depthwise */
  size_t packed_size;           /* elements of one group */
  const float *weights, *bias;
} blocked_conv_state;

static norma_status blocked_conv_read(const node *node, void *state, norma_error *error) {
  blocked_conv_state *conv = state;
  conv->group = attribute_int(node, "group", 1);
  conv->block = attribute_int(node, "block", 0);
  conv->channels = attribute_int(node, "channels", 0);
  conv->plain_input = attribute_int(node, "plain_input", 0) != 0;
  return window_read(node, &conv->attributes, error);
}

static norma_status blocked_conv_infer(infer_context *context) {
  const blocked_conv_state *conv = context->state;
  const shape *weights = infer_shape(context, 1), w = plane_shape(weights);
  shape x = *infer_shape(context, 0);
  if (x.rank == RANK_UNKNOWN) x = shape_of_rank(conv->plain_input ? weights->rank : 5);
  if (w.rank != 4 || x.rank != (conv->plain_input ? weights->rank : 5)) {
    return infer_fail(context, "its inputs have ranks %d and %d", x.rank, weights->rank);
  }
  x = plane_shape(&x);
  window window;
  char message[WINDOW_MESSAGE_SIZE];
  if (!window_resolve(&conv->attributes, 2, x.dims + 2, w.dims + 2, &window, message)) {
    return infer_fail(context, "%s", message);
  }
  int64_t dims[4] = {x.dims[0], w.dims[0], window.output[0], window.output[1]};
  shape plain = shape_make(4, dims);
  shape y = blocked_shape(&plain, conv->block);
  return window_infer_output(context, 0, infer_type(context, 0), &y);
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

typedef struct blocked_conv_packing {
  const blocked_conv_state *conv;
  const struct kernel_table *kernels;
  const void *source;
} blocked_conv_packing;

/* Outputs whose weights, `each` elements for one, are read at a time: whole blocks. */
static int64_t piece_outputs(const blocked_conv_state *conv, int64_t each) {
  int64_t elements = PREPARE_PIECE_BYTES / (int64_t)element_type_bytes(conv->type);
  int64_t fitting = elements / (each ? each : 1) / conv->block * conv->block;
  return fitting > conv->block ? fitting : conv->block;
}

static void blocked_conv_pack_bias(void *destination, const void *argument) {
  const blocked_conv_packing *packing = argument;
  const blocked_conv_state *conv = packing->conv;
  float *bias = destination;
  int64_t padded = divide_up(conv->outputs, conv->block) * conv->block;
  float_from(packing->kernels, conv->type, bias, packing->source, conv->outputs);
  for (int64_t i = conv->outputs; i < padded; i++) bias[i] = 0;
}

/* [blocks][kh * kw][b] from [M][1][kh][kw]. */
static norma_status pack_depthwise(prepare_context *context, void *destination, const void *argument) {
  const blocked_conv_state *conv = argument;
  int64_t taps = window_taps(&conv->window), b = conv->block;
  float *packed = destination;
  const void *weights;
  TRY(prepare_read(context, 1, 0, conv->outputs * taps, &weights));
  const char *source = weights;
  for (int64_t m = 0; m < divide_up(conv->outputs, b) * b; m++) {
    float kernel[BLOCKED_MOST_TAPS];
    memset(kernel, 0, (size_t)taps * sizeof *kernel);
    if (m < conv->outputs) {
      const char *from = source + (size_t)(m * taps) * element_type_bytes(conv->type);
      float_from(context->kernels, conv->type, kernel, from, taps);
    }
    float *to = packed + m / b * taps * b + m % b;
    for (int64_t tap = 0; tap < taps; tap++) to[tap * b] = kernel[tap];
  }
  return NORMA_OK;
}

/* What a piece of the weights fills: its share of each position that Winograd's algorithms transform to. */
static void expect_piece(const blocked_conv_state *conv, float *packed, int64_t first, int64_t count) {
  size_t regions = conv->problem.algorithm == BLOCKED_WINOGRAD_4   ? 36
                   : conv->problem.algorithm == BLOCKED_WINOGRAD_2 ? 16
                                                                   : 1;
  int64_t padded = divide_up((int64_t)conv->problem.outputs, conv->block) * conv->block;
  size_t region = conv->packed_size / regions, each = region / (size_t)padded;
  for (size_t i = 0; i < regions; i++) {
    memory_expect_use(packed + i * region + (size_t)first * each, (size_t)count * each * sizeof(float));
  }
}

static norma_status blocked_conv_pack_weights(prepare_context *context, void *destination, const void *argument) {
  const blocked_conv_state *conv = argument;
  const struct blocked_conv_f32 *problem = &conv->problem;
  int64_t each = (int64_t)(problem->channels * problem->kernel[0] * problem->kernel[1]);
  int64_t outputs = (int64_t)problem->outputs, piece = piece_outputs(conv, each);
  for (int64_t g = 0; g < conv->group; g++) {
    float *packed = (float *)destination + (size_t)g * conv->packed_size;
    for (int64_t first = 0; first < outputs; first += piece) {
      int64_t count = outputs - first < piece ? outputs - first : piece;
      const void *weights;
      TRY(prepare_read(context, 1, (g * outputs + first) * each, count * each, &weights));
      expect_piece(conv, packed, first, count);
      context->kernels->blocked_conv_pack(problem, packed, weights, (size_t)first, (size_t)count);
    }
  }
  return NORMA_OK;
}

/* What a packing depends on beside the node. */
static uint64_t packing_key(const blocked_conv_state *conv) {
  return BLOCKED_CONV_WEIGHTS + (uint64_t)conv->problem.algorithm;
}

static norma_status blocked_conv_prepare_weights(prepare_context *context, blocked_conv_state *conv) {
  const norma_tensor *w = prepare_constant(context, 1), *b = prepare_constant(context, 2);
  if (!w || (context->input_count > 2 && context->inputs[2] && !b)) {
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "its weights and bias must be constants");
  }
  const void *packed;
  size_t padded = (size_t)(divide_up(conv->outputs, conv->block) * conv->block);
  if (conv->depthwise) {
    size_t elements = padded * (size_t)window_taps(&conv->window);
    TRY(prepare_packed_from(context, BLOCKED_CONV_DEPTHWISE, elements * sizeof(float), pack_depthwise, conv, &packed));
  } else {
    size_t elements = conv->packed_size * (size_t)conv->group;
    TRY(prepare_packed_from(context, packing_key(conv), elements * sizeof(float), blocked_conv_pack_weights, conv,
                            &packed));
  }
  conv->weights = packed;
  context->packed_inputs |= INPUT(1);
  if (prepare_sample_is_fixed(context, 0)) context->packed_for_good |= INPUT(1);
  if (!b) return NORMA_OK;
  blocked_conv_packing packing = {conv, context->kernels, b->data};
  TRY(prepare_packed(context, BLOCKED_CONV_BIAS, padded * sizeof(float), blocked_conv_pack_bias, &packing, &packed));
  conv->bias = packed;
  return NORMA_OK;
}

/* Whether a line of pixels is better computed as a column of them: then it can be cut anywhere, in bands that fit the
 * cache and in parts for workers. */
static bool is_upright(const blocked_conv_state *conv) {
  const window *w = &conv->window;
  return !conv->plain_input && w->input[0] == 1 && w->output[0] == 1 && w->kernel[0] == 1 && w->pad_begin[0] == 0;
}

static void describe_problem(const prepare_context *context, blocked_conv_state *conv) {
  const window *w = &conv->window;
  const bool upright = is_upright(conv);
  struct blocked_conv_f32 *problem = &conv->problem;
  problem->type = conv->type;
  problem->channels = (size_t)(conv->channels / conv->group);
  problem->outputs = (size_t)(conv->outputs / conv->group);
  for (int d = 0; d < 2; d++) {
    const int from = upright ? 1 - d : d;
    problem->input[d] = (size_t)w->input[from];
    problem->output[d] = (size_t)w->output[from];
    problem->kernel[d] = (size_t)w->kernel[from];
    problem->stride[d] = (size_t)w->stride[from];
    problem->dilation[d] = (size_t)w->dilation[from];
    problem->pad[d] = (size_t)w->pad_begin[from];
  }
  problem->plain_input = conv->plain_input;
  problem->algorithm = context->kernels->blocked_conv_choose(problem, context->exact);
}

static const char *const algorithm_names[] = {
    [BLOCKED_DIRECT] = "direct, blocks",
    [BLOCKED_WINOGRAD_2] = "winograd 2x2",
    [BLOCKED_WINOGRAD_4] = "winograd 4x4",
};

static norma_status blocked_conv_prepare(prepare_context *context) {
  blocked_conv_state *conv = context->state;
  const shape planes = plane_shape(prepare_shape(context, 0)), *x = &planes;
  const shape weights = plane_shape(prepare_shape(context, 1)), *w = &weights;
  char message[WINDOW_MESSAGE_SIZE];
  if (!window_resolve(&conv->attributes, 2, x->dims + 2, w->dims + 2, &conv->window, message)) {
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "%s", message);
  }
  conv->type = prepare_type(context, 0);
  if ((size_t)conv->block != context->kernels->channel_block[conv->type]) {
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "blocks of %d channels are not this kernel table's",
                        (int)conv->block);
  }
  conv->samples = x->dims[0];
  conv->outputs = w->dims[0];
  conv->depthwise = conv->group > 1 && w->dims[1] == 1 && conv->outputs == conv->channels;
  int64_t pixels = window_outputs(&conv->window), blocks = divide_up(conv->outputs, conv->block);
  conv->x_sample = dims_product(x->dims, 1, x->rank);
  conv->y_sample = blocks * conv->block * pixels;
  double cost = 2.0 * (double)w->dims[1] * (double)window_taps(&conv->window) * (double)pixels;
  context->flops = (double)conv->samples * (double)conv->outputs * cost;
  context->kernel_name = "empty";
  if (conv->samples == 0 || pixels == 0) return NORMA_OK;
  conv->problem.activation = context->node->epilogue.activation;
  if (conv->depthwise) {
    conv->plane = window_plane(&conv->window);
    conv->units = blocks;
    conv->slices = blocked_slices_of(&conv->window, conv->samples, blocks, context->workers);
    conv->grain = work_grain(4 * cost * (double)conv->block / (double)conv->slices.count);
    if (is_half(conv->type)) {
      context->worker_scratch_bytes = blocked_slice_scratch(&conv->slices, &conv->plane, conv->block);
    }
    context->kernel_name = "depthwise, blocks";
    return blocked_conv_prepare_weights(context, conv);
  }
  describe_problem(context, conv);
  conv->packed_size = context->kernels->blocked_conv_packed_size(&conv->problem);
  conv->units = (int64_t)context->kernels->blocked_conv_divide(&conv->problem, (size_t)(conv->samples * conv->group),
                                                               context->workers);
  context->worker_scratch_bytes = context->kernels->blocked_conv_scratch_size(&conv->problem);
  context->kernel_name = algorithm_names[conv->problem.algorithm];
  return blocked_conv_prepare_weights(context, conv);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct blocked_conv_work {
  const blocked_conv_state *conv;
  const run_context *context;
  const char *x, *residual;
  char *y;
} blocked_conv_work;

static const float *offset_or_null(const float *pointer, int64_t elements) {
  return pointer ? pointer + elements : NULL;
}

static const void *elements_or_null(const blocked_conv_state *conv, const char *pointer, int64_t elements) {
  return pointer ? pointer + (size_t)elements * element_type_bytes(conv->type) : NULL;
}

/* One slice, in float. */
static void depthwise_slice(const blocked_conv_work *work, const struct window_slice *slice, int64_t block,
                            const float *x, const float *residual, float *y) {
  const blocked_conv_state *conv = work->conv;
  const float *weights = conv->weights + block * window_taps(&conv->window) * conv->block;
  work->context->kernels->blocked_depthwise_f32(&slice->plane, x, weights,
                                                offset_or_null(conv->bias, block * conv->block), residual,
                                                conv->problem.activation, y);
}

static void depthwise_slice_converted(const blocked_conv_work *work, const struct window_slice *slice, int64_t block,
                                      const void *x, const void *residual, void *y, float *scratch) {
  const blocked_conv_state *conv = work->conv;
  const struct kernel_table *kernels = work->context->kernels;
  const int64_t inputs = (int64_t)(slice->plane.input[0] * slice->plane.input[1]) * conv->block;
  const int64_t outputs = (int64_t)(slice->plane.output[0] * slice->plane.output[1]) * conv->block;
  float *sums = scratch + inputs, *addends = residual ? sums + outputs : NULL;
  half_to_float(kernels, conv->type, scratch, x, inputs);
  if (residual) half_to_float(kernels, conv->type, addends, residual, outputs);
  depthwise_slice(work, slice, block, scratch, addends, sums);
  half_from_float(kernels, conv->type, y, sums, outputs);
}

static void run_depthwise(void *argument, int64_t begin, int64_t end, int worker) {
  const blocked_conv_work *work = argument;
  const blocked_conv_state *conv = work->conv;
  int64_t x_block = conv->x_sample / conv->units, y_block = conv->y_sample / conv->units;
  for (int64_t i = begin; i < end; i++) {
    size_t row;
    int64_t plane = blocked_slice_plane(&conv->slices, i, &row), block = plane % conv->units;
    struct window_slice slice = window_slice(&conv->plane, 0, row, (size_t)conv->slices.rows);
    blocked_slice_trim(&slice.plane);
    const int64_t y_at = plane * y_block + (int64_t)slice.y_offset * conv->block;
    const void *x = elements_or_null(conv, work->x, plane * x_block + (int64_t)slice.x_offset * conv->block);
    const void *residual = elements_or_null(conv, work->residual, y_at);
    void *y = work->y + (size_t)y_at * element_type_bytes(conv->type);
    if (is_half(conv->type)) {
      depthwise_slice_converted(work, &slice, block, x, residual, y, run_worker_scratch(work->context, worker));
    } else {
      depthwise_slice(work, &slice, block, x, residual, y);
    }
  }
}

static void blocked_conv_run_units(void *argument, int64_t begin, int64_t end, int worker) {
  const blocked_conv_work *work = argument;
  const blocked_conv_state *conv = work->conv;
  const run_context *context = work->context;
  while (begin < end) {
    int64_t part = begin / conv->units, unit = begin % conv->units; /* a group of a sample */
    int64_t count = conv->units - unit < end - begin ? conv->units - unit : end - begin;
    int64_t sample = part / conv->group, group = part % conv->group;
    int64_t x_at = sample * conv->x_sample + group * (conv->x_sample / conv->group);
    int64_t y_at = sample * conv->y_sample + group * (conv->y_sample / conv->group);
    struct blocked_conv_f32 problem = conv->problem;
    problem.packed_weights = conv->weights + (size_t)group * conv->packed_size;
    problem.bias = offset_or_null(conv->bias, group * (int64_t)problem.outputs);
    problem.residual = elements_or_null(conv, work->residual, y_at);
    context->kernels->blocked_conv_run(&problem, elements_or_null(conv, work->x, x_at),
                                       work->y + (size_t)y_at * element_type_bytes(conv->type), (size_t)unit,
                                       (size_t)(unit + count), run_worker_scratch(context, worker));
    begin += count;
  }
}

static norma_status blocked_conv_compute(run_context *context) {
  const blocked_conv_state *conv = context->state;
  int residual = context->node->epilogue.residual_input;
  norma_tensor *y = run_output(context, 0);
  if (y->size_bytes == 0) return NORMA_OK;
  blocked_conv_work work = {.conv = conv, .context = context, .x = run_input(context, 0)->data, .y = y->data};
  if (residual) work.residual = run_input(context, residual)->data;
  if (conv->depthwise) {
    return run_parallel(context, conv->samples * conv->units * conv->slices.count, conv->grain, run_depthwise, &work);
  }
  return run_parallel_units(context, conv->samples * conv->group * conv->units, blocked_conv_run_units, &work);
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static const operator_attribute blocked_conv_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"block", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"channels", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"dilations", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"group", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"plain_input", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_blocked_conv[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "Conv",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 4, /* the last is the epilogue's residual */
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_BLOCKED, INPUT(0) | INPUT(1) | INPUT(2) | INPUT(3), OUTPUT(0)}},
        .attributes = blocked_conv_attributes,
        .state_size = sizeof(blocked_conv_state),
        .read = blocked_conv_read,
        .infer = blocked_conv_infer,
        .prepare = blocked_conv_prepare,
        .facts = {.packs = INPUT(1) | INPUT(2), .bias = 2, .weights = INPUT(1)},
        .compute = blocked_conv_compute,
    },
    {0},
};
