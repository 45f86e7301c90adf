/*
 * A function of each element goes into the node that makes the elements, which applies it as it stores them.
 *
 *   c = Conv(x, W)
 *   y = Relu(c)      ->   y = Conv(x, W), activation Relu
 *
 * Legal for float where the producer can (OPERATOR_EPILOGUE, OPERATOR_ACTIVATION), has no activation yet and nobody
 * else reads c, and where the parameters (bounds of Clip, slope of PRelu) are constant numbers.
 */
#include "engine/passes/pass_helpers.h"

/* ---------------------------------------------------------------------------------------------- the node's function */

/* `a` and `b` come from these attributes. */
static const struct {
  const char *op_type;
  enum unary_kind kind;
  const char *a_name, *b_name;
  float a, b;
} functions[] = {
    {"Relu", UNARY_RELU, NULL, NULL, 0, 0},
    {"LeakyRelu", UNARY_LEAKY_RELU, "alpha", NULL, 0.01f, 0},
    {"Elu", UNARY_ELU, "alpha", NULL, 1, 0},
    {"Selu", UNARY_SELU, "alpha", "gamma", 1.67326319217681884765625f, 1.05070102214813232421875f},
    {"Celu", UNARY_CELU, "alpha", NULL, 1, 0},
    {"Sigmoid", UNARY_SIGMOID, NULL, NULL, 0, 0},
    {"HardSigmoid", UNARY_HARD_SIGMOID, "alpha", "beta", 0.2f, 0.5f},
    {"HardSwish", UNARY_HARD_SWISH, NULL, NULL, 0, 0},
    {"Softplus", UNARY_SOFTPLUS, NULL, NULL, 0, 0},
    {"Softsign", UNARY_SOFTSIGN, NULL, NULL, 0, 0},
    {"Mish", UNARY_MISH, NULL, NULL, 0, 0},
    {"Swish", UNARY_SILU, "alpha", NULL, 1, 0},
    {"ThresholdedRelu", UNARY_THRESHOLDED_RELU, "alpha", NULL, 1, 0},
    {"Tanh", UNARY_TANH, NULL, NULL, 0, 0},
    {"Exp", UNARY_EXP, NULL, NULL, 0, 0},
    {"Abs", UNARY_ABS, NULL, NULL, 0, 0},
    {"Neg", UNARY_NEG, NULL, NULL, 0, 0},
    {"Sqrt", UNARY_SQRT, NULL, NULL, 0, 0},
};

/* One slope for all elements, in a tensor that does not make the output larger. */
static bool read_slope(const node *node, struct activation *activation) {
  double slope;
  const norma_tensor *tensor = node_constant_input(node, 1);
  const shape *x = &node->inputs[0]->info.shape;
  if (!node_constant_number(node, 1, &slope) || x->rank == RANK_UNKNOWN || tensor->rank > x->rank) return false;
  *activation = (struct activation){UNARY_LEAKY_RELU, (float)slope, 0};
  return true;
}

static bool read_activation(const node *node, struct activation *activation) {
  if (node_clip(node, activation)) return true;
  if (node_is(node, "Clip")) return false;
  if (node_is(node, "PRelu")) return read_slope(node, activation);
  if (node_is(node, "Gelu")) {
    bool is_tanh = strcmp(attribute_string(node, "approximate", "none"), "tanh") == 0;
    *activation = (struct activation){is_tanh ? UNARY_GELU_TANH : UNARY_GELU_ERF, 0, 0};
    return true;
  }
  if (node_is(node, "Selu") && node->version < 6) return false; /* it has other defaults, and no models */
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    if (!node_is(node, functions[i].op_type)) continue;
    activation->kind = functions[i].kind;
    activation->a = functions[i].a_name ? attribute_float(node, functions[i].a_name, functions[i].a) : 0;
    activation->b = functions[i].b_name ? attribute_float(node, functions[i].b_name, functions[i].b) : 0;
    return true;
  }
  return false;
}

/* ----------------------------------------------------------------------------------------------------- the producer */

static node *find_producer(const node *last) {
  const graph_value *value = last->inputs[0];
  node *producer = value ? value->producer : NULL;
  if (!producer || producer->graph != last->graph || value->producer_index != 0) return NULL;
  if (!value_has_single_use(value) || !value_is(value, NORMA_FLOAT)) return NULL;
  if (!producer->op || !(producer->op->flags & (OPERATOR_EPILOGUE | OPERATOR_ACTIVATION))) return NULL;
  for (int i = 1; i < producer->output_count; i++) {
    if (producer->outputs[i]) return NULL;
  }
  return producer->epilogue.activation.kind == UNARY_IDENTITY ? producer : NULL;
}

static norma_status apply(pass_context *context, node *node, bool *changed) {
  struct node *producer = node->outputs[0] ? find_producer(node) : NULL;
  struct activation activation = {UNARY_IDENTITY, 0, 0};
  if (!producer || !read_activation(node, &activation)) return NORMA_OK;
  producer->epilogue.activation = activation;
  *changed = true;
  return pass_take_over(context, producer, node);
}

static const char *const roots[] = {
    "Relu",      "LeakyRelu", "Elu",      "Selu", "Celu",  "Sigmoid",         "HardSigmoid",
    "HardSwish", "Softplus",  "Softsign", "Mish", "Swish", "ThresholdedRelu", "Tanh",
    "Exp",       "Abs",       "Neg",      "Sqrt", "Clip",  "PRelu",           "Gelu",
    NULL};

const pass pass_fuse_activation = {
    .name = "fuse_activation",
    .phase = PASS_FINISH,
    .level = 2,
    .roots = roots,
    .apply = apply,
};
