/* Vectors between float, int32 and integers of 8 bits: part of quantize.h and of overrides. */

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
