#include "engine/passes/shape_relation.h"

#include "engine/graph/query.h"
#include "ops/operator.h"

/* A dimension is followed from node to node (facts.dimension) back to where it is not known to come from another: it is
 * floor((size + offset) / stride) of that root. Windows of convolutions and pools have this form,
 *   floor((size + pads - dilation * (kernel - 1) - 1) / stride) + 1,
 * and so do chains of them: floor((floor((x + a) / s) + b) / t) = floor((x + a + b * s) / (s * t)). */
typedef struct dimension {
  const graph_value *value; /* the root */
  int axis;
  int64_t offset, stride;
} dimension;

#define MOST_STEPS   4096
#define LARGEST_SIZE ((int64_t)1 << 40) /* keeps the products in range */

/* Puts floor((size + offset) / stride) in front of what stands. */
static bool dimension_prepend(dimension *d, int64_t offset, int64_t stride) {
  if (offset > LARGEST_SIZE || offset < -LARGEST_SIZE || stride < 1 || stride > LARGEST_SIZE / d->stride) return false;
  if (d->offset > LARGEST_SIZE / stride || d->offset < -LARGEST_SIZE / stride) return false;
  d->offset = offset + d->offset * stride;
  d->stride *= stride;
  return true;
}

/* Of broadcast inputs, the one that is not of size 1 here where the others are. */
static bool find_broadcast_source(const node *node, int axis, dimension_source *source) {
  const int rank = node->outputs[0]->info.shape.rank;
  *source = (dimension_source){.input = -1, .stride = 1};
  for (int i = 0; i < node->input_count; i++) {
    const shape *x = node_input_shape(node, i);
    if (x->rank == RANK_UNKNOWN) return false;
    const int own = axis - rank + x->rank;
    if (own < 0 || x->dims[own] == 1) continue;
    if (source->input >= 0) return false;
    source->input = i;
    source->axis = own;
  }
  return source->input >= 0;
}

static bool find_source(const node *node, int output, int axis, dimension_source *source) {
  elementwise_form form;
  const operator_facts *facts = &node->op->facts;
  if (facts->dimension) return facts->dimension(node, output, axis, source);
  if (output != 0) return false;
  if (node->op->infer == infer_same) return fact_dimension_same(node, output, axis, source);
  if (!facts->elementwise || !facts->elementwise(node, &form)) return false;
  if (form.kind == ELEMENTWISE_UNARY) return fact_dimension_same(node, output, axis, source);
  return form.numpy && find_broadcast_source(node, axis, source);
}

static bool step_back(dimension *d) {
  const node *node = d->value->producer;
  dimension_source source;
  if (!node || !node->op || !node_has_input(node, 0)) return false;
  if (!find_source(node, d->value->producer_index, d->axis, &source)) return false;
  if (!node_has_input(node, source.input)) return false;
  d->value = node->inputs[source.input];
  d->axis = source.axis;
  return dimension_prepend(d, source.offset, source.stride);
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
