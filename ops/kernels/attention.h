/* attention_f32: part of kernel_table_isa.c. The contract stands in kernel_table.h.
 *
 * Keys come in blocks; a row keeps the largest score m that it has seen, the sum l of exp(score - m), and the weighted
 * sum o of values (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et al.,
 * "FlashAttention", 2022). A block that raises m scales l and o by factor = exp(old m - m). */

#define ATTENTION_ROWS 64             /* of a block of queries: a block of scores stays in the first-level cache */
#define ATTENTION_FEW  (VF_LANES / 2) /* up to this many rows more lanes would idle than sums over lanes cost */

/* The parts of a state; offsets in floats. With few rows scores and results are [rows][..], else [..][rows]. */
struct attention_parts {
  size_t width;                            /* rows, padded where they are lanes */
  size_t depth, values, keys;              /* strides of rows of q, o and s where rows are few */
  size_t o, largest, sum, factor, s, bias; /* queries come first */
  size_t count;
};

INLINE size_t attention_padded(size_t n) {
  return (n + VF_LANES - 1) / VF_LANES * VF_LANES;
}

static struct attention_parts attention_parts_of(const struct attention_f32 *attention) {
  struct attention_parts parts = {.width = attention_padded(attention->rows)};
  const bool few = attention->few;
  parts.depth = few ? attention_padded(attention->depth) : attention->depth;
  parts.values = few ? attention_padded(attention->values) : attention->values;
  parts.keys = few ? attention_padded(attention->keys) : attention->keys;
  const size_t rows = few ? attention->rows : parts.width;
  parts.o = rows * parts.depth;
  parts.largest = parts.o + rows * parts.values;
  parts.sum = parts.largest + parts.width;
  parts.factor = parts.sum + parts.width;
  parts.s = parts.factor + parts.width;
  parts.bias = parts.s + rows * parts.keys;
  parts.count = parts.bias + (few ? 0 : rows * parts.keys);
  return parts;
}

static size_t attention_f32_state_size(const struct attention_f32 *attention) {
  return attention_parts_of(attention).count * sizeof(float);
}

static void attention_f32_begin(const struct attention_f32 *attention, const float *q, size_t q_stride,
                                const float *sink, void *memory) {
  const struct attention_parts parts = attention_parts_of(attention);
  const size_t rows = attention->rows, depth = attention->depth;
  float *state = memory;
  memset(state + parts.o, 0, (parts.largest - parts.o) * sizeof *state);
  for (size_t r = 0; r < parts.width; r++) {
    state[parts.largest + r] = sink && r < rows ? sink[r] : -INFINITY;
    state[parts.sum + r] = sink && r < rows ? 1 : 0;
  }
  if (attention->few) {
    memset(state, 0, parts.o * sizeof *state);
    for (size_t r = 0; r < rows; r++) memcpy(state + r * parts.depth, q + r * q_stride, depth * sizeof *q);
  } else {
    if (rows % VF_LANES) { /* lanes that stand for no row */
      memset(state, 0, parts.o * sizeof *state);
      memset(state + parts.bias, 0, (parts.count - parts.bias) * sizeof *state);
    }
    transpose_32(state, parts.width, q, q_stride, rows, depth);
  }
  const vf scale = vf_set1(attention->scale);
  for (size_t i = 0; i < parts.o; i += VF_LANES) vf_store(state + i, vf_load(state + i) * scale);
}

/* ---- from scores to weights ---- */

/* A position whose bias is -inf is masked, whatever its score. */
INLINE vf vf_add_bias(vf score, vf bias) {
  const vf masked = vf_set1(-INFINITY);
  return vf_select(vf_eq(bias, masked), masked, score + bias);
}

INLINE vf vf_softcap(vf score, vf cap) {
  return cap * vf_tanh(score / cap);
}

/* What is subtracted from scores: the largest, or 0 where all are masked. */
INLINE vf vf_center(vf largest) {
  return vf_select(vf_eq(largest, vf_set1(-INFINITY)), vf_zero(), largest);
}

/* limits[row ..], of which `rows` are all; NULL: zeros. */
INLINE vi attention_limits(const int32_t *limits, size_t row, size_t rows) {
  vi result = {0};
  for (size_t i = 0; limits && i < VF_LANES && row + i < rows; i++) result[i] = limits[row + i];
  return result;
}

/* A strip of rows along the lanes. `bias` has a row for each key, or one element for each where bias_stride is 0. */
INLINE void attention_weigh_strip(const struct attention_f32 *attention, const struct attention_keys_f32 *block,
                                  const struct attention_parts *parts, float *state, const float *bias,
                                  size_t bias_stride, size_t lane, const int vectors) {
  const size_t width = parts->width;
  float *s = state + parts->s + lane;
  const bool capped = attention->softcap > 0;
  const vf cap = vf_set1(attention->softcap);
  vf largest[ATTENTION_TILE_VECTORS], sum[ATTENTION_TILE_VECTORS], center[ATTENTION_TILE_VECTORS];
  UNROLL
  for (int v = 0; v < vectors; v++) largest[v] = vf_load(state + parts->largest + lane + v * VF_LANES);
  if (capped || bias || block->first) {
    vi first[ATTENTION_TILE_VECTORS], end[ATTENTION_TILE_VECTORS];
    UNROLL
    for (int v = 0; v < vectors; v++) {
      const size_t row = lane + (size_t)v * VF_LANES;
      first[v] = attention_limits(block->first, row, attention->rows);
      end[v] = attention_limits(block->end, row, attention->rows);
    }
    for (size_t j = 0; j < block->keys; j++) {
      const vi key = vi_set1((int32_t)j);
      UNROLL
      for (int v = 0; v < vectors; v++) {
        vf score = vf_load(s + j * width + v * VF_LANES);
        if (capped) score = vf_softcap(score, cap);
        if (bias)
          score = vf_add_bias(score,
                              bias_stride ? vf_load(bias + j * bias_stride + lane + v * VF_LANES) : vf_set1(bias[j]));
        if (block->first) {
          score = vf_select(vi_lt(key, end[v]), score, vf_set1(-INFINITY));
          score = vf_select(vi_lt(key, first[v]), vf_set1(-INFINITY), score);
        }
        vf_store(s + j * width + v * VF_LANES, score);
        largest[v] = vf_max(score, largest[v]);
      }
    }
  } else {
    for (size_t j = 0; j < block->keys; j++) {
      UNROLL
      for (int v = 0; v < vectors; v++) largest[v] = vf_max(vf_load(s + j * width + v * VF_LANES), largest[v]);
    }
  }
  UNROLL
  for (int v = 0; v < vectors; v++) {
    sum[v] = vf_zero();
    center[v] = vf_center(largest[v]);
  }
  for (size_t j = 0; j < block->keys; j++) {
    UNROLL
    for (int v = 0; v < vectors; v++) {
      const vf weight = vf_exp(vf_load(s + j * width + v * VF_LANES) - center[v]);
      vf_store(s + j * width + v * VF_LANES, weight);
      sum[v] += weight;
    }
  }
  UNROLL
  for (int v = 0; v < vectors; v++) {
    float *row = state + lane + v * VF_LANES;
    const vf factor = vf_exp(vf_load(row + parts->largest) - center[v]);
    vf_store(row + parts->factor, factor);
    vf_store(row + parts->sum, vf_fma(vf_load(row + parts->sum), factor, sum[v]));
    vf_store(row + parts->largest, largest[v]);
  }
}

static void attention_weigh(const struct attention_f32 *attention, const struct attention_keys_f32 *block,
                            const struct attention_parts *parts, float *state) {
  const float *bias = block->bias;
  size_t bias_stride = 0;
  if (bias && block->bias_stride) {
    transpose_32(state + parts->bias, parts->width, bias, block->bias_stride, attention->rows, block->keys);
    bias = state + parts->bias;
    bias_stride = parts->width;
  }
  size_t lane = 0;
  for (; lane + ATTENTION_TILE_VECTORS * VF_LANES <= parts->width; lane += ATTENTION_TILE_VECTORS * VF_LANES)
    attention_weigh_strip(attention, block, parts, state, bias, bias_stride, lane, ATTENTION_TILE_VECTORS);
  for (; lane < parts->width; lane += VF_LANES)
    attention_weigh_strip(attention, block, parts, state, bias, bias_stride, lane, 1);
}

/* One row whose keys lie along the lanes. */
static void attention_weigh_row(const struct attention_f32 *attention, const struct attention_keys_f32 *block,
                                const struct attention_parts *parts, float *state, size_t row) {
  const size_t keys = block->keys, padded = attention_padded(keys);
  const float *bias = block->bias ? block->bias + row * block->bias_stride : NULL;
  float *s = state + parts->s + row * parts->keys, *largest = state + parts->largest + row;
  const vf masked = vf_set1(-INFINITY), cap = vf_set1(attention->softcap);
  vf most = vf_set1(*largest), sum = vf_zero();
  for (size_t j = 0; j < padded; j += VF_LANES) {
    const size_t lanes = keys - j < VF_LANES ? keys - j : VF_LANES;
    vf score = vf_load(s + j);
    if (attention->softcap > 0) score = vf_softcap(score, cap);
    if (bias) score = vf_add_bias(score, lanes < VF_LANES ? vf_load_n(bias + j, lanes) : vf_load(bias + j));
    if (lanes < VF_LANES) score = vf_first_lanes_or(score, lanes, masked);
    vf_store(s + j, score);
  }
  if (block->first) {
    const size_t first = (size_t)block->first[row], end = (size_t)block->end[row];
    for (size_t j = 0; j < keys && j < first; j++) s[j] = -INFINITY;
    for (size_t j = end; j < keys; j++) s[j] = -INFINITY;
  }
  for (size_t j = 0; j < padded; j += VF_LANES) most = vf_max(vf_load(s + j), most);
  LANES_COMBINED(most, vf_max)
  const vf center = vf_center(most);
  for (size_t j = 0; j < padded; j += VF_LANES) {
    const vf weight = vf_exp(vf_load(s + j) - center);
    vf_store(s + j, weight);
    sum += weight;
  }
  const float factor = vf_exp(vf_set1(*largest) - center)[0];
  state[parts->factor + row] = factor;
  state[parts->sum + row] = state[parts->sum + row] * factor + vf_sum(sum);
  *largest = most[0];
}

/* ---- a block of keys ---- */
static void attention_f32_keys(const struct attention_f32 *attention, const struct attention_keys_f32 *block,
                               void *memory) {
  const struct attention_parts parts = attention_parts_of(attention);
  const size_t rows = attention->rows, keys = block->keys;
  float *state = memory, *s = state + parts.s;
  if (attention->few) {
    few_scores(s, parts.keys, state, parts.depth, rows, block->k, block->k_stride, keys, attention->depth);
    for (size_t r = 0; r < rows; r++) attention_weigh_row(attention, block, &parts, state, r);
    few_values(state + parts.o, parts.values, state + parts.factor, s, parts.keys, rows, block->v, block->v_stride,
               keys, attention->values);
    return;
  }
  attention_product(attention_scores_tiles, s, keys, block->k, block->k_stride, block->k_stride, state, parts.width,
                    attention->depth, NULL);
  attention_weigh(attention, block, &parts, state);
  attention_product(attention_values_tiles, state + parts.o, attention->values, block->v, 1, block->v_stride, s,
                    parts.width, keys, state + parts.factor);
}

static void attention_f32_end(const struct attention_f32 *attention, float *y, size_t y_stride, void *memory) {
  const struct attention_parts parts = attention_parts_of(attention);
  const size_t rows = attention->rows, values = attention->values;
  float *state = memory, *o = state + parts.o, *factor = state + parts.factor;
  for (size_t r = 0; r < parts.width; r += VF_LANES) {
    const vf sum = vf_load(state + parts.sum + r);
    vf_store(factor + r, vf_select(vf_eq(sum, vf_zero()), vf_set1(attention->hidden), vf_set1(1) / sum));
  }
  if (attention->few) {
    for (size_t r = 0; r < rows; r++) {
      for (size_t c = 0; c < parts.values; c += VF_LANES) {
        float *from = o + r * parts.values + c;
        vf_store(from, vf_load(from) * vf_set1(factor[r]));
      }
      memcpy(y + r * y_stride, o + r * parts.values, values * sizeof *y);
    }
    return;
  }
  for (size_t c = 0; c < values; c++) {
    for (size_t r = 0; r < parts.width; r += VF_LANES)
      vf_store(o + c * parts.width + r, vf_load(o + c * parts.width + r) * vf_load(factor + r));
  }
  transpose_32(y, y_stride, o, parts.width, values, rows);
}
