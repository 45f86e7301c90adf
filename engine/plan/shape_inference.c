#include "engine/plan/shape_inference.h"

/* A value that inference computed and must release. */
typedef struct owned_value {
  value value;
  struct owned_value *next;
} owned_value;

norma_status inferrer_init(inferrer *inferrer, executor *executor, region *region, const graph *graph,
                           struct inferrer *outer, norma_status failure, norma_error *error) {
  memset(inferrer, 0, sizeof *inferrer);
  inferrer->executor = executor;
  inferrer->region = region;
  inferrer->graph = graph;
  inferrer->outer = outer;
  inferrer->failure = failure;
  size_t count = (size_t)graph->value_count;
  inferrer->infos = region_array(region, count, sizeof *inferrer->infos);
  inferrer->known = region_array(region, count, sizeof *inferrer->known);
  if (!inferrer->infos || !inferrer->known) return region_error(region, error);
  for (int i = 0; i < graph->value_count; i++) {
    const graph_value *value = graph->values[i];
    inferrer->infos[i].shape.rank = RANK_UNKNOWN;
    if (value->constant) {
      inferrer->infos[i] = value_info_of(value->constant);
      inferrer->known[i] = value->constant;
    } else if (value->is_input) {
      inferrer->infos[i] = value->info;
    }
  }
  return NORMA_OK;
}

void inferrer_release(inferrer *inferrer) {
  for (owned_value *entry = inferrer->owned; entry; entry = entry->next) value_clear(&entry->value);
  inferrer->owned = NULL;
}

const value_info *inferrer_info(const inferrer *inferrer, const graph_value *value) {
  for (; inferrer; inferrer = inferrer->outer) {
    if (inferrer->graph == value->graph) return &inferrer->infos[value->id];
    int capture = inferrer->capture_infos ? graph_find_capture(inferrer->graph, value) : -1;
    if (capture >= 0) return &inferrer->capture_infos[capture];
  }
  return &value->info;
}

const value *inferrer_known(const inferrer *inferrer, const graph_value *value) {
  for (; inferrer; inferrer = inferrer->outer) {
    if (inferrer->graph == value->graph) return inferrer->known[value->id];
    int capture = inferrer->capture_values ? graph_find_capture(inferrer->graph, value) : -1;
    if (capture >= 0 && inferrer->capture_values[capture].kind != NORMA_VALUE_NONE) {
      return &inferrer->capture_values[capture];
    }
  }
  return value->constant;
}

/* The arrays that one node's infer call works on. */
typedef struct node_inference {
  const node *node;
  const value_info **inputs;
  const value **values;
  value_info *outputs;
  norma_tensor *known;
} node_inference;

static norma_status node_inference_begin(inferrer *inferrer, node_inference *work, const node *node,
                                         norma_error *error) {
  region *region = inferrer->region;
  work->node = node;
  work->inputs = region_array(region, (size_t)node->input_count, sizeof *work->inputs);
  work->values = region_array(region, (size_t)node->input_count, sizeof *work->values);
  work->outputs = region_array(region, (size_t)node->output_count, sizeof *work->outputs);
  work->known = region_array(region, (size_t)node->output_count, sizeof *work->known);
  if (!work->inputs || !work->values || !work->outputs || !work->known) return region_error(region, error);
  for (int i = 0; i < node->input_count; i++) {
    if (!node->inputs[i]) continue;
    work->inputs[i] = inferrer_info(inferrer, node->inputs[i]);
    work->values[i] = inferrer_known(inferrer, node->inputs[i]);
  }
  for (int i = 0; i < node->output_count; i++) work->outputs[i].shape.rank = RANK_UNKNOWN;
  return NORMA_OK;
}

static owned_value *add_owned(inferrer *inferrer) {
  owned_value *entry = region_allocate(inferrer->region, sizeof *entry);
  if (!entry) return NULL;
  entry->next = inferrer->owned;
  inferrer->owned = entry;
  return entry;
}

static bool is_small(const value_info *info) {
  if (info->kind != NORMA_VALUE_TENSOR) return false;
  int64_t count = shape_count(&info->shape);
  return count != DIM_UNKNOWN && count <= INFERENCE_KNOWN_ELEMENTS;
}

static bool can_infer_contents(const node_inference *work) {
  const node *node = work->node;
  if (node->op->flags & (OPERATOR_RANDOM | OPERATOR_SUBGRAPHS)) return false;
  for (int i = 0; i < node->input_count; i++) {
    if (node->inputs[i] && (!work->values[i] || !is_small(work->inputs[i]))) return false;
  }
  for (int i = 0; i < node->output_count; i++) {
    if (!node->outputs[i] && i < node->op->min_outputs) return false; /* in a model that is only looked at */
    if (node->outputs[i] && shape_is_known(&work->outputs[i].shape) && !is_small(&work->outputs[i])) return false;
    if (node->outputs[i] && node->input_count == 0 && !is_small(&work->outputs[i])) return false;
  }
  return true;
}

/* A node that fails here may stand in a branch that never runs, so only limits are reported. */
static norma_status evaluate_known(inferrer *inferrer, const node_inference *work, norma_error *error) {
  const node *node = work->node;
  region *region = inferrer->region;
  value **outputs = region_array(region, (size_t)node->output_count, sizeof *outputs);
  const value **no_constants = region_array(region, (size_t)node->input_count, sizeof *no_constants);
  if (!outputs || !no_constants) return region_error(region, error);
  for (int i = 0; i < node->output_count; i++) {
    if (!node->outputs[i]) continue;
    owned_value *entry = add_owned(inferrer);
    if (!entry) return region_error(region, error);
    outputs[i] = &entry->value;
  }
  norma_error ignored;
  norma_status status =
      evaluate_node(inferrer->executor, node, work->values, no_constants, outputs, inferrer->failure, &ignored);
  TRY(executor_poll(inferrer->executor, error));
  if (status_is_of_limits(status) && status != NORMA_ERROR_DEADLINE) { /* it would only cost too much by now */
    if (error) *error = ignored;
    return status;
  }
  for (int i = 0; status == NORMA_OK && i < node->output_count; i++) {
    if (!node->outputs[i] || outputs[i]->kind != NORMA_VALUE_TENSOR) continue;
    inferrer->known[node->outputs[i]->id] = outputs[i];
    work->outputs[i] = value_info_of(outputs[i]);
  }
  return NORMA_OK;
}

static norma_status keep_known_outputs(inferrer *inferrer, const node_inference *work, norma_error *error) {
  for (int i = 0; i < work->node->output_count; i++) {
    if (!work->node->outputs[i] || work->known[i].type == NORMA_UNDEFINED) continue;
    owned_value *entry = add_owned(inferrer);
    if (!entry) return region_error(inferrer->region, error);
    entry->value.kind = NORMA_VALUE_TENSOR;
    entry->value.tensor = work->known[i]; /* data in the region: borrowed */
    inferrer->known[work->node->outputs[i]->id] = &entry->value;
  }
  return NORMA_OK;
}

/* Descriptions of elements live in the inferrer's region; the graph needs its own. */
static bool write_back_info(graph_value *value, const value_info *info) {
  value->info = *info;
  const value_info **link = &value->info.item;
  for (const value_info *item = info->item; item; item = item->item) {
    value_info *copy = region_allocate(value->graph->region, sizeof *copy);
    if (!copy) return false;
    *copy = *item;
    *link = copy;
    link = &copy->item;
  }
  return true;
}

/* Types that the model leaves open are known once inputs are given; load.c has seen to all others. */
static norma_status check_types(const inferrer *inferrer, const node_inference *work, norma_error *error) {
  const node *node = work->node;
  type_conflict conflict;
  if (inferrer->failure == NORMA_ERROR_INVALID_MODEL) return NORMA_OK;
  if (operator_accepts(node->op, node->input_count, work->inputs, &conflict)) return NORMA_OK;
  return error_at_node(error, inferrer->failure, node, "input %d ('%s') has a type that it cannot take", conflict.input,
                       node->inputs[conflict.input]->name);
}

/* ------------------------------------------------------------------------------------------------- an earlier walk */

static bool is_same_info(const value_info *a, const value_info *b) {
  return a->kind == NORMA_VALUE_TENSOR && b->kind == NORMA_VALUE_TENSOR && a->type == b->type &&
         shape_equal(&a->shape, &b->shape);
}

static bool is_same_contents(const value *a, const value *b) {
  if (a == b) return true;
  const norma_tensor *left = norma_value_tensor(a), *right = norma_value_tensor(b);
  if (!left || !right || left->type == NORMA_STRING || left->size_bytes != right->size_bytes) return false;
  return left->data == right->data || left->size_bytes == 0 || memcmp(left->data, right->data, left->size_bytes) == 0;
}

static bool is_same_value(const inferrer *inferrer, int id) {
  const struct inferrer *earlier = inferrer->earlier;
  return is_same_info(&inferrer->infos[id], &earlier->infos[id]) &&
         is_same_contents(inferrer->known[id], earlier->known[id]);
}

norma_status inferrer_follow(inferrer *inferrer, const struct inferrer *earlier, norma_error *error) {
  const graph *graph = inferrer->graph;
  inferrer->same = region_array(inferrer->region, (size_t)graph->value_count, sizeof *inferrer->same);
  if (!inferrer->same) return region_error(inferrer->region, error);
  inferrer->earlier = earlier;
  for (int i = 0; i < graph->value_count; i++) {
    const graph_value *value = graph->values[i];
    inferrer->same[i] = value->constant || (value->is_input && is_same_value(inferrer, i));
  }
  return NORMA_OK;
}

static bool is_unchanged(const inferrer *inferrer, const node *node) {
  if (!inferrer->earlier || node->op->flags & (OPERATOR_RANDOM | OPERATOR_SUBGRAPHS)) return false;
  for (int i = 0; i < node->input_count; i++) {
    const graph_value *input = node->inputs[i];
    if (input && !input->constant && (input->graph != inferrer->graph || !inferrer->same[input->id])) return false;
  }
  for (int i = 0; i < node->output_count; i++) { /* what a description of a container points to stays with its walk */
    if (node->outputs[i] && inferrer->earlier->infos[node->outputs[i]->id].kind != NORMA_VALUE_TENSOR) return false;
  }
  return true;
}

static norma_status take_over(inferrer *inferrer, const node *node, norma_error *error) {
  for (int i = 0; i < node->output_count; i++) {
    if (!node->outputs[i]) continue;
    const int id = node->outputs[i]->id;
    inferrer->infos[id] = inferrer->earlier->infos[id];
    inferrer->same[id] = true;
    if (!inferrer->earlier->known[id]) continue;
    owned_value *entry = add_owned(inferrer);
    if (!entry) return region_error(inferrer->region, error);
    TRY(value_copy(inferrer->executor->memory, &entry->value, inferrer->earlier->known[id], error));
    inferrer->known[id] = &entry->value;
  }
  return NORMA_OK;
}

/* What was inferred anew may be what it was before, such as the number of rows while their length grows. */
static void note_what_is_same(inferrer *inferrer, const node *node) {
  for (int i = 0; inferrer->earlier && i < node->output_count; i++) {
    if (node->outputs[i]) inferrer->same[node->outputs[i]->id] = is_same_value(inferrer, node->outputs[i]->id);
  }
}

/* ------------------------------------------------------------------------------------------------------------- walk */

static norma_status infer_node(inferrer *inferrer, const node *node, norma_error *error) {
  if (!node->op) return NORMA_OK;
  if (is_unchanged(inferrer, node)) return take_over(inferrer, node, error);
  node_inference work;
  TRY(node_inference_begin(inferrer, &work, node, error));
  TRY(check_types(inferrer, &work, error));
  norma_error local;
  infer_context context = {.node = node,
                           .state = node->state,
                           .input_count = node->input_count,
                           .output_count = node->output_count,
                           .inputs = work.inputs,
                           .values = work.values,
                           .outputs = work.outputs,
                           .known = work.known,
                           .region = inferrer->region,
                           .inferrer = inferrer,
                           .failure = inferrer->failure,
                           .error = error ? error : &local};
  TRY(node->op->infer(&context));
  TRY(keep_known_outputs(inferrer, &work, error));
  bool known_by_shape = node->output_count > 0 && work.known[0].type != NORMA_UNDEFINED;
  if (!known_by_shape && can_infer_contents(&work)) TRY(evaluate_known(inferrer, &work, error));
  for (int i = 0; i < node->output_count; i++) {
    if (!node->outputs[i]) continue;
    inferrer->infos[node->outputs[i]->id] = work.outputs[i];
    if (inferrer->write_back && !write_back_info(node->outputs[i], &work.outputs[i])) {
      return region_error(node->graph->region, error);
    }
  }
  note_what_is_same(inferrer, node);
  return NORMA_OK;
}

static norma_status infer_tolerantly(inferrer *inferrer, const node *node, norma_error *error) {
  norma_error failed;
  norma_status status = infer_node(inferrer, node, &failed);
  if (status_is_of_limits(status)) {
    if (error) *error = failed;
    return status;
  }
  for (int i = 0; status != NORMA_OK && i < node->output_count; i++) {
    if (node->outputs[i]) inferrer->infos[node->outputs[i]->id] = node->outputs[i]->info;
  }
  return NORMA_OK;
}

norma_status inferrer_run(inferrer *inferrer, norma_error *error) {
  unsigned polls = 0;
  TRY(executor_poll(inferrer->executor, error));
  for (const node *node = inferrer->graph->first; node; node = node->next) {
    TRY(interruption_poll_often(inferrer->executor->interruption, &polls, error));
    TRY(inferrer->is_tolerant ? infer_tolerantly(inferrer, node, error) : infer_node(inferrer, node, error));
  }
  return NORMA_OK;
}

/* An output of which inference tells nothing keeps what the model declares: it is what readers of the output expect. */
static norma_status infer_keeping_outputs(inferrer *inferrer, graph *graph, norma_error *error) {
  value_info *declared = region_array(inferrer->region, (size_t)graph->output_count, sizeof *declared);
  if (!declared) return region_error(inferrer->region, error);
  for (int i = 0; i < graph->output_count; i++) declared[i] = graph->outputs[i]->info;
  TRY(inferrer_run(inferrer, error));
  for (int i = 0; i < graph->output_count; i++) {
    if (graph->outputs[i]->info.kind == NORMA_VALUE_NONE) graph->outputs[i]->info = declared[i];
  }
  return NORMA_OK;
}

static norma_status infer_into_graph(graph *graph, executor *executor, bool is_tolerant, norma_error *error) {
  region region;
  region_init(&region, executor->memory);
  inferrer inferrer;
  norma_status status = inferrer_init(&inferrer, executor, &region, graph, NULL, NORMA_ERROR_INVALID_MODEL, error);
  inferrer.write_back = true;
  inferrer.is_tolerant = is_tolerant;
  if (status == NORMA_OK) status = infer_keeping_outputs(&inferrer, graph, error);
  inferrer_release(&inferrer);
  region_free(&region);
  return status;
}

norma_status infer_graph(graph *graph, executor *executor, norma_error *error) {
  return infer_into_graph(graph, executor, false, error);
}

norma_status infer_graph_partly(graph *graph, executor *executor, norma_error *error) {
  return infer_into_graph(graph, executor, true, error);
}

norma_status infer_subgraph(infer_context *context, const graph *subgraph, const value_info *inputs, int input_count,
                            value_info *outputs) {
  for (int i = 0; i < subgraph->output_count; i++) outputs[i] = (value_info){.shape = {.rank = RANK_UNKNOWN}};
  if (!context->inferrer) return NORMA_OK;
  inferrer inner;
  TRY(inferrer_init(&inner, context->inferrer->executor, context->region, subgraph, context->inferrer,
                    context->inferrer->failure, context->error));
  inner.write_back = context->inferrer->write_back;
  /* Shapes of one run may not fit a branch that it does not take: where the branch is run, its own plan says so. */
  inner.is_tolerant = context->inferrer->is_tolerant || !inner.write_back;
  for (int i = 0; i < input_count && i < subgraph->input_count; i++) {
    inner.infos[subgraph->inputs[i]->id] = inputs[i];
    if (inner.write_back && !write_back_info(subgraph->inputs[i], &inputs[i])) {
      return region_error(subgraph->region, context->error);
    }
  }
  norma_status status = inferrer_run(&inner, context->error);
  for (int i = 0; status == NORMA_OK && i < subgraph->output_count; i++) {
    outputs[i] = *inferrer_info(&inner, subgraph->outputs[i]);
  }
  inferrer_release(&inner);
  return status;
}
