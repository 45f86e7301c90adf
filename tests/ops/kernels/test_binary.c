/* Binary functions, scale and shift, and normalisation of a row. */
#include "tests/ops/kernels/kernel_test.h"

static float plain(enum binary_kind kind, float x, float z) {
  switch (kind) {
  case BINARY_ADD:
    return x + z;
  case BINARY_SUB:
    return x - z;
  case BINARY_MUL:
    return x * z;
  case BINARY_DIV:
    return x / z;
  case BINARY_MIN:
    return isnan(x) || isnan(z) ? NAN : x < z ? x : z;
  case BINARY_MAX:
    return isnan(x) || isnan(z) ? NAN : x > z ? x : z;
  default:
    return NAN;
  }
}

/* Random numbers with specials strewn in. */
static float *values(size_t n) {
  static const float specials[] = {0, -1, INFINITY, -INFINITY, NAN, FLT_MIN / 4, FLT_MAX};
  float *x = random_floats(n);
  for (size_t i = 0; i < n; i++)
    if (random_bits() % 5 == 0) x[i] = specials[random_bits() % (sizeof specials / sizeof *specials)];
  return x;
}

TABLE_TEST(arrays_and_scalars) {
  for (int k = 0; k < BINARY_KIND_COUNT; k++)
    for (size_t n = 0; n < 70; n++) {
      const enum binary_kind kind = (enum binary_kind)k;
      float *x = values(n), *z = values(n), *y = float_buffer(n);
      const float s = n % 7 ? random_float() : NAN;
      table->binary_f32[k](y, x, z, n);
      for (size_t i = 0; i < n; i++) expect_close(table, "binary", i, y[i], plain(kind, x[i], z[i]), 0, 0);
      table->binary_right_scalar_f32[k](y, x, s, n);
      for (size_t i = 0; i < n; i++) expect_close(table, "binary scalar", i, y[i], plain(kind, x[i], s), 0, 0);
      table->binary_left_scalar_f32[k](y, x, s, n);
      for (size_t i = 0; i < n; i++) expect_close(table, "scalar binary", i, y[i], plain(kind, s, x[i]), 0, 0);
      memcpy(y, x, n * sizeof(float));
      table->binary_f32[k](y, y, z, n);
      for (size_t i = 0; i < n; i++) expect_close(table, "binary in place", i, y[i], plain(kind, x[i], z[i]), 0, 0);
      free(x), free(y), free(z);
    }
}

TABLE_TEST(scale_and_shift) {
  static const struct activation activations[] = {
      {UNARY_IDENTITY, 0, 0}, {UNARY_RELU, 0, 0}, {UNARY_CLIP, -0.25f, 0.5f}, {UNARY_LEAKY_RELU, 0.5f, 0}};
  for (size_t n = 0; n < 2100; n += n < 70 ? 1 : 677)
    for (int a = 0; a < 4; a++)
      for (int with_residual = 0; with_residual < 2; with_residual++) {
        float *x = random_floats(n), *residual = random_floats(n), *scale = random_floats(n), *shift = random_floats(n);
        float *y = float_buffer(n), *row = float_buffer(n);
        const float *r = with_residual ? residual : NULL;
        const float factor = random_float(), term = random_float();
        table->affine_f32(y, x, r, n, factor, term, activations[a]);
        table->affine_row_f32(row, x, r, n, scale, shift, activations[a]);
        for (size_t i = 0; i < n; i++) {
          double expected[2] = {(double)x[i] * factor + term, (double)x[i] * scale[i] + shift[i]};
          for (int e = 0; e < 2; e++) {
            if (r) expected[e] += r[i];
            if (a == 1) expected[e] = fmax(expected[e], 0);
            if (a == 2) expected[e] = fmin(fmax(expected[e], -0.25), 0.5);
            if (a == 3 && expected[e] < 0) expected[e] *= 0.5;
          }
          expect_close(table, "affine", i, y[i], expected[0], 3, 1e-7);
          expect_close(table, "affine_row", i, row[i], expected[1], 3, 1e-7);
        }
        free(x), free(residual), free(scale), free(shift), free(y), free(row);
      }
}

TABLE_TEST(slopes_of_each_element) {
  for (size_t n = 0; n < 70; n++) {
    float *x = values(n), *slope = values(n), *y = float_buffer(n);
    table->prelu_f32(y, x, slope, n);
    for (size_t i = 0; i < n; i++) {
      expect_close(table, "prelu", i, y[i], x[i] < 0 ? x[i] * slope[i] : x[i], 0, 0);
    }
    memcpy(y, x, n * sizeof *y);
    table->prelu_f32(y, y, slope, n);
    for (size_t i = 0; i < n; i++) {
      expect_close(table, "prelu in place", i, y[i], x[i] < 0 ? x[i] * slope[i] : x[i], 0, 0);
    }
    free(x), free(slope), free(y);
  }
}

TABLE_TEST(normalize_row) {
  for (size_t n = 0; n < 70; n++) {
    float *x = random_floats(n), *scale = random_floats(n), *shift = random_floats(n), *y = float_buffer(n);
    for (int which = 0; which < 4; which++) {
      table->normalize_row_f32(y, x, n, 0.125f, 3, which & 1 ? scale : NULL, which & 2 ? shift : NULL);
      for (size_t i = 0; i < n; i++) {
        const double expected =
            ((double)x[i] - 0.125) * 3 * (which & 1 ? scale[i] : 1) + (which & 2 ? (double)shift[i] : 0);
        expect_close(table, "normalize_row", i, y[i], expected, 4, 2e-7);
      }
    }
    free(x), free(scale), free(shift), free(y);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arrays_and_scalars),
      cmocka_unit_test(scale_and_shift),
      cmocka_unit_test(slopes_of_each_element),
      cmocka_unit_test(normalize_row),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
