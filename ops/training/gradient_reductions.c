/*
 * Derivatives of reductions. g and y get back the axes that were removed, as sizes of 1:
 *
 *   ReduceSum g, ReduceMean g / count, ReduceSumSquare 2 x g, ReduceL1 sign(x) g, ReduceL2 x g / y,
 *   ReduceLogSum g / exp(y), ReduceLogSumExp exp(x - y) g, ReduceMax, ReduceMin g shared by the elements that equal y,
 *   ReduceProd g times the product of the other elements
 *
 * GlobalAveragePool and GlobalMaxPool are ReduceMean and ReduceMax.
 */
#include "ops/training/gradient.h"

/* `value` of the shape of y with the removed axes back. */
static graph_value *gradient_reduced_axes(gradient_builder *b, const node *n, graph_value *value) {
  size_t count;
  const int64_t *axes = attribute_ints(n, "axes", &count);
  if (attribute_int(n, "keepdims", 1) != 0) return value;
  if (axes && count > 0 && count <= NORMA_MAX_RANK) {
    return gradient_make(b, "Unsqueeze", 2, value, gradient_list(b, axes, (int)count));
  }
  if (n->input_count < 2 || !n->inputs[1]) return value; /* all axes: a scalar; or none */
  const shape *list = &n->inputs[1]->info.shape;
  if (list->rank != 1 || list->dims[0] == DIM_UNKNOWN) gradient_refuse(b, "the number of axes is not known at load");
  return list->dims[0] == 0 ? value : gradient_make(b, "Unsqueeze", 2, value, n->inputs[1]);
}

static void gradient_of_reduce_sum(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  dx[0] = gradient_expand(b, gradient_reduced_axes(b, n, g[0]), n->inputs[0]);
}

/* What a mean is taken over: size of x / size of y. */
static graph_value *gradient_mean_share(gradient_builder *b, const node *n, graph_value *g) {
  graph_value *x = n->inputs[0], *y = n->outputs[0];
  graph_value *inputs = gradient_cast(b, gradient_make(b, "Size", 1, x), x);
  graph_value *outputs = gradient_cast(b, gradient_make(b, "Size", 1, y), x);
  return gradient_quotient(b, g, gradient_quotient(b, inputs, outputs));
}

static void gradient_of_reduce_mean(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *share = gradient_mean_share(b, n, g[0]);
  dx[0] = gradient_expand(b, gradient_reduced_axes(b, n, share), n->inputs[0]);
}

static void gradient_of_sum_square(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *x = n->inputs[0];
  dx[0] = gradient_product(b, gradient_times(b, x, x, 2), gradient_reduced_axes(b, n, g[0]));
}

static void gradient_of_l1(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  dx[0] = gradient_product(b, gradient_make(b, "Sign", 1, n->inputs[0]), gradient_reduced_axes(b, n, g[0]));
}

static void gradient_of_l2(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *part = gradient_reduced_axes(b, n, gradient_quotient(b, g[0], n->outputs[0]));
  dx[0] = gradient_product(b, n->inputs[0], part);
}

static void gradient_of_log_sum(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *part = gradient_quotient(b, g[0], gradient_make(b, "Exp", 1, n->outputs[0]));
  dx[0] = gradient_expand(b, gradient_reduced_axes(b, n, part), n->inputs[0]);
}

static void gradient_of_log_sum_exp(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *y = gradient_reduced_axes(b, n, n->outputs[0]);
  graph_value *share = gradient_make(b, "Exp", 1, gradient_difference(b, n->inputs[0], y));
  dx[0] = gradient_product(b, share, gradient_reduced_axes(b, n, g[0]));
}

/* Elements equal to their extreme share its gradient. */
static void gradient_of_reduce_extreme(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *x = n->inputs[0], *y = gradient_reduced_axes(b, n, n->outputs[0]);
  graph_value *mask = gradient_cast(b, gradient_make(b, "Equal", 2, x, y), x);
  graph_value *count = gradient_sum_to(b, mask, y);
  graph_value *share = gradient_quotient(b, gradient_reduced_axes(b, n, g[0]), count);
  dx[0] = gradient_product(b, mask, share);
}

/* What reduces `value` as the node reduces x, but keeps the axes. */
static graph_value *gradient_reduced_alike(gradient_builder *b, const node *n, const char *op_type,
                                           graph_value *value) {
  size_t count;
  const int64_t *axes = attribute_ints(n, "axes", &count);
  graph_value *list = n->input_count > 1 ? n->inputs[1] : NULL;
  if (axes && count > 0 && count <= NORMA_MAX_RANK) list = gradient_list(b, axes, (int)count);
  graph_value *made = list ? gradient_make(b, op_type, 2, value, list) : gradient_make(b, op_type, 1, value);
  gradient_set_int(b, made, "noop_with_empty_axes", attribute_int(n, "noop_with_empty_axes", 0));
  return made;
}

/* The product of the other elements is that of all but the zeros over x, where no other element is 0. */
static void gradient_of_reduce_prod(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *x = n->inputs[0], *none = gradient_number(b, x, 0), *one = gradient_number(b, x, 1);
  graph_value *is_zero = gradient_make(b, "Equal", 2, x, none), *zeros = gradient_cast(b, is_zero, x);
  graph_value *rest = gradient_make(b, "Where", 3, is_zero, one, x);
  graph_value *product = gradient_reduced_alike(b, n, "ReduceProd", rest);
  graph_value *others = gradient_difference(b, gradient_reduced_alike(b, n, "ReduceSum", zeros), zeros);
  graph_value *alone = gradient_cast(b, gradient_make(b, "Equal", 2, others, none), x);
  graph_value *share = gradient_product(b, gradient_quotient(b, product, rest), alone);
  dx[0] = gradient_product(b, share, gradient_reduced_axes(b, n, g[0]));
}

const gradient_entry gradient_of_reductions[] = {
    {"ReduceSum", 1, gradient_of_reduce_sum},
    {"ReduceMean", 1, gradient_of_reduce_mean},
    {"ReduceSumSquare", 1, gradient_of_sum_square},
    {"ReduceL1", 1, gradient_of_l1},
    {"ReduceL2", 1, gradient_of_l2},
    {"ReduceLogSum", 1, gradient_of_log_sum},
    {"ReduceLogSumExp", 1, gradient_of_log_sum_exp},
    {"ReduceProd", 1, gradient_of_reduce_prod},
    {"ReduceMax", 1, gradient_of_reduce_extreme},
    {"ReduceMin", 1, gradient_of_reduce_extreme},
    {"GlobalAveragePool", 1, gradient_of_reduce_mean},
    {"GlobalMaxPool", 1, gradient_of_reduce_extreme},
    {0},
};
