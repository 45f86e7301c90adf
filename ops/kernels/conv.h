/* conv_f32: convolution as a matrix product of packed weights with patches of the image: part of kernel_table_isa.c.
 *
 * The patch matrix has a row for each (channel, k0, k1, k2) and a column for each output pixel. It is never stored
 * whole: a block of it is written, already packed for gemm_f32, into scratch that fits the second-level cache, and
 * multiplied with all output channels while it is there. */

/* Where a vector of output pixels finds its inputs for one tap of the kernel: each run of pixels in one output row is a
 * piece; pieces fill disjoint lanes, the others lie in the padding. */
struct patch_piece {
  vm lanes;         /* stride 1: which lanes to load; stride 2: which of the lower half of 2 * VF_LANES inputs */
  vm lanes_high;    /* stride 2: which of the upper half */
  ptrdiff_t offset; /* input of lane 0, which need not exist, within a channel */
};

/* A run of output pixels in one row of the output. */
struct pixel_run {
  size_t lane, count;
  size_t p0, p1, p2;
};

struct patch_panel {
  size_t width; /* lanes, a multiple of VF_LANES */
  size_t run_count;
  struct pixel_run runs[GEMM_F32_TILE_COLUMNS];
};

static void conv_f32_split_panel(const struct conv_f32 *conv, size_t pixel, size_t count, struct patch_panel *panel) {
  size_t p2 = pixel % conv->output[2], row = pixel / conv->output[2];
  size_t p1 = row % conv->output[1], p0 = row / conv->output[1];
  size_t lane = 0;

  panel->width = gemm_f32_padded_columns(count);
  panel->run_count = 0;
  while (lane < count) {
    const size_t left = count - lane, in_row = conv->output[2] - p2, n = left < in_row ? left : in_row;
    panel->runs[panel->run_count++] = (struct pixel_run){.lane = lane, .count = n, .p0 = p0, .p1 = p1, .p2 = p2};
    lane += n;
    p2 = 0;
    if (++p1 == conv->output[1]) {
      p1 = 0;
      p0++;
    }
  }
}

/* Position i = p * stride + k * dilation - pad in dimension d, or -1 outside. */
INLINE ptrdiff_t conv_f32_position(const struct conv_f32 *conv, int d, size_t p, size_t k) {
  const ptrdiff_t i = (ptrdiff_t)(p * conv->stride[d] + k * conv->dilation[d]) - (ptrdiff_t)conv->pad[d];
  return i < (ptrdiff_t)conv->input[d] ? i : -1;
}

/* The part of a run whose inputs for a tap lie inside the image; false if there is none. */
static bool conv_f32_clip_run(const struct conv_f32 *conv, const struct pixel_run *run, const size_t tap[3],
                              size_t *lane, size_t *count, ptrdiff_t *offset) {
  const ptrdiff_t i0 = conv_f32_position(conv, 0, run->p0, tap[0]), i1 = conv_f32_position(conv, 1, run->p1, tap[1]);
  if (i0 < 0 || i1 < 0) return false;

  const ptrdiff_t stride = (ptrdiff_t)conv->stride[2], width = (ptrdiff_t)conv->input[2];
  const ptrdiff_t first = (ptrdiff_t)(run->p2 * conv->stride[2] + tap[2] * conv->dilation[2]) - (ptrdiff_t)conv->pad[2];
  if (first >= width) return false;
  ptrdiff_t skip = 0, n = (ptrdiff_t)run->count;
  if (first < 0) skip = stride == 1 ? -first : (-first + stride - 1) / stride;
  if (first + (n - 1) * stride >= width) n = stride == 1 ? width - first : (width - first + stride - 1) / stride;
  if (skip >= n) return false;
  *lane = run->lane + (size_t)skip;
  *count = (size_t)(n - skip);
  *offset = (i0 * (ptrdiff_t)conv->input[1] + i1) * width + first + skip * stride;
  return true;
}

/* Bit 2i of the result is bit i of x. */
INLINE uint32_t spread_bits(uint32_t x) {
  x = (x | x << 8) & 0x00ff00ffu;
  x = (x | x << 4) & 0x0f0f0f0fu;
  x = (x | x << 2) & 0x33333333u;
  return (x | x << 1) & 0x55555555u;
}

/* The pieces of vector v of a panel for one tap. Stride 1 or 2. */
static size_t conv_f32_find_pieces(const struct conv_f32 *conv, const struct patch_panel *panel, const size_t tap[3],
                                   size_t v, struct patch_piece pieces[VF_LANES]) {
  size_t found = 0, lane, count;
  ptrdiff_t offset;
  for (size_t r = 0; r < panel->run_count; r++) {
    if (panel->runs[r].lane >= (v + 1) * VF_LANES) break;
    if (panel->runs[r].lane + panel->runs[r].count <= v * VF_LANES) continue;
    if (!conv_f32_clip_run(conv, &panel->runs[r], tap, &lane, &count, &offset)) continue;
    const size_t begin = lane > v * VF_LANES ? lane - v * VF_LANES : 0;
    size_t end = lane + count > v * VF_LANES ? lane + count - v * VF_LANES : 0;
    if (end > VF_LANES) end = VF_LANES;
    if (begin >= end) continue;

    const uint32_t lanes = ((1u << end) - 1) & ~((1u << begin) - 1);
    const ptrdiff_t to_lane_0 = (ptrdiff_t)(v * VF_LANES) - (ptrdiff_t)lane;
    struct patch_piece *piece = &pieces[found++];
    piece->offset = offset + to_lane_0 * (ptrdiff_t)conv->stride[2];
    if (conv->stride[2] == 1) {
      piece->lanes = piece->lanes_high = vm_from_bits(lanes);
    } else {
      const uint32_t inputs = spread_bits(lanes);
      piece->lanes = vm_from_bits(inputs & ((1u << VF_LANES) - 1));
      piece->lanes_high = vm_from_bits(inputs >> VF_LANES);
    }
  }
  return found;
}

/* A range of the patch matrix' rows that belong to one tap: every step-th row of the packed panel, one per channel. */
struct tap_rows {
  const float *x; /* first channel */
  size_t plane;   /* from one channel to the next */
  size_t channels;
  float *packed; /* first row */
  size_t step;   /* from one row to the next */
};

INLINE vf patch_load(const float *x, const struct patch_piece *piece, const int stride) {
  const vf low = vf_load_masked(x + piece->offset, piece->lanes);
  if (stride == 1) return low;
  return vf_even(low, vf_load_masked(x + piece->offset + VF_LANES, piece->lanes_high));
}

INLINE void conv_f32_copy_vector(struct tap_rows rows, const struct patch_piece *pieces, size_t count,
                                 const int stride) {
  if (count == 1) {
    const struct patch_piece piece = pieces[0];
    for (size_t c = 0; c < rows.channels; c++, rows.x += rows.plane, rows.packed += rows.step)
      vf_store(rows.packed, patch_load(rows.x, &piece, stride));
    return;
  }
  for (size_t c = 0; c < rows.channels; c++, rows.x += rows.plane, rows.packed += rows.step) {
    vf all = vf_zero();
    for (size_t i = 0; i < count; i++) all = (vf)((vi)all | (vi)patch_load(rows.x, &pieces[i], stride));
    vf_store(rows.packed, all);
  }
}

/* All vectors of a panel for one tap. */
static void conv_f32_pack_tap(const struct conv_f32 *conv, const struct patch_panel *panel, const size_t tap[3],
                              struct tap_rows rows) {
  struct patch_piece pieces[VF_LANES];
  for (size_t v = 0; v < panel->width / VF_LANES; v++, rows.packed += VF_LANES) {
    const size_t count = conv_f32_find_pieces(conv, panel, tap, v, pieces);
    if (conv->stride[2] == 1)
      conv_f32_copy_vector(rows, pieces, count, 1);
    else
      conv_f32_copy_vector(rows, pieces, count, 2);
  }
}

/* The same for any stride, an element at a time. */
static void conv_f32_pack_tap_strided(const struct conv_f32 *conv, const struct patch_panel *panel, const size_t tap[3],
                                      struct tap_rows rows) {
  ptrdiff_t offsets[GEMM_F32_TILE_COLUMNS];
  bool inside[GEMM_F32_TILE_COLUMNS] = {false};
  size_t lane, count;
  ptrdiff_t offset;
  for (size_t r = 0; r < panel->run_count; r++)
    if (conv_f32_clip_run(conv, &panel->runs[r], tap, &lane, &count, &offset))
      for (size_t i = 0; i < count; i++) {
        offsets[lane + i] = offset + (ptrdiff_t)(i * conv->stride[2]);
        inside[lane + i] = true;
      }
  for (size_t c = 0; c < rows.channels; c++, rows.x += rows.plane, rows.packed += rows.step)
    for (size_t i = 0; i < panel->width; i++) rows.packed[i] = inside[i] ? rows.x[offsets[i]] : 0;
}

/* ---- long kernels with a stride above 2 ----
 * A row of the image is sorted by phases of the stride once for all taps in it: what neighbouring pixels see of a tap
 * then lies together. */

enum { CONV_F32_PHASE_FLOATS = 4096 };

/* Floats of a phase: of a panel's pixels, what the last one reaches beyond, and room for whole vectors. */
INLINE size_t conv_f32_phase_size(const struct conv_f32 *conv) {
  return GEMM_F32_TILE_COLUMNS + (conv->kernel[2] - 1) * conv->dilation[2] / conv->stride[2] + 1 + VF_LANES;
}

static bool conv_f32_has_phases(const struct conv_f32 *conv) {
  return conv->stride[2] > 2 && conv->kernel[2] >= 2 * conv->stride[2] &&
         conv->stride[2] <= CONV_F32_PHASE_FLOATS / conv_f32_phase_size(conv);
}

/* Element j of phase f is the image's column (p2 + j) * stride + f - pad, zero outside; `row` is NULL where all is
 * padding. */
static void conv_f32_sort_phases(const struct conv_f32 *conv, const float *row, const struct pixel_run *run,
                                 size_t size, float *phases) {
  const ptrdiff_t stride = (ptrdiff_t)conv->stride[2], width = (ptrdiff_t)conv->input[2];
  const ptrdiff_t used = (ptrdiff_t)(run->count + size - GEMM_F32_TILE_COLUMNS - VF_LANES);
  for (ptrdiff_t f = 0; f < stride; f++, phases += size) {
    const ptrdiff_t first = (ptrdiff_t)(run->p2 * conv->stride[2]) + f - (ptrdiff_t)conv->pad[2];
    ptrdiff_t begin = first < 0 ? (-first + stride - 1) / stride : 0;
    ptrdiff_t end = first < width ? (width - first + stride - 1) / stride : 0;
    if (end > used) end = used;
    if (!row || begin > end) begin = end = 0;
    for (ptrdiff_t j = 0; j < begin; j++) phases[j] = 0;
    for (ptrdiff_t j = begin; j < end; j++) phases[j] = row[first + j * stride];
    for (ptrdiff_t j = end; j < used + VF_LANES; j++) phases[j] = 0;
  }
}

/* `count` rows of the patch matrix, from tap `tap` of a row of the kernel on, for the pixels of one run. */
static void conv_f32_copy_phases(const struct conv_f32 *conv, const struct pixel_run *run, const float *phases,
                                 size_t size, size_t tap, size_t count, float *packed, size_t width) {
  for (size_t k = tap; k < tap + count; k++, packed += width) {
    const size_t column = k * conv->dilation[2];
    const float *from = phases + column % conv->stride[2] * size + column / conv->stride[2];
    size_t i = 0;
    for (; i + VF_LANES <= run->count; i += VF_LANES) vf_store(packed + i, vf_load(from + i));
    if (i < run->count) vf_store_n(packed + i, vf_load(from + i), run->count - i);
  }
}

/* All of a panel: rows [k_begin, k_end) of the patch matrix. */
static void conv_f32_pack_phases(const struct conv_f32 *conv, const struct patch_panel *panel, const float *x,
                                 size_t k_begin, size_t k_end, float *packed) {
  const size_t taps = conv->kernel[2], size = conv_f32_phase_size(conv), rows = conv->kernel[0] * conv->kernel[1];
  const size_t plane = conv->input[0] * conv->input[1] * conv->input[2];
  const struct pixel_run last = panel->runs[panel->run_count - 1];
  float phases[CONV_F32_PHASE_FLOATS];
  for (size_t k = k_begin; k < k_end;) {
    const size_t row = k / taps, tap = k % taps, left = k_end - k, count = taps - tap < left ? taps - tap : left;
    const size_t k0 = row % rows / conv->kernel[1], k1 = row % conv->kernel[1];
    for (size_t r = 0; r < panel->run_count; r++) {
      const struct pixel_run *run = &panel->runs[r];
      const ptrdiff_t i0 = conv_f32_position(conv, 0, run->p0, k0), i1 = conv_f32_position(conv, 1, run->p1, k1);
      const float *from = NULL;
      if (i0 >= 0 && i1 >= 0)
        from = x + row / rows * plane + ((size_t)i0 * conv->input[1] + (size_t)i1) * conv->input[2];
      conv_f32_sort_phases(conv, from, run, size, phases);
      conv_f32_copy_phases(conv, run, phases, size, tap, count, packed + run->lane, panel->width);
    }
    for (size_t i = 0; i < count; i++, packed += panel->width)
      for (size_t lane = last.lane + last.count; lane < panel->width; lane++) packed[lane] = 0;
    k += count;
  }
}

INLINE bool conv_f32_is_pointwise(const struct conv_f32 *conv) {
  for (int d = 0; d < 3; d++)
    if (conv->kernel[d] != 1 || conv->stride[d] != 1 || conv->pad[d] != 0 || conv->input[d] != conv->output[d])
      return false;
  return true;
}

/* Rows [k_begin, k_begin + depth) of the patch matrix, pixels [pixel, pixel + count), in gemm_f32's packed form of b.
 */
static void conv_f32_pack_patches(const struct conv_f32 *conv, const float *x, size_t k_begin, size_t depth,
                                  size_t pixel, size_t count, float *packed) {
  const size_t plane = conv->input[0] * conv->input[1] * conv->input[2];
  const size_t taps = conv->kernel[0] * conv->kernel[1] * conv->kernel[2];
  const size_t k_end = k_begin + depth;
  const bool has_phases = conv_f32_has_phases(conv);
  struct patch_panel panel;

  if (conv_f32_is_pointwise(conv)) {
    gemm_f32_pack_columns(packed, x + k_begin * plane + pixel, count, depth, plane, 1);
    return;
  }
  while (count) {
    const size_t lanes = count < GEMM_F32_TILE_COLUMNS ? count : GEMM_F32_TILE_COLUMNS;
    conv_f32_split_panel(conv, pixel, lanes, &panel);
    if (has_phases) conv_f32_pack_phases(conv, &panel, x, k_begin, k_end, packed);
    for (size_t t = 0; t < taps && !has_phases; t++) {
      const size_t tap[3] = {t / (conv->kernel[1] * conv->kernel[2]), t / conv->kernel[2] % conv->kernel[1],
                             t % conv->kernel[2]};
      const size_t c_begin = k_begin > t ? (k_begin - t + taps - 1) / taps : 0;
      const size_t c_end = k_end > t ? (k_end - t + taps - 1) / taps : 0;
      if (c_begin >= c_end) continue;
      const struct tap_rows rows = {.x = x + c_begin * plane,
                                    .plane = plane,
                                    .channels = c_end - c_begin,
                                    .packed = packed + (c_begin * taps + t - k_begin) * panel.width,
                                    .step = taps * panel.width};
      if (conv->stride[2] <= 2)
        conv_f32_pack_tap(conv, &panel, tap, rows);
      else
        conv_f32_pack_tap_strided(conv, &panel, tap, rows);
    }
    packed += panel.width * depth;
    pixel += lanes;
    count -= lanes;
  }
}

INLINE size_t conv_f32_depth(const struct conv_f32 *conv) {
  return conv->channels * conv->kernel[0] * conv->kernel[1] * conv->kernel[2];
}

static size_t conv_f32_pixel_block(const struct conv_f32 *conv) {
  return gemm_f32_column_block(gemm_f32_depth_block(conv_f32_depth(conv)));
}

static size_t conv_f32_scratch_size(const struct conv_f32 *conv) {
  const size_t depth = gemm_f32_depth_block(conv_f32_depth(conv)), block = gemm_f32_column_block(depth);
  const size_t pixels = gemm_f32_padded_columns(conv->output[0] * conv->output[1] * conv->output[2]);
  return depth * (pixels < block ? pixels : block) * sizeof(float);
}

static void conv_f32_run(const struct conv_f32 *conv, const float *x, float *y, size_t row_panel_begin,
                         size_t row_panel_end, size_t pixel_begin, size_t pixel_end, void *scratch) {
  const size_t pixels = conv->output[0] * conv->output[1] * conv->output[2];
  const size_t k = conv_f32_depth(conv), depth_block = gemm_f32_depth_block(k);
  const size_t pixel_block = gemm_f32_column_block(depth_block);
  const size_t row_panels = gemm_f32_row_panels(conv->outputs);
  struct gemm_f32_output out = gemm_f32_output_of(y, pixels, &conv->epilogue);

  for (size_t pixel = pixel_begin; pixel < pixel_end; pixel += pixel_block) {
    const size_t block_end = pixel_end - pixel < pixel_block ? pixel_end : pixel + pixel_block;
    size_t p = 0;
    do {
      const size_t depth = k - p < depth_block ? k - p : depth_block;
      struct stream_fetch nothing = {0};
      struct gemm_f32_block block = {.b = scratch,
                                     .fetch = &nothing,
                                     .b_panel_stride = GEMM_F32_TILE_COLUMNS * depth,
                                     .depth = depth,
                                     .column_begin = pixel,
                                     .column_end = block_end};
      out.first_depth = p == 0;
      out.last_depth = p + depth == k;
      conv_f32_pack_patches(conv, x, p, depth, pixel, block_end - pixel, scratch);
      for (size_t panel = row_panel_begin; panel < row_panel_end; panel++) {
        block.row = gemm_f32_panel_row(conv->outputs, row_panels, panel);
        block.rows = gemm_f32_panel_row(conv->outputs, row_panels, panel + 1) - block.row;
        block.a = conv->packed_weights + p * conv->outputs + block.row * depth;
        gemm_f32_multiply_block(&block, &out);
      }
      p += depth;
    } while (p < k);
  }
}
