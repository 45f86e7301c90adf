#include "tests/support/model_builder.h"

#include "proto/model_writer.h"

#include <stdio.h>
#include <stdlib.h>

#define BUILDER_MAX 64 /* opsets, metadata, subgraphs */

struct model_builder {
  memory memory;
  norma_model model;
  graph *graph;
  model_builder *root;
  opset_import opsets[BUILDER_MAX];
  metadata_entry metadata[BUILDER_MAX];
  model_builder *subgraphs[BUILDER_MAX]; /* of the root: all there are */
  size_t subgraph_count;
  void *bytes;
};

static void *required(const void *made) {
  if (!made) {
    fprintf(stderr, "model_builder: out of memory or of room\n");
    abort();
  }
  return (void *)(uintptr_t)made;
}

static region *region_of(model_builder *builder) {
  return &builder->root->model.region;
}

static const char *copy_text(region *region, const char *text) {
  return required(region_copy_string(region, text, strlen(text)));
}

/* ------------------------------------------------------------------------------------------------------------ model */

model_builder *builder_create(int64_t opset) {
  model_builder *builder = required(calloc(1, sizeof *builder));
  memory_init(&builder->memory, NULL, 0);
  region_init(&builder->model.region, &builder->memory);
  builder->root = builder;
  builder->model.memory = &builder->memory;
  builder->model.ir_version = 10;
  builder->model.opsets = builder->opsets;
  builder->model.metadata = builder->metadata;
  builder->graph = required(graph_create(&builder->model.region, &builder->memory, "test", NULL, NULL));
  builder->model.graph = builder->graph;
  if (opset) builder_import(builder, "", opset);
  return builder;
}

void builder_destroy(model_builder *builder) {
  if (!builder) return;
  for (size_t i = 0; i < builder->subgraph_count; i++) free(builder->subgraphs[i]);
  memory_free(&builder->memory, builder->bytes);
  graph_release(builder->graph);
  region_free(&builder->model.region);
  if (atomic_load(&builder->memory.used) != 0) {
    fprintf(stderr, "model_builder: %zu bytes were not freed\n", atomic_load(&builder->memory.used));
    abort();
  }
  free(builder);
}

void builder_import(model_builder *builder, const char *domain, int64_t version) {
  required(builder->model.opset_count < BUILDER_MAX ? builder : NULL);
  builder->opsets[builder->model.opset_count++] = (opset_import){copy_text(region_of(builder), domain), version};
}

void builder_metadata(model_builder *builder, const char *key, const char *value) {
  required(builder->model.metadata_count < BUILDER_MAX ? builder : NULL);
  builder->metadata[builder->model.metadata_count++] =
      (metadata_entry){copy_text(region_of(builder), key), copy_text(region_of(builder), value)};
}

norma_model *builder_model(model_builder *builder) {
  return &builder->root->model;
}

const void *builder_bytes(model_builder *builder, size_t *size) {
  model_builder *root = builder->root;
  norma_error error;
  memory_free(&root->memory, root->bytes);
  root->bytes = NULL;
  if (model_write_memory(&root->model, NULL, &root->bytes, size, &error) != NORMA_OK) {
    fprintf(stderr, "model_builder: %s\n", error.message);
    abort();
  }
  return root->bytes;
}

/* ----------------------------------------------------------------------------------------------------------- values */

/* The value of that name that `graph` or, where `outer` is allowed, a graph around it has; else a new one. */
static graph_value *value_named(graph *graph, const char *name, bool outer) {
  graph_value *found = graph_find_value(graph, name);
  return found && (outer || found->graph == graph) ? found : required(graph_add_value(graph, name));
}

static value_info tensor_info(norma_element_type type, int rank, const int64_t *dims) {
  shape known = rank < 0 ? shape_unknown() : shape_make(rank, dims);
  return value_info_tensor(type, &known);
}

graph_value *builder_input_info(model_builder *builder, const char *name, const value_info *info) {
  graph_value *value = value_named(builder->graph, name, false);
  value->info = *info;
  required(graph_add_input(builder->graph, value) ? value : NULL);
  return value;
}

graph_value *builder_input(model_builder *builder, const char *name, norma_element_type type, int rank,
                           const int64_t *dims) {
  value_info info = tensor_info(type, rank, dims);
  return builder_input_info(builder, name, &info);
}

void builder_dim_name(model_builder *builder, graph_value *input, int axis, const char *name) {
  const char **names = (const char **)(uintptr_t)input->dim_names;
  if (!names) names = required(region_array(region_of(builder), NORMA_MAX_RANK, sizeof *names));
  names[axis] = copy_text(region_of(builder), name);
  input->dim_names = names;
}

graph_value *builder_output_info(model_builder *builder, const char *name, const value_info *info) {
  graph_value *value = value_named(builder->graph, name, true);
  if (info->kind != NORMA_VALUE_NONE) value->info = *info;
  required(graph_add_output(builder->graph, value) ? value : NULL);
  return value;
}

graph_value *builder_output(model_builder *builder, const char *name, norma_element_type type, int rank,
                            const int64_t *dims) {
  value_info info = tensor_info(type, rank, dims);
  if (type == NORMA_UNDEFINED) info.kind = NORMA_VALUE_NONE;
  return builder_output_info(builder, name, &info);
}

/* ----------------------------------------------------------------------------------------------------- initializers */

/* A tensor that owns a copy of the data. */
static value tensor_copy(memory *memory, norma_element_type type, int rank, const int64_t *dims, const void *data) {
  value copy;
  shape known = shape_make(rank, dims);
  required(value_allocate_tensor(memory, &copy, type, &known, NULL) == NORMA_OK ? memory : NULL);
  if (copy.tensor.size_bytes) memcpy(copy.tensor.data, data, copy.tensor.size_bytes);
  return copy;
}

static void set_constant(model_builder *builder, const char *name, value *contents) {
  graph_value *target = value_named(builder->graph, name, false);
  target->has_initializer = true;
  required(graph_set_constant(target, contents) ? target : NULL);
}

void builder_initializer(model_builder *builder, const char *name, norma_element_type type, int rank,
                         const int64_t *dims, const void *data) {
  value contents = tensor_copy(&builder->root->memory, type, rank, dims, data);
  set_constant(builder, name, &contents);
}

void builder_floats(model_builder *builder, const char *name, int rank, const int64_t *dims, const float *data) {
  builder_initializer(builder, name, NORMA_FLOAT, rank, dims, data);
}

void builder_ints64(model_builder *builder, const char *name, int rank, const int64_t *dims, const int64_t *data) {
  builder_initializer(builder, name, NORMA_INT64, rank, dims, data);
}

void builder_strings(model_builder *builder, const char *name, int rank, const int64_t *dims,
                     const char *const *strings) {
  shape known = shape_make(rank, dims);
  int64_t count = shape_count(&known);
  size_t bytes = 0;
  value contents;
  char *characters;
  for (int64_t i = 0; i < count; i++) bytes += strlen(strings[i]);
  norma_status status = value_allocate_strings(&builder->root->memory, &contents, &known, bytes, &characters, NULL);
  required(status == NORMA_OK ? builder : NULL);
  for (int64_t i = 0; i < count; i++) {
    size_t size = strlen(strings[i]);
    memcpy(characters, strings[i], size);
    ((norma_string *)contents.tensor.data)[i] = (norma_string){characters, size};
    characters += size;
  }
  set_constant(builder, name, &contents);
}

/* ------------------------------------------------------------------------------------------------------------ nodes */

/* The next name of a list into `name`; false at the end. */
static bool next_name(const char **list, char *name, size_t size) {
  *list += strspn(*list, " ");
  size_t length = strcspn(*list, " ");
  if (length == 0) return false;
  required(length < size ? *list : NULL);
  memcpy(name, *list, length);
  name[length] = '\0';
  *list += length;
  return true;
}

static int count_names(const char *list) {
  char name[256];
  int count = 0;
  while (next_name(&list, name, sizeof name)) count++;
  return count;
}

node *builder_named_node(model_builder *builder, const char *name, const char *domain, const char *op_type,
                         const char *inputs, const char *outputs) {
  char made_up[128], item[256];
  snprintf(made_up, sizeof made_up, "#%d (%s)", builder->graph->node_count, op_type); /* the writer leaves it out */
  node *created = required(graph_add_node(builder->graph, name[0] ? name : made_up, op_type, domain,
                                          count_names(inputs), count_names(outputs), 0));
  const norma_model *model = &builder->root->model;
  for (size_t i = 0; i < model->opset_count; i++) {
    if (strcmp(model->opsets[i].domain, domain) == 0) created->opset = model->opsets[i].version;
  }
  for (int i = 0; next_name(&inputs, item, sizeof item); i++) {
    if (strcmp(item, "-") != 0) node_set_input(created, i, value_named(builder->graph, item, true));
  }
  for (int i = 0; next_name(&outputs, item, sizeof item); i++) {
    if (strcmp(item, "-") != 0) node_set_output(created, i, value_named(builder->graph, item, false));
  }
  return created;
}

node *builder_node(model_builder *builder, const char *op_type, const char *inputs, const char *outputs) {
  return builder_named_node(builder, "", "", op_type, inputs, outputs);
}

model_builder *builder_subgraph(model_builder *builder, node *node, const char *name) {
  model_builder *root = builder->root;
  model_builder *inner = required(root->subgraph_count < BUILDER_MAX ? calloc(1, sizeof *inner) : NULL);
  root->subgraphs[root->subgraph_count++] = inner;
  inner->root = root;
  inner->graph = required(graph_create(region_of(builder), &root->memory, name, builder->graph, node));
  builder_int(node, name, 0);
  attribute *made = &node->attributes[node->attribute_count - 1];
  made->kind = ATTRIBUTE_GRAPH;
  made->graph = inner->graph;
  return inner;
}

/* ------------------------------------------------------------------------------------------------------- attributes */

void builder_int(node *node, const char *name, int64_t i) {
  required(node_set_attribute_int(node, name, i) ? node : NULL);
}

void builder_float(node *node, const char *name, float f) {
  required(node_set_attribute_float(node, name, f) ? node : NULL);
}

void builder_ints(node *node, const char *name, size_t count, const int64_t *ints) {
  required(node_set_attribute_ints(node, name, ints, count) ? node : NULL);
}

/* An attribute whose contents the caller fills in. */
static attribute *add_attribute(node *node, const char *name, attribute_kind kind, size_t count) {
  builder_int(node, name, 0);
  attribute *added = &node->attributes[node->attribute_count - 1];
  added->kind = kind;
  added->count = count;
  return added;
}

static norma_string string_copy(node *node, const char *text) {
  return (norma_string){copy_text(node->graph->region, text), strlen(text)};
}

void builder_string(node *node, const char *name, const char *text) {
  add_attribute(node, name, ATTRIBUTE_STRING, 0)->s = string_copy(node, text);
}

void builder_float_list(node *node, const char *name, size_t count, const float *floats) {
  float *copy = required(region_array(node->graph->region, count, sizeof *copy));
  if (count) memcpy(copy, floats, count * sizeof *copy);
  add_attribute(node, name, ATTRIBUTE_FLOATS, count)->floats = copy;
}

void builder_string_list(node *node, const char *name, size_t count, const char *const *strings) {
  norma_string *copies = required(region_array(node->graph->region, count, sizeof *copies));
  for (size_t i = 0; i < count; i++) copies[i] = string_copy(node, strings[i]);
  add_attribute(node, name, ATTRIBUTE_STRINGS, count)->strings = copies;
}

void builder_tensor(node *node, const char *name, norma_element_type type, int rank, const int64_t *dims,
                    const void *data) {
  value *held = required(region_allocate(node->graph->region, sizeof *held));
  *held = tensor_copy(node->graph->memory, type, rank, dims, data);
  add_attribute(node, name, ATTRIBUTE_TENSOR, 0)->tensor = held;
}
