/*
 * ConvInteger 10, QLinearConv 10 (ai.onnx), QLinearConv 1 (com.microsoft): convolution of 8-bit integers
 *
 *   sum[n][m][p] = B[m] + sum over c, k of (W[m][c][k] - w_zero[m]) * (X[n][g(m) * C/group + c][i(p, k)] - x_zero)
 *
 * exact modulo 2^32; positions outside X count as x_zero. Shapes and attributes are those of Conv. ConvInteger stores
 * the sum; QLinearConv
 *   Y = saturate(round(sum * (x_scale * w_scale[m] / y_scale)) + y_zero), halves to even,
 * the factor computed in float and the product rounded to float. w_scale and w_zero are one number or one for each
 * output channel. An epilogue may limit it (ops/quantized/quantized_store.h).
 *
 * With channels_last, of com.microsoft, X and Y are [N, D1 .. Dn, channels]; W is as ever.
 *
 * A block of pixels at a time: their patches are the left matrix of a product, whose columns are output channels.
 * Groups of one channel and few outputs go plane by plane instead (ops/quantized/integer_depthwise.h).
 */
#include "engine/graph/query.h"
#include "ops/convolution/conv_shape.h"
#include "ops/convolution/patches.h"
#include "ops/blocked.h"
#include "ops/quantized/blocked_integer_conv.h"
#include "ops/quantized/integer_depthwise.h"
#include "ops/quantized/quantization.h"
#include "ops/work.h"

#include <inttypes.h>

#define DEPTHWISE_MOST_OUTPUTS 4 /* of a channel */

enum integer_conv_packed { INTEGER_CONV_WEIGHTS, INTEGER_CONV_TAPS };

/* Where an operator has its inputs; -1: nowhere. */
typedef struct integer_conv_inputs {
  int x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias;
} integer_conv_inputs;

static const integer_conv_inputs conv_integer_inputs = {-1, 2, 1, -1, 3, -1, -1, -1};
static const integer_conv_inputs qlinear_conv_inputs = {1, 2, 3, 4, 5, 6, 7, 8};

typedef struct integer_conv_state {
  integer_conv_inputs inputs;
  window_attributes attributes;
  int64_t group;
  bool channels_last;

  /* The plan's. Channels and outputs are those of one group, pixels those of one plane. */
  window window;
  norma_element_type x_type, w_type, y_type;
  int64_t samples, channels, outputs, depth, pixels;
  int64_t chunk, chunks; /* pixels of a block; blocks of a plane */
  int64_t grain;
  bool is_depthwise;
  integer_depthwise depthwise;           /* where it is */
  bool is_pointwise;                     /* a kernel of 1 that steps over nothing */
  const void *packed;                    /* weights of all groups; NULL: packed in each run */
  size_t packed_size;                    /* bytes of one group */
  size_t packed_at, scales_at, zeros_at; /* in scratch */
  size_t patches_at, result_at, gemm_at; /* in a worker's scratch, behind offsets of pixels */
} integer_conv_state;

/* ----------------------------------------------------------------------------------------------- attributes, shapes */

static norma_status integer_conv_read(const node *node, void *state, norma_error *error) {
  integer_conv_state *conv = state;
  conv->inputs = strcmp(node->op->name, "QLinearConv") == 0 ? qlinear_conv_inputs : conv_integer_inputs;
  conv->group = attribute_int(node, "group", 1);
  if (conv->group < 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "group is %" PRId64 " but must be at least 1",
                         conv->group);
  conv->channels_last = attribute_int(node, "channels_last", 0) != 0;
  return window_read(node, &conv->attributes, error);
}

static norma_status integer_conv_infer(infer_context *context) {
  const integer_conv_state *conv = context->state;
  const integer_conv_inputs *inputs = &conv->inputs;
  const shape *w = infer_shape(context, inputs->w);
  const int64_t outputs = w->rank > 0 ? w->dims[0] : DIM_UNKNOWN;
  norma_element_type type = NORMA_INT32;
  TRY(infer_single(context, inputs->x_zero, "x_zero_point"));
  TRY(infer_vector(context, inputs->w_zero, "w_zero_point", outputs));
  if (inputs->y_scale >= 0) {
    type = infer_type(context, inputs->y_zero);
    TRY(infer_single(context, inputs->x_scale, "x_scale"));
    TRY(infer_vector(context, inputs->w_scale, "w_scale", outputs));
    TRY(infer_single(context, inputs->y_scale, "y_scale"));
    TRY(infer_single(context, inputs->y_zero, "y_zero_point"));
  }
  const shape none = shape_unknown(), *bias = inputs->bias >= 0 ? infer_shape(context, inputs->bias) : &none;
  shape x = *infer_shape(context, 0), y;
  if (conv->channels_last) x = shape_channels_first(&x);
  TRY(infer_conv_shape(context, &conv->attributes, conv->group, &x, w, bias, &y));
  if (conv->channels_last) y = shape_channels_last(&y);
  return window_infer_output(context, 0, type, &y);
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static bool integer_conv_is_empty(const integer_conv_state *conv) {
  return conv->samples == 0 || conv->pixels == 0 || conv->outputs == 0;
}

static void integer_conv_pack_group(const integer_conv_state *conv, const struct kernel_table *kernels, void *packed,
                                    const void *weights, int64_t group) {
  const char *source = (const char *)weights + group * conv->outputs * conv->depth;
  kernels->gemm_i8_pack_b((char *)packed + (size_t)group * conv->packed_size, source, conv->w_type, (size_t)conv->depth,
                          (size_t)conv->outputs, 1, (size_t)conv->depth, 0,
                          kernels->gemm_i8_column_panels((size_t)conv->outputs));
}

static norma_status integer_conv_pack(prepare_context *context, void *destination, const void *argument) {
  const integer_conv_state *conv = argument;
  const void *weights;
  TRY(prepare_read(context, conv->inputs.w, 0, conv->group * conv->outputs * conv->depth, &weights));
  for (int64_t g = 0; g < conv->group; g++) integer_conv_pack_group(conv, context->kernels, destination, weights, g);
  return NORMA_OK;
}

static struct gemm_i8 integer_conv_gemm(const integer_conv_state *conv, int64_t count) {
  return (struct gemm_i8){.m = (size_t)count,
                          .n = (size_t)conv->outputs,
                          .k = (size_t)conv->depth,
                          .a_type = conv->x_type,
                          .b_type = conv->w_type,
                          .c_type = conv->y_type,
                          .a_row_stride = 1,
                          .a_column_stride = (size_t)count,
                          .c_row_stride = (size_t)conv->outputs};
}

/* Weights, and scratch of the node and of each worker. */
static norma_status integer_conv_prepare_memory(prepare_context *context, integer_conv_state *conv) {
  const struct kernel_table *kernels = context->kernels;
  const size_t group = (size_t)conv->group, channels = group * (size_t)conv->outputs, chunk = (size_t)conv->chunk;
  const struct gemm_i8 gemm = integer_conv_gemm(conv, conv->chunk);
  size_t offsets_at;
  conv->packed_size =
      size_align(kernels->gemm_i8_packed_b_size((size_t)conv->depth, (size_t)conv->outputs), MEMORY_ALIGNMENT);
  bool fits = scratch_append(&context->scratch_bytes, channels, sizeof(float), &conv->scales_at) &&
              scratch_append(&context->scratch_bytes, channels, sizeof(int32_t), &conv->zeros_at);
  if (prepare_constant(context, conv->inputs.w)) {
    TRY(prepare_packed_from(context, INTEGER_CONV_WEIGHTS, group * conv->packed_size, integer_conv_pack, conv,
                            &conv->packed));
    context->packed_inputs |= INPUT(conv->inputs.w);
    context->packed_for_good |= INPUT(conv->inputs.w);
  } else {
    fits = fits && scratch_append(&context->scratch_bytes, group, conv->packed_size, &conv->packed_at);
  }
  size_t *bytes = &context->worker_scratch_bytes, depth = (size_t)conv->depth;
  fits = fits && scratch_append(bytes, chunk, sizeof(int64_t), &offsets_at) &&
         scratch_append(bytes, chunk, depth, &conv->patches_at) &&
         scratch_append(bytes, chunk * (size_t)conv->outputs, element_type_bytes(conv->y_type), &conv->result_at) &&
         scratch_append(bytes, kernels->gemm_i8_scratch_size(&gemm), 1, &conv->gemm_at);
  return fits ? NORMA_OK : prepare_fail(context, NORMA_ERROR_BUDGET, "the convolution is too large");
}

static bool integer_conv_is_pointwise(const window *w) {
  for (int d = 0; d < w->axes; d++) {
    if (w->kernel[d] != 1 || w->stride[d] != 1 || w->input[d] != w->output[d] || w->pad_begin[d]) return false;
  }
  return true;
}

/* The weights as they are. */
static norma_status integer_conv_copy_taps(prepare_context *context, void *destination, const void *argument) {
  const integer_conv_state *conv = argument;
  const int64_t count = conv->group * conv->outputs * conv->depth;
  const void *weights;
  TRY(prepare_read(context, conv->inputs.w, 0, count, &weights));
  memcpy(destination, weights, (size_t)count);
  return NORMA_OK;
}

static bool integer_conv_takes_planes(integer_conv_state *conv) {
  conv->depthwise.x_type = conv->x_type;
  conv->depthwise.w_type = conv->w_type;
  conv->depthwise.y_type = conv->y_type;
  return !conv->channels_last && conv->channels == 1 && conv->outputs <= DEPTHWISE_MOST_OUTPUTS &&
         byte_rows_init(&conv->depthwise.rows, &conv->window);
}

static norma_status integer_conv_prepare_depthwise(prepare_context *context, integer_conv_state *conv) {
  const size_t channels = (size_t)(conv->group * conv->outputs);
  if (!scratch_append(&context->scratch_bytes, channels, sizeof(float), &conv->scales_at) ||
      !scratch_append(&context->scratch_bytes, channels, sizeof(int32_t), &conv->zeros_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the convolution is too large");
  context->worker_scratch_bytes = conv->depthwise.rows.scratch;
  context->kernel_name = "depthwise";
  conv->chunks = integer_depthwise_slices(&conv->depthwise);
  conv->grain = work_grain((double)conv->depth * (double)conv->pixels / (double)conv->chunks / 2);
  if (!prepare_constant(context, conv->inputs.w)) return NORMA_OK;
  TRY(prepare_packed_from(context, INTEGER_CONV_TAPS, channels * (size_t)conv->depth, integer_conv_copy_taps, conv,
                          &conv->packed));
  context->packed_inputs |= INPUT(conv->inputs.w);
  return NORMA_OK;
}

static norma_status integer_conv_prepare(prepare_context *context) {
  integer_conv_state *conv = context->state;
  const integer_conv_inputs *inputs = &conv->inputs;
  const shape *given = prepare_shape(context, 0), *w = prepare_shape(context, inputs->w);
  const shape x = conv->channels_last ? shape_channels_first(given) : *given;
  char message[WINDOW_MESSAGE_SIZE];
  if (!window_resolve(&conv->attributes, x.rank - 2, x.dims + 2, w->dims + 2, &conv->window, message))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "%s", message);
  conv->x_type = prepare_type(context, 0);
  conv->w_type = prepare_type(context, inputs->w);
  conv->y_type = inputs->y_zero < 0 ? NORMA_INT32 : prepare_type(context, inputs->y_zero);
  conv->samples = x.dims[0];
  conv->channels = w->dims[1];
  conv->outputs = w->dims[0] / conv->group;
  conv->depth = conv->channels * window_taps(&conv->window);
  conv->pixels = window_outputs(&conv->window);
  conv->is_pointwise = integer_conv_is_pointwise(&conv->window);
  conv->chunk = patches_block(conv->depth, 1);
  if (conv->chunk > conv->pixels) conv->chunk = conv->pixels;
  context->flops = 2.0 * (double)conv->samples * (double)w->dims[0] * (double)conv->depth * (double)conv->pixels;
  context->kernel_name = "empty";
  if (integer_conv_is_empty(conv)) return NORMA_OK;
  conv->is_depthwise = integer_conv_takes_planes(conv);
  if (conv->is_depthwise) return integer_conv_prepare_depthwise(context, conv);
  conv->chunks = divide_up(conv->pixels, conv->chunk);
  conv->grain = work_grain((double)conv->chunk * (double)conv->depth * (1 + (double)conv->outputs / 2));
  context->kernel_name = conv->is_pointwise ? "pixels" : "patches";
  return integer_conv_prepare_memory(context, conv);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct integer_conv_job {
  run_context *context;
  const integer_conv_state *conv;
  quantized_store store;
  const char *packed;
  const float *scale;           /* of each output channel */
  const int32_t *w_zero, *bias; /* likewise, or NULL */
  int32_t x_zero;
} integer_conv_job;

/* A block of pixels of one group of one sample. */
typedef struct integer_conv_block {
  int64_t sample, group, pixel, count;
} integer_conv_block;

/* Results [count][outputs] into planes. */
static void integer_conv_store_planes(const integer_conv_job *job, const integer_conv_block *block,
                                      const void *results) {
  const integer_conv_state *conv = job->conv;
  const size_t outputs = (size_t)conv->outputs, pixels = (size_t)conv->pixels, count = (size_t)block->count;
  const size_t at =
      (size_t)((block->sample * conv->group + block->group) * conv->outputs) * pixels + (size_t)block->pixel;
  void *y = run_output(job->context, 0)->data;
  if (conv->y_type != NORMA_INT32) {
    job->context->kernels->transpose_8bit((uint8_t *)y + at, pixels, results, outputs, count, outputs);
    return;
  }
  const int32_t *from = results;
  for (size_t o = 0; o < outputs; o++) {
    int32_t *to = (int32_t *)y + at + o * pixels;
    for (size_t i = 0; i < count; i++) to[i] = from[i * outputs + o];
  }
}

/* Where the results of a block lie with channels last. */
static int64_t integer_conv_last_at(const integer_conv_state *conv, const integer_conv_block *block) {
  return ((block->sample * conv->pixels + block->pixel) * conv->group + block->group) * conv->outputs;
}

/* The inputs of a group of a sample. */
static patches_source integer_conv_source(const integer_conv_job *job, const integer_conv_block *block) {
  const integer_conv_state *conv = job->conv;
  const int64_t inputs = window_inputs(&conv->window), channels = conv->group * conv->channels;
  const int64_t first = block->group * conv->channels * (conv->channels_last ? 1 : inputs);
  return (patches_source){.x = (const char *)run_input(job->context, 0)->data + block->sample * channels * inputs +
                               first,
                          .element_bytes = 1,
                          .outside = (uint8_t)job->x_zero,
                          .pixel_stride = conv->channels_last ? channels : 1,
                          .channel_stride = conv->channels_last ? 1 : inputs};
}

static void integer_conv_compute_block(const integer_conv_job *job, const integer_conv_block *block, char *scratch) {
  const integer_conv_state *conv = job->conv;
  const struct kernel_table *kernels = job->context->kernels;
  const int64_t first = block->group * conv->outputs;
  const patches_source source = integer_conv_source(job, block);
  struct gemm_i8 gemm = integer_conv_gemm(conv, block->count);
  if (conv->is_pointwise) { /* pixels are their own patches */
    gemm.a = (const char *)source.x + block->pixel * source.pixel_stride;
    gemm.a_row_stride = (size_t)source.pixel_stride;
    gemm.a_column_stride = (size_t)source.channel_stride;
  } else {
    patches_gather(&conv->window, conv->channels, &source, block->pixel, block->count, (int64_t *)(void *)scratch,
                   scratch + conv->patches_at);
    gemm.a = scratch + conv->patches_at;
  }
  gemm.packed_b = job->packed + (size_t)block->group * conv->packed_size;
  gemm.c = scratch + conv->result_at;
  if (conv->channels_last) {
    gemm.c = (char *)run_output(job->context, 0)->data +
             (size_t)integer_conv_last_at(conv, block) * element_type_bytes(conv->y_type);
    gemm.c_row_stride = (size_t)(conv->group * conv->outputs);
  }
  gemm.a_zero = &job->x_zero;
  gemm.b_zero = job->w_zero ? job->w_zero + first : NULL;
  gemm.b_zero_stride = 1;
  gemm.bias = job->bias ? job->bias + first : NULL;
  gemm.scale = job->scale + first;
  gemm.scale_stride = 1;
  gemm.c_zero = job->store.zero;
  gemm.c_limited = true;
  gemm.c_low = job->store.low;
  gemm.c_high = job->store.high;
  kernels->gemm_i8_run(&gemm, 0, kernels->gemm_i8_row_panels(gemm.m), 0, kernels->gemm_i8_column_panels(gemm.n),
                       scratch + conv->gemm_at);
  if (!conv->channels_last) integer_conv_store_planes(job, block, gemm.c);
}

static void integer_conv_blocks(void *argument, int64_t begin, int64_t end, int worker) {
  const integer_conv_job *job = argument;
  const integer_conv_state *conv = job->conv;
  char *scratch = run_worker_scratch(job->context, worker);
  for (int64_t i = begin; i < end; i++) {
    const int64_t part = i / conv->chunks, pixel = i % conv->chunks * conv->chunk, left = conv->pixels - pixel;
    const integer_conv_block block = {.sample = part / conv->group,
                                      .group = part % conv->group,
                                      .pixel = pixel,
                                      .count = left < conv->chunk ? left : conv->chunk};
    integer_conv_compute_block(job, &block, scratch);
  }
}

/* Slices of planes of output channels. */
static void integer_conv_planes(void *argument, int64_t begin, int64_t end, int worker) {
  const integer_conv_job *job = argument;
  const integer_conv_state *conv = job->conv;
  const int64_t inputs = window_inputs(&conv->window), channels = conv->group * conv->outputs;
  const size_t plane_bytes = (size_t)conv->pixels * element_type_bytes(conv->y_type);
  const char *x = run_input(job->context, 0)->data;
  char *y = run_output(job->context, 0)->data;
  for (int64_t i = begin; i < end; i++) {
    const int64_t plane = i / conv->chunks, channel = plane % channels;
    const integer_depthwise_plane of = {.x = (const uint8_t *)x + plane / conv->outputs * inputs,
                                        .w = job->packed + channel * conv->depth,
                                        .y = y + (size_t)plane * plane_bytes,
                                        .x_zero = job->x_zero,
                                        .w_zero = job->w_zero ? job->w_zero[channel] : 0,
                                        .bias = job->bias ? job->bias[channel] : 0,
                                        .scale = conv->y_type == NORMA_INT32 ? 1 : job->scale[channel]};
    integer_depthwise_compute(job->context->kernels, &conv->depthwise, &of, &job->store, i % conv->chunks,
                              run_worker_scratch(job->context, worker));
  }
}

static void integer_conv_pack_groups(void *argument, int64_t begin, int64_t end, int worker) {
  const integer_conv_job *job = argument;
  const void *weights = run_input(job->context, job->conv->inputs.w)->data;
  (void)worker;
  for (int64_t g = begin; g < end; g++)
    integer_conv_pack_group(job->conv, job->context->kernels, (char *)job->context->scratch + job->conv->packed_at,
                            weights, g);
}

/* Scales and zero points of output channels, from one for all or one for each. */
static void integer_conv_set_parameters(integer_conv_job *job) {
  const integer_conv_state *conv = job->conv;
  const run_context *context = job->context;
  const integer_conv_inputs *inputs = &conv->inputs;
  const norma_tensor *w_zero = run_input(context, inputs->w_zero);
  const int64_t channels = conv->group * conv->outputs;
  float *scale = (float *)(void *)((char *)context->scratch + conv->scales_at);
  int32_t *zeros = (int32_t *)(void *)((char *)context->scratch + conv->zeros_at);
  job->scale = scale;
  job->x_zero = quantization_zero(run_input(context, inputs->x_zero));
  if (w_zero) {
    const int64_t have = norma_tensor_count(w_zero);
    for (int64_t m = 0; m < channels; m++)
      zeros[m] = (int32_t)element_get_int64(w_zero->type, w_zero->data, have == 1 ? 0 : m);
    job->w_zero = zeros;
  }
  if (inputs->y_scale < 0) return;
  const norma_tensor *bias = run_input(context, inputs->bias), *w_scale = run_input(context, inputs->w_scale);
  const float x_scale = quantization_scale(run_input(context, inputs->x_scale));
  const float y_scale = quantization_scale(run_input(context, inputs->y_scale));
  const int64_t have = norma_tensor_count(w_scale);
  for (int64_t m = 0; m < channels; m++)
    scale[m] = x_scale * ((const float *)w_scale->data)[have == 1 ? 0 : m] / y_scale;
  job->bias = bias ? bias->data : NULL;
  job->store = quantized_store_of(context, inputs->y_zero);
}

static norma_status integer_conv_compute(run_context *context) {
  const integer_conv_state *conv = context->state;
  if (integer_conv_is_empty(conv)) return NORMA_OK;
  integer_conv_job job = {.context = context, .conv = conv, .packed = conv->packed};
  integer_conv_set_parameters(&job);
  if (conv->is_depthwise) {
    if (!job.packed) job.packed = run_input(context, conv->inputs.w)->data;
    return run_parallel(context, conv->samples * conv->group * conv->outputs * conv->chunks, conv->grain,
                        integer_conv_planes, &job);
  }
  if (!job.packed) {
    const double cost = 4.0 * (double)(conv->outputs * conv->depth);
    TRY(run_parallel(context, conv->group, work_grain(cost), integer_conv_pack_groups, &job));
    job.packed = (char *)context->scratch + conv->packed_at;
  }
  return run_parallel(context, conv->samples * conv->group * conv->chunks, conv->grain, integer_conv_blocks, &job);
}

/* ------------------------------------------------------------------------------------------------ in channel blocks */

static bool integer_groups_fit_blocks(const block_form *form, int64_t group, int64_t channels, int64_t outputs) {
  if (group == 1 || (group == channels && group == outputs)) return true;
  return channels / group % form->block == 0 && outputs / group % form->block == 0;
}

/* Starts a stretch of blocks, as Conv does. A first layer of few channels reads planes, along which it cannot skip
 * columns. */
static bool qlinear_conv_block(const node *node, block_form *form) {
  const integer_conv_state *conv = node->state;
  const norma_tensor *w = node_constant_input(node, INTEGER_W);
  if (!value_is_blockable(node->inputs[0]) || !value_is_blockable(node->outputs[0]) || !w || w->rank != 4) return false;
  if (conv->channels_last || w->size_bytes == 0 || !block_takes_window(w->dims + 2, 2)) return false;
  const int64_t channels = node->inputs[0]->info.shape.dims[1];
  if (!integer_groups_fit_blocks(form, conv->group, channels, w->dims[0])) return false;
  if (!integer_conv_has_constants(node, w->dims[0])) return false;
  const bool plain_input = conv->group == 1 && channels <= 4 && conv->attributes.dilation[1] == 1 &&
                           !value_blocked_copy(node->graph, node->inputs[0]);
  form->inner = "QLinearConv";
  form->uses[0] = plain_input ? BLOCK_KEEP : BLOCK_MAKE;
  block_set_int(form, "block", form->block);
  block_set_int(form, "channels", channels);
  if (plain_input) block_set_int(form, "plain_input", true);
  return true;
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute integer_conv_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 10, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 10, OPERATOR_LATEST, false},
    {"group", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 10, OPERATOR_LATEST, false},
    {"pads", ATTRIBUTE_INTS, 10, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 10, OPERATOR_LATEST, false},
    {0},
};

static bool conv_integer_dimension(const node *node, int output, int axis, dimension_source *source) {
  const shape *x = node_input_shape(node, 0), *w = node_input_shape(node, 1);
  (void)output;
  return window_dimension(node, axis, w->rank >= 3 && w->rank == x->rank ? w->dims + 2 : NULL, false, source);
}

static bool qlinear_conv_dimension(const node *node, int output, int axis, dimension_source *source) {
  const shape *x = node_input_shape(node, 0), *w = node_input_shape(node, 3);
  if (attribute_int(node, "channels_last", 0)) return fact_dimension_batch(node, output, axis, source);
  return window_dimension(node, axis, w->rank >= 3 && w->rank == x->rank ? w->dims + 2 : NULL, false, source);
}

static const operator_attribute qlinear_conv_microsoft_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"channels_last", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"group", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

#define QLINEAR_CONV                                                                                                   \
  .name = "QLinearConv", .min_inputs = 8, .max_inputs = 9, .min_outputs = 1, .max_outputs = 1,                         \
  .types = {{TYPES_8BIT, INPUT(0) | INPUT(2), 0},                                                                      \
            {TYPES_8BIT, INPUT(3) | INPUT(5), 0},                                                                      \
            {TYPE_BIT(NORMA_FLOAT), INPUT(1) | INPUT(4) | INPUT(6), 0},                                                \
            {TYPES_8BIT, INPUT(7), OUTPUT(0)},                                                                         \
            {TYPE_BIT(NORMA_INT32), INPUT(8), 0}},                                                                     \
  .state_size = sizeof(integer_conv_state), .read = integer_conv_read, .infer = integer_conv_infer,                    \
  .prepare = integer_conv_prepare,                                                                                     \
  .facts = {.dimension = qlinear_conv_dimension,                                                                       \
            .packs = INPUT(3),                                                                                         \
            .weights = INPUT(3),                                                                                       \
            .block = qlinear_conv_block,                                                                               \
            .block_types = TYPES_8BIT},                                                                                \
  .compute = integer_conv_compute

const operator_descriptor operators_integer_conv[] = {
    {.domain = "",
     .name = "ConvInteger",
     .versions = {10},
     .min_inputs = 2,
     .max_inputs = 4,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_8BIT, INPUT(0) | INPUT(2), 0},
               {TYPES_8BIT, INPUT(1) | INPUT(3), 0},
               {TYPE_BIT(NORMA_INT32), 0, OUTPUT(0)}},
     .attributes = integer_conv_attributes,
     .state_size = sizeof(integer_conv_state),
     .read = integer_conv_read,
     .infer = integer_conv_infer,
     .prepare = integer_conv_prepare,
     .facts = {.dimension = conv_integer_dimension, .packs = INPUT(1), .weights = INPUT(1)},
     .compute = integer_conv_compute},
    {QLINEAR_CONV, .domain = "", .versions = {10}, .attributes = integer_conv_attributes},
    {QLINEAR_CONV, .domain = "com.microsoft", .versions = {1}, .attributes = qlinear_conv_microsoft_attributes},
    {0},
};
