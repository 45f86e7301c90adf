/* Packed operands of gemm_i8, and how its matrices are cut: part of gemm_i8.h.
 *
 * Operands are packed in steps of four neighbouring p, the last one filled up with zeros: row panels of a as
 * [step][row][4], column panels of b as [step][column][4], and behind all panels the sum of each row, or column, of the
 * packed bytes. Panels of b are filled up with zeros to whole vectors. */

#define GEMM_I8_TILE_COLUMNS (GEMM_I8_TILE_VECTORS * VF_LANES)

/* ---- how m, n and k are cut ---- */
static size_t gemm_i8_row_panels(size_t m) {
  return (m + GEMM_I8_TILE_ROWS - 1) / GEMM_I8_TILE_ROWS;
}

static size_t gemm_i8_column_panels(size_t n) {
  return (n + GEMM_I8_TILE_COLUMNS - 1) / GEMM_I8_TILE_COLUMNS;
}

/* First row of a panel; panels differ by one row at most. */
INLINE size_t gemm_i8_panel_row(size_t m, size_t panel) {
  const size_t panels = gemm_i8_row_panels(m);
  if (panels == 0) return 0;
  const size_t base = m / panels, larger = m % panels;
  return panel * base + (panel < larger ? panel : larger);
}

/* First column of a panel. */
INLINE size_t gemm_i8_panel_column(size_t n, size_t panel) {
  const size_t column = panel * GEMM_I8_TILE_COLUMNS;
  return column < n ? column : n;
}

INLINE size_t gemm_i8_padded_columns(size_t n) {
  return (n + VF_LANES - 1) / VF_LANES * VF_LANES;
}

INLINE size_t gemm_i8_steps(size_t k) {
  return k / 4 + (k % 4 != 0);
}

static size_t gemm_i8_packed_a_size(size_t m, size_t k) {
  return 4 * m * (gemm_i8_steps(k) + 1);
}

static size_t gemm_i8_packed_b_size(size_t k, size_t n) {
  return 4 * gemm_i8_padded_columns(n) * (gemm_i8_steps(k) + 1);
}

/* ---- packing ---- */
typedef int32_t v4i __attribute__((vector_size(16)));
typedef int32_t v4i_in_memory __attribute__((vector_size(16), aligned(1), may_alias));

/* Where a panel comes from: byte p of lane l stands at source[l * lane_stride + p * depth_stride]; each is changed by
 * an exclusive or with `flip`, 0 or 128. */
struct gemm_i8_panel {
  const uint8_t *source;
  size_t lanes, depth;
  size_t lane_stride, depth_stride;
  uint8_t flip;
};

/* Bytes p .. p + 3 of a lane whose bytes are adjacent in depth, zero from `depth` on, in the order of memory, which is
 * little-endian. There must be 4 bytes. */
INLINE int32_t gemm_i8_word(const uint8_t *lane, size_t depth, size_t p, uint32_t flip) {
  const size_t behind = p + 4 > depth ? p + 4 - depth : 0;
  uint32_t word;
  memcpy(&word, lane + p - behind, 4);
  return (int32_t)((word ^ flip) >> 8 * behind);
}

/* Lanes lane .. lane + 3 of a panel that is `width` lanes wide, whose bytes are adjacent in depth and at least 4. */
INLINE void gemm_i8_pack_four_lanes(uint8_t *packed, const struct gemm_i8_panel *panel, size_t width, size_t lane) {
  const uint32_t flip = 0x01010101u * panel->flip;
  const size_t depth = panel->depth, stride = panel->lane_stride;
  const uint8_t *from = panel->source + lane * stride;
  uint8_t *to = packed + 4 * lane;
  size_t p = 0;
  for (; p + 16 <= depth; p += 16, to += 16 * width) {
    v4f x[4];
    UNROLL
    for (size_t i = 0; i < 4; i++) x[i] = (v4f)(*(const v4i_in_memory *)(from + i * stride + p) ^ (int32_t)flip);
    v4f_transpose(x);
    UNROLL
    for (size_t i = 0; i < 4; i++) *(v4i_in_memory *)(to + 4 * i * width) = (v4i)x[i];
  }
  for (; p < depth; p += 4, to += 4 * width) {
    *(v4i_in_memory *)to =
        (v4i){gemm_i8_word(from, depth, p, flip), gemm_i8_word(from + stride, depth, p, flip),
              gemm_i8_word(from + 2 * stride, depth, p, flip), gemm_i8_word(from + 3 * stride, depth, p, flip)};
  }
}

/* Sixteen lanes whose bytes are adjacent across lanes, one step. */
INLINE void gemm_i8_pack_sixteen_lanes(uint8_t *to, const uint8_t *from, size_t depth_stride, uint8_t flip) {
  v16b x[4];
  UNROLL
  for (size_t i = 0; i < 4; i++) x[i] = *(const v16b_in_memory *)(from + i * depth_stride) ^ flip;
#define LOW_HALVES  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define LOW_PAIRS   0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23
#define HIGH_PAIRS  8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31
  const v16b a = __builtin_shufflevector(x[0], x[1], LOW_HALVES), b = __builtin_shufflevector(x[2], x[3], LOW_HALVES);
  const v16b c = __builtin_shufflevector(x[0], x[1], HIGH_HALVES), d = __builtin_shufflevector(x[2], x[3], HIGH_HALVES);
  *(v16b_in_memory *)to = __builtin_shufflevector(a, b, LOW_PAIRS);
  *(v16b_in_memory *)(to + 16) = __builtin_shufflevector(a, b, HIGH_PAIRS);
  *(v16b_in_memory *)(to + 32) = __builtin_shufflevector(c, d, LOW_PAIRS);
  *(v16b_in_memory *)(to + 48) = __builtin_shufflevector(c, d, HIGH_PAIRS);
#undef LOW_HALVES
#undef HIGH_HALVES
#undef LOW_PAIRS
#undef HIGH_PAIRS
}

/* Steps from depth p on of lanes begin .. end - 1; zero where there is no depth or no lane. */
static void gemm_i8_pack_singly(uint8_t *packed, const struct gemm_i8_panel *panel, size_t width, size_t begin,
                                size_t end, size_t p) {
  if (panel->depth_stride == 1 && end <= panel->lanes && panel->depth >= 4) {
    for (; p < panel->depth; p += 4)
      for (size_t lane = begin; lane < end; lane++) {
        const int32_t word =
            gemm_i8_word(panel->source + lane * panel->lane_stride, panel->depth, p, 0x01010101u * panel->flip);
        memcpy(packed + p * width + 4 * lane, &word, 4);
      }
    return;
  }
  for (; p < panel->depth; p += 4)
    for (size_t lane = begin; lane < end; lane++)
      for (size_t i = 0; i < 4; i++)
        packed[p * width + 4 * lane + i] =
            lane < panel->lanes && p + i < panel->depth
                ? panel->source[lane * panel->lane_stride + (p + i) * panel->depth_stride] ^ panel->flip
                : 0;
}

/* Steps of a whole panel of fewer than sixteen lanes, whose bytes are adjacent across lanes, as sixteen: what is read
 * behind a row belongs to the rows that follow, what is written behind a step is written again by the steps that
 * follow. Returns the depth from which on that does not hold. */
INLINE size_t gemm_i8_pack_narrow(uint8_t *packed, const struct gemm_i8_panel *panel) {
  const size_t width = panel->lanes, end = panel->depth / 4 * 4;
  size_t p = 0;
  if (panel->depth_stride < 16) return 0;
  for (; p + 4 < end && p * width + 64 <= end * width; p += 4)
    gemm_i8_pack_sixteen_lanes(packed + p * width, panel->source + p * panel->depth_stride, panel->depth_stride,
                               panel->flip);
  return p;
}

static void gemm_i8_pack_panel(uint8_t *packed, const struct gemm_i8_panel *panel, size_t width) {
  size_t lane = 0;
  if (panel->depth_stride == 1 && panel->lanes >= 4 && panel->depth >= 4) {
    while (lane < panel->lanes) {
      if (lane + 4 > panel->lanes) lane = panel->lanes - 4; /* the last four overlap the ones before */
      gemm_i8_pack_four_lanes(packed, panel, width, lane);
      lane += 4;
    }
  } else if (panel->lane_stride == 1 && panel->lanes == width && width < 16) {
    gemm_i8_pack_singly(packed, panel, width, 0, width, gemm_i8_pack_narrow(packed, panel));
    return;
  } else if (panel->lane_stride == 1) {
    for (; lane + 16 <= panel->lanes; lane += 16) {
      size_t p = 0;
      for (; p + 4 <= panel->depth; p += 4)
        gemm_i8_pack_sixteen_lanes(packed + p * width + 4 * lane, panel->source + lane + p * panel->depth_stride,
                                   panel->depth_stride, panel->flip);
      gemm_i8_pack_singly(packed, panel, width, lane, lane + 16, p);
    }
  }
  gemm_i8_pack_singly(packed, panel, width, lane, panel->lanes, 0);
  gemm_i8_pack_singly(packed, panel, width, panel->lanes, width, 0);
}

INLINE uint8_t gemm_i8_flip(norma_element_type type, bool is_signed) {
  return (type == NORMA_INT8) == is_signed ? 0 : 128;
}

/* The zero point that belongs to flipped elements. */
INLINE uint32_t gemm_i8_zero(const int32_t *zero, norma_element_type type, bool is_signed) {
  const uint32_t shift = type == NORMA_INT8 ? 128u : -128u;
  return (zero ? (uint32_t)*zero : 0) + (gemm_i8_flip(type, is_signed) ? shift : 0);
}

/* Sums over the depth of each row of a packed panel. */
static void gemm_i8_sum_rows(int32_t *sums, const uint8_t *packed, size_t rows, size_t steps) {
  const vi ones = vi_set1(0x01010101);
  for (size_t row = 0; row < rows; row += VF_LANES) {
    const size_t lanes = rows - row < VF_LANES ? rows - row : VF_LANES;
    vi sum = vi_set1(0), others[3] = {vi_set1(0), vi_set1(0), vi_set1(0)};
    size_t step = 0;
    for (; (step + 3) * rows + row + VF_LANES <= steps * rows; step += 4) {
      const uint8_t *from = packed + 4 * (step * rows + row);
      sum = gemm_i8_dot(sum, vi_load(from), ones);
      UNROLL
      for (size_t i = 0; i < 3; i++) others[i] = gemm_i8_dot(others[i], vi_load(from + 4 * (i + 1) * rows), ones);
    }
    sum = (vi)((vu)sum + (vu)others[0] + ((vu)others[1] + (vu)others[2]));
    /* Lanes behind the panel's are those of its next steps. The last steps have too few behind them: they are
     * copied. */
    for (; step * rows + row + VF_LANES <= steps * rows; step++)
      sum = gemm_i8_dot(sum, vi_load(packed + 4 * (step * rows + row)), ones);
    if (step < steps) {
      uint8_t room[4 * (2 * VF_LANES + GEMM_I8_TILE_ROWS)] = {0};
      const size_t begin = step;
      memcpy(room, packed + 4 * begin * rows, 4 * (steps - begin) * rows);
      for (; step < steps; step++) sum = gemm_i8_dot(sum, vi_load(room + 4 * ((step - begin) * rows + row)), ones);
    }
    int32_t result[VF_LANES];
    vi_store(result, sum);
    memcpy(sums + row, result, lanes * sizeof *sums);
  }
}

/* Packs row panels [begin, end), whose first row is at a, one behind the other, and sums their rows if `sums` is
 * given. */
static void gemm_i8_pack_rows(uint8_t *packed, int32_t *sums, const struct gemm_i8 *gemm, const uint8_t *a,
                              size_t begin, size_t end) {
  struct gemm_i8_panel panel = {.source = a,
                                .depth = gemm->k,
                                .lane_stride = gemm->a_row_stride,
                                .depth_stride = gemm->a_column_stride,
                                .flip = gemm_i8_flip(gemm->a_type, GEMM_I8_A_SIGNED)};
  const size_t steps = gemm_i8_steps(gemm->k);
  for (; begin < end; begin++) {
    panel.lanes = gemm_i8_panel_row(gemm->m, begin + 1) - gemm_i8_panel_row(gemm->m, begin);
    gemm_i8_pack_panel(packed, &panel, panel.lanes);
    if (sums) {
      gemm_i8_sum_rows(sums, packed, panel.lanes, steps);
      sums += panel.lanes;
    }
    packed += 4 * steps * panel.lanes;
    panel.source += panel.lanes * gemm->a_row_stride;
  }
}

static void gemm_i8_pack_a(void *packed, const void *a, norma_element_type type, size_t m, size_t k, size_t row_stride,
                           size_t column_stride, size_t begin, size_t end) {
  const struct gemm_i8 gemm = {
      .m = m, .k = k, .a_type = type, .a_row_stride = row_stride, .a_column_stride = column_stride};
  const size_t row = gemm_i8_panel_row(m, begin), steps = gemm_i8_steps(k);
  int32_t *sums = (int32_t *)((char *)packed + 4 * steps * m);
  gemm_i8_pack_rows((uint8_t *)packed + 4 * steps * row, sums + row, &gemm, a, begin, end);
}

static void gemm_i8_pack_b(void *packed, const void *b, norma_element_type type, size_t k, size_t n, size_t row_stride,
                           size_t column_stride, size_t begin, size_t end) {
  const size_t steps = gemm_i8_steps(k);
  const vi ones = vi_set1(0x01010101);
  uint8_t *const sums = (uint8_t *)packed + 4 * gemm_i8_padded_columns(n) * steps;
  struct gemm_i8_panel panel = {.source = b,
                                .depth = k,
                                .lane_stride = column_stride,
                                .depth_stride = row_stride,
                                .flip = gemm_i8_flip(type, true)};
  for (; begin < end; begin++) {
    const size_t column = gemm_i8_panel_column(n, begin);
    panel.lanes = gemm_i8_panel_column(n, begin + 1) - column;
    const size_t width = gemm_i8_padded_columns(panel.lanes);
    uint8_t *to = (uint8_t *)packed + 4 * column * steps;
    gemm_i8_pack_panel(to, &panel, width);
    for (size_t j = 0; j < width; j += VF_LANES) {
      vi sum = vi_set1(0);
      for (size_t step = 0; step < steps; step++) sum = gemm_i8_dot(sum, ones, vi_load(to + 4 * (step * width + j)));
      vi_store(sums + 4 * (column + j), sum);
    }
    panel.source += panel.lanes * column_stride;
  }
}
