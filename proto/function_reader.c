/* Model-local functions: the table of them, and their bodies in place of the nodes that call them. */
#include "proto/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SEPARATOR '\x1F'

/* "domain\x1Fname\x1Foverload" in the temporary region. */
static char *function_key(reader *reader, const char *domain, const char *name, const char *overload) {
  size_t domain_length = strlen(domain), name_length = strlen(name), overload_length = strlen(overload);
  char *key = region_allocate(reader->temporary, domain_length + name_length + overload_length + 3);
  if (!key) return NULL;
  char *next = key;
  memcpy(next, domain, domain_length);
  next += domain_length;
  *next++ = SEPARATOR;
  memcpy(next, name, name_length);
  next += name_length;
  *next++ = SEPARATOR;
  memcpy(next, overload, overload_length + 1);
  return key;
}

/* -------------------------------------------------------------------------------------------------------- the table */

static norma_status function_add_attribute(reader *reader, function *function, const char *name,
                                           Onnx__AttributeProto *default_value) {
  bool added;
  if (!name || !name[0]) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "an attribute has no name");
  }
  name_entry *entry = name_table_add(&function->attributes, name, &added);
  if (!entry) return reader_no_memory(reader);
  if (!added) return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "attribute '%s' is declared twice", name);
  entry->item = default_value;
  return NORMA_OK;
}

static norma_status read_function(reader *reader, Onnx__FunctionProto *proto, function *function) {
  function->proto = proto;
  function->domain = domain_normalize(proto->domain);
  TRY(read_opsets(reader, proto->n_opset_import, proto->opset_import, reader->temporary, &function->opsets,
                  &function->opset_count));
  for (size_t i = 0; i < proto->n_attribute; i++)
    TRY(function_add_attribute(reader, function, proto->attribute[i], NULL));
  for (size_t i = 0; i < proto->n_attribute_proto; i++) {
    TRY(function_add_attribute(reader, function, proto->attribute_proto[i]->name, proto->attribute_proto[i]));
  }
  bool added = false;
  const char *name = text_or_empty(proto->name);
  if (!name[0]) return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "a function has no name");
  char *key = function_key(reader, function->domain, name, text_or_empty(proto->overload));
  name_entry *entry = key ? name_table_add(&reader->functions, key, &added) : NULL;
  if (!entry) return reader_no_memory(reader);
  if (!added) return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "it is defined twice");
  entry->item = function;
  return NORMA_OK;
}

norma_status read_functions(reader *reader, size_t count, Onnx__FunctionProto *const *protos) {
  for (size_t i = 0; i < count; i++) {
    function *function = region_allocate(reader->temporary, sizeof *function);
    if (!function) return reader_no_memory(reader);
    name_table_init(&function->attributes, reader->memory);
    norma_status status = read_function(reader, protos[i], function);
    if (status != NORMA_OK) {
      name_table_free(&function->attributes); /* it may not be in the table of functions */
      return error_prefix(reader->error, "function '%s'", text_or_empty(protos[i]->name));
    }
  }
  reader->model->function_count = count;
  return NORMA_OK;
}

void free_functions(reader *reader) {
  for (size_t i = 0; i < reader->functions.capacity; i++) {
    function *function = reader->functions.entries[i].item;
    if (function) name_table_free(&function->attributes);
  }
  name_table_free(&reader->functions);
}

function *find_function(reader *reader, const Onnx__NodeProto *proto, norma_status *status) {
  *status = NORMA_OK;
  if (reader->functions.count == 0) return NULL;
  char *key = function_key(reader, domain_normalize(proto->domain), text_or_empty(proto->op_type),
                           text_or_empty(proto->overload));
  if (!key) {
    *status = reader_no_memory(reader);
    return NULL;
  }
  const name_entry *entry = name_table_find(&reader->functions, key);
  return entry ? entry->item : NULL;
}

/* ------------------------------------------------------------------------------------------------------------ calls */

static norma_status check_call(reader *reader, const context *context, const function *function,
                               const Onnx__NodeProto *proto) {
  for (const call *call = context->call; call; call = call->parent) {
    if (call->function == function) {
      return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "function '%s' calls itself", function->proto->name);
    }
  }
  if (proto->n_input > function->proto->n_input) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "%zu inputs for a function of %zu", proto->n_input,
                     function->proto->n_input);
  }
  if (proto->n_output > function->proto->n_output) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "%zu outputs of a function of %zu", proto->n_output,
                     function->proto->n_output);
  }
  if (reader->depth >= reader->options->max_depth) {
    return error_set(reader->error, NORMA_ERROR_BUDGET, "functions and subgraphs are nested more than %d deep",
                     reader->options->max_depth);
  }
  return NORMA_OK;
}

static norma_status bind_attribute(reader *reader, const context *context, const Onnx__AttributeProto *proto,
                                   call *call) {
  const char *name = text_or_empty(proto->name);
  binding found;
  bool added;
  if (!name_table_find(&call->function->attributes, name)) {
    return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "the function has no attribute '%s'", name);
  }
  TRY(follow_reference(reader, context, proto, &found));
  if (!found.attribute) return NORMA_OK;
  binding *bound = region_allocate(reader->temporary, sizeof *bound);
  name_entry *entry = bound ? name_table_add(&call->bindings, name, &added) : NULL;
  if (!entry) return reader_no_memory(reader);
  if (!added) return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "attribute '%s' is there twice", name);
  *bound = found;
  entry->item = bound;
  return NORMA_OK;
}

static norma_status bind_values(reader *reader, const context *context, const call *call, const Onnx__NodeProto *proto,
                                scope *scope) {
  const Onnx__FunctionProto *formal = call->function->proto;
  for (size_t i = 0; i < formal->n_input; i++) {
    graph_value *value = NULL;
    bool added;
    if (i < proto->n_input) TRY(resolve(reader, context, proto->input[i], &value));
    name_entry *entry = name_table_add(&scope->names, formal->input[i], &added);
    if (!entry) return reader_no_memory(reader);
    if (!added || !formal->input[i][0]) {
      return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "input '%s' of function '%s' has no name of its own",
                       formal->input[i], formal->name);
    }
    entry->item = value;
  }
  for (size_t i = 0; i < proto->n_output; i++) {
    bool added;
    if (!proto->output[i][0] || !formal->output[i][0]) continue;
    name_entry *entry = name_table_add(&scope->names, formal->output[i], &added);
    if (!entry) return reader_no_memory(reader);
    if (!added) continue; /* an input, or the same output again: copied when all is there */
    const name_entry *actual = name_table_find(&context->scope->names, proto->output[i]);
    entry->item = actual ? actual->item : NULL;
    entry->flag = true;
  }
  return NORMA_OK;
}

/* An output of the call that no node of the body defines as such, since it is an input or stands twice. */
static norma_status copy_output(reader *reader, const context *context, const call *call, graph_value *from,
                                graph_value *to) {
  size_t length = strlen(call->name) + 16;
  char *name = region_allocate(reader->temporary, length);
  if (!name) return reader_no_memory(reader);
  snprintf(name, length, "%s/Identity", call->name);
  node *node = graph_add_node(context->builder->graph, name, "Identity", "", 1, 1, 0);
  if (!node) return reader_no_memory(reader);
  node->opset = context_opset(reader, call, "");
  if (!node->opset) node->opset = find_opset(reader->model->opsets, reader->model->opset_count, "");
  if (!node->opset) node->opset = 1;
  node_set_input(node, 0, from);
  node_set_output(node, 0, to);
  return NORMA_OK;
}

static norma_status finish_outputs(reader *reader, const context *context, const call *call,
                                   const Onnx__NodeProto *proto, const scope *scope) {
  for (size_t i = 0; i < proto->n_output; i++) {
    if (!proto->output[i][0]) continue;
    const char *name = call->function->proto->output[i];
    const name_entry *actual = name_table_find(&context->scope->names, proto->output[i]);
    const name_entry *entry = name_table_find(&scope->names, name);
    if (!actual || !entry || entry->flag || !entry->item) {
      return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "output '%s' of function '%s' is not defined", name,
                       call->function->proto->name);
    }
    if (entry->item != actual->item) TRY(copy_output(reader, context, call, entry->item, actual->item));
  }
  return NORMA_OK;
}

static norma_status inline_body(reader *reader, const context *context, call *call, scope *scope,
                                const Onnx__NodeProto *proto) {
  const Onnx__FunctionProto *body = call->function->proto;
  struct context inside = {.builder = context->builder, .scope = scope, .call = call};
  TRY(count_items(reader, body->n_input + body->n_output + proto->n_attribute));
  for (size_t i = 0; i < proto->n_attribute; i++) TRY(bind_attribute(reader, context, proto->attribute[i], call));
  TRY(bind_values(reader, context, call, proto, scope));
  TRY(declare_outputs(reader, &inside, body->n_node, body->node));
  TRY(read_nodes(reader, &inside, body->n_node, body->node));
  return finish_outputs(reader, context, call, proto, scope);
}

norma_status inline_call(reader *reader, const context *context, const function *function, const Onnx__NodeProto *proto,
                         size_t index) {
  TRY(check_call(reader, context, function, proto));
  call call = {.parent = context->call, .function = function};
  scope scope = {.parent = NULL};
  call.name = node_text(reader, context->call, proto, index);
  if (!call.name) return reader_no_memory(reader);
  name_table_init(&scope.names, reader->memory);
  name_table_init(&call.bindings, reader->memory);
  reader->depth++;
  norma_status status = inline_body(reader, context, &call, &scope, proto);
  reader->depth--;
  name_table_free(&call.bindings);
  name_table_free(&scope.names);
  return status;
}
