/* Winograd's convolution on channel blocks, F(2x2, 3x3) and F(4x4, 3x3): part of kernel_table_isa.c.
 *
 * Winograd, "Arithmetic complexity of computations", 1980; Lavin and Gray, "Fast algorithms for convolutional neural
 * networks", 2016. With m = 2 or 4 and n = m + 2, an output tile of m x m needs an input tile of n x n. Weights
 * (G w G^T, in double precision, when packed) and input tiles (B^T x B) are transformed to n x n positions; at each
 * position the channels are summed as a matrix product of tiles and weights; the sums are transformed back (A^T s A).
 *
 * F(2x2) interpolates at 0, 1, -1, infinity. F(4x4) does at 0, +-5/8, +-3/2, infinity: powers of these spread less than
 * those of the usual +-1, +-2, which makes the error smaller. Measured on layers of 16 to 512 channels with normal
 * weights and rectified normal inputs, error over the root mean square of the output, largest and root mean square:
 * direct 1.7e-6 and 2.7e-7, F(2x2) 3.2e-6 and 5.2e-7, F(4x4) 9.0e-6 and 1.5e-6.
 *
 * Packed weights: [position][panel][channel][vectors of the panel * b]. A batch of tiles goes through scratch:
 *   transformed inputs [position][channel block][tile][b], sums [position][output block][tile][b]. */

#define WINOGRAD_P  0.625 /* 5/8 */
#define WINOGRAD_Q  1.5
#define WINOGRAD_P2 (WINOGRAD_P * WINOGRAD_P)
#define WINOGRAD_Q2 (WINOGRAD_Q * WINOGRAD_Q)

enum { WINOGRAD_LARGEST_M = 4, WINOGRAD_LARGEST_N = 6 };

INLINE int winograd_m(const struct blocked_conv_f32 *conv) {
  return conv->algorithm == BLOCKED_WINOGRAD_4 ? 4 : 2;
}

/* ---- transforms of one line ---- */

/* y = B^T x */
INLINE void winograd_input_line(const vf *x, vf *y, const int m) {
  if (m == 2) {
    y[0] = x[0] - x[2];
    y[1] = x[1] + x[2];
    y[2] = x[2] - x[1];
    y[3] = x[1] - x[3];
    return;
  }
  const vf p = vf_set1((float)WINOGRAD_P), q = vf_set1((float)WINOGRAD_Q);
  const vf minus_p2 = vf_set1((float)-WINOGRAD_P2), minus_q2 = vf_set1((float)-WINOGRAD_Q2);
  const vf minus_sum = vf_set1((float)-(WINOGRAD_P2 + WINOGRAD_Q2)),
           product = vf_set1((float)(WINOGRAD_P2 * WINOGRAD_Q2));
  const vf even_p = vf_fma(minus_q2, x[2], x[4]), odd_p = vf_fma(minus_q2, x[1], x[3]);
  const vf even_q = vf_fma(minus_p2, x[2], x[4]), odd_q = vf_fma(minus_p2, x[1], x[3]);
  y[0] = vf_fma(product, x[0], vf_fma(minus_sum, x[2], x[4]));
  y[1] = vf_fma(p, odd_p, even_p);
  y[2] = vf_fma(-p, odd_p, even_p);
  y[3] = vf_fma(q, odd_q, even_q);
  y[4] = vf_fma(-q, odd_q, even_q);
  y[5] = vf_fma(product, x[1], vf_fma(minus_sum, x[3], x[5]));
}

/* y = A^T x */
INLINE void winograd_output_line(const vf *x, vf *y, const int m) {
  const vf sum_p = x[1] + x[2], difference_p = x[1] - x[2];
  if (m == 2) {
    y[0] = x[0] + sum_p;
    y[1] = difference_p - x[3];
    return;
  }
  const vf sum_q = x[3] + x[4], difference_q = x[3] - x[4];
  const vf p = vf_set1((float)WINOGRAD_P), p2 = vf_set1((float)WINOGRAD_P2);
  const vf q = vf_set1((float)WINOGRAD_Q), q2 = vf_set1((float)WINOGRAD_Q2);
  const vf p3 = vf_set1((float)(WINOGRAD_P * WINOGRAD_P2)), q3 = vf_set1((float)(WINOGRAD_Q * WINOGRAD_Q2));
  y[0] = (x[0] + sum_p) + sum_q;
  y[1] = vf_fma(q, difference_q, p * difference_p);
  y[2] = vf_fma(q2, sum_q, p2 * sum_p);
  y[3] = vf_fma(q3, difference_q, vf_fma(p3, difference_p, x[5]));
}

/* G w, for VD_LANES kernels at a time */
INLINE void winograd_weight_line(const vd *w, vd *y, const int m) {
  if (m == 2) {
    const vd half = vd_set1(0.5);
    y[0] = w[0];
    y[1] = (w[0] + w[2] + w[1]) * half;
    y[2] = (w[0] + w[2] - w[1]) * half;
    y[3] = w[2];
    return;
  }
  const double at_p = 2 * WINOGRAD_P2 * (WINOGRAD_P2 - WINOGRAD_Q2),
               at_q = 2 * WINOGRAD_Q2 * (WINOGRAD_Q2 - WINOGRAD_P2);
  const vd even_p = (w[0] + w[2] * vd_set1(WINOGRAD_P2)) * vd_set1(1 / at_p), odd_p = w[1] * vd_set1(WINOGRAD_P / at_p);
  const vd even_q = (w[0] + w[2] * vd_set1(WINOGRAD_Q2)) * vd_set1(1 / at_q), odd_q = w[1] * vd_set1(WINOGRAD_Q / at_q);
  y[0] = w[0] * vd_set1(1 / (WINOGRAD_P2 * WINOGRAD_Q2));
  y[1] = even_p + odd_p;
  y[2] = even_p - odd_p;
  y[3] = even_q + odd_q;
  y[4] = even_q - odd_q;
  y[5] = w[2];
}

/* ---- packing ---- */

/* VD_LANES kernels, lane by lane in `weights`, [9][VF_LANES], into lanes `to` of each position. */
INLINE void winograd_pack_kernels(const float *weights, float *to, size_t position_step, const int m) {
  const int n = m + 2;
  vd columns[WINOGRAD_LARGEST_N][3];
  for (int j = 0; j < 3; j++) {
    vd w[3], y[WINOGRAD_LARGEST_N];
    for (int i = 0; i < 3; i++) w[i] = vd_load_f32(weights + (i * 3 + j) * VF_LANES);
    winograd_weight_line(w, y, m);
    for (int i = 0; i < n; i++) columns[i][j] = y[i];
  }
  for (int i = 0; i < n; i++) {
    vd y[WINOGRAD_LARGEST_N];
    winograd_weight_line(columns[i], y, m);
    for (int j = 0; j < n; j++)
      *(vf_half_in_memory *)(to + (size_t)(i * n + j) * position_step) =
          __builtin_convertvector(y[j], vf_half_in_memory);
  }
}

/* Kernels of some channels of VF_LANES outputs, `lanes` of them there, lane by lane: y[channels][9][VF_LANES]. */
INLINE void winograd_gather_kernels(const float *weights, size_t stride, size_t lanes, size_t channels, float *y) {
  enum { WINOGRAD_AT_ONCE = 4 * 9 };
  float *at[WINOGRAD_AT_ONCE];
  for (size_t i = 0; i < channels * 9; i++) at[i] = y + i * VF_LANES;
  if (lanes == VF_LANES) {
    blocked_pack_lanes(weights, stride, at, channels * 9);
    return;
  }
  for (size_t i = 0; i < channels * 9; i++)
    for (size_t lane = 0; lane < VF_LANES; lane++) at[i][lane] = lane < lanes ? weights[lane * stride + i] : 0;
}

static void blocked_winograd_pack(const struct blocked_conv_f32 *conv, float *packed, const void *weights, size_t first,
                                  size_t count) {
  enum { WINOGRAD_AT_ONCE = 4 };
  const size_t channels = conv->channels, blocks = blocked_count(conv->outputs), end = first + count;
  const size_t position_step = blocks * VF_LANES * channels;
  for (size_t o = first; o < end; o += VF_LANES) {
    const void *block_weights = const_element_at(weights, (o - first) * channels * 9, conv->type);
    const size_t block = o / VF_LANES, panel = blocked_panel_of(blocks, block),
                 lanes = blocked_smaller(end - o, VF_LANES);
    const size_t width = blocked_panel_vectors(blocks, panel) * VF_LANES;
    float *to = packed + 2 * panel * VF_LANES * channels + (block - 2 * panel) * VF_LANES;
    for (size_t c = 0; c < channels; c += WINOGRAD_AT_ONCE) {
      float kernels[WINOGRAD_AT_ONCE * 9 * VF_LANES];
      const size_t some = blocked_smaller(channels - c, WINOGRAD_AT_ONCE);
      float buffer[WINOGRAD_AT_ONCE * 9 * VF_LANES];
      size_t apart = channels * 9;
      const float *from = blocked_weights(block_weights, &apart, c * 9, some * 9, lanes, conv->type, buffer);
      winograd_gather_kernels(from, apart, lanes, some, kernels);
      for (size_t i = 0; i < some; i++, to += width)
        for (size_t lane = 0; lane < VF_LANES; lane += VD_LANES) {
          if (winograd_m(conv) == 4)
            winograd_pack_kernels(kernels + i * 9 * VF_LANES + lane, to + lane, position_step, 4);
          else
            winograd_pack_kernels(kernels + i * 9 * VF_LANES + lane, to + lane, position_step, 2);
        }
    }
  }
}

/* ---- tiles ---- */
struct blocked_winograd {
  int m;
  size_t positions;
  size_t tile_rows, tile_columns;
  size_t channel_blocks, output_blocks;
  size_t batch;      /* most tiles at a time */
  size_t input_step; /* from one position of the transformed inputs to the next, in floats */
  size_t sum_step;   /* the same for the sums */
};

/* What a batch's transformed inputs and sums should take of the second-level cache. */
#define WINOGRAD_CACHED_FLOATS (WINOGRAD_CACHED_BYTES / sizeof(float))

/* An odd number of cache lines: positions of one tile must not all fall into the same set. */
INLINE size_t winograd_position_step(size_t floats) {
  const size_t lines = (floats + 15) / 16;
  return (lines | 1) * 16;
}

enum { WINOGRAD_LEAST_BATCH = 2 * BLOCKED_LARGEST_TILE };

/* n tiles in equal batches, but for whole tiles of the products (blocked_tile.h) in all but the last. */
INLINE size_t winograd_batches(const struct blocked_winograd *w, size_t n) {
  const size_t most = w->batch / BLOCKED_PIXELS_2 * BLOCKED_PIXELS_2; /* not 0 where there are several */
  return n <= w->batch ? n > 0 : (n + most - 1) / most;
}

INLINE size_t winograd_batch_begin(size_t n, size_t batches, size_t batch) {
  const size_t begin = blocked_part((n + BLOCKED_PIXELS_2 - 1) / BLOCKED_PIXELS_2, batches, batch) * BLOCKED_PIXELS_2;
  return blocked_smaller(n, begin);
}

static struct blocked_winograd blocked_winograd_of(const struct blocked_conv_f32 *conv) {
  struct blocked_winograd w = {.m = winograd_m(conv)};
  w.positions = (size_t)((w.m + 2) * (w.m + 2));
  w.tile_rows = (conv->output[0] + (size_t)w.m - 1) / (size_t)w.m;
  w.tile_columns = (conv->output[1] + (size_t)w.m - 1) / (size_t)w.m;
  w.channel_blocks = blocked_count(conv->channels);
  w.output_blocks = blocked_count(conv->outputs);
  const size_t tiles = w.tile_rows * w.tile_columns;
  const size_t tile_floats = w.positions * (w.channel_blocks + w.output_blocks) * VF_LANES;
  w.batch = tile_floats ? WINOGRAD_CACHED_FLOATS / tile_floats : tiles;
  /* All weights are read once per batch: no oftener than makes as much as writing and reading inputs and sums. */
  const size_t least = conv->channels * conv->outputs / (2 * (conv->channels + conv->outputs) + 1);
  if (w.batch < least) w.batch = least;
  if (w.batch < WINOGRAD_LEAST_BATCH) w.batch = WINOGRAD_LEAST_BATCH;
  const size_t batches = winograd_batches(&w, tiles);
  w.batch = batches ? winograd_batch_begin(tiles, batches, 1) : 0;
  w.input_step = winograd_position_step(w.channel_blocks * w.batch * VF_LANES);
  w.sum_step = winograd_position_step(w.output_blocks * w.batch * VF_LANES);
  return w;
}

/* Scratch: transformed inputs, sums, offsets of the channel blocks. */
static size_t blocked_winograd_scratch_size(const struct blocked_conv_f32 *conv) {
  const struct blocked_winograd w = blocked_winograd_of(conv);
  return w.positions * (w.input_step + w.sum_step) * sizeof(float) + w.channel_blocks * sizeof(size_t);
}

/* B^T x B of one tile at x, whose rows are row_step floats apart. */
INLINE void winograd_input_tile(const float *x, size_t row_step, float *to, size_t position_step, const int m) {
  const int n = m + 2;
  vf columns[WINOGRAD_LARGEST_N][WINOGRAD_LARGEST_N];
  for (int j = 0; j < n; j++) {
    vf line[WINOGRAD_LARGEST_N], y[WINOGRAD_LARGEST_N];
    UNROLL
    for (int i = 0; i < n; i++) line[i] = vf_load(x + i * row_step + j * VF_LANES);
    winograd_input_line(line, y, m);
    UNROLL
    for (int i = 0; i < n; i++) columns[i][j] = y[i];
  }
  for (int i = 0; i < n; i++) {
    vf y[WINOGRAD_LARGEST_N];
    winograd_input_line(columns[i], y, m);
    UNROLL
    for (int j = 0; j < n; j++) vf_store(to + (i * n + j) * position_step, y[j]);
  }
}

/* The part of a tile inside the image, zeros around it, in float. */
static void winograd_copy_tile(const struct blocked_conv_f32 *conv, const void *x, ptrdiff_t row, ptrdiff_t column,
                               int n, float *tile) {
  const ptrdiff_t height = (ptrdiff_t)conv->input[0], width = (ptrdiff_t)conv->input[1];
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++, tile += VF_LANES) {
      const bool inside = row + i >= 0 && row + i < height && column + j >= 0 && column + j < width;
      const size_t pixel = inside ? (size_t)((row + i) * width + column + j) : 0;
      vf_store(tile, inside ? vf_load_as(x, pixel * VF_LANES, conv->type) : vf_zero());
    }
}

/* All channel blocks of tiles [first, first + count). */
INLINE void winograd_inputs(const struct blocked_conv_f32 *conv, const struct blocked_winograd *w, const void *x,
                            size_t first, size_t count, float *to, const int m) {
  float border[WINOGRAD_LARGEST_N * WINOGRAD_LARGEST_N * VF_LANES] __attribute__((aligned(64)));
  const int n = m + 2;
  const size_t width = conv->input[1], height = conv->input[0], plane = height * width * VF_LANES;
  const bool is_float = conv->type == NORMA_FLOAT;
  for (size_t block = 0; block < w->channel_blocks; block++, x = const_element_at(x, plane, conv->type))
    for (size_t i = 0; i < count; i++, to += VF_LANES) {
      const size_t tile_row = (first + i) / w->tile_columns, tile_column = (first + i) % w->tile_columns;
      const ptrdiff_t row = (ptrdiff_t)(tile_row * (size_t)m) - (ptrdiff_t)conv->pad[0];
      const ptrdiff_t column = (ptrdiff_t)(tile_column * (size_t)m) - (ptrdiff_t)conv->pad[1];
      if (is_float && row >= 0 && column >= 0 && row + n <= (ptrdiff_t)height && column + n <= (ptrdiff_t)width) {
        winograd_input_tile((const float *)x + ((size_t)row * width + (size_t)column) * VF_LANES, width * VF_LANES, to,
                            w->input_step, m);
      } else {
        winograd_copy_tile(conv, x, row, column, n, border);
        winograd_input_tile(border, (size_t)n * VF_LANES, to, w->input_step, m);
      }
    }
}

/* Where and how output tiles are stored: one block of outputs. */
struct winograd_end {
  vf bias;
  struct pointwise_end end;
  struct activation activation;
  size_t width;            /* of the output */
  norma_element_type type; /* of y and residual */
};

/* Line of an output tile, of which `columns` pixels lie inside the output. */
INLINE void winograd_store_line(const struct winograd_end *end, const vf *s, void *y, const void *residual,
                                size_t columns, const int m) {
  float buffer[WINOGRAD_LARGEST_M * VF_LANES];
  float *line = end->type == NORMA_FLOAT ? y : buffer;
  UNROLL
  for (size_t j = 0; j < (size_t)m; j++)
    if (j < columns) {
      const vf addend = residual ? vf_load_as(residual, j * VF_LANES, end->type) : -vf_zero();
      vf_store(line + j * VF_LANES, affine_finish(&end->end, s[j] + end->bias, addend));
    }
  if (end->end.function) end->end.function(line, line, columns * VF_LANES, end->activation.a, end->activation.b);
  if (end->type != NORMA_FLOAT) narrow(y, buffer, columns * VF_LANES, end->type);
}

/* A^T s A of one tile; `rows` x `columns` of it lie inside the output. false, and nothing is stored, where it is not
 * finite: the four corners together sum all positions, so that they tell. */
INLINE bool winograd_output_tile(const float *sums, size_t position_step, const struct winograd_end *end, void *y,
                                 const void *residual, size_t rows, size_t columns, const int m) {
  const int n = m + 2;
  vf half[WINOGRAD_LARGEST_M][WINOGRAD_LARGEST_N], first[WINOGRAD_LARGEST_M], last[WINOGRAD_LARGEST_M];
  for (int j = 0; j < n; j++) {
    vf line[WINOGRAD_LARGEST_N], s[WINOGRAD_LARGEST_M];
    UNROLL
    for (int i = 0; i < n; i++) line[i] = vf_load(sums + (i * n + j) * position_step);
    winograd_output_line(line, s, m);
    UNROLL
    for (int i = 0; i < m; i++) half[i][j] = s[i];
  }
  winograd_output_line(half[0], first, m);
  winograd_output_line(half[m - 1], last, m);
  const vf check = ((first[0] - first[0]) + (first[m - 1] - first[m - 1])) +
                   ((last[0] - last[0]) + (last[m - 1] - last[m - 1])); /* 0 or NaN */
  if (__builtin_expect(vm_any(vf_is_nan(check)), false)) return false;
  const size_t step = end->width * VF_LANES;
  winograd_store_line(end, first, y, residual, columns, m);
  for (size_t i = 1; i < rows; i++) {
    vf s[WINOGRAD_LARGEST_M];
    if (i + 1 < (size_t)m) winograd_output_line(half[i], s, m);
    winograd_store_line(end, i + 1 < (size_t)m ? s : last, element_at(y, i * step, end->type),
                        const_element_at(residual, i * step, end->type), columns, m);
  }
  return true;
}

/* Packed weights of one panel at one position. */
INLINE const float *winograd_weights(const struct blocked_conv_f32 *conv, const struct blocked_winograd *w,
                                     size_t position, size_t panel) {
  return conv->packed_weights + (position * w->output_blocks + 2 * panel) * VF_LANES * conv->channels;
}

/* ---- tiles that are not finite ----
 * A NaN or Inf in a pixel reaches the whole tile, though by the definition only those outputs may have it whose windows
 * see the pixel. Such tiles are computed by the definition, from the weights of which the packed ones are made: lines
 * 0, 1, 2 and n - 1 of G w are enough to tell w. */

/* w of y = G w, from y[0], y[1], y[2] and y[n - 1]. */
INLINE void winograd_weight_line_back(const vf *y, vf *w, const int m) {
  const double p2_q2 = WINOGRAD_P2 * WINOGRAD_Q2, at_p = 2 * WINOGRAD_P2 * (WINOGRAD_P2 - WINOGRAD_Q2);
  w[0] = m == 4 ? y[0] * vf_set1((float)p2_q2) : y[0];
  w[1] = m == 4 ? (y[1] - y[2]) * vf_set1((float)(at_p / (2 * WINOGRAD_P))) : y[1] - y[2];
  w[2] = y[3];
}

/* The 3x3 weights of channel c and one block of outputs. */
static void winograd_weights_back(const struct blocked_conv_f32 *conv, const struct blocked_winograd *w, size_t block,
                                  size_t c, vf taps[3][3]) {
  const size_t panels = blocked_panels(w->output_blocks);
  const size_t panel = blocked_smaller(block / 2, panels - 1);
  const size_t at = (c * blocked_panel_vectors(w->output_blocks, panel) + block - 2 * panel) * VF_LANES;
  const size_t n = (size_t)w->m + 2, lines[4] = {0, 1, 2, n - 1};
  vf half[4][3];
  for (size_t i = 0; i < 4; i++) {
    vf y[4];
    for (size_t j = 0; j < 4; j++) y[j] = vf_load(winograd_weights(conv, w, lines[i] * n + lines[j], panel) + at);
    winograd_weight_line_back(y, half[i], w->m);
  }
  for (size_t j = 0; j < 3; j++) {
    const vf y[4] = {half[0][j], half[1][j], half[2][j], half[3][j]};
    vf column[3];
    winograd_weight_line_back(y, column, w->m);
    for (size_t i = 0; i < 3; i++) taps[i][j] = column[i];
  }
}

/* s = the convolution at the m x m outputs from (row, column), without bias. */
static void winograd_tile_sums(const struct blocked_conv_f32 *conv, const struct blocked_winograd *w, const void *x,
                               size_t block, size_t row, size_t column, vf s[WINOGRAD_LARGEST_M][WINOGRAD_LARGEST_M]) {
  const ptrdiff_t height = (ptrdiff_t)conv->input[0], width = (ptrdiff_t)conv->input[1];
  const ptrdiff_t top = (ptrdiff_t)row - (ptrdiff_t)conv->pad[0], left = (ptrdiff_t)column - (ptrdiff_t)conv->pad[1];
  for (int i = 0; i < w->m; i++)
    for (int j = 0; j < w->m; j++) s[i][j] = vf_zero();
  for (size_t c = 0; c < conv->channels; c++) {
    const size_t plane = c / VF_LANES * conv->input[0] * conv->input[1] * VF_LANES + c % VF_LANES;
    vf taps[3][3];
    winograd_weights_back(conv, w, block, c, taps);
    for (int i = 0; i < w->m + 2; i++)
      for (int j = 0; j < w->m + 2; j++) {
        if (top + i < 0 || top + i >= height || left + j < 0 || left + j >= width) continue;
        const size_t place = (size_t)((top + i) * width + left + j) * VF_LANES;
        const vf pixel = vf_set1(load_as(x, plane + place, conv->type));
        for (int a = 0; a < 3; a++)
          for (int b = 0; b < 3; b++)
            if (i >= a && i - a < w->m && j >= b && j - b < w->m)
              s[i - a][j - b] = vf_fma(taps[a][b], pixel, s[i - a][j - b]);
      }
  }
}

static void __attribute__((noinline, cold))
winograd_redo_tile(const struct blocked_conv_f32 *conv, const struct blocked_winograd *w,
                   const struct winograd_end *end, const void *x, size_t block, size_t row, size_t column, void *y) {
  vf s[WINOGRAD_LARGEST_M][WINOGRAD_LARGEST_M];
  const size_t m = (size_t)w->m, columns = blocked_smaller(conv->output[1] - column, m);
  winograd_tile_sums(conv, w, x, block, row, column, s);
  for (size_t i = 0; i < m && row + i < conv->output[0]; i++) {
    const size_t at = ((block * conv->output[0] + row + i) * conv->output[1] + column) * VF_LANES;
    const void *residual = const_element_at(conv->residual, at, conv->type);
    if (m == 4)
      winograd_store_line(end, s[i], element_at(y, at, conv->type), residual, columns, 4);
    else
      winograd_store_line(end, s[i], element_at(y, at, conv->type), residual, columns, 2);
  }
}

/* Output blocks [block_begin, block_end) of tiles [first, first + count). */
INLINE void winograd_outputs(const struct blocked_conv_f32 *conv, const struct blocked_winograd *w, const void *x,
                             const float *sums, size_t first, size_t count, size_t block_begin, size_t block_end,
                             void *y, const int m) {
  const size_t height = conv->output[0], width = conv->output[1];
  struct winograd_end end = {
      .end = pointwise_end_of(conv->activation), .activation = conv->activation, .width = width, .type = conv->type};
  for (size_t block = block_begin; block < block_end; block++) {
    end.bias = conv->bias ? vf_load(conv->bias + block * VF_LANES) : -vf_zero();
    for (size_t i = 0; i < count; i++, sums += VF_LANES) {
      const size_t row = (first + i) / w->tile_columns * (size_t)m, column = (first + i) % w->tile_columns * (size_t)m;
      const size_t at = ((block * height + row) * width + column) * VF_LANES;
      const size_t rows = blocked_smaller(height - row, (size_t)m),
                   columns = blocked_smaller(width - column, (size_t)m);
      if (!winograd_output_tile(sums, w->sum_step, &end, element_at(y, at, conv->type),
                                const_element_at(conv->residual, at, conv->type), rows, columns, m)) {
        winograd_redo_tile(conv, w, &end, x, block, row, column, y);
      }
    }
  }
}

/* The matrix products: every position, every panel. */
static void winograd_products(const struct blocked_conv_f32 *conv, const struct blocked_winograd *w, const float *x,
                              size_t count, size_t panel_begin, size_t panel_end, const size_t *offset, float *sums) {
  const size_t channels = conv->channels, depth = (blocked_depth_groups(2 * w->channel_blocks, VF_LANES) + 1) / 2;
  struct blocked_tile t = {.rest = channels % VF_LANES, .partial_plane = count * VF_LANES, .store_partial = true};
  for (size_t position = 0; position < w->positions; position++, x += w->input_step, sums += w->sum_step)
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      const size_t vectors = blocked_panel_vectors(w->output_blocks, panel);
      const bool last = panel + 1 == panel_end;
      t.weights = winograd_weights(conv, w, position, panel);
      for (size_t group = 0; group < w->channel_blocks; group += t.groups) {
        const size_t whole = channels / VF_LANES;
        t.groups = blocked_smaller(depth, w->channel_blocks - group);
        t.whole_groups = group >= whole ? 0 : blocked_smaller(t.groups, whole - group);
        t.add_partial = group > 0;
        t.offset = offset + group;
        const size_t block = t.whole_groups * VF_LANES * vectors * VF_LANES;
        const float *next = t.weights + block;
        const bool more = position + last < w->positions;
        if (group + t.groups >= w->channel_blocks && more)
          next = winograd_weights(conv, w, position + last, last ? panel_begin : panel + 1);
        blocked_tile_fetch(&t, next, more ? block : 0, blocked_line_tiles(count, vectors));
        blocked_tile_line(&t, vectors, false, x, sums + 2 * (panel - panel_begin) * t.partial_plane, NULL, NULL, count);
        t.weights += block;
      }
    }
}

INLINE void blocked_winograd_run_with(const struct blocked_conv_f32 *conv, const void *x, void *y, size_t tile_begin,
                                      size_t tile_end, size_t panel_begin, size_t panel_end, void *scratch,
                                      const int m) {
  const struct blocked_winograd w = blocked_winograd_of(conv);
  const size_t block_begin = 2 * panel_begin;
  const size_t block_end = panel_end == blocked_panels(w.output_blocks) ? w.output_blocks : 2 * panel_end;
  const size_t tiles = tile_end - tile_begin, batches = w.batch ? winograd_batches(&w, tiles) : 0;
  float *inputs = scratch, *sums = inputs + w.positions * w.input_step;
  size_t *offset = (size_t *)(sums + w.positions * w.sum_step);
  if (panel_begin >= panel_end) return;
  for (size_t i = 0; i < batches; i++) {
    const size_t first = tile_begin + winograd_batch_begin(tiles, batches, i);
    const size_t count = tile_begin + winograd_batch_begin(tiles, batches, i + 1) - first;
    for (size_t block = 0; block < w.channel_blocks; block++) offset[block] = block * count * VF_LANES;
    winograd_inputs(conv, &w, x, first, count, inputs, m);
    winograd_products(conv, &w, inputs, count, panel_begin, panel_end, offset, sums);
    winograd_outputs(conv, &w, x, sums, first, count, block_begin, block_end, y, m);
  }
}

/* Tiles [tile_begin, tile_end) of panels [panel_begin, panel_end). */
static void blocked_winograd_run(const struct blocked_conv_f32 *conv, const void *x, void *y, size_t tile_begin,
                                 size_t tile_end, size_t panel_begin, size_t panel_end, void *scratch) {
  if (winograd_m(conv) == 4)
    blocked_winograd_run_with(conv, x, y, tile_begin, tile_end, panel_begin, panel_end, scratch, 4);
  else
    blocked_winograd_run_with(conv, x, y, tile_begin, tile_end, panel_begin, panel_end, scratch, 2);
}
