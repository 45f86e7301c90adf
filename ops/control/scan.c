/*
 * Scan: runs a graph for each element of sequences, with states that are carried from one to the next.
 *
 *   inputs   N states, M sequences
 *   body     (N states, M elements) -> (N states, K elements)
 *   outputs  the N states as the last iteration left them; K sequences of what the iterations gave
 *
 * Version 8: inputs begin with an optional list of lengths; states and sequences have a batch in front, whose samples
 * run one after the other, and sequences run along axis 1. What lies beyond a sample's length is zero.
 * Version 9: no batches; axes and directions are given for each sequence. 11: negative axes; 16, 19, 21, 23, 24, 25:
 * more element types. States keep their types and shapes, as the definition demands.
 */
#include "ops/control/stack.h"
#include "ops/movement/movement.h"

typedef struct scan_state {
  const graph *body;
  bool batched; /* version 8 */
  int first;    /* input: the first state */
  int states, sequences, results;
  const int64_t *input_axes, *input_directions, *output_axes, *output_directions; /* NULL: all 0 */
} scan_state;

static int64_t scan_option(const int64_t *list, int index) {
  return list ? list[index] : 0;
}

/* ------------------------------------------------------------------------------------------------------------- read */

/* The list of `count` integers of `least` to `most`, or NULL. */
static norma_status scan_read_list(const node *node, const char *name, int count, int64_t least, int64_t most,
                                   const int64_t **list, norma_error *error) {
  size_t given;
  *list = attribute_ints(node, name, &given);
  if (!*list || given == 0) {
    *list = NULL;
    return NORMA_OK;
  }
  if (given != (size_t)count) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s has %zu elements, expected %d", name, given,
                         count);
  }
  for (int i = 0; i < count; i++) {
    if ((*list)[i] >= least && (*list)[i] <= most) continue;
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s holds %lld, which is not in %lld .. %lld", name,
                         (long long)(*list)[i], (long long)least, (long long)most);
  }
  return NORMA_OK;
}

static norma_status scan_read(const node *node, void *opaque, norma_error *error) {
  scan_state *state = opaque;
  const graph *body = attribute_graph(node, "body");
  const int64_t sequences = attribute_int(node, "num_scan_inputs", 0);
  if (!body) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "lacks the attribute 'body'");
  state->body = body;
  state->batched = node->version < 9;
  state->first = state->batched;
  const int given = node->input_count - state->first;
  if (sequences < 1 || sequences > given) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "num_scan_inputs is %lld, but there are %d inputs",
                         (long long)sequences, given);
  }
  state->sequences = (int)sequences;
  state->states = given - state->sequences;
  state->results = body->output_count - state->states;
  if (body->input_count != given || state->results < 0 || node->output_count > body->output_count) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "body has %d inputs and %d outputs, but the node has %d states, %d sequences and %d outputs",
                         body->input_count, body->output_count, state->states, state->sequences, node->output_count);
  }
  for (int i = state->first; i < node->input_count; i++) {
    if (!node->inputs[i]) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "input %d is absent", i);
  }
  const char *directions = state->batched ? "directions" : "scan_input_directions";
  const int least = -NORMA_MAX_RANK, most = NORMA_MAX_RANK - 1; /* readers of version 9 took negative ones, too */
  TRY(scan_read_list(node, directions, state->sequences, 0, 1, &state->input_directions, error));
  TRY(scan_read_list(node, "scan_input_axes", state->sequences, least, most, &state->input_axes, error));
  TRY(scan_read_list(node, "scan_output_axes", state->results, least, most, &state->output_axes, error));
  return scan_read_list(node, "scan_output_directions", state->results, 0, 1, &state->output_directions, error);
}

/* ------------------------------------------------------------------------------------------------------------ infer */

/* Merges one more description of a size. */
static norma_status scan_merge_size(infer_context *context, int64_t *size, int64_t more, const char *what) {
  if (*size == DIM_UNKNOWN) *size = more;
  if (more == DIM_UNKNOWN || more == *size) return NORMA_OK;
  return infer_fail(context, "inputs have a %s of %lld and of %lld", what, (long long)*size, (long long)more);
}

static void drop_dimension(shape *shape, int axis) {
  for (int i = axis; i + 1 < shape->rank; i++) shape->dims[i] = shape->dims[i + 1];
  shape->rank--;
}

static void insert_dimension(shape *shape, int axis, int64_t size) {
  for (int i = shape->rank; i > axis; i--) shape->dims[i] = shape->dims[i - 1];
  shape->dims[axis] = size;
  shape->rank++;
}

/* What the body sees of input `index`: without the batch, and of a sequence one element. */
static norma_status scan_infer_element(infer_context *context, int index, int64_t *batch, int64_t *length,
                                       value_info *element) {
  const scan_state *state = context->state;
  const int sequence = index - state->states;
  *element = *context->inputs[state->first + index];
  if (element->kind > NORMA_VALUE_TENSOR) return infer_fail(context, "input %d is no tensor", state->first + index);
  if (element->kind == NORMA_VALUE_NONE || element->shape.rank == RANK_UNKNOWN) return NORMA_OK;
  if (element->shape.rank < state->batched + (sequence >= 0)) {
    return infer_fail(context, "input %d has too few dimensions: %d", state->first + index, element->shape.rank);
  }
  if (state->batched) {
    TRY(scan_merge_size(context, batch, element->shape.dims[0], "batch"));
    drop_dimension(&element->shape, 0);
  }
  if (sequence < 0) return NORMA_OK;
  int axis;
  if (!axis_normalize(scan_option(state->input_axes, sequence), element->shape.rank, &axis)) {
    return infer_fail(context, "axis %lld is outside input %d", (long long)scan_option(state->input_axes, sequence),
                      state->first + index);
  }
  TRY(scan_merge_size(context, length, element->shape.dims[axis], "length"));
  drop_dimension(&element->shape, axis);
  return NORMA_OK;
}

static norma_status scan_infer_state(infer_context *context, int index, int64_t batch, const value_info *before,
                                     const value_info *after) {
  const scan_state *state = context->state;
  value_info result = *before;
  bool fits = after->kind <= NORMA_VALUE_TENSOR;
  if (fits && after->kind == NORMA_VALUE_TENSOR) {
    fits = before->type == NORMA_UNDEFINED || after->type == NORMA_UNDEFINED || before->type == after->type;
    if (result.kind == NORMA_VALUE_NONE) result = *after;
    if (result.type == NORMA_UNDEFINED) result.type = after->type;
    fits &= shape_merge(&result.shape, &after->shape);
  }
  if (!fits) return infer_fail(context, "the body changes type or shape of state %d", index);
  if (state->batched && result.kind == NORMA_VALUE_TENSOR && result.shape.rank != RANK_UNKNOWN) {
    if (result.shape.rank == NORMA_MAX_RANK) return infer_fail(context, "state %d has too many dimensions", index);
    insert_dimension(&result.shape, 0, batch);
  }
  infer_output_info(context, index, &result);
  return NORMA_OK;
}

static norma_status scan_infer_result(infer_context *context, int index, int64_t batch, int64_t length,
                                      const value_info *element) {
  const scan_state *state = context->state;
  const int output = state->states + index;
  value_info result = {.kind = NORMA_VALUE_TENSOR, .type = element->type, .shape = element->shape};
  if (element->kind > NORMA_VALUE_TENSOR) return infer_fail(context, "what becomes output %d is no tensor", output);
  if (element->kind == NORMA_VALUE_NONE) result.shape = shape_unknown();
  if (result.shape.rank != RANK_UNKNOWN) {
    int axis;
    if (result.shape.rank + 1 + state->batched > NORMA_MAX_RANK) {
      return infer_fail(context, "output %d has more than %d dimensions", output, NORMA_MAX_RANK);
    }
    if (!axis_normalize(scan_option(state->output_axes, index), result.shape.rank + 1, &axis)) {
      return infer_fail(context, "axis %lld is outside output %d", (long long)scan_option(state->output_axes, index),
                        output);
    }
    insert_dimension(&result.shape, axis, length);
    if (state->batched) insert_dimension(&result.shape, 0, batch);
  }
  infer_output_info(context, output, &result);
  return NORMA_OK;
}

static norma_status scan_infer(infer_context *context) {
  const scan_state *state = context->state;
  const int input_count = state->states + state->sequences;
  int64_t batch = DIM_UNKNOWN, length = DIM_UNKNOWN;
  value_info *inputs = region_array(context->region, (size_t)input_count, sizeof *inputs);
  value_info *results = region_array(context->region, (size_t)state->body->output_count, sizeof *results);
  if (!inputs || !results) return region_error(context->region, context->error);
  if (state->batched && infer_has_input(context, 0)) {
    const norma_element_type type = infer_type(context, 0);
    const shape *lengths = infer_shape(context, 0);
    if (type != NORMA_UNDEFINED && type != NORMA_INT64) return infer_fail(context, "sequence_lens is not int64");
    if (lengths->rank > 1 || lengths->rank == 0) return infer_fail(context, "sequence_lens is no list");
    if (lengths->rank == 1) batch = lengths->dims[0];
  }
  for (int i = 0; i < input_count; i++) TRY(scan_infer_element(context, i, &batch, &length, &inputs[i]));
  TRY(infer_subgraph(context, state->body, inputs, input_count, results));
  for (int i = 0; i < state->states && i < context->output_count; i++) {
    TRY(scan_infer_state(context, i, batch, &inputs[i], &results[i]));
  }
  for (int i = 0; state->states + i < context->output_count; i++) {
    TRY(scan_infer_result(context, i, batch, length, &results[state->states + i]));
  }
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* A sequence, or a state of a batch, and the element of it that the body sees. */
typedef struct scan_source {
  const char *data; /* elements, as ops/movement/movement.h presents them */
  int64_t outer, size;
  size_t inner_bytes;
  char *gathered; /* memory for an element whose parts lie apart */
  void *packed;   /* memory for an element of a packed type */
  value element;
} scan_source;

typedef struct scan_run {
  run_context *context;
  const scan_state *state;
  int64_t batch, length; /* batch 1 where there are none */
  const int64_t *lengths;
  scan_source *sources; /* states, then sequences */
  const value **inputs; /* of the body */
  value *carried;       /* what the last iteration left of the states; NONE before the first one */
  value *results;       /* of the body */
  stack *stacks;        /* by output; of states only with batches */
  bool has_run;
} scan_run;

/* Elements of input `index` along `axis`, from which on `leading` dimensions count as one. */
static norma_status scan_open_source(scan_run *run, int index, int axis, int leading) {
  run_context *context = run->context;
  scan_source *source = &run->sources[index];
  const norma_tensor *tensor = norma_value_tensor(context->inputs[run->state->first + index]);
  shape element = shape_of_tensor(tensor);
  for (int i = 0; i < leading; i++) drop_dimension(&element, axis);
  source->element.kind = NORMA_VALUE_TENSOR;
  norma_tensor_init(&source->element.tensor, tensor->type, element.rank, element.dims, NULL);
  if (leading == 0) return NORMA_OK; /* a state without batches is seen as it is */
  source->outer = dims_product(tensor->dims, 0, axis);
  source->size = dims_product(tensor->dims, axis, axis + leading);
  source->inner_bytes = (size_t)dims_product(tensor->dims, axis + leading, tensor->rank) * movement_bytes(tensor->type);
  const void *elements;
  void *block = NULL;
  TRY(movement_source(context, tensor, &elements));
  source->data = elements;
  if (source->outer > 1) {
    TRY(run_allocate_temporary(context, (size_t)source->outer * source->inner_bytes, &block));
    source->gathered = block;
  }
  if (TYPE_BIT(tensor->type) & TYPES_PACKED) {
    TRY(run_allocate_temporary(context, source->element.tensor.size_bytes, &source->packed));
  }
  return NORMA_OK;
}

/* Shows the body element `index` of input `input`. */
static norma_status scan_select(scan_run *run, int input, int64_t index) {
  scan_source *source = &run->sources[input];
  const char *data = source->data + (size_t)index * source->inner_bytes;
  norma_tensor *tensor = &source->element.tensor;
  for (int64_t o = 0; source->gathered && source->inner_bytes && o < source->outer; o++) {
    memcpy(source->gathered + (size_t)o * source->inner_bytes, data + (size_t)(o * source->size) * source->inner_bytes,
           source->inner_bytes);
  }
  if (source->gathered) data = source->gathered;
  if (source->packed) {
    TRY(movement_pack(run->context, tensor->type, source->packed, (const uint8_t *)data, norma_tensor_count(tensor)));
    data = source->packed;
  }
  tensor->data = tensor_read_only(data);
  run->inputs[input] = &source->element;
  return NORMA_OK;
}

static norma_status scan_check_lengths(scan_run *run) {
  run_context *context = run->context;
  const norma_tensor *lengths = run->state->batched ? run_input(context, 0) : NULL;
  if (!lengths) return NORMA_OK;
  run->lengths = lengths->data;
  for (int64_t i = 0; i < run->batch; i++) {
    if (run->lengths[i] >= 0 && run->lengths[i] <= run->length) continue;
    return run_fail(context, NORMA_ERROR_RUN, "sequence_lens holds %lld, but sequences have %lld elements",
                    (long long)run->lengths[i], (long long)run->length);
  }
  return NORMA_OK;
}

/* All inputs must be there as inference wants them: it is asked again, now that all shapes are known. */
static norma_status scan_check_inputs(scan_run *run) {
  const scan_state *state = run->state;
  run_context *context = run->context;
  const int input_count = state->states + state->sequences;
  const value_info **pointers;
  value_info *infos;
  void *block, *pointer_block;
  TRY(run_allocate_temporary(context, (size_t)context->input_count * sizeof *infos, &block));
  TRY(run_allocate_temporary(context, (size_t)context->input_count * sizeof *pointers, &pointer_block));
  infos = block;
  pointers = pointer_block;
  for (int i = 0; i < context->input_count; i++) {
    pointers[i] = context->inputs[i] ? &infos[i] : NULL;
    if (!context->inputs[i]) continue;
    infos[i] = value_info_of(context->inputs[i]);
    if (infos[i].kind != NORMA_VALUE_TENSOR) return run_fail(context, NORMA_ERROR_RUN, "input %d is no tensor", i);
  }
  infer_context infer = {.node = context->node,
                         .state = state,
                         .input_count = context->input_count,
                         .inputs = pointers,
                         .failure = NORMA_ERROR_RUN,
                         .error = context->error};
  run->batch = run->length = DIM_UNKNOWN;
  if (state->batched && context->inputs[0]) {
    if (infos[0].type != NORMA_INT64 || infos[0].shape.rank != 1) {
      return run_fail(context, NORMA_ERROR_RUN, "sequence_lens is no list of int64");
    }
    run->batch = infos[0].shape.dims[0];
  }
  for (int i = 0; i < input_count; i++) {
    value_info element;
    TRY(scan_infer_element(&infer, i, &run->batch, &run->length, &element));
  }
  if (!state->batched) run->batch = 1;
  return scan_check_lengths(run);
}

static norma_status scan_allocate(scan_run *run) {
  const scan_state *state = run->state;
  run_context *context = run->context;
  const size_t inputs = (size_t)(state->states + state->sequences), outputs = (size_t)state->body->output_count;
  void *sources, *pointers, *carried, *results, *stacks;
  TRY(run_allocate_temporary(context, inputs * sizeof(scan_source), &sources));
  TRY(run_allocate_temporary(context, inputs * sizeof(value *), &pointers));
  TRY(run_allocate_temporary(context, (size_t)state->states * sizeof(value), &carried));
  TRY(run_allocate_temporary(context, outputs * sizeof(value), &results));
  TRY(run_allocate_temporary(context, outputs * sizeof(stack), &stacks));
  run->sources = memset(sources, 0, inputs * sizeof(scan_source));
  run->inputs = pointers;
  run->carried = memset(carried, 0, (size_t)state->states * sizeof(value));
  run->results = results;
  run->stacks = stacks;
  for (int i = 0; i < state->body->output_count; i++) {
    const int result = i - state->states;
    run->stacks[i] = (stack){.context = context, .output = i, .length = run->batch};
    if (result < 0) continue;
    run->stacks[i].length = run->length;
    run->stacks[i].axis = (int)scan_option(state->output_axes, result);
    run->stacks[i].batched = state->batched;
    run->stacks[i].batches = run->batch;
  }
  return NORMA_OK;
}

static norma_status scan_open_sources(scan_run *run) {
  const scan_state *state = run->state;
  for (int i = 0; i < state->states; i++) TRY(scan_open_source(run, i, 0, state->batched));
  for (int i = 0; i < state->sequences; i++) {
    const norma_tensor *tensor = &run->context->inputs[state->first + state->states + i]->tensor;
    int axis = 0; /* inside, as inference has seen */
    if (!state->batched) axis_normalize(scan_option(state->input_axes, i), tensor->rank, &axis);
    TRY(scan_open_source(run, state->states + i, axis, 1 + state->batched));
  }
  return NORMA_OK;
}

static bool scan_has_output(const scan_run *run, int output) {
  return output < run->context->output_count;
}

/* Takes over the states that an iteration gave. */
static norma_status scan_carry(scan_run *run) {
  for (int i = 0; i < run->state->states; i++) {
    const norma_tensor *first = &run->sources[i].element.tensor, *tensor = norma_value_tensor(&run->results[i]);
    bool fits = tensor && tensor->type == first->type && tensor->rank == first->rank;
    for (int d = 0; fits && d < first->rank; d++) fits = tensor->dims[d] == first->dims[d];
    if (!fits) {
      return run_fail(run->context, NORMA_ERROR_RUN, "the body changes type or shape of state %d", i);
    }
    value_clear(&run->carried[i]);
    run->carried[i] = run->results[i];
    run->results[i] = (value){.kind = NORMA_VALUE_NONE};
    run->inputs[i] = &run->carried[i];
  }
  return NORMA_OK;
}

static norma_status scan_step(scan_run *run, int64_t sample, int64_t step, int64_t length) {
  const scan_state *state = run->state;
  run_context *context = run->context;
  const int count = state->body->output_count;
  TRY(run_poll(context));
  for (int i = 0; i < state->sequences; i++) {
    const int64_t at = scan_option(state->input_directions, i) ? length - 1 - step : step;
    TRY(scan_select(run, state->states + i, sample * run->length + at));
  }
  TRY(run_subgraph(context, state->body, run->inputs, state->states + state->sequences, run->results, count));
  run->has_run = true;
  norma_status status = scan_carry(run);
  for (int i = 0; i < state->results && status == NORMA_OK; i++) {
    const int output = state->states + i;
    const int64_t at = scan_option(state->output_directions, i) ? length - 1 - step : step;
    if (!scan_has_output(run, output)) continue;
    status = stack_set(&run->stacks[output], sample * run->length + at, &run->results[output]);
  }
  for (int i = 0; i < count; i++) value_clear(&run->results[i]);
  return status;
}

static norma_status scan_sample(scan_run *run, int64_t sample) {
  const scan_state *state = run->state;
  run_context *context = run->context;
  const int64_t length = run->lengths ? run->lengths[sample] : run->length;
  for (int i = 0; i < state->states; i++) {
    run->inputs[i] = context->inputs[state->first + i];
    if (state->batched) TRY(scan_select(run, i, sample));
  }
  for (int64_t t = 0; t < length; t++) TRY(scan_step(run, sample, t, length));
  for (int i = 0; i < state->states && scan_has_output(run, i); i++) {
    if (state->batched) {
      TRY(stack_set(&run->stacks[i], sample, run->inputs[i]));
    } else if (context->outputs[i]) {
      TRY(run_set_output(context, i, run->inputs[i]));
    }
  }
  return NORMA_OK;
}

static norma_status scan_finish(scan_run *run) {
  const scan_state *state = run->state;
  run_context *context = run->context;
  const int input_count = state->states + state->sequences;
  void *block;
  TRY(run_allocate_temporary(context, (size_t)state->body->output_count * sizeof(value_info), &block));
  value_info *infos = block;
  if (!run->has_run) {
    for (int i = 0; i < input_count; i++) run->inputs[i] = &run->sources[i].element;
    TRY(run_infer_subgraph(context, state->body, run->inputs, input_count, infos));
  }
  for (int i = 0; i < state->states && state->batched && scan_has_output(run, i); i++) {
    const value_info info = value_info_of(&run->sources[i].element);
    TRY(run->batch > 0 ? stack_finish(&run->stacks[i], run->batch) : stack_finish_empty(&run->stacks[i], 0, &info));
  }
  for (int i = state->states; i < state->body->output_count && scan_has_output(run, i); i++) {
    if (run->has_run) {
      TRY(stack_finish(&run->stacks[i], run->length));
    } else {
      TRY(stack_finish_empty(&run->stacks[i], run->length, &infos[i]));
    }
  }
  return NORMA_OK;
}

static norma_status scan_compute(run_context *context) {
  scan_run run = {.context = context, .state = context->state};
  TRY(scan_check_inputs(&run));
  TRY(scan_allocate(&run));
  norma_status status = scan_open_sources(&run);
  for (int64_t i = 0; i < run.batch && status == NORMA_OK; i++) status = scan_sample(&run, i);
  if (status == NORMA_OK) status = scan_finish(&run);
  for (int i = 0; i < run.state->states; i++) value_clear(&run.carried[i]);
  for (int i = 0; i < run.state->body->output_count; i++) stack_release(&run.stacks[i]);
  return status;
}

static const operator_attribute scan_attributes[] = {
    {"body", ATTRIBUTE_GRAPH, 8, OPERATOR_LATEST, true},
    {"num_scan_inputs", ATTRIBUTE_INT, 8, OPERATOR_LATEST, true},
    {"directions", ATTRIBUTE_INTS, 8, 8, false},
    {"scan_input_axes", ATTRIBUTE_INTS, 9, OPERATOR_LATEST, false},
    {"scan_input_directions", ATTRIBUTE_INTS, 9, OPERATOR_LATEST, false},
    {"scan_output_axes", ATTRIBUTE_INTS, 9, OPERATOR_LATEST, false},
    {"scan_output_directions", ATTRIBUTE_INTS, 9, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_scan[] = {
    {
        .domain = "",
        .name = "Scan",
        .versions = {8, 9, 11, 16, 19, 21, 23, 24, 25},
        .min_inputs = 1,
        .max_inputs = OPERATOR_VARIADIC,
        .absent_inputs = INPUT(0),
        .min_outputs = 1,
        .max_outputs = OPERATOR_VARIADIC,
        .attributes = scan_attributes,
        .flags = OPERATOR_SUBGRAPHS,
        .state_size = sizeof(scan_state),
        .read = scan_read,
        .infer = scan_infer,
        .compute = scan_compute,
    },
    {0},
};
