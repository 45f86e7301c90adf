#include "engine/load/inspect.h"

#include "engine/execute/runtime.h"
#include "engine/load/input_shapes.h"
#include "engine/plan/shape_inference.h"

static bool inspect_resolve(void *context, graph *graph) {
  norma_model *model = context;
  norma_error error;
  for (node *node = graph->first; node; node = node->next) {
    const char *reason = NULL;
    if (interruption_reason(model->interruption) != NORMA_OK) return false; /* inference will say so */
    const bool is_inner = strcmp(node->domain, OPERATOR_INNER_DOMAIN) == 0; /* inner operators are not for files */
    if (is_inner || operator_resolve(model->runtime->operators, node, &reason, &error) != NORMA_OK || reason) {
      node->op = NULL;
    }
    if (!node_visit_subgraphs(node, inspect_resolve, model)) return false;
  }
  return true;
}

static bool is_known_type(const value_info *info) {
  while (info->kind != NORMA_VALUE_TENSOR && info->item) info = info->item;
  return info->type != NORMA_UNDEFINED;
}

static norma_status inspect_infer(norma_model *model, const norma_load_options *options, executor *executor,
                                  norma_error *error) {
  TRY(infer_graph_partly(model->graph, executor, error));
  if (options->input_shape_count == 0) return NORMA_OK;
  /* What no longer infers with the given shapes keeps what follows from the declared ones. */
  TRY(input_shapes_set(model, options, error));
  return infer_graph_partly(model->graph, executor, error);
}

norma_status inspect_graph(norma_model *model, const norma_load_options *options, executor *executor,
                           norma_error *error) {
  graph *graph = model->graph;
  value_info *declared = region_array(&model->region, (size_t)graph->output_count, sizeof *declared);
  if (!declared) return region_error(&model->region, error);
  for (int i = 0; i < graph->output_count; i++) declared[i] = graph->outputs[i]->info;
  inspect_resolve(model, graph);
  TRY(inspect_infer(model, options, executor, error));
  for (int i = 0; i < graph->output_count; i++) {
    if (!is_known_type(&graph->outputs[i]->info)) graph->outputs[i]->info = declared[i];
  }
  return NORMA_OK;
}
