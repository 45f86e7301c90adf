#include "tests/fuzz/operator_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t find_operator(const char *domain, const char *name) {
  const size_t count = norma_operator_count();
  if (count > OPERATOR_SET_ROOM) abort();
  for (size_t i = 0; i < count; i++) {
    norma_operator_info info = {.struct_size = sizeof info};
    if (norma_operator(i, &info) != NORMA_OK) continue;
    if (strcmp(info.name, name) == 0 && strcmp(info.domain, domain) == 0) return i;
  }
  return count;
}

static void add_graph(operator_set *set, const norma_graph *graph) {
  for (const norma_node *node = norma_graph_first_node(graph); node; node = norma_node_next(node)) {
    norma_node_info info = {.struct_size = sizeof info};
    const norma_graph *subgraph;
    if (norma_node_describe(node, &info) != NORMA_OK) continue;
    const size_t index = find_operator(info.domain, info.op_type);
    if (index < norma_operator_count()) set->has[index] = true;
    for (size_t i = 0; (subgraph = norma_node_subgraph(node, i)) != NULL; i++) add_graph(set, subgraph);
  }
}

void operator_set_add_model(operator_set *set, const norma_model *model) {
  add_graph(set, norma_model_graph(model));
}

bool operator_set_has(const operator_set *set, const char *domain, const char *name) {
  const size_t index = find_operator(domain, name);
  return index < norma_operator_count() && set->has[index];
}

const char *operator_set_name(size_t index) {
  static char text[192];
  norma_operator_info info = {.struct_size = sizeof info};
  if (norma_operator(index, &info) != NORMA_OK) return "?";
  const bool is_default = strcmp(info.domain, "ai.onnx") == 0;
  snprintf(text, sizeof text, "%s%s%s", is_default ? "" : info.domain, is_default ? "" : ".", info.name);
  return text;
}
