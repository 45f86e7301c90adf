/* Reductions: part of kernel_table_isa.c.
 *
 * Order of a run of n elements: four vectors of partial results take whole blocks of four vectors in turn, the first of
 * them also whole vectors that are left, then the rest, padded with the identity; the four are combined as (0, 1), (2,
 * 3), and the lanes in halves. It depends on n only.
 *
 * Sums do so in pieces of SUM_STEPS steps, each step adding an element to a lane. The pieces' results are added in
 * double precision, so that the relative error stays below 1e-6 however long the sum is. Rows are added in the same
 * pieces. */

#define SUM_STEPS 16

/* total[0] and total[1] take the lanes of x, the lower half and the upper one. */
INLINE void vd_add_lanes(vd total[2], vf x) {
  float lane[VF_LANES];
  vf_store(lane, x);
  total[0] += vd_load_f32(lane);
  total[1] += vd_load_f32(lane + VD_LANES);
}

/* And back, rounded. */
INLINE vf vf_from_lanes(const vd total[2]) {
  double wide[VF_LANES];
  float lane[VF_LANES];
  vd_store(wide, total[0]);
  vd_store(wide + VD_LANES, total[1]);
  for (int i = 0; i < VF_LANES; i++) lane[i] = (float)wide[i];
  return vf_load(lane);
}

INLINE vf vf_first_lanes_or(vf x, size_t n, vf rest) {
  return vf_select(vm_from_bits((1u << n) - 1), x, rest);
}

/* Each lane becomes the combination of all: of halves, quarters, and so on. */
#if VF_LANES == 16
#define LANES_COMBINED(x, combine)                                                                                     \
  x = combine(x, __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));                 \
  x = combine(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));                 \
  x = combine(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));                 \
  x = combine(x, __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
#elif VF_LANES == 8
#define LANES_COMBINED(x, combine)                                                                                     \
  x = combine(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3));                                               \
  x = combine(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5));                                               \
  x = combine(x, __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6));
#else
#define LANES_COMBINED(x, combine)                                                                                     \
  x = combine(x, __builtin_shufflevector(x, x, 2, 3, 0, 1));                                                           \
  x = combine(x, __builtin_shufflevector(x, x, 1, 0, 3, 2));
#endif

INLINE float vf_max_of_lanes(vf x) {
  LANES_COMBINED(x, vf_max_nan)
  return x[0];
}

INLINE float vf_min_of_lanes(vf x) {
  LANES_COMBINED(x, vf_min_nan)
  return x[0];
}

/* The kind is a constant wherever these are called, so that nothing of the choice is left. */
INLINE vf reduce_identity(const enum reduce_kind kind) {
  return vf_set1(kind == REDUCE_MAX ? -INFINITY : kind == REDUCE_MIN ? INFINITY : 0);
}

INLINE vf reduce_combine(vf a, vf b, const enum reduce_kind kind) {
  return kind == REDUCE_MAX ? vf_max_nan(a, b) : kind == REDUCE_MIN ? vf_min_nan(a, b) : a + b;
}

INLINE vf reduce_step(vf s, vf v, const enum reduce_kind kind) {
  if (kind == REDUCE_SUM_SQUARES) return vf_fma(v, v, s);
  return reduce_combine(s, kind == REDUCE_SUM_ABS ? vf_abs(v) : v, kind);
}

INLINE vf reduce_run(const float *x, size_t n, const enum reduce_kind kind) {
  vf partial[4];
  UNROLL
  for (int p = 0; p < 4; p++) partial[p] = reduce_identity(kind);
  size_t i = 0;
  for (; i + 4 * VF_LANES <= n; i += 4 * VF_LANES) {
    UNROLL
    for (int p = 0; p < 4; p++) partial[p] = reduce_step(partial[p], vf_load(x + i + p * VF_LANES), kind);
  }
  for (; i < n; i += VF_LANES) {
    const size_t left = n - i;
    const vf v =
        left >= VF_LANES ? vf_load(x + i) : vf_first_lanes_or(vf_load_n(x + i, left), left, reduce_identity(kind));
    partial[0] = reduce_step(partial[0], v, kind);
  }
  return reduce_combine(reduce_combine(partial[0], partial[1], kind), reduce_combine(partial[2], partial[3], kind),
                        kind);
}

/* Four vectors of columns. */
INLINE void reduce_four(vf partial[4], const float *x, size_t rows, size_t row_stride, const enum reduce_kind kind) {
  UNROLL
  for (int p = 0; p < 4; p++) partial[p] = reduce_identity(kind);
  for (size_t i = 0; i < rows; i++) {
    UNROLL
    for (int p = 0; p < 4; p++) partial[p] = reduce_step(partial[p], vf_load(x + i * row_stride + p * VF_LANES), kind);
  }
}

/* Up to one vector of columns. */
INLINE vf reduce_columns(const float *x, size_t rows, size_t row_stride, size_t columns, const enum reduce_kind kind) {
  vf s = reduce_identity(kind);
  for (size_t i = 0; i < rows; i++) s = reduce_step(s, vf_load_n(x + i * row_stride, columns), kind);
  return s;
}

INLINE void reduce_rows(float *y, const float *x, size_t rows, size_t columns, size_t row_stride,
                        const enum reduce_kind kind) {
  size_t j = 0;
  for (; j + 4 * VF_LANES <= columns; j += 4 * VF_LANES) {
    vf partial[4];
    reduce_four(partial, x + j, rows, row_stride, kind);
    UNROLL
    for (int p = 0; p < 4; p++) vf_store(y + j + p * VF_LANES, partial[p]);
  }
  for (; j < columns; j += VF_LANES) {
    const size_t left = columns - j < VF_LANES ? columns - j : VF_LANES;
    vf_store_n(y + j, reduce_columns(x + j, rows, row_stride, left, kind), left);
  }
}

/* ---- maximum, minimum ---- */
static float maximum_f32(const float *x, size_t n) {
  return vf_max_of_lanes(reduce_run(x, n, REDUCE_MAX));
}

static float minimum_f32(const float *x, size_t n) {
  return vf_min_of_lanes(reduce_run(x, n, REDUCE_MIN));
}

static void maximum_rows_f32(float *y, const float *x, size_t rows, size_t columns, size_t row_stride) {
  reduce_rows(y, x, rows, columns, row_stride, REDUCE_MAX);
}

static void minimum_rows_f32(float *y, const float *x, size_t rows, size_t columns, size_t row_stride) {
  reduce_rows(y, x, rows, columns, row_stride, REDUCE_MIN);
}

/* ---- sums ---- */
INLINE float sum_long_run(const float *x, size_t n, const enum reduce_kind kind) {
  const size_t piece = SUM_STEPS * 4 * VF_LANES;
  vd total[2] = {vd_set1(0), vd_set1(0)};
  size_t i = 0;
  for (; i + piece <= n; i += piece) vd_add_lanes(total, reduce_run(x + i, piece, kind));
  if (i < n) vd_add_lanes(total, reduce_run(x + i, n - i, kind));
  return (float)vd_sum(total[0] + total[1]);
}

/* Out of line, since it would slow down the short sums that most are. */
static __attribute__((noinline)) float sum_long(const float *x, size_t n, enum reduce_kind kind) {
  switch (kind) {
  case REDUCE_SUM:
    return sum_long_run(x, n, REDUCE_SUM);
  case REDUCE_SUM_SQUARES:
    return sum_long_run(x, n, REDUCE_SUM_SQUARES);
  default:
    return sum_long_run(x, n, REDUCE_SUM_ABS);
  }
}

/* In pieces, and in double precision between them. */
INLINE double sum_f32_wide(const float *x, size_t n) {
  const size_t piece = SUM_STEPS * 4 * VF_LANES;
  vd total[2] = {vd_set1(0), vd_set1(0)};
  for (size_t i = 0; i < n; i += piece)
    vd_add_lanes(total, reduce_run(x + i, n - i < piece ? n - i : piece, REDUCE_SUM));
  return vd_sum(total[0] + total[1]);
}

INLINE float sum_run(const float *x, size_t n, const enum reduce_kind kind) {
  return n <= SUM_STEPS * 4 * VF_LANES ? vf_sum(reduce_run(x, n, kind)) : sum_long(x, n, kind);
}

/* More than SUM_STEPS rows: four vectors of columns, or up to one. */
INLINE void sum_four(vf sum[4], const float *x, size_t rows, size_t row_stride, const enum reduce_kind kind) {
  vd total[4][2];
  UNROLL
  for (int p = 0; p < 4; p++) total[p][0] = total[p][1] = vd_set1(0);
  for (size_t i = 0; i < rows; i += SUM_STEPS) {
    reduce_four(sum, x + i * row_stride, rows - i < SUM_STEPS ? rows - i : SUM_STEPS, row_stride, kind);
    UNROLL
    for (int p = 0; p < 4; p++) vd_add_lanes(total[p], sum[p]);
  }
  UNROLL
  for (int p = 0; p < 4; p++) sum[p] = vf_from_lanes(total[p]);
}

INLINE vf sum_columns(const float *x, size_t rows, size_t row_stride, size_t columns, const enum reduce_kind kind) {
  vd total[2] = {vd_set1(0), vd_set1(0)};
  for (size_t i = 0; i < rows; i += SUM_STEPS)
    vd_add_lanes(total, reduce_columns(x + i * row_stride, rows - i < SUM_STEPS ? rows - i : SUM_STEPS, row_stride,
                                       columns, kind));
  return vf_from_lanes(total);
}

INLINE void sum_rows(float *y, const float *x, size_t rows, size_t columns, size_t row_stride,
                     const enum reduce_kind kind) {
  size_t j = 0;
  if (rows <= SUM_STEPS) {
    reduce_rows(y, x, rows, columns, row_stride, kind);
    return;
  }
  for (; j + 4 * VF_LANES <= columns; j += 4 * VF_LANES) {
    vf sum[4];
    sum_four(sum, x + j, rows, row_stride, kind);
    UNROLL
    for (int p = 0; p < 4; p++) vf_store(y + j + p * VF_LANES, sum[p]);
  }
  for (; j < columns; j += VF_LANES) {
    const size_t left = columns - j < VF_LANES ? columns - j : VF_LANES;
    vf_store_n(y + j, sum_columns(x + j, rows, row_stride, left, kind), left);
  }
}

static float sum_f32(const float *x, size_t n) {
  return sum_run(x, n, REDUCE_SUM);
}

static float sum_squares_f32(const float *x, size_t n) {
  return sum_run(x, n, REDUCE_SUM_SQUARES);
}

static float sum_abs_f32(const float *x, size_t n) {
  return sum_run(x, n, REDUCE_SUM_ABS);
}

static void sum_rows_f32(float *y, const float *x, size_t rows, size_t columns, size_t row_stride) {
  sum_rows(y, x, rows, columns, row_stride, REDUCE_SUM);
}

static void sum_squares_rows_f32(float *y, const float *x, size_t rows, size_t columns, size_t row_stride) {
  sum_rows(y, x, rows, columns, row_stride, REDUCE_SUM_SQUARES);
}

static void sum_abs_rows_f32(float *y, const float *x, size_t rows, size_t columns, size_t row_stride) {
  sum_rows(y, x, rows, columns, row_stride, REDUCE_SUM_ABS);
}

/* exp(x[i] - center) to y (NULL: nowhere) for up to SUM_STEPS vectors; their sum. */
INLINE vf exp_sum_piece(float *y, const float *x, size_t n, vf center) {
  vf sum = vf_zero();
  for (size_t i = 0; i < n; i += VF_LANES) {
    const size_t left = n - i;
    vf v = vf_exp((left >= VF_LANES ? vf_load(x + i) : vf_load_n(x + i, left)) - center);
    if (left < VF_LANES) {
      v = vf_first_lanes_or(v, left, vf_zero());
      if (y) vf_store_n(y + i, v, left);
    } else if (y) {
      vf_store(y + i, v);
    }
    sum += v;
  }
  return sum;
}

static float exp_sum_f32(float *y, const float *x, size_t n, float offset) {
  const vf center = vf_set1(offset);
  const size_t piece = SUM_STEPS * VF_LANES;
  if (n <= piece) return vf_sum(exp_sum_piece(y, x, n, center));
  vd total[2] = {vd_set1(0), vd_set1(0)};
  for (size_t i = 0; i < n; i += piece)
    vd_add_lanes(total, exp_sum_piece(y ? y + i : NULL, x + i, n - i < piece ? n - i : piece, center));
  return (float)vd_sum(total[0] + total[1]);
}

/* Up to one vector of columns, in pieces of SUM_STEPS rows. */
INLINE vf exp_sum_columns(const float *x, size_t rows, size_t row_stride, size_t columns, vf center) {
  vd total[2] = {vd_set1(0), vd_set1(0)};
  vf sum = vf_zero();
  for (size_t i = 0; i < rows; i++) {
    const float *from = x + i * row_stride;
    sum += vf_exp((columns >= VF_LANES ? vf_load(from) : vf_load_n(from, columns)) - center);
    if (i % SUM_STEPS != SUM_STEPS - 1) continue;
    vd_add_lanes(total, sum);
    sum = vf_zero();
  }
  vd_add_lanes(total, sum);
  return vf_from_lanes(total);
}

static void exp_sum_rows_f32(float *y, const float *x, size_t rows, size_t columns, size_t row_stride,
                             const float *offset) {
  for (size_t j = 0; j < columns; j += VF_LANES) {
    const size_t left = columns - j < VF_LANES ? columns - j : VF_LANES;
    vf_store_n(y + j, exp_sum_columns(x + j, rows, row_stride, left, vf_load_n(offset + j, left)), left);
  }
}

/* ---- products ---- */
INLINE void product_step(vd product[2], vf x) {
  float lane[VF_LANES];
  vf_store(lane, x);
  product[0] *= vd_load_f32(lane);
  product[1] *= vd_load_f32(lane + VD_LANES);
}

/* Four pairs of vectors take whole vectors in turn; the rest is padded with ones. */
static float product_f32(const float *x, size_t n) {
  vd product[4][2];
  double lane[VD_LANES], result = 1;
  UNROLL
  for (int p = 0; p < 4; p++) product[p][0] = product[p][1] = vd_set1(1);
  size_t i = 0;
  for (; i + 4 * VF_LANES <= n; i += 4 * VF_LANES) {
    UNROLL
    for (int p = 0; p < 4; p++) {
      product[p][0] *= vd_load_f32(x + i + p * VF_LANES);
      product[p][1] *= vd_load_f32(x + i + p * VF_LANES + VD_LANES);
    }
  }
  for (; i < n; i += VF_LANES) {
    const size_t left = n - i;
    product_step(product[0],
                 left >= VF_LANES ? vf_load(x + i) : vf_first_lanes_or(vf_load_n(x + i, left), left, vf_set1(1)));
  }
  vd_store(lane, (product[0][0] * product[0][1]) * (product[1][0] * product[1][1]) *
                     ((product[2][0] * product[2][1]) * (product[3][0] * product[3][1])));
  for (int l = 0; l < VD_LANES; l++) result *= lane[l];
  return (float)result;
}

static void product_rows_f32(float *y, const float *x, size_t rows, size_t columns, size_t row_stride) {
  size_t j = 0;
  for (; j + 2 * VF_LANES <= columns; j += 2 * VF_LANES) {
    vd product[4];
    UNROLL
    for (int p = 0; p < 4; p++) product[p] = vd_set1(1);
    for (size_t i = 0; i < rows; i++) {
      UNROLL
      for (int p = 0; p < 4; p++) product[p] *= vd_load_f32(x + i * row_stride + j + p * VD_LANES);
    }
    vf_store(y + j, vf_from_lanes(product));
    vf_store(y + j + VF_LANES, vf_from_lanes(product + 2));
  }
  for (; j < columns; j += VF_LANES) {
    const size_t left = columns - j < VF_LANES ? columns - j : VF_LANES;
    vd product[2] = {vd_set1(1), vd_set1(1)};
    for (size_t i = 0; i < rows; i++) product_step(product, vf_load_n(x + i * row_stride + j, left));
    vf_store_n(y + j, vf_from_lanes(product), left);
  }
}

static float dot_f32(const float *x, const float *z, size_t n) {
  vf partial[4];
  UNROLL
  for (int p = 0; p < 4; p++) partial[p] = vf_zero();
  size_t i = 0;
  for (; i + 4 * VF_LANES <= n; i += 4 * VF_LANES) {
    UNROLL
    for (int p = 0; p < 4; p++)
      partial[p] = vf_fma(vf_load(x + i + p * VF_LANES), vf_load(z + i + p * VF_LANES), partial[p]);
  }
  for (; i < n; i += VF_LANES) {
    const size_t left = n - i < VF_LANES ? n - i : VF_LANES;
    partial[0] = vf_fma(vf_load_n(x + i, left), vf_load_n(z + i, left), partial[0]);
  }
  return vf_sum((partial[0] + partial[1]) + (partial[2] + partial[3]));
}

/* ---- in double precision: the rest, less than a vector, is added one by one at the end ---- */
static double sum_f32_to_f64(const float *x, size_t n) {
  vd partial[4];
  UNROLL
  for (int p = 0; p < 4; p++) partial[p] = vd_set1(0);
  size_t i = 0;
  for (; i + 4 * VD_LANES <= n; i += 4 * VD_LANES) {
    UNROLL
    for (int p = 0; p < 4; p++) partial[p] += vd_load_f32(x + i + p * VD_LANES);
  }
  for (; i + VD_LANES <= n; i += VD_LANES) partial[0] += vd_load_f32(x + i);
  double sum = vd_sum((partial[0] + partial[1]) + (partial[2] + partial[3]));
  for (; i < n; i++) sum += x[i];
  return sum;
}

static double sum_squared_deviations_f32(const float *x, size_t n, double mean) {
  const vd center = vd_set1(mean);
  vd partial[4];
  UNROLL
  for (int p = 0; p < 4; p++) partial[p] = vd_set1(0);
  size_t i = 0;
  for (; i + 4 * VD_LANES <= n; i += 4 * VD_LANES) {
    UNROLL
    for (int p = 0; p < 4; p++) {
      const vd d = vd_load_f32(x + i + p * VD_LANES) - center;
      partial[p] = vd_fma(d, d, partial[p]);
    }
  }
  for (; i + VD_LANES <= n; i += VD_LANES) {
    const vd d = vd_load_f32(x + i) - center;
    partial[0] = vd_fma(d, d, partial[0]);
  }
  double sum = vd_sum((partial[0] + partial[1]) + (partial[2] + partial[3]));
  for (; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
  return sum;
}

/* ---- moments of a row ---- */

/* Deviations from `center` of a piece of up to SUM_STEPS * 4 vectors, and their squares, added to the totals. */
INLINE void moments_piece(const float *x, size_t n, const vf center, vd sum[2], vd squares[2]) {
  vf first[4], second[4];
  UNROLL
  for (int p = 0; p < 4; p++) first[p] = second[p] = vf_zero();
  size_t i = 0;
  for (; i + 4 * VF_LANES <= n; i += 4 * VF_LANES) {
    UNROLL
    for (int p = 0; p < 4; p++) {
      const vf d = vf_load(x + i + p * VF_LANES) - center;
      first[p] += d;
      second[p] = vf_fma(d, d, second[p]);
    }
  }
  for (; i < n; i += VF_LANES) {
    const size_t left = n - i;
    const vf d = left >= VF_LANES ? vf_load(x + i) - center
                                  : vf_first_lanes_or(vf_load_n(x + i, left) - center, left, vf_zero());
    first[0] += d;
    second[0] = vf_fma(d, d, second[0]);
  }
  vd_add_lanes(sum, (first[0] + first[1]) + (first[2] + first[3]));
  vd_add_lanes(squares, (second[0] + second[1]) + (second[2] + second[3]));
}

/* The squares of the deviations' sum correct for a center that is not quite the mean. Squares that float cannot hold
 * are taken in double precision. */
static struct row_moments row_moments_f32(const float *x, size_t n, bool centered) {
  const size_t piece = SUM_STEPS * 4 * VF_LANES;
  const double count = (double)n;
  const float center = centered ? (float)(sum_f32_wide(x, n) / count) : 0;
  vd sum[2] = {vd_set1(0), vd_set1(0)}, squares[2] = {vd_set1(0), vd_set1(0)};
  for (size_t i = 0; i < n; i += piece)
    moments_piece(x + i, n - i < piece ? n - i : piece, vf_set1(center), sum, squares);
  const double rest = centered ? vd_sum(sum[0] + sum[1]) / count : 0;
  struct row_moments moments = {(double)center + rest, vd_sum(squares[0] + squares[1]) / count - rest * rest};
  if (moments.variance > 1e-24 && moments.variance < 1e36) return moments;
  moments.mean = centered ? sum_f32_to_f64(x, n) / count : 0;
  moments.variance = sum_squared_deviations_f32(x, n, moments.mean) / count;
  return moments;
}
