/*
 * If: runs one of two graphs, as a condition says, and gives that graph's outputs.
 *
 * Version 1; 11; 13: sequences; 16: optionals; 19, 21, 23, 24, 25: more element types. The branches have no inputs;
 * what they read from outside are captures. Outputs of the branches have one type each, but their shapes may differ; a
 * condition that is known already decides, and then only that branch is looked at.
 */
#include "ops/movement/join.h"
#include "ops/operator.h"

#include <stdio.h>

#define IF_FEW_OUTPUTS 4 /* need no memory of their own */

typedef struct if_state {
  const graph *branches[2]; /* by the condition: else, then */
} if_state;

static norma_status if_read(const node *node, void *opaque, norma_error *error) {
  static const char *const names[2] = {"else_branch", "then_branch"};
  if_state *state = opaque;
  for (int i = 0; i < 2; i++) {
    const graph *branch = attribute_graph(node, names[i]);
    state->branches[i] = branch;
    if (!branch) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "lacks the attribute '%s'", names[i]);
    if (branch->input_count > 0) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s has %d inputs, but a branch takes none",
                           names[i], branch->input_count);
    }
    if (branch->output_count != node->output_count) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s has %d outputs, the node %d", names[i],
                           branch->output_count, node->output_count);
    }
  }
  return NORMA_OK;
}

/* The condition where it is known: 0 or 1, else -1. */
static int if_known_condition(const infer_context *context) {
  const norma_tensor *condition = infer_value(context, 0);
  if (!condition || condition->type != NORMA_BOOL || norma_tensor_count(condition) != 1) return -1;
  return element_get_int64(NORMA_BOOL, condition->data, 0) != 0;
}

static norma_status if_infer(infer_context *context) {
  const if_state *state = context->state;
  int64_t count = shape_count(infer_shape(context, 0));
  if (count != DIM_UNKNOWN && count != 1) {
    return infer_fail(context, "the condition has %lld elements, expected 1", (long long)count);
  }
  size_t outputs = (size_t)context->output_count;
  int known = if_known_condition(context);
  if (known >= 0) return infer_subgraph(context, state->branches[known], NULL, 0, context->outputs);

  value_info *others = region_array(context->region, outputs, sizeof *others);
  if (!others) return region_error(context->region, context->error);
  TRY(infer_subgraph(context, state->branches[1], NULL, 0, context->outputs));
  TRY(infer_subgraph(context, state->branches[0], NULL, 0, others));
  for (int i = 0; i < context->output_count; i++) {
    char what[48];
    snprintf(what, sizeof what, "output %d of the two branches", i);
    TRY(infer_join(context, &context->outputs[i], &others[i], what));
  }
  return NORMA_OK;
}

static norma_status if_compute(run_context *context) {
  const if_state *state = context->state;
  const norma_tensor *condition = norma_value_tensor(context->inputs[0]);
  int count = context->output_count;
  value few[IF_FEW_OUTPUTS];
  void *block = few;
  if (!condition || condition->type != NORMA_BOOL || norma_tensor_count(condition) != 1) {
    return run_fail(context, NORMA_ERROR_RUN, "the condition is not a single bool");
  }
  bool taken = element_get_int64(NORMA_BOOL, condition->data, 0) != 0;
  if (count > IF_FEW_OUTPUTS) TRY(run_allocate_temporary(context, (size_t)count * sizeof(value), &block));
  value *results = block;
  TRY(run_subgraph(context, state->branches[taken], NULL, 0, results, count));
  norma_status status = NORMA_OK;
  for (int i = 0; i < count; i++) {
    if (status == NORMA_OK && context->outputs[i]) status = run_set_output(context, i, &results[i]);
    value_clear(&results[i]);
  }
  return status;
}

static const operator_attribute if_attributes[] = {
    {"then_branch", ATTRIBUTE_GRAPH, 1, OPERATOR_LATEST, true},
    {"else_branch", ATTRIBUTE_GRAPH, 1, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_control_flow[] = {
    {
        .domain = "",
        .name = "If",
        .versions = {1, 11, 13, 16, 19, 21, 23, 24, 25},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = OPERATOR_VARIADIC,
        .types = {{TYPE_BIT(NORMA_BOOL), INPUT(0), 0}},
        .attributes = if_attributes,
        .flags = OPERATOR_SUBGRAPHS,
        .state_size = sizeof(if_state),
        .read = if_read,
        .infer = if_infer,
        .compute = if_compute,
    },
    {0},
};
