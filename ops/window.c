#include "ops/window.h"
#include "ops/work.h"

#include <inttypes.h>
#include <stdio.h>

/* ------------------------------------------------------------------------------------------------------- attributes */

static norma_status window_read_padding(const node *node, enum window_padding *padding, norma_error *error) {
  static const struct {
    const char *name;
    enum window_padding padding;
  } names[] = {{"NOTSET", WINDOW_PADS_GIVEN},
               {"", WINDOW_PADS_GIVEN},
               {"VALID", WINDOW_NO_PADS},
               {"SAME_UPPER", WINDOW_SAME_UPPER},
               {"SAME_LOWER", WINDOW_SAME_LOWER}};
  const char *name = attribute_string(node, "auto_pad", "NOTSET");
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strcmp(name, names[i].name) != 0) continue;
    *padding = names[i].padding;
    return NORMA_OK;
  }
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                       "auto_pad is \"%.40s\" but must be NOTSET, VALID, SAME_UPPER or SAME_LOWER", name);
}

/* Copies entries first .. first + axes - 1 of list `name`, each at least `least`. */
static norma_status window_read_list(const node *node, const char *name, size_t first, int axes, int64_t least,
                                     int64_t *values, norma_error *error) {
  size_t count;
  const int64_t *list = attribute_ints(node, name, &count);
  for (int i = 0; i < axes; i++) {
    values[i] = list && count ? list[first + (size_t)i] : least;
    if (values[i] < least)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                           "%s[%zu] is %" PRId64 " but must be at least %" PRId64, name, first + (size_t)i, values[i],
                           least);
  }
  return NORMA_OK;
}

/* The number of axes that all lists agree on; 0 when the node has none. */
static norma_status window_read_axes(const node *node, int *axes, norma_error *error) {
  static const struct {
    const char *name;
    size_t per_axis;
  } lists[] = {{"kernel_shape", 1}, {"strides", 1}, {"dilations", 1}, {"pads", 2}};
  *axes = 0;
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
    size_t count;
    attribute_ints(node, lists[i].name, &count);
    size_t found = count / lists[i].per_axis;
    if (count == 0) continue;
    if (count % lists[i].per_axis != 0 || found > WINDOW_MAX_AXES || (*axes && found != (size_t)*axes))
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s has %zu entries, which fits no number of axes%s",
                           lists[i].name, count, *axes ? " that the lists before it have" : "");
    *axes = (int)found;
  }
  return NORMA_OK;
}

norma_status window_read(const node *node, window_attributes *attributes, norma_error *error) {
  window_attributes *a = attributes;
  size_t kernel_count;
  attribute_ints(node, "kernel_shape", &kernel_count);
  a->has_kernel = kernel_count > 0;
  a->ceil_mode = attribute_int(node, "ceil_mode", 0) != 0;
  TRY(window_read_padding(node, &a->padding, error));
  TRY(window_read_axes(node, &a->axes, error));
  TRY(window_read_list(node, "kernel_shape", 0, a->axes, 1, a->kernel, error));
  TRY(window_read_list(node, "strides", 0, a->axes, 1, a->stride, error));
  TRY(window_read_list(node, "dilations", 0, a->axes, 1, a->dilation, error));
  TRY(window_read_list(node, "pads", 0, a->axes, 0, a->pad_begin, error));
  return window_read_list(node, "pads", (size_t)a->axes, a->axes, 0, a->pad_end, error);
}

/* -------------------------------------------------------------------------------------------------------- resolving */

bool window_kernel_size(const window_attributes *attributes, int axis, const int64_t *kernel, int64_t *result,
                        char message[WINDOW_MESSAGE_SIZE]) {
  int64_t said = attributes->has_kernel ? attributes->kernel[axis] : DIM_UNKNOWN;
  int64_t given = kernel ? kernel[axis] : DIM_UNKNOWN;
  if (said != DIM_UNKNOWN && given != DIM_UNKNOWN && said != given) {
    snprintf(message, WINDOW_MESSAGE_SIZE, "kernel_shape[%d] is %" PRId64 " but the weights have %" PRId64, axis, said,
             given);
    return false;
  }
  *result = given != DIM_UNKNOWN ? given : said;
  if (*result == 0) {
    snprintf(message, WINDOW_MESSAGE_SIZE, "the kernel has size 0 on spatial axis %d", axis);
    return false;
  }
  return true;
}

static bool window_too_large(int axis, char message[WINDOW_MESSAGE_SIZE]) {
  snprintf(message, WINDOW_MESSAGE_SIZE, "kernel, dilation, stride and pads of spatial axis %d are too large", axis);
  return false;
}

/* Padding that makes the output ceil(input / stride) long. */
static bool window_pad_same(window *w, int axis, int64_t extent, bool more_at_end) {
  int64_t output = w->input[axis] == 0 ? 0 : (w->input[axis] - 1) / w->stride[axis] + 1;
  int64_t total = 0;
  if (output > 0) {
    if (__builtin_add_overflow((output - 1) * w->stride[axis], extent, &total)) return false;
    total -= w->input[axis];
  }
  if (total < 0) total = 0;
  w->pad_begin[axis] = more_at_end ? total / 2 : total - total / 2;
  w->pad_end[axis] = total - w->pad_begin[axis];
  w->output[axis] = output;
  return true;
}

static bool window_resolve_axis(const window_attributes *a, window *w, int axis, char message[WINDOW_MESSAGE_SIZE]) {
  int64_t extent, padded;
  if (w->input[axis] == DIM_UNKNOWN || w->kernel[axis] == DIM_UNKNOWN) return true;
  if (__builtin_mul_overflow(w->kernel[axis] - 1, w->dilation[axis], &extent) ||
      __builtin_add_overflow(extent, 1, &extent))
    return window_too_large(axis, message);

  if (a->padding == WINDOW_SAME_UPPER || a->padding == WINDOW_SAME_LOWER) {
    if (!window_pad_same(w, axis, extent, a->padding == WINDOW_SAME_UPPER)) return window_too_large(axis, message);
  } else if (a->padding == WINDOW_NO_PADS) {
    w->pad_begin[axis] = w->pad_end[axis] = 0;
  }
  if (__builtin_add_overflow(w->input[axis], w->pad_begin[axis], &padded) ||
      __builtin_add_overflow(padded, w->pad_end[axis], &padded))
    return window_too_large(axis, message);
  if (w->output[axis] != DIM_UNKNOWN) return true; /* SAME */

  if (padded < extent) {
    /* Nothing fits: right for an empty input, a mistake otherwise. */
    w->output[axis] = 0;
    if (w->input[axis] == 0) return true;
    snprintf(message, WINDOW_MESSAGE_SIZE,
             "the kernel spans %" PRId64 " on spatial axis %d, but the padded input has only %" PRId64, extent, axis,
             padded);
    return false;
  }
  int64_t steps = padded - extent, stride = w->stride[axis];
  w->output[axis] = steps / stride + 1;
  if (a->ceil_mode && a->padding == WINDOW_PADS_GIVEN && steps % stride != 0) {
    /* One more window, unless it would begin behind the input, in the padding of the end. */
    int64_t start = steps / stride * stride;
    if (stride < w->input[axis] + w->pad_begin[axis] - start) w->output[axis]++;
  }
  /* The last window's furthest tap, which may lie beyond the padding, must have a number. */
  int64_t furthest;
  if (__builtin_mul_overflow(w->output[axis] - 1, stride, &furthest) ||
      __builtin_add_overflow(furthest, extent, &furthest))
    return window_too_large(axis, message);
  return true;
}

bool window_resolve(const window_attributes *attributes, int axes, const int64_t *input, const int64_t *kernel,
                    window *window, char message[WINDOW_MESSAGE_SIZE]) {
  const window_attributes *a = attributes;
  if (axes < 1 || axes > WINDOW_MAX_AXES) {
    snprintf(message, WINDOW_MESSAGE_SIZE, "the input needs a batch, a channel and at least one spatial axis");
    return false;
  }
  if (a->axes != 0 && a->axes != axes) {
    snprintf(message, WINDOW_MESSAGE_SIZE, "the attributes are for %d spatial axes, but the input has %d", a->axes,
             axes);
    return false;
  }
  memset(window, 0, sizeof *window);
  window->axes = axes;
  for (int i = 0; i < axes; i++) {
    window->input[i] = input[i];
    window->output[i] = DIM_UNKNOWN;
    window->stride[i] = a->axes ? a->stride[i] : 1;
    window->dilation[i] = a->axes ? a->dilation[i] : 1;
    window->pad_begin[i] = a->axes ? a->pad_begin[i] : 0;
    window->pad_end[i] = a->axes ? a->pad_end[i] : 0;
    if (!window_kernel_size(a, i, kernel, &window->kernel[i], message)) return false;
    if (!window_resolve_axis(a, window, i, message)) return false;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------------------ using */

norma_status window_infer_output(infer_context *context, int index, norma_element_type type, const shape *shape) {
  size_t bytes;
  if (shape_is_known(shape) && norma_tensor_size(type, shape->rank, shape->dims, &bytes) != NORMA_OK) {
    char text[WINDOW_MESSAGE_SIZE];
    return infer_fail(context, "an output of shape %s is too large", shape_text(shape, text, sizeof text));
  }
  infer_output(context, index, type, shape);
  return NORMA_OK;
}

bool window_dimension(const node *node, int axis, const int64_t *kernel, bool keeps_channels,
                      dimension_source *source) {
  window_attributes a = {0};
  norma_error ignored;
  *source = (dimension_source){.axis = axis, .stride = 1};
  if (axis < 2) return axis == 0 || keeps_channels;
  const int i = axis - 2;
  if (window_read(node, &a, &ignored) != NORMA_OK || a.ceil_mode || (a.axes && i >= a.axes)) return false;
  const int64_t size = kernel ? kernel[i] : a.axes && a.has_kernel ? a.kernel[i] : DIM_UNKNOWN;
  const int64_t dilation = a.axes ? a.dilation[i] : 1, most = (int64_t)1 << 31;
  if (size < 1 || size > most || dilation > most) return false;
  const int64_t spread = dilation * (size - 1);
  int64_t pads = 0;
  if (a.padding == WINDOW_SAME_UPPER || a.padding == WINDOW_SAME_LOWER) {
    pads = spread;
  } else if (a.padding == WINDOW_PADS_GIVEN && a.axes && (a.pad_begin[i] > most || a.pad_end[i] > most)) {
    return false;
  } else if (a.padding == WINDOW_PADS_GIVEN && a.axes) {
    pads = a.pad_begin[i] + a.pad_end[i];
  }
  source->stride = a.axes ? a.stride[i] : 1;
  source->offset = pads - spread - 1 + source->stride;
  return true;
}

shape shape_channels_first(const shape *last) {
  shape first = *last;
  if (last->rank < 3) return first;
  first.dims[1] = last->dims[last->rank - 1];
  for (int i = 2; i < last->rank; i++) first.dims[i] = last->dims[i - 1];
  return first;
}

shape shape_channels_last(const shape *first) {
  shape last = *first;
  if (first->rank < 3) return last;
  for (int i = 2; i < first->rank; i++) last.dims[i - 1] = first->dims[i];
  last.dims[first->rank - 1] = first->dims[1];
  return last;
}

int64_t window_inputs(const window *window) {
  return dims_product(window->input, 0, window->axes);
}

int64_t window_outputs(const window *window) {
  return dims_product(window->output, 0, window->axes);
}

int64_t window_taps(const window *window) {
  return dims_product(window->kernel, 0, window->axes);
}

bool window_advance(int axes, const int64_t *sizes, int64_t *position) {
  for (int i = axes - 1; i >= 0; i--) {
    if (++position[i] < sizes[i]) return true;
    position[i] = 0;
  }
  return false;
}

struct window_2d window_plane(const window *window) {
  struct window_2d plane = {{1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0, 0}};
  for (int i = 0; i < window->axes && i < 2; i++) {
    int d = 2 - window->axes + i;
    plane.input[d] = (size_t)window->input[i];
    plane.output[d] = (size_t)window->output[i];
    plane.kernel[d] = (size_t)window->kernel[i];
    plane.stride[d] = (size_t)window->stride[i];
    plane.dilation[d] = (size_t)window->dilation[i];
    plane.pad[d] = (size_t)window->pad_begin[i];
  }
  return plane;
}

/* Operations of one row of outputs. */
static double window_row_cost(const window *w) {
  return 2.0 * (double)window_taps(w) * (double)w->output[w->axes - 1];
}

bool window_suits_planes(const window *w) {
  const double most_floats = 16e6;
  int last = w->axes - 1;
  double rows = 1, row = (double)w->stride[last] * ((double)w->output[last] + 64);
  if (w->axes > 2) return false;
  row += (double)(w->kernel[last] - 1) * (double)w->dilation[last];
  if (w->axes == 2) {
    double outputs = w->output[0] < 4 ? (double)w->output[0] : 4;
    rows += (outputs - 1) * (double)w->stride[0] + (double)(w->kernel[0] - 1) * (double)w->dilation[0];
  }
  return rows * row < most_floats && window_row_cost(w) < WORK_MOST;
}

int64_t window_slices(const window *w, int64_t *rows) {
  int64_t height = w->axes == 2 ? w->output[0] : 1;
  double slices = window_row_cost(w) * (double)height / (WORK_MOST / 4);
  *rows = slices < 1 ? height : (int64_t)((double)height / slices);
  if (*rows < 1) *rows = 1;
  return divide_up(height, *rows);
}

size_t window_slices_scratch(const struct kernel_table *kernels, const struct window_2d *plane, int64_t rows) {
  struct window_2d slice = *plane;
  if ((size_t)rows < slice.output[0]) slice.output[0] = (size_t)rows;
  size_t bytes = kernels->window_scratch_size(&slice), last = plane->output[0] % (size_t)rows;
  if (last == 0) return bytes;
  slice.output[0] = last; /* fewer rows may be copied in larger bands */
  size_t last_bytes = kernels->window_scratch_size(&slice);
  return bytes > last_bytes ? bytes : last_bytes;
}

struct window_slice window_slice(const struct window_2d *plane, size_t pad_end, size_t first, size_t count) {
  struct window_slice slice = {.plane = *plane, .pad_end = pad_end, .y_offset = first * plane->output[1]};
  size_t start = first * plane->stride[0], pad = plane->pad[0];
  size_t skipped = start > pad ? start - pad : 0; /* rows of the input above the slice */
  if (skipped > plane->input[0]) {                /* it lies in the padding below */
    size_t beyond = skipped - plane->input[0];
    slice.pad_end = pad_end > beyond ? pad_end - beyond : 0;
    skipped = plane->input[0];
  }
  slice.plane.pad[0] = start < pad ? pad - start : 0;
  slice.plane.input[0] -= skipped;
  slice.plane.output[0] = plane->output[0] - first < count ? plane->output[0] - first : count;
  slice.x_offset = skipped * plane->input[1];
  return slice;
}
