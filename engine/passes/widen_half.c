/*
 * Half precision is computed in float, without a step back after each node.
 *
 *   y = MatMul(x, w)       float16         x' = Cast(x), w' = w in float
 *   z = Softmax(y)                   ->    y' = MatMul(x', w'), z' = Softmax(y')
 *                                          y = Cast(y'), z = Cast(z')            only what somebody reads is planned
 *
 * CPUs convert half precision and compute in float. A node that converts for itself does so for each operand and
 * result, and the patterns that other passes look for are those of float. So stretches of a graph become float: they
 * begin at products whose kernels have no half precision of their own, and go on as long as an operand is float
 * already. What moves elements and does not compute joins where all of them are float. Constants are widened as they
 * are read (lazy_widen), or folded. Results keep more digits than the model asks for.
 */
#include "engine/passes/pass_helpers.h"
#include "ops/elementwise/cast.h"
#include "ops/half.h"

/* Types of which a cast to half precision may as well be one to float. */
#define TYPES_WIDENED (TYPE_BIT(NORMA_FLOAT) | TYPES_INTEGER | TYPE_BIT(NORMA_BOOL))

#define WIDEN_MOST_USES 64 /* of a value that are looked at for its copy in float */

/* ---------------------------------------------------------------------------------------------------- values, rules */

static bool is_half_value(const graph_value *value) {
  return value && value->info.kind == NORMA_VALUE_TENSOR && is_half(value->info.type);
}

/* What the numbers were before they were cast to half precision; the value itself where they were not. */
static graph_value *widened_source(const graph *graph, graph_value *value) {
  const node *producer = value->producer;
  if (!producer || producer->graph != graph || !node_is_cast(producer)) return value;
  graph_value *source = producer->inputs[0];
  const bool is_wider = source->info.kind == NORMA_VALUE_TENSOR && (TYPE_BIT(source->info.type) & TYPES_WIDENED);
  return is_wider && source->graph == graph ? source : value;
}

/* The same numbers as float, of this graph, computed before `reader`; NULL where nobody has made them. */
static graph_value *widened_copy(const node *reader, graph_value *value) {
  const graph *graph = reader->graph;
  graph_value *source = widened_source(graph, value);
  if (value_is(source, NORMA_FLOAT)) return source;
  int looked_at = 0;
  for (const use *use = source->uses; use && looked_at < WIDEN_MOST_USES; use = use->next, looked_at++) {
    const node *node = use->node;
    if (node->graph != graph || !node_is_cast(node) || !value_is(node->outputs[0], NORMA_FLOAT)) continue;
    if (node_stands_before(node, reader)) return node->outputs[0];
  }
  return NULL;
}

/* The type rule of an input that may be float instead; NULL: there is none. */
static const type_rule *float_rule_of_input(const operator_descriptor *op, int index) {
  for (int r = 0; r < OPERATOR_MOST_RULES && op->types[r].types; r++) {
    if (operator_rule_names_input(op, &op->types[r], index))
      return op->types[r].types & TYPE_BIT(NORMA_FLOAT) ? &op->types[r] : NULL;
  }
  return NULL;
}

/* An output whose type is that of an input of half precision. */
static bool output_follows(const node *node, int index) {
  for (int r = 0; r < OPERATOR_MOST_RULES && node->op->types[r].types; r++) {
    const type_rule *rule = &node->op->types[r];
    const int last = 31 - __builtin_clz(rule->outputs | 1);
    if (!(rule->outputs & OUTPUT(index < last ? index : last))) continue;
    for (int i = 0; i < node->input_count; i++) {
      if (is_half_value(node->inputs[i]) && float_rule_of_input(node->op, i) == rule) return true;
    }
  }
  return false;
}

/* An attribute may state the type of the result. */
static bool states_type(const node *node) {
  static const char *const names[] = {"to", "dtype", "output_dtype", "precision"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (node_attribute(node, names[i])) return true;
  }
  return false;
}

/* ------------------------------------------------------------------------------------------------------- the choice */

/* Whether all types of the node follow those of its operands. */
static bool can_widen(const node *node) {
  if (!node->op || node->op->custom || (node->op->flags & (OPERATOR_RANDOM | OPERATOR_SUBGRAPHS))) return false;
  if (node->epilogue.bias_input || node->epilogue.residual_input || states_type(node)) return false;
  for (int i = 0; i < node->input_count; i++) {
    if (node->inputs[i] && node->inputs[i]->info.kind != NORMA_VALUE_TENSOR) return false;
    if (is_half_value(node->inputs[i]) && !float_rule_of_input(node->op, i)) return false;
  }
  for (int i = 0; i < node->output_count; i++) {
    if (is_half_value(node->outputs[i]) && !output_follows(node, i)) return false;
  }
  return true;
}

/* A product that would convert for itself. */
static bool begins_stretch(const node *node) {
  const operator_facts *facts = &node->op->facts;
  for (int i = 0; i < node->input_count; i++) {
    if (is_half_value(node->inputs[i]))
      return (facts->linear || facts->packs) && !(facts->block_types & TYPE_BIT(node->inputs[i]->info.type));
  }
  return false;
}

/* An operator that takes truth values or strings as well only moves elements. */
static bool only_moves(const node *node, int input) {
  const type_rule *rule = float_rule_of_input(node->op, input);
  return rule && (rule->types & (TYPE_BIT(NORMA_BOOL) | TYPE_BIT(NORMA_STRING))) != 0;
}

static bool continues_stretch(const node *node) {
  bool has_float = false;
  for (int i = 0; i < node->input_count; i++) {
    graph_value *input = node->inputs[i];
    if (!is_half_value(input)) continue;
    const bool is_float = widened_copy(node, input) != NULL;
    if (!is_float && !input->constant && only_moves(node, i)) return false;
    has_float |= is_float;
  }
  return has_float;
}

/* -------------------------------------------------------------------------------------------------------- rewriting */

static norma_status add_cast(pass_context *context, graph *graph, node *position, const char *name, graph_value *from,
                             graph_value *to) {
  node *cast = graph_insert_cast(graph, position, name, to->info.type);
  if (!cast) return region_error(graph->region, context->error);
  node_set_input(cast, 0, from);
  node_set_output(cast, 0, to);
  return pass_resolve(context, cast);
}

static norma_status add_float_value(pass_context *context, graph *graph, const graph_value *like, graph_value **made) {
  *made = graph_add_unique_value(graph, like->name);
  if (!*made) return region_error(graph->region, context->error);
  (*made)->info = like->info;
  (*made)->info.type = NORMA_FLOAT;
  return NORMA_OK;
}

/* Weights that nobody has read yet and only this node wants. */
static bool is_lazy_of_one(const graph_value *value) {
  return value->constant && value_is_lazy(value->constant) && value->uses && !value->uses->next;
}

static norma_status widen_lazy(pass_context *context, node *node, int index) {
  graph_value *old = node->inputs[index], *made;
  value contents;
  TRY(lazy_widen(&context->model->lazy_source, &contents, old->constant, context->error));
  TRY(pass_add_constant(context, node->graph, old->name, &contents, &made));
  node_set_input(node, index, made);
  pass_release_constant(old);
  return NORMA_OK;
}

static norma_status widen_input(pass_context *context, node *node, int index) {
  graph_value *value = node->inputs[index], *copy = widened_copy(node, value);
  if (!copy && is_lazy_of_one(value)) return widen_lazy(context, node, index);
  if (!copy) {
    graph_value *source = widened_source(node->graph, value);
    const bool is_own = source->graph == node->graph;
    struct node *position = !is_own ? node : source->producer ? source->producer->next : node->graph->first;
    TRY(add_float_value(context, node->graph, value, &copy));
    TRY(add_cast(context, node->graph, position, node->name, source, copy));
  }
  node_set_input(node, index, copy);
  return NORMA_OK;
}

static norma_status widen_output(pass_context *context, node *node, int index) {
  graph_value *value = node->outputs[index], *made;
  TRY(add_float_value(context, node->graph, value, &made));
  node_set_output(node, index, made);
  return add_cast(context, node->graph, node->next, node->name, made, value);
}

static norma_status widen_half_apply(pass_context *context, node *node, bool *changed) {
  if (!node->op || !node_has_input(node, 0)) return NORMA_OK;
  if (node_is_cast(node)) { /* of something that is float before it is half */
    graph_value *copy = is_half_value(node->inputs[0]) ? widened_copy(node, node->inputs[0]) : NULL;
    if (!copy) return NORMA_OK;
    *changed = true;
    node_set_input(node, 0, copy);
    return NORMA_OK;
  }
  if (!can_widen(node) || (!begins_stretch(node) && !continues_stretch(node))) return NORMA_OK;
  *changed = true;
  for (int i = 0; i < node->output_count; i++) {
    if (is_half_value(node->outputs[i])) TRY(widen_output(context, node, i));
  }
  for (int i = 0; i < node->input_count; i++) {
    if (is_half_value(node->inputs[i])) TRY(widen_input(context, node, i));
  }
  return NORMA_OK;
}

const pass pass_widen_half = {
    .name = "widen_half",
    .level = 2,
    .changes_rounding = true,
    .apply = widen_half_apply,
};
