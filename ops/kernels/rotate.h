/* Rotary position embedding of a row: part of kernel_table_isa.c. */

#if VF_LANES == 16
#define ROTATE_LOW  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define ROTATE_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif VF_LANES == 8
#define ROTATE_LOW  0, 8, 1, 9, 2, 10, 3, 11
#define ROTATE_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define ROTATE_LOW  0, 4, 1, 5
#define ROTATE_HIGH 2, 6, 3, 7
#endif

INLINE void rotate_pair(vf x[2], vf cos, vf sin) {
  const vf real = vf_fma(x[0], cos, -(x[1] * sin)), imaginary = vf_fma(x[0], sin, x[1] * cos);
  x[0] = real;
  x[1] = imaginary;
}

static void rotate_halves_f32(float *y, const float *x, const float *cos, const float *sin, size_t half) {
  for (size_t i = 0; i < half; i += VF_LANES) {
    const size_t lanes = half - i < VF_LANES ? half - i : VF_LANES;
    if (lanes == VF_LANES) {
      vf pair[2] = {vf_load(x + i), vf_load(x + half + i)};
      rotate_pair(pair, vf_load(cos + i), vf_load(sin + i));
      vf_store(y + i, pair[0]);
      vf_store(y + half + i, pair[1]);
    } else {
      vf pair[2] = {vf_load_n(x + i, lanes), vf_load_n(x + half + i, lanes)};
      rotate_pair(pair, vf_load_n(cos + i, lanes), vf_load_n(sin + i, lanes));
      vf_store_n(y + i, pair[0], lanes);
      vf_store_n(y + half + i, pair[1], lanes);
    }
  }
}

static void rotate_neighbours_f32(float *y, const float *x, const float *cos, const float *sin, size_t half) {
  for (size_t i = 0; i < half; i += VF_LANES) {
    const size_t lanes = half - i < VF_LANES ? half - i : VF_LANES;
    float rest[2 * VF_LANES] = {0};
    const float *from = x + 2 * i;
    if (lanes < VF_LANES) from = memcpy(rest, from, 2 * lanes * sizeof *from);
    const vf low = vf_load(from), high = vf_load(from + VF_LANES);
    vf pair[2] = {vf_even(low, high), vf_odd(low, high)};
    rotate_pair(pair, lanes == VF_LANES ? vf_load(cos + i) : vf_load_n(cos + i, lanes),
                lanes == VF_LANES ? vf_load(sin + i) : vf_load_n(sin + i, lanes));
    float *to = lanes == VF_LANES ? y + 2 * i : rest;
    vf_store(to, __builtin_shufflevector(pair[0], pair[1], ROTATE_LOW));
    vf_store(to + VF_LANES, __builtin_shufflevector(pair[0], pair[1], ROTATE_HIGH));
    if (lanes < VF_LANES) memcpy(y + 2 * i, rest, 2 * lanes * sizeof *y);
  }
}

static void rotate_f32(float *y, const float *x, const float *cos, const float *sin, size_t half, bool neighbours) {
  (neighbours ? rotate_neighbours_f32 : rotate_halves_f32)(y, x, cos, sin, half);
}
