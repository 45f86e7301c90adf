#include "proto/model_writer.h"

#include "engine/base/status.h"
#include "proto/model_reader.h"
#include "proto/proto_writer.h"

#include <inttypes.h>
#include <string.h>

typedef struct writer {
  const norma_model *model;
  region region;
  norma_error *error;
  interruption *interruption; /* NULL: nothing ends it early */
  unsigned polls;
} writer;

static norma_status no_memory(writer *writer) {
  return region_error(&writer->region, writer->error);
}

/* A message of the type, initialised, in the region. Evaluates to false when there is no memory. */
#define NEW(writer, proto, init)                                                                                       \
  (((proto) = region_allocate(&(writer)->region, sizeof *(proto))) && (init(proto), true))
/* An array of `count` pointers to messages. */
#define NEW_LIST(writer, list, count) (((list) = region_array(&(writer)->region, (count), sizeof *(list))) != NULL)

/* ------------------------------------------------------------------------------------------------------------ types */

static norma_status write_shape(writer *writer, const shape *shape, const char *const *names,
                                Onnx__TensorShapeProto **target) {
  Onnx__TensorShapeProto *proto;
  *target = NULL;
  if (shape->rank == RANK_UNKNOWN) return NORMA_OK;
  if (!NEW(writer, proto, onnx__tensor_shape_proto__init)) return no_memory(writer);
  proto->n_dim = (size_t)shape->rank;
  if (!NEW_LIST(writer, proto->dim, proto->n_dim)) return no_memory(writer);
  for (int i = 0; i < shape->rank; i++) {
    Onnx__TensorShapeProto__Dimension *dim;
    if (!NEW(writer, dim, onnx__tensor_shape_proto__dimension__init)) return no_memory(writer);
    if (shape->dims[i] != DIM_UNKNOWN) {
      dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
      dim->dim_value = shape->dims[i];
    } else if (names && names[i]) {
      dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
      dim->dim_param = message_text(names[i]);
    }
    proto->dim[i] = dim;
  }
  *target = proto;
  return NORMA_OK;
}

static norma_status write_type(writer *writer, const value_info *info, const char *const *names,
                               Onnx__TypeProto **target) {
  Onnx__TypeProto *proto;
  *target = NULL;
  if (!info || info->kind == NORMA_VALUE_NONE) return NORMA_OK;
  if (!NEW(writer, proto, onnx__type_proto__init)) return no_memory(writer);
  *target = proto;
  switch (info->kind) {
  case NORMA_VALUE_TENSOR:
    proto->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    if (!NEW(writer, proto->tensor_type, onnx__type_proto__tensor__init)) return no_memory(writer);
    proto->tensor_type->has_elem_type = info->type != NORMA_UNDEFINED;
    proto->tensor_type->elem_type = (int32_t)info->type;
    return write_shape(writer, &info->shape, names, &proto->tensor_type->shape);
  case NORMA_VALUE_SEQUENCE:
    proto->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    if (!NEW(writer, proto->sequence_type, onnx__type_proto__sequence__init)) return no_memory(writer);
    return write_type(writer, info->item, NULL, &proto->sequence_type->elem_type);
  case NORMA_VALUE_OPTIONAL:
    proto->value_case = ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
    if (!NEW(writer, proto->optional_type, onnx__type_proto__optional__init)) return no_memory(writer);
    return write_type(writer, info->item, NULL, &proto->optional_type->elem_type);
  default:
    proto->value_case = ONNX__TYPE_PROTO__VALUE_MAP_TYPE;
    if (!NEW(writer, proto->map_type, onnx__type_proto__map__init)) return no_memory(writer);
    proto->map_type->has_key_type = 1;
    proto->map_type->key_type = (int32_t)info->type;
    return write_type(writer, info->item, NULL, &proto->map_type->value_type);
  }
}

static norma_status write_values(writer *writer, graph_value *const *values, int count, size_t *n,
                                 Onnx__ValueInfoProto ***list) {
  if (!NEW_LIST(writer, *list, (size_t)count)) return no_memory(writer);
  for (int i = 0; i < count; i++) {
    Onnx__ValueInfoProto *proto;
    if (!NEW(writer, proto, onnx__value_info_proto__init)) return no_memory(writer);
    proto->name = message_text(values[i]->name);
    TRY(write_type(writer, &values[i]->info, values[i]->dim_names, &proto->type));
    (*list)[i] = proto;
  }
  *n = (size_t)count;
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------- attributes */

static norma_status write_graph(writer *writer, const graph *graph, Onnx__GraphProto **target);

static ProtobufCBinaryData bytes_of(norma_string text) {
  return (ProtobufCBinaryData){.len = text.size, .data = (uint8_t *)message_text(text.data)};
}

static norma_status write_strings(writer *writer, const attribute *attribute, Onnx__AttributeProto *proto) {
  if (!NEW_LIST(writer, proto->strings, attribute->count)) return no_memory(writer);
  proto->n_strings = attribute->count;
  for (size_t i = 0; i < attribute->count; i++) proto->strings[i] = bytes_of(attribute->strings[i]);
  return NORMA_OK;
}

static norma_status write_tensors(writer *writer, const attribute *attribute, Onnx__AttributeProto *proto) {
  if (!NEW_LIST(writer, proto->tensors, attribute->count)) return no_memory(writer);
  proto->n_tensors = attribute->count;
  for (size_t i = 0; i < attribute->count; i++) {
    proto->tensors[i] = tensor_message(&writer->region, &attribute->tensors[i].tensor, NULL);
    if (!proto->tensors[i]) return no_memory(writer);
  }
  return NORMA_OK;
}

/* A tensor that was read from the sparse form: every element with its place among all of them. */
static norma_status write_sparse(writer *writer, const norma_tensor *tensor, Onnx__SparseTensorProto **target) {
  const int64_t count = norma_tensor_count(tensor);
  norma_tensor values = *tensor, indices;
  int64_t *places;
  Onnx__SparseTensorProto *proto;
  if (!NEW_LIST(writer, places, (size_t)count) || !NEW(writer, proto, onnx__sparse_tensor_proto__init)) {
    return no_memory(writer);
  }
  *target = proto;
  for (int64_t i = 0; i < count; i++) places[i] = i;
  norma_tensor_init(&values, tensor->type, 1, &count, tensor->data);
  norma_tensor_init(&indices, NORMA_INT64, 1, &count, places);
  proto->values = tensor_message(&writer->region, &values, NULL);
  proto->indices = tensor_message(&writer->region, &indices, NULL);
  proto->n_dims = (size_t)tensor->rank;
  if (!proto->values || !proto->indices || !NEW_LIST(writer, proto->dims, proto->n_dims)) return no_memory(writer);
  memcpy(proto->dims, tensor->dims, proto->n_dims * sizeof *proto->dims);
  return NORMA_OK;
}

static norma_status write_sparse_list(writer *writer, const attribute *attribute, Onnx__AttributeProto *proto) {
  if (!NEW_LIST(writer, proto->sparse_tensors, attribute->count)) return no_memory(writer);
  proto->n_sparse_tensors = attribute->count;
  for (size_t i = 0; i < attribute->count; i++) {
    TRY(write_sparse(writer, &attribute->tensors[i].tensor, &proto->sparse_tensors[i]));
  }
  return NORMA_OK;
}

static norma_status write_graphs(writer *writer, const attribute *attribute, Onnx__AttributeProto *proto) {
  if (!NEW_LIST(writer, proto->graphs, attribute->count)) return no_memory(writer);
  proto->n_graphs = attribute->count;
  for (size_t i = 0; i < attribute->count; i++) TRY(write_graph(writer, attribute->graphs[i], &proto->graphs[i]));
  return NORMA_OK;
}

static norma_status write_types(writer *writer, const attribute *attribute, Onnx__AttributeProto *proto) {
  if (!NEW_LIST(writer, proto->type_protos, attribute->count)) return no_memory(writer);
  proto->n_type_protos = attribute->count;
  for (size_t i = 0; i < attribute->count; i++) {
    TRY(write_type(writer, &attribute->type[i], NULL, &proto->type_protos[i]));
  }
  return NORMA_OK;
}

static norma_status write_attribute(writer *writer, const attribute *attribute, Onnx__AttributeProto **target) {
  Onnx__AttributeProto *proto;
  if (!NEW(writer, proto, onnx__attribute_proto__init)) return no_memory(writer);
  *target = proto;
  proto->name = message_text(attribute->name);
  proto->has_type = 1;
  proto->type = (Onnx__AttributeProto__AttributeType)attribute->kind;
  switch (attribute->kind) {
  case ATTRIBUTE_FLOAT:
    proto->has_f = 1;
    proto->f = attribute->f;
    return NORMA_OK;
  case ATTRIBUTE_INT:
    proto->has_i = 1;
    proto->i = attribute->i;
    return NORMA_OK;
  case ATTRIBUTE_STRING:
    proto->has_s = 1;
    proto->s = bytes_of(attribute->s);
    return NORMA_OK;
  case ATTRIBUTE_FLOATS:
    proto->n_floats = attribute->count;
    proto->floats = (float *)(uintptr_t)attribute->floats;
    return NORMA_OK;
  case ATTRIBUTE_INTS:
    proto->n_ints = attribute->count;
    proto->ints = (int64_t *)(uintptr_t)attribute->ints;
    return NORMA_OK;
  case ATTRIBUTE_STRINGS:
    return write_strings(writer, attribute, proto);
  case ATTRIBUTE_TENSOR:
    proto->t = tensor_message(&writer->region, &attribute->tensor->tensor, NULL);
    return proto->t ? NORMA_OK : no_memory(writer);
  case ATTRIBUTE_TENSORS:
    return write_tensors(writer, attribute, proto);
  case ATTRIBUTE_SPARSE_TENSOR:
    return write_sparse(writer, &attribute->tensor->tensor, &proto->sparse_tensor);
  case ATTRIBUTE_SPARSE_TENSORS:
    return write_sparse_list(writer, attribute, proto);
  case ATTRIBUTE_GRAPH:
    return write_graph(writer, attribute->graph, &proto->g);
  case ATTRIBUTE_GRAPHS:
    return write_graphs(writer, attribute, proto);
  case ATTRIBUTE_TYPE_PROTO:
    return write_type(writer, attribute->type, NULL, &proto->tp);
  case ATTRIBUTE_TYPE_PROTOS:
    return write_types(writer, attribute, proto);
  default:
    return error_set(writer->error, NORMA_ERROR_INTERNAL, "attribute '%s' has no kind", attribute->name);
  }
}

/* ------------------------------------------------------------------------------------------------------------ nodes */

/* "#5 (Conv)" is what the reader calls a node without a name. */
static bool name_is_made_up(const node *node) {
  if (node->name[0] != '#') return false;
  const char *rest = node->name + 1 + strspn(node->name + 1, "0123456789");
  size_t length = strlen(node->op_type);
  return strncmp(rest, " (", 2) == 0 && strncmp(rest + 2, node->op_type, length) == 0 &&
         strcmp(rest + 2 + length, ")") == 0;
}

static norma_status write_names(writer *writer, graph_value *const *values, int count, size_t *n, char ***names) {
  if (!NEW_LIST(writer, *names, (size_t)count)) return no_memory(writer);
  for (int i = 0; i < count; i++) (*names)[i] = message_text(values[i] ? values[i]->name : "");
  *n = (size_t)count;
  return NORMA_OK;
}

static norma_status check_node(writer *writer, const node *node) {
  const epilogue *fused = &node->epilogue;
  if (fused->bias_input || fused->residual_input || fused->activation.kind != UNARY_IDENTITY) {
    return error_at_node(writer->error, NORMA_ERROR_UNSUPPORTED, node, "a fused node has no form in ONNX");
  }
  for (size_t i = 0; i < writer->model->opset_count; i++) {
    const opset_import *import = &writer->model->opsets[i];
    if (strcmp(import->domain, node->domain) == 0 && import->version == node->opset) return NORMA_OK;
  }
  return error_at_node(writer->error, NORMA_ERROR_UNSUPPORTED, node,
                       "the model does not import opset %" PRId64 " of its domain", node->opset);
}

static norma_status write_node(writer *writer, const node *node, Onnx__NodeProto **target) {
  Onnx__NodeProto *proto;
  TRY(check_node(writer, node));
  if (!NEW(writer, proto, onnx__node_proto__init)) return no_memory(writer);
  *target = proto;
  proto->name = name_is_made_up(node) ? NULL : message_text(node->name);
  proto->op_type = message_text(node->op_type);
  proto->domain = node->domain[0] ? message_text(node->domain) : NULL;
  proto->overload = node->overload[0] ? message_text(node->overload) : NULL;
  TRY(write_names(writer, node->inputs, node->input_count, &proto->n_input, &proto->input));
  TRY(write_names(writer, node->outputs, node->output_count, &proto->n_output, &proto->output));
  if (!NEW_LIST(writer, proto->attribute, (size_t)node->attribute_count)) return no_memory(writer);
  for (int i = 0; i < node->attribute_count; i++) {
    TRY(write_attribute(writer, &node->attributes[i], &proto->attribute[i]));
    proto->n_attribute++;
  }
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- graphs */

/* What the value holds from the start: its constant or default; NULL for results of nodes and for what nobody reads. */
static const value *contents_of(const graph_value *value) {
  const struct norma_value *contents = value->constant ? value->constant : value->initial;
  if (value->producer || !contents || contents->kind != NORMA_VALUE_TENSOR) return NULL;
  return value->has_initializer || value->use_count > 0 || value->output_count > 0 ? contents : NULL;
}

static norma_status write_initializers(writer *writer, const graph *graph, Onnx__GraphProto *proto) {
  if (!NEW_LIST(writer, proto->initializer, (size_t)graph->value_count)) return no_memory(writer);
  for (int i = 0; i < graph->value_count; i++) {
    const value *contents = contents_of(graph->values[i]);
    if (!contents) continue;
    if (!contents->tensor.data && contents->tensor.size_bytes > 0) {
      return error_set(writer->error, NORMA_ERROR_ARGUMENT,
                       "the contents of '%s' are not there: the model was loaded without keep_constants",
                       graph->values[i]->name);
    }
    Onnx__TensorProto *tensor = tensor_message(&writer->region, &contents->tensor, graph->values[i]->name);
    if (!tensor) return no_memory(writer);
    proto->initializer[proto->n_initializer++] = tensor;
  }
  return NORMA_OK;
}

static norma_status write_graph(writer *writer, const graph *graph, Onnx__GraphProto **target) {
  Onnx__GraphProto *proto;
  if (!NEW(writer, proto, onnx__graph_proto__init)) return no_memory(writer);
  *target = proto;
  proto->name = message_text(graph->name);
  TRY(write_values(writer, graph->inputs, graph->input_count, &proto->n_input, &proto->input));
  TRY(write_values(writer, graph->outputs, graph->output_count, &proto->n_output, &proto->output));
  TRY(write_initializers(writer, graph, proto));
  if (!NEW_LIST(writer, proto->node, (size_t)graph->node_count)) return no_memory(writer);
  for (const node *node = graph->first; node; node = node->next) {
    TRY(interruption_poll_often(writer->interruption, &writer->polls, writer->error));
    TRY(write_node(writer, node, &proto->node[proto->n_node]));
    proto->n_node++;
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ model */

static char *text_unless_empty(const char *text) {
  return text && text[0] ? message_text(text) : NULL;
}

static norma_status write_opsets(writer *writer, Onnx__ModelProto *proto) {
  const norma_model *model = writer->model;
  if (!NEW_LIST(writer, proto->opset_import, model->opset_count)) return no_memory(writer);
  for (size_t i = 0; i < model->opset_count; i++) {
    Onnx__OperatorSetIdProto *import;
    if (!NEW(writer, import, onnx__operator_set_id_proto__init)) return no_memory(writer);
    import->domain = message_text(model->opsets[i].domain);
    import->has_version = 1;
    import->version = model->opsets[i].version;
    proto->opset_import[proto->n_opset_import++] = import;
  }
  return NORMA_OK;
}

static norma_status write_metadata(writer *writer, Onnx__ModelProto *proto) {
  const norma_model *model = writer->model;
  if (!NEW_LIST(writer, proto->metadata_props, model->metadata_count)) return no_memory(writer);
  for (size_t i = 0; i < model->metadata_count; i++) {
    Onnx__StringStringEntryProto *entry;
    if (!NEW(writer, entry, onnx__string_string_entry_proto__init)) return no_memory(writer);
    entry->key = message_text(model->metadata[i].key);
    entry->value = message_text(model->metadata[i].value);
    proto->metadata_props[proto->n_metadata_props++] = entry;
  }
  return NORMA_OK;
}

static norma_status model_make_message(writer *writer, Onnx__ModelProto **target) {
  const norma_model *model = writer->model;
  Onnx__ModelProto *proto;
  if (!NEW(writer, proto, onnx__model_proto__init)) return no_memory(writer);
  *target = proto;
  proto->has_ir_version = 1;
  proto->ir_version = model->ir_version ? model->ir_version : MODEL_NEWEST_IR_VERSION;
  proto->has_model_version = model->model_version != 0;
  proto->model_version = model->model_version;
  proto->producer_name = text_unless_empty(model->producer_name);
  proto->producer_version = text_unless_empty(model->producer_version);
  proto->domain = text_unless_empty(model->model_domain);
  proto->doc_string = text_unless_empty(model->doc_string);
  TRY(write_opsets(writer, proto));
  TRY(write_metadata(writer, proto));
  return write_graph(writer, model->graph, &proto->graph);
}

norma_status model_write(const norma_model *model, write_bytes write, void *context, norma_error *error) {
  norma_error unwanted;
  writer writer = {.model = model, .error = error ? error : &unwanted};
  Onnx__ModelProto *proto = NULL;
  region_init(&writer.region, model->memory);
  norma_status status = model_make_message(&writer, &proto);
  if (status == NORMA_OK) status = message_write(&proto->base, write, context, writer.error);
  region_free(&writer.region);
  return status;
}

norma_status model_write_memory(const norma_model *model, interruption *interruption, void **bytes, size_t *size,
                                norma_error *error) {
  norma_error unwanted;
  writer writer = {.model = model, .interruption = interruption, .error = error ? error : &unwanted};
  Onnx__ModelProto *proto = NULL;
  region_init(&writer.region, model->memory);
  norma_status status = model_make_message(&writer, &proto);
  if (status == NORMA_OK)
    status = message_write_memory(model->memory, &proto->base, interruption, bytes, size, writer.error);
  region_free(&writer.region);
  return status;
}
