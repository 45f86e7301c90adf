/* StringSplit: white space, delimiters, the bound of cuts. */
#include "tests/support/workbench.h"

#define TEXTS(...) ((const char *[]){__VA_ARGS__})

static void white_space(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_strings(&bench, SHAPE(2, 2), TEXTS(" a  bc\t", "", "\xe2\x80\x83x\xc2\xa0y\nz", "one"));
  driver_call call = CALL("StringSplit", 20, x);
  call.output_count = 2;
  check_strings(bench_run(&bench, &call), SHAPE(2, 2, 3),
                TEXTS("a", "bc", "", "", "", "", "x", "y", "z", "one", "", ""));
  check_ints(&bench.driver.outputs[1], SHAPE(2, 2), (const int64_t[]){2, 0, 3, 1});
  call.attributes[0] = (attribute)DRIVER_STRING("delimiter", "");
  call.attributes[1] = (attribute)DRIVER_INT("maxsplit", 1);
  check_strings(bench_run(&bench, &call), SHAPE(2, 2, 2), TEXTS("a", "bc", "", "", "x", "y\nz", "one", ""));
  check_ints(&bench.driver.outputs[1], SHAPE(2, 2), (const int64_t[]){2, 0, 2, 1});
  bench_finish(&bench);
}

static void delimiters(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_strings(&bench, SHAPE(4), TEXTS("a--b---c", "", "--", "none"));
  driver_call call = CALL("StringSplit", 20, x);
  call.output_count = 2;
  call.attributes[0] = (attribute)DRIVER_STRING("delimiter", "--");
  check_strings(bench_run(&bench, &call), SHAPE(4, 3), TEXTS("a", "b", "-c", "", "", "", "", "", "", "none", "", ""));
  check_ints(&bench.driver.outputs[1], SHAPE(4), (const int64_t[]){3, 1, 2, 1});
  call.attributes[1] = (attribute)DRIVER_INT("maxsplit", 1);
  check_strings(bench_run(&bench, &call), SHAPE(4, 2), TEXTS("a", "b---c", "", "", "", "", "none", ""));
  call.attributes[1] = (attribute)DRIVER_INT("maxsplit", 0);
  check_strings(bench_run(&bench, &call), SHAPE(4, 1), TEXTS("a--b---c", "", "--", "none"));
  bench_finish(&bench);
}

static void nothing_to_split(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = CALL("StringSplit", 20, bench_strings(&bench, SHAPE(0, 3), NULL));
  call.output_count = 2;
  check_strings(bench_run(&bench, &call), SHAPE(0, 3, 0), NULL);
  check_ints(&bench.driver.outputs[1], SHAPE(0, 3), NULL);
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(white_space),
      cmocka_unit_test(delimiters),
      cmocka_unit_test(nothing_to_split),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
