#include "ops/byte_blocks.h"

#define BYTE_BLOCKS_MOST 1e9 /* bytes of a copied row */

bool byte_blocks_init(byte_blocks *blocks, const window *window) {
  *blocks = (byte_blocks){.plane = window_plane(window)};
  const struct window_2d *plane = &blocks->plane;
  const double reach = (double)(plane->kernel[1] - 1) * (double)plane->dilation[1] + (double)plane->stride[1];
  const double columns = (double)plane->stride[1] * (double)plane->output[1] + reach;
  const double rows = (double)(plane->kernel[0] - 1) * (double)plane->dilation[0] + 1;
  if (columns * rows * BYTE_BLOCK > BYTE_BLOCKS_MOST) return false;
  const size_t behind = (plane->kernel[1] - 1) * plane->dilation[1] / plane->stride[1];
  blocks->phase_bytes = BYTE_BLOCK * (plane->output[1] + behind);
  blocks->row_bytes = plane->stride[1] * blocks->phase_bytes;
  return true;
}

size_t byte_blocks_rows(const byte_blocks *blocks, size_t count) {
  const struct window_2d *plane = &blocks->plane;
  return (count - 1) * plane->stride[0] + (plane->kernel[0] - 1) * plane->dilation[0] + 1;
}

size_t byte_blocks_bytes(const byte_blocks *blocks, size_t count) {
  return byte_blocks_rows(blocks, count) * blocks->row_bytes;
}

size_t byte_blocks_fitting(const byte_blocks *blocks, size_t bytes) {
  const size_t rows = bytes / blocks->row_bytes, least = byte_blocks_rows(blocks, 1);
  const size_t count = rows < least ? 1 : (rows - least) / blocks->plane.stride[0] + 1;
  return count < blocks->plane.output[0] ? count : blocks->plane.output[0];
}

bool window_meets(const struct window_2d *plane, int axis, size_t at) {
  for (size_t k = 0; k < plane->kernel[axis]; k++) {
    if (k * plane->dilation[axis] % plane->stride[axis] == at % plane->stride[axis]) return true;
  }
  return false;
}

typedef uint8_t byte_block __attribute__((vector_size(BYTE_BLOCK)));
typedef uint8_t byte_block_in_memory __attribute__((vector_size(BYTE_BLOCK), aligned(1), may_alias));

/* Pixels x, x + stride .. become neighbours. */
static void copy_pixels(uint8_t *to, const uint8_t *x, size_t count, size_t stride, uint8_t flip) {
  if (stride == 1 && flip == 0) {
    memcpy(to, x, count * BYTE_BLOCK);
    return;
  }
  const byte_block mask = (byte_block){0} + flip;
  for (size_t i = 0; i < count; i++) {
    const byte_block pixel = *(const byte_block_in_memory *)(x + i * stride * BYTE_BLOCK);
    *(byte_block_in_memory *)(to + i * BYTE_BLOCK) = pixel ^ mask;
  }
}

/* Columns phase, phase + stride .. of a padded row. */
static void copy_phase_of_blocks(const byte_blocks *blocks, const uint8_t *x, uint8_t outside, uint8_t flip,
                                 size_t phase, uint8_t *to) {
  const int64_t stride = (int64_t)blocks->plane.stride[1], width = (int64_t)blocks->plane.input[1];
  const int64_t count = (int64_t)blocks->phase_bytes / BYTE_BLOCK,
                start = (int64_t)phase - (int64_t)blocks->plane.pad[1];
  int64_t begin = start < 0 ? (stride - 1 - start) / stride : 0;
  int64_t end = start < width ? (width - start + stride - 1) / stride : 0;
  if (end > count) end = count;
  if (begin > end) begin = end;
  memset(to, outside, (size_t)begin * BYTE_BLOCK);
  if (end > begin)
    copy_pixels(to + begin * BYTE_BLOCK, x + (start + begin * stride) * BYTE_BLOCK, (size_t)(end - begin),
                (size_t)stride, flip);
  memset(to + end * BYTE_BLOCK, outside, (size_t)(count - end) * BYTE_BLOCK);
}

void byte_blocks_copy(const byte_blocks *blocks, const uint8_t *x, uint8_t outside, uint8_t flip, size_t first,
                      size_t count, uint8_t *to) {
  const struct window_2d *plane = &blocks->plane;
  const int64_t start = (int64_t)(first * plane->stride[0]) - (int64_t)plane->pad[0];
  for (size_t i = 0; i < byte_blocks_rows(blocks, count); i++, to += blocks->row_bytes) {
    const int64_t row = start + (int64_t)i;
    if (!window_meets(plane, 0, i)) continue;
    if (row < 0 || row >= (int64_t)plane->input[0]) {
      memset(to, outside, blocks->row_bytes);
      continue;
    }
    const uint8_t *from = x + (size_t)row * plane->input[1] * BYTE_BLOCK;
    for (size_t phase = 0; phase < plane->stride[1]; phase++) {
      if (window_meets(plane, 1, phase))
        copy_phase_of_blocks(blocks, from, outside, flip, phase, to + phase * blocks->phase_bytes);
    }
  }
}

void byte_blocks_offsets(const byte_blocks *blocks, size_t *offsets) {
  const struct window_2d *plane = &blocks->plane;
  for (size_t r = 0; r < plane->kernel[0]; r++) {
    for (size_t s = 0; s < plane->kernel[1]; s++) {
      const size_t column = s * plane->dilation[1];
      *offsets++ = r * plane->dilation[0] * blocks->row_bytes + column % plane->stride[1] * blocks->phase_bytes +
                   column / plane->stride[1] * BYTE_BLOCK;
    }
  }
}

/* Bytes, or pairs of them, of a and b in turn: the first eight of each, or the last. */
#define LOW_BYTES(a, b)                                                                                                \
  __builtin_shufflevector((byte_block)(a), (byte_block)(b), 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH_BYTES(a, b)                                                                                               \
  __builtin_shufflevector((byte_block)(a), (byte_block)(b), 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,  \
                          31)
#define LOW_PAIRS(a, b)                                                                                                \
  __builtin_shufflevector((byte_block)(a), (byte_block)(b), 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23)
#define HIGH_PAIRS(a, b)                                                                                               \
  __builtin_shufflevector((byte_block)(a), (byte_block)(b), 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30,  \
                          31)

void byte_planes_join(uint8_t *y, const uint8_t *x, size_t plane, size_t planes, uint8_t flip, size_t count) {
  const byte_block mask = (byte_block){0} + flip;
  size_t i = 0;
  for (; i + BYTE_BLOCK <= count; i += BYTE_BLOCK) {
    byte_block from[4];
    for (size_t c = 0; c < 4; c++)
      from[c] = *(const byte_block_in_memory *)(x + (c < planes ? c : 0) * plane + i) ^ mask;
    const byte_block low[2] = {LOW_BYTES(from[0], from[1]), LOW_BYTES(from[2], from[3])};
    const byte_block high[2] = {HIGH_BYTES(from[0], from[1]), HIGH_BYTES(from[2], from[3])};
    const byte_block fours[4] = {LOW_PAIRS(low[0], low[1]), HIGH_PAIRS(low[0], low[1]), LOW_PAIRS(high[0], high[1]),
                                 HIGH_PAIRS(high[0], high[1])};
    memcpy(y + 4 * i, fours, sizeof fours);
  }
  for (; i < count; i++) {
    for (size_t c = 0; c < planes; c++) y[4 * i + c] = x[c * plane + i] ^ flip;
  }
}
