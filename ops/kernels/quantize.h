/* Between float and integers of 8 bits, element by element: part of kernel_table_isa.c and of overrides. */

/* ---- vectors of bytes ---- */

/* A vector of bytes as numbers of that type. */
INLINE vi vi_load_8bit(const void *x, norma_element_type type) {
  const vi bytes = vi_load_bytes(x);
  return type == NORMA_INT8 ? (bytes ^ 0x80) - 0x80 : bytes;
}

/* The first n, 0 behind them. */
INLINE vi vi_load_8bit_n(const void *x, size_t n, norma_element_type type) {
  uint8_t bytes[VF_LANES] = {0};
  memcpy(bytes, x, n);
  return vi_load_8bit(bytes, type);
}

INLINE void vi_store_low_bytes_n(uint8_t *y, vi x, size_t n) {
  uint8_t bytes[VF_LANES];
  vi_store_low_bytes(bytes, x);
  memcpy(y, bytes, n);
}

/* What does not saturate, before the zero point is added. */
struct quantized_range {
  float low, high;
  int32_t zero;
};

INLINE struct quantized_range quantized_range_of(norma_element_type type, int32_t zero) {
  const int32_t lowest = type == NORMA_INT8 ? -128 : 0;
  return (struct quantized_range){(float)(lowest - zero), (float)(lowest + 255 - zero), zero};
}

/* Rounded, halves to even, and limited; NaN becomes the lowest number. Without the zero point. */
INLINE vi vi_quantized(vf x, const struct quantized_range *range) {
  const vf low = vf_set1(range->low);
  return vi_from_vf(vf_min(vf_set1(range->high), vf_select(vf_lt(low, x), x, low)));
}

/* ---- arrays ---- */
static void quantize_f32(void *y, const float *x, size_t n, float scale, int32_t zero, norma_element_type type) {
  const struct quantized_range range = quantized_range_of(type, zero);
  const vf divisor = vf_set1(scale);
  uint8_t *to = y;
  size_t i = 0;
  for (; i + VF_LANES <= n; i += VF_LANES)
    vi_store_low_bytes(to + i, vi_quantized(vf_load(x + i) / divisor, &range) + zero);
  if (i < n) vi_store_low_bytes_n(to + i, vi_quantized(vf_load_n(x + i, n - i) / divisor, &range) + zero, n - i);
}

static void dequantize_f32(float *y, const void *x, size_t n, float scale, int32_t zero, norma_element_type type) {
  const vf factor = vf_set1(scale);
  const uint8_t *from = x;
  size_t i = 0;
  for (; i + VF_LANES <= n; i += VF_LANES) vf_store(y + i, vf_from_vi(vi_load_8bit(from + i, type) - zero) * factor);
  if (i < n) vf_store_n(y + i, vf_from_vi(vi_load_8bit_n(from + i, n - i, type) - zero) * factor, n - i);
}
