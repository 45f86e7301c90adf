/* Weighted sums of elements from anywhere: part of kernel_table_isa.c. */

/* x[offset] in the lanes with offset >= 0, 0 in others. */
INLINE vf sample_gather(const float *x, vi offset) {
#if defined(__AVX512F__)
  const __mmask16 inside = _mm512_cmpge_epi32_mask((__m512i)offset, _mm512_setzero_si512());
  return (vf)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), inside, (__m512i)offset, x, 4);
#elif defined(__AVX2__)
  const __m256 inside = (__m256)(offset >= 0);
  return (vf)_mm256_mask_i32gather_ps(_mm256_setzero_ps(), x, (__m256i)offset, inside, 4);
#else
  vf value = vf_zero();
  for (int i = 0; i < VF_LANES; i++)
    if (offset[i] >= 0) value[i] = x[offset[i]];
  return value;
#endif
}

INLINE vi sample_offsets(const int32_t *offsets, size_t n) {
  vi offset = vi_set1(-1);
  memcpy(&offset, offsets, (n < VF_LANES ? n : VF_LANES) * sizeof *offsets);
  return offset;
}

static void sample_points_f32(float *y, const float *x, const int32_t *offsets, const float *weights, size_t taps,
                              size_t stride, size_t n) {
  for (size_t i = 0; i < n; i += VF_LANES) {
    const size_t left = n - i < VF_LANES ? n - i : VF_LANES;
    vf sum = vf_zero();
    for (size_t t = 0; t < taps; t++) {
      const vi offset = sample_offsets(offsets + t * stride + i, left);
      sum = vf_fma(vf_load_n(weights + t * stride + i, left), sample_gather(x, offset), sum);
    }
    vf_store_n(y + i, sum, left);
  }
}
