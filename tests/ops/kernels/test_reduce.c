/* Reductions of runs and across rows against plain loops in double precision. */
#include "tests/ops/kernels/kernel_test.h"

static double plain(enum reduce_kind kind, const float *x, size_t n, size_t stride) {
  double result = kind == REDUCE_MAX ? -INFINITY : kind == REDUCE_MIN ? INFINITY : 0;
  for (size_t i = 0; i < n; i++) {
    const double v = x[i * stride];
    switch (kind) {
    case REDUCE_SUM:
      result += v;
      break;
    case REDUCE_SUM_SQUARES:
      result += v * v;
      break;
    case REDUCE_SUM_ABS:
      result += fabs(v);
      break;
    case REDUCE_MAX:
      result = isnan(v) || v > result ? v : result;
      break;
    case REDUCE_MIN:
      result = isnan(v) || v < result ? v : result;
      break;
    default:
      fail();
    }
    if (isnan(result)) return result;
  }
  return result;
}

TABLE_TEST(runs) {
  for (size_t n = 0; n < 2000; n += n < 150 ? 1 : 617)
    for (int kind = 0; kind < REDUCE_KIND_COUNT; kind++) {
      float *x = random_floats(n);
      expect_close(table, "reduce", n, table->reduce_f32[kind](x, n), plain((enum reduce_kind)kind, x, n, 1),
                   (double)n + 1, 3e-7);
      free(x);
    }
}

/* Equal elements round in the same direction each time: the worst there is. */
TABLE_TEST(long_sums_keep_their_digits) {
  enum { LONGEST = 1 << 20 };
  const float element = 0.1f;
  float *x = float_buffer(LONGEST), *y = float_buffer(256);
  for (size_t i = 0; i < LONGEST; i++) x[i] = element;
  for (size_t n = 100; n <= LONGEST; n = n * 7 + 5) {
    const double d = (double)element, count = (double)n;
    expect_close(table, "sum", n, table->reduce_f32[REDUCE_SUM](x, n), d * count, d * count, 1e-6);
    expect_close(table, "squares", n, table->reduce_f32[REDUCE_SUM_SQUARES](x, n), d * d * count, d * d * count, 1e-6);
    expect_close(table, "magnitudes", n, table->reduce_f32[REDUCE_SUM_ABS](x, n), d * count, d * count, 1e-6);
    const double powers = exp(d - 0.7) * count;
    expect_close(table, "exp_sum", n, table->exp_sum_f32(NULL, x, n, 0.7f), powers, powers, 1e-6);
  }
  for (size_t columns = 1; columns < 256; columns += 83) {
    const size_t rows = LONGEST / columns;
    const double sum = (double)element * (double)rows;
    table->reduce_rows_f32[REDUCE_SUM](y, x, rows, columns, columns);
    for (size_t j = 0; j < columns; j++) expect_close(table, "rows", j, y[j], sum, sum, 1e-6);
  }
  const size_t block = table->channel_block[NORMA_FLOAT], pixels = LONGEST / block;
  table->blocked_sum_f32(y, x, pixels);
  expect_close(table, "blocked_sum", 0, y[block - 1], (double)element * (double)pixels,
               (double)element * (double)pixels, 1e-6);
  free(x), free(y);
}

TABLE_TEST(averages_of_large_windows_keep_their_digits) {
  const float element = 0.1f;
  const size_t sizes[][2] = {{300, 300}, {1, 5000}, {5000, 3}, {17, 16}, {7, 7}}, pad_end[2] = {0, 0};
  const size_t b = table->channel_block[NORMA_FLOAT];
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    const struct window_2d window = {.input = {sizes[i][0] + 1, sizes[i][1] + 9},
                                     .output = {2, 10},
                                     .kernel = {sizes[i][0], sizes[i][1]},
                                     .stride = {1, 1},
                                     .dilation = {1, 1}};
    const size_t count = window.input[0] * window.input[1];
    float *x = float_buffer(count * b), *y = float_buffer(20 * b);
    void *scratch = exact_buffer(table->window_scratch_size(&window));
    for (size_t k = 0; k < count * b; k++) x[k] = element;
    table->average_pool_f32(&window, false, pad_end, x, y, scratch);
    for (size_t k = 0; k < 20; k++) expect_close(table, "average", k, y[k], (double)element, (double)element, 1e-6);
    table->blocked_average_pool_f32(&window, false, pad_end, x, y);
    for (size_t k = 0; k < 20 * b; k++)
      expect_close(table, "blocked average", k, y[k], (double)element, (double)element, 1e-6);
    free(x), free(y), free(scratch);
  }
}

TABLE_TEST(not_a_number_anywhere_is_found) {
  const int kinds[] = {REDUCE_MAX, REDUCE_MIN};
  for (size_t n = 1; n < 80; n++)
    for (size_t at = 0; at < n; at++)
      for (int k = 0; k < 2; k++) {
        float *x = random_floats(n);
        x[at] = NAN;
        if (at + 1 < n) x[at + 1] = INFINITY;
        if (!isnan(table->reduce_f32[kinds[k]](x, n))) fail_msg("%s: NaN at %zu of %zu lost", table->name, at, n);
        free(x);
      }
}

TABLE_TEST(across_rows) {
  for (int repeat = 0; repeat < 300; repeat++) {
    const size_t rows = random_size(0, 9), columns = random_size(0, 150), stride = columns + random_size(0, 3);
    float *x = random_floats(rows ? (rows - 1) * stride + columns : 0), *y = float_buffer(columns);
    for (int kind = 0; kind < REDUCE_KIND_COUNT; kind++) {
      table->reduce_rows_f32[kind](y, x, rows, columns, stride);
      for (size_t j = 0; j < columns; j++)
        expect_close(table, "reduce_rows", j, y[j], plain((enum reduce_kind)kind, x + (rows ? j : 0), rows, stride),
                     (double)rows, 3e-7);
    }
    free(x), free(y);
  }
}

TABLE_TEST(sum_of_exponentials) {
  for (size_t n = 0; n < 150; n++) {
    float *x = random_floats(n), *y = float_buffer(n);
    double sum = 0;
    const float total = table->exp_sum_f32(y, x, n, 0.5f);
    for (size_t i = 0; i < n; i++) {
      expect_close(table, "exp_sum", i, y[i], exp((double)x[i] - 0.5), 1, 1e-6);
      sum += exp((double)x[i] - 0.5);
    }
    expect_close(table, "exp_sum", n, total, sum, sum, 1e-6);
    const float without_store = table->exp_sum_f32(NULL, x, n, 0.5f), in_place = table->exp_sum_f32(x, x, n, 0.5f);
    expect_same_bits(table, "exp_sum without store", &without_store, &total, sizeof total);
    expect_same_bits(table, "exp_sum in place", &in_place, &total, sizeof total);
    expect_same_bits(table, "exp_sum in place", x, y, n * sizeof(float));
    free(x), free(y);
  }
}

TABLE_TEST(products_of_runs_and_rows) {
  for (size_t n = 0; n < 1500; n += n < 150 ? 1 : 451) {
    float *x = random_floats(n);
    double product = 1;
    for (size_t i = 0; i < n; i++) x[i] = 1 + x[i] / 8, product *= x[i];
    expect_close(table, "product", n, table->product_f32(x, n), product, fabs(product), 1e-7);
    free(x);
  }
  const float wide[] = {1e30f, 1e30f, 1e30f, 1e-30f, 1e-30f, 1e-30f};
  expect_close(table, "product of wide range", 0, table->product_f32(wide, 6), 1, 1, 1e-6);
  for (int repeat = 0; repeat < 200; repeat++) {
    const size_t rows = random_size(0, 40), columns = random_size(1, 150), stride = columns + random_size(0, 3);
    float *x = random_floats(rows ? (rows - 1) * stride + columns : 0), *y = float_buffer(columns);
    table->product_rows_f32(y, x, rows, columns, stride);
    for (size_t j = 0; j < columns; j++) {
      double product = 1;
      for (size_t i = 0; i < rows; i++) product *= x[i * stride + j];
      expect_close(table, "product_rows", j, y[j], product, fabs(product) + 1e-37, 1e-7);
    }
    free(x), free(y);
  }
}

TABLE_TEST(sum_of_exponentials_of_rows) {
  for (int repeat = 0; repeat < 200; repeat++) {
    const size_t rows = random_size(1, 60), columns = random_size(1, 150), stride = columns + random_size(0, 3);
    float *x = random_floats((rows - 1) * stride + columns), *y = float_buffer(columns),
          *offset = random_floats(columns);
    table->exp_sum_rows_f32(y, x, rows, columns, stride, offset);
    for (size_t j = 0; j < columns; j++) {
      double sum = 0;
      for (size_t i = 0; i < rows; i++) sum += exp((double)x[i * stride + j] - offset[j]);
      expect_close(table, "exp_sum_rows", j, y[j], sum, sum, 1e-6);
    }
    free(x), free(y), free(offset);
  }
}

TABLE_TEST(softmax_of_lines) {
  enum { LINES = 37 };
  for (size_t n = 0; n < 150; n++) {
    float *x = random_floats(LINES * n), *y = float_buffer(LINES * n), *single = float_buffer(n);
    for (size_t i = 0; i < LINES * n; i++) x[i] *= 20;
    if (n > 2) {
      x[n + 1] = NAN;
      x[3 * n] = INFINITY;
      x[5 * n + 2] = -INFINITY;
      for (size_t i = 0; i < n; i++) x[7 * n + i] = -INFINITY;
    }
    table->softmax_lines_f32(y, x, LINES, n);
    for (size_t line = 0; line < LINES; line++) {
      float largest = -INFINITY;
      double sum = 0;
      for (size_t i = 0; i < n; i++) largest = fmaxf(largest, x[line * n + i]);
      for (size_t i = 0; i < n; i++) sum += exp((double)x[line * n + i] - largest);
      for (size_t i = 0; i < n; i++) {
        const double expected = exp((double)x[line * n + i] - largest) / sum;
        expect_close(table, "softmax", line * n + i, y[line * n + i], expected, expected, 4e-6);
      }
      table->softmax_lines_f32(single, x + line * n, 1, n);
      expect_same_bits(table, "softmax of one line", single, y + line * n, n * sizeof(float));
    }
    table->softmax_lines_f32(x, x, LINES, n);
    expect_same_bits(table, "softmax in place", x, y, LINES * n * sizeof(float));
    free(x), free(y), free(single);
  }
}

TABLE_TEST(double_sums_and_dot) {
  for (size_t n = 0; n < 150; n++) {
    float *x = random_floats(n), *z = random_floats(n);
    double sum = 0, squares = 0, dot = 0;
    for (size_t i = 0; i < n; i++) {
      sum += x[i];
      squares += (x[i] - 0.25) * (x[i] - 0.25);
      dot += (double)x[i] * z[i];
    }
    expect_close(table, "sum_f32_to_f64", n, table->sum_f32_to_f64(x, n), sum, (double)n, 1e-15);
    expect_close(table, "squared deviations", n, table->sum_squared_deviations_f32(x, n, 0.25), squares, (double)n,
                 1e-15);
    expect_close(table, "dot", n, table->dot_f32(x, z, n), dot, (double)n, 1e-7);
    free(x), free(z);
  }
}

/* Rows far from 0, and numbers whose squares float cannot hold. */
TABLE_TEST(moments_of_rows) {
  static const struct {
    double offset, factor;
  } rows[] = {{0, 1}, {1000, 1}, {-3e5, 2}, {0, 1e25}, {1e20, 1e18}, {0, 1e-25}, {7, 0}};
  for (size_t n = 1; n < 3000; n = n < 150 ? n + 1 : n * 3 / 2) {
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
      float *x = random_floats(n);
      double mean = 0, variance = 0, squares = 0;
      for (size_t i = 0; i < n; i++) x[i] = (float)(rows[r].offset + rows[r].factor * (double)x[i]);
      for (size_t i = 0; i < n; i++) mean += (double)x[i];
      mean /= (double)n;
      for (size_t i = 0; i < n; i++) variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
      for (size_t i = 0; i < n; i++) squares += (double)x[i] * (double)x[i] / (double)n;
      const struct row_moments centered = table->row_moments_f32(x, n, true);
      const struct row_moments plain = table->row_moments_f32(x, n, false);
      const double spread = sqrt(variance) + 1e-13 * fabs(mean);
      expect_close(table, "mean", n, centered.mean, mean, spread + 1e-7 * fabs(mean), 1e-6);
      expect_close(table, "variance", n, centered.variance, variance, spread * spread, 1e-6);
      assert_true(plain.mean == 0);
      expect_close(table, "mean square", n, plain.variance, squares, squares, 1e-6);
      free(x);
    }
    float *x = random_floats(n);
    x[n / 2] = NAN;
    assert_true(isnan(table->row_moments_f32(x, n, true).variance));
    x[n / 2] = INFINITY;
    assert_true(isnan(table->row_moments_f32(x, n, true).variance));
    assert_true(isinf(table->row_moments_f32(x, n, false).variance));
    free(x);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(runs),
      cmocka_unit_test(long_sums_keep_their_digits),
      cmocka_unit_test(averages_of_large_windows_keep_their_digits),
      cmocka_unit_test(not_a_number_anywhere_is_found),
      cmocka_unit_test(across_rows),
      cmocka_unit_test(sum_of_exponentials),
      cmocka_unit_test(products_of_runs_and_rows),
      cmocka_unit_test(sum_of_exponentials_of_rows),
      cmocka_unit_test(softmax_of_lines),
      cmocka_unit_test(double_sums_and_dot),
      cmocka_unit_test(moments_of_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
