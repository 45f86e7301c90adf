#include "proto/model_patch.h"

#include "engine/base/status.h"
#include "proto/model_parts.h"
#include "proto/model_save.h"
#include "proto/tensor_reader.h"
#include "proto/region_allocator.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct model_patch {
  memory *memory;
  region region;
  const char *path; /* NULL: from memory */
  norma_read_external read;
  void *read_context;
  void *bytes; /* of the file */
  size_t size;
  model_parts parts;
  name_table tensors, nodes; /* name -> graph_part: initializers, nodes by their first output */
  name_table names;          /* all that stand in the graph; made when one is added */
  bool has_names;
  size_t suffix;
};

/* --------------------------------------------------------------------------------------------------- open and close */

static norma_status patch_read_bytes(model_patch *patch, const byte_source *source, const wire_limits *limits,
                                     norma_error *error) {
  byte_source reading = *source;
  reading.interruption = limits->interruption;
  patch->size = (size_t)source->size;
  patch->bytes = memory_allocate(patch->memory, patch->size);
  if (!patch->bytes) return memory_error(patch->memory, patch->size, error);
  TRY(byte_source_read(&reading, 0, patch->bytes, patch->size, error));
  wire_skeleton skeleton = {0};
  const byte_source bytes = byte_source_from_memory(patch->bytes, patch->size);
  norma_status status = wire_check(&bytes, WIRE_MODEL, limits, patch->memory, &skeleton, error);
  memory_free(patch->memory, skeleton.bytes);
  return status;
}

/* Of several parts of one name the first counts. */
static norma_status patch_index_parts(model_patch *patch, norma_error *error) {
  for (size_t i = 0; i < patch->parts.count; i++) {
    graph_part *part = &patch->parts.parts[i];
    uint32_t number = part->field.number;
    bool added;
    if ((number != GRAPH_NODE && number != GRAPH_INITIALIZER) || part->name[0] == '\0') continue;
    name_entry *entry = name_table_add(number == GRAPH_NODE ? &patch->nodes : &patch->tensors, part->name, &added);
    if (!entry) return region_error(&patch->region, error);
    if (added) entry->item = part;
  }
  return NORMA_OK;
}

static graph_part *find_part(const name_table *table, const char *name) {
  const name_entry *entry = name_table_find(table, name);
  return entry ? entry->item : NULL;
}

static norma_status patch_create(memory *memory, model_patch **result, norma_error *error) {
  model_patch *patch = memory_allocate_zeroed(memory, sizeof *patch);
  *result = patch;
  if (!patch) return memory_error(memory, sizeof *patch, error);
  patch->memory = memory;
  region_init(&patch->region, memory);
  name_table_init(&patch->names, memory);
  name_table_init(&patch->tensors, memory);
  name_table_init(&patch->nodes, memory);
  return NORMA_OK;
}

/* Reads the model into an empty patch. */
static norma_status patch_fill(model_patch *patch, const byte_source *source, const wire_limits *limits,
                               norma_error *error) {
  TRY(patch_read_bytes(patch, source, limits, error));
  const wire_span bytes = {patch->bytes, patch->size};
  TRY(model_parts_read(&patch->parts, &patch->region, bytes, error));
  patch->parts.interruption = limits->interruption;
  return patch_index_parts(patch, error);
}

static norma_status patch_fill_from_file(model_patch *patch, const char *path, const wire_limits *limits,
                                         norma_error *error) {
  byte_source source;
  patch->path = region_copy_string(&patch->region, path, strlen(path));
  if (!patch->path) return region_error(&patch->region, error);
  TRY(byte_source_open(&source, patch->memory, path, false, error));
  norma_status status = patch_fill(patch, &source, limits, error);
  byte_source_close(&source);
  return status;
}

norma_status model_patch_open(memory *memory, const char *path, const wire_limits *limits, model_patch **result,
                              norma_error *error) {
  norma_error unwanted;
  if (!error) error = &unwanted;
  TRY(patch_create(memory, result, error));
  norma_status status = patch_fill_from_file(*result, path, limits, error);
  if (status == NORMA_OK) return NORMA_OK;
  if (!strstr(error->message, path)) error_prefix(error, "%s", path);
  model_patch_close(*result);
  *result = NULL;
  return status;
}

norma_status model_patch_open_memory(memory *memory, const void *data, size_t size, norma_read_external read,
                                     void *read_context, const wire_limits *limits, model_patch **result,
                                     norma_error *error) {
  norma_error unwanted;
  if (!error) error = &unwanted;
  TRY(patch_create(memory, result, error));
  (*result)->read = read;
  (*result)->read_context = read_context;
  const byte_source source = byte_source_from_memory(data, size);
  norma_status status = patch_fill(*result, &source, limits, error);
  if (status == NORMA_OK) return NORMA_OK;
  model_patch_close(*result);
  *result = NULL;
  return status;
}

void model_patch_close(model_patch *patch) {
  if (!patch) return;
  name_table_free(&patch->names);
  name_table_free(&patch->tensors);
  name_table_free(&patch->nodes);
  memory_free(patch->memory, patch->bytes);
  region_free(&patch->region);
  memory_free(patch->memory, patch);
}

uint64_t model_patch_fingerprint(const model_patch *patch) {
  const unsigned char *bytes = patch->bytes;
  uint64_t hash = 0x9E3779B97F4A7C15u ^ patch->size;
  for (size_t done = 0; done < patch->size; done += 8) {
    uint64_t word = 0;
    memcpy(&word, bytes + done, patch->size - done < 8 ? patch->size - done : 8);
    hash = (hash ^ word) * 0xBF58476D1CE4E5B9u; /* the multiplier of SplitMix64 */
    hash ^= hash >> 29;
  }
  return hash;
}

/* ---------------------------------------------------------------------------------------------------------- tensors */

/* Where the contents of a name stand. */
typedef struct tensor_place {
  graph_part *part;
  wire_span attribute; /* of a Constant node: value or value_floats; else empty */
  wire_span tensor;    /* TensorProto; empty for value_floats */
} tensor_place;

static bool find_constant(tensor_place *place, graph_part *node) {
  wire_span rest = node->contents;
  wire_part part;
  if (!span_equals(wire_find(node->contents, NODE_OP_TYPE), "Constant")) return false;
  while (wire_next(&rest, &part)) {
    if (part.number != NODE_ATTRIBUTE) continue;
    wire_span name = wire_find(part.contents, ATTRIBUTE_NAME);
    if (!span_equals(name, "value") && !span_equals(name, "value_floats")) continue;
    *place = (tensor_place){.part = node, .attribute = part.contents};
    if (span_equals(name, "value")) place->tensor = wire_find(part.contents, ATTRIBUTE_T);
    return true;
  }
  return false;
}

static norma_status find_tensor(const model_patch *patch, const char *name, tensor_place *place, norma_error *error) {
  *place = (tensor_place){.part = find_part(&patch->tensors, name)};
  if (place->part) {
    place->tensor = place->part->contents;
    return NORMA_OK;
  }
  graph_part *node = find_part(&patch->nodes, name);
  if (node && find_constant(place, node)) return NORMA_OK;
  if (model_parts_find(&patch->parts, GRAPH_SPARSE_INITIALIZER, name)) {
    return error_set(error, NORMA_ERROR_UNSUPPORTED, "'%s' is a sparse initializer", name);
  }
  return error_set(error, NORMA_ERROR_ARGUMENT, "the model has no initializer and no Constant node '%s'", name);
}

/* The floats of a Constant's attribute value_floats. */
static norma_status read_float_list(model_patch *patch, region *temporary, wire_span attribute, value *into,
                                    norma_error *error) {
  ProtobufCAllocator allocator = region_allocator(temporary);
  Onnx__AttributeProto *proto = onnx__attribute_proto__unpack(&allocator, attribute.size, attribute.bytes);
  if (!proto) return region_error(temporary, error);
  int64_t count = (int64_t)proto->n_floats;
  shape shape = shape_make(1, &count);
  TRY(value_allocate_tensor(patch->memory, into, NORMA_FLOAT, &shape, error));
  if (count > 0) memcpy(into->tensor.data, proto->floats, into->tensor.size_bytes);
  return NORMA_OK;
}

static norma_status read_tensor(model_patch *patch, region *temporary, wire_span tensor, value *into,
                                norma_error *error) {
  ProtobufCAllocator allocator = region_allocator(temporary);
  external_data external;
  external_data_init(&external, patch->memory, patch->path, false, patch->read, patch->read_context);
  byte_source bytes = byte_source_from_memory(patch->bytes, patch->size);
  tensor_source source = {.memory = patch->memory, .bytes = &bytes, .external = &external};
  Onnx__TensorProto *proto = onnx__tensor_proto__unpack(&allocator, tensor.size, tensor.bytes);
  norma_status status = proto ? tensor_read(&source, proto, into, error) : region_error(temporary, error);
  external_data_close(&external);
  return status;
}

norma_status model_patch_read(model_patch *patch, const char *name, value *into, norma_error *error) {
  tensor_place place;
  region temporary;
  TRY(find_tensor(patch, name, &place, error));
  region_init(&temporary, patch->memory);
  bool is_list = place.attribute.bytes && !place.tensor.bytes;
  norma_status status = is_list ? read_float_list(patch, &temporary, place.attribute, into, error)
                                : read_tensor(patch, &temporary, place.tensor, into, error);
  region_free(&temporary);
  return status;
}

static bool is_payload(uint32_t number) {
  return number == TENSOR_FLOAT_DATA || number == TENSOR_INT32_DATA || number == TENSOR_INT64_DATA ||
         number == TENSOR_RAW_DATA || number == TENSOR_DOUBLE_DATA || number == TENSOR_UINT64_DATA ||
         number == TENSOR_EXTERNAL_DATA || number == TENSOR_DATA_LOCATION;
}

/* What int32_data, int64_data and uint64_data hold for a tensor: a number for each element, or for each byte of
 * elements of 4 and 2 bits. Small integers are sign-extended, floats are bit patterns. */
static int64_t payload_count(const norma_tensor *contents) {
  const int bits = element_type_bits(contents->type);
  return bits == 4 || bits == 2 ? (int64_t)contents->size_bytes : norma_tensor_count(contents);
}

static uint64_t payload_number(const norma_tensor *contents, int64_t i) {
  const int bits = element_type_bits(contents->type);
  const uint8_t *bytes = contents->data;
  if (bits >= 8 && (TYPES_INTEGER & TYPE_BIT(contents->type))) return (uint64_t)tensor_get_int64(contents, i);
  if (bits == 16) return ((const uint16_t *)contents->data)[i];
  if (bits != 6) return bytes[i];
  const size_t at = (size_t)i * 6, byte = at / 8;
  const unsigned next = byte + 1 < contents->size_bytes ? bytes[byte + 1] : 0;
  return ((bytes[byte] | next << 8) >> (at % 8)) & 0x3F;
}

static wire_span encode_varints(region *region, const norma_tensor *contents) {
  wire_build build;
  build_init(&build, region);
  for (int64_t i = 0; i < payload_count(contents); i++) build_varint(&build, payload_number(contents, i));
  wire_span result = build_flatten(&build);
  build_free(&build);
  return result;
}

static void patch_add_payload(wire_build *build, uint32_t number, const norma_tensor *contents) {
  const wire_span raw = span_of_bytes(contents->data, contents->size_bytes);
  switch (number) {
  case TENSOR_INT32_DATA:
  case TENSOR_INT64_DATA:
  case TENSOR_UINT64_DATA:
    build_length_prefixed(build, number, encode_varints(build->region, contents));
    break;
  case TENSOR_FLOAT_DATA:
  case TENSOR_DOUBLE_DATA:
    build_length_prefixed(build, number, raw);
    break;
  default:
    build_length_prefixed(build, TENSOR_RAW_DATA, raw);
  }
}

static wire_span rebuild_tensor(region *region, wire_span tensor, const norma_tensor *contents) {
  wire_build build;
  wire_part part;
  bool is_done = false;
  build_init(&build, region);
  while (wire_next(&tensor, &part)) {
    if (!is_payload(part.number)) {
      build_add(&build, part.whole);
    } else if (!is_done) {
      patch_add_payload(&build, part.number, contents);
      is_done = true;
    }
  }
  if (!is_done) patch_add_payload(&build, TENSOR_RAW_DATA, contents);
  wire_span result = build_flatten(&build);
  build_free(&build);
  return result;
}

/* The attribute of a Constant node with new contents. */
static wire_span rebuild_constant(region *region, const tensor_place *place, const norma_tensor *contents) {
  wire_build build;
  wire_part part;
  wire_span rest = place->attribute;
  bool is_done = false;
  build_init(&build, region);
  while (wire_next(&rest, &part)) {
    if (part.number == ATTRIBUTE_T) {
      build_length_prefixed(&build, ATTRIBUTE_T, rebuild_tensor(region, part.contents, contents));
    } else if (part.number != ATTRIBUTE_FLOAT_LIST) {
      build_add(&build, part.whole);
    } else if (!is_done) {
      build_length_prefixed(&build, ATTRIBUTE_FLOAT_LIST, span_of_bytes(contents->data, contents->size_bytes));
      is_done = true;
    }
  }
  wire_span result = build_flatten(&build);
  build_free(&build);
  return result;
}

/* `message` with the field at old.bytes replaced. */
static wire_span replace_field(region *region, wire_span message, wire_span old, uint32_t number, wire_span new) {
  wire_build build;
  wire_part part;
  build_init(&build, region);
  while (wire_next(&message, &part)) {
    if (part.contents.bytes != old.bytes) {
      build_add(&build, part.whole);
    } else {
      build_length_prefixed(&build, number, new);
    }
  }
  wire_span result = build_flatten(&build);
  build_free(&build);
  return result;
}

static norma_status set_contents(model_patch *patch, graph_part *part, wire_span contents, norma_error *error) {
  if (!contents.bytes) return region_error(&patch->region, error);
  part->contents = contents;
  part->replaced = true;
  return NORMA_OK;
}

norma_status model_patch_replace(model_patch *patch, const char *name, const norma_tensor *contents,
                                 norma_error *error) {
  tensor_place place;
  value old = {0};
  TRY(model_patch_read(patch, name, &old, error));
  norma_element_type type = old.tensor.type;
  bool fits = type == contents->type && old.tensor.size_bytes == contents->size_bytes && type != NORMA_STRING;
  value_clear(&old);
  if (!fits) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "'%s' is of type %s; its new contents have another type or size",
                     name, norma_element_type_name(type));
  }
  TRY(find_tensor(patch, name, &place, error));
  region *region = &patch->region;
  if (!place.attribute.bytes) {
    return set_contents(patch, place.part, rebuild_tensor(region, place.tensor, contents), error);
  }
  wire_span attribute = rebuild_constant(region, &place, contents);
  if (!attribute.bytes) return region_error(region, error);
  return set_contents(patch, place.part,
                      replace_field(region, place.part->contents, place.attribute, NODE_ATTRIBUTE, attribute), error);
}

/* ------------------------------------------------------------------------------------------------------ new tensors */

static norma_status choose_name(model_patch *patch, const char *stem, const char **name, norma_error *error) {
  bool added = false;
  if (!patch->has_names && !collect_names(patch->parts.graph, &patch->region, &patch->names, true)) {
    return region_error(&patch->region, error);
  }
  patch->has_names = true;
  while (!added) {
    size_t size = strlen(stem) + 24;
    char *text = region_allocate(&patch->region, size);
    if (!text) return region_error(&patch->region, error);
    snprintf(text, size, patch->suffix ? "%s.%zu" : "%s", stem, patch->suffix);
    patch->suffix++;
    if (!name_table_add(&patch->names, text, &added)) return region_error(&patch->region, error);
    *name = text;
  }
  return NORMA_OK;
}

norma_status model_patch_add(model_patch *patch, const char *stem, const norma_tensor *contents, const char **name,
                             norma_error *error) {
  if (contents->type == NORMA_STRING) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "strings cannot become an initializer");
  }
  patch->suffix = 0;
  TRY(choose_name(patch, stem, name, error));
  region *region = &patch->region;
  TRY(model_parts_add(&patch->parts, GRAPH_INITIALIZER, make_tensor_message(region, *name, contents), error));
  if (patch->parts.ir_version >= 4) return NORMA_OK;
  return model_parts_add(&patch->parts, GRAPH_INPUT, make_value_info_message(region, *name, contents), error);
}

/* ------------------------------------------------------------------------------------------------------------ nodes */

static norma_status find_node(const model_patch *patch, const char *name, graph_part **node, norma_error *error) {
  *node = find_part(&patch->nodes, name);
  return *node ? NORMA_OK : error_set(error, NORMA_ERROR_ARGUMENT, "no node of the main graph computes '%s'", name);
}

norma_status model_patch_set_input(model_patch *patch, const char *name, size_t index, const char *input,
                                   norma_error *error) {
  graph_part *node;
  wire_span old;
  TRY(find_node(patch, name, &node, error));
  if (!wire_find_nth(node->contents, NODE_INPUT, index, &old)) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "the node that computes '%s' has no input %zu", name, index);
  }
  return set_contents(patch, node, replace_field(&patch->region, node->contents, old, NODE_INPUT, span_of_text(input)),
                      error);
}

/* The node with the first `count` fields of that number. */
static norma_status keep_fields(model_patch *patch, const char *name, uint32_t number, size_t count,
                                norma_error *error) {
  graph_part *node;
  wire_build build;
  wire_part part;
  size_t seen = 0;
  TRY(find_node(patch, name, &node, error));
  wire_span rest = node->contents;
  build_init(&build, &patch->region);
  while (wire_next(&rest, &part)) {
    if (part.number != number || seen++ < count) build_add(&build, part.whole);
  }
  wire_span contents = build_flatten(&build);
  build_free(&build);
  return set_contents(patch, node, contents, error);
}

norma_status model_patch_keep_inputs(model_patch *patch, const char *node, size_t count, norma_error *error) {
  return keep_fields(patch, node, NODE_INPUT, count, error);
}

norma_status model_patch_keep_outputs(model_patch *patch, const char *node, size_t count, norma_error *error) {
  return keep_fields(patch, node, NODE_OUTPUT, count, error);
}

static bool is_attribute(const wire_part *part, const char *name) {
  return part->number == NODE_ATTRIBUTE && span_equals(wire_find(part->contents, ATTRIBUTE_NAME), name);
}

static norma_status change_attribute(model_patch *patch, const char *name, const char *attribute, wire_span new,
                                     norma_error *error) {
  graph_part *node;
  wire_build build;
  wire_part part;
  bool is_done = !new.bytes;
  TRY(find_node(patch, name, &node, error));
  wire_span rest = node->contents;
  build_init(&build, &patch->region);
  while (wire_next(&rest, &part)) {
    if (!is_attribute(&part, attribute)) {
      build_add(&build, part.whole);
    } else if (!is_done) {
      build_length_prefixed(&build, NODE_ATTRIBUTE, new);
      is_done = true;
    }
  }
  if (!is_done) build_length_prefixed(&build, NODE_ATTRIBUTE, new);
  wire_span contents = build_flatten(&build);
  build_free(&build);
  return set_contents(patch, node, contents, error);
}

norma_status model_patch_remove_attribute(model_patch *patch, const char *node, const char *name, norma_error *error) {
  return change_attribute(patch, node, name, (wire_span){0}, error);
}

norma_status model_patch_set_int(model_patch *patch, const char *node, const char *name, int64_t i,
                                 norma_error *error) {
  enum { KIND_INT = 2 };
  wire_build build;
  build_init(&build, &patch->region);
  build_text(&build, ATTRIBUTE_NAME, name);
  build_int(&build, ATTRIBUTE_I, (uint64_t)i);
  build_int(&build, ATTRIBUTE_TYPE, KIND_INT);
  wire_span attribute = build_flatten(&build);
  build_free(&build);
  if (!attribute.bytes) return region_error(&patch->region, error);
  return change_attribute(patch, node, name, attribute, error);
}

norma_status model_patch_remove_output(model_patch *patch, const char *name, norma_error *error) {
  (void)error;
  static const uint32_t numbers[] = {GRAPH_OUTPUT, GRAPH_VALUE_INFO};
  for (size_t i = 0; i < 2; i++) {
    graph_part *part = model_parts_find(&patch->parts, numbers[i], name);
    if (part) part->dropped = true;
  }
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- writing */

norma_status model_patch_write(const model_patch *patch, write_bytes write, void *context, norma_error *error) {
  return model_parts_write(&patch->parts, write, context, error);
}

norma_status model_patch_save(const model_patch *patch, const char *path, norma_error *error) {
  return model_parts_save(&patch->parts, patch->path, path, error);
}
