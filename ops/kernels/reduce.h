/* Reductions: part of kernel_table_isa.c.
 *
 * Order of a run of n elements: four vectors of partial results take whole blocks of four vectors in turn, the first of
 * them also whole vectors that are left, then the rest, padded with the identity; the four are combined as (0, 1), (2,
 * 3), and the lanes in halves. It depends on n only. */

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

/* Two functions from `step`, an expression of the partial result s and the elements v: over a run, and across rows. */
#define REDUCE_FUNCTIONS(name, identity, step, combine, of_lanes)                                                      \
  static float name##_f32(const float *x, size_t n) {                                                                  \
    vf partial[4];                                                                                                     \
    UNROLL                                                                                                             \
    for (int p = 0; p < 4; p++) partial[p] = vf_set1(identity);                                                        \
    size_t i = 0;                                                                                                      \
    for (; i + 4 * VF_LANES <= n; i += 4 * VF_LANES) {                                                                 \
      UNROLL                                                                                                           \
      for (int p = 0; p < 4; p++) {                                                                                    \
        const vf s = partial[p], v = vf_load(x + i + p * VF_LANES);                                                    \
        partial[p] = step;                                                                                             \
      }                                                                                                                \
    }                                                                                                                  \
    for (; i < n; i += VF_LANES) {                                                                                     \
      const size_t left = n - i;                                                                                       \
      const vf s = partial[0];                                                                                         \
      const vf v =                                                                                                     \
          left >= VF_LANES ? vf_load(x + i) : vf_first_lanes_or(vf_load_n(x + i, left), left, vf_set1(identity));      \
      partial[0] = step;                                                                                               \
    }                                                                                                                  \
    return of_lanes(combine(combine(partial[0], partial[1]), combine(partial[2], partial[3])));                        \
  }                                                                                                                    \
  static void name##_rows_f32(float *y, const float *x, size_t rows, size_t columns, size_t row_stride) {              \
    size_t j = 0;                                                                                                      \
    for (; j + 4 * VF_LANES <= columns; j += 4 * VF_LANES) {                                                           \
      vf partial[4];                                                                                                   \
      UNROLL                                                                                                           \
      for (int p = 0; p < 4; p++) partial[p] = vf_set1(identity);                                                      \
      for (size_t i = 0; i < rows; i++) {                                                                              \
        UNROLL                                                                                                         \
        for (int p = 0; p < 4; p++) {                                                                                  \
          const vf s = partial[p], v = vf_load(x + i * row_stride + j + p * VF_LANES);                                 \
          partial[p] = step;                                                                                           \
        }                                                                                                              \
      }                                                                                                                \
      UNROLL                                                                                                           \
      for (int p = 0; p < 4; p++) vf_store(y + j + p * VF_LANES, partial[p]);                                          \
    }                                                                                                                  \
    for (; j < columns; j += VF_LANES) {                                                                               \
      const size_t left = columns - j < VF_LANES ? columns - j : VF_LANES;                                             \
      vf s = vf_set1(identity);                                                                                        \
      for (size_t i = 0; i < rows; i++) {                                                                              \
        const vf v = vf_load_n(x + i * row_stride + j, left);                                                          \
        s = step;                                                                                                      \
      }                                                                                                                \
      vf_store_n(y + j, s, left);                                                                                      \
    }                                                                                                                  \
  }

#define ADD_VECTORS(a, b) ((a) + (b))
REDUCE_FUNCTIONS(sum, 0.0f, s + v, ADD_VECTORS, vf_sum)
REDUCE_FUNCTIONS(sum_squares, 0.0f, vf_fma(v, v, s), ADD_VECTORS, vf_sum)
REDUCE_FUNCTIONS(sum_abs, 0.0f, s + vf_abs(v), ADD_VECTORS, vf_sum)
REDUCE_FUNCTIONS(maximum, -INFINITY, vf_max_nan(s, v), vf_max_nan, vf_max_of_lanes)
REDUCE_FUNCTIONS(minimum, INFINITY, vf_min_nan(s, v), vf_min_nan, vf_min_of_lanes)

static float exp_sum_f32(float *y, const float *x, size_t n, float offset) {
  const vf center = vf_set1(offset);
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
  return vf_sum(sum);
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
