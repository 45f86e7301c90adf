/* Add, Sub, Mul, Div and the variadic Min, Max, Sum, Mean against their formulas, on random broadcast shapes. */
#include "tests/support/broadcast_check.h"
#include "tests/support/builtin_operator.h"

static double add(double x, double z) {
  return x + z;
}
static double subtract(double x, double z) {
  return x - z;
}
static double multiply(double x, double z) {
  return x * z;
}
static double divide(double x, double z) {
  return x / z;
}
static double smaller(double x, double z) {
  return x < z ? x : z;
}
static double larger(double x, double z) {
  return x > z ? x : z;
}
static double mean(double x, double z) {
  return (x + z) / 2;
}

static const struct {
  const char *op;
  double (*formula)(double x, double z);
  type_mask types;
} functions[] = {{"Add", add, TYPES_NUMERIC},  {"Sub", subtract, TYPES_FLOAT},  {"Mul", multiply, TYPES_NUMERIC},
                 {"Div", divide, TYPES_FLOAT}, {"Min", smaller, TYPES_NUMERIC}, {"Max", larger, TYPES_NUMERIC},
                 {"Sum", add, TYPES_FLOAT},    {"Mean", mean, TYPES_FLOAT}};

static void every_type_on_random_shapes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t f = 0; f < COUNT(functions); f++) {
      FOR_TYPES(type, functions[f].types) {
        const bool is_float = (TYPE_BIT(type) & TYPES_FLOAT) != 0;
        const broadcast_check check = {.op = functions[f].op,
                                       .opset = 14,
                                       .formula = functions[f].formula,
                                       .low = is_float ? 0.5 : 1,
                                       .high = 11,
                                       .x_type = type,
                                       .relative = is_float ? type_tolerance(type) : 0};
        check_broadcast(&bench, &check, 6);
      }
    }
  }
  bench_finish(&bench);
}

/* A version differs from the one before in types and broadcasting only: on equal shapes all are the same. */
static void every_version(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t f = 0; f < COUNT(functions); f++) {
    const operator_descriptor *op = builtin_operator("", functions[f].op);
    const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(6, -2, 0.5));
    const value *z = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(2, 4, 0.25));
    double expected[3];
    for (int i = 0; i < 3; i++) expected[i] = functions[f].formula(driver_element(x, i), driver_element(z, i));
    for (int v = 0; op->versions[v]; v++) {
      driver_call call = CALL(functions[f].op, op->versions[v], x, z);
      check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(3), expected);
    }
  }
  bench_finish(&bench);
}

/* Larger than what one worker takes, and than one piece of half precision. */
static void long_rows(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t f = 0; f < COUNT(functions); f++) {
    FOR_TYPES(type, functions[f].types) {
      const value *x = bench_random(&bench, type, SHAPE(2, 20001), 1, 11),
                  *z = bench_random(&bench, type, SHAPE(20001), 1, 11);
      const value *row = bench_random(&bench, type, SHAPE(2, 1), 1, 11);
      driver_call call = CALL(functions[f].op, 14, x, z);
      const value *y = bench_run(&bench, &call);
      for (int64_t i = 0; i < 40002; i += 997) {
        const double expected = functions[f].formula(driver_element(x, i), driver_element(z, i % 20001));
        assert_true(fabs(driver_element(y, i) - expected) <= type_tolerance(type) * (fabs(expected) + 1));
      }
      call.inputs[1] = row;
      y = bench_run(&bench, &call);
      for (int64_t i = 0; i < 40002; i += 997) {
        const double expected = functions[f].formula(driver_element(x, i), driver_element(row, i / 20001));
        assert_true(fabs(driver_element(y, i) - expected) <= type_tolerance(type) * (fabs(expected) + 1));
      }
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* ----------------------------------------------------------------------------------------------------------- limits */

static int64_t wrapped_sum(int64_t x, int64_t z, bool is_unsigned) {
  (void)is_unsigned;
  return (int64_t)((uint64_t)x + (uint64_t)z);
}
static int64_t wrapped_difference(int64_t x, int64_t z, bool is_unsigned) {
  (void)is_unsigned;
  return (int64_t)((uint64_t)x - (uint64_t)z);
}
static int64_t wrapped_product(int64_t x, int64_t z, bool is_unsigned) {
  (void)is_unsigned;
  return (int64_t)((uint64_t)x * (uint64_t)z);
}
static int64_t quotient(int64_t x, int64_t z, bool is_unsigned) {
  if (is_unsigned) return (int64_t)((uint64_t)x / (uint64_t)z);
  return z == -1 ? wrapped_difference(0, x, false) : x / z; /* the smallest one by -1 is itself */
}
static int64_t minimum(int64_t x, int64_t z, bool is_unsigned) {
  return (is_unsigned ? (uint64_t)x < (uint64_t)z : x < z) ? x : z;
}
static int64_t maximum(int64_t x, int64_t z, bool is_unsigned) {
  return minimum(x, z, is_unsigned) == x ? z : x;
}
static bool is_no_division_by_zero(int64_t x, int64_t z) {
  (void)x;
  return z != 0;
}

static void integers_wrap_around(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  check_integer_pairs(&bench, "Add", 14, NULL, TYPES_INTEGER, wrapped_sum, NULL);
  check_integer_pairs(&bench, "Sub", 14, NULL, TYPES_INTEGER, wrapped_difference, NULL);
  check_integer_pairs(&bench, "Mul", 14, NULL, TYPES_INTEGER, wrapped_product, NULL);
  check_integer_pairs(&bench, "Div", 14, NULL, TYPES_INTEGER, quotient, is_no_division_by_zero);
  check_integer_pairs(&bench, "Min", 13, NULL, TYPES_INTEGER, minimum, NULL);
  check_integer_pairs(&bench, "Max", 13, NULL, TYPES_INTEGER, maximum, NULL);
  bench_finish(&bench);
}

static void integers_divided_by_zero_are_an_error(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_INTEGER) {
    const value *x = bench_tensor(&bench, type, SHAPE(3), NUMBERS(1, 2, 3));
    const value *z = bench_tensor(&bench, type, SHAPE(3), NUMBERS(1, 1, 0));
    driver_call call = CALL("Div", 14, x, z);
    bench_refuse_late(&bench, &call, NORMA_ERROR_RUN, "divided by zero");
    call.inputs[1] = bench_tensor(&bench, type, SHAPE(1), NULL);
    bench_refuse_late(&bench, &call, NORMA_ERROR_RUN, "divided by zero");
  }
  bench_finish(&bench);
}

static void floats_follow_ieee(void **state) {
  static const double x[] = {1, -1, 0, INFINITY, INFINITY, NAN, -0.0, 1};
  static const double z[] = {0, 0, 0, INFINITY, -INFINITY, 1, -0.0, -0.0};
  static const struct {
    const char *op;
    double expected[8];
  } cases[] = {{"Add", {1, -1, 0, INFINITY, NAN, NAN, -0.0, 1}},
               {"Sub", {1, -1, 0, NAN, INFINITY, NAN, 0, 1}},
               {"Mul", {0, -0.0, 0, INFINITY, -INFINITY, NAN, 0, -0.0}},
               {"Div", {INFINITY, -INFINITY, NAN, NAN, NAN, NAN, NAN, -INFINITY}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t c = 0; c < COUNT(cases); c++) {
      FOR_TYPES(type, TYPES_FLOAT) {
        driver_call call =
            CALL(cases[c].op, 14, bench_tensor(&bench, type, SHAPE(8), x), bench_tensor(&bench, type, SHAPE(8), z));
        check_tensor(bench_run(&bench, &call), type, SHAPE(8), cases[c].expected);
      }
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void minimum_and_maximum_give_not_a_number(void **state) {
  static const char *const ops[] = {"Min", "Max"};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    FOR_TYPES(type, TYPES_FLOAT) {
      const value *x = bench_tensor(&bench, type, SHAPE(3), NUMBERS(NAN, 1, NAN));
      const value *z = bench_tensor(&bench, type, SHAPE(3), NUMBERS(1, NAN, NAN));
      const value *one = bench_tensor(&bench, type, SCALAR, NUMBERS(1));
      for (int o = 0; o < 2; o++) {
        driver_call call = CALL(ops[o], 13, x, z);
        check_tensor(bench_run(&bench, &call), type, SHAPE(3), NUMBERS(NAN, NAN, NAN));
        driver_call with_scalar = CALL(ops[o], 13, x, one);
        check_tensor(bench_run(&bench, &with_scalar), type, SHAPE(3), NUMBERS(NAN, 1, NAN));
      }
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Half precision is rounded after each operation: 2048 + 1 + 1 is 2048, since 2049 is none of its numbers. */
static void half_precision_is_rounded_after_each_operation(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *large = bench_tensor(&bench, NORMA_FLOAT16, SCALAR, NUMBERS(2048));
  const value *one = bench_tensor(&bench, NORMA_FLOAT16, SCALAR, NUMBERS(1));
  driver_call call = CALL("Sum", 13, large, one, one);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT16, SCALAR, NUMBERS(2048));
  call.inputs[0] = one;
  call.inputs[2] = large;
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT16, SCALAR, NUMBERS(2050));
  bench_finish(&bench);
}

/* ------------------------------------------------------------------------------------------------------ many inputs */

static void any_number_of_inputs(void **state) {
  static const struct {
    const char *op;
    double of_three[6], of_one[3];
  } cases[] = {{"Sum", {111, 112, 113, 121, 122, 123}, {1, 2, 3}},
               {"Mean", {37, 112.0 / 3, 113.0 / 3, 121.0 / 3, 122.0 / 3, 41}, {1, 2, 3}},
               {"Min", {1, 2, 3, 1, 2, 3}, {1, 2, 3}},
               {"Max", {100, 100, 100, 100, 100, 100}, {1, 2, 3}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    const value *a = bench_tensor(&bench, type, SHAPE(3), NUMBERS(1, 2, 3));
    const value *b = bench_tensor(&bench, type, SHAPE(2, 1), NUMBERS(10, 20));
    const value *c = bench_tensor(&bench, type, SCALAR, NUMBERS(100));
    for (size_t i = 0; i < COUNT(cases); i++) {
      driver_call call = CALL(cases[i].op, 13, a, b, c);
      check_near(cases[i].op, bench_run(&bench, &call), type, SHAPE(2, 3), cases[i].of_three, type_tolerance(type));
      driver_call last = CALL(cases[i].op, 13, c, b, a); /* the last input alone is as long as the rows */
      check_near(cases[i].op, bench_run(&bench, &last), type, SHAPE(2, 3), cases[i].of_three, type_tolerance(type));
      driver_call one = CALL(cases[i].op, 13, a);
      check_tensor(bench_run(&bench, &one), type, SHAPE(3), cases[i].of_one);
    }
  }
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NUMBERS(3, -1));
  driver_call twice = CALL("Sum", 8, x, x, x, x); /* one value, read four times */
  check_tensor(bench_run(&bench, &twice), NORMA_FLOAT, SHAPE(2), NUMBERS(12, -4));
  bench_finish(&bench);
}

/* Of more than eight, sums are rounded once: 2^24 + 1 + .. + 1 would stay 2^24. */
static void many_inputs_are_rounded_once(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *a = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(1, 2, 3));
  const value *b = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 1), NUMBERS(10, 20));
  const value *large = bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(0x1p24));
  const value *one = bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(1));
  driver_call call = CALL("Sum", 13, large, a, b, one, one, one, one, one, one, one, one, one, one, one, one);
  double expected[6];
  for (int i = 0; i < 6; i++) expected[i] = (double)(float)(0x1p24 + 12 + (1 + i % 3) + (i < 3 ? 10 : 20));
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 3), expected);
  bench_finish(&bench);
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

static void nothing_and_one_element(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t f = 0; f < COUNT(functions); f++) {
    FOR_TYPES(type, functions[f].types) {
      const value *nothing = bench_tensor(&bench, type, SHAPE(2, 0), NULL);
      const value *row = bench_tensor(&bench, type, SHAPE(1), NUMBERS(2)),
                  *one = bench_tensor(&bench, type, SCALAR, NUMBERS(4));
      driver_call call = CALL(functions[f].op, 14, nothing, row);
      check_tensor(bench_run(&bench, &call), type, SHAPE(2, 0), NULL);
      call.inputs[0] = one;
      check_tensor(bench_run(&bench, &call), type, SHAPE(1), NUMBERS(functions[f].formula(4, 2)));
    }
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t f = 0; f < COUNT(functions); f++) {
    check_refuses_shapes(&bench, functions[f].op, 14, NORMA_FLOAT);
    const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL),
                *d = bench_tensor(&bench, NORMA_DOUBLE, SHAPE(2), NULL);
    const value *b = bench_tensor(&bench, NORMA_BOOL, SHAPE(2), NULL);
    driver_call call = CALL(functions[f].op, 14, x, d);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "element types float and double differ");
    call.inputs[0] = call.inputs[1] = b;
    bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "bool");
    call = CALL(functions[f].op, 14, x, x);
    call.attributes[0] = (attribute)DRIVER_INT("axis", 0); /* of versions before 7 */
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute axis");
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_on_random_shapes),
      cmocka_unit_test(every_version),
      cmocka_unit_test(long_rows),
      cmocka_unit_test(integers_wrap_around),
      cmocka_unit_test(integers_divided_by_zero_are_an_error),
      cmocka_unit_test(floats_follow_ieee),
      cmocka_unit_test(minimum_and_maximum_give_not_a_number),
      cmocka_unit_test(half_precision_is_rounded_after_each_operation),
      cmocka_unit_test(any_number_of_inputs),
      cmocka_unit_test(many_inputs_are_rounded_once),
      cmocka_unit_test(nothing_and_one_element),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
