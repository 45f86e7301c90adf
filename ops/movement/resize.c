/*
 * Resize    10: input scales; 11: roi, sizes, coordinate_transformation_mode and other attributes; 13: bfloat16;
 *           18: axes, antialias, keep_aspect_ratio_policy; 19: half_pixel_symmetric
 * Upsample  1: attributes height_scale and width_scale; 7: scales; 9: input scales. Deprecated from opset 10 on, where
 *           nodes of version 9 still run
 *
 * Upsample and Resize 10 have asymmetric coordinates and round down. Sizes from scales are floor(size * scale) in
 * float, as ONNX's own shape inference computes them. float16 and bfloat16 are interpolated in float, other types in
 * double and rounded; weights are float. Nearest neighbours exist for every type.
 *
 * The coordinates of nearest neighbours are computed in float, as onnxruntime does, since a scale is float and the last
 * bit decides which pixel is taken: x / scale with scale = output / input where sizes are given. What lies within 1e-6
 * of the middle of two pixels counts as the middle. PyTorch and TensorFlow multiply with the inverse, which for some
 * scales rounds to the other pixel; where they agree with onnxruntime, this operator agrees. With scales, align_corners
 * counts a fractional output size, as ONNX's own vectors do. Scales and sizes together are an error.
 */
#include "engine/graph/query.h"
#include "ops/axes.h"
#include "ops/blocked.h"
#include "ops/movement/movement.h"
#include "ops/movement/resize.h"

#include <math.h>

typedef struct resize_state {
  resize_rules rules;
  const float *scales; /* of Upsample 7; with one of 1 in `pair` */
  size_t scale_count;
  float pair[4];
  int scales_input, sizes_input, roi_input; /* -1: none */
  bool has_axes;
  integers axes;
  enum { ASPECT_STRETCH, ASPECT_NOT_LARGER, ASPECT_NOT_SMALLER } aspect;
  int64_t block, channels; /* of X in channel blocks (ops/blocked.h); block 0: plain */
  size_t reserved;         /* bytes of scratch */
} resize_state;

/* Index of the attribute's text in a list, -1 when it is not there. */
static int choose(const node *node, const char *name, const char *otherwise, const char *const *names, int count) {
  const char *text = attribute_string(node, name, otherwise);
  for (int i = 0; i < count; i++) {
    if (strcmp(names[i], text) == 0) return i;
  }
  return -1;
}

static norma_status resize_read(const node *node, void *opaque, norma_error *error) {
  static const char *const modes[] = {"nearest", "linear", "cubic", "bilinear"};
  static const char *const coordinates[COORDINATES_COUNT] = {
      "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
      "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"};
  static const char *const roundings[ROUNDING_COUNT] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
  static const char *const aspects[] = {"stretch", "not_larger", "not_smaller"};
  resize_state *state = opaque;
  const int64_t version = attribute_int(node, "version", node->version);
  const bool old = strcmp(node->op->name, "Upsample") == 0 || version < 11;
  const int mode = choose(node, "mode", "nearest", modes, 4);
  const int transformation =
      choose(node, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel", coordinates, COORDINATES_COUNT);
  const int rounding = choose(node, "nearest_mode", old ? "floor" : "round_prefer_floor", roundings, ROUNDING_COUNT);
  const int aspect = choose(node, "keep_aspect_ratio_policy", "stretch", aspects, 3);
  if (mode < 0 || transformation < 0 || rounding < 0 || aspect < 0) {
    return error_at_node(
        error, NORMA_ERROR_INVALID_MODEL, node,
        "one of mode, coordinate_transformation_mode, nearest_mode and keep_aspect_ratio_policy has an "
        "unknown value");
  }
  state->rules.mode = mode == 3 ? RESIZE_LINEAR : (enum resize_mode)mode;
  state->rules.coordinates = (enum resize_coordinates)transformation;
  state->rules.rounding = (enum resize_rounding)rounding;
  state->rules.antialias = attribute_int(node, "antialias", 0) != 0;
  state->rules.exclude_outside = attribute_int(node, "exclude_outside", 0) != 0;
  state->rules.cubic_a = (double)attribute_float(node, "cubic_coeff_a", -0.75f);
  state->rules.extrapolation = (double)attribute_float(node, "extrapolation_value", 0);
  state->aspect = aspect;
  state->has_axes = node_attribute(node, "axes") != NULL;
  if (!integers_from_attribute(node, "axes", &state->axes)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "more than %d axes", NORMA_MAX_RANK);
  }
  state->block = attribute_int(node, "block", 0);
  state->channels = attribute_int(node, "channels", 0);
  const bool is_inner = state->block > 0; /* whose own version is 1 */
  if (!is_inner && strcmp(node->op->name, "Upsample") == 0) TRY(read_inputs_since(node, 1, 9, error));
  if (!is_inner) TRY(read_inputs_since(node, 2, 11, error));
  state->scales_input = state->sizes_input = state->roi_input = -1;
  if (strcmp(node->op->name, "Upsample") == 0 && version < 9) {
    state->scales = attribute_floats(node, "scales", &state->scale_count);
    if (version < 7) {
      state->pair[0] = state->pair[1] = 1;
      state->pair[2] = attribute_float(node, "height_scale", 1);
      state->pair[3] = attribute_float(node, "width_scale", 1);
      state->scale_count = 4;
    }
  } else if (old) {
    state->scales_input = 1;
  } else {
    state->roi_input = 1;
    state->scales_input = 2;
    state->sizes_input = 3;
  }
  return NORMA_OK;
}

/* --------------------------------------------------------------------------------------------------------- geometry */

/* The tensors that say how to resize; NULL where absent, empty or not known. */
typedef struct resize_inputs {
  const norma_tensor *scales, *sizes, *roi;
} resize_inputs;

static int64_t round_half_up(double x) {
  return x < 0x1p62 ? (int64_t)floor(x + 0.5) : INT64_MAX;
}

/* Scales and output sizes of all dimensions; input sizes must be known. NULL, or what is wrong. */
static const char *resize_resolve(const resize_state *state, const resize_inputs *inputs, const shape *input,
                                  resize_axis *axes) {
  integers chosen = state->axes;
  const float *scales = state->scales ? state->scales : state->pair;
  const int rank = input->rank;
  if (!state->has_axes) {
    chosen.count = rank;
    for (int i = 0; i < rank; i++) chosen.values[i] = i;
  }
  if (!axes_normalize(&chosen, rank)) return "an axis is outside the input's rank, or comes twice";
  for (int i = 0; i < rank; i++) {
    axes[i] = (resize_axis){
        .input = input->dims[i], .output = input->dims[i], .scale = 1, .width = (double)input->dims[i], .roi_end = 1};
  }
  if (inputs->roi && state->rules.coordinates == COORDINATES_CROP_AND_RESIZE) {
    if (norma_tensor_count(inputs->roi) != 2 * chosen.count) return "roi does not have two entries for each axis";
    for (int i = 0; i < chosen.count; i++) {
      resize_axis *axis = &axes[chosen.values[i]];
      axis->roi_start = element_get_double(inputs->roi->type, inputs->roi->data, i);
      axis->roi_end = element_get_double(inputs->roi->type, inputs->roi->data, chosen.count + i);
    }
  }
  const int64_t given = inputs->sizes    ? norma_tensor_count(inputs->sizes)
                        : inputs->scales ? norma_tensor_count(inputs->scales)
                                         : (int64_t)state->scale_count;
  if (given != chosen.count) return "scales or sizes do not have one entry for each axis";
  double common = 0;
  for (int i = 0; i < chosen.count; i++) {
    resize_axis *axis = &axes[chosen.values[i]];
    if (inputs->sizes) {
      axis->output = tensor_get_int64(inputs->sizes, i);
      if (axis->output < 0) return "a size is negative";
      if (axis->input == 0 && axis->output > 0) return "a dimension without elements cannot be enlarged";
      axis->scale = axis->input == 0 ? 1 : (double)axis->output / (double)axis->input;
      axis->width = (double)axis->output;
      if (i == 0 || (state->aspect == ASPECT_NOT_LARGER ? axis->scale < common : axis->scale > common)) {
        common = axis->scale;
      }
    } else {
      axis->scale =
          inputs->scales ? element_get_double(inputs->scales->type, inputs->scales->data, i) : (double)scales[i];
      if (!(axis->scale > 0) || isinf(axis->scale)) return "a scale is not a positive number";
      const double extent = axis->roi_end - axis->roi_start;
      axis->width = (double)((float)axis->input * (float)axis->scale);
      const double size = extent == 1 ? floor(axis->width) : floor((double)axis->input * extent * axis->scale);
      if (!(size < 0x1p62)) return "a scale is too large";
      axis->output = size > 0 ? (int64_t)size : 0;
    }
  }
  for (int i = 0; i < chosen.count && inputs->sizes && state->aspect != ASPECT_STRETCH; i++) {
    resize_axis *axis = &axes[chosen.values[i]];
    axis->scale = common;
    axis->width = common * (double)axis->input;
    axis->output = round_half_up(axis->width);
  }
  for (int i = 0; i < rank; i++) {
    /* With antialias, frameworks leave an axis alone whose size stays, whatever the scale. */
    const bool keeps_scale = fabs(axes[i].scale - 1) < 1e-9 || state->rules.antialias;
    axes[i].identity = axes[i].input == axes[i].output && keeps_scale && axes[i].roi_start == 0 && axes[i].roi_end == 1;
    if (axes[i].scale <= 0) axes[i].scale = 1; /* an empty output */
  }
  return NULL;
}

static const norma_tensor *nonempty(const norma_tensor *tensor) {
  return tensor && norma_tensor_count(tensor) > 0 ? tensor : NULL;
}

/* Whether input `index` is there; one whose shape says that it is empty is not. */
static bool is_given(const infer_context *context, int index) {
  return index >= 0 && infer_has_input(context, index) && shape_count(infer_shape(context, index)) != 0;
}

static norma_status resize_infer(infer_context *context) {
  const resize_state *state = context->state;
  shape plain;
  const shape *input = infer_shape(context, 0);
  if (state->block) {
    TRY(infer_blocked_input(context, &plain));
    plain = plain_shape(&plain, state->channels, 4);
    input = &plain;
  }
  resize_inputs inputs = {0};
  if (state->scales_input >= 0) inputs.scales = nonempty(infer_value(context, state->scales_input));
  if (state->sizes_input >= 0) inputs.sizes = nonempty(infer_value(context, state->sizes_input));
  if (state->roi_input >= 0) inputs.roi = nonempty(infer_value(context, state->roi_input));
  const bool has_scales = is_given(context, state->scales_input), has_sizes = is_given(context, state->sizes_input);
  const bool constant = state->scale_count > 0;
  if (!constant && !has_scales && !has_sizes) return infer_fail(context, "neither scales nor sizes are given");
  const bool crops = state->rules.coordinates == COORDINATES_CROP_AND_RESIZE && is_given(context, state->roi_input);
  const bool known = (!has_scales || inputs.scales) && (!has_sizes || inputs.sizes) && (!crops || inputs.roi);
  if (has_sizes && has_scales && shape_count(infer_shape(context, state->scales_input)) > 0 &&
      shape_count(infer_shape(context, state->sizes_input)) > 0) {
    return infer_fail(context, "both scales and sizes are given");
  }
  shape result = input->rank == RANK_UNKNOWN ? shape_unknown() : shape_of_rank(input->rank);
  if (known && input->rank != RANK_UNKNOWN) {
    resize_axis axes[NORMA_MAX_RANK];
    shape assumed = *input;
    for (int i = 0; i < assumed.rank; i++) {
      if (assumed.dims[i] == DIM_UNKNOWN) assumed.dims[i] = 1;
    }
    const char *problem = resize_resolve(state, &inputs, &assumed, axes);
    if (problem) return infer_fail(context, "%s", problem);
    const bool all = shape_is_known(input) || (inputs.sizes && state->aspect == ASPECT_STRETCH && !state->has_axes);
    for (int i = 0; i < result.rank; i++) {
      if (all || (input->dims[i] != DIM_UNKNOWN && (!inputs.sizes || state->aspect == ASPECT_STRETCH))) {
        result.dims[i] = axes[i].output;
      }
    }
  }
  if (state->block) {
    if (result.dims[1] != DIM_UNKNOWN && result.dims[1] != state->channels) {
      return infer_fail(context, "channels in blocks cannot be resized");
    }
    result.dims[1] = state->channels;
    result = blocked_shape(&result, state->block);
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- scratch */

/* Tables of all axes; then, for interpolation, two buffers that the passes write in turn. */
typedef struct resize_layout {
  size_t tables[NORMA_MAX_RANK], buffers[2];
  size_t total;
} resize_layout;

static bool is_single(norma_element_type type) {
  return type == NORMA_FLOAT || type == NORMA_FLOAT16 || type == NORMA_BFLOAT16;
}

static bool resize_lay_out(const resize_rules *rules, norma_element_type type, int rank, const int64_t *input,
                           const int64_t *output, const double *scales, resize_layout *layout) {
  size_t largest = 1;
  layout->total = 0;
  for (int i = 0; i < rank; i++) {
    size_t bytes;
    int taps;
    if (!resize_taps(rules, scales[i], &taps) || !resize_table_bytes(rules, output[i], taps, &bytes)) return false;
    layout->tables[i] = layout->total;
    if (!size_add(layout->total, bytes, &layout->total)) return false;
    if (!size_multiply(largest, (size_t)(input[i] > output[i] ? input[i] : output[i]), &largest)) return false;
  }
  if (rules->mode == RESIZE_NEAREST) return true;
  if (!size_multiply(largest, is_single(type) ? sizeof(float) : sizeof(double), &largest)) return false;
  if (largest > SIZE_MAX / 4) return false;
  for (int i = 0; i < 2; i++) {
    layout->buffers[i] = layout->total;
    if (!size_add(layout->total, size_align(largest, MEMORY_ALIGNMENT), &layout->total)) return false;
  }
  return true;
}

static norma_status resize_prepare(prepare_context *context) {
  resize_state *state = context->state;
  const shape *input = prepare_shape(context, 0);
  if (!context->outputs[0] || !shape_is_known(&context->outputs[0]->shape)) return NORMA_OK;
  const shape *output = &context->outputs[0]->shape;
  double scales[NORMA_MAX_RANK];
  resize_layout layout;
  for (int i = 0; i < input->rank;
       i++) { /* no less than any scale that gives this output without a region of interest */
    scales[i] = input->dims[i] > 0 ? ((double)output->dims[i] - 0.5) / (double)input->dims[i] : 1;
    if (!(scales[i] > 0)) scales[i] = 1;
  }
  if (!resize_lay_out(&state->rules, prepare_type(context, 0), input->rank, input->dims, output->dims, scales,
                      &layout)) {
    return NORMA_OK; /* compute will say so, if it comes to that */
  }
  context->scratch_bytes = state->reserved = layout.total;
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* Passes along each axis, the last one first: rows are short while there are many. Returns where the result is. */
static norma_status interpolate(run_context *context, const resize_axis *axes, int rank, const void *source,
                                void *target, void *const buffers[2], bool single) {
  const resize_state *state = context->state;
  const void *from = source;
  int left = 0, turn = 0;
  for (int i = 0; i < rank; i++) left += !axes[i].identity;
  for (int i = rank - 1; i >= 0; i--) {
    if (axes[i].identity) continue;
    int64_t outer = 1, inner = 1;
    for (int k = 0; k < i; k++) outer *= axes[k].input;
    for (int k = i + 1; k < rank; k++) inner *= axes[k].output;
    void *to = --left == 0 ? target : buffers[turn];
    turn = 1 - turn;
    TRY(single ? resize_interpolate(context, &axes[i], outer, inner, from, to, (float)state->rules.extrapolation)
               : resize_interpolate_f64(context, &axes[i], outer, inner, from, to, state->rules.extrapolation));
    from = to;
  }
  return NORMA_OK;
}

static norma_status resize_numbers(run_context *context, const resize_axis *axes, const norma_tensor *input,
                                   norma_tensor *output, char *block, const resize_layout *layout) {
  const bool single = is_single(input->type), direct = input->type == NORMA_FLOAT || input->type == NORMA_DOUBLE;
  void *buffers[2] = {block + layout->buffers[0], block + layout->buffers[1]};
  if (direct) return interpolate(context, axes, input->rank, input->data, output->data, buffers, single);
  /* Other types are converted on both sides. The first pass reads one buffer and so must write the other one; the last
   * writes whichever is free. */
  int passes = 0;
  for (int i = 0; i < input->rank; i++) passes += !axes[i].identity;
  const int64_t in = norma_tensor_count(input), out = norma_tensor_count(output);
  void *swapped[2] = {buffers[1], buffers[0]}, *result = passes % 2 ? buffers[1] : buffers[0];
  if (single) {
    elements_to_float(input->type, input->data, 0, in, buffers[0]);
    TRY(interpolate(context, axes, input->rank, buffers[0], result, swapped, true));
    elements_from_float(output->type, output->data, 0, out, result);
  } else {
    elements_to_double(input->type, input->data, 0, in, buffers[0]);
    TRY(interpolate(context, axes, input->rank, buffers[0], result, swapped, false));
    for (int64_t i = 0; i < out; i++) ((double *)result)[i] = rint(((double *)result)[i]);
    elements_from_double(output->type, output->data, 0, out, result);
  }
  return NORMA_OK;
}

static norma_status resize_nearest(run_context *context, const resize_axis *axes, const norma_tensor *input) {
  const resize_state *state = context->state;
  const void *source;
  norma_tensor target;
  _Alignas(16) char item[16] = {0};
  if (input->type != NORMA_STRING) element_set_double(input->type, item, 0, state->rules.extrapolation);
  TRY(movement_source(context, input, &source));
  TRY(movement_target(context, 0, &target));
  const bool crops = state->rules.coordinates == COORDINATES_CROP_AND_RESIZE;
  TRY(resize_gather(context, axes, input->rank, source, target.data, movement_bytes(input->type), crops ? item : NULL));
  return movement_finish(context, 0, &target);
}

static resize_axis unchanged_axis(int64_t size) {
  return (resize_axis){.input = size, .output = size, .scale = 1, .roi_end = 1, .identity = true};
}

static norma_status resize_compute(run_context *context) {
  const resize_state *state = context->state;
  const norma_tensor *input = run_input(context, 0);
  resize_axis axes[NORMA_MAX_RANK];
  resize_inputs inputs = {0};
  if (!context->outputs[0]) return NORMA_OK;
  if (state->scales_input >= 0) inputs.scales = nonempty(run_input(context, state->scales_input));
  if (state->sizes_input >= 0) inputs.sizes = nonempty(run_input(context, state->sizes_input));
  if (state->roi_input >= 0) inputs.roi = nonempty(run_input(context, state->roi_input));
  if (inputs.scales && inputs.sizes) return run_fail(context, NORMA_ERROR_RUN, "both scales and sizes are given");
  const shape whole = shape_of_tensor(input), plain = state->block ? plain_shape(&whole, state->channels, 4) : whole;
  const char *problem = resize_resolve(state, &inputs, &plain, axes);
  if (problem) return run_fail(context, NORMA_ERROR_RUN, "%s", problem);
  if (state->block) {
    if (!axes[1].identity) return run_fail(context, NORMA_ERROR_RUN, "channels in blocks cannot be resized");
    axes[1] = unchanged_axis(whole.dims[1]);
    axes[4] = unchanged_axis(state->block);
  }

  int64_t sizes[NORMA_MAX_RANK];
  double scales[NORMA_MAX_RANK];
  bool identity = true, empty = false;
  for (int i = 0; i < input->rank; i++) {
    sizes[i] = axes[i].output;
    scales[i] = axes[i].scale;
    identity &= axes[i].identity;
    empty |= axes[i].output == 0;
  }
  norma_tensor *output = run_output(context, 0);
  if (input->type != NORMA_STRING) {
    bool same = output->rank == input->rank;
    for (int i = 0; same && i < input->rank; i++) same = output->dims[i] == sizes[i];
    if (!same) return run_fail(context, NORMA_ERROR_RUN, "scales or sizes do not fit the output");
  }
  if (identity || (empty && input->type != NORMA_STRING)) return identity ? movement_same(context) : NORMA_OK;
  for (int i = 0; i < input->rank; i++) {
    if (axes[i].input == 0)
      return run_fail(context, NORMA_ERROR_RUN, "a dimension without elements cannot be enlarged");
  }
  resize_layout layout;
  if (!resize_lay_out(&state->rules, input->type, input->rank, input->dims, sizes, scales, &layout)) {
    return run_fail(context, NORMA_ERROR_BUDGET, "scales need too much memory");
  }
  void *block = context->scratch;
  if (layout.total > state->reserved) TRY(run_allocate_temporary(context, layout.total, &block));
  for (int i = 0; i < input->rank; i++) {
    resize_taps(&state->rules, scales[i], &axes[i].taps);
    if (!axes[i].identity) resize_fill_table(&state->rules, &axes[i], (char *)block + layout.tables[i]);
  }
  if (state->rules.mode == RESIZE_NEAREST) return resize_nearest(context, axes, input);
  if (!(TYPE_BIT(input->type) & TYPES_NUMERIC)) {
    return run_fail(context, NORMA_ERROR_UNSUPPORTED, "%s cannot be interpolated",
                    norma_element_type_name(input->type));
  }
  return resize_numbers(context, axes, input, output, block, &layout);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute resize_attributes[] = {
    {"mode", ATTRIBUTE_STRING, 10, OPERATOR_LATEST, false},
    {"coordinate_transformation_mode", ATTRIBUTE_STRING, 11, OPERATOR_LATEST, false},
    {"nearest_mode", ATTRIBUTE_STRING, 11, OPERATOR_LATEST, false},
    {"cubic_coeff_a", ATTRIBUTE_FLOAT, 11, OPERATOR_LATEST, false},
    {"exclude_outside", ATTRIBUTE_INT, 11, OPERATOR_LATEST, false},
    {"extrapolation_value", ATTRIBUTE_FLOAT, 11, OPERATOR_LATEST, false},
    {"antialias", ATTRIBUTE_INT, 18, OPERATOR_LATEST, false},
    {"axes", ATTRIBUTE_INTS, 18, OPERATOR_LATEST, false},
    {"keep_aspect_ratio_policy", ATTRIBUTE_STRING, 18, OPERATOR_LATEST, false},
    {0},
};
/* Of the inner namesakes: `version` is that of the operator that they replace. */
static const operator_attribute blocked_resize_attributes[] = {
    {"block", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"channels", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"version", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"mode", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"coordinate_transformation_mode", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"nearest_mode", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"cubic_coeff_a", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"exclude_outside", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"extrapolation_value", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"antialias", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"axes", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"keep_aspect_ratio_policy", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"height_scale", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"width_scale", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"scales", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute upsample_attributes[] = {
    {"mode", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"height_scale", ATTRIBUTE_FLOAT, 1, 6, true},
    {"width_scale", ATTRIBUTE_FLOAT, 1, 6, true},
    {"scales", ATTRIBUTE_FLOATS, 7, 8, true},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

/* In blocks. What the scales or sizes are tells inference: the channels must be known to stay. */
static bool resize_block(const node *node, block_form *form) {
  if (!node_follows_block(node) || !block_as_inner(node, form, node->op_type)) return false;
  block_set_int(form, "version", node->version);
  const int64_t channels = node->inputs[0]->info.shape.dims[1];
  return node->outputs[0]->info.shape.rank == 4 && channels == node->outputs[0]->info.shape.dims[1] &&
         block_fills_lanes(form, channels) && value_is_wanted_in_blocks(node->outputs[0]);
}

const operator_descriptor operators_resize[] = {
    {.name = "Resize",
     .domain = "",
     .versions = {10, 11, 13, 18, 19},
     .min_inputs = 1,
     .max_inputs = 4,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_FIXED_SIZE | TYPE_BIT(NORMA_STRING), INPUT(0), OUTPUT(0)}, {TYPES_FLOAT, INPUT(1), 0}},
     .attributes = resize_attributes,
     .state_size = sizeof(resize_state),
     .read = resize_read,
     .infer = resize_infer,
     .prepare = resize_prepare,
     .facts = {.block = resize_block, .block_types = TYPE_BIT(NORMA_FLOAT)},
     .compute = resize_compute},
    {.name = "Upsample",
     .domain = "",
     .versions = {1, 7, 9},
     .min_inputs = 1,
     .max_inputs = 2,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_FIXED_SIZE | TYPE_BIT(NORMA_STRING), INPUT(0), OUTPUT(0)}, {TYPE_BIT(NORMA_FLOAT), INPUT(1), 0}},
     .attributes = upsample_attributes,
     .state_size = sizeof(resize_state),
     .read = resize_read,
     .infer = resize_infer,
     .prepare = resize_prepare,
     .facts = {.block = resize_block, .block_types = TYPE_BIT(NORMA_FLOAT)},
     .compute = resize_compute},
    {.name = "Resize",
     .domain = OPERATOR_INNER_DOMAIN,
     .versions = {1},
     .min_inputs = 1,
     .max_inputs = 4,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0), OUTPUT(0)}, {TYPES_FLOAT, INPUT(1), 0}},
     .attributes = blocked_resize_attributes,
     .state_size = sizeof(resize_state),
     .read = resize_read,
     .infer = resize_infer,
     .prepare = resize_prepare,
     .compute = resize_compute},
    {.name = "Upsample",
     .domain = OPERATOR_INNER_DOMAIN,
     .versions = {1},
     .min_inputs = 1,
     .max_inputs = 4,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0), OUTPUT(0)}, {TYPES_FLOAT, INPUT(1), 0}},
     .attributes = blocked_resize_attributes,
     .state_size = sizeof(resize_state),
     .read = resize_read,
     .infer = resize_infer,
     .prepare = resize_prepare,
     .compute = resize_compute},
    {0},
};
