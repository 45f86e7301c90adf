/*
 * Derivatives of normalizations by statistics of each sample. With d = 1 / sqrt(mean((x - m)^2) + epsilon),
 * x' = (x - m) d and h = g scale, means being taken over the axes that are normalised together:
 *
 *   LayerNormalization, InstanceNormalization  dx = d (h - mean(h) - x' mean(h x'))
 *   RMSNormalization                           the same with m = 0 and without mean(h)
 *   dscale = sum(g x'), dbias = sum(g), to the shapes of scale and bias
 */
#include "ops/training/gradient.h"

typedef struct gradient_layer {
  gradient_builder *builder;
  int64_t axes[NORMA_MAX_RANK]; /* that are normalised together */
  int axis_count;
  graph_value *scale; /* such that it is broadcast over x */
  bool is_centred;
} gradient_layer;

static graph_value *gradient_layer_mean(const gradient_layer *layer, graph_value *value) {
  gradient_builder *b = layer->builder;
  return gradient_make(b, "ReduceMean", 2, value, gradient_list(b, layer->axes, layer->axis_count));
}

/* Sets dx[0] and returns x'. */
static graph_value *gradient_of_layer(const gradient_layer *layer, const node *n, graph_value *g, graph_value **dx) {
  gradient_builder *b = layer->builder;
  graph_value *x = n->inputs[0];
  graph_value *centred = layer->is_centred ? gradient_difference(b, x, gradient_layer_mean(layer, x)) : x;
  graph_value *variance = gradient_layer_mean(layer, gradient_product(b, centred, centred));
  graph_value *epsilon = gradient_number(b, x, (double)attribute_float(n, "epsilon", 1e-5f));
  graph_value *deviation = gradient_make(b, "Sqrt", 1, gradient_sum(b, variance, epsilon));
  graph_value *inverse = gradient_make(b, "Reciprocal", 1, deviation);
  graph_value *scaled = gradient_product(b, centred, inverse);
  if (!b->wanted[0]) return scaled;
  graph_value *h = gradient_product(b, g, layer->scale);
  graph_value *along = gradient_layer_mean(layer, gradient_product(b, h, scaled));
  graph_value *rest = gradient_difference(b, h, gradient_product(b, scaled, along));
  if (layer->is_centred) rest = gradient_difference(b, rest, gradient_layer_mean(layer, h));
  dx[0] = gradient_product(b, inverse, rest);
  return scaled;
}

/* Scale and bias belong to the last axes. */
static void gradient_of_last_axes(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx,
                                  bool is_centred) {
  const int rank = gradient_rank(b, n->inputs[0]);
  gradient_layer layer = {.builder = b, .scale = n->inputs[1], .is_centred = is_centred};
  int axis;
  for (int i = 1; i < n->output_count; i++) {
    if (g[i]) gradient_refuse(b, "of the statistics that output %d gives", i);
  }
  if (b->status != NORMA_OK) return;
  if (!axis_normalize(attribute_int(n, "axis", -1), rank, &axis)) {
    gradient_refuse(b, "axis is outside of the rank");
    return;
  }
  for (int i = axis; i < rank; i++) layer.axes[layer.axis_count++] = i;
  graph_value *scaled = gradient_of_layer(&layer, n, g[0], dx);
  if (b->wanted[1]) dx[1] = gradient_sum_to(b, gradient_product(b, g[0], scaled), n->inputs[1]);
  if (n->input_count > 2 && b->wanted[2]) dx[2] = gradient_sum_to(b, g[0], n->inputs[2]);
}

static void gradient_of_layer_normalization(gradient_builder *b, const node *n, graph_value *const *g,
                                            graph_value **dx) {
  gradient_of_last_axes(b, n, g, dx, true);
}

static void gradient_of_rms_normalization(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  gradient_of_last_axes(b, n, g, dx, false);
}

/* Scale and bias belong to the channels; each channel of each sample is normalised alone. */
static void gradient_of_instance_normalization(gradient_builder *b, const node *n, graph_value *const *g,
                                               graph_value **dx) {
  const int rank = gradient_rank(b, n->inputs[0]);
  gradient_layer layer = {.builder = b, .is_centred = true};
  int64_t others[NORMA_MAX_RANK] = {0}, sizes[NORMA_MAX_RANK] = {-1};
  if (rank < 3) gradient_refuse(b, "the input has no axes behind its channels");
  if (b->status != NORMA_OK) return;
  for (int i = 2; i < rank; i++) {
    layer.axes[layer.axis_count++] = others[i - 1] = i;
    sizes[i - 1] = 1;
  }
  layer.scale = gradient_make(b, "Reshape", 2, n->inputs[1], gradient_list(b, sizes, rank - 1));
  graph_value *scaled = gradient_of_layer(&layer, n, g[0], dx);
  if (b->wanted[1]) dx[1] = gradient_reduce(b, gradient_product(b, g[0], scaled), others, rank - 1, false);
  if (b->wanted[2]) dx[2] = gradient_reduce(b, g[0], others, rank - 1, false);
}

const gradient_entry gradient_of_layer_normalizations[] = {
    {"LayerNormalization", 17, gradient_of_layer_normalization},
    {"RMSNormalization", 23, gradient_of_rms_normalization},
    {"InstanceNormalization", 6, gradient_of_instance_normalization},
    {0},
};
