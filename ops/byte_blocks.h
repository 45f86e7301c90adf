/*
 * Windows that slide over channel blocks of bytes, [height][width][16] each: the rows that some rows of outputs see are
 * copied with their padding, columns apart by the stride, so that the pixels under one tap of neighbouring outputs are
 * neighbours too. What byte_rows.h does for planes. One or two axes.
 */
#ifndef OPS_BYTE_BLOCKS_H
#define OPS_BYTE_BLOCKS_H

#include "ops/window.h"

#define BYTE_BLOCK 16 /* channels */

typedef struct byte_blocks {
  struct window_2d plane;
  size_t phase_bytes; /* of the columns of one phase of the stride, in a row */
  size_t row_bytes;
} byte_blocks;

/* false: a row would be too large. The output is not empty. */
bool byte_blocks_init(byte_blocks *blocks, const window *window);

/* Input rows that `count` rows of outputs see, and the bytes that one block of them takes when it is copied. */
size_t byte_blocks_rows(const byte_blocks *blocks, size_t count);
size_t byte_blocks_bytes(const byte_blocks *blocks, size_t count);
/* The most rows of outputs whose copy takes no more than `bytes`, one at least. */
size_t byte_blocks_fitting(const byte_blocks *blocks, size_t bytes);

/* Copies what output rows first .. first + count - 1 see of one block x, each byte changed by an exclusive or with
 * `flip`; `outside` is what stands in the padding. Rows and columns that no tap meets are left out. */
void byte_blocks_copy(const byte_blocks *blocks, const uint8_t *x, uint8_t outside, uint8_t flip, size_t first,
                      size_t count, uint8_t *to);

/* Where the pixel under each tap is for the first output of a copy. The next output is 16 bytes further on, the next
 * row of outputs stride[0] * row_bytes. */
void byte_blocks_offsets(const byte_blocks *blocks, size_t *offsets);

/* y[4 * i + c] = x[c * plane + i] ^ flip for i < count, c < planes; with fewer than four planes the other bytes of each
 * four become anything. */
void byte_planes_join(uint8_t *y, const uint8_t *x, size_t plane, size_t planes, uint8_t flip, size_t count);

/* Whether some tap meets position `at` of a padded row (axis 1) or column (axis 0), for some output. */
bool window_meets(const struct window_2d *plane, int axis, size_t at);

#endif
