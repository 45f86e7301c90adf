#include "ops/convolution/conv_shape.h"

#include <inttypes.h>

static norma_status check_conv_channels(infer_context *context, int64_t group, int64_t channels, const shape *w,
                                        const shape *b) {
  int64_t outputs = w->rank > 0 ? w->dims[0] : DIM_UNKNOWN, of_group = w->rank > 1 ? w->dims[1] : DIM_UNKNOWN;
  if (channels != DIM_UNKNOWN && channels % group != 0)
    return infer_fail(context, "%" PRId64 " channels cannot be split in %" PRId64 " groups", channels, group);
  if (outputs != DIM_UNKNOWN && outputs % group != 0)
    return infer_fail(context, "%" PRId64 " output channels cannot be split in %" PRId64 " groups", outputs, group);
  if (channels != DIM_UNKNOWN && of_group != DIM_UNKNOWN && channels / group != of_group)
    return infer_fail(context,
                      "W is for %" PRId64 " channels in each of %" PRId64 " groups, but X has %" PRId64 " channels",
                      of_group, group, channels);
  if (b->rank != RANK_UNKNOWN &&
      (b->rank != 1 || (b->dims[0] != DIM_UNKNOWN && outputs != DIM_UNKNOWN && b->dims[0] != outputs)))
    return infer_fail(context, "B must be a vector with one element for each output channel");
  return NORMA_OK;
}

norma_status infer_conv_shape(infer_context *context, const window_attributes *attributes, int64_t group,
                              const shape *x, const shape *w, const shape *b, shape *y) {
  int rank = x->rank != RANK_UNKNOWN ? x->rank : w->rank;
  *y = shape_unknown();
  if (rank == RANK_UNKNOWN) return NORMA_OK;
  if (rank < 3 || (w->rank != RANK_UNKNOWN && w->rank != rank))
    return infer_fail(context, "X has rank %d and W rank %d: both need the same rank of at least 3", x->rank, w->rank);

  shape input = x->rank != RANK_UNKNOWN ? *x : shape_of_rank(rank);
  TRY(check_conv_channels(context, group, input.dims[1], w, b));
  window window;
  char message[WINDOW_MESSAGE_SIZE];
  const int64_t *kernel = w->rank != RANK_UNKNOWN ? w->dims + 2 : NULL;
  if (!window_resolve(attributes, rank - 2, input.dims + 2, kernel, &window, message))
    return infer_fail(context, "%s", message);

  *y = shape_of_rank(rank);
  y->dims[0] = input.dims[0];
  y->dims[1] = w->rank != RANK_UNKNOWN ? w->dims[0] : DIM_UNKNOWN;
  memcpy(y->dims + 2, window.output, (size_t)window.axes * sizeof *y->dims);
  return NORMA_OK;
}
