/*
 * What the functions of a model expand to, counted before anything is expanded: 27 functions that call each other twice
 * are two thousand bytes and 134 million nodes.
 *
 * A function's body stands for as many nodes and items as it says, those of the functions that it calls, and for each
 * graph that a call gives it as an attribute, that graph's as many times as the body uses it. So each function has a
 * form, linear in its attributes, which is found once; calls put forms into each other. Sums stop at SIZE_MAX. Of more
 * than MOST_TERMS such attributes the rest counts as nothing: the reader, who counts what it makes as well, finds them.
 */
#include "proto/reader.h"

#include <string.h>

#define MOST_TERMS 16

typedef struct expansion_term {
  const char *attribute;
  size_t times;
} expansion_term;

/* Of a function, or of a part of its body. */
typedef struct expansion {
  size_t nodes, items; /* as reader.nodes and reader.items count them */
  int term_count;
  expansion_term terms[MOST_TERMS];
  bool is_open; /* being counted: who meets it calls itself */
} expansion;

typedef struct counter {
  reader *reader;
  size_t item_limit;
  int depth;
  bool found_recursion; /* an error of the model, which is told where the reader meets it */
} counter;

static size_t add_up(size_t sum, size_t count, size_t times) {
  size_t product;
  return size_multiply(count, times, &product) && size_add(sum, product, &sum) ? sum : SIZE_MAX;
}

static void add_term(expansion *sum, const char *attribute, size_t times) {
  int i = 0;
  while (i < sum->term_count && strcmp(sum->terms[i].attribute, attribute) != 0) i++;
  if (i == MOST_TERMS) return;
  if (i == sum->term_count) sum->terms[sum->term_count++] = (expansion_term){attribute, 0};
  sum->terms[i].times = add_up(sum->terms[i].times, times, 1);
}

static void add_expansion(expansion *sum, const expansion *part, size_t times) {
  sum->nodes = add_up(sum->nodes, part->nodes, times);
  sum->items = add_up(sum->items, part->items, times);
  for (int i = 0; i < part->term_count; i++) {
    add_term(sum, part->terms[i].attribute, add_up(0, part->terms[i].times, times));
  }
}

static norma_status count_nodes(counter *counter, const function *inside, size_t count, Onnx__NodeProto *const *nodes,
                                expansion *sum);

static norma_status check_size(const counter *counter, const function *inside, const expansion *sum) {
  const reader *reader = counter->reader;
  const char *name = inside ? text_or_empty(inside->proto->name) : NULL;
  if (sum->nodes > reader->options->max_nodes) {
    return error_set(reader->error, NORMA_ERROR_BUDGET, "more than %zu nodes, functions expanded%s%.200s%s",
                     reader->options->max_nodes, name ? ": function '" : "", name ? name : "",
                     name ? "' alone has as many" : "");
  }
  if (sum->items > counter->item_limit) {
    return error_set(
        reader->error, NORMA_ERROR_BUDGET, "expanded functions make the model larger than %zu nodes allow%s%.200s%s",
        reader->options->max_nodes, name ? ": function '" : "", name ? name : "", name ? "' alone does" : "");
  }
  return NORMA_OK;
}

static norma_status enter(counter *counter) {
  if (counter->depth++ < counter->reader->options->max_depth) return NORMA_OK;
  return error_set(counter->reader->error, NORMA_ERROR_BUDGET, "functions and subgraphs are nested more than %d deep",
                   counter->reader->options->max_depth);
}

static norma_status count_graph(counter *counter, const function *inside, const Onnx__GraphProto *graph, size_t times,
                                expansion *sum) {
  expansion own = {.items = graph->n_input + graph->n_output + graph->n_initializer + graph->n_sparse_initializer};
  TRY(enter(counter));
  norma_status status = count_nodes(counter, inside, graph->n_node, graph->node, &own);
  counter->depth--;
  add_expansion(sum, &own, times);
  return status;
}

/* What stands in an attribute, or in the one of the function that it refers to. */
static norma_status count_attribute(counter *counter, const function *inside, const Onnx__AttributeProto *attribute,
                                    size_t times, expansion *sum) {
  const char *reference = text_or_empty(attribute->ref_attr_name);
  if (reference[0]) {
    if (inside) add_term(sum, reference, times);
    return NORMA_OK;
  }
  if (attribute->g) TRY(count_graph(counter, inside, attribute->g, times, sum));
  for (size_t i = 0; i < attribute->n_graphs; i++) {
    TRY(count_graph(counter, inside, attribute->graphs[i], times, sum));
  }
  return NORMA_OK;
}

static norma_status count_function(counter *counter, function *function, const expansion **result) {
  reader *reader = counter->reader;
  *result = function->expansion;
  if (function->expansion) {
    counter->found_recursion |= function->expansion->is_open;
    return NORMA_OK;
  }
  expansion *own = region_allocate(reader->temporary, sizeof *own);
  if (!own) return reader_no_memory(reader);
  *result = function->expansion = own;
  own->is_open = true;
  TRY(enter(counter));
  norma_status status = count_nodes(counter, function, function->proto->n_node, function->proto->node, own);
  counter->depth--;
  own->is_open = false;
  return status;
}

static const Onnx__AttributeProto *find_given(const Onnx__NodeProto *call, const char *name) {
  for (size_t i = 0; i < call->n_attribute; i++) {
    if (strcmp(text_or_empty(call->attribute[i]->name), name) == 0) return call->attribute[i];
  }
  return NULL;
}

/* A call: the function's form, with what the call gives it, or what it has by itself, in the place of attributes. */
static norma_status count_call(counter *counter, const function *inside, function *called, const Onnx__NodeProto *call,
                               expansion *sum) {
  const expansion *form;
  TRY(count_function(counter, called, &form));
  sum->nodes = add_up(sum->nodes, form->nodes, 1);
  sum->items = add_up(sum->items, form->items, 1);
  sum->items = add_up(sum->items, called->proto->n_input + called->proto->n_output + call->n_attribute, 1);
  if (form->is_open) return NORMA_OK;
  for (int i = 0; i < form->term_count; i++) {
    const Onnx__AttributeProto *given = find_given(call, form->terms[i].attribute);
    const name_entry *own = given ? NULL : name_table_find(&called->attributes, form->terms[i].attribute);
    if (given) TRY(count_attribute(counter, inside, given, form->terms[i].times, sum));
    if (own && own->item) TRY(count_attribute(counter, NULL, own->item, form->terms[i].times, sum));
  }
  return NORMA_OK;
}

static norma_status count_node(counter *counter, const function *inside, const Onnx__NodeProto *node, expansion *sum) {
  norma_status status;
  function *called = find_function(counter->reader, node, &status);
  if (status != NORMA_OK) return status;
  sum->nodes = add_up(sum->nodes, 1, 1);
  sum->items = add_up(sum->items, node->n_input + node->n_output + node->n_attribute, 1);
  if (called) return count_call(counter, inside, called, node, sum);
  for (size_t i = 0; i < node->n_attribute; i++) {
    TRY(count_attribute(counter, inside, node->attribute[i], 1, sum));
  }
  return NORMA_OK;
}

static norma_status count_nodes(counter *counter, const function *inside, size_t count, Onnx__NodeProto *const *nodes,
                                expansion *sum) {
  for (size_t i = 0; i < count; i++) {
    TRY(count_node(counter, inside, nodes[i], sum));
    TRY(check_size(counter, inside, sum));
    if (counter->found_recursion) return NORMA_OK;
  }
  return NORMA_OK;
}

norma_status check_expansion(reader *reader, const Onnx__GraphProto *graph) {
  expansion sum = {.nodes = 0};
  counter counter = {.reader = reader, .item_limit = reader_item_limit(reader)};
  if (reader->functions.count == 0) return NORMA_OK;
  for (size_t i = 0; i < graph->n_node && !counter.found_recursion; i++) {
    norma_status status = count_nodes(&counter, NULL, 1, &graph->node[i], &sum);
    if (status != NORMA_OK) return reader_add_node_to_error(reader, NULL, graph->node[i], i, status);
  }
  return NORMA_OK;
}
