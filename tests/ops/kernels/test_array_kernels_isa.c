/* Array kernels of every table against loops over single elements, which know nothing of vectors. */
#include "tests/ops/kernels/kernel_test.h"

#include "engine/base/element_type.h"

#define MOST 150 /* elements: some vectors and rests of every length */

static const norma_element_type integer_types[] = {NORMA_INT8,  NORMA_INT16,  NORMA_INT32,  NORMA_INT64,
                                                   NORMA_UINT8, NORMA_UINT16, NORMA_UINT32, NORMA_UINT64};

/* Bits at random, but often equal ones, limits, zeros, and of floats NaN and infinities. */
static void *random_elements(norma_element_type type, size_t n) {
  static const double special[] = {0,    -0.0, 1,     -1,           255,    256,     -128,
                                   -129, 1e30, -1e30, 2147483648.0, 9.3e18, -9.3e18, 0.5};
  const size_t bytes = element_type_bytes(type);
  unsigned char *x = exact_buffer(n * bytes);
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < bytes; k++) x[i * bytes + k] = (unsigned char)random_bits();
    const uint32_t kind = random_bits() % 8;
    if (type == NORMA_FLOAT || type == NORMA_DOUBLE) {
      double number = kind == 0 ? (double)NAN : kind == 1 ? (double)INFINITY : kind == 2 ? -(double)INFINITY : 0;
      if (kind > 2) number = kind < 6 ? special[random_bits() % 14] : (double)random_float() * 300;
      element_set_double(type, x, (int64_t)i, number);
    } else if (kind == 0) {
      memset(x + i * bytes, 0, bytes);
    } else if (kind == 1) {
      memset(x + i * bytes, 0xff, bytes);
    } else if (kind == 2 && i > 0) {
      memcpy(x + i * bytes, x + (i - 1) * bytes, bytes);
    } else if (kind == 3) { /* the smallest of a signed type */
      memset(x + i * bytes, 0, bytes);
      x[i * bytes + bytes - 1] = 0x80;
    }
  }
  return x;
}

static bool is_unsigned(norma_element_type type) {
  return (TYPE_BIT(type) & TYPES_UNSIGNED) != 0;
}

/* ------------------------------------------------------------------------------------------------------- arithmetic */

static int64_t expected_integer(enum binary_kind kind, norma_element_type type, int64_t a, int64_t b) {
  const bool less = is_unsigned(type) ? (uint64_t)a < (uint64_t)b : a < b;
  switch (kind) {
  case BINARY_ADD:
    return (int64_t)((uint64_t)a + (uint64_t)b);
  case BINARY_SUB:
    return (int64_t)((uint64_t)a - (uint64_t)b);
  case BINARY_MUL:
    return (int64_t)((uint64_t)a * (uint64_t)b);
  case BINARY_MIN:
    return less ? a : b;
  default:
    return less ? b : a;
  }
}

static double expected_double(enum binary_kind kind, double a, double b) {
  switch (kind) {
  case BINARY_ADD:
    return a + b;
  case BINARY_SUB:
    return a - b;
  case BINARY_MUL:
    return a * b;
  case BINARY_DIV:
    return a / b;
  case BINARY_MIN:
    return isnan(a) || isnan(b) ? (double)NAN : a < b ? a : b;
  default:
    return isnan(a) || isnan(b) ? (double)NAN : a > b ? a : b;
  }
}

static void check_arithmetic(const struct kernel_table *table, norma_element_type type, enum binary_kind kind,
                             size_t n) {
  const size_t bytes = element_type_bytes(type);
  void *x = random_elements(type, n), *z = random_elements(type, n), *expected = exact_buffer(n * bytes);
  for (int64_t i = 0; i < (int64_t)n; i++) {
    if (type == NORMA_DOUBLE) {
      element_set_double(type, expected, i,
                         expected_double(kind, element_get_double(type, x, i), element_get_double(type, z, i)));
    } else {
      element_set_int64(type, expected, i,
                        expected_integer(kind, type, element_get_int64(type, x, i), element_get_int64(type, z, i)));
    }
  }
  void *y = exact_buffer(n * bytes);
  table->arrays->arithmetic[type][kind](y, x, z, n);
  for (int64_t i = 0; i < (int64_t)n; i++) {
    const bool both_nan =
        type == NORMA_DOUBLE && isnan(element_get_double(type, expected, i)) && isnan(element_get_double(type, y, i));
    const size_t at = (size_t)i * bytes;
    if (!both_nan) expect_same_bits(table, "arithmetic", (char *)y + at, (char *)expected + at, bytes);
  }
  table->arrays->arithmetic[type][kind](x, x, z, n); /* in place, on either side */
  expect_same_bits(table, "arithmetic over x", x, y, n * bytes);
  free(x), free(z), free(expected), free(y);
}

TABLE_TEST(arithmetic_of_every_type) {
  for (size_t n = 0; n < MOST; n++) {
    for (size_t t = 0; t < 8; t++) {
      for (int kind = 0; kind < BINARY_KIND_COUNT; kind++) {
        if (kind != BINARY_DIV) check_arithmetic(table, integer_types[t], (enum binary_kind)kind, n);
      }
    }
    for (int kind = 0; kind < BINARY_KIND_COUNT; kind++)
      check_arithmetic(table, NORMA_DOUBLE, (enum binary_kind)kind, n);
  }
}

/* ------------------------------------------------------------------------------------------------------- comparison */

static void check_comparisons(const struct kernel_table *table, norma_element_type type, size_t n) {
  void *x = random_elements(type, n), *z = random_elements(type, n);
  const size_t bytes = element_type_bytes(type);
  for (size_t i = 0; i + 1 < n; i += 3) memcpy((char *)z + i * bytes, (char *)x + i * bytes, bytes);
  for (int kind = 0; kind < ARRAY_COMPARISON_COUNT; kind++) {
    if (type == NORMA_BOOL && kind != ARRAY_EQUAL) continue;
    uint8_t *y = exact_buffer(n);
    table->arrays->compare[type][kind](y, x, z, n);
    for (int64_t i = 0; i < (int64_t)n; i++) {
      bool equal, less;
      if (type == NORMA_FLOAT || type == NORMA_DOUBLE) {
        const double a = element_get_double(type, x, i), b = element_get_double(type, z, i);
        equal = a == b, less = a < b;
      } else if (type == NORMA_BOOL) {
        equal = !((uint8_t *)x)[i] == !((uint8_t *)z)[i], less = false;
      } else {
        const int64_t a = element_get_int64(type, x, i), b = element_get_int64(type, z, i);
        equal = a == b, less = is_unsigned(type) ? (uint64_t)a < (uint64_t)b : a < b;
      }
      const bool expected = kind == ARRAY_EQUAL ? equal : kind == ARRAY_LESS ? less : less || equal;
      if (y[i] != expected) fail_msg("%s: comparison %d of type %d, element %d", table->name, kind, (int)type, (int)i);
    }
    free(y);
  }
  free(x), free(z);
}

TABLE_TEST(comparisons_of_every_type) {
  for (size_t n = 0; n < MOST; n++) {
    for (size_t t = 0; t < 8; t++) check_comparisons(table, integer_types[t], n);
    check_comparisons(table, NORMA_FLOAT, n);
    check_comparisons(table, NORMA_DOUBLE, n);
    check_comparisons(table, NORMA_BOOL, n);
  }
}

TABLE_TEST(logic_bits_and_predicates) {
  for (size_t n = 0; n < MOST; n++) {
    uint8_t *x = random_elements(NORMA_UINT8, n), *z = random_elements(NORMA_UINT8, n), *y = exact_buffer(n);
    float *f = random_elements(NORMA_FLOAT, n);
    for (int kind = 0; kind < ARRAY_BITS_COUNT; kind++) {
      table->arrays->logic[kind](y, x, z, n);
      for (size_t i = 0; i < n; i++) {
        const bool a = x[i] != 0, b = z[i] != 0;
        assert_int_equal(y[i], kind == ARRAY_AND ? a && b : kind == ARRAY_OR ? a || b : a != b);
      }
      table->arrays->bits[kind](y, x, z, n);
      for (size_t i = 0; i < n; i++) {
        assert_int_equal(y[i], kind == ARRAY_AND ? x[i] & z[i] : kind == ARRAY_OR ? x[i] | z[i] : x[i] ^ z[i]);
      }
    }
    table->arrays->logic_not(y, x, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(y[i], !x[i]);
    table->arrays->is_nan(y, f, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(y[i], isnan(f[i]) != 0);
    for (int sign = -1; sign <= 1; sign++) {
      table->arrays->is_infinite(y, f, n, sign);
      for (size_t i = 0; i < n; i++) {
        assert_int_equal(y[i], isinf(f[i]) && (sign == 0 || (f[i] > 0) == (sign > 0)));
      }
    }
    free(x), free(z), free(y), free(f);
  }
}

TABLE_TEST(selection) {
  static const norma_element_type types[] = {NORMA_UINT8, NORMA_UINT16, NORMA_UINT32, NORMA_UINT64};
  for (size_t n = 0; n < MOST; n++) {
    for (int size = 0; size < 4; size++) {
      const size_t bytes = (size_t)1 << size;
      uint8_t *condition = random_elements(NORMA_UINT8, n);
      char *x = random_elements(types[size], n), *z = random_elements(types[size], n), *y = exact_buffer(n * bytes);
      table->arrays->select[size](y, condition, x, z, n);
      for (size_t i = 0; i < n; i++) {
        expect_same_bits(table, "select", y + i * bytes, (condition[i] ? x : z) + i * bytes, bytes);
      }
      table->arrays->select[size](z, condition, x, z, n);
      expect_same_bits(table, "select over z", z, y, n * bytes);
      free(condition), free(x), free(z), free(y);
    }
  }
}

/* ------------------------------------------------------------------------------------------------------- conversion */

/* Element i as Cast has it. */
static void convert_one(const struct array_conversion *conversion, const void *x, int64_t i, void *y) {
  const norma_element_type from = conversion->from, to = conversion->to;
  if (to == NORMA_BOOL) {
    const bool is_zero = from == NORMA_FLOAT ? ((const float *)x)[i] == 0 : element_get_int64(from, x, i) == 0;
    ((uint8_t *)y)[i] = !is_zero;
  } else if (from == NORMA_BOOL) {
    element_set_int64(to, y, i, ((const uint8_t *)x)[i] != 0);
  } else if (from == NORMA_FLOAT && to != NORMA_DOUBLE) {
    const double a = (double)((const float *)x)[i];
    const int bits = 8 * (int)element_type_bytes(to);
    const bool has_sign = !is_unsigned(to);
    const double above = ldexp(1, has_sign ? bits - 1 : bits), below = has_sign ? -above : 0;
    const int64_t most = has_sign ? (int64_t)(((uint64_t)1 << (bits - 1)) - 1) : (int64_t)(((uint64_t)1 << bits) - 1);
    element_set_int64(to, y, i, isnan(a) ? 0 : a >= above ? most : a <= below ? (int64_t)below : (int64_t)a);
  } else if (to == NORMA_FLOAT && from == NORMA_INT64) {
    ((float *)y)[i] = (float)((const int64_t *)x)[i]; /* rounded once */
  } else if (TYPE_BIT(to) & TYPES_INTEGER) {
    element_set_int64(to, y, i, element_get_int64(from, x, i));
  } else {
    element_set_double(to, y, i, element_get_double(from, x, i));
  }
}

TABLE_TEST(conversions) {
  int count = 0;
  for (const struct array_conversion *c = table->arrays->conversions; c->function; c++, count++) {
    assert_ptr_equal(array_conversion_find(table->arrays, c->from, c->to), c->function);
    const size_t bytes = element_type_bytes(c->to);
    for (size_t n = 0; n < MOST; n++) {
      void *x = random_elements(c->from == NORMA_BOOL ? NORMA_UINT8 : c->from, n);
      char *y = exact_buffer(n * bytes), *expected = exact_buffer(n * bytes);
      c->function(y, x, n);
      for (size_t i = 0; i < n; i++) {
        convert_one(c, x, (int64_t)i, expected);
        const bool both_nan = (TYPE_BIT(c->to) & TYPES_FLOAT) && isnan(element_get_double(c->to, y, (int64_t)i)) &&
                              isnan(element_get_double(c->to, expected, (int64_t)i));
        char what[60];
        snprintf(what, sizeof what, "conversion from %d to %d", (int)c->from, (int)c->to);
        if (!both_nan) expect_same_bits(table, what, y + i * bytes, expected + i * bytes, bytes);
      }
      free(x), free(y), free(expected);
    }
  }
  assert_true(count > 20);
  assert_null(array_conversion_find(table->arrays, NORMA_STRING, NORMA_FLOAT));
}

/* --------------------------------------------------------------------------------------------------------- the rest */

TABLE_TEST(running_sums) {
  for (size_t n = 0; n < 70; n++) {
    const size_t rows = random_size(0, 9), step = n + random_size(0, 3);
    for (int exclusive = 0; exclusive < 2; exclusive++) {
      float *x = random_floats(rows * step), *y = random_floats(rows * step), *expected = float_buffer(rows * step);
      double sums[70], own[70];
      for (size_t i = 0; i < n; i++) sums[i] = own[i] = (double)random_float();
      memcpy(expected, y, rows * step * sizeof *y);
      for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < n; i++) {
          const double next = own[i] + (double)x[r * step + i];
          expected[r * step + i] = (float)(exclusive ? own[i] : next);
          own[i] = next;
        }
      }
      table->arrays->cumulate_f32(y, x, (ptrdiff_t)step, rows, sums, exclusive, n);
      expect_same_bits(table, "running sums", y, expected, rows * step * sizeof *y);
      expect_same_bits(table, "sums", sums, own, n * sizeof *own);
      free(x), free(y), free(expected);
    }
  }
}

TABLE_TEST(indices_in_range) {
  static const int64_t sizes[] = {1, 5, 1000, INT32_MAX / 2, INT32_MAX - 1, (int64_t)1 << 40};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    const int64_t size = sizes[s];
    for (size_t n = 1; n < 70; n++) {
      int64_t *x = exact_buffer(n * sizeof *x);
      int32_t *narrow = exact_buffer(n * sizeof *narrow);
      for (int turn = 0; turn < 4; turn++) {
        const size_t place = random_size(0, n - 1);
        for (size_t i = 0; i < n; i++)
          x[i] = (int64_t)(random_bits() % (uint64_t)(2 * size < 4000000000 ? 2 * size : 4000000000)) - size;
        const int64_t planted[] = {-size, size - 1, size, -size - 1};
        for (size_t i = 0; i < n; i++) {
          if (x[i] >= size) x[i] = 0;
        }
        x[place] = planted[turn];
        assert_int_equal(table->arrays->indices_fit_i64(x, size, n), turn < 2);
        bool fits = true;
        for (size_t i = 0; i < n; i++) {
          narrow[i] = (int32_t)x[i];
          fits &= narrow[i] >= -size && narrow[i] < size;
        }
        assert_int_equal(table->arrays->indices_fit_i32(narrow, size, n), fits);
      }
      free(x), free(narrow);
    }
    assert_true(table->arrays->indices_fit_i64(NULL, size, 0));
  }
  const int64_t extremes[] = {INT64_MIN, INT64_MAX};
  assert_false(table->arrays->indices_fit_i64(extremes, 7, 1));
  assert_false(table->arrays->indices_fit_i64(extremes + 1, 7, 1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arithmetic_of_every_type),
      cmocka_unit_test(comparisons_of_every_type),
      cmocka_unit_test(logic_bits_and_predicates),
      cmocka_unit_test(selection),
      cmocka_unit_test(conversions),
      cmocka_unit_test(running_sums),
      cmocka_unit_test(indices_in_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
