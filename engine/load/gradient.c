#include "engine/load/gradient.h"

#include "engine/execute/runtime.h"
#include "engine/plan/shape_inference.h"
#include "ops/registry.h"
#include "ops/training/gradient.h"

/* One Gradient node. Arrays of flags and gradients are by the id of a value of its graph. */
typedef struct differentiation {
  norma_model *model;
  executor *executor;
  graph *graph;
  node *gradient;
  int variable_count, x_count; /* of xs and zs; of xs, which come first */
  graph_value **variables;
  graph_value *y;
  bool *is_variable;
  bool *is_active; /* depends on an x */
  graph_value **gradients;
  region region;
  norma_error *error;
} differentiation;

enum gradient_mark { MARK_NONE, MARK_NEEDED, MARK_ACTIVE }; /* node.index: leads to y; and depends on an x */

static norma_status gradient_allocate(differentiation *d, size_t count, size_t bytes, void *array) {
  void **place = array;
  *place = region_array(&d->region, count, bytes);
  return *place ? NORMA_OK : region_error(&d->region, d->error);
}

static bool gradient_owns(const differentiation *d, const graph_value *value) {
  return value && value->graph == d->graph;
}

/* ------------------------------------------------------------------------------------------------------- what to do */

static norma_status gradient_find_named(const differentiation *d, const char *name, graph_value **found) {
  *found = graph_find_value(d->gradient->graph, name);
  if (!*found)
    return error_at_node(d->error, NORMA_ERROR_INVALID_MODEL, d->gradient, "there is no tensor '%.100s'", name);
  if (!gradient_owns(d, *found))
    return error_at_node(d->error, NORMA_ERROR_UNSUPPORTED, d->gradient, "'%.100s' is a tensor of an outer graph",
                         name);
  return NORMA_OK;
}

static norma_status gradient_read_names(differentiation *d) {
  size_t xs, zs;
  const norma_string *x_names = attribute_strings(d->gradient, "xs", &xs);
  const norma_string *z_names = attribute_strings(d->gradient, "zs", &zs);
  d->x_count = (int)xs;
  d->variable_count = (int)(xs + zs);
  TRY(gradient_allocate(d, xs + zs, sizeof *d->variables, &d->variables));
  TRY(gradient_find_named(d, attribute_string(d->gradient, "y", ""), &d->y));
  for (size_t i = 0; i < xs + zs; i++) {
    const norma_string *name = i < xs ? &x_names[i] : &z_names[i - xs];
    TRY(gradient_find_named(d, name->data, &d->variables[i]));
  }
  return NORMA_OK;
}

static norma_status gradient_flag_variables(differentiation *d) {
  TRY(gradient_allocate(d, (size_t)d->graph->value_count, sizeof *d->is_variable, &d->is_variable));
  for (int i = 0; i < d->variable_count; i++) d->is_variable[d->variables[i]->id] = true;
  return NORMA_OK;
}

/* Whether an output of the node is needed. */
static bool gradient_is_needed(const differentiation *d, const bool *needed, const node *node) {
  for (int i = 0; i < node->output_count; i++) {
    const graph_value *output = node->outputs[i];
    if (output && needed[output->id] && !d->is_variable[output->id]) return true;
  }
  return false;
}

/* Marks the nodes between the variables and y. */
static norma_status gradient_mark_needed(differentiation *d) {
  bool *needed;
  TRY(gradient_allocate(d, (size_t)d->graph->value_count, sizeof *needed, &needed));
  needed[d->y->id] = true;
  for (node *node = d->graph->last; node; node = node->previous) {
    node->index = gradient_is_needed(d, needed, node) ? MARK_NEEDED : MARK_NONE;
    for (int i = 0; node->index == MARK_NEEDED && i < node->input_count; i++) {
      if (gradient_owns(d, node->inputs[i])) needed[node->inputs[i]->id] = true;
    }
  }
  return NORMA_OK;
}

/* The node of this graph that reads a value, itself or in a graph below it. */
static node *gradient_reader(const differentiation *d, const use *use) {
  node *reader = use->node;
  while (reader && reader->graph != d->graph) reader = reader->graph->parent_node;
  return reader;
}

static void gradient_activate(const differentiation *d, const graph_value *value) {
  d->is_active[value->id] = true;
  for (const use *use = value->uses; use; use = use->next) {
    node *reader = gradient_reader(d, use);
    if (reader && reader->index == MARK_NEEDED) reader->index = MARK_ACTIVE;
  }
}

/* Derivatives go through tensors of float types only. */
static bool gradient_may_flow(const graph_value *value) {
  if (value->info.kind != NORMA_VALUE_TENSOR || value->info.type == NORMA_UNDEFINED) return true;
  return (TYPES_FLOAT & TYPE_BIT(value->info.type)) != 0;
}

static norma_status gradient_mark_active(differentiation *d) {
  TRY(gradient_allocate(d, (size_t)d->graph->value_count, sizeof *d->is_active, &d->is_active));
  for (int i = 0; i < d->x_count; i++) gradient_activate(d, d->variables[i]);
  for (node *node = d->graph->first; node; node = node->next) {
    for (int i = 0; node->index == MARK_ACTIVE && i < node->output_count; i++) {
      graph_value *output = node->outputs[i];
      if (output && !d->is_variable[output->id] && gradient_may_flow(output)) gradient_activate(d, output);
    }
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------ the nodes between */

/* y is no input of the node, so what computes it may stand behind. */
static norma_status gradient_move_needed(const differentiation *d) {
  if (d->gradient->index != MARK_NONE)
    return error_at_node(d->error, NORMA_ERROR_INVALID_MODEL, d->gradient, "'%.100s' depends on its own gradient",
                         d->y->name);
  for (node *node = d->gradient->next, *next; node; node = next) {
    next = node->next;
    if (node->index == MARK_NONE) continue;
    if (node->op->flags & OPERATOR_SUBGRAPHS)
      return error_at_node(d->error, NORMA_ERROR_UNSUPPORTED, node, "stands behind the Gradient that needs it");
    graph_move_before(node, d->gradient);
  }
  return NORMA_OK;
}

/* Copies of a node's attributes; tensors are shared. */
static norma_status gradient_copy_tensors(const differentiation *d, node *made, const node *from) {
  region *region = d->graph->region;
  attribute *copies = region_array(region, (size_t)from->attribute_count, sizeof *copies);
  if (!copies) return region_error(region, d->error);
  made->attributes = copies;
  for (int i = 0; i < from->attribute_count; i++) {
    const attribute *attribute = &from->attributes[i];
    const bool is_one = attribute_holds_tensor(attribute), are_many = attribute_holds_tensors(attribute);
    const size_t count = is_one ? 1 : attribute->count;
    const value *shared = is_one ? attribute->tensor : are_many ? attribute->tensors : NULL;
    copies[i] = *attribute;
    if (shared) {
      value *tensors = region_array(region, count, sizeof *tensors);
      if (!tensors) return region_error(region, d->error);
      for (size_t t = 0; t < count; t++) value_share(&tensors[t], &shared[t]);
      copies[i].tensors = tensors; /* `tensor` is the same member */
    }
    made->attribute_count = i + 1;
  }
  return NORMA_OK;
}

static bool gradient_depends(const differentiation *d, const node *node, graph_value *const *copies) {
  for (int i = 0; i < node->input_count; i++) {
    if (gradient_owns(d, node->inputs[i]) && copies[node->inputs[i]->id]) return true;
  }
  return (node->op->flags & OPERATOR_SUBGRAPHS) != 0; /* which may read anything */
}

static norma_status gradient_copy_node(differentiation *d, const node *from, graph_value **copies) {
  if (from->op->flags & (OPERATOR_SUBGRAPHS | OPERATOR_RANDOM))
    return error_at_node(d->error, NORMA_ERROR_UNSUPPORTED, from,
                         "cannot be computed again at other values, as '%.100s' asks for", d->gradient->name);
  node *made = graph_insert_node(d->graph, d->gradient, from->name, from->op_type, from->domain, from->input_count,
                                 from->output_count, 0);
  if (!made) return region_error(d->graph->region, d->error);
  made->opset = from->opset;
  made->overload = from->overload;
  TRY(gradient_copy_tensors(d, made, from));
  for (int i = 0; i < from->input_count; i++) {
    graph_value *input = from->inputs[i];
    node_set_input(made, i, gradient_owns(d, input) && copies[input->id] ? copies[input->id] : input);
  }
  for (int i = 0; i < from->output_count; i++) {
    if (!from->outputs[i]) continue;
    graph_value *output = graph_add_unique_value(d->graph, from->outputs[i]->name);
    if (!output) return region_error(d->graph->region, d->error);
    node_set_output(made, i, output);
    if (!copies[from->outputs[i]->id]) copies[from->outputs[i]->id] = output;
  }
  return NORMA_OK;
}

static norma_status gradient_resolve_made(const differentiation *d) {
  for (node *node = d->graph->first; node; node = node->next) {
    const char *reason;
    if (node->op) continue;
    TRY(operator_resolve(d->model->runtime->operators, node, &reason, d->error));
    if (reason) return error_at_node(d->error, NORMA_ERROR_INTERNAL, node, "%s", reason);
  }
  return infer_graph(d->model->graph, d->executor, d->error);
}

/* The function of other values than those named: its nodes are copied. Then y and the variables are those of the
 * copy. */
static norma_status gradient_substitute(differentiation *d) {
  bool is_same = true;
  graph_value **copies;
  const int count = d->graph->value_count;
  for (int i = 0; i < d->variable_count; i++) is_same = is_same && d->gradient->inputs[i] == d->variables[i];
  if (is_same) return NORMA_OK;
  TRY(gradient_allocate(d, (size_t)count, sizeof(graph_value *), &copies));
  for (int i = 0; i < d->variable_count; i++) {
    copies[d->variables[i]->id] = d->gradient->inputs[i];
    if (!gradient_owns(d, d->gradient->inputs[i]))
      return error_at_node(d->error, NORMA_ERROR_UNSUPPORTED, d->gradient, "input %d is a tensor of an outer graph", i);
  }
  for (node *node = d->graph->first, *next; node && node != d->gradient; node = next) {
    next = node->next;
    if (node->index != MARK_NONE && gradient_depends(d, node, copies)) TRY(gradient_copy_node(d, node, copies));
  }
  TRY(gradient_resolve_made(d));
  for (int i = 0; i < d->variable_count; i++) d->variables[i] = d->gradient->inputs[i];
  if (copies[d->y->id]) d->y = copies[d->y->id];
  TRY(gradient_flag_variables(d));
  return gradient_mark_needed(d);
}

/* ----------------------------------------------------------------------------------------------------- reverse mode */

static norma_status gradient_collect(differentiation *d, gradient_builder *builder, graph_value *value,
                                     graph_value *part) {
  graph_value **all = &d->gradients[value->id];
  *all = *all ? gradient_sum(builder, *all, part) : part;
  return builder->status;
}

static norma_status gradient_through(differentiation *d, gradient_builder *builder, const node *node) {
  graph_value **of_outputs, **of_inputs;
  bool *wanted, is_reached = false;
  TRY(gradient_allocate(d, (size_t)node->output_count, sizeof(graph_value *), &of_outputs));
  TRY(gradient_allocate(d, (size_t)node->input_count, sizeof(graph_value *), &of_inputs));
  TRY(gradient_allocate(d, (size_t)node->input_count, sizeof *wanted, &wanted));
  for (int i = 0; i < node->output_count; i++) {
    const graph_value *output = node->outputs[i];
    if (output && !d->is_variable[output->id]) of_outputs[i] = d->gradients[output->id];
    is_reached = is_reached || of_outputs[i];
  }
  if (!is_reached) return NORMA_OK;
  for (int i = 0; i < node->input_count; i++)
    wanted[i] = gradient_owns(d, node->inputs[i]) && d->is_active[node->inputs[i]->id];
  const gradient_entry *entry = gradient_find(node);
  if (!entry)
    return error_at_node(d->error, NORMA_ERROR_UNSUPPORTED, node, "the gradient of this operator is not known");
  if ((size_t)d->graph->node_count > d->model->runtime->max_nodes)
    return error_at_node(d->error, NORMA_ERROR_UNSUPPORTED, d->gradient, "its graph has more than %zu nodes",
                         d->model->runtime->max_nodes);
  if (!entry->rule) return NORMA_OK;
  builder->of = node;
  builder->wanted = wanted;
  entry->rule(builder, node, of_outputs, of_inputs);
  TRY(builder->status);
  for (int i = 0; i < node->input_count; i++) {
    if (wanted[i] && of_inputs[i]) TRY(gradient_collect(d, builder, node->inputs[i], of_inputs[i]));
  }
  return NORMA_OK;
}

/* The values of the outputs come from nodes of their own, so that each has one producer. */
static norma_status gradient_give_outputs(differentiation *d, gradient_builder *builder) {
  const int count = d->gradient->output_count;
  node **givers;
  graph_value **outputs;
  TRY(gradient_allocate(d, (size_t)count, sizeof *givers, &givers));
  TRY(gradient_allocate(d, (size_t)count, sizeof(graph_value *), &outputs));
  for (int i = 0; i < count; i++) {
    graph_value *x = d->variables[i], *result = d->gradients[x->id];
    outputs[i] = d->gradient->outputs[i];
    if (!outputs[i]) continue;
    if (!result) result = gradient_expand(builder, gradient_number(builder, x, 0), x);
    result = gradient_alone(builder, result);
    TRY(builder->status);
    givers[i] = result->producer;
  }
  graph_remove_node(d->gradient);
  for (int i = 0; i < count; i++) {
    if (!outputs[i]) continue;
    node_set_output(givers[i], 0, NULL);
    node_set_output(givers[i], 0, outputs[i]);
  }
  return NORMA_OK;
}

static norma_status gradient_differentiate(differentiation *d) {
  node *last = d->gradient->previous;
  gradient_builder builder = {.graph = d->graph, .before = d->gradient, .of = d->gradient, .error = d->error};
  TRY(gradient_mark_active(d));
  TRY(gradient_allocate(d, (size_t)d->graph->value_count, sizeof(graph_value *), &d->gradients));
  d->gradients[d->y->id] = gradient_expand(&builder, gradient_number(&builder, d->y, 1), d->y);
  TRY(builder.status);
  for (node *node = last; node; node = node->previous) {
    if (node->index == MARK_ACTIVE) TRY(gradient_through(d, &builder, node));
  }
  builder.of = d->gradient;
  return gradient_give_outputs(d, &builder);
}

/* Another Gradient that y depends on, which has to be replaced first. */
static node *gradient_before(const differentiation *d) {
  for (node *node = d->graph->first; node; node = node->next) {
    if (node->index != MARK_NONE && node != d->gradient && gradient_is_asked(node)) return node;
  }
  return NULL;
}

/* *other: a Gradient that is to be replaced first; NULL: done. */
static norma_status gradient_replace(norma_model *model, executor *executor, node *gradient, node **other,
                                     norma_error *error) {
  differentiation d = {
      .model = model, .executor = executor, .graph = gradient->graph, .gradient = gradient, .error = error};
  region_init(&d.region, model->memory);
  norma_status status = gradient_read_names(&d);
  if (status == NORMA_OK) status = gradient_flag_variables(&d);
  if (status == NORMA_OK) status = gradient_mark_needed(&d);
  *other = status == NORMA_OK ? gradient_before(&d) : NULL;
  if (status == NORMA_OK && !*other) {
    status = gradient_move_needed(&d);
    if (status == NORMA_OK) status = gradient_substitute(&d);
    if (status == NORMA_OK) status = gradient_differentiate(&d);
    if (status == NORMA_OK) status = gradient_resolve_made(&d);
  }
  region_free(&d.region);
  return status;
}

/* ------------------------------------------------------------------------------------------------------ all of them */

typedef struct gradient_walk {
  norma_model *model;
  executor *executor;
  bool replaced;
  norma_status status;
  norma_error *error;
} gradient_walk;

/* Each step goes to a Gradient that the one before depends on, so after as many as there are it is a circle. */
static norma_status gradient_replace_first(gradient_walk *walk, node *gradient, int most) {
  node *other;
  for (int i = 0; i <= most; i++) {
    TRY(gradient_replace(walk->model, walk->executor, gradient, &other, walk->error));
    if (!other) return NORMA_OK;
    gradient = other;
  }
  return error_at_node(walk->error, NORMA_ERROR_INVALID_MODEL, gradient, "depends on its own result");
}

static bool gradient_replace_in(void *context, graph *graph) {
  gradient_walk *walk = context;
  int left = 0;
  for (node *node = graph->first; node; node = node->next) {
    left += gradient_is_asked(node);
    if (!node_visit_subgraphs(node, gradient_replace_in, walk)) return false;
  }
  walk->replaced = walk->replaced || left > 0;
  for (; left > 0 && walk->status == NORMA_OK; left--) {
    node *node = graph->first;
    while (!gradient_is_asked(node)) node = node->next;
    walk->status = gradient_replace_first(walk, node, left);
  }
  return walk->status == NORMA_OK;
}

norma_status gradient_replace_all(norma_model *model, executor *executor, bool *replaced, norma_error *error) {
  gradient_walk walk = {.model = model, .executor = executor, .error = error};
  gradient_replace_in(&walk, model->graph);
  *replaced = walk.replaced;
  return walk.status;
}
