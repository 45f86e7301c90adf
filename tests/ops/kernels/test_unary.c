/* Unary functions against their formulas in double precision. With NORMA_TEST_VERBOSE set, prints the errors found. */
#include "tests/ops/kernels/kernel_test.h"

#include "engine/base/float_control.h"

static const char *const names[] = {
#define NAME(NAME, function, formula) #function,
    UNARY_KINDS(NAME)
#undef NAME
};

static double sigmoid(double x) {
  return 1 / (1 + exp(-x));
}

static double softplus(double x) {
  return x > 40 ? x : log1p(exp(x));
}

static double formula(enum unary_kind kind, double x, double a, double b) {
  if (isnan(x)) return NAN;
  switch (kind) {
  case UNARY_IDENTITY:
    return x;
  case UNARY_RELU:
    return fmax(x, 0);
  case UNARY_CLIP:
    return fmin(fmax(x, a), b);
  case UNARY_LEAKY_RELU:
    return x < 0 ? a * x : x;
  case UNARY_ELU:
    return x < 0 ? a * expm1(x) : x;
  case UNARY_SELU:
    return x <= 0 ? b * a * expm1(x) : b * x;
  case UNARY_CELU:
    return fmax(x, 0) + fmin(0, a * expm1(x / a));
  case UNARY_SIGMOID:
    return sigmoid(x);
  case UNARY_HARD_SIGMOID:
    return fmax(0, fmin(1, a * x + b));
  case UNARY_HARD_SWISH:
    return x * fmax(0, fmin(1, x / 6 + 0.5));
  case UNARY_SOFTPLUS:
    return softplus(x);
  case UNARY_SOFTSIGN:
    return x / (1 + fabs(x));
  case UNARY_MISH:
    return x * tanh(softplus(x));
  case UNARY_GELU_ERF:
    return 0.5 * x * (1 + erf(x / sqrt(2)));
  case UNARY_GELU_TANH:
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
  case UNARY_SILU:
    return x * sigmoid(a * x);
  case UNARY_TANH:
    return tanh(x);
  case UNARY_SCALED_TANH:
    return a * tanh(b * x);
  case UNARY_THRESHOLDED_RELU:
    return x > a ? x : 0;
  case UNARY_SHRINK:
    return x < -b ? x + a : x > b ? x - a : 0;
  case UNARY_EXP:
    return exp(x);
  case UNARY_LOG:
    return log(x);
  case UNARY_ERF:
    return erf(x);
  case UNARY_SQRT:
    return sqrt(x);
  case UNARY_RECIPROCAL:
    return 1 / x;
  case UNARY_ABS:
    return fabs(x);
  case UNARY_NEG:
    return -x;
  case UNARY_SQUARE:
    return x * x;
  case UNARY_FLOOR:
    return floor(x);
  case UNARY_CEIL:
    return ceil(x);
  case UNARY_ROUND:
    return nearbyint(x);
  case UNARY_SIGN:
    return (x > 0) - (x < 0);
  case UNARY_SIN:
    return sin(x);
  case UNARY_COS:
    return cos(x);
  case UNARY_TAN:
    return tan(x);
  case UNARY_ASIN:
    return asin(x);
  case UNARY_ACOS:
    return acos(x);
  case UNARY_ATAN:
    return atan(x);
  case UNARY_SINH:
    return sinh(x);
  case UNARY_COSH:
    return cosh(x);
  case UNARY_ASINH:
    return asinh(x);
  case UNARY_ACOSH:
    return acosh(x);
  case UNARY_ATANH:
    return atanh(x);
  case UNARY_AFFINE:
    return a * x + b;
  default:
    return NAN;
  }
}

/* Distance in units of the last place of the expected float, denormals included. */
static double ulps(float got, double expected) {
  const float rounded = (float)expected;
  if (isnan(expected)) return isnan(got) ? 0 : INFINITY;
  if (got == rounded) return 0;
  if (isinf(rounded) || isinf(got)) return isinf(rounded) && fabs(got) == FLT_MAX ? 1 : INFINITY;
  int exponent;
  frexp(expected, &exponent);
  return fabs(got - expected) / ldexp(1, exponent < -125 ? -149 : exponent - 24);
}

static double largest_error(const struct kernel_table *table, enum unary_kind kind, float a, float b, uint32_t step) {
  enum { COUNT = 4096 };
  float x[COUNT], y[COUNT];
  double largest = 0;
  uint64_t bits = 0;
  while (bits < UINT64_C(1) << 32) {
    size_t n = 0;
    for (; n < COUNT && bits < UINT64_C(1) << 32; bits += step, n++) {
      const uint32_t pattern = (uint32_t)bits;
      memcpy(&x[n], &pattern, sizeof pattern);
    }
    table->unary_f32[kind](y, x, n, a, b);
    for (size_t i = 0; i < n; i++) {
      const double error = ulps(y[i], formula(kind, x[i], a, b));
      if (error > 1e6)
        fail_msg("%s %s(%.9g): %.9g, expected %.9g", table->name, names[kind], x[i], y[i], formula(kind, x[i], a, b));
      if (error > largest) largest = error;
    }
  }
  if (getenv("NORMA_TEST_VERBOSE")) print_message("%-7s %-12s %.2f ulp\n", table->name, names[kind], largest);
  return largest;
}

TABLE_TEST(accuracy_over_all_floats) {
  static const struct {
    enum unary_kind kind;
    float a, b;
    double ulps;
  } expected[] = {
      {UNARY_EXP, 0, 0, 2},
      {UNARY_LOG, 0, 0, 2},
      {UNARY_TANH, 0, 0, 3},
      {UNARY_SIGMOID, 0, 0, 4},
      {UNARY_ERF, 0, 0, 3},
      {UNARY_SOFTPLUS, 0, 0, 4},
      {UNARY_ELU, 1, 0, 4},
      {UNARY_SQRT, 0, 0, 0.5},
      {UNARY_RECIPROCAL, 0, 0, 0.5},
      {UNARY_SQUARE, 0, 0, 0.5},
      {UNARY_FLOOR, 0, 0, 0},
      {UNARY_CEIL, 0, 0, 0},
      {UNARY_ROUND, 0, 0, 0},
      {UNARY_ABS, 0, 0, 0},
      {UNARY_NEG, 0, 0, 0},
      {UNARY_SIGN, 0, 0, 0},
      {UNARY_RELU, 0, 0, 0},
      {UNARY_CLIP, -2, 3, 0},
      {UNARY_IDENTITY, 0, 0, 0},
      {UNARY_LEAKY_RELU, 0.25f, 0, 0.5},
      {UNARY_THRESHOLDED_RELU, 1.5f, 0, 0},
      {UNARY_SHRINK, 0.25f, 0.5f, 0.5},
      {UNARY_SOFTSIGN, 0, 0, 2},
      {UNARY_SIN, 0, 0, 3},
      {UNARY_COS, 0, 0, 3},
      {UNARY_TAN, 0, 0, 4},
      {UNARY_ASIN, 0, 0, 3},
      {UNARY_ACOS, 0, 0, 3},
      {UNARY_ATAN, 0, 0, 3},
      {UNARY_SINH, 0, 0, 3},
      {UNARY_COSH, 0, 0, 3},
      {UNARY_ASINH, 0, 0, 3},
      {UNARY_ACOSH, 0, 0, 3},
      {UNARY_ATANH, 0, 0, 3},
  };
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    const double found = largest_error(table, expected[i].kind, expected[i].a, expected[i].b, 3989);
    if (!(found <= expected[i].ulps))
      fail_msg("%s %s: error %g ulp, expected at most %g", table->name, names[expected[i].kind], found,
               expected[i].ulps);
  }
}

/* Where denormals are flushed, results are the same but for those. */
TABLE_TEST(flushed_denormals_change_nothing_else) {
  enum { FLUSHED = 2000 };
  static const enum unary_kind kinds[] = {UNARY_EXP, UNARY_SIGMOID, UNARY_TANH, UNARY_ERF, UNARY_SOFTPLUS};
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    float x[FLUSHED], kept[FLUSHED], flushed[FLUSHED];
    for (size_t i = 0; i < FLUSHED; i++) x[i] = random_float() * 110;
    table->unary_f32[kinds[k]](kept, x, FLUSHED, 1, 0);
    const float_control before = float_control_flush();
    table->unary_f32[kinds[k]](flushed, x, FLUSHED, 1, 0);
    float_control_restore(before);
    for (size_t i = 0; i < FLUSHED; i++) {
      if (fabsf(kept[i]) >= FLT_MIN) {
        expect_same_bits(table, names[kinds[k]], &flushed[i], &kept[i], sizeof *kept);
      } else {
        expect_close(table, names[kinds[k]], i, (double)flushed[i], 0, 1, (double)FLT_MIN);
      }
    }
  }
}

/* Compound functions lose relative accuracy where terms cancel, so their error is measured against the larger of the
 * result and the input. */
TABLE_TEST(compound_functions_near_their_formulas) {
  static const struct {
    enum unary_kind kind;
    float a, b;
  } all[] = {{UNARY_SELU, 1.67326319f, 1.05070102f},
             {UNARY_CELU, 0.5f, 0},
             {UNARY_CELU, 2, 0},
             {UNARY_HARD_SIGMOID, 0.2f, 0.5f},
             {UNARY_HARD_SWISH, 0, 0},
             {UNARY_MISH, 0, 0},
             {UNARY_GELU_ERF, 0, 0},
             {UNARY_GELU_TANH, 0, 0},
             {UNARY_SILU, 1, 0},
             {UNARY_SILU, 1.702f, 0},
             {UNARY_SCALED_TANH, 2, 0.5f},
             {UNARY_AFFINE, 3, -0.5f}};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++)
    for (float x = -30; x < 30; x += 0.00731f) {
      float y;
      table->unary_f32[all[k].kind](&y, &x, 1, all[k].a, all[k].b);
      const double expected = formula(all[k].kind, x, all[k].a, all[k].b);
      expect_close(table, names[all[k].kind], (size_t)(x + 30), y, expected, fabs(expected) + fabs(x) + 0.1, 1e-6);
    }
}

TABLE_TEST(not_a_number_stays) {
  const float x = NAN;
  for (int kind = 0; kind < UNARY_KIND_COUNT; kind++) {
    float y = 0;
    table->unary_f32[kind](&y, &x, 1, 0.5f, 1);
    if (!isnan(y)) fail_msg("%s %s(NaN) is %g", table->name, names[kind], y);
  }
}

TABLE_TEST(infinities) {
  static const struct {
    enum unary_kind kind;
    double at_minus, at_plus;
  } expected[] = {{UNARY_SIGMOID, 0, 1},     {UNARY_TANH, -1, 1},           {UNARY_ERF, -1, 1},
                  {UNARY_ELU, -1, INFINITY}, {UNARY_SOFTPLUS, 0, INFINITY}, {UNARY_EXP, 0, INFINITY},
                  {UNARY_RELU, 0, INFINITY}};
  const float x[2] = {-INFINITY, INFINITY};
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    float y[2];
    table->unary_f32[expected[i].kind](y, x, 2, 1, 1);
    expect_close(table, names[expected[i].kind], 0, y[0], expected[i].at_minus, 0, 0);
    expect_close(table, names[expected[i].kind], 1, y[1], expected[i].at_plus, 0, 0);
  }
}

TABLE_TEST(results_do_not_depend_on_position_or_length) {
  enum { LONGEST = 75 };
  for (int kind = 0; kind < UNARY_KIND_COUNT; kind++) {
    float *x = random_floats(LONGEST), whole[LONGEST];
    for (size_t i = 0; i < LONGEST; i++) x[i] *= 10;
    table->unary_f32[kind](whole, x, LONGEST, 0.3f, 1.2f);
    for (size_t n = 0; n <= LONGEST; n++) {
      const size_t from = random_size(0, LONGEST - n);
      float *part = float_buffer(n), *y = float_buffer(n);
      memcpy(part, x + from, n * sizeof(float));
      table->unary_f32[kind](y, part, n, 0.3f, 1.2f);
      expect_same_bits(table, names[kind], y, whole + from, n * sizeof(float));
      table->unary_f32[kind](part, part, n, 0.3f, 1.2f);
      expect_same_bits(table, names[kind], part, whole + from, n * sizeof(float));
      free(part), free(y);
    }
    free(x);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accuracy_over_all_floats),
      cmocka_unit_test(compound_functions_near_their_formulas),
      cmocka_unit_test(flushed_denormals_change_nothing_else),
      cmocka_unit_test(not_a_number_stays),
      cmocka_unit_test(infinities),
      cmocka_unit_test(results_do_not_depend_on_position_or_length),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
