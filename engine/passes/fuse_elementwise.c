/*
 * Functions of single elements that no kernel has taken into its store become one node, which passes over memory once.
 *
 *   a = Add(x, y)
 *   b = Sigmoid(a)     ->    d = norma.ElementwiseChain(x, y, z)
 *   c = Mul(a, b)
 *   d = Sub(c, z)
 *
 * The root is the last node. A node joins where everybody who reads its result has joined and where its result has the
 * shape of the root's, so that nothing is computed twice. Float only. Bit for bit the same: the chain runs the kernels
 * that the nodes would have run.
 *
 * A single node joins nobody, but becomes a chain where an operand is repeated along short rows, such as a factor for
 * each channel of channel blocks: the chain takes many rows at a time.
 *
 * Reorders of block_layout that nobody reads are removed, since they would count as readers.
 */
#include "engine/passes/pass_helpers.h"
#include "ops/blocked.h"
#include "ops/elementwise/elementwise_chain.h"

typedef struct group {
  node *nodes[CHAIN_MOST_STEPS]; /* each after all that read its result */
  int results[CHAIN_MOST_STEPS]; /* their results as operands */
  int count;
  chain_program program;
  graph_value *inputs[CHAIN_MOST_INPUTS];
  int input_count;
} group;

/* ----------------------------------------------------------------------------------------------------- single nodes */

static bool has_known_rank(const graph_value *value) {
  return value_is(value, NORMA_FLOAT) && value->info.shape.rank != RANK_UNKNOWN;
}

/* Whether the node can be a part of a chain: as which function. */
static bool is_elementwise(const node *node, elementwise_form *form) {
  if (!node->op || node->output_count != 1 || !has_known_rank(node->outputs[0]) || !node_has_plain_store(node)) {
    return false;
  }
  if (!node_has_input(node, 0) || !has_known_rank(node->inputs[0])) return false;
  const bool is_chain = is_elementwise_chain(node);
  if (!is_chain && (!node_elementwise(node, form) || form->kind == ELEMENTWISE_OTHER)) return false;
  if (!is_chain && form->kind == ELEMENTWISE_UNARY) return true;
  if (!is_chain && (!form->numpy || node->input_count < 2)) return false;
  for (int i = 1; i < node->input_count; i++) {
    if (!has_known_rank(node->inputs[i])) return false;
  }
  return true;
}

/* Whether `value` has the shape of `result`, as far as is known. */
static bool covers(const graph_value *value, const graph_value *result) {
  const shape *a = &value->info.shape, *b = &result->info.shape;
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++) {
    if (a->dims[i] != b->dims[i]) return false;
  }
  return true;
}

/* --------------------------------------------------------------------------------------------------------- programs */

/* `value` as an operand: of a node in the group, or an input. false: too many. */
static bool operand_of(group *group, graph_value *value, int *operand) {
  for (int i = 0; i < group->count; i++) {
    if (group->nodes[i]->outputs[0] != value) continue;
    *operand = group->results[i];
    return true;
  }
  for (int i = 0; i < group->input_count; i++) {
    if (group->inputs[i] != value) continue;
    *operand = i;
    return true;
  }
  if (group->input_count == CHAIN_MOST_INPUTS) return false;
  *operand = group->input_count;
  group->inputs[group->input_count++] = value;
  return true;
}

static bool group_add_step(group *group, chain_step step) {
  if (group->program.count == CHAIN_MOST_STEPS) return false;
  group->program.steps[group->program.count++] = step;
  return true;
}

static bool add_chain(group *group, const node *node) {
  chain_program program;
  int base = group->program.count, inputs[CHAIN_MOST_INPUTS];
  if (!chain_program_read(node, &program)) return false;
  for (int i = 0; i < node->input_count; i++) {
    if (!operand_of(group, node->inputs[i], &inputs[i])) return false;
  }
  for (int i = 0; i < program.count; i++) {
    chain_step step = program.steps[i];
    step.x = step.x >= 0 ? inputs[step.x] : step.x - base;
    if (chain_operand_count(&step) == 2) step.z = step.z >= 0 ? inputs[step.z] : step.z - base;
    if (!group_add_step(group, step)) return false;
  }
  return true;
}

static bool group_add_node(group *group, const node *node) {
  elementwise_form form;
  if (is_elementwise_chain(node)) return add_chain(group, node);
  if (!is_elementwise(node, &form)) return false;
  chain_step step = {.kind = CHAIN_UNARY, .unary = form.unary, .binary = form.binary};
  if (!operand_of(group, node->inputs[0], &step.x)) return false;
  if (form.kind == ELEMENTWISE_UNARY) return group_add_step(group, step);
  step.kind = form.kind == ELEMENTWISE_PRELU ? CHAIN_PRELU : CHAIN_BINARY;
  for (int i = 1; i < node->input_count; i++) {
    if (!operand_of(group, node->inputs[i], &step.z) || !group_add_step(group, step)) return false;
    step.x = chain_result(group->program.count - 1);
  }
  return true;
}

/* The program of the group's nodes, if it keeps the limits. */
static bool build_program(group *group) {
  int registers[CHAIN_MOST_STEPS];
  group->program.count = group->input_count = 0;
  for (int i = group->count - 1; i >= 0; i--) {
    if (!group_add_node(group, group->nodes[i])) return false;
    group->results[i] = chain_result(group->program.count - 1);
  }
  return chain_assign_registers(&group->program, registers) >= 0;
}

/* ----------------------------------------------------------------------------------------------------------- groups */

static bool contains(const group *group, const node *node) {
  for (int i = 0; i < group->count; i++) {
    if (group->nodes[i] == node) return true;
  }
  return false;
}

/* The producer of a value that can join: all that read the value have joined. */
static node *find_candidate(const group *group, const graph_value *value) {
  const node *root = group->nodes[0];
  node *producer = value->producer;
  if (!producer || producer->graph != root->graph || value->output_count > 0 || contains(group, producer)) return NULL;
  elementwise_form form;
  if (!is_elementwise(producer, &form) || !covers(value, root->outputs[0])) return NULL;
  for (const use *use = value->uses; use; use = use->next) {
    if (!contains(group, use->node)) return NULL;
  }
  return producer;
}

/* Lets one more node join. */
static bool group_grow(group *group) {
  for (int i = 0; i < group->count && group->count < CHAIN_MOST_STEPS; i++) {
    const node *reader = group->nodes[i];
    for (int k = 0; k < reader->input_count; k++) {
      node *candidate = reader->inputs[k] ? find_candidate(group, reader->inputs[k]) : NULL;
      if (!candidate) continue;
      group->nodes[group->count++] = candidate;
      if (build_program(group)) return true;
      group->count--;
    }
  }
  return false;
}

/* A chain is made once, from its end: not here if the only reader will be able to join. The pass walks backwards, so
 * that what is left in front of a full chain has its end there by then. */
static bool is_inside(const node *node) {
  const graph_value *value = node->outputs[0];
  if (!value_has_single_use(value)) return false;
  const struct node *reader = value->uses->node;
  elementwise_form form;
  return reader->graph == node->graph && !is_elementwise_chain(reader) && is_elementwise(reader, &form) &&
         covers(value, reader->outputs[0]);
}

#define SHORT_ROW 256

/* Whether an operand is repeated along the last dimension but one, which has short rows. */
static bool repeats_short_rows(const node *node) {
  const shape *y = &node->outputs[0]->info.shape;
  int last = y->rank - 1;
  if (y->rank < 2 || y->dims[last] == DIM_UNKNOWN || y->dims[last] == 1 || y->dims[last] >= SHORT_ROW) return false;
  for (int i = 0; i < node->input_count; i++) {
    const shape *x = &node->inputs[i]->info.shape;
    if (x->rank < 1 || x->dims[x->rank - 1] != y->dims[last]) continue;
    if (y->dims[last - 1] != 1 && (x->rank < 2 || x->dims[x->rank - 2] == 1)) return true;
  }
  return false;
}

static norma_status make_chain(pass_context *context, const group *group) {
  node *root = group->nodes[0];
  node *made = graph_insert_node(root->graph, root, group->nodes[group->count - 1]->name, CHAIN_OPERATOR,
                                 OPERATOR_INNER_DOMAIN, group->input_count, 1, 0);
  if (!made || !chain_program_write(&group->program, made)) return region_error(root->graph->region, context->error);
  made->opset = 1;
  for (int i = 0; i < group->input_count; i++) node_set_input(made, i, group->inputs[i]);
  for (int i = group->count - 2; i > 0; i--) TRY(pass_join_names(context, made, group->nodes[i]));
  const char *name = made->name;
  TRY(pass_take_over(context, made, root));
  if (group->count == 1) made->name = name;
  for (int i = 1; i < group->count; i++) TRY(pass_remove(context, group->nodes[i]));
  return pass_resolve(context, made);
}

static norma_status fuse_elementwise_apply(pass_context *context, node *node, bool *changed) {
  group group = {.nodes = {node}, .count = 1};
  elementwise_form form;
  if (is_unblocking(node) && value_is_unread(node->outputs[0])) {
    *changed = true;
    return pass_remove(context, node);
  }
  if (!is_elementwise(node, &form) || is_inside(node) || !build_program(&group)) return NORMA_OK;
  while (group_grow(&group)) {
  }
  const bool is_chain = is_elementwise_chain(node);
  const bool is_better_alone = !is_chain && form.kind != ELEMENTWISE_UNARY && repeats_short_rows(node);
  if (group.count == 1 && !is_better_alone) return NORMA_OK;
  *changed = true;
  build_program(&group); /* the last attempt to grow failed */
  return make_chain(context, &group);
}

static const char *const fuse_elementwise_makes[] = {OPERATOR_INNER_DOMAIN ":" CHAIN_OPERATOR, NULL};

const pass pass_fuse_elementwise = {
    .name = "fuse_elementwise",
    .level = 2,
    .backwards = true,
    .makes = fuse_elementwise_makes,
    .apply = fuse_elementwise_apply,
};
