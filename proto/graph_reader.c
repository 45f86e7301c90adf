/* Graphs: values, names and their scopes, nodes, subgraphs. */
#include "proto/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LONGEST_MADE_UP_NAME 255 /* names of inlined values; bounds what nested functions with long names take */

/* ------------------------------------------------------------------------------------------------------------ names */

static bool name_is_taken(const builder *builder, const char *name) {
  for (; builder; builder = builder->parent) {
    if (name_table_find(&builder->scope->names, name) || name_table_find(&builder->other_names, name)) return true;
  }
  return false;
}

/* `name`, cut to LONGEST_MADE_UP_NAME bytes at a character border. */
static const char *cut_name(region *region, const char *name) {
  char text[LONGEST_MADE_UP_NAME + 1];
  if (strlen(name) <= LONGEST_MADE_UP_NAME) return name;
  ERROR_COPY(text, name);
  return region_copy_string(region, text, strlen(text));
}

/* "prefix/name", cut to LONGEST_MADE_UP_NAME bytes at a character border. */
static char *join_names(region *region, const char *prefix, const char *name) {
  char text[LONGEST_MADE_UP_NAME + 2];
  int length = snprintf(text, sizeof text, "%s/%s", prefix, name);
  if (length > LONGEST_MADE_UP_NAME) error_copy_text(text, LONGEST_MADE_UP_NAME + 1, text);
  return region_copy_string(region, text, strlen(text));
}

const char *node_text(reader *reader, const call *call, const Onnx__NodeProto *proto, size_t index) {
  char number[128];
  const char *name = text_or_empty(proto->name);
  if (!name[0]) {
    char op_type[64];
    ERROR_COPY(op_type, text_or_empty(proto->op_type));
    snprintf(number, sizeof number, "#%zu (%s)", index, op_type);
    name = number;
  }
  return call ? join_names(reader->temporary, call->name, name)
              : region_copy_string(reader->temporary, name, strlen(name));
}

/* A value that the model does not name: `stem`, with a number where that is taken. */
static norma_status add_other_value(reader *reader, builder *builder, const char *stem, graph_value **value) {
  const char *name = stem;
  while (name_is_taken(builder, name)) {
    size_t length = strlen(stem) + 24;
    char *numbered = region_allocate(reader->temporary, length);
    if (!numbered) return reader_no_memory(reader);
    snprintf(numbered, length, "%s.%zu", stem, ++reader->suffix);
    name = numbered;
  }
  bool added;
  *value = graph_add_value(builder->graph, name);
  if (!*value || !name_table_add(&builder->other_names, (*value)->name, &added)) return reader_no_memory(reader);
  return NORMA_OK;
}

/* A new name of the model in the innermost scope. In an inner graph it may hide an outer name: then the value is called
 * differently, since names of values that a node sees are unique. */
static norma_status declare(reader *reader, const context *context, const char *name, graph_value **value) {
  bool added;
  name_entry *entry = name_table_add(&context->scope->names, name, &added);
  if (!entry) return reader_no_memory(reader);
  if (!added) {
    *value = entry->item;
    if (!entry->flag) {
      norma_status status = error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "the name '%s' is defined twice", name);
      ERROR_COPY(reader->error->value, name);
      return status;
    }
    entry->flag = false; /* an output of the function: stands for the value outside */
    return NORMA_OK;
  }
  builder *builder = context->builder;
  if (context->call && context->scope != builder->scope) {
    char *stem = join_names(reader->temporary, context->call->name, name);
    if (!stem) return reader_no_memory(reader);
    TRY(add_other_value(reader, builder, stem, value));
  } else if (name_is_taken(builder->parent, name) || name_table_find(&builder->other_names, name) ||
             (context->call && strlen(name) > LONGEST_MADE_UP_NAME)) {
    const char *stem = cut_name(reader->temporary, name);
    if (!stem) return reader_no_memory(reader);
    TRY(add_other_value(reader, builder, stem, value));
  } else {
    *value = graph_add_value(builder->graph, name);
    if (!*value) return reader_no_memory(reader);
  }
  entry->item = *value;
  return NORMA_OK;
}

static bool is_defined(const graph_value *value) {
  return value->producer || value->is_input || value->has_initializer;
}

/* A value that is defined wins over one of an inner scope that is still to come, as it does in a file whose nodes are
 * read one after the other. */
static const name_entry *find_name(const scope *scope, const char *name) {
  const name_entry *later = NULL;
  for (; scope; scope = scope->parent) {
    const name_entry *entry = name_table_find(&scope->names, name);
    if (!entry) continue;
    if (!entry->item || is_defined(entry->item)) return entry;
    if (!later) later = entry;
  }
  return later;
}

norma_status resolve(reader *reader, const context *context, const char *name, graph_value **value) {
  *value = NULL;
  if (!name[0]) return NORMA_OK;
  const name_entry *entry = find_name(context->scope, name);
  if (!entry) {
    norma_status status = error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "the value '%s' is not defined", name);
    ERROR_COPY(reader->error->value, name);
    return status;
  }
  *value = entry->item;
  if (!*value || is_defined(*value)) return NORMA_OK;
  for (builder *builder = context->builder; builder; builder = builder->parent) {
    if (builder->graph == (*value)->graph) builder->unsorted = true;
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ nodes */

norma_status declare_outputs(reader *reader, const context *context, size_t count, Onnx__NodeProto *const *nodes) {
  for (size_t i = 0; i < count; i++) {
    TRY(reader_poll(reader));
    for (size_t k = 0; k < nodes[i]->n_output; k++) {
      graph_value *value;
      if (!nodes[i]->output[k][0]) continue;
      norma_status status = declare(reader, context, nodes[i]->output[k], &value);
      if (status == NORMA_OK) continue;
      const char *name = node_text(reader, context->call, nodes[i], i);
      if (!name || status != NORMA_ERROR_INVALID_MODEL) return status;
      ERROR_COPY(reader->error->node, name);
      ERROR_COPY(reader->error->op_type, text_or_empty(nodes[i]->op_type));
      return error_prefix(reader->error, "node '%s'", reader->error->node);
    }
  }
  return NORMA_OK;
}

static norma_status connect_node(reader *reader, const context *context, node *node, const Onnx__NodeProto *proto) {
  for (size_t i = 0; i < proto->n_input; i++) {
    graph_value *value;
    TRY(resolve(reader, context, proto->input[i], &value));
    node_set_input(node, (int)i, value);
  }
  TRY(read_attributes(reader, context, node, proto));
  for (size_t i = 0; i < proto->n_output; i++) {
    if (!proto->output[i][0]) continue;
    const name_entry *entry = name_table_find(&context->scope->names, proto->output[i]);
    node_set_output(node, (int)i, entry->item);
  }
  return NORMA_OK;
}

static norma_status reader_add_node(reader *reader, const context *context, const Onnx__NodeProto *proto,
                                    size_t index) {
  const char *domain = domain_normalize(proto->domain), *overload = text_or_empty(proto->overload);
  int64_t opset = context_opset(reader, context->call, domain);
  if (!opset) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "%s imports no opset of domain %s",
                     context->call ? "the function" : "the model", domain_text(domain));
  }
  if (proto->n_input > INT32_MAX || proto->n_output > INT32_MAX || proto->n_attribute > INT32_MAX) {
    return error_set(reader->error, NORMA_ERROR_BUDGET, "it has too many inputs, outputs or attributes");
  }
  const char *name = node_text(reader, context->call, proto, index);
  node *node = name ? graph_add_node(context->builder->graph, name, proto->op_type, domain, (int)proto->n_input,
                                     (int)proto->n_output, (int)proto->n_attribute)
                    : NULL;
  if (!node) return reader_no_memory(reader);
  node->opset = opset;
  if (overload[0]) {
    node->overload = region_copy_string(reader->region, overload, strlen(overload));
    if (!node->overload) return reader_no_memory(reader);
  }
  return connect_node(reader, context, node, proto);
}

static norma_status read_node(reader *reader, const context *context, const Onnx__NodeProto *proto, size_t index) {
  norma_status status;
  if (++reader->nodes > reader->options->max_nodes) {
    return error_set(reader->error, NORMA_ERROR_BUDGET, "more than %zu nodes, functions expanded",
                     reader->options->max_nodes);
  }
  TRY(reader_poll(reader));
  if (!text_or_empty(proto->op_type)[0]) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "it has no operator type");
  }
  if (strlen(proto->op_type) > LONGEST_OPERATOR_NAME || strlen(text_or_empty(proto->domain)) > LONGEST_OPERATOR_NAME ||
      strlen(text_or_empty(proto->overload)) > LONGEST_OPERATOR_NAME) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL,
                     "its operator, domain or overload has more than %d bytes", LONGEST_OPERATOR_NAME);
  }
  TRY(count_items(reader, proto->n_input + proto->n_output + proto->n_attribute));
  const function *function = find_function(reader, proto, &status);
  if (status != NORMA_OK) return status;
  return function ? inline_call(reader, context, function, proto, index)
                  : reader_add_node(reader, context, proto, index);
}

__attribute__((noinline, cold)) norma_status reader_add_node_to_error(reader *reader, const call *call,
                                                                      const Onnx__NodeProto *proto, size_t index,
                                                                      norma_status status) {
  norma_error *error = reader->error;
  const bool is_of_model =
      status != NORMA_ERROR_OUT_OF_MEMORY && status != NORMA_ERROR_CANCELLED && status != NORMA_ERROR_DEADLINE;
  if (error->node[0] || !is_of_model) return status;
  const char *name = node_text(reader, call, proto, index);
  const char *domain = domain_normalize(proto->domain);
  ERROR_COPY(error->node, name ? name : text_or_empty(proto->name));
  ERROR_COPY(error->op_type, text_or_empty(proto->op_type));
  ERROR_COPY(error->domain, domain_text(domain));
  error->opset = context_opset(reader, call, domain);
  return error_prefix(error, "node '%s' (%s)", error->node, error->op_type);
}

norma_status read_nodes(reader *reader, const context *context, size_t count, Onnx__NodeProto *const *nodes) {
  for (size_t i = 0; i < count; i++) {
    norma_status status = read_node(reader, context, nodes[i], i);
    if (status != NORMA_OK) return reader_add_node_to_error(reader, context->call, nodes[i], i, status);
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------ inputs, initializers, outputs */

static norma_status value_error(reader *reader, const char *what, const char *name) {
  ERROR_COPY(reader->error->value, name);
  return error_prefix(reader->error, "%s '%s'", what, name);
}

static norma_status read_input(reader *reader, const context *context, const Onnx__ValueInfoProto *proto) {
  graph_value *value;
  const char *name = text_or_empty(proto->name);
  if (!name[0]) return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "an input of the graph has no name");
  TRY(declare(reader, context, name, &value));
  norma_status status = read_type(reader, proto->type, &value->info);
  if (status == NORMA_OK && !context->builder->parent) status = read_dim_names(reader, proto->type, &value->dim_names);
  if (status != NORMA_OK) return value_error(reader, "input", name);
  value->is_input = true; /* it is added to the graph's inputs when the initializers are known */
  return NORMA_OK;
}

static bool is_overridable(const reader *reader, const char *name) {
  for (size_t i = 0; i < reader->options->overridable_count; i++) {
    if (strcmp(reader->options->overridable[i], name) == 0) return true;
  }
  return false;
}

/* Gives a value its contents, which are taken over. */
static norma_status set_initializer(reader *reader, const context *context, const char *name, value *contents) {
  graph_value *target = NULL;
  const name_entry *entry = name_table_find(&context->scope->names, name);
  norma_status status = NORMA_OK;
  if (entry && ((graph_value *)entry->item)->is_input && !((graph_value *)entry->item)->has_initializer) {
    target = entry->item;
  } else {
    status = declare(reader, context, name, &target); /* fails where the name is taken */
  }
  if (status != NORMA_OK) {
    value_clear(contents);
    return status;
  }
  target->has_initializer = true;
  if (target->is_input && !context->builder->parent && is_overridable(reader, name)) {
    value *held = region_allocate(reader->region, sizeof *held);
    if (!held) {
      value_clear(contents);
      return reader_no_memory(reader);
    }
    *held = *contents;
    target->initial = held;
    return NORMA_OK;
  }
  return graph_set_constant(target, contents) ? NORMA_OK : reader_no_memory(reader);
}

static norma_status no_initializer_name(reader *reader) {
  return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "an initializer has no name");
}

static norma_status read_initializers(reader *reader, const context *context, const Onnx__GraphProto *proto) {
  for (size_t i = 0; i < proto->n_initializer; i++) {
    value contents = {0};
    const char *name = text_or_empty(proto->initializer[i]->name);
    TRY(reader_poll(reader));
    if (!name[0]) return no_initializer_name(reader);
    bool may_wait = !context->builder->parent && !is_overridable(reader, name);
    reader->tensors.lazy_source = may_wait ? reader->options->lazy_source : NULL;
    norma_status status = read_shared_tensor(reader, proto->initializer[i], &contents);
    reader->tensors.lazy_source = NULL;
    if (status != NORMA_OK) return status;
    TRY(set_initializer(reader, context, name, &contents));
  }
  for (size_t i = 0; i < proto->n_sparse_initializer; i++) {
    value contents = {0};
    const Onnx__TensorProto *values = proto->sparse_initializer[i]->values;
    const char *name = values ? text_or_empty(values->name) : "";
    if (!name[0]) return no_initializer_name(reader);
    TRY(read_shared_sparse_tensor(reader, proto->sparse_initializer[i], &contents));
    TRY(set_initializer(reader, context, name, &contents));
  }
  return NORMA_OK;
}

/* Before IR version 4 initializers had to be inputs as well; those of a subgraph are nothing that its node could give.
 */
static norma_status add_inputs(reader *reader, const context *context, const Onnx__GraphProto *proto) {
  for (size_t i = 0; i < proto->n_input; i++) {
    graph_value *value = name_table_find(&context->scope->names, proto->input[i]->name)->item;
    if (context->builder->parent && value->has_initializer) {
      value->is_input = false;
    } else if (!graph_add_input(context->builder->graph, value)) {
      return reader_no_memory(reader);
    }
  }
  return NORMA_OK;
}

/* The declared type helps where inference cannot tell; the declared shape is left alone, since exporters get it wrong.
 */
static norma_status read_output(reader *reader, const context *context, const Onnx__ValueInfoProto *proto) {
  graph_value *value;
  value_info info;
  const char *name = text_or_empty(proto->name);
  if (!name[0]) return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "an output of the graph has no name");
  norma_status status = resolve(reader, context, name, &value);
  if (status == NORMA_OK && !value) {
    status = error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "it is an input that the function's call leaves out");
  }
  if (status == NORMA_OK) status = read_type(reader, proto->type, &info);
  if (status != NORMA_OK) return value_error(reader, "output", name);
  if (value->producer && value->info.kind == NORMA_VALUE_NONE) {
    info.shape = shape_unknown();
    value->info = info;
    if (!context->builder->parent) TRY(read_dim_names(reader, proto->type, &value->dim_names));
  }
  return graph_add_output(context->builder->graph, value) ? NORMA_OK : reader_no_memory(reader);
}

/* ----------------------------------------------------------------------------------------------------------- graphs */

static norma_status fill_graph(reader *reader, const context *context, const Onnx__GraphProto *proto) {
  TRY(count_items(reader, proto->n_input + proto->n_output + proto->n_initializer + proto->n_sparse_initializer));
  for (size_t i = 0; i < proto->n_input; i++) {
    TRY(reader_poll(reader));
    TRY(read_input(reader, context, proto->input[i]));
  }
  TRY(read_initializers(reader, context, proto));
  TRY(add_inputs(reader, context, proto));
  TRY(declare_outputs(reader, context, proto->n_node, proto->node));
  TRY(read_nodes(reader, context, proto->n_node, proto->node));
  for (size_t i = 0; i < proto->n_output; i++) TRY(read_output(reader, context, proto->output[i]));
  return context->builder->unsorted
             ? graph_sort(reader->memory, context->builder->graph, reader->options->interruption, reader->error)
             : NORMA_OK;
}

static norma_status read_graph(reader *reader, builder *parent, scope *outer, call *call, graph *target,
                               const Onnx__GraphProto *proto) {
  scope scope = {.parent = outer};
  builder builder = {.parent = parent, .graph = target, .scope = &scope};
  context context = {.builder = &builder, .scope = &scope, .call = call};
  name_table_init(&scope.names, reader->memory);
  name_table_init(&builder.other_names, reader->memory);
  norma_status status = fill_graph(reader, &context, proto);
  name_table_free(&builder.other_names);
  name_table_free(&scope.names);
  return status;
}

norma_status read_subgraph(reader *reader, builder *parent, scope *outer, call *call, graph *target,
                           const Onnx__GraphProto *proto) {
  if (reader->depth >= reader->options->max_depth) {
    return error_set(reader->error, NORMA_ERROR_BUDGET, "functions and subgraphs are nested more than %d deep",
                     reader->options->max_depth);
  }
  reader->depth++;
  norma_status status = read_graph(reader, parent, outer, call, target, proto);
  reader->depth--;
  return status;
}

static norma_status check_overridable(reader *reader) {
  const graph *graph = reader->model->graph;
  for (size_t i = 0; i < reader->options->overridable_count; i++) {
    const char *name = reader->options->overridable[i];
    bool found = false;
    for (int k = 0; k < graph->input_count && !found; k++) {
      found = graph->inputs[k]->has_initializer && strcmp(graph->inputs[k]->name, name) == 0;
    }
    if (!found) {
      return error_set(reader->error, NORMA_ERROR_ARGUMENT, "no initializer that is a graph input is called '%s'",
                       name);
    }
  }
  return NORMA_OK;
}

norma_status read_main_graph(reader *reader, const Onnx__GraphProto *proto) {
  graph *graph = graph_create(reader->region, reader->memory, text_or_empty(proto->name), NULL, NULL);
  if (!graph) return reader_no_memory(reader);
  reader->model->graph = graph;
  TRY(read_graph(reader, NULL, NULL, NULL, graph, proto));
  return check_overridable(reader);
}
