#include "tools/dot.h"

#include "tools/value_text.h"

#include <inttypes.h>

/* A label in quotes: only the quote and the backslash mean something to Graphviz; control characters do not print. */
static void put_label(FILE *file, const char *text) {
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') fputc('\\', file);
    fputc((unsigned char)*text < 0x20 ? ' ' : *text, file);
  }
}

static norma_graph_value_info describe(const norma_graph_value *value) {
  norma_graph_value_info info = {.struct_size = sizeof info};
  norma_graph_value_describe(value, &info);
  return info;
}

static void put_value_label(FILE *file, const norma_graph_value_info *info) {
  char text[128];
  put_label(file, info->name);
  if (norma_type_rank(info->type) >= 0) {
    fprintf(file, "\\n%s %s", norma_element_type_name(norma_type_element(info->type)),
            dims_text(norma_type_rank(info->type), norma_type_dims(info->type), text, sizeof text));
  }
}

/* Nodes and values are told apart by their handles, which are unique in the process. */
static void put_identity(FILE *file, const void *handle) {
  fprintf(file, "n%" PRIxPTR, (uintptr_t)handle);
}

/* What a value is drawn as: the node that computes it, or itself as an input; NULL: it is not drawn. */
static const void *origin_of(const norma_graph_value *value, const norma_graph_value_info *info) {
  if (info->producer) return info->producer;
  return info->is_input && !info->is_constant ? (const void *)value : NULL;
}

static void put_edge(FILE *file, const norma_graph_value *from, const norma_node *to) {
  const norma_graph_value_info info = describe(from);
  const void *origin = origin_of(from, &info);
  if (!origin) return;
  fputs("  ", file);
  put_identity(file, origin);
  fputs(" -> ", file);
  put_identity(file, to);
  if (info.producer) {
    fputs(" [label=\"", file);
    put_value_label(file, &info);
    fputs("\"]", file);
  }
  fputs(";\n", file);
}

static void put_graph(FILE *file, const norma_graph *graph);

static void put_subgraph(FILE *file, const norma_graph *subgraph, const norma_node *parent) {
  norma_graph_info info = {.struct_size = sizeof info};
  norma_graph_describe(subgraph, &info);
  fputs("  subgraph cluster_", file);
  put_identity(file, subgraph);
  fputs(" {\n  label=\"", file);
  put_label(file, info.name);
  fputs("\";\n", file);
  put_graph(file, subgraph);
  fputs("  }\n", file);
  const norma_node *first = norma_graph_first_node(subgraph);
  if (first) {
    fputs("  ", file);
    put_identity(file, parent);
    fputs(" -> ", file);
    put_identity(file, first);
    fputs(" [style=dashed];\n", file);
  }
}

static void put_node(FILE *file, const norma_node *node) {
  norma_node_info info = {.struct_size = sizeof info};
  norma_node_describe(node, &info);
  fputs("  ", file);
  put_identity(file, node);
  fputs(" [shape=box, label=\"", file);
  put_label(file, info.op_type);
  fputs("\\n", file);
  put_label(file, info.name);
  fputs("\"];\n", file);
  for (size_t i = 0; i < info.input_count; i++) {
    const norma_graph_value *input = norma_node_input(node, i);
    if (input) put_edge(file, input, node);
  }
  const norma_graph *subgraph;
  for (size_t i = 0; (subgraph = norma_node_subgraph(node, i)) != NULL; i++) put_subgraph(file, subgraph, node);
}

static void put_output(FILE *file, const norma_graph *graph, size_t index) {
  const norma_graph_value *output = norma_graph_output(graph, index);
  const norma_graph_value_info info = describe(output);
  const void *origin = info.producer ? (const void *)info.producer : info.is_input ? (const void *)output : NULL;
  fprintf(file, "  out%zu_", index);
  put_identity(file, graph);
  fputs(" [shape=ellipse, label=\"", file);
  put_value_label(file, &info);
  fputs("\"];\n", file);
  if (!origin) return;
  fputs("  ", file);
  put_identity(file, origin);
  fprintf(file, " -> out%zu_", index);
  put_identity(file, graph);
  fputs(";\n", file);
}

static void put_graph(FILE *file, const norma_graph *graph) {
  norma_graph_info info = {.struct_size = sizeof info};
  norma_graph_describe(graph, &info);
  for (size_t i = 0; i < info.input_count; i++) {
    const norma_graph_value *input = norma_graph_input(graph, i);
    const norma_graph_value_info about = describe(input);
    if (about.is_constant) continue;
    fputs("  ", file);
    put_identity(file, input);
    fputs(" [shape=ellipse, label=\"", file);
    put_value_label(file, &about);
    fputs("\"];\n", file);
  }
  for (const norma_node *node = norma_graph_first_node(graph); node; node = norma_node_next(node)) put_node(file, node);
  for (size_t i = 0; i < info.output_count; i++) put_output(file, graph, i);
}

void dot_write(FILE *file, const norma_graph *graph) {
  fputs("digraph model {\n  rankdir=TB;\n  node [fontname=\"sans-serif\", fontsize=10];\n  edge "
        "[fontname=\"sans-serif\", fontsize=8];\n",
        file);
  put_graph(file, graph);
  fputs("}\n", file);
}
