/* BitwiseAnd, BitwiseOr, BitwiseXor and BitShift of every integer type. */
#include "tests/support/broadcast_check.h"

static int64_t and_of(int64_t x, int64_t z, bool is_unsigned) {
  (void)is_unsigned;
  return x & z;
}
static int64_t or_of(int64_t x, int64_t z, bool is_unsigned) {
  (void)is_unsigned;
  return x | z;
}
static int64_t xor_of(int64_t x, int64_t z, bool is_unsigned) {
  (void)is_unsigned;
  return x ^ z;
}

static void bits_of_both_inputs(void **state) {
  static const struct {
    const char *op;
    integer_formula *formula;
  } functions[] = {{"BitwiseAnd", and_of}, {"BitwiseOr", or_of}, {"BitwiseXor", xor_of}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t f = 0; f < COUNT(functions); f++) {
    check_integer_pairs(&bench, functions[f].op, 18, NULL, TYPES_INTEGER, functions[f].formula, NULL);
  }
  bench_finish(&bench);
}

static double and_of_doubles(double x, double z) {
  return (double)((int64_t)x & (int64_t)z);
}
static double or_of_doubles(double x, double z) {
  return (double)((int64_t)x | (int64_t)z);
}
static double xor_of_doubles(double x, double z) {
  return (double)((int64_t)x ^ (int64_t)z);
}
static double right_of_doubles(double x, double z) {
  return floor(x / exp2(z));
}

static void random_shapes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_INTEGER) {
    const broadcast_check checks[] = {
        {"BitwiseAnd", 18, {0}, and_of_doubles, 0, 100, type, 0, 0, 0},
        {"BitwiseOr", 18, {0}, or_of_doubles, 0, 100, type, 0, 0, 0},
        {"BitwiseXor", 18, {0}, xor_of_doubles, 0, 100, type, 0, 0, 0},
        {"BitShift", 28, DRIVER_STRING("direction", "RIGHT"), right_of_doubles, 0, 7, type, 0, 0, 0},
    };
    for (size_t c = 0; c < COUNT(checks); c++) check_broadcast(&bench, &checks[c], 8);
  }
  bench_finish(&bench);
}

/* Distances 0 to the width less 1, and those that shift everything out: the width and more, and negative ones. */
static void check_shifts(workbench *bench, norma_element_type type, int64_t number) {
  const int width = element_type_bits(type);
  const bool is_unsigned = (TYPE_BIT(type) & TYPES_UNSIGNED) != 0;
  value *x = bench_make(bench, type, SCALAR), *by = bench_make(bench, type, SHAPE(width + 3));
  element_set_int64(type, x->tensor.data, 0, number);
  number = tensor_get_int64(&x->tensor, 0);
  for (int i = 0; i < width + 3; i++) element_set_int64(type, by->tensor.data, i, i < width + 2 ? i : -1);
  for (int right = 0; right < 2; right++) {
    driver_call call = CALL("BitShift", is_unsigned ? 11 : 28, x, by);
    call.attributes[0] =
        right ? (attribute)DRIVER_STRING("direction", "RIGHT") : (attribute)DRIVER_STRING("direction", "LEFT");
    const value *y = bench_run(bench, &call);
    value *expected = bench_make(bench, type, SHAPE(width + 3));
    for (int i = 0; i < width + 3; i++) {
      int64_t shifted = right && number < 0 && !is_unsigned ? -1 : 0; /* all out: the sign stays */
      if (i < width && !right) shifted = (int64_t)((uint64_t)number << i);
      if (i < width && right) {
        shifted = number;
        for (int k = 0; k < i; k++) {
          shifted = is_unsigned ? (int64_t)((uint64_t)shifted / 2) : (shifted - (shifted & 1)) / 2;
        }
      }
      element_set_int64(type, expected->tensor.data, i, shifted);
    }
    if (!same_value(y, expected)) {
      fail_msg("%s: %lld is shifted %s wrongly", norma_element_type_name(type), (long long)number,
               right ? "right" : "left");
    }
  }
  bench_clear(bench);
}

static void shifts_of_every_distance(void **state) {
  static const int64_t numbers[] = {0, 1, -1, 5, -6, 127, INT64_MIN, INT64_MAX, 0x5A5A5A5A5A5A5A5A};
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_INTEGER) {
    for (size_t i = 0; i < COUNT(numbers); i++) check_shifts(&bench, type, numbers[i]);
  }
  bench_finish(&bench);
}

static void what_makes_no_sense_is_refused(void **state) {
  static const char *const ops[] = {"BitwiseAnd", "BitwiseOr", "BitwiseXor"};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *f = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL),
              *u = bench_tensor(&bench, NORMA_UINT8, SHAPE(2), NULL);
  const value *w = bench_tensor(&bench, NORMA_UINT16, SHAPE(2), NULL);
  for (size_t o = 0; o < COUNT(ops); o++) {
    driver_call call = CALL(ops[o], 18, f, f);
    bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type float");
    call = CALL(ops[o], 18, u, w);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "differ");
    call = CALL(ops[o], 17, u, u);
    bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "not known");
  }
  for (size_t o = 0; o < COUNT(ops); o++) check_refuses_shapes(&bench, ops[o], 18, NORMA_UINT8);
  const value *x = bench_tensor(&bench, NORMA_UINT8, SHAPE(2), NULL);
  driver_call call = CALL("BitShift", 11, x, x);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute direction is missing");
  call.attributes[0] = (attribute)DRIVER_STRING("direction", "UP");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "direction is \"UP\"");
  call.attributes[0] = (attribute)DRIVER_INT("direction", 1);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute direction");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bits_of_both_inputs),
      cmocka_unit_test(random_shapes),
      cmocka_unit_test(shifts_of_every_distance),
      cmocka_unit_test(what_makes_no_sense_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
