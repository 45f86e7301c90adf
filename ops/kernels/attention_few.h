/* Products of attention over a few query rows, such as those of one new token: part of kernel_table_isa.c.
 *
 * Elements of keys and values lie along the lanes and are read once for all rows of a group, so that nothing but memory
 * limits a step of generation. Scores and weights are [rows][keys]. */

#define ATTENTION_FEW_GROUP 4 /* query rows that share what is read */
/* ATTENTION_FEW_VECTORS of values are summed at a time, so that the sums of a group fill half of the registers. */

/* The sums of a's and of b's segments of 2 * half lanes, in segments of `half` lanes, a's first. */
#if VF_LANES == 16
#define FOLD_8(x, y)                                                                                                   \
  (__builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +                             \
   __builtin_shufflevector(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#define FOLD_4(x, y)                                                                                                   \
  (__builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +                           \
   __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31))
#define FOLD_2(x, y)                                                                                                   \
  (__builtin_shufflevector(x, y, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +                           \
   __builtin_shufflevector(x, y, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31))
#elif VF_LANES == 8
#define FOLD_4(x, y)                                                                                                   \
  (__builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11) + __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15))
#define FOLD_2(x, y)                                                                                                   \
  (__builtin_shufflevector(x, y, 0, 1, 4, 5, 8, 9, 12, 13) + __builtin_shufflevector(x, y, 2, 3, 6, 7, 10, 11, 14, 15))
#else
#define FOLD_2(x, y) (__builtin_shufflevector(x, y, 0, 1, 4, 5) + __builtin_shufflevector(x, y, 2, 3, 6, 7))
#endif
#define FOLD_1(x, y) (vf_even(x, y) + vf_odd(x, y))

/* Lane i becomes the sum of x[i]'s lanes. */
INLINE vf vf_sums(vf x[VF_LANES]) {
#if VF_LANES == 16
  UNROLL
  for (int i = 0; i < 8; i++) x[i] = FOLD_8(x[2 * i], x[2 * i + 1]);
#endif
#if VF_LANES >= 8
  UNROLL
  for (int i = 0; i < 4; i++) x[i] = FOLD_4(x[2 * i], x[2 * i + 1]);
#endif
  UNROLL
  for (int i = 0; i < 2; i++) x[i] = FOLD_2(x[2 * i], x[2 * i + 1]);
  return FOLD_1(x[0], x[1]);
}
#undef FOLD_8
#undef FOLD_4
#undef FOLD_2
#undef FOLD_1

/* s[r][j] = sum over p < depth of q[r][p] * k[j][p] for `rows` rows and j < keys. q is padded with zeros to whole
 * vectors. */
INLINE void few_scores_body(float *s, size_t s_stride, const float *q, size_t q_stride, const float *k, size_t k_stride,
                            size_t keys, size_t depth, const int rows) {
  const int together = VF_LANES / rows; /* keys */
  const size_t whole = depth / VF_LANES * VF_LANES, left = depth - whole;
  for (size_t j = 0; j < keys; j += (size_t)together) {
    vf sum[VF_LANES]; /* [rows][together] */
    const float *key[VF_LANES];
    UNROLL
    for (int i = 0; i < VF_LANES; i++) sum[i] = vf_zero();
    UNROLL
    for (int i = 0; i < together; i++) key[i] = k + (j + (size_t)i < keys ? j + (size_t)i : keys - 1) * k_stride;
    for (size_t p = 0; p < whole; p += VF_LANES) {
      UNROLL
      for (int i = 0; i < together; i++) {
        const vf right = vf_load(key[i] + p);
        UNROLL
        for (int r = 0; r < rows; r++)
          sum[r * together + i] = vf_fma(vf_load(q + (size_t)r * q_stride + p), right, sum[r * together + i]);
      }
    }
    if (left) {
      UNROLL
      for (int i = 0; i < together; i++) {
        const vf right = vf_load_n(key[i] + whole, left);
        UNROLL
        for (int r = 0; r < rows; r++)
          sum[r * together + i] = vf_fma(vf_load(q + (size_t)r * q_stride + whole), right, sum[r * together + i]);
      }
    }
    float sums[VF_LANES];
    vf_store(sums, vf_sums(sum));
    const size_t count = keys - j < (size_t)together ? keys - j : (size_t)together;
    for (int r = 0; r < rows; r++) {
      for (size_t i = 0; i < count; i++) s[(size_t)r * s_stride + j + i] = sums[(size_t)(r * together) + i];
    }
  }
}

/* o[r][c] = o[r][c] * factor[r] + sum over j < keys of w[r][j] * v[j][c] for `rows` rows and c < values; o is padded to
 * whole vectors. */
INLINE void few_values_body(float *o, size_t o_stride, const float *factor, const float *w, size_t w_stride,
                            const float *v, size_t v_stride, size_t keys, size_t values, const int rows) {
  for (size_t c = 0; c < values; c += ATTENTION_FEW_VECTORS * VF_LANES) {
    vf sum[ATTENTION_FEW_GROUP][ATTENTION_FEW_VECTORS];
    const size_t left = values - c;
    if (left >= ATTENTION_FEW_VECTORS * VF_LANES) {
      UNROLL
      for (int r = 0; r < rows; r++) {
        UNROLL
        for (int i = 0; i < ATTENTION_FEW_VECTORS; i++)
          sum[r][i] = vf_load(o + (size_t)r * o_stride + c + i * VF_LANES) * vf_set1(factor[r]);
      }
      for (size_t j = 0; j < keys; j++) {
        const float *row = v + j * v_stride + c;
        vf right[ATTENTION_FEW_VECTORS];
        UNROLL
        for (int i = 0; i < ATTENTION_FEW_VECTORS; i++) right[i] = vf_load(row + i * VF_LANES);
        UNROLL
        for (int r = 0; r < rows; r++) {
          const vf weight = vf_set1(w[(size_t)r * w_stride + j]);
          UNROLL
          for (int i = 0; i < ATTENTION_FEW_VECTORS; i++) sum[r][i] = vf_fma(weight, right[i], sum[r][i]);
        }
      }
      UNROLL
      for (int r = 0; r < rows; r++) {
        UNROLL
        for (int i = 0; i < ATTENTION_FEW_VECTORS; i++)
          vf_store(o + (size_t)r * o_stride + c + i * VF_LANES, sum[r][i]);
      }
      continue;
    }
    for (size_t i = 0; i < left; i += VF_LANES) { /* vector by vector, the last one of a part of the lanes */
      const size_t lanes = left - i < VF_LANES ? left - i : VF_LANES;
      UNROLL
      for (int r = 0; r < rows; r++) sum[r][0] = vf_load(o + (size_t)r * o_stride + c + i) * vf_set1(factor[r]);
      for (size_t j = 0; j < keys; j++) {
        const float *row = v + j * v_stride + c + i;
        const vf right = lanes == VF_LANES ? vf_load(row) : vf_load_n(row, lanes);
        UNROLL
        for (int r = 0; r < rows; r++) sum[r][0] = vf_fma(vf_set1(w[(size_t)r * w_stride + j]), right, sum[r][0]);
      }
      UNROLL
      for (int r = 0; r < rows; r++) vf_store(o + (size_t)r * o_stride + c + i, sum[r][0]);
    }
  }
}

#define FEW_INSTANCE(rows)                                                                                             \
  static void few_scores_##rows(float *s, size_t s_stride, const float *q, size_t q_stride, const float *k,            \
                                size_t k_stride, size_t keys, size_t depth) {                                          \
    few_scores_body(s, s_stride, q, q_stride, k, k_stride, keys, depth, rows);                                         \
  }                                                                                                                    \
  static void few_values_##rows(float *o, size_t o_stride, const float *factor, const float *w, size_t w_stride,       \
                                const float *v, size_t v_stride, size_t keys, size_t values) {                         \
    few_values_body(o, o_stride, factor, w, w_stride, v, v_stride, keys, values, rows);                                \
  }
FEW_INSTANCE(1)
FEW_INSTANCE(2)
FEW_INSTANCE(4)
#undef FEW_INSTANCE

/* Groups of 4, 2 and 1 rows: each row's sums are the same in any group. */
static void few_scores(float *s, size_t s_stride, const float *q, size_t q_stride, size_t rows, const float *k,
                       size_t k_stride, size_t keys, size_t depth) {
  while (rows) {
    const size_t group = rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
    (group == 4   ? few_scores_4
     : group == 2 ? few_scores_2
                  : few_scores_1)(s, s_stride, q, q_stride, k, k_stride, keys, depth);
    s += group * s_stride;
    q += group * q_stride;
    rows -= group;
  }
}

static void few_values(float *o, size_t o_stride, const float *factor, const float *w, size_t w_stride, size_t rows,
                       const float *v, size_t v_stride, size_t keys, size_t values) {
  while (rows) {
    const size_t group = rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
    (group == 4   ? few_values_4
     : group == 2 ? few_values_2
                  : few_values_1)(o, o_stride, factor, w, w_stride, v, v_stride, keys, values);
    o += group * o_stride;
    factor += group;
    w += group * w_stride;
    rows -= group;
  }
}
