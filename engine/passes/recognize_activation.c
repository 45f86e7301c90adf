/*
 * Functions that exporters write out in simple operators become one operator again.
 *
 *   HardSigmoid   Clip(x + 3, 0, 6) / 6                     with alpha = 1/6, beta = 1/2
 *   HardSwish     x * HardSigmoid(x)  and  x * Clip(x + 3, 0, 6) / 6
 *   Swish         x * Sigmoid(x)  and  x * Sigmoid(alpha * x)
 *   Mish          x * Tanh(Softplus(x))
 *   Gelu          x * (Erf(x / sqrt(2)) + 1) / 2, the factor of 1/2 anywhere
 *                 x * (Tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)) + 1) / 2, the same
 *
 * The root is the last Mul or Div. Legal on float types where constants are single numbers and nobody else reads what
 * is in between. The new operators may be of a later opset than the model's: a node carries its own.
 */
#include "engine/passes/pass_helpers.h"

#include <math.h>

#define MOST_NODES 8

/* Nodes of a match, each after the ones that read it. */
typedef struct match {
  node *nodes[MOST_NODES];
  int count;
  graph_value *x;
  const char *op_type;
  int64_t since;
  float alpha, beta;
  bool has_alpha, has_beta;
  bool by_tanh; /* Gelu's approximation */
} match;

/* -------------------------------------------------------------------------------------------------- building bricks */

static bool is_near(double number, double expected) {
  return fabs(number - expected) <= 1e-6 * fabs(expected);
}

/* The producer of input `index`, which joins the match. */
static node *match_take(match *match, const node *reader, int index, const char *op_type) {
  node *producer = node_single_producer(reader, index, op_type);
  if (producer && match->count < MOST_NODES) match->nodes[match->count++] = producer;
  return producer;
}

/* Of a commutative node with one constant number: the index of the other input, -1 if there is no such number. */
static int beside_number(const node *node, double *number) {
  for (int i = 0; i < 2; i++) {
    if (node->input_count == 2 && node->inputs[!i] && node_constant_number(node, i, number)) return !i;
  }
  return -1;
}

/* Of x * factor or x / (1 / factor): the index of x; -1 if it is something else. */
static int scaled_input(const node *node, double *factor) {
  if (node_is(node, "Mul")) return beside_number(node, factor);
  if (!node_is(node, "Div") || !node_constant_number(node, 1, factor)) return -1;
  *factor = 1 / *factor;
  return 0;
}

/* The same, for one factor. */
static int input_scaled_by(const node *node, double expected) {
  double factor;
  int index = scaled_input(node, &factor);
  return index >= 0 && is_near(factor, expected) ? index : -1;
}

/* Takes the producer of an input if it scales by `expected`. */
static node *take_scaled(match *match, const node *reader, int index, double expected, int *input) {
  node *producer = reader->inputs[index] ? reader->inputs[index]->producer : NULL;
  *input = producer ? input_scaled_by(producer, expected) : -1;
  return *input >= 0 ? match_take(match, reader, index, producer->op_type) : NULL;
}

/* A Clip to these bounds. */
static bool is_clip(const node *node, float low, float high) {
  elementwise_form form;
  if (!node_elementwise(node, &form) || form.kind != ELEMENTWISE_UNARY || form.unary.kind != UNARY_CLIP) return false;
  return form.unary.a == low && form.unary.b == high;
}

/* Clip(x + 3, 0, 6) behind input `index`. */
static graph_value *take_clipped(match *match, const node *reader, int index) {
  node *clip = match_take(match, reader, index, "Clip");
  node *add = clip && is_clip(clip, 0, 6) ? match_take(match, clip, 0, "Add") : NULL;
  double summand;
  int input = add ? beside_number(add, &summand) : -1;
  return input >= 0 && summand == 3 ? add->inputs[input] : NULL;
}

/* x^3 behind input `index`. */
static bool take_cube(match *match, const node *reader, int index, const graph_value *x) {
  double exponent;
  node *power = match_take(match, reader, index, "Pow");
  if (power) return power->inputs[0] == x && node_constant_number(power, 1, &exponent) && exponent == 3;
  node *product = match_take(match, reader, index, "Mul");
  for (int i = 0; product && i < 2; i++) {
    if (product->inputs[!i] != x) continue;
    node *square = match_take(match, product, i, "Mul");
    return square && square->inputs[0] == x && square->inputs[1] == x;
  }
  return false;
}

/* x + 0.044715 * x^3 behind input `index`. */
static graph_value *take_cubic(match *match, const node *reader, int index) {
  node *add = match_take(match, reader, index, "Add");
  const int count = match->count;
  for (int i = 0; add && i < 2; i++) {
    int inner;
    match->count = count;
    node *scaled = take_scaled(match, add, i, 0.044715, &inner);
    if (scaled && add->inputs[!i] && take_cube(match, scaled, inner, add->inputs[!i])) return add->inputs[!i];
  }
  return NULL;
}

/* Erf(x / sqrt(2)) + 1 behind input `index`, or its approximation by Tanh. */
static graph_value *take_erf(match *match, const node *reader, int index) {
  node *add = match_take(match, reader, index, "Add");
  double summand;
  int input = add ? beside_number(add, &summand) : -1;
  if (input < 0 || summand != 1) return NULL;
  node *tanh = match_take(match, add, input, "Tanh");
  match->by_tanh = tanh != NULL;
  if (tanh) {
    node *scaled = take_scaled(match, tanh, 0, sqrt(2 / M_PI), &input);
    return scaled ? take_cubic(match, scaled, input) : NULL;
  }
  node *erf = match_take(match, add, input, "Erf");
  node *scaled = erf ? take_scaled(match, erf, 0, M_SQRT1_2, &input) : NULL;
  return scaled ? scaled->inputs[input] : NULL;
}

/* --------------------------------------------------------------------------------------------------------- patterns */

static bool found(match *match, graph_value *x, const char *op_type, int64_t since) {
  match->x = x;
  match->op_type = op_type;
  match->since = since;
  return x != NULL;
}

/* Clip(x + 3, 0, 6) / 6, and x * Clip(x + 3, 0, 6) / 6. */
static bool match_sixth(match *match, const node *last) {
  int input = input_scaled_by(last, 1.0 / 6);
  if (input < 0) return false;
  graph_value *x = take_clipped(match, last, input);
  if (x) {
    match->alpha = 1.0f / 6;
    match->beta = 0.5f;
    match->has_alpha = match->has_beta = true;
    return found(match, x, "HardSigmoid", 6);
  }
  match->count = 0;
  node *product = match_take(match, last, input, "Mul");
  for (int i = 0; product && i < 2; i++) {
    match->count = 1;
    if (product->inputs[!i] && take_clipped(match, product, i) == product->inputs[!i]) {
      return found(match, product->inputs[!i], "HardSwish", 14);
    }
  }
  return false;
}

/* x * gate(x), the gate being input `index`. */
static bool match_gate(match *match, const node *last, int index) {
  graph_value *x = last->inputs[!index];
  node *gate = match_take(match, last, index, "HardSigmoid");
  if (gate) {
    double alpha = (double)attribute_float(gate, "alpha", 0.2f), beta = (double)attribute_float(gate, "beta", 0.5f);
    return is_near(alpha, 1.0 / 6) && beta == 0.5 && gate->inputs[0] == x && found(match, x, "HardSwish", 14);
  }
  gate = match_take(match, last, index, "Tanh");
  if (gate) {
    node *softplus = match_take(match, gate, 0, "Softplus");
    return softplus && softplus->inputs[0] == x && found(match, x, "Mish", 18);
  }
  gate = match_take(match, last, index, "Sigmoid");
  if (!gate) return false;
  match->has_alpha = true;
  match->alpha = 1;
  if (gate->inputs[0] == x) return found(match, x, "Swish", 24);
  double factor;
  node *scale = match_take(match, gate, 0, "Mul");
  int input = scale ? beside_number(scale, &factor) : -1;
  if (input < 0 || scale->inputs[input] != x) return false;
  match->alpha = (float)factor;
  return found(match, x, "Swish", 24);
}

/* x * A / 2 for A = Erf(x / sqrt(2)) + 1: the half may stand behind x, behind A, or behind their product. */
static bool match_gelu(match *match, const node *last) {
  int half = input_scaled_by(last, 0.5), inner;
  node *product = half >= 0 ? match_take(match, last, half, "Mul") : NULL;
  for (int i = 0; product && i < 2; i++) {
    match->count = 1;
    if (product->inputs[!i] && take_erf(match, product, i) == product->inputs[!i]) {
      return found(match, product->inputs[!i], "Gelu", 20);
    }
  }
  if (half >= 0 || !node_is(last, "Mul")) return false;
  for (int i = 0; i < 2; i++) {
    match->count = 0;
    node *scaled = take_scaled(match, last, !i, 0.5, &inner); /* x / 2 */
    if (scaled && take_erf(match, last, i) == scaled->inputs[inner]) {
      return found(match, scaled->inputs[inner], "Gelu", 20);
    }
    match->count = 0;
    scaled = take_scaled(match, last, i, 0.5, &inner); /* A / 2 */
    if (scaled && take_erf(match, scaled, inner) == last->inputs[!i]) {
      return found(match, last->inputs[!i], "Gelu", 20);
    }
  }
  return false;
}

static bool find_match(match *result, const node *last) {
  *result = (match){.count = 0};
  if (match_sixth(result, last)) return true;
  for (int i = 0; i < 2 && node_is(last, "Mul"); i++) {
    *result = (match){.count = 0};
    if (match_gate(result, last, i)) return true;
  }
  *result = (match){.count = 0};
  return match_gelu(result, last);
}

/* A constant of one element may still have more dimensions than x: then the result has another shape. */
static bool keeps_rank(const match *match, const node *last) {
  const value_info *x = &match->x->info, *y = &last->outputs[0]->info;
  return x->kind == NORMA_VALUE_TENSOR && (TYPES_FLOAT & TYPE_BIT(x->type)) && x->shape.rank != RANK_UNKNOWN &&
         x->shape.rank == y->shape.rank;
}

static norma_status replace_match(pass_context *context, const match *match, node *last) {
  graph *graph = last->graph;
  node *first = match->nodes[match->count - 1];
  node *made = graph_insert_node(graph, last, first->name, match->op_type, "", 1, 1, match->by_tanh);
  if (!made) return region_error(graph->region, context->error);
  if (match->by_tanh)
    made->attributes[0] = (attribute){.name = "approximate", .kind = ATTRIBUTE_STRING, .s = {"tanh", 4}};
  made->opset = last->opset > match->since ? last->opset : match->since;
  node_set_input(made, 0, match->x);
  bool done = !match->has_alpha || node_set_attribute_float(made, "alpha", match->alpha);
  if (done && match->has_beta) done = node_set_attribute_float(made, "beta", match->beta);
  if (!done) return region_error(graph->region, context->error);
  for (int i = match->count - 2; i >= 0; i--) TRY(pass_join_names(context, made, match->nodes[i]));
  TRY(pass_take_over(context, made, last));
  for (int i = 0; i < match->count; i++) TRY(pass_remove(context, match->nodes[i]));
  return pass_resolve(context, made);
}

static norma_status recognize_activation_apply(pass_context *context, node *node, bool *changed) {
  match match;
  if (!node_is(node, "Mul") && !node_is(node, "Div")) return NORMA_OK;
  if (node->input_count != 2 || !node->inputs[0] || !node->inputs[1] || !node->outputs[0]) return NORMA_OK;
  if (node->version < 7 || !find_match(&match, node) || !keeps_rank(&match, node)) return NORMA_OK;
  *changed = true;
  return replace_match(context, &match, node);
}

static const char *const recognize_activation_makes[] = {"HardSigmoid", "HardSwish", "Mish", "Swish", "Gelu", NULL};

const pass pass_recognize_activation = {
    .name = "recognize_activation",
    .level = 2,
    .makes = recognize_activation_makes,
    .apply = recognize_activation_apply,
};
