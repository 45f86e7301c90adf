/* Windows over one channel block: depthwise convolution and pooling: part of kernel_table_isa.c.
 *
 * Each pixel is a vector, so that strides, dilations and paddings only choose which vectors are read: taps outside the
 * plane are left out row by row, and in the columns at the border one by one. */

/* Taps of a window at output position p that lie inside the plane, in dimension d: [begin, end). */
struct blocked_taps {
  size_t begin, end;
};

INLINE struct blocked_taps blocked_taps_at(const struct window_2d *w, int d, size_t p) {
  const size_t first = p * w->stride[d], dilation = w->dilation[d], pad = w->pad[d], inside = w->input[d] + pad;
  struct blocked_taps taps = {.begin = first >= pad ? 0 : (pad - first + dilation - 1) / dilation,
                              .end = first >= inside ? 0 : (inside - first + dilation - 1) / dilation};
  if (taps.end > w->kernel[d]) taps.end = w->kernel[d];
  if (taps.begin > taps.end) taps.begin = taps.end;
  return taps;
}

/* Output columns [begin, end) see all columns of the window. */
INLINE struct blocked_taps blocked_inner_columns(const struct window_2d *w) {
  const size_t reach = (w->kernel[1] - 1) * w->dilation[1], stride = w->stride[1], inside = w->input[1] + w->pad[1];
  struct blocked_taps inner = {.begin = (w->pad[1] + stride - 1) / stride,
                               .end = inside > reach ? (inside - reach - 1) / stride + 1 : 0};
  if (inner.end > w->output[1]) inner.end = w->output[1];
  if (inner.begin > inner.end) inner.begin = inner.end;
  return inner;
}

/* One output row of a window. */
struct blocked_row {
  const struct window_2d *window;
  const float *x;            /* the plane */
  size_t first;              /* row * stride: where the window begins, counted from the padding */
  struct blocked_taps taps;  /* its rows inside */
  struct blocked_taps inner; /* columns without a border */
};

INLINE const float *blocked_row_input(const struct blocked_row *row, size_t k0) {
  const struct window_2d *w = row->window;
  return row->x + (row->first + k0 * w->dilation[0] - w->pad[0]) * w->input[1] * VF_LANES;
}

/* ---- depthwise convolution ---- */
struct blocked_depthwise {
  struct blocked_row row;
  const float *weights;
  vf bias;
  struct pointwise_end end;
};

INLINE void blocked_depthwise_store(const struct blocked_depthwise *d, vf sum, const float *residual, float *y) {
  vf_store(y, affine_finish(&d->end, sum + d->bias, residual ? vf_load(residual) : -vf_zero()));
}

/* One output pixel, any column. */
static void blocked_depthwise_pixel(const struct blocked_depthwise *d, size_t p, const float *residual, float *y) {
  const struct window_2d *w = d->row.window;
  const struct blocked_taps taps = blocked_taps_at(w, 1, p);
  vf sum = vf_zero();
  for (size_t k0 = d->row.taps.begin; k0 < d->row.taps.end; k0++) {
    const float *x = blocked_row_input(&d->row, k0), *weights = d->weights + k0 * w->kernel[1] * VF_LANES;
    for (size_t k1 = taps.begin; k1 < taps.end; k1++)
      sum = vf_fma(vf_load(weights + k1 * VF_LANES),
                   vf_load(x + (p * w->stride[1] + k1 * w->dilation[1] - w->pad[1]) * VF_LANES), sum);
  }
  blocked_depthwise_store(d, sum, residual, y);
}

/* `count` neighbouring output pixels without a border; all constants of the compiler, dilation 1. */
INLINE void blocked_depthwise_tile(const struct blocked_depthwise *d, size_t p, const float *residual, float *y,
                                   const int kernel, const int stride, const int count) {
  const struct window_2d *w = d->row.window;
  const size_t offset = (p * (size_t)stride - w->pad[1]) * VF_LANES;
  vf sum[8];
  UNROLL
  for (int i = 0; i < count; i++) sum[i] = vf_zero();
  for (size_t k0 = d->row.taps.begin; k0 < d->row.taps.end; k0++) {
    const float *x = blocked_row_input(&d->row, k0) + offset, *weights = d->weights + k0 * (size_t)kernel * VF_LANES;
    UNROLL
    for (int k1 = 0; k1 < kernel; k1++) {
      const vf weight = vf_load(weights + k1 * VF_LANES);
      UNROLL
      for (int i = 0; i < count; i++) sum[i] = vf_fma(weight, vf_load(x + (i * stride + k1) * VF_LANES), sum[i]);
    }
  }
  UNROLL
  for (int i = 0; i < count; i++)
    blocked_depthwise_store(d, sum[i], residual ? residual + i * VF_LANES : NULL, y + i * VF_LANES);
}

typedef void blocked_depthwise_columns(const struct blocked_depthwise *d, const float *residual, float *y);

/* The columns of a row without a border. */
#define BLOCKED_DEPTHWISE_COLUMNS(name, kernel, stride)                                                                \
  static void name(const struct blocked_depthwise *d, const float *residual, float *y) {                               \
    size_t p = d->row.inner.begin;                                                                                     \
    const size_t end = d->row.inner.end;                                                                               \
    for (; p + 8 <= end; p += 8)                                                                                       \
      blocked_depthwise_tile(d, p, residual ? residual + p *VF_LANES : NULL, y + p * VF_LANES, kernel, stride, 8);     \
    for (; p + 4 <= end; p += 4)                                                                                       \
      blocked_depthwise_tile(d, p, residual ? residual + p *VF_LANES : NULL, y + p * VF_LANES, kernel, stride, 4);     \
    for (; p < end; p++)                                                                                               \
      blocked_depthwise_tile(d, p, residual ? residual + p *VF_LANES : NULL, y + p * VF_LANES, kernel, stride, 1);     \
  }
BLOCKED_DEPTHWISE_COLUMNS(blocked_depthwise_3_stride_1, 3, 1)
BLOCKED_DEPTHWISE_COLUMNS(blocked_depthwise_3_stride_2, 3, 2)
BLOCKED_DEPTHWISE_COLUMNS(blocked_depthwise_5_stride_1, 5, 1)
BLOCKED_DEPTHWISE_COLUMNS(blocked_depthwise_5_stride_2, 5, 2)
#undef BLOCKED_DEPTHWISE_COLUMNS

static void blocked_depthwise_any(const struct blocked_depthwise *d, const float *residual, float *y) {
  for (size_t p = d->row.inner.begin; p < d->row.inner.end; p++)
    blocked_depthwise_pixel(d, p, residual ? residual + p * VF_LANES : NULL, y + p * VF_LANES);
}

static blocked_depthwise_columns *blocked_depthwise_columns_for(const struct window_2d *w) {
  const size_t kernel = w->kernel[1], stride = w->stride[1];
  if (w->dilation[1] == 1 && kernel == 3 && stride == 1) return blocked_depthwise_3_stride_1;
  if (w->dilation[1] == 1 && kernel == 3 && stride == 2) return blocked_depthwise_3_stride_2;
  if (w->dilation[1] == 1 && kernel == 5 && stride == 1) return blocked_depthwise_5_stride_1;
  if (w->dilation[1] == 1 && kernel == 5 && stride == 2) return blocked_depthwise_5_stride_2;
  return blocked_depthwise_any;
}

static void blocked_depthwise_f32(const struct window_2d *w, const float *x, const float *weights, const float *bias,
                                  const float *residual, struct activation activation, float *y) {
  blocked_depthwise_columns *const columns = blocked_depthwise_columns_for(w);
  const size_t width = w->output[1], row_size = width * VF_LANES;
  struct blocked_depthwise d = {.row = {.window = w, .x = x, .inner = blocked_inner_columns(w)},
                                .weights = weights,
                                .bias = bias ? vf_load(bias) : -vf_zero(),
                                .end = pointwise_end_of(activation)};
  for (size_t p0 = 0; p0 < w->output[0]; p0++, y += row_size) {
    d.row.first = p0 * w->stride[0];
    d.row.taps = blocked_taps_at(w, 0, p0);
    for (size_t p = 0; p < d.row.inner.begin; p++)
      blocked_depthwise_pixel(&d, p, residual ? residual + p * VF_LANES : NULL, y + p * VF_LANES);
    columns(&d, residual, y);
    for (size_t p = d.row.inner.end; p < width; p++)
      blocked_depthwise_pixel(&d, p, residual ? residual + p * VF_LANES : NULL, y + p * VF_LANES);
    if (d.end.function) d.end.function(y, y, row_size, activation.a, activation.b);
    if (residual) residual += row_size;
  }
}

/* ---- pooling ---- */

/* The maximum, or the sum, of one window. */
INLINE vf blocked_pool_pixel(const struct blocked_row *row, size_t p, const bool maximum) {
  const struct window_2d *w = row->window;
  const struct blocked_taps taps = blocked_taps_at(w, 1, p);
  vf result = vf_set1(maximum ? -INFINITY : 0);
  for (size_t k0 = row->taps.begin; k0 < row->taps.end; k0++) {
    const float *x = blocked_row_input(row, k0);
    for (size_t k1 = taps.begin; k1 < taps.end; k1++) {
      const vf value = vf_load(x + (p * w->stride[1] + k1 * w->dilation[1] - w->pad[1]) * VF_LANES);
      result = maximum ? vf_max_nan(result, value) : result + value;
    }
  }
  return result;
}

/* The same for columns without a border, `count` of them at once; kernel and stride of the columns are constants of the
 * compiler, dilation 1. */
INLINE void blocked_pool_tile(const struct blocked_row *row, size_t p, vf *result, const int kernel, const int stride,
                              const int count, const bool maximum) {
  const struct window_2d *w = row->window;
  const size_t offset = (p * (size_t)stride - w->pad[1]) * VF_LANES;
  UNROLL
  for (int i = 0; i < count; i++) result[i] = vf_set1(maximum ? -INFINITY : 0);
  for (size_t k0 = row->taps.begin; k0 < row->taps.end; k0++) {
    const float *x = blocked_row_input(row, k0) + offset;
    UNROLL
    for (int k1 = 0; k1 < kernel; k1++) {
      UNROLL
      for (int i = 0; i < count; i++) {
        const vf value = vf_load(x + (i * stride + k1) * VF_LANES);
        result[i] = maximum ? vf_max_nan(result[i], value) : result[i] + value;
      }
    }
  }
}

static void blocked_max_pool_f32(const struct window_2d *w, const float *x, float *y) {
  struct blocked_row row = {.window = w, .x = x, .inner = blocked_inner_columns(w)};
  const size_t width = w->output[1], kernel = w->kernel[1], stride = w->stride[1];
  const bool adjacent = w->dilation[1] == 1;
  for (size_t p0 = 0; p0 < w->output[0]; p0++, y += width * VF_LANES) {
    size_t p = 0;
    vf result[4];
    row.first = p0 * w->stride[0];
    row.taps = blocked_taps_at(w, 0, p0);
    while (p < width) {
      if (adjacent && stride <= 2 && kernel >= 2 && kernel <= 3 && p >= row.inner.begin && p + 4 <= row.inner.end) {
        if (kernel == 3 && stride == 2)
          blocked_pool_tile(&row, p, result, 3, 2, 4, true);
        else if (kernel == 2 && stride == 2)
          blocked_pool_tile(&row, p, result, 2, 2, 4, true);
        else if (kernel == 3)
          blocked_pool_tile(&row, p, result, 3, 1, 4, true);
        else
          blocked_pool_tile(&row, p, result, 2, 1, 4, true);
        UNROLL
        for (int i = 0; i < 4; i++) vf_store(y + (p + i) * VF_LANES, result[i]);
        p += 4;
      } else {
        vf_store(y + p * VF_LANES, blocked_pool_pixel(&row, p, true));
        p++;
      }
    }
  }
}

static void blocked_average_pool_f32(const struct window_2d *w, bool count_pad, const size_t pad_end[2], const float *x,
                                     float *y) {
  struct blocked_row row = {.window = w, .x = x, .inner = blocked_inner_columns(w)};
  const size_t width = w->output[1];
  for (size_t p0 = 0; p0 < w->output[0]; p0++, y += width * VF_LANES) {
    const size_t rows = window_count(w, 0, p0, count_pad, pad_end[0]);
    row.first = p0 * w->stride[0];
    row.taps = blocked_taps_at(w, 0, p0);
    for (size_t p = 0; p < width; p++) {
      const size_t columns =
          p >= row.inner.begin && p < row.inner.end ? w->kernel[1] : window_count(w, 1, p, count_pad, pad_end[1]);
      const size_t elements = rows * columns;
      vf_store(y + p * VF_LANES, blocked_pool_pixel(&row, p, false) / vf_set1((float)(elements ? elements : 1)));
    }
  }
}
