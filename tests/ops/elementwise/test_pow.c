/* Pow: powers of floats, of integers, and of both mixed. */
#include "tests/support/broadcast_check.h"
#include "tests/support/builtin_operator.h"

static void random_shapes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    FOR_TYPES(x_type, TYPES_FLOAT) {
      FOR_TYPES(z_type, TYPES_NUMERIC) {
        const broadcast_check check = {"Pow", 15, {0}, pow, 0.5, 3, x_type, z_type, 0, type_tolerance(x_type)};
        check_broadcast(&bench, &check, 3);
      }
    }
  }
  bench_finish(&bench);
}

static void every_version(void **state) {
  const operator_descriptor *op = builtin_operator("", "Pow");
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(2, 3, 0.5));
  const value *z = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(3, 2, -1));
  for (int v = 0; op->versions[v]; v++) {
    driver_call call = CALL("Pow", op->versions[v], x, z);
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(3), NUMBERS(8, 9, 2));
  }
  bench_finish(&bench);
}

static int64_t wrapped_power(int64_t x, int64_t z, bool is_unsigned) {
  uint64_t result = 1, square = (uint64_t)x;
  if (z < 0 && !is_unsigned) return x == 1 ? 1 : x == -1 ? (z % 2 ? -1 : 1) : 0;
  for (uint64_t left = (uint64_t)z; left; left /= 2) {
    if (left % 2) result *= square;
    square *= square;
  }
  return (int64_t)result;
}

static void integers_wrap_around(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  check_integer_pairs(&bench, "Pow", 15, NULL, TYPES_INTEGER, wrapped_power, NULL);
  bench_finish(&bench);
}

/* Of 1 and -1 that is again one of the two, of all others 0. The largest unsigned number is no -1. */
static void negative_powers_of_integers(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *z = bench_list(&bench, -1, -2, -3);
  FOR_TYPES(type, TYPES_SIGNED) {
    driver_call call = CALL("Pow", 15, bench_tensor(&bench, type, SHAPE(4, 1), NUMBERS(1, -1, 2, -5)), z);
    check_tensor(bench_run(&bench, &call), type, SHAPE(4, 3), NUMBERS(1, 1, 1, -1, 1, -1, 0, 0, 0, 0, 0, 0));
  }
  FOR_TYPES(type, TYPES_UNSIGNED) {
    value *x = bench_make(&bench, type, SHAPE(2, 1));
    element_set_int64(type, x->tensor.data, 0, 1);
    element_set_int64(type, x->tensor.data, 1, -1);
    driver_call call = CALL("Pow", 15, x, z);
    check_tensor(bench_run(&bench, &call), type, SHAPE(2, 3), NUMBERS(1, 1, 1, 0, 0, 0));
  }
  bench_finish(&bench);
}

/* Computed in double, truncated and limited to the range. */
static void integers_to_powers_of_floats(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(exponent, TYPES_FLOAT) {
    const value *z = bench_tensor(&bench, exponent, SHAPE(4), NUMBERS(2, 0.5, 100, -1));
    driver_call call = CALL("Pow", 12, bench_tensor(&bench, NORMA_INT32, SHAPE(4), NUMBERS(-3, 10, 3, 2)), z);
    check_tensor(bench_run(&bench, &call), NORMA_INT32, SHAPE(4), NUMBERS(9, 3, INT32_MAX, 0));
  }
  bench_finish(&bench);
}

/* Small whole exponents are multiplied out: a scalar exponent gives the bits that a whole tensor of them gives. */
static void the_shape_of_the_exponent_does_not_show(void **state) {
  static const double exponents[] = {0, 1, 2, 3, 0.5, -1, 7};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    FOR_TYPES(type, TYPES_FLOAT) {
      const value *x = bench_random(&bench, type, SHAPE(1000), -3, 3);
      for (size_t e = 0; e < COUNT(exponents); e++) {
        double same[1000];
        for (int i = 0; i < 1000; i++) same[i] = exponents[e];
        driver_call call = CALL("Pow", 15, x, bench_tensor(&bench, type, SCALAR, &exponents[e]));
        bench_run(&bench, &call);
        const value *by_scalar = bench_keep(&bench, 0);
        call.inputs[1] = bench_tensor(&bench, type, SHAPE(1000), same);
        if (!same_value(bench_run(&bench, &call), by_scalar)) {
          fail_msg("x^%g of %s depends on the shape of the exponent", exponents[e], norma_element_type_name(type));
        }
      }
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void limits_of_floats(void **state) {
  static const double x[] = {0, -0.0, INFINITY, -INFINITY, NAN, 1, -8, 0};
  static const double z[] = {0, -1, -1, 3, 0, NAN, 1.0 / 3, -2};
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    driver_call call =
        CALL("Pow", 15, bench_tensor(&bench, type, SHAPE(8), x), bench_tensor(&bench, type, SHAPE(8), z));
    check_tensor(bench_run(&bench, &call), type, SHAPE(8), NUMBERS(1, -INFINITY, 0, -INFINITY, 1, 1, NAN, INFINITY));
  }
  bench_finish(&bench);
}

static void what_makes_no_sense_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  check_refuses_shapes(&bench, "Pow", 15, NORMA_FLOAT);
  const value *b = bench_tensor(&bench, NORMA_BOOL, SHAPE(2), NULL),
              *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL);
  driver_call call = CALL("Pow", 15, x, b);
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "bool");
  call = CALL("Pow", 15, b, x);
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "bool");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_shapes),
      cmocka_unit_test(every_version),
      cmocka_unit_test(integers_wrap_around),
      cmocka_unit_test(negative_powers_of_integers),
      cmocka_unit_test(integers_to_powers_of_floats),
      cmocka_unit_test(the_shape_of_the_exponent_does_not_show),
      cmocka_unit_test(limits_of_floats),
      cmocka_unit_test(what_makes_no_sense_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
