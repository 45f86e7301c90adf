/*
 * Loop: runs a graph again and again, as a trip count and a condition say.
 *
 *   inputs   M (absent: no limit), cond (absent: none), N values that are carried
 *   body     (iteration, cond, N values) -> (cond, N values, K tensors)
 *   outputs  the N values as the last iteration left them; K tensors, each all that iterations gave along a new axis 0
 *
 * Version 1; 11; 13: sequences are carried; 16: optionals; 19, 21, 23, 24, 25: more element types. Carried values may
 * change their shapes from iteration to iteration, and an optional may become what it holds. Where the node has no
 * condition, that of the body is ignored, as the definition says. Without iterations a stacked output has the shape
 * that inference tells of its elements.
 */
#include "ops/control/stack.h"
#include "ops/movement/join.h"

#include <stdio.h>

#define LOOP_ITERATION 0 /* inputs of the body */
#define LOOP_CONDITION 1
#define LOOP_CARRIED   2 /* the first one: of the node and of the body */

typedef struct loop_state {
  const graph *body;
  int carried, stacked;
  bool listed[2]; /* whether the body wants iteration number and condition as [1] rather than as scalars */
  norma_element_type *declared; /* of stacked outputs, where the model tells */
} loop_state;

/* ------------------------------------------------------------------------------------------------------------- read */

static norma_status loop_check_body(const node *node, const graph *body, int carried, norma_error *error) {
  if (body->input_count != LOOP_CARRIED + carried) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "body has %d inputs, expected %d", body->input_count,
                         LOOP_CARRIED + carried);
  }
  int stacked = body->output_count - 1 - carried;
  if (stacked < 0 || node->output_count > carried + stacked) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "body has %d outputs for %d carried values and %d outputs", body->output_count, carried,
                         node->output_count);
  }
  return NORMA_OK;
}

static norma_status loop_read(const node *node, void *opaque, norma_error *error) {
  loop_state *state = opaque;
  const graph *body = attribute_graph(node, "body");
  if (!body) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "lacks the attribute 'body'");
  state->body = body;
  state->carried = node->input_count > LOOP_CARRIED ? node->input_count - LOOP_CARRIED : 0;
  TRY(loop_check_body(node, body, state->carried, error));
  state->stacked = body->output_count - 1 - state->carried;
  for (int i = 0; i < LOOP_CARRIED; i++) state->listed[i] = body->inputs[i]->info.shape.rank == 1;
  state->declared = region_array(node->graph->region, (size_t)state->stacked, sizeof *state->declared);
  if (!state->declared) return region_error(node->graph->region, error);
  for (int i = 0; i < state->stacked; i++) {
    state->declared[i] = body->outputs[1 + state->carried + i]->info.type;
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ infer */

/* Carried values of bodies this deep are taken to be of any shape from the start: the body of each loop may be inferred
 * several times, which would multiply. */
#define LOOP_DEPTH_TO_REPEAT 2
#define LOOP_ROUNDS          3

static bool infos_equal(const value_info *a, const value_info *b) {
  for (; a && b; a = a->item, b = b->item) {
    if (a == b) return true;
    if (a->kind != b->kind || a->type != b->type || !shape_equal(&a->shape, &b->shape)) return false;
  }
  return a == b;
}

static value_info info_unknown(void) {
  return (value_info){.kind = NORMA_VALUE_NONE, .shape = {.rank = RANK_UNKNOWN}};
}

/* What holds for a value before an iteration and for what the iteration makes of it. */
static norma_status loop_join(infer_context *context, value_info *before, const value_info *after, int index) {
  char what[48];
  bool unlike = before->kind != after->kind && after->kind != NORMA_VALUE_NONE;
  bool is_optional = before->kind == NORMA_VALUE_OPTIONAL || after->kind == NORMA_VALUE_OPTIONAL;
  if (before->kind == NORMA_VALUE_NONE || (unlike && is_optional)) {
    *before = info_unknown();
    return NORMA_OK;
  }
  snprintf(what, sizeof what, "carried value %d", index);
  return infer_join(context, before, after, what);
}

static norma_status loop_check_controls(infer_context *context) {
  static const char *const names[2] = {"the trip count", "the condition"};
  static const norma_element_type types[2] = {NORMA_INT64, NORMA_BOOL};
  for (int i = 0; i < 2; i++) {
    const norma_element_type type = infer_type(context, i);
    const int64_t count = shape_count(infer_shape(context, i));
    if (infer_has_input(context, i) && context->inputs[i]->kind > NORMA_VALUE_TENSOR) {
      return infer_fail(context, "%s is no tensor", names[i]);
    }
    if (type != NORMA_UNDEFINED && type != types[i]) {
      return infer_fail(context, "%s is %s, not %s", names[i], norma_element_type_name(type),
                        norma_element_type_name(types[i]));
    }
    if (count != DIM_UNKNOWN && count != 1) {
      return infer_fail(context, "%s has %lld elements, expected 1", names[i], (long long)count);
    }
  }
  return NORMA_OK;
}

/* What is known of the values with which the first iteration begins. */
static void loop_first_inputs(const infer_context *context, value_info *inputs) {
  const loop_state *state = context->state;
  static const norma_element_type types[LOOP_CARRIED] = {NORMA_INT64, NORMA_BOOL};
  for (int i = 0; i < LOOP_CARRIED; i++) {
    shape shape = shape_of_rank(state->listed[i]);
    if (state->listed[i]) shape.dims[0] = 1;
    inputs[i] = value_info_tensor(types[i], &shape);
  }
  for (int i = 0; i < state->carried; i++) {
    value_info *input = &inputs[LOOP_CARRIED + i];
    *input = infer_has_input(context, LOOP_CARRIED + i) ? *context->inputs[LOOP_CARRIED + i] : info_unknown();
  }
}

/* Carried values that may become anything: of tensors the type stays. */
static void loop_forget_shapes(const infer_context *context, value_info *inputs) {
  const loop_state *state = context->state;
  for (int i = LOOP_CARRIED; i < LOOP_CARRIED + state->carried; i++) {
    const bool is_tensor = inputs[i].kind == NORMA_VALUE_TENSOR;
    inputs[i] = is_tensor ? (value_info){.kind = NORMA_VALUE_TENSOR, .type = inputs[i].type, .shape = shape_unknown()}
                          : info_unknown();
  }
}

/* Infers the body until what is known of its inputs holds for all iterations; then `results` hold for all of them. */
static norma_status loop_infer_body(infer_context *context, value_info *inputs, value_info *results) {
  const loop_state *state = context->state;
  const int input_count = LOOP_CARRIED + state->carried;
  bool repeats = context->node->graph->depth < LOOP_DEPTH_TO_REPEAT;
  if (!repeats) loop_forget_shapes(context, inputs);
  for (int round = 0;; round++) {
    bool changed = false;
    TRY(infer_subgraph(context, state->body, inputs, input_count, results));
    for (int i = 0; i < state->carried; i++) {
      value_info before = inputs[LOOP_CARRIED + i], *joined = &inputs[LOOP_CARRIED + i];
      TRY(loop_join(context, joined, &results[1 + i], i));
      changed |= !infos_equal(&before, joined);
    }
    if (!changed || !repeats) return NORMA_OK;
    if (round == LOOP_ROUNDS - 1) {
      loop_forget_shapes(context, inputs);
      repeats = false;
    }
  }
}

/* The number of iterations: known where nothing but the trip count decides. */
static int64_t loop_known_trips(const infer_context *context) {
  const loop_state *state = context->state;
  const norma_tensor *trips = infer_value(context, 0), *condition = infer_value(context, 1);
  if (condition && condition->type == NORMA_BOOL && norma_tensor_count(condition) == 1 &&
      element_get_int64(NORMA_BOOL, condition->data, 0) == 0) {
    return 0;
  }
  if (!trips || trips->type != NORMA_INT64 || norma_tensor_count(trips) != 1) return DIM_UNKNOWN;
  const int64_t count = tensor_get_int64(trips, 0) < 0 ? 0 : tensor_get_int64(trips, 0);
  bool decides = !infer_has_input(context, 1) || count == 0;
  if (condition && state->body->outputs[0] == state->body->inputs[LOOP_CONDITION]) decides = true;
  return decides ? count : DIM_UNKNOWN;
}

/* The element with a new axis in front. */
static norma_status loop_infer_stacked(infer_context *context, int output, int64_t trips, const value_info *element) {
  value_info stacked = {.kind = NORMA_VALUE_TENSOR, .type = element->type, .shape = shape_unknown()};
  if (element->kind > NORMA_VALUE_TENSOR) return infer_fail(context, "what becomes output %d is no tensor", output);
  if (element->kind == NORMA_VALUE_TENSOR && element->shape.rank != RANK_UNKNOWN) {
    if (element->shape.rank == NORMA_MAX_RANK) {
      return infer_fail(context, "output %d has more than %d dimensions", output, NORMA_MAX_RANK);
    }
    stacked.shape = shape_of_rank(element->shape.rank + 1);
    stacked.shape.dims[0] = trips;
    for (int i = 0; i < element->shape.rank; i++) stacked.shape.dims[i + 1] = element->shape.dims[i];
  }
  infer_output_info(context, output, &stacked);
  return NORMA_OK;
}

static norma_status loop_infer(infer_context *context) {
  const loop_state *state = context->state;
  const int64_t trips = loop_known_trips(context);
  value_info *inputs = region_array(context->region, (size_t)(LOOP_CARRIED + state->carried), sizeof *inputs);
  value_info *results = region_array(context->region, (size_t)state->body->output_count, sizeof *results);
  if (!inputs || !results) return region_error(context->region, context->error);
  TRY(loop_check_controls(context));
  loop_first_inputs(context, inputs);
  TRY(loop_infer_body(context, inputs, results));
  for (int i = 0; i < state->carried && i < context->output_count; i++) {
    /* What holds before each iteration holds for what the last one leaves as well. */
    infer_output_info(context, i, trips > 0 ? &results[1 + i] : &inputs[LOOP_CARRIED + i]);
  }
  for (int i = state->carried; i < context->output_count; i++) {
    TRY(loop_infer_stacked(context, i, trips, &results[1 + i]));
  }
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* A loop that runs. */
typedef struct loop_run {
  run_context *context;
  const loop_state *state;
  int64_t trips; /* at most */
  bool has_condition, condition;
  uint8_t condition_byte;
  int64_t iteration;
  value controls[LOOP_CARRIED]; /* iteration and condition, as the body wants them */
  const value **inputs;         /* of the body */
  value *carried;               /* what the last iteration left; NONE before the first one */
  value *results;               /* of the body */
  stack *stacks;
} loop_run;

static norma_status loop_flag(run_context *context, const value *condition, bool *flag) {
  const norma_tensor *tensor = norma_value_tensor(condition);
  if (!tensor || tensor->type != NORMA_BOOL || norma_tensor_count(tensor) != 1) {
    return run_fail(context, NORMA_ERROR_RUN, "the condition is not a single bool");
  }
  *flag = element_get_int64(NORMA_BOOL, tensor->data, 0) != 0;
  return NORMA_OK;
}

static norma_status loop_read_controls(loop_run *run) {
  run_context *context = run->context;
  run->trips = INT64_MAX;
  run->condition = true;
  run->has_condition = context->input_count > LOOP_CONDITION && context->inputs[LOOP_CONDITION];
  if (context->input_count > 0 && context->inputs[0]) {
    const norma_tensor *trips = norma_value_tensor(context->inputs[0]);
    if (!trips || trips->type != NORMA_INT64 || norma_tensor_count(trips) != 1) {
      return run_fail(context, NORMA_ERROR_RUN, "the trip count is not a single int64");
    }
    run->trips = tensor_get_int64(trips, 0);
  }
  return run->has_condition ? loop_flag(context, context->inputs[LOOP_CONDITION], &run->condition) : NORMA_OK;
}

static norma_status loop_allocate(loop_run *run) {
  static const value nothing = {.kind = NORMA_VALUE_NONE};
  const loop_state *state = run->state;
  run_context *context = run->context;
  const size_t carried = (size_t)state->carried, stacked = (size_t)state->stacked;
  void *inputs, *values, *results, *stacks;
  TRY(run_allocate_temporary(context, (LOOP_CARRIED + carried) * sizeof(value *), &inputs));
  TRY(run_allocate_temporary(context, carried * sizeof(value), &values));
  TRY(run_allocate_temporary(context, (1 + carried + stacked) * sizeof(value), &results));
  TRY(run_allocate_temporary(context, stacked * sizeof(stack), &stacks));
  run->inputs = inputs;
  run->carried = values;
  run->results = results;
  run->stacks = stacks;
  static const norma_element_type types[LOOP_CARRIED] = {NORMA_INT64, NORMA_BOOL};
  void *const data[LOOP_CARRIED] = {&run->iteration, &run->condition_byte};
  for (int i = 0; i < LOOP_CARRIED; i++) {
    run->controls[i].kind = NORMA_VALUE_TENSOR;
    norma_tensor_init(&run->controls[i].tensor, types[i], state->listed[i], (int64_t[]){1}, data[i]);
    run->inputs[i] = &run->controls[i];
  }
  for (int i = 0; i < state->carried; i++) {
    const value *given = context->inputs[LOOP_CARRIED + i];
    run->carried[i] = nothing;
    run->inputs[LOOP_CARRIED + i] = given ? given : &nothing;
  }
  for (int i = 0; i < state->stacked; i++) {
    run->stacks[i] =
        (stack){.context = context, .output = state->carried + i, .length = STACK_OPEN, .most = run->trips};
  }
  return NORMA_OK;
}

/* Whether a stacked output is among the outputs of the node at all. */
static bool loop_stacks(const loop_run *run, int i) {
  return run->state->carried + i < run->context->output_count;
}

static norma_status loop_iterate(loop_run *run) {
  const loop_state *state = run->state;
  run_context *context = run->context;
  const int count = state->body->output_count;
  TRY(run_poll(context));
  run->condition_byte = run->condition;
  TRY(run_subgraph(context, state->body, run->inputs, LOOP_CARRIED + state->carried, run->results, count));
  bool condition = true; /* ignored where the node has none */
  norma_status status = run->has_condition ? loop_flag(context, &run->results[0], &condition) : NORMA_OK;
  run->condition = condition;
  for (int i = 0; i < state->carried; i++) {
    value_clear(&run->carried[i]);
    run->carried[i] = run->results[1 + i];
    run->results[1 + i] = (value){.kind = NORMA_VALUE_NONE};
    run->inputs[LOOP_CARRIED + i] = &run->carried[i];
  }
  for (int i = 0; i < state->stacked && status == NORMA_OK; i++) {
    if (loop_stacks(run, i)) status = stack_set(&run->stacks[i], run->iteration, &run->results[1 + state->carried + i]);
  }
  for (int i = 0; i < count; i++) value_clear(&run->results[i]);
  return status;
}

/* Outputs of a loop that did not run: inference for the given inputs tells their shapes, or, where that fails, what the
 * model says. */
static norma_status loop_finish_empty(loop_run *run) {
  const loop_state *state = run->state;
  run_context *context = run->context;
  const int count = state->body->output_count;
  void *infos;
  TRY(run_allocate_temporary(context, (size_t)count * sizeof(value_info), &infos));
  value_info *results = infos;
  TRY(run_infer_subgraph(context, state->body, run->inputs, LOOP_CARRIED + state->carried, results));
  for (int i = 0; i < state->stacked; i++) {
    value_info *element = &results[1 + state->carried + i];
    if (element->type == NORMA_UNDEFINED && state->declared[i] != NORMA_UNDEFINED) {
      *element = (value_info){.kind = NORMA_VALUE_TENSOR, .type = state->declared[i], .shape = shape_unknown()};
    }
    if (loop_stacks(run, i)) TRY(stack_finish_empty(&run->stacks[i], 0, element));
  }
  return NORMA_OK;
}

static norma_status loop_finish(loop_run *run) {
  const loop_state *state = run->state;
  run_context *context = run->context;
  for (int i = 0; i < state->carried && i < context->output_count; i++) {
    if (context->outputs[i]) TRY(run_set_output(context, i, run->inputs[LOOP_CARRIED + i]));
  }
  if (run->iteration == 0) return loop_finish_empty(run);
  for (int i = 0; i < state->stacked; i++) {
    if (loop_stacks(run, i)) TRY(stack_finish(&run->stacks[i], run->iteration));
  }
  return NORMA_OK;
}

static norma_status loop_compute(run_context *context) {
  loop_run run = {.context = context, .state = context->state};
  TRY(loop_read_controls(&run));
  TRY(loop_allocate(&run));
  norma_status status = NORMA_OK;
  for (; status == NORMA_OK && run.condition && run.iteration < run.trips; run.iteration++) status = loop_iterate(&run);
  if (status == NORMA_OK) status = loop_finish(&run);
  for (int i = 0; i < run.state->carried; i++) value_clear(&run.carried[i]);
  for (int i = 0; i < run.state->stacked; i++) stack_release(&run.stacks[i]);
  return status;
}

static const operator_attribute loop_attributes[] = {
    {"body", ATTRIBUTE_GRAPH, 1, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_loop[] = {
    {
        .domain = "",
        .name = "Loop",
        .versions = {1, 11, 13, 16, 19, 21, 23, 24, 25},
        .min_inputs = 0,
        .max_inputs = OPERATOR_VARIADIC,
        .absent_inputs = INPUT(0) | INPUT(1),
        .min_outputs = 1,
        .max_outputs = OPERATOR_VARIADIC,
        .attributes = loop_attributes,
        .flags = OPERATOR_SUBGRAPHS,
        .state_size = sizeof(loop_state),
        .read = loop_read,
        .infer = loop_infer,
        .compute = loop_compute,
    },
    {0},
};
