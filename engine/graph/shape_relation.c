#include "engine/graph/shape_relation.h"

#include "ops/operator.h"

/*
 * A dimension is followed from node to node back to where it is not known to come from another: it is
 * floor((size + offset) / stride) of that root. Windows of convolutions and pools have this form,
 *   floor((size + pads - dilation * (kernel - 1) - 1) / stride) + 1,
 * and so do chains of them: floor((floor((x + a) / s) + b) / t) = floor((x + a + b * s) / (s * t)).
 */
typedef struct dimension {
  const graph_value *value; /* the root */
  int axis;
  int64_t offset, stride;
} dimension;

#define MOST_STEPS   4096
#define LARGEST_SIZE ((int64_t)1 << 40) /* keeps the products in range */

static bool is(const node *node, const char *op_type) {
  return node->op && node->domain[0] == '\0' && strcmp(node->op_type, op_type) == 0;
}

static bool is_any(const node *node, const char *const *op_types) {
  for (; *op_types; op_types++) {
    if (is(node, *op_types)) return true;
  }
  return false;
}

/* Puts floor((size + offset) / stride) in front of what stands. */
static bool dimension_prepend(dimension *d, int64_t offset, int64_t stride) {
  if (offset > LARGEST_SIZE || offset < -LARGEST_SIZE || stride > LARGEST_SIZE / d->stride) return false;
  if (d->offset > LARGEST_SIZE / stride || d->offset < -LARGEST_SIZE / stride) return false;
  d->offset = offset + d->offset * stride;
  d->stride *= stride;
  return true;
}

static int64_t list_element(const node *node, const char *name, int index, int64_t otherwise) {
  size_t count;
  const int64_t *list = attribute_ints(node, name, &count);
  return list && index >= 0 && (size_t)index < count ? list[index] : otherwise;
}

/* A convolution or pool: the size of its window along a spatial axis. */
static bool window_step(const node *node, dimension *d) {
  const shape *x = &node->inputs[0]->info.shape;
  int i = d->axis - 2;
  size_t count;
  attribute_ints(node, "pads", &count);
  int64_t kernel = list_element(node, "kernel_shape", i, DIM_UNKNOWN), stride = list_element(node, "strides", i, 1);
  if (is(node, "Conv") && node->inputs[1]->info.shape.rank == x->rank) kernel = node->inputs[1]->info.shape.dims[i + 2];
  const char *automatic = attribute_string(node, "auto_pad", "NOTSET");
  int64_t spread = list_element(node, "dilations", i, 1) * (kernel - 1), pads = 0;
  if (kernel < 1 || kernel > LARGEST_SIZE || stride < 1 || attribute_int(node, "ceil_mode", 0) != 0) return false;
  if (strncmp(automatic, "SAME", 4) == 0)
    pads = spread;
  else if (strcmp(automatic, "NOTSET") == 0)
    pads = list_element(node, "pads", i, 0) + list_element(node, "pads", i + (int)count / 2, 0);
  d->value = node->inputs[0];
  return dimension_prepend(d, pads - spread - 1 + stride, stride);
}

static bool transpose_step(const node *node, dimension *d) {
  int rank = node->inputs[0]->info.shape.rank;
  int64_t axis = list_element(node, "perm", d->axis, rank - 1 - d->axis);
  if (rank == RANK_UNKNOWN || axis < 0 || axis >= rank) return false;
  d->value = node->inputs[0];
  d->axis = (int)axis;
  return true;
}

/* Of broadcast inputs, the one that is not of size 1 here where the others are. */
static bool broadcast_step(const node *node, dimension *d) {
  int rank = node->outputs[0]->info.shape.rank;
  const graph_value *source = NULL;
  int source_axis = 0;
  if (node->version < 7) return false;
  for (int i = 0; i < node->input_count; i++) {
    const shape *x = node->inputs[i] ? &node->inputs[i]->info.shape : NULL;
    if (!x || x->rank == RANK_UNKNOWN) return false;
    int axis = d->axis - rank + x->rank;
    if (axis < 0 || x->dims[axis] == 1) continue;
    if (source) return false;
    source = node->inputs[i];
    source_axis = axis;
  }
  if (!source) return false;
  d->value = source;
  d->axis = source_axis;
  return true;
}

static bool step_back(dimension *d) {
  static const char *const windows[] = {"Conv", "MaxPool", "AveragePool", "LpPool", NULL};
  static const char *const alike[] = {"BatchNormalization",
                                      "Clip",
                                      "Cast",
                                      "Dropout",
                                      "LRN",
                                      "PRelu",
                                      "InstanceNormalization",
                                      "Softmax",
                                      "LogSoftmax",
                                      "LpNormalization",
                                      "LayerNormalization",
                                      "GroupNormalization",
                                      NULL};
  static const char *const broadcast[] = {"Add", "Sub", "Mul", "Div", "Sum", "Max", "Min", "Mean", "Pow", NULL};
  static const char *const global[] = {"ConvTranspose", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", NULL};
  const node *node = d->value->producer;
  if (!node || !node->op || d->value->producer_index != 0 || node->input_count == 0 || !node->inputs[0]) return false;
  if (node->op->infer == infer_same || is_any(node, alike)) {
    d->value = node->inputs[0];
    return true;
  }
  if (is_any(node, windows) && d->axis >= 2) return window_step(node, d);
  if ((is_any(node, windows) || is_any(node, global)) && d->axis == 0) {
    d->value = node->inputs[0];
    return true;
  }
  if ((is(node, "MaxPool") || is(node, "AveragePool") || is(node, "LpPool")) && d->axis == 1) {
    d->value = node->inputs[0];
    return true;
  }
  if (is(node, "Transpose")) return transpose_step(node, d);
  return is_any(node, broadcast) && broadcast_step(node, d);
}

static dimension follow(const graph_value *value, int axis) {
  dimension d = {value, axis, 0, 1};
  for (int i = 0; i < MOST_STEPS; i++) {
    dimension before = d;
    if (step_back(&d)) continue;
    d = before;
    break;
  }
  return d;
}

static bool same_dimension(const graph_value *a, const graph_value *b, int axis) {
  int64_t of_a = a->info.shape.dims[axis], of_b = b->info.shape.dims[axis];
  if (of_a != DIM_UNKNOWN || of_b != DIM_UNKNOWN) return of_a == of_b;
  dimension from_a = follow(a, axis), from_b = follow(b, axis);
  return from_a.value == from_b.value && from_a.axis == from_b.axis && from_a.offset == from_b.offset &&
         from_a.stride == from_b.stride;
}

bool values_have_same_shape(const graph_value *a, const graph_value *b) {
  if (a->info.kind != NORMA_VALUE_TENSOR || b->info.kind != NORMA_VALUE_TENSOR) return false;
  int rank = a->info.shape.rank;
  if (rank == RANK_UNKNOWN || rank != b->info.shape.rank) return false;
  for (int i = 0; i < rank; i++) {
    if (!same_dimension(a, b, i)) return false;
  }
  return true;
}
