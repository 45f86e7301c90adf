/* Convolution of 8-bit integers in blocks of 16 channels: part of kernel_table_isa.c and of overrides, behind
 * gemm_i8_dot and quantize_vectors.h. The contract stands in kernel_table.h.
 *
 * Expects GEMM_I8_A_SIGNED and, of the tile of sums in registers, CONV_8BIT_PIXELS and CONV_8BIT_VECTORS (1, 2 or 4
 * vectors of outputs). Four neighbouring channels of a pixel are one 32-bit number, which all outputs of a vector
 * multiply with their own four weights. */

#if CONV_8BIT_VECTORS != 1 && CONV_8BIT_VECTORS != 2 && CONV_8BIT_VECTORS != 4
#error "CONV_8BIT_VECTORS must be 1, 2 or 4"
#endif

#define CONV_8BIT_COLUMNS (CONV_8BIT_VECTORS * VF_LANES)

/* ---- the register tile ---- */

/* Where a tile writes: a vector of outputs lies within a block. */
struct conv_8bit_place {
  uint8_t *y;
  size_t column, block_bytes;
};

INLINE void conv_8bit_store(const struct conv_8bit *of, vi sum[][CONV_8BIT_VECTORS],
                            const struct conv_8bit_place *place, const int pixels, const int vectors) {
  const struct quantized_range range = {(float)(of->low - of->zero), (float)(of->high - of->zero), of->zero};
  UNROLL
  for (int v = 0; v < vectors; v++) {
    const size_t column = place->column + (size_t)v * VF_LANES;
    const vf scale = vf_load(of->scale + column);
    uint8_t *y = place->y + column / 16 * place->block_bytes + column % 16;
    UNROLL
    for (int p = 0; p < pixels; p++)
      vi_store_low_bytes(y + 16 * p, vi_quantized(vf_from_vi(sum[p][v]) * scale, &range) + range.zero);
  }
}

INLINE void conv_8bit_tile_body(const struct conv_8bit *of, const uint8_t *x, const uint8_t *w,
                                const struct conv_8bit_place *place, const int pixels, const int vectors) {
  vi sum[CONV_8BIT_PIXELS][CONV_8BIT_VECTORS];
  UNROLL
  for (int v = 0; v < vectors; v++) {
    const vi term = vi_load(of->term + place->column + (size_t)v * VF_LANES);
    UNROLL
    for (int p = 0; p < pixels; p++) sum[p][v] = term;
  }
  for (size_t step = 0; step < of->steps; step++) {
    const uint8_t *from = x + of->offsets[step];
    UNROLL
    for (int four = 0; four < 4; four++) {
      vi right[CONV_8BIT_VECTORS];
      UNROLL
      for (int v = 0; v < vectors; v++) right[v] = vi_load(w + (four * vectors + v) * VECTOR_BYTES);
      UNROLL
      for (int p = 0; p < pixels; p++) {
        int32_t left;
        memcpy(&left, from + 16 * p + 4 * four, 4);
        UNROLL
        for (int v = 0; v < vectors; v++) sum[p][v] = gemm_i8_dot(sum[p][v], vi_set1(left), right[v]);
      }
    }
    w += 4 * vectors * VECTOR_BYTES;
  }
  conv_8bit_store(of, sum, place, pixels, vectors);
}

typedef void conv_8bit_tile_function(const struct conv_8bit *of, const uint8_t *x, const uint8_t *w,
                                     const struct conv_8bit_place *place);

#define TILE_INSTANCE(pixels, vectors)                                                                                 \
  static void conv_8bit_tile_##pixels##x##vectors(const struct conv_8bit *of, const uint8_t *x, const uint8_t *w,      \
                                                  const struct conv_8bit_place *place) {                               \
    conv_8bit_tile_body(of, x, w, place, pixels, vectors);                                                             \
  }
#define TILE_NAME(pixels, vectors) conv_8bit_tile_##pixels##x##vectors,

EACH_UP_TO(CONV_8BIT_PIXELS, TILE_INSTANCE, 1)
#if CONV_8BIT_VECTORS > 1
EACH_UP_TO(CONV_8BIT_PIXELS, TILE_INSTANCE, 2)
#endif
#if CONV_8BIT_VECTORS > 2
EACH_UP_TO(CONV_8BIT_PIXELS, TILE_INSTANCE, 3)
EACH_UP_TO(CONV_8BIT_PIXELS, TILE_INSTANCE, 4)
#endif

/* [vectors - 1][pixels - 1] */
static conv_8bit_tile_function *const conv_8bit_tiles[CONV_8BIT_VECTORS][CONV_8BIT_PIXELS] = {
    {EACH_UP_TO(CONV_8BIT_PIXELS, TILE_NAME, 1)},
#if CONV_8BIT_VECTORS > 1
    {EACH_UP_TO(CONV_8BIT_PIXELS, TILE_NAME, 2)},
#endif
#if CONV_8BIT_VECTORS > 2
    {EACH_UP_TO(CONV_8BIT_PIXELS, TILE_NAME, 3)},
    {EACH_UP_TO(CONV_8BIT_PIXELS, TILE_NAME, 4)},
#endif
};
#undef TILE_INSTANCE
#undef TILE_NAME

/* ---- panels ---- */

/* Columns of a panel, filled up to whole vectors. */
INLINE size_t conv_8bit_width(size_t outputs, size_t panel) {
  const size_t left = outputs - panel * CONV_8BIT_COLUMNS;
  return left >= CONV_8BIT_COLUMNS ? CONV_8BIT_COLUMNS : (left + VF_LANES - 1) / VF_LANES * VF_LANES;
}

static size_t conv_8bit_packed_size(size_t outputs, size_t steps) {
  return (outputs + VF_LANES - 1) / VF_LANES * VF_LANES * 16 * steps;
}

static void conv_8bit_pack(void *packed, const int8_t w[16], size_t outputs, size_t steps, size_t output, size_t step) {
  const size_t panel = output / CONV_8BIT_COLUMNS, column = output % CONV_8BIT_COLUMNS;
  const size_t width = conv_8bit_width(outputs, panel);
  uint8_t *to = (uint8_t *)packed + 16 * (steps * panel * CONV_8BIT_COLUMNS + step * width) + 4 * column;
  for (size_t four = 0; four < 4; four++) memcpy(to + 4 * width * four, w + 4 * four, 4);
}

/* Rows are cut in tiles that differ by one pixel at most. */
static void conv_8bit_run(const struct conv_8bit *of, const uint8_t *x, uint8_t *y, size_t panel_begin,
                          size_t panel_end) {
  const size_t tiles = (of->pixels + CONV_8BIT_PIXELS - 1) / CONV_8BIT_PIXELS;
  if (tiles == 0) return;
  const size_t least = of->pixels / tiles, larger = of->pixels % tiles;
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const uint8_t *w = (const uint8_t *)of->packed + 16 * of->steps * panel * CONV_8BIT_COLUMNS;
    conv_8bit_tile_function *const *functions = conv_8bit_tiles[conv_8bit_width(of->outputs, panel) / VF_LANES - 1];
    for (size_t row = 0; row < of->rows; row++) {
      struct conv_8bit_place place = {
          .y = y + row * of->y_row, .column = panel * CONV_8BIT_COLUMNS, .block_bytes = of->y_block};
      const uint8_t *from = x + row * of->x_row;
      for (size_t tile = 0; tile < tiles; tile++) {
        const size_t count = least + (tile < larger);
        functions[count - 1](of, from, w, &place);
        from += 16 * count;
        place.y += 16 * count;
      }
    }
  }
}

/* ---- one channel at a time ---- */

/* In each 16 bytes: the first eight of a and b in turn, and the last eight; the same of 16-bit numbers. */
#define IN_TURN_8(at, n)                                                                                               \
  at, n + (at), (at) + 1, n + (at) + 1, (at) + 2, n + (at) + 2, (at) + 3, n + (at) + 3, (at) + 4, n + (at) + 4,        \
      (at) + 5, n + (at) + 5, (at) + 6, n + (at) + 6, (at) + 7, n + (at) + 7
#define IN_TURN_4(at, n) at, n + (at), (at) + 1, n + (at) + 1, (at) + 2, n + (at) + 2, (at) + 3, n + (at) + 3
#if VECTOR_BYTES == 64
#define EACH_16_BYTES(X, first, step, n)                                                                               \
  X(first, n), X((first) + (step), n), X((first) + 2 * (step), n), X((first) + 3 * (step), n)
#elif VECTOR_BYTES == 32
#define EACH_16_BYTES(X, first, step, n) X(first, n), X((first) + (step), n)
#else
#define EACH_16_BYTES(X, first, step, n) X(first, n)
#endif

typedef uint8_t conv_8bit_bytes __attribute__((vector_size(VECTOR_BYTES)));

#define bytes_in_turn(a, b, half)                                                                                      \
  __builtin_shufflevector((conv_8bit_bytes)(a), (conv_8bit_bytes)(b),                                                  \
                          EACH_16_BYTES(IN_TURN_8, 8 * (half), 16, VECTOR_BYTES))
#define pairs_in_turn(a, b, half)                                                                                      \
  __builtin_shufflevector((vs)(a), (vs)(b), EACH_16_BYTES(IN_TURN_4, 4 * (half), 8, VECTOR_BYTES / 2))

/* Neighbouring pixels of a row: sum[k] holds, for each of them, channels 4 * k .. 4 * k + 3. */
INLINE void depthwise_8bit_sums(const struct depthwise_8bit *of, const uint8_t *x, vi sum[4]) {
  for (size_t four = 0; four < of->fours; four++) {
    const size_t *offsets = of->offsets + 4 * four;
    const int8_t *w = of->w + 64 * four;
    const vi a = vi_load(x + offsets[0]), b = vi_load(x + offsets[1]);
    const vi c = vi_load(x + offsets[2]), d = vi_load(x + offsets[3]);
    const vi ab_low = (vi)bytes_in_turn(a, b, 0), ab_high = (vi)bytes_in_turn(a, b, 1);
    const vi cd_low = (vi)bytes_in_turn(c, d, 0), cd_high = (vi)bytes_in_turn(c, d, 1);
    sum[0] = gemm_i8_dot(sum[0], (vi)pairs_in_turn(ab_low, cd_low, 0), vi_load_repeated(w));
    sum[1] = gemm_i8_dot(sum[1], (vi)pairs_in_turn(ab_low, cd_low, 1), vi_load_repeated(w + 16));
    sum[2] = gemm_i8_dot(sum[2], (vi)pairs_in_turn(ab_high, cd_high, 0), vi_load_repeated(w + 32));
    sum[3] = gemm_i8_dot(sum[3], (vi)pairs_in_turn(ab_high, cd_high, 1), vi_load_repeated(w + 48));
  }
}

static void depthwise_8bit_run(const struct depthwise_8bit *of, const uint8_t *x, uint8_t *y) {
  const struct quantized_range range = {(float)(of->low - of->zero), (float)(of->high - of->zero), of->zero};
  vi term[4];
  vf scale[4];
  UNROLL
  for (int k = 0; k < 4; k++) {
    term[k] = vi_load_repeated(of->term + 4 * k);
    scale[k] = (vf)vi_load_repeated(of->scale + 4 * k);
  }
  for (size_t row = 0; row < of->rows; row++) {
    for (size_t at = 0; at < 16 * of->pixels; at += VECTOR_BYTES) {
      const size_t left = 16 * of->pixels - at;
      vi sum[4] = {term[0], term[1], term[2], term[3]};
      depthwise_8bit_sums(of, x + row * of->x_row + at, sum);
      UNROLL
      for (int k = 0; k < 4; k++) sum[k] = vi_quantized(vf_from_vi(sum[k]) * scale[k], &range) + range.zero;
      const vi bytes = vi_low_bytes(sum);
      if (left >= VECTOR_BYTES)
        vi_store(y + row * of->y_row + at, bytes);
      else
        memcpy(y + row * of->y_row + at, &bytes, left);
    }
  }
}

/* For an override: all entries of the table that this file makes. */
INLINE void conv_8bit_fill(struct kernel_table *table) {
  table->conv_8bit_signed = GEMM_I8_A_SIGNED;
  table->conv_8bit_columns = CONV_8BIT_COLUMNS;
  table->conv_8bit_pixels = CONV_8BIT_PIXELS;
  table->conv_8bit_packed_size = conv_8bit_packed_size;
  table->conv_8bit_pack = conv_8bit_pack;
  table->conv_8bit_run = conv_8bit_run;
  table->depthwise_8bit_run = depthwise_8bit_run;
}
