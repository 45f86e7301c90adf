/* gemm_f32 and gemm_f64 against the triple loop in double precision. */
#include "tests/ops/kernels/kernel_test.h"

struct case_f32 {
  size_t m, n, k;
  bool a_transposed, b_transposed, a_packed, b_packed;
  bool row_bias, column_bias, residual;
  struct activation activation;
};

static double activation_of(struct activation activation, double x) {
  switch (activation.kind) {
  case UNARY_RELU:
    return x > 0 ? x : 0;
  case UNARY_CLIP:
    return x < activation.a ? activation.a : x > activation.b ? activation.b : x;
  case UNARY_LEAKY_RELU:
    return x < 0 ? activation.a * x : x;
  case UNARY_SIGMOID:
    return 1 / (1 + exp(-x));
  default:
    return x;
  }
}

/* Runs one case in four pieces (halves of the panels) if `split`, returns C. */
static float *run_f32(const struct kernel_table *table, const struct case_f32 *t, const float *a, const float *b,
                      const struct epilogue_f32 *epilogue, bool split) {
  struct gemm_f32 gemm = {.m = t->m, .n = t->n, .k = t->k, .a = a, .b = b, .epilogue = *epilogue};
  gemm.a_row_stride = t->a_transposed ? 1 : t->k;
  gemm.a_column_stride = t->a_transposed ? t->m : 1;
  gemm.b_row_stride = t->b_transposed ? 1 : t->n;
  gemm.b_column_stride = t->b_transposed ? t->k : 1;
  float *packed_a = float_buffer(table->gemm_f32_packed_a_size(t->m, t->k));
  float *packed_b = float_buffer(table->gemm_f32_packed_b_size(t->k, t->n));
  if (t->a_packed) {
    table->gemm_f32_pack_a(packed_a, a, t->m, t->k, gemm.a_row_stride, gemm.a_column_stride);
    gemm.packed_a = packed_a;
    gemm.a = NULL;
  }
  if (t->b_packed) {
    table->gemm_f32_pack_b(packed_b, b, t->k, t->n, gemm.b_row_stride, gemm.b_column_stride);
    gemm.packed_b = packed_b;
    gemm.b = NULL;
  }
  gemm.c = float_buffer(t->m * t->n);
  gemm.c_row_stride = t->n;
  void *scratch = exact_buffer(table->gemm_f32_scratch_size(&gemm));
  const size_t rows = table->gemm_f32_row_panels(t->m), columns = table->gemm_f32_column_panels(t->n);
  const size_t row_cut = split ? rows / 2 : rows, column_cut = split ? columns / 2 : columns;
  table->gemm_f32_run(&gemm, 0, row_cut, 0, column_cut, scratch);
  table->gemm_f32_run(&gemm, row_cut, rows, 0, column_cut, scratch);
  table->gemm_f32_run(&gemm, 0, row_cut, column_cut, columns, scratch);
  table->gemm_f32_run(&gemm, row_cut, rows, column_cut, columns, scratch);
  free(packed_a);
  free(packed_b);
  free(scratch);
  return gemm.c;
}

static void check_f32(const struct kernel_table *table, const struct case_f32 *t) {
  char what[160];
  snprintf(what, sizeof what, "gemm %zux%zux%zu%s%s%s%s activation %d", t->m, t->n, t->k, t->a_transposed ? " A^T" : "",
           t->b_transposed ? " B^T" : "", t->a_packed ? " A packed" : "", t->b_packed ? " B packed" : "",
           (int)t->activation.kind);
  float *a = random_floats(t->m * t->k), *b = random_floats(t->k * t->n);
  float *row_bias = random_floats(t->m), *column_bias = random_floats(t->n), *residual = random_floats(t->m * t->n);
  const struct epilogue_f32 epilogue = {.row_bias = t->row_bias ? row_bias : NULL,
                                        .column_bias = t->column_bias ? column_bias : NULL,
                                        .residual = t->residual ? residual : NULL,
                                        .residual_stride = t->n,
                                        .activation = t->activation};
  float *c = run_f32(table, t, a, b, &epilogue, false), *split = run_f32(table, t, a, b, &epilogue, true);
  expect_same_bits(table, what, split, c, t->m * t->n * sizeof(float));

  for (size_t i = 0; i < t->m; i++)
    for (size_t j = 0; j < t->n; j++) {
      double sum = 0, scale = 3;
      for (size_t p = 0; p < t->k; p++) {
        const double term =
            (double)a[t->a_transposed ? p * t->m + i : i * t->k + p] * b[t->b_transposed ? j * t->k + p : p * t->n + j];
        sum += term;
        scale += fabs(term);
      }
      if (t->row_bias) sum += row_bias[i];
      if (t->column_bias) sum += column_bias[j];
      if (t->residual) sum += residual[i * t->n + j];
      expect_close(table, what, i * t->n + j, c[i * t->n + j], activation_of(t->activation, sum), scale, 2e-6);
    }
  free(a), free(b), free(c), free(split), free(row_bias), free(column_bias), free(residual);
}

static void randomize_flags(struct case_f32 *t) {
  static const struct activation activations[] = {{UNARY_IDENTITY, 0, 0},
                                                  {UNARY_RELU, 0, 0},
                                                  {UNARY_CLIP, -0.5f, 0.75f},
                                                  {UNARY_LEAKY_RELU, 0.1f, 0},
                                                  {UNARY_SIGMOID, 0, 0}};
  const uint32_t bits = random_bits();
  t->a_transposed = bits & 1;
  t->b_transposed = bits & 2;
  t->a_packed = bits & 4;
  t->b_packed = bits & 8;
  t->row_bias = bits & 16;
  t->column_bias = bits & 32;
  t->residual = bits & 64;
  t->activation = activations[(bits >> 8) % 5];
}

/* b in parts of its rows and columns, each with nothing behind it. */
static void check_parts(const struct kernel_table *table, size_t k, size_t n, bool transposed) {
  const size_t size = table->gemm_f32_packed_b_size(k, n), tile = table->gemm_f32_tile_columns;
  float *b = random_floats(k * n), *whole = float_buffer(size), *packed = random_floats(size);
  table->gemm_f32_pack_b(whole, b, k, n, transposed ? 1 : n, transposed ? k : 1);
  struct gemm_part part = {.k = k, .n = n};
  for (part.row = 0; part.row < k; part.row += part.rows) {
    part.rows = random_size(1, k - part.row);
    for (part.column = 0; part.column < n; part.column += part.columns) {
      part.columns = tile * random_size(1, 3);
      if (part.columns > n - part.column) part.columns = n - part.column;
      float *piece = float_buffer(part.rows * part.columns);
      for (size_t p = 0; p < part.rows; p++)
        for (size_t j = 0; j < part.columns; j++) {
          const size_t row = part.row + p, column = part.column + j;
          piece[transposed ? j * part.rows + p : p * part.columns + j] =
              b[transposed ? column * k + row : row * n + column];
        }
      table->gemm_f32_pack_b_part(packed, piece, &part, transposed ? 1 : part.columns, transposed ? part.rows : 1);
      free(piece);
    }
  }
  expect_same_bits(table, "b packed in parts", packed, whole, size * sizeof(float));
  free(b), free(whole), free(packed);
}

TABLE_TEST(packing_in_parts) {
  for (size_t i = 0; i < 60; i++) {
    check_parts(table, random_size(1, 3 * table->gemm_depth_block), random_size(1, 200), i & 1);
  }
}

TABLE_TEST(sizes_around_the_tile) {
  const size_t rows = table->gemm_f32_tile_rows, columns = table->gemm_f32_tile_columns;
  const size_t ms[] = {1, 2, 3, rows - 1, rows, rows + 1, 2 * rows + 1};
  const size_t ns[] = {1, 3, columns / 2, columns - 1, columns, columns + 1, 4 * columns, 5 * columns + 3};
  const size_t ks[] = {0, 1, 2, 5, 64};
  for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
    for (size_t j = 0; j < sizeof ns / sizeof *ns; j++)
      for (size_t p = 0; p < sizeof ks / sizeof *ks; p++) {
        struct case_f32 t = {.m = ms[i], .n = ns[j], .k = ks[p]};
        randomize_flags(&t);
        check_f32(table, &t);
      }
}

TABLE_TEST(random_sizes) {
  for (int i = 0; i < 150; i++) {
    struct case_f32 t = {.m = random_size(1, 40), .n = random_size(1, 150), .k = random_size(0, 40)};
    randomize_flags(&t);
    check_f32(table, &t);
  }
}

TABLE_TEST(several_blocks_of_depth_and_columns) {
  const size_t block = table->gemm_depth_block;
  const size_t ks[] = {block - 1, block, block + 1, 3 * block + 7};
  for (size_t i = 0; i < sizeof ks / sizeof *ks; i++)
    for (int repeat = 0; repeat < 3; repeat++) {
      struct case_f32 t = {.m = random_size(1, 20), .n = random_size(1, 900), .k = ks[i]};
      randomize_flags(&t);
      check_f32(table, &t);
    }
}

/* More columns than two blocks, and more rows than are packed together: the bits of rows that were packed before, and
 * activations of full and of other tiles. */
TABLE_TEST(rows_that_are_packed_in_parts) {
  static const size_t sizes[][3] = {{131, 2100, 9}, {70, 1101, 300}, {90, 1060, 9000}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct case_f32 t = {.m = sizes[i][0], .n = sizes[i][1], .k = sizes[i][2], .b_packed = true, .column_bias = true};
    t.activation = (struct activation){i ? UNARY_SIGMOID : UNARY_RELU, 0, 0};
    float *a = random_floats(t.m * t.k), *b = random_floats(t.k * t.n), *bias = random_floats(t.n);
    const struct epilogue_f32 epilogue = {.column_bias = bias, .activation = t.activation};
    float *c = run_f32(table, &t, a, b, &epilogue, false), *split = run_f32(table, &t, a, b, &epilogue, true);
    t.a_packed = true;
    float *expected = run_f32(table, &t, a, b, &epilogue, false);
    expect_same_bits(table, "packed in parts", c, expected, t.m * t.n * sizeof(float));
    expect_same_bits(table, "packed in parts, split", split, expected, t.m * t.n * sizeof(float));
    free(a), free(b), free(bias), free(c), free(split), free(expected);
  }
  struct case_f32 t = {.m = 65, .n = 1100, .k = 67, .b_packed = true, .row_bias = true, .residual = true};
  t.activation = (struct activation){UNARY_SIGMOID, 0, 0};
  check_f32(table, &t);
}

TABLE_TEST(empty_output) {
  struct case_f32 t = {.m = 0, .n = 5, .k = 3};
  check_f32(table, &t);
  t = (struct case_f32){.m = 5, .n = 0, .k = 3};
  check_f32(table, &t);
}

/* A row alone, a row among others, packed or not: the same bits. */
TABLE_TEST(results_do_not_depend_on_other_rows_or_columns) {
  const size_t m = 31, n = 203, k = 2 * table->gemm_depth_block + 3;
  float *a = random_floats(m * k), *b = random_floats(k * n);
  const struct epilogue_f32 none = {0};
  struct case_f32 whole = {.m = m, .n = n, .k = k, .a_packed = true, .b_packed = true};
  float *expected = run_f32(table, &whole, a, b, &none, false);
  for (size_t i = 0; i < m; i++)
    for (int packed = 0; packed < 4; packed++) {
      struct case_f32 row = {.m = 1, .n = n, .k = k, .a_packed = packed & 1, .b_packed = packed & 2};
      float *c = run_f32(table, &row, a + i * k, b, &none, false);
      expect_same_bits(table, "one row", c, expected + i * n, n * sizeof(float));
      free(c);
    }
  float *column = float_buffer(k);
  for (size_t j = 0; j < n; j += 13) {
    for (size_t p = 0; p < k; p++) column[p] = b[p * n + j];
    struct case_f32 one = {.m = m, .n = 1, .k = k};
    float *c = run_f32(table, &one, a, column, &none, false);
    for (size_t i = 0; i < m; i++) expect_same_bits(table, "one column", c + i, expected + i * n + j, sizeof(float));
    free(c);
  }
  free(a), free(b), free(expected), free(column);
}

TABLE_TEST(not_a_number_and_infinity_pass_through) {
  const float a[2] = {NAN, 1}, b[1] = {INFINITY};
  const struct case_f32 t = {.m = 2, .n = 1, .k = 1};
  const struct epilogue_f32 relu = {.activation = {.kind = UNARY_RELU}};
  float *c = run_f32(table, &t, a, b, &relu, false);
  assert_true(isnan(c[0]));
  assert_true(c[1] == INFINITY);
  free(c);
}

TABLE_TEST(double_precision) {
  for (int repeat = 0; repeat < 60; repeat++) {
    const size_t m = random_size(1, 40), n = random_size(1, 90), k = random_size(0, 700);
    const bool a_transposed = random_bits() & 1, b_transposed = random_bits() & 1;
    double *a = exact_buffer(m * k * sizeof(double)), *b = exact_buffer(k * n * sizeof(double));
    double *row_bias = exact_buffer(m * sizeof(double)), *c = exact_buffer(m * n * sizeof(double));
    double *packed_a = exact_buffer(table->gemm_f64_packed_a_size(m, k) * sizeof(double));
    double *packed_b = exact_buffer(table->gemm_f64_packed_b_size(k, n) * sizeof(double));
    for (size_t i = 0; i < m * k; i++) a[i] = random_float();
    for (size_t i = 0; i < k * n; i++) b[i] = random_float();
    for (size_t i = 0; i < m; i++) row_bias[i] = random_float();
    struct gemm_f64 gemm = {.m = m, .n = n, .k = k, .a = a, .b = b, .c = c, .c_row_stride = n, .row_bias = row_bias};
    gemm.a_row_stride = a_transposed ? 1 : k;
    gemm.a_column_stride = a_transposed ? m : 1;
    gemm.b_row_stride = b_transposed ? 1 : n;
    gemm.b_column_stride = b_transposed ? k : 1;
    table->gemm_f64_pack_a(packed_a, a, m, k, gemm.a_row_stride, gemm.a_column_stride);
    table->gemm_f64_pack_b(packed_b, b, k, n, gemm.b_row_stride, gemm.b_column_stride);
    if (random_bits() & 1) gemm.packed_a = packed_a;
    if (random_bits() & 1) gemm.packed_b = packed_b;
    void *scratch = exact_buffer(table->gemm_f64_scratch_size(&gemm));
    table->gemm_f64_run(&gemm, 0, table->gemm_f64_row_panels(m), 0, table->gemm_f64_column_panels(n), scratch);
    for (size_t i = 0; i < m; i++)
      for (size_t j = 0; j < n; j++) {
        double sum = 0;
        for (size_t p = 0; p < k; p++)
          sum += a[a_transposed ? p * m + i : i * k + p] * b[b_transposed ? j * k + p : p * n + j];
        expect_close(table, "gemm_f64", i * n + j, c[i * n + j], sum + row_bias[i], (double)k + 1, 1e-14);
      }
    free(a), free(b), free(c), free(row_bias), free(packed_a), free(packed_b), free(scratch);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(packing_in_parts),
      cmocka_unit_test(sizes_around_the_tile),
      cmocka_unit_test(random_sizes),
      cmocka_unit_test(several_blocks_of_depth_and_columns),
      cmocka_unit_test(rows_that_are_packed_in_parts),
      cmocka_unit_test(empty_output),
      cmocka_unit_test(results_do_not_depend_on_other_rows_or_columns),
      cmocka_unit_test(not_a_number_and_infinity_pass_through),
      cmocka_unit_test(double_precision),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
