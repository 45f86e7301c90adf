#include "ops/quantized/integer_depthwise.h"

#include "ops/work.h"

int64_t integer_depthwise_slices(const integer_depthwise *depthwise) {
  return divide_up((int64_t)depthwise->rows.plane.output[0], (int64_t)depthwise->rows.slice);
}

void integer_depthwise_compute(const struct kernel_table *kernels, const integer_depthwise *depthwise,
                               const integer_depthwise_plane *plane, const quantized_store *store, int64_t slice,
                               uint8_t *scratch) {
  const byte_rows *rows = &depthwise->rows;
  const struct window_2d *window = &rows->plane;
  const size_t first = (size_t)slice * rows->slice, left = window->output[0] - first;
  const size_t count = left < rows->slice ? left : rows->slice,
               row_bytes = window->output[1] * element_type_bytes(depthwise->y_type);
  const uint8_t *taps[BYTE_ROWS_MOST_TAPS];
  int32_t w[BYTE_ROWS_MOST_TAPS];
  struct taps_8bit of = {.x_type = depthwise->x_type,
                         .y_type = depthwise->y_type,
                         .taps = window->kernel[0] * window->kernel[1],
                         .x = taps,
                         .w = w,
                         .zero = store->zero,
                         .low = store->low,
                         .high = store->high,
                         .scale = plane->scale};
  uint32_t sum = 0;
  for (size_t t = 0; t < of.taps; t++) {
    w[t] = (int32_t)element_get_int64(depthwise->w_type, plane->w, (int64_t)t) - plane->w_zero;
    sum += (uint32_t)w[t];
  }
  of.bias = (int32_t)((uint32_t)plane->bias - sum * (uint32_t)plane->x_zero);
  byte_rows_copy(rows, plane->x, (uint8_t)plane->x_zero, first, count, scratch);
  for (size_t row = 0; row < count; row++) {
    byte_rows_taps(rows, scratch, row, taps);
    kernels->taps_8bit(plane->y + (first + row) * row_bytes, window->output[1], &of);
  }
}
