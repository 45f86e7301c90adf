/*
 * Windows that slide over the spatial axes of a tensor [N, C, D1 .. Dn]: what convolutions and pools have in common.
 *
 *   window_attributes  what a node says: auto_pad, kernel_shape, strides, dilations, pads, ceil_mode. Read once.
 *   window             the same resolved for one shape: sizes of input, kernel and output and the padding of each axis.
 *
 * Output position p reads the inputs p * stride + k * dilation - pad_begin for 0 <= k < kernel. All sizes are checked
 * in 64 bits: a resolved window has no product or sum that wraps.
 */
#ifndef OPS_WINDOW_H
#define OPS_WINDOW_H

#include "ops/operator.h"

#define WINDOW_MAX_AXES (NORMA_MAX_RANK - 2)

enum window_padding { WINDOW_PADS_GIVEN, WINDOW_NO_PADS, WINDOW_SAME_UPPER, WINDOW_SAME_LOWER };

typedef struct window_attributes {
  int axes; /* the length of the lists that the node has; 0 if it has none */
  bool has_kernel;
  bool ceil_mode;
  enum window_padding padding;
  int64_t kernel[WINDOW_MAX_AXES];
  int64_t stride[WINDOW_MAX_AXES]; /* 1 where the node has none, dilation too */
  int64_t dilation[WINDOW_MAX_AXES];
  int64_t pad_begin[WINDOW_MAX_AXES];
  int64_t pad_end[WINDOW_MAX_AXES];
} window_attributes;

typedef struct window {
  int axes;
  int64_t input[WINDOW_MAX_AXES]; /* DIM_UNKNOWN where it is not known, output too then */
  int64_t output[WINDOW_MAX_AXES];
  int64_t kernel[WINDOW_MAX_AXES];
  int64_t stride[WINDOW_MAX_AXES];
  int64_t dilation[WINDOW_MAX_AXES];
  int64_t pad_begin[WINDOW_MAX_AXES];
  int64_t pad_end[WINDOW_MAX_AXES];
} window;

/* Reads the attributes of `node`; those it does not have get their defaults. INVALID_MODEL for values that can never be
 * right: lists of different lengths, a kernel, stride or dilation below 1, a negative pad, an unknown auto_pad. */
norma_status window_read(const node *node, window_attributes *attributes, norma_error *error);

/* The longest message of window_resolve. */
#define WINDOW_MESSAGE_SIZE 200

/* Resolves the attributes for inputs input[0 .. axes - 1], DIM_UNKNOWN allowed. `kernel` holds the kernel's size where
 * an input gives it (convolution; entries may be DIM_UNKNOWN) and is NULL where the attributes do. false: the message
 * says what is wrong. */
bool window_resolve(const window_attributes *attributes, int axes, const int64_t *input, const int64_t *kernel,
                    window *window, char message[WINDOW_MESSAGE_SIZE]);

/* kernel[axis] from the node and from the weights must agree: *result is what is known. false with a message otherwise.
 */
bool window_kernel_size(const window_attributes *attributes, int axis, const int64_t *kernel, int64_t *result,
                        char message[WINDOW_MESSAGE_SIZE]);

/* Describes output `index`; fails where its size in bytes cannot be counted. */
norma_status window_infer_output(infer_context *context, int index, norma_element_type type, const shape *shape);

/* facts.dimension of a window over input 0: batch, spatial axes and, with `keeps_channels`, channels. `kernel` as in
 * window_resolve. */
bool window_dimension(const node *node, int axis, const int64_t *kernel, bool keeps_channels, dimension_source *source);

/* Products over the axes. */
int64_t window_inputs(const window *window);
int64_t window_outputs(const window *window);
int64_t window_taps(const window *window);

/* The taps [*begin, *end) of output position `position` whose inputs exist; empty where the window lies in the padding.
 */
static inline void window_clip(const window *w, int axis, int64_t position, int64_t *begin, int64_t *end) {
  int64_t first = position * w->stride[axis] - w->pad_begin[axis];
  int64_t last = w->input[axis] - 1 - first; /* distance to the last input */
  *begin = first < 0 ? (-first - 1) / w->dilation[axis] + 1 : 0;
  *end = last < 0 ? 0 : last / w->dilation[axis] + 1;
  if (*end > w->kernel[axis]) *end = w->kernel[axis];
  if (*begin > *end) *begin = *end;
}

/* The taps of output position `position` that lie in the input or its padding: of windows that reach beyond it, fewer
 * than the kernel has. */
static inline int64_t window_padded_taps(const window *w, int axis, int64_t position) {
  const int64_t first = position * w->stride[axis] - w->pad_begin[axis];
  const int64_t taps = (w->input[axis] + w->pad_end[axis] - 1 - first) / w->dilation[axis] + 1;
  return taps < w->kernel[axis] ? taps : w->kernel[axis];
}

/* The shape [N, C, D1 .. Dn] of a tensor [N, D1 .. Dn, C], and back; others than of known rank above 2 as they are. */
shape shape_channels_first(const shape *last);
shape shape_channels_last(const shape *first);

/* Advances a position in row-major order; false after the last one, when it is all zeros again. */
bool window_advance(int axes, const int64_t *sizes, int64_t *position);

/* Describes a window of one or two axes for the kernels; one axis becomes the width of a plane of height 1. */
struct window_2d window_plane(const window *window);

/* Whether the kernels for planes (depthwise convolution and pooling) suit a window of one or two axes: they copy some
 * padded rows, which huge windows or dilations make huge as well, and they never compute less than a row of outputs. */
bool window_suits_planes(const window *window);

/* How many slices of *rows output rows each a plane is cut into, so that a cancelled run need not wait for a large
 * one. */
int64_t window_slices(const window *window, int64_t *rows);

/* The scratch in bytes that kernels for planes want for slices of `rows` rows. */
size_t window_slices_scratch(const struct kernel_table *kernels, const struct window_2d *plane, int64_t rows);

/* A slice of a plane as a plane of its own. */
struct window_slice {
  struct window_2d plane;
  size_t pad_end;            /* of dimension 0 */
  size_t x_offset, y_offset; /* where it begins, in elements of a plane */
};

/* Output rows [first, first + count), cut at the end of the plane; pad_end is that of dimension 0. */
struct window_slice window_slice(const struct window_2d *plane, size_t pad_end, size_t first, size_t count);

#endif
