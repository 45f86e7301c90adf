/* GlobalAveragePool, GlobalMaxPool and GlobalLpPool: one number for each plane. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

enum kind { AVERAGE, MAXIMUM, NORM, KINDS };

static const char *const ops[KINDS] = {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"};

static void check_pool(workbench *bench, enum kind kind, norma_element_type type, shape from, double p, int64_t opset) {
  const value *x = bench_random(bench, type, from, -2, 2);
  const int64_t planes = from.dims[0] * from.dims[1], pixels = dims_product(from.dims, 2, from.rank);
  double *expected = malloc(sizeof *expected * (size_t)(planes + 1));
  for (int64_t plane = 0; plane < planes; plane++) {
    double result = kind == MAXIMUM ? -INFINITY : 0;
    for (int64_t i = plane * pixels; i < (plane + 1) * pixels; i++) {
      const double element = driver_element(x, i);
      if (kind == AVERAGE) result += element / (double)pixels;
      if (kind == MAXIMUM) result = fmax(result, element);
      if (kind == NORM) result += pow(fabs(element), p);
    }
    expected[plane] = kind == NORM ? pow(result, 1 / p) : result;
  }
  shape to = from;
  for (int i = 2; i < to.rank; i++) to.dims[i] = 1;
  driver_call call = CALL(ops[kind], opset, x);
  if (kind == NORM && p != 2)
    call.attributes[0] = opset == 1 ? (attribute)DRIVER_FLOAT("p", (float)p) : (attribute)DRIVER_INT("p", (int64_t)p);
  /* Sums are taken in double, and rounded once. */
  check_near(ops[kind], bench_run(bench, &call), type, to, expected,
             kind == MAXIMUM       ? 0
             : type == NORMA_FLOAT ? 1e-6
                                   : type_tolerance(type));
  free(expected);
  bench_clear(bench);
}

static void every_type_and_shape(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 60; round++) {
      FOR_TYPES(type, TYPES_FLOAT) {
        shape from = shape_of_rank((int)random_int(&bench.seed, 3, 5));
        from.dims[0] = random_int(&bench.seed, 0, 3);
        from.dims[1] = random_int(&bench.seed, 1, 5);
        for (int i = 2; i < from.rank; i++) from.dims[i] = random_int(&bench.seed, 1, from.rank == 3 ? 300 : 12);
        check_pool(&bench, (enum kind)(round % KINDS), type, from, (double)random_int(&bench.seed, 1, 4), 22);
      }
    }
  }
  bench_finish(&bench);
}

static void every_version(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int kind = 0; kind < KINDS; kind++) {
    const operator_descriptor *op = builtin_operator("", ops[kind]);
    for (int v = 0; op->versions[v]; v++) {
      check_pool(&bench, (enum kind)kind, NORMA_FLOAT, SHAPE(2, 3, 4, 5), 2, op->versions[v]); /* p is 2 by default */
      check_pool(&bench, (enum kind)kind, NORMA_DOUBLE, SHAPE(2, 3, 7), 3, op->versions[v]);
      driver_call call = CALL(ops[kind], op->versions[v], bench_tensor(&bench, NORMA_BFLOAT16, SHAPE(1, 1, 2), NULL));
      if (op->versions[v] < 22) bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "bfloat16 needs opset 22");
    }
  }
  check_pool(&bench, NORM, NORMA_FLOAT, SHAPE(1, 2, 30), 1.5, 1); /* any number then */
  bench_finish(&bench);
}

static void numbers_that_are_none(void **state) {
  static const double expected[KINDS][3] = {{NAN, INFINITY, NAN}, {NAN, INFINITY, INFINITY}, {NAN, INFINITY, INFINITY}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int kind = 0; kind < KINDS; kind++) {
      FOR_TYPES(type, TYPES_FLOAT) {
        const value *x =
            bench_tensor(&bench, type, SHAPE(1, 3, 3), NUMBERS(1, NAN, 2, 1, INFINITY, 2, INFINITY, -INFINITY, 0));
        driver_call call = CALL(ops[kind], 22, x);
        check_tensor(bench_run(&bench, &call), type, SHAPE(1, 3, 1), expected[kind]);
      }
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* The mean of nothing is NaN, its norm 0, its maximum the least there is. */
static void planes_without_pixels(void **state) {
  static const double of_nothing[KINDS] = {NAN, -INFINITY, 0};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int kind = 0; kind < KINDS; kind++) {
      FOR_TYPES(type, TYPES_FLOAT) {
        driver_call call = CALL(ops[kind], 22, bench_tensor(&bench, type, SHAPE(1, 2, 0, 5), NULL));
        check_tensor(bench_run(&bench, &call), type, SHAPE(1, 2, 1, 1), NUMBERS(of_nothing[kind], of_nothing[kind]));
      }
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Thousands of numbers far from zero keep the digits of their mean. */
static void means_are_taken_in_double(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    const value *x = bench_random(&bench, NORMA_FLOAT, SHAPE(1, 2, 100, 200), 1e6, 1e6 + 1);
    driver_call call = CALL("GlobalAveragePool", 1, x);
    const value *y = bench_run(&bench, &call);
    for (int plane = 0; plane < 2; plane++) {
      double sum = 0;
      for (int i = 0; i < 20000; i++) sum += driver_element(x, plane * 20000 + i);
      assert_true(driver_element(y, plane) == (double)(float)(sum / 20000));
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  static const int64_t none[] = {0, -1, INT64_MIN};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int kind = 0; kind < KINDS; kind++) {
    driver_call call = CALL(ops[kind], 22, bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NULL));
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "the input has rank 2");
    call.inputs[0] = bench_tensor(&bench, NORMA_INT32, SHAPE(1, 2, 3), NULL);
    bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type int32");
  }
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 2, 3), NULL);
  for (size_t i = 0; i < COUNT(none); i++) {
    driver_call call = CALL("GlobalLpPool", 2, x);
    call.attributes[0] = (attribute)DRIVER_INT("p", none[i]);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "must be above 0");
  }
  driver_call call = CALL("GlobalLpPool", 1, x);
  call.attributes[0] = (attribute)DRIVER_FLOAT("p", NAN);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "must be above 0");
  call.attributes[0] = (attribute)DRIVER_INT("p", 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute p");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_shape),      cmocka_unit_test(every_version),
      cmocka_unit_test(numbers_that_are_none),     cmocka_unit_test(planes_without_pixels),
      cmocka_unit_test(means_are_taken_in_double), cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
