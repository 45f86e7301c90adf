#include "tools/dot.h"

#include <inttypes.h>

/* A label in quotes: only the quote and the backslash mean something to Graphviz; control characters do not print. */
static void put_label(FILE *file, const char *text) {
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') fputc('\\', file);
    fputc((unsigned char)*text < 0x20 ? ' ' : *text, file);
  }
}

static void put_value_label(FILE *file, const graph_value *one) {
  char text[128];
  put_label(file, one->name);
  if (one->info.kind == NORMA_VALUE_TENSOR && one->info.shape.rank != RANK_UNKNOWN) {
    fprintf(file, "\\n%s %s", norma_element_type_name(one->info.type), shape_text(&one->info.shape, text, sizeof text));
  }
}

/* Nodes and values are told apart by their addresses, which are unique in the process. */
static void put_identity(FILE *file, const void *thing) {
  fprintf(file, "n%" PRIxPTR, (uintptr_t)thing);
}

static void put_edge(FILE *file, const graph_value *from, const node *to) {
  if (from->constant && !from->producer) return;
  if (!from->producer && !from->is_input) return;
  fputs("  ", file);
  put_identity(file, from->producer ? (const void *)from->producer : (const void *)from);
  fputs(" -> ", file);
  put_identity(file, to);
  if (from->producer) {
    fputs(" [label=\"", file);
    put_value_label(file, from);
    fputs("\"]", file);
  }
  fputs(";\n", file);
}

static void put_graph(FILE *file, const graph *graph);

static bool put_subgraph(void *context, graph *subgraph) {
  FILE *file = context;
  fputs("  subgraph cluster_", file);
  put_identity(file, subgraph);
  fputs(" {\n  label=\"", file);
  put_label(file, subgraph->name ? subgraph->name : "");
  fputs("\";\n", file);
  put_graph(file, subgraph);
  fputs("  }\n", file);
  if (subgraph->parent_node && subgraph->first) {
    fputs("  ", file);
    put_identity(file, subgraph->parent_node);
    fputs(" -> ", file);
    put_identity(file, subgraph->first);
    fputs(" [style=dashed];\n", file);
  }
  return true;
}

static void put_graph(FILE *file, const graph *graph) {
  for (int i = 0; i < graph->input_count; i++) {
    if (graph->inputs[i]->constant) continue;
    fputs("  ", file);
    put_identity(file, graph->inputs[i]);
    fputs(" [shape=ellipse, label=\"", file);
    put_value_label(file, graph->inputs[i]);
    fputs("\"];\n", file);
  }
  for (const node *node = graph->first; node; node = node->next) {
    fputs("  ", file);
    put_identity(file, node);
    fputs(" [shape=box, label=\"", file);
    put_label(file, node->op_type);
    fputs("\\n", file);
    put_label(file, node->name);
    fputs("\"];\n", file);
    for (int i = 0; i < node->input_count; i++) {
      if (node->inputs[i]) put_edge(file, node->inputs[i], node);
    }
    node_visit_subgraphs(node, put_subgraph, file);
  }
  for (int i = 0; i < graph->output_count; i++) {
    const graph_value *output = graph->outputs[i];
    fprintf(file, "  out%d_", i);
    put_identity(file, graph);
    fputs(" [shape=ellipse, label=\"", file);
    put_value_label(file, output);
    fputs("\"];\n", file);
    if (!output->producer && !output->is_input) continue;
    fputs("  ", file);
    put_identity(file, output->producer ? (const void *)output->producer : (const void *)output);
    fprintf(file, " -> out%d_", i);
    put_identity(file, graph);
    fputs(";\n", file);
  }
}

void dot_write(FILE *file, const graph *graph) {
  fputs("digraph model {\n  rankdir=TB;\n  node [fontname=\"sans-serif\", fontsize=10];\n  edge "
        "[fontname=\"sans-serif\", fontsize=8];\n",
        file);
  put_graph(file, graph);
  fputs("}\n", file);
}
