/* Windows over one plane, and depthwise convolution: part of kernel_table_isa.c.
 *
 * A band of the plane is copied into scratch, padded, with its columns sorted by phase: column q of the padded plane
 * lies at index q / stride of phase q % stride. So output columns p, p + 1, ... find the inputs of any one tap next to
 * each other, whatever the stride, dilation and padding, and a single loop without edges serves all of them. Rows are
 * long enough that the last vector of outputs may read whole vectors. */

struct window_band {
  size_t phases;      /* the horizontal stride */
  size_t phase_size;  /* floats of one phase of one row */
  size_t row_size;    /* phases * phase_size */
  size_t rows;        /* output rows of a full band */
  size_t padded_rows; /* rows of the padded plane that these need */
};

INLINE size_t window_padded_rows(const struct window_2d *w, size_t rows) {
  return (rows - 1) * w->stride[0] + (w->kernel[0] - 1) * w->dilation[0] + 1;
}

INLINE size_t window_whole_vectors(size_t floats) {
  return (floats + VF_LANES - 1) / VF_LANES * VF_LANES;
}

static struct window_band window_band_of(const struct window_2d *w) {
  const size_t budget = 96 * 1024 / sizeof(float); /* leaves the second-level cache room for the rest */
  struct window_band band = {.phases = w->stride[1]};
  band.phase_size =
      window_whole_vectors(window_whole_vectors(w->output[1]) + (w->kernel[1] - 1) * w->dilation[1] / w->stride[1]);
  band.row_size = band.phases * band.phase_size;
  band.rows = w->output[0];
  while (band.rows > 4 && window_padded_rows(w, band.rows) * band.row_size > budget) band.rows = (band.rows + 1) / 2;
  band.padded_rows = band.rows ? window_padded_rows(w, band.rows) : 0;
  return band;
}

/* Averages need the divisors of one output row as well, which take three phases; maxima need a line of one, and a
 * vector more is for loads and stores beyond what they use. */
static size_t window_scratch_size(const struct window_2d *w) {
  const struct window_band band = window_band_of(w);
  return (band.padded_rows * band.row_size + 3 * band.phase_size + 2 * VF_LANES) * sizeof(float);
}

/* The band is written from its first row to its last, so that whole vectors may be stored where only n floats belong:
 * what comes next overwrites the rest. */

/* to[i] = from[i * stride] for i < n, stores up to a vector more. */
INLINE void copy_strided(float *to, const float *from, size_t n, size_t stride) {
  size_t i = 0;
  if (stride == 1) {
    for (; i + VF_LANES <= n; i += VF_LANES) vf_store(to + i, vf_load(from + i));
    if (i < n) vf_store(to + i, vf_load_n(from + i, n - i));
  } else if (stride == 2) {
    for (; i + VF_LANES < n; i += VF_LANES)
      vf_store(to + i, vf_even(vf_load(from + 2 * i), vf_load(from + 2 * i + VF_LANES)));
    const size_t left = 2 * (n - i) - 1, low = left < VF_LANES ? left : VF_LANES;
    vf_store(to + i, vf_even(vf_load_n(from + 2 * i, low), vf_load_n(from + 2 * i + low, left - low)));
  } else {
    for (; i < n; i++) to[i] = from[i * stride];
  }
}

/* to[i] = value for i < n, stores up to a vector more. */
INLINE void window_fill(float *to, size_t n, float value) {
  const vf all = vf_set1(value);
  for (size_t i = 0; i < n; i += VF_LANES) vf_store(to + i, all);
}

/* One row of the plane, or of padding where `row` is NULL, by phases. */
static void window_copy_row(const struct window_2d *w, const struct window_band *band, const float *row, float value,
                            float *to) {
  const size_t stride = band->phases, pad = w->pad[1], width = w->input[1];
  for (size_t phase = 0; phase < stride; phase++, to += band->phase_size) {
    /* index i holds column i * stride + phase - pad */
    size_t begin = pad > phase ? (pad - phase + stride - 1) / stride : 0;
    size_t end = width + pad > phase ? (width + pad - phase + stride - 1) / stride : 0;
    if (end > band->phase_size) end = band->phase_size;
    if (begin > end || !row) begin = end = 0;
    window_fill(to, begin, value);
    if (begin < end) copy_strided(to + begin, row + (begin * stride + phase - pad), end - begin, stride);
    window_fill(to + end, band->phase_size - end, value);
  }
}

/* The padded rows that output rows [first, first + rows) need. */
static void window_copy_band(const struct window_2d *w, const struct window_band *band, const float *x, float value,
                             size_t first, size_t rows, float *to) {
  const size_t padded_rows = window_padded_rows(w, rows);
  for (size_t r = 0; r < padded_rows; r++, to += band->row_size) {
    const size_t padded = first * w->stride[0] + r;
    const bool inside = padded >= w->pad[0] && padded - w->pad[0] < w->input[0];
    window_copy_row(w, band, inside ? x + (padded - w->pad[0]) * w->input[1] : NULL, value, to);
  }
}

/* Where column k of the kernel begins in a row of the band. */
INLINE size_t window_tap_offset(size_t k, size_t dilation, size_t stride, size_t phase_size) {
  return k * dilation % stride * phase_size + k * dilation / stride;
}

/* The same for k = 0, 1, ... without a division each. */
struct window_taps {
  size_t phase, index;
  size_t phase_step, index_step;
};

INLINE struct window_taps window_first_tap(size_t dilation, size_t stride) {
  return (struct window_taps){.phase_step = dilation % stride, .index_step = dilation / stride};
}

INLINE size_t window_next_tap(struct window_taps *taps, size_t stride, size_t phase_size) {
  const size_t offset = taps->phase * phase_size + taps->index;
  taps->index += taps->index_step;
  taps->phase += taps->phase_step;
  if (taps->phase >= stride) {
    taps->phase -= stride;
    taps->index++;
  }
  return offset;
}

/* ---- depthwise convolution ---- */
struct depthwise {
  const struct window_2d *window;
  const struct window_band *band;
  const float *weights;
  float bias;
  struct pointwise_end end;
};

INLINE vf depthwise_finish(const struct depthwise *d, vf sum, vf residual) {
  return affine_finish(&d->end, sum + vf_set1(d->bias), residual);
}

INLINE void depthwise_store(const struct depthwise *d, vf sum, const float *residual, float *y, size_t n) {
  if (n >= VF_LANES)
    vf_store(y, depthwise_finish(d, sum, residual ? vf_load(residual) : -vf_zero()));
  else
    vf_store_n(y, depthwise_finish(d, sum, residual ? vf_load_n(residual, n) : -vf_zero()), n);
}

/* `rows` output rows at once, for a square kernel and equal strides known to the compiler, dilation 1: rows of the
 * input are loaded once for all the output rows that they reach. */
INLINE void depthwise_rows(const struct depthwise *d, const float *band, const float *residual, float *y,
                           const int kernel, const int stride, const int rows) {
  const size_t width = d->window->output[1], phase_size = d->band->phase_size, row_size = d->band->row_size;
  for (size_t j = 0; j < width; j += VF_LANES) {
    vf sum[4];
    UNROLL
    for (int r = 0; r < rows; r++) sum[r] = vf_zero();
    UNROLL
    for (int i = 0; i < (rows - 1) * stride + kernel; i++) {
      UNROLL
      for (int k = 0; k < kernel; k++) {
        const vf x = vf_load(band + i * row_size + window_tap_offset(k, 1, stride, phase_size) + j);
        UNROLL
        for (int r = 0; r < rows; r++)
          if (i >= r * stride && i < r * stride + kernel)
            sum[r] = vf_fma(vf_set1(d->weights[(i - r * stride) * kernel + k]), x, sum[r]);
      }
    }
    UNROLL
    for (int r = 0; r < rows; r++)
      depthwise_store(d, sum[r], residual ? residual + r * width + j : NULL, y + r * width + j, width - j);
  }
}

/* One output row, any window. */
static void depthwise_any_row(const struct depthwise *d, const float *band, const float *residual, float *y) {
  const struct window_2d *w = d->window;
  const struct window_taps first = window_first_tap(w->dilation[1], d->band->phases);
  const size_t width = w->output[1];
  for (size_t j = 0; j < width; j += VF_LANES) {
    const float *weight = d->weights;
    vf sum = vf_zero();
    for (size_t i = 0; i < w->kernel[0]; i++) {
      const float *row = band + i * w->dilation[0] * d->band->row_size + j;
      struct window_taps taps = first;
      for (size_t k = 0; k < w->kernel[1]; k++)
        sum = vf_fma(vf_set1(*weight++), vf_load(row + window_next_tap(&taps, d->band->phases, d->band->phase_size)),
                     sum);
    }
    depthwise_store(d, sum, residual ? residual + j : NULL, y + j, width - j);
  }
}

#define DEPTHWISE_INSTANCE(kernel, stride)                                                                             \
  static void depthwise_##kernel##x##kernel##_stride_##stride(const struct depthwise *d, const float *band,            \
                                                              const float *residual, float *y, size_t rows) {          \
    const size_t width = d->window->output[1], step = stride * d->band->row_size;                                      \
    for (; rows >= 4; rows -= 4, band += 4 * step, y += 4 * width) {                                                   \
      depthwise_rows(d, band, residual, y, kernel, stride, 4);                                                         \
      if (residual) residual += 4 * width;                                                                             \
    }                                                                                                                  \
    for (; rows; rows--, band += step, y += width) {                                                                   \
      depthwise_rows(d, band, residual, y, kernel, stride, 1);                                                         \
      if (residual) residual += width;                                                                                 \
    }                                                                                                                  \
  }
DEPTHWISE_INSTANCE(3, 1)
DEPTHWISE_INSTANCE(3, 2)
DEPTHWISE_INSTANCE(5, 1)
DEPTHWISE_INSTANCE(5, 2)
DEPTHWISE_INSTANCE(7, 1)
DEPTHWISE_INSTANCE(7, 2)

static void depthwise_any(const struct depthwise *d, const float *band, const float *residual, float *y, size_t rows) {
  const size_t width = d->window->output[1];
  for (; rows; rows--, band += d->window->stride[0] * d->band->row_size, y += width) {
    depthwise_any_row(d, band, residual, y);
    if (residual) residual += width;
  }
}

static void depthwise_f32(const struct window_2d *window, const float *x, const float *w, float bias,
                          const float *residual, struct activation activation, float *y, void *scratch) {
  const struct window_band band = window_band_of(window);
  const struct depthwise d = {
      .window = window, .band = &band, .weights = w, .bias = bias, .end = pointwise_end_of(activation)};
  const size_t height = window->output[0], width = window->output[1], kernel = window->kernel[0];
  const size_t stride = window->stride[0];
  const bool regular = window->kernel[1] == kernel && window->stride[1] == stride && window->dilation[0] == 1 &&
                       window->dilation[1] == 1;
  if (!width) return;
  for (size_t first = 0; first < height; first += band.rows) {
    const size_t rows = height - first < band.rows ? height - first : band.rows;
    const float *band_residual = residual ? residual + first * width : NULL;
    float *band_y = y + first * width;
    window_copy_band(window, &band, x, 0, first, rows, scratch);
    if (regular && kernel == 3 && stride == 1)
      depthwise_3x3_stride_1(&d, scratch, band_residual, band_y, rows);
    else if (regular && kernel == 3 && stride == 2)
      depthwise_3x3_stride_2(&d, scratch, band_residual, band_y, rows);
    else if (regular && kernel == 5 && stride == 1)
      depthwise_5x5_stride_1(&d, scratch, band_residual, band_y, rows);
    else if (regular && kernel == 5 && stride == 2)
      depthwise_5x5_stride_2(&d, scratch, band_residual, band_y, rows);
    else if (regular && kernel == 7 && stride == 1)
      depthwise_7x7_stride_1(&d, scratch, band_residual, band_y, rows);
    else if (regular && kernel == 7 && stride == 2)
      depthwise_7x7_stride_2(&d, scratch, band_residual, band_y, rows);
    else
      depthwise_any(&d, scratch, band_residual, band_y, rows);
    if (d.end.function) d.end.function(band_y, band_y, rows * width, activation.a, activation.b);
  }
}
