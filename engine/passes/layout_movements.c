/* Operators that move elements, or look at all pixels, on channel blocks; see engine/passes/channel_layout.h. */
#include "engine/passes/channel_layout.h"

#include "ops/blocked.h"

#include <stdio.h>

#define OPSET_OF_LISTS 13 /* where the lists of Slice, Split, Pad are inputs */

/* ------------------------------------------------------------------------------------------------ lists of integers */

typedef struct list {
  int count;
  int64_t values[2 * NORMA_MAX_RANK];
} list;

/* An attribute, or input `index` where that is a constant; false where it is neither. */
static bool read_list(const node *node, const char *attribute, int index, list *list) {
  size_t count;
  const int64_t *ints = attribute_ints(node, attribute, &count);
  const norma_tensor *tensor = index > 0 ? node_constant_input(node, index) : NULL;
  if (!ints && (!tensor || !(TYPE_BIT(tensor->type) & TYPES_INTEGER))) return false;
  if (!ints) count = (size_t)norma_tensor_count(tensor);
  if (count > 2 * NORMA_MAX_RANK) return false;
  list->count = (int)count;
  for (size_t i = 0; i < count; i++) list->values[i] = ints ? ints[i] : tensor_get_int64(tensor, (int64_t)i);
  return true;
}

static bool is_absent(const node *node, const char *attribute, int index) {
  return !node_attribute(node, attribute) && (index >= node->input_count || !node->inputs[index]);
}

static norma_status set_list(layout *layout, int index, const char *stem, const list *list) {
  node *node = layout->node;
  int64_t dims[1] = {list->count};
  shape shape = shape_make(1, dims);
  value contents;
  graph_value *constant;
  TRY(value_allocate_tensor(node->graph->memory, &contents, NORMA_INT64, &shape, layout->context->error));
  memcpy(contents.tensor.data, list->values, (size_t)list->count * sizeof(int64_t));
  TRY(pass_add_constant(layout->context, node->graph, stem, &contents, &constant));
  graph_value *old = node->inputs[index];
  node_set_input(node, index, constant);
  if (old) pass_release_constant(old);
  return NORMA_OK;
}

/* The node has at least `count` inputs. */
static norma_status need_inputs(layout *layout, int count) {
  if (layout->node->input_count >= count) return NORMA_OK;
  return node_add_inputs(layout->node, count - layout->node->input_count) ? NORMA_OK : layout_out_of_memory(layout);
}

/* The node reads its lists as inputs from now on, and the twin of what it read. */
static norma_status finish_list_node(layout *layout) {
  node *node = layout->node;
  node_set_input(node, 0, layout_twin(layout, node->inputs[0]));
  if (node->opset < OPSET_OF_LISTS) node->opset = OPSET_OF_LISTS;
  TRY(pass_resolve(layout->context, node));
  return layout_give_output(layout);
}

/* ------------------------------------------------------------------------------------------------------------ Slice */

typedef struct slice_lists {
  list starts, ends, axes, steps;
} slice_lists;

/* Cuts of channels must be at borders of blocks; those of pixels, and of samples, are as they were. */
static bool read_slice(const layout *layout, slice_lists *lists) {
  const node *node = layout->node;
  int64_t channels = node->inputs[0]->info.shape.dims[1], block = layout->block;
  if (!read_list(node, "starts", 1, &lists->starts) || !read_list(node, "ends", 2, &lists->ends)) return false;
  int count = lists->axes.count = lists->steps.count = lists->starts.count;
  for (int i = 0; i < count && i < NORMA_MAX_RANK; i++) {
    lists->axes.values[i] = i;
    lists->steps.values[i] = 1;
  }
  if (!is_absent(node, "axes", 3) && !read_list(node, "axes", 3, &lists->axes)) return false;
  if (!is_absent(node, "steps", 4) && !read_list(node, "steps", 4, &lists->steps)) return false;
  if (lists->ends.count != count || lists->axes.count != count || lists->steps.count != count || count > 4)
    return false;
  for (int i = 0; i < count; i++) {
    int64_t *start = &lists->starts.values[i], *end = &lists->ends.values[i], *axis = &lists->axes.values[i];
    if (*axis < 0) *axis += 4;
    if (*axis < 0 || *axis > 3) return false;
    if (*axis != 1) continue;
    if (*start < 0) *start += channels;
    if (*end < 0) *end += channels;
    if (*end > channels) *end = channels;
    if (lists->steps.values[i] != 1 || *start < 0 || *end <= *start || *start % block != 0) return false;
    if (*end % block != 0 && *end != channels) return false;
    *start /= block;
    *end = (*end + block - 1) / block;
  }
  return true;
}

static bool slice_fits(const layout *layout) {
  slice_lists lists;
  return layout_follows_block(layout) && read_slice(layout, &lists);
}

static norma_status convert_slice(layout *layout) {
  slice_lists lists;
  read_slice(layout, &lists);
  TRY(need_inputs(layout, 5));
  layout->node->attribute_count = 0;
  TRY(set_list(layout, 1, "starts", &lists.starts));
  TRY(set_list(layout, 2, "ends", &lists.ends));
  TRY(set_list(layout, 3, "axes", &lists.axes));
  TRY(set_list(layout, 4, "steps", &lists.steps));
  return finish_list_node(layout);
}

bool layout_is_wanted(const graph_value *value) {
  for (const use *use = value->uses; use; use = use->next) {
    const node *reader = use->node;
    if (reader->output_count > 0 && reader->outputs[0] && layout_is_blockable(reader->outputs[0])) return true;
  }
  return false;
}

/* ------------------------------------------------------------------------------------------------------------ Split */

/* Cuts of channels at borders of blocks: the blocks of each part. */
static bool read_split(const layout *layout, list *parts) {
  const node *node = layout->node;
  const int64_t axis = attribute_int(node, "axis", 0);
  int64_t total = 0;
  if ((axis != 1 && axis != -3) || node->output_count > (int)(sizeof parts->values / sizeof *parts->values))
    return false;
  if (!is_absent(node, "split", 1) && !read_list(node, "split", 1, parts))
    return false; /* else inference only guesses */
  parts->count = node->output_count;
  for (int i = 0; i < parts->count; i++) {
    if (!node->outputs[i] || !layout_is_blockable(node->outputs[i])) return false;
    const int64_t channels = node->outputs[i]->info.shape.dims[1];
    if (total % layout->block != 0) return false;
    parts->values[i] = (channels + layout->block - 1) / layout->block;
    total += channels;
  }
  return total == node->inputs[0]->info.shape.dims[1];
}

static bool split_fits(const layout *layout) {
  const node *node = layout->node;
  list parts;
  bool is_wanted = false;
  if (!layout_twin(layout, node->inputs[0]) || !layout_is_blockable(node->inputs[0])) return false;
  if (!read_split(layout, &parts)) return false;
  for (int i = 0; i < node->output_count; i++) is_wanted |= layout_is_wanted(node->outputs[i]);
  return is_wanted;
}

static norma_status convert_split(layout *layout) {
  node *node = layout->node;
  list parts;
  read_split(layout, &parts);
  TRY(need_inputs(layout, 2));
  node->attribute_count = 0;
  if (!node_set_attribute_int(node, "axis", 1)) return layout_out_of_memory(layout);
  TRY(set_list(layout, 1, "split", &parts));
  return finish_list_node(layout);
}

/* -------------------------------------------------------------------------------------------------------------- Pad */

/* What is added before and behind each of five dimensions; nothing to the channels. */
static bool read_pads(const layout *layout, list *result) {
  const node *node = layout->node;
  list pads, axes = {4, {0, 1, 2, 3}};
  double number;
  const char *attribute = node->version < 2 ? "paddings" : "pads";
  if (!read_list(node, attribute, 1, &pads)) return false;
  if (node->input_count > 2 && node->inputs[2] && !node_constant_number(node, 2, &number)) return false;
  if (!is_absent(node, "axes", 3) && !read_list(node, "axes", 3, &axes)) return false;
  if (pads.count != 2 * axes.count || axes.count > 4) return false;
  *result = (list){.count = 10};
  for (int i = 0; i < axes.count; i++) {
    int64_t axis = axes.values[i] < 0 ? axes.values[i] + 4 : axes.values[i];
    if (axis < 0 || axis > 3) return false;
    result->values[axis] = pads.values[i];
    result->values[5 + axis] = pads.values[axes.count + i];
  }
  return result->values[1] == 0 && result->values[6] == 0;
}

static bool pad_fits(const layout *layout) {
  list pads;
  return layout_follows_block(layout) && read_pads(layout, &pads);
}

/* A scalar that was an attribute. */
static norma_status set_number(layout *layout, int index, float number) {
  node *node = layout->node;
  shape scalar = shape_make(0, NULL);
  value contents;
  graph_value *constant;
  TRY(value_allocate_tensor(node->graph->memory, &contents, NORMA_FLOAT, &scalar, layout->context->error));
  *(float *)contents.tensor.data = number;
  TRY(pass_add_constant(layout->context, node->graph, "value", &contents, &constant));
  node_set_input(node, index, constant);
  return NORMA_OK;
}

static norma_status convert_pad(layout *layout) {
  node *node = layout->node;
  float number = attribute_float(node, "value", 0);
  bool is_old = node->version < 11;
  list pads;
  read_pads(layout, &pads);
  TRY(need_inputs(layout, 3));
  if (node->input_count > 3 && node->inputs[3]) node_set_input(node, 3, NULL); /* all axes are listed */
  int kept = 0;
  for (int i = 0; i < node->attribute_count; i++) {
    if (strcmp(node->attributes[i].name, "mode") == 0) node->attributes[kept++] = node->attributes[i];
  }
  node->attribute_count = kept;
  TRY(set_list(layout, 1, "pads", &pads));
  if (is_old) TRY(set_number(layout, 2, number));
  return finish_list_node(layout);
}

/* ----------------------------------------------------------------------------------------------------------- Resize */

bool layout_fills_blocks(const layout *layout, int64_t channels) {
  int64_t lanes = (channels + layout->block - 1) / layout->block * layout->block;
  return 4 * channels >= 3 * lanes;
}

/* What the scales or sizes are tells inference: the channels must be known to stay. */
static bool resize_fits(const layout *layout) {
  const node *node = layout->node;
  if (!layout_follows_block(layout)) return false;
  const shape *x = &node->inputs[0]->info.shape, *y = &node->outputs[0]->info.shape;
  return x->dims[1] == y->dims[1] && layout_fills_blocks(layout, x->dims[1]) && layout_is_wanted(node->outputs[0]);
}

static norma_status convert_resize(layout *layout) {
  node *node = layout->node;
  if (!node_set_attribute_int(node, "block", layout->block) ||
      !node_set_attribute_int(node, "channels", node->inputs[0]->info.shape.dims[1]) ||
      !node_set_attribute_int(node, "version", node->version)) {
    return layout_out_of_memory(layout);
  }
  node_set_input(node, 0, layout_twin(layout, node->inputs[0]));
  TRY(layout_make_inner(layout));
  return layout_give_output(layout);
}

/* ------------------------------------------------------------------------------------------------------- ReduceMean */

/* The mean over all pixels, whose dimensions stay. */
static bool mean_fits(const layout *layout) {
  const node *node = layout->node;
  list axes;
  if (!layout_follows_block(layout) || attribute_int(node, "keepdims", 1) == 0) return false;
  if (!read_list(node, "axes", 1, &axes) || axes.count != 2) return false;
  for (int i = 0; i < 2; i++) {
    if (axes.values[i] < 0) axes.values[i] += 4;
  }
  return (axes.values[0] == 2 && axes.values[1] == 3) || (axes.values[0] == 3 && axes.values[1] == 2);
}

static norma_status convert_mean(layout *layout) {
  node *node = layout->node;
  graph *graph = node->graph;
  struct node *made = graph_insert_node(graph, node, node->name, "GlobalAveragePool", OPERATOR_INNER_DOMAIN, 1, 1, 0);
  if (!made) return layout_out_of_memory(layout);
  made->opset = 1;
  node_set_input(made, 0, layout_twin(layout, node->inputs[0]));
  const char *name = made->name;
  TRY(pass_take_over(layout->context, made, node));
  made->name = name;
  TRY(pass_resolve(layout->context, made));
  layout->node = made;
  return layout_give_output(layout);
}

/* ----------------------------------------------------------------------------------- InstanceNormalization, Softmax */

static norma_status convert_with_channels(layout *layout) {
  node *node = layout->node;
  if (!node_set_attribute_int(node, "block", layout->block) ||
      !node_set_attribute_int(node, "channels", node->inputs[0]->info.shape.dims[1])) {
    return layout_out_of_memory(layout);
  }
  node_set_input(node, 0, layout_twin(layout, node->inputs[0]));
  TRY(layout_make_inner(layout));
  return layout_give_output(layout);
}

/* Over all channels of each pixel, and worth it: in the plain layout it costs no less, but two reorders where what
 * follows computes on blocks as well. */
static bool softmax_fits(const layout *layout) {
  const node *node = layout->node;
  bool flattens = node->version < 13;
  int64_t axis = attribute_int(node, "axis", flattens ? 1 : -1);
  if (!layout_follows_block(layout) || (axis != 1 && axis != -3)) return false;
  const shape *x = &node->inputs[0]->info.shape;
  return (!flattens || (x->dims[2] == 1 && x->dims[3] == 1)) && layout_is_wanted(node->outputs[0]);
}

const layout_conversion layout_movements[] = {
    {"Slice", slice_fits, convert_slice},
    {"Split", split_fits, convert_split},
    {"Pad", pad_fits, convert_pad},
    {"Resize", resize_fits, convert_resize},
    {"Upsample", resize_fits, convert_resize},
    {"ReduceMean", mean_fits, convert_mean},
    {"InstanceNormalization", layout_follows_block, convert_with_channels},
    {"Softmax", softmax_fits, convert_with_channels},
    {"LogSoftmax", softmax_fits, convert_with_channels},
    {NULL, NULL, NULL},
};
