/*
 * Sequences of tensors: SequenceConstruct, SequenceEmpty, SequenceInsert, SequenceAt, SequenceErase, SequenceLength.
 *
 * Version 11 each. All elements have one element type; shapes may differ. Elements are shared by reference: a sequence
 * that grows by an element copies no tensor but that one, and only where its memory is not its own. A position counts
 * from the end when it is negative; what is outside is an error of the run.
 */
#include "ops/movement/join.h"
#include "ops/operator.h"

/* ----------------------------------------------------------------------------------------------------------- shared */

/* Output 0 is a sequence of elements like `item` (NULL: not known). */
static norma_status infer_sequence(infer_context *context, const value_info *item) {
  value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .shape = {.rank = RANK_UNKNOWN}};
  norma_status status = NORMA_OK;
  if (item) sequence.item = infer_new_item(context, item, &status);
  TRY(status);
  infer_output_info(context, 0, &sequence);
  return NORMA_OK;
}

/* Input 0 must be a sequence, as far as is known; *item is what is known of its elements, or NULL. */
static norma_status infer_input_sequence(infer_context *context, const value_info **item) {
  const value_info *info = infer_has_input(context, 0) ? context->inputs[0] : NULL;
  *item = NULL;
  if (!info) return infer_fail(context, "the sequence is missing");
  if (info->kind != NORMA_VALUE_NONE && info->kind != NORMA_VALUE_SEQUENCE) {
    return infer_fail(context, "input 0 is not a sequence");
  }
  *item = info->item;
  return NORMA_OK;
}

static norma_status infer_position(infer_context *context, int index) {
  norma_element_type type = infer_type(context, index);
  int64_t count = shape_count(infer_shape(context, index));
  if (type != NORMA_UNDEFINED && type != NORMA_INT32 && type != NORMA_INT64) {
    return infer_fail(context, "position is %s, not int32 or int64", norma_element_type_name(type));
  }
  if (count != DIM_UNKNOWN && count != 1) return infer_fail(context, "position has %lld elements", (long long)count);
  return NORMA_OK;
}

/* NULL: input 0 is something else, which only a run can tell where its kind was not known before. */
static const value_list *input_list(const run_context *context) {
  const value *input = context->inputs[0];
  return input && input->kind == NORMA_VALUE_SEQUENCE ? input->list : NULL;
}

static norma_status fail_without_sequence(run_context *context) {
  return run_fail(context, NORMA_ERROR_RUN, "input 0 is not a sequence");
}

/* Input `index` as a position from 0 to `last`; a negative one counts from `end`. Absent: `otherwise`. */
static norma_status run_position(run_context *context, int index, int64_t end, int64_t last, int64_t otherwise,
                                 int64_t *position) {
  int64_t given = otherwise;
  if (index < context->input_count && context->inputs[index]) {
    const norma_tensor *tensor = norma_value_tensor(context->inputs[index]);
    if (!tensor || norma_tensor_count(tensor) != 1 || !(TYPE_BIT(tensor->type) & TYPES_INTEGER)) {
      return run_fail(context, NORMA_ERROR_RUN, "position is not a single integer");
    }
    given = tensor_get_int64(tensor, 0);
  }
  *position = given < 0 && given >= -end ? given + end : given;
  if (*position < 0 || *position > last) {
    return run_fail(context, NORMA_ERROR_RUN, "position %lld is outside a sequence of %lld elements", (long long)given,
                    (long long)end);
  }
  return NORMA_OK;
}

/* Elements first .. first + count - 1 of a list become those from `target` on of output 0. */
static norma_status share_elements(run_context *context, int64_t target, const value_list *list, int64_t first,
                                   int64_t count) {
  for (int64_t i = 0; i < count; i++) TRY(run_set_element(context, 0, target + i, &list->items[first + i]));
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------ SequenceConstruct */

static norma_status sequence_construct_infer(infer_context *context) {
  value_info item = {.kind = NORMA_VALUE_TENSOR, .shape = {.rank = RANK_UNKNOWN}};
  for (int i = 0; i < context->input_count; i++) {
    if (!infer_has_input(context, i)) return infer_fail(context, "input %d is missing", i);
    if (i == 0) item.shape = *infer_shape(context, 0);
    TRY(infer_join(context, &item, context->inputs[i], "an element of the sequence"));
  }
  return infer_sequence(context, &item);
}

static norma_status sequence_construct_compute(run_context *context) {
  TRY(run_allocate_list(context, 0, NORMA_VALUE_SEQUENCE, context->input_count));
  for (int i = 0; i < context->input_count; i++) TRY(run_set_element(context, 0, i, context->inputs[i]));
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------- SequenceEmpty */

typedef struct sequence_empty_state {
  norma_element_type type;
} sequence_empty_state;

static norma_status sequence_empty_read(const node *node, void *opaque, norma_error *error) {
  sequence_empty_state *state = opaque;
  int64_t type = attribute_int(node, "dtype", NORMA_FLOAT);
  if (type < 0 || type >= NORMA_ELEMENT_TYPE_COUNT || !element_type_exists((norma_element_type)type)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "dtype %lld is no element type", (long long)type);
  }
  state->type = (norma_element_type)type;
  return NORMA_OK;
}

static norma_status sequence_empty_infer(infer_context *context) {
  const sequence_empty_state *state = context->state;
  shape any = shape_unknown();
  value_info item = value_info_tensor(state->type, &any);
  return infer_sequence(context, &item);
}

static norma_status sequence_empty_compute(run_context *context) {
  return run_allocate_list(context, 0, NORMA_VALUE_SEQUENCE, 0);
}

/* --------------------------------------------------------------------------------------------------- SequenceInsert */

static norma_status sequence_insert_infer(infer_context *context) {
  const value_info *item;
  TRY(infer_input_sequence(context, &item));
  if (!infer_has_input(context, 1)) return infer_fail(context, "the tensor to insert is missing");
  TRY(infer_position(context, 2));
  value_info joined = {.kind = NORMA_VALUE_TENSOR, .shape = {.rank = RANK_UNKNOWN}};
  if (item) joined = *item;
  TRY(infer_join(context, &joined, context->inputs[1], "an element of the sequence"));
  return infer_sequence(context, &joined);
}

static norma_status sequence_insert_compute(run_context *context) {
  const value_list *list = input_list(context);
  const norma_tensor *tensor = norma_value_tensor(context->inputs[1]);
  int64_t position;
  if (!list) return fail_without_sequence(context);
  TRY(run_position(context, 2, list->count, list->count, list->count, &position));
  if (!tensor) return run_fail(context, NORMA_ERROR_RUN, "input 1 is not a tensor");
  if (list->count > 0 && list->items[0].tensor.type != tensor->type) {
    return run_fail(context, NORMA_ERROR_RUN, "a tensor of type %s cannot go into a sequence of type %s",
                    norma_element_type_name(tensor->type), norma_element_type_name(list->items[0].tensor.type));
  }
  TRY(run_allocate_list(context, 0, NORMA_VALUE_SEQUENCE, list->count + 1));
  TRY(share_elements(context, 0, list, 0, position));
  TRY(run_set_element(context, 0, position, context->inputs[1]));
  return share_elements(context, position + 1, list, position, list->count - position);
}

/* ------------------------------------------------------------------------------------------------------- SequenceAt */

static norma_status sequence_at_infer(infer_context *context) {
  const value_info *item;
  TRY(infer_input_sequence(context, &item));
  TRY(infer_position(context, 1));
  value_info element = {.kind = NORMA_VALUE_TENSOR, .shape = {.rank = RANK_UNKNOWN}};
  if (item) element = *item;
  infer_output_info(context, 0, &element);
  return NORMA_OK;
}

static norma_status sequence_at_compute(run_context *context) {
  const value_list *list = input_list(context);
  int64_t position;
  if (!list) return fail_without_sequence(context);
  TRY(run_position(context, 1, list->count, list->count - 1, 0, &position));
  return run_set_output(context, 0, &list->items[position]);
}

/* ---------------------------------------------------------------------------------------------------- SequenceErase */

static norma_status sequence_erase_infer(infer_context *context) {
  const value_info *item;
  TRY(infer_input_sequence(context, &item));
  TRY(infer_position(context, 1));
  return infer_sequence(context, item);
}

static norma_status sequence_erase_compute(run_context *context) {
  const value_list *list = input_list(context);
  int64_t position;
  if (!list) return fail_without_sequence(context);
  TRY(run_position(context, 1, list->count, list->count - 1, list->count - 1, &position));
  TRY(run_allocate_list(context, 0, NORMA_VALUE_SEQUENCE, list->count - 1));
  TRY(share_elements(context, 0, list, 0, position));
  return share_elements(context, position, list, position + 1, list->count - 1 - position);
}

/* --------------------------------------------------------------------------------------------------- SequenceLength */

static norma_status sequence_length_infer(infer_context *context) {
  const value_info *item;
  shape scalar = shape_of_rank(0);
  TRY(infer_input_sequence(context, &item));
  infer_output(context, 0, NORMA_INT64, &scalar);
  return NORMA_OK;
}

static norma_status sequence_length_compute(run_context *context) {
  const value_list *list = input_list(context);
  if (!list) return fail_without_sequence(context);
  *(int64_t *)run_output(context, 0)->data = list->count;
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute sequence_empty_attributes[] = {
    {"dtype", ATTRIBUTE_INT, 11, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_sequence[] = {
    {
        .domain = "",
        .name = "SequenceConstruct",
        .versions = {11},
        .min_inputs = 1,
        .max_inputs = OPERATOR_VARIADIC,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_ALL, INPUT(0), 0}},
        .infer = sequence_construct_infer,
        .compute = sequence_construct_compute,
    },
    {
        .domain = "",
        .name = "SequenceEmpty",
        .versions = {11},
        .min_inputs = 0,
        .max_inputs = 0,
        .min_outputs = 1,
        .max_outputs = 1,
        .attributes = sequence_empty_attributes,
        .state_size = sizeof(sequence_empty_state),
        .read = sequence_empty_read,
        .infer = sequence_empty_infer,
        .compute = sequence_empty_compute,
    },
    {
        .domain = "",
        .name = "SequenceInsert",
        .versions = {11},
        .min_inputs = 2,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_ALL, INPUT(1), 0}},
        .infer = sequence_insert_infer,
        .compute = sequence_insert_compute,
    },
    {
        .domain = "",
        .name = "SequenceAt",
        .versions = {11},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .infer = sequence_at_infer,
        .compute = sequence_at_compute,
    },
    {
        .domain = "",
        .name = "SequenceErase",
        .versions = {11},
        .min_inputs = 1,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .infer = sequence_erase_infer,
        .compute = sequence_erase_compute,
    },
    {
        .domain = "",
        .name = "SequenceLength",
        .versions = {11},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .infer = sequence_length_infer,
        .compute = sequence_length_compute,
    },
    {0},
};
