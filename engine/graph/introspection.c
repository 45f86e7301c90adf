/* What a graph holds, for callers of the library: the public face of engine/graph/graph.h. The public handles are the
 * graph's own objects; no call makes anything. */
#include "engine/base/struct_size.h"
#include "engine/graph/graph.h"

static const value_info *type_inside(const norma_type *type) {
  return (const value_info *)type;
}

static const norma_type *type_outside(const value_info *info) {
  return (const norma_type *)info;
}

static const graph *graph_inside(const norma_graph *graph) {
  return (const struct graph *)graph;
}

static const graph_value *value_inside(const norma_graph_value *value) {
  return (const graph_value *)value;
}

static const norma_graph_value *value_outside(const graph_value *value) {
  return (const norma_graph_value *)value;
}

static const node *node_inside(const norma_node *node) {
  return (const struct node *)node;
}

static const norma_node *node_outside(const node *node) {
  return (const norma_node *)node;
}

/* ------------------------------------------------------------------------------------------------------------ types */

norma_value_kind norma_type_kind(const norma_type *type) {
  return type ? type_inside(type)->kind : NORMA_VALUE_NONE;
}

norma_element_type norma_type_element(const norma_type *type) {
  return type ? type_inside(type)->type : NORMA_UNDEFINED;
}

int norma_type_rank(const norma_type *type) {
  return norma_type_kind(type) == NORMA_VALUE_TENSOR ? type_inside(type)->shape.rank : RANK_UNKNOWN;
}

const int64_t *norma_type_dims(const norma_type *type) {
  return norma_type_rank(type) >= 0 ? type_inside(type)->shape.dims : NULL;
}

const norma_type *norma_type_item(const norma_type *type) {
  return type ? type_outside(type_inside(type)->item) : NULL;
}

/* ----------------------------------------------------------------------------------------------------------- values */

/* What a value holds from the start, as far as its data are there. */
static const value *held_contents(const graph_value *inside) {
  const value *contents = inside->constant ? inside->constant : inside->initial;
  const bool is_gone = contents && contents->kind == NORMA_VALUE_TENSOR && !contents->tensor.data &&
                       contents->tensor.size_bytes > 0; /* packed and given back, or never read */
  return is_gone ? NULL : contents;
}

norma_status norma_graph_value_describe(const norma_graph_value *value, norma_graph_value_info *info) {
  if (!value) return NORMA_ERROR_ARGUMENT;
  const graph_value *inside = value_inside(value);
  const norma_graph_value_info filled = {.name = inside->name,
                                         .type = type_outside(&inside->info),
                                         .producer = node_outside(inside->producer),
                                         .producer_index = (size_t)inside->producer_index,
                                         .reader_count = (size_t)inside->use_count,
                                         .is_input = inside->is_input,
                                         .is_output = inside->output_count > 0,
                                         .is_initializer = inside->has_initializer,
                                         .is_constant = inside->constant != NULL,
                                         .contents = held_contents(inside)};
  return info_give(info, &filled, sizeof filled);
}

const char *norma_graph_value_dim_name(const norma_graph_value *value, int axis) {
  if (!value || axis < 0 || axis >= NORMA_MAX_RANK) return NULL;
  const graph_value *inside = value_inside(value);
  const bool is_there = inside->dim_names && inside->info.kind == NORMA_VALUE_TENSOR && axis < inside->info.shape.rank;
  return is_there ? inside->dim_names[axis] : NULL;
}

const norma_node *norma_graph_value_reader(const norma_graph_value *value, size_t index) {
  const use *use = value ? value_inside(value)->uses : NULL;
  for (; use && index > 0; index--) use = use->next;
  return use ? node_outside(use->node) : NULL;
}

/* ----------------------------------------------------------------------------------------------------------- graphs */

/* Values that optimisation has taken out of use stay in the list. */
static bool is_in_use(const graph_value *inside) {
  return inside->producer || inside->is_input || inside->has_initializer || inside->use_count > 0 ||
         inside->output_count > 0;
}

norma_status norma_graph_describe(const norma_graph *graph, norma_graph_info *info) {
  if (!graph) return NORMA_ERROR_ARGUMENT;
  const struct graph *inside = graph_inside(graph);
  const norma_graph_info filled = {.name = inside->name ? inside->name : "",
                                   .node_count = (size_t)inside->node_count,
                                   .value_count = (size_t)inside->value_count,
                                   .input_count = (size_t)inside->input_count,
                                   .output_count = (size_t)inside->output_count,
                                   .parent = node_outside(inside->parent_node)};
  return info_give(info, &filled, sizeof filled);
}

const norma_node *norma_graph_first_node(const norma_graph *graph) {
  return graph ? node_outside(graph_inside(graph)->first) : NULL;
}

const norma_graph_value *norma_graph_input(const norma_graph *graph, size_t index) {
  if (!graph || index >= (size_t)graph_inside(graph)->input_count) return NULL;
  return value_outside(graph_inside(graph)->inputs[index]);
}

const norma_graph_value *norma_graph_output(const norma_graph *graph, size_t index) {
  if (!graph || index >= (size_t)graph_inside(graph)->output_count) return NULL;
  return value_outside(graph_inside(graph)->outputs[index]);
}

const norma_graph_value *norma_graph_value_at(const norma_graph *graph, size_t index) {
  if (!graph || index >= (size_t)graph_inside(graph)->value_count) return NULL;
  const graph_value *inside = graph_inside(graph)->values[index];
  return is_in_use(inside) ? value_outside(inside) : NULL;
}

const norma_graph_value *norma_graph_find_value(const norma_graph *graph, const char *name) {
  if (!graph || !name) return NULL;
  const graph_value *inside = graph_find_value(graph_inside(graph), name);
  return inside && is_in_use(inside) ? value_outside(inside) : NULL;
}

/* ------------------------------------------------------------------------------------------------------------ nodes */

typedef struct subgraph_search {
  size_t left;
  const graph *found;
} subgraph_search;

static bool visit_to_find(void *context, graph *subgraph) {
  subgraph_search *search = context;
  if (search->left-- > 0) return true;
  search->found = subgraph;
  return false;
}

const norma_graph *norma_node_subgraph(const norma_node *node, size_t index) {
  subgraph_search search = {.left = index};
  if (node) node_visit_subgraphs(node_inside(node), visit_to_find, &search);
  return (const norma_graph *)search.found;
}

norma_status norma_node_describe(const norma_node *node, norma_node_info *info) {
  if (!node) return NORMA_ERROR_ARGUMENT;
  const struct node *inside = node_inside(node);
  const norma_node_info filled = {.name = inside->name,
                                  .op_type = inside->op_type,
                                  .domain = domain_text(inside->domain),
                                  .overload = inside->overload ? inside->overload : "",
                                  .opset = inside->opset,
                                  .version = inside->op ? inside->version : 0,
                                  .input_count = (size_t)inside->input_count,
                                  .output_count = (size_t)inside->output_count,
                                  .attribute_count = (size_t)inside->attribute_count,
                                  .graph = (const norma_graph *)inside->graph};
  return info_give(info, &filled, sizeof filled);
}

const norma_node *norma_node_next(const norma_node *node) {
  return node ? node_outside(node_inside(node)->next) : NULL;
}

const norma_graph_value *norma_node_input(const norma_node *node, size_t index) {
  if (!node || index >= (size_t)node_inside(node)->input_count) return NULL;
  return value_outside(node_inside(node)->inputs[index]);
}

const norma_graph_value *norma_node_output(const norma_node *node, size_t index) {
  if (!node || index >= (size_t)node_inside(node)->output_count) return NULL;
  return value_outside(node_inside(node)->outputs[index]);
}

/* ------------------------------------------------------------------------------------------------------- attributes */

static const attribute *attribute_inside(const norma_attribute *attribute) {
  return (const struct attribute *)attribute;
}

const norma_attribute *norma_node_attribute(const norma_node *node, size_t index) {
  if (!node || index >= (size_t)node_inside(node)->attribute_count) return NULL;
  return (const norma_attribute *)&node_inside(node)->attributes[index];
}

const norma_attribute *norma_node_find_attribute(const norma_node *node, const char *name) {
  return node && name ? (const norma_attribute *)node_attribute(node_inside(node), name) : NULL;
}

const char *norma_attribute_name(const norma_attribute *attribute) {
  return attribute ? attribute_inside(attribute)->name : "";
}

norma_attribute_kind norma_attribute_get_kind(const norma_attribute *attribute) {
  return attribute ? (norma_attribute_kind)attribute_inside(attribute)->kind : NORMA_ATTRIBUTE_NONE;
}

static bool is_attribute_list(attribute_kind kind) {
  return (kind >= ATTRIBUTE_FLOATS && kind <= ATTRIBUTE_GRAPHS) || kind == ATTRIBUTE_TYPE_PROTOS;
}

size_t norma_attribute_count(const norma_attribute *attribute) {
  if (!attribute || attribute_inside(attribute)->kind == ATTRIBUTE_NONE) return 0;
  return is_attribute_list(attribute_inside(attribute)->kind) ? attribute_inside(attribute)->count : 1;
}

/* The attribute, if it is of one of these kinds and has that element; else NULL. */
static const attribute *attribute_item(const norma_attribute *attribute, size_t index, attribute_kind one,
                                       attribute_kind list) {
  if (index >= norma_attribute_count(attribute)) return NULL;
  const struct attribute *inside = attribute_inside(attribute);
  return inside->kind == one || inside->kind == list ? inside : NULL;
}

int64_t norma_attribute_int(const norma_attribute *attribute, size_t index) {
  const struct attribute *item = attribute_item(attribute, index, ATTRIBUTE_INT, ATTRIBUTE_INTS);
  if (!item) return 0;
  return item->kind == ATTRIBUTE_INT ? item->i : item->ints[index];
}

float norma_attribute_float(const norma_attribute *attribute, size_t index) {
  const struct attribute *item = attribute_item(attribute, index, ATTRIBUTE_FLOAT, ATTRIBUTE_FLOATS);
  if (!item) return 0;
  return item->kind == ATTRIBUTE_FLOAT ? item->f : item->floats[index];
}

norma_string norma_attribute_string(const norma_attribute *attribute, size_t index) {
  const struct attribute *item = attribute_item(attribute, index, ATTRIBUTE_STRING, ATTRIBUTE_STRINGS);
  if (!item) return (norma_string){0};
  return item->kind == ATTRIBUTE_STRING ? item->s : item->strings[index];
}

const norma_value *norma_attribute_tensor(const norma_attribute *attribute, size_t index) {
  const struct attribute *item = attribute_item(attribute, index, ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS);
  if (!item) item = attribute_item(attribute, index, ATTRIBUTE_SPARSE_TENSOR, ATTRIBUTE_SPARSE_TENSORS);
  return item ? &item->tensors[index] : NULL; /* of both kinds the same pointer */
}

const norma_graph *norma_attribute_graph(const norma_attribute *attribute, size_t index) {
  const struct attribute *item = attribute_item(attribute, index, ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS);
  if (!item) return NULL;
  return (const norma_graph *)(item->kind == ATTRIBUTE_GRAPH ? item->graph : item->graphs[index]);
}

const norma_type *norma_attribute_type(const norma_attribute *attribute, size_t index) {
  const struct attribute *item = attribute_item(attribute, index, ATTRIBUTE_TYPE_PROTO, ATTRIBUTE_TYPE_PROTOS);
  return item ? type_outside(&item->type[index]) : NULL;
}
