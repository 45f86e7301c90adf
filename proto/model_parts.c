#include "proto/model_parts.h"

#include "engine/base/status.h"
#include "proto/polled_write.h"

#include <string.h>

enum { MODEL_IR_VERSION = 1, MODEL_GRAPH = 7 };

static const char *copy_part_text(region *region, wire_span text) {
  return region_copy_string(region, (const char *)(text.bytes ? text.bytes : (const unsigned char *)""), text.size);
}

static wire_span name_of(const wire_part *field) {
  switch (field->number) {
  case GRAPH_NODE: {
    wire_span rest = field->contents;
    wire_part part;
    while (wire_next(&rest, &part)) {
      if (part.number == NODE_OUTPUT && part.contents.size > 0) return part.contents;
    }
    return (wire_span){0};
  }
  case GRAPH_INITIALIZER:
    return wire_find(field->contents, TENSOR_NAME);
  case GRAPH_SPARSE_INITIALIZER:
    return wire_find(wire_find(field->contents, 1), TENSOR_NAME);
  case GRAPH_INPUT:
  case GRAPH_OUTPUT:
  case GRAPH_VALUE_INFO:
  case GRAPH_ANNOTATION:
    return wire_find(field->contents, 1);
  default:
    return (wire_span){0};
  }
}

static norma_status read_graph_fields(model_parts *parts, norma_error *error) {
  wire_span rest = parts->graph;
  wire_part field;
  size_t count = 0;
  while (wire_next(&rest, &field)) count++;
  parts->parts = region_array(parts->region, count, sizeof *parts->parts);
  if (!parts->parts) return region_error(parts->region, error);
  rest = parts->graph;
  while (wire_next(&rest, &field)) {
    graph_part *part = &parts->parts[parts->count++];
    *part = (graph_part){.field = field, .contents = field.contents};
    part->name = copy_part_text(parts->region, name_of(&field));
    if (!part->name) return region_error(parts->region, error);
  }
  return NORMA_OK;
}

norma_status model_parts_read(model_parts *parts, region *region, wire_span bytes, norma_error *error) {
  wire_span rest = bytes;
  wire_part field;
  *parts = (model_parts){.memory = region->memory, .region = region};
  parts->ir_version = wire_find_int(bytes, MODEL_IR_VERSION, 0);
  while (wire_next(&rest, &field)) {
    if (field.number != MODEL_GRAPH) continue;
    parts->before = (wire_span){bytes.bytes, (size_t)(field.whole.bytes - bytes.bytes)};
    parts->graph = field.contents;
    parts->after = rest;
    return read_graph_fields(parts, error);
  }
  return error_set(error, NORMA_ERROR_INVALID_MODEL, "the model has no graph");
}

graph_part *model_parts_find(const model_parts *parts, uint32_t number, const char *name) {
  for (size_t i = 0; i < parts->count; i++) {
    graph_part *part = &parts->parts[i];
    if (part->field.number == number && !part->dropped && strcmp(part->name, name) == 0) return part;
  }
  return NULL;
}

norma_status model_parts_add(model_parts *parts, uint32_t number, wire_span contents, norma_error *error) {
  graph_addition *addition = region_allocate(parts->region, sizeof *addition);
  if (!addition || !contents.bytes) return region_error(parts->region, error);
  *addition = (graph_addition){number, contents, NULL};
  *(parts->last_addition ? &parts->last_addition->next : &parts->additions) = addition;
  parts->last_addition = addition;
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- writing */

static void add_additions(wire_build *graph, const graph_addition *addition, uint32_t number) {
  for (; addition; addition = addition->next) {
    if (addition->number == number) build_length_prefixed(graph, number, addition->contents);
  }
}

/* The index of the last field of this number, parts->count where there is none. */
static size_t last_part(const model_parts *parts, uint32_t number) {
  for (size_t i = parts->count; i-- > 0;) {
    if (parts->parts[i].field.number == number) return i;
  }
  return parts->count;
}

norma_status model_parts_write(const model_parts *parts, write_bytes write, void *context, norma_error *error) {
  static const uint32_t addable[] = {GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT};
  enum { ADDABLE = sizeof addable / sizeof addable[0] };
  size_t last[ADDABLE];
  wire_build graph, model;
  for (size_t a = 0; a < ADDABLE; a++) last[a] = last_part(parts, addable[a]);
  build_init(&graph, parts->region);
  build_init(&model, parts->region);
  for (size_t i = 0; i < parts->count; i++) {
    const graph_part *part = &parts->parts[i];
    if (part->replaced && !part->dropped) {
      build_length_prefixed(&graph, part->field.number, part->contents);
    } else if (!part->dropped) {
      build_add(&graph, part->field.whole);
    }
    for (size_t a = 0; a < ADDABLE; a++) {
      if (last[a] == i) add_additions(&graph, parts->additions, addable[a]);
    }
  }
  for (size_t a = 0; a < ADDABLE; a++) {
    if (last[a] == parts->count) add_additions(&graph, parts->additions, addable[a]);
  }
  build_add(&model, parts->before);
  build_message(&model, MODEL_GRAPH, &graph);
  build_add(&model, parts->after);
  polled_write polled = {.write = write, .context = context, .interruption = parts->interruption};
  norma_status status = build_write(&model, polled_write_bytes, &polled, error);
  if (status == NORMA_ERROR_FILE && interruption_reason(parts->interruption) != NORMA_OK) {
    status = interruption_poll(parts->interruption, error);
  }
  build_free(&graph);
  build_free(&model);
  return status;
}

/* ------------------------------------------------------------------------------------------------------------ names */

static bool add_name(region *region, name_table *names, wire_span text) {
  bool added;
  const char *name = copy_part_text(region, text);
  return name && name_table_add(names, name, &added);
}

static bool collect_attribute_names(wire_span attribute, region *region, name_table *names, bool outputs) {
  wire_part part;
  while (wire_next(&attribute, &part)) {
    if ((part.number == ATTRIBUTE_G || part.number == ATTRIBUTE_GRAPH_LIST) &&
        !collect_names(part.contents, region, names, outputs)) {
      return false;
    }
  }
  return true;
}

static bool collect_node_names(wire_span node, region *region, name_table *names, bool outputs) {
  wire_part part;
  while (wire_next(&node, &part)) {
    bool is_name = part.number == NODE_INPUT || (outputs && part.number == NODE_OUTPUT);
    if (is_name && part.contents.size > 0 && !add_name(region, names, part.contents)) return false;
    if (part.number == NODE_ATTRIBUTE && !collect_attribute_names(part.contents, region, names, outputs)) return false;
  }
  return true;
}

/* Recursive as graphs are nested, which the wire check has bounded. */
bool collect_names(wire_span graph, region *region, name_table *names, bool outputs) {
  wire_part part;
  while (wire_next(&graph, &part)) {
    if (part.number == GRAPH_NODE && !collect_node_names(part.contents, region, names, outputs)) return false;
    if (part.number == GRAPH_OUTPUT && !add_name(region, names, wire_find(part.contents, 1))) return false;
    bool is_defined =
        part.number == GRAPH_INPUT || part.number == GRAPH_INITIALIZER || part.number == GRAPH_SPARSE_INITIALIZER;
    if (outputs && is_defined && !add_name(region, names, name_of(&part))) return false;
  }
  return true;
}

/* ---------------------------------------------------------------------------------------------------- external data */

typedef struct external_walk {
  const model_parts *parts;
  visit_location visit;
  void *context;
  norma_error *error;
} external_walk;

static norma_status visit_tensor(const external_walk *walk, wire_span tensor) {
  wire_span rest = tensor;
  wire_part part;
  if (wire_find_int(tensor, TENSOR_DATA_LOCATION, 0) != 1) return NORMA_OK;
  while (wire_next(&rest, &part)) {
    if (part.number != TENSOR_EXTERNAL_DATA || !span_equals(wire_find(part.contents, 1), "location")) continue;
    const char *location = copy_part_text(walk->parts->region, wire_find(part.contents, 2));
    if (!location) return region_error(walk->parts->region, walk->error);
    return walk->visit(walk->context, location, walk->error);
  }
  return NORMA_OK;
}

static norma_status visit_sparse_tensor(const external_walk *walk, wire_span sparse) {
  enum { VALUES = 1, INDICES = 2 };
  TRY(visit_tensor(walk, wire_find(sparse, VALUES)));
  return visit_tensor(walk, wire_find(sparse, INDICES));
}

static norma_status visit_graph(const external_walk *walk, wire_span graph);

static norma_status visit_attribute(const external_walk *walk, wire_span attribute) {
  enum { TENSOR_LIST = 10, SPARSE_TENSOR = 22, SPARSE_TENSOR_LIST = 23 };
  wire_part part;
  while (wire_next(&attribute, &part)) {
    if (part.number == ATTRIBUTE_T || part.number == TENSOR_LIST) TRY(visit_tensor(walk, part.contents));
    if (part.number == ATTRIBUTE_G || part.number == ATTRIBUTE_GRAPH_LIST) TRY(visit_graph(walk, part.contents));
    if (part.number == SPARSE_TENSOR || part.number == SPARSE_TENSOR_LIST) {
      TRY(visit_sparse_tensor(walk, part.contents));
    }
  }
  return NORMA_OK;
}

static norma_status visit_node(const external_walk *walk, wire_span node) {
  wire_part part;
  while (wire_next(&node, &part)) {
    if (part.number == NODE_ATTRIBUTE) TRY(visit_attribute(walk, part.contents));
  }
  return NORMA_OK;
}

static norma_status visit_graph_field(const external_walk *walk, uint32_t number, wire_span contents) {
  switch (number) {
  case GRAPH_NODE:
    return visit_node(walk, contents);
  case GRAPH_INITIALIZER:
    return visit_tensor(walk, contents);
  case GRAPH_SPARSE_INITIALIZER:
    return visit_sparse_tensor(walk, contents);
  default:
    return NORMA_OK;
  }
}

/* Recursive as graphs are nested, which the wire check has bounded. */
static norma_status visit_graph(const external_walk *walk, wire_span graph) {
  wire_part part;
  while (wire_next(&graph, &part)) TRY(visit_graph_field(walk, part.number, part.contents));
  return NORMA_OK;
}

static norma_status visit_function(const external_walk *walk, wire_span function) {
  enum { FUNCTION_NODE = 7, FUNCTION_ATTRIBUTE_PROTO = 11 };
  wire_part part;
  while (wire_next(&function, &part)) {
    if (part.number == FUNCTION_NODE) TRY(visit_node(walk, part.contents));
    if (part.number == FUNCTION_ATTRIBUTE_PROTO) TRY(visit_attribute(walk, part.contents));
  }
  return NORMA_OK;
}

/* What stands beside the main graph: functions, and the graphs of training. */
static norma_status visit_rest(const external_walk *walk, wire_span fields) {
  enum { MODEL_TRAINING = 20, MODEL_FUNCTION = 25 };
  wire_part part, inner;
  while (wire_next(&fields, &part)) {
    if (part.number == MODEL_FUNCTION) TRY(visit_function(walk, part.contents));
    if (part.number != MODEL_TRAINING) continue;
    wire_span training = part.contents; /* fields 1 and 2 are graphs */
    while (wire_next(&training, &inner)) {
      if (inner.number <= 2) TRY(visit_graph(walk, inner.contents));
    }
  }
  return NORMA_OK;
}

norma_status model_parts_external(const model_parts *parts, visit_location visit, void *context, norma_error *error) {
  external_walk walk = {parts, visit, context, error};
  for (size_t i = 0; i < parts->count; i++) {
    const graph_part *part = &parts->parts[i];
    if (!part->dropped) TRY(visit_graph_field(&walk, part->field.number, part->contents));
  }
  for (const graph_addition *addition = parts->additions; addition; addition = addition->next) {
    TRY(visit_graph_field(&walk, addition->number, addition->contents));
  }
  TRY(visit_rest(&walk, parts->before));
  return visit_rest(&walk, parts->after);
}
