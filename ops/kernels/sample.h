/* Weighted sums of elements from anywhere: part of kernel_table_isa.c. */

INLINE float sample_one(const float *x, int32_t offset) {
  static const float outside = 0;
  return *(offset >= 0 ? x + offset : &outside);
}

/* x[offset] in the lanes with offset >= 0, 0 in others. Lane by lane: instructions that gather take longer on some
 * CPUs, and hardly less on others. */
INLINE vf sample_gather(const float *x, const int32_t *o, size_t n) {
  int32_t rest[VF_LANES];
  if (n < VF_LANES) {
    for (size_t i = 0; i < VF_LANES; i++) rest[i] = i < n ? o[i] : -1;
    o = rest;
  }
#define SAMPLE_FOUR(i) sample_one(x, o[i]), sample_one(x, o[i + 1]), sample_one(x, o[i + 2]), sample_one(x, o[i + 3])
#if VF_LANES == 16
  return (vf){SAMPLE_FOUR(0), SAMPLE_FOUR(4), SAMPLE_FOUR(8), SAMPLE_FOUR(12)};
#elif VF_LANES == 8
  return (vf){SAMPLE_FOUR(0), SAMPLE_FOUR(4)};
#else
  return (vf){SAMPLE_FOUR(0)};
#endif
#undef SAMPLE_FOUR
}

INLINE vi sample_offsets(const int32_t *offsets) {
  vi offset;
  memcpy(&offset, offsets, sizeof offset);
  return offset;
}

INLINE double sample_pair(const float *x) {
  double pair;
  memcpy(&pair, x, sizeof pair);
  return pair;
}

#if VD_LANES == 8
#define SAMPLE_PAIRS(x, o)                                                                                             \
  (vd) {                                                                                                               \
    sample_pair(x + (o)[0]), sample_pair(x + (o)[1]), sample_pair(x + (o)[2]), sample_pair(x + (o)[3]),                \
        sample_pair(x + (o)[4]), sample_pair(x + (o)[5]), sample_pair(x + (o)[6]), sample_pair(x + (o)[7])             \
  }
#elif VD_LANES == 4
#define SAMPLE_PAIRS(x, o)                                                                                             \
  (vd) {                                                                                                               \
    sample_pair(x + (o)[0]), sample_pair(x + (o)[1]), sample_pair(x + (o)[2]), sample_pair(x + (o)[3])                 \
  }
#else
#define SAMPLE_PAIRS(x, o)                                                                                             \
  (vd) {                                                                                                               \
    sample_pair(x + (o)[0]), sample_pair(x + (o)[1])                                                                   \
  }
#endif

/* Elements x[offset] and x[offset + 1] of VF_LANES points, sorted: half as many loads. */
INLINE void sample_neighbours(const float *x, const int32_t *offset, vf *first, vf *second) {
  const vd low = SAMPLE_PAIRS(x, offset), high = SAMPLE_PAIRS(x, offset + VD_LANES);
  *first = vf_even(low, high);
  *second = vf_odd(low, high);
}
#undef SAMPLE_PAIRS

/* Whether VF_LANES points with four taps are all inside, taps 2 and 3 being the elements behind those of 0 and 1. */
INLINE bool sample_has_neighbours(const int32_t *offsets, size_t stride) {
  vi wrong = vi_set1(0);
  for (size_t t = 0; t < 2; t++) {
    const vi first = sample_offsets(offsets + t * stride);
    const vi distance = sample_offsets(offsets + (t + 2) * stride) - first - 1;
    wrong |= first | distance | -distance;
  }
  return !vm_any(vi_lt(wrong, vi_set1(0)));
}

/* VF_LANES points, in the order of sample_some. */
INLINE vf sample_linear(const float *x, const int32_t *offsets, const vf *weights, size_t stride) {
  vf value[4], sum = vf_zero();
  sample_neighbours(x, offsets, &value[0], &value[2]);
  sample_neighbours(x, offsets + stride, &value[1], &value[3]);
  UNROLL
  for (int t = 0; t < 4; t++) sum = vf_fma(weights[t], value[t], sum);
  return sum;
}

/* n points, n <= VF_LANES. */
INLINE vf sample_some(const float *x, const int32_t *offsets, const float *weights, size_t taps, size_t stride,
                      size_t n) {
  vf sum = vf_zero();
  for (size_t t = 0; t < taps; t++)
    sum = vf_fma(vf_load_n(weights + t * stride, n), sample_gather(x, offsets + t * stride, n), sum);
  return sum;
}

static void sample_points_f32(float *y, const float *x, const struct sample_planes *planes, const int32_t *offsets,
                              const float *weights, size_t taps, size_t stride, size_t n) {
  for (size_t i = 0; i < n; i += VF_LANES, offsets += VF_LANES, weights += VF_LANES) {
    const size_t left = n - i < VF_LANES ? n - i : VF_LANES;
    if (taps == 4 && left == VF_LANES && sample_has_neighbours(offsets, stride)) {
      vf factors[4];
      UNROLL
      for (size_t t = 0; t < 4; t++) factors[t] = vf_load(weights + t * stride);
      for (size_t plane = 0; plane < planes->count; plane++)
        vf_store(y + plane * planes->y_step + i, sample_linear(x + plane * planes->x_step, offsets, factors, stride));
      continue;
    }
    for (size_t plane = 0; plane < planes->count; plane++)
      vf_store_n(y + plane * planes->y_step + i,
                 sample_some(x + plane * planes->x_step, offsets, weights, taps, stride, left), left);
  }
}
