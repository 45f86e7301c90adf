/* ConvTranspose on channel blocks, where ops/convolution/blocked_conv_transpose.c can compute it; see
 * engine/passes/channel_layout.h. */
#include "engine/passes/channel_layout.h"

#include "ops/blocked.h"

#define MOST_TAPS 4096 /* of a kernel: kernels on blocks compute no less than a row of outputs between questions */

/* What the inner operator is told. */
typedef struct transposed {
  int64_t strides[2], pads[4], extra[2];
} transposed;

/* Pads and output_padding of an axis that states what the output shall be: both sizes must be known. */
static bool resolve_wanted(const window_attributes *a, transposed *t, int d, int64_t x, int64_t y, int64_t kernel) {
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
static bool phases_fit(const transposed *t, const int64_t *kernel) {
  for (int d = 0; d < 2; d++) {
    int64_t stride = t->strides[d];
    if (kernel[d] < stride || t->pads[d] > kernel[d]) return false;
    for (int64_t first = 0; first < stride; first++) {
      int64_t place = first + t->pads[d], taps = (kernel[d] - place % stride + stride - 1) / stride;
      if (taps - 1 < place / stride) return false;
    }
  }
  return true;
}

static bool read_transposed(const layout *layout, transposed *t) {
  const node *node = layout->node;
  const shape *x = &node->inputs[0]->info.shape, *y = &node->outputs[0]->info.shape;
  const norma_tensor *w = node_constant_input(node, 1);
  window_attributes a = {0};
  norma_error ignored;
  size_t extras, wanted;
  const int64_t *extra = attribute_ints(node, "output_padding", &extras);
  attribute_ints(node, "output_shape", &wanted);
  if (window_read(node, &a, &ignored) != NORMA_OK || (a.axes && a.axes != 2) || (extras && extras != 2)) return false;
  for (int d = 0; d < 2; d++) {
    bool given = a.axes && a.padding == WINDOW_PADS_GIVEN;
    int64_t kernel = w->dims[2 + d];
    if (a.axes && a.dilation[d] != 1) return false;
    t->strides[d] = a.axes ? a.stride[d] : 1;
    t->extra[d] = extras ? extra[d] : 0;
    t->pads[d] = given ? a.pad_begin[d] : 0;
    t->pads[2 + d] = given ? a.pad_end[d] : 0;
    if (kernel < 1 || kernel > MOST_TAPS || t->strides[d] > BLOCKED_MOST_PHASES || t->extra[d] > INT32_MAX ||
        t->pads[2 + d] > INT32_MAX)
      return false;
    if ((wanted || a.padding == WINDOW_SAME_UPPER || a.padding == WINDOW_SAME_LOWER) &&
        !resolve_wanted(&a, t, d, x->dims[2 + d], y->dims[2 + d], kernel))
      return false;
  }
  return w->dims[2] * w->dims[3] <= MOST_TAPS && t->strides[0] * t->strides[1] <= BLOCKED_MOST_PHASES &&
         phases_fit(t, w->dims + 2);
}

/* Few outputs, whose taps do not overlap: they share blocks, and the result is plain. */
static bool is_narrow(const layout *layout, const transposed *t) {
  const node *node = layout->node;
  const norma_tensor *w = node_constant_input(node, 1);
  if (layout_fills_blocks(layout, w->dims[1]) || node->epilogue.residual_input) return false;
  for (int d = 0; d < 2; d++) {
    if (w->dims[2 + d] != t->strides[d] || t->pads[d] || t->pads[2 + d] || t->extra[d]) return false;
  }
  return true;
}

static bool conv_transpose_fits(const layout *layout) {
  const node *node = layout->node;
  const norma_tensor *w = node_constant_input(node, 1);
  transposed t;
  if (!layout_follows_block(layout) || attribute_int(node, "group", 1) != 1 || !w || w->rank != 4) return false;
  if (node->input_count > 2 && node->inputs[2] && !node_constant_input(node, 2)) return false;
  int residual = node->epilogue.residual_input;
  if (residual && (residual != 3 || !layout_is_blockable(node->inputs[residual]))) return false;
  int64_t channels = node->inputs[0]->info.shape.dims[1], outputs = node->outputs[0]->info.shape.dims[1];
  if (w->dims[0] != channels || w->dims[1] != outputs || !read_transposed(layout, &t)) return false;
  if (layout_fills_blocks(layout, outputs)) return layout_is_wanted(node->outputs[0]);
  return is_narrow(layout, &t);
}

static norma_status convert_conv_transpose(layout *layout) {
  node *node = layout->node;
  int residual = node->epilogue.residual_input;
  transposed t;
  read_transposed(layout, &t);
  bool narrow = is_narrow(layout, &t);
  node->attribute_count = 0;
  if (!node_set_attribute_ints(node, "strides", t.strides, 2) || !node_set_attribute_ints(node, "pads", t.pads, 4) ||
      !node_set_attribute_ints(node, "output_padding", t.extra, 2) ||
      !node_set_attribute_int(node, "block", layout->block) ||
      (narrow && !node_set_attribute_int(node, "plain_output", true)) ||
      !node_set_attribute_int(node, "channels", node->inputs[0]->info.shape.dims[1]))
    return layout_out_of_memory(layout);
  if (residual) {
    graph_value *twin;
    TRY(layout_need_twin(layout, node->inputs[residual], &twin));
    node_set_input(node, residual, twin);
  }
  node_set_input(node, 0, layout_twin(layout, node->inputs[0]));
  TRY(layout_make_inner(layout));
  return narrow ? NORMA_OK : layout_give_output(layout);
}

const layout_conversion layout_conv_transpose[] = {
    {"ConvTranspose", conv_transpose_fits, convert_conv_transpose},
    {NULL, NULL, NULL},
};
