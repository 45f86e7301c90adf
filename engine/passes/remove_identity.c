/*
 * Nodes whose output is their input are removed.
 *
 *   a = Identity(x)
 *   y = Relu(a)      ->   y = Relu(x)
 *
 * Legal for operators that copy by definition (Identity, Dropout in inference without a mask, Cast to the same type,
 * Concat, Sum, Max, Min and Mean of one input), and for those whose shapes show that they change nothing. That x + 0 is
 * x is not used: it is not where x is -0.
 */
#include "engine/passes/pass_helpers.h"

/* ------------------------------------------------------------------------------------------ by definition, by shape */

static bool always(const node *node) {
  (void)node;
  return true;
}

static bool has_one_input(const node *node) {
  return node->input_count == 1;
}

static bool casts_to_same(const node *node) {
  return value_is(node->inputs[0], (norma_element_type)attribute_int(node, "to", NORMA_UNDEFINED));
}

static bool casts_like_same(const node *node) {
  return node->inputs[1] && node->inputs[0]->info.kind == NORMA_VALUE_TENSOR &&
         node->inputs[0]->info.type != NORMA_UNDEFINED && value_is(node->inputs[1], node->inputs[0]->info.type);
}

/* Before version 7 is_test says so, from 12 on input 2, which is absent or a constant. */
static bool drops_nothing(const node *node) {
  if (node->version < 7) return attribute_int(node, "is_test", 0) != 0;
  if (node->version < 12 || node->input_count < 3 || !node->inputs[2]) return true;
  const norma_tensor *training = node_constant_input(node, 2);
  return training && norma_tensor_count(training) == 1 && tensor_get_int64(training, 0) == 0;
}

static bool keeps_shape(const node *node) {
  const value_info *x = &node->inputs[0]->info, *y = &node->outputs[0]->info;
  return x->kind == NORMA_VALUE_TENSOR && y->kind == NORMA_VALUE_TENSOR && shape_is_known(&x->shape) &&
         shape_equal(&x->shape, &y->shape);
}

static bool keeps_order(const node *node) {
  size_t count;
  const int64_t *permutation = attribute_ints(node, "perm", &count);
  const shape *x = &node->inputs[0]->info.shape;
  if (!permutation) return x->rank == 0 || x->rank == 1; /* the default is to reverse */
  for (size_t i = 0; i < count; i++) {
    if (permutation[i] != (int64_t)i) return false;
  }
  return true;
}

static bool is_constant_zero(const norma_tensor *tensor) {
  for (int64_t i = 0; i < norma_tensor_count(tensor); i++) {
    if (tensor_get_int64(tensor, i) != 0) return false;
  }
  return true;
}

static bool pads_nothing(const node *node) {
  if (node->version >= 11) {
    const norma_tensor *pads = node_constant_input(node, 1);
    return pads && is_constant_zero(pads);
  }
  size_t count;
  const int64_t *pads = attribute_ints(node, node->version == 1 ? "paddings" : "pads", &count);
  for (size_t i = 0; i < count; i++) {
    if (pads[i] != 0) return false;
  }
  return pads != NULL;
}

/* A step of -1 keeps the shape but not the order. */
static bool slices_all(const node *node) {
  if (!keeps_shape(node)) return false;
  if (node->input_count < 5 || !node->inputs[4]) return true;
  const norma_tensor *steps = node_constant_input(node, 4);
  for (int64_t i = 0; steps && i < norma_tensor_count(steps); i++) {
    if (tensor_get_int64(steps, i) < 0) return false;
  }
  return steps != NULL;
}

static const struct {
  const char *op_type;
  bool (*changes_nothing)(const node *node);
} rules[] = {
    {"Identity", always},       {"Concat", has_one_input}, {"Sum", has_one_input},   {"Max", has_one_input},
    {"Min", has_one_input},     {"Mean", has_one_input},   {"Cast", casts_to_same},  {"CastLike", casts_like_same},
    {"Dropout", drops_nothing}, {"Reshape", keeps_shape},  {"Flatten", keeps_shape}, {"Squeeze", keeps_shape},
    {"Unsqueeze", keeps_shape}, {"Expand", keeps_shape},   {"Tile", keeps_shape},    {"Pad", pads_nothing},
    {"Transpose", keeps_order}, {"Slice", slices_all},
};

static norma_status apply(pass_context *context, node *node, bool *changed) {
  (void)context;
  if (node->input_count == 0 || !node->inputs[0] || !node->outputs[0]) return NORMA_OK;
  for (int i = 1; i < node->output_count; i++) {
    const graph_value *output = node->outputs[i];
    if (output && (output->use_count > 0 || output->output_count > 0)) return NORMA_OK;
  }
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    if (!node_is(node, rules[i].op_type) || !rules[i].changes_nothing(node)) continue;
    pass_bypass(node, 0, changed);
    break;
  }
  return NORMA_OK;
}

static const char *const roots[] = {"Identity", "Concat",  "Sum",       "Max",     "Min",     "Mean",      "Cast",
                                    "CastLike", "Dropout", "Reshape",   "Flatten", "Squeeze", "Unsqueeze", "Expand",
                                    "Tile",     "Pad",     "Transpose", "Slice",   NULL};

const pass pass_remove_identity = {
    .name = "remove_identity",
    .phase = PASS_CLEAN,
    .level = 1,
    .roots = roots,
    .apply = apply,
};
