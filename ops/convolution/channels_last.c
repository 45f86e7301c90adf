#include "ops/convolution/channels_last.h"

#include "ops/half.h"

#define CHANNELS_LAST_TILE 32 /* pixels, channels */

shape channels_last_to_first(const shape *last) {
  shape first = *last;
  if (last->rank < 3) return first;
  first.dims[1] = last->dims[last->rank - 1];
  memcpy(first.dims + 2, last->dims + 1, (size_t)(last->rank - 2) * sizeof *first.dims);
  return first;
}

shape channels_last_from_first(const shape *first) {
  shape last = *first;
  if (first->rank < 3) return last;
  memcpy(last.dims + 1, first->dims + 2, (size_t)(first->rank - 2) * sizeof *last.dims);
  last.dims[first->rank - 1] = first->dims[1];
  return last;
}

/* to[j][i] = from[i][j] */
static void channels_last_transpose(double *to, int64_t to_stride, const double *from, int64_t from_stride,
                                    int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) to[j * to_stride + i] = from[i * from_stride + j];
  }
}

static int64_t channels_last_least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

void channels_last_load(const struct kernel_table *kernels, norma_element_type type, void *planes, const void *pixels,
                        int64_t channels, int64_t count) {
  const size_t bytes = element_type_bytes(type);
  float tile[CHANNELS_LAST_TILE * CHANNELS_LAST_TILE];
  for (int64_t p = 0; p < count; p += CHANNELS_LAST_TILE) {
    const int64_t rows = channels_last_least(count - p, CHANNELS_LAST_TILE);
    for (int64_t c = 0; c < channels; c += CHANNELS_LAST_TILE) {
      const int64_t columns = channels_last_least(channels - c, CHANNELS_LAST_TILE), to = c * count + p;
      const char *from = (const char *)pixels + (size_t)(p * channels + c) * bytes;
      if (type == NORMA_DOUBLE) {
        channels_last_transpose((double *)planes + to, count, (const double *)(const void *)from, channels, rows,
                                columns);
        continue;
      }
      for (int64_t i = 0; i < rows && is_half(type); i++)
        half_to_float(kernels, type, tile + i * CHANNELS_LAST_TILE, from + (size_t)(i * channels) * bytes, columns);
      const void *source = is_half(type) ? (const void *)tile : from;
      kernels->transpose_32((float *)planes + to, (size_t)count, source,
                            (size_t)(is_half(type) ? CHANNELS_LAST_TILE : channels), (size_t)rows, (size_t)columns);
    }
  }
}

void channels_last_store(const struct kernel_table *kernels, norma_element_type type, void *pixels, const void *planes,
                         int64_t channels, int64_t count) {
  const size_t bytes = element_type_bytes(type);
  float tile[CHANNELS_LAST_TILE * CHANNELS_LAST_TILE];
  for (int64_t p = 0; p < count; p += CHANNELS_LAST_TILE) {
    const int64_t columns = channels_last_least(count - p, CHANNELS_LAST_TILE);
    for (int64_t c = 0; c < channels; c += CHANNELS_LAST_TILE) {
      const int64_t rows = channels_last_least(channels - c, CHANNELS_LAST_TILE), from = c * count + p;
      char *to = (char *)pixels + (size_t)(p * channels + c) * bytes;
      if (type == NORMA_DOUBLE) {
        channels_last_transpose((double *)(void *)to, channels, (const double *)planes + from, count, rows, columns);
        continue;
      }
      void *target = is_half(type) ? (void *)tile : to;
      kernels->transpose_32(target, (size_t)(is_half(type) ? CHANNELS_LAST_TILE : channels),
                            (const float *)planes + from, (size_t)count, (size_t)rows, (size_t)columns);
      for (int64_t i = 0; i < columns && is_half(type); i++)
        half_from_float(kernels, type, to + (size_t)(i * channels) * bytes, tile + i * CHANNELS_LAST_TILE, rows);
    }
  }
}
