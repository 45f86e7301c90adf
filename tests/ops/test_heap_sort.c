/* heap_sort against counting: any order, equal items, items of several sizes. */
#include "ops/heap_sort.h"
#include "tests/support/workbench.h"

enum { MOST_ITEMS = 300, KEYS = 40 };

typedef struct sorted_item {
  int64_t key, payload[3]; /* the payload follows from the key */
} sorted_item;

static int compare_items(const void *left, const void *right) {
  const sorted_item *a = left, *b = right;
  return (a->key > b->key) - (a->key < b->key);
}

static int compare_bytes(const void *left, const void *right) {
  return (int)*(const unsigned char *)left - (int)*(const unsigned char *)right;
}

static void items_keep_together(void **state) {
  uint64_t seed = 5;
  (void)state;
  for (int count = 0; count < MOST_ITEMS; count += count < 20 ? 1 : 37) {
    sorted_item items[MOST_ITEMS];
    int counts[KEYS] = {0}, at = 0;
    for (int i = 0; i < count; i++) {
      const int64_t key = (int64_t)driver_random(&seed, 0, KEYS);
      items[i] = (sorted_item){key, {key * 3, -key, key + 1}};
      counts[key]++;
    }
    heap_sort(items, (size_t)count, sizeof *items, compare_items);
    for (int key = 0; key < KEYS; key++) {
      for (int k = 0; k < counts[key]; k++, at++) {
        assert_int_equal(items[at].key, key);
        assert_int_equal(items[at].payload[0], key * 3);
        assert_int_equal(items[at].payload[1], -key);
        assert_int_equal(items[at].payload[2], key + 1);
      }
    }
    assert_int_equal(at, count);
  }
}

static void small_items_in_bad_orders(void **state) {
  unsigned char rising[256], falling[256], equal[256];
  (void)state;
  for (int i = 0; i < 256; i++) {
    rising[i] = (unsigned char)i;
    falling[i] = (unsigned char)(255 - i);
    equal[i] = 7;
  }
  heap_sort(rising, 256, 1, compare_bytes);
  heap_sort(falling, 256, 1, compare_bytes);
  heap_sort(equal, 256, 1, compare_bytes);
  for (int i = 0; i < 256; i++) {
    assert_int_equal(rising[i], i);
    assert_int_equal(falling[i], i);
    assert_int_equal(equal[i], 7);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(items_keep_together),
      cmocka_unit_test(small_items_in_bad_orders),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
