/* Direct convolution on channel blocks: part of kernel_table_isa.c. The sum of the definition by the tiles of
 * blocked_tile.h.
 *
 * Unless the image can be read as it is (1x1 kernels without stride and padding), a band of rows is copied into
 * scratch, padded and with its columns sorted so that neighbouring output pixels find the inputs of any one tap next to
 * each other. The copy costs little beside the products and leaves a single loop without edges. With 1x1 kernels the
 * pixels of a band form one line, otherwise each output row is a line. */

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
  /* the copy */
  bool rows_by_tap;    /* band row k0 * band_rows + r, rather than r * stride + k0 * dilation */
  bool columns_by_tap; /* segment k1 holds the columns of tap k1, rather than those of phase k1 of the stride */
  size_t segments;     /* of a row */
  size_t segment_pixels;
  size_t copy_rows; /* rows of a plane of a full band */
};

INLINE size_t blocked_smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* What a band of inputs may take of the second-level cache. */
#if defined(__AVX512F__)
#define BLOCKED_BAND_FLOATS (384 * 1024 / sizeof(float))
#else
#define BLOCKED_BAND_FLOATS (192 * 1024 / sizeof(float))
#endif

INLINE size_t blocked_direct_copy_rows(const struct blocked_conv_f32 *conv, size_t rows) {
  const size_t by_tap = conv->kernel[0] * rows;
  const size_t padded = (rows - 1) * conv->stride[0] + (conv->kernel[0] - 1) * conv->dilation[0] + 1;
  return blocked_smaller(by_tap, padded);
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
               conv->output[0] == conv->input[0] && width == conv->input[1];
  d.flat = pointwise;
  if (d.in_place) {
    d.rows *= width;
    d.row_pixels = 1;
    d.band_rows = BLOCKED_BAND_FLOATS / (d.planes * d.lanes + 1);
    if (d.band_rows < 4 * BLOCKED_PIXELS_2) d.band_rows = 4 * BLOCKED_PIXELS_2;
    d.band_rows = blocked_smaller(d.band_rows, d.rows);
    return d;
  }
  d.segment_pixels = width + (conv->kernel[1] - 1) * conv->dilation[1] / stride;
  d.segments = stride;
  d.columns_by_tap = conv->kernel[1] * width / stride < d.segment_pixels;
  if (d.columns_by_tap) {
    d.segments = conv->kernel[1];
    d.segment_pixels = width;
  }
  const size_t row_floats = d.planes * d.segments * d.segment_pixels * d.lanes;
  d.band_rows = d.rows;
  while (d.band_rows > 1 && blocked_direct_copy_rows(conv, d.band_rows) * row_floats > BLOCKED_BAND_FLOATS)
    d.band_rows = (d.band_rows + 1) / 2;
  d.copy_rows = d.band_rows ? blocked_direct_copy_rows(conv, d.band_rows) : 0;
  d.rows_by_tap = d.copy_rows == conv->kernel[0] * d.band_rows;
  return d;
}

/* Scratch: offsets of the groups, a whole number of cache lines; partial sums of a band for one panel; the band, and
 * room for a vector stored beyond.
 */
INLINE size_t blocked_direct_partial_floats(const struct blocked_direct *d) {
  return d->band_rows * d->row_pixels * BLOCKED_PANEL_VECTORS * VF_LANES;
}

INLINE size_t blocked_direct_offset_room(const struct blocked_direct *d) {
  return (d->groups + 7) / 8 * 8;
}

static size_t blocked_direct_scratch_size(const struct blocked_conv_f32 *conv) {
  const struct blocked_direct d = blocked_direct_of(conv);
  const size_t band = d.in_place ? 0 : d.planes * d.copy_rows * d.segments * d.segment_pixels * d.lanes + VF_LANES;
  return blocked_direct_offset_room(&d) * sizeof(size_t) + (blocked_direct_partial_floats(&d) + band) * sizeof(float);
}

static void blocked_direct_offsets(const struct blocked_conv_f32 *conv, const struct blocked_direct *d,
                                   size_t *offset) {
  const size_t row = d->segments * d->segment_pixels;
  const size_t plane = d->in_place ? conv->input[0] * conv->input[1] : d->copy_rows * row;
  for (size_t i = 0; i < d->planes; i++)
    for (size_t k0 = 0; k0 < conv->kernel[0]; k0++)
      for (size_t k1 = 0; k1 < conv->kernel[1]; k1++) {
        const size_t column = k1 * conv->dilation[1];
        const size_t band_row = d->rows_by_tap ? k0 * d->band_rows : k0 * conv->dilation[0];
        const size_t band_column = d->columns_by_tap
                                       ? k1 * d->segment_pixels
                                       : column % conv->stride[1] * d->segment_pixels + column / conv->stride[1];
        *offset++ = (i * plane + band_row * row + band_column) * d->lanes;
      }
}

/* One row of the image, or of padding where `row` is NULL, into its segments. Plain rows are stored up to a vector
 * beyond their end, which what comes next overwrites. */
static void blocked_direct_copy_row(const struct blocked_conv_f32 *conv, const struct blocked_direct *d,
                                    const float *row, float *to) {
  const size_t stride = conv->stride[1], pad = conv->pad[1], width = conv->input[1];
  for (size_t segment = 0; segment < d->segments; segment++, to += d->segment_pixels * d->lanes) {
    /* pixel i holds column i * stride + first - pad */
    const size_t first = d->columns_by_tap ? segment * conv->dilation[1] : segment;
    size_t begin = pad > first ? (pad - first + stride - 1) / stride : 0;
    size_t end = width + pad > first ? (width + pad - first + stride - 1) / stride : 0;
    if (end > d->segment_pixels) end = d->segment_pixels;
    if (begin >= end || !row) begin = end = 0;
    const float *from = begin < end ? row + (begin * stride + first - pad) * d->lanes : NULL;
    if (d->lanes == 1) {
      fill(to, begin, 0);
      if (from) copy_strided(to + begin, from, end - begin, stride);
      fill(to + end, d->segment_pixels - end, 0);
    } else {
      for (size_t i = 0; i < begin; i++) vf_store(to + i * VF_LANES, vf_zero());
      for (size_t i = begin; i < end; i++, from += stride * VF_LANES) vf_store(to + i * VF_LANES, vf_load(from));
      for (size_t i = end; i < d->segment_pixels; i++) vf_store(to + i * VF_LANES, vf_zero());
    }
  }
}

/* All that output rows [first, first + rows) need. */
static void blocked_direct_copy_band(const struct blocked_conv_f32 *conv, const struct blocked_direct *d,
                                     const float *x, size_t first, size_t rows, float *band) {
  const size_t row_floats = d->segments * d->segment_pixels * d->lanes, input_row = conv->input[1] * d->lanes;
  const size_t padded_rows = (rows - 1) * conv->stride[0] + (conv->kernel[0] - 1) * conv->dilation[0] + 1;
  const size_t copy_rows = d->rows_by_tap ? conv->kernel[0] * d->band_rows : padded_rows;
  for (size_t plane = 0; plane < d->planes; plane++, x += conv->input[0] * input_row) {
    float *to = band + plane * d->copy_rows * row_floats;
    for (size_t i = 0; i < copy_rows; i++, to += row_floats) {
      size_t padded = first * conv->stride[0] + i;
      if (d->rows_by_tap) {
        if (i % d->band_rows >= rows) continue;
        padded = (first + i % d->band_rows) * conv->stride[0] + i / d->band_rows * conv->dilation[0];
      }
      const bool inside = padded >= conv->pad[0] && padded - conv->pad[0] < conv->input[0];
      blocked_direct_copy_row(conv, d, inside ? x + (padded - conv->pad[0]) * input_row : NULL, to);
    }
  }
}

/* ---- packing: [panel][group][step][vectors * b] ---- */
static void blocked_direct_pack(const struct blocked_conv_f32 *conv, float *packed, const float *weights, size_t first,
                                size_t count) {
  const size_t taps = conv->kernel[0] * conv->kernel[1], channels = conv->channels, end = first + count;
  const size_t blocks = blocked_count(conv->outputs), steps = conv->plain_input ? 1 : VF_LANES;
  for (size_t block = first / VF_LANES; block * VF_LANES < end; block++) {
    const size_t panel = blocked_panel_of(blocks, block), width = blocked_panel_vectors(blocks, panel) * VF_LANES;
    float *to = packed + 2 * panel * VF_LANES * channels * taps + (block - 2 * panel) * VF_LANES;
    for (size_t c0 = 0; c0 < channels; c0 += steps)
      for (size_t tap = 0; tap < taps; tap++)
        for (size_t c = c0; c < channels && c < c0 + steps; c++, to += width)
          for (size_t lane = 0; lane < VF_LANES; lane++) {
            const size_t o = block * VF_LANES + lane;
            to[lane] = o < end ? weights[((o - first) * channels + c) * taps + tap] : 0;
          }
  }
}

/* ---- the sums ---- */

/* One panel (the last of a call, or not) over one band that has been copied, or of the image itself: every block of
 * depth over all lines. */
static void blocked_direct_panel(const struct blocked_conv_f32 *conv, const struct blocked_direct *d, size_t panel,
                                 bool last, const float *x, float *y, size_t first, size_t rows, const size_t *offset,
                                 float *partial) {
  const size_t blocks = blocked_count(conv->outputs), vectors = blocked_panel_vectors(blocks, panel);
  const size_t pixels = conv->output[0] * conv->output[1], depth = blocked_depth_groups(d->groups, d->lanes);
  const size_t k = conv->channels * d->taps, whole = conv->channels / d->lanes * d->taps;
  const size_t lines = d->flat ? 1 : rows, length = d->flat ? rows * d->row_pixels : d->row_pixels;
  const size_t line_step = d->segments * d->segment_pixels * d->lanes * (d->rows_by_tap ? 1 : conv->stride[0]);
  const size_t at = (2 * panel * pixels + first * d->row_pixels) * VF_LANES;
  struct blocked_tile t = {.rest = conv->channels % d->lanes,
                           .partial_plane = lines * length * VF_LANES,
                           .y_plane = pixels * VF_LANES,
                           .start = conv->bias ? conv->bias + 2 * panel * VF_LANES : blocked_no_bias,
                           .end = pointwise_end_of(conv->activation),
                           .a = conv->activation.a,
                           .b = conv->activation.b,
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
      blocked_tile_line(&t, vectors, conv->plain_input, x + line * line_step, partial + line_at, y + at + line_at,
                        conv->residual ? conv->residual + at + line_at : NULL, length);
    }
    t.weights += block;
    t.start = blocked_no_bias;
    group += t.groups;
  } while (group < d->groups);
}

/* Rows [row_begin, row_end) of panels [panel_begin, panel_end). */
static void blocked_direct_run(const struct blocked_conv_f32 *conv, const float *x, float *y, size_t row_begin,
                               size_t row_end, size_t panel_begin, size_t panel_end, void *scratch) {
  const struct blocked_direct d = blocked_direct_of(conv);
  size_t *offset = scratch;
  float *partial = (float *)(offset + blocked_direct_offset_room(&d)),
        *band = partial + blocked_direct_partial_floats(&d);
  if (row_begin >= row_end || !d.row_pixels) return;
  const size_t bands = (row_end - row_begin + d.band_rows - 1) / d.band_rows;
  blocked_direct_offsets(conv, &d, offset);
  for (size_t i = 0; i < bands; i++) {
    const size_t first = row_begin + blocked_part(row_end - row_begin, bands, i);
    const size_t rows = row_begin + blocked_part(row_end - row_begin, bands, i + 1) - first;
    if (!d.in_place) blocked_direct_copy_band(conv, &d, x, first, rows, band);
    for (size_t panel = panel_begin; panel < panel_end; panel++)
      blocked_direct_panel(conv, &d, panel, panel + 1 == panel_end, d.in_place ? x + first * d.lanes : band, y, first,
                           rows, offset, partial);
  }
}
