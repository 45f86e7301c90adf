/* Accounts, regions, buffers. */
#include "engine/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void budget_is_kept(void **state) {
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 10000);
  norma_error error;
  void *a = memory_allocate(&memory, 4000), *b = memory_allocate(&memory, 5000);
  assert_non_null(a);
  assert_non_null(b);
  assert_int_equal((uintptr_t)a % MEMORY_ALIGNMENT, 0);
  assert_null(memory_allocate(&memory, 2000));
  assert_int_equal(memory_error(&memory, 2000, &error), NORMA_ERROR_BUDGET);
  memory_free(&memory, a);
  a = memory_allocate(&memory, 2000);
  assert_non_null(a);
  assert_true(atomic_load(&memory.peak) <= 10000);
  memory_free(&memory, a);
  memory_free(&memory, b);
  memory_free(&memory, NULL);
  assert_int_equal(atomic_load(&memory.used), 0);
  assert_null(memory_allocate(&memory, SIZE_MAX));
  memory_init(&memory, NULL, 0);
  assert_int_equal(memory_error(&memory, 2000, &error), NORMA_ERROR_OUT_OF_MEMORY);
}

static void resize_keeps_contents(void **state) {
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 0);
  char *block = NULL;
  size_t size = 0;
  for (size_t grown = 3; grown < 5000; grown = grown * 2 + 1) {
    char *bigger = memory_resize(&memory, block, size, grown);
    assert_non_null(bigger);
    for (size_t i = 0; i < size; i++) assert_int_equal(bigger[i], (char)i);
    for (size_t i = size; i < grown; i++) bigger[i] = (char)i;
    block = bigger;
    size = grown;
  }
  memory_free(&memory, block);
  assert_int_equal(atomic_load(&memory.used), 0);
}

static void region_blocks_are_apart_and_zero(void **state) {
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 0);
  region region;
  region_init(&region, &memory);
  unsigned char *blocks[300];
  for (int i = 0; i < 300; i++) {
    size_t bytes = (size_t)(i * i % 7000);
    blocks[i] = region_allocate(&region, bytes);
    assert_non_null(blocks[i]);
    assert_int_equal((uintptr_t)blocks[i] % 16, 0);
    for (size_t b = 0; b < bytes; b++) assert_int_equal(blocks[i][b], 0);
    memset(blocks[i], i, bytes);
  }
  for (int i = 0; i < 300; i++) {
    for (size_t b = 0; b < (size_t)(i * i % 7000); b++) assert_int_equal(blocks[i][b], (unsigned char)i);
  }
  const size_t used = region_used(&region);
  assert_true(used > 0);
  assert_null(region_array(&region, SIZE_MAX / 2, 4));
  assert_string_equal(region_copy_string(&region, "norma!", 5), "norma");
  region_free(&region);
  assert_int_equal(region_used(&region), 0);
  assert_true(region_reserve(&region, used));
  const size_t held = atomic_load(&memory.used);
  for (size_t i = 0; i < used / 64; i++) assert_non_null(region_allocate(&region, 64));
  assert_int_equal(atomic_load(&memory.used), held); /* one piece was enough */
  assert_false(region_reserve(&(struct region){.memory = &memory}, SIZE_MAX));
  region_free(&region);
  assert_int_equal(atomic_load(&memory.used), 0);
}

static void note_release(void *context) {
  ++*(int *)context;
}

static void buffers_count_references(void **state) {
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 0);
  buffer *owned = buffer_create(&memory, 100);
  memset(owned->data, 1, 100);
  buffer_retain(owned);
  buffer_release(owned);
  assert_true(atomic_load(&memory.used) > 100);
  buffer_release(owned);
  assert_int_equal(atomic_load(&memory.used), 0);
  int released = 0;
  buffer *wrapped = buffer_wrap(&memory, &released, sizeof released, note_release, &released);
  buffer_release(buffer_retain(wrapped));
  assert_int_equal(released, 0);
  buffer_release(wrapped);
  assert_int_equal(released, 1);
  buffer_release(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(budget_is_kept),
      cmocka_unit_test(resize_keeps_contents),
      cmocka_unit_test(region_blocks_are_apart_and_zero),
      cmocka_unit_test(buffers_count_references),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
