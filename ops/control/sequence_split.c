/*
 * From a tensor to a sequence of its parts, and back.
 *
 * SplitToSequence     11; 24: bfloat16. Parts along `axis`, whose sizes are in the input `split`: a scalar for all (the
 * last may be smaller), or one each. Without it they have size 1, and keepdims = 0 drops the axis.
 * ConcatFromSequence  11. Joins along `axis`, which new_axis = 1 inserts first.
 */
#include "ops/movement/join.h"
#include "ops/operator.h"

#define TYPES_IN_SEQUENCES (TYPES_FIXED_SIZE | TYPE_BIT(NORMA_STRING))

typedef struct sequence_axis_state {
  int64_t axis;
  bool keep_axis; /* SplitToSequence */
  bool new_axis;  /* ConcatFromSequence */
} sequence_axis_state;

static norma_status sequence_axis_read(const node *node, void *opaque, norma_error *error) {
  sequence_axis_state *state = opaque;
  int64_t new_axis = attribute_int(node, "new_axis", 0);
  if (new_axis != 0 && new_axis != 1) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "new_axis is %lld, which is neither 0 nor 1",
                         (long long)new_axis);
  }
  state->axis = attribute_int(node, "axis", 0);
  state->keep_axis = attribute_int(node, "keepdims", 1) != 0;
  state->new_axis = new_axis == 1;
  return NORMA_OK;
}

/* Rows of a tensor seen as outer x size x inner around an axis; bytes of one element. */
typedef struct split_layout {
  int64_t outer, size, inner;
  size_t element_bytes;
} split_layout;

/* Copies `count` of layout->size slices from `begin` on to or from packed memory. */
static void copy_slices(const split_layout *layout, char *whole, char *part, int64_t begin, int64_t count,
                        bool to_part) {
  size_t inner = (size_t)layout->inner * layout->element_bytes, bytes = inner * (size_t)count;
  if (bytes == 0) return;
  for (int64_t o = 0; o < layout->outer; o++) {
    char *slices = whole + (size_t)(o * layout->size + begin) * inner;
    if (to_part)
      memcpy(part, slices, bytes);
    else
      memcpy(slices, part, bytes);
    part += bytes;
  }
}

/* -------------------------------------------------------------------------------------------------- SplitToSequence */

static norma_status split_to_sequence_infer(infer_context *context) {
  const sequence_axis_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  shape part = *input;
  norma_status status;
  if (input->rank != RANK_UNKNOWN) {
    int axis;
    if (!axis_normalize(state->axis, input->rank, &axis)) {
      return infer_fail(context, "axis %lld is outside a tensor of rank %d", (long long)state->axis, input->rank);
    }
    bool drops = !state->keep_axis && !infer_has_input(context, 1);
    part.dims[axis] = infer_has_input(context, 1) ? DIM_UNKNOWN : 1;
    for (int i = axis; drops && i + 1 < input->rank; i++) part.dims[i] = input->dims[i + 1];
    part.rank -= drops;
  }
  if (infer_shape(context, 1)->rank > 1) return infer_fail(context, "split is neither a scalar nor a list");
  value_info item = value_info_tensor(infer_type(context, 0), &part);
  value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .shape = {.rank = RANK_UNKNOWN}};
  sequence.item = infer_new_item(context, &item, &status);
  TRY(status);
  infer_output_info(context, 0, &sequence);
  return NORMA_OK;
}

/* Checks the sizes of the parts and counts them. */
static norma_status split_count(run_context *context, const norma_tensor *split, int64_t size, int64_t *count) {
  int64_t sum = 0;
  if (!split) {
    *count = size;
    return NORMA_OK;
  }
  *count = norma_tensor_count(split);
  if (split->rank > 1 || (split->type != NORMA_INT32 && split->type != NORMA_INT64)) {
    return run_fail(context, NORMA_ERROR_RUN, "split is neither a scalar nor a list of integers");
  }
  if (split->rank == 0) {
    int64_t length = tensor_get_int64(split, 0);
    if (length <= 0) return run_fail(context, NORMA_ERROR_RUN, "split is %lld", (long long)length);
    *count = size / length + (size % length != 0);
    return NORMA_OK;
  }
  for (int64_t i = 0; i < *count; i++) {
    int64_t length = tensor_get_int64(split, i);
    if (length < 0 || length > size - sum) {
      return run_fail(context, NORMA_ERROR_RUN, "split has size %lld, but the axis has %lld", (long long)length,
                      (long long)size);
    }
    sum += length;
  }
  if (sum == size) return NORMA_OK;
  return run_fail(context, NORMA_ERROR_RUN, "the sizes in split sum up to %lld, but the axis has %lld", (long long)sum,
                  (long long)size);
}

static int64_t sequence_split_length(const norma_tensor *split, int64_t index, int64_t left) {
  int64_t length = split ? tensor_get_int64(split, split->rank == 0 ? 0 : index) : 1;
  return length < left ? length : left;
}

static norma_status split_to_sequence_compute(run_context *context) {
  const sequence_axis_state *state = context->state;
  const norma_tensor *input = norma_value_tensor(context->inputs[0]);
  const norma_tensor *split = run_input(context, 1);
  int axis;
  if (!input || !axis_normalize(state->axis, input->rank, &axis)) {
    return run_fail(context, NORMA_ERROR_RUN, "axis %lld does not exist", (long long)state->axis);
  }
  split_layout layout = {.outer = dims_product(input->dims, 0, axis),
                         .size = input->dims[axis],
                         .inner = dims_product(input->dims, axis + 1, input->rank),
                         .element_bytes = element_type_bytes(input->type)};
  if (layout.element_bytes == 0) return run_fail(context, NORMA_ERROR_RUN, "packed elements cannot be split");
  int64_t count, begin = 0;
  TRY(split_count(context, split, layout.size, &count));
  void *block; /* a part; it is copied into its element */
  TRY(run_allocate_temporary(context, input->size_bytes, &block));
  TRY(run_allocate_list(context, 0, NORMA_VALUE_SEQUENCE, count));
  for (int64_t i = 0; i < count; i++) {
    int64_t length = sequence_split_length(split, i, layout.size - begin);
    bool drops = !split && !state->keep_axis;
    shape dims = shape_of_tensor(input);
    dims.dims[axis] = length;
    for (int d = axis; drops && d + 1 < dims.rank; d++) dims.dims[d] = dims.dims[d + 1];
    dims.rank -= drops;
    value part = {.kind = NORMA_VALUE_TENSOR};
    norma_tensor_init(&part.tensor, input->type, dims.rank, dims.dims, block);
    copy_slices(&layout, input->data, block, begin, length, true);
    TRY(run_set_element(context, 0, i, &part));
    begin += length;
  }
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------- ConcatFromSequence */

static norma_status concat_from_sequence_infer(infer_context *context) {
  const sequence_axis_state *state = context->state;
  const value_info *sequence = infer_has_input(context, 0) ? context->inputs[0] : NULL;
  value_info result = {.kind = NORMA_VALUE_TENSOR, .shape = {.rank = RANK_UNKNOWN}};
  if (!sequence || (sequence->kind != NORMA_VALUE_SEQUENCE && sequence->kind != NORMA_VALUE_NONE)) {
    return infer_fail(context, "input 0 is not a sequence");
  }
  if (sequence->item) result.type = sequence->item->type;
  if (sequence->item && sequence->item->shape.rank != RANK_UNKNOWN) {
    const shape *item = &sequence->item->shape;
    int axis, rank = item->rank + state->new_axis;
    if (rank > NORMA_MAX_RANK || !axis_normalize(state->axis, rank, &axis)) {
      return infer_fail(context, "axis %lld is outside a tensor of rank %d", (long long)state->axis, rank);
    }
    result.shape = shape_of_rank(rank);
    for (int i = 0; i < item->rank; i++) result.shape.dims[i + (state->new_axis && i >= axis)] = item->dims[i];
    result.shape.dims[axis] = DIM_UNKNOWN;
  }
  infer_output_info(context, 0, &result);
  return NORMA_OK;
}

/* The shape of an element as it is joined: with the new axis, if there is one. */
static shape joined_shape(const norma_tensor *tensor, bool new_axis, int axis) {
  shape result = shape_of_tensor(tensor);
  if (!new_axis) return result;
  for (int i = result.rank; i > axis; i--) result.dims[i] = result.dims[i - 1];
  result.dims[axis] = 1;
  result.rank++;
  return result;
}

/* Shape of the result; elements must agree in type, rank and all other dimensions. */
static norma_status concat_shape(run_context *context, const value_list *list, int *axis, shape *result) {
  const sequence_axis_state *state = context->state;
  const norma_tensor *first = &list->items[0].tensor;
  int rank = first->rank + state->new_axis;
  int64_t total = 0;
  if (rank > NORMA_MAX_RANK || !axis_normalize(state->axis, rank, axis)) {
    return run_fail(context, NORMA_ERROR_RUN, "axis %lld is outside a tensor of rank %d", (long long)state->axis, rank);
  }
  *result = joined_shape(first, state->new_axis, *axis);
  for (int64_t i = 0; i < list->count; i++) {
    const norma_tensor *item = &list->items[i].tensor;
    bool fits = item->rank == first->rank && item->type == first->type;
    shape part = joined_shape(item, fits && state->new_axis, *axis);
    if (fits && __builtin_add_overflow(total, part.dims[*axis], &total)) fits = false;
    if (fits) part.dims[*axis] = result->dims[*axis];
    if (!fits || !shape_equal(&part, result)) {
      char text[200], other[200];
      shape found = shape_of_tensor(item), wanted = shape_of_tensor(first);
      return run_fail(context, NORMA_ERROR_RUN, "element %lld (%s %s) does not fit the first (%s %s)", (long long)i,
                      norma_element_type_name(item->type), shape_text(&found, text, sizeof text),
                      norma_element_type_name(first->type), shape_text(&wanted, other, sizeof other));
    }
  }
  result->dims[*axis] = total;
  return NORMA_OK;
}

static size_t list_characters(const value_list *list) {
  size_t bytes = 0;
  for (int64_t i = 0; i < list->count; i++) {
    const norma_tensor *item = &list->items[i].tensor;
    const norma_string *strings = item->data;
    for (int64_t s = 0; s < norma_tensor_count(item); s++) bytes += strings[s].size;
  }
  return bytes;
}

static norma_status concat_from_sequence_compute(run_context *context) {
  const value *input = context->inputs[0];
  const value_list *list = input && input->kind == NORMA_VALUE_SEQUENCE ? input->list : NULL;
  char *characters = NULL;
  norma_tensor *y;
  shape result;
  int axis;
  if (!list || list->count == 0) return run_fail(context, NORMA_ERROR_RUN, "there is nothing to join");
  norma_element_type type = list->items[0].tensor.type;
  if (!(TYPE_BIT(type) & TYPES_IN_SEQUENCES)) {
    return run_fail(context, NORMA_ERROR_RUN, "elements of type %s cannot be joined", norma_element_type_name(type));
  }
  TRY(concat_shape(context, list, &axis, &result));
  if (type == NORMA_STRING) {
    TRY(run_allocate_strings(context, 0, &result, list_characters(list), &characters, &y));
  } else {
    TRY(run_allocate_output(context, 0, type, &result, &y));
  }
  split_layout layout = {.outer = dims_product(result.dims, 0, axis),
                         .size = result.dims[axis],
                         .inner = dims_product(result.dims, axis + 1, result.rank),
                         .element_bytes = element_type_bytes(type)};
  int64_t begin = 0;
  for (int64_t i = 0; i < list->count; i++) {
    const norma_tensor *item = &list->items[i].tensor;
    int64_t length = ((const sequence_axis_state *)context->state)->new_axis ? 1 : item->dims[axis];
    copy_slices(&layout, y->data, item->data, begin, length, false);
    begin += length;
  }
  norma_string *strings = y->data;
  for (int64_t i = 0; characters && i < norma_tensor_count(y); i++) {
    if (strings[i].size) memcpy(characters, strings[i].data, strings[i].size);
    strings[i].data = characters;
    characters += strings[i].size;
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute split_to_sequence_attributes[] = {
    {"axis", ATTRIBUTE_INT, 11, OPERATOR_LATEST, false},
    {"keepdims", ATTRIBUTE_INT, 11, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute concat_from_sequence_attributes[] = {
    {"axis", ATTRIBUTE_INT, 11, OPERATOR_LATEST, true},
    {"new_axis", ATTRIBUTE_INT, 11, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_sequence_split[] = {
    {
        .domain = "",
        .name = "SplitToSequence",
        .versions = {11, 24},
        .min_inputs = 1,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_IN_SEQUENCES, INPUT(0), 0}, {TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(1), 0}},
        .attributes = split_to_sequence_attributes,
        .state_size = sizeof(sequence_axis_state),
        .read = sequence_axis_read,
        .infer = split_to_sequence_infer,
        .compute = split_to_sequence_compute,
    },
    {
        .domain = "",
        .name = "ConcatFromSequence",
        .versions = {11},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_IN_SEQUENCES, 0, OUTPUT(0)}},
        .attributes = concat_from_sequence_attributes,
        .state_size = sizeof(sequence_axis_state),
        .read = sequence_axis_read,
        .infer = concat_from_sequence_infer,
        .compute = concat_from_sequence_compute,
    },
    {0},
};
