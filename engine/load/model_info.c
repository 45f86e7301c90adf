/* What a model says of itself, and how large it is, for callers of the library. */
#include "engine/base/status.h"
#include "engine/base/struct_size.h"
#include "engine/execute/packed_constants.h"
#include "engine/graph/model.h"
#include "ops/operator.h"

typedef struct parameter_sum {
  uint64_t elements;
  size_t bytes;
} parameter_sum;

static void add_tensor(parameter_sum *sum, const norma_tensor *tensor) {
  sum->elements += (uint64_t)norma_tensor_count(tensor);
  sum->bytes += tensor->size_bytes;
}

static void add_contents(parameter_sum *sum, const value *contents) {
  if (contents && contents->kind == NORMA_VALUE_TENSOR) add_tensor(sum, &contents->tensor);
}

/* Constants that something reads, those of Constant nodes and of subgraphs included. */
static bool add_parameters(void *context, graph *graph) {
  parameter_sum *sum = context;
  for (int i = 0; i < graph->value_count; i++) {
    const graph_value *one = graph->values[i];
    if (one->use_count > 0 || one->output_count > 0) add_contents(sum, one->constant ? one->constant : one->initial);
  }
  for (const node *node = graph->first; node; node = node->next) {
    const bool is_held = node->op && node->op->facts.constant && node->state;
    const bool is_counted = node->output_count > 0 && node->outputs[0] && node->outputs[0]->constant;
    norma_tensor held;
    if (is_held && !is_counted && node->op->facts.constant(node, &held)) add_tensor(sum, &held);
    node_visit_subgraphs(node, add_parameters, sum);
  }
  return true;
}

norma_status norma_model_describe(const norma_model *model, norma_model_info *info) {
  if (!model) return NORMA_ERROR_ARGUMENT;
  parameter_sum sum = {0};
  add_parameters(&sum, model->graph);
  const norma_model_info filled = {.ir_version = model->ir_version,
                                   .producer_name = model->producer_name,
                                   .producer_version = model->producer_version,
                                   .domain = model->model_domain,
                                   .doc_string = model->doc_string,
                                   .model_version = model->model_version,
                                   .opset_count = model->opset_count,
                                   .metadata_count = model->metadata_count,
                                   .function_count = model->function_count,
                                   .parameter_count = sum.elements,
                                   .parameter_bytes = sum.bytes,
                                   .packed_bytes = packed_constants_bytes(model->packed)};
  return info_give(info, &filled, sizeof filled);
}

norma_status norma_model_opset(const norma_model *model, size_t index, const char **domain, int64_t *version) {
  if (!model || !domain || !version || index >= model->opset_count) return NORMA_ERROR_ARGUMENT;
  *domain = domain_text(model->opsets[index].domain);
  *version = model->opsets[index].version;
  return NORMA_OK;
}

norma_status norma_model_metadata(const norma_model *model, size_t index, const char **key, const char **value) {
  if (!model || !key || !value || index >= model->metadata_count) return NORMA_ERROR_ARGUMENT;
  *key = model->metadata[index].key;
  *value = model->metadata[index].value;
  return NORMA_OK;
}

const char *norma_model_find_metadata(const norma_model *model, const char *key) {
  for (size_t i = 0; model && key && i < model->metadata_count; i++) {
    if (strcmp(model->metadata[i].key, key) == 0) return model->metadata[i].value;
  }
  return NULL;
}

norma_runtime *norma_model_runtime(const norma_model *model) {
  return model ? model->runtime : NULL;
}

const norma_graph *norma_model_graph(const norma_model *model) {
  return model ? (const norma_graph *)model->graph : NULL;
}
