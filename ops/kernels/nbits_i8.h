/* Products of weights of 2, 4 or 8 bits with rows that are quantized to 8 bits: part of kernel_table_isa.c. Sums of a
 * block are exact; blocks are added in float, in order.
 *
 * A quantized row: for each block `block` bytes, then, from the next multiple of VECTOR_BYTES on, one float scale for
 * each block and the sum of its bytes as int32. */

INLINE size_t nbits_row_scales_at(const struct nbits *nbits) {
  const size_t bytes = nbits_blocks(nbits) * nbits->block;
  return (bytes + VECTOR_BYTES - 1) / VECTOR_BYTES * VECTOR_BYTES;
}

static size_t nbits_row_size(const struct nbits *nbits) {
  const size_t bytes = nbits_row_scales_at(nbits) + nbits_blocks(nbits) * (sizeof(float) + sizeof(int32_t));
  return (bytes + VECTOR_BYTES - 1) / VECTOR_BYTES * VECTOR_BYTES;
}

/* The largest magnitude becomes 127, halves go to even. A block without finite values keeps what cannot be represented
 * in its scale, so that NaN and infinities make results NaN. */
static void nbits_quantize_row(const struct nbits *nbits, void *row, const float *a) {
  const size_t blocks = nbits_blocks(nbits);
  float *scales = (float *)(void *)((char *)row + nbits_row_scales_at(nbits));
  int32_t *sums = (int32_t *)(void *)(scales + blocks);
  int8_t *bytes = row;
  for (size_t b = 0; b < blocks; b++, bytes += nbits->block) {
    const size_t first = b * nbits->block, left = nbits->k - first, count = left < nbits->block ? left : nbits->block;
    const float largest = magnitude_f32(a + first, count);
    const vf inverse = vf_set1(largest > 0 ? 127 / largest : 0);
    scales[b] = largest < INFINITY ? largest / 127 : NAN;
    vi sum = {0};
    memset(bytes, 0, nbits->block);
    for (size_t i = 0; i < count && largest < INFINITY; i += VF_LANES) {
      const size_t lanes = count - i < VF_LANES ? count - i : VF_LANES;
      const vi number = vi_from_vf(vf_load_n(a + first + i, lanes) * inverse);
      sum += number;
      for (size_t l = 0; l < lanes; l++) bytes[i + l] = (int8_t)number[l];
    }
    sums[b] = 0;
    for (size_t l = 0; l < VF_LANES; l++) sums[b] += sum[l];
  }
}

/* ---- products of bytes ----
 * Weights of up to 4 bits, four unsigned bytes in each lane, with four signed bytes of a row, the same for all lanes.
 * Weights of 8 bits are two planes of 4 bits. */
#define NBITS_SUM_STEPS 32 /* of depth: 16 bits take 8 sums of two products, 8 * 2 * 15 * 127 < 2^15 */

INLINE vs nbits_dot(vs sum, vi weights, vi row) {
  return sum + vs_dot_bytes(weights, row);
}

INLINE vi nbits_dot_end(vi sum, vs pairs, int32_t factor) {
  return vi_dot_pairs(sum, pairs, (vs)vi_set1(factor * 0x00010001));
}

/* NBITS_TILE_ROWS share weights: registers hold their sums of a plane, of a block, and of all blocks. */

/* A quantized row on its way. */
struct nbits_row {
  const int8_t *bytes;
  const float *scales;
  const int32_t *sums;
};

/* sum[r] = the exact sums of a block. */
INLINE void nbits_block_sums(const uint32_t *words, const struct nbits_row row[NBITS_TILE_ROWS], size_t first,
                             size_t block, vi sum[NBITS_TILE_ROWS], const int rows, const int bits) {
  const int planes = bits == 8 ? 2 : 1, mask = (bits == 2 ? 3 : 15) * 0x01010101;
  UNROLL
  for (int r = 0; r < rows; r++) sum[r] = (vi){0};
  for (size_t s = 0; s < block; s += NBITS_SUM_STEPS) {
    vs part[2][NBITS_TILE_ROWS];
    const size_t end = block - s < NBITS_SUM_STEPS ? block : s + NBITS_SUM_STEPS;
    UNROLL
    for (int r = 0; r < rows; r++) part[0][r] = part[1][r] = (vs){0};
    for (size_t p = s; p < end; p += 32 / (size_t)bits) {
      const vi word = vi_load_words(words + p * (size_t)bits / 32 * VF_LANES);
      UNROLL
      for (int i = 0; i < 8 / bits; i++) {
        const vi low = (vi)((vu)word >> (uint32_t)(i * bits)) & mask, high = (vi)((vu)word >> 4) & mask;
        UNROLL
        for (int r = 0; r < rows; r++) {
          int32_t four;
          memcpy(&four, row[r].bytes + first + p + (size_t)i * 4, sizeof four);
          part[0][r] = nbits_dot(part[0][r], low, vi_set1(four));
          if (planes > 1) part[1][r] = nbits_dot(part[1][r], high, vi_set1(four));
        }
      }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
      sum[r] = nbits_dot_end(sum[r], part[0][r], 1);
      if (planes > 1) sum[r] = nbits_dot_end(sum[r], part[1][r], 16);
    }
  }
}

INLINE void nbits_panel_i8(const struct nbits *nbits, const char *a, float *c, size_t c_stride, size_t panel,
                           const int rows, const int bits) {
  const size_t blocks = nbits_blocks(nbits), size = nbits_row_size(nbits), at = nbits_row_scales_at(nbits);
  struct nbits_row row[NBITS_TILE_ROWS];
  vf result[NBITS_TILE_ROWS];
  UNROLL
  for (int r = 0; r < rows; r++) {
    const char *from = a + (size_t)r * size;
    row[r].bytes = (const int8_t *)from;
    row[r].scales = (const float *)(const void *)(from + at);
    row[r].sums = (const int32_t *)(const void *)(row[r].scales + blocks);
    result[r] = vf_zero();
  }
  for (size_t b = 0; b < blocks; b++) {
    const struct nbits_group group = nbits_group_at(nbits, panel, b);
    vi sum[NBITS_TILE_ROWS];
    nbits_block_sums(group.words, row, b * nbits->block, nbits->block, sum, rows, bits);
    UNROLL
    for (int r = 0; r < rows; r++) {
      const vf whole = vf_from_vi(sum[r]) - group.zeros * vf_set1((float)row[r].sums[b]);
      result[r] = vf_fma(whole, group.scales * vf_set1(row[r].scales[b]), result[r]);
    }
  }
  const size_t column = panel * VF_LANES, left = nbits->n - column, lanes = left < VF_LANES ? left : VF_LANES;
  UNROLL
  for (int r = 0; r < rows; r++) {
    if (nbits->bias) result[r] += vf_load_n(nbits->bias + column, lanes);
    vf_store_n(c + (size_t)r * c_stride + column, result[r], lanes);
  }
}

typedef void nbits_i8_function(const struct nbits *nbits, const char *a, float *c, size_t c_stride, size_t panel);

#define NBITS_INSTANCE(rows, bits)                                                                                     \
  static void nbits_i8_##rows##_##bits(const struct nbits *nbits, const char *a, float *c, size_t c_stride,            \
                                       size_t panel) {                                                                 \
    nbits_panel_i8(nbits, a, c, c_stride, panel, rows, bits);                                                          \
  }
#define NBITS_NAME(rows, bits) nbits_i8_##rows##_##bits,
EACH_UP_TO(NBITS_TILE_ROWS, NBITS_INSTANCE, 2)
EACH_UP_TO(NBITS_TILE_ROWS, NBITS_INSTANCE, 4)
EACH_UP_TO(NBITS_TILE_ROWS, NBITS_INSTANCE, 8)
static nbits_i8_function *const nbits_i8_functions[3][NBITS_TILE_ROWS] = {{EACH_UP_TO(NBITS_TILE_ROWS, NBITS_NAME, 2)},
                                                                          {EACH_UP_TO(NBITS_TILE_ROWS, NBITS_NAME, 4)},
                                                                          {EACH_UP_TO(NBITS_TILE_ROWS, NBITS_NAME, 8)}};
#undef NBITS_INSTANCE
#undef NBITS_NAME

static void nbits_run_i8(const struct nbits *nbits, const void *a, size_t rows, float *c, size_t c_stride,
                         size_t panel_begin, size_t panel_end) {
  const size_t of_bits = nbits->bits == 2 ? 0 : nbits->bits == 4 ? 1 : 2, size = nbits_row_size(nbits);
  const size_t most =
      nbits->bits == 8 && NBITS_TILE_ROWS > 6 ? 6 : NBITS_TILE_ROWS; /* two planes take more registers */
  const size_t groups = (rows + most - 1) / most;
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    for (size_t g = 0; g < groups; g++) { /* of sizes that differ by one at most */
      const size_t begin = g * rows / groups, end = (g + 1) * rows / groups;
      nbits_i8_functions[of_bits][end - begin - 1](nbits, (const char *)a + begin * size, c + begin * c_stride,
                                                   c_stride, panel);
    }
  }
}
