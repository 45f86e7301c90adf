#include "engine/plan/plan.h"

#include "engine/plan/value_lifetimes.h"

typedef struct planner {
  const plan_request *request;
  plan *plan;
  bool *needed;       /* by value id */
  size_t most_slots;  /* as many as all steps may need */
  int *similar_steps; /* by step: the step of the same node in the similar plan; -1: none */
  norma_error *error;
} planner;

static norma_status planner_out_of_memory(planner *planner) {
  return region_error(&planner->plan->region, planner->error);
}

/* ----------------------------------------------------------------------------------------- which nodes become steps */

static void mark_needed(planner *planner, const graph_value *value) {
  if (value && value->graph == planner->plan->graph) planner->needed[value->id] = true;
}

static bool mark_captures_needed(void *context, graph *subgraph) {
  planner *planner = context;
  for (int i = 0; i < subgraph->capture_count; i++) mark_needed(planner, subgraph->captures[i]);
  planner->most_slots += (size_t)subgraph->capture_count;
  return true;
}

static bool node_is_known(const planner *planner, const node *node) {
  if (planner->request->keep_all || node->output_count == 0) return false;
  for (int i = 0; i < node->output_count; i++) {
    if (node->outputs[i] && !planner->plan->inferrer.known[node->outputs[i]->id]) return false;
  }
  return true;
}

static bool node_is_needed(const planner *planner, const node *node) {
  if (planner->request->keep_all) return true;
  for (int i = 0; i < node->output_count; i++) {
    if (node->outputs[i] && planner->needed[node->outputs[i]->id]) return true;
  }
  return false;
}

/* Backwards from outputs and watched values: a node is a step if it is needed and not known; then its inputs are
 * needed. */
static int count_steps(planner *planner) {
  const graph *graph = planner->plan->graph;
  for (int i = 0; i < graph->output_count; i++) mark_needed(planner, graph->outputs[i]);
  for (int i = 0; i < graph->value_count; i++) {
    if (plan_request_watches(planner->request, graph->values[i])) planner->needed[i] = true;
  }
  int count = 0;
  planner->most_slots = (size_t)graph->input_count + (size_t)graph->capture_count + (size_t)graph->output_count;
  for (const node *node = graph->last; node; node = node->previous) {
    if (!node_is_needed(planner, node) || node_is_known(planner, node)) continue;
    count++;
    planner->most_slots += (size_t)node->input_count + (size_t)node->output_count;
    for (int i = 0; i < node->input_count; i++) mark_needed(planner, node->inputs[i]);
    node_visit_subgraphs(node, mark_captures_needed, planner);
  }
  return count;
}

/* ------------------------------------------------------------------------------------------------------------ slots */

static int add_slot(planner *planner, const graph_value *value, slot_kind kind, const value_info *info) {
  plan *plan = planner->plan;
  int index = plan->slot_count++;
  plan->slots[index] = (slot){.value = value, .kind = kind, .info = *info, .root = index, .first = -1, .last = -1};
  if (value->graph == plan->graph) plan->slot_of_value[value->id] = index;
  return index;
}

int plan_find_slot(const plan *plan, const graph_value *value) {
  if (value->graph == plan->graph) return plan->slot_of_value[value->id];
  int capture = graph_find_capture(plan->graph, value);
  return capture >= 0 ? plan->captures[capture] : -1;
}

/* Constants get a slot on first use, those of outer graphs on each. */
static int slot_for_read(planner *planner, const graph_value *value) {
  plan *plan = planner->plan;
  int index = plan_find_slot(plan, value);
  if (index >= 0) return index;
  const struct norma_value *contents = value->graph == plan->graph ? plan->inferrer.known[value->id] : value->constant;
  if (!contents) return -1;
  value_info info = value_info_of(contents);
  index = add_slot(planner, value, value->constant ? SLOT_CONSTANT : SLOT_KNOWN, &info);
  plan->slots[index].contents = contents;
  return index;
}

static norma_status make_arrays(planner *planner, int step_count) {
  plan *plan = planner->plan;
  const graph *graph = plan->graph;
  plan->slots = region_array(&plan->region, planner->most_slots, sizeof *plan->slots);
  plan->slot_of_value = region_array(&plan->region, (size_t)graph->value_count, sizeof(int));
  plan->inputs = region_array(&plan->region, (size_t)graph->input_count, sizeof(int));
  plan->outputs = region_array(&plan->region, (size_t)graph->output_count, sizeof(int));
  plan->captures = region_array(&plan->region, (size_t)graph->capture_count, sizeof(int));
  plan->steps = region_array(&plan->region, (size_t)step_count, sizeof *plan->steps);
  planner->similar_steps = region_array(&plan->region, (size_t)step_count, sizeof(int));
  if (!planner->similar_steps || !plan->slots || !plan->slot_of_value || !plan->inputs || !plan->outputs ||
      !plan->captures || !plan->steps) {
    return planner_out_of_memory(planner);
  }
  for (int i = 0; i < graph->value_count; i++) plan->slot_of_value[i] = -1;
  for (int i = 0; i < graph->input_count; i++) {
    const graph_value *value = graph->inputs[i];
    plan->inputs[i] = -1;
    if (!value->constant) plan->inputs[i] = add_slot(planner, value, SLOT_INPUT, &plan->inferrer.infos[value->id]);
  }
  for (int i = 0; i < graph->capture_count; i++) {
    plan->captures[i] = -1; /* so that the search in add_slot's caller does not find it early */
    const struct norma_value *known = &plan->capture_values[i];
    const bool is_known = known->kind != NORMA_VALUE_NONE;
    plan->captures[i] =
        add_slot(planner, graph->captures[i], is_known ? SLOT_KNOWN : SLOT_CAPTURE, &plan->capture_infos[i]);
    if (is_known) plan->slots[plan->captures[i]].contents = known;
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ steps */

static bool info_is_plannable(const value_info *info) {
  return info->kind == NORMA_VALUE_TENSOR && info->type != NORMA_STRING && shape_is_known(&info->shape);
}

static bool node_is_late(const planner *planner, const node *node) {
  if (node->op->flags & OPERATOR_SUBGRAPHS) return true;
  for (int i = 0; i < node->input_count; i++) {
    if (!node->inputs[i]) continue;
    const value_info *info = inferrer_info(&planner->plan->inferrer, node->inputs[i]);
    if (info->kind != NORMA_VALUE_TENSOR || !shape_is_known(&info->shape)) return true;
  }
  for (int i = 0; i < node->output_count; i++) {
    if (node->outputs[i] && !info_is_plannable(&planner->plan->inferrer.infos[node->outputs[i]->id])) return true;
  }
  return false;
}

/* What graphs below a node read of this one needs a slot where they can find it, also when it was known beforehand and
 * no step reads it. */
static bool give_captures_slots(void *context, graph *subgraph) {
  planner *planner = context;
  for (int i = 0; i < subgraph->capture_count; i++) {
    if (subgraph->captures[i]->graph == planner->plan->graph) slot_for_read(planner, subgraph->captures[i]);
  }
  return true;
}

static norma_status planner_add_step(planner *planner, const node *node) {
  plan *plan = planner->plan;
  step *step = &plan->steps[plan->step_count];
  step->node = node;
  step->kernel_name = "";
  step->late = node_is_late(planner, node);
  if (step->late) plan->is_static = false;
  step->inputs = region_array(&plan->region, (size_t)node->input_count, sizeof(int));
  step->outputs = region_array(&plan->region, (size_t)node->output_count, sizeof(int));
  if (!step->inputs || !step->outputs) return planner_out_of_memory(planner);
  for (int i = 0; i < node->input_count; i++) {
    step->inputs[i] = node->inputs[i] ? slot_for_read(planner, node->inputs[i]) : -1;
    if (node->inputs[i] && step->inputs[i] < 0) {
      return error_at_node(planner->error, NORMA_ERROR_INTERNAL, node, "input '%s' has no place in the plan",
                           node->inputs[i]->name);
    }
  }
  node_visit_subgraphs(node, give_captures_slots, planner);
  bool runs_graphs = node->op->flags & OPERATOR_SUBGRAPHS;
  for (int i = 0; i < node->output_count; i++) {
    const graph_value *value = node->outputs[i];
    step->outputs[i] = -1;
    if (!value) continue;
    const value_info *info = &plan->inferrer.infos[value->id];
    slot_kind kind = info_is_plannable(info) && !runs_graphs ? SLOT_ARENA : SLOT_DYNAMIC;
    step->outputs[i] = add_slot(planner, value, kind, info);
    plan->slots[step->outputs[i]].first = plan->step_count;
  }
  plan->step_count++;
  return NORMA_OK;
}

static norma_status add_steps(planner *planner) {
  plan *plan = planner->plan;
  const struct plan *similar = planner->request->similar;
  int next = 0; /* steps of both plans stand in the order of the graph */
  plan->is_static = true;
  for (const node *node = plan->graph->first; node; node = node->next) {
    const bool is_step_there = similar && next < similar->step_count && similar->steps[next].node == node;
    const int there = is_step_there ? next++ : -1;
    if (!node_is_needed(planner, node) || node_is_known(planner, node)) continue;
    planner->similar_steps[plan->step_count] = there;
    TRY(planner_add_step(planner, node));
  }
  for (int i = 0; i < plan->graph->output_count; i++) {
    plan->outputs[i] = slot_for_read(planner, plan->graph->outputs[i]);
    if (plan->outputs[i] < 0) {
      return error_set(planner->error, NORMA_ERROR_INVALID_MODEL, "output '%s' is computed by no node",
                       plan->graph->outputs[i]->name);
    }
  }
  return NORMA_OK;
}

/* Operators multiply dimensions as they prepare: a tensor that cannot be is refused before. */
static norma_status step_check_size(const planner *planner, const step *step, int slot) {
  size_t bytes;
  if (slot < 0) return NORMA_OK;
  const value_info *info = &planner->plan->slots[slot].info;
  const norma_element_type type = info->type == NORMA_UNDEFINED ? NORMA_UINT8 : info->type; /* an input may tell it */
  if (info->kind != NORMA_VALUE_TENSOR || !shape_is_known(&info->shape) ||
      norma_tensor_size(type, info->shape.rank, info->shape.dims, &bytes) == NORMA_OK) {
    return NORMA_OK;
  }
  return error_at_node(planner->error, NORMA_ERROR_BUDGET, step->node, "'%s' has more bytes than can be addressed",
                       planner->plan->slots[slot].value->name);
}

static norma_status step_check_sizes(const planner *planner, const step *step) {
  for (int i = 0; i < step->node->input_count; i++) TRY(step_check_size(planner, step, step->inputs[i]));
  for (int i = 0; i < step->node->output_count; i++) TRY(step_check_size(planner, step, step->outputs[i]));
  return NORMA_OK;
}

/* Preparing depends on nothing but the node, constants of the model, and types and shapes. */
static bool is_prepared_alike(const planner *planner, const step *step, const struct step *there) {
  const inferrer *inferrer = &planner->plan->inferrer;
  const node *node = step->node;
  if (there->late || node->op->custom) return false;
  for (int i = 0; i < node->input_count; i++) {
    const graph_value *input = node->inputs[i];
    if (input && !input->constant && (input->graph != inferrer->graph || !inferrer->same[input->id])) return false;
  }
  for (int i = 0; i < node->output_count; i++) {
    if (node->outputs[i] && !inferrer->same[node->outputs[i]->id]) return false;
  }
  return true;
}

static norma_status take_prepared(planner *planner, step *step, const struct step *there) {
  const size_t bytes = step->node->op->state_size;
  step->state = region_allocate(&planner->plan->region, bytes);
  if (!step->state) return planner_out_of_memory(planner);
  if (bytes) memcpy(step->state, there->state, bytes);
  step->scratch_bytes = there->scratch_bytes;
  step->worker_scratch_stride = there->worker_scratch_stride;
  step->kernel_name = there->kernel_name;
  step->flops = there->flops;
  return NORMA_OK;
}

static norma_status prepare_step(planner *planner, step *step) {
  plan *plan = planner->plan;
  const int similar = planner->similar_steps[step - plan->steps];
  const struct step *there = similar >= 0 ? &planner->request->similar->steps[similar] : NULL;
  if (there && is_prepared_alike(planner, step, there)) return take_prepared(planner, step, there);
  const node *node = step->node;
  const executor *executor = planner->request->executor;
  step->state = region_allocate(&plan->region, node->op->state_size);
  const value_info **inputs = region_array(&plan->region, (size_t)node->input_count, sizeof *inputs);
  const value_info **outputs = region_array(&plan->region, (size_t)node->output_count, sizeof *outputs);
  const value **constants = region_array(&plan->region, (size_t)node->input_count, sizeof *constants);
  if (!step->state || !inputs || !outputs || !constants) return planner_out_of_memory(planner);
  if (node->op->state_size) memcpy(step->state, node->state, node->op->state_size);
  for (int i = 0; i < node->input_count; i++) {
    if (step->inputs[i] < 0) continue;
    inputs[i] = &plan->slots[step->inputs[i]].info;
    constants[i] = node->inputs[i]->constant;
  }
  for (int i = 0; i < node->output_count; i++) {
    if (step->outputs[i] >= 0) outputs[i] = &plan->slots[step->outputs[i]].info;
  }
  if (!node->op->prepare) return NORMA_OK;
  prepare_context context =
      executor_prepare_context(executor, node, step->state, inputs, constants, outputs, planner->error);
  TRY(node->op->prepare(&context));
  TRY(executor_check_scratch(executor, &context));
  step->scratch_bytes = context.scratch_bytes;
  step->worker_scratch_stride = context.worker_scratch_bytes;
  step->kernel_name = context.kernel_name;
  step->flops = context.flops;
  return NORMA_OK;
}

static norma_status prepare_steps(planner *planner) {
  plan *plan = planner->plan;
  unsigned polls = 0;
  for (int s = 0; s < plan->step_count; s++) {
    step *step = &plan->steps[s];
    TRY(interruption_poll_often(planner->request->executor->interruption, &polls, planner->error));
    for (int i = 0; i < step->node->input_count; i++) {
      if (step->inputs[i] >= 0) step->bytes += value_info_bytes(&plan->slots[step->inputs[i]].info);
    }
    for (int i = 0; i < step->node->output_count; i++) {
      if (step->outputs[i] >= 0) step->bytes += value_info_bytes(&plan->slots[step->outputs[i]].info);
    }
    TRY(step_check_sizes(planner, step));
    if (!step->late) TRY(prepare_step(planner, step));
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------- plan */

/* Small contents are copied: the plan may outlive them. */
static norma_status keep_capture(planner *planner, value *kept, const value *given) {
  const norma_tensor *tensor = norma_value_tensor(given);
  if (!tensor || tensor->type == NORMA_STRING || norma_tensor_count(tensor) > INFERENCE_KNOWN_ELEMENTS) return NORMA_OK;
  void *data = region_allocate(&planner->plan->region, tensor->size_bytes);
  if (!data) return planner_out_of_memory(planner);
  if (tensor->size_bytes) memcpy(data, tensor->data, tensor->size_bytes);
  kept->kind = NORMA_VALUE_TENSOR;
  kept->tensor = *tensor;
  kept->tensor.data = data;
  return NORMA_OK;
}

static norma_status infer_plan(planner *planner) {
  const plan_request *request = planner->request;
  plan *plan = planner->plan;
  const graph *graph = plan->graph;
  plan->input_infos = region_array(&plan->region, (size_t)graph->input_count, sizeof(value_info));
  plan->capture_infos = region_array(&plan->region, (size_t)graph->capture_count, sizeof(value_info));
  plan->capture_values = region_array(&plan->region, (size_t)graph->capture_count, sizeof(value));
  if (!plan->input_infos || !plan->capture_infos || !plan->capture_values) return planner_out_of_memory(planner);
  TRY(inferrer_init(&plan->inferrer, request->executor, &plan->region, graph, NULL, NORMA_ERROR_INPUT, planner->error));
  for (int i = 0; i < graph->input_count; i++) {
    if (graph->inputs[i]->constant) continue;
    plan->input_infos[i] = request->inputs[i];
    value_info *info = &plan->inferrer.infos[graph->inputs[i]->id];
    const value_info *item = info->item;
    *info = request->inputs[i];
    if (!info->item) info->item = item; /* the declaration knows what a sequence holds */
  }
  for (int i = 0; i < graph->capture_count; i++) {
    plan->capture_infos[i] = request->captures[i];
    if (request->capture_values && request->capture_values[i]) {
      TRY(keep_capture(planner, &plan->capture_values[i], request->capture_values[i]));
    }
  }
  plan->inferrer.capture_infos = plan->capture_infos;
  plan->inferrer.capture_values = plan->capture_values;
  if (request->similar) TRY(inferrer_follow(&plan->inferrer, &request->similar->inferrer, planner->error));
  return inferrer_run(&plan->inferrer, planner->error);
}

static norma_status plan_build(planner *planner) {
  const struct plan *similar = planner->request->similar;
  if (similar && !region_reserve(&planner->plan->region, region_used(&similar->region))) {
    return planner_out_of_memory(planner);
  }
  TRY(infer_plan(planner));
  planner->needed = region_array(&planner->plan->region, (size_t)planner->plan->graph->value_count, sizeof(bool));
  if (!planner->needed) return planner_out_of_memory(planner);
  TRY(make_arrays(planner, count_steps(planner)));
  TRY(add_steps(planner));
  TRY(prepare_steps(planner));
  return plan_arrange(planner->plan, planner->request, planner->error);
}

norma_status plan_create(const plan_request *request, plan **result, norma_error *error) {
  memory *memory = request->executor->memory;
  *result = NULL;
  plan *plan = memory_allocate_zeroed(memory, sizeof *plan);
  if (!plan) return memory_error(memory, sizeof *plan, error);
  plan->memory = memory;
  plan->graph = request->graph;
  region_init(&plan->region, memory);
  planner planner = {.request = request, .plan = plan, .error = error};
  norma_status status = plan_build(&planner);
  plan->inferrer.executor = NULL; /* only what it has found is needed from here on */
  plan->inferrer.earlier = NULL;
  if (status != NORMA_OK) {
    plan_destroy(plan);
    return status;
  }
  *result = plan;
  return NORMA_OK;
}

void plan_destroy(plan *plan) {
  if (!plan) return;
  inferrer_release(&plan->inferrer);
  region_free(&plan->region);
  memory_free(plan->memory, plan);
}

norma_status plan_arena_error(const plan *plan, norma_error *error) {
  const norma_status status = memory_error(plan->memory, plan->arena_bytes, error);
  const slot *largest = NULL;
  double bytes = -1;
  for (int i = 0; i < plan->slot_count; i++) {
    const slot *slot = &plan->slots[i];
    if (slot->kind != SLOT_ARENA || slot->root != i || value_info_bytes(&slot->info) <= bytes) continue;
    largest = slot;
    bytes = value_info_bytes(&slot->info);
  }
  if (!error || !largest) return status;
  ERROR_COPY(error->value, largest->value->name);
  error_prefix(error, "the values of a run, the largest of them '%s' with %.0f bytes", largest->value->name, bytes);
  if (largest->value->producer) error_add_node(error, largest->value->producer);
  return status;
}

static bool infos_match(const value_info *a, const value_info *b) {
  if (a->kind != b->kind) return false;
  return a->kind != NORMA_VALUE_TENSOR || (a->type == b->type && shape_equal(&a->shape, &b->shape));
}

bool plan_matches(const plan *plan, const value_info *inputs) {
  for (int i = 0; i < plan->graph->input_count; i++) {
    if (!plan->graph->inputs[i]->constant && !infos_match(&plan->input_infos[i], &inputs[i])) return false;
  }
  return true;
}

static bool value_matches(const value_info *info, const value *value) {
  if (info->kind != value->kind) return false;
  if (info->kind != NORMA_VALUE_TENSOR) return true;
  const norma_tensor *tensor = &value->tensor;
  if (info->type != tensor->type || info->shape.rank != tensor->rank) return false;
  for (int i = 0; i < tensor->rank; i++) {
    if (info->shape.dims[i] != tensor->dims[i]) return false;
  }
  return true;
}

bool plan_matches_values(const plan *plan, const value *const *inputs, const value *const *captures) {
  for (int i = 0; i < plan->graph->input_count; i++) {
    if (!plan->graph->inputs[i]->constant && !value_matches(&plan->input_infos[i], inputs[i])) return false;
  }
  for (int i = 0; i < plan->graph->capture_count; i++) {
    if (!value_matches(&plan->capture_infos[i], captures[i])) return false;
    const norma_tensor *known = norma_value_tensor(&plan->capture_values[i]);
    if (known && known->size_bytes && memcmp(known->data, captures[i]->tensor.data, known->size_bytes) != 0) {
      return false;
    }
  }
  return true;
}
