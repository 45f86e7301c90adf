/* gemm_i8, the matrix product of 8-bit integers: part of kernel_table_isa.c and of overrides. The contract stands in
 * kernel_table.h.
 *
 * Expects: gemm_i8_dot(sum, a, b), which adds to each 32-bit lane the products of its four bytes of a and b; b is
 * signed, a signed or not (GEMM_I8_A_SIGNED); GEMM_I8_TILE_ROWS and GEMM_I8_TILE_VECTORS (2 or 4), of sums in
 * registers.
 *
 * Packed operands (gemm_i8_pack.h) have these signs: where a matrix has the other one, 128 is added to or taken from
 * all its elements and its zero point, which changes no product. The products of the bytes as they are come first;
 * then, with zero points za and zb,
 *
 *   sum over p of (a - za) * (b - zb) = products - za * (sum of b's column) - zb * (sum of a's row - k * za)
 *
 * All in 32 bits modulo 2^32, so that no order of summation matters. */
#include "gemm_i8_pack.h"

#if GEMM_I8_TILE_VECTORS != 2 && GEMM_I8_TILE_VECTORS != 4
#error "GEMM_I8_TILE_VECTORS must be 2 or 4"
#endif

/* ---- the register tile ---- */
INLINE void gemm_i8_step(vi sum[][GEMM_I8_TILE_VECTORS], const uint8_t *a, const uint8_t *b, const int rows,
                         const int vectors) {
  vi right[GEMM_I8_TILE_VECTORS];
  UNROLL
  for (int v = 0; v < vectors; v++) right[v] = vi_load(b + v * VECTOR_BYTES);
  UNROLL
  for (int r = 0; r < rows; r++) {
    int32_t left;
    memcpy(&left, a + 4 * r, 4);
    UNROLL
    for (int v = 0; v < vectors; v++) sum[r][v] = gemm_i8_dot(sum[r][v], vi_set1(left), right[v]);
  }
}

/* tile[r][v] = sum over the steps of the products of row r of a with vector v of b. Tiles with few sums keep several of
 * each, for steps in turn, so that one product need not wait for the other. */
INLINE void gemm_i8_tile_body(const uint8_t *a, const uint8_t *b, size_t steps, int32_t *tile, const int rows,
                              const int vectors) {
  enum { MOST = 4 };
  const int enough = 12 / (rows * vectors), turns = enough < 1 ? 1 : enough > MOST ? MOST : enough;
  vi sum[MOST][GEMM_I8_TILE_ROWS][GEMM_I8_TILE_VECTORS];
  UNROLL
  for (int t = 0; t < turns; t++) {
    UNROLL
    for (int r = 0; r < rows; r++) {
      UNROLL
      for (int v = 0; v < vectors; v++) sum[t][r][v] = vi_set1(0);
    }
  }
  for (; steps >= (size_t)turns; steps -= (size_t)turns) {
    UNROLL
    for (int t = 0; t < turns; t++)
      gemm_i8_step(sum[t], a + 4 * t * rows, b + t * vectors * VECTOR_BYTES, rows, vectors);
    a += 4 * turns * rows;
    b += turns * vectors * VECTOR_BYTES;
  }
  for (; steps; steps--) {
    gemm_i8_step(sum[0], a, b, rows, vectors);
    a += 4 * rows;
    b += vectors * VECTOR_BYTES;
  }
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < vectors; v++) {
      vu all = (vu)sum[0][r][v];
      UNROLL
      for (int t = 1; t < turns; t++) all += (vu)sum[t][r][v];
      vi_store(tile + (r * GEMM_I8_TILE_VECTORS + v) * VF_LANES, (vi)all);
    }
  }
}

typedef void gemm_i8_tile_function(const uint8_t *a, const uint8_t *b, size_t steps, int32_t *tile);

#define TILE_INSTANCE(rows, vectors)                                                                                   \
  static void gemm_i8_tile_##rows##x##vectors(const uint8_t *a, const uint8_t *b, size_t steps, int32_t *tile) {       \
    gemm_i8_tile_body(a, b, steps, tile, rows, vectors);                                                               \
  }
#define TILE_NAME(rows, vectors) gemm_i8_tile_##rows##x##vectors,

EACH_UP_TO(GEMM_I8_TILE_ROWS, TILE_INSTANCE, 1)
EACH_UP_TO(GEMM_I8_TILE_ROWS, TILE_INSTANCE, 2)
#if GEMM_I8_TILE_VECTORS == 4
EACH_UP_TO(GEMM_I8_TILE_ROWS, TILE_INSTANCE, 3)
EACH_UP_TO(GEMM_I8_TILE_ROWS, TILE_INSTANCE, 4)
#endif

/* [vectors - 1][rows - 1] */
static gemm_i8_tile_function *const gemm_i8_tiles[GEMM_I8_TILE_VECTORS][GEMM_I8_TILE_ROWS] = {
    {EACH_UP_TO(GEMM_I8_TILE_ROWS, TILE_NAME, 1)},
    {EACH_UP_TO(GEMM_I8_TILE_ROWS, TILE_NAME, 2)},
#if GEMM_I8_TILE_VECTORS == 4
    {EACH_UP_TO(GEMM_I8_TILE_ROWS, TILE_NAME, 3)},
    {EACH_UP_TO(GEMM_I8_TILE_ROWS, TILE_NAME, 4)},
#endif
};
#undef TILE_INSTANCE
#undef TILE_NAME

/* ---- from the tile to C ---- */

/* What all elements of a call have in common. Zero points are those of the packed operands. */
struct gemm_i8_output {
  bool one_a_zero, one_b_zero; /* for all rows, and for all columns: a_zero and b_zero */
  uint32_t a_zero, b_zero;
  bool needs_row_sums;
  float low, high;              /* of 8 bits, without c_zero; of float */
  unary_f32_function *function; /* of float: an activation that is no clamp, or NULL */
};

/* The columns of a panel, filled up to whole vectors. */
struct gemm_i8_columns {
  int32_t term[GEMM_I8_TILE_COLUMNS]; /* to be added in all rows */
  int32_t zero[GEMM_I8_TILE_COLUMNS];
  int32_t sum[GEMM_I8_TILE_COLUMNS]; /* of b, where rows have zero points of their own, else 0 */
  float scale[GEMM_I8_TILE_COLUMNS];
  float bias[GEMM_I8_TILE_COLUMNS]; /* of float */
};

static bool gemm_i8_all_equal(const int32_t *zero, size_t stride, size_t count) {
  for (size_t i = 1; zero && stride && i < count; i++)
    if (zero[i] != zero[0]) return false;
  return true;
}

static struct gemm_i8_output gemm_i8_output_of(const struct gemm_i8 *gemm) {
  const struct activation *activation = &gemm->epilogue.activation;
  const bool is_float = gemm->c_type == NORMA_FLOAT, is_clip = activation->kind == UNARY_CLIP;
  const int32_t lowest = gemm->c_type == NORMA_INT8 ? -128 : 0;
  const int32_t low = gemm->c_limited ? gemm->c_low : lowest, high = gemm->c_limited ? gemm->c_high : lowest + 255;
  struct gemm_i8_output out = {.one_a_zero = gemm_i8_all_equal(gemm->a_zero, gemm->a_zero_stride, gemm->m),
                               .one_b_zero = gemm_i8_all_equal(gemm->b_zero, gemm->b_zero_stride, gemm->n),
                               .a_zero = gemm_i8_zero(gemm->a_zero, gemm->a_type, GEMM_I8_A_SIGNED),
                               .b_zero = gemm_i8_zero(gemm->b_zero, gemm->b_type, true),
                               .low = (float)(low - gemm->c_zero),
                               .high = (float)(high - gemm->c_zero)};
  if (is_float) {
    out.low = is_clip ? activation->a : activation->kind == UNARY_RELU ? 0 : -INFINITY;
    out.high = is_clip ? activation->b : INFINITY;
    if (!is_clip && activation->kind != UNARY_RELU && activation->kind != UNARY_IDENTITY) out.function = gemm->function;
  }
  out.needs_row_sums = !out.one_b_zero || out.b_zero != 0;
  return out;
}

/* The first n words, zero behind them. */
INLINE vi gemm_i8_load_n(const void *p, size_t n) {
  if (n >= VF_LANES) return vi_load(p);
  int32_t room[VF_LANES] = {0};
  memcpy(room, p, n * sizeof *room);
  return vi_load(room);
}

static void gemm_i8_columns_of(struct gemm_i8_columns *columns, const struct gemm_i8 *gemm,
                               const struct gemm_i8_output *out, size_t begin, size_t end) {
  const size_t padded = gemm_i8_padded_columns(gemm->n);
  const char *sums = (const char *)gemm->packed_b + 4 * (padded * gemm_i8_steps(gemm->k) + begin);
  const bool scaled = gemm->c_type != NORMA_INT32;
  const uint32_t shift = out->b_zero - (gemm->b_zero ? (uint32_t)*gemm->b_zero : 0);
  for (size_t j = 0; begin + j < end; j += VF_LANES) {
    const size_t n = end - begin - j, column = begin + j;
    const vi sum = vi_load(sums + 4 * j);
    vu term = gemm->bias ? (vu)gemm_i8_load_n(gemm->bias + column, n) : (vu){0};
    if (out->one_a_zero) term -= (vu)sum * out->a_zero;
    vi_store(columns->term + j, (vi)term);
    vi_store(columns->sum + j, out->one_a_zero ? vi_set1(0) : sum);
    vi_store(columns->zero + j, out->one_b_zero ? vi_set1((int32_t)out->b_zero)
                                                : (vi)((vu)gemm_i8_load_n(gemm->b_zero + column, n) + shift));
    if (scaled)
      vf_store(columns->scale + j,
               gemm->scale_stride ? (vf)gemm_i8_load_n(gemm->scale + column, n) : vf_set1(*gemm->scale));
    const float *bias = gemm->epilogue.column_bias;
    vf_store(columns->bias + j, bias ? (vf)gemm_i8_load_n(bias + column, n) : -vf_zero());
  }
}

/* The rows of a panel. */
struct gemm_i8_rows {
  const uint8_t *packed;
  const int32_t *sums;
  size_t begin, end;
};

/* Where lanes go, and what belongs to their columns. */
struct gemm_i8_place {
  char *c;
  const float *residual; /* NULL: none */
  vf scale, bias;
};

/* Stores the first n lanes of `sum`. */
INLINE void gemm_i8_store_lanes(struct gemm_i8_place at, vu sum, const struct gemm_i8 *gemm,
                                const struct gemm_i8_output *out, size_t n, const norma_element_type type) {
  if (type == NORMA_INT32) {
    memcpy(at.c, &sum, 4 * n);
    return;
  }
  vf scaled = vf_from_vi((vi)sum) * at.scale;
  const vf low = vf_set1(out->low), high = vf_set1(out->high);
  if (type == NORMA_FLOAT) {
    scaled += at.bias;
    if (at.residual) scaled += n == VF_LANES ? vf_load(at.residual) : vf_load_n(at.residual, n);
    scaled = vf_min(high, vf_max(low, scaled));
    memcpy(at.c, &scaled, 4 * n);
    return;
  }
  scaled = vf_min(high, vf_select(vf_lt(low, scaled), scaled, low));
  uint8_t bytes[VF_LANES];
  vi_store_low_bytes(n == VF_LANES ? (uint8_t *)at.c : bytes, vi_from_vf(scaled) + gemm->c_zero);
  if (n < VF_LANES) memcpy(at.c, bytes, n);
}

/* The tile of a row panel and of columns begin .. begin + count - 1. `type`, where NORMA_INT8 stands for both types of
 * 8 bits, and `one_zero`, whether all rows and all columns have the same, are constants of the compiler. */
INLINE void gemm_i8_store_body(const struct gemm_i8 *gemm, const struct gemm_i8_output *out, const int32_t *tile,
                               const struct gemm_i8_rows *rows, const struct gemm_i8_columns *columns, size_t begin,
                               size_t count, const norma_element_type type, const bool one_zero) {
#define STORE_VECTOR(lanes)                                                                                            \
  {                                                                                                                    \
    vu sum = (vu)vi_load(tile + j) + (vu)vi_load(columns->term + j) - row_term;                                        \
    if (!one_zero) sum -= (vu)vi_load(columns->zero + j) * row_sum + (vu)vi_load(columns->sum + j) * a_zero;           \
    const struct gemm_i8_place at = {.c = c + j * size,                                                                \
                                     .residual = residual ? residual + j : NULL,                                       \
                                     .scale = type == NORMA_INT32 ? vf_zero() : vf_load(columns->scale + j),           \
                                     .bias = type == NORMA_FLOAT ? vf_load(columns->bias + j) : vf_zero()};            \
    gemm_i8_store_lanes(at, sum, gemm, out, lanes, type);                                                              \
  }
  const size_t size = type == NORMA_INT8 ? 1 : 4;
  const struct epilogue_f32 *epilogue = &gemm->epilogue;
  char *c = (char *)gemm->c + (rows->begin * gemm->c_row_stride + begin) * size;
  const float *residual = type == NORMA_FLOAT && epilogue->residual
                              ? epilogue->residual + rows->begin * epilogue->residual_stride + begin
                              : NULL;
  for (size_t r = 0; r < rows->end - rows->begin; r++) {
    const uint32_t a_zero = one_zero || out->one_a_zero
                                ? out->a_zero
                                : gemm_i8_zero(gemm->a_zero + rows->begin + r, gemm->a_type, GEMM_I8_A_SIGNED);
    const uint32_t row_sum = out->needs_row_sums ? (uint32_t)rows->sums[r] - (uint32_t)gemm->k * a_zero : 0;
    const uint32_t row_term = one_zero ? out->b_zero * row_sum : 0;
    if (count == GEMM_I8_TILE_COLUMNS) {
      UNROLL
      for (size_t j = 0; j < GEMM_I8_TILE_COLUMNS; j += VF_LANES) STORE_VECTOR(VF_LANES)
    } else {
      size_t j = 0;
      for (; j + VF_LANES <= count; j += VF_LANES) STORE_VECTOR(VF_LANES)
      if (j < count) STORE_VECTOR(count - j)
    }
    if (type == NORMA_FLOAT && out->function)
      out->function((float *)(void *)c, (const float *)(const void *)c, count, epilogue->activation.a,
                    epilogue->activation.b);
    tile += GEMM_I8_TILE_COLUMNS;
    c += gemm->c_row_stride * size;
    if (residual) residual += epilogue->residual_stride;
  }
#undef STORE_VECTOR
}

typedef void gemm_i8_store_function(const struct gemm_i8 *gemm, const struct gemm_i8_output *out, const int32_t *tile,
                                    const struct gemm_i8_rows *rows, const struct gemm_i8_columns *columns,
                                    size_t begin, size_t count);

#define STORE_INSTANCE(name, type, one_zero)                                                                           \
  static void gemm_i8_store_##name(const struct gemm_i8 *gemm, const struct gemm_i8_output *out, const int32_t *tile,  \
                                   const struct gemm_i8_rows *rows, const struct gemm_i8_columns *columns,             \
                                   size_t begin, size_t count) {                                                       \
    gemm_i8_store_body(gemm, out, tile, rows, columns, begin, count, type, one_zero);                                  \
  }
STORE_INSTANCE(i32, NORMA_INT32, true)
STORE_INSTANCE(f32, NORMA_FLOAT, true)
STORE_INSTANCE(i8, NORMA_INT8, true)
STORE_INSTANCE(i32_zeros, NORMA_INT32, false)
STORE_INSTANCE(f32_zeros, NORMA_FLOAT, false)
STORE_INSTANCE(i8_zeros, NORMA_INT8, false)
#undef STORE_INSTANCE

static gemm_i8_store_function *gemm_i8_store_for(norma_element_type type, const struct gemm_i8_output *out) {
  const bool one_zero = out->one_a_zero && out->one_b_zero;
  if (type == NORMA_INT32) return one_zero ? gemm_i8_store_i32 : gemm_i8_store_i32_zeros;
  if (type == NORMA_FLOAT) return one_zero ? gemm_i8_store_f32 : gemm_i8_store_f32_zeros;
  return one_zero ? gemm_i8_store_i8 : gemm_i8_store_i8_zeros;
}

/* ---- the whole product ----
 * Rows go in rounds: those of a round are packed, if they are not yet, and then stay in the second-level cache while
 * the column panels pass by. */

/* What the rows of a round may take of the second-level cache, packed. */
#define GEMM_I8_ROWS_BYTES (128 * 1024)

/* Row panels of a round. */
INLINE size_t gemm_i8_round_panels(size_t k) {
  const size_t panels = GEMM_I8_ROWS_BYTES / (4 * GEMM_I8_TILE_ROWS) / (gemm_i8_steps(k) + 1);
  return panels ? panels : 1;
}

static size_t gemm_i8_scratch_size(const struct gemm_i8 *gemm) {
  if (gemm->packed_a) return 0;
  const size_t most = gemm_i8_round_panels(gemm->k), panels = gemm_i8_row_panels(gemm->m);
  return gemm_i8_packed_a_size((panels < most ? panels : most) * GEMM_I8_TILE_ROWS, gemm->k);
}

/* The row panels of a round times a column panel. */
static void gemm_i8_multiply(const struct gemm_i8 *gemm, const struct gemm_i8_output *out, struct gemm_i8_rows rows,
                             size_t row_panel, size_t row_panel_end, size_t column_panel) {
  int32_t tile[GEMM_I8_TILE_ROWS * GEMM_I8_TILE_COLUMNS] __attribute__((aligned(64)));
  struct gemm_i8_columns columns;
  const size_t steps = gemm_i8_steps(gemm->k);
  const size_t begin = gemm_i8_panel_column(gemm->n, column_panel);
  const size_t end = gemm_i8_panel_column(gemm->n, column_panel + 1);
  const uint8_t *b = (const uint8_t *)gemm->packed_b + 4 * begin * steps;
  gemm_i8_tile_function *const *tiles = gemm_i8_tiles[(end - begin + VF_LANES - 1) / VF_LANES - 1];
  gemm_i8_store_function *const store = gemm_i8_store_for(gemm->c_type, out);
  gemm_i8_columns_of(&columns, gemm, out, begin, end);
  for (; row_panel < row_panel_end; row_panel++) {
    rows.end = gemm_i8_panel_row(gemm->m, row_panel + 1);
    const size_t count = rows.end - rows.begin;
    tiles[count - 1](rows.packed, b, steps, tile);
    store(gemm, out, tile, &rows, &columns, begin, end - begin);
    rows.packed += 4 * steps * count;
    rows.sums += count;
    rows.begin = rows.end;
  }
}

static void gemm_i8_run(const struct gemm_i8 *gemm, size_t row_panel_begin, size_t row_panel_end,
                        size_t column_panel_begin, size_t column_panel_end, void *scratch) {
  if (row_panel_begin >= row_panel_end || column_panel_begin >= column_panel_end) return;
  const struct gemm_i8_output out = gemm_i8_output_of(gemm);
  const size_t round = gemm_i8_round_panels(gemm->k), steps = gemm_i8_steps(gemm->k);
  for (size_t panel = row_panel_begin; panel < row_panel_end; panel += round) {
    const size_t panel_end = row_panel_end - panel < round ? row_panel_end : panel + round;
    struct gemm_i8_rows rows = {.begin = gemm_i8_panel_row(gemm->m, panel)};
    if (gemm->packed_a) {
      rows.packed = (const uint8_t *)gemm->packed_a + 4 * steps * rows.begin;
      rows.sums = (const int32_t *)((const char *)gemm->packed_a + 4 * steps * gemm->m) + rows.begin;
    } else {
      int32_t *sums = (int32_t *)((char *)scratch + 4 * steps * (gemm_i8_panel_row(gemm->m, panel_end) - rows.begin));
      gemm_i8_pack_rows(scratch, out.needs_row_sums ? sums : NULL, gemm,
                        (const uint8_t *)gemm->a + rows.begin * gemm->a_row_stride, panel, panel_end);
      rows.packed = scratch;
      rows.sums = sums;
    }
    for (size_t column_panel = column_panel_begin; column_panel < column_panel_end; column_panel++)
      gemm_i8_multiply(gemm, &out, rows, panel, panel_end, column_panel);
  }
}

/* For an override: all entries of the table that this file makes. They belong together, as packed operands differ. */
INLINE void gemm_i8_fill(struct kernel_table *table) {
  table->gemm_i8_tile_rows = GEMM_I8_TILE_ROWS;
  table->gemm_i8_tile_columns = GEMM_I8_TILE_COLUMNS;
  table->gemm_i8_row_panels = gemm_i8_row_panels;
  table->gemm_i8_column_panels = gemm_i8_column_panels;
  table->gemm_i8_packed_a_size = gemm_i8_packed_a_size;
  table->gemm_i8_packed_b_size = gemm_i8_packed_b_size;
  table->gemm_i8_pack_a = gemm_i8_pack_a;
  table->gemm_i8_pack_b = gemm_i8_pack_b;
  table->gemm_i8_scratch_size = gemm_i8_scratch_size;
  table->gemm_i8_run = gemm_i8_run;
}
