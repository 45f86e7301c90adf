/*
 * Concat  1: attribute axis, by default 1; 4: axis is required; 11: negative axes; 13: bfloat16
 * Split   1: sizes as attribute or input; 2: attribute; 11: negative axes; 13: input; 18: num_outputs, the last part
 * may be smaller. Without sizes the parts are equal.
 *
 * Exporters wrote negative axes long before opset 11 allowed them: they are taken in every version.
 */
#include "engine/graph/query.h"
#include "ops/blocked.h"
#include "ops/movement/concat_shape.h"
#include "ops/movement/movement.h"

#define SPLIT_OPSET_OF_LISTS 13 /* where the sizes are an input */

typedef struct axis_state {
  int64_t axis;
} axis_state;

static bool axis_resolve(const axis_state *state, int rank, int *axis) {
  return axis_normalize(state->axis, rank, axis);
}

/* ----------------------------------------------------------------------------------------------------------- Concat */

static norma_status concat_read(const node *node, void *state, norma_error *error) {
  axis_state *concat = state;
  (void)error;
  concat->axis = attribute_int(node, "axis", 1);
  return NORMA_OK;
}

static norma_status concat_infer(infer_context *context) {
  const axis_state *state = context->state;
  return infer_concat(context, state->axis, 0, 1, infer_type(context, 0));
}

static norma_status concat_compute(run_context *context) {
  const axis_state *state = context->state;
  norma_tensor target;
  int axis;
  if (!context->outputs[0]) return NORMA_OK;
  TRY(movement_target(context, 0, &target));
  if (!axis_resolve(state, target.rank, &axis)) return run_fail(context, NORMA_ERROR_RUN, "axis is out of range");
  const int64_t outer = dims_product(target.dims, 0, axis), inner = dims_product(target.dims, axis + 1, target.rank);
  int64_t offset = 0;
  for (int i = 0; i < context->input_count; i++) {
    const norma_tensor *input = run_input(context, i);
    const void *source;
    const int64_t length = input->dims[axis] * inner;
    strided walk = {.rank = 2, .dims = {outer, length}};
    walk.strides[0][0] = target.dims[axis] * inner;
    walk.strides[1][0] = length;
    walk.strides[0][1] = walk.strides[1][1] = 1;
    TRY(movement_source(context, input, &source));
    const void *place = (char *)target.data + offset * (int64_t)movement_bytes(target.type);
    if (outer != 1 || source != place) TRY(movement_strided(context, &walk, &target, offset, source, 0));
    offset += length;
  }
  return movement_finish(context, 0, &target);
}

static const operator_attribute concat_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, 3, false},
    {"axis", ATTRIBUTE_INT, 4, OPERATOR_LATEST, true},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ Split */

typedef struct split_state {
  axis_state axis;
  const int64_t *sizes; /* NULL: from the input, or equal */
  size_t count;
  int64_t parts; /* num_outputs; 0: none */
} split_state;

static norma_status split_read(const node *node, void *state, norma_error *error) {
  split_state *split = state;
  split->axis.axis = attribute_int(node, "axis", 0);
  split->sizes = attribute_ints(node, "split", &split->count);
  split->parts = attribute_int(node, "num_outputs", 0);
  if (split->sizes && split->count != (size_t)node->output_count) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "split has %zu sizes for %d outputs", split->count,
                         node->output_count);
  }
  if (split->parts != 0 && split->parts != node->output_count) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "num_outputs is %lld, but there are %d outputs",
                         (long long)split->parts, node->output_count);
  }
  return NORMA_OK;
}

/* The i-th of n equal parts; the last one takes what is left. */
static int64_t equal_part(int64_t size, int parts, int index) {
  const int64_t length = size / parts + (size % parts != 0), begin = length * index;
  if (begin >= size) return 0;
  return size - begin < length ? size - begin : length;
}

static norma_status split_infer(infer_context *context) {
  const split_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  const norma_tensor *list = infer_value(context, 1);
  shape part = *input;
  int axis = -1;
  if (input->rank != RANK_UNKNOWN) {
    if (!axis_resolve(&state->axis, input->rank, &axis)) {
      return infer_fail(context, "axis %lld is outside a tensor of rank %d", (long long)state->axis.axis, input->rank);
    }
    part.dims[axis] = DIM_UNKNOWN;
  }
  const int64_t size = axis < 0 ? DIM_UNKNOWN : input->dims[axis];
  const bool has_list = state->sizes || infer_has_input(context, 1);
  if (list && (list->rank > 1 || norma_tensor_count(list) != context->output_count ||
               !(TYPE_BIT(list->type) & TYPES_NUMERIC))) {
    return infer_fail(context, "split must be a list of %d sizes", context->output_count);
  }
  if (!has_list && size != DIM_UNKNOWN && size % context->output_count != 0 && context->node->version < 18) {
    return infer_fail(context, "%lld cannot be split in %d equal parts", (long long)size, context->output_count);
  }
  int64_t total = 0;
  for (int i = 0; i < context->output_count; i++) {
    int64_t length = DIM_UNKNOWN;
    if (state->sizes || list) {
      length = state->sizes ? state->sizes[i] : tensor_get_int64(list, i);
      if (length < 0 || __builtin_add_overflow(total, length, &total)) {
        return infer_fail(context, "split has the size %lld", (long long)length);
      }
    } else if (!has_list && size != DIM_UNKNOWN) {
      length = equal_part(size, context->output_count, i);
    }
    if (axis >= 0) part.dims[axis] = length;
    infer_output(context, i, infer_type(context, 0), &part);
  }
  if ((state->sizes || list) && size != DIM_UNKNOWN && total != size) {
    return infer_fail(context, "the sizes sum up to %lld, not to %lld", (long long)total, (long long)size);
  }
  return NORMA_OK;
}

static int64_t split_length(run_context *context, int index, int64_t size) {
  const split_state *state = context->state;
  const norma_tensor *list = run_input(context, 1);
  if (state->sizes) return state->sizes[index];
  if (list) return tensor_get_int64(list, index);
  return equal_part(size, context->output_count, index);
}

static norma_status split_compute(run_context *context) {
  const split_state *state = context->state;
  const norma_tensor *input = run_input(context, 0);
  const void *source;
  int axis;
  if (!axis_resolve(&state->axis, input->rank, &axis)) {
    return run_fail(context, NORMA_ERROR_RUN, "axis is out of range");
  }
  if (run_input(context, 1) && norma_tensor_count(run_input(context, 1)) != context->output_count) {
    return run_fail(context, NORMA_ERROR_RUN, "split must be a list of %d sizes", context->output_count);
  }
  TRY(movement_source(context, input, &source));
  const int64_t outer = dims_product(input->dims, 0, axis), inner = dims_product(input->dims, axis + 1, input->rank);
  int64_t offset = 0;
  for (int i = 0; i < context->output_count; i++) {
    const int64_t length = split_length(context, i, input->dims[axis]);
    if (length < 0 || length > input->dims[axis] - offset) {
      return run_fail(context, NORMA_ERROR_RUN, "the sizes do not fit the input");
    }
    if (context->outputs[i]) {
      norma_tensor target;
      strided walk = {.rank = 2, .dims = {outer, length * inner}};
      TRY(movement_target(context, i, &target));
      if (norma_tensor_count(&target) != outer * length * inner) {
        return run_fail(context, NORMA_ERROR_RUN, "output %d does not fit its size %lld", i, (long long)length);
      }
      walk.strides[0][0] = length * inner;
      walk.strides[1][0] = input->dims[axis] * inner;
      walk.strides[0][1] = walk.strides[1][1] = 1;
      TRY(movement_strided(context, &walk, &target, 0, source, offset * inner));
      TRY(movement_finish(context, i, &target));
    }
    offset += length;
  }
  return NORMA_OK;
}

static const operator_attribute split_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"split", ATTRIBUTE_INTS, 1, 12, false},
    {"num_outputs", ATTRIBUTE_INT, 18, OPERATOR_LATEST, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

/* In blocks: parts that nobody has as blocks are reordered, constants when the model is loaded, unless they are the
 * larger part. Where all parts but the last end with a block, it is a Concat like any other; else the inner one moves
 * lanes. */
static bool concat_block_form(const node *node, block_form *form) {
  const axis_state *state = node->state;
  int64_t blocks = 0, others = 0;
  bool moves_lanes = false;
  if (!node_has_one_output(node) || !value_is_blockable(node->outputs[0])) return false;
  if (block_axis(node->outputs[0], state->axis) != 1) return false;
  for (int i = 0; i < node->input_count; i++) {
    if (!value_is_blockable(node->inputs[i])) return false;
    const int64_t channels = node->inputs[i]->info.shape.dims[1];
    if (value_blocked_copy(node->graph, node->inputs[i])) {
      blocks += channels;
    } else if (!node->inputs[i]->constant) {
      others += channels;
    }
    moves_lanes |= i + 1 < node->input_count && channels % form->block != 0;
  }
  if (blocks <= others) return false;
  for (int i = 0; i < BLOCK_MOST_USES; i++) form->uses[i] = BLOCK_MAKE;
  block_set_int(form, "axis", 1); /* a negative axis would be another one of five dimensions */
  if (!moves_lanes) return true;
  form->inner = "Concat";
  block_set_int(form, "block", form->block);
  int64_t *channels = block_set_ints(form, "channels", (size_t)node->input_count);
  for (int i = 0; channels && i < node->input_count; i++) channels[i] = node->inputs[i]->info.shape.dims[1];
  return channels != NULL;
}

/* In blocks: cuts of channels at borders of blocks. Sizes that are not stated are guessed by inference only. */
static bool split_block(const node *node, block_form *form) {
  const split_state *state = node->state;
  bool is_wanted = false;
  int64_t total = 0;
  if (node->output_count > 2 * NORMA_MAX_RANK || !value_is_blockable(node->inputs[0])) return false;
  if (block_axis(node->inputs[0], state->axis.axis) != 1) return false;
  if (!value_blocked_copy(node->graph, node->inputs[0])) return false;
  block_list *parts = block_add_list(form, 1, "split");
  if (!node_lacks_list(node, "split", 1) && !node_read_list(node, "split", 1, parts)) return false;
  parts->count = node->output_count;
  for (int i = 0; i < parts->count; i++) {
    if (!node->outputs[i] || !value_is_blockable(node->outputs[i]) || total % form->block != 0) return false;
    const int64_t channels = node->outputs[i]->info.shape.dims[1];
    parts->values[i] = (channels + form->block - 1) / form->block;
    total += channels;
    is_wanted |= value_is_wanted_in_blocks(node->outputs[i]);
  }
  form->uses[0] = BLOCK_FOLLOW;
  form->opset = SPLIT_OPSET_OF_LISTS;
  form->drops_attributes = true;
  block_set_int(form, "axis", 1);
  return is_wanted && total == node->inputs[0]->info.shape.dims[1];
}

const operator_descriptor operators_concat[] = {
    {.name = "Concat",
     .domain = "",
     .versions = {1, 4, 11, 13},
     .min_inputs = 1,
     .max_inputs = OPERATOR_VARIADIC,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_ALL, INPUT(0), OUTPUT(0)}},
     .attributes = concat_attributes,
     .flags = OPERATOR_CONCATENATES,
     .state_size = sizeof(axis_state),
     .read = concat_read,
     .infer = concat_infer,
     .facts = {.is_identity = fact_has_one_input, .block = concat_block_form, .block_types = TYPES_IN_BLOCKS},
     .compute = concat_compute},
    {.name = "Split",
     .domain = "",
     .versions = {1, 2, 11, 13, 18},
     .min_inputs = 1,
     .max_inputs = 2,
     .min_outputs = 1,
     .max_outputs = OPERATOR_VARIADIC,
     .types = {{TYPES_ALL, INPUT(0), OUTPUT(0)}, {TYPES_NUMERIC, INPUT(1), 0}},
     .attributes = split_attributes,
     .state_size = sizeof(split_state),
     .read = split_read,
     .infer = split_infer,
     .facts = {.block = split_block, .block_types = TYPES_IN_BLOCKS},
     .compute = split_compute},
    {0},
};
