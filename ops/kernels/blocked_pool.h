/* Pooling of one channel block: part of kernel_table_isa.c, behind blocked_window.h.
 *
 * The rows of each column of the window come first, then the columns: neighbouring windows share columns. */
INLINE vf blocked_pool_add(vf result, vf value, const bool maximum) {
  return maximum ? vf_max_nan(result, value) : result + value;
}

/* The maximum, or the sum, of one window: the columns [begin, end) of it. */
INLINE vf blocked_pool_columns(const struct blocked_row *row, size_t p, size_t begin, size_t end, const bool maximum) {
  const struct window_2d *w = row->window;
  const vf none = vf_set1(maximum ? -INFINITY : 0);
  vf result = none;
  for (size_t k1 = begin; k1 < end; k1++) {
    const size_t offset = (p * w->stride[1] + k1 * w->dilation[1] - w->pad[1]) * VF_LANES;
    vf column = none;
    for (size_t k0 = row->taps.begin; k0 < row->taps.end; k0++)
      column = blocked_pool_add(column, vf_load(blocked_row_input(row, k0) + offset), maximum);
    result = blocked_pool_add(result, column, maximum);
  }
  return result;
}

/* The sum of a window with more than SUM_STEPS rows or columns: a column in pieces, which go to a sum of double
 * precision. */
static void blocked_sum_long(const struct blocked_row *row, size_t p, struct blocked_taps columns, float *sum) {
  vd total[2] = {vd_set1(0), vd_set1(0)};
  struct blocked_row piece = *row;
  for (size_t k0 = row->taps.begin; k0 < row->taps.end; k0 += SUM_STEPS) {
    piece.taps.begin = k0;
    piece.taps.end = row->taps.end - k0 < SUM_STEPS ? row->taps.end : k0 + SUM_STEPS;
    for (size_t k1 = columns.begin; k1 < columns.end; k1++)
      vd_add_lanes(total, blocked_pool_columns(&piece, p, k1, k1 + 1, false));
  }
  vf_store(sum, vf_from_lanes(total));
}

INLINE vf blocked_pool_pixel(const struct blocked_row *row, size_t p, const bool maximum) {
  const struct blocked_taps columns = blocked_taps_at(row->window, 1, p);
  if (!maximum && (row->taps.end - row->taps.begin > SUM_STEPS || columns.end - columns.begin > SUM_STEPS)) {
    float sum[VF_LANES];
    blocked_sum_long(row, p, columns, sum);
    return vf_load(sum);
  }
  return blocked_pool_columns(row, p, columns.begin, columns.end, maximum);
}

enum { BLOCKED_POOL_TILE = 4 };

/* The same for BLOCKED_POOL_TILE neighbouring windows without a border; kernel and stride of the columns are constants
 * of the compiler, dilation 1. */
INLINE void blocked_pool_tile(const struct blocked_row *row, size_t p, vf *result, const int kernel, const int stride,
                              const bool maximum) {
  const size_t offset = (p * (size_t)stride - row->window->pad[1]) * VF_LANES;
  const int columns = (BLOCKED_POOL_TILE - 1) * stride + kernel;
  const vf none = vf_set1(maximum ? -INFINITY : 0);
  vf column[(BLOCKED_POOL_TILE - 1) * 2 + 3];
  UNROLL
  for (int i = 0; i < columns; i++) column[i] = none;
  for (size_t k0 = row->taps.begin; k0 < row->taps.end; k0++) {
    const float *x = blocked_row_input(row, k0) + offset;
    UNROLL
    for (int i = 0; i < columns; i++) column[i] = blocked_pool_add(column[i], vf_load(x + i * VF_LANES), maximum);
  }
  UNROLL
  for (int i = 0; i < BLOCKED_POOL_TILE; i++) {
    result[i] = none;
    UNROLL
    for (int k = 0; k < kernel; k++) result[i] = blocked_pool_add(result[i], column[i * stride + k], maximum);
  }
}

/* What the sum of a window with `columns` counted columns is divided by. */
struct blocked_divisor {
  bool count_pad;
  const size_t *pad_end;
  size_t rows; /* counted ones of the present output row */
};

INLINE vf blocked_pool_divisor(const struct blocked_divisor *divisor, size_t columns) {
  const size_t elements = divisor->rows * columns;
  return vf_set1((float)(elements ? elements : 1));
}

/* The columns of one output row without a border, at least BLOCKED_POOL_TILE of them: the last tile overlaps. */
INLINE void blocked_pool_inner(const struct blocked_row *row, const struct blocked_divisor *divisor, float *y,
                               const int kernel, const int stride, const bool maximum) {
  const size_t end = row->inner.end;
  const vf elements = maximum ? vf_set1(1) : blocked_pool_divisor(divisor, (size_t)kernel);
  const vf reciprocal = vf_set1(1) / elements;
  for (size_t p = row->inner.begin; p < end; p += BLOCKED_POOL_TILE) {
    vf result[BLOCKED_POOL_TILE];
    if (p + BLOCKED_POOL_TILE > end) p = end - BLOCKED_POOL_TILE;
    blocked_pool_tile(row, p, result, kernel, stride, maximum);
    UNROLL
    for (int i = 0; i < BLOCKED_POOL_TILE; i++)
      vf_store(y + (p + (size_t)i) * VF_LANES, maximum ? result[i] : average_divide(result[i], elements, reciprocal));
  }
}

/* One window that may reach over the border. */
INLINE void blocked_pool_any(const struct blocked_row *row, const struct blocked_divisor *divisor, size_t p, float *y,
                             const bool maximum) {
  vf result = blocked_pool_pixel(row, p, maximum);
  if (!maximum)
    result /= blocked_pool_divisor(divisor, window_count(row->window, 1, p, divisor->count_pad, divisor->pad_end[1]));
  vf_store(y + p * VF_LANES, result);
}

enum { BLOCKED_POOL_LINE = 64 };

/* Columns [begin, begin + count) of the window's rows, each reduced to one pixel of `line`. */
INLINE void blocked_pool_reduce(const struct blocked_row *row, size_t begin, size_t count, float *line,
                                const bool maximum) {
  const vf none = vf_set1(maximum ? -INFINITY : 0);
  for (size_t c = 0; c < count; c += BLOCKED_POOL_TILE) {
    const size_t some = count - c < BLOCKED_POOL_TILE ? count - c : BLOCKED_POOL_TILE;
    vf column[BLOCKED_POOL_TILE];
    UNROLL
    for (size_t i = 0; i < BLOCKED_POOL_TILE; i++) column[i] = none;
    for (size_t k0 = row->taps.begin; k0 < row->taps.end; k0++) {
      const float *x = blocked_row_input(row, k0) + (begin + c) * VF_LANES;
      UNROLL
      for (size_t i = 0; i < BLOCKED_POOL_TILE; i++)
        column[i] = blocked_pool_add(column[i], vf_load(x + (i < some ? i : 0) * VF_LANES), maximum);
    }
    UNROLL
    for (size_t i = 0; i < BLOCKED_POOL_TILE; i++) vf_store(line + (c + i) * VF_LANES, column[i]);
  }
}

/* One output row of a window whose columns are many: each column is reduced once for all windows that it is in. */
INLINE void blocked_pool_wide(const struct blocked_row *row, const struct blocked_divisor *divisor, float *y,
                              const bool maximum) {
  const struct window_2d *w = row->window;
  const size_t width = w->output[1], stride = w->stride[1], dilation = w->dilation[1], pad = w->pad[1];
  const size_t extent = (w->kernel[1] - 1) * dilation + 1, most = (BLOCKED_POOL_LINE - extent) / stride + 1;
  const size_t inside = pad + w->input[1];
  float line[(BLOCKED_POOL_LINE + BLOCKED_POOL_TILE) * VF_LANES];
  for (size_t p = 0; p < width; p += most) {
    const size_t next = width - p < most ? width : p + most, first = p * stride;
    const size_t last = (next - 1) * stride + extent, begin = first > pad ? first : pad;
    const size_t end = last < inside ? last : inside;
    if (begin < end) blocked_pool_reduce(row, begin - pad, end - begin, line, maximum);
    for (size_t q = p; q < next; q++) {
      const struct blocked_taps taps = blocked_taps_at(w, 1, q);
      vf result = vf_set1(maximum ? -INFINITY : 0);
      for (size_t k1 = taps.begin; k1 < taps.end; k1++)
        result = blocked_pool_add(result, vf_load(line + (q * stride + k1 * dilation - begin) * VF_LANES), maximum);
      if (!maximum)
        result /= blocked_pool_divisor(divisor, window_count(w, 1, q, divisor->count_pad, divisor->pad_end[1]));
      vf_store(y + q * VF_LANES, result);
    }
  }
}

/* Whether windows overlap so much that blocked_pool_wide wins; sums of long columns go another way. */
INLINE bool blocked_pool_is_wide(const struct window_2d *w, const bool maximum) {
  const size_t kernel = w->kernel[1];
  if (kernel < 4 || w->kernel[0] < 2 || kernel < 2 * w->stride[1] || w->dilation[1] > BLOCKED_POOL_LINE / 4)
    return false;
  if (!maximum && (w->kernel[0] > SUM_STEPS || kernel > SUM_STEPS)) return false;
  return kernel < BLOCKED_POOL_LINE && 2 * ((kernel - 1) * w->dilation[1] + 1) <= BLOCKED_POOL_LINE;
}

INLINE void blocked_pool(const struct window_2d *w, struct blocked_divisor *divisor, const float *x, float *y,
                         const bool maximum) {
  const size_t width = w->output[1], kernel = w->kernel[1], stride = w->stride[1];
  struct blocked_row row = {.window = w, .x = x, .inner = blocked_inner_columns(w)};
  const bool is_long = !maximum && w->kernel[0] > SUM_STEPS, is_wide = blocked_pool_is_wide(w, maximum);
  if (row.inner.end - row.inner.begin < BLOCKED_POOL_TILE || is_long || w->dilation[1] != 1 || kernel < 2 ||
      kernel > 3 || stride > 2)
    row.inner.begin = row.inner.end = width;
  for (size_t p0 = 0; p0 < w->output[0]; p0++, y += width * VF_LANES) {
    blocked_row_begin(&row, p0);
    if (!maximum) divisor->rows = window_count(w, 0, p0, divisor->count_pad, divisor->pad_end[0]);
    if (is_wide) {
      blocked_pool_wide(&row, divisor, y, maximum);
      continue;
    }
    for (size_t p = 0; p < row.inner.begin; p++) blocked_pool_any(&row, divisor, p, y, maximum);
    if (row.inner.begin < row.inner.end) {
      if (kernel == 3 && stride == 2)
        blocked_pool_inner(&row, divisor, y, 3, 2, maximum);
      else if (kernel == 3)
        blocked_pool_inner(&row, divisor, y, 3, 1, maximum);
      else if (stride == 2)
        blocked_pool_inner(&row, divisor, y, 2, 2, maximum);
      else
        blocked_pool_inner(&row, divisor, y, 2, 1, maximum);
    }
    for (size_t p = row.inner.end; p < width; p++) blocked_pool_any(&row, divisor, p, y, maximum);
  }
}

static void blocked_max_pool_f32(const struct window_2d *w, const float *x, float *y) {
  blocked_pool(w, NULL, x, y, true);
}

static void blocked_average_pool_f32(const struct window_2d *w, bool count_pad, const size_t pad_end[2], const float *x,
                                     float *y) {
  struct blocked_divisor divisor = {.count_pad = count_pad, .pad_end = pad_end};
  blocked_pool(w, &divisor, x, y, false);
}
