/* attention_f32 against the definition in double precision. */
#include "tests/ops/kernels/kernel_test.h"

struct attention_case {
  size_t rows, depth, values, keys, block;
  bool few, sink, bias, shared_bias, ranges;
  float softcap;
  size_t gap; /* between rows of k and of v */
};

struct attention_data {
  float *q, *k, *v, *bias, *sink;
  int32_t *first, *end; /* of all keys */
};

static struct attention_data make_data(const struct attention_case *t) {
  struct attention_data data = {.q = random_floats(t->rows * t->depth),
                                .k = random_floats(t->keys * (t->depth + t->gap)),
                                .v = random_floats(t->keys * (t->values + t->gap)),
                                .bias = random_floats(t->rows * t->keys),
                                .sink = random_floats(t->rows),
                                .first = exact_buffer(t->rows * sizeof(int32_t)),
                                .end = exact_buffer(t->rows * sizeof(int32_t))};
  for (size_t i = 0; i < t->rows * t->keys; i++) {
    if (random_bits() % 7 == 0) data.bias[i] = -INFINITY;
  }
  for (size_t i = 0; i < t->rows * t->depth; i++) data.q[i] *= 4;
  for (size_t r = 0; r < t->rows; r++) {
    data.first[r] = (int32_t)random_size(0, t->keys);
    data.end[r] = (int32_t)random_size(0, t->keys);
    if (random_bits() % 2) data.first[r] = 0;
  }
  return data;
}

static void free_data(struct attention_data *data) {
  free(data->q), free(data->k), free(data->v), free(data->bias), free(data->sink), free(data->first), free(data->end);
}

static int32_t within(int64_t x, size_t size) {
  return x < 0 ? 0 : x > (int64_t)size ? (int32_t)size : (int32_t)x;
}

/* Rows row .. row + count - 1, block by block. */
static void run_rows(const struct kernel_table *table, const struct attention_case *t,
                     const struct attention_data *data, size_t row, size_t count, float *y) {
  struct attention_f32 attention = {.rows = count,
                                    .keys = t->block,
                                    .depth = t->depth,
                                    .values = t->values,
                                    .scale = 0.5f,
                                    .softcap = t->softcap,
                                    .few = t->few};
  void *state = exact_buffer(table->attention_f32_state_size(&attention));
  float *q = float_buffer(count * t->depth), *result = float_buffer(count * t->values);
  int32_t *first = exact_buffer(count * sizeof *first), *end = exact_buffer(count * sizeof *end);
  memcpy(q, data->q + row * t->depth, count * t->depth * sizeof *q);
  table->attention_f32_begin(&attention, q, t->depth, t->sink ? data->sink + row : NULL, state);
  for (size_t key = 0; key < t->keys; key += t->block) {
    struct attention_keys_f32 block = {.keys = t->keys - key < t->block ? t->keys - key : t->block,
                                       .k = data->k + key * (t->depth + t->gap),
                                       .v = data->v + key * (t->values + t->gap),
                                       .k_stride = t->depth + t->gap,
                                       .v_stride = t->values + t->gap};
    if (t->bias) {
      block.bias = data->bias + (t->shared_bias ? 0 : row) * t->keys + key;
      block.bias_stride = t->shared_bias ? 0 : t->keys;
    }
    for (size_t r = 0; r < count && t->ranges; r++) {
      first[r] = within(data->first[row + r] - (int64_t)key, block.keys);
      end[r] = within(data->end[row + r] - (int64_t)key, block.keys);
      block.first = first;
      block.end = end;
    }
    table->attention_f32_keys(&attention, &block, state);
  }
  table->attention_f32_end(&attention, result, t->values, state);
  memcpy(y + row * t->values, result, count * t->values * sizeof *y);
  free(state), free(q), free(result), free(first), free(end);
}

static void expect_row(const struct kernel_table *table, const struct attention_case *t,
                       const struct attention_data *data, const char *what, size_t row, const float *y) {
  double *score = exact_buffer(t->keys * sizeof *score), most = t->sink ? (double)data->sink[row] : -INFINITY;
  for (size_t j = 0; j < t->keys; j++) {
    const double bias = t->bias ? (double)data->bias[(t->shared_bias ? 0 : row) * t->keys + j] : 0;
    score[j] = 0;
    for (size_t p = 0; p < t->depth; p++)
      score[j] += 0.5 * (double)data->q[row * t->depth + p] * (double)data->k[j * (t->depth + t->gap) + p];
    if (t->softcap > 0) score[j] = t->softcap * tanh(score[j] / t->softcap);
    score[j] += bias;
    const bool seen = !t->ranges || ((int32_t)j >= data->first[row] && (int32_t)j < data->end[row]);
    if (!seen) score[j] = -INFINITY;
    if (score[j] > most) most = score[j];
  }
  double sum = t->sink ? exp(data->sink[row] - most) : 0;
  for (size_t j = 0; j < t->keys; j++) sum += most > -INFINITY ? exp(score[j] - most) : 0;
  for (size_t c = 0; c < t->values; c++) {
    double expected = 0;
    for (size_t j = 0; j < t->keys && sum > 0; j++)
      expected += exp(score[j] - most) / sum * (double)data->v[j * (t->values + t->gap) + c];
    /* The error of a score grows with its products, of magnitudes up to 2. */
    expect_close(table, what, row * t->values + c, (double)y[row * t->values + c], expected,
                 1 + 0.05 * (double)t->depth, 2e-6);
  }
  free(score);
}

static void check_attention(const struct kernel_table *table, const struct attention_case *t) {
  char what[200];
  snprintf(what, sizeof what, "%zu rows, depth %zu, values %zu, %zu keys in blocks of %zu%s%s%s%s%s, softcap %g",
           t->rows, t->depth, t->values, t->keys, t->block, t->few ? ", few" : "", t->sink ? ", sink" : "",
           t->bias ? ", bias" : "", t->shared_bias ? " of all" : "", t->ranges ? ", ranges" : "", (double)t->softcap);
  struct attention_data data = make_data(t);
  float *whole = float_buffer(t->rows * t->values), *parts = float_buffer(t->rows * t->values);
  run_rows(table, t, &data, 0, t->rows, whole);
  for (size_t r = 0; r < t->rows; r++) expect_row(table, t, &data, what, r, whole);
  for (size_t r = 0; r < t->rows;) {
    const size_t count = random_size(1, t->rows - r);
    run_rows(table, t, &data, r, count, parts);
    r += count;
  }
  expect_same_bits(table, what, parts, whole, t->rows * t->values * sizeof *whole);
  free(whole), free(parts);
  free_data(&data);
}

TABLE_TEST(random_problems) {
  for (int i = 0; i < 300; i++) {
    const uint32_t bits = random_bits();
    struct attention_case t = {.rows = random_size(1, bits & 1 ? 9 : table->attention_f32_rows),
                               .depth = random_size(1, bits & 2 ? 70 : 20),
                               .values = random_size(1, bits & 4 ? 90 : 20),
                               .keys = random_size(1, 150),
                               .block = random_size(1, 80),
                               .few = bits & 8,
                               .sink = (bits >> 4) % 4 == 0,
                               .bias = (bits >> 6) % 3 == 0,
                               .shared_bias = bits & 0x100,
                               .ranges = (bits >> 9) % 3 == 0,
                               .softcap = (bits >> 12) % 4 == 0 ? 1.5f : 0,
                               .gap = bits & 0x10000 ? 3 : 0};
    check_attention(table, &t);
  }
}

/* Sizes of models: whole vectors and tiles. */
TABLE_TEST(sizes_of_models) {
  static const size_t depths[] = {16, 32, 64, 80, 128};
  for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
    for (int few = 0; few < 2; few++) {
      struct attention_case t = {
          .rows = few ? 4 : 64, .depth = depths[i], .values = depths[i], .keys = 300, .block = 128, .few = few};
      check_attention(table, &t);
    }
  }
}

/* A row that sees nothing is zero, also where scores are no numbers. */
TABLE_TEST(masked_scores_do_not_count) {
  enum { ROWS = 3, DEPTH = 5, KEYS = 9 };
  for (int few = 0; few < 2; few++) {
    struct attention_f32 attention = {.rows = ROWS, .keys = KEYS, .depth = DEPTH, .values = 1, .scale = 1, .few = few};
    float q[ROWS * DEPTH], k[KEYS * DEPTH], v[KEYS], bias[ROWS * KEYS], y[ROWS];
    for (int i = 0; i < ROWS * DEPTH; i++) q[i] = i < DEPTH ? NAN : 1;
    for (int i = 0; i < KEYS * DEPTH; i++) k[i] = i < DEPTH ? INFINITY : 0;
    for (int i = 0; i < KEYS; i++) v[i] = (float)i;
    for (int i = 0; i < ROWS * KEYS; i++) bias[i] = i < KEYS || i % KEYS == 0 ? -INFINITY : 0;
    void *state = exact_buffer(table->attention_f32_state_size(&attention));
    const struct attention_keys_f32 block = {
        .keys = KEYS, .k = k, .v = v, .k_stride = DEPTH, .v_stride = 1, .bias = bias, .bias_stride = KEYS};
    table->attention_f32_begin(&attention, q, DEPTH, NULL, state);
    table->attention_f32_keys(&attention, &block, state);
    table->attention_f32_end(&attention, y, 1, state);
    expect_close(table, "all masked", 0, (double)y[0], 0, 1, 0);
    for (int r = 1; r < ROWS; r++) expect_close(table, "one masked", (size_t)r, (double)y[r], 4.5, 1, 1e-6);
    free(state);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_problems),
      cmocka_unit_test(sizes_of_models),
      cmocka_unit_test(masked_scores_do_not_count),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
