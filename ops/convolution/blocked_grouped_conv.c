/*
 * GroupedConv (norma): ai.onnx's Conv on channel blocks (ops/blocked.h) for 1x1 kernels, stride 1 and no padding, with
 * groups that may begin and end within blocks.
 *
 * W [M, C/group, 1, 1] and B [M] constant and plain. The attribute `order` lists where the convolution's channels are
 * among those of X: channel c is channel order[c] there. The epilogue's residual is laid out as Y.
 */
#include "ops/blocked.h"
#include "ops/work.h"

enum grouped_conv_packed { GROUPED_CONV_WEIGHTS, GROUPED_CONV_BIAS, GROUPED_CONV_PLACES };

typedef struct grouped_conv_state {
  int64_t group, block, channels;
  const int64_t *order; /* NULL: as they stand */

  /* The plan's. */
  int64_t samples, x_sample, y_sample; /* elements of one sample */
  int64_t panels;
  struct blocked_parts parts;
  struct blocked_grouped_f32 problem;
} grouped_conv_state;

static norma_status grouped_conv_read(const node *node, void *state, norma_error *error) {
  grouped_conv_state *conv = state;
  size_t count;
  conv->group = attribute_int(node, "group", 1);
  conv->block = attribute_int(node, "block", 0);
  conv->channels = attribute_int(node, "channels", 0);
  conv->order = attribute_ints(node, "order", &count);
  if (!conv->order || count == (size_t)conv->channels) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INTERNAL, node, "order does not list all channels");
}

static norma_status grouped_conv_infer(infer_context *context) {
  const grouped_conv_state *conv = context->state;
  const shape *w = infer_shape(context, 1);
  shape x;
  TRY(infer_blocked_input(context, &x));
  if (w->rank != 3 && w->rank != 4) return infer_fail(context, "its weights have rank %d, expected 3 or 4", w->rank);
  shape y = x;
  y.dims[1] = divide_up(w->dims[0], conv->block);
  infer_output(context, 0, NORMA_FLOAT, &y);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

typedef struct grouped_conv_packing {
  const grouped_conv_state *conv;
  const struct kernel_table *kernels;
  const float *source;
} grouped_conv_packing;

static void grouped_conv_pack_weights(void *destination, const void *argument) {
  const grouped_conv_packing *packing = argument;
  packing->kernels->blocked_grouped_pack(&packing->conv->problem, destination, packing->source);
}

static void grouped_conv_pack_bias(void *destination, const void *argument) {
  const grouped_conv_packing *packing = argument;
  const grouped_conv_state *conv = packing->conv;
  const int64_t outputs = (int64_t)conv->problem.outputs, padded = divide_up(outputs, conv->block) * conv->block;
  float *bias = destination;
  for (int64_t i = 0; i < padded; i++) bias[i] = i < outputs ? packing->source[i] : 0;
}

static void pack_places(void *destination, const void *argument) {
  const grouped_conv_packing *packing = argument;
  size_t *places = destination;
  for (int64_t c = 0; c < packing->conv->channels; c++) places[c] = (size_t)packing->conv->order[c];
}

static norma_status prepare_constants(prepare_context *context, grouped_conv_state *conv) {
  const norma_tensor *w = prepare_constant(context, 1), *b = prepare_constant(context, 2);
  if (!w || (context->input_count > 2 && context->inputs[2] && !b)) {
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "its weights and bias must be constants");
  }
  struct blocked_grouped_f32 *problem = &conv->problem;
  grouped_conv_packing packing = {conv, context->kernels, w->data};
  const void *packed;
  const size_t elements = context->kernels->blocked_grouped_packed_size(problem);
  TRY(prepare_packed(context, GROUPED_CONV_WEIGHTS, elements * sizeof(float), grouped_conv_pack_weights, &packing,
                     &packed));
  problem->packed_weights = packed;
  context->packed_inputs |= INPUT(1);
  if (conv->order) {
    TRY(prepare_packed(context, GROUPED_CONV_PLACES, problem->channels * sizeof(size_t), pack_places, &packing,
                       &packed));
    problem->places = packed;
  }
  if (!b) return NORMA_OK;
  const size_t padded = (size_t)(divide_up((int64_t)problem->outputs, conv->block) * conv->block);
  packing.source = b->data;
  TRY(prepare_packed(context, GROUPED_CONV_BIAS, padded * sizeof(float), grouped_conv_pack_bias, &packing, &packed));
  problem->bias = packed;
  return NORMA_OK;
}

static norma_status grouped_conv_prepare(prepare_context *context) {
  grouped_conv_state *conv = context->state;
  const shape *x = prepare_shape(context, 0), *w = prepare_shape(context, 1);
  if ((size_t)conv->block != context->kernels->channel_block[NORMA_FLOAT]) {
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "blocks of %d channels are not this kernel table's",
                        (int)conv->block);
  }
  int64_t pixels = x->dims[2] * x->dims[3], outputs = w->dims[0];
  conv->samples = x->dims[0];
  conv->x_sample = dims_product(x->dims, 1, x->rank);
  conv->y_sample = divide_up(outputs, conv->block) * conv->block * pixels;
  conv->problem = (struct blocked_grouped_f32){.channels = (size_t)conv->channels,
                                               .outputs = (size_t)outputs,
                                               .groups = (size_t)conv->group,
                                               .pixels = (size_t)pixels,
                                               .activation = context->node->epilogue.activation};
  context->flops = 2.0 * (double)conv->samples * (double)outputs * (double)w->dims[1] * (double)pixels;
  context->kernel_name = "groups, blocks";
  if (conv->samples == 0 || pixels == 0) return NORMA_OK;
  conv->panels = (int64_t)context->kernels->blocked_grouped_panels(&conv->problem);
  bool is_small = context->flops < 2 * WORK_LEAST;
  conv->parts = context->kernels->blocked_grouped_parts(&conv->problem, is_small ? 1 : context->workers);
  context->worker_scratch_bytes = context->kernels->blocked_grouped_scratch_size(&conv->problem);
  return prepare_constants(context, conv);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct grouped_conv_work {
  const grouped_conv_state *conv;
  const run_context *context;
  const float *x, *residual;
  float *y;
} grouped_conv_work;

static size_t part_begin(size_t count, size_t parts, size_t part) {
  return count / parts * part + (part < count % parts ? part : count % parts);
}

/* Neighbouring parts of the pixels of a sample, for one part of the panels, run as one. */
static void grouped_conv_body(void *argument, int64_t begin, int64_t end, int worker) {
  const grouped_conv_work *work = argument;
  const grouped_conv_state *conv = work->conv;
  const run_context *context = work->context;
  const int64_t rows = (int64_t)conv->parts.pixels;
  while (begin < end) {
    int64_t row = begin % rows, column = begin / rows % (int64_t)conv->parts.panels;
    int64_t sample = begin / rows / (int64_t)conv->parts.panels;
    int64_t count = rows - row < end - begin ? rows - row : end - begin;
    struct blocked_grouped_f32 problem = conv->problem;
    const size_t pixel_end = (size_t)(row + count) * conv->parts.part_pixels;
    if (work->residual) problem.residual = work->residual + sample * conv->y_sample;
    context->kernels->blocked_grouped_run(
        &problem, work->x + sample * conv->x_sample, work->y + sample * conv->y_sample,
        (size_t)row * conv->parts.part_pixels, pixel_end < problem.pixels ? pixel_end : problem.pixels,
        part_begin((size_t)conv->panels, conv->parts.panels, (size_t)column),
        part_begin((size_t)conv->panels, conv->parts.panels, (size_t)column + 1), run_worker_scratch(context, worker));
    begin += count;
  }
}

static norma_status grouped_conv_compute(run_context *context) {
  const grouped_conv_state *conv = context->state;
  int residual = context->node->epilogue.residual_input;
  norma_tensor *y = run_output(context, 0);
  if (y->size_bytes == 0) return NORMA_OK;
  grouped_conv_work work = {.conv = conv, .context = context, .x = run_input(context, 0)->data, .y = y->data};
  if (residual) work.residual = run_input(context, residual)->data;
  int64_t parts = (int64_t)(conv->parts.pixels * conv->parts.panels);
  return run_parallel_units(context, conv->samples * parts, grouped_conv_body, &work);
}

static const operator_attribute grouped_conv_attributes[] = {
    {"block", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"channels", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"group", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"order", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    /* Conv's, which say that it is one of the kind described above */
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_blocked_grouped_conv[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "GroupedConv",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 4, /* the last is the epilogue's residual */
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0) | INPUT(1) | INPUT(2) | INPUT(3), OUTPUT(0)}},
        .attributes = grouped_conv_attributes,
        .state_size = sizeof(grouped_conv_state),
        .read = grouped_conv_read,
        .infer = grouped_conv_infer,
        .prepare = grouped_conv_prepare,
        .facts = {.packs = INPUT(1) | INPUT(2), .bias = 2},
        .compute = grouped_conv_compute,
    },
    {0},
};
