/* Direct convolution on channel blocks: part of kernel_table_isa.c. The sum of the definition by the tiles of
 * blocked_tile.h.
 *
 * Unless the image can be read as it is (1x1 kernels without stride and padding), a band of rows is copied into
 * scratch, padded and sorted so that neighbouring output pixels find the inputs of any one tap next to each other: rows
 * by their phase of the stride (or by tap), columns as well. The copy costs little beside the products and leaves a
 * single loop without edges. Each output row is a line of pixels; where rows would fill the register tiles badly,
 * columns are sorted by tap, each tap's rows stand behind each other, and so all pixels of a band form one line. */

/* How the inputs of one dimension are sorted: in pieces, one for each tap, or for each phase of the stride. */
struct blocked_sorting {
  bool by_tap;
  size_t pieces, length;
};

/* How a convolution is cut. "Pixels" are vectors of b floats, or floats of a plain input. */
struct blocked_direct {
  size_t lanes;      /* floats of a pixel: b, or 1 */
  size_t planes;     /* channel blocks, or channels of a plain input */
  size_t taps;       /* kernel0 * kernel1 */
  size_t groups;     /* planes * taps */
  bool in_place;     /* no copy */
  bool flat;         /* a band is one line */
  size_t rows;       /* what bands and units are made of: output rows, or pixels where in_place */
  size_t row_pixels; /* output pixels of a row: output1, or 1 */
  size_t band_rows;  /* rows of a full band */
  /* the copy: parts of rows x segments of columns, in pixels */
  struct blocked_sorting part, segment;
  size_t part_step;    /* from one part to the next */
  size_t row_step;     /* from one row of a segment to the next */
  size_t segment_step; /* from one segment of a row to the next */
  size_t plane;        /* of a plane of a full band */
};

INLINE size_t blocked_smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* What a band of inputs may take of the second-level cache. */
#define BLOCKED_BAND_FLOATS (BLOCKED_BAND_BYTES / sizeof(float))

/* What `outputs` neighbouring outputs need. */
INLINE struct blocked_sorting blocked_sort(const struct blocked_conv_f32 *conv, int d, size_t outputs, bool by_tap) {
  const size_t reach = (conv->kernel[d] - 1) * conv->dilation[d] / conv->stride[d];
  struct blocked_sorting taps = {true, conv->kernel[d], outputs}, phases = {false, conv->stride[d], outputs + reach};
  return by_tap || taps.pieces * taps.length <= phases.pieces * phases.length ? taps : phases;
}

/* Where the input of the first output under a tap stands: a piece, and the place in it. */
INLINE size_t blocked_sorted_piece(const struct blocked_conv_f32 *conv, const struct blocked_sorting *sorting, int d,
                                   size_t tap) {
  return sorting->by_tap ? tap : tap * conv->dilation[d] % conv->stride[d];
}

INLINE size_t blocked_sorted_place(const struct blocked_conv_f32 *conv, const struct blocked_sorting *sorting, int d,
                                   size_t tap) {
  return sorting->by_tap ? 0 : tap * conv->dilation[d] / conv->stride[d];
}

/* The input, counted from the padding, that stands first in a piece. */
INLINE size_t blocked_sorted_first(const struct blocked_conv_f32 *conv, const struct blocked_sorting *sorting, int d,
                                   size_t piece) {
  return sorting->by_tap ? piece * conv->dilation[d] : piece;
}

/* Lays out the copy of a band of d->band_rows rows; its size in floats. */
static size_t blocked_direct_lay_out(const struct blocked_conv_f32 *conv, struct blocked_direct *d) {
  d->part = blocked_sort(conv, 0, d->band_rows, false);
  d->segment = blocked_sort(conv, 1, d->row_pixels, d->flat);
  d->row_step = d->flat ? d->segment.length : d->segment.length * d->segment.pieces;
  d->part_step = d->part.length * d->row_step + (d->lanes == 1 ? VF_LANES : 0);
  d->segment_step = d->flat ? d->part.pieces * d->part_step : d->segment.length;
  d->plane = d->part.pieces * d->part_step * (d->flat ? d->segment.pieces : 1);
  return d->planes * d->plane * d->lanes;
}

/* Register tiles filled to less than three quarters. */
INLINE bool blocked_fills_badly(size_t width) {
  return 4 * width < 3 * blocked_line_tiles(width, 2) * BLOCKED_PIXELS_2;
}

/* What reading costs when `floats` of inputs are cut in `bands`: all weights once per band, from memory or from afar in
 * the caches; inputs once for each panel where a band is larger than the cache should hold. */
static double blocked_bands_cost(const struct blocked_conv_f32 *conv, const struct blocked_direct *d, size_t bands,
                                 double floats) {
  const double blocks = (double)blocked_count(conv->outputs);
  const double weights = blocks * VF_LANES * (double)conv->channels * (double)d->taps;
  const bool fits = floats <= (double)(bands * BLOCKED_BAND_FLOATS);
  return 2 * (double)bands * weights + floats * (fits ? 1 : 1 + blocks / 2);
}

/* Sets band_rows. */
static void blocked_direct_bands(const struct blocked_conv_f32 *conv, struct blocked_direct *d) {
  double best = INFINITY;
  size_t rows = d->rows, best_rows = rows;
  for (bool fits = false; rows && !fits; rows = rows > 1 ? (rows + 1) / 2 : 0) {
    d->band_rows = rows;
    const size_t floats = blocked_direct_lay_out(conv, d), bands = (d->rows + rows - 1) / rows;
    const double cost = blocked_bands_cost(conv, d, bands, (double)floats * (double)bands);
    fits = floats <= BLOCKED_BAND_FLOATS;
    if (floats > 4 * BLOCKED_BAND_FLOATS && rows > 1) continue;
    if (cost < best) {
      best = cost;
      best_rows = rows;
    }
  }
  d->band_rows = best_rows;
}

static size_t blocked_in_place_rows(const struct blocked_conv_f32 *conv, const struct blocked_direct *d) {
  const size_t row = d->planes * d->lanes, least = 4 * BLOCKED_PIXELS_2;
  size_t rows = BLOCKED_BAND_FLOATS / (row + 1);
  if (rows < least) rows = least;
  const size_t bands = (d->rows + rows - 1) / rows;
  const double floats = (double)d->rows * (double)row;
  const bool small = floats <= 4 * BLOCKED_BAND_FLOATS;
  return small && blocked_bands_cost(conv, d, 1, floats) < blocked_bands_cost(conv, d, bands, floats) ? d->rows : rows;
}

static struct blocked_direct blocked_direct_of(const struct blocked_conv_f32 *conv) {
  const size_t width = conv->output[1], stride = conv->stride[1];
  struct blocked_direct d = {.lanes = conv->plain_input ? 1 : VF_LANES,
                             .planes = conv->plain_input ? conv->channels : blocked_count(conv->channels),
                             .taps = conv->kernel[0] * conv->kernel[1],
                             .rows = conv->output[0],
                             .row_pixels = width};
  const bool pointwise = conv->kernel[0] == 1 && conv->kernel[1] == 1;
  d.groups = d.planes * d.taps;
  d.in_place = pointwise && conv->stride[0] == 1 && stride == 1 && conv->pad[0] == 0 && conv->pad[1] == 0 &&
               conv->output[0] == conv->input[0] && width == conv->input[1] && conv->type == NORMA_FLOAT;
  d.flat = pointwise || (!conv->plain_input && blocked_fills_badly(width));
  if (d.in_place) {
    d.rows *= width;
    d.row_pixels = 1;
    d.plane = d.rows;
    d.band_rows = blocked_smaller(d.rows, blocked_in_place_rows(conv, &d));
    return d;
  }
  blocked_direct_bands(conv, &d);
  blocked_direct_lay_out(conv, &d);
  return d;
}

/* Scratch: offsets of the groups, a whole number of cache lines; partial sums of a band for one panel; the band. */
INLINE size_t blocked_direct_partial_floats(const struct blocked_direct *d) {
  return d->band_rows * d->row_pixels * BLOCKED_PANEL_VECTORS * VF_LANES;
}

INLINE size_t blocked_direct_offset_count(const struct blocked_direct *d) {
  return (d->groups + 7) / 8 * 8;
}

static size_t blocked_direct_scratch_size(const struct blocked_conv_f32 *conv) {
  const struct blocked_direct d = blocked_direct_of(conv);
  const size_t band = d.in_place ? 0 : d.planes * d.plane * d.lanes;
  return blocked_direct_offset_count(&d) * sizeof(size_t) + (blocked_direct_partial_floats(&d) + band) * sizeof(float);
}

static void blocked_direct_offsets(const struct blocked_conv_f32 *conv, const struct blocked_direct *d,
                                   size_t *offset) {
  for (size_t i = 0; i < d->planes; i++)
    for (size_t k0 = 0; k0 < conv->kernel[0]; k0++)
      for (size_t k1 = 0; k1 < conv->kernel[1]; k1++) {
        const size_t row = blocked_sorted_piece(conv, &d->part, 0, k0) * d->part_step +
                           blocked_sorted_place(conv, &d->part, 0, k0) * d->row_step;
        const size_t column = blocked_sorted_piece(conv, &d->segment, 1, k1) * d->segment_step +
                              blocked_sorted_place(conv, &d->segment, 1, k1);
        *offset++ = (i * d->plane + row + column) * d->lanes;
      }
}

/* y[i] = x[i * stride], of half precision. */
static void blocked_direct_widen(float *y, const void *x, size_t n, size_t stride, norma_element_type type) {
  const uint16_t *from = x;
  uint16_t piece[64];
  while (n) {
    const size_t some = blocked_smaller(n, 64);
    for (size_t i = 0; i < some; i++) piece[i] = from[i * stride];
    widen(y, piece, some, type);
    y += some;
    from += some * stride;
    n -= some;
  }
}

/* Pixels begin, begin + stride and so on of a row, in float. */
INLINE void blocked_direct_copy_pixels(const struct blocked_conv_f32 *conv, const struct blocked_direct *d,
                                       const void *row, size_t begin, size_t count, float *to) {
  const size_t stride = conv->stride[1];
  const void *from = const_element_at(row, begin * d->lanes, conv->type);
  if (conv->type != NORMA_FLOAT && stride == 1)
    widen(to, from, count * d->lanes, conv->type);
  else if (d->lanes > 1)
    for (size_t i = 0; i < count; i++) vf_store(to + i * VF_LANES, vf_load_as(from, i * stride * VF_LANES, conv->type));
  else if (conv->type == NORMA_FLOAT)
    copy_strided(to, from, count, stride);
  else
    blocked_direct_widen(to, from, count, stride, conv->type);
}

/* One row of the image, or of padding where `row` is NULL, into its segments. Plain rows are stored up to a vector
 * beyond their end: the next row overwrites that, and behind the last one of a part is room. */
static void blocked_direct_copy_row(const struct blocked_conv_f32 *conv, const struct blocked_direct *d,
                                    const void *row, float *to) {
  const size_t stride = conv->stride[1], pad = conv->pad[1], width = conv->input[1];
  for (size_t segment = 0; segment < d->segment.pieces; segment++, to += d->segment_step * d->lanes) {
    /* pixel i holds column i * stride + first - pad */
    const size_t first = blocked_sorted_first(conv, &d->segment, 1, segment), length = d->segment.length;
    size_t begin = pad > first ? (pad - first + stride - 1) / stride : 0;
    size_t end = width + pad > first ? (width + pad - first + stride - 1) / stride : 0;
    if (end > length) end = length;
    if (begin >= end || !row) begin = end = 0;
    window_fill(to, begin * d->lanes, 0);
    if (begin < end)
      blocked_direct_copy_pixels(conv, d, row, begin * stride + first - pad, end - begin, to + begin * d->lanes);
    window_fill(to + end * d->lanes, (length - end) * d->lanes, 0);
  }
}

/* A run of rows of one pixel each, `stride` apart in the image, that follow each other in the copy; the first one is
 * row `first` of the padded image. */
static void blocked_direct_copy_column(const struct blocked_conv_f32 *conv, const struct blocked_direct *d,
                                       const void *x, size_t first, size_t count, float *to) {
  const size_t stride = conv->stride[0], pad = conv->pad[0], inside = conv->input[0] + pad;
  const size_t begin = first < pad ? blocked_smaller((pad - first + stride - 1) / stride, count) : 0;
  const size_t seen = first < inside ? blocked_smaller((inside - first + stride - 1) / stride, count) : 0;
  const size_t end = seen > begin ? seen : begin;
  window_fill(to, begin * d->lanes, 0);
  if (begin < end) {
    const void *from = const_element_at(x, (first + begin * stride - pad) * d->lanes, conv->type);
    if (stride == 1 && conv->type != NORMA_FLOAT)
      widen(to + begin * d->lanes, from, (end - begin) * d->lanes, conv->type);
    else
      for (size_t i = 0; i < end - begin; i++)
        vf_store(to + (begin + i) * VF_LANES, vf_load_as(from, i * stride * VF_LANES, conv->type));
  }
  window_fill(to + end * d->lanes, (count - end) * d->lanes, 0);
}

/* Whether each row is a pixel in channel blocks, and neighbours are neighbours in the copy. */
INLINE bool blocked_direct_is_column(const struct blocked_conv_f32 *conv, const struct blocked_direct *d) {
  return d->lanes == VF_LANES && conv->input[1] == 1 && conv->output[1] == 1 && conv->kernel[1] == 1 &&
         conv->pad[1] == 0 && d->row_step == 1 && d->segment.pieces == 1;
}

/* All that output rows [first, first + rows) need. */
static void blocked_direct_copy_band(const struct blocked_conv_f32 *conv, const struct blocked_direct *d, const void *x,
                                     size_t first, size_t rows, float *band) {
  const size_t input_row = conv->input[1] * d->lanes, needed = d->part.length - d->band_rows + rows;
  if (blocked_direct_is_column(conv, d)) {
    for (size_t plane = 0; plane < d->planes; plane++, x = const_element_at(x, conv->input[0] * input_row, conv->type))
      for (size_t part = 0; part < d->part.pieces; part++)
        blocked_direct_copy_column(conv, d, x, first * conv->stride[0] + blocked_sorted_first(conv, &d->part, 0, part),
                                   needed, band + (plane * d->plane + part * d->part_step) * d->lanes);
    return;
  }
  for (size_t plane = 0; plane < d->planes; plane++, x = const_element_at(x, conv->input[0] * input_row, conv->type))
    for (size_t i = 0; i < needed; i++)
      for (size_t part = 0; part < d->part.pieces; part++) {
        const size_t padded = (first + i) * conv->stride[0] + blocked_sorted_first(conv, &d->part, 0, part);
        const bool inside = padded >= conv->pad[0] && padded - conv->pad[0] < conv->input[0];
        const size_t row = inside ? padded - conv->pad[0] : 0;
        blocked_direct_copy_row(conv, d, inside ? const_element_at(x, row * input_row, conv->type) : NULL,
                                band + (plane * d->plane + part * d->part_step + i * d->row_step) * d->lanes);
      }
}

/* ---- packing: [panel][group][step][vectors * b] ---- */

/* Steps of weights `first` to first + count - 1 of an output, which lie in the order [channel][tap]. */
INLINE void blocked_direct_steps(size_t *step, size_t first, size_t count, size_t channels, size_t taps, size_t group) {
  size_t c = first / taps, tap = first % taps;
  for (size_t i = 0; i < count; i++) {
    const size_t c0 = c / group * group, of_group = channels - c0 < group ? channels - c0 : group;
    step[i] = c0 * taps + tap * of_group + (c - c0);
    if (++tap < taps) continue;
    tap = 0;
    c++;
  }
}

/* x: `count` weights of VF_LANES outputs, `stride` from one to the next; y[i]: where weight i of all outputs goes. */
INLINE void blocked_pack_lanes(const float *x, size_t stride, float *const *y, size_t count) {
  for (size_t lane = 0; lane < VF_LANES; lane += 4) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      v4f block[4];
      UNROLL
      for (size_t r = 0; r < 4; r++) block[r] = v4f_load(x + (lane + r) * stride + i);
      v4f_transpose(block);
      UNROLL
      for (size_t r = 0; r < 4; r++) v4f_store(y[i + r] + lane, block[r]);
    }
    for (; i < count; i++)
      for (size_t r = 0; r < 4; r++) y[i][lane + r] = x[(lane + r) * stride + i];
  }
}

/* Weights k to k + some - 1 of `lanes` outputs, `stride` apart: where they are, or in `buffer`, in float. */
INLINE const float *blocked_weights(const void *weights, size_t *stride, size_t k, size_t some, size_t lanes,
                                    norma_element_type type, float *buffer) {
  if (type == NORMA_FLOAT) return (const float *)weights + k;
  for (size_t lane = 0; lane < lanes; lane++)
    widen(buffer + lane * some, const_element_at(weights, lane * *stride + k, type), some, type);
  *stride = some;
  return buffer;
}

static void blocked_direct_pack(const struct blocked_conv_f32 *conv, float *packed, const void *weights, size_t first,
                                size_t count) {
  enum { DIRECT_AT_ONCE = 16 }; /* a cache line of each output */
  const size_t taps = conv->kernel[0] * conv->kernel[1], channels = conv->channels, depth = channels * taps;
  const size_t blocks = blocked_count(conv->outputs), group = conv->plain_input ? 1 : VF_LANES, end = first + count;
  for (size_t o = first; o < end; o += VF_LANES) {
    const void *block_weights = const_element_at(weights, (o - first) * depth, conv->type);
    const size_t block = o / VF_LANES, panel = blocked_panel_of(blocks, block),
                 lanes = blocked_smaller(end - o, VF_LANES);
    const size_t width = blocked_panel_vectors(blocks, panel) * VF_LANES;
    float *to = packed + 2 * panel * VF_LANES * depth + (block - 2 * panel) * VF_LANES;
    for (size_t k = 0; k < depth; k += DIRECT_AT_ONCE) {
      const size_t some = blocked_smaller(depth - k, DIRECT_AT_ONCE);
      size_t step[DIRECT_AT_ONCE];
      float *at[DIRECT_AT_ONCE];
      blocked_direct_steps(step, k, some, channels, taps, group);
      for (size_t i = 0; i < some; i++) at[i] = to + step[i] * width;
      float buffer[VF_LANES * DIRECT_AT_ONCE];
      size_t apart = depth;
      const float *from = blocked_weights(block_weights, &apart, k, some, lanes, conv->type, buffer);
      if (lanes == VF_LANES) {
        blocked_pack_lanes(from, apart, at, some);
        continue;
      }
      for (size_t i = 0; i < some; i++)
        for (size_t lane = 0; lane < VF_LANES; lane++) at[i][lane] = lane < lanes ? from[lane * apart + i] : 0;
    }
  }
}

/* ---- the sums ---- */

/* One panel (the last of a call, or not) over one band that has been copied, or of the image itself: every block of
 * depth over all lines. */
static void blocked_direct_panel(const struct blocked_conv_f32 *conv, const struct blocked_direct *d, size_t panel,
                                 bool last, const float *x, void *y, size_t first, size_t rows, const size_t *offset,
                                 float *partial) {
  static const float no_bias[BLOCKED_PANEL_VECTORS * 16] = {
#define FOUR -0.0f, -0.0f, -0.0f, -0.0f,
      FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR
#undef FOUR
  };
  const size_t blocks = blocked_count(conv->outputs), vectors = blocked_panel_vectors(blocks, panel);
  const size_t pixels = conv->output[0] * conv->output[1],
               depth = (blocked_depth_groups(2 * d->groups, d->lanes) + 1) / 2;
  const size_t k = conv->channels * d->taps, whole = conv->channels / d->lanes * d->taps;
  const size_t lines = d->flat ? 1 : rows, length = d->flat ? rows * d->row_pixels : d->row_pixels;
  const size_t line_step = d->row_step * d->lanes;
  const size_t at = (2 * panel * pixels + first * d->row_pixels) * VF_LANES;
  struct blocked_tile t = {.rest = conv->channels % d->lanes,
                           .partial_plane = lines * length * VF_LANES,
                           .y_plane = pixels * VF_LANES,
                           .bias = conv->bias ? conv->bias + 2 * panel * VF_LANES : no_bias,
                           .end = pointwise_end_of(conv->activation),
                           .a = conv->activation.a,
                           .b = conv->activation.b,
                           .type = conv->type,
                           .weights = conv->packed_weights + 2 * panel * VF_LANES * k};
  size_t group = 0;
  do { /* once without channels as well */
    t.groups = blocked_smaller(depth, d->groups - group);
    t.whole_groups = group >= whole ? 0 : blocked_smaller(t.groups, whole - group);
    t.offset = offset + group;
    t.add_partial = group > 0;
    t.store_partial = group + t.groups < d->groups;
    const size_t block = (t.whole_groups * d->lanes + (t.groups - t.whole_groups) * t.rest) * vectors * VF_LANES;
    const bool more = t.store_partial || !last;
    blocked_tile_fetch(&t, t.weights + block, more ? block : 0, lines * blocked_line_tiles(length, vectors));
    for (size_t line = 0; line < lines; line++) {
      const size_t line_at = line * length * VF_LANES;
      blocked_tile_line(&t, vectors, conv->plain_input, x + line * line_step, partial + line_at,
                        element_at(y, at + line_at, conv->type),
                        const_element_at(conv->residual, at + line_at, conv->type), length);
    }
    t.weights += block;
    group += t.groups;
  } while (group < d->groups);
}

/* Rows [row_begin, row_end) of panels [panel_begin, panel_end). */
static void blocked_direct_run(const struct blocked_conv_f32 *conv, const void *x, void *y, size_t row_begin,
                               size_t row_end, size_t panel_begin, size_t panel_end, void *scratch) {
  const struct blocked_direct d = blocked_direct_of(conv);
  size_t *offset = scratch;
  float *partial = (float *)(offset + blocked_direct_offset_count(&d)),
        *band = partial + blocked_direct_partial_floats(&d);
  if (row_begin >= row_end || !d.row_pixels) return;
  const size_t bands = (row_end - row_begin + d.band_rows - 1) / d.band_rows;
  blocked_direct_offsets(conv, &d, offset);
  for (size_t i = 0; i < bands; i++) {
    const size_t first = row_begin + blocked_part(row_end - row_begin, bands, i);
    const size_t rows = row_begin + blocked_part(row_end - row_begin, bands, i + 1) - first;
    if (!d.in_place) blocked_direct_copy_band(conv, &d, x, first, rows, band);
    for (size_t panel = panel_begin; panel < panel_end; panel++)
      blocked_direct_panel(conv, &d, panel, panel + 1 == panel_end,
                           d.in_place ? (const float *)x + first * d.lanes : band, y, first, rows, offset, partial);
  }
}
