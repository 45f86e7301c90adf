/*
 * Derivatives of matrix products and convolutions.
 *
 *   Gemm     Y = alpha A B + beta C      dA = alpha g B^T, dB = alpha A^T g, dC = beta g
 *   MatMul   the same for the last two axes, summed over axes that were broadcast
 *   Conv     dX is the transposed convolution of g with W. dW is a convolution too: channels and batch of X change
 *            places, g is the kernel, strides and dilations change places.
 *   ConvTranspose  is the gradient of a Conv with respect to its input: dX is that Conv of g, dW its dW with g as the
 *            picture and X as the gradient.
 */
#include "ops/training/gradient.h"
#include "ops/window.h"

/* ----------------------------------------------------------------------------------------------------- Gemm, MatMul */

static graph_value *gradient_gemm_product(gradient_builder *b, const node *n, graph_value *left, bool turns_left,
                                          graph_value *right, bool turns_right) {
  graph_value *product = gradient_make(b, "Gemm", 2, left, right);
  gradient_set_int(b, product, "transA", turns_left);
  gradient_set_int(b, product, "transB", turns_right);
  return gradient_times(b, product, n->outputs[0], (double)attribute_float(n, "alpha", 1));
}

static void gradient_of_gemm(gradient_builder *b, const node *n, graph_value *const *of_outputs, graph_value **dx) {
  graph_value *g = of_outputs[0], *left = n->inputs[0], *right = n->inputs[1];
  const bool turns_left = attribute_int(n, "transA", 0) != 0, turns_right = attribute_int(n, "transB", 0) != 0;
  if (b->wanted[0] && turns_left) dx[0] = gradient_gemm_product(b, n, right, turns_right, g, true);
  if (b->wanted[0] && !turns_left) dx[0] = gradient_gemm_product(b, n, g, false, right, !turns_right);
  if (b->wanted[1] && turns_right) dx[1] = gradient_gemm_product(b, n, g, true, left, turns_left);
  if (b->wanted[1] && !turns_right) dx[1] = gradient_gemm_product(b, n, left, !turns_left, g, false);
  if (n->input_count < 3 || !b->wanted[2]) return;
  dx[2] = gradient_sum_to(b, gradient_times(b, g, n->outputs[0], (double)attribute_float(n, "beta", 1)), n->inputs[2]);
}

static graph_value *gradient_turned(gradient_builder *b, graph_value *value, int rank) {
  int64_t order[NORMA_MAX_RANK];
  for (int i = 0; i < rank; i++) order[i] = i;
  order[rank - 2] = rank - 1;
  order[rank - 1] = rank - 2;
  graph_value *turned = gradient_make(b, "Transpose", 1, value);
  gradient_set_ints(b, turned, "perm", order, rank);
  return turned;
}

static graph_value *gradient_unsqueezed(gradient_builder *b, graph_value *value, int64_t axis) {
  return gradient_make(b, "Unsqueeze", 2, value, gradient_list(b, &axis, 1));
}

/* A vector on the left is a matrix of one row, one on the right a matrix of one column. */
static void gradient_of_matmul(gradient_builder *b, const node *n, graph_value *const *of_outputs, graph_value **dx) {
  graph_value *g = of_outputs[0], *left = n->inputs[0], *right = n->inputs[1];
  const int left_rank = gradient_rank(b, left), right_rank = gradient_rank(b, right);
  if (b->status != NORMA_OK) return;
  graph_value *wide_left = left_rank == 1 ? gradient_unsqueezed(b, left, 0) : left;
  graph_value *wide_right = right_rank == 1 ? gradient_unsqueezed(b, right, 1) : right;
  if (right_rank == 1) g = gradient_unsqueezed(b, g, -1);
  if (left_rank == 1) g = gradient_unsqueezed(b, g, -2);
  const int wide_left_rank = left_rank == 1 ? 2 : left_rank, wide_right_rank = right_rank == 1 ? 2 : right_rank;
  if (b->wanted[0]) {
    graph_value *product = gradient_make(b, "MatMul", 2, g, gradient_turned(b, wide_right, wide_right_rank));
    product = gradient_sum_to(b, product, wide_left);
    dx[0] = left_rank == 1 ? gradient_reshape(b, product, left) : product;
  }
  if (b->wanted[1]) {
    graph_value *product = gradient_make(b, "MatMul", 2, gradient_turned(b, wide_left, wide_left_rank), g);
    product = gradient_sum_to(b, product, wide_right);
    dx[1] = right_rank == 1 ? gradient_reshape(b, product, right) : product;
  }
}

/* ------------------------------------------------------------------------------------------------------------- Conv */

/* The window of a Conv, whose sizes must be known but for those of the batch and of channels. */
static bool gradient_conv_window(gradient_builder *b, const node *n, window *window) {
  window_attributes attributes;
  char message[WINDOW_MESSAGE_SIZE];
  const int rank = gradient_rank(b, n->inputs[0]);
  if (b->status != NORMA_OK || gradient_rank(b, n->inputs[1]) != rank || rank < 3) return false;
  const int64_t *x = n->inputs[0]->info.shape.dims + 2, *w = n->inputs[1]->info.shape.dims + 2;
  b->status = window_read(n, &attributes, b->error);
  if (b->status != NORMA_OK) return false;
  if (!window_resolve(&attributes, rank - 2, x, w, window, message)) {
    gradient_refuse(b, "%s", message);
    return false;
  }
  for (int d = 0; d < window->axes; d++) {
    if (window->input[d] == DIM_UNKNOWN || window->kernel[d] == DIM_UNKNOWN) {
      gradient_refuse(b, "sizes of the picture or of the kernel are not known when the model is loaded");
      return false;
    }
  }
  return true;
}

static void gradient_set_window(gradient_builder *b, graph_value *value, const int64_t *strides,
                                const int64_t *dilations, const int64_t *begin, const int64_t *end, int axes) {
  int64_t pads[2 * NORMA_MAX_RANK];
  for (int d = 0; d < axes; d++) {
    pads[d] = begin[d];
    pads[axes + d] = end[d];
  }
  gradient_set_ints(b, value, "strides", strides, axes);
  gradient_set_ints(b, value, "dilations", dilations, axes);
  gradient_set_ints(b, value, "pads", pads, 2 * axes);
}

/* The transposed convolution ends where the last window ends; inputs behind that, which no window reads, are added as
 * output padding. They are fewer than the stride. */
static graph_value *gradient_conv_input(gradient_builder *b, const node *n, const window *w, graph_value *g) {
  int64_t beyond[NORMA_MAX_RANK], end[NORMA_MAX_RANK];
  for (int d = 0; d < w->axes; d++) {
    const int64_t covered = (w->output[d] - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] + 1;
    const int64_t left = w->input[d] + w->pad_begin[d] - covered; /* negative: the last window ends in the padding */
    end[d] = left < 0 ? -left : 0;
    beyond[d] = left > 0 ? left : 0;
  }
  graph_value *made = gradient_make(b, "ConvTranspose", 2, g, n->inputs[1]);
  gradient_set_window(b, made, w->stride, w->dilation, w->pad_begin, end, w->axes);
  gradient_set_ints(b, made, "output_padding", beyond, w->axes);
  gradient_set_int(b, made, "group", attribute_int(n, "group", 1));
  return made;
}

/* The picture x [N, G I, ..] as [I, G N, ..]. */
static graph_value *gradient_conv_batch(gradient_builder *b, const node *n, const window *w, graph_value *x,
                                        int64_t groups) {
  int64_t order[NORMA_MAX_RANK], sizes[NORMA_MAX_RANK];
  const int64_t channels = n->inputs[1]->info.shape.dims[1];
  const int rank = w->axes + 2;
  if (groups > 1 && channels == DIM_UNKNOWN) gradient_refuse(b, "the number of channels is not known at load");
  if (groups > 1 && rank == NORMA_MAX_RANK) gradient_refuse(b, "too many axes");
  for (int i = 0; i <= rank && i < NORMA_MAX_RANK; i++) order[i] = i;
  if (groups == 1) {
    graph_value *turned = gradient_make(b, "Transpose", 1, x);
    order[0] = 1;
    order[1] = 0;
    gradient_set_ints(b, turned, "perm", order, rank);
    return turned;
  }
  if (b->status != NORMA_OK) return NULL;
  sizes[0] = 0; /* as it is */
  sizes[1] = groups;
  sizes[2] = channels;
  for (int d = 0; d < w->axes; d++) sizes[3 + d] = w->input[d];
  graph_value *parted = gradient_make(b, "Reshape", 2, x, gradient_list(b, sizes, rank + 1));
  graph_value *turned = gradient_make(b, "Transpose", 1, parted);
  order[0] = 2;
  order[2] = 0;
  gradient_set_ints(b, turned, "perm", order, rank + 1);
  sizes[0] = channels;
  sizes[1] = -1;
  for (int d = 0; d < w->axes; d++) sizes[2 + d] = w->input[d];
  return gradient_make(b, "Reshape", 2, turned, gradient_list(b, sizes, rank));
}

static graph_value *gradient_conv_turned(gradient_builder *b, graph_value *value, int rank) {
  int64_t order[NORMA_MAX_RANK] = {1, 0};
  for (int i = 2; i < rank; i++) order[i] = i;
  graph_value *turned = gradient_make(b, "Transpose", 1, value);
  gradient_set_ints(b, turned, "perm", order, rank);
  return turned;
}

/* Of the weights of a Conv from the picture x, whose outputs have the gradient g. */
static graph_value *gradient_conv_weights(gradient_builder *b, const node *n, const window *w, graph_value *x,
                                          graph_value *g) {
  const int64_t groups = attribute_int(n, "group", 1);
  const int rank = w->axes + 2;
  int64_t begins[NORMA_MAX_RANK] = {0}, axes[NORMA_MAX_RANK];
  graph_value *batch = gradient_conv_batch(b, n, w, x, groups);
  graph_value *made = gradient_make(b, "Conv", 2, batch, gradient_conv_turned(b, g, rank));
  gradient_set_window(b, made, w->dilation, w->stride, w->pad_begin, w->pad_end, w->axes);
  gradient_set_int(b, made, "group", groups);
  made = gradient_conv_turned(b, made, rank);
  /* where windows do not reach the end of the picture there are more results than taps */
  for (int d = 0; d < w->axes; d++) axes[d] = 2 + d;
  return gradient_make(b, "Slice", 4, made, gradient_list(b, begins, w->axes), gradient_list(b, w->kernel, w->axes),
                       gradient_list(b, axes, w->axes));
}

static graph_value *gradient_conv_bias(gradient_builder *b, const window *w, graph_value *g) {
  int64_t axes[NORMA_MAX_RANK] = {0};
  for (int d = 0; d < w->axes; d++) axes[1 + d] = 2 + d;
  return gradient_reduce(b, g, axes, w->axes + 1, false);
}

static void gradient_of_conv(gradient_builder *b, const node *n, graph_value *const *of_outputs, graph_value **dx) {
  window window;
  if (!gradient_conv_window(b, n, &window)) return;
  if (b->wanted[0]) dx[0] = gradient_conv_input(b, n, &window, of_outputs[0]);
  if (b->wanted[1]) dx[1] = gradient_conv_weights(b, n, &window, n->inputs[0], of_outputs[0]);
  if (n->input_count > 2 && b->wanted[2]) dx[2] = gradient_conv_bias(b, &window, of_outputs[0]);
}

/* ---------------------------------------------------------------------------------------------------- ConvTranspose */

/* The window of the Conv whose gradient the node is. */
static bool gradient_transposed_window(gradient_builder *b, const node *n, window *w) {
  window_attributes attributes;
  char message[WINDOW_MESSAGE_SIZE];
  size_t count;
  const int rank = gradient_rank(b, n->inputs[0]);
  if (b->status != NORMA_OK || gradient_rank(b, n->inputs[1]) != rank || rank < 3) return false;
  if (gradient_rank(b, n->outputs[0]) != rank) return false;
  b->status = window_read(n, &attributes, b->error);
  if (b->status != NORMA_OK) return false;
  const int64_t *y = n->outputs[0]->info.shape.dims + 2, *kernel = n->inputs[1]->info.shape.dims + 2;
  const int64_t *beyond = attribute_ints(n, "output_padding", &count);
  if (attributes.padding == WINDOW_SAME_UPPER || attributes.padding == WINDOW_SAME_LOWER ||
      node_attribute(n, "output_shape")) {
    gradient_refuse(b, "with auto_pad or output_shape");
    return false;
  }
  if (!window_resolve(&attributes, rank - 2, y, kernel, w, message)) {
    gradient_refuse(b, "%s", message);
    return false;
  }
  for (int d = 0; d < w->axes; d++) {
    if (w->input[d] == DIM_UNKNOWN || w->kernel[d] == DIM_UNKNOWN) {
      gradient_refuse(b, "sizes of the picture or of the kernel are not known when the model is loaded");
    } else if ((size_t)d < count && beyond[d] >= w->stride[d]) {
      gradient_refuse(b, "output_padding is not below the stride");
    }
  }
  return b->status == NORMA_OK;
}

static void gradient_of_conv_transpose(gradient_builder *b, const node *n, graph_value *const *of_outputs,
                                       graph_value **dx) {
  window window;
  graph_value *g = of_outputs[0];
  if (!gradient_transposed_window(b, n, &window)) return;
  if (b->wanted[0]) {
    dx[0] = gradient_make(b, "Conv", 2, g, n->inputs[1]);
    gradient_set_window(b, dx[0], window.stride, window.dilation, window.pad_begin, window.pad_end, window.axes);
    gradient_set_int(b, dx[0], "group", attribute_int(n, "group", 1));
  }
  if (b->wanted[1]) dx[1] = gradient_conv_weights(b, n, &window, g, n->inputs[0]);
  if (n->input_count > 2 && b->wanted[2]) dx[2] = gradient_conv_bias(b, &window, g);
}

const gradient_entry gradient_of_products[] = {
    {"Gemm", 7, gradient_of_gemm},
    {"MatMul", 1, gradient_of_matmul},
    {"Conv", 1, gradient_of_conv},
    {"ConvTranspose", 1, gradient_of_conv_transpose},
    {0},
};
