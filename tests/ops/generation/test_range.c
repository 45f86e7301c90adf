/* Range: start, start + delta, ... below limit, for every type. */
#include "tests/support/builtin_operator.h"
#include "tests/support/workbench.h"

#define RANGE_TYPES (TYPES_FLOAT | TYPE_BIT(NORMA_INT16) | TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64))

static driver_call range_call(workbench *bench, norma_element_type type, double start, double limit, double delta) {
  return CALL("Range", type == NORMA_FLOAT16 || type == NORMA_BFLOAT16 ? 27 : 11,
              bench_tensor(bench, type, SCALAR, &start), bench_tensor(bench, type, SCALAR, &limit),
              bench_tensor(bench, type, SCALAR, &delta));
}

static void whole_numbers_of_every_type(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, RANGE_TYPES) {
    for (int start = -6; start <= 6; start += 3) {
      for (int limit = -7; limit <= 7; limit++) {
        for (int delta = -4; delta <= 4; delta++) {
          if (delta == 0) continue;
          double expected[20];
          int count = 0;
          for (int i = start; delta > 0 ? i < limit : i > limit; i += delta) expected[count++] = i;
          driver_call call = range_call(&bench, type, start, limit, delta);
          check_tensor(bench_run_once(&bench, &call), type, SHAPE(count), expected);
        }
      }
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* ceil((limit - start) / delta) elements, each computed from the first one and rounded once. */
static void fractions(void **state) {
  static const struct {
    double start, limit, delta;
    int count;
  } cases[] = {{0, 1, 0.25, 4},        {0, 1.1, 0.25, 5},   {1, -1, -0.5, 4},
               {0.5, 0.25, -0.125, 2}, {0, 0.0625, 0.5, 1}, {-0.25, 0.25, 0.0625, 8}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    for (size_t c = 0; c < COUNT(cases); c++) {
      double expected[10];
      for (int i = 0; i < cases[c].count; i++) expected[i] = cases[c].start + i * cases[c].delta;
      driver_call call = range_call(&bench, type, cases[c].start, cases[c].limit, cases[c].delta);
      check_tensor(bench_run(&bench, &call), type, SHAPE(cases[c].count), expected);
    }
  }
  bench_finish(&bench);
}

static void many_elements(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = range_call(&bench, NORMA_INT64, 5, 300005, 3);
  const value *y = bench_run(&bench, &call);
  check_tensor(y, NORMA_INT64, SHAPE(100000), NULL);
  for (int i = 0; i < 100000; i++) assert_true(((const int64_t *)y->tensor.data)[i] == 5 + 3 * i);
  call = range_call(&bench, NORMA_FLOAT, 0, 10000, 0.1);
  y = bench_run(&bench, &call); /* errors do not add up */
  for (int i = 0; i < 99999; i++) assert_true(driver_element(y, i) == (double)(float)((double)0.1f * i));
  bench_finish(&bench);
}

static void every_version_and_list_of_one(void **state) {
  const operator_descriptor *op = builtin_operator("", "Range");
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int v = 0; op->versions[v]; v++) {
    driver_call call =
        CALL("Range", op->versions[v], bench_list(&bench, 1), bench_list(&bench, 7), bench_list(&bench, 3));
    check_ints(bench_run(&bench, &call), SHAPE(2), (const int64_t[]){1, 4});
    call.attributes[0] = (attribute)DRIVER_INT("stash_type", 1);
    if (op->versions[v] < 27) bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute stash_type");
  }
  bench_finish(&bench);
}

static void integers_at_the_limits(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call =
      CALL("Range", 11, bench_int(&bench, INT64_MIN), bench_int(&bench, INT64_MAX), bench_int(&bench, INT64_MAX));
  check_ints(bench_run(&bench, &call), SHAPE(3), (const int64_t[]){INT64_MIN, -1, INT64_MAX - 1});
  call = CALL("Range", 11, bench_int(&bench, INT64_MAX), bench_int(&bench, INT64_MIN), bench_int(&bench, INT64_MIN));
  check_ints(bench_run(&bench, &call), SHAPE(2), (const int64_t[]){INT64_MAX, -1});
  call.inputs[2] = bench_int(&bench, 1); /* the wrong way */
  check_ints(bench_run(&bench, &call), SHAPE(0), NULL);
  bench_finish(&bench);
}

static void what_makes_no_sense_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  bench.driver.memory.limit = 1 << 20;
  FOR_TYPES(type, RANGE_TYPES) {
    driver_call call = range_call(&bench, type, 0, 3, 0);
    bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "delta is");
  }
  FOR_TYPES(type, TYPES_FLOAT) {
    driver_call call = range_call(&bench, type, 0, 3, NAN);
    bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "delta is no number");
    call = range_call(&bench, type, 0, NAN, 1);
    bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "limits are no numbers");
    call = range_call(&bench, type, 0, INFINITY, 1);
    bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "too many elements");
    call = range_call(&bench, type, INFINITY, INFINITY, 1);
    bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "limits are no numbers");
    call = range_call(&bench, type, INFINITY, 0, 1); /* the wrong way */
    check_tensor(bench_run(&bench, &call), type, SHAPE(0), NULL);
  }
  driver_call call =
      CALL("Range", 11, bench_int(&bench, INT64_MIN), bench_int(&bench, INT64_MAX), bench_int(&bench, 1));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "too many elements");
  call.inputs[0] = bench_int(&bench, 0);
  call.inputs[1] = bench_int(&bench, INT64_C(1) << 40);
  bench_refuse(&bench, &call, NORMA_ERROR_BUDGET, "");
  call.inputs[1] = bench_list(&bench, 1, 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "must be one number each");
  call.inputs[1] = bench_tensor(&bench, NORMA_INT32, SCALAR, NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "int64 and int32 differ");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole_numbers_of_every_type),
      cmocka_unit_test(fractions),
      cmocka_unit_test(many_elements),
      cmocka_unit_test(every_version_and_list_of_one),
      cmocka_unit_test(integers_at_the_limits),
      cmocka_unit_test(what_makes_no_sense_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
