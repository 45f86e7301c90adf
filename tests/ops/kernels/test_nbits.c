/* Products with weights of 2, 4 and 8 bits against the definition in double precision. */
#include "tests/ops/kernels/kernel_test.h"

struct nbits_case {
  struct nbits nbits;
  size_t rows;
  uint8_t *weights;
  float *scales, *zeros, *bias, *a;
  void *packed;
};

static size_t blocks_of(const struct nbits_case *t) {
  return (t->nbits.k + t->nbits.block - 1) / t->nbits.block;
}

static void *vector_buffer(const struct kernel_table *table, size_t bytes) {
  const size_t unit = table->vector_bytes;
  void *p = aligned_alloc(unit, (bytes + unit - 1) / unit * unit + unit);
  if (!p) abort();
  return p;
}

/* In pieces of up to three blocks. */
static void pack(const struct kernel_table *table, const struct nbits_case *t) {
  const size_t blocks = blocks_of(t), columns = table->nbits_panel_columns, bytes = t->nbits.block * t->nbits.bits / 8;
  for (size_t panel = 0; panel < table->nbits_panels(&t->nbits); panel++) {
    const size_t column = panel * columns, left = t->nbits.n - column, here = left < columns ? left : columns;
    for (size_t first = 0; first < blocks; first += 3) {
      const size_t count = blocks - first < 3 ? blocks - first : 3;
      float *scales = float_buffer(here * count), *zeros = float_buffer(here * count);
      for (size_t i = 0; i < here * count; i++) {
        scales[i] = t->scales[(column + i / count) * blocks + first + i % count];
        zeros[i] = t->zeros[(column + i / count) * blocks + first + i % count];
      }
      table->nbits_pack(&t->nbits, t->packed, panel, first, count, t->weights + column * blocks * bytes, scales,
                        t->nbits.has_zeros ? zeros : NULL);
      free(scales), free(zeros);
    }
  }
}

static struct nbits_case make_case(const struct kernel_table *table, size_t bits, size_t block, size_t rows, size_t n,
                                   size_t k, bool zeros, bool bias) {
  struct nbits_case t = {.nbits = {.n = n, .k = k, .bits = bits, .block = block, .has_zeros = zeros}, .rows = rows};
  const size_t groups = n * blocks_of(&t), bytes = groups * block * bits / 8;
  t.nbits.zero = (float)(1 << (bits - 1));
  t.weights = exact_buffer(bytes);
  for (size_t i = 0; i < bytes; i++) t.weights[i] = (uint8_t)random_bits();
  t.scales = random_floats(groups);
  t.zeros = float_buffer(groups);
  for (size_t i = 0; i < groups; i++) t.zeros[i] = (float)(random_bits() % (1u << bits));
  t.bias = random_floats(n);
  t.a = random_floats(rows * k);
  t.packed = vector_buffer(table, table->nbits_packed_size(&t.nbits));
  pack(table, &t);
  t.nbits.packed = t.packed;
  t.nbits.bias = bias ? t.bias : NULL;
  return t;
}

static void free_case(struct nbits_case *t) {
  free(t->weights), free(t->scales), free(t->zeros), free(t->bias), free(t->a), free(t->packed);
}

static double weight_of(const struct nbits_case *t, size_t p, size_t j) {
  const size_t bits = t->nbits.bits, at = (j * blocks_of(t) * t->nbits.block + p) * bits,
               group = j * blocks_of(t) + p / t->nbits.block;
  const double number = (double)(t->weights[at / 8] >> at % 8 & ((1 << bits) - 1));
  return (double)t->scales[group] * (number - (double)(t->nbits.has_zeros ? t->zeros[group] : t->nbits.zero));
}

/* Row `row` of a as nbits_quantize_row makes it. */
static double quantized(const struct nbits_case *t, size_t row, size_t p) {
  const size_t first = p / t->nbits.block * t->nbits.block;
  float largest = 0;
  for (size_t i = first; i < first + t->nbits.block && i < t->nbits.k; i++)
    largest = fmaxf(largest, fabsf(t->a[row * t->nbits.k + i]));
  if (largest == 0) return 0;
  return (double)rintf(t->a[row * t->nbits.k + p] * (127 / largest)) * (double)(largest / 127);
}

static void check_case(const struct kernel_table *table, const struct nbits_case *t) {
  char what[120];
  const size_t n = t->nbits.n, k = t->nbits.k, panels = table->nbits_panels(&t->nbits), cut = panels / 2;
  const size_t columns = table->nbits_panel_columns, row_size = table->nbits_row_size(&t->nbits);
  float *c = float_buffer(t->rows * n), *single = float_buffer(n), *quick = float_buffer(t->rows * n);
  float *dequantized = float_buffer(k * panels * columns);
  char *rows = vector_buffer(table, t->rows * row_size);
  snprintf(what, sizeof what, "%zu bits, block %zu, %zux%zux%zu%s%s", t->nbits.bits, t->nbits.block, t->rows, n, k,
           t->nbits.has_zeros ? ", zeros" : "", t->nbits.bias ? ", bias" : "");
  table->nbits_few_f32(&t->nbits, t->a, k, t->rows, c, n, 0, cut);
  table->nbits_few_f32(&t->nbits, t->a, k, t->rows, c, n, cut, panels);
  for (size_t i = 0; i < t->rows; i++) table->nbits_quantize_row(&t->nbits, rows + i * row_size, t->a + i * k);
  table->nbits_run_i8(&t->nbits, rows, t->rows, quick, n, 0, cut);
  table->nbits_run_i8(&t->nbits, rows, t->rows, quick, n, cut, panels);
  for (size_t panel = 0; panel < panels; panel++) {
    for (size_t p = 0; p < k; p += 48)
      table->nbits_dequantize(&t->nbits, panel, p, k - p < 48 ? k - p : 48,
                              dequantized + p * panels * columns + panel * columns, panels * columns);
  }
  for (size_t i = 0; i < t->rows; i++) {
    for (size_t j = 0; j < n; j++) {
      double sum = t->nbits.bias ? (double)t->bias[j] : 0, sum_i8 = sum, scale = 1;
      for (size_t p = 0; p < k; p++) {
        const double weight = weight_of(t, p, j);
        sum += (double)t->a[i * k + p] * weight;
        sum_i8 += quantized(t, i, p) * weight;
        scale += fabs(weight);
        if (i == 0)
          expect_close(table, what, p * n + j, (double)dequantized[p * panels * columns + j], weight, fabs(weight),
                       1e-6);
      }
      /* one chain of k additions, and some more roundings */
      expect_close(table, what, i * n + j, (double)c[i * n + j], sum, scale, (double)(k + 64) * 0x1p-24);
      expect_close(table, what, i * n + j, (double)quick[i * n + j], sum_i8, scale, 4e-6);
    }
    table->nbits_few_f32(&t->nbits, t->a + i * k, k, 1, single, n, 0, panels);
    expect_same_bits(table, what, single, c + i * n, n * sizeof *single);
    table->nbits_run_i8(&t->nbits, rows + i * row_size, 1, single, n, 0, panels);
    expect_same_bits(table, what, single, quick + i * n, n * sizeof *single);
  }
  free(c), free(single), free(quick), free(dequantized), free(rows);
}

TABLE_TEST(random_products) {
  static const size_t bits[] = {2, 4, 8};
  for (int i = 0; i < 120; i++) {
    const size_t block = (size_t)16 << random_size(0, 4);
    struct nbits_case t = make_case(table, bits[i % 3], block, random_size(1, 11), random_size(1, 150),
                                    random_size(1, 600), i & 4, i & 8);
    check_case(table, &t);
    free_case(&t);
  }
}

/* The sums of bytes at their limits: the largest weights and rows of one magnitude. */
TABLE_TEST(largest_numbers) {
  for (size_t bits = 2; bits <= 8; bits *= 2) {
    struct nbits_case t = make_case(table, bits, 128, 9, 40, 512, false, false);
    memset(t.weights, 0xff, t.nbits.n * blocks_of(&t) * t.nbits.block * bits / 8);
    for (size_t i = 0; i < t.rows * t.nbits.k; i++) t.a[i] = i / t.nbits.k % 2 ? 1 : -1;
    pack(table, &t);
    check_case(table, &t);
    free_case(&t);
  }
}

/* Zeros stay zeros; what is not finite makes its row NaN. */
TABLE_TEST(special_rows) {
  struct nbits_case t = make_case(table, 4, 32, 3, 17, 70, false, false);
  const size_t k = t.nbits.k, size = table->nbits_row_size(&t.nbits);
  float c[3 * 17];
  char *rows = vector_buffer(table, 3 * size);
  for (size_t i = 0; i < k; i++) t.a[i] = 0;
  t.a[k + 40] = NAN;
  t.a[2 * k + 69] = INFINITY;
  for (size_t i = 0; i < 3; i++) table->nbits_quantize_row(&t.nbits, rows + i * size, t.a + i * k);
  table->nbits_run_i8(&t.nbits, rows, 3, c, 17, 0, table->nbits_panels(&t.nbits));
  for (size_t i = 0; i < 3 * 17; i++) expect_close(table, "special rows", i, (double)c[i], i < 17 ? 0 : NAN, 1, 0);
  free(rows);
  free_case(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_products), cmocka_unit_test(largest_numbers),
                                     cmocka_unit_test(special_rows)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
