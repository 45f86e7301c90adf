/* Softmax of lines of adjacent elements: part of kernel_table_isa.c. */

#define SOFTMAX_SHORT 32 /* lines up to this length are worked on side by side, one in each lane */

/* With care, exponentials are kept 2^63 times as large as they are, so that none of them, nor their sum, leaves the
 * normal range: masked positions would cost a hundred cycles each. */
INLINE vf softmax_exp(vf x, const bool care) {
  return vf_exp_shifted(x, care ? 63 : 0, false);
}

/* Exponentials times 1 / sum of them. */
INLINE vf softmax_scale(vf power, vf factor, const bool care) {
  return care ? vf_multiply_with_care(power, factor, factor * vf_set1(0x1p63f) * vf_set1(0x1p63f)) : power * factor;
}

/* y = exp(x - center, care); their sum. */
INLINE vf softmax_powers(float *y, const float *x, size_t n, vf center, const bool care) {
  vf sum[2] = {vf_zero(), vf_zero()};
  size_t i = 0;
  for (; i + 2 * VF_LANES <= n; i += 2 * VF_LANES) {
    const vf a = softmax_exp(vf_load(x + i) - center, care), b = softmax_exp(vf_load(x + i + VF_LANES) - center, care);
    vf_store(y + i, a);
    vf_store(y + i + VF_LANES, b);
    sum[0] += a;
    sum[1] += b;
  }
  if (i + VF_LANES <= n) {
    const vf a = softmax_exp(vf_load(x + i) - center, care);
    vf_store(y + i, a);
    sum[0] += a;
    i += VF_LANES;
  }
  if (i < n) {
    const vf a = vf_first_lanes_or(softmax_exp(vf_load_n(x + i, n - i) - center, care), n - i, vf_zero());
    vf_store_n(y + i, a, n - i);
    sum[1] += a;
  }
  return sum[0] + sum[1];
}

#define SOFTMAX_PIECE (2 * SUM_STEPS * VF_LANES) /* sums of single precision, as in reduce.h */

INLINE float softmax_sum(float *y, const float *x, size_t n, vf center, const bool care) {
  vd total[2] = {vd_set1(0), vd_set1(0)};
  for (size_t i = 0; i < n; i += SOFTMAX_PIECE) {
    const vf sum = softmax_powers(y + i, x + i, n - i < SOFTMAX_PIECE ? n - i : SOFTMAX_PIECE, center, care);
    if (n <= SOFTMAX_PIECE) return vf_sum(sum);
    vd_add_lanes(total, sum);
  }
  return (float)vd_sum(total[0] + total[1]);
}

/* NaN and infinities need no care while the maximum is sought: each makes the sum NaN, or what it has to be. */
INLINE void softmax_long(float *y, const float *x, size_t n, const bool care) {
  const vf lowest = vf_set1(-INFINITY);
  vf largest[2] = {lowest, lowest};
  const size_t whole = n / VF_LANES * VF_LANES, left = n - whole;
  size_t i = 0;
  for (; i + 2 * VF_LANES <= n; i += 2 * VF_LANES) {
    largest[0] = vf_max(vf_load(x + i), largest[0]);
    largest[1] = vf_max(vf_load(x + i + VF_LANES), largest[1]);
  }
  if (i < whole) largest[0] = vf_max(vf_load(x + i), largest[0]);
  if (left) largest[1] = vf_max(vf_first_lanes_or(vf_load_n(x + whole, left), left, lowest), largest[1]);
  vf center = vf_max(largest[0], largest[1]);
  LANES_COMBINED(center, vf_max)
  const vf factor = vf_set1(1 / softmax_sum(y, x, n, center, care));
  for (i = 0; i < whole; i += VF_LANES) vf_store(y + i, softmax_scale(vf_load(y + i), factor, care));
  if (left) vf_store_n(y + whole, softmax_scale(vf_load_n(y + whole, left), factor, care), left);
}

INLINE void softmax_short(float *y, const float *x, size_t lines, size_t n, const bool care) {
  float columns[SOFTMAX_SHORT * VF_LANES];
  if (lines < VF_LANES) memset(columns, 0, n * VF_LANES * sizeof *columns);
  transpose_32(columns, VF_LANES, x, n, lines, n);
  vf largest = vf_load(columns), sum = vf_zero();
  for (size_t i = 1; i < n; i++) largest = vf_max(vf_load(columns + i * VF_LANES), largest);
  for (size_t i = 0; i < n; i++) {
    const vf power = softmax_exp(vf_load(columns + i * VF_LANES) - largest, care);
    vf_store(columns + i * VF_LANES, power);
    sum += power;
  }
  const vf factor = vf_set1(1) / sum;
  for (size_t i = 0; i < n; i++)
    vf_store(columns + i * VF_LANES, softmax_scale(vf_load(columns + i * VF_LANES), factor, care));
  transpose_32(y, n, columns, VF_LANES, n, lines);
}

INLINE void softmax_lines_with(float *y, const float *x, size_t lines, size_t n, const bool care) {
  if (n > SOFTMAX_SHORT) {
    for (size_t i = 0; i < lines; i++) softmax_long(y + i * n, x + i * n, n, care);
    return;
  }
  for (size_t i = 0; i < lines && n > 0; i += VF_LANES) {
    softmax_short(y + i * n, x + i * n, lines - i < VF_LANES ? lines - i : VF_LANES, n, care);
  }
}

static void softmax_lines_f32(float *y, const float *x, size_t lines, size_t n) {
  if (vector_flushes())
    softmax_lines_with(y, x, lines, n, false);
  else
    softmax_lines_with(y, x, lines, n, true);
}
