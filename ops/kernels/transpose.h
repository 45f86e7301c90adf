/* Transposition of elements of 4 bytes: part of kernel_table_isa.c. Elements are only moved, so floats stand for them.
 */

/* In each group of 4 lanes, x[i][j] becomes x[j][i]. */
INLINE void vf_transpose_groups(vf x[4]) {
#if VF_LANES == 16
  const vf a = __builtin_shufflevector(x[0], x[1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
  const vf b = __builtin_shufflevector(x[2], x[3], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
  const vf c = __builtin_shufflevector(x[0], x[1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  const vf d = __builtin_shufflevector(x[2], x[3], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  x[0] = __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
  x[1] = __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  x[2] = __builtin_shufflevector(c, d, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
  x[3] = __builtin_shufflevector(c, d, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
#elif VF_LANES == 8
  const vf a = __builtin_shufflevector(x[0], x[1], 0, 8, 1, 9, 4, 12, 5, 13);
  const vf b = __builtin_shufflevector(x[2], x[3], 0, 8, 1, 9, 4, 12, 5, 13);
  const vf c = __builtin_shufflevector(x[0], x[1], 2, 10, 3, 11, 6, 14, 7, 15);
  const vf d = __builtin_shufflevector(x[2], x[3], 2, 10, 3, 11, 6, 14, 7, 15);
  x[0] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
  x[1] = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
  x[2] = __builtin_shufflevector(c, d, 0, 1, 8, 9, 4, 5, 12, 13);
  x[3] = __builtin_shufflevector(c, d, 2, 3, 10, 11, 6, 7, 14, 15);
#else
  v4f_transpose(x);
#endif
}

/* y[j * y_row_stride + i] = x[i * x_row_stride + j] for VF_LANES rows and 4 columns. */
INLINE void transpose_wide(float *y, size_t y_row_stride, const float *x, size_t x_row_stride) {
  vf block[4];
  UNROLL
  for (size_t r = 0; r < 4; r++) block[r] = vf_load_groups(x + r * x_row_stride, 4 * x_row_stride);
  vf_transpose_groups(block);
  UNROLL
  for (size_t j = 0; j < 4; j++) vf_store(y + j * y_row_stride, block[j]);
}

INLINE void transpose_four(float *y, size_t y_row_stride, const float *x, size_t x_row_stride) {
  v4f block[4];
  UNROLL
  for (size_t r = 0; r < 4; r++) block[r] = v4f_load(x + r * x_row_stride);
  v4f_transpose(block);
  UNROLL
  for (size_t j = 0; j < 4; j++) v4f_store(y + j * y_row_stride, block[j]);
}

INLINE void transpose_singly(float *y, size_t y_row_stride, const float *x, size_t x_row_stride, size_t rows,
                             size_t columns) {
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) memcpy(y + j * y_row_stride + i, x + i * x_row_stride + j, sizeof(float));
}

/* Rows of 2 or 3 adjacent elements, one behind the other: four are read, of which the last belong to the next row. */
INLINE void transpose_short_rows(float *y, size_t y_row_stride, const float *x, size_t rows, const size_t columns) {
  size_t i = 0;
  for (; i + 6 <= rows; i += 4) {
    v4f block[4];
    UNROLL
    for (size_t r = 0; r < 4; r++) block[r] = v4f_load(x + (i + r) * columns);
    v4f_transpose(block);
    UNROLL
    for (size_t j = 0; j < columns; j++) v4f_store(y + j * y_row_stride + i, block[j]);
  }
  transpose_singly(y + i, y_row_stride, x + i * columns, columns, rows - i, columns);
}

/* The other way round: four are written, and the last ones again. */
INLINE void transpose_to_short_rows(float *y, const float *x, size_t x_row_stride, const size_t rows, size_t columns) {
  size_t j = 0;
  for (; j + 6 <= columns; j += 4) {
    v4f block[4] = {{0}};
    UNROLL
    for (size_t r = 0; r < rows; r++) block[r] = v4f_load(x + r * x_row_stride + j);
    v4f_transpose(block);
    UNROLL
    for (size_t i = 0; i < 4; i++) v4f_store(y + (j + i) * rows, block[i]);
  }
  transpose_singly(y + j * rows, rows, x + j, x_row_stride, rows, columns - j);
}

static void transpose_32(void *target, size_t y_row_stride, const void *source, size_t x_row_stride, size_t rows,
                         size_t columns) {
  enum { TRANSPOSE_TILE = 32 };
  float *y = target;
  const float *x = source;
  if (columns == 3 && x_row_stride == 3) {
    transpose_short_rows(y, y_row_stride, x, rows, 3);
    return;
  }
  if (columns == 2 && x_row_stride == 2) {
    transpose_short_rows(y, y_row_stride, x, rows, 2);
    return;
  }
  if (rows == 3 && y_row_stride == 3) {
    transpose_to_short_rows(y, x, x_row_stride, 3, columns);
    return;
  }
  if (rows == 2 && y_row_stride == 2) {
    transpose_to_short_rows(y, x, x_row_stride, 2, columns);
    return;
  }
  for (size_t j0 = 0; j0 < columns; j0 += TRANSPOSE_TILE) {
    const size_t width = columns - j0 < TRANSPOSE_TILE ? columns - j0 : TRANSPOSE_TILE, fours = width / 4 * 4;
    float *to = y + j0 * y_row_stride;
    const float *from = x + j0;
    size_t i = 0;
    for (; i + VF_LANES <= rows; i += VF_LANES) {
      for (size_t j = 0; j < fours; j += 4) {
        transpose_wide(to + j * y_row_stride + i, y_row_stride, from + i * x_row_stride + j, x_row_stride);
      }
      transpose_singly(to + fours * y_row_stride + i, y_row_stride, from + i * x_row_stride + fours, x_row_stride,
                       VF_LANES, width - fours);
    }
    for (; i + 4 <= rows; i += 4) {
      for (size_t j = 0; j < fours; j += 4) {
        transpose_four(to + j * y_row_stride + i, y_row_stride, from + i * x_row_stride + j, x_row_stride);
      }
      transpose_singly(to + fours * y_row_stride + i, y_row_stride, from + i * x_row_stride + fours, x_row_stride, 4,
                       width - fours);
    }
    transpose_singly(to + i, y_row_stride, from + i * x_row_stride, x_row_stride, rows - i, width);
  }
}
