/* Interpolation along one dimension: part of kernel_table_isa.c. */

INLINE size_t resample_clamp(int64_t at, size_t rows) {
  return at < 0 ? 0 : at >= (int64_t)rows ? rows - 1 : (size_t)at;
}

/* Two taps are all that linear interpolation has. */
INLINE void interpolate_two(float *y, const float *x0, const float *x1, size_t columns, float w0, float w1) {
  const vf v0 = vf_set1(w0), v1 = vf_set1(w1);
  for (size_t j = 0; j < columns; j += VF_LANES) {
    const size_t left = columns - j;
    if (left >= VF_LANES) {
      vf_store(y + j, v0 * vf_load(x0 + j) + v1 * vf_load(x1 + j));
    } else {
      vf_store_n(y + j, v0 * vf_load_n(x0 + j, left) + v1 * vf_load_n(x1 + j, left), left);
    }
  }
}

INLINE vf interpolate_vector(const float *x, size_t rows, size_t columns, int64_t first, const float *weights,
                             size_t taps, size_t left) {
  vf sum = vf_zero();
  for (size_t k = 0; k < taps; k++) {
    const float *from = x + resample_clamp(first + (int64_t)k, rows) * columns;
    const vf product = vf_set1(weights[k]) * (left >= VF_LANES ? vf_load(from) : vf_load_n(from, left));
    sum = k == 0 ? product : sum + product;
  }
  return sum;
}

static void interpolate_rows_f32(float *y, const float *x, size_t rows, size_t columns, const int64_t *first,
                                 const float *weights, size_t taps, size_t count) {
  for (size_t o = 0; o < count; o++, y += columns, weights += taps) {
    if (taps == 2) {
      interpolate_two(y, x + resample_clamp(first[o], rows) * columns, x + resample_clamp(first[o] + 1, rows) * columns,
                      columns, weights[0], weights[1]);
      continue;
    }
    for (size_t j = 0; j < columns; j += VF_LANES) {
      const size_t left = columns - j;
      const vf sum = interpolate_vector(x + j, rows, columns, first[o], weights, taps, left);
      if (left >= VF_LANES)
        vf_store(y + j, sum);
      else
        vf_store_n(y + j, sum, left);
    }
  }
}
