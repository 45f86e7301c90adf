#include "tests/fuzz/inspector.h"

#include <string.h>

enum { MOST_ELEMENTS = 256 };

/* What has been read goes in here, so that no compiler leaves the reading out. */
static volatile size_t seen;

static void see(const char *text) {
  seen += strlen(text);
}

static void see_value(const norma_value *value) {
  const norma_tensor *tensor = norma_value_tensor(value);
  for (size_t i = 0; i < norma_value_count(value); i++) see_value(norma_value_element(value, i));
  if (!tensor) return;
  const int64_t all = norma_tensor_count(tensor), count = all < MOST_ELEMENTS ? all : MOST_ELEMENTS;
  if (tensor->type == NORMA_STRING) {
    for (int64_t i = 0; i < count; i++) seen += ((const norma_string *)tensor->data)[i].size;
  } else if (count > 0) {
    double numbers[MOST_ELEMENTS];
    if (norma_tensor_get_doubles(tensor, 0, count, numbers) == NORMA_OK) seen += numbers[count - 1] != 0;
  }
}

static void see_type(const norma_type *type) {
  const int rank = norma_type_rank(type);
  const int64_t *dims = norma_type_dims(type);
  see(norma_element_type_name(norma_type_element(type)));
  for (int i = 0; i < rank; i++) seen += (size_t)dims[i];
  if (norma_type_item(type)) see_type(norma_type_item(type));
}

static void see_graph_value(const norma_graph_value *value) {
  norma_graph_value_info info = {.struct_size = sizeof info};
  if (norma_graph_value_describe(value, &info) != NORMA_OK) return;
  see(info.name);
  see_type(info.type);
  for (int axis = -1; axis <= NORMA_MAX_RANK; axis++) {
    const char *name = norma_graph_value_dim_name(value, axis);
    if (name) see(name);
  }
  for (size_t i = 0; i <= info.reader_count; i++) seen += norma_graph_value_reader(value, i) != NULL;
  if (info.contents) see_value(info.contents);
}

static void see_attribute(const norma_attribute *attribute) {
  see(norma_attribute_name(attribute));
  seen += norma_attribute_get_kind(attribute);
  for (size_t i = 0; i <= norma_attribute_count(attribute); i++) {
    const norma_string string = norma_attribute_string(attribute, i);
    const norma_value *tensor = norma_attribute_tensor(attribute, i);
    const norma_type *type = norma_attribute_type(attribute, i);
    if (string.data) see(string.data);
    if (tensor) see_value(tensor);
    if (type) see_type(type);
    seen += (size_t)norma_attribute_int(attribute, i) + (norma_attribute_float(attribute, i) > 0) +
            (norma_attribute_graph(attribute, i) != NULL);
  }
}

static void see_graph(const norma_graph *graph);

static void see_node(const norma_node *node) {
  norma_node_info info = {.struct_size = sizeof info};
  const norma_graph *subgraph;
  if (norma_node_describe(node, &info) != NORMA_OK) return;
  see(info.name);
  see(info.op_type);
  see(info.domain);
  see(info.overload);
  for (size_t i = 0; i <= info.input_count; i++) seen += norma_node_input(node, i) != NULL;
  for (size_t i = 0; i <= info.output_count; i++) seen += norma_node_output(node, i) != NULL;
  for (size_t i = 0; i < info.attribute_count; i++) see_attribute(norma_node_attribute(node, i));
  for (size_t i = 0; (subgraph = norma_node_subgraph(node, i)) != NULL; i++) see_graph(subgraph);
}

static void see_graph(const norma_graph *graph) {
  norma_graph_info info = {.struct_size = sizeof info};
  if (norma_graph_describe(graph, &info) != NORMA_OK) return;
  see(info.name);
  for (size_t i = 0; i < info.input_count; i++) see_graph_value(norma_graph_input(graph, i));
  for (size_t i = 0; i < info.output_count; i++) see_graph_value(norma_graph_output(graph, i));
  for (size_t i = 0; i < info.value_count; i++) see_graph_value(norma_graph_value_at(graph, i));
  for (const norma_node *node = norma_graph_first_node(graph); node; node = norma_node_next(node)) see_node(node);
}

static void see_model(const norma_model *model) {
  norma_model_info info = {.struct_size = sizeof info};
  norma_value_info declared;
  if (norma_model_describe(model, &info) != NORMA_OK) return;
  see(info.producer_name);
  see(info.producer_version);
  see(info.domain);
  see(info.doc_string);
  for (size_t i = 0; i < info.opset_count; i++) {
    const char *domain;
    int64_t version;
    if (norma_model_opset(model, i, &domain, &version) == NORMA_OK) see(domain);
  }
  for (size_t i = 0; i < info.metadata_count; i++) {
    const char *key, *value;
    if (norma_model_metadata(model, i, &key, &value) != NORMA_OK) continue;
    see(key);
    see(value);
  }
  for (size_t i = 0; norma_model_input(model, i, &declared) == NORMA_OK; i++) see(declared.name);
  for (size_t i = 0; norma_model_output(model, i, &declared) == NORMA_OK; i++) see(declared.name);
  see_graph(norma_model_graph(model));
}

size_t inspect_model(const norma_model *model) {
  seen = 0;
  see_model(model);
  return seen;
}

norma_status inspect_bytes(norma_runtime *runtime, const void *data, size_t size, bool keep_constants,
                           norma_error *error) {
  const norma_load_options options = {
      .struct_size = sizeof options, .runtime = runtime, .form = NORMA_FORM_INSPECT, .keep_constants = keep_constants};
  norma_model *model;
  norma_status status = norma_model_load_memory(data, size, &options, &model, error);
  if (status == NORMA_OK) see_model(model);
  norma_model_destroy(model);
  return status;
}
