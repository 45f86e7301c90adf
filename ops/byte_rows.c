#include "ops/byte_rows.h"

#define BYTE_ROWS_BEHIND 64
#define BYTE_ROWS_CACHE  ((size_t)48 << 10) /* scratch of a slice that stays in the first-level cache */
#define BYTE_ROWS_MOST   1e6                /* scratch for one output row */

static size_t row_bytes(const byte_rows *rows) {
  return rows->plane.stride[1] * rows->phase_bytes;
}

/* Input rows that `count` output rows see. */
static size_t rows_seen(const byte_rows *rows, size_t count) {
  const struct window_2d *plane = &rows->plane;
  return (count - 1) * plane->stride[0] + (plane->kernel[0] - 1) * plane->dilation[0] + 1;
}

bool byte_rows_init(byte_rows *rows, const window *window) {
  if (window->axes > 2) return false;
  *rows = (byte_rows){.plane = window_plane(window)};
  const struct window_2d *plane = &rows->plane;
  if (plane->output[0] == 0 || plane->output[1] == 0) return false;
  if ((double)plane->kernel[0] * (double)plane->kernel[1] > BYTE_ROWS_MOST_TAPS) return false;
  const double width = (double)plane->stride[1] * ((double)plane->output[1] + BYTE_ROWS_BEHIND + 1) +
                       (double)(plane->kernel[1] - 1) * (double)plane->dilation[1];
  const double height = (double)(plane->kernel[0] - 1) * (double)plane->dilation[0] + 1;
  const bool is_padding = (double)plane->output[1] > 4.0 * (double)plane->input[1] + 64;
  if (is_padding || width * height > BYTE_ROWS_MOST || (double)plane->stride[0] * width > BYTE_ROWS_MOST) return false;
  rows->phase_bytes =
      plane->output[1] + (plane->kernel[1] - 1) * plane->dilation[1] / plane->stride[1] + 1 + BYTE_ROWS_BEHIND;
  rows->slice = 1;
  while (rows->slice < plane->output[0] && rows_seen(rows, rows->slice + 1) * row_bytes(rows) <= BYTE_ROWS_CACHE)
    rows->slice++;
  rows->scratch = rows_seen(rows, rows->slice) * row_bytes(rows);
  return true;
}

/* Columns phase, phase + stride .. of a padded row. */
static void copy_phase(const byte_rows *rows, const uint8_t *x, uint8_t outside, size_t phase, uint8_t *to) {
  const int64_t stride = (int64_t)rows->plane.stride[1], width = (int64_t)rows->plane.input[1];
  const int64_t count = (int64_t)rows->phase_bytes, start = (int64_t)phase - (int64_t)rows->plane.pad[1];
  int64_t begin = start < 0 ? (stride - 1 - start) / stride : 0;
  int64_t end = start < width ? (width - start + stride - 1) / stride : 0;
  if (end > count) end = count;
  if (begin > end) begin = end;
  memset(to, outside, (size_t)begin);
  if (stride == 1) {
    if (end > begin) memcpy(to + begin, x + start + begin, (size_t)(end - begin));
  } else {
    for (int64_t i = begin; i < end; i++) to[i] = x[start + i * stride];
  }
  memset(to + end, outside, (size_t)(count - end));
}

void byte_rows_copy(const byte_rows *rows, const uint8_t *x, uint8_t outside, size_t first, size_t count,
                    uint8_t *scratch) {
  const struct window_2d *plane = &rows->plane;
  const int64_t start = (int64_t)(first * plane->stride[0]) - (int64_t)plane->pad[0];
  for (size_t i = 0; i < rows_seen(rows, count); i++) {
    const int64_t row = start + (int64_t)i;
    uint8_t *to = scratch + i * row_bytes(rows);
    if (row < 0 || row >= (int64_t)plane->input[0]) {
      memset(to, outside, row_bytes(rows));
      continue;
    }
    for (size_t phase = 0; phase < plane->stride[1]; phase++)
      copy_phase(rows, x + (size_t)row * plane->input[1], outside, phase, to + phase * rows->phase_bytes);
  }
}

void byte_rows_taps(const byte_rows *rows, const uint8_t *scratch, size_t row, const uint8_t **taps) {
  const struct window_2d *plane = &rows->plane;
  for (size_t r = 0; r < plane->kernel[0]; r++) {
    const uint8_t *from = scratch + (row * plane->stride[0] + r * plane->dilation[0]) * row_bytes(rows);
    for (size_t s = 0; s < plane->kernel[1]; s++) {
      const size_t column = s * plane->dilation[1];
      *taps++ = from + column % plane->stride[1] * rows->phase_bytes + column / plane->stride[1];
    }
  }
}
