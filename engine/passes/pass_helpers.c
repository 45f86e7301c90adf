#include "engine/passes/pass_helpers.h"

#include <stdio.h>

/* ------------------------------------------------------------------------------------------------------------ facts */

bool node_is_identity(const node *node) {
  return node->op && node->op->facts.is_identity && node->op->facts.is_identity(node);
}

bool node_elementwise(const node *node, elementwise_form *form) {
  *form = (elementwise_form){ELEMENTWISE_OTHER, {UNARY_IDENTITY, 0, 0}, BINARY_ADD, false};
  return node->op && node->op->facts.elementwise && node->op->facts.elementwise(node, form);
}

bool node_affine(const node *node, affine_form *form) {
  *form = (affine_form){.axis = -1};
  return node->op && node->op->facts.affine && node->op->facts.affine(node, form);
}

bool node_linear(const node *node, linear_form *form) {
  *form = (linear_form){.alpha = 1, .beta = 1};
  return node->op && node->op->facts.linear && node->op->facts.linear(node, form);
}

bool node_is_sum(const node *node) {
  elementwise_form form;
  if (node->input_count != 2 || !node->inputs[0] || !node->inputs[1] || !node_has_output(node, 0)) return false;
  return node_elementwise(node, &form) && form.kind == ELEMENTWISE_BINARY && form.binary == BINARY_ADD;
}

bool node_has_plain_store(const node *node) {
  const epilogue *epilogue = &node->epilogue;
  return !epilogue->bias_input && !epilogue->residual_input && epilogue->activation.kind == UNARY_IDENTITY;
}

bool node_can_fuse(const node *node, type_mask types) {
  return node_has_one_output(node) && value_is_of(node->outputs[0], types);
}

/* ------------------------------------------------------------------------------------------------------------ names */

/* A chain of thousands of fused nodes would else take memory and time with the square of its length. */
#define NAME_LENGTH 2000

norma_status pass_join_names(pass_context *context, node *node, const struct node *other) {
  region *region = node->graph->region;
  static const char rest[] = " + ...";
  size_t length = strlen(node->name), rest_length = sizeof rest - 1;
  if (length >= rest_length && strcmp(node->name + length - rest_length, rest) == 0) return NORMA_OK;
  const char *added = length + strlen(other->name) > NAME_LENGTH ? "..." : other->name;
  size_t bytes = length + strlen(added) + 4;
  char *joined = region_allocate(region, bytes);
  if (!joined) return region_error(region, context->error);
  snprintf(joined, bytes, "%s + %s", node->name, added);
  node->name = joined;
  return NORMA_OK;
}

norma_status pass_take_output(pass_context *context, node *node, struct node *last) {
  TRY(pass_join_names(context, node, last));
  graph_value *output = last->outputs[0];
  graph_remove_node(last);
  node_set_output(node, 0, NULL);
  node_set_output(node, 0, output);
  return NORMA_OK;
}

void pass_bypass(node *node, int index, bool *changed) {
  graph_value *input = node->inputs[index], *output = node->outputs[0];
  if (output->output_count == 0) {
    graph_replace_uses(output, input);
    graph_remove_node(node);
    *changed = true;
    return;
  }
  struct node *producer = input->producer;
  bool can_rename = producer && producer->graph == node->graph && input->output_count == 0;
  if (!can_rename) return;
  int producer_index = input->producer_index;
  graph_remove_node(node);
  graph_replace_uses(input, output);
  node_set_output(producer, producer_index, output);
  output->info = input->info;
  *changed = true;
}

/* ---------------------------------------------------------------------------------------------------------- rewrite */

void pass_release_constant(graph_value *constant) {
  if (!constant->constant || constant->use_count > 0 || constant->output_count > 0 || constant->is_input) return;
  value_clear(constant->constant);
  constant->constant = NULL;
}

/* The inputs of a node, to be looked at when it is gone. */
static norma_status list_inputs(pass_context *context, const node *node, graph_value ***inputs) {
  region *region = node->graph->region;
  *inputs = region_array(region, (size_t)node->input_count, sizeof **inputs);
  if (!*inputs) return region_error(region, context->error);
  for (int i = 0; i < node->input_count; i++) (*inputs)[i] = node->inputs[i];
  return NORMA_OK;
}

static void release_inputs(graph_value **inputs, int count) {
  for (int i = 0; i < count; i++) {
    if (inputs[i]) pass_release_constant(inputs[i]);
  }
}

norma_status pass_take_over(pass_context *context, node *node, struct node *last) {
  graph_value **inputs;
  TRY(list_inputs(context, last, &inputs));
  TRY(pass_take_output(context, node, last));
  release_inputs(inputs, last->input_count);
  return NORMA_OK;
}

norma_status pass_remove(pass_context *context, node *node) {
  graph_value **inputs;
  TRY(list_inputs(context, node, &inputs));
  graph_remove_node(node);
  release_inputs(inputs, node->input_count);
  return NORMA_OK;
}

norma_status pass_add_constant(pass_context *context, graph *graph, const char *stem, value *contents,
                               graph_value **result) {
  *result = graph_add_constant(graph, stem, contents);
  return *result ? NORMA_OK : region_error(graph->region, context->error);
}

norma_status pass_add_epilogue_input(pass_context *context, node *node, graph_value *value, int *index) {
  int most = node->op->max_inputs;
  *index = most > node->input_count ? most : node->input_count;
  if (!node_add_inputs(node, *index + 1 - node->input_count)) {
    return region_error(node->graph->region, context->error);
  }
  node_set_input(node, *index, value);
  return NORMA_OK;
}

/* "norma:GroupedConv" is an operator of the domain "norma", "Conv" one of ai.onnx. */
static const operator_descriptor *find_made(const pass_context *context, const char *name, bool is_used) {
  const char *colon = strchr(name, ':');
  char domain[64] = "";
  if (colon) snprintf(domain, sizeof domain, "%.*s", (int)(colon - name), name);
  if (colon) name = colon + 1;
  operator_registry *registry = context->model->runtime->operators;
  return is_used ? operator_registry_use(registry, domain, name) : operator_registry_find(registry, domain, name);
}

bool pass_can_make(const pass_context *context, const char *name) {
  return find_made(context, name, false) != NULL;
}

void pass_use(const pass_context *context, const char *name) {
  find_made(context, name, true);
}

norma_status pass_resolve(pass_context *context, node *node) {
  const char *reason;
  TRY(operator_resolve(context->model->runtime->operators, node, &reason, context->error));
  if (!reason) return NORMA_OK;
  return error_at_node(context->error, NORMA_ERROR_INTERNAL, node, "%s", reason);
}
