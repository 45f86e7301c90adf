/* StringConcat: broadcasting, against joining pair by pair. */
#include "tests/support/workbench.h"

#include <stdio.h>
#include <stdlib.h>

static void pairs_of_any_shapes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 60; round++) {
    shape a, b, result;
    random_broadcast(&bench.seed, 3000, &a, &b, &result);
    const value *x = bench_numbered(&bench, NORMA_STRING, a), *y = bench_numbered(&bench, NORMA_STRING, b);
    const int64_t count = shape_count(&result);
    char(*texts)[64] = calloc((size_t)count + 1, sizeof *texts);
    const char **expected = calloc((size_t)count + 1, sizeof *expected);
    const norma_string *xs = x->tensor.data, *ys = y->tensor.data;
    for (int64_t i = 0; i < count; i++) {
      const norma_string s = xs[broadcast_place(&a, &result, i)], t = ys[broadcast_place(&b, &result, i)];
      snprintf(texts[i], sizeof *texts, "%.*s%.*s", (int)s.size, s.size ? s.data : "", (int)t.size,
               t.size ? t.data : "");
      expected[i] = texts[i];
    }
    const driver_call call = CALL("StringConcat", 20, x, y);
    check_strings(bench_run(&bench, &call), result, expected);
    free(expected);
    free(texts);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void empty_strings_and_a_scalar(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_strings(&bench, SHAPE(2, 2), (const char *[]){"", "a", "\xc3\xa9", ""});
  const value *y = bench_strings(&bench, SCALAR, (const char *[]){""}), *z = bench_list(&bench, 1, 2);
  driver_call call = CALL("StringConcat", 20, x, y);
  check_strings(bench_run(&bench, &call), SHAPE(2, 2), (const char *[]){"", "a", "\xc3\xa9", ""});
  call.inputs[1] = bench_strings(&bench, SHAPE(3), (const char *[]){"1", "2", "3"});
  assert_int_not_equal(driver_run(&bench.driver, &call), NORMA_OK);
  call.inputs[1] = z;
  assert_int_not_equal(driver_run(&bench.driver, &call), NORMA_OK);
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pairs_of_any_shapes),
      cmocka_unit_test(empty_strings_and_a_scalar),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
