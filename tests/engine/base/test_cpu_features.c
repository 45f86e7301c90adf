/* Instruction sets: names, what the machine runs, and the environment variable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/cpu_features.h"
#include "ops/kernels/kernel_table.h"

static void names_parse_back(void **state) {
  (void)state;
  for (int i = 0; i < CPU_ISA_COUNT; i++) {
    enum cpu_isa isa = CPU_ISA_COUNT;
    assert_true(cpu_isa_parse(cpu_isa_name((enum cpu_isa)i), &isa));
    assert_int_equal(isa, i);
  }
  enum cpu_isa isa = CPU_ISA_AVX2;
  assert_false(cpu_isa_parse("mmx", &isa));
  assert_false(cpu_isa_parse("", &isa));
  assert_int_equal(isa, CPU_ISA_AVX2);
  assert_string_equal(cpu_isa_name(CPU_ISA_COUNT), "unknown");
}

static void the_best_is_supported_and_has_a_table(void **state) {
  (void)state;
  assert_true(cpu_isa_supported(cpu_isa_best()));
  assert_false(cpu_isa_supported(CPU_ISA_COUNT));
  const struct kernel_table *table = kernel_table_get(cpu_isa_best());
  assert_non_null(table);
  assert_string_equal(table->name, cpu_isa_name(cpu_isa_best()));
  assert_null(kernel_table_get(CPU_ISA_COUNT));
}

static void each_level_includes_the_lower_ones(void **state) {
  (void)state;
  if (cpu_isa_supported(CPU_ISA_AVX512)) assert_true(cpu_isa_supported(CPU_ISA_AVX2));
  if (cpu_isa_supported(CPU_ISA_AVX2)) assert_true(cpu_isa_supported(CPU_ISA_SSE2));
  assert_int_not_equal(cpu_isa_supported(CPU_ISA_SSE2), cpu_isa_supported(CPU_ISA_NEON));
}

static void the_environment_chooses_what_can_run(void **state) {
  (void)state;
  for (int i = 0; i < CPU_ISA_COUNT; i++) {
    const enum cpu_isa isa = (enum cpu_isa)i;
    setenv("NORMA_KERNELS", cpu_isa_name(isa), 1);
    assert_int_equal(cpu_isa_choose(), cpu_isa_supported(isa) ? isa : cpu_isa_best());
    assert_ptr_equal(kernel_table_default(), kernel_table_get(cpu_isa_choose()));
  }
  setenv("NORMA_KERNELS", "no such thing", 1);
  assert_int_equal(cpu_isa_choose(), cpu_isa_best());
  unsetenv("NORMA_KERNELS");
  assert_int_equal(cpu_isa_choose(), cpu_isa_best());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_parse_back),
      cmocka_unit_test(the_best_is_supported_and_has_a_table),
      cmocka_unit_test(each_level_includes_the_lower_ones),
      cmocka_unit_test(the_environment_chooses_what_can_run),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
