/* Fourier transforms of lanes against the definition in long double. */
#include "tests/ops/kernels/kernel_test.h"

static long double turn(size_t k, size_t n) {
  return 2 * 3.14159265358979323846264338327950288L * (long double)(k % n) / (long double)n;
}

/* A transform of either type: `f32` where `single`. */
typedef struct transform {
  bool single;
  struct fft_f32 f32;
  struct fft_f64 f64;
  size_t lanes;
  double *twiddles;
  float *narrow;
} transform;

static bool make(const struct kernel_table *table, transform *t, size_t n, bool single) {
  const uint8_t factors[] = {4, 2, 3, 5, 7};
  size_t left = n, before = 1, at = 0;
  *t = (transform){.single = single, .lanes = single ? table->fft_f32_lanes : table->fft_f64_lanes, .f64 = {.n = n}};
  for (size_t f = 0; f < sizeof factors;) {
    if (left % factors[f] != 0) {
      f++;
      continue;
    }
    t->f64.factors[t->f64.factor_count++] = factors[f];
    left /= factors[f];
  }
  if (left != 1) return false;
  t->twiddles = exact_buffer(4 * n * sizeof(double));
  for (size_t f = 0; f < t->f64.factor_count; f++) {
    const size_t radix = t->f64.factors[f], behind = n / before / radix;
    for (size_t i = 0; i < behind; i++)
      for (size_t j = 1; j < radix; j++) {
        t->twiddles[at++] = (double)cosl(turn(i * j * before, n));
        t->twiddles[at++] = (double)-sinl(turn(i * j * before, n));
      }
    before *= radix;
  }
  t->narrow = float_buffer(at);
  for (size_t i = 0; i < at; i++) t->narrow[i] = (float)t->twiddles[i];
  t->f64.twiddles = t->twiddles;
  t->f32 = (struct fft_f32){.n = n, .factor_count = t->f64.factor_count, .twiddles = t->narrow};
  memcpy(t->f32.factors, t->f64.factors, sizeof t->f32.factors);
  return true;
}

static void forget(transform *t) {
  free(t->twiddles), free(t->narrow);
}

/* Rows of the transform's type. */
static void *random_rows(const transform *t, size_t rows) {
  const size_t count = rows * t->lanes;
  void *x = exact_buffer(count * (t->single ? sizeof(float) : sizeof(double)));
  for (size_t i = 0; i < count; i++) {
    if (t->single)
      ((float *)x)[i] = random_float();
    else
      ((double *)x)[i] = (double)random_float();
  }
  return x;
}

static size_t row_bytes(const transform *t) {
  return t->lanes * (t->single ? sizeof(float) : sizeof(double));
}

static double get(const transform *t, const void *x, size_t row, size_t lane) {
  const size_t i = row * t->lanes + lane;
  return t->single ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static void set(const transform *t, void *x, size_t row, size_t lane, double value) {
  const size_t i = row * t->lanes + lane;
  if (t->single)
    ((float *)x)[i] = (float)value;
  else
    ((double *)x)[i] = value;
}

static void *run(const struct kernel_table *table, const transform *t, void *x, void *y, bool inverse) {
  return t->single ? (void *)table->fft_f32(&t->f32, x, y, inverse) : (void *)table->fft_f64(&t->f64, x, y, inverse);
}

static double precision(const transform *t) {
  return t->single ? 5e-7 : 2e-15;
}

/* Number k of the transform of n complex rows, one lane. */
static void define(const transform *t, const void *x, size_t n, size_t lane, size_t k, bool inverse, double *re,
                   double *im) {
  long double sum_re = 0, sum_im = 0;
  for (size_t j = 0; j < n; j++) {
    const long double cosine = cosl(turn(j * k, n)), sine = inverse ? sinl(turn(j * k, n)) : -sinl(turn(j * k, n));
    const double a = get(t, x, 2 * j, lane), b = get(t, x, 2 * j + 1, lane);
    sum_re += a * cosine - b * sine;
    sum_im += a * sine + b * cosine;
  }
  *re = (double)sum_re;
  *im = (double)sum_im;
}

static void compare(const struct kernel_table *table, const transform *t, const void *found, const void *x, size_t n,
                    size_t k, bool inverse) {
  for (size_t lane = 0; lane < t->lanes; lane++) {
    double re, im;
    define(t, x, n, lane, k, inverse, &re, &im);
    expect_close(table, "fft", n, get(t, found, 2 * k, lane), re, sqrt((double)n), precision(t));
    expect_close(table, "fft", n, get(t, found, 2 * k + 1, lane), im, sqrt((double)n), precision(t));
  }
}

TABLE_TEST(every_product_of_small_factors) {
  for (size_t n = 1; n < 200; n++) {
    for (int single = 0; single < 2; single++) {
      transform t;
      if (!make(table, &t, n, single)) continue;
      for (int inverse = 0; inverse < 2; inverse++) {
        void *x = random_rows(&t, 2 * n), *copy = exact_buffer(2 * n * row_bytes(&t)), *y = random_rows(&t, 2 * n);
        memcpy(copy, x, 2 * n * row_bytes(&t));
        const void *result = run(table, &t, x, y, inverse);
        assert_true(result == x || result == y);
        for (size_t k = 0; k < n; k += n < 40 ? 1 : 1 + n / 7) compare(table, &t, result, copy, n, k, inverse);
        free(x), free(copy), free(y);
      }
      forget(&t);
    }
  }
}

TABLE_TEST(lanes_do_not_meet) {
  for (int single = 0; single < 2; single++) {
    const size_t n = 60;
    transform t;
    make(table, &t, n, single);
    void *x = random_rows(&t, 2 * n), *y = random_rows(&t, 2 * n), *alone = random_rows(&t, 2 * n),
         *other = random_rows(&t, 2 * n);
    for (size_t i = 0; i < 2 * n; i++)
      for (size_t lane = 0; lane < t.lanes; lane++) set(&t, alone, i, lane, lane == 1 ? get(&t, x, i, lane) : NAN);
    const void *all = run(table, &t, x, y, false), *one = run(table, &t, alone, other, false);
    for (size_t i = 0; i < 2 * n; i++) assert_true(get(&t, all, i, 1) == get(&t, one, i, 1));
    free(x), free(y), free(alone), free(other);
    forget(&t);
  }
}

/* Pairs of the elements of real signals, there and back. */
TABLE_TEST(real_signals_as_pairs) {
  for (size_t half = 1; half < 40; half++) {
    for (int single = 0; single < 2; single++) {
      transform t;
      if (!make(table, &t, half, single)) continue;
      const size_t n = 2 * half;
      double *turns = exact_buffer(2 * (half + 1) * sizeof *turns);
      float *narrow = float_buffer(2 * (half + 1));
      for (size_t k = 0; k <= half; k++) {
        turns[2 * k] = (double)cosl(turn(k, n));
        turns[2 * k + 1] = (double)-sinl(turn(k, n));
      }
      for (size_t k = 0; k < 2 * (half + 1); k++) narrow[k] = (float)turns[k];
      void *signal = random_rows(&t, n), *x = exact_buffer(n * row_bytes(&t)), *y = random_rows(&t, n);
      void *complex = random_rows(&t, 2 * n), *bins = random_rows(&t, 2 * (half + 1));
      memcpy(x, signal, n * row_bytes(&t));
      for (size_t j = 0; j < n; j++)
        for (size_t lane = 0; lane < t.lanes; lane++) {
          set(&t, complex, 2 * j, lane, get(&t, signal, j, lane));
          set(&t, complex, 2 * j + 1, lane, 0);
        }
      const void *z = run(table, &t, x, y, false);
      if (single)
        table->fft_split_real_f32(bins, z, narrow, half);
      else
        table->fft_split_real_f64(bins, z, turns, half);
      for (size_t k = 0; k <= half; k++) compare(table, &t, bins, complex, n, k, false);
      for (size_t lane = 0; lane < t.lanes; lane++) set(&t, bins, 1, lane, NAN), set(&t, bins, 2 * half + 1, lane, NAN);
      if (single)
        table->fft_join_real_f32(x, bins, narrow, half);
      else
        table->fft_join_real_f64(x, bins, turns, half);
      const void *back = run(table, &t, x, y, true);
      for (size_t i = 0; i < n; i++)
        for (size_t lane = 0; lane < t.lanes; lane++)
          expect_close(table, "join", i, get(&t, back, i, lane) / (double)half, get(&t, signal, i, lane), 1,
                       precision(&t));
      free(turns), free(narrow), free(signal), free(x), free(y), free(complex), free(bins);
      forget(&t);
    }
  }
}

static double *random_doubles(size_t count) {
  double *x = exact_buffer(count * sizeof *x);
  for (size_t i = 0; i < count; i++) x[i] = (double)random_float();
  return x;
}

TABLE_TEST(scales_and_conversions) {
  const size_t lanes = table->fft_f64_lanes, rows = 9;
  double *x = random_doubles(2 * rows * lanes), *y = random_doubles(2 * rows * lanes),
         *factors = random_doubles(2 * rows);
  double *vectors = random_doubles(2 * rows * lanes), *twisted = exact_buffer(2 * rows * lanes * sizeof *twisted);
  for (int conjugate = 0; conjugate < 2; conjugate++) {
    table->fft_scale_f64(y, x, factors, rows, conjugate);
    memcpy(twisted, x, 2 * rows * lanes * sizeof *x);
    table->fft_twist_f64(twisted, factors, vectors, rows, conjugate);
    for (size_t i = 0; i < rows; i++) {
      for (size_t lane = 0; lane < lanes; lane++) {
        const double a = x[2 * i * lanes + lane], b = x[(2 * i + 1) * lanes + lane], c = factors[2 * i],
                     d = factors[2 * i + 1];
        const double e = vectors[2 * i * lanes + lane], f = vectors[(2 * i + 1) * lanes + lane],
                     sign = conjugate ? -1 : 1;
        const double p = c * e - d * f, q = sign * (c * f + d * e);
        expect_close(table, "scale", i, y[2 * i * lanes + lane], a * c - b * sign * d, 1, 1e-15);
        expect_close(table, "scale", i, y[(2 * i + 1) * lanes + lane], a * sign * d + b * c, 1, 1e-15);
        expect_close(table, "twist", i, twisted[2 * i * lanes + lane], a * p - b * q, 1, 1e-15);
        expect_close(table, "twist", i, twisted[(2 * i + 1) * lanes + lane], a * q + b * p, 1, 1e-15);
      }
    }
  }
  float *narrow = random_floats(rows * lanes), *back = float_buffer(rows * lanes);
  table->fft_widen_f32(y, narrow, rows);
  for (size_t i = 0; i < rows * lanes; i++) assert_true(y[i] == (double)narrow[i]);
  table->fft_scale_rows_f64(y, factors, rows);
  for (size_t i = 0; i < rows * lanes; i++) assert_true(y[i] == (double)narrow[i] * factors[i / lanes]);
  table->fft_narrow_f32(back, y, rows);
  for (size_t i = 0; i < rows * lanes; i++) assert_true(back[i] == (float)y[i]);
  const size_t wide = table->fft_f32_lanes;
  float *floats = random_floats(rows * wide), *scaled = float_buffer(rows * wide), *scale = random_floats(rows);
  memcpy(scaled, floats, rows * wide * sizeof *floats);
  table->fft_scale_rows_f32(scaled, scale, rows);
  for (size_t i = 0; i < rows * wide; i++) assert_true(scaled[i] == floats[i] * scale[i / wide]);
  free(floats), free(scaled), free(scale);
  free(x), free(y), free(factors), free(vectors), free(twisted), free(narrow), free(back);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_product_of_small_factors),
                                     cmocka_unit_test(lanes_do_not_meet), cmocka_unit_test(real_signals_as_pairs),
                                     cmocka_unit_test(scales_and_conversions)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
