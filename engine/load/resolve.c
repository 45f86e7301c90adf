#include "engine/load/resolve.h"

#include <inttypes.h>
#include <stdio.h>

void resolution_init(resolution *resolution, norma_model *model, const norma_load_options *options) {
  *resolution = (struct resolution){.model = model, .options = options};
  region_init(&resolution->region, model->memory);
}

void resolution_free(resolution *resolution) {
  region_free(&resolution->region);
}

/* ------------------------------------------------------------------------------------------------ unsupported nodes */

static void report_unsupported(resolution *resolution, const node *node, const char *reason) {
  norma_unsupported item = {node->name, node->op_type, domain_text(node->domain), node->opset, reason};
  const norma_load_options *options = resolution->options;
  if (options->report) options->report(options->report_context, &item);
  runtime_log(resolution->model->runtime, NORMA_LOG_ERROR, "unsupported: node '%s' (%s, %s %" PRId64 "): %s", item.node,
              item.op_type, item.domain, item.opset, reason);
  size_t used = strlen(resolution->list);
  snprintf(resolution->list + used, sizeof resolution->list - used, "%s'%s' (%s, %s %" PRId64 "): %s", used ? "; " : "",
           item.node, item.op_type, item.domain, item.opset, reason);
  if (resolution->unsupported++ > 0) return;
  error_at_node(&resolution->first, NORMA_ERROR_UNSUPPORTED, node, "unsupported");
}

norma_status resolution_finish(const resolution *resolution, norma_error *error) {
  if (resolution->status != NORMA_OK && resolution->unsupported == 0) {
    if (error) *error = resolution->invalid;
    return resolution->status;
  }
  if (resolution->unsupported == 0) return NORMA_OK;
  if (error) {
    char text[sizeof error->message];
    int length = snprintf(text, sizeof text, "%d %s unsupported: ", resolution->unsupported,
                          resolution->unsupported == 1 ? "node is" : "nodes are");
    error_copy_text(text + length, sizeof text - (size_t)length, resolution->list);
    *error = resolution->first;
    ERROR_COPY(error->message, text);
  }
  return NORMA_ERROR_UNSUPPORTED;
}

/* -------------------------------------------------------------------------------------------------------- operators */

/* Operators compute their required outputs without asking: one without a name gets a value that nobody reads. */
static norma_status make_required_outputs(node *node, norma_error *error) {
  for (int i = 0; node->op && i < node->op->min_outputs; i++) {
    if (node->outputs[i]) continue;
    graph_value *unread = graph_add_unique_value(node->graph, node->name);
    if (!unread) return region_error(node->graph->region, error);
    node_set_output(node, i, unread);
  }
  return NORMA_OK;
}

static bool resolution_goes_on(resolution *resolution) {
  norma_status status =
      interruption_poll_often(resolution->model->interruption, &resolution->polls, &resolution->invalid);
  if (status != NORMA_OK) resolution->status = status;
  return status == NORMA_OK;
}

static bool resolve_graph(void *context, graph *graph) {
  resolution *resolution = context;
  for (node *node = graph->first; node; node = node->next) {
    if (!resolution_goes_on(resolution)) return false;
    const char *reason = "operator not known to this build"; /* inner operators are not for files */
    norma_error error;
    bool is_inner = strcmp(node->domain, OPERATOR_INNER_DOMAIN) == 0;
    norma_status status =
        is_inner ? NORMA_OK : operator_resolve(resolution->model->runtime->operators, node, &reason, &error);
    if (status == NORMA_OK) status = make_required_outputs(node, &error);
    if (status == NORMA_ERROR_UNSUPPORTED) {
      node->op = NULL;
      reason = error.message;
    } else if (status != NORMA_OK) {
      resolution->status = status;
      resolution->invalid = error;
      return false;
    }
    if (reason) report_unsupported(resolution, node, reason);
    if (!node_visit_subgraphs(node, resolve_graph, resolution)) return false;
  }
  return true;
}

bool resolve_operators(resolution *resolution) {
  return resolve_graph(resolution, resolution->model->graph);
}

/* ------------------------------------------------------------------------------------------------------------ types */

static void describe_conflict(resolution *resolution, const node *node, const type_conflict *conflict) {
  const graph_value *input = node->inputs[conflict->input];
  if (conflict->is_kind) {
    resolution->status = error_at_node(&resolution->invalid, NORMA_ERROR_INVALID_MODEL, node,
                                       "input %d ('%s') must be a tensor", conflict->input, input->name);
  } else if (conflict->expected != NORMA_UNDEFINED) {
    resolution->status = error_at_node(&resolution->invalid, NORMA_ERROR_INVALID_MODEL, node,
                                       "input %d ('%s') has element type %s, expected %s like the inputs before",
                                       conflict->input, input->name, norma_element_type_name(input->info.type),
                                       norma_element_type_name(conflict->expected));
  } else {
    char text[160];
    snprintf(text, sizeof text, "element type %s of input %d ('%.80s') is not supported",
             norma_element_type_name(input->info.type), conflict->input, input->name);
    report_unsupported(resolution, node, text);
  }
}

static bool check_graph_types(void *context, graph *graph) {
  resolution *resolution = context;
  for (node *node = graph->first; node; node = node->next) {
    if (!resolution_goes_on(resolution)) return false;
    const value_info **inputs = region_array(&resolution->region, (size_t)node->input_count, sizeof *inputs);
    if (!inputs) {
      resolution->status = region_error(&resolution->region, &resolution->invalid);
      return false;
    }
    for (int i = 0; i < node->input_count; i++) inputs[i] = node->inputs[i] ? &node->inputs[i]->info : NULL;
    type_conflict conflict;
    if (node->op && !operator_accepts(node->op, node->input_count, inputs, &conflict)) {
      describe_conflict(resolution, node, &conflict);
    }
    if (resolution->status != NORMA_OK || !node_visit_subgraphs(node, check_graph_types, resolution)) return false;
  }
  return true;
}

bool resolve_types(resolution *resolution) {
  return check_graph_types(resolution, resolution->model->graph);
}
