/*
 * Normalization of rows that exporters write out becomes LayerNormalization or RMSNormalization. With D = X - mean(X):
 *
 *   LayerNormalization  D / Sqrt(mean(D^2) + epsilon) * scale
 *   RMSNormalization    X / Sqrt(mean(X^2) + epsilon) * scale
 *   LayerNormalization  X * F + (bias - mean(X) * F) for F = scale / Sqrt(mean(D^2) + epsilon)
 *   LayerNormalization  LayerNormalization(X, scale) + bias
 *
 * where mean is a ReduceMean over the last axis, D is computed once or twice, the square is a Mul or Pow, and Div by
 * Sqrt may be Mul by Reciprocal of Sqrt, by 1 / Sqrt, or by Pow to -1/2. Scale and bias are rows.
 *
 * The root is the last Mul or Add. What it read is left to others that read it, or dies. The new operators may be of a
 * later opset than the model's: a node carries its own.
 */
#include "engine/passes/pass_helpers.h"

#include <math.h>

#define LAYER_TYPES (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))

typedef struct layer_match {
  graph_value *x, *mean; /* mean: NULL for RMSNormalization */
  graph_value *scale, *bias;
  double epsilon;
} layer_match;

/* -------------------------------------------------------------------------------------------------- building bricks */

/* The node of this graph that computes a value, if it is `op_type` as it is since opset 7. */
static node *layer_producer(const graph_value *value, const char *op_type) {
  node *producer = value ? value->producer : NULL;
  if (!producer || producer->graph != value->graph || !node_is(producer, op_type) || producer->input_count < 1)
    return NULL;
  for (int i = 0; i < producer->input_count; i++) {
    if (!producer->inputs[i]) return NULL;
  }
  return producer;
}

static node *layer_binary(const graph_value *value, const char *op_type) {
  node *producer = layer_producer(value, op_type);
  return producer && producer->input_count == 2 && producer->version >= 7 ? producer : NULL;
}

/* A constant of one element, of any type of number. */
static bool layer_number(const node *node, int index, double *number) {
  const norma_tensor *tensor = node_constant_input(node, index);
  if (!tensor || !(TYPES_NUMERIC & TYPE_BIT(tensor->type)) || norma_tensor_count(tensor) != 1) return false;
  if (tensor->rank > node_output_shape(node, 0)->rank) return false;
  *number = element_get_double(tensor->type, tensor->data, 0);
  return true;
}

static bool layer_number_is(const node *node, int index, double expected) {
  double number;
  return layer_number(node, index, &number) && number == expected;
}

/* The mean of what along the last axis, NULL if the value is none. */
static graph_value *layer_mean_of(const graph_value *value) {
  node *mean = layer_producer(value, "ReduceMean");
  int rank = mean ? node_input_shape(mean, 0)->rank : RANK_UNKNOWN;
  if (rank == RANK_UNKNOWN || attribute_int(mean, "keepdims", 1) == 0) return NULL;
  size_t count;
  const int64_t *axes = attribute_ints(mean, "axes", &count);
  if (mean->input_count > 1) {
    const norma_tensor *given = node_constant_input(mean, 1);
    if (!given || given->type != NORMA_INT64) return NULL;
    axes = given->data;
    count = (size_t)norma_tensor_count(given);
  }
  return axes && count == 1 && (axes[0] == -1 || axes[0] == rank - 1) ? mean->inputs[0] : NULL;
}

/* What the value is the square of. D may be computed twice: then the first of them. */
static graph_value *layer_square_of(const graph_value *value, graph_value **second) {
  node *square = layer_binary(value, "Pow");
  if (square) {
    *second = square->inputs[0];
    return layer_number_is(square, 1, 2) ? square->inputs[0] : NULL;
  }
  square = layer_binary(value, "Mul");
  *second = square ? square->inputs[1] : NULL;
  return square ? square->inputs[0] : NULL;
}

/* mean(a * b) + epsilon. */
static bool layer_match_variance(const graph_value *value, layer_match *match, graph_value **a, graph_value **b) {
  node *sum = layer_binary(value, "Add");
  for (int i = 0; sum && i < 2; i++) {
    if (!layer_number(sum, i, &match->epsilon) || !(match->epsilon >= 0 && match->epsilon < 1e30)) continue;
    *a = layer_square_of(layer_mean_of(sum->inputs[!i]), b);
    return *a != NULL;
  }
  return false;
}

/* Sqrt(mean(a * b) + epsilon). */
static bool layer_match_root(const graph_value *value, layer_match *match, graph_value **a, graph_value **b) {
  node *root = layer_producer(value, "Sqrt");
  return root && layer_match_variance(root->inputs[0], match, a, b);
}

/* 1 / Sqrt(mean(a * b) + epsilon). */
static bool layer_match_inverse(const graph_value *value, layer_match *match, graph_value **a, graph_value **b) {
  node *inverse = layer_producer(value, "Reciprocal");
  if (inverse) return layer_match_root(inverse->inputs[0], match, a, b);
  inverse = layer_binary(value, "Div");
  if (inverse) return layer_number_is(inverse, 0, 1) && layer_match_root(inverse->inputs[1], match, a, b);
  inverse = layer_binary(value, "Pow");
  return inverse && layer_number_is(inverse, 1, -0.5) && layer_match_variance(inverse->inputs[0], match, a, b);
}

/* x - mean(x): sets both. */
static bool layer_match_difference(const graph_value *value, layer_match *match) {
  node *difference = layer_binary(value, "Sub");
  if (!difference || layer_mean_of(difference->inputs[1]) != difference->inputs[0]) return false;
  match->x = difference->inputs[0];
  match->mean = difference->inputs[1];
  return true;
}

/* Whether values are the same, or differences of the same. */
static bool layer_is_same(const graph_value *a, const graph_value *b) {
  if (a == b) return true;
  node *first = layer_binary(a, "Sub"), *second = layer_binary(b, "Sub");
  return first && second && first->inputs[0] == second->inputs[0] && first->inputs[1] == second->inputs[1];
}

/* A row for x: one element for each of its last axis, which is known. */
static bool layer_is_row(const graph_value *row, const graph_value *x) {
  if (!value_is_of(x, LAYER_TYPES) || !value_is(row, x->info.type)) return false;
  const shape *given = &row->info.shape, *all = &x->info.shape;
  if (given->rank == RANK_UNKNOWN || given->rank < 1 || all->rank < given->rank) return false;
  for (int i = 0; i < given->rank - 1; i++) {
    if (given->dims[i] != 1) return false;
  }
  int64_t count = given->dims[given->rank - 1];
  return count > 0 && count == all->dims[all->rank - 1];
}

/* --------------------------------------------------------------------------------------------------------- patterns */

/* d / Sqrt(mean(d^2) + epsilon). */
static bool layer_match_normalized(const graph_value *value, layer_match *match) {
  graph_value *a, *b, *d = NULL;
  node *quotient = layer_binary(value, "Div"), *product = layer_binary(value, "Mul");
  if (quotient && layer_match_root(quotient->inputs[1], match, &a, &b)) d = quotient->inputs[0];
  for (int i = 0; product && !d && i < 2; i++) {
    if (layer_match_inverse(product->inputs[i], match, &a, &b)) d = product->inputs[!i];
  }
  if (!d || !layer_is_same(a, d) || !layer_is_same(b, d)) return false;
  match->mean = NULL;
  match->x = d;
  layer_match_difference(d, match);
  return true;
}

/* The same times a row. */
static bool layer_match_scaled(const node *last, layer_match *match) {
  for (int i = 0; i < 2; i++) {
    if (!layer_match_normalized(last->inputs[i], match) || !layer_is_row(last->inputs[!i], match->x)) continue;
    match->scale = last->inputs[!i];
    return true;
  }
  return false;
}

/* F: sets the scale, x and mean. */
static bool layer_match_factor(const graph_value *value, layer_match *match) {
  node *factor = layer_binary(value, "Mul");
  graph_value *a, *b;
  for (int i = 0; factor && i < 2; i++) {
    if (!layer_match_inverse(factor->inputs[i], match, &a, &b) || !layer_is_same(a, b)) continue;
    match->scale = factor->inputs[!i];
    return layer_match_difference(a, match) && layer_is_row(match->scale, match->x);
  }
  return false;
}

static bool layer_is_product(const node *product, const graph_value *a, const graph_value *b) {
  return product &&
         ((product->inputs[0] == a && product->inputs[1] == b) || (product->inputs[0] == b && product->inputs[1] == a));
}

/* x * F + (bias - mean * F). */
static bool layer_match_shifted(const node *last, layer_match *match) {
  for (int i = 0; i < 2; i++) {
    node *product = layer_binary(last->inputs[i], "Mul"), *rest = layer_binary(last->inputs[!i], "Sub");
    node *shift = rest ? layer_binary(rest->inputs[1], "Mul") : NULL;
    for (int k = 0; product && shift && k < 2; k++) {
      const graph_value *factor = product->inputs[k];
      if (!layer_match_factor(factor, match) || !layer_is_product(product, match->x, factor) ||
          !layer_is_product(shift, match->mean, factor) || !layer_is_row(rest->inputs[0], match->x))
        continue;
      match->bias = rest->inputs[0];
      return true;
    }
  }
  return false;
}

/* ---------------------------------------------------------------------------------------------------------- rewrite */

static norma_status layer_replace(pass_context *context, const layer_match *match, node *last) {
  graph *graph = last->graph;
  bool centered = match->mean != NULL;
  int64_t since = centered ? 17 : 23;
  node *made = graph_insert_node(graph, last, last->name, centered ? "LayerNormalization" : "RMSNormalization", "",
                                 match->bias ? 3 : 2, 1, 0);
  if (!made) return region_error(graph->region, context->error);
  made->opset = last->opset > since ? last->opset : since;
  node_set_input(made, 0, match->x);
  node_set_input(made, 1, match->scale);
  if (match->bias) node_set_input(made, 2, match->bias);
  if (!node_set_attribute_float(made, "epsilon", (float)match->epsilon))
    return region_error(graph->region, context->error);
  graph_value *output = last->outputs[0];
  graph_remove_node(last);
  node_set_output(made, 0, output);
  return pass_resolve(context, made);
}

/* A row that is added behind LayerNormalization. */
static norma_status layer_take_bias(pass_context *context, node *last, bool *changed) {
  for (int i = 0; i < 2; i++) {
    node *made = node_single_producer(last, i, "LayerNormalization");
    if (!made || made->input_count != 2 || !node_has_one_output(made) || !node_has_plain_store(made)) continue;
    if (!layer_is_row(last->inputs[!i], made->inputs[0])) continue;
    graph_value *bias = last->inputs[!i];
    *changed = true;
    if (!node_add_inputs(made, 1)) return region_error(made->graph->region, context->error);
    graph_move_before(made, last);
    node_set_input(made, 2, bias);
    TRY(pass_take_output(context, made, last));
    return pass_resolve(context, made);
  }
  return NORMA_OK;
}

static norma_status recognize_layer_normalization_apply(pass_context *context, node *node, bool *changed) {
  layer_match match = {.bias = NULL};
  bool is_sum = node_is(node, "Add");
  if ((!is_sum && !node_is(node, "Mul")) || node->version < 7 || !node->outputs[0]) return NORMA_OK;
  if (node->input_count != 2 || !node->inputs[0] || !node->inputs[1]) return NORMA_OK;
  bool found = is_sum ? layer_match_shifted(node, &match) : layer_match_scaled(node, &match);
  /* A number may have more dimensions than what it is added to. */
  if (found && node_output_shape(node, 0)->rank == match.x->info.shape.rank) {
    *changed = true;
    return layer_replace(context, &match, node);
  }
  return is_sum ? layer_take_bias(context, node, changed) : NORMA_OK;
}

static const char *const recognize_layer_normalization_makes[] = {"LayerNormalization", "RMSNormalization", NULL};

const pass pass_recognize_layer_normalization = {
    .name = "recognize_layer_normalization",
    .level = 2,
    .changes_rounding = true,
    .makes = recognize_layer_normalization_makes,
    .apply = recognize_layer_normalization_apply,
};
