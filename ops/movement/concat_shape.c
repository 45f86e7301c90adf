#include "ops/movement/concat_shape.h"

#include <inttypes.h>

norma_status infer_concat(infer_context *context, int64_t axis, int first, int step, norma_element_type type) {
  shape result = shape_unknown();
  int64_t total = 0;
  bool unknown = false;
  int along = 0;
  for (int i = first; i < context->input_count; i += step) {
    shape part = *infer_shape(context, i);
    if (part.rank == RANK_UNKNOWN) {
      unknown = true;
      continue;
    }
    if (!axis_normalize(axis, part.rank, &along))
      return infer_fail(context, "axis %" PRId64 " is outside a tensor of rank %d", axis, part.rank);
    const int64_t size = part.dims[along];
    part.dims[along] = DIM_UNKNOWN;
    if (!shape_merge(&result, &part)) {
      char text[200], other[200];
      return infer_fail(context, "input %d of shape %s does not fit %s", i,
                        shape_text(infer_shape(context, i), text, sizeof text),
                        shape_text(&result, other, sizeof other));
    }
    if (size == DIM_UNKNOWN)
      unknown = true;
    else if (__builtin_add_overflow(total, size, &total))
      return infer_fail(context, "the output is too large");
  }
  if (result.rank != RANK_UNKNOWN && !unknown) result.dims[along] = total;
  infer_output(context, 0, type, &result);
  return NORMA_OK;
}
