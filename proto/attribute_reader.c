/* Attributes of nodes: kinds checked, tensors and subgraphs read, references to attributes of a function followed. */
#include "proto/reader.h"

#include <inttypes.h>
#include <string.h>

#define ATTRIBUTE_KIND_COUNT 15

static const char *const attribute_kind_names[ATTRIBUTE_KIND_COUNT] = {
    "none",    "float",   "int",    "string",        "tensor",         "graph",      "floats",     "ints",
    "strings", "tensors", "graphs", "sparse tensor", "sparse tensors", "type proto", "type protos"};

#define SCALAR_KINDS (1u << ATTRIBUTE_FLOAT | 1u << ATTRIBUTE_INT | 1u << ATTRIBUTE_STRING)
#define LIST_KINDS                                                                                                     \
  (1u << ATTRIBUTE_FLOATS | 1u << ATTRIBUTE_INTS | 1u << ATTRIBUTE_STRINGS | 1u << ATTRIBUTE_TENSORS |                 \
   1u << ATTRIBUTE_GRAPHS | 1u << ATTRIBUTE_SPARSE_TENSORS | 1u << ATTRIBUTE_TYPE_PROTOS)

/* The kinds whose fields are there. */
static unsigned filled_kinds(const Onnx__AttributeProto *proto) {
  unsigned kinds = 0;
  if (proto->has_f) kinds |= 1u << ATTRIBUTE_FLOAT;
  if (proto->has_i) kinds |= 1u << ATTRIBUTE_INT;
  if (proto->has_s) kinds |= 1u << ATTRIBUTE_STRING;
  if (proto->t) kinds |= 1u << ATTRIBUTE_TENSOR;
  if (proto->g) kinds |= 1u << ATTRIBUTE_GRAPH;
  if (proto->n_floats) kinds |= 1u << ATTRIBUTE_FLOATS;
  if (proto->n_ints) kinds |= 1u << ATTRIBUTE_INTS;
  if (proto->n_strings) kinds |= 1u << ATTRIBUTE_STRINGS;
  if (proto->n_tensors) kinds |= 1u << ATTRIBUTE_TENSORS;
  if (proto->n_graphs) kinds |= 1u << ATTRIBUTE_GRAPHS;
  if (proto->sparse_tensor) kinds |= 1u << ATTRIBUTE_SPARSE_TENSOR;
  if (proto->n_sparse_tensors) kinds |= 1u << ATTRIBUTE_SPARSE_TENSORS;
  if (proto->tp) kinds |= 1u << ATTRIBUTE_TYPE_PROTO;
  if (proto->n_type_protos) kinds |= 1u << ATTRIBUTE_TYPE_PROTOS;
  return kinds;
}

/* IR version 1 had no type; writers of proto3 leave out zeros and empty strings, and every writer leaves out empty
 * lists. */
static norma_status find_attribute_kind(reader *reader, const Onnx__AttributeProto *proto, attribute_kind *kind) {
  unsigned filled = filled_kinds(proto);
  if (!proto->has_type || proto->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED) {
    if (filled == 0 || filled & (filled - 1)) {
      return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "it has no type and %s",
                       filled ? "several values" : "no value");
    }
    *kind = (attribute_kind)__builtin_ctz(filled);
    return NORMA_OK;
  }
  int type = (int)proto->type;
  if (type < 0 || type >= ATTRIBUTE_KIND_COUNT) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "%d is not a type of attributes", type);
  }
  unsigned own = 1u << type;
  if (filled & ~own) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "its type is %s but it has a value of type %s",
                     attribute_kind_names[type], attribute_kind_names[__builtin_ctz(filled & ~own)]);
  }
  if (!filled && !(own & (SCALAR_KINDS | LIST_KINDS))) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "its type is %s but it has no value",
                     attribute_kind_names[type]);
  }
  *kind = (attribute_kind)type;
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- values */

static norma_status copy_attribute_text(reader *reader, const ProtobufCBinaryData *bytes, norma_string *text) {
  char *copy = region_copy_string(reader->region, (const char *)bytes->data, bytes->len);
  if (!copy) return reader_no_memory(reader);
  *text = (norma_string){.data = copy, .size = bytes->len};
  return NORMA_OK;
}

static norma_status copy_array(reader *reader, const void *items, size_t count, size_t size, const void **copy) {
  void *array = region_array(reader->region, count, size);
  if (!array) return reader_no_memory(reader);
  if (count) memcpy(array, items, count * size);
  *copy = array;
  return NORMA_OK;
}

static norma_status read_attribute_strings(reader *reader, const Onnx__AttributeProto *proto, attribute *target) {
  norma_string *strings = region_array(reader->region, proto->n_strings, sizeof *strings);
  if (!strings) return reader_no_memory(reader);
  target->strings = strings;
  target->count = proto->n_strings;
  for (size_t i = 0; i < proto->n_strings; i++) TRY(copy_attribute_text(reader, &proto->strings[i], &strings[i]));
  return NORMA_OK;
}

static norma_status read_tensors(reader *reader, const Onnx__AttributeProto *proto, attribute_kind kind,
                                 attribute *target) {
  bool sparse = kind == ATTRIBUTE_SPARSE_TENSOR || kind == ATTRIBUTE_SPARSE_TENSORS;
  bool list = kind == ATTRIBUTE_TENSORS || kind == ATTRIBUTE_SPARSE_TENSORS;
  size_t count = !list ? 1 : sparse ? proto->n_sparse_tensors : proto->n_tensors;
  value *values = region_array(reader->region, count, sizeof *values);
  if (!values) return reader_no_memory(reader);
  target->kind = kind; /* sparse ones are dense from here on */
  target->count = count;
  target->tensors = values;
  for (size_t i = 0; i < count; i++) {
    if (sparse) {
      const Onnx__SparseTensorProto *item = list ? proto->sparse_tensors[i] : proto->sparse_tensor;
      TRY(read_shared_sparse_tensor(reader, item, &values[i]));
    } else {
      TRY(read_shared_tensor(reader, list ? proto->tensors[i] : proto->t, &values[i]));
    }
  }
  return NORMA_OK;
}

static norma_status read_types(reader *reader, const Onnx__AttributeProto *proto, attribute_kind kind,
                               attribute *target) {
  bool list = kind == ATTRIBUTE_TYPE_PROTOS;
  size_t count = list ? proto->n_type_protos : 1;
  value_info *types = region_array(reader->region, count, sizeof *types);
  if (!types) return reader_no_memory(reader);
  target->type = types;
  target->count = count;
  for (size_t i = 0; i < count; i++) TRY(read_type(reader, list ? proto->type_protos[i] : proto->tp, &types[i]));
  return NORMA_OK;
}

/* The graph hangs below the node before it is filled, so that what it holds is released when the rest fails. */
static norma_status read_attribute_graph(reader *reader, const context *context, node *node,
                                         const Onnx__GraphProto *proto, graph **place) {
  graph *created = graph_create(reader->region, reader->memory, text_or_empty(context->call ? NULL : proto->name),
                                context->builder->graph, node);
  if (!created) return reader_no_memory(reader);
  *place = created;
  return read_subgraph(reader, context->builder, context->scope, context->call, created, proto);
}

static norma_status read_graphs(reader *reader, const context *context, node *node, const Onnx__AttributeProto *proto,
                                attribute *target) {
  target->graphs = region_array(reader->region, proto->n_graphs, sizeof *target->graphs);
  if (!target->graphs) return reader_no_memory(reader);
  target->count = proto->n_graphs;
  for (size_t i = 0; i < proto->n_graphs; i++) {
    TRY(read_attribute_graph(reader, context, node, proto->graphs[i], &target->graphs[i]));
  }
  return NORMA_OK;
}

static norma_status read_value(reader *reader, const context *context, node *node, const Onnx__AttributeProto *proto,
                               attribute_kind kind, attribute *target) {
  const void *array = NULL;
  target->kind = kind;
  switch (kind) {
  case ATTRIBUTE_FLOAT:
    target->f = proto->has_f ? proto->f : 0;
    return NORMA_OK;
  case ATTRIBUTE_INT:
    target->i = proto->has_i ? proto->i : 0;
    return NORMA_OK;
  case ATTRIBUTE_STRING:
    return copy_attribute_text(reader, &proto->s, &target->s);
  case ATTRIBUTE_FLOATS:
    TRY(copy_array(reader, proto->floats, proto->n_floats, sizeof(float), &array));
    target->floats = array;
    target->count = proto->n_floats;
    return NORMA_OK;
  case ATTRIBUTE_INTS:
    TRY(copy_array(reader, proto->ints, proto->n_ints, sizeof(int64_t), &array));
    target->ints = array;
    target->count = proto->n_ints;
    return NORMA_OK;
  case ATTRIBUTE_STRINGS:
    return read_attribute_strings(reader, proto, target);
  case ATTRIBUTE_TENSOR:
  case ATTRIBUTE_TENSORS:
  case ATTRIBUTE_SPARSE_TENSOR:
  case ATTRIBUTE_SPARSE_TENSORS:
    return read_tensors(reader, proto, kind, target);
  case ATTRIBUTE_GRAPH:
    return read_attribute_graph(reader, context, node, proto->g, &target->graph);
  case ATTRIBUTE_GRAPHS:
    return read_graphs(reader, context, node, proto, target);
  default:
    return read_types(reader, proto, kind, target);
  }
}

/* ------------------------------------------------------------------------------------------------------- references */

norma_status follow_reference(reader *reader, const context *context, const Onnx__AttributeProto *proto,
                              binding *found) {
  *found = (binding){.attribute = proto, .scope = context->scope, .call = context->call};
  const char *reference = text_or_empty(proto->ref_attr_name);
  if (!reference[0]) return NORMA_OK;
  const call *call = context->call;
  if (!call) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL,
                     "it refers to attribute '%s' of a function, but stands in none", reference);
  }
  const name_entry *entry = name_table_find(&call->bindings, reference);
  if (entry) {
    *found = *(const binding *)entry->item;
    return NORMA_OK;
  }
  entry = name_table_find(&call->function->attributes, reference);
  if (!entry) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL,
                     "it refers to '%s', which is no attribute of the function", reference);
  }
  found->attribute = entry->item;
  return NORMA_OK;
}

/* A reference may say what type it expects. */
static norma_status check_reference_type(reader *reader, const Onnx__AttributeProto *reference, attribute_kind kind) {
  if (!text_or_empty(reference->ref_attr_name)[0] || !reference->has_type || (int)reference->type == ATTRIBUTE_NONE ||
      (int)reference->type == (int)kind) {
    return NORMA_OK;
  }
  return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "it refers to '%s', which is of another type",
                   reference->ref_attr_name);
}

/* -------------------------------------------------------------------------------------------------------------- all */

/* Lists and texts of a function's body are the same in every call: the first one's are used again. */
static norma_status read_or_share(reader *reader, const context *context, node *node, const Onnx__AttributeProto *proto,
                                  attribute_kind kind, attribute *target) {
  unsigned own = kind == ATTRIBUTE_GRAPH || kind == ATTRIBUTE_GRAPHS || kind == ATTRIBUTE_TENSOR ||
                 kind == ATTRIBUTE_TENSORS || kind == ATTRIBUTE_SPARSE_TENSOR || kind == ATTRIBUTE_SPARSE_TENSORS;
  if (own) return read_value(reader, context, node, proto, kind, target); /* each node holds references of its own */
  const attribute *shared = find_shared_attribute(reader, proto);
  if (shared) {
    const char *name = target->name;
    *target = *shared;
    target->name = name;
    return NORMA_OK;
  }
  TRY(read_value(reader, context, node, proto, kind, target));
  return note_shared_attribute(reader, proto, target);
}

static norma_status read_attribute(reader *reader, const context *at, node *node, const Onnx__AttributeProto *proto) {
  binding bound;
  attribute_kind kind = ATTRIBUTE_NONE;
  size_t length = strlen(proto->name);
  if (length > LONGEST_OPERATOR_NAME) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "its name has more than %d bytes",
                     LONGEST_OPERATOR_NAME);
  }
  TRY(follow_reference(reader, at, proto, &bound));
  if (!bound.attribute) return NORMA_OK; /* neither given nor defaulted: the operator's own default */
  TRY(find_attribute_kind(reader, bound.attribute, &kind));
  TRY(check_reference_type(reader, proto, kind));
  attribute *target = &node->attributes[node->attribute_count];
  char *name = region_copy_string(reader->region, proto->name, length);
  if (!name) return reader_no_memory(reader);
  target->name = name;
  node->attribute_count++;
  context inside = {.builder = at->builder, .scope = bound.scope, .call = bound.call};
  return read_or_share(reader, &inside, node, bound.attribute, kind, target);
}

static norma_status check_attribute_names(reader *reader, const Onnx__NodeProto *proto) {
  name_table names;
  norma_status status = NORMA_OK;
  name_table_init(&names, reader->memory);
  for (size_t i = 0; i < proto->n_attribute && status == NORMA_OK; i++) {
    bool added = false;
    const char *name = text_or_empty(proto->attribute[i]->name);
    if (!name[0]) {
      status = error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "an attribute has no name");
    } else if (!name_table_add(&names, name, &added)) {
      status = reader_no_memory(reader);
    } else if (!added) {
      status = error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "attribute '%s' is there twice", name);
    }
  }
  name_table_free(&names);
  return status;
}

/* The node was made with room for all attributes; it has as many as were read. */
norma_status read_attributes(reader *reader, const context *context, node *node, const Onnx__NodeProto *proto) {
  if (proto->n_attribute) TRY(check_attribute_names(reader, proto));
  node->attribute_count = 0;
  for (size_t i = 0; i < proto->n_attribute; i++) {
    norma_status status = read_attribute(reader, context, node, proto->attribute[i]);
    if (status == NORMA_OK) continue;
    if (reader->error->node[0]) return status; /* from inside a subgraph: named there */
    return error_prefix(reader->error, "attribute '%s'", proto->attribute[i]->name);
  }
  return NORMA_OK;
}
