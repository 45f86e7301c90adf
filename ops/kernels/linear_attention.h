/* One token of linear attention: part of kernel_table_isa.c. The formula stands in kernel_table.h.
 *
 * Some vectors of columns at a time: with a correction, a first walk down the rows lets the state decay and sums up
 * what the key reads; the walk that writes then reads for the first query as well. */

/* Columns j .. of `vectors` vectors, of which the last has `last` lanes. */
INLINE void linear_attention_columns(const struct linear_attention_f32 *token, size_t j, const int vectors,
                                     const size_t last) {
#define COLUMNS_LOAD(p, v)                                                                                             \
  (v + 1 < vectors || last == VF_LANES ? vf_load((p) + v * VF_LANES) : vf_load_n((p) + v * VF_LANES, last))
#define COLUMNS_STORE(p, v, x)                                                                                         \
  (v + 1 < vectors || last == VF_LANES ? vf_store((p) + v * VF_LANES, x) : vf_store_n((p) + v * VF_LANES, x, last))
  const size_t rows = token->rows, decay_step = token->decays_by_row ? 1 : 0;
  float *state = token->state + j;
  vf written[4], sum[4];
  UNROLL
  for (int v = 0; v < vectors; v++) {
    written[v] = COLUMNS_LOAD(token->value + j, v);
    sum[v] = vf_zero();
  }
  if (token->corrects) {
    for (size_t i = 0; i < rows; i++) {
      float *row = state + i * token->state_stride;
      const vf key = vf_set1(token->key[i]), decay = vf_set1(token->decay ? token->decay[i * decay_step] : 1);
      UNROLL
      for (int v = 0; v < vectors; v++) {
        const vf left = COLUMNS_LOAD(row, v) * decay;
        COLUMNS_STORE(row, v, left);
        sum[v] = vf_fma(key, left, sum[v]);
      }
    }
    UNROLL
    for (int v = 0; v < vectors; v++) {
      written[v] = vf_set1(token->rate) * (written[v] - sum[v]);
      sum[v] = vf_zero();
    }
  }
  const float *decays = token->corrects ? NULL : token->decay;
  for (size_t i = 0; i < rows; i++) {
    float *row = state + i * token->state_stride;
    const vf key = vf_set1(token->key[i]), query = vf_set1(token->queries[i]);
    const vf decay = vf_set1(decays ? decays[i * decay_step] : 1);
    UNROLL
    for (int v = 0; v < vectors; v++) {
      const vf updated = vf_fma(key, written[v], COLUMNS_LOAD(row, v) * decay);
      COLUMNS_STORE(row, v, updated);
      sum[v] = vf_fma(query, updated, sum[v]);
    }
  }
  for (size_t q = 0; q < token->query_count; q++) {
    const float *query = token->queries + q * token->query_stride;
    for (size_t i = 0; q > 0 && i < rows; i++) {
      const float *row = state + i * token->state_stride;
      UNROLL
      for (int v = 0; v < vectors; v++) {
        sum[v] = vf_fma(vf_set1(query[i]), COLUMNS_LOAD(row, v), i ? sum[v] : vf_zero());
      }
    }
    UNROLL
    for (int v = 0; v < vectors; v++) {
      COLUMNS_STORE(token->output + q * token->output_stride + j, v, sum[v] * vf_set1(token->scale));
    }
  }
#undef COLUMNS_LOAD
#undef COLUMNS_STORE
}

static void linear_attention_f32(const struct linear_attention_f32 *token) {
  size_t j = 0;
  for (; j + 4 * VF_LANES <= token->columns; j += 4 * VF_LANES) linear_attention_columns(token, j, 4, VF_LANES);
  for (; j + VF_LANES <= token->columns; j += VF_LANES) linear_attention_columns(token, j, 1, VF_LANES);
  if (j < token->columns) linear_attention_columns(token, j, 1, token->columns - j);
}
