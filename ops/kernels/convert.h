/* Conversion of half and bfloat16: part of kernel_table_isa.c. */

/* ---- factors ---- */

/* The larger of magnitudes as bits: NaN above infinity above all numbers. */
INLINE vi_half larger_magnitude(vi_half a, vf_half_in_memory x) {
  return vi_half_max(a, (vi_half)x & 0x7fffffff);
}

INLINE float largest_magnitude_of(vi_half bits) {
  int32_t largest = 0;
  float result;
  for (size_t i = 0; i < VD_LANES; i++) largest = bits[i] > largest ? bits[i] : largest;
  memcpy(&result, &largest, sizeof result);
  return result;
}

INLINE void scale_half(float *y, const float *x, vd factor) {
  *(vf_half_in_memory *)y = __builtin_convertvector(vd_load_f32(x) * factor, vf_half_in_memory);
}

static void scale_f32(float *y, const float *x, size_t n, double factor) {
  const vd by = vd_set1(factor);
  size_t i = 0;
  for (; i + VD_LANES <= n; i += VD_LANES) scale_half(y + i, x + i, by);
  if (i < n) {
    float padded[VD_LANES] = {0};
    memcpy(padded, x + i, (n - i) * sizeof *x);
    scale_half(padded, padded, by);
    memcpy(y + i, padded, (n - i) * sizeof *y);
  }
}

static float magnitude_f32(const float *x, size_t n) {
  vi_half largest = {0}, second = {0};
  size_t i = 0;
  for (; i + 2 * VD_LANES <= n; i += 2 * VD_LANES) {
    largest = larger_magnitude(largest, *(const vf_half_in_memory *)(x + i));
    second = larger_magnitude(second, *(const vf_half_in_memory *)(x + i + VD_LANES));
  }
  for (; i < n; i += VD_LANES) {
    float padded[VD_LANES] = {0};
    memcpy(padded, x + i, (n - i < VD_LANES ? n - i : VD_LANES) * sizeof *x);
    largest = larger_magnitude(largest, *(const vf_half_in_memory *)padded);
  }
  return largest_magnitude_of(larger_magnitude(largest, (vf_half_in_memory)second));
}

/* ---- half precision ---- */
INLINE vf vf_from_bf16(vh x) {
  return (vf)(__builtin_convertvector(x, vu) << 16);
}

INLINE vh vf_to_bf16(vf x) {
  const vu bits = (vu)x;
  const vu rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const vu quiet = (bits >> 16) | 0x40u;
  return __builtin_convertvector((vu)vi_select(vf_is_nan(x), (vi)quiet, (vi)rounded), vh);
}

/* Both directions over arrays; the rest goes through a buffer of one vector. */
#define CONVERT_FUNCTIONS(name, from, to)                                                                              \
  static void name##_to_f32(float *y, const uint16_t *x, size_t n) {                                                   \
    size_t i = 0;                                                                                                      \
    for (; i + VF_LANES <= n; i += VF_LANES) vf_store(y + i, from(*(const vh_in_memory *)(x + i)));                    \
    if (i < n) {                                                                                                       \
      vh rest = {0};                                                                                                   \
      memcpy(&rest, x + i, (n - i) * sizeof *x);                                                                       \
      vf_store_n(y + i, from(rest), n - i);                                                                            \
    }                                                                                                                  \
  }                                                                                                                    \
  static void f32_to_##name(uint16_t *y, const float *x, size_t n) {                                                   \
    size_t i = 0;                                                                                                      \
    for (; i + VF_LANES <= n; i += VF_LANES) *(vh_in_memory *)(y + i) = to(vf_load(x + i));                            \
    if (i < n) {                                                                                                       \
      const vh rest = to(vf_load_n(x + i, n - i));                                                                     \
      memcpy(y + i, &rest, (n - i) * sizeof *y);                                                                       \
    }                                                                                                                  \
  }

CONVERT_FUNCTIONS(f16, vf_from_f16, vf_to_f16)
CONVERT_FUNCTIONS(bf16, vf_from_bf16, vf_to_bf16)

/* ---- arrays of any type that is computed in float: FLOAT, FLOAT16, BFLOAT16 ---- */
INLINE size_t float_bytes(norma_element_type type) {
  return type == NORMA_FLOAT ? sizeof(float) : sizeof(uint16_t);
}

INLINE const void *const_element_at(const void *x, size_t elements, norma_element_type type) {
  return x ? (const char *)x + elements * float_bytes(type) : NULL;
}

INLINE void *element_at(void *y, size_t elements, norma_element_type type) {
  return y ? (char *)y + elements * float_bytes(type) : NULL;
}

/* A vector of elements `index` and following. */
INLINE vf vf_load_as(const void *x, size_t index, norma_element_type type) {
  const void *from = const_element_at(x, index, type);
  if (type == NORMA_FLOAT) return vf_load(from);
  const vh half = *(const vh_in_memory *)from;
  return type == NORMA_FLOAT16 ? vf_from_f16(half) : vf_from_bf16(half);
}

INLINE float load_as(const void *x, size_t index, norma_element_type type) {
  if (type == NORMA_FLOAT) return ((const float *)x)[index];
  const vh half = {((const uint16_t *)x)[index]};
  return (type == NORMA_FLOAT16 ? vf_from_f16(half) : vf_from_bf16(half))[0];
}

INLINE void widen(float *y, const void *x, size_t n, norma_element_type type) {
  if (type == NORMA_FLOAT) {
    memcpy(y, x, n * sizeof *y);
  } else if (type == NORMA_FLOAT16) {
    f16_to_f32(y, x, n);
  } else {
    bf16_to_f32(y, x, n);
  }
}

INLINE void narrow(void *y, const float *x, size_t n, norma_element_type type) {
  if (type == NORMA_FLOAT) {
    memcpy(y, x, n * sizeof *x);
  } else if (type == NORMA_FLOAT16) {
    f32_to_f16(y, x, n);
  } else {
    f32_to_bf16(y, x, n);
  }
}
