/* Matrix products with weights of 2, 4 or 8 bits: part of kernel_table_isa.c. The contract stands in kernel_table.h.
 *
 * Columns are cut in panels of VF_LANES, one for each lane. A panel is a run of groups, one for each block of depth
 * that shares scales:
 *
 *   weights     [block * bits / 32][lane], 32 bits each: 32 / bits steps of depth. In each byte, from the low bits on,
 *   are
 *               the steps j, j + 4, j + 8, ..., where j is the number of the byte. So a mask and a shift give four
 *               neighbouring steps of all lanes, as products of bytes want them.
 *   scales      [lane] float
 *   zeros       [lane] float, unless all are `zero`
 */

#define NBITS_CHUNK GEMM_DEPTH_BLOCK /* steps of depth that one sum of float takes; a multiple of 16 */

INLINE size_t nbits_words(const struct nbits *nbits) {
  return nbits->block * nbits->bits / 32;
}

static size_t nbits_panels(const struct nbits *nbits) {
  return (nbits->n + VF_LANES - 1) / VF_LANES;
}

static size_t nbits_group_bytes(const struct nbits *nbits) {
  return (nbits_words(nbits) + (nbits->has_zeros ? 2 : 1)) * VECTOR_BYTES;
}

static size_t nbits_blocks(const struct nbits *nbits) {
  return (nbits->k + nbits->block - 1) / nbits->block;
}

static size_t nbits_packed_size(const struct nbits *nbits) {
  return nbits_panels(nbits) * nbits_blocks(nbits) * nbits_group_bytes(nbits);
}

/* ---- packing ---- */

/* The word of steps 32 / bits * word and on of a block, whose bytes hold steps in order. */
static uint32_t nbits_word(const uint8_t *block, size_t word, size_t bits) {
  const size_t steps = 32 / bits, per_byte = 8 / bits;
  const uint32_t mask = (1u << bits) - 1;
  uint32_t packed = 0;
  for (size_t s = 0; s < steps; s++) {
    const size_t step = word * steps + s;
    const uint32_t value = (uint32_t)(block[step / per_byte] >> (step % per_byte * bits)) & mask;
    packed |= value << (s % 4 * 8 + s / 4 * bits);
  }
  return packed;
}

static void nbits_pack(const struct nbits *nbits, void *packed, size_t panel, size_t first, size_t count,
                       const uint8_t *weights, const float *scales, const float *zeros) {
  const size_t blocks = nbits_blocks(nbits), words = nbits_words(nbits), bytes = nbits->block * nbits->bits / 8;
  const size_t left = nbits->n - panel * VF_LANES, columns = left < VF_LANES ? left : VF_LANES;
  for (size_t b = 0; b < count; b++) {
    char *group = (char *)packed + (panel * blocks + first + b) * nbits_group_bytes(nbits);
    uint32_t *word = (uint32_t *)(void *)group;
    float *scale = (float *)(void *)(group + words * VECTOR_BYTES), *zero = scale + VF_LANES;
    memset(group, 0, nbits_group_bytes(nbits));
    for (size_t lane = 0; lane < columns; lane++) {
      const uint8_t *from = weights + (lane * blocks + first + b) * bytes;
      for (size_t w = 0; w < words; w++) word[w * VF_LANES + lane] = nbits_word(from, w, nbits->bits);
      scale[lane] = scales[lane * count + b];
      if (nbits->has_zeros) zero[lane] = zeros[lane * count + b];
    }
  }
}

/* ---- weights as float ---- */
struct nbits_group {
  const uint32_t *words;
  vf scales, zeros;
};

INLINE struct nbits_group nbits_group_at(const struct nbits *nbits, size_t panel, size_t block) {
  const char *group = (const char *)nbits->packed + (panel * nbits_blocks(nbits) + block) * nbits_group_bytes(nbits);
  const float *scales = (const float *)(const void *)(group + nbits_words(nbits) * VECTOR_BYTES);
  return (struct nbits_group){.words = (const uint32_t *)(const void *)group,
                              .scales = vf_load(scales),
                              .zeros = nbits->has_zeros ? vf_load(scales + VF_LANES) : vf_set1(nbits->zero)};
}

INLINE vi vi_load_words(const uint32_t *p) {
  vi x;
  memcpy(&x, p, sizeof x);
  return x;
}

/* Step `step` of the words of all lanes less the zero. `plain`: all zeros are nbits->zero, which a table subtracts. */
INLINE vf nbits_number(vi words, size_t step, vf zeros, vf table, const bool plain, const int bits) {
  const vi shifted = (vi)((vu)words >> (uint32_t)(step % 4 * 8 + step / 4 * (size_t)bits));
#if VF_LANES == 16 /* as many as there are numbers of 4 bits */
  if (plain && bits == 4) return vf_look_up(table, shifted);
  if (plain && bits == 2) return vf_look_up(table, shifted & 3);
#else
  (void)plain, (void)table;
#endif
  return vf_from_vi(shifted & ((1 << bits) - 1)) - zeros;
}

INLINE vf nbits_table(const struct nbits *nbits) {
  vf table = {0};
  for (int i = 0; i < VF_LANES; i++) table[i] = (float)i - nbits->zero;
  return table;
}

/* y[p][lane] = scale * (number - zero) for steps first .. first + count - 1 of a panel; first is a multiple of 16. */
INLINE void nbits_dequantize_body(const struct nbits *nbits, size_t panel, size_t first, size_t count, float *y,
                                  size_t y_stride, const bool plain, const int bits) {
  const size_t steps = 32 / (size_t)bits;
  const vf table = nbits_table(nbits);
  for (size_t p = 0; p < count;) {
    const size_t block = (first + p) / nbits->block, at = (first + p) % nbits->block;
    const struct nbits_group group = nbits_group_at(nbits, panel, block);
    size_t left = nbits->block - at;
    if (left > count - p) left = count - p;
    for (size_t s = 0; s < left; s += steps) {
      const vi words = vi_load_words(group.words + (at + s) / steps * VF_LANES);
      UNROLL
      for (size_t i = 0; i < steps; i++) {
        if (s + i < left)
          vf_store(y + (p + s + i) * y_stride, nbits_number(words, i, group.zeros, table, plain, bits) * group.scales);
      }
    }
    p += left;
  }
}

static void nbits_dequantize(const struct nbits *nbits, size_t panel, size_t first, size_t count, float *y,
                             size_t y_stride) {
  if (nbits->bits == 4 && !nbits->has_zeros)
    nbits_dequantize_body(nbits, panel, first, count, y, y_stride, true, 4);
  else if (nbits->bits == 4)
    nbits_dequantize_body(nbits, panel, first, count, y, y_stride, false, 4);
  else if (nbits->bits == 8)
    nbits_dequantize_body(nbits, panel, first, count, y, y_stride, false, 8);
  else
    nbits_dequantize_body(nbits, panel, first, count, y, y_stride, false, 2);
}

/* ---- few rows in float ----
 * As gemm_f32 on chunks of depth, each of which is one block of it and adds what stands in c. */
#define NBITS_FEW    4 /* rows that share what is read */
#define NBITS_PANELS 4 /* panels side by side, for independent sums */

/* sum[r][v] += the products of step `step` of words; a is the row's element there. */
INLINE void nbits_multiply(vf sum[NBITS_FEW][NBITS_PANELS], const float *a, size_t a_stride, vi words[NBITS_PANELS],
                           const struct nbits_group group[NBITS_PANELS], size_t step, vf table, const int rows,
                           const int panels, const bool plain, const int bits) {
  UNROLL
  for (int v = 0; v < panels; v++) {
    const vf weight = nbits_number(words[v], step, group[v].zeros, table, plain, bits) * group[v].scales;
    UNROLL
    for (int r = 0; r < rows; r++) sum[r][v] = vf_fma(vf_set1(a[(size_t)r * a_stride]), weight, sum[r][v]);
  }
}

INLINE void nbits_few_body(const struct nbits *nbits, const float *a, size_t a_stride, float *c, size_t c_stride,
                           size_t panel, const int rows, const int panels, const bool plain, const int bits) {
  const size_t steps = 32 / (size_t)bits, k = nbits->k;
  const vf table = nbits_table(nbits);
  for (size_t p = 0; p < k || p == 0; p += NBITS_CHUNK) {
    const size_t end = k - p < NBITS_CHUNK ? k : p + NBITS_CHUNK;
    vf sum[NBITS_FEW][NBITS_PANELS];
    UNROLL
    for (int r = 0; r < rows; r++) {
      UNROLL
      for (int v = 0; v < panels; v++) sum[r][v] = vf_zero();
    }
    for (size_t q = p; q < end;) {
      const size_t block = q / nbits->block, at = q % nbits->block;
      const size_t rest = nbits->block - at, here = end - q < rest ? end - q : rest;
      struct nbits_group group[NBITS_PANELS];
      UNROLL
      for (int v = 0; v < panels; v++) group[v] = nbits_group_at(nbits, panel + (size_t)v, block);
      for (size_t s = 0; s < here; s += steps) {
        vi words[NBITS_PANELS];
        UNROLL
        for (int v = 0; v < panels; v++) words[v] = vi_load_words(group[v].words + (at + s) / steps * VF_LANES);
        if (here - s >= steps) {
          UNROLL
          for (size_t i = 0; i < steps; i++)
            nbits_multiply(sum, a + q + s + i, a_stride, words, group, i, table, rows, panels, plain, bits);
        } else {
          for (size_t i = 0; i < here - s; i++)
            nbits_multiply(sum, a + q + s + i, a_stride, words, group, i, table, rows, panels, plain, bits);
        }
      }
      q += here;
    }
    UNROLL
    for (int v = 0; v < panels; v++) {
      const size_t column = (panel + (size_t)v) * VF_LANES, left = nbits->n - column;
      const size_t lanes = left < VF_LANES ? left : VF_LANES;
      UNROLL
      for (int r = 0; r < rows; r++) {
        float *to = c + (size_t)r * c_stride + column;
        vf result = sum[r][v];
        if (nbits->bias && end == k) result += vf_load_n(nbits->bias + column, lanes);
        if (p > 0) result += vf_load_n(to, lanes);
        vf_store_n(to, result, lanes);
      }
    }
  }
}

/* `kind`: p where all zeros are the same, z where each block has its own. */
#define NBITS_INSTANCE(rows, panels, bits, kind, plain)                                                                \
  static void nbits_few_##rows##x##panels##_##bits##kind(const struct nbits *nbits, const float *a, size_t a_stride,   \
                                                         float *c, size_t c_stride, size_t panel) {                    \
    nbits_few_body(nbits, a, a_stride, c, c_stride, panel, rows, panels, plain, bits);                                 \
  }
#define NBITS_INSTANCES(bits, kind, plain)                                                                             \
  NBITS_INSTANCE(1, 1, bits, kind, plain)                                                                              \
  NBITS_INSTANCE(1, 4, bits, kind, plain)                                                                              \
  NBITS_INSTANCE(2, 1, bits, kind, plain)                                                                              \
  NBITS_INSTANCE(2, 4, bits, kind, plain)                                                                              \
  NBITS_INSTANCE(4, 1, bits, kind, plain)                                                                              \
  NBITS_INSTANCE(4, 4, bits, kind, plain)
NBITS_INSTANCES(2, p, true)
NBITS_INSTANCES(2, z, false)
NBITS_INSTANCES(4, p, true)
NBITS_INSTANCES(4, z, false)
NBITS_INSTANCES(8, z, false)
#undef NBITS_INSTANCE
#undef NBITS_INSTANCES

typedef void nbits_few_function(const struct nbits *nbits, const float *a, size_t a_stride, float *c, size_t c_stride,
                                size_t panel);
typedef nbits_few_function *nbits_few_table[3][2]; /* [1, 2 or 4 rows][1 or 4 panels] */
#define NBITS_NAMES(rows, suffix)                                                                                      \
  { nbits_few_##rows##x1_##suffix, nbits_few_##rows##x4_##suffix }
#define NBITS_ROWS_OF(suffix)                                                                                          \
  { NBITS_NAMES(1, suffix), NBITS_NAMES(2, suffix), NBITS_NAMES(4, suffix) }
static const nbits_few_table nbits_few_2p = NBITS_ROWS_OF(2p), nbits_few_2z = NBITS_ROWS_OF(2z);
static const nbits_few_table nbits_few_4p = NBITS_ROWS_OF(4p), nbits_few_4z = NBITS_ROWS_OF(4z);
static const nbits_few_table nbits_few_8z = NBITS_ROWS_OF(8z);
#undef NBITS_NAMES
#undef NBITS_ROWS_OF

static void nbits_few_f32(const struct nbits *nbits, const float *a, size_t a_stride, size_t rows, float *c,
                          size_t c_stride, size_t panel_begin, size_t panel_end) {
  const nbits_few_table *table = nbits->bits == 8                       ? &nbits_few_8z
                                 : nbits->bits == 4 && nbits->has_zeros ? &nbits_few_4z
                                 : nbits->bits == 4                     ? &nbits_few_4p
                                 : nbits->has_zeros                     ? &nbits_few_2z
                                                                        : &nbits_few_2p;
  for (size_t row = 0, group; row < rows; row += group) {
    group = rows - row >= 4 ? 4 : rows - row >= 2 ? 2 : 1;
    for (size_t panel = panel_begin, panels; panel < panel_end; panel += panels) {
      panels = panel_end - panel >= NBITS_PANELS ? NBITS_PANELS : 1;
      (*table)[group / 2][panels > 1](nbits, a + row * a_stride, a_stride, c + row * c_stride, c_stride, panel);
    }
  }
}
