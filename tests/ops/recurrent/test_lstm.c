/* LSTM against its equations in double precision. */
#include "tests/ops/recurrent/naive_recurrent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const naive_recurrent lstm = {
    .op_type = "LSTM", .gates = 4, .functions = 3, .has_cell = true, .default_functions = {"Sigmoid", "Tanh", "Tanh"}};

static void agrees_with_its_equations(void **state) {
  (void)state;
  const struct kernel_table *kernels;
  for (int k = 0; (kernels = driver_kernels(k)); k++) {
    uint64_t seed = 11;
    for (int i = 0; i < 400; i++) {
      naive_recurrent c = naive_random_case(&lstm, &seed, i);
      c.kernels = kernels;
      naive_check(&c, &seed);
    }
  }
}

static void bits_do_not_depend_on_workers(void **state) {
  (void)state;
  uint64_t seed = 7;
  naive_check_bits(&lstm, &seed);
}

static void samples_do_not_see_each_other(void **state) {
  (void)state;
  uint64_t seed = 7;
  naive_check_rows(&lstm, &seed);
}

static void refuses_what_is_wrong(void **state) {
  (void)state;
  naive_check_refusals(&lstm);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_its_equations),
      cmocka_unit_test(bits_do_not_depend_on_workers),
      cmocka_unit_test(samples_do_not_see_each_other),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
