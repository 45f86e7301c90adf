/* Matrix product for one element type: part of kernel_table_isa.c, which includes it once for float and once for
 * double. The contract stands in kernel_table.h.
 *
 * Expects: REAL, VEC, LANES, VEC_LOAD, VEC_LOAD_N, VEC_STORE, VEC_STORE_N, VEC_SET1, VEC_FMA; GEMM(name), which makes a
 * name of its own from `name`; GEMM_PROBLEM, the struct of the contract; GEMM_TILE_ROWS; GEMM_FLOAT for float only,
 * where the epilogue knows activations and residuals.
 *
 * Shape of the computation (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008):
 *   for each block of columns that fits the second-level cache with its depth
 *     for each block of depth               b: column panels, each [depth][TILE_COLUMNS]
 *       for each row panel                  a: row panels, each [depth][rows of the panel]
 *         for each column panel             a tile of C in registers
 * A tile goes to a small buffer first and from there, through the epilogue, to C; so there is one epilogue per table.
 */

#define TILE_ROWS    GEMM_TILE_ROWS
#define TILE_VECTORS 2
#define TILE_COLUMNS (TILE_VECTORS * LANES)

/* ---- how m, n and k are cut ---- */
static size_t GEMM(row_panels)(size_t m) {
  return (m + TILE_ROWS - 1) / TILE_ROWS;
}

static size_t GEMM(column_panels)(size_t n) {
  return (n + TILE_COLUMNS - 1) / TILE_COLUMNS;
}

/* First row of a panel: panels differ by one row at most, so that none is small where another is full. */
INLINE size_t GEMM(panel_row)(size_t m, size_t panels, size_t panel) {
  const size_t base = m / panels, larger = m % panels;
  return panel * base + (panel < larger ? panel : larger);
}

INLINE size_t GEMM(padded_columns)(size_t n) {
  return (n + LANES - 1) / LANES * LANES;
}

INLINE size_t GEMM(depth_block)(size_t k) {
  const size_t blocks = (k + GEMM_DEPTH_BLOCK - 1) / GEMM_DEPTH_BLOCK;
  return blocks ? (k + blocks - 1) / blocks : 0;
}

/* Columns of a block: so many that b, `depth` deep, takes half of a small second-level cache. */
INLINE size_t GEMM(column_block)(size_t depth) {
  const size_t panels = depth ? GEMM_CACHED_BYTES / sizeof(REAL) / depth / TILE_COLUMNS : 1;
  return (panels < 4 ? 4 : panels > 64 ? 64 : panels) * TILE_COLUMNS;
}

static size_t GEMM(packed_a_size)(size_t m, size_t k) {
  return m * k;
}

static size_t GEMM(packed_b_size)(size_t k, size_t n) {
  return k * GEMM(padded_columns)(n);
}

/* ---- the register tile ----
 * tile[r][v] = sum over p < depth of a[p][r] * b[p][v], where a has `rows` columns and b a row stride of b_stride. */
INLINE void GEMM(tile_step)(VEC sum[][TILE_VECTORS], const REAL *a, const REAL *b, const int rows, const int vectors) {
  VEC right[TILE_VECTORS];
  UNROLL
  for (int v = 0; v < vectors; v++) right[v] = VEC_LOAD(b + v * LANES);
  UNROLL
  for (int r = 0; r < rows; r++) {
    const VEC left = VEC_SET1(a[r]);
    UNROLL
    for (int v = 0; v < vectors; v++) sum[r][v] = VEC_FMA(left, right[v], sum[r][v]);
  }
}

INLINE void GEMM(tile_body)(const REAL *a, const REAL *b, size_t b_stride, size_t depth, REAL *tile,
                            struct stream_fetch *fetch, const int rows, const int vectors) {
  VEC sum[TILE_ROWS][TILE_VECTORS];
  const char *ahead = fetch->next;
  const size_t period = fetch->period, stream = fetch->stream;
  size_t wait = period;
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < vectors; v++) sum[r][v] = VEC_SET1(0);
  }
  for (; depth >= STREAM_FETCH_CHUNK; depth -= STREAM_FETCH_CHUNK) {
    if (--wait == 0) {
      stream_fetch_round(ahead, stream);
      ahead += STREAM_FETCH_LINE;
      wait = period;
    }
    UNROLL
    for (int i = 0; i < STREAM_FETCH_CHUNK; i++) {
      GEMM(tile_step)(sum, a, b, rows, vectors);
      a += rows;
      b += b_stride;
    }
  }
  fetch->next = ahead;
  for (; depth; depth--) {
    GEMM(tile_step)(sum, a, b, rows, vectors);
    a += rows;
    b += b_stride;
  }
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < vectors; v++) VEC_STORE(tile + (r * TILE_VECTORS + v) * LANES, sum[r][v]);
  }
}

typedef void GEMM(tile_function)(const REAL *a, const REAL *b, size_t b_stride, size_t depth, REAL *tile,
                                 struct stream_fetch *fetch);

#define TILE_INSTANCE(rows, vectors)                                                                                   \
  static void GEMM(tile_##rows##x##vectors)(const REAL *a, const REAL *b, size_t b_stride, size_t depth, REAL *tile,   \
                                            struct stream_fetch *fetch) {                                              \
    GEMM(tile_body)(a, b, b_stride, depth, tile, fetch, rows, vectors);                                                \
  }
#define TILE_NAME(rows, vectors) GEMM(tile_##rows##x##vectors),

#define TILE_INSTANCES_OF(vectors) GEMM_EACH_ROW_COUNT(TILE_INSTANCE, vectors)
GEMM_EACH_VECTOR_COUNT(TILE_INSTANCES_OF)

/* tiles[vectors - 1][rows - 1] */
#define TILE_ROW_OF_NAMES(vectors) {GEMM_EACH_ROW_COUNT(TILE_NAME, vectors)},
static GEMM(tile_function) *const GEMM(tiles)[TILE_VECTORS][TILE_ROWS] = {GEMM_EACH_VECTOR_COUNT(TILE_ROW_OF_NAMES)};
#undef TILE_INSTANCE
#undef TILE_NAME
#undef TILE_INSTANCES_OF
#undef TILE_ROW_OF_NAMES

/* One row of `a` against four column panels at a time: a single tile row has too few independent sums to keep the
 * multipliers busy. `panel_stride` leads from one panel of b to the next. */
static void GEMM(row_of_four_panels)(const REAL *a, const REAL *b, size_t b_stride, size_t panel_stride, size_t depth,
                                     REAL *tiles) {
  VEC sum[4][TILE_VECTORS];
  UNROLL
  for (int p = 0; p < 4; p++) {
    UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) sum[p][v] = VEC_SET1(0);
  }
  for (size_t i = 0; i < depth; i++) {
    const VEC left = VEC_SET1(a[i]);
    UNROLL
    for (int p = 0; p < 4; p++) {
      UNROLL
      for (int v = 0; v < TILE_VECTORS; v++)
        sum[p][v] = VEC_FMA(left, VEC_LOAD(b + p * panel_stride + v * LANES), sum[p][v]);
    }
    b += b_stride;
  }
  UNROLL
  for (int p = 0; p < 4; p++) {
    UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) VEC_STORE(tiles + (p * TILE_VECTORS + v) * LANES, sum[p][v]);
  }
}

/* ---- from the tile to C ---- */
struct GEMM(output) {
  REAL *c;
  size_t c_row_stride;
  const REAL *row_bias;
  const REAL *column_bias;
  const REAL *residual;
  size_t residual_stride;
  bool first_depth; /* C holds no partial sums yet */
  bool last_depth;  /* the epilogue is due */
#ifdef GEMM_FLOAT
  float low, high;              /* clamps, infinite when there are none */
  unary_f32_function *function; /* an activation that is no clamp, or NULL */
  float a, b;
#endif
};

#ifdef GEMM_FLOAT
INLINE struct GEMM(output) GEMM(output_of)(float *c, size_t c_row_stride, const struct epilogue_f32 *epilogue) {
  const struct pointwise_end end = pointwise_end_of(epilogue->activation);
  return (struct GEMM(output)){.c = c,
                               .c_row_stride = c_row_stride,
                               .row_bias = epilogue->row_bias,
                               .column_bias = epilogue->column_bias,
                               .residual = epilogue->residual,
                               .residual_stride = epilogue->residual_stride,
                               .low = end.low,
                               .high = end.high,
                               .function = end.function,
                               .a = epilogue->activation.a,
                               .b = epilogue->activation.b};
}
#endif

/* What a block of depth has to do: between the blocks C holds bare sums. */
INLINE struct GEMM(output) GEMM(output_of_depth)(const struct GEMM(output) * out) {
  struct GEMM(output) now = *out;
  if (!out->last_depth) {
    now.row_bias = now.column_bias = now.residual = NULL;
#ifdef GEMM_FLOAT
    now.low = -INFINITY;
    now.high = INFINITY;
    now.function = NULL;
#endif
  }
  return now;
}

/* Stores `rows` x `columns` of a tile, whose row stride is TILE_COLUMNS, at C[row][column]. A missing row bias is -0,
 * which leaves every sum as it is. The three flags are constants of the compiler. A function is applied to a full tile
 * at once, where it lies: rows are too short for it to be fast. */
INLINE void GEMM(store_body)(const struct GEMM(output) * out, REAL *tile, size_t row, size_t rows, size_t column,
                             size_t columns, const bool add_partial, const bool add_column_bias,
                             const bool add_residual) {
#ifdef GEMM_FLOAT
  const vf low = vf_set1(out->low), high = vf_set1(out->high);
  const bool in_tile = out->function && columns == TILE_COLUMNS;
#define FINISH(sum) vf_min(high, vf_max(low, sum))
#else
  const bool in_tile = false;
#define FINISH(sum) (sum)
#endif
#define STORE_VECTOR(load, store)                                                                                      \
  {                                                                                                                    \
    VEC sum = VEC_LOAD(tile + j);                                                                                      \
    if (add_partial) sum = load(c + j) + sum;                                                                          \
    sum += row_bias;                                                                                                   \
    if (add_column_bias) sum += load(out->column_bias + column + j);                                                   \
    if (add_residual) sum += load(residual + j);                                                                       \
    store(to + j, FINISH(sum));                                                                                        \
  }
#define LOAD_REST(p)     VEC_LOAD_N(p, columns - j)
#define STORE_REST(p, x) VEC_STORE_N(p, x, columns - j)
  REAL *c = out->c + row * out->c_row_stride + column;
  const REAL *residual = add_residual ? out->residual + row * out->residual_stride + column : NULL;
  for (size_t r = 0; r < rows; r++) {
    const VEC row_bias = VEC_SET1(out->row_bias ? out->row_bias[row + r] : (REAL)-0.0);
    REAL *to = in_tile ? tile : c;
    if (columns == TILE_COLUMNS) {
      UNROLL
      for (size_t j = 0; j < TILE_COLUMNS; j += LANES) STORE_VECTOR(VEC_LOAD, VEC_STORE)
    } else {
      size_t j = 0;
      for (; j + LANES <= columns; j += LANES) STORE_VECTOR(VEC_LOAD, VEC_STORE)
      if (j < columns) STORE_VECTOR(LOAD_REST, STORE_REST)
    }
#ifdef GEMM_FLOAT
    if (out->function && !in_tile) out->function(c, c, columns, out->a, out->b);
#endif
    tile += TILE_COLUMNS;
    c += out->c_row_stride;
    if (add_residual) residual += out->residual_stride;
  }
#ifdef GEMM_FLOAT
  if (!in_tile) return;
  tile -= rows * TILE_COLUMNS;
  out->function(tile, tile, rows * TILE_COLUMNS, out->a, out->b);
  for (size_t r = 0; r < rows; r++) {
    c = out->c + (row + r) * out->c_row_stride + column;
    UNROLL
    for (size_t j = 0; j < TILE_COLUMNS; j += LANES) VEC_STORE(c + j, VEC_LOAD(tile + r * TILE_COLUMNS + j));
  }
#endif
#undef FINISH
#undef STORE_VECTOR
#undef LOAD_REST
#undef STORE_REST
}

typedef void GEMM(store_function)(const struct GEMM(output) * out, REAL *tile, size_t row, size_t rows, size_t column,
                                  size_t columns);

#define STORE_INSTANCE(name, add_partial, add_column_bias, add_residual)                                               \
  static void GEMM(name)(const struct GEMM(output) * out, REAL * tile, size_t row, size_t rows, size_t column,         \
                         size_t columns) {                                                                             \
    GEMM(store_body)(out, tile, row, rows, column, columns, add_partial, add_column_bias, add_residual);               \
  }
STORE_INSTANCE(store, false, false, false)
STORE_INSTANCE(store_residual, false, false, true)
STORE_INSTANCE(store_column_bias, false, true, false)
STORE_INSTANCE(store_column_bias_residual, false, true, true)
STORE_INSTANCE(add, true, false, false)
STORE_INSTANCE(add_residual, true, false, true)
STORE_INSTANCE(add_column_bias, true, true, false)
STORE_INSTANCE(add_column_bias_residual, true, true, true)
#undef STORE_INSTANCE

static GEMM(store_function) * GEMM(store_for)(const struct GEMM(output) * out) {
  static GEMM(store_function) *const functions[] = {
      GEMM(store), GEMM(store_residual), GEMM(store_column_bias), GEMM(store_column_bias_residual),
      GEMM(add),   GEMM(add_residual),   GEMM(add_column_bias),   GEMM(add_column_bias_residual)};
  return functions[(out->first_depth ? 0 : 4) + (out->column_bias ? 2 : 0) + (out->residual ? 1 : 0)];
}

/* ---- row panels times a block of b ---- */
struct GEMM(block) {
  const REAL *a; /* the row panel, [depth][rows] */
  size_t row, rows;
  const REAL *b;         /* panels of columns column_begin and on */
  size_t b_stride;       /* from one step of depth to the next; 0: packed, then it is the width of the panel */
  size_t b_panel_stride; /* from one column panel to the next */
  size_t depth;
  size_t column_begin, column_end;
  struct stream_fetch *fetch;
};

static void GEMM(multiply_block)(const struct GEMM(block) * block, const struct GEMM(output) * out) {
  REAL tile[4 * TILE_ROWS * TILE_COLUMNS] __attribute__((aligned(64)));
  const struct GEMM(output) now = GEMM(output_of_depth)(out);
  GEMM(store_function) *const store = GEMM(store_for)(&now);
  const REAL *b = block->b;
  size_t column = block->column_begin;

  if (block->rows == 1)
    for (; column + 4 * TILE_COLUMNS <= block->column_end; column += 4 * TILE_COLUMNS) {
      GEMM(row_of_four_panels)
      (block->a, b, block->b_stride ? block->b_stride : TILE_COLUMNS, block->b_panel_stride, block->depth, tile);
      store(&now, tile, block->row, 1, column, 4 * TILE_COLUMNS);
      b += 4 * block->b_panel_stride;
    }
  for (; column < block->column_end; column += TILE_COLUMNS, b += block->b_panel_stride) {
    const size_t left = block->column_end - column, columns = left < TILE_COLUMNS ? left : TILE_COLUMNS;
    const size_t vectors = (columns + LANES - 1) / LANES;
    const size_t b_stride = block->b_stride ? block->b_stride : vectors * LANES;
    GEMM(tiles)[vectors - 1][block->rows - 1](block->a, b, b_stride, block->depth, tile, block->fetch);
    stream_fetch_stop(block->fetch);
    store(&now, tile, block->row, block->rows, column, columns);
  }
}

/* ---- packing ----
 * packed[p * width + l] = source[l * lane_stride + p * depth_stride] for l < lanes, zero for the lanes up to width. */
static void GEMM(pack_panel)(REAL *packed, const REAL *source, size_t width, size_t lanes, size_t depth,
                             size_t lane_stride, size_t depth_stride) {
  size_t lane = 0;
#ifdef GEMM_FLOAT
  if (depth_stride == 1 && lanes >= 4) {
    while (lane < lanes) {
      if (lane + 4 > lanes) lane = lanes - 4; /* the last four overlap the ones before */
      const float *from = source + lane * lane_stride;
      size_t p = 0;
      for (; p + 4 <= depth; p += 4) {
        v4f x[4];
        UNROLL
        for (int i = 0; i < 4; i++) x[i] = v4f_load(from + i * lane_stride + p);
        v4f_transpose(x);
        UNROLL
        for (int i = 0; i < 4; i++) v4f_store(packed + (p + i) * width + lane, x[i]);
      }
      for (; p < depth; p++)
        for (size_t i = 0; i < 4; i++) packed[p * width + lane + i] = from[i * lane_stride + p];
      lane += 4;
    }
  }
#endif
  if (lane_stride == 1 && lane == 0) {
    const size_t whole = lanes / LANES * LANES;
    for (size_t p = 0; p < depth; p++) {
      const REAL *from = source + p * depth_stride;
      REAL *to = packed + p * width;
      for (lane = 0; lane < whole; lane += LANES) VEC_STORE(to + lane, VEC_LOAD(from + lane));
      for (; lane < lanes; lane++) to[lane] = from[lane];
      for (; lane < width; lane++) to[lane] = 0;
    }
    return;
  }
  for (; lane < width; lane++)
    for (size_t p = 0; p < depth; p++)
      packed[p * width + lane] = lane < lanes ? source[lane * lane_stride + p * depth_stride] : 0;
}

static void GEMM(pack_a)(REAL *packed, const REAL *a, size_t m, size_t k, size_t row_stride, size_t column_stride) {
  const size_t panels = GEMM(row_panels)(m), block = GEMM(depth_block)(k);
  for (size_t p = 0; p < k; p += block) {
    const size_t depth = k - p < block ? k - p : block;
    for (size_t panel = 0; panel < panels; panel++) {
      const size_t row = GEMM(panel_row)(m, panels, panel), rows = GEMM(panel_row)(m, panels, panel + 1) - row;
      GEMM(pack_panel)
      (packed, a + row * row_stride + p * column_stride, rows, rows, depth, row_stride, column_stride);
      packed += rows * depth;
    }
  }
}

static void GEMM(pack_columns)(REAL *packed, const REAL *b, size_t columns, size_t depth, size_t row_stride,
                               size_t column_stride) {
  for (size_t j = 0; j < columns; j += TILE_COLUMNS) {
    const size_t lanes = columns - j < TILE_COLUMNS ? columns - j : TILE_COLUMNS, width = GEMM(padded_columns)(lanes);
    GEMM(pack_panel)(packed, b + j * column_stride, width, lanes, depth, column_stride, row_stride);
    packed += width * depth;
  }
}

static void GEMM(pack_b_part)(REAL *packed, const REAL *b, const struct gemm_part *part, size_t row_stride,
                              size_t column_stride) {
  const size_t block = GEMM(depth_block)(part->k), row_end = part->row + part->rows;
  const size_t columns = GEMM(padded_columns)(part->n);
  for (size_t p = block ? part->row / block * block : row_end; p < row_end; p += block) {
    const size_t depth = part->k - p < block ? part->k - p : block;
    const size_t begin = p < part->row ? part->row : p, end = p + depth < row_end ? p + depth : row_end;
    for (size_t j = part->column; j < part->column + part->columns; j += TILE_COLUMNS) {
      const size_t lanes = part->n - j < TILE_COLUMNS ? part->n - j : TILE_COLUMNS;
      const size_t width = GEMM(padded_columns)(lanes);
      GEMM(pack_panel)
      (packed + p * columns + j * depth + (begin - p) * width,
       b + (begin - part->row) * row_stride + (j - part->column) * column_stride, width, lanes, end - begin,
       column_stride, row_stride);
    }
  }
}

static void GEMM(pack_b)(REAL *packed, const REAL *b, size_t k, size_t n, size_t row_stride, size_t column_stride) {
  const struct gemm_part all = {.k = k, .n = n, .rows = k, .columns = n};
  GEMM(pack_b_part)(packed, b, &all, row_stride, column_stride);
}

/* ---- the whole product ---- */

/* True where b is read in place: so few rows that packing would cost as much as it saves. */
INLINE bool GEMM(reads_b_in_place)(const struct GEMM_PROBLEM *gemm) {
  return !gemm->packed_b && gemm->b_column_stride == 1 && gemm->m <= TILE_ROWS;
}

/* What a call packs of a before it multiplies, so that each row is packed once and not for each block of columns. */
#define GEMM_PACKED_ROWS_BYTES (2 * 1024 * 1024)

/* Rows of a that are packed together, all their depth; 0: panel by panel, as it goes. */
INLINE size_t GEMM(packed_rows)(const struct GEMM_PROBLEM *gemm, size_t column_block) {
  const size_t most = gemm->k ? GEMM_PACKED_ROWS_BYTES / sizeof(REAL) / gemm->k : 0;
  if (gemm->packed_a || !gemm->packed_b || gemm->n <= 2 * column_block || gemm->m < 2 || most < 4 * TILE_ROWS) return 0;
  return gemm->m < most ? gemm->m : most;
}

static size_t GEMM(scratch_size)(const struct GEMM_PROBLEM *gemm) {
  const size_t depth = GEMM(depth_block)(gemm->k), block = GEMM(column_block)(depth);
  const size_t rows = GEMM(packed_rows)(gemm, block);
  size_t size = 0;
  if (!gemm->packed_a) size += rows ? rows * gemm->k : TILE_ROWS * depth;
  if (!gemm->packed_b) {
    const size_t n = GEMM(padded_columns)(gemm->n);
    size += depth * (GEMM(reads_b_in_place)(gemm) ? TILE_COLUMNS : n < block ? n : block);
  }
  return size * sizeof(REAL);
}

/* What the blocks of a call have in common. */
struct GEMM(call) {
  const struct GEMM_PROBLEM *gemm;
  struct GEMM(output) out;
  size_t row_panels, padded_n, depth_block, column_block;
  size_t begin, end; /* columns */
  bool in_place;
  const REAL *rows; /* packed rows of a, of panels from first_panel on; NULL: a panel at a time */
  size_t first_row; /* of these */
  size_t row_count;
  REAL *a_scratch, *b_scratch;
};

/* b's part for columns [column, column_end) and `depth` steps from p on; `tail` is the columns that do not fill a
 * vector where b is read in place. */
static void GEMM(take_b)(const struct GEMM(call) * call, size_t p, struct GEMM(block) * block,
                         struct GEMM(block) * tail) {
  const struct GEMM_PROBLEM *gemm = call->gemm;
  const size_t column = block->column_begin, column_end = block->column_end, depth = block->depth;
  block->b_panel_stride = TILE_COLUMNS * depth;
  if (gemm->packed_b) {
    block->b = gemm->packed_b + p * call->padded_n + column * depth;
  } else if (call->in_place) {
    block->b = gemm->b + p * gemm->b_row_stride + column;
    block->b_stride = gemm->b_row_stride;
    block->b_panel_stride = TILE_COLUMNS;
    block->column_end = column + (column_end - column) / LANES * LANES;
    tail->column_begin = block->column_end;
    tail->b = call->b_scratch;
    GEMM(pack_columns)
    (call->b_scratch, gemm->b + p * gemm->b_row_stride + tail->column_begin, column_end - tail->column_begin, depth,
     gemm->b_row_stride, 1);
  } else {
    block->b = call->b_scratch;
    GEMM(pack_columns)
    (call->b_scratch, gemm->b + p * gemm->b_row_stride + column * gemm->b_column_stride, column_end - column, depth,
     gemm->b_row_stride, gemm->b_column_stride);
  }
}

static const REAL *GEMM(take_a)(const struct GEMM(call) * call, size_t p, const struct GEMM(block) * block) {
  const struct GEMM_PROBLEM *gemm = call->gemm;
  if (gemm->packed_a) return gemm->packed_a + p * gemm->m + block->row * block->depth;
  if (call->rows) return call->rows + p * call->row_count + (block->row - call->first_row) * block->depth;
  const REAL *a = gemm->a + block->row * gemm->a_row_stride + p * gemm->a_column_stride;
  if (block->rows == 1 && gemm->a_column_stride == 1) return a;
  GEMM(pack_panel)
  (call->a_scratch, a, block->rows, block->rows, block->depth, gemm->a_row_stride, gemm->a_column_stride);
  return call->a_scratch;
}

/* The block of b that comes after this one, fetched while the row panels pass by. */
static struct stream_fetch GEMM(fetch_next)(const struct GEMM(call) * call, size_t column, size_t p, size_t depth,
                                            size_t panels) {
  const struct GEMM_PROBLEM *gemm = call->gemm;
  const size_t column_end = call->end - column < call->column_block ? call->end : column + call->column_block;
  const size_t tiles = panels * GEMM(column_panels)(column_end - column);
  size_t next_p = p + depth, next_column = column;
  if (!gemm->packed_b) return (struct stream_fetch){0};
  if (next_p >= gemm->k) next_p = 0, next_column = column_end;
  if (next_column >= call->end) return (struct stream_fetch){0};
  const size_t left = call->end - next_column, columns = left < call->column_block ? left : call->column_block;
  const size_t next_depth = gemm->k - next_p < call->depth_block ? gemm->k - next_p : call->depth_block;
  return stream_fetch_of(gemm->packed_b + next_p * call->padded_n + next_column * next_depth,
                         GEMM(padded_columns)(columns) * next_depth * sizeof(REAL),
                         tiles * (depth / STREAM_FETCH_CHUNK));
}

/* Row panels [panel_begin, panel_end), all columns of the call. */
static void GEMM(run_rows)(struct GEMM(call) * call, size_t panel_begin, size_t panel_end) {
  const struct GEMM_PROBLEM *gemm = call->gemm;
  const size_t m = gemm->m, k = gemm->k;
  for (size_t column = call->begin; column < call->end; column += call->column_block) {
    const size_t column_end = call->end - column < call->column_block ? call->end : column + call->column_block;
    size_t p = 0;
    do { /* once for k = 0 as well */
      const size_t depth = k - p < call->depth_block ? k - p : call->depth_block;
      struct stream_fetch fetch = GEMM(fetch_next)(call, column, p, depth, panel_end - panel_begin);
      struct GEMM(block) block = {.depth = depth, .column_begin = column, .column_end = column_end, .fetch = &fetch};
      struct GEMM(block) tail = {.depth = depth, .column_begin = column_end, .column_end = column_end, .fetch = &fetch};
      call->out.first_depth = p == 0;
      call->out.last_depth = p + depth == k;
      GEMM(take_b)(call, p, &block, &tail);
      for (size_t panel = panel_begin; panel < panel_end; panel++) {
        block.row = GEMM(panel_row)(m, call->row_panels, panel);
        block.rows = GEMM(panel_row)(m, call->row_panels, panel + 1) - block.row;
        block.a = GEMM(take_a)(call, p, &block);
        GEMM(multiply_block)(&block, &call->out);
        if (tail.column_begin < tail.column_end) {
          tail.a = block.a;
          tail.row = block.row;
          tail.rows = block.rows;
          GEMM(multiply_block)(&tail, &call->out);
        }
      }
      p += depth;
    } while (p < k);
  }
}

/* Packs row panels [panel_begin, panel_end), all their depth: [block of depth][panel][step][row]. */
static void GEMM(pack_rows)(struct GEMM(call) * call, size_t panel_begin, size_t panel_end) {
  const struct GEMM_PROBLEM *gemm = call->gemm;
  REAL *packed = call->a_scratch;
  call->rows = packed;
  call->first_row = GEMM(panel_row)(gemm->m, call->row_panels, panel_begin);
  call->row_count = GEMM(panel_row)(gemm->m, call->row_panels, panel_end) - call->first_row;
  for (size_t p = 0; p < gemm->k; p += call->depth_block) {
    const size_t depth = gemm->k - p < call->depth_block ? gemm->k - p : call->depth_block;
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      const size_t row = GEMM(panel_row)(gemm->m, call->row_panels, panel);
      const size_t rows = GEMM(panel_row)(gemm->m, call->row_panels, panel + 1) - row;
      GEMM(pack_panel)
      (packed, gemm->a + row * gemm->a_row_stride + p * gemm->a_column_stride, rows, rows, depth, gemm->a_row_stride,
       gemm->a_column_stride);
      packed += rows * depth;
    }
  }
}

static void GEMM(run)(const struct GEMM_PROBLEM *gemm, size_t row_panel_begin, size_t row_panel_end,
                      size_t column_panel_begin, size_t column_panel_end, void *scratch) {
  const size_t n = gemm->n, end = column_panel_end * TILE_COLUMNS, depth_block = GEMM(depth_block)(gemm->k);
  struct GEMM(call) call = {.gemm = gemm,
                            .row_panels = GEMM(row_panels)(gemm->m),
                            .padded_n = GEMM(padded_columns)(n),
                            .depth_block = depth_block,
                            .column_block = GEMM(column_block)(depth_block),
                            .begin = column_panel_begin * TILE_COLUMNS,
                            .end = end < n ? end : n,
                            .in_place = GEMM(reads_b_in_place)(gemm),
                            .a_scratch = scratch,
                            .b_scratch = scratch};
  const size_t packed_rows = GEMM(packed_rows)(gemm, call.column_block);
#ifdef GEMM_FLOAT
  call.out = GEMM(output_of)(gemm->c, gemm->c_row_stride, &gemm->epilogue);
#else
  call.out = (struct GEMM(output)){
      .c = gemm->c, .c_row_stride = gemm->c_row_stride, .row_bias = gemm->row_bias, .column_bias = gemm->column_bias};
#endif
  if (!gemm->packed_a) call.b_scratch += packed_rows ? packed_rows * gemm->k : TILE_ROWS * depth_block;
  if (!packed_rows || call.end - call.begin <= call.column_block) {
    GEMM(run_rows)(&call, row_panel_begin, row_panel_end);
    return;
  }
  const size_t panels = row_panel_end - row_panel_begin, most = packed_rows / TILE_ROWS;
  const size_t parts = packed_rows >= gemm->m ? 1 : (panels + most - 1) / most;
  for (size_t part = 0; part < parts; part++) {
    const size_t first = row_panel_begin + panels * part / parts, last = row_panel_begin + panels * (part + 1) / parts;
    GEMM(pack_rows)(&call, first, last);
    GEMM(run_rows)(&call, first, last);
  }
}

#undef TILE_ROWS
#undef TILE_VECTORS
#undef TILE_COLUMNS
