/* Walks over several arrays at once: broadcasting, collapsing, rows on several workers, copies of every kind. */
#include "ops/strided.h"
#include "engine/execute/executor.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

/* A run without a node, on this many workers. */
typedef struct fixture {
  memory memory;
  packed_constants *packed;
  thread_pool *pool;
  executor executor;
  norma_error error;
  run_context context;
} fixture;

static void fixture_init(fixture *f, int workers) {
  memset(f, 0, sizeof *f);
  memory_init(&f->memory, NULL, 0);
  f->packed = packed_constants_create(&f->memory);
  executor_init_serial(&f->executor, &f->memory, kernel_table_default(), f->packed, false);
  if (workers > 1) {
    assert_int_equal(thread_pool_create(&f->memory, workers, &f->pool, &f->error), NORMA_OK);
    assert_true(thread_pool_enter(f->pool));
    f->executor.pool = f->pool;
    f->executor.workers = workers;
  }
  f->context = (run_context){.kernels = f->executor.kernels, .executor = &f->executor, .error = &f->error};
}

static void fixture_finish(fixture *f) {
  if (f->pool) thread_pool_leave(f->pool);
  thread_pool_destroy(f->pool);
  packed_constants_destroy(f->packed);
  assert_int_equal(atomic_load(&f->memory.used), 0);
}

/* A walk over a random shape: operand 0 is contiguous, the others are as they please. Offsets are from where an
 * operand's smallest index lies. */
typedef struct random_walk {
  strided walk;
  int64_t least[STRIDED_OPERANDS], extent[STRIDED_OPERANDS]; /* elements before and in all */
} random_walk;

static random_walk random_walk_of(uint64_t *seed, int operands, size_t bytes) {
  random_walk made = {.walk = {.rank = (int)random_int(seed, 0, 6), .operands = operands}};
  strided *walk = &made.walk;
  int64_t count = 1;
  for (int i = walk->rank - 1; i >= 0; i--) {
    walk->dims[i] = count > 2000 ? 1 : random_of(seed, 1, 1, 2, 3, 5, 8, 33, 100);
    if (random_int(seed, 0, 40) == 0) walk->dims[i] = 0;
    walk->strides[0][i] = count ? count : 1;
    count *= walk->dims[i];
  }
  for (int k = 1; k < operands; k++) {
    int64_t stride = 1;
    int order[STRIDED_MAX_RANK];
    for (int i = 0; i < walk->rank; i++) order[i] = i;
    for (int i = walk->rank - 1; i > 0 && random_int(seed, 0, 1); i--) { /* often permuted */
      const int swapped = order[i], with = (int)random_int(seed, 0, i);
      order[i] = order[with];
      order[with] = swapped;
    }
    for (int i = walk->rank - 1; i >= 0; i--) {
      const int kind = (int)random_int(seed, 0, 9);
      walk->strides[k][order[i]] = kind == 0 ? 0 : kind == 1 ? -stride : stride;
      if (kind) stride *= walk->dims[order[i]] > 0 ? walk->dims[order[i]] : 1;
    }
  }
  for (int k = 0; k < operands; k++) {
    int64_t most = 0;
    walk->element_bytes[k] = bytes;
    for (int i = 0; i < walk->rank && count > 0; i++) {
      const int64_t far = (walk->dims[i] - 1) * walk->strides[k][i];
      *(far < 0 ? &made.least[k] : &most) += far;
    }
    made.extent[k] = most - made.least[k] + 1;
  }
  return made;
}

/* Where element `index` of the walk lies in operand k. */
static int64_t place_in(const strided *walk, int k, int64_t index) {
  int64_t place = 0;
  for (int i = walk->rank - 1; i >= 0; i--) {
    place += index % walk->dims[i] * walk->strides[k][i];
    index /= walk->dims[i];
  }
  return place;
}

static void broadcast_operands(void **state) {
  uint64_t seed = 1;
  (void)state;
  for (int round = 0; round < 500; round++) {
    shape a, b, whole;
    random_broadcast(&seed, 3000, &a, &b, &whole);
    strided walk = {.rank = whole.rank};
    memcpy(walk.dims, whole.dims, sizeof whole.dims);
    strided_add_broadcast(&walk, &walk, 4, whole.rank, whole.dims);
    strided_add_broadcast(&walk, &seed, 8, a.rank, a.dims);
    assert_int_equal(walk.operands, 2);
    assert_true(walk.data[1] == (char *)&seed && walk.element_bytes[1] == 8);
    for (int64_t i = 0; i < shape_count(&whole); i++) {
      assert_int_equal(place_in(&walk, 0, i), i);
      assert_int_equal(place_in(&walk, 1, i), broadcast_place(&a, &whole, i));
    }
  }
}

/* Fewer dimensions, the same places in the same order. */
static void collapsed_walks(void **state) {
  uint64_t seed = 2;
  (void)state;
  for (int round = 0; round < 1000; round++) {
    const random_walk made = random_walk_of(&seed, 3, 4);
    strided walk = made.walk;
    strided_collapse(&walk);
    const int64_t count = dims_product(made.walk.dims, 0, made.walk.rank);
    assert_true(walk.rank >= 1 && (walk.rank <= made.walk.rank || made.walk.rank == 0));
    assert_int_equal(dims_product(walk.dims, 0, walk.rank), count);
    if (count == 0) assert_true(walk.rank == 1 && walk.dims[0] == 0);
    for (int i = 0; i < walk.rank && count > 1; i++) assert_true(walk.dims[i] > 1);
    for (int64_t i = 0; i < count; i++) {
      for (int k = 0; k < 3; k++) assert_int_equal(place_in(&walk, k, i), place_in(&made.walk, k, i));
    }
  }
  strided contiguous = {.rank = 3, .operands = 1, .dims = {4, 5, 6}, .strides = {{30, 6, 1}}};
  strided_collapse(&contiguous);
  assert_true(contiguous.rank == 1 && contiguous.dims[0] == 120);
}

typedef struct row_count {
  atomic_long rows, bad; /* bad: not as long as an element, though there are several */
} row_count;

/* Adds 1 to the target, and the two sources in it. */
static void add_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  row_count *counted = argument;
  atomic_fetch_add(&counted->rows, 1);
  if (steps[0] != sizeof(int32_t) && count > 1) atomic_fetch_add(&counted->bad, 1);
  for (int64_t i = 0; i < count; i++) {
    int32_t *target = (int32_t *)(void *)(pointers[0] + i * steps[0]);
    *target += 1 + *(const int32_t *)(const void *)(pointers[1] + i * steps[1]);
    *target += *(const int32_t *)(const void *)(pointers[2] + i * steps[2]);
  }
}

static void rows_are_each_element_once(void **state) {
  uint64_t seed = 3;
  (void)state;
  for (int workers = 1; workers < 4; workers += 2) {
    fixture f;
    fixture_init(&f, workers);
    for (int round = 0; round < 300; round++) {
      random_walk made = random_walk_of(&seed, 3, sizeof(int32_t));
      const strided given = made.walk;
      const int64_t count = dims_product(given.dims, 0, given.rank);
      made.walk.grain = random_of(&seed, 0, 1, 7, 100);
      int32_t *blocks[3];
      row_count counted = {0};
      for (int k = 0; k < 3; k++) {
        blocks[k] = calloc((size_t)made.extent[k] + 1, sizeof **blocks);
        for (int64_t i = 0; i < made.extent[k] && k > 0; i++) blocks[k][i] = (int32_t)(k * 1000 + i);
        made.walk.data[k] = (char *)(blocks[k] - made.least[k]);
      }
      assert_int_equal(strided_run(&f.context, &made.walk, add_row, &counted), NORMA_OK);
      for (int64_t i = 0; i < count; i++) {
        const int32_t expected =
            1 + blocks[1][place_in(&given, 1, i) - made.least[1]] + blocks[2][place_in(&given, 2, i) - made.least[2]];
        assert_int_equal(blocks[0][i], expected);
      }
      assert_true((count > 0) == (atomic_load(&counted.rows) > 0) && atomic_load(&counted.bad) == 0);
      for (int k = 0; k < 3; k++) free(blocks[k]);
    }
    fixture_finish(&f);
  }
}

static void check_copy(fixture *f, random_walk *made) {
  const strided given = made->walk;
  const size_t bytes = given.element_bytes[0];
  const int64_t count = dims_product(given.dims, 0, given.rank);
  unsigned char *target = calloc((size_t)made->extent[0] + 1, bytes), *source = malloc((size_t)made->extent[1] * bytes);
  for (size_t i = 0; i < (size_t)made->extent[1] * bytes; i++) source[i] = (unsigned char)(i * 7 + i / 256);
  made->walk.data[0] = (char *)target - made->least[0] * (int64_t)bytes;
  made->walk.data[1] = (char *)source - made->least[1] * (int64_t)bytes;
  assert_int_equal(strided_copy(&f->context, &made->walk), NORMA_OK);
  for (int64_t i = 0; i < count; i++) {
    const size_t to = (size_t)(place_in(&given, 0, i) - made->least[0]) * bytes,
                 from = (size_t)(place_in(&given, 1, i) - made->least[1]) * bytes;
    assert_memory_equal(target + to, source + from, bytes);
  }
  free(target);
  free(source);
}

static void copies_of_every_width(void **state) {
  uint64_t seed = 4;
  (void)state;
  for (int workers = 1; workers < 4; workers += 2) {
    fixture f;
    fixture_init(&f, workers);
    for (size_t bytes = 1; bytes <= 16; bytes *= 2) {
      for (int round = 0; round < 150; round++) {
        random_walk made = random_walk_of(&seed, 2, bytes);
        check_copy(&f, &made);
      }
    }
    fixture_finish(&f);
  }
}

/* Tiles, bands and parts of large transpositions, from either layout. */
static void large_transpositions(void **state) {
  static const int64_t sizes[][3] = {{1, 200, 300}, {3, 65, 130},  {40, 33, 31},
                                     {1, 5, 20000}, {1, 20000, 3}, {2, 2, 4000}};
  (void)state;
  for (int k = 0;; k++) {
    fixture f;
    fixture_init(&f, 3);
    f.context.kernels = driver_kernels(k);
    if (!f.context.kernels) {
      fixture_finish(&f);
      break;
    }
    for (size_t s = 0; s < COUNT(sizes); s++) {
      const int64_t n = sizes[s][0], rows = sizes[s][1], columns = sizes[s][2];
      for (size_t bytes = 1; bytes <= 16; bytes *= 2) {
        random_walk made = {.walk = {.rank = 3,
                                     .operands = 2,
                                     .dims = {n, rows, columns},
                                     .strides = {{rows * columns, columns, 1}, {rows * columns, 1, rows}},
                                     .element_bytes = {bytes, bytes}},
                            .extent = {n * rows * columns, n * rows * columns}};
        check_copy(&f, &made);
      }
    }
    fixture_finish(&f);
  }
}

static void other_widths_are_refused(void **state) {
  fixture f;
  memory memory;
  region region;
  (void)state;
  fixture_init(&f, 1);
  memory_init(&memory, NULL, 0);
  region_init(&region, &memory);
  graph *graph = graph_create(&region, &memory, "g", NULL, NULL);
  f.context.node = graph_add_node(graph, "n", "Tested", "", 0, 0, 0);
  strided walk = {.rank = 1, .operands = 2, .dims = {3}, .element_bytes = {3, 3}};
  assert_int_equal(strided_copy(&f.context, &walk), NORMA_ERROR_INTERNAL);
  assert_non_null(strstr(f.error.message, "elements of 3 bytes cannot be copied"));
  graph_release(graph);
  region_free(&region);
  fixture_finish(&f);
}

static void filled_arrays(void **state) {
  (void)state;
  for (size_t bytes = 1; bytes <= 24; bytes++) { /* of any width */
    for (int64_t count = 0; count < 70; count++) {
      unsigned char element[24], target[70 * 24 + 1];
      for (size_t i = 0; i < bytes; i++) element[i] = (unsigned char)(i * 37 + 5);
      memset(target, 0xEE, sizeof target);
      strided_fill(target, element, bytes, count);
      for (int64_t i = 0; i < count; i++) assert_memory_equal(target + (size_t)i * bytes, element, bytes);
      assert_int_equal(target[(size_t)count * bytes], 0xEE);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(broadcast_operands),
      cmocka_unit_test(collapsed_walks),
      cmocka_unit_test(rows_are_each_element_once),
      cmocka_unit_test(copies_of_every_width),
      cmocka_unit_test(large_transpositions),
      cmocka_unit_test(other_widths_are_refused),
      cmocka_unit_test(filled_arrays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
