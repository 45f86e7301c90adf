/* Tables of keys against a search through all keys. */
#include "ops/key_table.h"

#include "tests/support/random_tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MOST_KEYS 300

static int64_t search_strings(const norma_string *keys, size_t count, const norma_string *wanted, key_order order) {
  int64_t found = -1;
  for (size_t i = 0; i < count; i++) {
    if (keys[i].size != wanted->size || memcmp(keys[i].data, wanted->data, wanted->size) != 0) continue;
    found = (int64_t)i;
    if (order == KEY_FIRST) return found;
  }
  return found;
}

/* Of every size up to 40, of few letters, so that many begin and end alike, and some are equal. */
static void random_text(uint64_t *seed, char text[41], norma_string *made) {
  const size_t size = (size_t)random_int(seed, 0, random_of(seed, 3, 9, 17, 40));
  for (size_t i = 0; i < size; i++) text[i] = (char)('a' + (random_int(seed, 0, 9) == 0));
  *made = (norma_string){text, size};
}

static void strings_are_found(void **state) {
  uint64_t seed = 3;
  (void)state;
  for (int round = 0; round < 60; round++) {
    char texts[MOST_KEYS][41], other[41];
    norma_string keys[MOST_KEYS], wanted;
    const size_t count = (size_t)random_int(&seed, 0, MOST_KEYS);
    const key_order order = round % 2 ? KEY_FIRST : KEY_LAST;
    memory memory;
    region region;
    key_table table;
    norma_error error;
    memory_init(&memory, NULL, 0);
    region_init(&region, &memory);
    for (size_t i = 0; i < count; i++) random_text(&seed, texts[i], &keys[i]);
    assert_int_equal(key_table_of_strings(&table, &region, keys, count, order, &error), NORMA_OK);
    bool has_equal = false;
    for (size_t i = 0; i < count; i++) {
      const int64_t expected = search_strings(keys, count, &keys[i], order);
      has_equal = has_equal || expected != (int64_t)i;
      assert_int_equal(key_table_find_string(&table, keys[i].data, keys[i].size), expected);
    }
    assert_int_equal(table.has_equal, has_equal);
    for (int i = 0; i < 200; i++) {
      random_text(&seed, other, &wanted);
      assert_int_equal(key_table_find_string(&table, wanted.data, wanted.size),
                       search_strings(keys, count, &wanted, order));
    }
    region_free(&region);
  }
}

static void words_are_found(void **state) {
  (void)state;
  static const uint64_t keys[] = {0, 7, UINT64_MAX, 7, UINT64_C(1) << 63, 1, 0};
  memory memory;
  region region;
  key_table table;
  norma_error error;
  memory_init(&memory, NULL, 0);
  region_init(&region, &memory);
  assert_int_equal(key_table_of_words(&table, &region, keys, 7, KEY_FIRST, &error), NORMA_OK);
  assert_int_equal(key_table_find_word(&table, 7), 1);
  assert_int_equal(key_table_find_word(&table, 0), 0);
  assert_int_equal(key_table_find_word(&table, 2), -1);
  assert_true(table.has_equal);
  assert_int_equal(key_table_of_words(&table, &region, keys, 7, KEY_LAST, &error), NORMA_OK);
  assert_int_equal(key_table_find_word(&table, 7), 3);
  assert_int_equal(key_table_find_word(&table, 0), 6);
  assert_int_equal(key_table_find_word(&table, UINT64_MAX), 2);
  assert_int_equal(key_table_of_words(&table, &region, keys, 0, KEY_LAST, &error), NORMA_OK);
  assert_int_equal(key_table_find_word(&table, 0), -1);
  assert_false(table.has_equal);
  region_free(&region);
}

/* Numbers in a row, as labels often are, must not share their places. */
static void hashes_differ(void **state) {
  (void)state;
  for (uint64_t a = 0; a < 2000; a++) {
    char text[32], next[32];
    const int size = snprintf(text, sizeof text, "label_%d", (int)a);
    const int next_size = snprintf(next, sizeof next, "label_%d", (int)a + 1);
    assert_int_not_equal(key_hash_words(a, 0), key_hash_words(a + 1, 0));
    assert_int_not_equal(key_hash_string(text, (size_t)size), key_hash_string(next, (size_t)next_size));
  }
}

static void memory_that_is_missing(void **state) {
  (void)state;
  static const uint64_t keys[64] = {1, 2, 3};
  memory memory;
  region region;
  key_table table;
  norma_error error;
  memory_init(&memory, NULL, 64);
  region_init(&region, &memory);
  assert_int_equal(key_table_of_words(&table, &region, keys, 64, KEY_LAST, &error), NORMA_ERROR_BUDGET);
  region_free(&region);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strings_are_found),
      cmocka_unit_test(words_are_found),
      cmocka_unit_test(hashes_differ),
      cmocka_unit_test(memory_that_is_missing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
