/*
 * Derivatives of operators that move elements.
 *
 * Those that keep the order give the gradient back in the old shape. The others are applied to the positions 0, 1, 2 ..
 * of their input's elements, which tells where each element of the output came from: ScatterSum (gradient_steps.c) adds
 * its gradient there. What padding put in has position -1, which is left out.
 */
#include "ops/training/gradient.h"

static void gradient_of_reshaped(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  if (b->wanted[0]) dx[0] = gradient_reshape(b, g[0], n->inputs[0]);
}

static void gradient_of_expand(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  if (b->wanted[0]) dx[0] = gradient_sum_to(b, g[0], n->inputs[0]);
}

static void gradient_of_transpose(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  size_t count;
  const int64_t *order = attribute_ints(n, "perm", &count);
  int64_t back[NORMA_MAX_RANK] = {0};
  for (size_t i = 0; i < count && count <= NORMA_MAX_RANK; i++) {
    if (order[i] >= 0 && order[i] < (int64_t)count) back[order[i]] = (int64_t)i;
  }
  dx[0] = gradient_make(b, "Transpose", 1, g[0]);
  if (order) gradient_set_ints(b, dx[0], "perm", back, (int)count);
}

static int gradient_axis(gradient_builder *b, const node *n, int64_t otherwise) {
  const int rank = gradient_rank(b, n->inputs[0]);
  int axis = 0;
  if (rank >= 0 && !axis_normalize(attribute_int(n, "axis", otherwise), rank, &axis)) {
    gradient_refuse(b, "axis is outside of the rank");
  }
  return axis;
}

/* The gradient is cut into pieces as long as the inputs. */
static void gradient_of_concat(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  const int axis = gradient_axis(b, n, 1);
  graph_value *start = gradient_list(b, (int64_t[]){0}, 1), *along = gradient_list(b, (int64_t[]){axis}, 1);
  for (int i = 0; i < n->input_count && b->status == NORMA_OK; i++) {
    graph_value *end = gradient_sum(b, start, gradient_dims(b, n->inputs[i], axis, axis + 1));
    if (b->wanted[i]) dx[i] = gradient_make(b, "Slice", 4, g[0], start, end, along);
    start = end;
  }
}

static void gradient_of_split(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  const int axis = gradient_axis(b, n, 0);
  if (b->status != NORMA_OK) return;
  graph_value **pieces = region_array(b->graph->region, (size_t)n->output_count, sizeof(graph_value *));
  if (!pieces) {
    b->status = region_error(b->graph->region, b->error);
    return;
  }
  for (int i = 0; i < n->output_count; i++) {
    if (!n->outputs[i]) {
      gradient_refuse(b, "output %d is absent", i);
      return;
    }
    pieces[i] = g[i] ? g[i] : gradient_expand(b, gradient_number(b, n->inputs[0], 0), n->outputs[i]);
  }
  node *joined = gradient_make_node(b, "Concat", "", n->output_count, pieces, 1);
  if (!joined) return;
  gradient_set_int(b, joined->outputs[0], "axis", axis);
  dx[0] = joined->outputs[0];
}

/* The node applied to positions: its attributes, its opset and its inputs behind the first one. */
static graph_value *gradient_positions(gradient_builder *b, const node *n, graph_value *filling, int filling_input) {
  graph_value *values[8] = {gradient_make_inner(b, "Positions", 1, n->inputs[0])};
  int count = n->input_count > filling_input ? n->input_count : filling_input + 1;
  if (!filling) count = n->input_count;
  if (count > 8) gradient_refuse(b, "too many inputs");
  for (int i = 1; i < n->input_count && i < 8; i++) values[i] = n->inputs[i];
  if (filling) values[filling_input] = filling;
  node *moved = gradient_make_node(b, n->op_type, "", count, values, 1);
  gradient_copy_attributes(b, moved, n);
  if (!moved) return NULL;
  moved->opset = n->opset;
  return moved->outputs[0];
}

static void gradient_of_moved(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  if (b->wanted[0])
    dx[0] = gradient_make_inner(b, "ScatterSum", 3, g[0], gradient_positions(b, n, NULL, 0), n->inputs[0]);
}

static void gradient_of_pad(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  if (n->input_count > 2 && b->wanted[2]) gradient_refuse(b, "with respect to the value of padding");
  graph_value *outside = gradient_make(b, "Squeeze", 1, gradient_list(b, (int64_t[]){-1}, 1));
  graph_value *positions = gradient_positions(b, n, outside, 2);
  if (b->wanted[0]) dx[0] = gradient_make_inner(b, "ScatterSum", 3, g[0], positions, n->inputs[0]);
}

/* ---------------------------------------------------------------------------------------------------- linear in x */

/* The operator applied to g, with the node's other inputs and attributes. */
static graph_value *gradient_moved_alike(gradient_builder *b, const node *n, graph_value *g) {
  graph_value *values[2] = {g, n->input_count > 1 ? n->inputs[1] : NULL};
  node *made = gradient_make_node(b, n->op_type, "", values[1] ? 2 : 1, values, 1);
  if (!made) return NULL;
  gradient_copy_attributes(b, made, n);
  return made->outputs[0];
}

static void gradient_of_trilu(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  if (b->wanted[0]) dx[0] = gradient_moved_alike(b, n, g[0]);
}

/* An element is in the sums from its place on: those sums' gradients are summed from the other end. */
static void gradient_of_cumulative_sum(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  if (!b->wanted[0]) return;
  dx[0] = gradient_moved_alike(b, n, g[0]);
  gradient_set_int(b, dx[0], "reverse", !attribute_int(n, "reverse", 0));
}

const gradient_entry gradient_of_movements[] = {
    {"Reshape", 1, gradient_of_reshaped},
    {"Flatten", 1, gradient_of_reshaped},
    {"Squeeze", 1, gradient_of_reshaped},
    {"Unsqueeze", 1, gradient_of_reshaped},
    {"Expand", 8, gradient_of_expand},
    {"Transpose", 1, gradient_of_transpose},
    {"Concat", 4, gradient_of_concat},
    {"Split", 2, gradient_of_split},
    {"Slice", 1, gradient_of_moved},
    {"Gather", 1, gradient_of_moved},
    {"GatherElements", 11, gradient_of_moved},
    {"GatherND", 11, gradient_of_moved},
    {"Tile", 6, gradient_of_moved},
    {"DepthToSpace", 1, gradient_of_moved},
    {"SpaceToDepth", 1, gradient_of_moved},
    {"ReverseSequence", 10, gradient_of_moved},
    {"Compress", 9, gradient_of_moved},
    {"Trilu", 14, gradient_of_trilu},
    {"CumSum", 11, gradient_of_cumulative_sum},
    {"Pad", 11, gradient_of_pad},
    {0},
};
