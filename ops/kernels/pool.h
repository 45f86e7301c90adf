/* Pooling of one plane: part of kernel_table_isa.c, behind window.h. */

INLINE void window_store(float *y, vf x, size_t n) {
  if (n >= VF_LANES)
    vf_store(y, x);
  else
    vf_store_n(y, x, n);
}

/* One output row of a maximum, kernel and stride constants of the compiler, dilation 1. */
INLINE void max_pool_row(const struct window_2d *w, const struct window_band *band, const float *rows, float *y,
                         const int kernel, const int stride) {
  const size_t width = w->output[1];
  for (size_t j = 0; j < width; j += VF_LANES) {
    vf result = vf_set1(-INFINITY);
    UNROLL
    for (int i = 0; i < kernel; i++) {
      UNROLL
      for (int k = 0; k < kernel; k++)
        result = vf_max_nan(result,
                            vf_load(rows + i * band->row_size + window_tap_offset(k, 1, stride, band->phase_size) + j));
    }
    window_store(y + j, result, width - j);
  }
}

/* The next `count` taps of one row of a window: the maximum or the sum. */
INLINE vf pool_taps(const struct window_band *band, const float *row, struct window_taps *taps, size_t count,
                    const bool maximum) {
  vf result = vf_set1(maximum ? -INFINITY : 0);
  for (size_t k = 0; k < count; k++) {
    const vf x = vf_load(row + window_next_tap(taps, band->phases, band->phase_size));
    result = maximum ? vf_max_nan(result, x) : result + x;
  }
  return result;
}

/* The maximum of each window, any stride and dilation. */
INLINE void max_pool_any_row(const struct window_2d *w, const struct window_band *band, const float *rows, float *y) {
  const struct window_taps first = window_first_tap(w->dilation[1], band->phases);
  const size_t width = w->output[1];
  for (size_t j = 0; j < width; j += VF_LANES) {
    vf result = vf_set1(-INFINITY);
    for (size_t i = 0; i < w->kernel[0]; i++) {
      struct window_taps taps = first;
      result = vf_max_nan(result,
                          pool_taps(band, rows + i * w->dilation[0] * band->row_size + j, &taps, w->kernel[1], true));
    }
    window_store(y + j, result, width - j);
  }
}

/* ---- running maxima ----
 * Maxima of 1, 2, 4, ... neighbours, each of two of the step before; the last step's two overlap. So a window of k
 * costs about log2(k) steps, first of rows, then of columns. */

/* to[j] = max(from[j], from[j + shift]) for j < n, whole vectors; to may be from. */
INLINE void max_of_shifted(float *to, const float *from, size_t shift, size_t n) {
  for (size_t j = 0; j < n; j += VF_LANES) vf_store(to + j, vf_max_nan(vf_load(from + j), vf_load(from + j + shift)));
}

/* Row r of the band becomes the maximum over the window's rows from r on, as long as these are in the band. */
static void max_pool_columns(const struct window_2d *w, const struct window_band *band, size_t rows, float *padded) {
  const size_t kernel = w->kernel[0], dilation = w->dilation[0], row_size = band->row_size;
  size_t left = window_padded_rows(w, rows) * row_size;
  for (size_t covered = 1; covered < kernel;) {
    const size_t step = 2 * covered <= kernel ? covered : kernel - covered, shift = step * dilation * row_size;
    size_t i = 0;
    left -= shift;
    for (; i + VF_LANES <= left; i += VF_LANES)
      vf_store(padded + i, vf_max_nan(vf_load(padded + i), vf_load(padded + i + shift)));
    if (i < left)
      vf_store_n(padded + i, vf_max_nan(vf_load_n(padded + i, left - i), vf_load_n(padded + i + shift, left - i)),
                 left - i);
    covered += step;
  }
}

/* The same of columns, for a stride of 1, from `row` to y; `line` holds a row and a vector more. */
static void max_pool_line(const struct window_2d *w, const struct window_band *band, const float *row, float *line,
                          float *y) {
  const size_t kernel = w->kernel[1], dilation = w->dilation[1], width = w->output[1];
  size_t left = band->phase_size, covered = 1;
  for (; 2 * covered < kernel; covered *= 2) {
    left -= covered * dilation;
    max_of_shifted(line, row, covered * dilation, left);
    row = line;
  }
  const size_t shift = (kernel - covered) * dilation;
  for (size_t j = 0; j < width; j += VF_LANES)
    window_store(y + j, vf_max_nan(vf_load(row + j), vf_load(row + j + shift)), width - j);
}

/* Large windows that move by less than they span. */
static bool max_pool_runs(const struct window_2d *w) {
  return w->stride[1] == 1 && w->kernel[0] * w->kernel[1] > 9 && 2 * w->stride[0] <= w->kernel[0] + 1;
}

static void max_pool_f32(const struct window_2d *w, const float *x, float *y, void *scratch) {
  const struct window_band band = window_band_of(w);
  const size_t height = w->output[0], width = w->output[1], kernel = w->kernel[0], stride = w->stride[1];
  const bool regular = w->kernel[1] == kernel && w->dilation[0] == 1 && w->dilation[1] == 1, runs = max_pool_runs(w);
  float *line = scratch, *padded = line + band.phase_size + VF_LANES;
  if (!width) return;
  for (size_t first = 0; first < height; first += band.rows) {
    const size_t rows = height - first < band.rows ? height - first : band.rows;
    window_copy_band(w, &band, x, -INFINITY, first, rows, padded);
    if (runs) max_pool_columns(w, &band, rows, padded);
    for (size_t r = 0; r < rows; r++) {
      const float *from = padded + r * w->stride[0] * band.row_size;
      float *to = y + (first + r) * width;
      if (runs)
        max_pool_line(w, &band, from, line, to);
      else if (regular && kernel == 2 && stride == 2)
        max_pool_row(w, &band, from, to, 2, 2);
      else if (regular && kernel == 3 && stride == 2)
        max_pool_row(w, &band, from, to, 3, 2);
      else if (regular && kernel == 3 && stride == 1)
        max_pool_row(w, &band, from, to, 3, 1);
      else
        max_pool_any_row(w, &band, from, to);
    }
  }
}

/* ---- averages ---- */

/* Taps of output position p in dimension d that count towards an average. */
static size_t window_count(const struct window_2d *w, int d, size_t p, bool count_pad, size_t pad_end) {
  const size_t begin = count_pad ? 0 : w->pad[d], end = w->pad[d] + w->input[d] + (count_pad ? pad_end : 0);
  const size_t first = p * w->stride[d], dilation = w->dilation[d];
  size_t skipped = begin > first ? begin - first : 0, counted = end > first ? end - first : 0;
  if (dilation > 1) {
    skipped = (skipped + dilation - 1) / dilation;
    counted = (counted + dilation - 1) / dilation;
  }
  if (counted > w->kernel[d]) counted = w->kernel[d];
  return counted > skipped ? counted - skipped : 0;
}

/* window_count of all output columns: most see the whole window. */
static void average_count_columns(const struct window_2d *w, bool count_pad, size_t pad_end, float *columns) {
  const size_t kernel = w->kernel[1], stride = w->stride[1], extent = (kernel - 1) * w->dilation[1] + 1;
  const size_t begin = count_pad ? 0 : w->pad[1], end = w->pad[1] + w->input[1] + (count_pad ? pad_end : 0);
  for (size_t j = 0, first = 0; j < w->output[1]; j++, first += stride) {
    const bool is_whole = first >= begin && first + extent <= end;
    columns[j] = (float)(is_whole ? kernel : window_count(w, 1, j, count_pad, pad_end));
  }
}

/* What the sums of one output row are divided by, and the reciprocals of that. */
struct average_divisors {
  size_t rows;          /* counted ones; SIZE_MAX: nothing is filled in yet */
  const float *columns; /* counted ones of each output */
  float *divisor, *reciprocal;
};

/* `rows` counted rows times the counted columns, 1 where there is none. */
static void average_divisors_fill(struct average_divisors *divisors, size_t rows, size_t width) {
  if (rows == divisors->rows) return;
  divisors->rows = rows;
  for (size_t j = 0; j < width; j += VF_LANES) {
    const vf divisor = vf_max(vf_set1(1), vf_set1((float)rows) * vf_load(divisors->columns + j));
    vf_store(divisors->divisor + j, divisor);
    vf_store(divisors->reciprocal + j, vf_set1(1) / divisor);
  }
}

/* sum / divisor: the product with the reciprocal, corrected by what it leaves over. With a fused multiply-add that is
 * the rounded quotient, for a fraction of a division's time. */
INLINE vf average_divide(vf sum, vf divisor, vf reciprocal) {
  const vf quotient = sum * reciprocal, rest = vf_fma(-quotient, divisor, sum);
  return vf_select(vf_lt(vf_abs(quotient), vf_set1(INFINITY)), vf_fma(rest, reciprocal, quotient), quotient);
}

INLINE vf average_of_row(vf sum, const struct average_divisors *divisors, size_t j) {
  return average_divide(sum, vf_load(divisors->divisor + j), vf_load(divisors->reciprocal + j));
}

/* Each row of the band becomes sums over the window's columns, SUM_STEPS at most. */
INLINE void average_pool_columns(const struct window_2d *w, const struct window_band *band, size_t rows, float *padded,
                                 const size_t kernel) {
  struct window_taps taps = window_first_tap(w->dilation[1], band->phases);
  size_t offset[SUM_STEPS];
  for (size_t k = 0; k < kernel; k++) offset[k] = window_next_tap(&taps, band->phases, band->phase_size);
  for (size_t r = window_padded_rows(w, rows); r; r--, padded += band->row_size) {
    for (size_t j = 0; j < w->output[1]; j += VF_LANES) {
      vf sum = vf_zero() + vf_load(padded + offset[0] + j);
      if (kernel == 3)
        sum = sum + vf_load(padded + offset[1] + j) + vf_load(padded + offset[2] + j);
      else
        for (size_t k = 1; k < kernel; k++) sum += vf_load(padded + offset[k] + j);
      vf_store(padded + j, sum);
    }
  }
}

/* One output row, of such sums. */
INLINE void average_pool_row(const struct window_2d *w, const struct window_band *band, const float *rows,
                             const struct average_divisors *divisors, float *y, const size_t kernel) {
  const size_t width = w->output[1], step = w->dilation[0] * band->row_size;
  for (size_t j = 0; j < width; j += VF_LANES) {
    vf sum = vf_zero() + vf_load(rows + j);
    if (kernel == 3)
      sum = sum + vf_load(rows + step + j) + vf_load(rows + 2 * step + j);
    else
      for (size_t i = 1; i < kernel; i++) sum += vf_load(rows + i * step + j);
    window_store(y + j, average_of_row(sum, divisors, j), width - j);
  }
}

/* The same of a band as it is, for windows with more than SUM_STEPS rows or columns: pieces of rows go to a sum of
 * double precision, as in reduce.h. */
static void average_pool_long_row(const struct window_2d *w, const struct window_band *band, const float *rows,
                                  const struct average_divisors *divisors, float *y) {
  const struct window_taps first = window_first_tap(w->dilation[1], band->phases);
  const size_t width = w->output[1], kernel = w->kernel[1];
  for (size_t j = 0; j < width; j += VF_LANES) {
    vd total[2] = {vd_set1(0), vd_set1(0)};
    for (size_t i = 0; i < w->kernel[0]; i++) {
      struct window_taps taps = first;
      for (size_t k = 0; k < kernel; k += SUM_STEPS)
        vd_add_lanes(total, pool_taps(band, rows + i * w->dilation[0] * band->row_size + j, &taps,
                                      kernel - k < SUM_STEPS ? kernel - k : SUM_STEPS, false));
    }
    window_store(y + j, average_of_row(vf_from_lanes(total), divisors, j), width - j);
  }
}

static void average_pool_f32(const struct window_2d *w, bool count_pad, const size_t pad_end[2], const float *x,
                             float *y, void *scratch) {
  const struct window_band band = window_band_of(w);
  const size_t height = w->output[0], width = w->output[1];
  float *columns = scratch, *padded = columns + 3 * band.phase_size;
  struct average_divisors divisors = {.rows = SIZE_MAX,
                                      .columns = columns,
                                      .divisor = columns + band.phase_size,
                                      .reciprocal = columns + 2 * band.phase_size};
  const bool is_long = w->kernel[0] > SUM_STEPS || w->kernel[1] > SUM_STEPS;
  if (!width) return;
  average_count_columns(w, count_pad, pad_end[1], columns);
  window_fill(columns + width, band.phase_size - width, 1);
  for (size_t first = 0; first < height; first += band.rows) {
    const size_t rows = height - first < band.rows ? height - first : band.rows;
    window_copy_band(w, &band, x, 0, first, rows, padded);
    if (!is_long && w->kernel[1] == 3)
      average_pool_columns(w, &band, rows, padded, 3);
    else if (!is_long)
      average_pool_columns(w, &band, rows, padded, w->kernel[1]);
    for (size_t r = 0; r < rows; r++) {
      average_divisors_fill(&divisors, window_count(w, 0, first + r, count_pad, pad_end[0]), width);
      const float *from = padded + r * w->stride[0] * band.row_size;
      float *to = y + (first + r) * width;
      if (is_long)
        average_pool_long_row(w, &band, from, &divisors, to);
      else if (w->kernel[0] == 3)
        average_pool_row(w, &band, from, &divisors, to, 3);
      else
        average_pool_row(w, &band, from, &divisors, to, w->kernel[0]);
    }
  }
}
