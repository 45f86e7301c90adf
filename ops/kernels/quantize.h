/* Between float and integers of 8 bits, element by element: part of kernel_table_isa.c. */

#include "quantize_vectors.h"

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

/* ---- sums, products, functions ---- */
struct binary_8bit_vectors {
  vf a_factor, b_factor;
  struct quantized_range range;
};

INLINE struct binary_8bit_vectors binary_8bit_vectors_of(const struct binary_8bit *of) {
  return (struct binary_8bit_vectors){
      .a_factor = vf_set1(of->a_factor),
      .b_factor = vf_set1(of->b_factor),
      .range = {(float)(of->low - of->zero), (float)(of->high - of->zero), of->zero},
  };
}

/* a and b without their zero points. */
INLINE vi vi_sum_8bit(const struct binary_8bit_vectors *of, vi a, vi b) {
  const vf left = vf_from_vi(a) * of->a_factor, right = vf_from_vi(b) * of->b_factor;
  return vi_quantized(left + right, &of->range) + of->range.zero;
}

INLINE vi vi_product_8bit(const struct binary_8bit_vectors *of, vi a, vi b) {
  return vi_quantized(vf_from_vi(a * b) * of->a_factor, &of->range) + of->range.zero;
}

#define BINARY_8BIT_FUNCTION(name)                                                                                     \
  static void name##_8bit(void *y, const void *a, const void *b, size_t n, const struct binary_8bit *of) {             \
    const struct binary_8bit_vectors vectors = binary_8bit_vectors_of(of);                                             \
    const uint8_t *left = a, *right = b;                                                                               \
    uint8_t *to = y;                                                                                                   \
    size_t i = 0;                                                                                                      \
    for (; i + VF_LANES <= n; i += VF_LANES) {                                                                         \
      const vi x = vi_load_8bit(left + i, of->a_type) - of->a_zero,                                                    \
               z = vi_load_8bit(right + i, of->b_type) - of->b_zero;                                                   \
      vi_store_low_bytes(to + i, vi_##name##_8bit(&vectors, x, z));                                                    \
    }                                                                                                                  \
    if (i == n) return;                                                                                                \
    const vi x = vi_load_8bit_n(left + i, n - i, of->a_type) - of->a_zero;                                             \
    const vi z = vi_load_8bit_n(right + i, n - i, of->b_type) - of->b_zero;                                            \
    vi_store_low_bytes_n(to + i, vi_##name##_8bit(&vectors, x, z), n - i);                                             \
  }

BINARY_8BIT_FUNCTION(sum)
BINARY_8BIT_FUNCTION(product)

/* ---- rows under windows ---- */
static void taps_8bit(void *y, size_t n, const struct taps_8bit *of) {
  const struct quantized_range range = {(float)(of->low - of->zero), (float)(of->high - of->zero), of->zero};
  const size_t size = of->y_type == NORMA_INT32 ? 4 : 1;
  uint8_t *to = y;
  for (size_t i = 0; i < n; i += VF_LANES) {
    const size_t lanes = n - i < VF_LANES ? n - i : VF_LANES;
    vu sum = (vu)vi_set1(of->bias);
    for (size_t t = 0; t < of->taps; t++) sum += (vu)vi_load_8bit(of->x[t] + i, of->x_type) * (vu)vi_set1(of->w[t]);
    if (size == 4) {
      memcpy(to + 4 * i, &sum, 4 * lanes);
      continue;
    }
    const vi quantized = vi_quantized(vf_from_vi((vi)sum) * of->scale, &range) + of->zero;
    if (lanes == VF_LANES)
      vi_store_low_bytes(to + i, quantized);
    else
      vi_store_low_bytes_n(to + i, quantized, lanes);
  }
}

/* Signed numbers are compared as unsigned ones 128 above them. */
static void maximum_8bit(void *y, size_t n, const uint8_t *const *x, size_t rows, norma_element_type type) {
  const uint8_t flip = type == NORMA_INT8 ? 128 : 0;
  uint8_t *to = y;
  for (size_t i = 0; i < n; i += 16) {
    const size_t count = n - i < 16 ? n - i : 16;
    v16b largest = *(const v16b_in_memory *)(x[0] + i) ^ flip;
    for (size_t r = 1; r < rows; r++) {
      const v16b other = *(const v16b_in_memory *)(x[r] + i) ^ flip;
      const v16b is_larger = (v16b)(other > largest);
      largest = (other & is_larger) | (largest & ~is_larger);
    }
    largest ^= flip;
    memcpy(to + i, &largest, count);
  }
}

/* ---- transposition ---- */

/* Sixteen rows of sixteen bytes: each of the four rounds interleaves row i with row i + 8. */
INLINE void transpose_sixteen_8bit(uint8_t *y, size_t y_stride, const uint8_t *x, size_t x_stride) {
  v16b from[16], to[16];
  UNROLL
  for (size_t i = 0; i < 16; i++) from[i] = *(const v16b_in_memory *)(x + i * x_stride);
  UNROLL
  for (int round = 0; round < 4; round++) {
    UNROLL
    for (size_t i = 0; i < 8; i++) {
      to[2 * i] = __builtin_shufflevector(from[i], from[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      to[2 * i + 1] =
          __builtin_shufflevector(from[i], from[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    UNROLL
    for (size_t i = 0; i < 16; i++) from[i] = to[i];
  }
  UNROLL
  for (size_t i = 0; i < 16; i++) *(v16b_in_memory *)(y + i * y_stride) = from[i];
}

static void transpose_8bit(uint8_t *y, size_t y_stride, const uint8_t *x, size_t x_stride, size_t rows,
                           size_t columns) {
  size_t j = 0;
  for (; j + 16 <= columns; j += 16) {
    size_t i = 0;
    for (; i + 16 <= rows; i += 16)
      transpose_sixteen_8bit(y + j * y_stride + i, y_stride, x + i * x_stride + j, x_stride);
    for (; i < rows; i++)
      for (size_t k = j; k < j + 16; k++) y[k * y_stride + i] = x[i * x_stride + k];
  }
  for (; j < columns; j++)
    for (size_t i = 0; i < rows; i++) y[j * y_stride + i] = x[i * x_stride + j];
}

/* ---- tables ---- */
/* Eight bytes at a time, so that loads of words need not wait for stores of bytes. */
static void lookup_8bit(void *y, const void *x, size_t n, const uint8_t table[256]) {
  const uint8_t *from = x;
  uint8_t *to = y;
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint8_t bytes[8], results[8];
    memcpy(bytes, from + i, 8);
    UNROLL
    for (size_t k = 0; k < 8; k++) results[k] = table[bytes[k]];
    memcpy(to + i, results, 8);
  }
  for (; i < n; i++) to[i] = table[from[i]];
}
