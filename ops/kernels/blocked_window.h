/* Windows over one channel block, and depthwise convolution: part of kernel_table_isa.c.
 *
 * Each pixel is a vector, so that strides, dilations and paddings only choose which vectors are read: taps outside the
 * plane are left out row by row, and in the columns at the border one by one. */

/* Taps of a window at output position p that lie inside the plane, in dimension d: [begin, end). */
struct blocked_taps {
  size_t begin, end;
};

INLINE struct blocked_taps blocked_taps_at(const struct window_2d *w, int d, size_t p) {
  const size_t first = p * w->stride[d], dilation = w->dilation[d], pad = w->pad[d], inside = w->input[d] + pad;
  struct blocked_taps taps = {.begin = first >= pad ? 0 : pad - first, .end = first >= inside ? 0 : inside - first};
  if (dilation > 1) {
    taps.begin = (taps.begin + dilation - 1) / dilation;
    taps.end = (taps.end + dilation - 1) / dilation;
  }
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

INLINE void blocked_row_begin(struct blocked_row *row, size_t p0) {
  row->first = p0 * row->window->stride[0];
  row->taps = blocked_taps_at(row->window, 0, p0);
}

INLINE const float *blocked_row_input(const struct blocked_row *row, size_t k0) {
  const struct window_2d *w = row->window;
  return row->x + (row->first + k0 * w->dilation[0] - w->pad[0]) * w->input[1] * VF_LANES;
}

/* ---- depthwise convolution ---- */
/* Up to BLOCKED_DEPTHWISE_ROW_TILE pixels at a time, by the instruction set's file. */
struct blocked_depthwise {
  struct blocked_row row;
  size_t tiles, tile_pixels, larger_tiles; /* of the columns without a border; the first ones have a pixel more */
  const float *weights;
  vf bias;
  struct pointwise_end end;
};

INLINE void blocked_depthwise_store(const struct blocked_depthwise *d, vf sum, const float *residual, float *y) {
  if (residual) sum += vf_load(residual);
  vf_store(y, vf_min(vf_set1(d->end.high), vf_max(vf_set1(d->end.low), sum)));
}

/* One output pixel, any column. */
static void blocked_depthwise_pixel(const struct blocked_depthwise *d, size_t p, const float *residual, float *y) {
  const struct window_2d *w = d->row.window;
  const struct blocked_taps taps = blocked_taps_at(w, 1, p);
  vf sum = d->bias;
  for (size_t k0 = d->row.taps.begin; k0 < d->row.taps.end; k0++) {
    const float *x = blocked_row_input(&d->row, k0), *weights = d->weights + k0 * w->kernel[1] * VF_LANES;
    for (size_t k1 = taps.begin; k1 < taps.end; k1++)
      sum = vf_fma(vf_load(weights + k1 * VF_LANES),
                   vf_load(x + (p * w->stride[1] + k1 * w->dilation[1] - w->pad[1]) * VF_LANES), sum);
  }
  blocked_depthwise_store(d, sum, residual, y);
}

/* Eight neighbouring output pixels that see the same columns of the window, whatever its stride and dilation: the sums
 * of single pixels. */
INLINE void blocked_depthwise_eight(const struct blocked_depthwise *d, size_t p, struct blocked_taps taps,
                                    const float *residual, float *y) {
  const struct window_2d *w = d->row.window;
  const size_t step = w->stride[1] * VF_LANES, tap_step = w->dilation[1] * VF_LANES;
  vf sum[8];
  UNROLL
  for (int i = 0; i < 8; i++) sum[i] = d->bias;
  if (taps.begin < taps.end)
    for (size_t k0 = d->row.taps.begin; k0 < d->row.taps.end; k0++) {
      const float *weights = d->weights + k0 * w->kernel[1] * VF_LANES;
      const float *x =
          blocked_row_input(&d->row, k0) + (p * w->stride[1] + taps.begin * w->dilation[1] - w->pad[1]) * VF_LANES;
      for (size_t k1 = taps.begin; k1 < taps.end; k1++, x += tap_step) {
        const vf weight = vf_load(weights + k1 * VF_LANES);
        UNROLL
        for (size_t i = 0; i < 8; i++) sum[i] = vf_fma(weight, vf_load(x + i * step), sum[i]);
      }
    }
  UNROLL
  for (size_t i = 0; i < 8; i++)
    blocked_depthwise_store(d, sum[i], residual ? residual + i * VF_LANES : NULL, y + i * VF_LANES);
}

/* Output pixels [p, end) of a row, any columns. */
static void blocked_depthwise_span(const struct blocked_depthwise *d, size_t p, size_t end, const float *residual,
                                   float *y) {
  while (p < end) {
    const float *addend = residual ? residual + p * VF_LANES : NULL;
    if (p + 8 <= end) {
      const struct blocked_taps taps = blocked_taps_at(d->row.window, 1, p);
      const struct blocked_taps last = blocked_taps_at(d->row.window, 1, p + 7);
      if (taps.begin == last.begin && taps.end == last.end) {
        blocked_depthwise_eight(d, p, taps, addend, y + p * VF_LANES);
        p += 8;
        continue;
      }
    }
    blocked_depthwise_pixel(d, p, addend, y + p * VF_LANES);
    p++;
  }
}

/* One row of the window for `count` neighbouring output pixels without a border. */
INLINE void blocked_depthwise_taps(vf *sum, const float *x, const float *weights, const int kernel, const int stride,
                                   const int count) {
  UNROLL
  for (int k1 = 0; k1 < kernel; k1++) {
    const vf weight = vf_load(weights + k1 * VF_LANES);
    UNROLL
    for (int i = 0; i < count; i++) sum[i] = vf_fma(weight, vf_load(x + (i * stride + k1) * VF_LANES), sum[i]);
  }
}

/* `count` neighbouring output pixels without a border; all constants of the compiler, dilation 1. */
INLINE void blocked_depthwise_tile(const struct blocked_depthwise *d, size_t p, const float *residual, float *y,
                                   const int kernel, const int stride, const int count) {
  const struct window_2d *w = d->row.window;
  const size_t weights_row = (size_t)kernel * VF_LANES, x_row = w->dilation[0] * w->input[1] * VF_LANES;
  const float *x = blocked_row_input(&d->row, d->row.taps.begin) + (p * (size_t)stride - w->pad[1]) * VF_LANES;
  const float *weights = d->weights + d->row.taps.begin * weights_row;
  vf sum[8];
  UNROLL
  for (int i = 0; i < count; i++) sum[i] = d->bias;
  if (d->row.taps.end - d->row.taps.begin == 3) {
    UNROLL
    for (size_t k0 = 0; k0 < 3; k0++)
      blocked_depthwise_taps(sum, x + k0 * x_row, weights + k0 * weights_row, kernel, stride, count);
  } else {
    for (size_t k0 = d->row.taps.begin; k0 < d->row.taps.end; k0++, x += x_row, weights += weights_row)
      blocked_depthwise_taps(sum, x, weights, kernel, stride, count);
  }
  UNROLL
  for (int i = 0; i < count; i++)
    blocked_depthwise_store(d, sum[i], residual ? residual + i * VF_LANES : NULL, y + i * VF_LANES);
}

typedef void blocked_depthwise_columns(const struct blocked_depthwise *d, const float *residual, float *y);

typedef void blocked_depthwise_some(const struct blocked_depthwise *d, size_t p, size_t count, const float *residual,
                                    float *y);

INLINE void blocked_depthwise_tiles(const struct blocked_depthwise *d, const float *residual, float *y,
                                    blocked_depthwise_some *tile) {
  size_t p = d->row.inner.begin;
  for (size_t tiles = (d->row.inner.end - p + 7) / 8; tiles; tiles--) {
    const size_t count = (d->row.inner.end - p + tiles - 1) / tiles;
    tile(d, p, count, residual ? residual + p * VF_LANES : NULL, y + p * VF_LANES);
    p += count;
  }
}

/* The columns of a row without a border, in tiles of at most 8 that differ by one at most. */
#define BLOCKED_DEPTHWISE_COLUMNS(name, kernel, stride)                                                                \
  static void name##_tile(const struct blocked_depthwise *d, size_t p, size_t count, const float *residual,            \
                          float *y) {                                                                                  \
    switch (count) {                                                                                                   \
    case 1:                                                                                                            \
      blocked_depthwise_tile(d, p, residual, y, kernel, stride, 1);                                                    \
      break;                                                                                                           \
    case 2:                                                                                                            \
      blocked_depthwise_tile(d, p, residual, y, kernel, stride, 2);                                                    \
      break;                                                                                                           \
    case 3:                                                                                                            \
      blocked_depthwise_tile(d, p, residual, y, kernel, stride, 3);                                                    \
      break;                                                                                                           \
    case 4:                                                                                                            \
      blocked_depthwise_tile(d, p, residual, y, kernel, stride, 4);                                                    \
      break;                                                                                                           \
    case 5:                                                                                                            \
      blocked_depthwise_tile(d, p, residual, y, kernel, stride, 5);                                                    \
      break;                                                                                                           \
    case 6:                                                                                                            \
      blocked_depthwise_tile(d, p, residual, y, kernel, stride, 6);                                                    \
      break;                                                                                                           \
    case 7:                                                                                                            \
      blocked_depthwise_tile(d, p, residual, y, kernel, stride, 7);                                                    \
      break;                                                                                                           \
    default:                                                                                                           \
      blocked_depthwise_tile(d, p, residual, y, kernel, stride, 8);                                                    \
    }                                                                                                                  \
  }                                                                                                                    \
  static void name(const struct blocked_depthwise *d, const float *residual, float *y) {                               \
    blocked_depthwise_tiles(d, residual, y, name##_tile);                                                              \
  }
BLOCKED_DEPTHWISE_COLUMNS(blocked_depthwise_3_stride_1, 3, 1)
BLOCKED_DEPTHWISE_COLUMNS(blocked_depthwise_3_stride_2, 3, 2)
BLOCKED_DEPTHWISE_COLUMNS(blocked_depthwise_5_stride_1, 5, 1)
BLOCKED_DEPTHWISE_COLUMNS(blocked_depthwise_5_stride_2, 5, 2)
BLOCKED_DEPTHWISE_COLUMNS(blocked_depthwise_7_stride_1, 7, 1)
BLOCKED_DEPTHWISE_COLUMNS(blocked_depthwise_7_stride_2, 7, 2)
#undef BLOCKED_DEPTHWISE_COLUMNS

/* ---- windows of stride 1 whose padding keeps the width: tiles of the first and last columns, borders included ---- */

enum { BLOCKED_DEPTHWISE_EDGE = 8 };

/* The first columns, or the last ones. */
INLINE void blocked_depthwise_edge_tile(const struct blocked_depthwise *d, const float *residual, float *y,
                                        const int kernel, const bool is_last) {
  const struct window_2d *w = d->row.window;
  const size_t weights_row = (size_t)kernel * VF_LANES, x_row = w->dilation[0] * w->input[1] * VF_LANES;
  const size_t first = is_last ? w->output[1] - BLOCKED_DEPTHWISE_EDGE : 0;
  const int pad = kernel / 2, inside = BLOCKED_DEPTHWISE_EDGE;
  const float *weights = d->weights + d->row.taps.begin * weights_row;
  vf sum[BLOCKED_DEPTHWISE_EDGE];
  UNROLL
  for (int i = 0; i < BLOCKED_DEPTHWISE_EDGE; i++) sum[i] = d->bias;
  if (d->row.taps.begin < d->row.taps.end) {
    const float *x = blocked_row_input(&d->row, d->row.taps.begin) + first * VF_LANES;
    for (size_t k0 = d->row.taps.begin; k0 < d->row.taps.end; k0++, x += x_row, weights += weights_row) {
      UNROLL
      for (int k1 = 0; k1 < kernel; k1++) {
        const vf weight = vf_load(weights + k1 * VF_LANES);
        UNROLL
        for (int i = 0; i < BLOCKED_DEPTHWISE_EDGE; i++)
          if (is_last ? i + k1 < inside + pad : i + k1 >= pad)
            sum[i] = vf_fma(weight, vf_load(x + (i + k1 - pad) * VF_LANES), sum[i]);
      }
    }
  }
  UNROLL
  for (int i = 0; i < BLOCKED_DEPTHWISE_EDGE; i++)
    blocked_depthwise_store(d, sum[i], residual ? residual + (first + (size_t)i) * VF_LANES : NULL,
                            y + (first + (size_t)i) * VF_LANES);
}

static void blocked_depthwise_edges_5(const struct blocked_depthwise *d, const float *residual, float *y) {
  blocked_depthwise_edge_tile(d, residual, y, 5, false);
  blocked_depthwise_edge_tile(d, residual, y, 5, true);
}

static void blocked_depthwise_edges_7(const struct blocked_depthwise *d, const float *residual, float *y) {
  blocked_depthwise_edge_tile(d, residual, y, 7, false);
  blocked_depthwise_edge_tile(d, residual, y, 7, true);
}

static blocked_depthwise_columns *blocked_depthwise_edges_for(const struct window_2d *w) {
  const size_t kernel = w->kernel[1];
  if (w->stride[1] != 1 || w->dilation[1] != 1 || w->pad[1] != kernel / 2 || w->input[1] != w->output[1]) return NULL;
  if (w->output[1] < 2 * BLOCKED_DEPTHWISE_EDGE) return NULL;
  return kernel == 5 ? blocked_depthwise_edges_5 : kernel == 7 ? blocked_depthwise_edges_7 : NULL;
}

/* ---- 3x3 windows with a padding of one column, dilation 1: a row at once, its first and last column included ---- */

/* One row of outputs as its tiles need it: `rows` rows of the window are inside, x is what column 0 of outputs would
 * see first were there no padding. */
struct blocked_depthwise_row {
  const float *x, *weights, *residual;
  float *y;
  size_t x_row, rows;
  vf bias, low, high;
};

/* `count` outputs from column p on, which see columns [begin, end) of the window. */
INLINE void blocked_depthwise_3_part(const struct blocked_depthwise_row *row, size_t p, const int stride,
                                     const int count, const int begin, const int end) {
  const float *x = row->x + p * (size_t)stride * VF_LANES, *weights = row->weights;
  vf sum[BLOCKED_DEPTHWISE_ROW_TILE];
  UNROLL
  for (int i = 0; i < count; i++) sum[i] = row->bias;
  for (size_t k0 = 0; k0 < row->rows; k0++, x += row->x_row, weights += 3 * VF_LANES) {
    UNROLL
    for (int k1 = begin; k1 < end; k1++) {
      const vf weight = vf_load(weights + k1 * VF_LANES);
      UNROLL
      for (int i = 0; i < count; i++) sum[i] = vf_fma(weight, vf_load(x + (i * stride + k1 - 1) * VF_LANES), sum[i]);
    }
  }
  if (row->residual) {
    UNROLL
    for (int i = 0; i < count; i++) sum[i] += vf_load(row->residual + (p + (size_t)i) * VF_LANES);
  }
  UNROLL
  for (int i = 0; i < count; i++)
    vf_store(row->y + (p + (size_t)i) * VF_LANES, vf_min(row->high, vf_max(row->low, sum[i])));
}

/* Tiles of the columns without a border differ by one pixel at most. */
INLINE void blocked_depthwise_3_row(const struct blocked_depthwise *d, const struct blocked_depthwise_row *given,
                                    const int stride) {
  const struct blocked_depthwise_row row = *given;
  const size_t end = d->row.inner.end;
  blocked_depthwise_3_part(&row, 0, stride, 1, 1, 3);
  size_t p = 1;
  for (size_t tile = 0; tile < d->tiles; tile++) {
    const size_t count = d->tile_pixels + (tile < d->larger_tiles);
    switch (count) {
#define TILE_CASE(pixels, stride)                                                                                      \
  case pixels:                                                                                                         \
    blocked_depthwise_3_part(&row, p, stride, pixels, 0, 3);                                                           \
    break;
      EACH_UP_TO(BLOCKED_DEPTHWISE_ROW_TILE, TILE_CASE, stride)
#undef TILE_CASE
    }
    p += count;
  }
  if (end < d->row.window->output[1]) blocked_depthwise_3_part(&row, end, stride, 1, 0, 2);
}

static void blocked_depthwise_3_row_stride_1(const struct blocked_depthwise *d,
                                             const struct blocked_depthwise_row *row) {
  blocked_depthwise_3_row(d, row, 1);
}

static void blocked_depthwise_3_row_stride_2(const struct blocked_depthwise *d,
                                             const struct blocked_depthwise_row *row) {
  blocked_depthwise_3_row(d, row, 2);
}

static void blocked_depthwise_any(const struct blocked_depthwise *d, const float *residual, float *y) {
  blocked_depthwise_span(d, d->row.inner.begin, d->row.inner.end, residual, y);
}

static blocked_depthwise_columns *blocked_depthwise_columns_for(const struct window_2d *w) {
  const size_t kernel = w->kernel[1], stride = w->stride[1];
  if (w->dilation[1] == 1 && kernel == 3 && stride == 1) return blocked_depthwise_3_stride_1;
  if (w->dilation[1] == 1 && kernel == 3 && stride == 2) return blocked_depthwise_3_stride_2;
  if (w->dilation[1] == 1 && kernel == 5 && stride == 1) return blocked_depthwise_5_stride_1;
  if (w->dilation[1] == 1 && kernel == 5 && stride == 2) return blocked_depthwise_5_stride_2;
  if (w->dilation[1] == 1 && kernel == 7 && stride == 1) return blocked_depthwise_7_stride_1;
  if (w->dilation[1] == 1 && kernel == 7 && stride == 2) return blocked_depthwise_7_stride_2;
  return blocked_depthwise_any;
}

/* Whether all columns but the first and perhaps the last see all of a 3x3 window. */
static bool blocked_depthwise_is_row(const struct blocked_depthwise *d) {
  const struct window_2d *w = d->row.window;
  if (w->kernel[0] != 3 || w->kernel[1] != 3 || w->dilation[1] != 1 || w->stride[1] > 2 || w->pad[1] != 1) return false;
  if (d->row.inner.begin != 1 || d->row.inner.end + 1 < w->output[1]) return false;
  return w->input[1] >= 2 && (d->row.inner.end == w->output[1] || blocked_taps_at(w, 1, d->row.inner.end).end == 2);
}

/* One output row in parts: columns before the inner ones, these, and those behind. `edges` does the first and the last
 * where it is given. */
static void blocked_depthwise_parts(const struct blocked_depthwise *d, blocked_depthwise_columns *columns,
                                    blocked_depthwise_columns *edges, const float *residual, float *y) {
  const size_t width = d->row.window->output[1];
  if (edges) {
    edges(d, residual, y);
    columns(d, residual, y);
    return;
  }
  blocked_depthwise_span(d, 0, d->row.inner.begin, residual, y);
  columns(d, residual, y);
  blocked_depthwise_span(d, d->row.inner.end, width, residual, y);
}

static void blocked_depthwise_f32(const struct window_2d *w, const float *x, const float *weights, const float *bias,
                                  const float *residual, struct activation activation, float *y) {
  blocked_depthwise_columns *const columns = blocked_depthwise_columns_for(w);
  blocked_depthwise_columns *const edges = blocked_depthwise_edges_for(w);
  const size_t row_size = w->output[1] * VF_LANES, weights_row = w->kernel[1] * VF_LANES;
  struct blocked_depthwise d = {.row = {.window = w, .x = x, .inner = blocked_inner_columns(w)},
                                .weights = weights,
                                .bias = bias ? vf_load(bias) : -vf_zero(),
                                .end = pointwise_end_of(activation)};
  const bool is_row = blocked_depthwise_is_row(&d);
  if (edges) d.row.inner = (struct blocked_taps){BLOCKED_DEPTHWISE_EDGE, w->output[1] - BLOCKED_DEPTHWISE_EDGE};
  const size_t inner = d.row.inner.end - d.row.inner.begin;
  d.tiles = (inner + BLOCKED_DEPTHWISE_ROW_TILE - 1) / BLOCKED_DEPTHWISE_ROW_TILE;
  d.tile_pixels = d.tiles ? inner / d.tiles : 0;
  d.larger_tiles = inner - d.tile_pixels * d.tiles;
  for (size_t p0 = 0; p0 < w->output[0]; p0++, y += row_size) {
    blocked_row_begin(&d.row, p0);
    if (is_row && d.row.taps.begin < d.row.taps.end) {
      const struct blocked_depthwise_row row = {.x = blocked_row_input(&d.row, d.row.taps.begin),
                                                .weights = weights + d.row.taps.begin * weights_row,
                                                .residual = residual,
                                                .y = y,
                                                .x_row = w->dilation[0] * w->input[1] * VF_LANES,
                                                .rows = d.row.taps.end - d.row.taps.begin,
                                                .bias = d.bias,
                                                .low = vf_set1(d.end.low),
                                                .high = vf_set1(d.end.high)};
      if (w->stride[1] == 1)
        blocked_depthwise_3_row_stride_1(&d, &row);
      else
        blocked_depthwise_3_row_stride_2(&d, &row);
    } else {
      blocked_depthwise_parts(&d, columns, edges, residual, y);
    }
    if (d.end.function) d.end.function(y, y, row_size, activation.a, activation.b);
    if (residual) residual += row_size;
  }
}
