/* Channel blocks, pixel by pixel: sums, scale and shift, changes of layout: part of kernel_table_isa.c. */

/* Pixels are dealt out to four sums, which are added at the end: pieces of SUM_STEPS for each, like the sums of
 * reduce.h. */
INLINE vf blocked_sum_piece(const float *x, size_t pixels) {
  vf sum[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
  size_t p = 0;
  for (; p + 4 <= pixels; p += 4) {
    UNROLL
    for (int i = 0; i < 4; i++) sum[i] += vf_load(x + (p + i) * VF_LANES);
  }
  for (; p < pixels; p++) sum[0] += vf_load(x + p * VF_LANES);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void blocked_sum_f32(float *y, const float *x, size_t pixels) {
  const size_t piece = 4 * SUM_STEPS;
  if (pixels <= piece) {
    vf_store(y, blocked_sum_piece(x, pixels));
    return;
  }
  vd total[2] = {vd_set1(0), vd_set1(0)};
  for (size_t p = 0; p < pixels; p += piece)
    vd_add_lanes(total, blocked_sum_piece(x + p * VF_LANES, pixels - p < piece ? pixels - p : piece));
  vf_store(y, vf_from_lanes(total));
}

/* Activations that are no clamp run over short pieces that the first-level cache still holds. */
static void blocked_affine_f32(float *y, const float *x, const float *residual, size_t pixels, const float *scale,
                               const float *shift, struct activation activation) {
  enum { POINTWISE_PIECE = 64 };
  const struct pointwise_end end = pointwise_end_of(activation);
  const vf factor = vf_load(scale), term = vf_load(shift);
  for (size_t begin = 0; begin < pixels; begin += POINTWISE_PIECE) {
    const size_t stop = (pixels - begin < POINTWISE_PIECE ? pixels : begin + POINTWISE_PIECE) * VF_LANES;
    for (size_t i = begin * VF_LANES; i < stop; i += VF_LANES) {
      const vf sum = vf_fma(vf_load(x + i), factor, term);
      vf_store(y + i, affine_finish(&end, sum, residual ? vf_load(residual + i) : -vf_zero()));
    }
    if (end.function)
      end.function(y + begin * VF_LANES, y + begin * VF_LANES, stop - begin * VF_LANES, activation.a, activation.b);
  }
}

/* Four planes become four lanes, or the other way round, at four pixels at a time. */
static void block_channels_f32(float *y, const float *x, size_t channels, size_t pixels) {
  const size_t whole = pixels / 4 * 4;
  for (size_t p = 0; p < whole; p += 4) {
    UNROLL
    for (size_t c = 0; c < VF_LANES; c += 4) {
      v4f rows[4];
      UNROLL
      for (size_t i = 0; i < 4; i++) rows[i] = c + i < channels ? v4f_load(x + (c + i) * pixels + p) : (v4f){0};
      v4f_transpose(rows);
      UNROLL
      for (size_t i = 0; i < 4; i++) v4f_store(y + (p + i) * VF_LANES + c, rows[i]);
    }
  }
  for (size_t p = whole; p < pixels; p++)
    for (size_t c = 0; c < VF_LANES; c++) y[p * VF_LANES + c] = c < channels ? x[c * pixels + p] : 0;
}

static void unblock_channels_f32(float *y, const float *x, size_t channels, size_t pixels) {
  const size_t whole = pixels / 4 * 4;
  for (size_t c = 0; c < channels; c += 4) {
    const size_t planes = channels - c < 4 ? channels - c : 4;
    for (size_t p = 0; p < whole; p += 4) {
      v4f rows[4];
      UNROLL
      for (size_t i = 0; i < 4; i++) rows[i] = v4f_load(x + (p + i) * VF_LANES + c);
      v4f_transpose(rows);
      UNROLL
      for (size_t i = 0; i < 4; i++)
        if (i < planes) v4f_store(y + (c + i) * pixels + p, rows[i]);
    }
    for (size_t p = whole; p < pixels; p++)
      for (size_t i = 0; i < planes; i++) y[(c + i) * pixels + p] = x[p * VF_LANES + c + i];
  }
}

enum { BLOCKED_CONVERTED_PIXELS = 64 }; /* a block of them fits the first-level cache twice */

static void block_channels_8bit(uint8_t *y, const uint8_t *x, size_t channels, size_t pixels) {
  if (channels < 16) memset(y, 0, 16 * pixels);
  transpose_8bit(y, 16, x, pixels, channels, pixels);
}

static void block_channels(void *y, const void *x, size_t channels, size_t pixels, norma_element_type type) {
  float planes[VF_LANES * BLOCKED_CONVERTED_PIXELS], block[VF_LANES * BLOCKED_CONVERTED_PIXELS];
  if (type == NORMA_FLOAT) {
    block_channels_f32(y, x, channels, pixels);
    return;
  }
  if (type == NORMA_INT8 || type == NORMA_UINT8) {
    block_channels_8bit(y, x, channels, pixels);
    return;
  }
  for (size_t p = 0; p < pixels; p += BLOCKED_CONVERTED_PIXELS) {
    const size_t some = pixels - p < BLOCKED_CONVERTED_PIXELS ? pixels - p : BLOCKED_CONVERTED_PIXELS;
    for (size_t c = 0; c < channels; c++)
      widen(planes + c * some, const_element_at(x, c * pixels + p, type), some, type);
    block_channels_f32(block, planes, channels, some);
    narrow(element_at(y, p * VF_LANES, type), block, some * VF_LANES, type);
  }
}

static void unblock_channels(void *y, const void *x, size_t channels, size_t pixels, norma_element_type type) {
  float planes[VF_LANES * BLOCKED_CONVERTED_PIXELS], block[VF_LANES * BLOCKED_CONVERTED_PIXELS];
  if (type == NORMA_FLOAT) {
    unblock_channels_f32(y, x, channels, pixels);
    return;
  }
  if (type == NORMA_INT8 || type == NORMA_UINT8) {
    transpose_8bit(y, pixels, x, 16, pixels, channels);
    return;
  }
  for (size_t p = 0; p < pixels; p += BLOCKED_CONVERTED_PIXELS) {
    const size_t some = pixels - p < BLOCKED_CONVERTED_PIXELS ? pixels - p : BLOCKED_CONVERTED_PIXELS;
    widen(block, const_element_at(x, p * VF_LANES, type), some * VF_LANES, type);
    unblock_channels_f32(planes, block, channels, some);
    for (size_t c = 0; c < channels; c++) narrow(element_at(y, c * pixels + p, type), planes + c * some, some, type);
  }
}

static void blocked_copy_lanes_f32(float *y, const float *x, size_t lanes, size_t pixels) {
  for (size_t p = 0; p < pixels; p++) vf_store_n(y + p * VF_LANES, vf_load_n(x + p * VF_LANES, lanes), lanes);
}
