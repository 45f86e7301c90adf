/*
 * SequenceMap: runs a graph for each element of a sequence; the results form sequences.
 *
 * Version 17. Further inputs are sequences of the same length, of which the graph sees the same element, or tensors,
 * which it sees whole in every run.
 */
#include "ops/movement/join.h"
#include "ops/operator.h"

typedef struct sequence_map_state {
  const graph *body;
} sequence_map_state;

static norma_status sequence_map_read(const node *node, void *opaque, norma_error *error) {
  sequence_map_state *state = opaque;
  state->body = attribute_graph(node, "body");
  if (!state->body) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "lacks the attribute 'body'");
  if (state->body->input_count != node->input_count || state->body->output_count != node->output_count) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "body has %d inputs and %d outputs, the node %d and %d", state->body->input_count,
                         state->body->output_count, node->input_count, node->output_count);
  }
  return NORMA_OK;
}

static norma_status sequence_map_infer(infer_context *context) {
  const sequence_map_state *state = context->state;
  const value_info unknown = {.shape = {.rank = RANK_UNKNOWN}};
  value_info *inputs = region_array(context->region, (size_t)context->input_count, sizeof *inputs);
  value_info *results = region_array(context->region, (size_t)context->output_count, sizeof *results);
  if (!inputs || !results) return region_error(context->region, context->error);
  for (int i = 0; i < context->input_count; i++) {
    if (!infer_has_input(context, i)) return infer_fail(context, "input %d is missing", i);
    const value_info *given = context->inputs[i];
    if (i == 0 && given->kind != NORMA_VALUE_SEQUENCE && given->kind != NORMA_VALUE_NONE) {
      return infer_fail(context, "input 0 is not a sequence");
    }
    bool whole = given->kind == NORMA_VALUE_TENSOR;
    inputs[i] = whole ? *given : given->item ? *given->item : unknown;
  }
  TRY(infer_subgraph(context, state->body, inputs, context->input_count, results));
  for (int i = 0; i < context->output_count; i++) {
    value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .shape = {.rank = RANK_UNKNOWN}};
    norma_status status;
    sequence.item = infer_new_item(context, &results[i], &status);
    TRY(status);
    infer_output_info(context, i, &sequence);
  }
  return NORMA_OK;
}

/* All sequences among the inputs must have the length of the first. */
static norma_status check_lengths(run_context *context, int64_t *length) {
  for (int i = 0; i < context->input_count; i++) {
    const value *input = context->inputs[i];
    bool is_sequence = input && input->kind == NORMA_VALUE_SEQUENCE;
    if (i == 0 && !is_sequence) return run_fail(context, NORMA_ERROR_RUN, "input 0 is not a sequence");
    if (i == 0) *length = input->list->count;
    if (is_sequence && input->list->count != *length) {
      return run_fail(context, NORMA_ERROR_RUN, "input %d has %lld elements, input 0 has %lld", i,
                      (long long)input->list->count, (long long)*length);
    }
  }
  return NORMA_OK;
}

/* Runs the body for one element. */
static norma_status map_element(run_context *context, int64_t element, const value **inputs, value *results) {
  const sequence_map_state *state = context->state;
  for (int i = 0; i < context->input_count; i++) {
    const value *input = context->inputs[i];
    inputs[i] = input->kind == NORMA_VALUE_SEQUENCE ? &input->list->items[element] : input;
  }
  TRY(run_subgraph(context, state->body, inputs, context->input_count, results, context->output_count));
  norma_status status = NORMA_OK;
  for (int i = 0; i < context->output_count; i++) {
    bool wanted = status == NORMA_OK && context->outputs[i];
    if (wanted && results[i].kind != NORMA_VALUE_TENSOR) {
      status = run_fail(context, NORMA_ERROR_RUN, "output %d of the body is not a tensor", i);
    } else if (wanted) {
      status = run_set_element(context, i, element, &results[i]);
    }
    value_clear(&results[i]);
  }
  return status;
}

static norma_status sequence_map_compute(run_context *context) {
  int64_t length = 0;
  void *inputs, *results;
  TRY(check_lengths(context, &length));
  TRY(run_allocate_temporary(context, (size_t)context->input_count * sizeof(value *), &inputs));
  TRY(run_allocate_temporary(context, (size_t)context->output_count * sizeof(value), &results));
  for (int i = 0; i < context->output_count; i++) {
    if (context->outputs[i]) TRY(run_allocate_list(context, i, NORMA_VALUE_SEQUENCE, length));
  }
  for (int64_t i = 0; i < length; i++) TRY(map_element(context, i, inputs, results));
  return NORMA_OK;
}

static const operator_attribute sequence_map_attributes[] = {
    {"body", ATTRIBUTE_GRAPH, 17, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_sequence_map[] = {
    {
        .domain = "",
        .name = "SequenceMap",
        .versions = {17},
        .min_inputs = 1,
        .max_inputs = OPERATOR_VARIADIC,
        .min_outputs = 1,
        .max_outputs = OPERATOR_VARIADIC,
        .attributes = sequence_map_attributes,
        .flags = OPERATOR_SUBGRAPHS,
        .state_size = sizeof(sequence_map_state),
        .read = sequence_map_read,
        .infer = sequence_map_infer,
        .compute = sequence_map_compute,
    },
    {0},
};
