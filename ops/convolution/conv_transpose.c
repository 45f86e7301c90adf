/*
 * ConvTranspose 1, 11, 22 (ai.onnx)
 *
 *   Y[n][m][q] = B[m] + sum over c, p, k with q = p * stride + k * dilation - pad of W[c][m][k] * X[n][c][p]
 *
 * X [N, C, D1 .. Dn], W [C, M/group, k1 .. kn], B [M] (optional), Y [N, M, o1 .. on]. Version 11 states defaults of
 * attributes that 1 has as well; 22 adds bfloat16. In every version odd padding goes to the end for SAME_UPPER and to
 * the beginning otherwise; an output_shape of full rank counts its last axes.
 *
 * float: for some output channels at a time, W^T * X by a matrix product, whose rows (one for each output channel and
 * tap) are then added where they belong; where a group has one channel, plane by plane (depthwise_transpose.h). Half
 * precision is computed in float, a sample at a time; double tap by tap.
 */
#include "ops/blocked.h"
#include "ops/convolution/depthwise_transpose.h"
#include "ops/half.h"
#include "ops/window.h"
#include "ops/work.h"

#include <inttypes.h>
#include <stdio.h>

#define PRODUCT_ROWS  64           /* of one matrix product, at least, where there are so many */
#define PRODUCT_BYTES (256 * 1024) /* of its result */

/* Keys of what prepare_packed keeps. */
enum conv_transpose_packed { CONVERTED_WEIGHTS, PACKED_WEIGHTS, PLANE_WEIGHTS };

typedef struct conv_transpose_state {
  window_attributes attributes;
  int64_t group;
  int extra_count, shape_count; /* entries of output_padding and output_shape */
  int64_t extra[WINDOW_MAX_AXES];
  int64_t output_shape[NORMA_MAX_RANK];

  /* The plan's. The window slides over Y: its inputs are Y's pixels and its outputs X's. */
  window window;
  norma_element_type type;
  int64_t samples, channels, outputs; /* of one group */
  int64_t taps, x_pixels, y_pixels;
  int64_t chunk, chunks; /* output channels of a matrix product, matrix products of a group */
  int64_t block;         /* pixels of X in one matrix product */
  const void *weights;   /* packed (float) or as they are (double); NULL: made in each run */
  size_t packed_size;    /* elements of one chunk */
  bool is_depthwise;
  struct depthwise_transpose depthwise;
  size_t weights_at, packed_at, bias_at, x_at, y_at; /* in scratch */
  size_t product_at;                                 /* in worker scratch, behind what the product wants */
} conv_transpose_state;

/* ----------------------------------------------------------------------------------------------- attributes, shapes */

static norma_status conv_transpose_read_list(const node *node, const char *name, int capacity, int64_t *values,
                                             int *count, norma_error *error) {
  size_t found;
  const int64_t *list = attribute_ints(node, name, &found);
  if (found > (size_t)capacity)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s has %zu entries", name, found);
  *count = (int)found;
  for (size_t i = 0; i < found; i++) {
    values[i] = list[i];
    if (values[i] < 0)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s[%zu] is %" PRId64 " but must be at least 0",
                           name, i, values[i]);
  }
  return NORMA_OK;
}

static norma_status conv_transpose_read(const node *node, void *opaque, norma_error *error) {
  conv_transpose_state *state = opaque;
  state->group = attribute_int(node, "group", 1);
  if (state->group < 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "group is %" PRId64 " but must be at least 1",
                         state->group);
  TRY(conv_transpose_read_list(node, "output_padding", WINDOW_MAX_AXES, state->extra, &state->extra_count, error));
  TRY(conv_transpose_read_list(node, "output_shape", NORMA_MAX_RANK, state->output_shape, &state->shape_count, error));
  return window_read(node, &state->attributes, error);
}

/* Distributes what the output does not keep of the full result. */
static void conv_transpose_pad(const window_attributes *a, window *w, int axis, int64_t total) {
  if (total < 0) total = 0;
  w->pad_begin[axis] = a->padding == WINDOW_SAME_UPPER ? total / 2 : total - total / 2;
  w->pad_end[axis] = total - w->pad_begin[axis];
}

/* Size and padding of one axis of Y, whose kernel is known. */
static bool conv_transpose_resolve_axis(const conv_transpose_state *state, int64_t x, window *w, int axis,
                                        char message[WINDOW_MESSAGE_SIZE]) {
  const window_attributes *a = &state->attributes;
  int64_t extra = state->extra_count ? state->extra[axis] : 0, full, extent, same;
  const int64_t *wanted = state->shape_count ? state->output_shape + (state->shape_count - w->axes) + axis : NULL;
  w->output[axis] = x;
  if (wanted) w->input[axis] = *wanted;
  if (x == DIM_UNKNOWN || w->kernel[axis] == DIM_UNKNOWN) return true;
  if (__builtin_mul_overflow(w->kernel[axis] - 1, w->dilation[axis], &extent) ||
      __builtin_add_overflow(extent, 1, &extent) || __builtin_mul_overflow(w->stride[axis], x - 1, &full) ||
      __builtin_add_overflow(full, extent, &full) || __builtin_add_overflow(full, extra, &full) ||
      __builtin_mul_overflow(w->stride[axis], x, &same) || w->pad_begin[axis] > INT64_MAX - w->pad_end[axis]) {
    snprintf(message, WINDOW_MESSAGE_SIZE, "kernel, dilation, stride and pads of spatial axis %d are too large", axis);
    return false;
  }
  if (wanted) {
    conv_transpose_pad(a, w, axis, full - *wanted);
  } else if (a->padding == WINDOW_SAME_UPPER || a->padding == WINDOW_SAME_LOWER) {
    w->input[axis] = same;
    conv_transpose_pad(a, w, axis, full - same);
  } else {
    if (a->padding == WINDOW_NO_PADS) w->pad_begin[axis] = w->pad_end[axis] = 0;
    w->input[axis] = full - (w->pad_begin[axis] + w->pad_end[axis]);
  }
  if (x == 0 && w->input[axis] < 0) w->input[axis] = 0;
  if (w->input[axis] >= 0) return true;
  snprintf(message, WINDOW_MESSAGE_SIZE, "the pads of spatial axis %d take %" PRId64 " from an output of %" PRId64,
           axis, w->pad_begin[axis] + w->pad_end[axis], full);
  return false;
}

/* x[0 .. axes - 1] and kernel (NULL: unknown) as in window_resolve; window->input becomes the sizes of Y. */
static bool conv_transpose_resolve(const conv_transpose_state *state, int axes, const int64_t *x, const int64_t *kernel,
                                   window *window, char message[WINDOW_MESSAGE_SIZE]) {
  const window_attributes *a = &state->attributes;
  if ((a->axes && a->axes != axes) || (state->extra_count && state->extra_count != axes) ||
      (state->shape_count && state->shape_count != axes && state->shape_count != axes + 2)) {
    snprintf(message, WINDOW_MESSAGE_SIZE, "the attributes do not fit an input with %d spatial axes", axes);
    return false;
  }
  memset(window, 0, sizeof *window);
  window->axes = axes;
  for (int i = 0; i < axes; i++) {
    window->input[i] = DIM_UNKNOWN;
    window->stride[i] = a->axes ? a->stride[i] : 1;
    window->dilation[i] = a->axes ? a->dilation[i] : 1;
    window->pad_begin[i] = a->axes ? a->pad_begin[i] : 0;
    window->pad_end[i] = a->axes ? a->pad_end[i] : 0;
    if (!window_kernel_size(a, i, kernel, &window->kernel[i], message)) return false;
    if (!conv_transpose_resolve_axis(state, x[i], window, i, message)) return false;
  }
  return true;
}

static norma_status conv_transpose_check_channels(infer_context *context, int64_t group, int64_t channels,
                                                  const shape *w, const shape *b, int64_t *outputs) {
  int64_t of_w = w->rank > 0 ? w->dims[0] : DIM_UNKNOWN, of_group = w->rank > 1 ? w->dims[1] : DIM_UNKNOWN;
  if (channels != DIM_UNKNOWN && of_w != DIM_UNKNOWN && channels != of_w)
    return infer_fail(context, "W is for %" PRId64 " channels, but X has %" PRId64, of_w, channels);
  if (channels == DIM_UNKNOWN) channels = of_w;
  if (channels != DIM_UNKNOWN && channels % group != 0)
    return infer_fail(context, "%" PRId64 " channels cannot be split in %" PRId64 " groups", channels, group);
  *outputs = of_group;
  if (of_group != DIM_UNKNOWN && __builtin_mul_overflow(of_group, group, outputs))
    return infer_fail(context, "%" PRId64 " groups of %" PRId64 " output channels are too many", group, of_group);
  if (b->rank != RANK_UNKNOWN &&
      (b->rank != 1 || (b->dims[0] != DIM_UNKNOWN && *outputs != DIM_UNKNOWN && b->dims[0] != *outputs)))
    return infer_fail(context, "B must be a vector with one element for each output channel");
  return NORMA_OK;
}

static norma_status conv_transpose_infer(infer_context *context) {
  const conv_transpose_state *state = context->state;
  const shape *x = infer_shape(context, 0), *w = infer_shape(context, 1);
  int rank = x->rank != RANK_UNKNOWN ? x->rank : w->rank;
  shape y = shape_unknown();
  TRY(infer_types_since(context, TYPES_BFLOAT16, 22));
  if (rank == RANK_UNKNOWN) {
    infer_output(context, 0, infer_type(context, 0), &y);
    return NORMA_OK;
  }
  if (rank < 3 || (w->rank != RANK_UNKNOWN && w->rank != rank))
    return infer_fail(context, "X has rank %d and W rank %d: both need the same rank of at least 3", x->rank, w->rank);
  shape input = x->rank != RANK_UNKNOWN ? *x : shape_of_rank(rank);
  y = shape_of_rank(rank);
  y.dims[0] = input.dims[0];
  TRY(conv_transpose_check_channels(context, state->group, input.dims[1], w, infer_shape(context, 2), &y.dims[1]));
  window window;
  char message[WINDOW_MESSAGE_SIZE];
  const int64_t *kernel = w->rank != RANK_UNKNOWN ? w->dims + 2 : NULL;
  if (!conv_transpose_resolve(state, rank - 2, input.dims + 2, kernel, &window, message))
    return infer_fail(context, "%s", message);
  memcpy(y.dims + 2, window.input, (size_t)window.axes * sizeof *y.dims);
  return window_infer_output(context, 0, infer_type(context, 0), &y);
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

struct conv_transpose_packing {
  const conv_transpose_state *state;
  const struct kernel_table *kernels;
  const void *source;
};

static int64_t conv_transpose_weight_count(const conv_transpose_state *state) {
  return state->group * state->channels * state->outputs * state->taps;
}

static void conv_transpose_convert(void *destination, const void *argument) {
  const struct conv_transpose_packing *packing = argument;
  half_to_float(packing->kernels, packing->state->type, destination, packing->source,
                conv_transpose_weight_count(packing->state));
}

/* Output channels of chunk `chunk`. */
static int64_t conv_transpose_chunk_outputs(const conv_transpose_state *state, int64_t chunk) {
  int64_t left = state->outputs - chunk * state->chunk;
  return left < state->chunk ? left : state->chunk;
}

/* Chunk `index` of all groups: a matrix with a row for each output channel and tap and a column for each channel. */
static void conv_transpose_pack_chunk(const struct conv_transpose_packing *packing, float *destination, int64_t index) {
  const conv_transpose_state *state = packing->state;
  int64_t group = index / state->chunks, chunk = index % state->chunks, columns = state->outputs * state->taps;
  const float *from =
      (const float *)packing->source + group * state->channels * columns + chunk * state->chunk * state->taps;
  packing->kernels->gemm_f32_pack_a(destination + (size_t)index * state->packed_size, from,
                                    (size_t)(conv_transpose_chunk_outputs(state, chunk) * state->taps),
                                    (size_t)state->channels, 1, (size_t)columns);
}

static void conv_transpose_pack(void *destination, const void *argument) {
  const struct conv_transpose_packing *packing = argument;
  int64_t count = packing->state->group * packing->state->chunks;
  for (int64_t i = 0; i < count; i++) conv_transpose_pack_chunk(packing, destination, i);
}

/* The weights of all planes, where groups have one channel. */
static void conv_transpose_pack_planes(void *destination, const void *argument) {
  const struct conv_transpose_packing *packing = argument;
  const conv_transpose_state *state = packing->state;
  for (int64_t i = 0; i < state->group * state->outputs; i++)
    depthwise_transpose_pack(&state->depthwise, (float *)destination + i * state->taps,
                             (const float *)packing->source + i * state->taps);
}

static norma_status conv_transpose_prepare_weights(prepare_context *context, conv_transpose_state *state) {
  const norma_tensor *constant = prepare_constant(context, 1);
  size_t count = (size_t)conv_transpose_weight_count(state);
  size_t packed = state->is_depthwise ? count : state->packed_size * (size_t)(state->group * state->chunks);
  if (!constant) {
    if ((is_half(state->type) && !scratch_append(&context->scratch_bytes, count, sizeof(float), &state->weights_at)) ||
        !scratch_append(&context->scratch_bytes, packed, sizeof(float), &state->packed_at))
      return prepare_fail(context, NORMA_ERROR_BUDGET, "the weights are too large");
    return NORMA_OK;
  }
  struct conv_transpose_packing packing = {state, context->kernels, constant->data};
  if (is_half(state->type))
    TRY(prepare_packed(context, CONVERTED_WEIGHTS, count * sizeof(float), conv_transpose_convert, &packing,
                       &packing.source));
  context->packed_inputs |= INPUT(1);
  return prepare_packed(context, state->is_depthwise ? PLANE_WEIGHTS : PACKED_WEIGHTS, packed * sizeof(float),
                        state->is_depthwise ? conv_transpose_pack_planes : conv_transpose_pack, &packing,
                        &state->weights);
}

static struct gemm_f32 conv_transpose_product(const conv_transpose_state *state, int64_t outputs, int64_t pixels) {
  return (struct gemm_f32){.m = (size_t)(outputs * state->taps),
                           .n = (size_t)pixels,
                           .k = (size_t)state->channels,
                           .b_row_stride = (size_t)state->x_pixels,
                           .b_column_stride = 1,
                           .c_row_stride = (size_t)pixels};
}

/* How much one matrix product does, which decides the order of sums, depends on the shape of a sample alone. */
static norma_status conv_transpose_prepare_product(prepare_context *context, conv_transpose_state *state) {
  const struct kernel_table *kernels = context->kernels;
  state->chunk = divide_up(PRODUCT_ROWS, state->taps);
  if (state->chunk > state->outputs) state->chunk = state->outputs;
  state->chunks = divide_up(state->outputs, state->chunk);
  int64_t rows = state->chunk * state->taps, block = PRODUCT_BYTES / (int64_t)sizeof(float) / rows;
  state->block = block < 64 ? 64 : block / 64 * 64;
  if (state->block > state->x_pixels) state->block = state->x_pixels;
  state->packed_size = kernels->gemm_f32_packed_a_size((size_t)rows, (size_t)state->channels);

  struct gemm_f32 product = conv_transpose_product(state, state->chunk, state->block);
  product.packed_a = (const float *)state; /* is packed: the product needs no scratch for it */
  size_t *total = &context->worker_scratch_bytes;
  *total = size_align(kernels->gemm_f32_scratch_size(&product), MEMORY_ALIGNMENT);
  if (!scratch_append(total, (size_t)rows, (size_t)state->block * sizeof(float), &state->product_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the kernel is too large");
  return NORMA_OK;
}

static norma_status conv_transpose_prepare_float(prepare_context *context, conv_transpose_state *state) {
  state->is_depthwise = state->channels == 1 && state->x_pixels > 0 &&
                        depthwise_transpose_describe(&state->window, context->kernels, &state->depthwise);
  if (state->is_depthwise) {
    context->kernel_name = "depthwise";
    context->worker_scratch_bytes = state->depthwise.scratch_bytes;
  } else {
    TRY(conv_transpose_prepare_product(context, state));
  }
  TRY(conv_transpose_prepare_weights(context, state));
  if (!is_half(state->type)) return NORMA_OK;
  size_t channels = (size_t)(state->group * state->channels), outputs = (size_t)(state->group * state->outputs);
  size_t *total = &context->scratch_bytes;
  if (!scratch_append(total, outputs, sizeof(float), &state->bias_at) ||
      !scratch_append(total, channels * (size_t)state->x_pixels, sizeof(float), &state->x_at) ||
      !scratch_append(total, outputs * (size_t)state->y_pixels, sizeof(float), &state->y_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "one sample is too large");
  return NORMA_OK;
}

/* No output has an element. Without input channels outputs are there, and are the bias. */
static bool conv_transpose_is_empty(const conv_transpose_state *state) {
  return state->samples == 0 || state->outputs == 0 || state->y_pixels == 0;
}

static norma_status conv_transpose_prepare(prepare_context *context) {
  conv_transpose_state *state = context->state;
  const shape *x = prepare_shape(context, 0), *w = prepare_shape(context, 1);
  const epilogue *epilogue = &context->node->epilogue;
  char message[WINDOW_MESSAGE_SIZE];
  if (!conv_transpose_resolve(state, x->rank - 2, x->dims + 2, w->dims + 2, &state->window, message))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "%s", message);
  state->type = prepare_type(context, 0);
  if (state->type != NORMA_FLOAT && (epilogue->residual_input || epilogue->activation.kind != UNARY_IDENTITY))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "an activation was fused that only float has");
  state->samples = x->dims[0];
  state->channels = w->dims[0] / state->group;
  state->outputs = w->dims[1];
  state->taps = window_taps(&state->window);
  state->x_pixels = window_outputs(&state->window);
  state->y_pixels = window_inputs(&state->window);
  context->flops = 2.0 * (double)state->samples * (double)w->dims[0] * (double)state->outputs * (double)state->taps *
                   (double)state->x_pixels;
  context->kernel_name = "empty";
  if (conv_transpose_is_empty(state)) return NORMA_OK;
  context->kernel_name = state->type == NORMA_DOUBLE ? "taps" : "product";
  return state->type == NORMA_DOUBLE ? NORMA_OK : conv_transpose_prepare_float(context, state);
}

/* ------------------------------------------------------------------------------------------------- adding to planes */

/* The part of X's pixels [first, first + *count) that lies in the row of `first`. */
static void conv_transpose_row(const window *w, int64_t first, int64_t *count, int64_t *position) {
  for (int d = w->axes - 1; d >= 0; d--) {
    position[d] = first % w->output[d];
    first /= w->output[d];
  }
  int64_t in_row = w->output[w->axes - 1] - position[w->axes - 1];
  if (*count > in_row) *count = in_row;
}

/* Where `count` pixels of X from `position` on, in one row, meet Y's plane under tap `tap`: of them, those from *skip
 * on, *count of them, at *offset and every stride. false: nowhere. */
static bool conv_transpose_meet(const window *w, const int64_t *position, const int64_t *tap, int64_t *skip,
                                int64_t *count, int64_t *offset) {
  int last = w->axes - 1;
  *offset = 0;
  for (int d = 0; d < last; d++) {
    int64_t at = position[d] * w->stride[d] + tap[d] * w->dilation[d] - w->pad_begin[d];
    if (at < 0 || at >= w->input[d]) return false;
    *offset = *offset * w->input[d] + at;
  }
  int64_t stride = w->stride[last], size = w->input[last];
  int64_t at = position[last] * stride + tap[last] * w->dilation[last] - w->pad_begin[last];
  *skip = at < 0 ? divide_up(-at, stride) : 0;
  if (*skip >= *count) return false;
  at += *skip * stride;
  if (at >= size) return false;
  *count -= *skip;
  int64_t fit = (size - 1 - at) / stride + 1;
  if (*count > fit) *count = fit;
  *offset = *offset * size + at;
  return true;
}

/* y[under pixel first + i and tap] += factor * values[i], i < count. */
#define CONV_TRANSPOSE_ADD(name, type)                                                                                 \
  static void name(const window *w, const int64_t *tap, int64_t first, int64_t count, type factor, const type *values, \
                   type *y) {                                                                                          \
    int64_t stride = w->stride[w->axes - 1];                                                                           \
    while (count > 0) {                                                                                                \
      int64_t position[WINDOW_MAX_AXES], run = count, skip, offset;                                                    \
      conv_transpose_row(w, first, &run, position);                                                                    \
      int64_t next = run;                                                                                              \
      if (conv_transpose_meet(w, position, tap, &skip, &run, &offset)) {                                               \
        const type *from = values + skip;                                                                              \
        type *to = y + offset;                                                                                         \
        if (stride == 1)                                                                                               \
          for (int64_t i = 0; i < run; i++) to[i] += factor * from[i];                                                 \
        else                                                                                                           \
          for (int64_t i = 0; i < run; i++) to[i * stride] += factor * from[i];                                        \
      }                                                                                                                \
      first += next;                                                                                                   \
      values += next;                                                                                                  \
      count -= next;                                                                                                   \
    }                                                                                                                  \
  }

CONV_TRANSPOSE_ADD(conv_transpose_add_f32, float)
CONV_TRANSPOSE_ADD(conv_transpose_add_f64, double)

/* ---------------------------------------------------------------------------------------------------------- compute */

struct conv_transpose_job {
  const conv_transpose_state *state;
  run_context *context;
  const void *x, *weights, *bias;
  const float *residual;
  void *y;
};

/* The product in slices of rows, so that a large one can be interrupted: false when it was. */
static bool conv_transpose_multiply(const run_context *context, const struct gemm_f32 *product, void *scratch) {
  const struct kernel_table *kernels = context->kernels;
  size_t panels = kernels->gemm_f32_row_panels(product->m), columns = kernels->gemm_f32_column_panels(product->n);
  double cost = 2.0 * (double)product->m * (double)product->n * (double)product->k / (double)(panels ? panels : 1);
  size_t slice = cost < WORK_MOST ? (size_t)(WORK_MOST / (cost + 1)) + 1 : 1;
  for (size_t begin = 0; begin < panels; begin += slice) {
    if (begin > 0 && run_cancelled(context)) return false;
    kernels->gemm_f32_run(product, begin, panels - begin < slice ? panels : begin + slice, 0, columns, scratch);
  }
  return true;
}

/* Chunk `chunk` of a group's output channels from the group's channels x; y: its first plane. */
static void conv_transpose_run_chunk(const struct conv_transpose_job *job, const float *weights, int64_t outputs,
                                     const float *x, float *y, char *scratch) {
  const conv_transpose_state *state = job->state;
  float *rows = (float *)(scratch + state->product_at);
  memset(y, 0, (size_t)(outputs * state->y_pixels) * sizeof *y);
  for (int64_t first = 0; first < state->x_pixels; first += state->block) {
    int64_t left = state->x_pixels - first, count = left < state->block ? left : state->block;
    struct gemm_f32 product = conv_transpose_product(state, outputs, count);
    product.packed_a = weights;
    product.b = x + first;
    product.c = rows;
    if (!conv_transpose_multiply(job->context, &product, scratch)) return;
    int64_t iteration = 0;
    for (int64_t o = 0; o < outputs; o++) {
      int64_t tap[WINDOW_MAX_AXES] = {0};
      for (int64_t t = 0; t < state->taps; t++) {
        if (work_interrupted(job->context, iteration++)) return;
        conv_transpose_add_f32(&state->window, tap, first, count, 1, rows + (o * state->taps + t) * count,
                               y + o * state->y_pixels);
        window_advance(state->window.axes, state->window.kernel, tap);
      }
    }
  }
}

static void conv_transpose_run_chunks(void *argument, int64_t begin, int64_t end, int worker) {
  const struct conv_transpose_job *job = argument;
  const conv_transpose_state *state = job->state;
  const float *bias = job->bias;
  for (int64_t i = begin; i < end; i++) {
    int64_t chunk = i % state->chunks, part = i / state->chunks, group = part % state->group;
    int64_t outputs = conv_transpose_chunk_outputs(state, chunk), first = part * state->outputs + chunk * state->chunk;
    const float *weights = (const float *)job->weights + (size_t)(group * state->chunks + chunk) * state->packed_size;
    float *y = (float *)job->y + first * state->y_pixels;
    conv_transpose_run_chunk(job, weights, outputs, (const float *)job->x + part * state->channels * state->x_pixels, y,
                             run_worker_scratch(job->context, worker));
    for (int64_t o = 0; o < outputs; o++) {
      int64_t plane = (first + o) * state->y_pixels, output = group * state->outputs + chunk * state->chunk + o;
      job->context->kernels->affine_f32(y + o * state->y_pixels, y + o * state->y_pixels,
                                        job->residual ? job->residual + plane : NULL, (size_t)state->y_pixels, 1,
                                        bias ? bias[output] : 0, job->context->node->epilogue.activation);
    }
  }
}

/* Plane by plane of Y, from one channel each. */
static void conv_transpose_run_depthwise(void *argument, int64_t begin, int64_t end, int worker) {
  const struct conv_transpose_job *job = argument;
  const conv_transpose_state *state = job->state;
  const float *bias = job->bias;
  for (int64_t i = begin; i < end; i++) {
    const int64_t output = i % (state->group * state->outputs), y_at = i * state->y_pixels;
    depthwise_transpose_run(&state->depthwise, job->context->kernels,
                            (const float *)job->x + i / state->outputs * state->x_pixels,
                            (const float *)job->weights + output * state->taps, bias ? bias[output] : 0,
                            job->residual ? job->residual + y_at : NULL, job->context->node->epilogue.activation,
                            (float *)job->y + y_at, run_worker_scratch(job->context, worker));
  }
}

/* Plane by plane of Y, in double. */
static void conv_transpose_run_planes(void *argument, int64_t begin, int64_t end, int worker) {
  const struct conv_transpose_job *job = argument;
  const conv_transpose_state *state = job->state;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t output = i % state->outputs, part = i / state->outputs, group = part % state->group;
    const double *bias = job->bias, *x = (const double *)job->x + part * state->channels * state->x_pixels;
    double *y = (double *)job->y + i * state->y_pixels, start = bias ? bias[group * state->outputs + output] : 0;
    for (int64_t q = 0; q < state->y_pixels; q++) y[q] = start;
    for (int64_t c = 0; c < state->channels; c++) {
      const double *weights =
          (const double *)job->weights + ((group * state->channels + c) * state->outputs + output) * state->taps;
      int64_t tap[WINDOW_MAX_AXES] = {0}, added = 0; /* pixels since the last question whether to stop */
      for (int64_t t = 0; t < state->taps; t++, added += state->x_pixels) {
        if (added > WORK_LEAST) {
          if (run_cancelled(job->context)) return;
          added = 0;
        }
        conv_transpose_add_f64(&state->window, tap, 0, state->x_pixels, weights[t], x + c * state->x_pixels, y);
        window_advance(state->window.axes, state->window.kernel, tap);
      }
    }
  }
}

static void conv_transpose_pack_chunks(void *argument, int64_t begin, int64_t end, int worker) {
  const struct conv_transpose_job *job = argument;
  struct conv_transpose_packing packing = {job->state, job->context->kernels, job->weights};
  (void)worker;
  for (int64_t i = begin; i < end; i++)
    conv_transpose_pack_chunk(&packing, (float *)((char *)job->context->scratch + job->state->packed_at), i);
}

/* Weights that are no constant are packed in scratch. */
static norma_status conv_transpose_make_weights(struct conv_transpose_job *job) {
  const conv_transpose_state *state = job->state;
  char *scratch = job->context->scratch;
  job->weights = state->weights;
  if (job->weights) return NORMA_OK;
  job->weights = run_input(job->context, 1)->data;
  if (state->type == NORMA_DOUBLE) return NORMA_OK;
  if (is_half(state->type)) {
    struct conv_transpose_packing packing = {state, job->context->kernels, job->weights};
    conv_transpose_convert(scratch + state->weights_at, &packing);
    job->weights = scratch + state->weights_at;
  }
  if (state->is_depthwise) {
    struct conv_transpose_packing packing = {state, job->context->kernels, job->weights};
    conv_transpose_pack_planes(scratch + state->packed_at, &packing);
    job->weights = scratch + state->packed_at;
    return NORMA_OK;
  }
  double cost = 4.0 * (double)state->channels * (double)state->chunk * (double)state->taps;
  TRY(run_parallel(job->context, state->group * state->chunks, work_grain(cost), conv_transpose_pack_chunks, job));
  job->weights = scratch + state->packed_at;
  return NORMA_OK;
}

static norma_status conv_transpose_run_samples(struct conv_transpose_job *job, int64_t samples) {
  const conv_transpose_state *state = job->state;
  if (state->is_depthwise) {
    const double plane = 2.0 * (double)state->taps * (double)state->x_pixels + WORK_ELEMENT * (double)state->y_pixels;
    return run_parallel(job->context, samples * state->group * state->outputs, work_grain(plane),
                        conv_transpose_run_depthwise, job);
  }
  double cost = 2.0 * (double)state->channels * (double)state->chunk * (double)state->taps * (double)state->x_pixels;
  return run_parallel(job->context, samples * state->group * state->chunks, work_grain(cost), conv_transpose_run_chunks,
                      job);
}

/* Half precision: each sample goes through float. */
static norma_status conv_transpose_compute_halves(struct conv_transpose_job *job) {
  const conv_transpose_state *state = job->state;
  const struct kernel_table *kernels = job->context->kernels;
  const norma_tensor *x = run_input(job->context, 0), *b = run_input(job->context, 2);
  char *scratch = job->context->scratch;
  int64_t x_count = state->group * state->channels * state->x_pixels;
  int64_t y_count = state->group * state->outputs * state->y_pixels;
  float *bias = (float *)(scratch + state->bias_at), *x_sample = (float *)(scratch + state->x_at);
  float *y_sample = (float *)(scratch + state->y_at);
  uint16_t *y = run_output(job->context, 0)->data;
  if (b) half_to_float(kernels, state->type, bias, b->data, state->group * state->outputs);
  job->bias = b ? bias : NULL;
  job->x = x_sample;
  job->y = y_sample;
  for (int64_t n = 0; n < state->samples; n++) {
    half_to_float(kernels, state->type, x_sample, (const uint16_t *)x->data + n * x_count, x_count);
    TRY(conv_transpose_run_samples(job, 1));
    half_from_float(kernels, state->type, y + n * y_count, y_sample, y_count);
  }
  return NORMA_OK;
}

static norma_status conv_transpose_compute(run_context *context) {
  const conv_transpose_state *state = context->state;
  const norma_tensor *b = run_input(context, 2);
  int residual = context->node->epilogue.residual_input;
  if (conv_transpose_is_empty(state)) return NORMA_OK;
  struct conv_transpose_job job = {.state = state, .context = context};
  TRY(conv_transpose_make_weights(&job));
  if (is_half(state->type)) return conv_transpose_compute_halves(&job);
  job.x = run_input(context, 0)->data;
  job.y = run_output(context, 0)->data;
  job.bias = b ? b->data : NULL;
  job.residual = residual ? run_input(context, residual)->data : NULL;
  if (state->type != NORMA_DOUBLE) return conv_transpose_run_samples(&job, state->samples);
  double cost = 4.0 * (double)state->channels * (double)state->taps * (double)state->x_pixels;
  return run_parallel(context, state->samples * state->group * state->outputs, work_grain(cost),
                      conv_transpose_run_planes, &job);
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static const operator_attribute conv_transpose_attributes[] = {
    {"auto_pad", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"dilations", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"group", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"kernel_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"output_padding", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"output_shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"pads", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"strides", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool conv_transpose_linear(const node *node, linear_form *form) {
  const conv_transpose_state *state = node->state;
  const shape *w = node_input_shape(node, 1);
  if (w->rank < 3 || shape_count(w) <= 0 || w->dims[0] % state->group != 0) return false;
  form->weights = 1;
  form->bias = 2;
  form->groups = state->group;
  form->first = w->dims[0] / state->group;
  form->second = w->dims[1];
  form->inner = dims_product(w->dims, 2, w->rank);
  form->is_window = form->takes_bias = form->has_borders = true;
  form->input_axis = form->output_axis = 1;
  return true;
}

/* ------------------------------------------------------------------------------------------------ in channel blocks */

/* What the inner operator is told: of two axes, the first one of height 1 where the node has one. */
typedef struct transposed {
  int64_t kernel[2], strides[2], pads[4], extra[2];
} transposed;

/* Pads and output_padding of an axis that states what the output shall be: both sizes must be known. */
static bool transposed_resolve(const window_attributes *a, transposed *t, int d, int64_t x, int64_t y, int64_t kernel) {
  int64_t full;
  if (x < 1 || y < 1 || __builtin_mul_overflow(x - 1, t->strides[d], &full) ||
      __builtin_add_overflow(full, kernel + t->extra[d], &full))
    return false;
  int64_t total = full > y ? full - y : 0;
  if (y > full) t->extra[d] += y - full;
  t->pads[d] = a->padding == WINDOW_SAME_UPPER ? total / 2 : total - total / 2;
  t->pads[2 + d] = total - t->pads[d];
  return true;
}

/* Each phase of the outputs must have a tap, and its first output one that lies before all inputs or on the first. */
static bool transposed_phases_fit(const transposed *t) {
  for (int d = 0; d < 2; d++) {
    int64_t stride = t->strides[d];
    if (t->kernel[d] < stride || t->pads[d] > t->kernel[d]) return false;
    for (int64_t first = 0; first < stride; first++) {
      int64_t place = first + t->pads[d], taps = (t->kernel[d] - place % stride + stride - 1) / stride;
      if (taps - 1 < place / stride) return false;
    }
  }
  return true;
}

static bool transposed_read(const node *node, const norma_tensor *w, transposed *t) {
  const conv_transpose_state *state = node->state;
  const window_attributes *a = &state->attributes;
  const shape *x = node_input_shape(node, 0), *y = node_output_shape(node, 0);
  const int axes = w->rank - 2;
  if ((a->axes && a->axes != axes) || (state->extra_count && state->extra_count != axes)) return false;
  *t = (transposed){.kernel = {1, 1}, .strides = {1, 1}};
  for (int i = 0; i < axes; i++) {
    const int d = i + 2 - axes; /* of the plane */
    const bool given = a->axes && a->padding == WINDOW_PADS_GIVEN;
    const int64_t kernel = t->kernel[d] = w->dims[2 + i];
    if (a->axes && a->dilation[i] != 1) return false;
    t->strides[d] = a->axes ? a->stride[i] : 1;
    t->extra[d] = state->extra_count ? state->extra[i] : 0;
    t->pads[d] = given ? a->pad_begin[i] : 0;
    t->pads[2 + d] = given ? a->pad_end[i] : 0;
    if (kernel < 1 || kernel > BLOCKED_MOST_TAPS || t->strides[d] > BLOCKED_MOST_PHASES || t->extra[d] > INT32_MAX ||
        t->pads[2 + d] > INT32_MAX)
      return false;
    const bool is_wanted = state->shape_count || a->padding == WINDOW_SAME_UPPER || a->padding == WINDOW_SAME_LOWER;
    if (is_wanted && !transposed_resolve(a, t, d, x->dims[2 + i], y->dims[2 + i], kernel)) return false;
  }
  return block_takes_window(t->kernel, 2) && t->strides[0] * t->strides[1] <= BLOCKED_MOST_PHASES &&
         transposed_phases_fit(t);
}

/* Few outputs, whose taps do not overlap: they share blocks, and the result is plain. */
static bool transposed_is_narrow(const node *node, const norma_tensor *w, const transposed *t) {
  if (node->epilogue.residual_input || w->rank != 4) return false;
  for (int d = 0; d < 2; d++) {
    if (t->kernel[d] != t->strides[d] || t->pads[d] || t->pads[2 + d] || t->extra[d]) return false;
  }
  return true;
}

/* With a stride of 1 it is a convolution, and starts a stretch of blocks as one: of 3x3 taps at least, for fewer the
 * reorders have not been shown to pay. */
static bool transposed_starts(const node *node, const block_form *form, const norma_tensor *w, const transposed *t) {
  return node_has_one_output(node) && value_is_blockable(node->inputs[0]) && value_is_blockable(node->outputs[0]) &&
         t->strides[0] == 1 && t->strides[1] == 1 && t->kernel[0] * t->kernel[1] >= 9 &&
         block_fills_lanes(form, w->dims[0]) && block_fills_lanes(form, w->dims[1]);
}

static bool conv_transpose_block(const node *node, block_form *form) {
  const conv_transpose_state *state = node->state;
  const norma_tensor *w = node_constant_input(node, 1);
  const int residual = node->epilogue.residual_input;
  transposed t;
  if (!value_is_blockable(node->inputs[0]) || !value_is_blockable(node->outputs[0])) return false;
  if (state->group != 1 || !w || w->rank != node->inputs[0]->info.shape.rank) return false;
  if (node_has_input(node, 2) && residual != 2 && !node_constant_input(node, 2)) return false;
  if (residual && (residual != 3 || !value_is_blockable(node->inputs[residual]))) return false;
  const int64_t channels = node->inputs[0]->info.shape.dims[1], outputs = node->outputs[0]->info.shape.dims[1];
  if (w->dims[0] != channels || w->dims[1] != outputs || !transposed_read(node, w, &t)) return false;
  const bool starts = transposed_starts(node, form, w, &t);
  if (!starts && !node_follows_block(node)) return false;
  form->plain_output = !block_fills_lanes(form, outputs);
  const bool pays =
      form->plain_output ? transposed_is_narrow(node, w, &t) : value_is_wanted_in_blocks(node->outputs[0]);
  if (!starts && !pays) return false;
  form->drops_attributes = true;
  block_as_inner(node, form, "ConvTranspose");
  if (starts) form->uses[0] = BLOCK_MAKE;
  if (form->plain_output) block_set_int(form, "plain_output", true);
  int64_t *strides = block_set_ints(form, "strides", 2), *pads = block_set_ints(form, "pads", 4);
  int64_t *extra = block_set_ints(form, "output_padding", 2);
  if (!strides || !pads || !extra) return false;
  memcpy(strides, t.strides, sizeof t.strides);
  memcpy(pads, t.pads, sizeof t.pads);
  memcpy(extra, t.extra, sizeof t.extra);
  return true;
}

const operator_descriptor operators_conv_transpose[] = {
    {
        .domain = "",
        .name = "ConvTranspose",
        .versions = {1, 11, 22},
        .min_inputs = 2,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1) | INPUT(2), OUTPUT(0)}},
        .attributes = conv_transpose_attributes,
        .state_size = sizeof(conv_transpose_state),
        .read = conv_transpose_read,
        .infer = conv_transpose_infer,
        .prepare = conv_transpose_prepare,
        .facts = {.dimension = fact_dimension_batch,
                  .linear = conv_transpose_linear,
                  .packs = INPUT(1),
                  .store = {.residual = TYPE_BIT(NORMA_FLOAT), .activation = TYPE_BIT(NORMA_FLOAT)},
                  .block = conv_transpose_block,
                  .block_types = TYPE_BIT(NORMA_FLOAT)},
        .compute = conv_transpose_compute,
    },
    {0},
};
