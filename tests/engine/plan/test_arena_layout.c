/* Blocks with lifetimes in one arena: never two at one place at one time, and little more than what lives at once. */
#include "engine/plan/arena_layout.h"

#include "engine/base/status.h"
#include "tests/support/failing_allocations.h"
#include "tests/support/random_tensor.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STEPS 40

/* Places the blocks and checks what must hold of any placement: alignment, the arena's size, and that the rest of each
 * block stays as it is. Returns the arena's size. */
static size_t place(arena_block *blocks, size_t count) {
  memory memory;
  size_t arena = 12345;
  norma_error error;
  memory_init(&memory, NULL, 0);
  arena_block *before = malloc((count + 1) * sizeof *before);
  assert_non_null(before);
  if (count > 0) memcpy(before, blocks, count * sizeof *before);
  if (arena_layout_place(&memory, blocks, count, &arena, &error) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(atomic_load(&memory.used), 0);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(blocks[i].offset % MEMORY_ALIGNMENT, 0);
    assert_true(blocks[i].offset + blocks[i].bytes <= arena);
    assert_true(blocks[i].bytes == before[i].bytes && blocks[i].first == before[i].first &&
                blocks[i].last == before[i].last);
  }
  free(before);
  return arena;
}

static bool collide(const arena_block *a, const arena_block *b) {
  const bool same_time = a->first <= b->last && b->first <= a->last;
  return same_time && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* The bytes of all blocks that live at step t. */
static size_t live_bytes(const arena_block *blocks, size_t count, int t) {
  size_t live = 0;
  for (size_t i = 0; i < count; i++) {
    if (blocks[i].first <= t && t <= blocks[i].last) live += size_align(blocks[i].bytes, MEMORY_ALIGNMENT);
  }
  return live;
}

static void no_two_live_blocks_overlap(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 300; seed++) {
    arena_block blocks[60];
    uint64_t random = seed * 0x9E3779B97F4A7C15u; /* small seeds begin alike */
    const size_t count = (size_t)random_int(&random, 0, 60);
    size_t most = 0;
    for (size_t i = 0; i < count; i++) {
      const int first = (int)random_int(&random, 0, STEPS - 1);
      blocks[i] = (arena_block){.bytes = (size_t)random_int(&random, 1, 3000), .first = first};
      blocks[i].last = random_int(&random, 0, 19) ? first + (int)random_int(&random, 0, 12) : INT_MAX;
    }
    const size_t arena = place(blocks, count);
    for (size_t i = 0; i < count; i++) {
      for (size_t k = 0; k < i; k++) assert_false(collide(&blocks[i], &blocks[k]));
    }
    for (int t = 0; t < STEPS + 12; t++) {
      const size_t live = live_bytes(blocks, count, t);
      most = live > most ? live : most;
    }
    assert_true(arena >= most && arena <= most * 3 / 2);
  }
}

static void nothing_takes_no_memory(void **state) {
  (void)state;
  assert_int_equal(place(NULL, 0), 0);
}

/* What does not live at one time shares its place: a chain of steps takes two blocks, whatever its length. */
static void chains_take_two_blocks(void **state) {
  (void)state;
  arena_block blocks[100];
  for (int i = 0; i < 100; i++) blocks[i] = (arena_block){.bytes = 1000, .first = i, .last = i + 1};
  assert_int_equal(place(blocks, 100), 2 * 1024);
}

/* One block that ends where another begins is still alive in that step. */
static void last_steps_count(void **state) {
  (void)state;
  arena_block touching[2] = {{.bytes = 64, .first = 0, .last = 3}, {.bytes = 64, .first = 3, .last = 5}};
  assert_int_equal(place(touching, 2), 128);
  arena_block apart[2] = {{.bytes = 64, .first = 0, .last = 2}, {.bytes = 64, .first = 3, .last = 5}};
  assert_int_equal(place(apart, 2), 64);
}

/* Large blocks first: small ones that came before would have cut the place into pieces. */
static void large_blocks_are_placed_first(void **state) {
  (void)state;
  arena_block blocks[] = {{.bytes = 64, .first = 0, .last = 0},
                          {.bytes = 64, .first = 0, .last = 9},
                          {.bytes = 6400, .first = 1, .last = 2},
                          {.bytes = 6400, .first = 3, .last = 9}};
  assert_int_equal(place(blocks, 4), 6464);
  assert_int_equal(blocks[2].offset, 0);
  assert_int_equal(blocks[3].offset, 0);
}

static void the_same_blocks_are_placed_the_same_way(void **state) {
  (void)state;
  arena_block first[50], second[50];
  uint64_t random = 5;
  for (int i = 0; i < 50; i++) {
    first[i] = (arena_block){.bytes = (size_t)random_int(&random, 1, 4) * 64, .first = i / 3, .last = i / 2 + 3};
    second[i] = first[i];
  }
  place(first, 50);
  place(second, 50);
  assert_memory_equal(first, second, sizeof first);
}

/* ------------------------------------------------------------------------------------------------------ many blocks */

static int compare_offset(const void *left, const void *right) {
  const arena_block *a = *(const arena_block *const *)left, *b = *(const arena_block *const *)right;
  return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Thousands are placed in the order of time, in bounded time: blocks that live at the same time lie apart, and room is
 * used again. */
#define MANY 20000

static void thousands_of_blocks(void **state) {
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 0);
  for (unsigned seed = 1; seed <= 4; seed++) {
    srand(seed);
    arena_block *blocks = malloc(MANY * sizeof *blocks);
    const arena_block **live = malloc(MANY * sizeof(void *));
    assert_true(blocks && live);
    int life = seed == 4 ? MANY : 4;
    for (int i = 0; i < MANY; i++) {
      int last = i + rand() % life;
      blocks[i] = (arena_block){.bytes = 1 + (size_t)(rand() % 3000), .first = i, .last = rand() % 500 ? last : MANY};
    }
    size_t arena, live_most = 0;
    assert_int_equal(arena_layout_place(&memory, blocks, MANY, &arena, NULL), NORMA_OK);
    for (int t = 0; t < MANY; t += 97) {
      size_t count = 0, bytes = 0;
      for (int i = 0; i < MANY; i++) {
        if (blocks[i].first <= t && t <= blocks[i].last) live[count++] = &blocks[i];
      }
      qsort(live, count, sizeof *live, compare_offset);
      for (size_t i = 0; i < count; i++) {
        assert_int_equal(live[i]->offset % MEMORY_ALIGNMENT, 0);
        assert_true(live[i]->offset + live[i]->bytes <= arena);
        assert_true(i == 0 || live[i - 1]->offset + live[i - 1]->bytes <= live[i]->offset);
        bytes += size_align(live[i]->bytes, MEMORY_ALIGNMENT);
      }
      if (bytes > live_most) live_most = bytes;
    }
    if (arena > live_most * 2) fail_msg("arena of %zu bytes for at most %zu live ones", arena, live_most);
    free(live);
    free(blocks);
  }
  assert_int_equal(atomic_load(&memory.used), 0);
}

/* Every other block ends at once and leaves holes that are too small for what comes: the search gives up after some. */
static void many_small_holes(void **state) {
  enum { COUNT = 30000 };
  (void)state;
  arena_block *blocks = calloc(COUNT, sizeof *blocks);
  assert_non_null(blocks);
  for (int i = 0; i < COUNT / 2; i++) {
    blocks[i] = (arena_block){.bytes = 64, .first = 0, .last = i % 2 ? INT_MAX : 0};
  }
  for (int i = COUNT / 2; i < COUNT; i++) blocks[i] = (arena_block){.bytes = 128, .first = 1, .last = 1};
  const size_t arena = place(blocks, COUNT);
  assert_true(arena <= (size_t)COUNT / 2 * 64 + (size_t)COUNT / 2 * 128);
  free(blocks);
}

/* ---------------------------------------------------------------------------------------------------------- refused */

/* More than can be addressed, in few blocks and in many, in one block and in the sum. */
static void blocks_that_cannot_be_addressed(void **state) {
  static const size_t counts[] = {1, 3, 9000}, sizes[] = {SIZE_MAX - 10, SIZE_MAX / 4, SIZE_MAX / 4};
  (void)state;
  for (int i = 0; i < 3; i++) {
    memory memory;
    norma_error error;
    size_t arena;
    arena_block *blocks = calloc(counts[i], sizeof *blocks);
    assert_non_null(blocks);
    memory_init(&memory, NULL, 0);
    for (size_t k = 0; k < counts[i]; k++) blocks[k] = (arena_block){.bytes = sizes[i], .first = 0, .last = 1};
    assert_int_equal(arena_layout_place(&memory, blocks, counts[i], &arena, &error), NORMA_ERROR_BUDGET);
    assert_non_null(strstr(error.message, "more memory than can be addressed"));
    assert_int_equal(atomic_load(&memory.used), 0);
    free(blocks);
  }
}

static norma_status place_some(void *context, const norma_allocator *allocator, norma_error *error) {
  memory memory;
  size_t arena;
  arena_block blocks[3] = {{.bytes = 1, .last = 1}, {.bytes = 2, .last = 1}, {.bytes = 3, .last = 1}};
  (void)context;
  memory_init(&memory, allocator, 0);
  return arena_layout_place(&memory, blocks, 3, &arena, error);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  assert_int_equal(fail_each_allocation(place_some, NULL), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_two_live_blocks_overlap),
      cmocka_unit_test(nothing_takes_no_memory),
      cmocka_unit_test(chains_take_two_blocks),
      cmocka_unit_test(last_steps_count),
      cmocka_unit_test(large_blocks_are_placed_first),
      cmocka_unit_test(the_same_blocks_are_placed_the_same_way),
      cmocka_unit_test(thousands_of_blocks),
      cmocka_unit_test(many_small_holes),
      cmocka_unit_test(blocks_that_cannot_be_addressed),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
