#include "proto/model_reader.h"

#include "engine/graph/lazy_weights.h"
#include "proto/reader.h"
#include "proto/wire_check.h"
#include "proto/region_allocator.h"

#include <inttypes.h>
#include <string.h>

/* Wire check and unpacking into the temporary region. */
static norma_status unpack_model(reader *reader, const byte_source *source, Onnx__ModelProto **proto) {
  interruption *interruption = reader->options->interruption;
  wire_limits limits = {
      .max_nodes = reader->options->max_nodes, .max_depth = reader->options->max_depth, .interruption = interruption};
  unpacking unpacking = {.region = reader->temporary, .interruption = interruption};
  wire_skeleton skeleton;
  TRY(wire_check(source, WIRE_MODEL, &limits, reader->memory, &skeleton, reader->error));
  ProtobufCAllocator allocator = unpacking_allocator(&unpacking);
  *proto = onnx__model_proto__unpack(&allocator, skeleton.size, skeleton.bytes);
  memory_free(reader->memory, skeleton.bytes);
  if (*proto) return NORMA_OK;
  TRY(interruption_poll(interruption, reader->error));
  return region_error(reader->temporary, reader->error); /* what the wire check let pass can only fail for memory */
}

/* ------------------------------------------------------------------------------------------------------ description */

static norma_status copy_text(reader *reader, const char *text, const char **copy) {
  *copy = region_copy_string(reader->region, text_or_empty(text), strlen(text_or_empty(text)));
  return *copy ? NORMA_OK : reader_no_memory(reader);
}

static norma_status read_metadata(reader *reader, const Onnx__ModelProto *proto) {
  norma_model *model = reader->model;
  model->metadata = region_array(reader->region, proto->n_metadata_props, sizeof *model->metadata);
  if (!model->metadata) return reader_no_memory(reader);
  for (size_t i = 0; i < proto->n_metadata_props; i++) {
    TRY(copy_text(reader, proto->metadata_props[i]->key, &model->metadata[i].key));
    TRY(copy_text(reader, proto->metadata_props[i]->value, &model->metadata[i].value));
  }
  model->metadata_count = proto->n_metadata_props;
  return NORMA_OK;
}

static norma_status read_model_description(reader *reader, const Onnx__ModelProto *proto) {
  norma_model *model = reader->model;
  model->ir_version = proto->ir_version;
  model->model_version = proto->model_version;
  TRY(copy_text(reader, proto->producer_name, &model->producer_name));
  TRY(copy_text(reader, proto->producer_version, &model->producer_version));
  TRY(copy_text(reader, proto->domain, &model->model_domain));
  TRY(copy_text(reader, proto->doc_string, &model->doc_string));
  return read_metadata(reader, proto);
}

static norma_status check_ir_version(reader *reader, const Onnx__ModelProto *proto) {
  if (!proto->has_ir_version || proto->ir_version < 1) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL,
                     proto->has_ir_version ? "ir version %" PRId64 ": versions begin at 1"
                                           : "the file has no ir version: it is no ONNX model",
                     proto->ir_version);
  }
  if (proto->ir_version > MODEL_NEWEST_IR_VERSION) {
    return error_set(reader->error, NORMA_ERROR_UNSUPPORTED,
                     "ir version %" PRId64 " is newer than %d, the newest this build knows", proto->ir_version,
                     MODEL_NEWEST_IR_VERSION);
  }
  return NORMA_OK;
}

/* Before IR version 3 there were no opset imports: opset 1. */
static norma_status read_model_opsets(reader *reader, const Onnx__ModelProto *proto) {
  norma_model *model = reader->model;
  Onnx__OperatorSetIdProto first = ONNX__OPERATOR_SET_ID_PROTO__INIT;
  Onnx__OperatorSetIdProto *only[] = {&first};
  first.version = 1;
  bool old = proto->n_opset_import == 0 && proto->ir_version < 3;
  return read_opsets(reader, old ? 1 : proto->n_opset_import, old ? only : proto->opset_import, reader->region,
                     &model->opsets, &model->opset_count);
}

static norma_status read_model(reader *reader, const byte_source *source) {
  Onnx__ModelProto *proto;
  TRY(unpack_model(reader, source, &proto));
  TRY(check_ir_version(reader, proto));
  TRY(read_model_description(reader, proto));
  TRY(read_model_opsets(reader, proto));
  TRY(read_functions(reader, proto->n_functions, proto->functions));
  if (!proto->graph) return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "the model has no graph");
  TRY(check_expansion(reader, proto->graph));
  return read_main_graph(reader, proto->graph);
}

/* -------------------------------------------------------------------------------------------------------------- all */

static norma_status read_source(norma_model *model, const byte_source *source, const char *path,
                                const model_read_options *options, norma_error *error) {
  region temporary;
  external_data external;
  region_init(&temporary, model->memory);
  external_data_init(&external, model->memory, path, options->map_file, options->read_external,
                     options->read_external_context);
  external.interruption = options->interruption;
  reader reader = {.model = model,
                   .options = options,
                   .memory = model->memory,
                   .region = &model->region,
                   .temporary = &temporary,
                   .tensors = {.memory = model->memory, .bytes = source, .external = &external},
                   .error = error};
  name_table_init(&reader.functions, model->memory);
  name_table_init(&reader.shared, model->memory);
  norma_status status = read_model(&reader, source);
  free_functions(&reader);
  free_shared(&reader);
  external_data_close(&external);
  region_free(&temporary);
  if (status != NORMA_OK) {
    graph_release(model->graph);
    model->graph = NULL;
  }
  return status;
}

norma_status model_read_file(norma_model *model, const char *path, const model_read_options *options,
                             norma_error *error) {
  norma_error unwanted;
  byte_source own, *source = options->lazy_source ? &options->lazy_source->source : &own;
  if (!error) error = &unwanted;
  TRY(byte_source_open(source, model->memory, path, options->map_file, error));
  source->interruption = options->interruption;
  norma_status status = read_source(model, source, path, options, error);
  if (!options->lazy_source) byte_source_close(source);
  return status == NORMA_OK ? NORMA_OK : error_prefix(error, "%s", path);
}

norma_status model_read_memory(norma_model *model, const void *data, size_t size, const model_read_options *options,
                               norma_error *error) {
  norma_error unwanted;
  byte_source own, *source = options->lazy_source ? &options->lazy_source->source : &own;
  *source = byte_source_from_memory(data, size);
  source->interruption = options->interruption;
  return read_source(model, source, NULL, options, error ? error : &unwanted);
}
