/* Products of attention over many query rows: part of kernel_table_isa.c.
 *
 * Query rows lie along the lanes: queries, scores and results are kept transposed, [depth][rows], [keys][rows] and
 * [values][rows]. So keys and values are read as they are, element by element, and never packed; and maxima and sums
 * over keys need no sums over lanes.
 *
 *   scores  c[r][l] = sum over p < depth of a[r * a_stride + p] * b[p][l]              rows of keys, queries
 *   values  c[r][l] = c[r][l] * factor[l] + sum over p of a[p * a_stride + r] * b[p][l]   columns of values, weights
 *
 * Each element is one chain of multiply-adds in order of p. */

/* Registers: ATTENTION_TILE_ROWS x ATTENTION_TILE_VECTORS sums, one row of b, one broadcast element of a. */
#if ATTENTION_TILE_VECTORS == 4
#define ATTENTION_EACH_VECTOR_COUNT(X) X(1) X(2) X(3) X(4)
#elif ATTENTION_TILE_VECTORS == 2
#define ATTENTION_EACH_VECTOR_COUNT(X) X(1) X(2)
#else
#error "ATTENTION_TILE_VECTORS must be 2 or 4"
#endif
#if ATTENTION_TILE_ROWS > 9
#error "ATTENTION_TILE_ROWS must be at most 9"
#endif

/* b and c have the row stride `width`. */
typedef void attention_tile_function(float *c, const float *a, size_t a_stride, const float *b, size_t width,
                                     size_t depth, const float *factor);

INLINE void attention_tile_body(float *c, const float *a, size_t a_stride, const float *b, size_t width, size_t depth,
                                const float *factor, const int rows, const int vectors, const bool is_scores) {
  vf sum[ATTENTION_TILE_ROWS][ATTENTION_TILE_VECTORS];
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < vectors; v++)
      sum[r][v] =
          is_scores ? vf_zero() : vf_load(c + (size_t)r * width + v * VF_LANES) * vf_load(factor + v * VF_LANES);
  }
  /* Three rows of a for each pointer: base, base + stride, base + 2 * stride are addresses of one instruction. */
  const float *third = a + 3 * a_stride, *sixth = third + 3 * a_stride;
  for (; depth; depth--) {
    vf right[ATTENTION_TILE_VECTORS];
    UNROLL
    for (int v = 0; v < vectors; v++) right[v] = vf_load(b + v * VF_LANES);
    UNROLL
    for (int r = 0; r < rows; r++) {
      const float *base = r < 3 ? a : r < 6 ? third : sixth;
      const vf left = vf_set1(is_scores ? base[(size_t)(r % 3) * a_stride] : a[r]);
      UNROLL
      for (int v = 0; v < vectors; v++) sum[r][v] = vf_fma(left, right[v], sum[r][v]);
    }
    a += is_scores ? 1 : a_stride;
    third++;
    sixth++;
    b += width;
  }
  UNROLL
  for (int r = 0; r < rows; r++) {
    UNROLL
    for (int v = 0; v < vectors; v++) vf_store(c + (size_t)r * width + v * VF_LANES, sum[r][v]);
  }
}

#define TILE_INSTANCE(rows, vectors)                                                                                   \
  static void attention_scores_##rows##x##vectors(float *c, const float *a, size_t a_stride, const float *b,           \
                                                  size_t width, size_t depth, const float *factor) {                   \
    attention_tile_body(c, a, a_stride, b, width, depth, factor, rows, vectors, true);                                 \
  }                                                                                                                    \
  static void attention_values_##rows##x##vectors(float *c, const float *a, size_t a_stride, const float *b,           \
                                                  size_t width, size_t depth, const float *factor) {                   \
    attention_tile_body(c, a, a_stride, b, width, depth, factor, rows, vectors, false);                                \
  }
#define TILE_INSTANCES_OF(vectors) EACH_UP_TO(ATTENTION_TILE_ROWS, TILE_INSTANCE, vectors)
ATTENTION_EACH_VECTOR_COUNT(TILE_INSTANCES_OF)

/* tiles[vectors - 1][rows - 1] */
#define SCORES_NAME(rows, vectors)   attention_scores_##rows##x##vectors,
#define VALUES_NAME(rows, vectors)   attention_values_##rows##x##vectors,
#define SCORES_ROW_OF_NAMES(vectors) {EACH_UP_TO(ATTENTION_TILE_ROWS, SCORES_NAME, vectors)},
#define VALUES_ROW_OF_NAMES(vectors) {EACH_UP_TO(ATTENTION_TILE_ROWS, VALUES_NAME, vectors)},
typedef attention_tile_function *attention_tile_table[ATTENTION_TILE_VECTORS][ATTENTION_TILE_ROWS];
static const attention_tile_table attention_scores_tiles = {ATTENTION_EACH_VECTOR_COUNT(SCORES_ROW_OF_NAMES)};
static const attention_tile_table attention_values_tiles = {ATTENTION_EACH_VECTOR_COUNT(VALUES_ROW_OF_NAMES)};
#undef TILE_INSTANCE
#undef TILE_INSTANCES_OF
#undef SCORES_NAME
#undef VALUES_NAME
#undef SCORES_ROW_OF_NAMES
#undef VALUES_ROW_OF_NAMES

/* All tiles of `rows` rows of c and a; row r of a begins at a + r * a_row. */
static void attention_product(const attention_tile_table tiles, float *c, size_t rows, const float *a, size_t a_row,
                              size_t a_stride, const float *b, size_t width, size_t depth, const float *factor) {
  const size_t panels = (rows + ATTENTION_TILE_ROWS - 1) / ATTENTION_TILE_ROWS;
  for (size_t l = 0; l < width; l += ATTENTION_TILE_VECTORS * VF_LANES) {
    const size_t left = (width - l) / VF_LANES, vectors = left < ATTENTION_TILE_VECTORS ? left : ATTENTION_TILE_VECTORS;
    for (size_t panel = 0; panel < panels; panel++) { /* of sizes that differ by one at most */
      const size_t begin = panel * rows / panels, end = (panel + 1) * rows / panels;
      tiles[vectors - 1][end - begin - 1](c + begin * width + l, a + begin * a_row, a_stride, b + l, width, depth,
                                          factor ? factor + l : NULL);
    }
  }
}
