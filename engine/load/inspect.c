#include "engine/load/inspect.h"

#include "engine/execute/runtime.h"
#include "engine/load/input_shapes.h"
#include "engine/plan/shape_inference.h"

typedef struct inspect_walk {
  norma_model *model;
  norma_error *error;
  norma_status status;
} inspect_walk;

/* A node without a usable operator keeps none; a lack of memory ends the walk. */
static norma_status inspect_resolve_node(norma_model *model, node *node, norma_error *error) {
  const char *reason = NULL;
  norma_error refused;
  if (strcmp(node->domain, OPERATOR_INNER_DOMAIN) == 0) { /* inner operators are not for files */
    node->op = NULL;
    return NORMA_OK;
  }
  const norma_status status = operator_resolve(model->runtime->operators, node, &reason, &refused);
  if (status == NORMA_ERROR_OUT_OF_MEMORY || status == NORMA_ERROR_BUDGET) {
    if (error) *error = refused;
    return status;
  }
  if (status != NORMA_OK || reason) node->op = NULL;
  return NORMA_OK;
}

static bool inspect_resolve(void *context, graph *graph) {
  inspect_walk *walk = context;
  for (node *node = graph->first; node && walk->status == NORMA_OK; node = node->next) {
    walk->status = inspect_resolve_node(walk->model, node, walk->error);
    if (walk->status == NORMA_OK) node_visit_subgraphs(node, inspect_resolve, walk);
  }
  return walk->status == NORMA_OK;
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
  inspect_walk walk = {model, error, NORMA_OK};
  inspect_resolve(&walk, graph);
  TRY(walk.status);
  TRY(inspect_infer(model, options, executor, error));
  for (int i = 0; i < graph->output_count; i++) {
    if (!is_known_type(&graph->outputs[i]->info)) graph->outputs[i]->info = declared[i];
  }
  return NORMA_OK;
}
