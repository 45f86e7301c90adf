#include "ops/blocked.h"

norma_status infer_blocked_input(infer_context *context, shape *x) {
  *x = *infer_shape(context, 0);
  if (x->rank == RANK_UNKNOWN) *x = shape_of_rank(5);
  if (x->rank == 5) return NORMA_OK;
  return infer_fail(context, "its input has rank %d, expected 5 (channel blocks)", x->rank);
}

/* -------------------------------------------------------------------------------------------------------- questions */

bool value_is_blockable(const graph_value *value) {
  return value_is_of(value, TYPES_IN_BLOCKS) && (value->info.shape.rank == 3 || value->info.shape.rank == 4) &&
         value->info.shape.dims[1] > 0;
}

graph_value *value_blocked_copy(const graph *graph, const graph_value *value) {
  return value && value->blocked && value->blocked->graph == graph ? value->blocked : NULL;
}

bool value_is_wanted_in_blocks(const graph_value *value) {
  for (const use *use = value->uses; use; use = use->next) {
    const node *reader = use->node;
    if (node_has_output(reader, 0) && value_is_blockable(reader->outputs[0])) return true;
  }
  return false;
}

bool node_follows_block(const node *node) {
  return node_has_input(node, 0) && node_has_one_output(node) && value_blocked_copy(node->graph, node->inputs[0]) &&
         value_is_blockable(node->inputs[0]) && value_is_blockable(node->outputs[0]) &&
         node->inputs[0]->info.shape.rank == node->outputs[0]->info.shape.rank;
}

bool block_fills_lanes(const block_form *form, int64_t channels) {
  int64_t lanes = (channels + form->block - 1) / form->block * form->block;
  return 4 * channels >= 3 * lanes;
}

bool block_takes_window(const int64_t *kernel, size_t axes) {
  int64_t taps = 1;
  for (size_t i = 0; i < axes; i++) {
    if (kernel[i] < 0 || kernel[i] > BLOCKED_MOST_TAPS) return false;
    taps *= kernel[i];
    if (taps > BLOCKED_MOST_TAPS) return false;
  }
  return true;
}

int block_axis(const graph_value *value, int64_t axis) {
  const int rank = value->info.shape.rank;
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return -1;
  return rank == 3 && axis == 2 ? 3 : (int)axis;
}

/* ------------------------------------------------------------------------------------------------------------ forms */

void block_set_int(block_form *form, const char *name, int64_t number) {
  form->attributes[form->attribute_count++] = (block_attribute){.name = name, .kind = ATTRIBUTE_INT, .i = number};
}

int64_t *block_set_ints(block_form *form, const char *name, size_t count) {
  int64_t *ints = region_array(form->region, count, sizeof *ints);
  block_attribute *added = &form->attributes[form->attribute_count++];
  *added = (block_attribute){.name = name, .kind = ATTRIBUTE_INTS, .ints = ints, .count = count};
  return ints;
}

block_list *block_add_list(block_form *form, int input, const char *stem) {
  block_list *list = &form->lists[form->list_count++];
  *list = (block_list){.input = input, .stem = stem};
  return list;
}

bool block_set_window(block_form *form, const window_attributes *window) {
  const window_attributes *a = window;
  if (a->axes != 1) return true;
  int64_t *kernel = a->has_kernel ? block_set_ints(form, "kernel_shape", 2) : NULL;
  int64_t *strides = block_set_ints(form, "strides", 2), *dilations = block_set_ints(form, "dilations", 2);
  int64_t *pads = block_set_ints(form, "pads", 4);
  if ((a->has_kernel && !kernel) || !strides || !dilations || !pads) return false;
  if (kernel) memcpy(kernel, (int64_t[]){1, a->kernel[0]}, 2 * sizeof *kernel);
  memcpy(strides, (int64_t[]){1, a->stride[0]}, 2 * sizeof *strides);
  memcpy(dilations, (int64_t[]){1, a->dilation[0]}, 2 * sizeof *dilations);
  memcpy(pads, (int64_t[]){0, a->pad_begin[0], 0, a->pad_end[0]}, 4 * sizeof *pads);
  return true;
}

bool node_read_list(const node *node, const char *attribute, int input, block_list *list) {
  size_t count;
  const int64_t *ints = attribute_ints(node, attribute, &count);
  const norma_tensor *tensor = input > 0 ? node_constant_input(node, input) : NULL;
  if (!ints && (!tensor || !(TYPE_BIT(tensor->type) & TYPES_INTEGER))) return false;
  if (!ints) count = (size_t)norma_tensor_count(tensor);
  if (count > 2 * NORMA_MAX_RANK) return false;
  list->count = (int)count;
  for (size_t i = 0; i < count; i++) list->values[i] = ints ? ints[i] : tensor_get_int64(tensor, (int64_t)i);
  return true;
}

bool node_lacks_list(const node *node, const char *attribute, int input) {
  return !node_attribute(node, attribute) && !node_has_input(node, input);
}

bool block_as_inner(const node *node, block_form *form, const char *name) {
  form->inner = name;
  form->uses[0] = BLOCK_FOLLOW;
  block_set_int(form, "block", form->block);
  block_set_int(form, "channels", node->inputs[0]->info.shape.dims[1]);
  return true;
}
