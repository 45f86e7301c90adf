/*
 * Gradient 1 (ai.onnx.preview.training): dy/dx for each x named by the attribute xs, at the values that the inputs give
 * those named by xs and zs. Where y has several elements it is the gradient of their sum.
 *
 * This operator is never run: the load puts the operators in its place that compute the derivatives
 * (engine/load/gradient.h). It tells types and shapes, which are those of the inputs.
 */
#include "ops/training/gradient.h"

static norma_status gradient_read(const node *node, void *state, norma_error *error) {
  size_t xs, zs;
  (void)state;
  attribute_strings(node, "xs", &xs);
  attribute_strings(node, "zs", &zs);
  if (xs == 0) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "xs names no tensor");
  if ((size_t)node->input_count != xs + zs)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%d inputs for %zu names in xs and %zu in zs",
                         node->input_count, xs, zs);
  if ((size_t)node->output_count > xs)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%d outputs for %zu names in xs", node->output_count,
                         xs);
  return NORMA_OK;
}

static norma_status gradient_infer(infer_context *context) {
  for (int i = 0; i < context->output_count; i++) {
    const norma_element_type type = infer_type(context, i);
    if (type != NORMA_UNDEFINED && !(TYPE_BIT(type) & TYPES_FLOAT))
      return infer_fail(context, "there is no gradient with respect to input %d of %s", i,
                        norma_element_type_name(type));
    infer_output(context, i, type, infer_shape(context, i));
  }
  return NORMA_OK;
}

static norma_status gradient_compute(run_context *context) {
  return run_fail(context, NORMA_ERROR_INTERNAL, "a Gradient that the load left");
}

bool gradient_is_asked(const node *node) {
  return node->op && node->op->compute == gradient_compute;
}

const gradient_entry *gradient_find(const node *node) {
  static const gradient_entry *const tables[] = {gradient_of_functions,  gradient_of_operands,
                                                 gradient_of_products,   gradient_of_normalizations,
                                                 gradient_of_losses,     gradient_of_movements,
                                                 gradient_of_reductions, gradient_of_pools,
                                                 gradient_of_steps,      gradient_of_layer_normalizations};
  const bool is_known = strcmp(node->domain, "") == 0 || strcmp(node->domain, OPERATOR_INNER_DOMAIN) == 0;
  for (size_t t = 0; is_known && t < sizeof tables / sizeof *tables; t++) {
    for (const gradient_entry *entry = tables[t]; entry->op_type; entry++) {
      if (strcmp(entry->op_type, node->op_type) == 0) return node->version >= entry->since ? entry : NULL;
    }
  }
  return NULL;
}

static const operator_attribute gradient_attributes[] = {
    {"xs", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, true},
    {"y", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, true},
    {"zs", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_gradient[] = {
    {
        .domain = "ai.onnx.preview.training",
        .name = "Gradient",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = OPERATOR_VARIADIC,
        .min_outputs = 1,
        .max_outputs = OPERATOR_VARIADIC,
        .attributes = gradient_attributes,
        .read = gradient_read,
        .infer = gradient_infer,
        .compute = gradient_compute,
    },
    {0},
};
