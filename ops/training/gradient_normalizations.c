/*
 * Derivatives of normalizations.
 *
 *   Softmax        y (g - sum(g y)), LogSoftmax  g - exp(y) sum(g), over the axes that are normalised together
 *   BatchNormalization, with x' = (x - m) / sqrt(v + epsilon), y = scale x' + bias, sums over all axes but channels:
 *     dscale = sum(g x'),  dbias = sum(g)
 *     inference  dx = g scale / sqrt(v + epsilon), dm = -sum(dx), dv = -dscale scale / (2 (v + epsilon))
 *     training   m and v are those of the batch, through which the gradient goes too:
 *                dx = scale / sqrt(v + epsilon) (g - mean(g) - x' mean(g x'))
 */
#include "ops/training/gradient.h"

/* The axes that a Softmax takes as one: all from `axis` on before version 13. */
static int gradient_softmax_axes(gradient_builder *b, const node *n, int64_t *axes) {
  const int rank = gradient_rank(b, n->inputs[0]);
  int axis, count = 0;
  if (rank < 0) return 0;
  if (!axis_normalize(attribute_int(n, "axis", n->version < 13 ? 1 : -1), rank, &axis)) {
    if (rank != 1 && rank != 0) gradient_refuse(b, "axis is outside of the rank");
    return 0;
  }
  for (int i = axis; i < (n->version < 13 ? rank : axis + 1); i++) axes[count++] = i;
  return count;
}

static void gradient_of_softmax(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  int64_t axes[NORMA_MAX_RANK];
  const int count = gradient_softmax_axes(b, n, axes);
  graph_value *y = n->outputs[0], *sum = gradient_reduce(b, gradient_product(b, g[0], y), axes, count, true);
  dx[0] = gradient_product(b, y, gradient_difference(b, g[0], sum));
}

static void gradient_of_log_softmax(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  int64_t axes[NORMA_MAX_RANK];
  const int count = gradient_softmax_axes(b, n, axes);
  graph_value *y = n->outputs[0], *sum = gradient_reduce(b, g[0], axes, count, true);
  dx[0] = gradient_difference(b, g[0], gradient_product(b, gradient_make(b, "Exp", 1, y), sum));
}

/* ----------------------------------------------------------------------------------------------- BatchNormalization */

typedef struct normalization_parts {
  gradient_builder *builder;
  const graph_value *x;
  int64_t axes[NORMA_MAX_RANK]; /* all but channels */
  int axis_count;
} normalization_parts;

/* One number for each channel, in the type of x and such that it is broadcast over x. */
static graph_value *gradient_by_channel(const normalization_parts *parts, graph_value *vector) {
  gradient_builder *b = parts->builder;
  int64_t sizes[NORMA_MAX_RANK] = {-1};
  for (int i = 1; i < parts->axis_count; i++) sizes[i] = 1;
  graph_value *cast = gradient_cast(b, vector, parts->x);
  return gradient_make(b, "Reshape", 2, cast, gradient_list(b, sizes, parts->axis_count));
}

static graph_value *gradient_channel_sum(const normalization_parts *parts, graph_value *value,
                                         const graph_value *like) {
  gradient_builder *b = parts->builder;
  return gradient_cast(b, gradient_reduce(b, value, parts->axes, parts->axis_count, false), like);
}

static graph_value *gradient_channel_mean(const normalization_parts *parts, graph_value *value) {
  gradient_builder *b = parts->builder;
  return gradient_make(b, "ReduceMean", 2, value, gradient_list(b, parts->axes, parts->axis_count));
}

static void gradient_batch_inference(const normalization_parts *parts, const node *n, graph_value *g,
                                     graph_value *scaled, graph_value *inverse, graph_value **dx) {
  gradient_builder *b = parts->builder;
  graph_value *part = gradient_product(b, g, gradient_product(b, gradient_by_channel(parts, n->inputs[1]), inverse));
  if (b->wanted[0]) dx[0] = part;
  if (b->wanted[3]) dx[3] = gradient_channel_sum(parts, gradient_negative(b, part), n->inputs[3]);
  if (!b->wanted[4]) return;
  graph_value *slope = gradient_product(b, gradient_product(b, part, scaled), inverse);
  dx[4] = gradient_channel_sum(parts, gradient_times(b, slope, parts->x, -0.5), n->inputs[4]);
}

static void gradient_batch_training(const normalization_parts *parts, const node *n, graph_value *g,
                                    graph_value *scaled, graph_value *inverse, graph_value **dx) {
  gradient_builder *b = parts->builder;
  graph_value *along = gradient_channel_mean(parts, gradient_product(b, g, scaled));
  graph_value *rest = gradient_difference(b, g, gradient_channel_mean(parts, g));
  rest = gradient_difference(b, rest, gradient_product(b, scaled, along));
  graph_value *factor = gradient_product(b, gradient_by_channel(parts, n->inputs[1]), inverse);
  if (b->wanted[0]) dx[0] = gradient_product(b, factor, rest);
}

static void gradient_of_batch_normalization(gradient_builder *b, const node *n, graph_value *const *g,
                                            graph_value **dx) {
  const int rank = gradient_rank(b, n->inputs[0]);
  training_form form = {0};
  if (rank < 2) gradient_refuse(b, "the input has no channels");
  if (!n->op->facts.training(n, &form) || !form.is_known) gradient_refuse(b, "the mode is not known");
  for (int i = 1; i < n->output_count; i++) {
    if (g[i]) gradient_refuse(b, "of the statistics that output %d gives", i);
  }
  if (b->status != NORMA_OK) return;
  graph_value *x = n->inputs[0];
  normalization_parts parts = {.builder = b, .x = x};
  for (int i = 0; i < rank; i++) {
    if (i != 1) parts.axes[parts.axis_count++] = i;
  }
  graph_value *mean = form.trains ? gradient_channel_mean(&parts, x) : gradient_by_channel(&parts, n->inputs[3]);
  graph_value *centred = gradient_difference(b, x, mean);
  graph_value *variance = form.trains ? gradient_channel_mean(&parts, gradient_product(b, centred, centred))
                                      : gradient_by_channel(&parts, n->inputs[4]);
  graph_value *epsilon = gradient_number(b, x, (double)attribute_float(n, "epsilon", 1e-5f));
  graph_value *deviation = gradient_make(b, "Sqrt", 1, gradient_sum(b, variance, epsilon));
  graph_value *inverse = gradient_make(b, "Reciprocal", 1, deviation);
  graph_value *scaled = gradient_product(b, centred, inverse);
  (form.trains ? gradient_batch_training : gradient_batch_inference)(&parts, n, g[0], scaled, inverse, dx);
  if (b->wanted[1]) dx[1] = gradient_channel_sum(&parts, gradient_product(b, g[0], scaled), n->inputs[1]);
  if (b->wanted[2]) dx[2] = gradient_channel_sum(&parts, g[0], n->inputs[2]);
}

const gradient_entry gradient_of_normalizations[] = {
    {"Softmax", 1, gradient_of_softmax},
    {"LogSoftmax", 1, gradient_of_log_softmax},
    {"BatchNormalization", 9, gradient_of_batch_normalization},
    {0},
};
