/* Equal, Less, Greater, LessOrEqual, GreaterOrEqual and the logic of bools. */
#include "tests/support/broadcast_check.h"
#include "tests/support/builtin_operator.h"

static double equal(double x, double z) {
  return x == z;
}
static double less(double x, double z) {
  return x < z;
}
static double greater(double x, double z) {
  return x > z;
}
static double less_or_equal(double x, double z) {
  return x <= z;
}
static double greater_or_equal(double x, double z) {
  return x >= z;
}
static double and_of(double x, double z) {
  return x != 0 && z != 0;
}
static double or_of(double x, double z) {
  return x != 0 || z != 0;
}
static double xor_of(double x, double z) {
  return (x != 0) != (z != 0);
}

static const struct {
  const char *op;
  double (*formula)(double x, double z);
  type_mask types;
} comparisons[] = {{"Equal", equal, TYPES_NUMERIC | TYPE_BIT(NORMA_BOOL)},
                   {"Less", less, TYPES_NUMERIC},
                   {"Greater", greater, TYPES_NUMERIC},
                   {"LessOrEqual", less_or_equal, TYPES_NUMERIC},
                   {"GreaterOrEqual", greater_or_equal, TYPES_NUMERIC},
                   {"And", and_of, TYPE_BIT(NORMA_BOOL)},
                   {"Or", or_of, TYPE_BIT(NORMA_BOOL)},
                   {"Xor", xor_of, TYPE_BIT(NORMA_BOOL)}};

static void every_type_on_random_shapes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(comparisons); c++) {
    FOR_TYPES(type, comparisons[c].types) {
      const bool is_bool = type == NORMA_BOOL, is_signed = (TYPE_BIT(type) & (TYPES_SIGNED | TYPES_FLOAT)) != 0;
      const broadcast_check check = {.op = comparisons[c].op,
                                     .opset = 19,
                                     .formula = comparisons[c].formula,
                                     .low = is_signed ? -2 : 0,
                                     .high = is_bool ? 2 : 4,
                                     .x_type = type,
                                     .y_type = NORMA_BOOL};
      check_broadcast(&bench, &check, 8);
    }
  }
  bench_finish(&bench);
}

static void every_version(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(comparisons); c++) {
    const operator_descriptor *op = builtin_operator("", comparisons[c].op);
    const norma_element_type type = next_type(NORMA_UNDEFINED, comparisons[c].types);
    const value *x = bench_tensor(&bench, type, SHAPE(4), NUMBERS(0, 0, 1, 1));
    const value *z = bench_tensor(&bench, type, SHAPE(4), NUMBERS(0, 1, 0, 1));
    double expected[4];
    for (int i = 0; i < 4; i++) expected[i] = comparisons[c].formula(driver_element(x, i), driver_element(z, i));
    for (int v = 0; op->versions[v]; v++) {
      driver_call call = CALL(op->name, op->versions[v], x, z);
      check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(4), expected);
    }
  }
  bench_finish(&bench);
}

static void comparisons_with_not_a_number_are_false(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < 5; c++) {
    FOR_TYPES(type, TYPES_FLOAT) {
      const value *x = bench_tensor(&bench, type, SHAPE(3), NUMBERS(NAN, 1, NAN));
      const value *z = bench_tensor(&bench, type, SHAPE(3), NUMBERS(1, NAN, NAN));
      driver_call call = CALL(comparisons[c].op, 19, x, z);
      check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(3), NUMBERS(0, 0, 0));
    }
  }
  bench_finish(&bench);
}

static void zeros_and_infinities(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < 5; c++) {
    FOR_TYPES(type, TYPES_FLOAT) {
      const double xs[] = {-0.0, 0, INFINITY, -INFINITY, INFINITY}, zs[] = {0, -0.0, INFINITY, INFINITY, 1};
      double expected[5];
      for (int i = 0; i < 5; i++) expected[i] = comparisons[c].formula(xs[i], zs[i]);
      driver_call call = CALL(comparisons[c].op, 19, bench_tensor(&bench, type, SHAPE(5), xs),
                              bench_tensor(&bench, type, SHAPE(5), zs));
      check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(5), expected);
    }
  }
  bench_finish(&bench);
}

/* Neighbours that double cannot tell apart. */
static void integers_of_64_bits_are_compared_exactly(void **state) {
  static const struct {
    const char *op;
    double expected[4];
  } cases[] = {{"Equal", {0, 0, 1, 0}},
               {"Less", {1, 0, 0, 1}},
               {"Greater", {0, 1, 0, 0}},
               {"LessOrEqual", {1, 0, 1, 1}},
               {"GreaterOrEqual", {0, 1, 1, 0}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_list(&bench, INT64_MAX - 1, INT64_MAX, INT64_MIN, INT64_MIN);
  const value *z = bench_list(&bench, INT64_MAX, INT64_MAX - 1, INT64_MIN, INT64_MIN + 1);
  value *u = bench_make(&bench, NORMA_UINT64, SHAPE(4)), *w = bench_make(&bench, NORMA_UINT64, SHAPE(4));
  const uint64_t us[] = {UINT64_MAX - 1, UINT64_MAX, UINT64_C(1) << 63, 1},
                 ws[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, UINT64_C(1) << 63};
  memcpy(u->tensor.data, us, sizeof us);
  memcpy(w->tensor.data, ws, sizeof ws);
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = CALL(cases[c].op, 19, x, z), of_unsigned = CALL(cases[c].op, 19, u, w);
    check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(4), cases[c].expected);
    check_tensor(bench_run(&bench, &of_unsigned), NORMA_BOOL, SHAPE(4), cases[c].expected);
  }
  bench_finish(&bench);
}

/* A bool is any byte but 0. */
static void any_byte_but_zero_is_true(void **state) {
  static const unsigned char xs[] = {0, 0, 2, 255, 7}, zs[] = {0, 9, 0, 1, 8};
  static const struct {
    const char *op;
    double expected[5];
  } cases[] = {{"And", {0, 0, 0, 1, 1}}, {"Or", {0, 1, 1, 1, 1}}, {"Xor", {0, 1, 1, 0, 0}}, {"Equal", {1, 0, 0, 1, 1}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  value *x = bench_make(&bench, NORMA_BOOL, SHAPE(5)), *z = bench_make(&bench, NORMA_BOOL, SHAPE(5));
  memcpy(x->tensor.data, xs, sizeof xs);
  memcpy(z->tensor.data, zs, sizeof zs);
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = CALL(cases[c].op, 7, x, z);
    check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(5), cases[c].expected);
  }
  bench_finish(&bench);
}

static void strings_are_equal_byte_by_byte(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *s = bench_strings(&bench, SHAPE(2, 3), (const char *[]){"a", "", "bc", "BC", "bc ", "bcd"});
  const value *t = bench_strings(&bench, SHAPE(3), (const char *[]){"a", "bc", "bc"});
  const value *empty = bench_strings(&bench, SCALAR, (const char *[]){""});
  driver_call call = CALL("Equal", 19, s, t);
  check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(2, 3), NUMBERS(1, 0, 1, 0, 0, 0));
  call.inputs[1] = empty;
  check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(2, 3), NUMBERS(0, 1, 0, 0, 0, 0));
  call.op_type = "Less";
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "string");
  bench_finish(&bench);
}

/* The result of limited broadcasting: b stands for the middle of a. */
static void broadcasting_before_version_7(void **state) {
  static const char *const ops[] = {"Equal", "Less", "Greater", "And", "Or", "Xor"};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t o = 0; o < COUNT(ops); o++) {
    const norma_element_type type = o < 3 ? NORMA_INT32 : NORMA_BOOL;
    const value *a = bench_random(&bench, type, SHAPE(2, 3, 2), 0, 2), *b = bench_random(&bench, type, SHAPE(3), 0, 2);
    const value *column = bench_tensor(&bench, type, SHAPE(3, 1), NULL);
    for (int i = 0; i < 3; i++) element_set_double(type, column->tensor.data, i, driver_element(b, i));
    driver_call call = CALL(ops[o], 1, a, b), today = CALL(ops[o], 19, a, column);
    call.attributes[0] = (attribute)DRIVER_INT("broadcast", 1);
    call.attributes[1] = (attribute)DRIVER_INT("axis", 1);
    bench_run(&bench, &today);
    const value *expected = bench_keep(&bench, 0);
    assert_true(same_value(bench_run(&bench, &call), expected));
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(comparisons); c++) {
    const norma_element_type type = next_type(NORMA_UNDEFINED, comparisons[c].types);
    check_refuses_shapes(&bench, comparisons[c].op, 19, type);
    const value *x = bench_tensor(&bench, type, SHAPE(2), NULL),
                *z = bench_tensor(&bench, NORMA_COMPLEX64, SHAPE(2), NULL);
    driver_call call = CALL(comparisons[c].op, 19, x, z);
    bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "complex64");
    call = CALL(comparisons[c].op, 19, x);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "wrong number");
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_on_random_shapes),
      cmocka_unit_test(every_version),
      cmocka_unit_test(comparisons_with_not_a_number_are_false),
      cmocka_unit_test(zeros_and_infinities),
      cmocka_unit_test(integers_of_64_bits_are_compared_exactly),
      cmocka_unit_test(any_byte_but_zero_is_true),
      cmocka_unit_test(strings_are_equal_byte_by_byte),
      cmocka_unit_test(broadcasting_before_version_7),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
