/* One token of linear attention against its formula in double precision. */
#include "kernel_test.h"

/* What a run of the kernel reads and writes, in buffers of exactly their size. */
typedef struct attention {
  struct linear_attention_f32 token;
  float *state, *decay, *key, *value, *queries, *output;
} attention;

static attention random_attention(size_t rows, size_t columns, size_t queries) {
  attention a = {.token = {.rows = rows, .columns = columns, .query_count = queries}};
  a.token.state_stride = columns + random_size(0, 3);
  a.token.query_stride = rows + random_size(0, 2);
  a.token.output_stride = columns + random_size(0, 2);
  a.token.decays_by_row = random_size(0, 1);
  a.token.corrects = random_size(0, 1);
  a.token.rate = random_float();
  a.token.scale = random_float();
  a.state = random_floats((rows - 1) * a.token.state_stride + columns);
  a.decay = random_floats(rows);
  a.key = random_floats(rows);
  a.value = random_floats(columns);
  a.queries = random_floats((queries - 1) * a.token.query_stride + rows);
  a.output = random_floats((queries - 1) * a.token.output_stride + columns);
  a.token.state = a.state;
  a.token.decay = random_size(0, 2) ? a.decay : NULL;
  a.token.key = a.key;
  a.token.value = a.value;
  a.token.queries = a.queries;
  a.token.output = a.output;
  return a;
}

static void free_attention(attention *a) {
  float *const buffers[] = {a->state, a->decay, a->key, a->value, a->queries, a->output};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) free(buffers[i]);
}

/* Column j: the new state and the outputs, with the sums of magnitudes that bound their errors. */
static void check_column(const attention *a, const float *before, size_t j) {
  const struct linear_attention_f32 *t = &a->token;
  double state[64], read = 0, magnitude = 0;
  for (size_t i = 0; i < t->rows; i++) {
    const double decay = t->decay ? (double)t->decay[t->decays_by_row ? i : 0] : 1;
    state[i] = (double)before[i * t->state_stride + j] * decay;
    read += (double)t->key[i] * state[i];
    magnitude += fabs((double)t->key[i] * state[i]);
  }
  const double value = (double)t->value[j], written = t->corrects ? (double)t->rate * (value - read) : value;
  for (size_t i = 0; i < t->rows; i++) {
    state[i] += (double)t->key[i] * written;
    const double got = (double)a->state[i * t->state_stride + j];
    if (!(fabs(got - state[i]) <= 1e-6 * (2 + magnitude))) {
      fail_msg("state %zu of column %zu: expected %.9g, got %.9g", i, j, state[i], got);
    }
  }
  for (size_t q = 0; q < t->query_count; q++) {
    double sum = 0, bound = 0;
    for (size_t i = 0; i < t->rows; i++) {
      sum += (double)t->queries[q * t->query_stride + i] * state[i];
      bound += fabs(state[i]) + 1;
    }
    const double got = (double)a->output[q * t->output_stride + j];
    if (!(fabs(got - (double)t->scale * sum) <= 1e-6 * (2 + magnitude) * bound)) {
      fail_msg("output %zu of column %zu: expected %.9g, got %.9g", q, j, (double)t->scale * sum, got);
    }
  }
}

TABLE_TEST(follows_the_formula) {
  for (int round = 0; round < 400; round++) {
    attention a = random_attention(random_size(1, 40), random_size(1, 140), random_size(1, 3));
    const size_t bytes = ((a.token.rows - 1) * a.token.state_stride + a.token.columns) * sizeof(float);
    float *before = exact_buffer(bytes);
    memcpy(before, a.state, bytes);
    table->linear_attention_f32(&a.token);
    for (size_t j = 0; j < a.token.columns; j++) check_column(&a, before, j);
    for (size_t i = 0; i + 1 < a.token.rows; i++) { /* between the rows nothing is written */
      for (size_t j = a.token.columns; j < a.token.state_stride; j++) {
        assert_true(a.state[i * a.token.state_stride + j] == before[i * a.token.state_stride + j]);
      }
    }
    free(before);
    free_attention(&a);
  }
}

/* The promise of the table: a column does not depend on where it stands and what stands beside it. */
TABLE_TEST(columns_do_not_see_each_other) {
  for (int round = 0; round < 40; round++) {
    attention a = random_attention(random_size(1, 20), random_size(2, 90), 2), b = a;
    const size_t bytes = ((a.token.rows - 1) * a.token.state_stride + a.token.columns) * sizeof(float);
    const size_t skipped = random_size(1, a.token.columns - 1);
    const size_t output_bytes = (a.token.output_stride + a.token.columns) * sizeof(float);
    b.state = exact_buffer(bytes);
    b.output = exact_buffer(output_bytes);
    memcpy(b.state, a.state, bytes);
    b.token.state = b.state + skipped;
    b.token.value = a.value + skipped;
    b.token.output = b.output + skipped;
    b.token.columns -= skipped;
    table->linear_attention_f32(&a.token);
    table->linear_attention_f32(&b.token);
    for (size_t j = skipped; j < a.token.columns; j++) {
      for (size_t i = 0; i < a.token.rows; i++) {
        assert_memory_equal(&a.state[i * a.token.state_stride + j], &b.state[i * a.token.state_stride + j], 4);
      }
      for (size_t q = 0; q < 2; q++) {
        assert_memory_equal(&a.output[q * a.token.output_stride + j], &b.output[q * a.token.output_stride + j], 4);
      }
    }
    free(b.state);
    free(b.output);
    free_attention(&a);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(follows_the_formula),
      cmocka_unit_test(columns_do_not_see_each_other),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
