#include "engine/graph/graph.h"

#include "engine/base/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ----------------------------------------------------------------------------------------------------------- making */

graph *graph_create(region *region, memory *memory, const char *name, graph *parent, node *parent_node) {
  graph *created = region_allocate(region, sizeof *created);
  if (!created) return NULL;
  created->name = region_copy_string(region, name ? name : "", name ? strlen(name) : 0);
  if (!created->name) return NULL;
  created->region = region;
  created->memory = memory;
  created->parent = parent;
  created->parent_node = parent_node;
  created->depth = parent ? parent->depth + 1 : 0;
  return created;
}

static size_t hash_name(const char *name) { /* FNV-1a, with its high bits folded in */
  uint64_t hash = 0xCBF29CE484222325u;
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001B3u;
  return (size_t)(hash ^ hash >> 32);
}

/* The slot where a value of that name stands or would stand. */
static int *name_slot(const graph *graph, const char *name) {
  size_t mask = graph->name_slot_count - 1, at = hash_name(name) & mask;
  while (graph->name_slots[at] && strcmp(graph->values[graph->name_slots[at] - 1]->name, name) != 0)
    at = (at + 1) & mask;
  return &graph->name_slots[at];
}

static void index_name(graph *graph, const graph_value *value) {
  int *slot = name_slot(graph, value->name);
  if (*slot == 0) *slot = value->id + 1;
}

/* Room for one more value; the table is at most half full. */
static bool grow_name_slots(graph *graph) {
  size_t count = (size_t)graph->value_count + 1;
  if (count * 2 <= graph->name_slot_count) return true;
  size_t grown_count = graph->name_slot_count ? graph->name_slot_count * 2 : 32;
  int *grown = region_array(graph->region, grown_count, sizeof *grown);
  if (!grown) return false;
  graph->name_slot_count = grown_count;
  graph->name_slots = grown;
  for (int i = 0; i < graph->value_count; i++) index_name(graph, graph->values[i]);
  return true;
}

graph_value *graph_add_value(graph *graph, const char *name) {
  if (!grow_name_slots(graph)) return NULL;
  if (graph->value_count == graph->value_capacity) {
    int capacity = graph->value_capacity ? graph->value_capacity * 2 : 16;
    graph_value **grown = region_array(graph->region, (size_t)capacity, sizeof *grown);
    if (!grown) return NULL;
    if (graph->value_count) memcpy(grown, graph->values, (size_t)graph->value_count * sizeof *grown);
    graph->values = grown;
    graph->value_capacity = capacity;
  }
  graph_value *value = region_allocate(graph->region, sizeof *value);
  if (!value) return NULL;
  value->name = region_copy_string(graph->region, name, strlen(name));
  if (!value->name) return NULL;
  value->graph = graph;
  value->id = graph->value_count;
  value->info.shape.rank = RANK_UNKNOWN;
  graph->values[graph->value_count++] = value;
  index_name(graph, value);
  return value;
}

/* Stems are cut here: what is made anew again and again, such as the bias of a layer that takes a hundred sums, has its
 * last name for a stem. */
#define LONGEST_STEM 255

graph_value *graph_add_unique_value(graph *graph, const char *stem) {
  char name[LONGEST_STEM + 17];
  error_copy_text(name, LONGEST_STEM + 1, stem);
  const size_t length = strlen(name);
  for (int i = graph->value_count; graph_find_value(graph, name); i++) snprintf(name + length, 16, ".%d", i);
  return graph_add_value(graph, name);
}

/* ------------------------------------------------------------------------------------------------------------ order */

/* Nodes carry labels that rise along their list, so that two of them are compared at once. Where there is no number
 * left between two neighbours, the nodes of the smallest range of labels that is not too full are numbered anew: the
 * first of "Two Simplified Algorithms for Maintaining Order in a List" (Bender, Cole, Demaine, Farach-Colton, Zito,
 * 2002). An insertion costs O(log n) on average over many. */
#define LABEL_BITS  62
#define LABEL_FIRST ((uint64_t)1 << (LABEL_BITS - 1))
#define LABEL_STEP  ((uint64_t)1 << 32) /* between nodes that are added one behind the other */
#define LABEL_ROOM  1.5                 /* how much emptier each range of twice the size has to be */

static void label_anew(node *node) {
  struct node *first = node, *last = node;
  double capacity = 1;
  size_t count = 1;
  for (int bits = 1; bits <= LABEL_BITS; bits++) {
    const uint64_t size = (uint64_t)1 << bits, base = node->label & ~(size - 1);
    for (; first->previous && first->previous->label >= base; count++) first = first->previous;
    for (; last->next && last->next->label - base < size; count++) last = last->next;
    capacity *= 2 / LABEL_ROOM;
    if (bits < LABEL_BITS && ((double)count > capacity || count >= size)) continue;
    const uint64_t step = size / count;
    uint64_t label = base;
    for (;; first = first->next, label += step) {
      first->label = label;
      if (first == last) return;
    }
  }
}

/* For a node that was linked: a label between those of its neighbours. */
static void label_node(node *node) {
  const struct node *previous = node->previous, *next = node->next;
  if (!previous && !next) {
    node->label = LABEL_FIRST;
    return;
  }
  const uint64_t end = (uint64_t)1 << LABEL_BITS;
  const uint64_t low = previous ? previous->label : 0, high = next ? next->label : end;
  if (high - low < 2) { /* the node takes its neighbour's label, and both move apart */
    node->label = low;
    label_anew(node);
  } else if (!next && end - low > LABEL_STEP) {
    node->label = low + LABEL_STEP;
  } else {
    node->label = low + (high - low) / 2;
  }
}

bool node_stands_before(const node *first, const node *second) {
  return first->label < second->label;
}

static void link_before(graph *graph, node *node, struct node *position) {
  node->next = position;
  node->previous = position ? position->previous : graph->last;
  *(node->previous ? &node->previous->next : &graph->first) = node;
  *(position ? &position->previous : &graph->last) = node;
  label_node(node);
}

static void unlink_node(node *node) {
  *(node->previous ? &node->previous->next : &node->graph->first) = node->next;
  *(node->next ? &node->next->previous : &node->graph->last) = node->previous;
  node->next = node->previous = NULL;
}

node *graph_insert_node(graph *graph, node *position, const char *name, const char *op_type, const char *domain,
                        int input_count, int output_count, int attribute_count) {
  region *region = graph->region;
  node *created = region_allocate(region, sizeof *created);
  if (!created) return NULL;
  created->graph = graph;
  created->name = region_copy_string(region, name, strlen(name));
  created->op_type = region_copy_string(region, op_type, strlen(op_type));
  created->domain = region_copy_string(region, domain, strlen(domain));
  created->overload = "";
  created->input_count = input_count;
  created->output_count = output_count;
  created->attribute_count = attribute_count;
  created->inputs = region_array(region, (size_t)input_count, sizeof *created->inputs);
  created->input_uses = region_array(region, (size_t)input_count, sizeof *created->input_uses);
  created->outputs = region_array(region, (size_t)output_count, sizeof *created->outputs);
  created->attributes = region_array(region, (size_t)attribute_count, sizeof *created->attributes);
  if (!created->name || !created->op_type || !created->domain || !created->inputs || !created->input_uses ||
      !created->outputs || !created->attributes) {
    return NULL;
  }
  link_before(graph, created, position);
  graph->node_count++;
  return created;
}

node *graph_add_node(graph *graph, const char *name, const char *op_type, const char *domain, int input_count,
                     int output_count, int attribute_count) {
  return graph_insert_node(graph, NULL, name, op_type, domain, input_count, output_count, attribute_count);
}

/* Lists of inputs and outputs grow one by one: capacity is the next power of two, so that no field is needed for it. */
static bool list_add(graph *graph, graph_value ***list, int *count, graph_value *value) {
  if ((*count & (*count - 1)) == 0) {
    graph_value **grown = region_array(graph->region, (size_t)(*count ? *count * 2 : 1), sizeof *grown);
    if (!grown) return false;
    if (*count) memcpy(grown, *list, (size_t)*count * sizeof *grown);
    *list = grown;
  }
  (*list)[(*count)++] = value;
  return true;
}

bool graph_add_input(graph *graph, graph_value *value) {
  if (!list_add(graph, &graph->inputs, &graph->input_count, value)) return false;
  value->is_input = true;
  return true;
}

bool graph_add_output(graph *graph, graph_value *value) {
  if (!list_add(graph, &graph->outputs, &graph->output_count, value)) return false;
  value->output_count++;
  return true;
}

bool graph_set_constant(graph_value *target, value *contents) {
  value *held = region_allocate(target->graph->region, sizeof *held);
  if (!held) {
    value_clear(contents);
    return false;
  }
  *held = *contents;
  memset(contents, 0, sizeof *contents);
  target->constant = held;
  target->info = value_info_of(held);
  return true;
}

graph_value *graph_add_constant(graph *graph, const char *stem, value *contents) {
  graph_value *created = graph_add_unique_value(graph, stem);
  if (!created) {
    value_clear(contents);
    return NULL;
  }
  return graph_set_constant(created, contents) ? created : NULL;
}

static void use_unlink(use *use, graph_value *value) {
  *(use->previous ? &use->previous->next : &value->uses) = use->next;
  if (use->next) use->next->previous = use->previous;
  use->next = use->previous = NULL;
  value->use_count--;
}

void node_set_input(node *node, int index, graph_value *value) {
  use *use = &node->input_uses[index];
  if (node->inputs[index]) use_unlink(use, node->inputs[index]);
  node->inputs[index] = value;
  if (!value) return;
  use->node = node;
  use->index = index;
  use->previous = NULL;
  use->next = value->uses;
  if (value->uses) value->uses->previous = use;
  value->uses = use;
  value->use_count++;
}

void node_set_output(node *node, int index, graph_value *value) {
  graph_value *old = node->outputs[index];
  if (old && old->producer == node) old->producer = NULL;
  node->outputs[index] = value;
  if (!value) return;
  value->producer = node;
  value->producer_index = index;
}

bool node_add_inputs(node *node, int count) {
  region *region = node->graph->region;
  size_t total = (size_t)(node->input_count + count);
  graph_value **inputs = region_array(region, total, sizeof *inputs);
  use *uses = region_array(region, total, sizeof *uses);
  if (!inputs || !uses) return false;
  graph_value **old = node->inputs;
  int old_count = node->input_count;
  for (int i = 0; i < old_count; i++) {
    inputs[i] = old[i];
    if (old[i]) use_unlink(&node->input_uses[i], old[i]);
  }
  node->inputs = inputs;
  node->input_uses = uses;
  node->input_count += count;
  for (int i = 0; i < old_count; i++) {
    graph_value *value = inputs[i];
    inputs[i] = NULL;
    node_set_input(node, i, value);
  }
  return true;
}

/* --------------------------------------------------------------------------------------------------------- changing */

static void replace_outputs(graph *graph, graph_value *old, graph_value *replacement) {
  for (int i = 0; i < graph->output_count; i++) {
    if (graph->outputs[i] != old) continue;
    graph->outputs[i] = replacement;
    old->output_count--;
    replacement->output_count++;
  }
}

typedef struct replacement {
  graph_value *old, *new;
} replacement;

static bool replace_subgraph_outputs(void *context, graph *subgraph) {
  const replacement *change = context;
  replace_outputs(subgraph, change->old, change->new);
  for (node *node = subgraph->first; node; node = node->next) {
    node_visit_subgraphs(node, replace_subgraph_outputs, context);
  }
  return true;
}

void graph_replace_uses(graph_value *old, graph_value *replacement_value) {
  if (old == replacement_value) return;
  while (old->uses) node_set_input(old->uses->node, old->uses->index, replacement_value);
  if (old->output_count == 0) return;
  replace_outputs(old->graph, old, replacement_value);
  replacement change = {old, replacement_value};
  for (node *node = old->graph->first; node && old->output_count > 0; node = node->next) {
    node_visit_subgraphs(node, replace_subgraph_outputs, &change);
  }
}

static void drop_uses(node *node);

static bool drop_subgraph_uses(void *context, graph *subgraph) {
  (void)context;
  for (node *node = subgraph->first; node; node = node->next) drop_uses(node);
  for (int i = 0; i < subgraph->output_count; i++) subgraph->outputs[i]->output_count--;
  return true;
}

static void drop_uses(node *node) {
  for (int i = 0; i < node->input_count; i++) node_set_input(node, i, NULL);
  node_visit_subgraphs(node, drop_subgraph_uses, NULL);
}

static bool release_subgraph(void *context, graph *subgraph) {
  (void)context;
  graph_release(subgraph);
  return true;
}

static void release_attributes(node *node) {
  for (int i = 0; i < node->attribute_count; i++) {
    attribute *attribute = &node->attributes[i];
    if (attribute_holds_tensor(attribute) && attribute->tensor) value_clear(attribute->tensor);
    for (size_t t = 0; attribute_holds_tensors(attribute) && attribute->tensors && t < attribute->count; t++) {
      value_clear(&attribute->tensors[t]);
    }
  }
}

void graph_remove_node(node *node) {
  drop_uses(node);
  for (int i = 0; i < node->output_count; i++) node_set_output(node, i, NULL);
  node_visit_subgraphs(node, release_subgraph, NULL);
  release_attributes(node);
  unlink_node(node);
  node->graph->node_count--;
}

void graph_move_before(node *node, struct node *position) {
  unlink_node(node);
  link_before(node->graph, node, position);
}

void graph_release(graph *graph) {
  if (!graph) return;
  for (int i = 0; i < graph->value_count; i++) {
    /* The values themselves stand in the region; only the references that they hold are given back. */
    if (graph->values[i]->constant) value_clear(graph->values[i]->constant);
    if (graph->values[i]->initial) value_clear(graph->values[i]->initial);
  }
  for (node *node = graph->first; node; node = node->next) {
    node_visit_subgraphs(node, release_subgraph, NULL);
    release_attributes(node);
  }
}

/* --------------------------------------------------------------------------------------------------------- captures */

static bool add_capture(graph *inner, graph_value *value) {
  if (value->constant || graph_contains(inner, value->graph)) return true;
  return list_add(inner, &inner->captures, &inner->capture_count, value);
}

static bool find_subgraph_captures(void *context, graph *subgraph) {
  if (!graph_find_captures(subgraph)) return false;
  for (int i = 0; i < subgraph->capture_count; i++) {
    if (!add_capture(context, subgraph->captures[i])) return false;
  }
  return true;
}

/* By the graph they are of, outermost first, then by id. */
static int graph_compare_captures(const void *left, const void *right) {
  const graph_value *a = *(graph_value *const *)left, *b = *(graph_value *const *)right;
  if (a->graph->depth != b->graph->depth) return a->graph->depth < b->graph->depth ? -1 : 1;
  return (a->id > b->id) - (a->id < b->id);
}

bool graph_find_captures(graph *graph) {
  graph->capture_count = 0;
  for (node *node = graph->first; node; node = node->next) {
    for (int i = 0; i < node->input_count; i++) {
      if (node->inputs[i] && !add_capture(graph, node->inputs[i])) return false;
    }
    if (!node_visit_subgraphs(node, find_subgraph_captures, graph)) return false;
  }
  for (int i = 0; i < graph->output_count; i++) {
    if (!add_capture(graph, graph->outputs[i])) return false;
  }
  if (graph->capture_count == 0) return true;
  qsort(graph->captures, (size_t)graph->capture_count, sizeof *graph->captures, graph_compare_captures);
  int kept = 1;
  for (int i = 1; i < graph->capture_count; i++) {
    if (graph->captures[i] != graph->captures[kept - 1]) graph->captures[kept++] = graph->captures[i];
  }
  graph->capture_count = kept;
  return true;
}

/* -------------------------------------------------------------------------------------------------------- questions */

graph_value *graph_find_value(const graph *graph, const char *name) {
  for (; graph; graph = graph->parent) {
    int slot = graph->value_count ? *name_slot(graph, name) : 0;
    if (slot) return graph->values[slot - 1];
  }
  return NULL;
}

bool value_has_single_use(const graph_value *value) {
  return value->use_count == 1 && value->output_count == 0;
}

int graph_find_capture(const graph *graph, const graph_value *value) {
  if (graph->capture_count == 0) return -1;
  graph_value **found =
      bsearch(&value, graph->captures, (size_t)graph->capture_count, sizeof *found, graph_compare_captures);
  return found && *found == value ? (int)(found - graph->captures) : -1;
}

bool graph_contains(const graph *outer, const graph *inner) {
  while (inner && inner != outer) inner = inner->parent;
  return inner != NULL;
}

bool node_visit_subgraphs(const node *node, bool (*visit)(void *context, graph *subgraph), void *context) {
  for (int i = 0; i < node->attribute_count; i++) {
    const attribute *attribute = &node->attributes[i];
    if (attribute->kind == ATTRIBUTE_GRAPH && attribute->graph && !visit(context, attribute->graph)) return false;
    for (size_t g = 0; attribute->kind == ATTRIBUTE_GRAPHS && g < attribute->count; g++) {
      if (attribute->graphs[g] && !visit(context, attribute->graphs[g])) return false;
    }
  }
  return true;
}

const attribute *node_attribute(const node *node, const char *name) {
  for (int i = 0; i < node->attribute_count; i++) {
    if (node->attributes[i].name && strcmp(node->attributes[i].name, name) == 0) return &node->attributes[i];
  }
  return NULL;
}

static const attribute *attribute_of_kind(const node *node, const char *name, attribute_kind kind) {
  const attribute *found = node_attribute(node, name);
  return found && found->kind == kind ? found : NULL;
}

int64_t attribute_int(const node *node, const char *name, int64_t otherwise) {
  const attribute *found = attribute_of_kind(node, name, ATTRIBUTE_INT);
  return found ? found->i : otherwise;
}

float attribute_float(const node *node, const char *name, float otherwise) {
  const attribute *found = attribute_of_kind(node, name, ATTRIBUTE_FLOAT);
  return found ? found->f : otherwise;
}

const char *attribute_string(const node *node, const char *name, const char *otherwise) {
  const attribute *found = attribute_of_kind(node, name, ATTRIBUTE_STRING);
  return found ? found->s.data : otherwise;
}

const int64_t *attribute_ints(const node *node, const char *name, size_t *count) {
  const attribute *found = attribute_of_kind(node, name, ATTRIBUTE_INTS);
  *count = found ? found->count : 0;
  return found ? found->ints : NULL;
}

const float *attribute_floats(const node *node, const char *name, size_t *count) {
  const attribute *found = attribute_of_kind(node, name, ATTRIBUTE_FLOATS);
  *count = found ? found->count : 0;
  return found ? found->floats : NULL;
}

const norma_string *attribute_strings(const node *node, const char *name, size_t *count) {
  const attribute *found = attribute_of_kind(node, name, ATTRIBUTE_STRINGS);
  *count = found ? found->count : 0;
  return found ? found->strings : NULL;
}

const value *attribute_tensor(const node *node, const char *name) {
  const attribute *found = attribute_of_kind(node, name, ATTRIBUTE_TENSOR);
  return found ? found->tensor : NULL;
}

graph *attribute_graph(const node *node, const char *name) {
  const attribute *found = attribute_of_kind(node, name, ATTRIBUTE_GRAPH);
  return found ? found->graph : NULL;
}

/* The node's attribute of that name, empty, made where it has none. NULL: out of memory. */
static attribute *renew_attribute(node *node, const char *name, attribute_kind kind) {
  region *region = node->graph->region;
  for (int i = 0; i < node->attribute_count; i++) {
    if (!node->attributes[i].name || strcmp(node->attributes[i].name, name) != 0) continue;
    node->attributes[i] = (attribute){.name = node->attributes[i].name, .kind = kind};
    return &node->attributes[i];
  }
  attribute *grown = region_array(region, (size_t)node->attribute_count + 1, sizeof *grown);
  char *copied = region_copy_string(region, name, strlen(name));
  if (!grown || !copied) return NULL;
  if (node->attribute_count) memcpy(grown, node->attributes, (size_t)node->attribute_count * sizeof *grown);
  attribute *added = &grown[node->attribute_count];
  added->name = copied;
  added->kind = kind;
  node->attributes = grown;
  node->attribute_count++;
  return added;
}

bool node_set_attribute_int(node *node, const char *name, int64_t i) {
  attribute *added = renew_attribute(node, name, ATTRIBUTE_INT);
  if (added) added->i = i;
  return added != NULL;
}

bool node_set_attribute_float(node *node, const char *name, float f) {
  attribute *added = renew_attribute(node, name, ATTRIBUTE_FLOAT);
  if (added) added->f = f;
  return added != NULL;
}

bool node_set_attribute_ints(node *node, const char *name, const int64_t *ints, size_t count) {
  int64_t *copied = region_array(node->graph->region, count, sizeof *copied);
  attribute *added = copied ? renew_attribute(node, name, ATTRIBUTE_INTS) : NULL;
  if (!added) return false;
  if (count) memcpy(copied, ints, count * sizeof *copied);
  added->ints = copied;
  added->count = count;
  return true;
}

const char *domain_text(const char *domain) {
  return domain[0] ? domain : "ai.onnx";
}

static void name_node(norma_error *error, const node *node) {
  ERROR_COPY(error->node, node->name);
  ERROR_COPY(error->op_type, node->op_type);
  ERROR_COPY(error->domain, domain_text(node->domain));
  error->opset = node->opset;
}

norma_status error_add_node(norma_error *error, const node *node) {
  if (!error) return NORMA_ERROR_INTERNAL;
  if (error->node[0]) return error->status; /* named by an inner node already */
  name_node(error, node);
  return error_prefix(error, "node '%s' (%s, %s %" PRId64 ")", node->name, node->op_type, domain_text(node->domain),
                      node->opset);
}

norma_status error_at_node(norma_error *error, norma_status status, const node *node, const char *format, ...) {
  if (!error) return status;
  char text[sizeof error->message];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  error_set(error, status, "%s", text);
  return error_add_node(error, node);
}
