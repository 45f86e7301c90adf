/* Mod: remainders with the divisor's sign (fmod 0) and with the dividend's (fmod 1). */
#include "tests/support/broadcast_check.h"

static const attribute truncated = DRIVER_INT("fmod", 1), floored = DRIVER_INT("fmod", 0);

static int64_t floor_mod(int64_t x, int64_t z, bool is_unsigned) {
  if (is_unsigned) return (int64_t)((uint64_t)x % (uint64_t)z);
  if (z == -1) return 0;
  const int64_t rest = x % z;
  return rest != 0 && (rest < 0) != (z < 0) ? rest + z : rest;
}

static int64_t truncated_mod(int64_t x, int64_t z, bool is_unsigned) {
  if (is_unsigned) return (int64_t)((uint64_t)x % (uint64_t)z);
  return z == -1 ? 0 : x % z;
}

static bool is_no_division_by_zero(int64_t x, int64_t z) {
  (void)x;
  return z != 0;
}

static void integers_at_the_limits(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  check_integer_pairs(&bench, "Mod", 10, NULL, TYPES_INTEGER, floor_mod, is_no_division_by_zero);
  check_integer_pairs(&bench, "Mod", 13, &floored, TYPES_INTEGER, floor_mod, is_no_division_by_zero);
  check_integer_pairs(&bench, "Mod", 13, &truncated, TYPES_INTEGER, truncated_mod, is_no_division_by_zero);
  bench_finish(&bench);
}

static void integers_modulo_zero_are_an_error(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_INTEGER) {
    driver_call call = CALL("Mod", 10, bench_tensor(&bench, type, SHAPE(2), NUMBERS(1, 2)),
                            bench_tensor(&bench, type, SHAPE(2), NUMBERS(1, 0)));
    bench_refuse_late(&bench, &call, NORMA_ERROR_RUN, "divided by zero");
    call.attributes[0] = truncated;
    bench_refuse_late(&bench, &call, NORMA_ERROR_RUN, "divided by zero");
  }
  bench_finish(&bench);
}

static double floored_doubles(double x, double z) {
  const double rest = fmod(x, z);
  return rest != 0 && (rest < 0) != (z < 0) ? rest + z : rest;
}

static void random_shapes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_NUMERIC) {
    const bool is_unsigned = (TYPE_BIT(type) & TYPES_UNSIGNED) != 0;
    const broadcast_check with_sign_of_divisor = {"Mod", 28, {0}, floored_doubles,     1, 50,
                                                  type,  0,  0,   type_tolerance(type)};
    const broadcast_check with_sign_of_dividend = {
        "Mod", 13, truncated, fmod, is_unsigned ? 1 : -50, is_unsigned ? 50 : -1, type, 0, 0, 0};
    check_broadcast(&bench, &with_sign_of_divisor, 8);
    check_broadcast(&bench, &with_sign_of_dividend, 8);
  }
  bench_finish(&bench);
}

/* As Python's % and C's fmod; a remainder of zero has the divisor's sign, or the dividend's. */
static void signs_of_floats(void **state) {
  static const double x[] = {-7.5, 7.5, 0, -0.0, 3, -3, INFINITY, 5, NAN, 6};
  static const double z[] = {2, -2, -1, 1, -INFINITY, INFINITY, 2, 0, 1, -3};
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    driver_call call =
        CALL("Mod", 28, bench_tensor(&bench, type, SHAPE(10), x), bench_tensor(&bench, type, SHAPE(10), z));
    check_tensor(bench_run(&bench, &call), type, SHAPE(10),
                 NUMBERS(0.5, -0.5, -0.0, 0, -INFINITY, INFINITY, NAN, NAN, NAN, -0.0));
    for (int version = 10; version <= 28; version += version < 13 ? 3 : 15) {
      call.opset = version;
      call.attributes[0] = truncated;
      check_tensor(bench_run(&bench, &call), type, SHAPE(10), NUMBERS(-1.5, 1.5, 0, -0.0, 3, -3, NAN, NAN, NAN, 0));
    }
  }
  bench_finish(&bench);
}

static void what_makes_no_sense_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  check_refuses_shapes(&bench, "Mod", 13, NORMA_INT32);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NUMBERS(1, 1)),
              *b = bench_tensor(&bench, NORMA_BOOL, SHAPE(2), NULL);
  driver_call call = CALL("Mod", 13, x, x); /* of floats, fmod 0 is defined since 28 */
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "fmod must be 1 for float before opset 28");
  call.attributes[0] = (attribute)DRIVER_INT("fmod", 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "fmod is 2");
  call = CALL("Mod", 13, b, b);
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "bool");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(integers_at_the_limits),
      cmocka_unit_test(integers_modulo_zero_are_an_error),
      cmocka_unit_test(random_shapes),
      cmocka_unit_test(signs_of_floats),
      cmocka_unit_test(what_makes_no_sense_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
