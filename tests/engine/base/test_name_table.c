/* The table of names: found as added, borrowed names, growth, memory that runs out. */
#include "engine/base/name_table.h"

#include "engine/base/status.h"
#include "tests/support/failing_allocations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void names_are_found_as_added(void **state) {
  (void)state;
  memory memory;
  name_table table;
  bool added = false;
  int items[2];
  memory_init(&memory, NULL, 0);
  name_table_init(&table, &memory);
  assert_null(name_table_find(&table, "x")); /* in an empty one as well */
  name_entry *entry = name_table_add(&table, "x", &added);
  assert_true(added && entry && !entry->item && !entry->flag);
  entry->item = &items[0];
  entry->flag = true;
  entry = name_table_add(&table, "x", &added); /* the same again */
  assert_false(added);
  assert_ptr_equal(entry->item, &items[0]);
  assert_true(entry->flag);
  name_table_add(&table, "y", &added)->item = &items[1];
  assert_true(added);
  assert_ptr_equal(name_table_find(&table, "x")->item, &items[0]);
  assert_ptr_equal(name_table_find(&table, "y")->item, &items[1]);
  assert_null(name_table_find(&table, "xy"));
  assert_null(name_table_find(&table, ""));
  assert_int_equal(table.count, 2);
  name_table_free(&table);
  assert_int_equal(atomic_load(&memory.used), 0);
}

/* Names are borrowed, and compared by their letters. */
static void letters_count_and_not_addresses(void **state) {
  (void)state;
  memory memory;
  name_table table;
  bool added;
  char first[] = "the same name", second[] = "the same name";
  memory_init(&memory, NULL, 0);
  name_table_init(&table, &memory);
  assert_ptr_equal(name_table_add(&table, first, &added)->name, first);
  assert_ptr_equal(name_table_add(&table, second, &added)->name, first);
  assert_false(added);
  assert_ptr_equal(name_table_find(&table, second)->name, first);
  name_table_free(&table);
}

/* Of all lengths around the eight bytes that are hashed at a time, differing in the last letter alone. */
static void every_letter_counts(void **state) {
  enum { LONGEST = 40 };
  static char names[LONGEST + 1][2][LONGEST + 1];
  (void)state;
  memory memory;
  name_table table;
  bool added;
  memory_init(&memory, NULL, 0);
  name_table_init(&table, &memory);
  for (int length = 0; length <= LONGEST; length++) {
    for (int k = 0; k < (length ? 2 : 1); k++) {
      memset(names[length][k], 'a', (size_t)length);
      if (length) names[length][k][length - 1] = (char)('a' + k);
      name_table_add(&table, names[length][k], &added)->item = names[length][k];
      assert_true(added);
    }
  }
  for (int length = 0; length <= LONGEST; length++) {
    for (int k = 0; k < (length ? 2 : 1); k++) {
      assert_ptr_equal(name_table_find(&table, names[length][k])->item, names[length][k]);
    }
  }
  name_table_free(&table);
}

static void many_names(void **state) {
  enum { COUNT = 50000 };
  char(*names)[16] = malloc(COUNT * sizeof *names);
  (void)state;
  memory memory;
  name_table table;
  bool added;
  assert_non_null(names);
  memory_init(&memory, NULL, 0);
  name_table_init(&table, &memory);
  for (int i = 0; i < COUNT; i++) {
    snprintf(names[i], sizeof names[i], "n%d", i);
    name_entry *entry = name_table_add(&table, names[i], &added);
    assert_true(added);
    entry->item = names[i];
  }
  assert_int_equal(table.count, COUNT);
  assert_true(table.capacity <= 4 * COUNT);
  for (int i = 0; i < COUNT; i++) assert_ptr_equal(name_table_find(&table, names[i])->item, names[i]);
  assert_null(name_table_find(&table, "n50000"));
  name_table_free(&table);
  name_table_free(&table); /* empty again */
  assert_null(name_table_find(&table, "n1"));
  name_table_add(&table, "n1", &added);
  assert_true(added);
  name_table_free(&table);
  assert_int_equal(atomic_load(&memory.used), 0);
  free(names);
}

/* The hash depends on the table, so that a file cannot be made whose names collide in all. */
static void tables_hash_differently(void **state) {
  (void)state;
  memory memory;
  name_table tables[2];
  bool added;
  memory_init(&memory, NULL, 0);
  for (int i = 0; i < 2; i++) name_table_init(&tables[i], &memory);
  assert_true(name_table_add(&tables[0], "name", &added)->hash != name_table_add(&tables[1], "name", &added)->hash);
  for (int i = 0; i < 2; i++) name_table_free(&tables[i]);
}

static norma_status fill(void *context, const norma_allocator *allocator, norma_error *error) {
  static char names[200][16];
  memory memory;
  name_table table;
  bool added, good = true;
  (void)context;
  memory_init(&memory, allocator, 0);
  name_table_init(&table, &memory);
  for (int i = 0; i < 200 && good; i++) {
    snprintf(names[i], sizeof names[i], "n%d", i);
    good = name_table_add(&table, names[i], &added) != NULL;
    for (int k = 0; !good && k < i; k++)
      assert_non_null(name_table_find(&table, names[k])); /* what was there is still */
  }
  name_table_free(&table);
  return good ? NORMA_OK : error_set(error, NORMA_ERROR_OUT_OF_MEMORY, "no memory");
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  assert_int_equal(fail_each_allocation(fill, NULL), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_found_as_added), cmocka_unit_test(letters_count_and_not_addresses),
      cmocka_unit_test(every_letter_counts),      cmocka_unit_test(many_names),
      cmocka_unit_test(tables_hash_differently),  cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
