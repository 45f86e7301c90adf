/* Tables and overrides: which of them this machine runs, by name, by order and by the environment. */
#include "tests/ops/kernels/kernel_test.h"

#include "engine/norma.h"

static void tables_of_this_machine(void **state) {
  (void)state;
  const struct kernel_table *table;
  size_t count = 0;
  for (; (table = kernel_table_at(count)); count++) {
    assert_int_equal(table->features & ~cpu_features(), 0);
    assert_ptr_equal(kernel_table_find(table->name), table);
    assert_string_equal(plain_table(table->name)->name, table->name);
    for (size_t i = 0; i < count; i++) assert_string_not_equal(kernel_table_at(i)->name, table->name);
  }
  assert_true(count > 0);
  assert_null(kernel_table_at(count + 1));
}

/* What was built is found by its name where the CPU has all that it needs, and nowhere else. */
static void tables_of_this_build(void **state) {
  (void)state;
  const struct kernel_table *table;
  size_t built = 0, here = 0;
  for (; (table = kernel_table_built_at(built)); built++) {
    const bool runs = !(table->features & ~cpu_features());
    assert_int_equal(kernel_table_find(table->name) != NULL, runs);
    assert_non_null(strstr(norma_build_features(), table->name));
    if (runs) assert_string_equal(kernel_table_at(here++)->name, table->name);
  }
  assert_null(kernel_table_at(here));
  assert_non_null(kernel_table_find(kernel_table_built_at(0)->name)); /* which every CPU runs */
}

static void names_that_are_no_table(void **state) {
  (void)state;
  char text[64];
  snprintf(text, sizeof text, "%s:", kernel_table_at(0)->name);
  assert_null(kernel_table_find(text));
  snprintf(text, sizeof text, "%s:plainer", kernel_table_at(0)->name);
  assert_null(kernel_table_find(text));
  snprintf(text, sizeof text, "%.3s", kernel_table_at(0)->name);
  assert_null(kernel_table_find(text));
  assert_null(kernel_table_find("mmx"));
  assert_null(kernel_table_find(""));
  assert_null(kernel_table_find(":plain"));
}

static void the_environment_chooses_what_can_run(void **state) {
  (void)state;
  const struct kernel_table *table, *best = NULL;
  for (size_t i = 0; (table = kernel_table_at(i)); i++) {
    best = table;
    setenv("NORMA_KERNELS", table->name, 1);
    assert_ptr_equal(kernel_table_default(), table);
    char text[64];
    snprintf(text, sizeof text, "%s:plain", table->name);
    setenv("NORMA_KERNELS", text, 1);
    assert_ptr_equal(kernel_table_default(), plain_table(table->name));
  }
  setenv("NORMA_KERNELS", "no such thing", 1);
  assert_ptr_equal(kernel_table_default(), best);
  unsetenv("NORMA_KERNELS");
  assert_ptr_equal(kernel_table_default(), best);
}

/* A runtime takes a name, and refuses one that is no table. */
static void a_runtime_takes_the_name(void **state) {
  (void)state;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .kernels = kernel_table_at(0)->name};
  norma_runtime *runtime;
  norma_error error;
  assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_OK);
  norma_runtime_destroy(runtime);
  options.kernels = "mmx";
  assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_ERROR_ARGUMENT);
  assert_non_null(strstr(error.message, "mmx"));
}

/* An override belongs to a table that runs wherever it runs, and a table has the entries of its own overrides and of no
 * others. */
static void overrides_change_their_table_only(void **state) {
  (void)state;
  const struct kernel_table *table;
  const struct kernel_override *override;
  for (size_t i = 0; (override = kernel_override_at(i)); i++) {
    assert_int_equal(override->features & ~cpu_features(), 0);
    assert_non_null(kernel_table_find(override->table));
    struct kernel_table with = *plain_table(override->table);
    override->apply(&with);
    assert_string_equal(with.name, override->table);
    assert_true(memcmp(&with, plain_table(override->table), sizeof with) != 0);
  }
  for (size_t t = 0; (table = kernel_table_at(t)); t++) {
    struct kernel_table expected = *plain_table(table->name);
    for (size_t i = 0; (override = kernel_override_at(i)); i++)
      if (strcmp(override->table, table->name) == 0) override->apply(&expected);
    assert_memory_equal(&expected, table, sizeof expected);
  }
}

/* A forced table stays with its registers: no override needs wider ones to be saved. So sse2 never takes VNNI. */
static void overrides_keep_to_the_registers_of_their_table(void **state) {
  (void)state;
#define ALWAYS                                    0
#define CPUID(leaf, subleaf, word, bit, saved)    BYTES_OF_##saved
#define BYTES_OF_YMM                              32
#define BYTES_OF_ZMM                              64
#define REGISTER_BYTES(NAME, name, register_size) [CPU_##NAME] = register_size,
  static const size_t register_bytes[CPU_FEATURE_COUNT] = {CPU_FEATURES_X86_64(REGISTER_BYTES)};
#undef ALWAYS
#undef CPUID
#undef REGISTER_BYTES
  const struct kernel_override *override;
  for (size_t i = 0; (override = kernel_override_at(i)); i++)
    for (int f = 0; f < CPU_FEATURE_COUNT; f++)
      if (override->features >> f & 1 && register_bytes[f] > plain_table(override->table)->vector_bytes)
        fail_msg("%s of %s needs %s", override->name, override->table, cpu_feature_name((enum cpu_feature)f));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tables_of_this_machine),
      cmocka_unit_test(tables_of_this_build),
      cmocka_unit_test(names_that_are_no_table),
      cmocka_unit_test(the_environment_chooses_what_can_run),
      cmocka_unit_test(a_runtime_takes_the_name),
      cmocka_unit_test(overrides_change_their_table_only),
      cmocka_unit_test(overrides_keep_to_the_registers_of_their_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
