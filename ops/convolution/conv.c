/*
 * Conv 1, 11, 22 (ai.onnx), FusedConv 1, NhwcConv 1 (com.microsoft)
 *
 *   Y[n][m][p] = B[m] + sum over c, k of W[m][c][k] * X[n][g(m) * C/group + c][p * stride + k * dilation - pad]
 *
 * X [N, C, D1 .. Dn], W [M, C/group, k1 .. kn], B [M] (optional), Y [N, M, o1 .. on]; g(m) is the group that output
 * channel m belongs to. Version 11 only states defaults of attributes that 1 has as well; 22 adds bfloat16.
 *
 * FusedConv adds Z [N, M, o1 .. on] (optional) and applies an activation. NhwcConv has channels last:
 * X [N, D1 .. Dn, C], W [M, k1 .. kn, C/group], Y [N, o1 .. on, M].
 *
 * Ways to compute, chosen by the shape of one sample alone:
 *   direct     conv_f32 on packed weights, one to three axes
 *   depthwise  a kernel per plane where each group has one input channel, one or two axes
 *   patches    an explicit patch matrix: double precision, more than three axes, and no input channels
 * float16 and bfloat16 are computed in float, and channels that are last as planes, a sample at a time.
 */
#include "ops/blocked.h"
#include "ops/convolution/channels_last.h"
#include "ops/convolution/conv_shape.h"
#include "ops/convolution/fused_conv.h"
#include "ops/convolution/patches.h"
#include "ops/half.h"
#include "ops/window.h"
#include "ops/work.h"

#include <inttypes.h>

enum conv_algorithm { CONV_DIRECT, CONV_DEPTHWISE, CONV_PATCHES };

/* Keys of what prepare_packed keeps. */
enum conv_packed { CONV_CONVERTED_WEIGHTS, CONV_PACKED_WEIGHTS };

typedef struct conv_state {
  window_attributes attributes;
  int64_t group;
  bool is_fused;                /* FusedConv: */
  struct activation activation; /* its own */
  bool is_last;                 /* NhwcConv */

  /* The plan's. Channels and outputs are those of one group, pixels those of one plane. */
  window window;
  norma_element_type type;
  enum conv_algorithm algorithm;
  bool converts; /* half precision, computed in float; channels that are last, computed in planes */
  int64_t samples, channels, outputs, depth, inputs, pixels;
  struct conv_f32 direct;
  struct window_2d plane;
  const void *weights; /* as the algorithm wants them; NULL: made in each run */
  size_t packed_size;  /* elements of one group */

  /* How a group of a sample is cut. */
  int64_t pixel_chunk, pixel_chunks, panel_chunk, panel_chunks, grain;
  int64_t slices, slice_rows; /* of a plane, DEPTHWISE */

  /* Offsets in scratch, of what the plan needs. */
  size_t weights_at, packed_at, bias_at, x_at, y_at, residual_at;
} conv_state;

/* ----------------------------------------------------------------------------------------------- attributes, shapes */

static norma_status conv_read(const node *node, void *state, norma_error *error) {
  conv_state *conv = state;
  conv->group = attribute_int(node, "group", 1);
  if (conv->group < 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "group is %" PRId64 " but must be at least 1",
                         conv->group);
  return window_read(node, &conv->attributes, error);
}

static norma_status conv_read_fused(const node *node, void *state, norma_error *error) {
  conv_state *conv = state;
  conv->is_fused = true;
  TRY(fused_conv_read(node, &conv->activation, error));
  return conv_read(node, state, error);
}

static norma_status conv_read_last(const node *node, void *state, norma_error *error) {
  conv_state *conv = state;
  conv->is_last = true;
  return conv_read(node, state, error);
}

/* The shape of X, W or Y with channels first. */
static shape conv_first(const conv_state *conv, const shape *shape) {
  return conv->is_last ? channels_last_to_first(shape) : *shape;
}

/* What is added and applied as results are stored: FusedConv's own, or what passes have fused. 0: no residual. */
static int conv_residual(const conv_state *conv, const node *node) {
  if (conv->is_fused) return node_has_input(node, FUSED_CONV_Z) ? FUSED_CONV_Z : 0;
  return node->epilogue.residual_input;
}

static struct activation conv_activation(const conv_state *conv, const node *node) {
  return conv->is_fused ? conv->activation : node->epilogue.activation;
}

static norma_status conv_infer(infer_context *context) {
  const conv_state *conv = context->state;
  const shape x = conv_first(conv, infer_shape(context, 0)), w = conv_first(conv, infer_shape(context, 1));
  if (!conv->is_fused && !conv->is_last) TRY(infer_types_since(context, TYPES_BFLOAT16, 22));
  shape y;
  TRY(infer_conv_shape(context, &conv->attributes, conv->group, &x, &w, infer_shape(context, 2), &y));
  if (conv->is_last && y.rank != RANK_UNKNOWN) y = channels_last_from_first(&y);
  TRY(window_infer_output(context, 0, infer_type(context, 0), &y));
  return conv->is_fused ? fused_conv_check(context) : NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

/* Weights on their way to the form that kernels read. */
struct conv_packing {
  const conv_state *conv;
  const struct kernel_table *kernels;
  const void *source; /* NULL: the constant's own */
};

static int64_t conv_weight_count(const conv_state *conv) {
  return conv->group * conv->outputs * conv->depth;
}

/* Of what kernels read and write. */
static size_t conv_element_bytes(const conv_state *conv) {
  return conv->type == NORMA_DOUBLE ? sizeof(double) : sizeof(float);
}

static norma_status conv_read_weights(prepare_context *context, const struct conv_packing *packing,
                                      const void **source) {
  *source = packing->source;
  return *source ? NORMA_OK : prepare_read(context, 1, 0, conv_weight_count(packing->conv), source);
}

/* Arrays [channels][pixels], one behind the other, to the form that kernels read. */
static void conv_load(const conv_state *conv, const struct kernel_table *kernels, void *to, const void *from,
                      int64_t arrays, int64_t channels, int64_t pixels) {
  const size_t bytes = element_type_bytes(conv->type), of_each = (size_t)(channels * pixels);
  if (!conv->is_last) half_to_float(kernels, conv->type, to, from, arrays * channels * pixels);
  for (int64_t i = 0; i < arrays && conv->is_last; i++)
    channels_last_load(kernels, conv->type, (char *)to + (size_t)i * of_each * conv_element_bytes(conv),
                       (const char *)from + (size_t)i * of_each * bytes, channels, pixels);
}

static void conv_load_weights(const conv_state *conv, const struct kernel_table *kernels, void *to, const void *from) {
  conv_load(conv, kernels, to, from, conv->group * conv->outputs, conv->channels, window_taps(&conv->window));
}

static norma_status conv_convert_weights(prepare_context *context, void *destination, const void *argument) {
  const struct conv_packing *packing = argument;
  const void *source;
  TRY(conv_read_weights(context, packing, &source));
  conv_load_weights(packing->conv, packing->kernels, destination, source);
  return NORMA_OK;
}

static void conv_pack_group(const struct conv_packing *packing, void *destination, int64_t group) {
  const conv_state *conv = packing->conv;
  const struct kernel_table *kernels = packing->kernels;
  size_t m = (size_t)conv->outputs, k = (size_t)conv->depth, from = (size_t)group * m * k;
  size_t to = (size_t)group * conv->packed_size;
  if (conv->type == NORMA_DOUBLE)
    kernels->gemm_f64_pack_a((double *)destination + to, (const double *)packing->source + from, m, k, k, 1);
  else
    kernels->gemm_f32_pack_a((float *)destination + to, (const float *)packing->source + from, m, k, k, 1);
}

static norma_status conv_pack_weights(prepare_context *context, void *destination, const void *argument) {
  struct conv_packing packing = *(const struct conv_packing *)argument;
  TRY(conv_read_weights(context, &packing, &packing.source));
  for (int64_t g = 0; g < packing.conv->group; g++) conv_pack_group(&packing, destination, g);
  return NORMA_OK;
}

/* Depthwise weights are read as they are. */
static bool conv_packs(const conv_state *conv) {
  return conv->algorithm != CONV_DEPTHWISE;
}

static norma_status conv_prepare_weights(prepare_context *context, conv_state *conv) {
  const norma_tensor *constant = prepare_constant(context, 1);
  size_t element = conv_element_bytes(conv), count = (size_t)conv_weight_count(conv);
  size_t packed = conv->packed_size * (size_t)conv->group;
  if (!constant) {
    if ((conv->converts && !scratch_append(&context->scratch_bytes, count, element, &conv->weights_at)) ||
        (conv_packs(conv) && !scratch_append(&context->scratch_bytes, packed, element, &conv->packed_at)))
      return prepare_fail(context, NORMA_ERROR_BUDGET, "the weights are too large");
    return NORMA_OK;
  }
  struct conv_packing packing = {.conv = conv, .kernels = context->kernels};
  conv->weights = constant->data;
  if (conv->converts)
    TRY(prepare_packed_from(context, CONV_CONVERTED_WEIGHTS, count * element, conv_convert_weights, &packing,
                            &packing.source));
  if (conv_packs(conv))
    TRY(prepare_packed_from(context, CONV_PACKED_WEIGHTS, packed * element, conv_pack_weights, &packing,
                            &packing.source));
  if (conv->converts || conv_packs(conv)) {
    conv->weights = packing.source;
    context->packed_inputs |= INPUT(1);
    if (prepare_sample_is_fixed(context, 0)) context->packed_for_good |= INPUT(1);
  }
  return NORMA_OK;
}

static enum conv_algorithm conv_choose(const conv_state *conv) {
  if (conv->type == NORMA_DOUBLE || conv->window.axes > 3 || conv->depth == 0) return CONV_PATCHES;
  /* With many outputs for one channel, reading the channel once for all of them wins. */
  if (conv->channels == 1 && conv->outputs < 4 && window_suits_planes(&conv->window)) return CONV_DEPTHWISE;
  /* Each block of a direct convolution walks over all taps. */
  return window_taps(&conv->window) > 4096 ? CONV_PATCHES : CONV_DIRECT;
}

/* Fills the kernel's description, all but its pointers. */
static void conv_describe_direct(conv_state *conv) {
  const window *w = &conv->window;
  struct conv_f32 *direct = &conv->direct;
  direct->channels = (size_t)conv->channels;
  direct->outputs = (size_t)conv->outputs;
  for (int d = 0; d < 3; d++) {
    direct->input[d] = direct->output[d] = direct->kernel[d] = direct->stride[d] = direct->dilation[d] = 1;
    int i = d - (3 - w->axes);
    if (i < 0) continue;
    direct->input[d] = (size_t)w->input[i];
    direct->output[d] = (size_t)w->output[i];
    direct->kernel[d] = (size_t)w->kernel[i];
    direct->stride[d] = (size_t)w->stride[i];
    direct->dilation[d] = (size_t)w->dilation[i];
    direct->pad[d] = (size_t)w->pad_begin[i];
  }
}

static struct gemm_f32 conv_patches_gemm(const conv_state *conv, int64_t count) {
  return (struct gemm_f32){.m = (size_t)conv->outputs,
                           .n = (size_t)count,
                           .k = (size_t)conv->depth,
                           .b_row_stride = (size_t)count,
                           .b_column_stride = 1,
                           .c_row_stride = (size_t)conv->pixels};
}

static struct gemm_f64 conv_patches_gemm_f64(const conv_state *conv, int64_t count) {
  return (struct gemm_f64){.m = (size_t)conv->outputs,
                           .n = (size_t)count,
                           .k = (size_t)conv->depth,
                           .b_row_stride = (size_t)count,
                           .b_column_stride = 1,
                           .c_row_stride = (size_t)conv->pixels};
}

/* Worker scratch of CONV_PATCHES: offsets, patches, then what the matrix product wants. */
static size_t conv_patches_at(const conv_state *conv) {
  return size_align((size_t)conv->pixel_chunk * sizeof(int64_t), MEMORY_ALIGNMENT);
}

static size_t conv_product_at(const conv_state *conv) {
  size_t patches = (size_t)conv->pixel_chunk * (size_t)conv->depth * conv_element_bytes(conv);
  return conv_patches_at(conv) + size_align(patches, MEMORY_ALIGNMENT);
}

/* Cuts the planes of a group in pieces that keep the workers busy and a cancelled run short. Pixels are cut first: each
 * piece of pixels gathers its patches once for all outputs it has. */
static void conv_split_direct(const prepare_context *context, conv_state *conv) {
  const struct kernel_table *kernels = context->kernels;
  int64_t block = (int64_t)kernels->conv_f32_pixel_block(&conv->direct);
  int64_t columns = (int64_t)kernels->gemm_f32_tile_columns;
  int64_t panels = (int64_t)kernels->gemm_f32_row_panels(conv->direct.outputs);
  double cost = 2.0 * (double)conv->outputs * (double)conv->depth * (double)conv->pixels;
  int64_t parts = conv->group * (conv->converts ? 1 : conv->samples), wanted = 4 * (int64_t)context->workers;
  int64_t pieces = context->workers > 1 && parts < wanted ? divide_up(wanted, parts) : 1;
  if ((double)pieces > cost / WORK_LEAST) pieces = (int64_t)(cost / WORK_LEAST) + 1;
  if ((double)pieces < cost / WORK_MOST) pieces = (int64_t)(cost / WORK_MOST) + 1;

  int64_t chunk = divide_up(conv->pixels, pieces), unit = chunk >= block ? block : columns;
  if (chunk < 4 * columns) chunk = 4 * columns;
  chunk = divide_up(chunk, unit) * unit;
  conv->pixel_chunk = chunk < conv->pixels ? chunk : conv->pixels;
  conv->pixel_chunks = divide_up(conv->pixels, conv->pixel_chunk);
  int64_t rows = divide_up(pieces, conv->pixel_chunks);
  conv->panel_chunk = divide_up(panels, rows < panels ? rows : panels);
  conv->panel_chunks = divide_up(panels, conv->panel_chunk);
  conv->grain = work_grain(cost / (double)conv->pixel_chunks / (double)conv->panel_chunks);
}

static norma_status conv_prepare_algorithm(prepare_context *context, conv_state *conv) {
  const struct kernel_table *kernels = context->kernels;
  double cost = 2.0 * (double)conv->depth * (double)conv->pixels; /* of one output plane */
  conv->pixel_chunk = conv->pixels;
  conv->pixel_chunks = conv->panel_chunks = 1;
  switch (conv->algorithm) {
  case CONV_DIRECT:
    conv_describe_direct(conv);
    conv->packed_size = kernels->gemm_f32_packed_a_size((size_t)conv->outputs, (size_t)conv->depth);
    conv_split_direct(context, conv);
    context->worker_scratch_bytes = kernels->conv_f32_scratch_size(&conv->direct);
    context->kernel_name = "direct";
    break;
  case CONV_DEPTHWISE:
    conv->plane = window_plane(&conv->window);
    conv->slices = window_slices(&conv->window, &conv->slice_rows);
    conv->grain = work_grain(cost * 4 / (double)conv->slices); /* a plane's taps are cheaper to count than to do */
    context->worker_scratch_bytes = window_slices_scratch(kernels, &conv->plane, conv->slice_rows);
    context->kernel_name = "depthwise";
    break;
  case CONV_PATCHES: {
    conv->pixel_chunk = patches_block(conv->depth, conv_element_bytes(conv));
    conv->pixel_chunks = divide_up(conv->pixels, conv->pixel_chunk);
    conv->grain = work_grain(2.0 * (double)conv->outputs * (double)conv->depth * (double)conv->pixel_chunk);
    struct gemm_f32 f32 = conv_patches_gemm(conv, conv->pixel_chunk);
    struct gemm_f64 f64 = conv_patches_gemm_f64(conv, conv->pixel_chunk);
    bool is_double = conv->type == NORMA_DOUBLE;
    conv->packed_size =
        is_double ? kernels->gemm_f64_packed_a_size(f64.m, f64.k) : kernels->gemm_f32_packed_a_size(f32.m, f32.k);
    /* The scratch that a product needs must not count the packing of its left side. */
    f32.packed_a = (const float *)conv;
    f64.packed_a = (const double *)conv;
    context->worker_scratch_bytes = conv_product_at(conv) + (is_double ? kernels->gemm_f64_scratch_size(&f64)
                                                                       : kernels->gemm_f32_scratch_size(&f32));
    context->kernel_name = "patches";
    break;
  }
  }
  return NORMA_OK;
}

/* No output has an element. Without input channels outputs are there, and are the bias. */
static bool conv_is_empty(const conv_state *conv) {
  return conv->samples == 0 || conv->outputs == 0 || conv->pixels == 0;
}

static norma_status conv_prepare(prepare_context *context) {
  conv_state *conv = context->state;
  const shape x_first = conv_first(conv, prepare_shape(context, 0)), *x = &x_first;
  const shape w_first = conv_first(conv, prepare_shape(context, 1)), *w = &w_first;
  const epilogue *epilogue = &context->node->epilogue;
  char message[WINDOW_MESSAGE_SIZE];
  if (!window_resolve(&conv->attributes, x->rank - 2, x->dims + 2, w->dims + 2, &conv->window, message))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "%s", message);
  conv->type = prepare_type(context, 0);
  conv->converts = is_half(conv->type) || conv->is_last;
  if (conv->type == NORMA_DOUBLE && (epilogue->residual_input || epilogue->activation.kind != UNARY_IDENTITY))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "an activation was fused that double precision lacks");
  conv->samples = x->dims[0];
  conv->channels = w->dims[1];
  conv->outputs = w->dims[0] / conv->group;
  conv->depth = conv->channels * window_taps(&conv->window);
  conv->inputs = window_inputs(&conv->window);
  conv->pixels = window_outputs(&conv->window);
  context->flops = 2.0 * (double)conv->samples * (double)w->dims[0] * (double)conv->depth * (double)conv->pixels;
  context->kernel_name = "empty";
  if (conv_is_empty(conv)) return NORMA_OK;

  conv->algorithm = conv_choose(conv);
  TRY(conv_prepare_algorithm(context, conv));
  TRY(conv_prepare_weights(context, conv));
  if (!conv->converts) return NORMA_OK;
  size_t *total = &context->scratch_bytes, channels = (size_t)x->dims[1], outputs = (size_t)w->dims[0];
  const size_t y_sample = outputs * (size_t)conv->pixels, element = conv_element_bytes(conv);
  if (!scratch_append(total, outputs, sizeof(float), &conv->bias_at) ||
      !scratch_append(total, channels * (size_t)conv->inputs, element, &conv->x_at) ||
      !scratch_append(total, y_sample, element, &conv->y_at) ||
      !scratch_append(total, conv_residual(conv, context->node) ? y_sample : 0, sizeof(float), &conv->residual_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "one sample is too large");
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* Pieces of a run; pointers lead to the first sample that the pieces cover, float or (for DOUBLE) double. */
struct conv_job {
  const conv_state *conv;
  run_context *context;
  const void *x, *weights, *bias;
  const float *residual;
  void *y;
};

static const float *conv_offset(const float *pointer, int64_t elements) {
  return pointer ? pointer + elements : NULL;
}

static void conv_run_direct(void *argument, int64_t begin, int64_t end, int worker) {
  const struct conv_job *job = argument;
  const conv_state *conv = job->conv;
  int64_t panels = (int64_t)job->context->kernels->gemm_f32_row_panels(conv->direct.outputs);
  struct conv_f32 problem = conv->direct;
  problem.epilogue.activation = conv_activation(conv, job->context->node);
  problem.epilogue.residual_stride = (size_t)conv->pixels;
  for (int64_t i = begin; i < end; i++) {
    int64_t panel = i % conv->panel_chunks * conv->panel_chunk, rest = i / conv->panel_chunks;
    int64_t pixel = rest % conv->pixel_chunks * conv->pixel_chunk, part = rest / conv->pixel_chunks;
    int64_t group = part % conv->group, y_at = part * conv->outputs * conv->pixels;
    int64_t panel_end = panel + conv->panel_chunk < panels ? panel + conv->panel_chunk : panels;
    int64_t pixel_end = pixel + conv->pixel_chunk < conv->pixels ? pixel + conv->pixel_chunk : conv->pixels;
    problem.packed_weights = (const float *)job->weights + (size_t)group * conv->packed_size;
    problem.epilogue.row_bias = conv_offset(job->bias, group * conv->outputs);
    problem.epilogue.residual = conv_offset(job->residual, y_at);
    job->context->kernels->conv_f32_run(&problem, (const float *)job->x + part * conv->channels * conv->inputs,
                                        (float *)job->y + y_at, (size_t)panel, (size_t)panel_end, (size_t)pixel,
                                        (size_t)pixel_end, run_worker_scratch(job->context, worker));
  }
}

static void conv_run_depthwise(void *argument, int64_t begin, int64_t end, int worker) {
  const struct conv_job *job = argument;
  const conv_state *conv = job->conv;
  const float *bias = job->bias;
  for (int64_t i = begin; i < end; i++) { /* a slice of a plane of Y */
    int64_t plane = i / conv->slices, output = plane % (conv->group * conv->outputs);
    size_t row = (size_t)(i % conv->slices * conv->slice_rows);
    struct window_slice slice = window_slice(&conv->plane, 0, row, (size_t)conv->slice_rows);
    int64_t x_at = plane / conv->outputs * conv->inputs + (int64_t)slice.x_offset;
    int64_t y_at = plane * conv->pixels + (int64_t)slice.y_offset;
    job->context->kernels->depthwise_f32(&slice.plane, (const float *)job->x + x_at,
                                         (const float *)job->weights + output * conv->depth, bias ? bias[output] : 0,
                                         conv_offset(job->residual, y_at), conv_activation(conv, job->context->node),
                                         (float *)job->y + y_at, run_worker_scratch(job->context, worker));
  }
}

static void conv_multiply_patches(const struct conv_job *job, int64_t part, int64_t pixel, int64_t count,
                                  const void *patches, void *scratch) {
  const conv_state *conv = job->conv;
  const struct kernel_table *kernels = job->context->kernels;
  int64_t group = part % conv->group, y_at = part * conv->outputs * conv->pixels + pixel;
  size_t packed_at = (size_t)group * conv->packed_size;
  if (conv->type == NORMA_DOUBLE) {
    struct gemm_f64 product = conv_patches_gemm_f64(conv, count);
    product.packed_a = (const double *)job->weights + packed_at;
    product.b = patches;
    product.c = (double *)job->y + y_at;
    product.row_bias = job->bias ? (const double *)job->bias + group * conv->outputs : NULL;
    kernels->gemm_f64_run(&product, 0, kernels->gemm_f64_row_panels(product.m), 0,
                          kernels->gemm_f64_column_panels(product.n), scratch);
    return;
  }
  struct gemm_f32 product = conv_patches_gemm(conv, count);
  product.packed_a = (const float *)job->weights + packed_at;
  product.b = patches;
  product.c = (float *)job->y + y_at;
  product.epilogue.row_bias = conv_offset(job->bias, group * conv->outputs);
  product.epilogue.residual = conv_offset(job->residual, y_at);
  product.epilogue.residual_stride = (size_t)conv->pixels;
  product.epilogue.activation = conv_activation(conv, job->context->node);
  kernels->gemm_f32_run(&product, 0, kernels->gemm_f32_row_panels(product.m), 0,
                        kernels->gemm_f32_column_panels(product.n), scratch);
}

static void conv_run_patches(void *argument, int64_t begin, int64_t end, int worker) {
  const struct conv_job *job = argument;
  const conv_state *conv = job->conv;
  char *scratch = run_worker_scratch(job->context, worker);
  void *patches = scratch + conv_patches_at(conv);
  size_t element = conv_element_bytes(conv);
  for (int64_t i = begin; i < end; i++) {
    int64_t pixel = i % conv->pixel_chunks * conv->pixel_chunk, part = i / conv->pixel_chunks;
    int64_t left = conv->pixels - pixel, count = left < conv->pixel_chunk ? left : conv->pixel_chunk;
    const patches_source source = {.x = (const char *)job->x + (size_t)(part * conv->channels * conv->inputs) * element,
                                   .element_bytes = element,
                                   .pixel_stride = 1,
                                   .channel_stride = conv->inputs};
    patches_gather(&conv->window, conv->channels, &source, pixel, count, (int64_t *)scratch, patches);
    conv_multiply_patches(job, part, pixel, count, patches, scratch + conv_product_at(conv));
  }
}

static norma_status conv_run_samples(struct conv_job *job, int64_t samples) {
  const conv_state *conv = job->conv;
  int64_t parts = samples * conv->group * conv->pixel_chunks * conv->panel_chunks;
  switch (conv->algorithm) {
  case CONV_DIRECT:
    return run_parallel(job->context, parts, conv->grain, conv_run_direct, job);
  case CONV_DEPTHWISE:
    return run_parallel(job->context, parts * conv->outputs * conv->slices, conv->grain, conv_run_depthwise, job);
  case CONV_PATCHES:
    break;
  }
  return run_parallel(job->context, parts, conv->grain, conv_run_patches, job);
}

static void conv_pack_groups(void *argument, int64_t begin, int64_t end, int worker) {
  const struct conv_job *job = argument;
  struct conv_packing packing = {job->conv, job->context->kernels, job->weights};
  (void)worker;
  for (int64_t g = begin; g < end; g++)
    conv_pack_group(&packing, (char *)job->context->scratch + job->conv->packed_at, g);
}

/* Weights that are no constant take their form in scratch. */
static norma_status conv_make_weights(struct conv_job *job) {
  const conv_state *conv = job->conv;
  char *scratch = job->context->scratch;
  job->weights = conv->weights;
  if (job->weights) return NORMA_OK;
  job->weights = run_input(job->context, 1)->data;
  if (conv->converts) {
    conv_load_weights(conv, job->context->kernels, scratch + conv->weights_at, job->weights);
    job->weights = scratch + conv->weights_at;
  }
  if (!conv_packs(conv)) return NORMA_OK;
  TRY(run_parallel(job->context, conv->group, work_grain(4.0 * (double)(conv->outputs * conv->depth)), conv_pack_groups,
                   job));
  job->weights = scratch + conv->packed_at;
  return NORMA_OK;
}

/* Each sample goes through the form that kernels read and write. */
static norma_status conv_compute_converted(struct conv_job *job) {
  const conv_state *conv = job->conv;
  const struct kernel_table *kernels = job->context->kernels;
  const norma_tensor *x = run_input(job->context, 0), *b = run_input(job->context, 2);
  norma_tensor *y = run_output(job->context, 0);
  char *scratch = job->context->scratch;
  const int64_t channels = conv->group * conv->channels, outputs = conv->group * conv->outputs;
  const size_t bytes = element_type_bytes(conv->type), y_bytes = (size_t)(outputs * conv->pixels) * bytes;
  float *bias = (float *)(scratch + conv->bias_at), *residual_sample = (float *)(scratch + conv->residual_at);
  const int residual = conv_residual(conv, job->context->node);
  const char *added = residual ? run_input(job->context, residual)->data : NULL;
  if (b && is_half(conv->type)) {
    half_to_float(kernels, conv->type, bias, b->data, outputs);
    job->bias = bias;
  }
  job->x = scratch + conv->x_at;
  job->y = scratch + conv->y_at;
  job->residual = residual ? residual_sample : NULL;
  for (int64_t n = 0; n < conv->samples; n++) {
    char *y_sample = (char *)y->data + (size_t)n * y_bytes;
    conv_load(conv, kernels, scratch + conv->x_at,
              (const char *)x->data + (size_t)(n * channels * conv->inputs) * bytes, 1, channels, conv->inputs);
    if (residual) conv_load(conv, kernels, residual_sample, added + (size_t)n * y_bytes, 1, outputs, conv->pixels);
    TRY(conv_run_samples(job, 1));
    if (conv->is_last)
      channels_last_store(kernels, conv->type, y_sample, job->y, outputs, conv->pixels);
    else
      half_from_float(kernels, conv->type, y_sample, job->y, outputs * conv->pixels);
  }
  return NORMA_OK;
}

static norma_status conv_compute(run_context *context) {
  const conv_state *conv = context->state;
  const norma_tensor *b = run_input(context, 2);
  int residual = conv_residual(conv, context->node);
  if (conv_is_empty(conv)) return NORMA_OK;
  struct conv_job job = {.conv = conv, .context = context};
  TRY(conv_make_weights(&job));
  job.bias = b ? b->data : NULL;
  if (conv->converts) return conv_compute_converted(&job);
  job.x = run_input(context, 0)->data;
  job.y = run_output(context, 0)->data;
  job.residual = residual ? run_input(context, residual)->data : NULL;
  TRY(conv_run_samples(&job, conv->samples));
  bool finishes = conv->is_fused && conv->type == NORMA_DOUBLE;
  return finishes ? fused_conv_finish_double(context, &conv->activation) : NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static const operator_attribute conv_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"group", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute fused_conv_attributes[] = {
    {"activation", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"activation_params", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"group", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool conv_dimension(const node *node, int output, int axis, dimension_source *source) {
  const shape *x = node_input_shape(node, 0), *w = node_input_shape(node, 1);
  (void)output;
  return window_dimension(node, axis, w->rank >= 3 && w->rank == x->rank ? w->dims + 2 : NULL, false, source);
}

static bool conv_has_padding(const conv_state *conv) {
  const window_attributes *a = &conv->attributes;
  if (a->padding == WINDOW_NO_PADS) return false;
  if (a->padding != WINDOW_PADS_GIVEN) return true;
  for (int i = 0; i < a->axes; i++) {
    if (a->pad_begin[i] != 0 || a->pad_end[i] != 0) return true;
  }
  return false;
}

static bool conv_linear(const node *node, linear_form *form) {
  const conv_state *conv = node->state;
  const shape *w = node_input_shape(node, 1);
  if (w->rank < 3 || shape_count(w) <= 0 || w->dims[0] % conv->group != 0) return false;
  form->weights = 1;
  form->bias = 2;
  form->groups = conv->group;
  form->first = w->dims[0] / conv->group;
  form->second = w->dims[1];
  form->inner = dims_product(w->dims, 2, w->rank);
  form->output_first = form->is_window = form->takes_bias = true;
  form->has_borders = conv_has_padding(conv);
  form->input_axis = form->output_axis = 1;
  return true;
}

/* ------------------------------------------------------------------------------------------------ in channel blocks */

static bool conv_groups_fit_blocks(const block_form *form, int64_t group, int64_t channels, int64_t outputs) {
  if (group == 1 || (group == channels && group == outputs)) return true;
  return channels / group % form->block == 0 && outputs / group % form->block == 0;
}

/* Products of a grouped 1x1 convolution whose groups share blocks of outputs, over those of the definition: each block
 * is computed once for each of its groups. */
static double conv_groups_waste(const block_form *form, int64_t group, int64_t outputs) {
  int64_t blocks = 0, part = outputs / group;
  for (int64_t first = 0; first < outputs; first += form->block) {
    int64_t last = first + form->block < outputs ? first + form->block : outputs;
    blocks += (last - 1) / part - first / part + 1;
  }
  return (double)(blocks * form->block) / (double)outputs;
}

#define CONV_MOST_GROUP_CHANNELS 1024 /* of a GroupedConv, which sums them in one run */
#define CONV_MOST_GROUPS_WASTE   2.0

/* Whether it can be a GroupedConv, which computes 1x1 kernels with any groups. */
static bool conv_is_grouped(const node *node, const block_form *form, const norma_tensor *w) {
  const conv_state *conv = node->state;
  const window_attributes *a = &conv->attributes;
  const int64_t channels = node->inputs[0]->info.shape.dims[1], outputs = node->outputs[0]->info.shape.dims[1];
  if (conv->group < 2 || w->dims[1] < 2 || w->dims[1] > CONV_MOST_GROUP_CHANNELS) return false;
  if (dims_product(w->dims, 2, w->rank) != 1) return false;
  if (w->dims[1] * conv->group != channels || outputs % conv->group != 0) return false;
  for (int i = 0; i < a->axes; i++) {
    if (a->stride[i] != 1 || a->pad_begin[i] != 0 || a->pad_end[i] != 0) return false;
  }
  return conv_groups_waste(form, conv->group, outputs) <= CONV_MOST_GROUPS_WASTE;
}

/* Starts a stretch of blocks: other operators follow. A first layer of few channels reads planes. */
static bool conv_block(const node *node, block_form *form) {
  const conv_state *conv = node->state;
  const norma_tensor *w = node_constant_input(node, 1);
  const int residual = node->epilogue.residual_input;
  if (!value_is_blockable(node->inputs[0]) || !value_is_blockable(node->outputs[0]) || !w) return false;
  if (w->rank != node->inputs[0]->info.shape.rank || w->size_bytes == 0) return false;
  if (node_has_input(node, 2) && residual != 2 && !node_constant_input(node, 2)) return false;
  if (!block_takes_window(w->dims + 2, (size_t)w->rank - 2)) return false;
  if (residual && (residual != 3 || !value_is_blockable(node->inputs[residual]))) return false;
  const int64_t channels = node->inputs[0]->info.shape.dims[1];
  const bool is_grouped = form->type == NORMA_FLOAT && conv_is_grouped(node, form, w);
  if (!is_grouped && !conv_groups_fit_blocks(form, conv->group, channels, w->dims[0])) return false;
  const bool plain_input = conv->group == 1 && !value_blocked_copy(node->graph, node->inputs[0]) &&
                           (channels < form->block / 2 || channels <= 4);
  form->inner = is_grouped ? "GroupedConv" : "Conv";
  form->uses[0] = plain_input ? BLOCK_KEEP : BLOCK_MAKE;
  block_set_int(form, "block", form->block);
  block_set_int(form, "channels", channels);
  if (plain_input) block_set_int(form, "plain_input", true);
  return block_set_window(form, &conv->attributes);
}

const operator_descriptor operators_conv[] = {
    {
        .domain = "",
        .name = "Conv",
        .versions = {1, 11, 22},
        .min_inputs = 2,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1) | INPUT(2), OUTPUT(0)}},
        .attributes = conv_attributes,
        .state_size = sizeof(conv_state),
        .read = conv_read,
        .infer = conv_infer,
        .prepare = conv_prepare,
        .facts = {.dimension = conv_dimension,
                  .linear = conv_linear,
                  .packs = INPUT(1),
                  .weights = INPUT(1),
                  .bias = 2,
                  .store = {.residual = TYPES_BLOCKED, .activation = TYPES_BLOCKED},
                  .block = conv_block,
                  .block_types = TYPES_BLOCKED},
        .compute = conv_compute,
    },
    {
        .domain = "com.microsoft",
        .name = "FusedConv",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 4,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1) | INPUT(2) | INPUT(FUSED_CONV_Z), OUTPUT(0)}},
        .attributes = fused_conv_attributes,
        .state_size = sizeof(conv_state),
        .read = conv_read_fused,
        .infer = conv_infer,
        .prepare = conv_prepare,
        .facts = {.dimension = conv_dimension, .packs = INPUT(1), .weights = INPUT(1)},
        .compute = conv_compute,
    },
    {
        .domain = "com.microsoft",
        .name = "NhwcConv",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1) | INPUT(2), OUTPUT(0)}},
        .attributes = conv_attributes,
        .state_size = sizeof(conv_state),
        .read = conv_read_last,
        .infer = conv_infer,
        .prepare = conv_prepare,
        .facts = {.dimension = fact_dimension_batch, .packs = INPUT(1), .weights = INPUT(1)},
        .compute = conv_compute,
    },
    {0},
};
