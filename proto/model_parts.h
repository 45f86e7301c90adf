/*
 * A model file as the fields of its main graph, each of which is kept byte for byte, replaced, or dropped; new fields
 * can be added. What comes out has the same bytes everywhere else: unknown fields, comments, order, encodings. A
 * private header of proto/ for model_patch.c and model_rewrite.c.
 */
#ifndef PROTO_MODEL_PARTS_H
#define PROTO_MODEL_PARTS_H

#include "engine/base/interruption.h"
#include "engine/base/name_table.h"
#include "proto/wire_edit.h"

/* Field numbers of GraphProto and of the messages in it that are edited. */
enum {
  GRAPH_NODE = 1,
  GRAPH_INITIALIZER = 5,
  GRAPH_INPUT = 11,
  GRAPH_OUTPUT = 12,
  GRAPH_VALUE_INFO = 13,
  GRAPH_ANNOTATION = 14,
  GRAPH_SPARSE_INITIALIZER = 15,
  NODE_INPUT = 1,
  NODE_OUTPUT = 2,
  NODE_OP_TYPE = 4,
  NODE_ATTRIBUTE = 5,
  NODE_DOMAIN = 7,
  NODE_OVERLOAD = 8,
  ATTRIBUTE_NAME = 1,
  ATTRIBUTE_I = 3,
  ATTRIBUTE_T = 5,
  ATTRIBUTE_G = 6,
  ATTRIBUTE_FLOAT_LIST = 7,
  ATTRIBUTE_GRAPH_LIST = 11,
  ATTRIBUTE_TYPE = 20,
  TENSOR_DIMS = 1,
  TENSOR_DATA_TYPE = 2,
  TENSOR_FLOAT_DATA = 4,
  TENSOR_INT32_DATA = 5,
  TENSOR_INT64_DATA = 7,
  TENSOR_NAME = 8,
  TENSOR_RAW_DATA = 9,
  TENSOR_DOUBLE_DATA = 10,
  TENSOR_UINT64_DATA = 11,
  TENSOR_EXTERNAL_DATA = 13,
  TENSOR_DATA_LOCATION = 14
};

typedef struct graph_part {
  wire_part field;
  const char
      *name; /* of an initializer, input, output, hint: its own; of a node: its first output. "" if it has none */
  wire_span contents; /* as it will be written */
  bool replaced, dropped;
} graph_part;

typedef struct graph_addition {
  uint32_t number;
  wire_span contents;
  struct graph_addition *next;
} graph_addition;

typedef struct model_parts {
  memory *memory;
  region *region;
  wire_span before, graph, after; /* of the file; `graph` is the contents of the main graph */
  int64_t ir_version;
  size_t count;
  graph_part *parts;
  graph_addition *additions, *last_addition; /* oldest first */
  interruption *interruption;                /* of writing; NULL: nothing ends it early. Set it after reading. */
} model_parts;

/* `bytes` are borrowed, and must have passed the wire check; all else lives in the region. Errors: INVALID_MODEL (no
 * graph), OUT_OF_MEMORY, BUDGET. */
norma_status model_parts_read(model_parts *parts, region *region, wire_span bytes, norma_error *error);

/* The part of that field and name that is not dropped; NULL if there is none. Linear. */
graph_part *model_parts_find(const model_parts *parts, uint32_t number, const char *name);

/* Adds a field behind the last one of its number. */
norma_status model_parts_add(model_parts *parts, uint32_t number, wire_span contents, norma_error *error);

norma_status model_parts_write(const model_parts *parts, write_bytes write, void *context, norma_error *error);

/* Adds all names that a graph's nodes read, those of graphs below them included, to the table; with `outputs` also
 * those that they define. The names live in the region. false: out of memory. */
bool collect_names(wire_span graph, region *region, name_table *names, bool outputs);

/* The locations of external data that tensors of the model still refer to, given to visit until it fails: those of the
 * parts, of subgraphs, functions and training graphs, sparse ones among them. */
typedef norma_status (*visit_location)(void *context, const char *location, norma_error *error);
norma_status model_parts_external(const model_parts *parts, visit_location visit, void *context, norma_error *error);

#endif
