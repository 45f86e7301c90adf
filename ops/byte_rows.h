/*
 * Windows that slide over planes of bytes, a row of outputs at a time: the rows that a window sees are copied with
 * their padding, columns apart by the stride, so that the inputs under one tap of neighbouring outputs are neighbours
 * too. For kernels that take a pointer for each tap. One or two axes.
 */
#ifndef OPS_BYTE_ROWS_H
#define OPS_BYTE_ROWS_H

#include "ops/window.h"

#define BYTE_ROWS_MOST_TAPS 64

typedef struct byte_rows {
  struct window_2d plane;
  size_t phase_bytes; /* of the columns of one phase of the stride, in a row */
  size_t slice;       /* output rows that are worked on together */
  size_t scratch;     /* bytes */
} byte_rows;

/* false: the window is none for this: too many axes or taps, or rows that are mostly padding. */
bool byte_rows_init(byte_rows *rows, const window *window);

/* Copies what output rows first .. first + count - 1 see; count is at most `slice`. */
void byte_rows_copy(const byte_rows *rows, const uint8_t *x, uint8_t outside, size_t first, size_t count,
                    uint8_t *scratch);

/* Where the inputs under each tap are for output row `row` of those copied; behind them are 64 bytes. */
void byte_rows_taps(const byte_rows *rows, const uint8_t *scratch, size_t row, const uint8_t **taps);

#endif
