/*
 * Attention that exporters write out becomes the inner operator DotProductAttention, which keeps no scores in memory.
 *
 *   MatMul(Q, K^T) -> Mul, Div by numbers -> Add, Where with masks -> Softmax -> MatMul with V
 *
 * Transposes of Q, K and V and factors of Q and K are read through: the operator takes heads and rows in either order.
 * A Transpose behind it that exchanges them is taken over too.
 *
 * Legal where nobody else reads what is in between, ranks are known, all of them 3 or all 4, and Softmax runs over the
 * last axis. The operator broadcasts as MatMul, Add and Where do, so dimensions may be unknown. A number that Where
 * puts in place of scores must be so low that adding it to a score gives the number itself. Sums with masks in half
 * precision lose so many digits that a row of which all is masked has other weights: they stay.
 */
#include "engine/passes/pass_helpers.h"

#include <math.h>

#define ATTENTION_MOST_NODES 8
#define ATTENTION_LOWEST     (-1e30) /* added to any score that is no result of an overflow, it is not changed */

/* A tensor, which is read with its axes in another order and times a factor. */
typedef struct attention_factor {
  graph_value *value;
  double factor;
  bool by_row;
} attention_factor;

typedef struct attention_match {
  node *nodes[ATTENTION_MOST_NODES]; /* each after the one that reads it */
  int count, rank;
  double scale, filter;
  graph_value *masks[2];
  bool is_inverted[2]; /* a condition of Where that hides where it is true */
  int mask_count, filter_count;
  attention_factor q, k, v;
} attention_match;

/* ------------------------------------------------------------------------------------------------ Q, K and V */

/* x * number, x / number: the index of x, -1 if the node is something else. */
static int attention_scaled(const node *node, double *factor) {
  bool divides = node_is(node, "Div");
  if ((!divides && !node_is(node, "Mul")) || node->version < 7 || node->input_count != 2) return -1;
  for (int number = 1; number >= (divides ? 1 : 0); number--) {
    if (!node_has_input(node, !number) || !node_constant_number(node, number, factor)) continue;
    if (divides) *factor = 1 / *factor;
    return isfinite(*factor) && *factor != 0 ? !number : -1;
  }
  return -1;
}

static bool attention_order_is(const int64_t *order, int rank, const int64_t *expected) {
  for (int i = 0; i < rank; i++) {
    if (order[i] != expected[i]) return false;
  }
  return true;
}

/* order[i]: which axis of the Transpose's input is axis i of what is asked for. */
static bool attention_permute(const node *transpose, int rank, int64_t *order) {
  size_t count;
  const int64_t *perm = attribute_ints(transpose, "perm", &count);
  if (!perm && rank > 0 && !node_attribute(transpose, "perm")) {
    for (int i = 0; i < rank; i++) order[i] = rank - 1 - order[i];
    return true;
  }
  if (!perm || count != (size_t)rank) return false;
  for (int i = 0; i < rank; i++) order[i] = perm[order[i]];
  return true;
}

/* Goes back through factors and Transposes to a tensor whose last axis is that of the products' depth (of V: its
 * columns), in the order in which memory has it. */
static bool attention_find_factor(graph_value *value, bool is_transposed, attention_factor *source) {
  static const int64_t orders[2][4] = {{0, 1, 2, 3}, {0, 2, 1, 3}}, transposed[2][4] = {{0, 1, 3, 2}, {0, 2, 3, 1}};
  int rank = value->info.shape.rank;
  const int64_t *by_head = is_transposed ? transposed[0] : orders[0],
                *by_row = is_transposed ? transposed[1] : orders[1];
  static const int64_t columns[3] = {0, 2, 1};
  int64_t order[4] = {0, 1, 2, 3};
  double factor = 1, number;
  bool found = false;
  if (rank == 3 && is_transposed) by_head = columns;
  for (int steps = 0; steps < ATTENTION_MOST_NODES; steps++) {
    bool is_by_head = attention_order_is(order, rank, by_head);
    if (is_by_head || (rank == 4 && attention_order_is(order, rank, by_row))) {
      *source = (attention_factor){value, factor, !is_by_head};
      found = true;
    }
    node *producer = value->producer;
    int input = producer ? attention_scaled(producer, &number) : -1;
    if (input >= 0) {
      factor *= number;
    } else {
      if (!producer || !node_is(producer, "Transpose") || !attention_permute(producer, rank, order)) break;
      input = 0;
    }
    value = producer->inputs[input];
    if (!value || value->info.kind != NORMA_VALUE_TENSOR || value->info.shape.rank != rank) break;
  }
  return found;
}

/* ----------------------------------------------------------------------------------------------------------- scores */

static bool attention_add_mask(attention_match *match, graph_value *mask, bool is_inverted) {
  int rank = mask->info.kind == NORMA_VALUE_TENSOR ? mask->info.shape.rank : RANK_UNKNOWN;
  if (match->mask_count == 2 || rank == RANK_UNKNOWN || rank > match->rank) return false;
  match->is_inverted[match->mask_count] = is_inverted;
  match->masks[match->mask_count++] = mask;
  return true;
}

static bool attention_follow(attention_match *match, const node *reader, int index);

static bool attention_follow_sum(attention_match *match, const node *sum) {
  if (match->scale != 1 || sum->version < 7 || sum->input_count != 2) return false;
  for (int i = 0; i < 2; i++) {
    attention_match kept = *match;
    if (sum->inputs[!i] && value_is(sum->inputs[!i], NORMA_FLOAT) &&
        attention_add_mask(match, sum->inputs[!i], false) && attention_follow(match, sum, i))
      return true;
    *match = kept;
  }
  return false;
}

/* Where(seen, scores, number) or Where(hidden, number, scores). */
static bool attention_follow_choice(attention_match *match, const node *choice) {
  if (match->scale != 1 || match->filter_count || choice->input_count != 3 || !choice->inputs[0]) return false;
  for (int i = 1; i < 3; i++) {
    if (!node_constant_number(choice, 3 - i, &match->filter) || !(match->filter <= ATTENTION_LOWEST)) continue;
    match->filter_count++;
    return attention_add_mask(match, choice->inputs[0], i == 2) && attention_follow(match, choice, i);
  }
  return false;
}

/* From input `index` of a node back to the product of Q and K. */
static bool attention_follow(attention_match *match, const node *reader, int index) {
  node *producer = node_sole_producer(reader, index);
  double factor;
  if (!producer || !producer->op || match->count == ATTENTION_MOST_NODES) return false;
  if (node_output_shape(producer, 0)->rank != match->rank) return false;
  match->nodes[match->count++] = producer;
  if (node_is(producer, "MatMul")) {
    for (int i = 0; i < 2; i++) {
      if (node_input_shape(producer, i)->rank != match->rank) return false;
    }
    return attention_find_factor(producer->inputs[0], false, &match->q) &&
           attention_find_factor(producer->inputs[1], true, &match->k);
  }
  if (node_is(producer, "Add")) return attention_follow_sum(match, producer);
  if (node_is(producer, "Where")) return attention_follow_choice(match, producer);
  int input = attention_scaled(producer, &factor);
  if (input < 0) return false;
  match->scale *= factor;
  return attention_follow(match, producer, input);
}

static bool attention_softmax_fits(const node *softmax, int rank) {
  int64_t axis = attribute_int(softmax, "axis", softmax->version < 13 ? 1 : -1);
  return axis == rank - 1 || axis == -1;
}

static bool attention_find(attention_match *match, const node *last) {
  *match = (attention_match){.scale = 1, .filter = -INFINITY, .rank = node_output_shape(last, 0)->rank};
  node *softmax = node_single_producer(last, 0, "Softmax");
  if (!softmax || (match->rank != 3 && match->rank != 4) || last->input_count != 2 || !last->inputs[1]) return false;
  if (!value_is_of(last->outputs[0], TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16)))
    return false;
  if (node_input_shape(last, 0)->rank != match->rank || node_input_shape(last, 1)->rank != match->rank) return false;
  if (!attention_softmax_fits(softmax, match->rank)) return false;
  match->nodes[match->count++] = softmax;
  if (!attention_find_factor(last->inputs[1], false, &match->v)) return false;
  if (match->v.factor != 1) match->v = (attention_factor){last->inputs[1], 1, false};
  return attention_follow(match, softmax, 0);
}

/* ---------------------------------------------------------------------------------------------------------- rewrite */

/* A mask that says which keys are seen. */
static norma_status attention_invert(pass_context *context, node *position, graph_value **mask) {
  graph *graph = position->graph;
  node *inversion = graph_insert_node(graph, position, position->name, "Not", "", 1, 1, 0);
  graph_value *inverted = inversion ? graph_add_unique_value(graph, (*mask)->name) : NULL;
  if (!inverted) return region_error(graph->region, context->error);
  inversion->opset = 1;
  inverted->info = (*mask)->info;
  node_set_input(inversion, 0, *mask);
  node_set_output(inversion, 0, inverted);
  *mask = inverted;
  return pass_resolve(context, inversion);
}

static norma_status attention_replace(pass_context *context, attention_match *match, node *last) {
  graph *graph = last->graph;
  const attention_factor *sources[3] = {&match->q, &match->k, &match->v};
  static const char *const orders[3] = {"q_by_row", "k_by_row", "v_by_row"};
  node *first = match->nodes[match->count - 1];
  for (int i = 0; i < match->mask_count; i++) {
    if (match->is_inverted[i]) TRY(attention_invert(context, last, &match->masks[i]));
  }
  node *made = graph_insert_node(graph, last, first->name, "DotProductAttention", OPERATOR_INNER_DOMAIN,
                                 3 + match->mask_count, 1, 0);
  if (!made) return region_error(graph->region, context->error);
  made->opset = 1;
  bool done = node_set_attribute_float(made, "scale", (float)(match->scale * match->q.factor * match->k.factor));
  if (done && match->filter_count) done = node_set_attribute_float(made, "filter", (float)match->filter);
  for (int i = 0; i < 3; i++) {
    node_set_input(made, i, sources[i]->value);
    if (done && sources[i]->by_row) done = node_set_attribute_int(made, orders[i], 1);
  }
  for (int i = 0; i < match->mask_count; i++) node_set_input(made, 3 + i, match->masks[i]);
  if (!done) return region_error(graph->region, context->error);
  for (int i = match->count - 2; i >= 0; i--) TRY(pass_join_names(context, made, match->nodes[i]));
  TRY(pass_take_over(context, made, last));
  for (int i = 0; i < match->count; i++) TRY(pass_remove(context, match->nodes[i]));
  return pass_resolve(context, made);
}

/* A Transpose behind attention that exchanges heads and rows. */
static norma_status attention_take_transpose(pass_context *context, node *transpose, bool *changed) {
  static const int64_t exchange[4] = {0, 2, 1, 3};
  int64_t order[4] = {0, 1, 2, 3};
  node *made = node_sole_producer(transpose, 0);
  if (!made || !made->op || strcmp(made->op_type, "DotProductAttention") != 0 ||
      strcmp(made->domain, OPERATOR_INNER_DOMAIN) != 0)
    return NORMA_OK;
  if (node_output_shape(made, 0)->rank != 4 || !transpose->outputs[0] || attribute_int(made, "y_by_row", 0))
    return NORMA_OK;
  if (!attention_permute(transpose, 4, order) || !attention_order_is(order, 4, exchange)) return NORMA_OK;
  *changed = true;
  if (!node_set_attribute_int(made, "y_by_row", 1)) return region_error(made->graph->region, context->error);
  TRY(pass_take_output(context, made, transpose));
  return pass_resolve(context, made);
}

static norma_status recognize_attention_apply(pass_context *context, node *node, bool *changed) {
  attention_match match;
  if (node_is(node, "Transpose")) return attention_take_transpose(context, node, changed);
  if (!node_is(node, "MatMul") || !node->outputs[0] || !attention_find(&match, node)) return NORMA_OK;
  *changed = true;
  return attention_replace(context, &match, node);
}

static const char *const recognize_attention_makes[] = {"Not", OPERATOR_INNER_DOMAIN ":DotProductAttention", NULL};

const pass pass_recognize_attention = {
    .name = "recognize_attention",
    .level = 2,
    .changes_rounding = true,
    .makes = recognize_attention_makes,
    .apply = recognize_attention_apply,
};
