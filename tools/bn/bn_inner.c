#include "tools/bn/bn_inner.h"

#include "tools/report.h"

#include <string.h>

typedef struct inner_walk {
  bn_inner_wanted wanted;
  const void *context;
  size_t count;
} inner_walk;

static void warn_of(inner_walk *walk, const norma_node_info *node, const norma_node *parent) {
  norma_node_info outer = {.struct_size = sizeof outer};
  if (walk->wanted && !walk->wanted(walk->context, node->name)) return;
  norma_node_describe(parent, &outer);
  tool_warning("node '%s' is left as it is: it stands inside of %s '%s', and only nodes of the main graph are changed",
               node->name, outer.op_type, outer.name);
  walk->count++;
}

static void walk_graph(inner_walk *walk, const norma_graph *graph) {
  norma_graph_info about = {.struct_size = sizeof about};
  norma_graph_describe(graph, &about);
  for (const norma_node *node = norma_graph_first_node(graph); node; node = norma_node_next(node)) {
    norma_node_info info = {.struct_size = sizeof info};
    const norma_graph *below;
    norma_node_describe(node, &info);
    const bool normalizes = strcmp(info.op_type, "BatchNormalization") == 0 && strcmp(info.domain, "ai.onnx") == 0;
    if (normalizes && about.parent) warn_of(walk, &info, about.parent);
    for (size_t i = 0; (below = norma_node_subgraph(node, i)); i++) walk_graph(walk, below);
  }
}

size_t bn_inner_warn(const norma_model *model, bn_inner_wanted wanted, const void *context) {
  inner_walk walk = {.wanted = wanted, .context = context};
  walk_graph(&walk, norma_model_graph(model));
  return walk.count;
}
